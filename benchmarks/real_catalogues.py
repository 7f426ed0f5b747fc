"""The real catalogues of real.py: 7,000 SDSS galaxies with GALEX and 2MASS, and the VVDS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray
from real_scores import (
    FLUX_STATISTICS,
    POINT_STATISTICS,
    Row,
    intervals,
    magnitude_difference,
)
from real_sets import SEED, ObjectSet
from real_twins import Twins

from jpassed.annotation import infer
from jpassed.filters import Passband, find_band
from jpassed.posteriors import Distribution
from jpassed.surveys import detect_survey, load_survey, read_photometry
from jpassed.units import ab_magnitude

Array = NDArray[np.float64]

UGRIZ = ("sdss_u", "sdss_g", "sdss_r", "sdss_i", "sdss_z")
UV = ("galex_nuv", "galex_fuv")
INFRARED = ("2mass_j", "2mass_h", "2mass_ks")
BAND_SETS = {
    "ugriz": UGRIZ,
    "ugriz + GALEX": UGRIZ + UV,
    "ugriz + 2MASS": UGRIZ + INFRARED,
    "ugriz + 2MASS + GALEX": UGRIZ + INFRARED + UV,
}
COLOUR_REDSHIFTS = (0.05, 0.1, 0.15, 0.2, 0.3)
ZERO_POINT = 0.02
"""Scatter in magnitudes of the zero points of twins, which the stated errors leave out."""

BACKGROUND = {"galex_nuv": 0.03, "galex_fuv": 0.003}
"""Counts/s of sky in a galaxy's aperture: with it error^2 = (background + flux) / exposure gives
bright and faint galaxies of the table's shallow tiles the same exposure."""

ZERO_POINTS = {"galex_nuv": 20.08, "galex_fuv": 18.82}
SIMULATED = 1500
"""Twins of which the ultraviolet is predicted."""

DETECTED = 3.0
"""S/N of the explicit selection; the table has detections down to 2."""

COLOUR_PARTS = {"u - g up to 1.4": (-np.inf, 1.4), "u - g over 1.4": (1.4, np.inf)}
"""Star-forming and old galaxies, roughly."""

CURVES = {
    "vvds_b": "B_cfh12k", "vvds_v": "V_cfh12k", "vvds_r": "R_cfh12k", "vvds_i": "I_cfh12k",
    "cfhtls_u": "u_megacam", "cfhtls_g": "g_megacam", "cfhtls_r": "r_megacam",
    "cfhtls_i": "i_megacam", "cfhtls_z": "z_megacam",
}  # fmt: skip
VVDS_LIMITS = {"z": 1.2, "r": 22.7}


@dataclass(frozen=True)
class Ultraviolet:
    """GALEX exposures (s) and microjansky of a count/s, N objects, of one band."""

    exposure: Array
    scale: Array

    def error(self, flux: Array, band: str) -> Array:
        """Error of a flux, microjansky."""
        counts = np.maximum(flux / self.scale, 0.0) + BACKGROUND[band]
        return np.sqrt(counts / self.exposure) * self.scale

    def limit(self, band: str) -> Array:
        """The flux of S/N `DETECTED`, microjansky: f^2 = S^2 (background + f) / exposure."""
        half = DETECTED**2 / (2.0 * self.exposure)
        return (half + np.sqrt(half**2 + 2.0 * half * BACKGROUND[band])) * self.scale


def exposures(real: ObjectSet, band: str) -> Ultraviolet:
    """Of every object with a measurement in a GALEX band; NaN for the others."""
    i = real.bands.index(band)
    seen = real.observed[:, i]
    scale = 3631e6 * 10 ** (-0.4 * ZERO_POINTS[band])
    counts, error = real.flux[:, i] / scale, real.error[:, i] / scale
    with np.errstate(divide="ignore", invalid="ignore"):
        exposure = np.where(seen, (BACKGROUND[band] + np.maximum(counts, 0)) / error**2, np.nan)
    return Ultraviolet(exposure, np.full(len(real), scale))


