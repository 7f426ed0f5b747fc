"""Recalibration with objects of known redshift, shown on others: simulated and real.

    PYTHONPATH=. python benchmarks/calibrate.py FOLDER --markdown docs/calibrate.md

FOLDER is the shared data. Each sample is split at random: some objects recalibrate the model, the
figures are those of the others, before and after. With --figure the PIT histograms are drawn.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from astropy.table import QTable, Table
from markdown_blocks import markdown_table, replace_block, shown_command
from scipy.optimize import minimize
from scipy.special import ndtri
from simulated_sample import simulated

from jpassed.adaptation import calibrate
from jpassed.evaluation import bias, coverage, pit_distance
from jpassed.io.catalogs import read_catalog
from jpassed.plotting import plot_pit
from jpassed.surveys import Survey, load_survey, read_photometry
from jpassed.units import ab_magnitude
from jpassed.validation import Evaluation, evaluate
from jpassed.weights import load_model

SEED = 20_261_207
SIMULATED = 3000
USED = (50, 100, 300, 1000)
"""Objects of known redshift."""

WRONG = 1.5
"""Factor by which the errors of one simulated sample are understated."""

MAGNITUDES, REDSHIFTS = (14, 15, 16, 17, 18, 19, 20), (0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
FEWEST = 50
"""Bins of the table that shows what one map for all objects does."""

STATISTICS = {
    "pit_distance": "PIT distance", "coverage_68": "68 % hold", "coverage_95": "95 % hold",
    "log_score": "log score", "crps": "CRPS", "bias": "bias", "sigma_nmad": "sigma_NMAD",
}  # fmt: skip
"""Compared before and after."""


@dataclass(frozen=True)
class Sample:
    """A table, the column of its true redshift, and its survey."""

    table: Any
    truth: str
    survey: str | Survey = "auto"


def read_samples(folder: Path) -> dict[str, Sample]:
    """The samples, simulated ones first."""
    table = simulated(folder, SIMULATED, SEED)
    wrong = table.copy()
    for name in table.colnames:
        if name.endswith("_err"):
            wrong[name] = table[name] / WRONG
    sdss = read_catalog(folder / "catalogs" / "sdss_galaxies_gst.fits")
    for name in sdss.colnames:  # ugriz alone
        if name.startswith(("J_M", "H_M", "K_M", "NUV", "FUV")):
            sdss[name] = np.full(len(sdss), -99.0)
    vvds = Table.read(folder / "catalogs" / "vvds_deep_veryreliable.csv", format="ascii.csv")
    z, r = np.asarray(vvds["ds_spectra.Z"], float), np.asarray(vvds["MAG_AUTO_R"], float)
    vvds = vvds[(z > 0) & (z < 1.2) & (r > 0) & (r < 22.7)]
    return {
        "simulated J-PAS, errors as they are": Sample(table, "true_z"),
        f"simulated J-PAS, errors understated by {WRONG}": Sample(wrong, "true_z"),
        "SDSS galaxies, ugriz": Sample(sdss, "Z"),
        "VVDS, UBVRI and ugriz, r < 22.7": Sample(
            QTable(vvds), "ds_spectra.Z", load_survey(Path(__file__).with_name("vvds.yaml"))
        ),
    }


def assess(sample: Sample, rows: Any, model: Any) -> Evaluation:
    """Figures of some rows."""
    return evaluate(
        sample.table[rows], {"z": sample.truth}, model=model, survey=sample.survey, n_bootstrap=0,
        by={},
    )  # fmt: skip


def compare(sample: Sample, model: Any) -> dict[str, Any]:
    """Before and after, on objects that recalibrated nothing; by the number of those that did."""
    order = np.random.default_rng(SEED).permutation(len(sample.table))
    most = min(max(USED), len(order) // 2)
    test = order[most:]
    before = assess(sample, test, model)
    pit = before.compared["z"].scores.pit
    log_score = before.value("log_score")
    found: dict[str, Any] = {"n": len(test), "most": most, "before": before, "by": {}}
    for n in (*(k for k in USED if k < most), most):
        fitted = calibrate(
            sample.table[order[:n]], {"z": sample.truth}, model=model, survey=sample.survey,
            force=True,
        )  # fmt: skip
        row = fitted.table[0]
        helps = row["log_score_gain"] > row["log_score_gain_error"]
        after = assess(sample, test, fitted.model)
        found["by"][n] = {
            "form": row["form"],
            "promised": (row["log_score_gain"], row["log_score_gain_error"]),
            "gain": after.value("log_score") - log_score,
            "distance": after.value("pit_distance"),
            "coverage": after.value("coverage_68"),
            "taken": bool(helps),
        }
        found["after"] = after
    found["pit"] = {
        "before": pit[np.isfinite(pit)],
        "after": found["after"].compared["z"].scores.pit,
    }
    return found


def main_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Before and after, with the largest number of objects."""
    body = []
    for name, found in results.items():
        for which in ("before", "after"):
            about = name if which == "before" else ""
            n = f"{found['n']}" if which == "before" else f"by {found['most']} others"
            cells = [_shown(s, found[which].value(s)) for s in STATISTICS]
            body.append([about, which, n, *cells])
    return markdown_table(["objects", "", "n", *STATISTICS.values()], body)


def number_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """What few objects are worth."""
    body = []
    for name, found in results.items():
        for i, (n, row) in enumerate(found["by"].items()):
            body.append(
                [
                    "" if i else name,
                    f"{n}",
                    row["form"],
                    f"{row['promised'][0]:+.3f} ± {row['promised'][1]:.3f}",
                    "yes" if row["taken"] else "no",
                    f"{row['gain']:+.3f}",
                    f"{row['distance']:.3f}",
                    f"{100 * row['coverage']:.1f} %",
                ]
            )
    head = ["objects", "used", "map", "gain by cross-validation", "taken", "gain of the others",
            "their PIT distance", "68 % hold"]  # fmt: skip
    return markdown_table(head, body)


