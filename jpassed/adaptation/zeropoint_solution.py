"""Zero points as the regression of residuals on offsets. Plain arrays in, numbers out.

A galaxy's band i is compared with what its other bands predict. An offset o_j of band j (magnitude,
to be added to the catalogue's) makes its own flux too bright, and moves the predictions of the
others with it: residual = (I - J) o + noise, J the Jacobian of the predictions. Averaging residuals
would therefore leave a part of every offset in its neighbours; here the equations of all galaxies
are solved together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAGNITUDE", "Equations", "Residuals", "Solution", "grey_and_slope", "solve"]

MAGNITUDE = 2.5 / np.log(10.0)
"""Magnitudes of a unit of ln(flux)."""

FLOOR = 0.02
"""Relative error that every comparison has beside the stated ones: no galaxy rules alone."""

CLIP = 3.0
"""Standard deviations beyond which a residual pulls no harder (Huber 1964)."""

ODD = 3.0
"""Galaxies whose mean squared residual is so many times the median count less: stars, blends."""

SCATTERS = np.geomspace(1e-4, 0.5, 60)
"""Magnitudes; scatter of the offsets of a catalogue, of which the likeliest is taken."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Residuals:
    """Relative residuals of N galaxies in B bands.

    Attributes
    ----------
    value : ndarray (N, B)
        Observed over predicted flux, less 1; 0 where there is none.
    weight : ndarray (N, B)
        Inverse variance, robust; 0 where there is none.
    """

    value: Array
    weight: Array

    @classmethod
    def make(
        cls, flux: Array, error: Array, observed: NDArray[np.bool_], mean: Array, sigma: Array
    ) -> Residuals:
        """From bandfluxes, errors and predictions, each (N, B), in one unit."""
        with np.errstate(all="ignore"):
            usable = observed & np.isfinite(mean) & np.isfinite(sigma) & (mean > 0)
            usable &= sigma < mean  # a prediction that excludes nothing
            value = np.where(usable, flux / mean - 1.0, 0.0)
            variance = (error**2 + sigma**2) / mean**2 + FLOOR**2
            weight = np.where(usable, 1.0 / variance, 0.0)
        pull = np.abs(value) * np.sqrt(weight)
        count = np.maximum(usable.sum(axis=1), 1)
        chi2 = np.minimum(pull**2, 100.0).sum(axis=1) / count
        usual = np.median(chi2[usable.any(axis=1)]) if usable.any() else 1.0
        row = np.minimum(1.0, ODD * max(usual, 1.0) / np.maximum(chi2, 1e-9))
        weight = weight * np.minimum(1.0, CLIP / np.maximum(pull, 1e-9)) * row[:, None]
        return cls(value, weight)

    def __len__(self) -> int:
        return len(self.value)

    def mean(self) -> Array:
        """Weighted mean residual of each band (B,); NaN where there is none."""
        total = self.weight.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean: Array = (self.weight * self.value).sum(axis=0) / total
        return mean

    def of(self, rows: NDArray[np.int64]) -> Residuals:
        """Some of the galaxies."""
        return Residuals(self.value[rows], self.weight[rows])


@dataclass(frozen=True)
class Equations:
    """Normal equations ``curvature @ offset = pull`` of the galaxies of a catalogue or a tile.

    Attributes
    ----------
    curvature : ndarray (B, B)
        1 / mag**2.
    pull : ndarray (B,)
        1 / mag; summed over the galaxies.
    scatter : ndarray (B, B)
        Covariance of `pull`, from its scatter from galaxy to galaxy.
    """

    curvature: Array
    pull: Array
    scatter: Array

    @classmethod
    def make(
        cls,
        residuals: Residuals,
        jacobian: NDArray[np.float32],
        row: NDArray[np.int64],
        baseline: Array,
    ) -> Equations:
        """Sum over galaxies.

        Parameters
        ----------
        residuals : Residuals
            N galaxies.
        jacobian : ndarray (M, B, B)
            Of some galaxies; their mean stands for that of the others.
        row : ndarray (N,) of int
            Which Jacobian is that of each galaxy; -1 for none.
        baseline : ndarray (B,)
            Relative residual of each band where there are no offsets.
        """
        n_bands = residuals.value.shape[1]
        unit = np.eye(n_bands)
        usual = unit - jacobian.mean(axis=0, dtype=np.float64)
        weight = residuals.weight / MAGNITUDE**2
        value = MAGNITUDE * (residuals.value - baseline)
        curvature = np.zeros((n_bands, n_bands))
        pulls = np.empty_like(value)
        for i, k in enumerate(row):
            if k < 0:
                continue
            design = unit - jacobian[k]
            curvature += design.T @ (weight[i][:, None] * design)
            pulls[i] = (weight[i] * value[i]) @ design
        others = row < 0
        total = weight[others].sum(axis=0)
        curvature += usual.T @ (total[:, None] * usual)
        pulls[others] = (weight[others] * value[others]) @ usual
        n = max(len(pulls), 1)
        centred = pulls - pulls.mean(axis=0) if n > 1 else pulls
        return cls(curvature, pulls.sum(axis=0), centred.T @ centred * n / max(n - 1, 1))


