"""jpassed, eazy-py, gradient boosting and the nearest library galaxy on the same objects.

    PYTHONPATH=. python benchmarks/compare.py FOLDER --cache CACHE [--model M] [--each N]
        [-o X.json] [--markdown docs/comparison.md]

Simulated: --each galaxies in every magnitude bin, of the natural prior at that magnitude, noise of
minijpas-v1, a seed that nothing was trained on. Real: the SEDs of Brown et al. (2014) at z = 0.1,
0.3, 0.5, 0.7, with the same noise. 60 bands for everybody. Rivals' predictions are kept in CACHE:
a second run computes jpassed alone. Needs scikit-learn and eazy (`pip install scikit-learn eazy`)
where CACHE is empty. Speed is CPU time of one thread.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import rival_trees as trees
import simulated_sample as samples
import torch
from comparison_tables import best_marks, tables
from markdown_blocks import replace_block, shown_command
from numpy.typing import NDArray
from real_spectra import brown_jspectra
from rival_eazy import fsps_templates, run_eazy, simulator_templates

import jpassed
from jpassed.annotation import infer
from jpassed.evaluation import coverage, crps_quantiles, mad_scatter, outlier_fraction
from jpassed.posteriors import Distribution

Array = NDArray[np.float64]

LIBRARY = 200000
QUANTITIES = tuple(trees.TRANSFORMS)
BROWN_REDSHIFTS = (0.1, 0.3, 0.5, 0.7)
BROWN_MAGNITUDES = (19.5, 21.0, 22.0)
FLOOR = 1e-3
"""Every density, ours too, gets this share of a uniform one over the range: a log score of
minus infinity for one object would hide all others."""

EAZY = {
    "eazy, FSPS": ("fsps", False),
    "eazy, simulator's": ("simulator", False),
    "eazy, FSPS, template error": ("fsps", True),
    "eazy, simulator's, template error": ("simulator", True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--model", default="default")
    parser.add_argument("--each", type=int, default=300, help="galaxies in a magnitude bin")
    parser.add_argument("--library", type=int, default=LIBRARY)
    parser.add_argument("--cached", action="store_true", help="only rivals that are in CACHE")
    parser.add_argument("-o", "--output", type=Path, default=None)
    parser.add_argument("--markdown", type=Path, default=None)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = jpassed.load_model(options.model)
    sets = object_sets(options.folder, options.each, options.cache)
    folder = options.cache / f"rivals-{options.each}-{options.library}"
    if not options.cached:
        rivals(options.folder, sets, folder, options.cache, options.library)
    predictions = {"jpassed": own(sets, model)}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as stored:
            predictions[path.stem] = {key: stored[key] for key in stored.files}
    figures: dict[str, Any] = {
        "model": model.name,
        "weights": model.digest,
        "command": shown_command(sys.argv),
        "statistics": {
            name: {
                quantity: statistics(sets[name], predictions, name, quantity)
                for quantity in (QUANTITIES if name == "simulated" else ("z",))
            }
            for name in sets
        },
        "objects/s": {k: 1.0 / float(v["seconds"]) for k, v in predictions.items()},
    }
    figures["not best"] = best_marks(figures["statistics"])
    text = tables(figures)
    print(text)
    if options.output:
        options.output.write_text(json.dumps(figures, indent=1, default=float) + "\n")
    if options.markdown:
        replace_block(options.markdown, "figures", text)


def object_sets(folder: Path, each: int, cache: Path) -> dict[str, dict[str, Array]]:
    """Bandfluxes, errors, truths and bins of both sets."""
    table = samples.stratified_sample(folder, each, cache)
    flux, error = samples.fluxes(table)
    simulated = {"flux": flux, "error": error}
    simulated |= {name: samples.truth(table, name) for name in QUANTITIES}
    simulated["bin"] = np.digitize(samples.noisy_magnitude(table), samples.EDGES) - 1.0
    path = cache / "brown-compare.npz"
    if not path.exists():
        clean = brown_jspectra(folder, BROWN_REDSHIFTS, BROWN_MAGNITUDES, filters=("jpas",))
        true, _ = samples.fluxes(clean)
        noisy, sigma = samples.add_noise(true, samples.SEED + 3)
        magnitude = np.asarray(clean["true_mag_rsdss"], dtype=float)
        np.savez(
            path, flux=noisy, error=sigma, z=np.asarray(clean["true_z"], dtype=float),
            bin=np.searchsorted(BROWN_MAGNITUDES, magnitude).astype(float),
        )  # fmt: skip
    with np.load(path) as stored:
        brown = {key: stored[key] for key in stored.files}
    return {"simulated": simulated, "Brown SEDs": brown}


def scores(name: str, distribution: Distribution, truth: Array) -> dict[str, Array]:
    """What is kept of one quantity's posteriors: median, PIT, log score, CRPS, each (N,)."""
    transform = trees.TRANSFORMS[name]
    known = np.isfinite(truth)
    at = np.where(known, truth, distribution.median())
    low, high = transform.forward(np.array(trees.LIMITS[name]))
    uniform = FLOOR / (high - low)
    density = np.exp(distribution.logpdf(at) - transform.log_slope(at))
    levels = (np.arange(50) + 0.5) / 50
    quantiles = transform.forward(distribution.quantile(levels))
    found = {
        "median": distribution.median(),
        "pit": distribution.cdf(at),
        "log": np.log((1 - FLOOR) * density + uniform),
        "crps": crps_quantiles(quantiles, levels, transform.forward(at)),
    }
    return {f"{name} {key}": np.where(known, v, np.nan) for key, v in found.items()}


