"""What embeddings are worth: is a galaxy near itself, what do neighbours share, what are the axes.

    PYTHONPATH=. python benchmarks/embedding.py FOLDER [--model default] [--n 10000]
        [--markdown docs/embed.md] [--figure docs/_static/embedding.png]

Simulated galaxies of the declared prior with r < 22.7, measured again with other noise and other
bands. Real ones: 7,000 SDSS galaxies in ugriz, 2MASS and GALEX, the SEDs of Brown et al. (2014) at
six redshifts and r = 19.5, and 17 SDSS and BOSS J-spectra at r = 19 with the pipeline's EWs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import noisy_draws
from astropy.cosmology import FlatLambdaCDM
from astropy.table import Table
from markdown_blocks import markdown_table, replace_block, shown_command
from numpy.typing import NDArray
from real_spectra import brown_jspectra, read_brown, real_galaxy_jspectra
from scipy.stats import spearmanr
from simulated_sample import BANDS, add_noise, library, photometry_table

import jpassed
from jpassed.annotation import embed
from jpassed.evaluation import sigma_nmad
from jpassed.filters import find_band
from jpassed.jspectrum import SyntheticPhotometry
from jpassed.surveys import detect_survey, read_photometry

Array = NDArray[np.float64]

SEED = 20_261_065
EDGES = (0.0, 20.0, 21.0, 22.0, 22.7)
LIMIT = 22.7
LABELS = ("mag_r", "z", "ur_rest", "mabs_r", "logmstar", "ssfr", "logage_m", "av", "ew_halpha")
AXES = 6
BROWN_Z = (0.05, 0.1, 0.2, 0.3, 0.45, 0.6)
COSMOLOGY = FlatLambdaCDM(70.0, 0.3)


def vectors(table: Any, model: Any) -> Array:
    """Embeddings (N, 32)."""
    return np.ma.filled(np.ma.asarray(embed(table, model=model)["jp_embedding"]), np.nan).astype(
        float
    )


def simulated_views(folder: Path, n: int, model: Any) -> tuple[dict[str, Array], dict[str, Array]]:
    """Embeddings of n galaxies by view, and their truths."""
    rows = library(folder, int(2.1 * n), None, balance=0.0, seed=SEED)
    kept = np.flatnonzero(rows["mag_r"] < LIMIT)[:n]
    truth = {name: value[kept] for name, value in rows.items()}
    truth["ssfr"] = truth["logsfr"] - truth["logmstar"]
    rng = np.random.default_rng(SEED)
    shown = {
        "all": np.ones((len(kept), len(BANDS)), dtype=bool),
        "other noise": np.ones((len(kept), len(BANDS)), dtype=bool),
        "half of the bands": rng.random((len(kept), len(BANDS))) < 0.5,
        "odd": np.broadcast_to(np.arange(len(BANDS)) % 2 == 1, (len(kept), len(BANDS))),
        "even": np.broadcast_to(np.arange(len(BANDS)) % 2 == 0, (len(kept), len(BANDS))),
        "uJPAS, g, r, i": np.broadcast_to(np.arange(len(BANDS)) >= 56, (len(kept), len(BANDS))),
    }
    found = {}
    for i, (name, seen) in enumerate(shown.items()):
        noisy, error = add_noise(truth["flux"], SEED + i)
        hidden = ~seen | ~seen.any(axis=1, keepdims=True)
        table = photometry_table(np.where(hidden, np.nan, noisy), np.where(hidden, np.nan, error))
        found[name] = vectors(table, model)
    return found, truth


def ranks(query: Array, reference: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many rows of the reference are nearer than the same row; the nearest other row."""
    place, nearest = [], []
    norm = np.square(reference).sum(axis=1)
    for start in range(0, len(query), 500):
        part = query[start : start + 500]
        apart = norm - 2.0 * part @ reference.T
        own = np.arange(len(part))
        mine = apart[own, own + start].copy()
        place.append((apart < mine[:, None]).sum(axis=1))
        apart[own, own + start] = np.inf
        nearest.append(apart.argmin(axis=1))
    return np.concatenate(place), np.concatenate(nearest)


