"""Stars and quasars that the intruder score is fitted on; none of them is among its tests.

Stars: field stars of Gaia DR3 (BP and RP spectra, 3360-10200 Å), 492 MILES stars (3540-7410 Å,
missing bands from the most similar Gaia star), white dwarfs as black bodies with Balmer lines.
Quasars: the emission-line templates of qsogen (Temple, Hewett & Banerji 2021, MNRAS 508,
737) on broken power laws of random slopes, with host, reddening, broad absorption and the
intergalactic medium of Inoue et al. (2014, MNRAS 442, 1805).
"""

from __future__ import annotations

import csv
from importlib.resources import files
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from jpassed.filters import load_filters
from jpassed.jspectrum import SyntheticPhotometry
from jpassed.jspectrum.extinction import extinction_coefficient
from jpassed.units import air_to_vacuum

__all__ = ["BANDS", "quasars", "stars"]

Array = NDArray[np.float64]

BANDS = tuple(load_filters("jpas").names)
REFERENCE = BANDS.index("rSDSS")
GRID = np.exp(np.arange(np.log(2900.0), np.log(11400.0), 8e-4))
"""Observed wavelengths of made spectra, vacuum Å."""

XP_WAVE = 10.0 * (336.0 + 2.0 * np.arange(343))
MILES_RANGE = (3560.0, 7390.0)
BALMER = (6564.6, 4862.7, 4341.7, 4102.9, 3971.2, 3890.2, 3836.5)
QUASAR_REDSHIFTS = (0.05, 5.0)
LYMAN_LIMIT = 911.75


def stars(folder: Path, rng: np.random.Generator, n: int) -> Array:
    """Bandfluxes (n, 60) of stars, over that in r."""
    field = _gaia(folder)
    library = np.concatenate([field, _miles(folder, field), _white_dwarfs(rng, 150)])
    # As many of each kind of light, not of each temperature that the field happens to have.
    colour = np.log(library[:, BANDS.index("gSDSS")] / library[:, BANDS.index("iSDSS")])
    edges = np.quantile(colour, [0.0, 1.0])
    count, edges = np.histogram(colour, 12, range=(edges[0], edges[1]))
    place = np.clip(np.digitize(colour, edges) - 1, 0, 11)
    weight = 1.0 / np.sqrt(count[place])
    rows = rng.choice(len(library), n, p=weight / weight.sum())
    # Fluxes are corrected for all of the Galaxy's dust, and few stars are behind all of it.
    pivot = np.array([band.pivot_wavelength for band in load_filters("jpas")])
    excess = rng.normal(-0.02, 0.04, n)
    flux = library[rows] * 10 ** (-0.4 * excess[:, None] * extinction_coefficient(pivot))
    return np.asarray(flux / flux[:, REFERENCE : REFERENCE + 1])


