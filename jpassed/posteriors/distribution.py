"""What every posterior of one quantity can do, for all objects at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jpassed.exceptions import InputError
from jpassed.posteriors.transforms import FloatArray, Transform

__all__ = ["LEAST_MASS", "Distribution", "as_rows", "check_transform"]

#: A posterior with less than this inside its bounds is taken to sit on the nearest bound.
LEAST_MASS = 1e-9
#: Numbers in the largest temporary of a quadrature.
_QUADRATURE_SIZE = 2_000_000


class Distribution(ABC):
    """Posterior of one quantity for N objects.

    A subclass describes the distribution of the scaled value y, without bounds; this class adds
    the transform to physical values x and the truncation to ``[lower, upper]``.

    Parameters
    ----------
    transform : Transform, optional
        Physical to scaled values; identity by default.
    lower, upper : float, optional
        Physical bounds: the distribution is cut there and renormalised.

    Notes
    -----
    Arrays of values have the shape ``(N,)``, one per object, or ``(N, Q)`` or ``(1, Q)``. An
    object with parameters that are not finite gives NaN everywhere.
    """

    _quadrature = 64
    """Nodes of the quadrature over one piece."""

    def __init__(
        self,
        transform: Transform | None = None,
        lower: float = -np.inf,
        upper: float = np.inf,
    ) -> None:
        if not lower < upper:
            raise InputError(f"lower must be below upper, got {lower} and {upper}")
        self.transform = transform if transform is not None else Transform()
        self.lower, self.upper = float(lower), float(upper)
        self._edges: tuple[FloatArray, FloatArray, FloatArray, FloatArray] | None = None

    # What a subclass provides, in scaled values and without bounds.

    @abstractmethod
    def __len__(self) -> int:
        """Number of objects N."""

    @abstractmethod
    def _cdf(self, y: FloatArray) -> FloatArray:
        """Cumulative probability, (N, Q) -> (N, Q)."""

    @abstractmethod
    def _logpdf(self, y: FloatArray) -> FloatArray:
        """Log density, (N, Q) -> (N, Q)."""

    @abstractmethod
    def _quantile(self, q: FloatArray) -> FloatArray:
        """Inverse of `_cdf`, (N, Q) -> (N, Q)."""

    @abstractmethod
    def _pieces(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Weights (N, K) and intervals (N, K) outside which the K pieces have no density."""

    @abstractmethod
    def _piece_logpdf(self, y: FloatArray) -> FloatArray:
        """Log density of each piece at its own values, (N, K, G) -> (N, K, G)."""

    @abstractmethod
    def _broadened(self, error: FloatArray) -> Distribution:
        """Convolved with a Gaussian of standard deviation (N,) in y, without bounds."""

    @abstractmethod
    def _rows(self, rows: Any, transform: Transform) -> Self:
        """Some of the objects."""

    @classmethod
    @abstractmethod
    def _joined(cls, parts: Sequence[Any], transform: Transform) -> Self:
        """The objects of several distributions with the same bounds."""

    # What users call, in physical values.

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} objects, {self.transform.scale})"

    def __getitem__(self, rows: Any) -> Self:
        """The distributions of some objects: a slice, an index array or a mask."""
        if isinstance(rows, int | np.integer):
            raise InputError(f"take rows with a slice or an array, e.g. [{rows}:{rows + 1}]")
        return self._rows(rows, self.transform.take(rows))

    @classmethod
    def concatenate(cls, parts: Sequence[Distribution]) -> Self:
        """The objects of several distributions of this class, one after the other.

        Raises
        ------
        InputError
            No parts, mixed classes, or different bounds or scales.
        """
        if not parts or any(type(p) is not type(parts[0]) for p in parts):
            raise InputError(f"cannot join {[type(p).__name__ for p in parts]}: one class, please")
        if len({(p.lower, p.upper) for p in parts}) != 1:
            raise InputError("cannot join distributions with different bounds")
        transform = Transform.concatenate([p.transform for p in parts], [len(p) for p in parts])
        return cls._joined(parts, transform)

    @property
    def truncated(self) -> bool:
        """Whether there are bounds."""
        return bool(np.isfinite(self.lower) or np.isfinite(self.upper))

    def cdf(self, x: ArrayLike) -> FloatArray:
        """Probability of a value at most x; shapes as in the class notes.

        Parameters
        ----------
        x : array (), (N,), (N, Q) or (1, Q)
            Physical values.

        Returns
        -------
        array
            (N,) for x of shape () or (N,), else (N, Q).
        """
        values, flat = self._shaped(x)
        total = self._cdf(self.transform.forward(values))
        if self.truncated:
            below, mass, _, _ = self._bounds()
            enough = mass > LEAST_MASS
            inside = np.clip((total - below) / np.where(enough, mass, 1.0), 0.0, 1.0)
            inside = np.where(enough, inside, np.where(values < self.lower, 0.0, total))
            total = np.where((values >= self.upper) & np.isfinite(total), 1.0, inside)
        return total[:, 0] if flat else total

    def logpdf(self, x: ArrayLike, error: ArrayLike | None = None) -> FloatArray:
        """Log density at x, per unit of x.

        Parameters
        ----------
        x : array (), (N,), (N, Q) or (1, Q)
        error : array (N,), optional
            Standard error of x, shape (N,): the density of the noisy value,
            ``s^2 = s_posterior^2 + s_error^2`` in scaled values; bounds do not apply to it.

        Returns
        -------
        array
            (N,) or (N, Q); -inf outside the bounds.
        """
        if error is not None:
            return self.broadened(x, error).logpdf(x)
        values, flat = self._shaped(x)
        with np.errstate(divide="ignore", invalid="ignore"):
            out = self._logpdf(self.transform.forward(values)) + self.transform.log_slope(values)
        if self.truncated:
            _, mass, _, _ = self._bounds()
            out = out - np.log(np.where(mass > LEAST_MASS, mass, 1.0))
            out = np.where((values < self.lower) | (values > self.upper), -np.inf, out)
        return out[:, 0] if flat else out

    def pdf(self, x: ArrayLike) -> FloatArray:
        """Density at x, per unit of x; as `logpdf`.

        Parameters
        ----------
        x : array (), (N,), (N, Q) or (1, Q)
            Physical values.

        Returns
        -------
        array (N,) or (N, Q)
        """
        return np.exp(self.logpdf(x))

    def quantile(self, q: ArrayLike) -> FloatArray:
        """Values below which the fraction q lies.

        Parameters
        ----------
        q : float, or array (Q,)
            Strictly between 0 and 1.

        Returns
        -------
        array
            (N,) for a float, else (N, Q).

        Raises
        ------
        InputError
            For q outside (0, 1).
        """
        levels = np.asarray(q, dtype=np.float64)
        if levels.ndim > 1 or not np.all((levels > 0) & (levels < 1)):
            raise InputError(f"quantiles must be one number or a list within (0, 1), got {q!r}")
        wide = np.broadcast_to(np.atleast_1d(levels), (len(self), levels.size))
        out = self.values_at(wide)
        return out[:, 0] if levels.ndim == 0 else out

    def median(self) -> FloatArray:
        """Median, (N,)."""
        return self.quantile(0.5)

    def sample(self, n: int, rng: np.random.Generator | int | None = None) -> FloatArray:
        """Draw n values per object, (N, n); `rng` is a generator or a seed.

        A generator gives one number per draw, object by object: the draws of objects do not
        depend on how they are split into batches.

        Raises
        ------
        InputError
            If n is not a positive whole number.
        """
        if not isinstance(n, int | np.integer) or n < 1:
            raise InputError(f"the number of samples must be a whole number from 1 on, got {n!r}")
        # Within (0, 1): a draw of exactly 0 would be -inf for distributions without end.
        uniform = np.random.default_rng(rng).uniform(np.finfo(float).eps, 1.0, (len(self), n))
        return self._drawn(uniform)

    def mean(self) -> FloatArray:
        """Mean in physical units, (N,)."""
        return self.moments()[0]

    def std(self) -> FloatArray:
        """Standard deviation in physical units, (N,)."""
        return self.moments()[1]

    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation in physical units, both (N,)."""
        chunk = max(1, _QUADRATURE_SIZE // (self._pieces()[0].shape[1] * self._quadrature))
        if len(self) <= chunk:
            return self._moments()
        parts = [self[i : i + chunk]._moments() for i in range(0, len(self), chunk)]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def broadened(self, x: ArrayLike, error: ArrayLike) -> Distribution:
        """The distribution of a measurement: convolved with the error of the value x.

        Parameters
        ----------
        x, error : array (N,)
            Measured value and its standard error; the error is scaled at x, to first order.

        Returns
        -------
        Distribution
            Without bounds; not always of the same class.

        Raises
        ------
        InputError
            If an error is negative.
        """
        values = np.broadcast_to(np.asarray(x, dtype=np.float64), (len(self),))
        sigma = np.broadcast_to(np.asarray(error, dtype=np.float64), (len(self),))
        if np.any(sigma < 0):
            raise InputError("errors must not be negative")
        return self._broadened(self.transform.scaled_error(values, sigma))

    def probability(self, low: ArrayLike, high: ArrayLike) -> FloatArray:
        """Probability of a value between low and high, (N,)."""
        return self.cdf(high) - self.cdf(low)

    # Inner workings.

    def _shaped(self, x: ArrayLike) -> tuple[FloatArray, bool]:
        values = np.asarray(x, dtype=np.float64)
        flat = values.ndim < 2
        if values.ndim == 0:
            values = np.full(len(self), float(values))
        if values.ndim == 1 and len(values) != len(self):
            raise InputError(
                f"one value per object, please: {len(self)} objects, {len(values)} values. For a "
                "common grid give it the shape (1, points)"
            )
        if values.ndim == 1:
            values = values[:, None]
        if values.ndim != 2 or values.shape[0] not in (1, len(self)):
            raise InputError(f"values must have shape ({len(self)}, points), got {values.shape}")
        return np.broadcast_to(values, (len(self), values.shape[1])), flat

    def _bounds(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Probability below the lower bound and inside, and the bounds in y; all (N, 1)."""
        if self._edges is None:
            low, high = (
                self.transform.forward(np.full((len(self), 1), b)) for b in (self.lower, self.upper)
            )
            with np.errstate(invalid="ignore"):
                below = np.where(np.isneginf(low), 0.0, self._cdf(low))
                above = np.where(np.isposinf(high), 1.0, self._cdf(high))
            self._edges = below, above - below, low, high
        return self._edges

    def values_at(self, levels: FloatArray) -> FloatArray:
        """Quantiles at levels (N, Q) that differ from object to object, (N, Q)."""
        if not self.truncated:
            return self.transform.inverse(self._quantile(levels))
        below, mass, _, _ = self._bounds()
        inside = mass > LEAST_MASS
        tiny = np.finfo(float).tiny
        levels = np.where(inside, np.clip(below + levels * mass, tiny, 1 - 1e-16), levels)
        return np.clip(self.transform.inverse(self._quantile(levels)), self.lower, self.upper)

    def _drawn(self, uniform: FloatArray) -> FloatArray:
        """Independent draws from independent uniform numbers, (N, n) -> (N, n)."""
        return self.values_at(uniform)

    def _moments(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation by Gauss-Legendre quadrature over each piece."""
        weight, start, stop = self._pieces()
        if self.truncated:
            _, mass, low, high = self._bounds()
            start, stop = np.clip(start, low, high), np.clip(stop, low, high)
        nodes, node_weights = np.polynomial.legendre.leggauss(self._quadrature)
        half = 0.5 * (stop - start)
        y = 0.5 * (stop + start)[..., None] + half[..., None] * nodes
        density = np.exp(self._piece_logpdf(y)) * (weight * half)[..., None] * node_weights
        x = self.transform.inverse(y)
        total = density.sum(axis=(1, 2))
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (density * x).sum(axis=(1, 2)) / total
            spread = (density * (x - mean[:, None, None]) ** 2).sum(axis=(1, 2)) / total
        if self.truncated:
            # Nothing inside the bounds: the value sits on the nearest one.
            outside = np.isfinite(mass[:, 0]) & (mass[:, 0] <= LEAST_MASS)
            if outside.any():
                mean = np.where(outside, self.quantile(0.5), mean)
                spread = np.where(outside, 0.0, spread)
        return mean, np.sqrt(spread)


def as_rows(values: ArrayLike, what: str) -> NDArray[np.float64]:
    """A float64 copy of shape (N, K); raises InputError otherwise."""
    out = np.array(values, dtype=np.float64)
    if out.ndim != 2 or out.shape[1] == 0:
        raise InputError(f"{what} must have shape (objects, K), got {out.shape}")
    return out


def check_transform(transform: Transform, n_objects: int) -> None:
    """Raise InputError where a transform with per-object parameters has another length."""
    own = transform.n_objects
    if own is not None and own != n_objects:
        raise InputError(f"the transform is for {own} objects, the distribution has {n_objects}")