def retrieval(found: dict[str, Array], mag: Array) -> str:
    """Share of galaxies that are nearest to themselves, and among the ten nearest."""
    body = []
    for query, reference in (
        ("other noise", "all"), ("half of the bands", "all"), ("odd", "even"),
        ("uJPAS, g, r, i", "all"),
    ):  # fmt: skip
        place, _ = ranks(found[query], found[reference])
        cells = []
        for low, high in [*zip(EDGES[:-1], EDGES[1:], strict=True), (0.0, 99.0)]:
            here = (mag >= low) & (mag < high)
            cells.append(f"{np.mean(place[here] == 0):.3f}, {np.mean(place[here] < 10):.3f}")
        what = query if reference == "all" else "even bands, by the odd ones"
        body.append([what, *cells])
    bins = [f"{low:g}-{high:g}" for low, high in zip(EDGES[:-1], EDGES[1:], strict=True)]
    head = [f"itself first, in ten; of {len(mag)}", *(f"r {b}" for b in bins), "all"]
    return markdown_table(head, body)


def shared(truth: dict[str, Array], nearest: NDArray[np.int64]) -> str:
    """Scatter of truths between nearest neighbours, and between random pairs."""
    rng = np.random.default_rng(SEED)
    random = rng.permutation(len(nearest))
    body = []
    for title, values in (
        ("z / (1 + z)", np.log1p(truth["z"])), ("(u-r)_rest, mag", truth["ur_rest"]),
        ("log M*", truth["logmstar"]), ("log sSFR", truth["ssfr"]),
        ("log EW(Halpha), both over 10 Å", np.log10(np.where(
            truth["ew_halpha"] > 10.0, truth["ew_halpha"], np.nan))),
        ("A_V", truth["av"]),
    ):  # fmt: skip
        spread = []
        for other in (nearest, random):
            apart = values[other] - values
            apart = apart[np.isfinite(apart)]
            spread.append(f"{sigma_nmad(apart, np.zeros_like(apart)):.3f}")
        body.append([title, *spread])
    return markdown_table(["scatter of the difference", "nearest", "random pair"], body)


def axes(rows: list[tuple[str, Array, Array]]) -> str:
    """Spearman's rank correlation of the first axes with known quantities."""
    body = []
    for title, points, values in rows:
        known = np.isfinite(values) & np.isfinite(points).all(axis=1)
        rho = [spearmanr(points[known, i], values[known]).statistic for i in range(points.shape[1])]
        strongest = int(np.argmax(np.abs(rho)))
        body.append(
            [title, str(int(known.sum())), *(f"{r:+.2f}" for r in rho[:AXES]),
             f"{rho[strongest]:+.2f} ({strongest + 1})"]
        )  # fmt: skip
    head = ["Spearman's rho", "N", *(f"axis {i + 1}" for i in range(AXES)), "strongest (axis)"]
    return markdown_table(head, body)


def sdss(folder: Path, model: Any) -> tuple[Array, dict[str, Array]]:
    """Embeddings and truths of the 7,000 SDSS galaxies."""
    table = Table.read(folder / "catalogs" / "sdss_galaxies_gst.fits")
    photometry = read_photometry(table, detect_survey(table))
    flux = {b: np.clip(photometry.flux[:, i], 1e-3, None) for i, b in enumerate(photometry.bands)}
    magnitude = {b: 23.9 - 2.5 * np.log10(flux[b]) for b in ("sdss_u", "sdss_g", "sdss_r")}
    z = np.asarray(table["Z"], dtype=float)
    truth = {
        "z": z, "u-g": magnitude["sdss_u"] - magnitude["sdss_g"],
        "g-r": magnitude["sdss_g"] - magnitude["sdss_r"],
        "r": magnitude["sdss_r"],
        "M_r": magnitude["sdss_r"] - COSMOLOGY.distmod(np.clip(z, 1e-3, None)).value,
    }  # fmt: skip
    return vectors(table, model), truth


