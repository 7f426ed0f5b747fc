"""Real galaxies of known redshift: broad bands of the SDSS, J-PAS bands of Brown et al. (2014)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.table import Table
from gap_library import Array, Galaxies
from real_spectra import brown_jspectra, read_brown
from scipy.ndimage import gaussian_filter1d

from jpassed.filters import load_filters
from jpassed.jspectrum import SyntheticPhotometry
from jpassed.surveys import load_survey, read_photometry

UGRIZ = ("sdss_u", "sdss_g", "sdss_r", "sdss_i", "sdss_z")
BANDS = (*UGRIZ, "2mass_j", "2mass_h", "2mass_ks", "galex_fuv", "galex_nuv")
BRIGHT, FAINT = 14.0, 17.8
NEAREST, FARTHEST = 0.015, 0.35
NARROW = 300.0
SPEED_KM = 299792.458


def sdss(folder: Path, aperture: str = "MODELFLUX") -> Galaxies:
    """The SDSS galaxies of kcorrect's test table, 14 < r < 17.8 and 0.015 < z < 0.35.

    In the order of the table: even rows are for tuning, odd ones for testing.

    Parameters
    ----------
    folder : Path
    aperture : {"MODELFLUX", "PETROFLUX"}
    """
    table = Table.read(folder / "catalogs" / "sdss_galaxies_gst.fits")
    if aperture != "MODELFLUX":
        table["MODELFLUX"], table["MODELFLUX_IVAR"] = table[aperture], table[f"{aperture}_IVAR"]
    own = read_photometry(table, load_survey("kcorrect-gst"))
    order = [own.bands.index(band) for band in BANDS]
    out = Galaxies(
        BANDS, own.flux[:, order].astype(float), own.error[:, order].astype(float),
        own.observed[:, order], np.asarray(table["Z"], dtype=float), "sdss_r",
    )  # fmt: skip
    keep = (out.magnitude > BRIGHT) & (out.magnitude < FAINT)
    keep &= (out.z > NEAREST) & (out.z < FARTHEST) & out.observed[:, : len(UGRIZ)].all(axis=1)
    return out.rows(keep)


def halves(galaxies: Galaxies, n: int) -> tuple[Galaxies, Galaxies]:
    """At most n galaxies to tune on, and n others to test on."""
    rows = np.arange(len(galaxies))
    return galaxies.rows(rows[rows % 2 == 0][:n]), galaxies.rows(rows[rows % 2 == 1][:n])


def ebv(folder: Path, galaxies: Galaxies) -> Array:
    """E(B-V) of the map of Schlegel, Finkbeiner & Davis (1998) of galaxies of `sdss`."""
    table = Table.read(folder / "catalogs" / "sdss_galaxies_gst.fits")
    own = dict(zip(np.asarray(table["Z"], dtype=float), table["EXTINCTION"][:, 0], strict=True))
    return np.array([own[z] for z in galaxies.z]) / 5.155


def shifted(galaxies: Galaxies, magnitudes: Sequence[float]) -> Galaxies:
    """Offsets added to the magnitudes of the first bands."""
    factor = np.ones(len(galaxies.bands))
    factor[: len(magnitudes)] = 10.0 ** (-0.4 * np.asarray(magnitudes))
    return Galaxies(
        galaxies.bands, galaxies.flux * factor, galaxies.error * factor, galaxies.observed,
        galaxies.z, galaxies.scale_band,
    )  # fmt: skip


def brown(folder: Path, z: float = 0.1) -> Galaxies:
    """The SEDs of Brown et al. (2014) in the J-PAS bands that their observed part covers.

    For comparison only: nothing is ever tuned on them.
    """
    table = brown_jspectra(folder, (z,), (17.0,), filters=("jpas",))
    names = tuple(table.meta["bands"])
    flux = np.stack([np.asarray(table[band].value) for band in names], axis=1)
    seen = np.asarray(table["measured"]) & np.isfinite(flux)
    return Galaxies(
        names, np.where(seen, flux, 1.0), np.zeros_like(flux), seen, np.full(len(flux), z), "rSDSS"
    )


def broadened(folder: Path, velocity: float, z: float = 0.1) -> Array:
    """Change of the bandfluxes (90, 56) of those SEDs smoothed by a Gaussian, km/s; per cent.

    NaN where the band is not covered by the observed part.
    """
    passbands = [b for b in load_filters("jpas") if b.equivalent_width < NARROW]
    photometry = SyntheticPhotometry(passbands, min_coverage=0.99)
    out = []
    for path in sorted((folder / "templates" / "brown2014").glob("*_spec.dat")):
        record, (blue, red) = read_brown(path)
        step = 1e-4
        log = np.arange(np.log(blue), np.log(red), step)
        flux = np.interp(log, np.log(record.wave), record.flux)
        smooth = gaussian_filter1d(flux, velocity / SPEED_KM / step, mode="nearest")
        before, after = (photometry.bandflux(np.exp(log) * (1 + z), own) for own in (flux, smooth))
        ratio = after.flux[0] / before.flux[0] - 1.0
        out.append(np.where(before.observed[0], 100.0 * ratio, np.nan))
    return np.stack(out)
