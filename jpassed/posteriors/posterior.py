"""The answer of the model: one distribution per quantity, for all objects of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.posteriors.distribution import Distribution
from jpassed.posteriors.transforms import FloatArray

__all__ = ["Posterior"]


class Posterior:
    """Posterior distributions of several quantities for N objects.

    Every quantity has its own distribution (its marginal posterior); values are plain arrays in
    the units of `units`. Distributions come from ``posterior["z"]``, rows from
    ``posterior[:100]``.

    Parameters
    ----------
    distributions : mapping of str to Distribution
        Quantity names as in the vocabulary (``"z"``, ``"flux:J0660"``), all of N objects.
    units : mapping of str to str, optional
        Unit of each quantity, as astropy reads it; dimensionless where absent.

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
        self, distributions: Mapping[str, Distribution], units: Mapping[str, str] | None = None
    ) -> None:
        self._distributions = dict(distributions)
        if not self._distributions:
            raise InputError("a posterior needs at least one quantity")
        lengths = {name: len(d) for name, d in self._distributions.items()}
        if len(set(lengths.values())) != 1:
            raise InputError(f"all quantities must have the same objects, got {lengths}")
        self.units = {name: (units or {}).get(name, "") for name in self._distributions}

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
        return Posterior({name: d[key] for name, d in self._distributions.items()}, self.units)

    def select(self, names: Iterable[str]) -> Posterior:
        """The posterior of some of the quantities, in the order asked."""
        return Posterior({name: self[name] for name in names}, self.units)

    @classmethod
    def concatenate(cls, parts: Sequence[Posterior]) -> Posterior:
        """The objects of several posteriors of the same quantities, one after the other.

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
        """Mean of a quantity, (N,)."""
        return self[name].mean()

    def sigma(self, name: str) -> FloatArray:
        """Standard deviation of a quantity, (N,)."""
        return self[name].std()

    def median(self, name: str) -> FloatArray:
        """Median of a quantity, (N,): the point estimate of output columns."""
        return self[name].median()

    def quantile(self, name: str, q: ArrayLike) -> FloatArray:
        """Quantiles of a quantity: (N,) for one level in (0, 1), (N, Q) for a list."""
        return self[name].quantile(q)

    def interval(self, name: str, level: float = 0.68) -> tuple[FloatArray, FloatArray]:
        """Bounds of the central interval of probability `level`, two arrays (N,)."""
        if not 0 < level < 1:
            raise InputError(f"level must lie in (0, 1), got {level}")
        both = self[name].quantile([0.5 - level / 2, 0.5 + level / 2])
        return both[:, 0], both[:, 1]

    def cdf(self, name: str, x: ArrayLike) -> FloatArray:
        """Probability of a value at most x, see `Distribution.cdf`."""
        return self[name].cdf(x)

    def pdf(self, name: str, grid: ArrayLike) -> FloatArray:
        """Density on a grid (G,) common to all objects, or (N, G): (N, G), per unit."""
        points = np.asarray(grid, dtype=np.float64)
        return self[name].pdf(points[None, :] if points.ndim == 1 else points)

    def logpdf(self, name: str, x: ArrayLike, error: ArrayLike | None = None) -> FloatArray:
        """Log density at one value per object (N,), with its error if it has one."""
        return self[name].logpdf(x, error)

    def sample(
        self, name: str, n: int = 1, rng: np.random.Generator | int | None = None
    ) -> FloatArray:
        """Draws of one quantity, (N, n). Draws of two quantities are independent."""
        return self[name].sample(n, rng)