def quasars(folder: Path, rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """Bandfluxes (n, 60) of quasars, over that in r, and their redshifts."""
    z = np.exp(rng.uniform(*np.log1p(QUASAR_REDSHIFTS), n)) - 1.0
    photometry = SyntheticPhotometry(load_filters("jpas"))
    flux = np.concatenate(
        [
            photometry.bandflux(GRID, _quasar_spectra(folder, z[i : i + 512], rng)).flux
            for i in range(0, n, 512)
        ]
    )
    # A passband of which nothing is left beyond the Lyman limit makes no reference.
    good = flux[:, REFERENCE] > 1e-6 * flux.max(axis=1)
    return flux[good] / flux[good, REFERENCE : REFERENCE + 1], z[good]


def _gaia(folder: Path) -> Array:
    """Field stars whose spectra have a S/N that shows them as stars."""
    basis = fits.getdata(folder / "gaia_xp" / "gaiaxp_bases.fits.gz", 1).astype(float)
    table = fits.getdata(folder / "gaia_xp" / "xp_continuous_field_stars.fits", 1)
    parts, errors = [], []
    for name, curves in zip(("bp", "rp"), basis, strict=True):
        used = np.arange(55) < table[f"{name}_n_relevant_bases"][:, None]
        value = np.stack([table[f"{name}_coeff_{i}"] for i in range(55)], 1).astype(float)
        error = np.stack([table[f"e_{name}_coeff_{i}"] for i in range(55)], 1).astype(float)
        parts.append(np.where(used, value, 0.0) @ curves)
        errors.append(np.sqrt(np.where(used, error, 0.0) ** 2 @ curves**2))
    # BP's curves fade out where those of RP set in: they hold the weights of the joint spectrum.
    flux, error = parts[0] + parts[1], np.hypot(*errors)
    scale = np.median(flux, axis=1, keepdims=True)
    # The grid reaches beyond the spectra: flat ends, which touch the wings of the outer bands.
    spectra = np.stack([np.interp(GRID, XP_WAVE, row) for row in flux / scale])
    bands = SyntheticPhotometry(load_filters("jpas")).bandflux(GRID, spectra).flux
    steady = np.median(error / np.abs(flux), axis=1) < 0.03
    good = steady & (bands > 0.0).all(axis=1)
    return np.asarray(bands[good] / bands[good, REFERENCE : REFERENCE + 1])


def _miles(folder: Path, field: Array) -> Array:
    """MILES stars; bands beyond their spectra are those of the Gaia star that is most like them."""
    stored = np.load(folder / "stars" / "miles_labelled_half.npz")
    wave = air_to_vacuum(stored["wave_A"].astype(float))
    inside = (wave > MILES_RANGE[0]) & (wave < MILES_RANGE[1])
    spectra = stored["flux"].astype(float)[:, inside]
    bands = SyntheticPhotometry(load_filters("jpas")).bandflux(wave[inside], spectra)
    flux = bands.flux / bands.flux[:, REFERENCE : REFERENCE + 1]
    flux = flux[np.isfinite(flux[:, REFERENCE])]
    known = np.isfinite(flux).all(axis=0)
    good = (flux[:, known] > 0).all(axis=1)
    flux = flux[good]
    apart = np.log(flux[:, None, known]) - np.log(field[None][:, :, known])
    like = np.square(apart).sum(axis=2).argmin(axis=1)
    return np.where(known, flux, field[like])


def _white_dwarfs(rng: np.random.Generator, n: int) -> Array:
    """Black bodies of 6,000-45,000 K with the Balmer lines of hydrogen atmospheres, or none."""
    hot = np.exp(rng.uniform(np.log(6000.0), np.log(45000.0), n))[:, None]
    flux = GRID**-5.0 / np.expm1(1.43877e8 / (GRID * hot))
    depth = np.where(rng.random((n, 1)) < 0.7, rng.uniform(0.05, 0.6, (n, 1)), 0.0)
    width = rng.uniform(15.0, 70.0, (n, 1))
    for wave in BALMER:
        flux *= 1.0 - depth / (1.0 + np.square((GRID - wave) / width))
    bands = SyntheticPhotometry(load_filters("jpas")).bandflux(GRID, flux).flux
    return np.asarray(bands / bands[:, REFERENCE : REFERENCE + 1])


def _quasar_spectra(folder: Path, z: Array, rng: np.random.Generator) -> Array:
    """F_lambda on `GRID`, of arbitrary scale."""
    n = len(z)
    rest = GRID / (1.0 + z[:, None])

    def normal(mean: float, sigma: float) -> Array:
        return rng.normal(mean, sigma, (n, 1))

    # f_nu ~ nu^alpha on both sides of a break; discs of quasars scatter by 0.3 (Richards+2003).
    blue, red = normal(-0.35, 0.35), normal(-0.55, 0.4)
    bend = 3880.0 + normal(0.0, 300.0)
    x = rest / bend
    flux = np.where(x < 1.0, x ** (-2.0 - blue), x ** (-2.0 - red))
    flux = np.where(rest < 1200.0, flux * (rest / 1200.0) ** np.abs(normal(0.8, 0.4)), flux)
    flux *= 1.0 + _lines(folder, rest, rng)
    low = np.clip(1.4 - z[:, None], 0.0, 1.0)
    share = low * rng.beta(1.0, 2.2, (n, 1))
    wave, host = np.loadtxt(folder / "templates" / "qsogen" / "S0_template_norm.sed", unpack=True)
    galaxy = np.interp(rest, wave, host) / np.interp(5100.0, wave, host)
    at = np.array([[np.interp(5100.0, r, f)] for r, f in zip(rest, flux, strict=True)])
    # Young populations make hosts, too.
    galaxy = galaxy * (rest / 5100.0) ** rng.uniform(-1.5, 0.2, (n, 1))
    flux = flux / np.maximum(at, 1e-30) * (1.0 - share) + share * galaxy
    curve = np.loadtxt(folder / "templates" / "qsogen" / "pl_ext_comp_03.sph")
    excess = np.clip(rng.exponential(0.06, (n, 1)) - 0.03, -0.03, 0.6)
    flux *= 10 ** (-0.4 * excess * np.interp(rest, curve[:, 0], curve[:, 1]))
    for wave_line in (1549.0, 1400.0, 1240.0, 1033.0, 2798.0):
        share_of = 0.15 if wave_line < 2000.0 else 0.03
        deep = np.where(rng.random((n, 1)) < share_of, rng.uniform(0.2, 1.0, (n, 1)), 0.0)
        centre = wave_line * (1.0 - rng.uniform(0.01, 0.07, (n, 1)))
        width = wave_line * rng.uniform(0.004, 0.02, (n, 1))
        flux *= 1.0 - deep * np.exp(-0.5 * np.square((rest - centre) / width) ** 2)
    return np.asarray(flux * _forest(GRID, z, rng))


def _lines(folder: Path, rest: Array, rng: np.random.Generator) -> Array:
    """Emission lines over the continuum."""
    path = folder / "templates" / "qsogen" / "qsosed_emlines_20210625.dat"
    wave, median, continuum, peaky, windy, narrow = np.loadtxt(path, unpack=True)
    n = len(rest)
    kind = rng.uniform(-1.3, 1.5, (n, 1))
    strength = np.exp(rng.normal(0.0, 0.35, (n, 1)))
    weak = rng.random((n, 1)) < 0.05
    strength = np.where(weak, 0.15 * strength, strength)
    lines = np.zeros_like(rest)
    for i in range(n):
        other, share = (peaky, kind[i, 0]) if kind[i, 0] > 0 else (windy, -kind[i, 0])
        broad = median + share * (other - median)
        shape = strength[i, 0] * broad + rng.gamma(1.0, 1.0) * narrow
        lines[i] = np.interp(rest[i], wave, np.maximum(shape / continuum, -0.9), 0.0, 0.0)
    return lines


def _forest(wave: Array, z: Array, rng: np.random.Generator) -> Array:
    """Intergalactic transmission (Z, W), with scatter from one line of sight to the next."""
    text = (files("jpassed.simulator") / "data" / "igm_inoue2014.csv").read_text("utf-8")
    rows = [row for row in csv.reader(text.splitlines()) if row and not row[0].startswith("#")][1:]
    one_z = 1.0 + z[:, None]
    tau = np.zeros((len(z), wave.size))
    for line, forest, damped in np.array(rows, dtype=float):
        x = wave[None] / line
        # Branches meet where they change: z = 1.2 and 4.7 of the forest, 2 of damped systems.
        late = forest * x**1.2
        early = forest * 2.2**-2.5 * x**3.7
        first = forest * 2.2**-2.5 * 5.7**-1.8 * x**5.5
        laf = np.where(x < 2.2, late, np.where(x < 5.7, early, first))
        dla = damped * np.where(x < 3.0, x**2, x**3 / 3.0)
        tau += np.where((x > 1.0) & (x < one_z), laf + dla, 0.0)
    x = np.clip(wave[None] / LYMAN_LIMIT, 1e-3, None)
    # Madau (1995, ApJ 441, 18), footnote 3: enough for what little is left there.
    limit = 0.25 * x**3 * (one_z**0.46 - x**0.46) + 9.4 * x**1.5 * (one_z**0.18 - x**0.18)
    limit -= 0.7 * x**3 * (x**-1.32 - one_z**-1.32) + 0.023 * (one_z**1.68 - x**1.68)
    tau += np.where((x > 1.0) & (x < one_z), np.clip(limit, 0.0, None), 0.0)
    tau *= np.exp(rng.normal(0.0, 0.2, (len(z), 1)))
    return np.asarray(np.exp(-np.clip(tau, 0.0, 50.0)))