@dataclass(frozen=True)
class Solution:
    """Offsets relative to their mean, magnitude.

    Attributes
    ----------
    offset : ndarray (B,)
        Their mean over the measured bands is 0.
    covariance : ndarray (B, B)
    scatter : float
        Scatter of the offsets that was assumed, or found to be the likeliest.
    """

    offset: Array
    covariance: Array
    scatter: float

    @property
    def error(self) -> Array:
        """Standard errors (B,)."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))


def solve(
    equations: Equations,
    n: int,
    *,
    start: Array | None = None,
    centre: Array | None = None,
    scatter: float | None = None,
) -> Solution:
    """Offsets of highest posterior probability.

    Parameters
    ----------
    equations : Equations
        Of n galaxies whose magnitudes have `start` added already.
    n : int
    start, centre : ndarray (B,), optional
        Offsets that were applied, and those expected before; 0 by default.
    scatter : float, optional
        Scatter of the offsets about `centre`, magnitude; the likeliest one if not given, so that
        a catalogue without offsets gets none.
    """
    b = len(equations.pull)
    start = np.zeros(b) if start is None else start
    centre = np.zeros(b) if centre is None else centre
    seen = np.diag(equations.curvature) > 0
    h = equations.curvature[np.ix_(seen, seen)]
    m = _stable(equations.scatter[np.ix_(seen, seen)], h, n)
    # Least squares with the noise of the equations as it is: precision H M^-1 H.
    precision = h @ np.linalg.solve(m, h)
    target = h @ np.linalg.solve(m, equations.pull[seen]) + precision @ (start - centre)[seen]
    level = np.full((seen.sum(), 1), 1.0)
    free = np.eye(int(seen.sum())) - level @ level.T / len(level)
    precision, target = free @ precision @ free, free @ target
    value, vector = np.linalg.eigh(0.5 * (precision + precision.T))
    known = np.maximum(value, 0.0)
    along = vector.T @ target
    if scatter is None:
        scatter = _likeliest(known, along)
    shrunk = along / (known + scatter**-2)
    offset, covariance = np.zeros(b), np.zeros((b, b))
    delta = free @ (vector @ shrunk)
    offset[seen] = free @ centre[seen] + delta
    spread = (vector / (known + scatter**-2)) @ vector.T
    covariance[np.ix_(seen, seen)] = free @ spread @ free
    offset[~seen] = np.nan
    covariance[~seen, ~seen] = np.nan
    return Solution(offset, covariance, float(scatter))


def _stable(scatter: Array, curvature: Array, n: int) -> Array:
    """Covariance of n galaxies' pulls, pulled towards a multiple of the curvature."""
    b = len(curvature)
    size = np.trace(scatter) / max(np.trace(curvature), 1e-300)
    share = b / (b + max(n - 1, 0))
    mixed = (1.0 - share) * scatter + share * max(size, 1e-3) * curvature
    return mixed + 1e-9 * np.trace(mixed) / b * np.eye(b)


def _likeliest(precision: Array, along: Array) -> float:
    """Scatter s of maximum likelihood: measured offsets have variances 1 / precision + s**2."""
    told = precision > 1e-6 * max(precision.max(initial=0.0), 1e-300)
    if not told.any():
        return float(SCATTERS[0])
    measured = along[told] / precision[told]
    variance = 1.0 / precision[told] + SCATTERS[:, None] ** 2
    log_likelihood = -0.5 * (measured**2 / variance + np.log(variance)).sum(axis=1)
    return float(SCATTERS[np.argmax(log_likelihood)])


def grey_and_slope(pivot: Array) -> Array:
    """Directions (B, 2) that galaxies may imitate: all bands alike, and a slope in ln wavelength.

    The slope has mean 0 and a scatter of 1 over the bands.
    """
    x = np.log(pivot)
    x = x - x.mean()
    width = x.std()
    return np.stack([np.ones_like(x), x / (width if width > 0 else 1.0)], axis=1)
