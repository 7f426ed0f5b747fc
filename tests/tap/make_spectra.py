"""Tables of the real SDSS, BOSS and DESI spectra, from their index; value-added labels made up.

The folder of spectra (JPASSED_TAP_FILES) holds spectra_index.csv, sdss_pipeline_lines.csv and the
FITS files in their folders. Redshifts, classes, positions, lines and fibre fluxes are the
pipelines' own. Made up, by formulas below: the errors of DESI redshifts, total (cmodel)
magnitudes, Milky Way extinction, and everything in vac.labels.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pgcopy

FOLDER = "JPASSED_TAP_FILES"
STRANGER = {"specobjid": 5_000_000_000_000_000_001, "ra": 150.0, "dec": 2.2}  # has no spectrum


def folder() -> Path:
    return Path(os.environ[FOLDER])


@lru_cache(maxsize=1)
def index() -> list[dict[str, str]]:
    """The rows of spectra_index.csv."""
    with (folder() / "spectra_index.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def of_survey(survey: str) -> list[dict[str, str]]:
    return [row for row in index() if row["survey"].startswith(survey)]


def spec_obj_id(plate: int, mjd: int, fiber: int) -> int:
    """An identifier packed as SDSS packs it (plate, fibre, MJD - 50000; the version left out)."""
    return (plate << 50) | (fiber << 38) | ((mjd - 50_000) << 24)


def number(row: dict[str, str]) -> int:
    """The archive's whole-number identifier of a spectrum."""
    if row["survey"].startswith("DESI"):
        return int(row["object"])
    return spec_obj_id(*(int(part) for part in row["object"].split("-")))


def column(rows: list[dict[str, str]], name: str, dtype: str = "f8") -> np.ma.MaskedArray:
    """A column of numbers, masked where the index says nan or nothing."""
    values = np.array([float(row[name] or "nan") for row in rows])
    return np.ma.masked_invalid(values).astype(dtype)


def text(rows: list[dict[str, str]], name: str) -> np.ma.MaskedArray:
    values = np.array([row[name] for row in rows])
    return np.ma.masked_array(values, values == "")


def whole(rows: list[dict[str, str]], name: str, dtype: str = "i4") -> np.ndarray:
    return np.array([int(row[name]) for row in rows], dtype)


def _pipeline(row: dict[str, str]) -> tuple[float, np.ndarray, np.ndarray]:
    """Redshift error, fibre fluxes and their errors (nanomaggies, ugriz) of an SDSS spec file."""
    from astropy.io import fits

    with fits.open(folder() / row["file"].removeprefix("spectra/"), memmap=True) as hdus:
        found = next(h for h in hdus if h.name in ("SPECOBJ", "SPALL")).data[0]
        nothing = np.full(5, np.nan)
        names = found.array.names
        error = float(found["Z_ERR"]) if "Z_ERR" in names else np.nan
        if "SPECTROFLUX" not in names:
            return error, nothing, nothing
        flux = np.array(found["SPECTROFLUX"], "f8")
        ivar = 0 * flux
        if "SPECTROFLUX_IVAR" in names:
            ivar = np.array(found["SPECTROFLUX_IVAR"], "f8")
        sigma = np.where(ivar > 0, 1 / np.sqrt(np.where(ivar > 0, ivar, 1)), np.nan)
        return error, flux, sigma


@lru_cache(maxsize=1)
def _pipelines() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    each = [_pipeline(row) for row in of_survey("SDSS")]
    return tuple(np.array(part) for part in zip(*each, strict=True))  # type: ignore[return-value]


def specobj() -> dict[str, np.ndarray]:
    rows = of_survey("SDSS")
    pmf = np.array([[int(part) for part in row["object"].split("-")] for row in rows], "i4")
    return {
        "specobjid": np.array([number(row) for row in rows], "i8"),
        "plate": pmf[:, 0],
        "mjd": pmf[:, 1],
        "fiberid": pmf[:, 2],
        "ra": column(rows, "ra"),
        "dec": column(rows, "dec"),
        "z": column(rows, "z", "f4"),
        "zerr": np.ma.masked_invalid(_pipelines()[0]).astype("f4"),
        "zwarning": whole(rows, "zwarning"),
        "class": text(rows, "class"),
        "subclass": text(rows, "subclass"),
        "snmedian": column(rows, "median_sn_per_pix", "f4"),
    }