def by_magnitude(sample: Sample, band: str, model: Any) -> list[list[str]]:
    """Whether a map that changes with magnitude is worth more: held-out gains, by number used.

    Shift and (logarithmic) stretch of normal scores, each with a slope in magnitude, at the best
    log score; the log score of an object gains 0.5 (u^2 - g^2) - ln(stretch) by the map g of u.
    """
    found = assess(sample, slice(None), model).compared["z"].scores.pit
    u = np.clip(ndtri(found), -4.5, 4.5)
    photometry = read_photometry(sample.table, sample.survey)
    flux = photometry.flux[:, photometry.bands.index(band)]
    good = np.isfinite(u) & (flux > 0)
    u, magnitude = u[good], ab_magnitude(flux[good])
    x = np.clip((magnitude - magnitude.mean()) / magnitude.std(), -2.5, 2.5)
    order = np.random.default_rng(SEED).permutation(len(u))
    rows = []
    for n in USED:
        cells = [f"{n}"]
        for slopes in (0.0, 1.0):

            def loss(p: Any, which: Any, slopes: float = slopes) -> float:
                shift, stretch = p[0] + slopes * p[1] * x[which], p[2] + slopes * p[3] * x[which]
                g = (u[which] - shift) * np.exp(-stretch)
                return float(np.mean(0.5 * (g**2 - u[which] ** 2) + stretch))

            best = minimize(loss, np.zeros(4), args=(order[:n],)).x
            cells.append(f"{-loss(best, order[max(USED) :]):+.3f}")
        rows.append(cells)
    return rows


def in_bins(sample: Sample, band: str, model: Any) -> str:
    """What one map does to objects of some magnitude and redshift: others than it is fitted to."""
    order = np.random.default_rng(SEED).permutation(len(sample.table))
    used, test = order[: max(USED)], sample.table[order[max(USED) :]]
    fitted = calibrate(
        sample.table[used], {"z": sample.truth}, model=model, survey=sample.survey, force=True
    )
    before, after = (
        evaluate(test, {"z": sample.truth}, model=one, survey=sample.survey, n_bootstrap=0,
                 by={band: MAGNITUDES}).compared["z"]
        for one in (model, fitted.model)
    )  # fmt: skip
    photometry = read_photometry(test, sample.survey)
    flux = photometry.flux[:, photometry.bands.index(band)]
    magnitude = np.where(flux > 0, ab_magnitude(np.where(flux > 0, flux, 1.0)), np.nan)
    body = []
    for what, values, edges in (
        ("r", magnitude, MAGNITUDES), ("true z", before.truth.value, REDSHIFTS)
    ):  # fmt: skip
        for low, high in pairwise(edges):
            rows = before.use & (values >= low) & (values < high)
            if rows.sum() < FEWEST:
                continue
            cells = []
            for one in (before, after):
                pit, z = one.scores.pit[rows], one.truth.value[rows]
                cells += [
                    _shown("coverage_68", coverage(pit, 0.68)),
                    _shown("pit_distance", pit_distance(pit)),
                    _shown("bias", bias(one.scores.median[rows], z)),
                ]
            body.append([f"{what} {low:g} to {high:g}", f"{rows.sum()}", *cells])
    head = [f"{name}, {when}" for when in ("before", "after")
            for name in ("68 % hold", "PIT distance", "bias")]  # fmt: skip
    return markdown_table(["SDSS galaxies", "n", *head], body)


def draw(results: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """PIT histograms before and after."""
    from matplotlib.figure import Figure

    shown = list(results.items())[1:]
    figure = Figure(figsize=(4.0 * len(shown), 3.4), layout="constrained")
    for ax, (name, found) in zip(figure.subplots(1, len(shown)), shown, strict=True):
        plot_pit(found["pit"], ax=ax)
        ax.set_title(name, fontsize="medium")
    figure.savefig(path, dpi=90)


def _shown(statistic: str, value: float) -> str:
    if statistic.startswith("coverage"):
        return f"{100 * value:.1f} %"
    return f"{value:.4f}" if statistic in ("bias", "sigma_nmad", "crps") else f"{value:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--markdown", type=Path, help="page to write the tables into")
    parser.add_argument("--figure", type=Path, help="where to draw PIT histograms")
    options = parser.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    model = load_model(options.model)
    results = {}
    samples = read_samples(options.folder)
    for name, sample in samples.items():
        results[name] = compare(sample, model)
        print(f"{name}: {time.perf_counter() - start:.0f} s")
    (sdss,) = (name for name in samples if name.startswith("SDSS"))
    slopes = by_magnitude(samples[sdss], "sdss_r", model)
    bins = in_bins(samples[sdss], "sdss_r", model)
    arguments = ["calibrate.py"]
    said = (
        f"`PYTHONPATH=. python {shown_command(arguments)} --markdown docs/calibrate.md "
        f"--figure docs/_static/calibration_pit.png`, network "
        f"{model.digest[:8]}.\n\n"
    )
    for block, text in (
        ("calibrate", said + main_table(results)),
        ("calibrate by number", number_table(results)),
        ("calibrate in bins", bins),
        (
            "calibrate by magnitude",
            markdown_table(
                ["objects used", "shift and stretch", "with slopes in magnitude"], slopes
            ),
        ),
    ):
        print(f"\n{text}")
        if options.markdown:
            replace_block(options.markdown, block, text)
    if options.figure:
        draw(results, options.figure)


if __name__ == "__main__":
    main()
