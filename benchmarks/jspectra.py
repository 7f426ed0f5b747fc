"""J-spectra against synphot and against the pipeline of SDSS, and their speed.

    python benchmarks/jspectra.py [FOLDER] [--every N]

FOLDER holds `spectra` (default: JPASSED_TEST_DATA, else ../shared/data). Every N-th SDSS and BOSS
spectrum is also measured with `synphot.Observation.effstim` (20 ms a band).
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.utils.exceptions import AstropyUserWarning
from synphot import Empirical1D, Observation, SourceSpectrum
from synphot import units as synphot_units

from jpassed.filters import FilterSet, load_filters
from jpassed.io.spectra import SpectrumRecord, read_spectrum
from jpassed.jspectrum import SyntheticPhotometry, jspectra

NANOMAGGY = 3.631  # microjansky
BARS = {"effstim": 1e-5, "pipeline": 0.01, "seconds": 1.0}


def effstim(record: SpectrumRecord, passband: object) -> float:
    """Bandflux in microjansky by synphot, bad pixels filled linearly in photons."""
    good = record.good
    first, last = np.flatnonzero(good)[[0, -1]]
    wave = record.wave[first : last + 1]
    photons = np.interp(wave, record.wave[good], (record.wave * record.flux)[good])
    source = SourceSpectrum(
        Empirical1D,
        points=wave * u.AA,
        lookup_table=photons / wave * 1e-17 * synphot_units.FLAM,
        keep_neg=True,
    )
    return float(Observation(source, passband, force="extrap").effstim(u.Jy).value) * 1e6


def against_synphot(records: list[SpectrumRecord], filters: FilterSet) -> np.ndarray:
    """Difference in magnitudes (of the flux ratio) in every observed band."""
    measured = SyntheticPhotometry(filters).measure(records)
    ratios = [
        measured.flux[n, b] / effstim(record, filters[int(b)])
        for n, record in enumerate(records)
        for b in np.flatnonzero(measured.observed[n])
    ]
    return 2.5 / np.log(10) * np.abs(np.array(ratios) - 1)


def against_pipeline(records: list[SpectrumRecord], band: str, index: int) -> np.ndarray:
    """Synthetic minus SPECTROFLUX magnitude of every spectrum with positive fluxes."""
    filters = load_filters("sdss").select([band])
    flux = SyntheticPhotometry(filters).measure(records).flux[:, 0]
    pipeline = NANOMAGGY * np.array([r.metadata["spectroflux"][index] for r in records])
    usable = (flux > 0) & (pipeline > 0)
    return -2.5 * np.log10(flux[usable] / pipeline[usable])


def seconds(action: Callable[[], object], repeats: int = 5) -> tuple[float, float]:
    """Seconds of the first call, and the median of the following ones."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return times[0], float(np.median(times[1:]))


def many(records: list[SpectrumRecord], count: int) -> list[SpectrumRecord]:
    """Copies of real spectra, each cut to a range of its own."""
    rng = np.random.default_rng(0)
    result = []
    for n in range(count):
        r = records[n % len(records)]
        cut = slice(int(rng.integers(0, 60)), len(r) - int(rng.integers(0, 60)))
        result.append(SpectrumRecord(r.wave[cut], r.flux[cut], r.ivar[cut], r.name, r.metadata))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parent.parent
    default = Path(os.environ.get("JPASSED_TEST_DATA") or root.parent / "shared" / "data")
    parser.add_argument("folder", nargs="?", type=Path, default=default)
    parser.add_argument("--every", type=int, default=10, metavar="N")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", AstropyUserWarning)

    folder = arguments.folder / "spectra"
    paths = sorted([*folder.glob("sdss_*/*.fits"), *folder.glob("boss_*/*.fits")])
    start = time.perf_counter()
    records = [record for path in paths for record in read_spectrum(path)]
    reading = (time.perf_counter() - start) / len(records)
    jpas = load_filters("jpas")
    rows: list[tuple[str, str, str]] = []

    def row(what: str, value: str, passed: bool | None = None, bar: str = "") -> None:
        rows.append((what, value, "" if passed is None else f"{bar} {'yes' if passed else 'NO'}"))

    row("SDSS and BOSS spectra", str(len(records)))
    row("reading one", f"{1e3 * reading:.1f} ms")
    sample = records[:: arguments.every]
    difference = against_synphot(sample, jpas)
    row(
        f"effstim, largest of {difference.size} bands of {len(sample)} spectra",
        f"{difference.max():.1e} mag",
        bool(difference.max() < BARS["effstim"]),
        "< 1e-5",
    )
    for band, index in (("sdss_g", 1), ("sdss_r", 2), ("sdss_i", 3)):
        offset = against_pipeline(records, band, index)
        low, high = np.percentile(offset, [16, 84])
        median = float(np.median(offset))
        row(
            f"{band} minus SPECTROFLUX[{index}], median of {offset.size} (16-84 %)",
            f"{median:+.4f} ({low:+.4f} to {high:+.4f}) mag",
            abs(median) < BARS["pipeline"] if band == "sdss_r" else None,
            "< 0.01",
        )
    thousand = many(records, 1000)
    fresh = seconds(lambda: SyntheticPhotometry(jpas).measure(thousand))
    row("1,000 spectra of different ranges x 60 bands, matrix included", f"{fresh[1]:.3f} s")
    table = seconds(lambda: jspectra(thousand, filters=jpas))
    row(
        "the same as a table, jspectra(), median of 5",
        f"{table[1]:.3f} s",
        table[1] < BARS["seconds"],
        "< 1 s",
    )
    full = seconds(lambda: jspectra(thousand, filters=jpas, total_mag=19.0, ebv=0.05))
    row("the same, dereddened and scaled to r = 19", f"{full[1]:.3f} s")
    width = max(len(what) for what, _, _ in rows)
    for what, value, verdict in rows:
        print(f"{what:<{width}}  {value:<36}{verdict}".rstrip())


if __name__ == "__main__":
    main()