def brown(folder: Path, model: Any) -> tuple[Array, Array, dict[str, Array]]:
    """Two measurements of the Brown SEDs, and truths."""
    table = brown_jspectra(folder, BROWN_Z, (19.5,), filters=("jpas",))
    noisy, rows = noisy_draws(table, 2)
    found = vectors(noisy, model)
    photometry = SyntheticPhotometry([find_band("sdss_u"), find_band("sdss_r")])
    colour = {}
    for path in sorted((folder / "templates" / "brown2014").glob("*_spec.dat")):
        record, _ = read_brown(path)
        u, r = photometry.bandflux(record.wave, record.flux).flux[0]
        colour[record.name] = -2.5 * np.log10(u / r)
    truth = {
        "z": np.asarray(table["true_z"], dtype=float),
        "u-r": np.array([colour[name] for name in table["name"]]),
    }
    first = np.flatnonzero(rows[1:] == rows[:-1])
    return found[first], found[first + 1], truth


def main() -> None:
    """Measure, print, and put the tables into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("--model", default="default")
    parser.add_argument("--n", type=int, default=10000, help="simulated galaxies")
    parser.add_argument("--markdown", type=Path, default=None)
    parser.add_argument("--figure", type=Path, default=None)
    options = parser.parse_args()
    model = jpassed.load_model(options.model)
    found, truth = simulated_views(options.folder, options.n, model)
    _, nearest = ranks(found["all"], found["all"])
    real, known = sdss(options.folder, model)
    _, like = ranks(real, real)
    first, second, seds = brown(options.folder, model)
    place, _ = ranks(second, first)
    spectra = real_galaxy_jspectra(options.folder, magnitude=19.0)
    drawn, rows = noisy_draws(spectra, 20)
    points = vectors(drawn, model)
    spectra_points = np.stack([points[rows == i].mean(axis=0) for i in range(len(spectra))])
    width = np.ma.filled(np.ma.asarray(spectra["ew_halpha"], dtype=float), np.nan)
    correlations = [
        *((f"simulated, {name}", found["all"], truth[name]) for name in LABELS),
        *((f"SDSS ugriz, {name}", real, values) for name, values in known.items()),
        *((f"Brown J-spectra, {name}", first, values) for name, values in seds.items()),
        ("SDSS J-spectra, z", spectra_points, np.asarray(spectra["z_spec"], dtype=float)),
        ("SDSS J-spectra, EW(Halpha)", spectra_points, width),
    ]
    rng = np.random.default_rng(SEED)
    random = rng.permutation(len(like))
    neighbours = markdown_table(
        ["SDSS galaxies in ugriz, 2MASS, GALEX: scatter", "nearest", "random pair"],
        [[name, *(f"{sigma_nmad(v[o] - v, np.zeros(len(v))):.3f}" for o in (like, random))]
         for name, v in known.items()],
    )  # fmt: skip
    text = "\n\n".join(
        [
            f"`{shown_command(sys.argv)}`, network `{model.digest}`.",
            retrieval(found, truth["mag_r"]),
            shared(truth, nearest),
            neighbours,
            f"Brown SEDs at r = 19.5, each measured twice: {100 * np.mean(place == 0):.1f} % of "
            f"{len(place)} are nearest to themselves, {100 * np.mean(place < 10):.1f} % among ten.",
            axes(correlations),
        ]
    )
    print(text)
    if options.markdown:
        replace_block(options.markdown, "embedding", text)
    if options.figure:
        from embedding_figure import draw

        draw(options.figure, real, known, first, seds, found["all"], truth)


if __name__ == "__main__":
    main()
