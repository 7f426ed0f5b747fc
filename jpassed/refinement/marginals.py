"""From weighted draws to distributions of single quantities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jpassed.posteriors import GaussianMixture, Transform
from jpassed.refinement.importance import weighted_quantiles
from jpassed.vocabulary import Kind

__all__ = ["KERNELS", "marginal"]

FloatArray = NDArray[np.float64]

KERNELS = 100
"""Gaussians that stand for the draws of one quantity."""

LEAST_WIDTH = {"log1p": 1e-4}
"""Smallest standard deviation of a kernel, in scaled units; 1e-3 for other scales."""


def marginal(
    values: FloatArray, weight: FloatArray, effective: FloatArray, kind: Kind
) -> GaussianMixture:
    """A smooth distribution of weighted draws.

    Gaussians of equal weight stand at quantiles of the draws. Their width follows the draws around
    them: half the interval to the neighbours a share 0.4 n^(-1/5) away (for a Gaussian the rule
    of Silverman 1986, sect. 3.4), n being the effective number; peaks stay sharper than tails.

    Parameters
    ----------
    values, weight : array (N, n)
        Physical values and weights.
    effective : array (N,)
        Effective number of draws.
    kind : Kind
        Of the vocabulary.
    """
    transform = Transform.of(kind)
    y = transform.forward(np.clip(values, kind.lower, kind.upper))
    half = 0.4 * np.clip(effective, 2.0, None) ** -0.2
    levels = (np.arange(KERNELS) + 0.5) / KERNELS
    fine = np.linspace(0.002, 0.998, 250)
    quantiles = weighted_quantiles(y, weight, fine)
    centre = np.stack([np.interp(levels, fine, q) for q in quantiles])
    width = np.empty_like(centre)
    for i, q in enumerate(quantiles):
        low, high = np.clip(levels - half[i], 0.002, None), np.clip(levels + half[i], None, 0.998)
        width[i] = (np.interp(high, fine, q) - np.interp(low, fine, q)) * half[i] / (high - low)
    # Square-root law of Abramson (1982, Ann. Stat. 10, 1217): nearest neighbours alone make tails
    # too wide.
    width = np.sqrt(width * np.median(width, axis=1, keepdims=True))
    # Centres drawn in by as much as the kernels add: the spread of all stays that of the draws.
    mean = centre.mean(axis=1, keepdims=True)
    spread = ((centre - mean) ** 2).mean(axis=1, keepdims=True)
    added = (width**2).mean(axis=1, keepdims=True)
    share = np.clip(1.0 - added / np.maximum(spread, 1e-300), 0.0, 1.0)
    centre = mean + np.sqrt(share) * (centre - mean)
    least = LEAST_WIDTH.get(kind.scale, 1e-3)
    return GaussianMixture(
        np.full(centre.shape, 1.0 / KERNELS), centre, np.maximum(width, least), transform,
        kind.lower, kind.upper,
    )  # fmt: skip
