"""Refined posteriors against the network's own, the limit, and a search over a library.

    PYTHONPATH=. python benchmarks/refined.py FOLDER [--model M] [--n N] [--draws D]
        [--limit FILE] [--library L] [--no-brown] [--every E] [--cache CACHE] [-o X.json]

FOLDER is the shared data. N objects of every magnitude bin (natural prior, noise of minijpas-v1):
those of the limit's FILE (see bayes_limit.py) with its log scores, or simulated ones. Log scores
are differences of the mean ln density at the truth, in nats.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accuracy import noisy_draws
from astropy.table import QTable
from real_spectra import brown_jspectra
from refined_library import library_posterior
from simulated_sample import EDGES, stratified_sample, truth

import jpassed
from jpassed.annotation import infer
from jpassed.annotation.refined import RefinedBatch, TaskRefiner
from jpassed.annotation.task import prepare
from jpassed.evaluation import coverage, log_score, outlier_fraction, pit, sigma_nmad
from jpassed.posteriors import Posterior

QUANTITIES = ("z", "logmstar", "av", "ew_halpha")
LEVELS = (0.5, 0.68, 0.9, 0.95)


@dataclass
class Sample:
    """Objects with their truths (NaN where a quantity is no target) and the limit's scores."""

    table: QTable
    magnitude: np.ndarray
    truth: dict[str, np.ndarray]
    limit: dict[str, np.ndarray]


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("--model", default="default")
    parser.add_argument("--n", type=int, default=100, help="objects a magnitude bin")
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--limit", type=Path, default=None, help="file of bayes_limit.py")
    parser.add_argument("--library", type=int, default=40000, help="galaxies searched, 0 for none")
    parser.add_argument("--no-brown", action="store_true")
    parser.add_argument("--every", type=int, default=8, help="take each so many of the 720 SEDs")
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("-o", "--output", type=Path, default=None)
    options = parser.parse_args()
    model = jpassed.load_model(options.model)
    sample = read_sample(options)
    figures: dict[str, Any] = {
        "model": model.name, "weights": model.digest, "draws": options.draws,
        "command": " ".join(sys.argv),
    }  # fmt: skip
    began = time.process_time()
    network = infer(sample.table, model=model, outputs=QUANTITIES)
    figures["network"] = statistics(network, sample)
    figures["network"]["ms an object"] = 1e3 * (time.process_time() - began) / len(sample.table)
    began = time.process_time()
    found = refined(sample.table, options.model, options.draws)
    spent = time.process_time() - began
    figures["refined"] = statistics(found.posterior(QUANTITIES), sample)
    figures["refined"]["ms an object"] = 1e3 * spent / len(sample.table)
    figures["efficiency"] = efficiency(found, sample.magnitude)
    if options.library:
        began = time.process_time()
        searched, effective = library_posterior(
            sample.table, options.folder, options.library, options.cache
        )
        figures["library"] = statistics(searched, sample)
        figures["library"]["ms an object"] = 1e3 * (time.process_time() - began) / len(sample.table)
        figures["library"]["effective (median)"] = by_bin(effective, sample.magnitude, np.median)
    if not options.no_brown:
        figures["brown"] = brown(options.folder, options.model, options.draws, options.every)
    text = json.dumps(figures, indent=1, default=float)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


def read_sample(options: argparse.Namespace) -> Sample:
    """The limit's objects, or simulated ones."""
    if options.limit is None:
        table = stratified_sample(options.folder, options.n, options.cache)
        values = {q: truth(table, q) for q in QUANTITIES}
        return Sample(table, noisy_r(table), values, {})
    from astropy import units as u

    stored = np.load(options.limit)
    rows = np.flatnonzero((stored["case"] == 0) & (stored["number"] < options.n))
    table = QTable()
    for i, band in enumerate(str(b) for b in stored["bands"]):
        hidden = ~stored["observed"][rows, i]
        for end, key in (("", "flux"), ("_err", "error")):
            values = np.ma.masked_array(stored[key][rows, i].astype(float), hidden)
            table[f"{band}{end}"] = values
            table[f"{band}{end}"].unit = u.uJy
    labels = [str(name) for name in stored["labels"]]
    values = {}
    for q in QUANTITIES:
        column = labels.index(q)
        target = stored["target"][rows, column].astype(bool)
        values[q] = np.where(target, stored["truth"][rows, column], np.nan)
    limit = {q: stored[f"score_{q}"][rows] for q in QUANTITIES}
    return Sample(table, noisy_r(table), values, limit)


