"""Nominal against measured passbands, in magnitudes of real galaxies.

    python benchmarks/passbands.py [FOLDER]

FOLDER holds `filters/jpas` and `templates/brown2014` (default: JPASSED_TEST_DATA, else
../shared/data). The measured curves are converted from air to vacuum; SEDs are those of Brown et
al. (2014) at redshifts 0 to 0.7. iSDSS is left out of the verdict: its measured curve is wrong.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jpassed.filters import FilterSet, load_filters
from jpassed.filters.curves import read_curve
from jpassed.units import air_to_vacuum

REDSHIFTS = np.linspace(0.0, 0.7, 29)

# Half an Å resolves the steepest edge (4 Å) and is finer than the curves (1 Å).
GRID = np.arange(2900.0, 11400.0, 0.5)

FILE_OF_BAND = {"uJAVA": "J0348"}
BROAD_AND_EDGE = ("uJAVA", "J1007", "uJPAS", "gSDSS", "rSDSS", "iSDSS")
LEFT_OUT = ("iSDSS",)


@dataclass(frozen=True)
class Comparison:
    """Nominal minus measured AB magnitude, shape (spectra, bands)."""

    bands: tuple[str, ...]
    difference: np.ndarray

    def percentile(self, bands: tuple[str, ...], percent: float) -> float:
        """Percentile of the absolute difference over all spectra and the given bands."""
        columns = [self.bands.index(band) for band in bands]
        return float(np.percentile(np.abs(self.difference[:, columns]), percent))

    @property
    def narrow(self) -> tuple[str, ...]:
        return tuple(band for band in self.bands if band not in BROAD_AND_EDGE)

    @property
    def broad(self) -> tuple[str, ...]:
        return tuple(b for b in self.bands if b in BROAD_AND_EDGE and b not in LEFT_OUT)


def weights(curves: np.ndarray) -> np.ndarray:
    """Photon-counting weights on GRID for F_lambda, normalised to a flat f_nu, shape (B, G)."""
    return curves * GRID / (curves / GRID).sum(axis=1, keepdims=True)


def compare(folder: Path, filters: FilterSet | None = None) -> Comparison:
    """Synthesise every SED at every redshift through nominal and measured passbands."""
    filters = load_filters("jpas") if filters is None else filters
    nominal, measured = [], []
    for band in filters:
        name = FILE_OF_BAND.get(band.name, band.name)
        wave, curve = read_curve(folder / "filters" / "jpas" / f"JPAS_{name}.tab")
        measured.append(np.interp(GRID, air_to_vacuum(wave), np.clip(curve, 0.0, None), 0.0, 0.0))
        nominal.append(np.interp(GRID, band.wave, band.throughput, 0.0, 0.0))
    first, second = weights(np.array(nominal)), weights(np.array(measured))
    rows = []
    for path in sorted((folder / "templates" / "brown2014").glob("*.dat")):
        wave, flux = np.loadtxt(path, usecols=(0, 1)).T
        spectra = np.array([np.interp(GRID, wave * (1.0 + z), flux) for z in REDSHIFTS])
        rows.append(-2.5 * np.log10((spectra @ first.T) / (spectra @ second.T)))
    return Comparison(filters.names, np.concatenate(rows))


def report(result: Comparison) -> str:
    """The table: median and 95th percentile of |nominal - measured| in mag."""
    lines = [
        f"{'bands':<22}{'median':>9}{'95 %':>9}{'bar':>16}",
        _row("narrow (54)", result, result.narrow, "0.001  0.005"),
        _row("broad and edge (5)", result, result.broad, "0.010  0.040"),
    ]
    lines += [_row(f"  {band}", result, (band,), "") for band in result.broad]
    worst = sorted(result.narrow, key=lambda band: -result.percentile((band,), 95))[:3]
    lines += [_row(f"  {band} (worst narrow)", result, (band,), "") for band in worst]
    lines += [_row(f"  {band} (left out)", result, (band,), "") for band in LEFT_OUT]
    return "\n".join(line.rstrip() for line in lines)


def _row(label: str, result: Comparison, bands: tuple[str, ...], bar: str) -> str:
    median, high = result.percentile(bands, 50), result.percentile(bands, 95)
    return f"{label:<22}{median:>9.5f}{high:>9.5f}{bar:>16}"


def main() -> None:
    default = os.environ.get("JPASSED_TEST_DATA") or "../shared/data"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path(default))
    result = compare(parser.parse_args().folder)
    print(f"{result.difference.shape[0]} spectra, |nominal - measured| in mag")
    print(report(result))


if __name__ == "__main__":
    main()