def photoplate() -> dict[str, np.ndarray]:
    """Fibre magnitudes of the pipeline; total ones 0.3 to 1.0 mag brighter for galaxies."""
    rows = of_survey("SDSS")
    _, flux, sigma = _pipelines()
    galaxy = text(rows, "class") == "GALAXY"
    aperture = np.where(galaxy, 0.3 + 0.7 * (np.arange(len(rows)) % 8) / 7, 0.05)
    columns = {"specobjid": np.array([number(row) for row in rows], "i8")}
    for k, band in enumerate("ugriz"):
        with np.errstate(invalid="ignore", divide="ignore"):
            fiber = 22.5 - 2.5 * np.log10(flux[:, k])
            error = 2.5 / np.log(10) * sigma[:, k] / flux[:, k]
        error = np.where(np.isfinite(fiber), error, np.nan)
        columns[f"fibermag_{band}"] = np.ma.masked_invalid(fiber).astype("f4")
        columns[f"fibermagerr_{band}"] = np.ma.masked_invalid(error).astype("f4")
        columns[f"cmodelmag_{band}"] = np.ma.masked_invalid(fiber - aperture).astype("f4")
        columns[f"cmodelmagerr_{band}"] = np.ma.masked_invalid(np.hypot(error, 0.01)).astype("f4")
        extinction = (4.24, 3.3, 2.29, 1.7, 1.26)[k] * 0.02
        columns[f"extinction_{band}"] = np.full(len(rows), extinction, "f4")
    return columns


def emission() -> dict[str, np.ndarray]:
    with (folder() / "sdss_pipeline_lines.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    numbers = {row["object"]: number(row) for row in index()}
    return {
        "specobjid": np.array([numbers[row["object"]] for row in rows], "i8"),
        "line": text(rows, "line"),
        "wave_vac": column(rows, "wave_vac"),
        "line_z": column(rows, "line_z", "f4"),
        "line_flux": column(rows, "area_1e-17cgs", "f4"),
        "line_flux_err": column(rows, "area_err", "f4"),
        "ew": column(rows, "ew_A", "f4"),
        "ew_err": column(rows, "ew_err", "f4"),
        "sigma_kms": column(rows, "sigma_kms", "f4"),
    }


def zpix() -> dict[str, np.ndarray]:
    rows = of_survey("DESI")
    z = column(rows, "z")
    n = len(rows)
    return {
        "targetid": np.array([number(row) for row in rows], "i8"),
        "survey": np.full(n, "sv3"),
        "program": np.full(n, "dark"),
        "mean_fiber_ra": column(rows, "ra"),
        "mean_fiber_dec": column(rows, "dec"),
        "z": z,
        "zerr": 2e-4 * (1 + z),
        "zwarn": np.zeros(n, "i4"),  # the shared files do not state it
        "spectype": text(rows, "class"),
    }


def labels() -> dict[str, np.ndarray]:
    """Masses and star-formation rates of galaxies at z > 0.01; made up, and one is a stranger's."""
    rows = [r for r in of_survey("SDSS") if r["class"] == "GALAXY" and float(r["z"]) > 0.01]
    rows = [row for k, row in enumerate(rows) if k % 6 != 5]  # not for every galaxy
    z = np.array([float(row["z"]) for row in rows] + [0.1])
    n = len(z)
    step = np.arange(n)
    logmstar = 10.0 + 0.8 * np.sin(step) + 0.5 * np.log10(z / 0.1)
    logsfr = 0.7 * (logmstar - 10.0) + 0.4 * np.cos(2 * step)
    passive = step % 5 == 2
    return {
        "specobjid": np.array([number(row) for row in rows] + [STRANGER["specobjid"]], "i8"),
        "ra": np.array([float(row["ra"]) for row in rows] + [STRANGER["ra"]]),
        "dec": np.array([float(row["dec"]) for row in rows] + [STRANGER["dec"]]),
        "logmstar": logmstar,
        "logmstar_err": 0.05 + 0.05 * (step % 4),
        "logsfr": np.ma.masked_array(logsfr, passive),
        "logsfr_err": np.ma.masked_array(0.1 + 0.05 * (step % 3), passive),
    }


def ssa() -> Iterator[dict[str, object]]:
    """Rows for the SSAP table; several DESI spectra share a file, and so an access URL."""
    for row in index():
        path = "spectra/fits/" + row["file"].removeprefix("spectra/")
        desi = row["survey"].startswith("DESI")
        known = row["ra"] not in ("", "nan")
        yield {
            "accref": path,
            "size": (folder() / row["file"].removeprefix("spectra/")).stat().st_size,
            "object": row["object"],
            "object_id": number(row),
            "class": row["class"],
            "collection": "DESI" if desi else "SDSS",
            "z": float(row["z"]),
            "ra": float(row["ra"]) if known else None,
            "dec": float(row["dec"]) if known else None,
            "mjd": None if desi else float(row["object"].split("-")[1]),
            "start": float(row["wave_min"]) * 1e-10,
            "end": float(row["wave_max"]) * 1e-10,
            "snr": float(row["median_sn_per_pix"]),
        }


def fill(table: object) -> None:
    """Fill the table of DaCHS with the rows of the function of its name."""
    pgcopy.fill(table, globals()[table.tableDef.id]())
