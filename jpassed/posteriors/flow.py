"""Distributions that a monotone spline makes a standard normal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from jpassed.exceptions import InputError
from jpassed.posteriors.distribution import Distribution, as_rows, check_transform
from jpassed.posteriors.mixture import GaussianMixture
from jpassed.posteriors.transforms import FloatArray, Transform

__all__ = ["SplineFlow"]

_LOG_ROOT_2PI = 0.5 * np.log(2 * np.pi)
_NODES, _REACH = 81, 4.0
_TAIL = 9.0
_ALL = slice(None)
#: Numbers of each temporary of a map: they stay in the processor's cache.
_AT_ONCE = 4096


class _Place(NamedTuple):
    """Where in its bin a value is: the fraction, the mean slope, the slopes at both ends."""

    fraction: FloatArray
    mean: FloatArray
    first: FloatArray
    last: FloatArray
    outside: NDArray[np.bool_]

    @property
    def log_slope(self) -> FloatArray:
        """ln f': Durkan+2019, eq. 5; 0 beyond the knots."""
        xi, s, d0, d1, outside = self
        cross = xi * (1.0 - xi)
        below = s + (d0 + d1 - 2.0 * s) * cross
        top = d1 * xi**2 + 2.0 * s * cross + d0 * (1.0 - xi) ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            steep = 2.0 * np.log(s) + np.log(top) - 2.0 * np.log(below)
        return np.where(outside, 0.0, steep)


