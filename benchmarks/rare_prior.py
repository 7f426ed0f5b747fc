"""Posteriors for a changed prior: the part of rare.py about re-weighting.

The training `balanced` draws rare galaxies more often and does not correct for it: its posteriors
refer to the prior that was drawn. Joint draws of redshift and of what the drawing depends on (line
strength and rest colour, at the galaxy's magnitude), weighted by natural over drawn density, give
posteriors for the natural prior: their intervals must hold for galaxies of the natural prior, and
agree with those of the training `weighted`, which was corrected in its loss.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import simulated_sample as samples
import torch
from astropy.table import QTable
from numpy.typing import NDArray

import jpassed
from jpassed.annotation import infer
from jpassed.evaluation import coverage
from jpassed.posteriors.prior_change import draw_weights, weighted_cdf, weighted_quantile
from jpassed.simulator.galaxies import LABELS
from jpassed.training.pool import Galaxies
from jpassed.training.weighting import (
    COLOUR_EDGES,
    EW_EDGES,
    MAGNITUDE_EDGES,
    REDSHIFT_EDGES,
    density_weights,
)

Array = NDArray[np.float64]

FEW = ("uJPAS", "gSDSS", "rSDSS", "iSDSS")
OBJECTS, DRAWS = 1500, 32
LEVELS = (0.50, 0.68, 0.90, 0.95)


def cells(z: Array, magnitude: Array, ew: Array, colour: Array) -> NDArray[np.int64]:
    """Cell of the density weighting of every galaxy."""
    index = np.zeros(z.shape, dtype=np.int64)
    for value, edge in ((z, REDSHIFT_EDGES), (magnitude, MAGNITUDE_EDGES), (ew, EW_EDGES),
                        (colour, COLOUR_EDGES)):  # fmt: skip
        index = index * (len(edge) + 1) + np.searchsorted(np.asarray(edge), value)
    return index


def drawn_density(folder: Path, cache: Path) -> tuple[Array, Any]:
    """ln of the drawing weight of each cell, and the table of the balanced redshifts and
    magnitudes."""
    drawn = samples.library(folder, 200_000, cache)
    labels = np.stack([np.nan_to_num(drawn[name]) for name in LABELS], 1)
    known = np.stack([np.isfinite(drawn[name]) for name in LABELS], 1)
    galaxies = Galaxies(
        torch.zeros(len(labels), 0), torch.from_numpy(labels).float(), torch.from_numpy(known),
        torch.from_numpy(drawn["mag_r"]).float(), torch.from_numpy(drawn["log_weight"]).float(),
    )  # fmt: skip
    weights = density_weights(galaxies, LABELS, exponent=0.3, clip=5.0).drawing.numpy()
    ew = np.where((drawn["z"] < 0.4) & np.isfinite(drawn["ew_halpha"]), drawn["ew_halpha"],
                  np.nan_to_num(drawn["ew_oii"]))  # fmt: skip
    index = cells(drawn["z"], drawn["mag_r"], ew, drawn["ur_rest"])
    size = int(cells(np.array([9.0]), np.array([99.0]), np.array([9e9]), np.array([99.0]))[0]) + 1
    # A cell that the library lacks is as rare as the rarest.
    table = np.full(size, np.log(weights.max()))
    table[index] = np.log(weights)
    return table, samples.simulator(folder, balance=1.0).table


def log_ratio(
    density: Array, population: Any, z: Array, magnitude: Array, ew: Array, colour: Array
) -> Array:
    """ln of the natural over the drawn density of galaxies."""
    row = np.clip(np.searchsorted(population.z_edges, z) - 1, 0, len(population.z_edges) - 2)
    column = np.clip(
        np.searchsorted(population.m_edges, magnitude) - 1, 0, len(population.m_edges) - 2
    )
    drawn = population.log_weight[row, column] + density[cells(z, magnitude, ew, colour)]
    return np.asarray(-drawn)


def joint_draws(table: QTable, model: Any, seed: int) -> tuple[Array, Array, Array]:
    """Redshift, EW that the drawing asks about, and rest colour, each (N, DRAWS)."""
    rng = np.random.default_rng(seed)
    z = infer(table, model=model, outputs=("z",))["z"].sample(DRAWS, rng)
    rows = np.repeat(np.arange(len(table)), DRAWS)
    wide = table[rows]
    wide["z_draw"] = z.ravel()
    wanted = ("ew_halpha", "ew_oii", "ur_rest")
    posterior = infer(wide, model=model, outputs=wanted, context={"z": "z_draw"})
    value = {name: posterior[name].sample(1, rng)[:, 0].reshape(z.shape) for name in wanted}
    return z, np.where(z < 0.4, value["ew_halpha"], value["ew_oii"]), value["ur_rest"]


def prior_change(folder: Path, cache: Path, steps: int) -> dict[str, Any]:
    """Figures of the three posteriors; draws are kept in the cache (no other model takes part)."""
    path = cache / f"rare-prior-{OBJECTS}-{DRAWS}-{steps}.npz"
    if not path.exists():
        np.savez(path, **_draws(folder, cache))
    with np.load(path) as stored:
        drawn = {key: stored[key] for key in stored.files}
    z, weights, truth = drawn["draws"], drawn["weights"], drawn["truth"]
    even = np.full_like(weights, 1.0 / weights.shape[1])
    middles = {
        "as drawn": weighted_quantile(z, even, [0.16, 0.5, 0.84]),
        "reweighted": weighted_quantile(z, weights, [0.16, 0.5, 0.84]),
        "declared": drawn["declared quantiles"],
    }
    pits = {
        "as drawn": drawn["balanced pit"],
        "reweighted": weighted_cdf(z, weights, truth),
        "declared": drawn["declared pit"],
    }
    rows = {}
    for name, p in pits.items():
        held = coverage(p, np.asarray(LEVELS))
        pairs = zip(LEVELS, held, strict=True)
        rows[name] = {f"coverage_{100 * x:.0f}": float(v) for x, v in pairs}
        rows[name]["bias"] = float(np.mean((middles[name][:, 1] - truth) / (1 + truth)))
    half = (middles["declared"][:, 2] - middles["declared"][:, 0]) / 2
    apart = {
        name: float(np.median(np.abs(middles[name][:, 1] - middles["declared"][:, 1]) / half))
        for name in ("as drawn", "reweighted")
    }
    return {
        "objects": len(truth),
        "bands": ", ".join(FEW),
        "draws": DRAWS,
        "efficiency": float(np.median(drawn["efficiency"])),
        "posteriors": rows,
        "distance before": apart["as drawn"],
        "distance after": apart["reweighted"],
    }


def _draws(folder: Path, cache: Path) -> dict[str, Array]:
    full = samples.natural_sample(folder, 20000, cache)[-OBJECTS:]
    table = full[[c for band in FEW for c in (band, f"{band}_err")]]
    truth, magnitude = samples.truth(full, "z"), samples.noisy_magnitude(full)
    balanced = jpassed.load_model(cache / "rare-balanced")
    declared = jpassed.load_model(cache / "rare-weighted")
    z, ew, colour = joint_draws(table, balanced, 3)
    density, population = drawn_density(folder, cache)
    wide = np.broadcast_to(magnitude[:, None], z.shape)
    weights, efficiency = draw_weights(log_ratio(density, population, z, wide, ew, colour))
    own = infer(table, model=balanced, outputs=("z",))["z"]
    other = infer(table, model=declared, outputs=("z",))["z"]
    return {
        "draws": z, "weights": weights, "efficiency": efficiency, "truth": truth,
        "magnitude": magnitude, "balanced pit": own.cdf(truth), "declared pit": other.cdf(truth),
        "declared quantiles": other.quantile([0.16, 0.5, 0.84]),
    }  # fmt: skip
