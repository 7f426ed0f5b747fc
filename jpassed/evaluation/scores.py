"""Calibration and sharpness of posteriors: PIT, coverage, CRPS, log score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jpassed.exceptions import InputError
from jpassed.posteriors import Distribution

__all__ = [
    "coverage",
    "crps",
    "crps_gaussian",
    "crps_quantiles",
    "crps_samples",
    "log_score",
    "pit",
    "pit_cramer_von_mises",
    "pit_distance",
    "pit_outlier_rate",
]

FloatArray = NDArray[np.float64]


def pit(distribution: Distribution, truth: ArrayLike, error: ArrayLike | None = None) -> FloatArray:
    """Probability integral transform, the cumulative probability at the truth.

    Uniform on (0, 1) for calibrated posteriors: Dawid 1984, J. R. Stat. Soc. A 147, 278; for
    photometric redshifts Polsterer et al. 2016, arXiv:1608.08016.

    Parameters
    ----------
    distribution : Distribution
        N objects.
    truth : array (N,)
    error : array (N,), optional
        Standard error of the truth: the posterior is convolved with it.

    Returns
    -------
    array (N,)
    """
    if error is not None:
        distribution = distribution.broadened(truth, error)
    return distribution.cdf(truth)


@overload
def coverage(pit_values: ArrayLike, level: float = 0.68) -> float: ...


@overload
def coverage(pit_values: ArrayLike, level: Sequence[float] | FloatArray) -> FloatArray: ...


def coverage(
    pit_values: ArrayLike, level: float | Sequence[float] | FloatArray = 0.68
) -> float | FloatArray:
    """Fraction of objects whose truth is inside the central interval of probability `level`.

    Parameters
    ----------
    pit_values : array (N,)
        From `pit`.
    level : float or array (L,)
        In (0, 1).

    Returns
    -------
    float or array (L,)

    Raises
    ------
    InputError
        If a level lies outside (0, 1), or a PIT value is not finite.
    """
    p = _finite(pit_values, "PIT values")
    levels = np.asarray(level, dtype=np.float64)
    if not np.all((levels > 0) & (levels < 1)):
        raise InputError(f"levels must lie in (0, 1), got {levels.tolist()}")
    inside = np.abs(p - 0.5)[:, None] <= np.atleast_1d(levels)[None, :] / 2
    share: FloatArray = inside.mean(axis=0)
    return float(share[0]) if levels.ndim == 0 else share


def pit_distance(pit_values: ArrayLike) -> float:
    """Kolmogorov-Smirnov distance of PIT values from the uniform distribution.

    Parameters
    ----------
    pit_values : array (N,)
        From `pit`.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    InputError
        If there is none, or one is not finite.
    """
    p = np.sort(_finite(pit_values, "PIT values"))
    steps = np.arange(len(p) + 1) / len(p)
    return float(max(np.max(steps[1:] - p), np.max(p - steps[:-1])))


def pit_cramer_von_mises(pit_values: ArrayLike) -> float:
    """Cramer-von Mises distance of PIT values from the uniform distribution.

    ``integral (F_N(p) - p)^2 dp`` with F_N the share of the N values at most p (Cramer 1928,
    Skand. Aktuarietidskr. 11, 13). Calibrated posteriors give 1 / (6 N) on average.

    Parameters
    ----------
    pit_values : array (N,)
        From `pit`.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If there is none, or one is not finite.
    """
    p = np.sort(_finite(pit_values, "PIT values"))
    middle = (np.arange(len(p)) + 0.5) / len(p)
    return float(np.mean((p - middle) ** 2) + 1.0 / (12.0 * len(p) ** 2))


def pit_outlier_rate(pit_values: ArrayLike, tail: float = 1e-4) -> float:
    """Share of PIT values below `tail` or above 1 - `tail`.

    Schmidt et al. 2020, MNRAS 499, 1587; ``2 tail`` for calibrated posteriors.

    Parameters
    ----------
    pit_values : array (N,)
        From `pit`.
    tail : float
        Probability.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    InputError
        If there is none, or one is not finite.
    """
    p = _finite(pit_values, "PIT values")
    return float(np.mean((p < tail) | (p > 1.0 - tail)))


def log_score(
    distribution: Distribution, truth: ArrayLike, error: ArrayLike | None = None
) -> FloatArray:
    """Log density at the truth, (N,), nats per unit; larger is better.

    Good 1952, J. R. Stat. Soc. B 14, 107. With `error` the posterior is convolved with it.

    Parameters
    ----------
    distribution : Distribution
        N objects.
    truth : array (N,)
        In the unit of the quantity.
    error : array (N,), optional
        Standard error of the truth.

    Returns
    -------
    array (N,)
        -inf where the truth is outside the bounds.
    """
    return distribution.logpdf(truth, error)


def crps(distribution: Distribution, truth: ArrayLike, *, levels: int = 200) -> FloatArray:
    """Continuous ranked probability score, (N,), in the unit of the quantity; smaller is better.

    ``integral (F(x) - [x >= truth])^2 dx`` (Gneiting & Raftery 2007, J. Am. Stat. Assoc. 102,
    359, eq. 20), as `crps_quantiles` at `levels` levels.

    Parameters
    ----------
    distribution : Distribution
        N objects.
    truth : array (N,)
        In the unit of the quantity.
    levels : int
        Quantiles that stand for the distribution.

    Returns
    -------
    array (N,)
    """
    q = (np.arange(levels) + 0.5) / levels
    return crps_quantiles(distribution.quantile(q), q, truth)


def crps_quantiles(quantiles: ArrayLike, levels: ArrayLike, truth: ArrayLike) -> FloatArray:
    """CRPS as twice the mean quantile loss over evenly spaced levels.

    Laio & Tamea 2007, Hydrol. Earth Syst. Sci. 11, 1267, eq. 8.

    Parameters
    ----------
    quantiles : array (N, Q)
    levels : array (Q,)
        Middles of Q equal parts of (0, 1).
    truth : array (N,)

    Returns
    -------
    array (N,)

    Raises
    ------
    InputError
        If the shapes do not fit each other.
    """
    x, q = np.asarray(quantiles, dtype=np.float64), np.asarray(levels, dtype=np.float64)
    true = np.asarray(truth, dtype=np.float64)
    if x.ndim != 2 or q.shape != x.shape[1:] or true.shape != x.shape[:1]:
        raise InputError(
            f"expected quantiles (N, Q), levels (Q,), truth (N,); got {x.shape}, {q.shape}, "
            f"{true.shape}"
        )
    off = true[:, None] - x
    return 2.0 * np.mean(off * (q - (off < 0)), axis=1)


def crps_samples(samples: ArrayLike, truth: ArrayLike) -> FloatArray:
    """CRPS from draws (N, S): ``E|X - truth| - E|X - X'| / 2``, unbiased in S.

    Gneiting & Raftery 2007, eq. 21, with the fair estimate of the second term (Ferro 2014,
    Q. J. R. Meteorol. Soc. 140, 1917).

    Parameters
    ----------
    samples : array (N, S)
        Two draws of each object at least.
    truth : array (N,)

    Returns
    -------
    array (N,)
        In the unit of the quantity.

    Raises
    ------
    InputError
        If the shapes do not fit each other.
    """
    x, true = np.asarray(samples, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] < 2 or true.shape != x.shape[:1]:
        raise InputError(f"expected samples (N, S >= 2), truth (N,); got {x.shape}, {true.shape}")
    n = x.shape[1]
    weight = 2.0 * np.arange(n) - n + 1
    spread = np.sort(x, axis=1) @ weight / (n * (n - 1))
    return np.abs(x - true[:, None]).mean(axis=1) - spread


def crps_gaussian(mean: ArrayLike, sigma: ArrayLike, truth: ArrayLike) -> FloatArray:
    """CRPS of a Gaussian in closed form (Gneiting & Raftery 2007, section 4.2), (N,).

    Parameters
    ----------
    mean, sigma, truth : array (N,)
        In the unit of the quantity.

    Returns
    -------
    array (N,)
    """
    from scipy.special import ndtr

    s = np.asarray(sigma, dtype=np.float64)
    z = (np.asarray(truth, dtype=np.float64) - np.asarray(mean, dtype=np.float64)) / s
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    out: FloatArray = s * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))
    return out


def _finite(values: ArrayLike, what: str) -> FloatArray:
    out = np.asarray(values, dtype=np.float64)
    if out.ndim != 1 or out.size == 0 or not np.all(np.isfinite(out)):
        raise InputError(f"{what} must be finite, one per object; drop masked rows first")
    return out
