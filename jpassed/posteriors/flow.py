"""Distributions that a monotone spline makes a standard normal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from jpassed.exceptions import InputError
from jpassed.posteriors.distribution import Distribution, as_rows, check_transform
from jpassed.posteriors.mixture import GaussianMixture
from jpassed.posteriors.transforms import FloatArray, Transform

__all__ = ["SplineFlow"]

_LOG_ROOT_2PI = 0.5 * np.log(2 * np.pi)
_NODES, _REACH = 81, 4.0
_TAIL = 9.0


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
        self.x, self.y, self.slope = (as_rows(v, "knots") for v in (x, y, slope))
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

    def _local(self, where: FloatArray, along: FloatArray) -> list[FloatArray]:
        """Knots around `where` (N, Q): x0, width, y0, height, both slopes; and what is beyond."""
        left = (along[:, None, 1:-1] <= where[:, :, None]).sum(axis=-1)

        def at(values: FloatArray, index: Any) -> FloatArray:
            return np.take_along_axis(values, index, axis=1)

        x0, y0 = at(self.x, left), at(self.y, left)
        return [
            x0, at(self.x, left + 1) - x0, y0, at(self.y, left + 1) - y0,
            at(self.slope, left), at(self.slope, left + 1),
        ]  # fmt: skip

    def _bend(self, v: FloatArray) -> tuple[FloatArray, FloatArray]:
        """f and ln f' at u = (y - loc) / scale, (N, Q) -> (N, Q)."""
        u = (v - self.loc[:, None]) / self.scale[:, None]
        x0, width, y0, height, d0, d1 = self._local(u, self.x)
        below, above = u < self.x[:, :1], u > self.x[:, -1:]
        xi = np.clip((u - x0) / width, 0.0, 1.0)
        value, log_slope = _spline(xi, height, height / width, d0, d1)
        bent = y0 + value
        bent = np.where(below, self.y[:, :1] + (u - self.x[:, :1]), bent)
        bent = np.where(above, self.y[:, -1:] + (u - self.x[:, -1:]), bent)
        return bent, np.where(below | above, 0.0, log_slope)

    def _unbend(self, v: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The scaled value with f = v, and ln f' there, (N, Q) -> (N, Q)."""
        x0, width, y0, height, d0, d1 = self._local(v, self.y)
        below, above = v < self.y[:, :1], v > self.y[:, -1:]
        s = height / width
        rise = np.clip(v - y0, 0.0, height)
        bent = rise * (d0 + d1 - 2.0 * s)
        a, b = height * (s - d0) + bent, height * d0 - bent
        root = np.sqrt(np.maximum(b * b + 4.0 * a * s * rise, 0.0))
        with np.errstate(invalid="ignore"):
            xi = np.clip(2.0 * s * rise / (b + root), 0.0, 1.0)
        _, log_slope = _spline(xi, height, s, d0, d1)
        u = x0 + xi * width
        u = np.where(below, self.x[:, :1] + (v - self.y[:, :1]), u)
        u = np.where(above, self.x[:, -1:] + (v - self.y[:, -1:]), u)
        steep = np.where(below | above, 0.0, log_slope)
        return self.loc[:, None] + self.scale[:, None] * u, steep

    def _cdf(self, y: FloatArray) -> FloatArray:
        out: FloatArray = ndtr(self._bend(y)[0])
        return out

    def _logpdf(self, y: FloatArray) -> FloatArray:
        v, log_slope = self._bend(y)
        return -0.5 * v * v - _LOG_ROOT_2PI + log_slope - np.log(self.scale)[:, None]

    def _quantile(self, q: FloatArray) -> FloatArray:
        return self._unbend(ndtri(q))[0]

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
        wide = np.broadcast_to(node, (len(self), _NODES))
        mean, log_slope = self._unbend(wide)
        own = self.scale[:, None] * width * np.exp(-log_slope)
        sigma = np.hypot(own, error[:, None])
        return GaussianMixture(np.broadcast_to(weight, wide.shape), mean, sigma, self.transform)

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


def _spline(
    xi: FloatArray, height: FloatArray, s: FloatArray, d0: FloatArray, d1: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Rise over a bin's foot and ln of the slope at a fraction xi of it: Durkan+2019, eqs. 4, 5."""
    cross = xi * (1.0 - xi)
    below = s + (d0 + d1 - 2.0 * s) * cross
    top = d1 * xi**2 + 2.0 * s * cross + d0 * (1.0 - xi) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        log_slope = 2.0 * np.log(s) + np.log(top) - 2.0 * np.log(below)
        return height * (s * xi**2 + d0 * cross) / below, log_slope
