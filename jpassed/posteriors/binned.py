"""Distributions of fine bins, constant or smooth within a bin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.posteriors.bin_shares import BinShares
from jpassed.posteriors.distribution import Distribution, check_transform
from jpassed.posteriors.transforms import FloatArray, Transform

__all__ = ["INTERPOLATIONS", "Binned"]

INTERPOLATIONS = ("constant", "cubic")
_SOLVER_STEPS, _TOLERANCE = 60, 1e-11


class Binned(Distribution):
    """Probabilities of M bins of the scaled value.

    Inside a bin the density is constant, or the slope of a monotone cubic through the cumulative
    probability at the edges: continuous, and every bin keeps its probability (Fritsch & Butland
    1984, SIAM J. Sci. Stat. Comput. 5, 300). For posteriors not much wider than a bin the latter
    is closer to the truth, see the page on heads.

    Parameters
    ----------
    edges : array (M + 1,)
        Increasing edges of the bins, in scaled values, the same for all objects.
    probabilities : array (N, M) or BinShares
        Not negative; normalised here. Objects with NaN give NaN.
    transform, lower, upper
        See `Distribution`.
    interpolation : {"constant", "cubic"}

    Raises
    ------
    InputError
        Shapes that do not fit, edges that do not increase, negative probabilities.
    UnknownNameError
        For another interpolation.
    """

    _quadrature = 4

    def __init__(
        self,
        edges: ArrayLike,
        probabilities: ArrayLike | BinShares,
        transform: Transform | None = None,
        lower: float = -np.inf,
        upper: float = np.inf,
        *,
        interpolation: str = "constant",
    ) -> None:
        super().__init__(transform, lower, upper)
        if interpolation not in INTERPOLATIONS:
            raise UnknownNameError("interpolation", interpolation, INTERPOLATIONS)
        self.interpolation = interpolation
        shares = probabilities if isinstance(probabilities, BinShares) else BinShares(probabilities)
        self.edges = np.array(edges, dtype=np.float64)
        self._shares = shares
        if self.edges.shape != (shares.shape[1] + 1,):
            raise InputError(
                f"{shares.shape[1]} bins need {shares.shape[1] + 1} edges, got {self.edges.shape}"
            )
        if not np.all(np.isfinite(self.edges)) or np.any(np.diff(self.edges) <= 0):
            raise InputError("the edges of the bins must be finite and increase")
        check_transform(self.transform, len(self))

    @property
    def probabilities(self) -> FloatArray:
        """Probabilities of the bins, (N, M)."""
        return self._shares.all()

    def __len__(self) -> int:
        return self._shares.shape[0]

    def _bin(self, y: FloatArray) -> tuple[NDArrayInt, FloatArray]:
        """Index of the bin of each value and the fraction of the bin below it, 0 to 1."""
        last = len(self.edges) - 2
        index = np.clip(np.searchsorted(self.edges, y, side="right") - 1, 0, last)
        fraction = (y - self.edges[index]) / (self.edges[index + 1] - self.edges[index])
        return index, np.clip(fraction, 0.0, 1.0)

    def _slopes(self, index: NDArrayInt) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Mean density of bins (N, Q), and the densities at their lower and upper edges.

        At an edge: the harmonic mean of both sides, weighted for bins of different widths.
        """
        last, widths = len(self.edges) - 2, np.diff(self.edges)

        def of(bins: NDArrayInt) -> tuple[FloatArray, FloatArray]:
            width = widths[bins]
            return self._shares.of(bins) / width, width

        here, width = of(index)
        ends = []
        for beside in (np.maximum(index - 1, 0), np.minimum(index + 1, last)):
            other, its = of(beside)
            near, far = 2.0 * its + width, its + 2.0 * width
            with np.errstate(divide="ignore", invalid="ignore"):
                mean = (near + far) / (near / here + far / other)
            ends.append(np.where((here == 0) | (other == 0), 0.0, mean))
        return here, ends[0], ends[1]

    def _cdf(self, y: FloatArray) -> FloatArray:
        index, fraction = self._bin(y)
        below = self._shares.below(index)
        if self.interpolation == "constant":
            return below + fraction * self._shares.of(index)
        return below + np.diff(self.edges)[index] * _rise(fraction, *self._slopes(index))

    def _logpdf(self, y: FloatArray) -> FloatArray:
        index, fraction = self._bin(y)
        if self.interpolation == "constant":
            width = np.diff(self.edges)[index]
            density = self._shares.of(index) / width
        else:
            density = np.maximum(_density(fraction, *self._slopes(index)), 0.0)
        outside = (y < self.edges[0]) | (y > self.edges[-1])
        with np.errstate(divide="ignore"):
            return np.log(np.where(outside & np.isfinite(density), 0.0, density))

    def _quantile(self, q: FloatArray) -> FloatArray:
        index, below = self._shares.find(q)
        share = self._shares.of(index)
        with np.errstate(divide="ignore", invalid="ignore"):
            fraction = np.clip((q - below) / share, 0.0, 1.0)
        if self.interpolation == "cubic":
            slopes = [slope / (share / np.diff(self.edges)[index]) for slope in self._slopes(index)]
            fraction = _solve(fraction, *slopes)
        start = self.edges[index]
        return start + fraction * (self.edges[index + 1] - start)

    def _pieces(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        weight = self.probabilities
        start = np.broadcast_to(self.edges[:-1], weight.shape)
        return weight, start, np.broadcast_to(self.edges[1:], weight.shape)

    def _piece_logpdf(self, y: FloatArray) -> FloatArray:
        flat = np.broadcast_to(-np.log(np.diff(self.edges))[None, :, None], y.shape)
        if self.interpolation == "constant":
            return flat
        index = np.broadcast_to(np.arange(len(self.edges) - 1), self._shares.shape)
        here, left, right = (slope[:, :, None] for slope in self._slopes(index))
        t = (y - self.edges[:-1, None]) / np.diff(self.edges)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.log(np.maximum(_density(t, here, left, right) / here, 0.0))
        return flat + np.where(here > 0, relative, 0.0)

    def _broadened(self, error: FloatArray) -> Self:
        """Exact convolution, binned again; what leaves the bins joins the last ones."""
        edges, width = self.edges, np.diff(self.edges)
        # Below a millionth of a bin the error changes nothing but the arithmetic.
        sigma = np.maximum(error, 1e-6 * width.min())
        probabilities = self.probabilities
        shares = np.empty(probabilities.shape)
        for row, s in enumerate(sigma):
            u = (edges[:, None] - edges[None, :]) / s
            ramp = u * ndtr(u) + np.exp(-0.5 * u * u) / np.sqrt(2 * np.pi)
            total = (ramp[:, :-1] - ramp[:, 1:]) @ (probabilities[row] * s / width)
            total[0], total[-1] = 0.0, total[-1] * 0.0 + 1.0
            shares[row] = np.maximum(np.diff(total), 0.0)
        return self._like(shares, self.transform, bounds=False)

    def _like(
        self, probabilities: FloatArray | BinShares, transform: Transform, bounds: bool = True
    ) -> Self:
        limits = (self.lower, self.upper) if bounds else (-np.inf, np.inf)
        return type(self)(
            self.edges, probabilities, transform, *limits, interpolation=self.interpolation
        )

    def _rows(self, rows: Any, transform: Transform) -> Self:
        return self._like(self._shares.take(rows), transform)

    @classmethod
    def _joined(cls, parts: Sequence[Any], transform: Transform) -> Self:
        if any(not np.array_equal(p.edges, parts[0].edges) for p in parts):
            raise InputError("cannot join binned distributions with different edges")
        if len({p.interpolation for p in parts}) != 1:
            raise InputError("cannot join binned distributions of different interpolations")
        shares = BinShares.concatenate([p._shares for p in parts])
        joined: Self = parts[0]._like(shares, transform)
        return joined


NDArrayInt = np.ndarray[Any, np.dtype[np.intp]]


def _density(t: FloatArray, here: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
    """Slope of the cubic at a fraction t of the bin."""
    back = 1.0 - t
    return 6.0 * here * t * back + left * back * (1.0 - 3.0 * t) + right * t * (3.0 * t - 2.0)


def _rise(t: FloatArray, here: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
    """The cubic over the bin's foot, per width of the bin: 0 at t = 0, `here` at t = 1."""
    back = 1.0 - t
    return t * (here * t * (3.0 - 2.0 * t) + left * back * back - right * t * back)


def _solve(level: FloatArray, here: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
    """The fraction t at which the cubic has risen to `level`, with `here` = 1: Newton in a bracket.

    All (N, Q). Elements that have converged leave the iteration.
    """
    shape, target = level.shape, level.ravel()
    left, right = left.ravel(), right.ravel()
    out = target.copy()
    low, high = np.zeros_like(out), np.ones_like(out)
    active = np.flatnonzero(np.isfinite(left) & np.isfinite(right) & (out > 0) & (out < 1))
    one = np.ones(1)
    for _ in range(_SOLVER_STEPS):
        if not len(active):
            break
        t, lo, hi = out[active], low[active], high[active]
        over = _rise(t, one, left[active], right[active]) - target[active]
        lo, hi = np.where(over < 0, t, lo), np.where(over < 0, hi, t)
        with np.errstate(divide="ignore", invalid="ignore"):
            new = t - over / _density(t, one, left[active], right[active])
        new = np.where((new > lo) & (new < hi), new, 0.5 * (lo + hi))
        low[active], high[active], out[active] = lo, hi, new
        active = active[np.abs(new - t) > _TOLERANCE]
    return out.reshape(shape)
