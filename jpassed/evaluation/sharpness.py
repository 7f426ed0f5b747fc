"""How much a posterior says beyond the prior, and how often its intervals hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jpassed.evaluation.photoz import mad_scatter
from jpassed.evaluation.scores import coverage, log_score, pit
from jpassed.exceptions import InputError
from jpassed.posteriors import Distribution, Transform

__all__ = ["COVERAGE_LEVELS", "interval_widths", "label_statistics", "width_ratio"]

FloatArray = NDArray[np.float64]

COVERAGE_LEVELS = (0.50, 0.68, 0.90, 0.95)
"""Probabilities of the central intervals that `label_statistics` counts."""

_SIDES = (0.16, 0.84)


def interval_widths(distribution: Distribution, transform: Transform | None = None) -> FloatArray:
    """Half the 16-84 % interval of every object, (N,), in transformed values if one is given."""
    low, high = distribution.quantile(list(_SIDES)).T
    if transform is not None:
        low, high = transform.forward(low), transform.forward(high)
    return (high - low) / 2.0


def width_ratio(
    distribution: Distribution, prior: ArrayLike, transform: Transform | None = None
) -> float:
    """Median width of the posteriors over the width of the prior.

    1 says that the observations add nothing: what is written there is the prior. The square of it
    is, for Gaussians, the share of the prior's variance that is left.

    Parameters
    ----------
    distribution : Distribution
        N objects.
    prior : array (M,)
        Draws of the prior, such as the true values of the objects themselves.
    transform : Transform, optional
        Widths are compared in its values: asinh for equivalent widths, whose prior spans decades.

    Returns
    -------
    float
        Ratio of half the 16-84 % intervals.

    Raises
    ------
    InputError
        If `prior` has fewer than two values, values that are not finite, or no width.
    """
    draws = np.asarray(prior, dtype=np.float64)
    if draws.ndim != 1 or draws.size < 2 or not np.all(np.isfinite(draws)):
        raise InputError("the prior's draws must be at least two finite numbers, shape (M,)")
    if transform is not None:
        draws = transform.forward(draws)
    low, high = np.quantile(draws, _SIDES)
    if high <= low:
        raise InputError("the prior's draws have no width: a ratio to it says nothing")
    return float(np.median(interval_widths(distribution, transform)) / ((high - low) / 2.0))


def label_statistics(
    distribution: Distribution,
    truth: ArrayLike,
    *,
    transform: Transform | None = None,
    levels: Sequence[float] = COVERAGE_LEVELS,
) -> dict[str, Any]:
    """Accuracy, calibration and sharpness of one quantity.

    Parameters
    ----------
    distribution : Distribution
        N objects.
    truth : array (N,)
        Finite values, in the quantity's unit.
    transform : Transform, optional
        For ``width_ratio``.
    levels : sequence of float
        Of the coverage.

    Returns
    -------
    dict
        ``n``; ``bias`` (median of the posterior median minus the truth), ``scatter``
        (`mad_scatter` of it), ``rms`` (root mean square of it about its mean), ``sigma`` (median
        half 16-84 % interval), ``coverage_50`` and so on, ``log_score`` (mean), ``width_ratio``.
    """
    true = np.asarray(truth, dtype=np.float64)
    low, middle, high = distribution.quantile([_SIDES[0], 0.5, _SIDES[1]]).T
    residual = middle - true
    p = pit(distribution, true)
    figures: dict[str, Any] = {
        "n": int(true.size),
        "bias": float(np.median(residual)),
        "scatter": mad_scatter(residual),
        "rms": float(np.std(residual)),
        "sigma": float(np.median(high - low) / 2.0),
        "log_score": float(np.mean(log_score(distribution, true))),
        "width_ratio": width_ratio(distribution, true, transform),
    }
    for level, share in zip(levels, coverage(p, np.asarray(levels)), strict=True):
        figures[f"coverage_{100 * level:.0f}"] = float(share)
    return figures
