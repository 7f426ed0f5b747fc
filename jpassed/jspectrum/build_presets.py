"""Make the embedded noise presets: ``python -m jpassed.jspectrum.build_presets TILES.csv``.

``minijpas-v1`` comes from a miniJPAS ``TileImage`` table (CEFCA archive; columns ``name`` as
``<tile>-<release>_<band>_swp``, ``FILTER_ID``, ``DEPTH3ARC5S``, ``ZPT``, ``EFECTIME``), the
others from ``data/noise_sources.yaml``. A preset that exists is left alone unless ``--overwrite``
is given: figures are quoted for a digest.
"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from jpassed.exceptions import FileError, InputError
from jpassed.jspectrum.error_model import ErrorModel, write_noise
from jpassed.jspectrum.noise_fit import APERTURE_LAW, fit_tiles, sky_depth
from jpassed.units import from_ab_magnitude

__all__ = ["build_published", "build_tile_preset", "main"]

_LOG = logging.getLogger(__name__)
_DATA = Path(__file__).parent / "data"


def build_tile_preset(
    path: str | os.PathLike[str],
    *,
    name: str = "minijpas-v1",
    reference: str = "rSDSS",
    zp_scatter: float = 0.02,
) -> ErrorModel:
    """Error model of a CEFCA ``TileImage`` table (CSV with ``#`` comments).

    Parameters
    ----------
    path : str or path
    name : str
        Name of the preset.
    reference : str
        Detection band: its flux sets the aperture factor.
    zp_scatter : float
        Zero-point scatter per tile and band, mag. (The table's ``ERRZPT`` is a default.)

    Returns
    -------
    ErrorModel
        Bands in the order of ``FILTER_ID``, that is of the survey's array columns.

    Raises
    ------
    FileError
        The table is missing or lacks a column.
    """
    from astropy.table import Table

    try:
        table: Any = Table.read(path, format="ascii.csv", comment="#")
        table.sort(["REF_TILE_ID", "FILTER_ID"])
        # AEGIS002-v201912_J0500_swp: tile, release, band.
        tile, band = np.array([str(n).split("_")[:2] for n in table["name"]]).T
        order = dict(sorted(zip(table["FILTER_ID"].tolist(), band.tolist(), strict=True)))
        columns = [np.asarray(table[c], dtype=float) for c in ("DEPTH3ARC5S", "ZPT", "EFECTIME")]
    except (OSError, KeyError, ValueError) as error:
        raise FileError(f"{os.fspath(path)!r} is not a TileImage table: {error}") from error
    return fit_tiles(
        tile,
        band,
        *columns,
        bands=list(order.values()),
        reference=reference,
        zp_scatter=zp_scatter,
        name=name,
        meta={
            "reference": "5-sigma depth in 3 arcsec per tile and band: DEPTH3ARC5S of the survey's "
            "TileImage table (Bonoli et al. 2021, A&A 653, A31). Poisson term from ZPT and "
            "EFECTIME with one electron per count; zero-point scatter 0.02 mag per tile and band, "
            "not part of the quoted error; aperture law: jpassed.jspectrum.noise_fit.APERTURE_LAW",
            "table": Path(path).name,
        },
    )


def build_published(
    path: str | os.PathLike[str] = _DATA / "noise_sources.yaml",
) -> list[ErrorModel]:
    """Error models of the surveys of a YAML file of published depths (units in its header)."""
    import yaml

    with open(path, encoding="utf-8") as handle:
        sources = yaml.safe_load(handle)
    return [_published(name, source) for name, source in sources.items()]


def _published(name: str, source: dict[str, Any]) -> ErrorModel:
    rows = {band: {**source["defaults"], **row} for band, row in source["bands"].items()}
    known = {
        *("depth5", "zero_point", "exposure", "zp_scatter", "jitter", "aperture", "floor"),
        "includes_source",
    }
    for band, row in rows.items():
        if unknown := sorted(set(row) - known):
            raise InputError(f"{name}, {band}: unknown keys {unknown}; valid: {sorted(known)}")
    depth, poisson = [], []
    for row in rows.values():
        photons = (row["zero_point"], row["exposure"]) if "zero_point" in row else None
        poisson.append(float(from_ab_magnitude(photons[0])) / photons[1] if photons else 0.0)
        quoted = row["depth5"]
        depth.append(
            sky_depth(quoted, *photons) if row.get("includes_source") and photons else quoted
        )
    n_bands = len(rows)
    return ErrorModel(
        bands=tuple(rows),
        depth5=np.round([depth], 4),
        depth_jitter=np.array([row["jitter"] for row in rows.values()]),
        poisson=np.array([float(f"{p:.5g}") for p in poisson]),
        floor=np.array([row.get("floor", 0.0) for row in rows.values()]),
        zp_scatter=np.array([row["zp_scatter"] for row in rows.values()]),
        aperture_scale=APERTURE_LAW["aperture_scale"]
        * np.array([row["aperture"] for row in rows.values()]),
        aperture_power=np.full(n_bands, APERTURE_LAW["aperture_power"]),
        aperture_max=np.full(n_bands, APERTURE_LAW["aperture_max"]),
        reference_weight=np.full(n_bands, 1.0 / n_bands),
        aperture_scatter=APERTURE_LAW["aperture_scatter"],
        name=name,
        meta={"reference": " ".join(source["reference"].split())},
    )


def main(argv: list[str] | None = None) -> None:
    """Command line of the module; see its description."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tiles", nargs="?", help="TileImage table of miniJPAS")
    parser.add_argument(
        "--output", type=Path, default=_DATA / "noise", help="folder of the presets"
    )
    parser.add_argument("--overwrite", action="store_true")
    chosen = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO)
    chosen.output.mkdir(parents=True, exist_ok=True)
    models = build_published()
    if chosen.tiles:
        models.append(build_tile_preset(chosen.tiles))
    for model in models:
        target = chosen.output / f"{model.name}.ecsv"
        if target.exists() and not chosen.overwrite:
            _LOG.info("%s exists, left alone", target)
            continue
        write_noise(model, target, overwrite=chosen.overwrite)
        _LOG.info("%s: %s", target, model)


if __name__ == "__main__":
    main()
