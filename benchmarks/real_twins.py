"""Simulated twins of real galaxies: the column beside the real one.

Every real object gets a galaxy of the simulator at its own redshift and r magnitude, blue or red
with the natural odds there, in the same bands; noise and missing bands are put on as on the real
one. What differs between the columns is then the galaxies, not the selection.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accuracy import column
from astropy import units as u
from astropy.table import QTable
from numpy.typing import ArrayLike, NDArray
from simulated_sample import LINES, SHARES, SSP

from jpassed.simulator import GalaxySimulator, read_ssp
from jpassed.simulator.galaxies import LABELS
from jpassed.simulator.priors import Randoms

Array = NDArray[np.float64]


class Twins:
    """Noise-free simulated galaxies in some passbands, at given redshifts and magnitudes.

    Parameters
    ----------
    folder : Path
        Shared data.
    passbands : sequence
        Passbands (with ``name``, ``wave``, ``throughput``).
    """

    def __init__(self, folder: Path, passbands: Sequence[Any]) -> None:
        self.source = GalaxySimulator(
            [read_ssp(folder / path) for path in SSP],
            [(band.name, band.wave, band.throughput) for band in passbands],
            lines=folder / LINES, shares=SHARES, balance=0.0,
        )  # fmt: skip
        self.bands = self.source.bands

    def at(self, z: ArrayLike, magnitude: ArrayLike, seed: int) -> tuple[Array, dict[str, Array]]:
        """Bandfluxes (N, B) in microjansky, and labels (N,), NaN where they are no target.

        `magnitude` is true r: rSDSS if that is among the passbands, else SDSS r.
        """
        redshift = np.asarray(z, dtype=float)
        faint = np.broadcast_to(np.asarray(magnitude, dtype=float), redshift.shape)
        rng = np.random.default_rng(seed)
        red = rng.random(redshift.shape) < self.red_share(redshift, faint)
        generator = torch.Generator().manual_seed(seed)
        flux, labels = [], []
        for start in range(0, len(redshift), self.source.chunk):
            rows = slice(start, start + self.source.chunk)
            place = torch.tensor(redshift[rows], dtype=torch.float32)
            sample, _ = self.source.render_from(
                Randoms(len(place), generator, "cpu"),
                place,
                torch.tensor(faint[rows], dtype=torch.float32),
                torch.from_numpy(red[rows]),
            )
            flux.append(sample.bandflux.numpy().astype(float))
            labels.append(
                {
                    name: np.where(sample.observable[name], sample.labels[name], np.nan)
                    for name in LABELS
                }
            )
        joined = {name: np.concatenate([part[name] for part in labels]) for name in LABELS}
        return np.concatenate(flux), joined

    def red_share(self, z: Array, magnitude: Array) -> Array:
        """Natural share of the red luminosity function at a redshift and magnitude."""
        table = self.source.table
        row = np.clip(np.searchsorted(table.z_edges, z) - 1, 0, len(table.z_edges) - 2)
        column = np.clip(np.searchsorted(table.m_edges, magnitude) - 1, 0, len(table.m_edges) - 2)
        both = table.natural.sum(axis=0)
        with np.errstate(invalid="ignore"):
            share = table.natural[1] / both
        # Beyond the brightest and faintest galaxies of the prior: those nearest to them.
        for line in share:
            known = np.flatnonzero(np.isfinite(line))
            if len(known):
                line[:] = np.interp(np.arange(len(line)), known, line[known])
        return np.nan_to_num(share[row, column], nan=0.5)


def flux_table(bands: Sequence[str], flux: Array, error: Array, observed: ArrayLike) -> QTable:
    """A table of bandfluxes in microjansky that `jpassed.infer` reads; masked if not observed."""
    hidden = ~np.asarray(observed, dtype=bool)
    table = QTable()
    for i, band in enumerate(bands):
        for name, values in ((band, flux), (f"{band}_err", error)):
            table[name] = np.ma.masked_array(
                np.where(hidden[:, i], 1.0, values[:, i]), hidden[:, i]
            )
            table[name].unit = u.uJy
    return table


def arrays(table: QTable, bands: Sequence[str]) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Bandfluxes, errors and presence (N, B) of such a table."""
    flux, error, observed = [], [], []
    for band in bands:
        columns = [np.ma.asarray(column(table, name)) for name in (band, f"{band}_err")]
        observed.append(~(np.ma.getmaskarray(columns[0]) | np.ma.getmaskarray(columns[1])))
        flux.append(np.ma.filled(columns[0], 0.0))
        error.append(np.ma.filled(columns[1], 0.0))
    return np.stack(flux, 1), np.stack(error, 1), np.stack(observed, 1)
