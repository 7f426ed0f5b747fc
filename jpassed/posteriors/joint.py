"""Draws of several quantities together, and what can make them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.posteriors.transforms import FloatArray

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["JointSamples", "JointSource", "Seed"]

Seed = np.random.Generator | int | None

_BEYOND = 1e300
"""Stands for an infinite draw while quantiles are interpolated."""


class JointSource(Protocol):
    """What draws several quantities of N objects together: it knows the model, this package not."""

    def __len__(self) -> int:
        """Number of objects."""

    def take(self, rows: Any) -> JointSource:
        """The source of some of the objects.

        Parameters
        ----------
        rows : slice, index array or mask
        """

    def sample(
        self,
        n: int,
        names: Sequence[str],
        *,
        order: Sequence[str] | None = None,
        rng: Seed = None,
        redshifts: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> JointSamples:
        """Draws, see `Posterior.sample`.

        Parameters
        ----------
        n, names, order, rng, redshifts, progress
            As in `Posterior.sample`.
        """

    def logpdf(
        self, values: Mapping[str, ArrayLike], *, order: Sequence[str] | None = None
    ) -> FloatArray:
        """Joint log density, see `Posterior.joint_logpdf`.

        Parameters
        ----------
        values : mapping
            Quantity to values (N,) in its unit.
        order : sequence of str, optional

        Returns
        -------
        array (N,)
            Nats.
        """


class JointSamples:
    """n draws of several quantities for N objects.

    Draw i of one quantity belongs to draw i of all others: what is computed from several of them,
    element by element, is a draw too. ``samples["z"]`` is an array (N, n), ``samples[:10]`` are
    the draws of ten objects.

    Parameters
    ----------
    values : mapping of str to array (N, n)
        NaN where a quantity has no meaning in a draw (a line outside the bands), -inf and inf
        where it is smaller or larger than every number (the logarithm of what is not positive).
    units : mapping of str to str, optional
        As astropy reads them; dimensionless where absent.
    log_density : array (N, n), optional
        Natural logarithm of the density with which each draw was made, per physical units of the
        quantities in `drawn`.
    drawn : sequence of str
        The quantities that were drawn, in their order; `values` may hold fewer of them, and
        others that were computed.

    Raises
    ------
    InputError
        No quantity, or arrays of different shapes.

    Examples
    --------
    >>> import numpy as np
    >>> from jpassed.posteriors import JointSamples
    >>> draws = JointSamples({"a": np.array([[1.0, 2.0, 3.0]]), "b": np.array([[2.0, 4.0, 6.0]])})
    >>> draws.quantile("a", 0.5)
    array([2.])
    >>> draws.correlation(("a", "b"))[0].round(3)
    array([[1., 1.],
           [1., 1.]])
    """

    def __init__(
        self,
        values: Mapping[str, ArrayLike],
        units: Mapping[str, str] | None = None,
        *,
        log_density: FloatArray | None = None,
        drawn: Sequence[str] = (),
    ) -> None:
        self._values = {name: np.asarray(v, dtype=np.float64) for name, v in values.items()}
        if not self._values:
            raise InputError("joint samples need at least one quantity")
        shapes = {name: v.shape for name, v in self._values.items()}
        first = next(iter(shapes.values()))
        if len(first) != 2 or len(set(shapes.values())) != 1:
            raise InputError(f"all quantities must have one shape (objects, draws), got {shapes}")
        if log_density is not None and log_density.shape != first:
            raise InputError(f"log_density must have shape {first}, got {log_density.shape}")
        self.units = {name: (units or {}).get(name, "") for name in self._values}
        self.log_density = log_density
        self.drawn = tuple(drawn)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the quantities."""
        return tuple(self._values)

    @property
    def n_draws(self) -> int:
        """Number of draws of each object."""
        return int(next(iter(self._values.values())).shape[1])

    def __len__(self) -> int:
        """Number of objects."""
        return len(next(iter(self._values.values())))

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __repr__(self) -> str:
        return f"JointSamples({len(self)} objects x {self.n_draws}: {', '.join(self.names)})"

    def keys(self) -> tuple[str, ...]:
        """Names of the quantities, as of a dictionary."""
        return self.names

    def items(self) -> Iterator[tuple[str, FloatArray]]:
        """Names and draws (N, n), as of a dictionary."""
        return iter(self._values.items())

    @overload
    def __getitem__(self, key: str) -> FloatArray: ...

    @overload
    def __getitem__(self, key: slice | Sequence[int] | NDArray[Any]) -> JointSamples: ...

    def __getitem__(self, key: Any) -> FloatArray | JointSamples:
        """Draws (N, n) of a quantity by name, or the draws of some objects by rows."""
        if isinstance(key, str):
            if key not in self._values:
                raise UnknownNameError("quantity of these samples", key, self.names)
            return self._values[key]
        if isinstance(key, int | np.integer):
            raise InputError(f"take rows with a slice or an array, e.g. [{key}:{key + 1}]")
        density = None if self.log_density is None else self.log_density[key]
        return JointSamples(
            {name: v[key] for name, v in self._values.items()},
            self.units,
            log_density=density,
            drawn=self.drawn,
        )

    def select(self, names: Iterable[str]) -> JointSamples:
        """The draws of some of the quantities, in the order asked.

        Parameters
        ----------
        names : iterable of str

        Returns
        -------
        JointSamples

        Raises
        ------
        UnknownNameError
            If the posterior has no such quantity.
        """
        chosen = {name: self[name] for name in names}
        return JointSamples(chosen, self.units, log_density=self.log_density, drawn=self.drawn)

    def first(self, n: int) -> JointSamples:
        """The first n draws of each object.

        Raises
        ------
        InputError
            If there are fewer draws, or n is not positive.
        """
        if not 1 <= n <= self.n_draws:
            raise InputError(f"expected 1 to {self.n_draws} draws, got {n}")
        density = None if self.log_density is None else self.log_density[:, :n]
        values = {name: v[:, :n] for name, v in self._values.items()}
        return JointSamples(values, self.units, log_density=density, drawn=self.drawn)

    @classmethod
    def concatenate(cls, parts: Sequence[JointSamples]) -> JointSamples:
        """The objects of several sets of draws of the same quantities, one after the other.

        Raises
        ------
        InputError
            No parts, or other quantities, orders or numbers of draws.
        """
        if not parts:
            raise InputError("no samples to join")
        first = parts[0]
        if any(
            (p.names, p.n_draws, p.drawn) != (first.names, first.n_draws, first.drawn)
            for p in parts
        ):
            raise InputError(f"cannot join {[repr(p) for p in parts]}")
        densities = [p.log_density for p in parts if p.log_density is not None]
        return cls(
            {name: np.concatenate([p[name] for p in parts]) for name in first.names},
            first.units,
            log_density=np.concatenate(densities) if len(densities) == len(parts) else None,
            drawn=first.drawn,
        )

    def quantile(self, name: str, q: ArrayLike) -> FloatArray:
        """Quantiles over the draws in which the quantity has a meaning.

        Draws of -inf and inf count, below and above all others: a quantile that falls among them
        is infinite (an upper limit shows as a lower end of -inf).

        Parameters
        ----------
        name : str
        q : float, or array (Q,)
            In [0, 1].

        Returns
        -------
        array
            (N,) for one level in [0, 1], (N, Q) for a list; NaN without any draw.

        Raises
        ------
        InputError
            If a level lies outside [0, 1].
        """
        levels = np.asarray(q, dtype=np.float64)
        if levels.ndim > 1 or not np.all((levels >= 0) & (levels <= 1)):
            raise InputError(f"quantiles must be one number or a list within [0, 1], got {q!r}")
        ordered = np.sort(np.clip(self[name], -_BEYOND, _BEYOND), axis=1)  # NaN goes last
        count = np.isfinite(ordered).sum(axis=1)
        place = np.atleast_1d(levels)[None, :] * np.maximum(count - 1, 0)[:, None]
        below = np.floor(place).astype(np.intp)
        above = np.minimum(below + 1, np.maximum(count - 1, 0)[:, None])
        low, high = (np.take_along_axis(ordered, i, axis=1) for i in (below, above))
        out = low + (place - below) * (high - low)
        out = np.where(np.abs(out) > 1e-3 * _BEYOND, np.copysign(np.inf, out), out)
        return out[:, 0] if levels.ndim == 0 else out

    def median(self, name: str) -> FloatArray:
        """Median over the draws, (N,).

        Parameters
        ----------
        name : str

        Returns
        -------
        array (N,)
            In the unit of the quantity.
        """
        return self.quantile(name, 0.5)

    def mean(self, name: str) -> FloatArray:
        """Mean over the finite draws, (N,); NaN without any.

        Parameters
        ----------
        name : str

        Returns
        -------
        array (N,)
            In the unit of the quantity.
        """
        return self._moments(name)[0]

    def std(self, name: str) -> FloatArray:
        """Standard deviation over the finite draws, (N,); NaN with fewer than two.

        Parameters
        ----------
        name : str

        Returns
        -------
        array (N,)
            In the unit of the quantity.
        """
        return self._moments(name)[1]

    def _moments(self, name: str) -> tuple[FloatArray, FloatArray]:
        x = self[name]
        fine = np.isfinite(x)
        count = fine.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(fine, x, 0.0).sum(axis=1) / np.where(count, count, np.nan)
            spread = np.where(fine, x - mean[:, None], 0.0)
            scale = np.where(count > 1, count - 1, np.nan)
            return mean, np.sqrt((spread**2).sum(axis=1) / scale)

    def defined(self, name: str) -> FloatArray:
        """Share of the draws with a finite value, (N,).

        Parameters
        ----------
        name : str

        Returns
        -------
        array (N,)
            From 0 to 1.
        """
        return np.isfinite(self[name]).mean(axis=1)

    def covariance(self, names: Iterable[str] | None = None) -> FloatArray:
        """Covariance matrices (N, Q, Q) over the draws in which all Q quantities are finite.

        NaN for objects with fewer than two such draws.

        Parameters
        ----------
        names : sequence of str
        """
        chosen = self.names if names is None else tuple(names)
        x = np.stack([self[name] for name in chosen], axis=-1)
        fine = np.asarray(np.isfinite(x).all(axis=-1))
        count = fine.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            total = np.where(fine[..., None], x, 0.0).sum(axis=1)
            mean = total / np.where(count, count, np.nan)[:, None]
            off = np.where(fine[..., None], x - mean[:, None, :], 0.0)
            scale = np.where(count > 1, count - 1, np.nan)
            return np.einsum("ndi,ndj->nij", off, off) / scale[:, None, None]

    def correlation(self, names: Iterable[str] | None = None) -> FloatArray:
        """Correlation matrices (N, Q, Q), see `covariance`; NaN for a quantity that is constant.

        Parameters
        ----------
        names : sequence of str
        """
        matrix = self.covariance(names)
        spread = np.sqrt(np.einsum("nii->ni", matrix))
        with np.errstate(invalid="ignore", divide="ignore"):
            return matrix / spread[:, :, None] / spread[:, None, :]

    def to_table(self) -> QTable:
        """One row an object, one column (N, n) a quantity; draws without a value are masked.

        Returns
        -------
        astropy.table.QTable
        """
        from astropy.table import Column, MaskedColumn, QTable

        table = QTable()
        for name, x in self._values.items():
            hidden = ~np.isfinite(x)
            column: Any = MaskedColumn(np.where(hidden, np.nan, x), mask=hidden)
            column = column if hidden.any() else Column(np.array(x))
            column.unit = self.units[name] or None
            column.description = f"{self.n_draws} draws, joint with the other columns"
            table[name] = column
        table.meta["drawn"] = ", ".join(self.drawn)
        return table
