"""Mass left in living stars and remnants per mass formed."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jpassed.exceptions import FileError

__all__ = ["remaining_fraction"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]


def remaining_fraction(folder: Path, edges: FloatArray, log_z_solar: FloatArray) -> FloatArray:
    """Remaining mass fraction of each age bin, Chabrier IMF.

    Parameters
    ----------
    folder : Path
        Where ``massloss_chabrier.txt`` (solar metallicity) and ``massloss_kroupa.txt`` may lie;
        columns [Z/H], t (Gyr), M*_T, ... (living stars and remnants in the third).
    edges : ndarray (A + 1,)
        Age-bin edges, yr.
    log_z_solar : ndarray (Z,)
        log10(Z / Z_sun) of the grid.

    Returns
    -------
    ndarray (Z, A)
        The Chabrier table scaled by the Kroupa table's ratio to solar, clamped to 0.93-1.07.
        Without the tables, `analytic_fraction`.
    """
    # A few times inside each bin: the fraction falls steeply at a few Myr.
    inside = np.linspace(0.1, 0.9, 5)
    time = np.maximum(edges[:-1, None] + inside * np.diff(edges)[:, None], 1e5)
    chabrier, kroupa = folder / "massloss_chabrier.txt", folder / "massloss_kroupa.txt"
    if not chabrier.exists():
        logger.info("no mass-loss table in %s: an analytic fit is used", folder)
        return np.tile(analytic_fraction(time).mean(axis=1), (log_z_solar.size, 1))
    solar_table = _read(chabrier)
    solar = _interpolate(solar_table, time)
    if not kroupa.exists():
        return np.tile(solar.mean(axis=1), (log_z_solar.size, 1))
    table = _read(kroupa)
    metal = np.unique(table[:, 0])
    nearest_solar = _interpolate(table[table[:, 0] == metal[np.argmin(np.abs(metal))]], time)
    ratio = np.stack(
        [
            np.where(time >= own[:, 1].min() * 1e9, _interpolate(own, time) / nearest_solar, 1.0)
            for own in (table[table[:, 0] == m] for m in metal)
        ]
    )
    out = np.empty((log_z_solar.size, edges.size - 1))
    for i, value in enumerate(np.clip(log_z_solar, metal[0], metal[-1])):
        j = int(np.clip(np.searchsorted(metal, value) - 1, 0, metal.size - 2))
        f = (value - metal[j]) / (metal[j + 1] - metal[j])
        scale = np.clip((1 - f) * ratio[j] + f * ratio[j + 1], 0.93, 1.07)
        out[i] = np.clip(solar * scale, 0.0, 1.0).mean(axis=1)
    return out


def analytic_fraction(age: FloatArray) -> FloatArray:
    """Remaining fraction of a Chabrier population of an age in yr.

    ``1 - C ln(1 + t / lambda)`` with C = 0.051 and lambda = 0.725 Myr: the form of Jungwiert,
    Combes & Palous (2001, A&A 376, 85), fitted to a solar Chabrier table (within 0.045).
    """
    return 1.0 - 0.051 * np.log1p(np.asarray(age) / 7.25e5)


def _read(path: Path) -> FloatArray:
    try:
        table = np.loadtxt(path, comments="#", ndmin=2)
    except (OSError, ValueError) as error:
        raise FileError(f"the mass-loss table {path} cannot be read: {error}") from error
    if table.shape[1] < 3 or not len(table):
        raise FileError(f"the mass-loss table {path} needs columns [Z/H], t (Gyr), M*_T")
    return table


def _interpolate(table: FloatArray, time: FloatArray) -> FloatArray:
    order = np.argsort(table[:, 1])
    return np.interp(np.log(time), np.log(table[order, 1] * 1e9), table[order, 2])
