"""Calibration of joint posteriors by ranks of the truth among draws.

All ranks here are uniform on (0, 1) where the truth and the draws come from the same joint
distribution (simulation-based calibration: Talts et al. 2018, arXiv:1804.06788).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jpassed.exceptions import InputError

__all__ = ["density_ranks", "distance_ranks", "projected_ranks", "rank_coverage", "ranks"]

FloatArray = NDArray[np.float64]
Random = np.random.Generator | int | None


def ranks(draws: ArrayLike, truth: ArrayLike, rng: Random = None) -> FloatArray:
    """Rank of the truth among draws of one number, (N, n) and (N,) -> (N,).

    Spread within its step (and among draws that equal it) at random: uniform, not discrete.
    Objects with a draw or a truth that is not a number get NaN.
    """
    x, true = np.asarray(draws, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if x.ndim != 2 or true.shape != x.shape[:1]:
        raise InputError(f"expected draws (N, n) and truths (N,), got {x.shape}, {true.shape}")
    below = (x < true[:, None]).sum(axis=1)
    equal = (x == true[:, None]).sum(axis=1)
    spread = np.random.default_rng(rng).uniform(0.0, 1.0, len(true))
    found = (below + spread * (equal + 1)) / (x.shape[1] + 1)
    return np.where(np.isnan(x).any(axis=1) | np.isnan(true), np.nan, found)


def projected_ranks(draws: ArrayLike, truth: ArrayLike, rng: Random = None) -> FloatArray:
    """Rank of the truth along a random direction of each object.

    Parameters
    ----------
    draws : array (N, n, Q)
    truth : array (N, Q)
    rng : Generator or int, optional
        Directions, isotropic after each quantity is divided by the standard deviation of the
        object's draws and freed of their correlations: every combination is tested alike, also
        those in which the joint posterior is narrow.

    Returns
    -------
    array (N,)
        NaN where something is not a number or the draws do not vary.
    """
    x, true = _joint(draws, truth)
    random = np.random.default_rng(rng)
    y, t = _whitened(x, true)
    direction = random.standard_normal(true.shape)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    along = np.einsum("ndq,nq->nd", y, direction), (t * direction).sum(axis=1)
    return ranks(*along, random)


def distance_ranks(draws: ArrayLike, truth: ArrayLike, rng: Random = None) -> FloatArray:
    """Share of the draws nearer to a random reference than the truth is.

    "Tests of accuracy with random points" (Lemos et al. 2023, arXiv:2302.03026). The reference of
    an object lies within the spread of all truths, and does not depend on the object; distances
    are in units of that spread.

    Parameters
    ----------
    draws : array (N, n, Q)
    truth : array (N, Q)
    rng : Generator or int, optional

    Returns
    -------
    array (N,)
    """
    x, true = _joint(draws, truth)
    random = np.random.default_rng(rng)
    known = ~np.isnan(true).any(axis=1)
    scale = np.std(true[known], axis=0)
    if not np.all(scale > 0):
        raise InputError("the truths of a quantity are all alike: no scale for distances")
    reference = true[random.choice(np.flatnonzero(known), len(true))]
    far = np.linalg.norm((x - reference[:, None, :]) / scale, axis=-1)
    true_far = np.linalg.norm((true - reference) / scale, axis=-1)
    return ranks(far, true_far, random)


def density_ranks(of_draws: ArrayLike, of_truth: ArrayLike, rng: Random = None) -> FloatArray:
    """Share of the draws with a higher density than the truth: the level of its contour.

    Parameters
    ----------
    of_draws : array (N, n)
        Log density of the draws.
    of_truth : array (N,)
        Log density of the truth.

    Returns
    -------
    array (N,)
        Of a calibrated posterior the share q of the objects lie inside the contours of
        probability q.
    """
    return 1.0 - ranks(of_draws, of_truth, rng)


def rank_coverage(values: ArrayLike, levels: ArrayLike, *, central: bool = True) -> FloatArray:
    """Share of the objects inside regions of given probabilities.

    Parameters
    ----------
    values : array (N,)
        Ranks; NaN are left out.
    levels : array (L,)
        Probabilities.
    central : bool
        Whether a region is an interval about the median (of `ranks` and `projected_ranks`), or
        all ranks up to the level (of `density_ranks` and `distance_ranks`).

    Returns
    -------
    array (L,)
    """
    p = np.asarray(values, dtype=np.float64)
    p = p[~np.isnan(p)]
    if not len(p):
        raise InputError("no rank is known")
    level = np.asarray(levels, dtype=np.float64)
    inner = 2.0 * np.abs(p - 0.5) if central else p
    share: FloatArray = (inner[:, None] <= level[None, :]).mean(axis=0)
    return share


def _joint(draws: ArrayLike, truth: ArrayLike) -> tuple[FloatArray, FloatArray]:
    x, true = np.asarray(draws, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if x.ndim != 3 or true.shape != (x.shape[0], x.shape[2]) or x.shape[1] < 2:
        raise InputError(
            f"expected draws (N, n >= 2, Q) and truths (N, Q), got {x.shape}, {true.shape}"
        )
    return x, true


def _whitened(x: FloatArray, true: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Draws and truth in axes in which the pooled draws and truth have unit covariance.

    The truth is pooled with its draws: axes from the draws alone would be the draws' own, and
    they, unlike the truth, would lie along them by construction.
    """
    pool = np.concatenate((x, true[:, None, :]), axis=1)
    with np.errstate(invalid="ignore"):
        off = pool - pool.mean(axis=1, keepdims=True)
        spread = off.std(axis=1, keepdims=True)
        off = off / np.where(spread > 0, spread, np.nan)
    fine = np.isfinite(off).all(axis=(1, 2))
    size = off.shape[-1]
    matrix = np.tile(np.eye(size), (len(off), 1, 1))
    matrix[fine] = np.einsum("ndi,ndj->nij", off[fine], off[fine]) / off.shape[1]
    values, vectors = np.linalg.eigh(matrix)
    root = vectors / np.sqrt(np.maximum(values, 1e-6))[:, None, :]
    y = np.einsum("ndi,nij->ndj", off, root)
    return y[:, :-1], y[:, -1]