class SplineFlow(Distribution):
    """f((y - loc) / scale) is standard normal, f a monotone rational-quadratic spline.

    Between its first and last knot f is the spline of Gregory & Delbourgo 1982 (IMA J. Numer. Anal.
    2, 123; as a flow Durkan et al. 2019, arXiv:1906.04032), outside it goes on with slope 1.

    Parameters
    ----------
    loc, scale : array (N,)
        In scaled values; scale positive. Objects with NaN give NaN.
    x, y, slope : array (N, K + 1)
        Knots of f, increasing, and its positive slopes there; first and last slopes 1.
    transform, lower, upper
        See `Distribution`.

    Raises
    ------
    InputError
        Shapes that do not fit, knots that do not increase, slopes that are not positive.
    """

    def __init__(
        self,
        loc: ArrayLike,
        scale: ArrayLike,
        x: ArrayLike,
        y: ArrayLike,
        slope: ArrayLike,
        transform: Transform | None = None,
        lower: float = -np.inf,
        upper: float = np.inf,
    ) -> None:
        super().__init__(transform, lower, upper)
        self.loc, self.scale = (np.array(v, dtype=np.float64) for v in (loc, scale))
        # Knot by knot in memory: the maps go through them in that order.
        self.x, self.y, self.slope = (np.asfortranarray(as_rows(v, "knots")) for v in (x, y, slope))
        shapes = [self.x.shape, self.y.shape, self.slope.shape]
        if len(set(shapes)) != 1 or self.x.shape[1] < 2:
            raise InputError(f"knots and slopes must have one shape (objects, K + 1), got {shapes}")
        if self.loc.shape != (len(self.x),) or self.scale.shape != self.loc.shape:
            raise InputError(
                f"loc and scale must be one per object, got {self.loc.shape}, {self.scale.shape}"
            )
        if np.any(np.diff(self.x) <= 0) or np.any(np.diff(self.y) <= 0):
            raise InputError("the knots of the spline must increase")
        if np.any(self.scale <= 0) or np.any(self.slope <= 0):
            raise InputError("scales and slopes must be positive")
        check_transform(self.transform, len(self))

    def __len__(self) -> int:
        return len(self.loc)

    # Inside, values are (Q, N): the knots of all objects broadcast along contiguous memory.

    def _local(self, where: FloatArray, along: FloatArray, rows: slice) -> list[FloatArray]:
        """Knots around `where` of some rows: x0, width, y0, height, both slopes; each (Q, N)."""
        passed = np.zeros(where.shape, dtype=np.int16)
        for edge in along.T[1:-1, rows]:
            passed += edge <= where
        n = len(self)
        left = np.multiply(passed, n, dtype=np.intp) + np.arange(n)[rows]
        right = left + n
        x, y, slope = (knots.ravel(order="F") for knots in (self.x, self.y, self.slope))
        x0, y0 = x.take(left), y.take(left)
        return [
            x0, x.take(right) - x0, y0, y.take(right) - y0, slope.take(left), slope.take(right),
        ]  # fmt: skip

    def _bend(self, v: FloatArray, rows: slice = _ALL) -> tuple[FloatArray, _Place]:
        """f at u = (y - loc) / scale of some rows, and where that is; (Q, N) -> (Q, N)."""
        u = (v - self.loc[rows]) / self.scale[rows]
        x0, width, y0, height, d0, d1 = self._local(u, self.x, rows)
        s = height / width
        xi = np.clip((u - x0) / width, 0.0, 1.0)
        cross = xi * (1.0 - xi)
        with np.errstate(invalid="ignore", divide="ignore"):
            rise = height * (s * xi**2 + d0 * cross) / (s + (d0 + d1 - 2.0 * s) * cross)
        bent, outside = _beyond(u, y0 + rise, self.x[rows], self.y[rows])
        return bent, _Place(xi, s, d0, d1, outside)

    def _unbend(self, v: FloatArray, rows: slice = _ALL) -> tuple[FloatArray, _Place]:
        """The scaled value of some rows with f = v, and where that is; (Q, N) -> (Q, N)."""
        x0, width, y0, height, d0, d1 = self._local(v, self.y, rows)
        s = height / width
        rise = np.clip(v - y0, 0.0, height)
        bent = rise * (d0 + d1 - 2.0 * s)
        a, b = height * (s - d0) + bent, height * d0 - bent
        root = np.sqrt(np.maximum(b * b + 4.0 * a * s * rise, 0.0))
        with np.errstate(invalid="ignore"):
            xi = np.clip(2.0 * s * rise / (b + root), 0.0, 1.0)
        u, outside = _beyond(v, x0 + xi * width, self.y[rows], self.x[rows])
        return self.loc[rows] + self.scale[rows] * u, _Place(xi, s, d0, d1, outside)

    def _cdf(self, y: FloatArray) -> FloatArray:
        out: FloatArray = ndtr(self._in_parts(self._bend, y.T)).T
        return out

    def _logpdf(self, y: FloatArray) -> FloatArray:
        v, place = self._bend(y.T)
        normal = -0.5 * v * v - _LOG_ROOT_2PI
        return (normal + place.log_slope - np.log(self.scale)).T

    def _quantile(self, q: FloatArray) -> FloatArray:
        # Levels that all objects share are broadcast: one of each is enough.
        v = ndtri(q[:1] if q.strides[0] == 0 else q).T
        return self._in_parts(self._unbend, np.broadcast_to(v, (q.shape[1], len(self)))).T

    def _in_parts(
        self, of: Callable[[FloatArray, slice], tuple[FloatArray, _Place]], v: FloatArray
    ) -> FloatArray:
        """`_bend` or `_unbend`, so many objects at a time that all stays in the cache."""
        out = np.empty(v.shape)
        step = max(1, _AT_ONCE // max(1, len(v)))
        for start in range(0, len(self), step):
            rows = slice(start, start + step)
            out[:, rows] = of(v[:, rows], rows)[0]
        return out

    def _pieces(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        # Pieces end at the knots; in the tails the spline's slope is 1.
        first = self.x[:, :1] - np.maximum(_TAIL + self.y[:, :1], 0.0)
        last = self.x[:, -1:] + np.maximum(_TAIL - self.y[:, -1:], 0.0)
        ends = np.concatenate((first, self.x, last), axis=1)
        ends = self.loc[:, None] + self.scale[:, None] * ends
        return np.ones_like(ends[:, 1:]), ends[:, :-1], ends[:, 1:]

    def _piece_logpdf(self, y: FloatArray) -> FloatArray:
        return self._logpdf(y.reshape(len(self), -1)).reshape(y.shape)

    def _broadened(self, error: FloatArray) -> Distribution:
        """The standard normal as 81 narrow Gaussians, each bent by its local slope.

        Exact where the spline is straight over 0.1 in the normal number.
        """
        node = np.linspace(-_REACH, _REACH, _NODES)
        width = node[1] - node[0]
        weight = np.exp(-0.5 * node**2 / (1.0 - width**2))
        mean, place = self._unbend(np.broadcast_to(node[:, None], (_NODES, len(self))))
        own = self.scale * width * np.exp(-place.log_slope)
        sigma = np.hypot(own, error)
        weights = np.broadcast_to(weight, (len(self), _NODES))
        return GaussianMixture(weights, mean.T, sigma.T, self.transform)

    def _like(
        self, loc: FloatArray, scale: FloatArray, knots: Sequence[FloatArray], transform: Transform
    ) -> Self:
        x, y, slope = knots
        return type(self)(loc, scale, x, y, slope, transform, self.lower, self.upper)

    def _rows(self, rows: Any, transform: Transform) -> Self:
        knots = [p[rows] for p in (self.x, self.y, self.slope)]
        return self._like(self.loc[rows], self.scale[rows], knots, transform)

    @classmethod
    def _joined(cls, parts: Sequence[Any], transform: Transform) -> Self:
        def all_of(name: str) -> FloatArray:
            return np.concatenate([getattr(p, name) for p in parts])

        knots = [all_of(name) for name in ("x", "y", "slope")]
        joined: Self = parts[0]._like(all_of("loc"), all_of("scale"), knots, transform)
        return joined


def _beyond(
    v: FloatArray, inside: FloatArray, own: FloatArray, other: FloatArray
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Where v (Q, N) is beyond its own knots (N, K + 1) the map goes on with slope 1."""
    outside = np.zeros(v.shape, dtype=bool)
    for end, beyond in ((0, v < own[:, 0]), (-1, v > own[:, -1])):
        if beyond.any():
            np.copyto(inside, other[:, end] + (v - own[:, end]), where=beyond)
            outside |= beyond
    return inside, outside
