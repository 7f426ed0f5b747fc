"""Rare galaxies: accuracy against the density of labels, with and without density weighting.

    PYTHONPATH=. python benchmarks/rare.py FOLDER --cache CACHE [--model M] [--n N] [-o X.json]
        [--markdown docs/rare.md] [--figure docs/_static/rare_prior.png] [--steps N]

Three short trainings (rare_training.py; kept in CACHE, as are their answers) and the model. Test
galaxies are of other seeds. Densities are those of the natural prior: the distance to the tenth
neighbour among 20,000 of its galaxies in redshift, magnitude, mass, A_V, EW and rest colour.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import simulated_sample as samples
import torch
from markdown_blocks import markdown_table, replace_block, shown_command
from numpy.typing import NDArray
from rare_prior import prior_change
from rare_slice import draw_slice, slice_change
from rare_training import STEPS, VARIANTS, train_variants

import jpassed
from jpassed.annotation import infer
from jpassed.evaluation import coverage, mad_scatter, sigma_nmad
from jpassed.posteriors import Transform
from jpassed.vocabulary import load_vocabulary

Array = NDArray[np.float64]

QUANTITIES = ("z", "logmstar", "av", "ew_halpha", "ew_oiii", "logsfr", "logage_l", "ew_nii",
              "ew_hbeta")  # fmt: skip
SHOWN = ("z", "logmstar", "av", "ew_halpha", "ew_oiii")
NEIGHBOUR = 10
EVERYBODY, EACH = 3000, 400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--model", default="default")
    parser.add_argument("--n", type=int, default=EVERYBODY, help="galaxies drawn evenly")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the short trainings")
    parser.add_argument("-o", "--output", type=Path, default=None)
    parser.add_argument("--markdown", type=Path, default=None)
    parser.add_argument("--figure", type=Path, default=None)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = jpassed.load_model(options.model)
    objects = test_objects(options.folder, options.cache, options.n)
    answers = {"jpassed": answer(objects, model)}
    for name, path in train_variants(options.folder, options.cache, options.steps).items():
        kept = path / f"answers-{options.n}-{options.steps}.npz"
        if not kept.exists():
            np.savez(kept, **answer(objects, jpassed.load_model(path)))
        with np.load(kept) as stored:
            answers[name] = {key: stored[key] for key in stored.files}
    figures: dict[str, Any] = {
        "model": model.name,
        "weights": model.digest,
        "command": shown_command(sys.argv),
        "trainings": spent(options.cache),
        "classes": by_class(objects, answers),
        "density": by_density(objects, answers),
    }
    figures["prior"] = prior_change(options.folder, options.cache, options.steps)
    figures["other population"], shown = slice_change(options.folder, options.cache, model)
    text = markdown(figures)
    print(text)
    if options.figure:
        draw_slice(shown, options.figure)
    if options.output:
        options.output.write_text(json.dumps(figures, indent=1, default=float) + "\n")
    if options.markdown:
        replace_block(options.markdown, "figures", text)


def spent(cache: Path) -> dict[str, Any]:
    """CPU seconds and final log score of each training."""
    found = {}
    for name in VARIANTS:
        card = json.loads((cache / f"rare-{name}" / "model.json").read_text("utf-8"))
        time = cache / f"rare-{name}" / "spent.json"
        found[name] = {
            "steps": card["steps"],
            "CPU seconds": json.loads(time.read_text())["CPU seconds"] if time.exists() else None,
        }
    return found


def test_objects(folder: Path, cache: Path, n: int) -> dict[str, Array]:
    """Galaxies drawn evenly in redshift and magnitude, and more of each rare class."""
    drawn = samples.library(folder, 100_000, cache, seed=samples.SEED + 900)
    flux, error = samples.add_noise(drawn["flux"], 17)
    bright = flux[:, samples.BANDS.index("rSDSS")] > 3631e6 * 10 ** (-0.4 * 22.7)
    drawn = {key: value[bright] for key, value in drawn.items()}
    drawn |= {"flux": flux[bright], "error": error[bright]}
    member = classes(drawn)
    rng = np.random.default_rng(5)
    chosen = [np.arange(n)]
    for rows in member.values():
        found = np.flatnonzero(rows)
        chosen.append(rng.permutation(found)[:EACH])
    index = np.unique(np.concatenate(chosen))
    objects = {key: value[index] for key, value in drawn.items()}
    objects["density"] = density(objects, natural_labels(folder, cache))
    objects["even"] = (index < n).astype(float)
    return objects


def classes(objects: dict[str, Array]) -> dict[str, NDArray[np.bool_]]:
    """Members of the rare classes, by labels (true ones or answers); NaN is no member."""
    with np.errstate(invalid="ignore", divide="ignore"):
        nii = np.log10(objects["ew_nii"] / objects["ew_halpha"])
        oiii = np.log10(objects["ew_oiii"] / objects["ew_hbeta"])
        # Kewley et al. (2001), ApJ 556, 121, eq. 5; EWs over 3 Å keep retired galaxies out.
        beyond = (oiii > 0.61 / (nii - 0.47) + 1.19) | (nii > 0.3)
        ssfr = objects["logsfr"] - objects["logmstar"]
        return {
            "EW(Halpha) or EW([OIII]) > 300 A": (objects["ew_halpha"] > 300)
            | (objects["ew_oiii"] > 300),
            "AGN line ratios": beyond & (objects["ew_halpha"] > 3),
            "dusty star-formers": (objects["av"] > 1.5) & (ssfr > -10.5),
            "young dwarfs": (objects["logmstar"] < 8) & (objects["logage_l"] < 8),
        }


def natural_labels(folder: Path, cache: Path) -> Array:
    """Scaled labels of the natural prior, (20000, 6)."""
    table = samples.natural_sample(folder, 20000, cache)
    found = {name: samples.truth(table, name) for name in (*QUANTITIES, "ew_oii", "ur_rest")}
    found["mag_r"] = np.asarray(table["true_mag_rsdss"].value, dtype=float)
    return scaled_labels(found)


def scaled_labels(objects: dict[str, Array]) -> Array:
    """Axes of the density: about one standard deviation of the natural prior each."""
    halpha = objects["ew_halpha"]
    ew = np.where(np.isfinite(halpha), halpha, objects["ew_oii"])
    return np.stack(
        [
            np.log1p(objects["z"]) / 0.15, objects["mag_r"] / 1.0, objects["logmstar"] / 0.8,
            objects["av"] / 0.5, np.arcsinh(np.nan_to_num(ew) / 2.0) / 1.2,
            objects["ur_rest"] / 0.5,
        ],
        axis=1,
    )  # fmt: skip


def density(objects: dict[str, Array], natural: Array) -> Array:
    """log10 of the number of natural galaxies in a unit volume of the scaled labels, up to a
    constant."""
    from scipy.spatial import cKDTree

    distance = cKDTree(natural).query(scaled_labels(objects), k=NEIGHBOUR)[0][:, -1]
    return np.asarray(-natural.shape[1] * np.log10(np.maximum(distance, 1e-3)))


def answer(objects: dict[str, Array], model: Any) -> dict[str, Array]:
    """Median, PIT and log score (per scaled value) of every quantity."""
    table = samples.photometry_table(objects["flux"], objects["error"])
    posterior = infer(table, model=model, outputs=QUANTITIES)
    vocabulary = load_vocabulary()
    found = {}
    for name in QUANTITIES:
        true = objects[name]
        known = np.isfinite(true)
        transform = Transform.of(vocabulary[name])
        at = np.where(known, true, posterior.median(name))
        log = posterior[name].logpdf(at) - transform.log_slope(at)
        found[f"{name} median"] = posterior.median(name)
        found[f"{name} pit"] = np.where(known, posterior[name].cdf(at), np.nan)
        found[f"{name} log"] = np.where(known, np.maximum(log, -10.0), np.nan)
    return found


def row_of(objects: dict[str, Array], got: dict[str, Array], here: Any, name: str) -> Any:
    """Statistics of one quantity for some objects; None below 20 of them."""
    use = here & np.isfinite(objects[name])
    if use.sum() < 20:
        return None
    true, middle = objects[name][use], got[f"{name} median"][use]
    if name == "z":
        residual = (middle - true) / (1 + true)
        spread = sigma_nmad(middle, true)
    else:
        residual = np.arcsinh(middle / 2) - np.arcsinh(true / 2) if "ew_" in name else middle - true
        # Lines: about dex, and no trouble with EWs around zero.
        residual = residual / np.log(10) if "ew_" in name else residual
        spread = mad_scatter(residual)
    p = got[f"{name} pit"][use]
    return {
        "n": int(use.sum()),
        "bias": float(np.median(residual)),
        "scatter": spread,
        "coverage_68": float(coverage(p, 0.68)),
        "log score": float(np.mean(got[f"{name} log"][use])),
    }


def by_class(objects: dict[str, Array], answers: dict[str, dict[str, Array]]) -> dict[str, Any]:
    """Galaxies that are of a class, and those that are taken for it."""
    result: dict[str, Any] = {}
    member = classes(objects)
    for label, rows in member.items():
        result[label] = {"share": share_of(objects, rows), "true": {}, "taken for": {}}
        for model, got in answers.items():
            medians = {name: got[f"{name} median"] for name in QUANTITIES}
            # Lines that are out of range are not asked about.
            for name in QUANTITIES:
                medians[name] = np.where(np.isfinite(objects[name]), medians[name], np.nan)
            taken = classes(medians)[label] & (objects["even"] > 0)
            result[label]["true"][model] = {
                name: row_of(objects, got, rows, name) for name in SHOWN
            }
            result[label]["taken for"][model] = {
                name: row_of(objects, got, taken, name) for name in SHOWN
            }
    return result


def share_of(objects: dict[str, Array], rows: Any) -> float:
    """Share of the natural prior (r < 22.7) that a class is."""
    even = objects["even"] > 0
    weight = np.exp(-objects["log_weight"])
    return float((weight * rows)[even].sum() / weight[even].sum())


def by_density(objects: dict[str, Array], answers: dict[str, dict[str, Array]]) -> Any:
    """Six bins of the natural density of labels, sparse to dense."""
    edges = np.quantile(objects["density"], np.linspace(0, 1, 7))
    edges[-1] += 1e-6
    rows = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        here = (objects["density"] >= low) & (objects["density"] < high)
        rows.append(
            {"log density": [float(low), float(high)], "n": int(here.sum()),
             "median r": float(np.median(objects["mag_r"][here]))}
            | {
                model: {name: row_of(objects, got, here, name) for name in SHOWN}
                for model, got in answers.items()
            }
        )  # fmt: skip
    return rows


def markdown(figures: dict[str, Any]) -> str:
    """Tables of the page."""
    parts = [f"Model `{figures['model']}`, `{figures['weights']}`: `python {figures['command']}`."]
    trained = [
        [name, f"{row['steps']}", f"{row['CPU seconds'] or float('nan'):.0f}"]
        for name, row in figures["trainings"].items()
    ]
    parts.append(markdown_table(["training", "steps of 512", "CPU seconds"], trained))
    head = ["model", *(f"{name}: bias, scatter, 68 % holds" for name in SHOWN)]
    for label, entry in figures["classes"].items():
        for group, title in (("true", "are"), ("taken for", "are taken for (by the medians)")):
            body = [
                [model, *(cell(rows[name]) for name in SHOWN)]
                for model, rows in entry[group].items()
            ]
            share = f" ({100 * entry['share']:.2g} % of the natural prior)"
            parts.append(
                f"## {label}: galaxies that {title} such{share if group == 'true' else ''}\n\n"
                + markdown_table(head, body)
            )
    names = list(VARIANTS) + ["jpassed"]
    for name, what in (("z", "scatter"), ("z", "log score"), ("ew_halpha", "scatter"),
                       ("av", "scatter"), ("logmstar", "scatter")):  # fmt: skip
        body = [
            [f"{row['log density'][0]:.1f} to {row['log density'][1]:.1f}",
             f"{row['median r']:.1f}",
             *(f"{row[m][name][what]:.4f}" if row[m][name] else "-" for m in names)]
            for row in figures["density"]
        ]  # fmt: skip
        parts.append(
            f"## {name}, {what} by density\n\n"
            + markdown_table(["log density", "median r", *names], body)
        )
    other = figures["other population"]
    levels = ("50", "68", "90", "95")
    body = [
        [name, *(f"{100 * row[f'coverage_{x}']:.1f}" for x in levels), f"{row['bias']:+.4f}",
         f"{row['log score']:.3f}"]
        for name, row in other["rows"].items()
    ]  # fmt: skip
    head = ["posterior", *(f"{x} % holds" for x in levels), "bias", "log score"]
    parts.append(
        f"## Redshift posteriors for another population: {other['objects']} galaxies (in effect "
        f"{other['effective']:.0f}), bands {other['bands']}\n\n{markdown_table(head, body)}"
    )
    prior = figures["prior"]
    body = [
        [name, *(f"{100 * row[f'coverage_{x}']:.1f}" for x in levels), f"{row['bias']:+.4f}"]
        for name, row in prior["posteriors"].items()
    ]
    parts.append(
        f"## The training `balanced`: redshift posteriors of {prior['objects']} galaxies of the "
        f"natural prior, bands {prior['bands']}\n\n"
        + markdown_table(["posterior", *(f"{x} % holds" for x in levels), "bias"], body)
        + f"\n\nMedian efficiency of the weights: {prior['efficiency']:.2f}; median distance of "
        f"the reweighted median from the declared one: {prior['distance after']:.3f} of its "
        f"half width (before: {prior['distance before']:.3f})."
    )
    return "\n\n".join(parts)


def cell(row: Any) -> str:
    """Bias, scatter and coverage as text."""
    if row is None:
        return "-"
    return f"{row['bias']:+.3g}, {row['scatter']:.3g}, {100 * row['coverage_68']:.0f} %"


if __name__ == "__main__":
    main()