def noisy_r(table: QTable) -> np.ndarray:
    """AB magnitude of the noisy r bandflux."""
    column = table["rSDSS"]
    flux = np.asarray(getattr(column, "value", column), dtype=float)
    return -2.5 * np.log10(np.maximum(flux, 1e-9) / 3631e6)


def refined(table: QTable, model: str, draws: int, seed: int = 0) -> RefinedBatch:
    """Refined posteriors of a table."""
    task = prepare(
        table, model=model, outputs=QUANTITIES, context=None, survey="auto", device="cpu",
        batch_size=None,
    )  # fmt: skip
    return TaskRefiner(task, draws, model, seed).batch(slice(0, len(task)))


def by_bin(values: np.ndarray, magnitude: np.ndarray, statistic: Any) -> dict[str, float]:
    """A statistic in the magnitude bins."""
    rows = {}
    for low, high in zip(EDGES[:-1], EDGES[1:], strict=True):
        here = (magnitude >= low) & (magnitude < high)
        if here.any():
            rows[f"{low:g}-{high:g}"] = float(statistic(values[here]))
    return rows


def statistics(posterior: Posterior, sample: Sample) -> dict[str, Any]:
    """Log score (against the limit where it is known), sigma_NMAD, outliers, coverage."""
    result: dict[str, Any] = {}
    z = posterior.median("z")
    true = sample.truth["z"]
    index = np.arange(len(z))
    result["sigma_nmad"] = by_bin(
        index, sample.magnitude, lambda i: sigma_nmad(z[i.astype(int)], true[i.astype(int)])
    )
    result["outliers_0.05"] = by_bin(
        index, sample.magnitude, lambda i: outlier_fraction(z[i.astype(int)], true[i.astype(int)])
    )
    for q in QUANTITIES:
        known = np.isfinite(sample.truth[q])
        filled = np.where(known, sample.truth[q], 0.0)
        score = np.maximum(log_score(posterior[q], filled), -20.0)
        own = {"log score": by_bin(np.where(known, score, np.nan), sample.magnitude, np.nanmean)}
        p = pit(posterior[q], filled)[known]
        own["coverage"] = dict(zip(map(str, LEVELS), coverage(p, LEVELS), strict=True))
        if q in sample.limit:
            gap = np.where(known, score - sample.limit[q], np.nan)
            own["log score less limit"] = by_bin(gap, sample.magnitude, np.nanmean)
            own["its error"] = by_bin(
                gap, sample.magnitude, lambda v: np.nanstd(v) / np.sqrt(np.isfinite(v).sum())
            )
        result[q] = own
    return result


def efficiency(found: RefinedBatch, magnitude: np.ndarray) -> dict[str, Any]:
    """Effective draws, tails and evidence by magnitude."""
    return {
        "effective (median)": by_bin(found.effective, magnitude, np.median),
        "effective (10 %)": by_bin(found.effective, magnitude, lambda v: np.quantile(v, 0.1)),
        "share under 10": by_bin(found.effective < 10, magnitude, np.mean),
        "pareto k (median)": by_bin(found.pareto_k, magnitude, np.nanmedian),
        "ln evidence (median)": by_bin(found.log_evidence, magnitude, np.median),
    }


def brown(folder: Path, model: str, draws: int, every: int) -> dict[str, Any]:
    """Redshift of the Brown+2014 SEDs with and without, at two magnitudes."""
    result = {}
    for magnitude in (19.5, 22.0):
        table = brown_jspectra(folder, r_mags=(magnitude,))[::every]
        noisy, rows = noisy_draws(table, 1)
        true = np.asarray(table["true_z"], dtype=float)[rows]
        found = refined(noisy, model, draws)
        own = infer(noisy, model=model, outputs=("z",))
        both = {"network": own, "refined": found.posterior(("z",))}
        result[f"r = {magnitude:g}"] = {
            name: {
                "sigma_nmad": sigma_nmad(p.median("z"), true),
                "outliers_0.05": outlier_fraction(p.median("z"), true, 0.05),
                "coverage_68": float(coverage(pit(p["z"], true), 0.68)),
                "log score": float(np.maximum(log_score(p["z"], true), -20.0).mean()),
            }
            for name, p in both.items()
        } | {
            "n": len(true),
            "effective (median)": float(np.median(found.effective)),
            "share under 10": float((found.effective < 10).mean()),
            "ln evidence (median)": float(np.median(found.log_evidence)),
        }
    return result


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
