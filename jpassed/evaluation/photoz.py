"""Point statistics of photometric redshifts and of other labels. Plain arrays in, numbers out.

With ``dz = z_phot - z_true``; every function takes arrays of shape (N,) with finite values and
raises `InputError` for others: drop masked rows first, and say how many there were.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jpassed.exceptions import InputError
from jpassed.posteriors import Distribution

__all__ = [
    "bias",
    "dex_residual",
    "dex_scatter",
    "fraction_within",
    "mad_scatter",
    "normalised_residual",
    "odds",
    "outlier_fraction",
    "sigma_68",
    "sigma_nmad",
    "sigma_outlier_fraction",
]

FloatArray = NDArray[np.float64]

#: Standard deviation of a Gaussian over its median absolute deviation.
MAD_TO_SIGMA = 1.4826


def normalised_residual(z_phot: ArrayLike, z_true: ArrayLike) -> FloatArray:
    """Relative redshift error ``(z_phot - z_true) / (1 + z_true)``, (N,).

    Parameters
    ----------
    z_phot, z_true : array (N,)
        Photometric and true redshifts, finite.

    Returns
    -------
    array (N,)

    Raises
    ------
    InputError
        If there is no object, the arrays differ in length, or a value is not finite.
    """
    phot, true = _pair(z_phot, z_true)
    return (phot - true) / (1.0 + true)


def bias(z_phot: ArrayLike, z_true: ArrayLike) -> float:
    """Median of `normalised_residual`.

    Parameters
    ----------
    z_phot, z_true : array (N,)
        Photometric and true redshifts, finite.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If there is no object, the arrays differ in length, or a value is not finite.
    """
    return float(np.median(normalised_residual(z_phot, z_true)))


def sigma_nmad(z_phot: ArrayLike, z_true: ArrayLike) -> float:
    """Normalised median absolute deviation of redshifts.

    ``1.4826 median(|dz - median(dz)| / (1 + z_true))``; Brammer, van Dokkum & Coppi 2008,
    ApJ 686, 1503, section 3.4. It is the standard deviation for Gaussian errors, and is blind to
    outliers: quote `outlier_fraction` with it.

    Parameters
    ----------
    z_phot, z_true : array (N,)
        Photometric and true redshifts, finite.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If there is no object, the arrays differ in length, or a value is not finite.
    """
    phot, true = _pair(z_phot, z_true)
    dz = phot - true
    return float(MAD_TO_SIGMA * np.median(np.abs(dz - np.median(dz)) / (1.0 + true)))


def sigma_68(z_phot: ArrayLike, z_true: ArrayLike) -> float:
    """Half the interval that holds the middle 68 % of `normalised_residual`.

    Parameters
    ----------
    z_phot, z_true : array (N,)
        Photometric and true redshifts, finite.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If there is no object, the arrays differ in length, or a value is not finite.
    """
    low, high = np.quantile(normalised_residual(z_phot, z_true), [0.16, 0.84])
    return float(high - low) / 2.0


def sigma_outlier_fraction(z_phot: ArrayLike, z_true: ArrayLike, n_sigma: float = 3.0) -> float:
    """Fraction of objects with ``|dz/(1 + z_true) - bias| > n_sigma sigma_NMAD``.

    Relative to the scatter of the sample itself: 0.3 % at 3 sigma for Gaussian errors.

    Parameters
    ----------
    z_phot, z_true : array (N,)
        Photometric and true redshifts, finite.
    n_sigma : float
        Beyond so many sigma_NMAD an object counts.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    InputError
        If there is no object, the arrays differ in length, or a value is not finite.
    """
    residual = normalised_residual(z_phot, z_true)
    limit = n_sigma * sigma_nmad(z_phot, z_true)
    return float(np.mean(np.abs(residual - np.median(residual)) > limit))


def outlier_fraction(z_phot: ArrayLike, z_true: ArrayLike, threshold: float = 0.05) -> float:
    """Fraction of objects with ``|dz| / (1 + z_true) > threshold``.

    Parameters
    ----------
    z_phot, z_true : array (N,)
        Photometric and true redshifts, finite.
    threshold : float
        In units of 1 + z.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    InputError
        If there is no object, the arrays differ in length, or a value is not finite.
    """
    return float(np.mean(np.abs(normalised_residual(z_phot, z_true)) > threshold))


def fraction_within(z_phot: ArrayLike, z_true: ArrayLike, limit: float = 0.003) -> float:
    """Fraction of objects with ``|dz| / (1 + z_true) <= limit``.

    Parameters
    ----------
    z_phot, z_true : array (N,)
        Photometric and true redshifts, finite.
    limit : float
        In units of 1 + z.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    InputError
        If there is no object, the arrays differ in length, or a value is not finite.
    """
    return float(np.mean(np.abs(normalised_residual(z_phot, z_true)) <= limit))


def odds(distribution: Distribution, z_phot: ArrayLike, half_width: float = 0.03) -> FloatArray:
    """Probability that the redshift lies within ``half_width (1 + z_phot)`` of `z_phot`, (N,).

    Benitez 2000, ApJ 536, 571, with the half width of Hernan-Caballero et al. 2021, A&A 654, A101.

    Parameters
    ----------
    distribution : Distribution
        Of the redshifts of N objects.
    z_phot : array (N,)
        The point estimates.
    half_width : float
        In units of 1 + z.

    Returns
    -------
    array (N,)
        From 0 to 1.
    """
    point = np.asarray(z_phot, dtype=np.float64)
    reach = half_width * (1.0 + point)
    return distribution.probability(point - reach, point + reach)


def mad_scatter(residual: ArrayLike) -> float:
    """Robust standard deviation ``1.4826 median(|r - median(r)|)``; infinite residuals count.

    Parameters
    ----------
    residual : array of any shape

    Returns
    -------
    float
        In the unit of the residuals; infinite where more than half of them are.

    Raises
    ------
    InputError
        If there is no residual, or one of them is NaN.
    """
    r = np.asarray(residual, dtype=np.float64)
    if r.size == 0 or np.any(np.isnan(r)):
        raise InputError("residuals must be given and not be NaN: drop masked rows first")
    middle = np.median(r)
    return float(MAD_TO_SIGMA * np.median(np.abs(r - middle))) if np.isfinite(middle) else np.inf


def dex_residual(predicted: ArrayLike, true: ArrayLike) -> FloatArray:
    """``log10(predicted / true)``, (N,); -inf where the prediction is not positive.

    Parameters
    ----------
    predicted, true : array (N,)
        In the same linear unit.

    Returns
    -------
    array (N,)
        In dex.

    Raises
    ------
    InputError
        Where a true value is not positive: it has no logarithm; leave it out.
    """
    value, truth = _pair(predicted, true)
    if np.any(truth <= 0):
        raise InputError(
            f"{int(np.sum(truth <= 0))} true values are not positive; leave them out of dex "
            "statistics"
        )
    with np.errstate(divide="ignore"):
        return np.log10(np.maximum(value, 0.0) / truth)


def dex_scatter(predicted: ArrayLike, true: ArrayLike, *, robust: bool = True) -> float:
    """Scatter of `dex_residual`: `mad_scatter`, or the standard deviation if not `robust`.

    Parameters
    ----------
    predicted, true : array (N,)
        In the same linear unit.
    robust : bool
        Whether a few wild values may count for little.

    Returns
    -------
    float
        In dex.

    Raises
    ------
    InputError
        As `dex_residual`.
    """
    residual = dex_residual(predicted, true)
    if robust:
        return mad_scatter(residual)
    return float(np.std(residual)) if np.all(np.isfinite(residual)) else float(np.inf)


def _pair(first: ArrayLike, second: ArrayLike) -> tuple[FloatArray, FloatArray]:
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise InputError(f"predictions and truth must be one per object, got {a.shape}, {b.shape}")
    if a.size == 0:
        raise InputError("no objects to evaluate")
    bad = ~(np.isfinite(a) & np.isfinite(b))
    if bad.any():
        raise InputError(f"{int(bad.sum())} of {a.size} values are not finite: drop masked rows")
    return a, b
