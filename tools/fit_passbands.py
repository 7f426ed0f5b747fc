"""Make the embedded passband tables from measured curves.

    python tools/fit_passbands.py [CURVES]

CURVES is a folder with `jpas/` (JPAS_*.tab, minijpas.Filter.csv) and `jplus/` (*.tab). Writes
jpas.ecsv, jplus.ecsv and bands.ecsv into jpassed/filters/data; without CURVES bands.ecsv alone,
after a new row in sets.ecsv. No spectrum enters the fit.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.table import Table

from jpassed.filters.curves import read_curve
from jpassed.filters.edges import EDGE_COLUMNS, EdgeModel
from jpassed.filters.fit import fit_edges
from jpassed.filters.known import read_embedded
from jpassed.units import air_to_vacuum

TARGET = Path(__file__).resolve().parents[1] / "jpassed" / "filters" / "data"

# Bands whose top bends visibly with the detector and the atmosphere.
CURVED_JPAS = {"uJAVA", "J1007", "uJPAS", "gSDSS", "rSDSS"}
CURVED_JPLUS = {"uJAVA", "gSDSS", "rSDSS", "iSDSS", "zSDSS"}

# The file JPAS_J0348.tab is the band that the miniJPAS filter table calls uJAVA.
FILE_OF_BAND = {"uJAVA": "J0348"}

FORM = (
    "T = amplitude (1 + slope x + curvature x^2) (1 + erf((w - blue)/sqrt2 blue_soft))/2 "
    "(1 - erf((w - red)/sqrt2 red_soft))/2 with x = (w - (blue + red)/2) / ((red - blue)/2) and "
    "w the vacuum wavelength in Angstrom. The curves are taken to be in air (they were measured "
    "so) and were converted to vacuum before the fit."
)

JPAS_REFERENCE = (
    "Fit to the J-PAS total throughput curves (detector, filter, optics, atmosphere) of "
    "2017-03-16 by J. Varela and A. Marin (CEFCA), CC0; band order of the miniJPAS filter table, "
    "Bonoli et al. 2021 A&A 653 A31."
)

JPAS_NOTES = (
    "iSDSS: not fitted, its reference curve cannot be trusted; centre 7725 and width 1250 "
    "Angstrom (air) of the miniJPAS filter table, flat top of height 0.5, edges as soft as the "
    "red edge of rSDSS. uJAVA: file J0348. Out-of-band levels of a few 1e-4 (J0910 redward to "
    "1.05 um, rSDSS blueward), negative ones included, are the floor of the measurement and were "
    "left out; so is the O2 A band inside J0760, which two edges cannot follow."
)

JPLUS_REFERENCE = (
    "Fit to the J-PLUS total throughput curves (third column: detector, filter, optics and "
    "atmosphere) of 2015-05-19 by J. Varela, A. Marin and C. Iniguez (CEFCA); "
    "Cenarro et al. 2019 A&A 622 A176."
)


def jpas_models(folder: Path) -> dict[str, EdgeModel]:
    """Edge models of the 60 bands, in the order of the miniJPAS filter table."""
    with (folder / "minijpas.Filter.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(line for line in stream if not line.startswith("#")))
    models: dict[str, EdgeModel] = {}
    for row in rows:
        band = row["name"]
        if band == "iSDSS":
            models[band] = nominal(float(row["wavelength"]), float(row["width"]), models["rSDSS"])
            continue
        wave, curve = read_curve(folder / f"JPAS_{FILE_OF_BAND.get(band, band)}.tab")
        models[band] = fit_edges(air_to_vacuum(wave), curve, curved=band in CURVED_JPAS)
    return models


def nominal(centre: float, width: float, like: EdgeModel) -> EdgeModel:
    """A flat band between two half-transmission points given in air."""
    blue, red = (float(v) for v in air_to_vacuum([centre - width / 2, centre + width / 2]))
    return EdgeModel(0.5, 0.0, 0.0, blue, like.red_soft, red, like.red_soft)


def jplus_models(folder: Path) -> dict[str, EdgeModel]:
    """Edge models of the 12 J-PLUS bands by increasing wavelength, narrow and broad mixed."""
    models = {}
    for path in folder.glob("*.tab"):
        wave, curve = read_curve(path, column=2)
        models[path.stem] = fit_edges(air_to_vacuum(wave), curve, curved=path.stem in CURVED_JPLUS)
    ordered = sorted(models, key=lambda band: models[band].blue + models[band].red)
    return {f"jplus_{band}": models[band] for band in ordered}


def edge_table(models: dict[str, EdgeModel], meta: dict[str, str]) -> Table:
    """Table of an embedded set."""
    table = Table({"name": list(models)}, meta=meta)
    for column in EDGE_COLUMNS:
        values = [getattr(model, column) for model in models.values()]
        long = column in ("blue", "blue_soft", "red", "red_soft")
        table[column] = np.round(values, 3 if long else 5)
        if long:
            table[column].unit = u.AA
    return table


def band_table() -> Table:
    """Pivot and width of every band of every set."""
    from jpassed.filters import sets

    groups = ["jpas", "jplus", *dict.fromkeys(str(s) for s in read_embedded("sets.ecsv")["set"])]
    rows = []
    for group in groups:
        members = (
            sets._embedded(group)
            if group in sets._EMBEDDED
            else [sets._from_speclite(row) for row in sets._source_rows(group)]
        )
        rows += [
            (m.name, group, round(m.pivot_wavelength, 2), round(m.equivalent_width, 2))
            for m in members
        ]
    table = Table(rows=rows, names=("name", "set", "pivot", "width"))
    table["pivot"].unit = table["width"].unit = u.AA
    table["width"].description = "equivalent width, int T dlam / max T"
    table.meta["description"] = (
        "Pivot and equivalent width (vacuum) of every known band, computed from the passbands of "
        "jpas.ecsv, jplus.ecsv and sets.ecsv by tools/fit_passbands.py."
    )
    return table


def write(table: Table, name: str) -> None:
    table.write(TARGET / name, format="ascii.ecsv", delimiter=",", overwrite=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("curves", type=Path, nargs="?", help="folder with jpas/ and jplus/")
    curves = parser.parse_args().curves
    if curves is not None:
        meta = {"description": FORM, "reference": JPAS_REFERENCE, "notes": JPAS_NOTES}
        write(edge_table(jpas_models(curves / "jpas"), meta), "jpas.ecsv")
        meta = {"description": FORM, "reference": JPLUS_REFERENCE}
        write(edge_table(jplus_models(curves / "jplus"), meta), "jplus.ecsv")
    write(band_table(), "bands.ecsv")


if __name__ == "__main__":
    main()
