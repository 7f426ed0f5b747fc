"""A made-up catalogue with every column that plots take, the same at each call."""

from __future__ import annotations

import numpy as np
from astropy import units as u
from astropy.table import Column, QTable

from jpassed.filters import known_bands
from jpassed.posteriors import Binned, GaussianMixture, JointSamples, Posterior
from jpassed.posteriors.columns import posterior_columns

NARROW = tuple(f"J0{number}" for number in range(400, 910, 10))
BROAD = ("gSDSS", "rSDSS", "iSDSS")
LINE = 6562.8


def flux_of(pivot: float, z: float) -> float:
    """A red continuum with a line, microjansky."""
    line = 12.0 * np.exp(-0.5 * ((pivot - LINE * (1 + z)) / 90.0) ** 2)
    return 4.0 + 20.0 * (pivot / 9000.0) ** 2 + float(line)


def catalogue(n: int = 60, ultraviolet: bool = False) -> QTable:
    """Bandfluxes with errors, positions, true redshifts, and predictions of them all."""
    rng = np.random.default_rng(3)
    z = rng.uniform(0.05, 0.35, n)
    table = QTable({"ra": rng.uniform(214.0, 215.0, n) * u.deg})
    table["dec"] = rng.uniform(52.2, 52.8, n) * u.deg
    places = known_bands()
    bands = [*NARROW, *BROAD, *(("galex_fuv", "galex_nuv") if ultraviolet else ())]
    bright = rng.uniform(0.6, 6.0, n)
    for band in bands:
        true = bright * np.array([flux_of(places[band][0], one) for one in z])
        error = 0.2 + 0.03 * true
        table[band] = (true + error * rng.standard_normal(n)) * u.uJy
        table[f"{band}_err"] = error * u.uJy
        table[f"jp_flux_{band}"] = true * u.uJy
        table[f"jp_flux_{band}_lo"] = (true - 0.4 * error) * u.uJy
        table[f"jp_flux_{band}_hi"] = (true + 0.5 * error) * u.uJy
    table["z_spec"] = z
    add_posteriors(table, z, rng)
    return table


def add_posteriors(table: QTable, z: np.ndarray, rng: np.random.Generator) -> None:
    """Columns of redshift, mass and A_V; the redshift of the first row has two peaks."""
    edges = np.linspace(0.0, 1.2, 601)
    centres = 0.5 * (edges[1:] + edges[:-1])
    error = 0.004 + 0.01 * rng.random(len(z))
    middle = z + error * rng.standard_normal(len(z))
    weight = np.exp(-0.5 * ((centres - middle[:, None]) / error[:, None]) ** 2)
    weight[0] += 0.4 * np.exp(-0.5 * ((centres - z[0] - 0.15) / 0.012) ** 2)
    mass = (9.5 + 4.0 * z)[:, None]
    one = np.ones((len(z), 1))
    posterior = Posterior(
        {
            "z": Binned(edges, weight),
            "logmstar": GaussianMixture(one, mass, 0.1 * one),
            "av": GaussianMixture(one, 0.5 * one, 0.15 * one),
        },
        {"av": "mag"},
    )
    for column in posterior_columns(posterior, pdf=True):
        table.add_column(column)
    draws = joint_draws(len(z), 400)
    for name, values in draws.items():
        unit = draws.units[name] or None
        table[f"jp_{name}_samples"] = Column(values, unit=unit)
    table["jp_flag"] = np.zeros(len(z), dtype=np.int32)


def joint_draws(n: int, draws: int) -> JointSamples:
    """Redshift, mass that rises with it, and A_V."""
    rng = np.random.default_rng(5)
    z = 0.2 + 0.02 * rng.standard_normal((n, draws))
    mass = 10.0 + 4.0 * (z - 0.2) + 0.05 * rng.standard_normal((n, draws))
    av = np.abs(0.4 + 0.15 * rng.standard_normal((n, draws)))
    return JointSamples({"z": z, "logmstar": mass, "av": av}, {"av": "mag"})
