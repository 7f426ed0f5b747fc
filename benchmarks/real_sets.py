"""What real.py scores: objects with bandfluxes and truths, and their simulated twins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import column, noisy_draws
from astropy.io import fits
from astropy.table import QTable
from numpy.typing import NDArray
from real_spectra import LINES, read_brown, real_galaxy_jspectra
from real_twins import Twins, arrays, flux_table

from jpassed.filters import load_filters
from jpassed.io.spectra import read_spectrum
from jpassed.jspectrum import SyntheticPhotometry
from jpassed.simulator.cosmology import FlatUniverse
from jpassed.surveys import Survey
from jpassed.surveys.rules import ColumnRule
from jpassed.units import from_ab_magnitude

Array = NDArray[np.float64]

SEED = 20261203
JPAS = "minijpas-v1"
GALEX = "minijpas-v1+galex-ais"
ABSOLUTE = (-24.0, -16.0)
"""M_r that Brown SEDs may have."""


@dataclass(frozen=True)
class ObjectSet:
    """N objects with bandfluxes, and what is known of them.

    Attributes
    ----------
    passbands : tuple
        B passbands, with ``name``, ``wave``, ``throughput``.
    flux, error, observed : ndarray (N, B)
        Microjansky.
    z : ndarray (N,)
        True redshift.
    group : ndarray (N,)
        Object of each row, for the bootstrap.
    place : ndarray (N,) of str
        The part of a table that a row belongs to, such as a magnitude.
    known : dict of str to ndarray (N,)
        Other truths.
    """

    passbands: tuple[Any, ...]
    flux: Array
    error: Array
    observed: NDArray[np.bool_]
    z: Array
    group: NDArray[Any]
    place: NDArray[Any]
    known: dict[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.z)

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the passbands."""
        return tuple(band.name for band in self.passbands)

    @property
    def places(self) -> list[str]:
        """The parts, in the order in which they come."""
        return [str(name) for name in dict.fromkeys(self.place)]

    def table(self) -> QTable:
        """Bandfluxes and the true redshift, ``z_true``."""
        table = flux_table(self.bands, self.flux, self.error, self.observed)
        table["z_true"] = self.z
        return table

    def survey(self) -> Survey:
        """What reads `table`: every band by its wavelength and width."""
        rules = [
            ColumnRule(
                "real", "columns", ((band.name, band.name),), (band.name,),
                error=(f"{band.name}_err",), unit="uJy", exact=True,
                passband=(band.pivot_wavelength, band.equivalent_width),
            )
            for band in self.passbands
        ]  # fmt: skip
        return Survey("real", tuple(rules))

    def rows(self, chosen: Any) -> ObjectSet:
        """Some of the rows."""
        return replace(
            self,
            **{
                name: getattr(self, name)[chosen]
                for name in ("flux", "error", "observed", "z", "group", "place")
            },
            known={name: values[chosen] for name, values in self.known.items()},
        )

    def only(self, bands: Sequence[str]) -> ObjectSet:
        """Some of the bands."""
        at = [self.bands.index(name) for name in bands]
        return replace(
            self,
            passbands=tuple(self.passbands[i] for i in at),
            flux=self.flux[:, at],
            error=self.error[:, at],
            observed=self.observed[:, at],
        )


def joined(parts: Sequence[ObjectSet]) -> ObjectSet:
    """Sets of the same bands, one after the other."""
    return replace(
        parts[0],
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("flux", "error", "observed", "z", "group", "place")
        },
        known={
            name: np.concatenate([part.known[name] for part in parts]) for name in parts[0].known
        },
    )


def jpas_set(table: QTable, passbands: Sequence[Any], z: Array, **columns: Any) -> ObjectSet:
    """A set from a table with columns of bandfluxes."""
    flux, error, observed = arrays(table, [band.name for band in passbands])
    return ObjectSet(tuple(passbands), flux, error, observed, np.asarray(z, float), **columns)


def twins_of(
    real: ObjectSet, twins: Twins, magnitude: Array, noise: str, own: Array | None, seed: int
) -> ObjectSet:
    """Twins with survey noise, the real objects' missing bands, and every row its own object.

    `own` (N, B) is the error of the real object's spectrum, microjansky: a fresh draw of it is in
    the twin's flux as well.
    """
    true, labels = twins.at(real.z, magnitude, seed)
    order = [twins.bands.index(name) for name in real.bands]
    own = np.zeros_like(real.flux) if own is None else own
    rng = np.random.default_rng(seed)
    flux = true[:, order] + own * rng.standard_normal(own.shape)
    table, _ = noisy_draws(flux_table(real.bands, flux, own, real.observed), 1, noise, seed)
    group = 1_000_000 * seed + np.arange(len(real))
    return jpas_set(
        table, real.passbands, real.z, group=group, place=real.place, known=labels
    )  # fmt: skip


