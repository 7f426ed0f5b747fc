"""Tables that `benchmarks/finetune.py` fine-tunes on: real SDSS galaxies, simulated J-PAS ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from astropy.table import Table
from numpy.typing import NDArray

from jpassed.adaptation.replay import read_replay, simulate_replay
from jpassed.filters import load_filters
from jpassed.training.pool import GalaxyStore
from jpassed.training.sources import SimulatedSource

GRIDS = ("ssp/ssp_bc03_lr_chabrier.npz", "ssp/ssp_emiles_kroupa.npz")
LINES = "ssp/fsps_nebular/ZAU_ND_mist.lines"

TEST = slice(3500, 6000)
"""Rows of a random order that no fine-tuning sees, not even as held-out ones."""


def sdss(folder: Path, rows: int, seed: int) -> tuple[Table, Table]:
    """SDSS galaxies with ugriz and GALEX: some to learn from, and 2,500 for the test.

    2MASS stays out of the photometry; `k_vega` and `mabs_ks` (absolute magnitude in Ks, not
    K-corrected, AB) are made of it for the new kind.
    """
    table = Table.read(folder / "catalogs" / "sdss_galaxies_gst.fits")
    order = np.random.default_rng(seed).permutation(len(table))
    k = np.asarray(table["K_M_EXT"], dtype=float)
    z = np.asarray(table["Z"], dtype=float)
    from astropy.cosmology import FlatLambdaCDM

    distance = FlatLambdaCDM(70, 0.3).distmod(np.maximum(z, 1e-3)).value
    good = (k > 5) & (k < 20) & (np.asarray(table["K_MSIG_EXT"], dtype=float) > 0)
    table["mabs_ks"] = np.where(good, k + 1.85 - distance, np.nan)
    table.remove_columns([n for n in table.colnames if n[:2] in ("J_", "H_", "K_")])
    return table[order[:rows]], table[order[TEST]]


def simulated(
    folder: Path, rows: int, seed: int, *, brightest: float = 17.0, faintest: float = 21.5
) -> Table:
    """Simulated J-PAS galaxies with noise: fluxes, errors, true labels and the index D4000.

    D4000 is that of Bruzual 1983 (ratio of mean F_nu at 4050-4250 to 3750-3950 Angstrom rest) of
    the noise-free narrow bands, masked where they do not reach it.
    """
    stored = read_replay()
    sample = simulate_replay(
        stored.simulation,
        tuple(str(folder / entry) for entry in GRIDS),
        str(folder / LINES),
        seed,
        count=4 * rows,
    )
    store = GalaxyStore(sample.names, torch.device("cpu"))
    store.hold(sample.galaxies)
    seen = SimulatedSource(store, sample.bands, sample.simulation).draw(
        4 * rows, torch.Generator().manual_seed(seed)
    )
    bands = load_filters("jpas").names
    columns = [sample.bands.index(name) for name in bands]
    r = 23.9 - 2.5 * np.log10(np.maximum(seen.flux[:, sample.bands.index("rSDSS")].numpy(), 1e-9))
    kept = np.flatnonzero((r > brightest) & (r < faintest))[:rows]
    table = Table()
    for name, column in zip(bands, columns, strict=True):
        table[name] = seen.flux[kept, column].numpy().astype(float)
        table[f"{name}_err"] = seen.error[kept, column].numpy().astype(float)
    for i, name in enumerate(sample.names):
        known = seen.label_known[kept, i].numpy()
        table[f"true_{name}"] = np.where(known, seen.labels[kept, i].numpy().astype(float), np.nan)
    z = np.asarray(table["true_z"], dtype=float)
    table["d4000"] = _d4000(seen.target[kept][:, columns].numpy().astype(float), z)
    return table


def _d4000(flux: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
    filters = load_filters("jpas")
    pivot = np.array([band.pivot_wavelength for band in filters])
    narrow = np.argsort(pivot[:56])
    wave, f = pivot[:56][narrow], flux[:, :56][:, narrow]
    out = np.full(len(z), np.nan)
    for i, redshift in enumerate(z):
        means = []
        for low, high in ((3750.0, 3950.0), (4050.0, 4250.0)):
            grid = np.linspace(low, high, 41) * (1 + redshift)
            if grid[0] < wave[0] or grid[-1] > wave[-2]:
                break
            means.append(np.interp(grid, wave, f[i]).mean())
        else:
            out[i] = means[1] / means[0]
    return out


def zero_points(seed: int, scatter: float) -> dict[str, float]:
    """Offsets in magnitudes of the J-PAS bands, of mean 0."""
    names = load_filters("jpas").names
    offset = np.random.default_rng(seed).normal(0, scatter, len(names))
    return dict(zip(names, offset - offset.mean(), strict=True))


def shifted(table: Table, offsets: Mapping[str, float]) -> Table:
    """The same table with zero points that are off."""
    out = table.copy()
    for name, offset in offsets.items():
        factor = 10 ** (-0.4 * offset)
        for column in (name, f"{name}_err"):
            out[column] = np.asarray(out[column]) * factor
    return out