def sdss_sets(folder: Path) -> tuple[ObjectSet, ObjectSet]:
    """The 7,000 galaxies of sdss_galaxies_gst.fits and their twins.

    A twin has the errors and the missing 2MASS bands of its real galaxy. GALEX: the twins' noise
    follows the exposures of the real detections; a twin is detected above S/N `DETECTED` if it is
    in the footprint, whose share of the sky is such that as many twins as real galaxies are.
    ``known`` of the twins has the noisy GALEX fluxes of all of them.
    """
    table = Table.read(folder / "catalogs" / "sdss_galaxies_gst.fits")
    photometry = read_photometry(table, detect_survey(table))
    passbands = tuple(find_band(name) for name in photometry.bands)
    number = np.arange(len(table))
    real = ObjectSet(
        passbands, photometry.flux, photometry.error, photometry.observed,
        np.asarray(table["Z"], float), number, np.full(len(table), "all"),
    )  # fmt: skip
    magnitude = ab_magnitude(real.flux[:, real.bands.index("sdss_r")])
    true, _ = Twins(folder, passbands).at(real.z, magnitude, SEED + 300)
    rng = np.random.default_rng(SEED + 301)
    true *= 10 ** (0.4 * ZERO_POINT * rng.standard_normal(true.shape))
    error, observed = real.error.copy(), real.observed.copy()
    draws = rng.standard_normal(true.shape)
    known = {}
    footprint = rng.random(len(real))
    for band in UV:
        i = real.bands.index(band)
        law = exposures(real, band)
        given = np.flatnonzero(np.isfinite(law.exposure))
        taken = Ultraviolet(law.exposure[rng.choice(given, len(real))], law.scale)
        error[:, i] = taken.error(true[:, i], band)
        noisy = true[:, i] + error[:, i] * draws[:, i]
        error[:, i] = taken.error(noisy, band)
        found = noisy > taken.limit(band)
        share = real.observed[:, i].sum() / max(1, found.sum())
        observed[:, i] = found & (footprint < share)
        known |= {
            band: noisy, f"{band}_err": error[:, i].copy(), f"{band}_limit": taken.limit(band)
        }  # fmt: skip
    noisy = true + error * draws
    for band in UV:
        noisy[:, real.bands.index(band)] = known[band]
    return real, replace(real, flux=noisy, error=error, observed=observed, known=known)


def colours(real: ObjectSet, twin: ObjectSet) -> list[Row]:
    """Median and width (84 minus 16 %) of colours in redshift bins, real galaxies and twins."""
    found = []
    for low, high in zip(COLOUR_REDSHIFTS[:-1], COLOUR_REDSHIFTS[1:], strict=True):
        here = (real.z >= low) & (real.z < high)
        for blue, red in zip(UGRIZ[:-1], UGRIZ[1:], strict=True):
            row: Row = {
                "z": f"{low:g}-{high:g}", "n": int(here.sum()),
                "colour": f"{blue[-1]} - {red[-1]}",
            }  # fmt: skip
            for label, objects in (("real", real), ("simulated", twin)):
                top, bottom = (
                    np.maximum(objects.flux[here, objects.bands.index(name)], 1e-3)
                    for name in (blue, red)
                )
                quantiles = np.quantile(magnitude_difference(top, bottom), (0.16, 0.5, 0.84))
                row[label] = [float(quantiles[1]), float(quantiles[2] - quantiles[0])]
            found.append(row)
    return found