def own(sets: dict[str, dict[str, Array]], model: Any) -> dict[str, Array]:
    """jpassed: the answer, and seconds for each object."""
    found: dict[str, Array] = {}
    seconds = 0.0
    for key, objects in sets.items():
        table = samples.photometry_table(objects["flux"], objects["error"])
        infer(table[:64], model=model, outputs=QUANTITIES)
        began = time.process_time()
        posterior = infer(table, model=model, outputs=QUANTITIES)
        seconds += time.process_time() - began
        for name in QUANTITIES:
            if name in objects:
                parts = scores(name, posterior[name], objects[name])
                found |= {f"{key} {k}": v for k, v in parts.items()}
    found["seconds"] = np.array(seconds / sum(len(o["flux"]) for o in sets.values()))
    return found


def rivals(
    folder: Path, sets: dict[str, dict[str, Array]], kept: Path, cache: Path, library: int
) -> None:
    """Predict with every rival whose predictions are not in `kept`."""
    kept.mkdir(parents=True, exist_ok=True)
    if not (kept / "nearest library galaxy.npz").exists():
        drawn = samples.library(folder, library, cache)
        np.savez(kept / "nearest library galaxy.npz", **by_library(drawn, sets))
    if not (kept / "gradient boosting.npz").exists():
        drawn = samples.library(folder, library, cache)
        np.savez(kept / "gradient boosting.npz", **by_boosting(drawn, sets))
    for label in EAZY:
        if not (kept / f"{label}, prior.npz").exists():
            answers = by_eazy(label, folder, sets, cache)
            # The one that says that all is there comes last.
            for prior, name in (("flat", "flat prior"), ("prior", "prior")):
                np.savez(kept / f"{label}, {name}.npz", **answers[prior])


def by_eazy(
    label: str, folder: Path, sets: dict[str, dict[str, Array]], cache: Path
) -> dict[str, dict[str, Array]]:
    """eazy-py, with the prior and without."""
    which, with_error = EAZY[label]
    if which == "fsps":
        found = fsps_templates(folder)
    else:
        found = simulator_templates(folder, cache, samples.SEED)
    answers: dict[str, dict[str, Array]] = {"prior": {}, "flat": {}}
    seconds = 0.0
    for key, objects in sets.items():
        fit = run_eazy(
            objects["flux"], objects["error"], found, folder, cache / "eazy",
            template_error=with_error,
        )  # fmt: skip
        seconds += fit.seconds
        for prior, answer in answers.items():
            table = redshift_table(fit.z, fit.log_density[prior])
            parts = scores("z", table, objects["z"])
            parts["z median"] = fit.best[prior]  # its own point estimate
            answer |= {f"{key} {k}": v for k, v in parts.items()}
    for answer in answers.values():
        answer["seconds"] = np.array(seconds / sum(len(o["flux"]) for o in sets.values()))
    return answers


