"""A GALEX-like catalogue: 20,000 sources around miniJPAS, and the fields that were observed.

Where the real spectra are there, also 40 counterparts or so of theirs: two thirds of the spectra
lie in a field of their own, and two thirds of those have a source.
"""

from __future__ import annotations

import csv
import os
from functools import lru_cache
from pathlib import Path

import make_minijpas
import numpy as np
import pgcopy

ROWS = 20_000
CENTRE = (214.5, 52.7)
RADIUS = 0.55  # degrees, of one field
DEPTH = {"nuv": 20.8, "fuv": 19.9}  # AB, 5 sigma, of the all-sky imaging survey


def spectra() -> np.ndarray:
    """Positions (n, 2) of the real spectra that were covered; none where there are no spectra."""
    index = Path(os.environ.get("JPASSED_TAP_FILES", "."), "spectra_index.csv")
    if not index.is_file():
        return np.empty((0, 2))
    with index.open(newline="") as lines:
        positions = np.array([[float(r["ra"]), float(r["dec"])] for r in csv.DictReader(lines)])
    positions = positions[np.isfinite(positions).all(axis=1)]
    return positions[np.arange(len(positions)) % 3 != 2]


@lru_cache(maxsize=1)
def fields() -> dict[str, np.ndarray]:
    """Circles on a grid around the miniJPAS field; one corner of it and a hole are not covered."""
    step = 0.8
    centres = [
        (CENTRE[0] + i * step / np.cos(np.radians(CENTRE[1])), CENTRE[1] + j * step)
        for i in range(-4, 5)
        for j in range(-4, 5)
        if (i, j) not in {(1, 0), (1, 1), (-3, 2)}
    ]
    ra, dec = np.concatenate([centres, spectra()]).T
    n = len(ra)
    fuv = np.where(np.arange(n) % 7 == 3, 0.0, 105.0 + np.arange(n))  # FUV was off in some
    return {
        "field_id": np.arange(50_001, 50_001 + n, dtype="i4"),
        "ra": ra,
        "dec": dec,
        "radius": np.where(np.arange(n) < len(centres), RADIUS, 0.1),
        "fuv_exptime": fuv.astype("f4"),
        "nuv_exptime": (110.0 + np.arange(n)).astype("f4"),
        "fuv_limit": np.ma.masked_array(np.full(n, DEPTH["fuv"], "f4"), fuv == 0),
        "nuv_limit": np.full(n, DEPTH["nuv"], "f4"),
    }


def separation(ra1, dec1, ra2, dec2) -> np.ndarray:
    """Angle between positions, all in degrees (haversine)."""
    r1, d1, r2, d2 = (np.radians(v) for v in (ra1, dec1, ra2, dec2))
    h = np.sin((d2 - d1) / 2) ** 2 + np.cos(d1) * np.cos(d2) * np.sin((r2 - r1) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(h)))


def covered(ra: np.ndarray, dec: np.ndarray, band: str = "nuv") -> np.ndarray:
    """Whether positions lie in a field that was exposed in a band."""
    f = fields()
    near = separation(ra[:, None], dec[:, None], f["ra"], f["dec"]) < f["radius"]
    return (near & (f[f"{band}_exptime"] > 0)).any(axis=1)


def ais() -> dict[str, np.ndarray]:
    """Sources: counterparts of half of the miniJPAS objects, some of them twice, and a field."""
    rng = np.random.default_rng(20050101)
    c = make_minijpas.catalogue()
    near = np.flatnonzero(c["draw"] < 0.5)
    twice = near[::12]
    ra, dec = [], []
    for rows, scatter in ((near, 0.4), (twice, 1.5)):  # arcsec
        offset = rng.normal(0, scatter / 3600, (2, len(rows)))
        ra.append(c["ra"][rows] + offset[0] / np.cos(np.radians(c["dec"][rows])))
        dec.append(c["dec"][rows] + offset[1])
    there = spectra()[np.arange(len(spectra())) % 3 != 2]
    ra.append(there[:, 0] + 0.3 / 3600 / np.cos(np.radians(there[:, 1])))
    dec.append(there[:, 1] - 0.2 / 3600)
    n = 2 * ROWS
    half = 3.2
    ra.append(CENTRE[0] + rng.uniform(-half, half, n) / np.cos(np.radians(CENTRE[1])))
    dec.append(CENTRE[1] + rng.uniform(-half, half, n))
    ra, dec = np.concatenate(ra), np.concatenate(dec)
    inside = np.flatnonzero(covered(ra, dec))[:ROWS]
    ra, dec = ra[inside], dec[inside]
    nuv = DEPTH["nuv"] + 1.0 - rng.exponential(0.8, len(ra)).clip(0, 6)
    fuv = nuv + rng.gamma(2.0, 0.5, len(ra)) - 0.2
    e_nuv = (0.2 * 10 ** (0.4 * (nuv - DEPTH["nuv"]))).clip(0.01)
    e_fuv = (0.2 * 10 ** (0.4 * (fuv - DEPTH["fuv"]))).clip(0.01)
    no_fuv = (e_fuv > 0.5) | ~covered(ra, dec, "fuv")
    no_nuv = (rng.random(len(ra)) < 0.2) & ~no_fuv
    return {
        "name": np.array([f"GALEX J{a:09.5f}{d:+09.5f}" for a, d in zip(ra, dec, strict=True)]),
        "raj2000": ra,
        "dej2000": dec,
        "fuvmag": np.ma.masked_array(fuv.astype("f4"), no_fuv),
        "e_fuvmag": np.ma.masked_array(e_fuv.astype("f4"), no_fuv),
        "nuvmag": np.ma.masked_array(nuv.astype("f4"), no_nuv),
        "e_nuvmag": np.ma.masked_array(e_nuv.astype("f4"), no_nuv),
    }


def fill(table: object) -> None:
    """Fill the table of DaCHS with the rows of the function of its name."""
    pgcopy.fill(table, {"ais": ais, "fields": fields}[table.tableDef.id]())