def spectra_sets(
    folder: Path, magnitudes: Sequence[float], draws: int
) -> tuple[ObjectSet, ObjectSet]:
    """The shared galaxy spectra with noise of a survey, `draws` times, and their twins."""
    passbands = load_filters("jpas")
    twins = Twins(folder, passbands)
    real, simulated = [], []
    for number, magnitude in enumerate(magnitudes):
        table = real_galaxy_jspectra(folder, magnitude=magnitude)
        noisy, rows = noisy_draws(table, draws, JPAS, SEED + number)
        known = {
            name + end: np.ma.filled(
                np.ma.asarray(column(table, name + end), dtype=float), np.nan
            )[rows]
            for name in LINES
            for end in ("", "_err")
        }  # fmt: skip
        one = jpas_set(
            noisy, passbands, np.asarray(table["z_spec"], float)[rows],
            group=np.asarray(table["object"])[rows],
            place=np.full(len(rows), f"r = {magnitude:g}"),
            known=known,
        )  # fmt: skip
        own = arrays(table, one.bands)[1][rows]
        real.append(one)
        simulated.append(
            twins_of(one, twins, np.full(len(one), magnitude), JPAS, own, SEED + 50 + number)
        )
    return joined(real), joined(simulated)


def brown_sets(folder: Path, magnitudes: Sequence[float], each: int) -> tuple[ObjectSet, ObjectSet]:
    """Brown et al. (2014) SEDs with GALEX at random redshifts, and their twins.

    Every SED gets `each` redshifts, one in each of so many equal parts of 0.01-0.8; those at
    which its M_r is within `ABSOLUTE` are kept, magnitude by magnitude. ``known["measured"]`` is
    the share of the J-PAS bands whose part of the SED was observed, not modelled.
    """
    passbands = [band for name in ("jpas", "galex") for band in load_filters(name)]
    clean = brown_photometry(folder, each)
    twins = Twins(folder, passbands)
    real, simulated = [], []
    for number, magnitude in enumerate(magnitudes):
        absolute = magnitude - clean["modulus"] + clean["k_term"]
        use = np.flatnonzero((absolute > ABSOLUTE[0]) & (absolute < ABSOLUTE[1]))
        flux = clean["shape"][use] * from_ab_magnitude(magnitude)
        names = [band.name for band in passbands]
        table = flux_table(names, flux, np.zeros_like(flux), np.ones(flux.shape, bool))
        noisy, _ = noisy_draws(table, 1, GALEX, SEED + 100 + number)
        one = jpas_set(
            noisy, passbands, clean["z"][use], group=clean["name"][use],
            place=np.full(len(use), f"r = {magnitude:g}"),
            known={"measured": clean["measured"][use], "mabs_r": absolute[use]},
        )  # fmt: skip
        real.append(one)
        mags = np.full(len(use), magnitude)
        simulated.append(twins_of(one, twins, mags, GALEX, None, SEED + 150 + number))
    return joined(real), joined(simulated)


def brown_photometry(folder: Path, each: int) -> dict[str, Any]:
    """Bandfluxes over that in rSDSS, at the redshifts of `brown_sets`, and what M_r needs."""
    passbands = [band for name in ("jpas", "galex") for band in load_filters(name)]
    photometry = SyntheticPhotometry(passbands, min_coverage=0.99)
    reference = photometry.names.index("rSDSS")
    narrow = [i for i, name in enumerate(photometry.names) if not name.startswith("galex")]
    at_rest = SyntheticPhotometry([passbands[reference]])
    rng = np.random.default_rng(SEED)
    edges = np.linspace(0.01, 0.8, each + 1)
    universe = FlatUniverse(h0=70.0, om0=0.3)
    rows: dict[str, list[Any]] = {
        key: [] for key in ("shape", "z", "name", "measured", "modulus", "k_term")
    }
    for path in sorted((folder / "templates" / "brown2014").glob("*_spec.dat")):
        sed, (blue, red) = read_brown(path)
        inside = (sed.wave >= blue) & (sed.wave <= red)
        rest = at_rest.bandflux(sed.wave, sed.flux).flux[0, 0]
        for z in rng.uniform(edges[:-1], edges[1:]):
            wave = sed.wave * (1.0 + z)
            both = [photometry.bandflux(wave, values)
                    for values in (sed.flux, np.where(inside, sed.flux, np.nan))]  # fmt: skip
            flux = both[0].flux[0]
            rows["shape"].append(flux / flux[reference])
            rows["z"].append(z)
            rows["name"].append(sed.name)
            rows["measured"].append(both[1].observed[0][narrow].mean())
            rows["modulus"].append(float(universe.distance_modulus(np.array([z]))[0]))
            # M = m - DM + 2.5 log10(f_z / (1+z)) - 2.5 log10(f_rest), both of the same values
            # of F_lambda: redshifting them leaves out a factor (1+z) of F_nu.
            rows["k_term"].append(2.5 * np.log10(flux[reference] / (1.0 + z) / rest))
    return {key: np.array(values) for key, values in rows.items()}


