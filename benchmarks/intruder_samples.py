"""Real stars, quasars and galaxies in the J-PAS bands at given magnitudes, for `intruders.py`.

None of them has been fitted on: stars and quasars are the shared SDSS, BOSS and DESI spectra and
the 131 of Pickles (1998), galaxies the SDSS and BOSS spectra and the SEDs of Brown et al. (2014).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accuracy import noisy_draws
from astropy.cosmology import FlatLambdaCDM
from astropy.table import QTable
from numpy.typing import NDArray
from real_spectra import brown_jspectra, real_galaxy_jspectra

from jpassed.filters import load_filters
from jpassed.io.spectra import read_spectrum
from jpassed.jspectrum import SyntheticPhotometry, jspectra
from jpassed.units import air_to_vacuum, from_ab_magnitude

__all__ = ["ABSOLUTE", "Sample", "real_samples"]

MAGNITUDES = (18.0, 19.0, 20.0, 21.0)
ABSOLUTE = (-24.0, -16.0)
"""Absolute r magnitudes of galaxies: an SED at any redshift and magnitude is not one."""

DRAWS = {"star": 10, "qso": 10, "pickles": 5, "spectra": 20, "brown": 2}
BANDS = tuple(load_filters("jpas").names)
COSMOLOGY = FlatLambdaCDM(70.0, 0.3)


@dataclass(frozen=True)
class Sample:
    """Objects with noise.

    Attributes
    ----------
    table : QTable
        Bandfluxes for `jpassed.annotate`.
    name, kind : ndarray of str
        Which object each row is, and its subclass, spectral type or redshift bin.
    magnitude, z : ndarray
    """

    table: QTable
    name: NDArray[np.str_]
    kind: NDArray[np.str_]
    magnitude: NDArray[np.float64]
    z: NDArray[np.float64]


def real_samples(folder: Path) -> dict[str, Sample]:
    """All of them; galaxies only where they have an absolute magnitude of `ABSOLUTE`."""
    return {
        "star": _join([_spectra(folder, "STAR", m) for m in MAGNITUDES]),
        "pickles": _join([_pickles(folder, m) for m in MAGNITUDES]),
        "qso": _join([_spectra(folder, "QSO", m) for m in MAGNITUDES]),
        "spectra": _join([_galaxies(folder, m) for m in MAGNITUDES]),
        "brown": _join([_brown(folder, m) for m in MAGNITUDES]),
    }


def _join(parts: list[Sample]) -> Sample:
    from astropy.table import vstack

    arrays = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("name", "kind", "magnitude", "z")
    )
    return Sample(vstack([part.table for part in parts], metadata_conflicts="silent"), *arrays)


def _drawn(table: QTable, source: str, magnitude: float, name: list, kind: list, z: list) -> Sample:
    noisy, rows = noisy_draws(table, DRAWS[source])
    for band in BANDS:  # the same columns in every part
        if band not in noisy.colnames:
            nothing = np.ma.masked_all(len(noisy), dtype=float)
            noisy[band] = noisy[f"{band}_err"] = nothing
            noisy[band].unit = noisy[f"{band}_err"].unit = "uJy"
    return Sample(
        noisy, np.asarray(name, dtype=str)[rows], np.asarray(kind, dtype=str)[rows],
        np.full(len(rows), magnitude), np.asarray(z, dtype=float)[rows],
    )  # fmt: skip


def _spectra(folder: Path, spec_class: str, magnitude: float) -> Sample:
    with (folder / "spectra" / "spectra_index.csv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["class"] == spec_class]
    records = [read_spectrum(folder / row["file"])[int(row["row"])] for row in rows]
    table = jspectra(records, total_mag=magnitude)
    return _drawn(
        table, spec_class.lower(), magnitude,
        [f"{Path(row['file']).stem.removeprefix('spec-')} {row['row']}" for row in rows],
        [row["subclass"].split(" (")[0] for row in rows], [row["z"] for row in rows],
    )  # fmt: skip


def _pickles(folder: Path, magnitude: float) -> Sample:
    photometry = SyntheticPhotometry(load_filters("jpas"))
    paths = sorted((folder / "templates" / "pickles").glob("*.sed"))
    table = QTable({"name": [path.stem for path in paths]})
    flux = np.empty((len(paths), len(BANDS)))
    for i, path in enumerate(paths):
        wave, value = np.loadtxt(path, unpack=True, usecols=(0, 1))
        rising = np.concatenate([[True], np.diff(wave) > 0])
        flux[i] = photometry.bandflux(air_to_vacuum(wave[rising]), value[rising]).flux[0]
    flux *= float(from_ab_magnitude(magnitude)) / flux[:, [BANDS.index("rSDSS")]]
    for i, band in enumerate(BANDS):
        table[band], table[f"{band}_err"] = flux[:, i], np.zeros(len(paths))
    names = [path.stem for path in paths]
    kinds = [next(c.upper() for c in name if c in "obafgkm") for name in names]
    return _drawn(table, "pickles", magnitude, names, kinds, [0.0] * len(paths))


def _galaxies(folder: Path, magnitude: float) -> Sample:
    table = real_galaxy_jspectra(folder, magnitude=magnitude)
    table = table[_physical(np.asarray(table["z_spec"], dtype=float), magnitude)]
    target = ["BOSS" if str(n).startswith("7102") else "SDSS" for n in table["name"]]
    return _drawn(
        table, "spectra", magnitude, list(table["name"]), target, list(table["z_spec"])
    )


def _brown(folder: Path, magnitude: float) -> Sample:
    table = brown_jspectra(folder, r_mags=(magnitude,), filters=("jpas",))
    table = table[_physical(np.asarray(table["true_z"]), magnitude)]
    return _drawn(
        table, "brown", magnitude, list(table["name"]), [""] * len(table), list(table["true_z"])
    )


def _physical(z: NDArray[np.float64], magnitude: float) -> NDArray[np.bool_]:
    absolute = magnitude - COSMOLOGY.distmod(z).value
    return np.asarray((absolute > ABSOLUTE[0]) & (absolute < ABSOLUTE[1]))
