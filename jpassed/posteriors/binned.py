"""Distributions of fine bins, constant within a bin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from jpassed.exceptions import InputError
from jpassed.posteriors.distribution import Distribution, as_rows, check_transform
from jpassed.posteriors.transforms import FloatArray, Transform

__all__ = ["Binned"]

#: More levels than this are looked up object by object.
_MANY_LEVELS = 32


class Binned(Distribution):
    """Probabilities of M bins of the scaled value, with constant density inside a bin.

    Parameters
    ----------
    edges : array (M + 1,)
        Increasing edges of the bins, in scaled values, the same for all objects.
    probabilities : array (N, M)
        Not negative; normalised here. Objects with NaN give NaN.
    transform, lower, upper
        See `Distribution`.

    Raises
    ------
    InputError
        Shapes that do not fit, edges that do not increase, negative probabilities.
    """

    _quadrature = 4

    def __init__(
        self,
        edges: ArrayLike,
        probabilities: ArrayLike,
        transform: Transform | None = None,
        lower: float = -np.inf,
        upper: float = np.inf,
    ) -> None:
        super().__init__(transform, lower, upper)
        self.edges = np.array(edges, dtype=np.float64)
        self.probabilities = as_rows(probabilities, "probabilities")
        if self.edges.shape != (self.probabilities.shape[1] + 1,):
            raise InputError(
                f"{self.probabilities.shape[1]} bins need {self.probabilities.shape[1] + 1} edges, "
                f"got {self.edges.shape}"
            )
        if not np.all(np.isfinite(self.edges)) or np.any(np.diff(self.edges) <= 0):
            raise InputError("the edges of the bins must be finite and increase")
        if np.any(self.probabilities < 0):
            raise InputError("probabilities must not be negative")
        total = self.probabilities.sum(axis=1, keepdims=True)
        if np.any(total == 0):
            raise InputError("the probabilities of an object are all zero")
        self.probabilities /= total
        check_transform(self.transform, len(self))
        self._cumulative_rows: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def _cumulative(self) -> FloatArray:
        """Cumulative probability at the edges, (N, M + 1), ending at exactly 1."""
        if self._cumulative_rows is None:
            rows = np.zeros((len(self), len(self.edges)))
            np.cumsum(self.probabilities, axis=1, out=rows[:, 1:])
            rows /= rows[:, -1:]
            self._cumulative_rows = rows
        return self._cumulative_rows

    def _bin(self, y: FloatArray) -> tuple[NDArrayInt, FloatArray]:
        """Index of the bin of each value and the fraction of the bin below it, 0 to 1."""
        last = len(self.edges) - 2
        index = np.clip(np.searchsorted(self.edges, y, side="right") - 1, 0, last)
        fraction = (y - self.edges[index]) / (self.edges[index + 1] - self.edges[index])
        return index, np.clip(fraction, 0.0, 1.0)

    def _cdf(self, y: FloatArray) -> FloatArray:
        index, fraction = self._bin(y)
        below = np.take_along_axis(self._cumulative, index, axis=1)
        return below + fraction * np.take_along_axis(self.probabilities, index, axis=1)

    def _logpdf(self, y: FloatArray) -> FloatArray:
        index, _ = self._bin(y)
        width = np.diff(self.edges)[index]
        density = np.take_along_axis(self.probabilities, index, axis=1) / width
        outside = (y < self.edges[0]) | (y > self.edges[-1])
        with np.errstate(divide="ignore"):
            return np.log(np.where(outside & np.isfinite(density), 0.0, density))

    def _quantile(self, q: FloatArray) -> FloatArray:
        cumulative, last = self._cumulative, len(self.edges) - 2
        index = np.empty(q.shape, dtype=np.intp)
        if q.shape[1] > _MANY_LEVELS:
            for row in range(len(q)):
                index[row] = np.searchsorted(cumulative[row, 1:], q[row])
        else:
            # Level by level: an (N, M, Q) array of comparisons would not fit in the cache.
            for level in range(q.shape[1]):
                index[:, level] = (cumulative[:, 1:] < q[:, level : level + 1]).sum(axis=1)
        index = np.minimum(index, last)
        share = np.take_along_axis(self.probabilities, index, axis=1)
        below = np.take_along_axis(cumulative, index, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            fraction = np.clip((q - below) / share, 0.0, 1.0)
        start = self.edges[index]
        return start + fraction * (self.edges[index + 1] - start)

    def _pieces(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        shape = self.probabilities.shape
        start = np.broadcast_to(self.edges[:-1], shape)
        return self.probabilities, start, np.broadcast_to(self.edges[1:], shape)

    def _piece_logpdf(self, y: FloatArray) -> FloatArray:
        return np.broadcast_to(-np.log(np.diff(self.edges))[None, :, None], y.shape)

    def _broadened(self, error: FloatArray) -> Self:
        """Exact convolution, binned again; what leaves the bins joins the last ones."""
        edges, width = self.edges, np.diff(self.edges)
        # Below a millionth of a bin the error changes nothing but the arithmetic.
        sigma = np.maximum(error, 1e-6 * width.min())
        shares = np.empty(self.probabilities.shape)
        for row, s in enumerate(sigma):
            u = (edges[:, None] - edges[None, :]) / s
            ramp = u * ndtr(u) + np.exp(-0.5 * u * u) / np.sqrt(2 * np.pi)
            total = (ramp[:, :-1] - ramp[:, 1:]) @ (self.probabilities[row] * s / width)
            total[0], total[-1] = 0.0, total[-1] * 0.0 + 1.0
            shares[row] = np.maximum(np.diff(total), 0.0)
        return self._like(shares, self.transform, bounds=False)

    def _like(self, probabilities: FloatArray, transform: Transform, bounds: bool = True) -> Self:
        limits = (self.lower, self.upper) if bounds else (-np.inf, np.inf)
        return type(self)(self.edges, probabilities, transform, *limits)

    def _rows(self, rows: Any, transform: Transform) -> Self:
        return self._like(self.probabilities[rows], transform)

    @classmethod
    def _joined(cls, parts: Sequence[Any], transform: Transform) -> Self:
        if any(not np.array_equal(p.edges, parts[0].edges) for p in parts):
            raise InputError("cannot join binned distributions with different edges")
        joined: Self = parts[0]._like(np.concatenate([p.probabilities for p in parts]), transform)
        return joined


NDArrayInt = np.ndarray[Any, np.dtype[np.intp]]
