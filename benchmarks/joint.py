"""Joint posteriors by any-order requests: order, calibration by ranks, speed.

    PYTHONPATH=. python benchmarks/joint.py FOLDER [--model M] [--n N] [--draws D] [-o X.json]

Simulated galaxies of the natural prior with the noise of ``minijpas-v1`` (seed 20261122, never
trained on), in two sets of quantities: of the stellar population, and with emission lines (those
objects whose lines are inside the bands in every draw). For each of three orders:

- the joint log score, the sum of log densities of the truth along the chain, against the default
  order (paired over objects) and against independent marginals;
- coverage of the joint posterior by ranks of the truth: along random directions, by distances
  from random points (Lemos et al. 2023), and by contours of the density itself;
- marginals of the draws against those that the model gives at once.

A stage that is done is kept in X.json: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from astropy.table import QTable

import jpassed
from jpassed.annotation import infer
from jpassed.evaluation import coverage, pit
from jpassed.evaluation.ranks import (
    density_ranks,
    distance_ranks,
    projected_ranks,
    rank_coverage,
    ranks,
)
from jpassed.posteriors import Posterior
from jpassed.simulation import simulate

SEED = 20261122
LEVELS = (0.5, 0.68, 0.9, 0.95)
EDGES = (0.0, 20.0, 21.0, 22.0, 22.7)
SSP = ("ssp/ssp_bc03_lr_chabrier.npz", "ssp/ssp_emiles_kroupa.npz")
LINES = "ssp/fsps_nebular/ZAU_ND_mist.lines"
SETS = {
    "population": ("z", "logmstar", "av", "ur_rest", "logage_l", "logzstar"),
    "lines": ("z", "logmstar", "av", "ew_halpha", "ew_nii", "ew_oiii"),
}
SHUFFLED = {
    "population": ("av", "logage_l", "z", "logzstar", "logmstar", "ur_rest"),
    "lines": ("ew_oiii", "logmstar", "z", "ew_nii", "av", "ew_halpha"),
}


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("--model", default="default")
    parser.add_argument("--n", type=int, default=20000, help="simulated galaxies")
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--other", type=int, default=2000, help="galaxies for the other orders")
    parser.add_argument("--most", type=int, default=None, help="labels in the context at most")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--cost-only", action="store_true")
    parser.add_argument("-o", "--output", type=Path, default=None)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = jpassed.load_model(options.model)
    settings = {
        "weights": model.digest, "n": options.n, "draws": options.draws,
        "most": options.most, "other": options.other, "seed": SEED,
    }  # fmt: skip
    figures: dict[str, Any] = {"settings": settings}
    if options.output and options.output.exists():
        before = json.loads(options.output.read_text())
        figures = before if before.get("settings") == settings else figures

    def keep() -> None:
        if options.output:
            options.output.write_text(json.dumps(figures, indent=1, default=float) + "\n")

    table = simulate(
        options.n, seed=SEED, ssp=[options.folder / path for path in SSP],
        lines=options.folder / LINES, shares=(0.3, 0.7),
    )  # fmt: skip
    if "cost" not in figures:
        figures["cost"] = cost(table[: min(24, len(table))], model)
        keep()
    for name in [] if options.cost_only else options.sets:
        found = figures.setdefault(name, {})
        posterior = infer(table, model=model, outputs=SETS[name])
        if options.most is not None:
            posterior.joint.most = options.most
        truth = {
            q: np.ma.filled(np.ma.asarray(table[f"true_{q}"], dtype=float), np.nan)
            for q in SETS[name]
        }
        magnitude = -2.5 * np.log10(table["rSDSS"].value / 3631e6)
        orders = {
            "default": SETS[name],
            "reversed": SETS[name][::-1],
            "shuffled": SHUFFLED[name],
        }
        if "log score" not in found:
            found["log score"] = log_scores(posterior, truth, orders)
            keep()
        for title, order in orders.items():
            if title not in found:
                rows = slice(0, options.n if title == "default" else options.other)
                cut = {q: v[rows] for q, v in truth.items()}
                found[title] = calibration(
                    posterior[rows], cut, order, magnitude[rows], options.draws
                )
                keep()
    print(json.dumps(figures, indent=1, default=float))
    keep()


def log_scores(
    posterior: Posterior, truth: dict[str, np.ndarray], orders: dict[str, tuple[str, ...]]
) -> dict[str, Any]:
    """Joint log score of each order, nats per object, relative to the default order."""
    marginal = np.zeros(len(posterior))
    for name in posterior.names:
        part = posterior.logpdf(name, truth[name])
        marginal += np.where(np.isnan(truth[name]), 0.0, part)
    scores = {title: posterior.joint_logpdf(truth, order=order) for title, order in orders.items()}
    # A truth that a posterior excludes must not decide the mean alone.
    fine = np.isfinite(marginal) & np.all([np.isfinite(s) for s in scores.values()], axis=0)

    def against(score: np.ndarray, other: np.ndarray) -> dict[str, float]:
        off = (score - other)[fine]
        return {
            "mean": float(off.mean()),
            "standard error": float(off.std() / np.sqrt(len(off))),
            "rms": float(off.std()),
        }

    base = scores["default"]
    return {
        "objects": int(fine.sum()),
        "left out (infinite)": int((~fine).sum()),
        "default": float(base[fine].mean()),
        "independent marginals - default": against(marginal, base),
        **{f"{t} - default": against(s, base) for t, s in scores.items() if t != "default"},
    }


def calibration(
    posterior: Posterior,
    truth: dict[str, np.ndarray],
    order: tuple[str, ...],
    magnitude: np.ndarray,
    n: int,
) -> dict[str, Any]:
    """Coverage of the joint posterior and of its marginals, from n draws of every object."""
    began = time.process_time()
    draws = posterior.sample(n, order=order, rng=SEED)
    seconds = time.process_time() - began
    names = posterior.names
    x = np.stack([draws[q] for q in names], -1)
    true = np.stack([truth[q] for q in names], -1)
    fine = np.isfinite(x).all(axis=(1, 2)) & np.isfinite(true).all(axis=1)
    density = posterior.joint_logpdf(truth, order=order)
    tests = {
        "random directions": (projected_ranks(x, true, SEED), True),
        "random points": (distance_ranks(x, true, SEED), False),
        "density contours": (density_ranks(draws.log_density, density, SEED), False),
    }
    result: dict[str, Any] = {
        "order": order,
        "objects": int(fine.sum()),
        "seconds": round(seconds, 1),
        "levels": LEVELS,
        "joint": {
            title: rank_coverage(np.where(fine, p, np.nan), LEVELS, central=central).round(4)
            .tolist()
            for title, (p, central) in tests.items()
        },
        "joint by magnitude": by_magnitude(tests, fine, magnitude),
        "marginals": {},
    }  # fmt: skip
    for i, name in enumerate(names):
        known = ~np.isnan(true[:, i]) & ~np.isnan(x[..., i]).any(axis=1)
        direct = pit(posterior[name][known], true[known, i])
        spread = np.diff(posterior[known].quantile(name, [0.16, 0.84]), axis=1)[:, 0]
        drawn = np.diff(np.quantile(x[known, :, i], [0.16, 0.84], axis=1), axis=0)[0]
        middle = np.median(x[known, :, i], axis=1) - posterior[known].median(name)
        result["marginals"][name] = {
            "coverage of the draws": rank_coverage(
                ranks(x[known, :, i], true[known, i], SEED), LEVELS
            ).round(4).tolist(),
            "coverage at once": np.round(coverage(direct, LEVELS), 4).tolist(),
            "width of the draws / at once, median": float(np.median(drawn / spread)),
            "|median of the draws - at once| / half width, median": float(
                np.median(np.abs(middle) / (0.5 * spread))
            ),
        }  # fmt: skip
    inner = draws[np.flatnonzero(fine)]
    if len(inner):
        result["median correlation"] = np.nanmedian(inner.correlation(names), axis=0).round(3)
        result["median correlation"] = result["median correlation"].tolist()
    return result


def by_magnitude(
    tests: dict[str, tuple[np.ndarray, bool]], fine: np.ndarray, magnitude: np.ndarray
) -> dict[str, Any]:
    """Coverage of the joint posterior in bins of r."""
    found = {}
    for low, high in zip(EDGES[:-1], EDGES[1:], strict=True):
        here = fine & (magnitude >= low) & (magnitude < high)
        if here.sum() >= 50:
            found[f"{low:g}-{high:g}"] = {"objects": int(here.sum())} | {
                title: rank_coverage(np.where(here, p, np.nan), LEVELS, central=c).round(3).tolist()
                for title, (p, c) in tests.items()
            }
    return found


def cost(table: QTable, model: Any, n: int = 100) -> dict[str, Any]:
    """Objects per second of processor time, one thread: n draws of 6 quantities."""
    posterior = infer(table, model=model, outputs=SETS["population"])
    posterior[:4].sample(n, rng=1)
    result: dict[str, Any] = {"draws": n, "quantities": 6}
    for title, redshifts in (("independent", None), ("10 redshifts", 10)):
        began = time.process_time()
        posterior.sample(n, rng=1, redshifts=redshifts)
        result[f"objects/s, {title}"] = round(len(table) / (time.process_time() - began), 2)
    began = time.process_time()
    posterior.sample(n, names=("lineflux_halpha",), rng=1)
    result["objects/s, lineflux_halpha"] = round(len(table) / (time.process_time() - began), 2)
    return result


if __name__ == "__main__":
    main()
