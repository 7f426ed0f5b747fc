"""A small start, and simulated galaxies of another survey, for fine-tunings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.table import Table
from small_model import CONFIG, VOCABULARY, make_model

from jpassed.adaptation import FinetuneSettings
from jpassed.adaptation.replay import read_replay
from jpassed.nn.checkpoint import write_model

BANDS = ("sdss_u", "sdss_g", "sdss_r", "sdss_i", "sdss_z")

QUICK = FinetuneSettings(steps=40, every=10, batch=64, replay=0)

SMALL = FinetuneSettings(
    steps=6, every=3, batch=32, replay=8, learning_rate=1e-2, precision="float32", heads=True
)

CHANGES = {"patch_bands": (), "head_real": "flow", "flow_bins": 3}


def write_start(folder: Path, **record: object) -> Path:
    """A random network with a card."""
    network = make_model(3, **CHANGES)
    card = {"name": "small", "version": "1", "package_version": "0.1.0", **record}
    return write_model(folder, network.state_dict(), replace(CONFIG, **CHANGES), card, VOCABULARY)


def galaxies(n: int, seed: int = 1) -> Table:
    """N simulated bright galaxies with ugriz whose zero points in u and g are off.

    ``index`` is a made-up quantity that goes with their colours.
    """
    stored = read_replay()
    rng = np.random.default_rng(seed)
    truth = stored.galaxies
    r = truth.mag_r.numpy()
    z = truth.labels[:, stored.names.index("z")].numpy().astype(float)
    rows = rng.permutation(np.flatnonzero((r < 20) & (z < 0.5)))[:n]
    assert len(rows) == n
    columns = [stored.bands.index(name) for name in BANDS]
    flux = truth.bandflux[rows][:, columns].numpy().astype(float)
    table = Table()
    for name, values, offset in zip(BANDS, flux.T, (-0.35, 0.25, 0.0, 0.0, 0.0), strict=True):
        error = 0.02 * values
        noisy = values * 10 ** (-0.4 * offset) + error * rng.standard_normal(n)
        table[name], table[f"{name}_err"] = noisy, error
    table["z_spec"], table["z_err"] = z[rows], np.full(n, 1e-4)
    colour = np.log(flux[:, 3] / flux[:, 1])
    table["index"] = 1.5 + 0.5 * colour + 0.02 * rng.standard_normal(n)
    return table
