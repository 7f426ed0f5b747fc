"""Whether posteriors know more of the objects than the distribution of their true values does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jpassed.adaptation.calibration_fit import CrossValidation
from jpassed.adaptation.heldout import Verdict, compare, uninformed
from jpassed.vocabulary import Kind

__all__ = ["over_distribution"]

FloatArray = NDArray[np.float64]

MOST = 2000
"""True values that a distribution is made of: more do not change it, but cost as they grow."""

AT_ONCE = 4000

WIDTH_FACTORS = (1.0, 0.5, 0.2)
"""Of Silverman's width: clusters and bounds of a survey make distributions with peaks."""

HELD = 4.0
"""nat: no single object decides."""


def over_distribution(
    log_score: FloatArray, truth: FloatArray, check: CrossValidation, kind: Kind, seed: int = 0
) -> Verdict:
    """Gain of the posteriors over the distribution of the true values, on held-out rows.

    Posteriors count as they are before or after the recalibration, whichever predicts better.
    Where the true values are in the wrong rows neither predicts more than their distribution.

    Parameters
    ----------
    log_score, truth : ndarray (N,)
        Log density at the truth before, and the truth, in physical units.
    check : CrossValidation
        Of the same rows: what each gains by a map, and its fold and object.
    kind : Kind
    seed : int
        Of the true values that are used where there are very many.
    """
    own = _own_distribution(truth, check.fold, kind, seed)
    found = []
    for score in (log_score, log_score + check.each):
        held = np.clip(score - own, -HELD, HELD)
        # Rows of one object are one witness.
        mean = np.bincount(check.label, weights=held) / np.bincount(check.label)
        found.append(compare(mean, np.zeros_like(mean)))
    return max(found, key=lambda verdict: verdict.gain)


def _own_distribution(
    truth: FloatArray, fold: NDArray[np.intp], kind: Kind, seed: int
) -> FloatArray:
    """Log density of each true value under the distribution of those in the other folds."""
    scaled, found = kind.to_scaled(truth), np.empty((len(WIDTH_FACTORS), len(truth)))
    rng = np.random.default_rng(seed)
    for k in np.unique(fold):
        others, rows = scaled[fold != k], np.flatnonzero(fold == k)
        if len(others) > MOST:
            others = rng.choice(others, MOST, replace=False)
        for part in np.array_split(rows, len(rows) // AT_ONCE + 1):
            for score, factor in zip(found, WIDTH_FACTORS, strict=True):
                score[part] = uninformed(others, scaled[part], width_factor=factor)
    best = found[np.argmax(found.mean(axis=1))]
    # `uninformed` leaves the constant of its Gaussians out, and is per unit of the scale.
    return best - 0.5 * np.log(2.0 * np.pi) + _log_slope(truth, kind)


def _log_slope(x: FloatArray, kind: Kind) -> FloatArray:
    """Logarithm of the derivative of `Kind.to_scaled`."""
    slope = np.full(len(x), 1.0 / kind.width)
    if kind.scale == "asinh":
        slope /= np.hypot(x, kind.softening)
    elif kind.scale == "log1p":
        slope /= 1.0 + x
    return np.log(slope)
