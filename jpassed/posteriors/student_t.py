"""Student-t distributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, stdtr, stdtrit

from jpassed.exceptions import InputError
from jpassed.posteriors.distribution import Distribution, check_transform
from jpassed.posteriors.mixture import GaussianMixture
from jpassed.posteriors.transforms import FloatArray, Transform

__all__ = ["StudentT"]

_NODES = 64
_STEPS = np.array([0.0, 1.5, 4.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 4000.0])
"""Ends of the pieces of a quadrature, in scales from the location."""


class StudentT(Distribution):
    """Student-t of the scaled value.

    Parameters
    ----------
    loc, scale, dof : array (N,)
        In scaled values; scale and degrees of freedom positive. Objects with NaN give NaN.
    transform, lower, upper
        See `Distribution`.

    Raises
    ------
    InputError
        Shapes that differ, a scale or degrees of freedom that are not positive.

    Notes
    -----
    On logarithmic scales without an upper bound (bandfluxes) a Student-t has no mean in physical
    units: exp of a heavy tail. Mean and standard deviation are those of its central 99.9 % there,
    and of all but 2e-7 of it elsewhere. The error of a measurement enters each Gaussian of the
    scale mixture that a Student-t is (Lange, Little & Taylor 1989, J. Am. Stat. Assoc. 84, 881).
    """

    _quadrature = 32

    def __init__(
        self,
        loc: ArrayLike,
        scale: ArrayLike,
        dof: ArrayLike,
        transform: Transform | None = None,
        lower: float = -np.inf,
        upper: float = np.inf,
    ) -> None:
        super().__init__(transform, lower, upper)
        self.loc, self.scale, self.dof = (np.array(v, dtype=np.float64) for v in (loc, scale, dof))
        shapes = [self.loc.shape, self.scale.shape, self.dof.shape]
        if len(set(shapes)) != 1 or self.loc.ndim != 1:
            raise InputError(f"loc, scale and dof must be one per object, got {shapes}")
        if np.any(self.scale <= 0) or np.any(self.dof <= 0):
            raise InputError("scales and degrees of freedom must be positive")
        check_transform(self.transform, len(self))

    def __len__(self) -> int:
        return len(self.loc)

    def _deviations(self, y: FloatArray) -> FloatArray:
        return (y - self.loc[:, None]) / self.scale[:, None]

    def _cdf(self, y: FloatArray) -> FloatArray:
        out: FloatArray = stdtr(self.dof[:, None], self._deviations(y))
        return out

    def _logpdf(self, y: FloatArray) -> FloatArray:
        dof = self.dof[:, None]
        norm = gammaln(0.5 * (dof + 1)) - gammaln(0.5 * dof) - 0.5 * np.log(np.pi * dof)
        t = self._deviations(y)
        out: FloatArray = norm - np.log(self.scale[:, None])
        return out - 0.5 * (dof + 1) * np.log1p(t * t / dof)

    def _quantile(self, q: FloatArray) -> FloatArray:
        return self.loc[:, None] + self.scale[:, None] * stdtrit(self.dof[:, None], q)

    def _pieces(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        endless = self.transform.scale != "linear" and not np.isfinite(self.upper)
        tail = 5e-4 if endless else 1e-7
        reach = np.minimum(_STEPS[None, :], -stdtrit(self.dof, tail)[:, None])
        ends = np.concatenate((-reach[:, ::-1], reach[:, 1:]), axis=1)
        ends = self.loc[:, None] + self.scale[:, None] * ends
        return np.ones_like(ends[:, 1:]), ends[:, :-1], ends[:, 1:]

    def _piece_logpdf(self, y: FloatArray) -> FloatArray:
        return self._logpdf(y.reshape(len(self), -1)).reshape(y.shape)

    def _broadened(self, error: FloatArray) -> Distribution:
        """A Student-t is a scale mixture of Gaussians, and each of them takes the error.

        Lange, Little & Taylor 1989, J. Am. Stat. Assoc. 84, 881; a sum over 64 widths.
        """
        dof = self.dof
        # Between the points where the density of s, minus the log of the variance, is e^-14.
        low = -(28.0 / dof + 6.0 * np.sqrt(2.0 / dof))
        high = np.log1p(np.sqrt(56.0 / dof) + 28.0 / dof)
        s = low[:, None] + (high - low)[:, None] * np.linspace(0.0, 1.0, _NODES)
        weight = np.exp(0.5 * dof[:, None] * (s - np.exp(s) + 1.0))
        sigma = np.hypot(self.scale[:, None] * np.exp(-0.5 * s), error[:, None])
        means = np.broadcast_to(self.loc[:, None], sigma.shape)
        return GaussianMixture(weight, means, sigma, self.transform)

    def _like(
        self, loc: FloatArray, scale: FloatArray, dof: FloatArray, transform: Transform
    ) -> Self:
        return type(self)(loc, scale, dof, transform, self.lower, self.upper)

    def _rows(self, rows: Any, transform: Transform) -> Self:
        return self._like(self.loc[rows], self.scale[rows], self.dof[rows], transform)

    @classmethod
    def _joined(cls, parts: Sequence[Any], transform: Transform) -> Self:
        loc, scale, dof = (
            np.concatenate([getattr(p, name) for p in parts]) for name in ("loc", "scale", "dof")
        )
        joined: Self = parts[0]._like(loc, scale, dof, transform)
        return joined