def redshift_table(z: Array, log_density: Array) -> Distribution:
    """Bins of ln(1+z) from the density of z on eazy's grid, linear in its logarithm."""
    edges = trees.edges("z")
    fine = np.expm1(0.5 * (edges[1:] + edges[:-1]))
    inside = (fine >= z[0]) & (fine <= z[-1])
    rows = np.stack([np.interp(fine, z, row) for row in log_density])
    rows = np.exp(rows - rows.max(axis=1, keepdims=True)) * (1 + fine) * inside
    return trees.tabulated("z", rows)


def by_library(drawn: dict[str, Array], sets: dict[str, dict[str, Array]]) -> dict[str, Array]:
    """The library galaxy of least chi2, and its neighbours as a posterior."""
    found: dict[str, Array] = {}
    seconds = 0.0
    for key, objects in sets.items():
        best, probability, spent = trees.nearest(drawn, objects["flux"], objects["error"])
        seconds += spent
        for name in QUANTITIES:
            if name in objects:
                parts = scores(name, trees.tabulated(name, probability[name]), objects[name])
                parts[f"{name} median"] = best[name]
                found |= {f"{key} {k}": v for k, v in parts.items()}
    found["seconds"] = np.array(seconds / sum(len(o["flux"]) for o in sets.values()))
    return found


def by_boosting(drawn: dict[str, Array], sets: dict[str, dict[str, Array]]) -> dict[str, Array]:
    """Gradient boosting with quantile losses."""
    flux = {key: objects["flux"] for key, objects in sets.items()}
    error = {key: objects["error"] for key, objects in sets.items()}
    quantiles, fitting, seconds = trees.boosting(drawn, flux, error)
    found: dict[str, Array] = {}
    for key, objects in sets.items():
        for name in QUANTITIES:
            if name in objects:
                table = trees.from_quantiles(name, quantiles[key][name])
                parts = scores(name, table, objects[name])
                middle = trees.LEVELS.index(0.5)
                median = trees.TRANSFORMS[name].inverse(quantiles[key][name][:, middle])
                parts[f"{name} median"] = median
                found |= {f"{key} {k}": v for k, v in parts.items()}
    found["seconds"], found["fit seconds"] = np.array(seconds), np.array(fitting)
    return found


def statistics(
    objects: dict[str, Array], predictions: dict[str, dict[str, Array]], key: str, name: str
) -> dict[str, Any]:
    """Every statistic of every method, by magnitude bin."""
    result: dict[str, Any] = {}
    truth, transform = objects[name], trees.TRANSFORMS[name]
    for method, parts in predictions.items():
        if f"{key} {name} pit" not in parts:
            continue
        rows = {}
        for number in np.unique(objects["bin"]).astype(int):
            here = (objects["bin"] == number) & np.isfinite(truth)
            got = {k: parts[f"{key} {name} {k}"][here] for k in ("median", "pit", "log", "crps")}
            if name == "z":
                residual = (got["median"] - truth[here]) / (1 + truth[here])
            else:
                residual = transform.forward(got["median"]) - transform.forward(truth[here])
            row = {
                "n": int(here.sum()),
                "bias": float(np.median(residual)),
                "scatter": mad_scatter(residual),
                "log score": float(np.mean(got["log"])),
                "CRPS": float(np.mean(got["crps"])),
                "coverage 68": float(coverage(got["pit"], 0.68)),
                "coverage 95": float(coverage(got["pit"], 0.95)),
            }
            if name == "z":
                row["outliers"] = outlier_fraction(got["median"], truth[here], 0.05)
            rows[bin_name(key, number)] = row
        result[method] = rows
    return result


def bin_name(key: str, number: int) -> str:
    """Name of a magnitude bin."""
    if key == "simulated":
        low, high = samples.EDGES[number : number + 2]
        return f"r {low:g}-{high:g}" if low else f"r < {high:g}"
    return f"r = {BROWN_MAGNITUDES[number]:g}"


if __name__ == "__main__":
    main()
