"""Simulated galaxies in the 60 J-PAS bands, the same for all whose speed is compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import QTable
from numpy.typing import NDArray

from jpassed.filters import known_bands, load_filters

__all__ = ["BANDS", "fluxes", "power_laws", "simulated_galaxies"]

BANDS = tuple(load_filters("jpas").names)
"""56 narrow bands, uJPAS, g, r, i."""

SEED = 7


def simulated_galaxies(folder: Path, n: int) -> QTable:
    """n galaxies of `jpassed.simulate` with true labels and two GALEX bands.

    Parameters
    ----------
    folder : Path
        Holds ``ssp/``.
    n : int
    """
    from simulated_sample import LINES, SHARES, SSP

    from jpassed.simulation import simulate

    ssp = [folder / path for path in SSP]
    return simulate(n, seed=SEED, ssp=ssp, lines=folder / LINES, shares=SHARES)


def power_laws(n: int, seed: int = SEED, bands: tuple[str, ...] = BANDS) -> QTable:
    """n power laws of 17 to 22 mag with 3 % errors in microjansky; no network is slower on them."""
    rng = np.random.default_rng(seed)
    pivot = np.array([known_bands()[band][0] for band in bands])
    brightness, slope = 10 ** rng.uniform(0.8, 2.8, n), rng.normal(1.5, 0.7, n)
    true = brightness[:, None] * (pivot / 6000.0) ** slope[:, None]
    error = 0.03 * true + 0.2
    noisy = (true + error * rng.standard_normal(true.shape)).astype(np.float32)
    columns: dict[str, Any] = {"id": np.arange(n, dtype=np.int64)}
    for i, band in enumerate(bands):
        columns[band] = noisy[:, i] * u.uJy
        columns[f"{band}_err"] = error[:, i].astype(np.float32) * u.uJy
    return QTable(columns)


def fluxes(table: QTable) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fluxes and errors of the 60 bands, (N, 60), microjansky."""
    flux = np.stack([numbers(table[band]) for band in BANDS], 1)
    error = np.stack([numbers(table[f"{band}_err"]) for band in BANDS], 1)
    return flux, error


def numbers(column: Any) -> NDArray[np.float64]:
    """Values of a column, NaN where it is masked."""
    bare = getattr(column, "unmasked", column)
    values = np.array(getattr(bare, "value", bare), dtype=np.float64)
    values[np.asarray(getattr(column, "mask", False)) & np.ones(len(values), dtype=bool)] = np.nan
    return values
