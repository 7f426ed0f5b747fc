"""Bandfluxes of real galaxies, with what is known about them, for other benchmarks.

    python benchmarks/real_spectra.py [FOLDER]

prints both tables. FOLDER holds `spectra`, `catalogs` and `templates/brown2014` (default:
JPASSED_TEST_DATA, else ../shared/data).
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Column, MaskedColumn, QTable

from jpassed.filters import load_filters
from jpassed.io.spectra import SpectrumRecord, read_spectrum
from jpassed.jspectrum import SyntheticPhotometry, jspectra
from jpassed.units import air_to_vacuum, from_ab_magnitude

SAFE_WARNINGS = (0,)
"""ZWARNING: 4 (the next best redshift is nearly as good) is unsafe, -1 not stated; 16 (many
outliers) is usable: SHOC 579, whose EW(Halpha) of 945 Å is beyond every other galaxy here."""

LINES = {
    "ew_oii": ("[O_II] 3725", "[O_II] 3727"),
    "ew_hbeta": ("H_beta",),
    "ew_oiii": ("[O_III] 5007",),
    "ew_halpha": ("H_alpha",),
    "ew_nii": ("[N_II] 6583",),
    "ew_sii": ("[S_II] 6716", "[S_II] 6730"),
}
"""Pipeline lines that make up each quantity; those of two lines are sums."""

SFD_SCALE = 0.86  # Schlafly & Finkbeiner (2011)
NEIGHBOURS, NEIGHBOUR_RADIUS = 3, 1.0  # degrees


def real_galaxy_jspectra(
    data_dir: str | Path,
    *,
    magnitude: float | None = 19.0,
    warnings: Sequence[int] = SAFE_WARNINGS,
    deredden: bool = True,
) -> QTable:
    """J-spectra and pipeline line EWs of the shared galaxies with safe redshifts.

    The 17 are the rows of `spectra_index.csv` with class GALAXY, ZWARNING 0 and z > 0.001: 4 BOSS
    and 13 SDSS spectra, z 0.010 to 0.262, of which 9 have a rest-frame EW(Halpha) above 10 Å.
    0266-51602-0526 and 0266-51630-0525 are two spectra of one object: bootstrap by `object`.

    Parameters
    ----------
    data_dir : path
        Folder of the shared data.
    magnitude : float or None
        Total rSDSS magnitude to which every spectrum is scaled, errors included, so that the S/N
        stays that of the spectrum; None keeps the fibre flux. Survey noise is for the caller to
        add.
    warnings : sequence of int
        Values of ZWARNING to keep; (0, 16) adds SHOC 579.
    deredden : bool
        Correct for Galactic extinction with the E(B-V) of the nearest galaxies of
        `sdss_galaxies_gst.fits` (the spectra themselves do not say it): mean of three within 1
        degree, times 0.86. Plate 266 has E(B-V) of 0.07-0.13. Objects without a neighbour
        (1722-53852-0175, SHOC 579) stay as they are.

    Returns
    -------
    QTable
        Of `jspectra`, with `object` (a number; the same for spectra of one position), and for
        each of `LINES` the
        rest-frame EW in Å, positive in emission, with its error: `ew_halpha`, `ew_halpha_err`,
        masked where the pipeline has none (ew_err <= 0).
    """
    folder = Path(data_dir)
    rows = safe_galaxies(folder, warnings)
    places = list(dict.fromkeys((row["ra"], row["dec"]) for row in rows))
    records = [read_spectrum(folder / row["file"])[int(row["row"])] for row in rows]
    ebv = nearby_ebv(folder, rows) if deredden else None
    table = jspectra(records, total_mag=magnitude, ebv=ebv)
    table["object"] = [places.index((row["ra"], row["dec"])) for row in rows]
    widths = rest_frame_widths(folder)
    for quantity in LINES:
        found = [widths.get((row["file"], quantity)) for row in rows]
        mask = [pair is None for pair in found]
        for n, suffix in enumerate(("", "_err")):
            values = [np.nan if pair is None else pair[n] for pair in found]
            table[quantity + suffix] = MaskedColumn(values, mask=mask)
    return table


def safe_galaxies(folder: Path, warnings: Sequence[int]) -> list[dict[str, str]]:
    """Rows of the index with class GALAXY, a ZWARNING in `warnings`, and z > 0.001."""
    with (folder / "spectra" / "spectra_index.csv").open(encoding="utf-8") as stream:
        return [
            row
            for row in csv.DictReader(stream)
            if row["class"] == "GALAXY"
            and int(row["zwarning"]) in warnings
            and float(row["z"]) > 0.001
        ]


def rest_frame_widths(folder: Path) -> dict[tuple[str, str], tuple[float, float]]:
    """Rest-frame EW and error by (file, quantity). The pipeline's `ew_A` is observed-frame."""
    lines: dict[tuple[str, str], tuple[float, float]] = {}
    with (folder / "spectra" / "sdss_pipeline_lines.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            stretch = 1.0 + float(row["z"])
            error = float(row["ew_err"]) / stretch
            if error > 0:  # -1 and 0 mean not fitted
                lines[row["file"], row["line"]] = (float(row["ew_A"]) / stretch, error)
    widths = {}
    for file in {file for file, _ in lines}:
        for quantity, parts in LINES.items():
            found = [lines[file, part] for part in parts if (file, part) in lines]
            if len(found) == len(parts):
                error = float(np.hypot.reduce([pair[1] for pair in found]))
                widths[file, quantity] = (sum(pair[0] for pair in found), error)
    return widths


def nearby_ebv(folder: Path, rows: Sequence[dict[str, str]]) -> np.ndarray:
    """E(B-V) from the A_r of the nearest catalogue galaxies; NaN where none is near."""
    with fits.open(folder / "catalogs" / "sdss_galaxies_gst.fits") as hdus:
        catalogue = hdus[1].data
        places = SkyCoord(catalogue["RA"], catalogue["DEC"], unit="deg")
        # A_r = 2.751 E(B-V) of the SFD map (Stoughton et al. 2002)
        known = SFD_SCALE * catalogue["EXTINCTION"][:, 2].astype(float) / 2.751
    result = np.full(len(rows), np.nan)
    for n, row in enumerate(rows):
        here = SkyCoord(float(row["ra"]), float(row["dec"]), unit="deg")
        distance = here.separation(places).deg
        nearest = np.argsort(distance)[:NEIGHBOURS]
        nearest = nearest[distance[nearest] < NEIGHBOUR_RADIUS]
        if nearest.size:
            result[n] = known[nearest].mean()
    return result


def read_brown(path: Path) -> tuple[SpectrumRecord, tuple[float, float]]:
    """One SED of Brown et al. (2014) in the rest frame, and the range of its observed part.

    The wavelengths are taken to be air: against E-MILES (air) the absorption lines of the early
    types lie at a median of +4 km/s, where vacuum would be +83 km/s. The range is that of source
    flag 1, vacuum Å; the rest is a model.
    """
    columns = np.loadtxt(path, comments="#", unpack=True)
    wave = air_to_vacuum(columns[0])
    observed = wave[columns[3] == 1]
    name = path.name.removesuffix("_spec.dat")
    return SpectrumRecord(wave, columns[1] / 1e-17, name=name), (observed[0], observed[-1])


def brown_jspectra(
    data_dir: str | Path,
    redshifts: Sequence[float] = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
    r_mags: Sequence[float] = (18.0, 19.5, 21.0, 22.0),
    *,
    filters: Any = ("jpas", "galex"),
) -> QTable:
    """Noise-free bandfluxes of the 90 SEDs of Brown et al. (2014), each redshift and magnitude.

    Parameters
    ----------
    data_dir : path
        Folder of the shared data.
    redshifts, r_mags : sequence of float
        Every SED is put at every redshift and scaled to every rSDSS magnitude.
    filters : sequence of str
        Filter sets; the J-PAS bands must be among them.

    Returns
    -------
    QTable
        90 x redshifts x magnitudes rows: `name`, `true_z`, `true_mag_rsdss`, `<band>` and
        `<band>_err` (0: the SEDs' own noise is not known) in microjansky, and `measured` of shape
        (rows, bands): at least 99 % of the transmission falls to the part of the SED that was
        observed (flag 1), and not to a model. Bands in the order of `meta["bands"]`.
    """
    photometry = SyntheticPhotometry(
        [band for name in filters for band in load_filters(name)], min_coverage=0.99
    )
    bands = photometry.names
    reference = bands.index("rSDSS")
    names, redshift, shapes, measured = [], [], [], []
    for path in sorted((Path(data_dir) / "templates" / "brown2014").glob("*_spec.dat")):
        rest, (blue, red) = read_brown(path)
        inside = (rest.wave >= blue) & (rest.wave <= red)
        for z in redshifts:
            wave = rest.wave * (1.0 + z)
            flux = photometry.bandflux(wave, rest.flux).flux[0]
            part = photometry.bandflux(wave, np.where(inside, rest.flux, np.nan))
            names.append(rest.name)
            redshift.append(z)
            shapes.append(flux / flux[reference])
            measured.append(part.observed[0])
    total = from_ab_magnitude(np.asarray(r_mags))
    flux = np.repeat(shapes, total.size, axis=0) * np.tile(total, len(shapes))[:, None]
    table = QTable(
        {
            "name": np.repeat(names, total.size),
            "true_z": np.repeat(redshift, total.size),
            "true_mag_rsdss": np.tile(np.asarray(r_mags, dtype=float), len(shapes)),
        }
    )
    for b, band in enumerate(bands):
        table[band] = flux[:, b] * u.uJy
        table[f"{band}_err"] = np.zeros(len(table)) * u.uJy
    table["measured"] = Column(np.repeat(measured, total.size, axis=0))
    table.meta["bands"] = list(bands)
    return table


def default_folder() -> Path:
    """JPASSED_TEST_DATA, else ../shared/data beside the project."""
    root = Path(__file__).resolve().parent.parent
    return Path(os.environ.get("JPASSED_TEST_DATA") or root.parent / "shared" / "data")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=default_folder())
    folder = parser.parse_args().folder
    table = real_galaxy_jspectra(folder)
    table["bands"] = [sum(not m for m in mask) for mask in _masks(table)]
    shown = ["name", "z_spec", "spec_sn", "bands", "object", "ebv", "aperture_scale"]
    table[shown + list(LINES)].pprint(max_lines=-1, max_width=-1)
    strong = np.ma.filled(table["ew_halpha"], 0) > 10
    print(f"{len(table)} spectra, {strong.sum()} with rest-frame EW(Halpha) > 10 Å")
    brown = brown_jspectra(folder)
    print(
        f"Brown et al. (2014): {len(brown)} rows; bands wholly in the observed part: "
        f"{brown['measured'].sum(axis=1).mean():.1f} of {len(brown.meta['bands'])} on average"
    )


def _masks(table: QTable) -> list[list[bool]]:
    bands = [n for n in table.colnames if f"{n}_err" in table.colnames and not n.startswith("ew_")]
    return [[bool(table[band].mask[n]) for band in bands] for n in range(len(table))]


if __name__ == "__main__":
    main()
