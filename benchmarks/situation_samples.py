"""Galaxies inside and outside the training, real ones, and what is no galaxy, in J-PAS bands."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from astropy import units as u
from astropy.table import QTable
from astropy.utils.masked import Masked
from numpy.typing import NDArray
from real_spectra import brown_jspectra
from simulated_sample import (
    BANDS,
    EDGES,
    LINES,
    SHARES,
    SSP,
    add_noise,
    fluxes,
    kept,
    stratified_sample,
    truth,
)

from jpassed.filters import load_filters
from jpassed.io.spectra import read_spectrum
from jpassed.io.spectrum_record import SpectrumRecord
from jpassed.jspectrum import SyntheticPhotometry, jspectra
from jpassed.simulator import GalaxySimulator, library, read_ssp
from jpassed.simulator.cosmology import FlatUniverse
from jpassed.units import air_to_vacuum, from_ab_magnitude

Array = NDArray[np.float64]

SEED = 20261123
FAR = (1.2, 2.0)
BROWN_Z = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
BROWN_R = (19.5, 20.5, 21.5, 22.3)
LUMINOUS, FAINT = -24.0, -16.0
MEAN_K = 0.7
"""Mean K correction in r over redshift (Chilingarian et al. 2010): it only decides which
redshifts and magnitudes go together."""

INTRUDER_R = (19.0, 20.0, 21.0)
QSO_Z = np.round(np.arange(0.2, 2.41, 0.1), 2)
QSO_SLOPES = (-0.4, 0.0, 0.4)
PIVOTS = np.array([band.pivot_wavelength for band in load_filters("jpas")])


@dataclass(frozen=True)
class Sample:
    """Objects with noise: bandfluxes (N, B) in microjansky, and the redshift if it means anything.

    `observed` marks the bands that are there.
    """

    flux: Array
    error: Array
    observed: NDArray[np.bool_]
    z: Array | None

    def __len__(self) -> int:
        return len(self.flux)

    @property
    def magnitude(self) -> Array:
        """AB magnitude of the noisy rSDSS bandflux, before any change."""
        r = self.flux[:, BANDS.index("rSDSS")]
        return np.asarray(-2.5 * np.log10(np.maximum(r, 1e-9) / 3631e6))


def table_of(flux: Array, error: Array, observed: NDArray[np.bool_]) -> QTable:
    """A table that `jpassed.annotate` reads; bands that are missing are masked."""
    table = QTable()
    for i, band in enumerate(BANDS):
        for name, values in ((band, flux), (f"{band}_err", error)):
            table[name] = Masked(values[:, i] * u.uJy, mask=~observed[:, i])
    return table


def simulated(folder: Path, each: int, cache: Path | None) -> Sample:
    """`each` galaxies of the declared prior in every bin of magnitude, noise of minijpas-v1."""
    table = stratified_sample(folder, each, cache, SEED)
    flux, error = fluxes(table)
    return Sample(flux, error, np.ones(flux.shape, dtype=bool), truth(table, "z"))


def noisy(flux: Array, seed: int, observed: NDArray[np.bool_], z: Array | None) -> Sample:
    """The noise of the survey on true fluxes; missing ones may be NaN."""
    filled = np.where(observed, flux, np.nan)
    # the aperture follows the noisy r flux: an object without r gets that of its median band
    r = BANDS.index("rSDSS")
    typical = np.nanmedian(filled, axis=1)
    given = np.where(observed, flux, np.where(np.arange(len(BANDS)) == r, typical[:, None], 0.0))
    values, errors = add_noise(given, seed)
    return Sample(values, errors, observed, z)


def brown(folder: Path, redshifts: Sequence[float] = BROWN_Z) -> Sample:
    """The 90 SEDs of Brown et al. (2014), -24 < M_r < -16, one draw of noise each."""
    table = brown_jspectra(folder, redshifts, BROWN_R, filters=("jpas",))
    z = np.asarray(table["true_z"], dtype=float)
    absolute = np.asarray(table["true_mag_rsdss"]) - FlatUniverse(70.0, 0.3).distance_modulus(z)
    absolute = absolute - MEAN_K * z
    keep = (absolute > LUMINOUS) & (absolute < FAINT)
    flux = np.stack([np.asarray(table[band].value) for band in BANDS], axis=1)[keep]
    observed = np.isfinite(flux)
    return noisy(np.where(observed, flux, 0.0), SEED + 1, observed, z[keep])


def beyond(folder: Path, n: int, cache: Path | None) -> Sample:
    """n simulated galaxies at 1.2 < z < 2, noisy r < 22.7, as the priors go on there."""

    def make() -> QTable:
        # The simulator's spectra begin where z = 1.2 needs them: they are made longer here.
        before = library.MAXIMUM_ONE_PLUS_Z
        library.MAXIMUM_ONE_PLUS_Z = 1.02 * (1.0 + FAR[1])
        try:
            simulator = GalaxySimulator(
                [read_ssp(folder / path) for path in SSP],
                [(b.name, b.wave, b.throughput) for b in load_filters("jpas")],
                lines=folder / LINES,
                shares=SHARES,
                balance=0.0,
                priors={"redshift": {"lower": FAR[0], "upper": FAR[1]}},
            )
        finally:
            library.MAXIMUM_ONE_PLUS_Z = before
        generator = torch.Generator().manual_seed(SEED + 2)
        parts: list[tuple[Array, Array, Array]] = []
        turn = 0
        while sum(len(part[0]) for part in parts) < n:
            drawn = simulator.sample(2048, generator)
            flux, error = add_noise(drawn.bandflux.numpy(), SEED + 3 + turn)
            passed = flux[:, BANDS.index("rSDSS")] > from_ab_magnitude(EDGES[-1])
            parts.append((flux[passed], error[passed], drawn.labels["z"].numpy()[passed]))
            turn += 1
        flux, error, z = (np.concatenate(part)[:n] for part in zip(*parts, strict=True))
        table = QTable({"true_z": z})
        for i, band in enumerate(BANDS):
            table[band] = flux[:, i] * u.uJy
            table[f"{band}_err"] = error[:, i] * u.uJy
        return table

    table = kept(cache, f"beyond-{n}-{SEED}", make)
    flux, error = fluxes(table)
    return Sample(flux, error, np.ones(flux.shape, dtype=bool), truth(table, "z"))


def at_magnitudes(shape: Array, z: Array | None, seed: int) -> Sample:
    """Bandfluxes of any scale (N, B) brought to each of `INTRUDER_R` and given noise.

    Without r, the median of the bands that are there counts.
    """
    observed = np.isfinite(shape)
    r = shape[:, BANDS.index("rSDSS")]
    level = np.where(np.isfinite(r) & (r > 0), r, np.nanmedian(shape, axis=1))
    bright = from_ab_magnitude(np.asarray(INTRUDER_R))
    flux = (np.nan_to_num(shape) / level[:, None])[:, None, :] * bright[None, :, None]
    times = len(INTRUDER_R)
    return noisy(
        flux.reshape(-1, shape.shape[1]),
        seed,
        np.repeat(observed, times, axis=0),
        None if z is None else np.repeat(z, times),
    )


def spectra(folder: Path, kind: str) -> Sample:
    """The shared SDSS, BOSS and DESI spectra of class QSO or STAR as J-spectra, with survey noise.

    Their own noise is in the fluxes as well; spectra with fewer than 20 bands, or with less than
    S/N 5 in the median of their bands, are left out.
    """
    with (folder / "spectra" / "spectra_index.csv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["class"] == kind]
    records = [read_spectrum(folder / row["file"])[int(row["row"])] for row in rows]
    table = jspectra(records)
    parts = []
    for end in ("", "_err"):
        columns = [table[f"{band}{end}"] for band in BANDS]
        parts.append(np.stack([np.ma.filled(_plain(c), np.nan) for c in columns], axis=1))
    flux, error = parts
    good = np.isfinite(flux).sum(axis=1) >= 20
    with np.errstate(invalid="ignore"):
        good &= np.nanmedian(flux / error, axis=1) > 5
    z = np.array([float(row["z"]) for row in rows])[good]
    return at_magnitudes(flux[good], z if kind == "QSO" else None, SEED + 4)


def _plain(column: Masked) -> np.ma.MaskedArray:
    return np.ma.array(column.unmasked.value, mask=column.mask, dtype=float)


def pickles(folder: Path) -> Sample:
    """The 131 stars of Pickles (1998, PASP 110, 863)."""
    records = []
    for path in sorted((folder / "templates" / "pickles").glob("*.sed")):
        wave, flux = np.loadtxt(path, unpack=True, usecols=(0, 1))
        records.append(SpectrumRecord(air_to_vacuum(wave), flux, name=path.stem))
    return at_magnitudes(synthetic(records), None, SEED + 5)


def qso_templates(folder: Path) -> Sample:
    """The median, high-EW and high-blueshift QSO of qsogen (Temple et al. 2021), redshifted.

    Continuum and lines of the composite times three power laws, z 0.2-2.4 in steps of 0.1.
    """
    wave, *lines = np.loadtxt(
        folder / "templates" / "qsogen" / "qsosed_emlines_20210625.dat", unpack=True
    )
    median, continuum, peaky, windy = lines[0], lines[1], lines[2], lines[3]
    records, redshift = [], []
    for z in QSO_Z:
        for own in (median, peaky, windy):
            for power in QSO_SLOPES:
                flux = (continuum + own) * (wave / 3000.0) ** power
                records.append(SpectrumRecord(wave * (1 + z), flux, name=f"qso z {z}"))
                redshift.append(z)
    return at_magnitudes(synthetic(records), np.array(redshift), SEED + 6)


def synthetic(records: Sequence[SpectrumRecord]) -> Array:
    """Bandfluxes (N, B) of noise-free spectra, NaN where not covered."""
    photometry = SyntheticPhotometry(load_filters("jpas"), min_coverage=0.99)
    order = [list(photometry.names).index(band) for band in BANDS]
    out = np.full((len(records), len(BANDS)), np.nan)
    for i, record in enumerate(records):
        own = photometry.bandflux(record.wave, record.flux)
        out[i] = np.where(own.observed[0], own.flux[0], np.nan)[order]
    return out