def lrg_sets(
    folder: Path, redshifts: Sequence[float], magnitudes: Sequence[float], draws: int
) -> tuple[ObjectSet, ObjectSet]:
    """The stack of DESI luminous red galaxies (rest frame) at several redshifts."""
    passbands = load_filters("jpas")
    photometry = SyntheticPhotometry(passbands, min_coverage=0.99)
    reference = photometry.names.index("rSDSS")
    (stack,) = read_spectrum(folder / "spectra" / "desi_fastspecfit" / "stack-LRG.fits")
    twins = Twins(folder, passbands)
    real, simulated = [], []
    for number, z in enumerate(redshifts):
        measured = photometry.bandflux(stack.wave * (1.0 + z), stack.flux, stack.ivar)
        for magnitude in magnitudes:
            scale = from_ab_magnitude(magnitude) / measured.flux[:, reference, None]
            table = flux_table(
                photometry.names, np.nan_to_num(measured.flux * scale),
                np.nan_to_num(measured.error * scale), measured.observed,
            )  # fmt: skip
            seed = SEED + 200 + 10 * number + int(magnitude)
            noisy, rows = noisy_draws(table, draws, JPAS, seed)
            one = jpas_set(
                noisy, passbands, np.full(draws, z), group=np.zeros(draws, int),
                place=np.full(draws, f"z = {z:g}, r = {magnitude:g}"),
            )  # fmt: skip
            own = arrays(table, one.bands)[1][rows]
            real.append(one)
            simulated.append(
                replace(
                    twins_of(one, twins, np.full(draws, magnitude), JPAS, own, seed + 7), known={}
                )
            )
    return joined(real), joined(simulated)


def desi_coverage(folder: Path) -> dict[str, Any]:
    """What the reader makes of the DESI QSO coadds: spectra, arms joined, bands observed."""
    photometry = SyntheticPhotometry(load_filters("jpas"), min_coverage=0.99)
    spectra, bands, first, last, agree = 0, [], [], [], []
    for path in sorted((folder / "spectra" / "desi_picca").glob("coadd-*.fits")):
        records = read_spectrum(path)
        measured = photometry.measure(records)
        spectra += len(records)
        bands += measured.observed.sum(axis=1).tolist()
        first += [record.wave[record.good][0] for record in records]
        last += [record.wave[record.good][-1] for record in records]
        agree += arm_ratios(path)
    return {
        "spectra": spectra,
        "bands observed, least and most": [int(min(bands)), int(max(bands))],
        "first and last good pixel": [round(float(max(first)), 1), round(float(min(last)), 1)],
        "flux of one arm over the next where they overlap, median": round(
            float(np.median(agree)), 3
        ),
        "its 1.4826 MAD": round(float(1.4826 * np.median(np.abs(agree - np.median(agree)))), 3),
    }


def arm_ratios(path: Path) -> list[float]:
    """Weighted mean flux of the bluer arm over that of the redder one, B/R and R/Z, S/N > 10."""
    found = []
    with fits.open(path) as hdus:
        for blue, red in (("B", "R"), ("R", "Z")):
            wave = [np.asarray(hdus[f"{arm}_WAVELENGTH"].data, float) for arm in (blue, red)]
            low, high = wave[1][0], wave[0][-1]
            sums = []
            for arm, grid in zip((blue, red), wave, strict=True):
                use = (grid >= low) & (grid <= high)
                flux = np.asarray(hdus[f"{arm}_FLUX"].data, float)[:, use]
                ivar = np.asarray(hdus[f"{arm}_IVAR"].data, float)[:, use]
                sums.append(((flux * ivar).sum(1) / ivar.sum(1), ivar.sum(1) ** -0.5))
            strong = (sums[0][0] > 10 * sums[0][1]) & (sums[1][0] > 10 * sums[1][1])
            found += (sums[0][0] / sums[1][0])[strong].tolist()
    return found
