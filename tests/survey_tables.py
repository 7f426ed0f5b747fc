"""Made-up tables of many surveys, each in the form in which its users have it."""

from __future__ import annotations

import numpy as np
from astropy import units as u
from astropy.table import Column, QTable, Table
from test_surveys_shipped import flambda

N = 5


def numbers(rng, low=1.0, high=50.0, *shape):
    return rng.uniform(low, high, (N, *shape))


def columns_of_jpassed(rng) -> Table:
    table = QTable({"id": np.arange(N)})
    for band in ("J0400", "J0660", "rSDSS"):
        table[band] = numbers(rng) * u.uJy
        table[f"{band}_err"] = numbers(rng, 0.1, 1.0) * u.uJy
    return table


def magnitudes(rng) -> Table:
    table = Table()
    for band in ("J0660", "galex_nuv"):
        table[f"mag_{band}"] = numbers(rng, 18, 23)
        table[f"magerr_{band}"] = numbers(rng, 0.01, 0.2)
    table["mag_J0660"][1] = 99.0
    table["magerr_J0660"][1] = 24.5  # a limit
    return table


def apertures(rng) -> Table:
    table = Table()
    for aperture in ("APER_2_0", "APER_COR_3_0"):
        for band in ("J0400", "J0660"):
            table[f"{aperture}_{band}"] = Column(numbers(rng), unit="mJy")
            table[f"err_{aperture}_{band}"] = Column(numbers(rng, 0.1, 1.0), unit="uJy")
    return table


def minijpas(rng) -> Table:
    table = flambda(rng, N, ebv=np.full(N, 0.02))
    table["flags"] = np.zeros((N, 60), dtype=int)
    table["flags"][2, 3] = 4
    table["mask_flags"] = np.zeros((N, 60), dtype=int)
    return table


def minijpas_with_schema(rng) -> Table:
    table = minijpas(rng)
    for name in table.colnames:
        table.rename_column(name, f"minijpas_FLambdaDualObj_{name}")
    return table


def minijpas_magnitudes(rng) -> Table:
    table = Table({"mag_auto": numbers(rng, 18, 23, 60), "mag_err_auto": numbers(rng, 0.1, 1, 60)})
    table["mag_auto"][0, 0] = 99.0
    table["ax"] = numbers(rng, 0.0, 0.1, 60)
    return table


def sdss_arrays(rng) -> Table:
    return Table(
        {
            "MODELFLUX": numbers(rng, 1, 50, 5),
            "MODELFLUX_IVAR": numbers(rng, 1, 50, 5),
            "EXTINCTION": numbers(rng, 0.0, 0.3, 5),
        }
    )


def sdss_columns(rng) -> Table:
    table = Table()
    for band in "ugriz":
        table[f"modelMag_{band}"] = numbers(rng, 18, 25)
        table[f"modelMagErr_{band}"] = numbers(rng, 0.05, 0.5)
        table[f"extinction_{band}"] = numbers(rng, 0.0, 0.3)
    return table


def legacy(rng) -> Table:
    table = Table()
    for band in ("G", "R", "Z", "W1"):
        table[f"FLUX_{band}"] = numbers(rng)
        table[f"FLUX_IVAR_{band}"] = numbers(rng)
        table[f"MW_TRANSMISSION_{band}"] = numbers(rng, 0.8, 1.0)
    for band in ("G", "R", "Z"):
        table[f"ALLMASK_{band}"] = np.array([0, 1, 0, 0, 2])
    table["PHOTSYS"] = ["N", "S", "S", "N", "S"]
    return table


def galex(rng) -> Table:
    table = Table({"RAJ2000": numbers(rng), "E(B-V)": numbers(rng, 0.0, 0.1)})
    for band in ("FUV", "NUV"):
        table[f"{band}mag"] = numbers(rng, 18, 24)
        table[f"e_{band}mag"] = numbers(rng, 0.1, 0.5)
    table["FUVmag"][0] = -999.0
    return table


def two_surveys(rng) -> Table:
    table = minijpas(rng)
    for name, column in galex(rng).columns.items():
        table[name] = column
    return table


MAKERS = [
    columns_of_jpassed,
    magnitudes,
    apertures,
    minijpas,
    minijpas_with_schema,
    minijpas_magnitudes,
    sdss_arrays,
    sdss_columns,
    legacy,
    galex,
    two_surveys,
]
