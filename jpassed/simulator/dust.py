"""Attenuation by dust inside the galaxy, and by the intergalactic medium."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

__all__ = ["R_V", "calzetti", "drude_2175", "igm_transmission"]

FloatArray = NDArray[np.float64]

R_V = 4.05
"""Total-to-selective attenuation of Calzetti et al. 2000."""

LYMAN_LIMIT = 911.75


def calzetti(wave: FloatArray) -> FloatArray:
    """k(lambda) / R_V of Calzetti et al. (2000, ApJ 533, 682), their eq. 4.

    Parameters
    ----------
    wave : ndarray
        Rest-frame vacuum wavelength, Å.

    Returns
    -------
    ndarray
        A(lambda) / A_V. The curve is defined over 1200-22000 Å; the ultraviolet polynomial is
        carried on to 912 Å (within 10 % of Reddy et al. 2016 there), held constant below it, and
        beyond 2 micron the curve falls as lambda**-1.9.
    """
    x = 1e4 / np.clip(np.asarray(wave, dtype=np.float64), 912.0, None)
    blue = 2.659 * (-2.156 + 1.509 * x - 0.198 * x**2 + 0.011 * x**3) + R_V
    red = 2.659 * (-1.857 + 1.040 * x) + R_V
    edge = 1.0 / 2.0
    tail = (2.659 * (-1.857 + 1.040 * edge) + R_V) * (x / edge) ** 1.9
    return np.where(x >= 1.0 / 0.63, blue, np.where(x >= edge, red, tail)) / R_V


def drude_2175(wave: FloatArray) -> FloatArray:
    """The 2175 Å bump: Drude profile of width 350 Å and height 1 / R_V (Noll+2009, eq. 10)."""
    w2 = np.asarray(wave, dtype=np.float64) ** 2
    return w2 * 350.0**2 / ((w2 - 2175.0**2) ** 2 + w2 * 350.0**2) / R_V


def igm_transmission(wave_observed: FloatArray, z: FloatArray) -> FloatArray:
    """Mean intergalactic transmission of Inoue et al. (2014, MNRAS 442, 1805) for z < 1.2.

    Parameters
    ----------
    wave_observed : ndarray (W,)
        Observed wavelength, Å.
    z : ndarray (Z,)
        Redshift of the source.

    Returns
    -------
    ndarray (Z, W)
        exp(-tau) of Lyman series and Lyman continuum, Lyman-alpha forest and damped systems.
    """
    resource = files("jpassed.simulator") / "data" / "igm_inoue2014.csv"
    rows = [r for r in resource.read_text().splitlines() if r and not r.startswith("#")][1:]
    line, a_laf, a_dla = np.array([r.split(",") for r in rows], dtype=np.float64).T
    wave = np.asarray(wave_observed, dtype=np.float64)[None, :]
    one_z = 1.0 + np.asarray(z, dtype=np.float64)[:, None]
    tau = np.zeros(np.broadcast_shapes(wave.shape, one_z.shape))
    for lam, laf, dla in zip(line, a_laf, a_dla, strict=True):
        x = wave / lam
        tau += np.where((x > 1.0) & (x < one_z), laf * x**1.2 + dla * x**2, 0.0)
    x = wave / LYMAN_LIMIT
    inside = (x > 1.0) & (x < one_z)
    x = np.clip(x, 1.0, None)
    continuum = 0.325 * (x**1.2 - one_z**-0.9 * x**2.1)  # eq. 25
    continuum += 0.211 * one_z**2 - 7.66e-2 * one_z**2.3 * x**-0.3 - 0.135 * x**2  # eq. 28
    tau += np.where(inside, continuum, 0.0)
    return np.exp(-np.clip(tau, 0.0, None))
