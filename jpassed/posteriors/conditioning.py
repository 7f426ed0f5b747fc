"""Draws from a posterior that has been told a measurement of its own quantity."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from jpassed.exceptions import InputError
from jpassed.posteriors.distribution import Distribution
from jpassed.posteriors.transforms import FloatArray

__all__ = ["draw_given"]

_REACH = 6.0
"""Standard errors to either side of the measurement."""
_POINTS = 129
_SCORES = ndtr(np.linspace(-5.0, 5.0, 81))
"""Levels of the posterior: even in normal scores for the tails, beside even ones for peaks."""


def draw_given(
    distribution: Distribution, value: ArrayLike, error: ArrayLike, uniform: ArrayLike
) -> FloatArray:
    """Draws from posterior times likelihood of a measurement with a Gaussian error.

    A photometric posterior p(z) and a spectroscopic redshift with its error give
    ``p(z) N(z_spec | z, error)``, normalised. It is tabulated on the points of both (the
    posterior's quantiles, and +-6 errors about the measurement), so either may be the narrower.

    Parameters
    ----------
    distribution : Distribution
        Of N objects, before the measurement.
    value, error : array (N,)
        Measured values and their standard errors, positive.
    uniform : array (N, n)
        Independent numbers within (0, 1), one a draw.

    Returns
    -------
    array (N, n)
        Where the posterior leaves nothing within 6 errors of the measurement, the measurement
        with its error within the posterior's bounds: it knows better.

    Raises
    ------
    InputError
        For errors that are not positive, or shapes that do not fit.
    """
    x, sigma = (np.asarray(v, dtype=np.float64) for v in (value, error))
    levels = np.asarray(uniform, dtype=np.float64)
    count = len(distribution)
    if x.shape != (count,) or sigma.shape != (count,) or levels.ndim != 2 or len(levels) != count:
        raise InputError(
            f"expected values and errors ({count},) and uniform numbers ({count}, n), got "
            f"{x.shape}, {sigma.shape}, {levels.shape}"
        )
    if not np.all(sigma > 0):
        raise InputError("the errors of the measurements must be positive")
    window = x[:, None] + sigma[:, None] * np.linspace(-_REACH, _REACH, _POINTS)
    even = (np.arange(_POINTS) + 0.5) / _POINTS
    own = distribution.quantile(np.concatenate((_SCORES, even)))
    grid = np.sort(np.concatenate((window, own), axis=1), axis=1)
    # Beyond the window the likelihood is nothing; bounds of the quantity hold.
    low = np.maximum(window[:, :1], distribution.lower)
    high = np.minimum(window[:, -1:], distribution.upper)
    high = np.maximum(high, low)
    grid = np.clip(grid, low, high)
    with np.errstate(divide="ignore", invalid="ignore"):
        likelihood = -0.5 * ((grid - x[:, None]) / sigma[:, None]) ** 2
        log_density = distribution.logpdf(grid) + likelihood
    peak = np.max(np.where(np.isfinite(log_density), log_density, -np.inf), axis=1, keepdims=True)
    lost = ~np.isfinite(peak)
    log_density = np.where(lost, likelihood, log_density)
    peak = np.where(lost, likelihood.max(axis=1, keepdims=True), peak)
    density = np.exp(np.where(np.isfinite(log_density), log_density - peak, -np.inf))
    area = 0.5 * (density[:, 1:] + density[:, :-1]) * np.diff(grid, axis=1)
    total = np.concatenate((np.zeros((count, 1)), np.cumsum(area, axis=1)), axis=1)
    out = np.empty(levels.shape)
    for row in range(count):
        end = total[row, -1]
        # A window without width: both ends are the bound.
        out[row] = np.interp(levels[row] * end, total[row], grid[row]) if end > 0 else low[row, 0]
    return out