def by_trees(real: ObjectSet, twin: ObjectSet, folds: int = 3) -> dict[str, Row]:
    """Redshifts from ugriz by gradient boosting: what the colours hold, learned from each set.

    Trained on the twins or on the real galaxies, with their own distribution of redshift and
    magnitude as prior; rows that are scored were not trained on. Needs scikit-learn.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.model_selection import KFold, cross_val_predict

    def inputs(objects: ObjectSet) -> Array:
        given = objects.only(UGRIZ)
        magnitude = ab_magnitude(np.maximum(given.flux, 1e-2))
        return np.concatenate([-np.diff(magnitude, axis=1), magnitude[:, 2:3]], axis=1)

    learner = HistGradientBoostingRegressor(max_iter=150, loss="absolute_error", random_state=0)
    split = KFold(folds, shuffle=True, random_state=0)
    seen, made = inputs(real), inputs(twin)
    answers = {
        "from twins, on twins": (cross_val_predict(learner, made, twin.z, cv=split), twin),
        "from twins, on real": (learner.fit(made, twin.z).predict(seen), real),
        "from real, on real": (cross_val_predict(learner, seen, real.z, cv=split), real),
    }
    statistics = {name: POINT_STATISTICS[name] for name in ("sigma_nmad", "bias", "outliers")}
    return {
        label: intervals(statistics, (z, objects.z), objects.group)
        for label, (z, objects) in answers.items()
    }


def vvds_passbands(folder: Path) -> tuple[Passband, ...]:
    """The passbands of `vvds.yaml`; U is a box."""
    found = [Passband.from_arrays("vvds_u", [3399.0, 3400.0, 3900.0, 3901.0], [0.0, 1.0, 1.0, 0.0])]
    for name, file in CURVES.items():
        wave, curve = np.loadtxt(folder / "filters" / "dirac_photoz" / f"{file}.res", unpack=True)
        found.append(Passband.from_arrays(name, wave, curve, medium="air"))
    return tuple(found)


def vvds_sets(folder: Path) -> tuple[ObjectSet, ObjectSet]:
    """VVDS galaxies with 0 < z < 1.2 and r < 22.7, by r magnitude, and their twins."""
    table = Table.read(folder / "catalogs" / "vvds_deep_veryreliable.csv", format="ascii.csv")
    z, r = np.asarray(table["ds_spectra.Z"], float), np.asarray(table["MAG_AUTO_R"], float)
    use = np.flatnonzero((z > 0) & (z < VVDS_LIMITS["z"]) & (r > 0) & (r < VVDS_LIMITS["r"]))
    use = use[np.argsort(r[use])]
    photometry = read_photometry(
        table[use], load_survey(Path(__file__).with_name("vvds.yaml"))
    )  # fmt: skip
    passbands = vvds_passbands(folder)
    photometry = photometry.select([band.name for band in passbands])
    z, r = z[use], r[use]
    real = ObjectSet(
        passbands, photometry.flux, photometry.error, photometry.observed, z,
        np.arange(len(z)), np.where(r < 21, "r < 21", np.where(r < 22, "r 21-22", "r 22-22.7")),
    )  # fmt: skip
    true, _ = Twins(folder, passbands).at(z, r, SEED + 400)
    rng = np.random.default_rng(SEED + 401)
    true *= 10 ** (0.4 * ZERO_POINT * rng.standard_normal(true.shape))
    flux = true + real.error * rng.standard_normal(true.shape)
    return real, replace(real, flux=flux)


def ultraviolet(real: ObjectSet, twin: ObjectSet, model: Any) -> dict[str, dict[str, Row]]:
    """GALEX fluxes predicted from ugriz, redshift unknown and known.

    Returns
    -------
    dict
        By band and by what is known, rows: ``real, detected``; ``real, selection known`` (S/N over
        `DETECTED`, the posterior cut at that limit); ``simulated`` alike, and ``simulated, all``
        before any detection.
    """
    result: dict[str, dict[str, Row]] = {}
    few = twin.rows(np.arange(min(len(twin), SIMULATED)))
    for band in UV:
        i = real.bands.index(band)
        detected = np.flatnonzero(real.observed[:, i])
        limit = exposures(real, band).limit(band)[detected]
        simulated_limit = few.known[f"{band}_limit"]
        cases = {
            "real": (real.rows(detected), limit),
            "simulated": (few, simulated_limit),
        }
        for label, context in (("z unknown", None), ("z known", {"z": "z_true"})):
            rows: dict[str, Row] = {}
            for name, (objects, least) in cases.items():
                given = objects.only(UGRIZ)
                posterior = infer(
                    given.table(), model=model, survey=given.survey(),
                    outputs=(f"flux:{band}",), context=context,
                )[f"flux:{band}"]  # fmt: skip
                flux, error = objects.flux[:, i], objects.error[:, i]
                if name == "simulated":
                    error = objects.known[f"{band}_err"]
                    rows["simulated, all"] = flux_row(posterior, flux, error, flux > 0)
                    rows["simulated, detected"] = flux_row(posterior, flux, error, flux > least)
                else:
                    rows["real, detected"] = flux_row(posterior, flux, error, flux > 0)
                bright = flux > least
                rows[f"{name}, selection known"] = flux_row(posterior, flux, error, bright, least)
                u_g = magnitude_difference(*np.maximum(given.flux[:, :2], 1e-3).T)
                for colour, part in COLOUR_PARTS.items():
                    here = bright & (u_g > part[0]) & (u_g <= part[1])
                    row = flux_row(posterior, flux, error, here, least)
                    rows[f"{name}, selection known, {colour}"] = row
            result[f"{band}, {label}"] = rows
    return result


def flux_row(
    posterior: Distribution, flux: Array, error: Array, use: Any, limit: Array | None = None
) -> Row:
    """Residual in magnitudes and coverage of some rows.

    With `limit` the predictive distribution, error included, is cut below it: that is the
    probability of a flux given that it was detected. The residual is from its median then.
    """
    chosen = np.flatnonzero(use)
    part, seen = posterior[chosen], flux[chosen]
    measured = part.broadened(seen, error[chosen])
    p = measured.cdf(seen)
    middle = part.median()
    if limit is not None:
        below = measured.cdf(limit[chosen])
        p = np.clip((p - below) / np.maximum(1.0 - below, 1e-12), 0.0, 1.0)
        middle = median_above(measured, below)
    residual = magnitude_difference(np.maximum(seen, 1e-6), middle)
    return intervals(FLUX_STATISTICS, (residual, p), chosen)


def median_above(distribution: Distribution, below: Array) -> Array:
    """Median of what is left above a cumulative probability, one for each object."""
    levels = np.concatenate([np.linspace(0.02, 0.98, 49), [0.99, 0.999]])
    table = distribution.quantile(levels)
    wanted = below + 0.5 * (1.0 - below)
    return np.array([np.interp(w, levels, row) for w, row in zip(wanted, table, strict=True)])
