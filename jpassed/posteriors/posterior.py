"""The answer of the model: one distribution per quantity, for all objects of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.posteriors.distribution import Distribution
from jpassed.posteriors.joint import JointSamples, JointSource, Seed
from jpassed.posteriors.transforms import FloatArray

__all__ = ["Posterior"]


class Posterior:
    """Posterior distributions of several quantities for N objects.

    Every quantity has its own distribution (its marginal posterior); values are plain arrays in
    the units of `units`. Distributions come from ``posterior["z"]``, rows from
    ``posterior[:100]``. Where `joint` is known, as in what `jpassed.annotation.infer` gives,
    ``posterior.sample(100)`` draws all quantities together.

    Parameters
    ----------
    distributions : mapping of str to Distribution
        Quantity names as in the vocabulary (``"z"``, ``"flux:J0660"``), all of N objects.
    units : mapping of str to str, optional
        Unit of each quantity, as astropy reads it; dimensionless where absent.
    joint : JointSource, optional
        What draws quantities of the same objects together.

    Raises
    ------
    InputError
        No distributions, or different numbers of objects.

    Examples
    --------
    >>> import numpy as np
    >>> from jpassed.posteriors import Gaussian, Posterior
    >>> posterior = Posterior({"z": Gaussian(np.array([0.3, 0.5]), np.array([0.01, 0.02]))})
    >>> posterior.quantile("z", [0.16, 0.5, 0.84]).round(3)
    array([[0.29, 0.3 , 0.31],
           [0.48, 0.5 , 0.52]])
    """

    def __init__(
        self,
        distributions: Mapping[str, Distribution],
        units: Mapping[str, str] | None = None,
        joint: JointSource | None = None,
    ) -> None:
        self._distributions = dict(distributions)
        if not self._distributions:
            raise InputError("a posterior needs at least one quantity")
        lengths = {name: len(d) for name, d in self._distributions.items()}
        if len(set(lengths.values())) != 1:
            raise InputError(f"all quantities must have the same objects, got {lengths}")
        if joint is not None and len(joint) != len(self):
            raise InputError(f"joint draws are of {len(joint)} objects, the rest of {len(self)}")
        self.units = {name: (units or {}).get(name, "") for name in self._distributions}
        self.joint = joint

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the quantities."""
        return tuple(self._distributions)

    def __len__(self) -> int:
        """Number of objects."""
        return len(next(iter(self._distributions.values())))

    def __iter__(self) -> Iterator[str]:
        return iter(self._distributions)

    def __contains__(self, name: object) -> bool:
        return name in self._distributions

    def __repr__(self) -> str:
        return f"Posterior({len(self)} objects: {', '.join(self.names)})"

    @overload
    def __getitem__(self, key: str) -> Distribution: ...

    @overload
    def __getitem__(self, key: slice | Sequence[int] | NDArray[Any]) -> Posterior: ...

    def __getitem__(self, key: Any) -> Distribution | Posterior:
        """A quantity's distribution by name, or a Posterior of some objects by rows."""
        if isinstance(key, str):
            if key not in self._distributions:
                raise UnknownNameError("quantity of this posterior", key, self.names)
            return self._distributions[key]
        joint = None if self.joint is None else self.joint.take(key)
        chosen = {name: d[key] for name, d in self._distributions.items()}
        return Posterior(chosen, self.units, joint)

    def select(self, names: Iterable[str]) -> Posterior:
        """The posterior of some of the quantities, in the order of `names`."""
        return Posterior({name: self[name] for name in names}, self.units, self.joint)

    def with_joint(self, joint: JointSource) -> Posterior:
        """The same distributions, and a source of joint draws.

        Parameters
        ----------
        joint : JointSource
            Of the same objects.

        Returns
        -------
        Posterior
        """
        return Posterior(self._distributions, self.units, joint)

    @classmethod
    def concatenate(cls, parts: Sequence[Posterior]) -> Posterior:
        """The objects of several posteriors of the same quantities, one after the other.

        Sources of joint draws are not joined: see `with_joint`.

        Parameters
        ----------
        parts : sequence of Posterior

        Returns
        -------
        Posterior

        Raises
        ------
        InputError
            No parts, or different quantities.
        """
        if not parts or any(set(p.names) != set(parts[0].names) for p in parts):
            raise InputError(f"cannot join posteriors of {[p.names for p in parts]}")
        if len(parts) == 1:
            return parts[0]
        joined = {}
        for name in parts[0].names:
            members = [p[name] for p in parts]
            joined[name] = type(members[0]).concatenate(members)
        return cls(joined, parts[0].units)

    def mean(self, name: str) -> FloatArray:
        """Mean of a quantity, (N,).

        Parameters
        ----------
        name : str
            A quantity of `names`.

        Returns
        -------
        array (N,)
            In the unit of the quantity.
        """
        return self[name].mean()

    def sigma(self, name: str) -> FloatArray:
        """Standard deviation of a quantity, (N,).

        Parameters
        ----------
        name : str
            A quantity of `names`.

        Returns
        -------
        array (N,)
            In the unit of the quantity.
        """
        return self[name].std()

    def median(self, name: str) -> FloatArray:
        """Median of a quantity, (N,): the point estimate of output columns.

        Parameters
        ----------
        name : str
            A quantity of `names`.

        Returns
        -------
        array (N,)
            In the unit of the quantity.
        """
        return self[name].median()

    def quantile(self, name: str, q: ArrayLike) -> FloatArray:
        """Quantiles of a quantity: (N,) for one level in (0, 1), (N, Q) for a list.

        Parameters
        ----------
        name : str
            A quantity of `names`.
        q : float, or array (Q,)
            In (0, 1).

        Returns
        -------
        array (N,) or (N, Q)
            In the unit of the quantity.
        InputError
            For a level outside (0, 1).
        """
        return self[name].quantile(q)

    def interval(self, name: str, level: float = 0.68) -> tuple[FloatArray, FloatArray]:
        """Bounds of the central interval of probability `level`, two arrays (N,).

        Parameters
        ----------
        name : str
        level : float
            In (0, 1).

        Returns
        -------
        lower, upper : array (N,)
            In the unit of the quantity.

        Raises
        ------
        InputError
            If the level lies outside (0, 1).
        """
        if not 0 < level < 1:
            raise InputError(f"level must lie in (0, 1), got {level}")
        both = self[name].quantile([0.5 - level / 2, 0.5 + level / 2])
        return both[:, 0], both[:, 1]

    def cdf(self, name: str, x: ArrayLike) -> FloatArray:
        """Probability of a value at most x, see `Distribution.cdf`.

        Parameters
        ----------
        name : str
            A quantity of `names`.
        x : float, or array (N,) or (N, Q)
            In the unit of the quantity.

        Returns
        -------
        array (N,) or (N, Q)
            From 0 to 1.
        """
        return self[name].cdf(x)

    def pdf(self, name: str, grid: ArrayLike) -> FloatArray:
        """Density on a grid (G,) common to all objects, or (N, G): (N, G), per unit.

        Parameters
        ----------
        name : str
            A quantity of `names`.
        grid : array (G,) or (N, G)
            In the unit of the quantity.

        Returns
        -------
        array (N, G)
            Per unit of the quantity.
        """
        points = np.asarray(grid, dtype=np.float64)
        return self[name].pdf(points[None, :] if points.ndim == 1 else points)

    def logpdf(self, name: str, x: ArrayLike, error: ArrayLike | None = None) -> FloatArray:
        """Log density at one value per object (N,), with its error if it has one.

        Parameters
        ----------
        name : str
            A quantity of `names`.
        x : float, or array (N,)
            In the unit of the quantity.
        error : array (N,), optional
            Standard error of `x`: the density of the noisy value.

        Returns
        -------
        array (N,)
            Nats, per unit of the quantity.
        """
        return self[name].logpdf(x, error)

    @overload
    def sample(self, name: str, n: int = 1, rng: Seed = None) -> FloatArray: ...

    @overload
    def sample(
        self,
        name: int | None = None,
        n: int = 1,
        rng: Seed = None,
        *,
        names: Sequence[str] | None = None,
        order: Sequence[str] | None = None,
        redshifts: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> JointSamples: ...

    def sample(
        self,
        name: str | int | None = None,
        n: int = 1,
        rng: Seed = None,
        *,
        names: Sequence[str] | None = None,
        order: Sequence[str] | None = None,
        redshifts: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> FloatArray | JointSamples:
        """Draws: of one quantity, or of several together.

        ``sample("z", 100)`` gives (N, 100) draws from the marginal posterior of one quantity;
        draws of two quantities made in this way are independent. ``sample(100)`` and
        ``sample(100, names=("z", "logmstar"))`` give 100 joint draws: the first quantity is drawn,
        put into the model's context, the second is asked, and so on.

        Parameters
        ----------
        name : str, or int
            A quantity, or the number of joint draws.
        n : int
            Number of draws.
        rng : Generator or int, optional
            Source of random numbers, or a seed.
        names : sequence of str, optional
            Quantities to draw together, all of this posterior by default. They need not be in
            it: every kind of the vocabulary, bandfluxes and derived quantities may be named.
        order : sequence of str, optional
            Order of drawing; what it does not name follows in the default order (redshift, then
            brightness, mass, dust, lines, star formation, ages).
        redshifts : int, optional
            Number of different redshifts among the draws, stratified; as many as draws, and
            independent, by default. Fewer are faster.
        progress : callable, optional
            Called with (objects done, N).

        Returns
        -------
        ndarray (N, n) or JointSamples

        Raises
        ------
        InputError
            If joint draws are asked of a posterior that holds marginal posteriors alone.
        """
        if isinstance(name, str):
            if names is not None or order is not None or redshifts is not None:
                raise InputError(
                    f"sample({name!r}, ...) draws one quantity; for joint draws give their number "
                    "first: sample(100, names=('z', 'logmstar'))"
                )
            return self[name].sample(n, rng)
        source = self._source()
        count = n if name is None else name
        chosen = self.names if names is None else tuple(names)
        return source.sample(
            count, chosen, order=order, rng=rng, redshifts=redshifts, progress=progress
        )

    def joint_logpdf(
        self, values: Mapping[str, ArrayLike], *, order: Sequence[str] | None = None
    ) -> FloatArray:
        """Log density of several quantities together, as a product of conditional densities.

        Parameters
        ----------
        values : mapping of str to array (N,)
            One value of each quantity for each object; NaN leaves a quantity of an object out.
        order : sequence of str, optional
            As in `sample`. The exact density does not depend on it, that of a network does.

        Returns
        -------
        array (N,)
            Nats per product of the units.
        """
        return self._source().logpdf(values, order=order)

    def _source(self) -> JointSource:
        if self.joint is None:
            raise InputError(
                "this posterior holds marginal posteriors alone; joint draws need the model: take "
                "the posterior from jpassed.annotation.infer, or one quantity, sample('z', 100)"
            )
        return self.joint
