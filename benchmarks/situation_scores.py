"""Figures of a sample in a situation: redshift, calibration, flags."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from simulated_sample import EDGES

import jpassed
from jpassed.annotation import FLAGS, infer
from jpassed.evaluation import bias, coverage, crps, log_score, outlier_fraction, pit, sigma_nmad

Array = NDArray[np.float64]

FIGURES = ("n", "bias", "NMAD", "out05", "out15", "NLL", "CRPS", "cov68", "cov95", "sigma")
BINS = ("r < 20", "20-21", "21-22", "22-22.7")


def posterior_figures(table: Any, model: Any, z: Array) -> dict[str, Any]:
    """Figures of every object that the means of `summary` are made of."""
    posterior = infer(table, model=model, outputs=["z"])
    distribution = posterior["z"]
    low, high = posterior.interval("z", 0.68)
    return {
        "median": posterior.median("z"),
        "sigma": 0.5 * (high - low) / (1.0 + posterior.median("z")),
        "log": log_score(distribution, z),
        "crps": crps(distribution, z),
        "pit": pit(distribution, z),
    }


def summary(own: dict[str, Any], z: Array, rows: NDArray[np.bool_] | slice) -> dict[str, float]:
    """`FIGURES` of some rows. NLL is infinite where a truth has no density."""
    true, median = z[rows], own["median"][rows]
    if len(true) == 0:
        return dict.fromkeys(FIGURES, np.nan) | {"n": 0}
    cover = coverage(own["pit"][rows], (0.68, 0.95))
    return {
        "n": len(true),
        "bias": bias(median, true),
        "NMAD": sigma_nmad(median, true),
        "out05": 100 * outlier_fraction(median, true, 0.05),
        "out15": 100 * outlier_fraction(median, true, 0.15),
        "NLL": -float(np.mean(own["log"][rows])),
        "CRPS": float(np.mean(own["crps"][rows])),
        "cov68": 100 * float(cover[0]),
        "cov95": 100 * float(cover[1]),
        "sigma": float(np.median(own["sigma"][rows])),
    }


def by_magnitude(own: dict[str, Any], z: Array, magnitude: Array) -> dict[str, dict[str, float]]:
    """`summary` of all and in every bin of the undisturbed r magnitude."""
    place = np.digitize(magnitude, EDGES) - 1
    out = {"all": summary(own, z, slice(None))}
    return out | {name: summary(own, z, place == i) for i, name in enumerate(BINS)}


def flag_shares(table: Any, model: Any, bound: int | None = None) -> dict[str, float]:
    """Per cent of rows with each bit of ``jp_flag``, and with any, of `bound` rows at most."""
    if bound is not None and len(table) > bound:
        table = table[np.unique(np.linspace(0, len(table) - 1, bound).astype(int))]
    flag = np.asarray(jpassed.annotate(table, model=model, outputs=["z"])["jp_flag"])
    shares = {bit.name or str(int(bit)): 100 * float(np.mean((flag & bit) > 0)) for bit in FLAGS}
    return shares | {"any": 100 * float(np.mean(flag > 0))}


def claimed(table: Any, model: Any) -> dict[str, float]:
    """What is claimed of objects whose redshift means nothing."""
    posterior = infer(table, model=model, outputs=["z"])
    low, high = posterior.interval("z", 0.68)
    median = posterior.median("z")
    return {
        "n": len(median),
        "z16": float(np.quantile(median, 0.16)),
        "z50": float(np.median(median)),
        "z84": float(np.quantile(median, 0.84)),
        "sigma": float(np.median(0.5 * (high - low) / (1.0 + median))),
        "confident": 100 * float(np.mean(0.5 * (high - low) / (1.0 + median) < 0.01)),
    }
