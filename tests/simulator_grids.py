"""A small analytic SSP grid and passbands, so that the simulator's tests need no real grid."""

from __future__ import annotations

import numpy as np

from jpassed.simulator.ssp import AGE_EDGES, SSPGrid


def toy_grid() -> SSPGrid:
    """Black bodies that cool with age, with a 4000 Å break and an absorption line."""
    wave = np.unique(
        np.concatenate(
            [
                np.geomspace(300.0, 2500.0, 300),
                np.arange(2500.0, 11000.0, 5.0),
                np.geomspace(11000.0, 160000.0, 300),
            ]
        )
    )
    logz = np.array([-3.4, -2.1, -1.3])
    age = 0.5 * (AGE_EDGES[1:] + AGE_EDGES[:-1])
    temperature = 4500.0 + 25000.0 * (age / 2.5e6) ** -0.35
    x = 1.4388e8 / (wave[None, :] * temperature[:, None])
    flux = (wave / 5500.0) ** -5 / np.expm1(np.clip(x, 1e-3, 300))
    flux = flux / flux[:, np.argmin(abs(wave - 5500.0))][:, None]
    old = np.clip(np.log10(age / 1e7) / 3.0, 0.0, 1.0)[:, None]
    flux = flux * (1.0 - 0.4 * old / (1.0 + np.exp((wave - 4000.0) / 15.0)))
    flux = flux * (1.0 - 0.3 * old * np.exp(-0.5 * ((wave - 5176.0) / 15.0) ** 2))
    light = 10.0 ** (-1.3 - 0.75 * np.log10(age / 5e6))
    metal = np.array([1.1, 1.0, 0.9])[:, None, None]
    ionising = np.tile(np.where(age < 5e6, 3.0, np.where(age < 1e7, 0.15, 1e-5)), (3, 1))
    remaining = np.tile(1.0 - 0.051 * np.log1p(age / 7.25e5), (3, 1))
    return SSPGrid("toy", wave, logz, metal * light[:, None] * flux, ionising, remaining, 0.02)


def toy_bands() -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Sixteen 145 Å bands from 3900 Å on, an r band, and one in the far ultraviolet."""
    bands = []
    for centre in np.linspace(3900.0, 9300.0, 16):
        wave = np.arange(centre - 120.0, centre + 120.5, 1.0)
        edge = np.clip((72.0 - abs(wave - centre)) / 20.0 + 0.5, 0.0, 1.0)
        bands.append((f"N{centre:.0f}", wave, edge * (1.0 + 2e-4 * (wave - centre))))
    wave = np.arange(5400.0, 7000.5, 5.0)
    bands.append(("rSDSS", wave, np.clip((780.0 - abs(wave - 6200.0)) / 60.0, 0.0, 1.0)))
    wave = np.arange(1340.0, 1800.5, 5.0)
    bands.append(("galex_fuv", wave, np.clip((225.0 - abs(wave - 1570.0)) / 60.0, 0.0, 1.0)))
    return bands
