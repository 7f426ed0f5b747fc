"""A population with another redshift distribution, and posteriors reweighted for it: for rare.py.

Galaxies of the natural prior, each counted with the weight r(z) = q(z) / p(z), are a sample of the
prior q: one that differs in redshift alone, so that the posterior for it is the model's own times
r(z), exactly. Four broad bands, where the prior matters.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import simulated_sample as samples
from numpy.typing import NDArray

from jpassed.annotation import infer
from jpassed.evaluation import pit
from jpassed.posteriors.prior_change import reweighted

Array = NDArray[np.float64]

FEW = ("uJPAS", "gSDSS", "rSDSS", "iSDSS")
CENTRE, WIDTH = 0.55, 0.12
"""The other prior: a Gaussian in redshift."""

LEVELS = (0.50, 0.68, 0.90, 0.95)


def slice_change(
    folder: Path, cache: Path, model: Any, n: int = 12000
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Coverage and bias of posteriors for the right and for the wrong prior.

    Returns
    -------
    figures, shown : dict
        For the page, and for `draw_slice`.
    """
    full = samples.natural_sample(folder, 20000, cache)
    every = samples.truth(full, "z")
    table = full[:n][[c for band in FEW for c in (band, f"{band}_err")]]
    truth = every[:n]
    bins = np.linspace(0.0, 1.2, 61)
    counts, _ = np.histogram(every, bins)
    middle = 0.5 * (bins[1:] + bins[:-1])
    log_natural = np.log(np.maximum(np.convolve(counts, [0.25, 0.5, 0.25], "same"), 0.5))

    def log_ratio(z: Array) -> Array:
        return -0.5 * ((z - CENTRE) / WIDTH) ** 2 - np.interp(z, middle, log_natural)

    own = infer(table, model=model, outputs=("z",))["z"]
    changed = reweighted(own, log_ratio)
    weight = np.exp(log_ratio(truth) - log_ratio(truth).max())
    even = np.ones(n)
    cases = {
        "declared prior, its galaxies": (own, even),
        "declared prior, the other galaxies": (own, weight),
        "reweighted, the other galaxies": (changed, weight),
    }
    rows: dict[str, Any] = {}
    shown: dict[str, Any] = {"pit": {}, "stacked": {}, "bins": bins}
    for name, (distribution, w) in cases.items():
        p = pit(distribution, truth)
        held = [float((w * (np.abs(p - 0.5) <= x / 2)).sum() / w.sum()) for x in LEVELS]
        rows[name] = {f"coverage_{100 * x:.0f}": v for x, v in zip(LEVELS, held, strict=True)}
        residual = (distribution.median() - truth) / (1 + truth)
        rows[name]["bias"] = float((w * residual).sum() / w.sum())
        density = np.maximum(distribution.pdf(truth), 1e-4)
        rows[name]["log score"] = float((w * np.log(density)).sum() / w.sum())
        shown["pit"][name] = (p, w)
        mass = np.diff(distribution.cdf(bins[None, :]), axis=1)
        shown["stacked"][name] = (w[:, None] * mass).sum(axis=0) / w.sum() / np.diff(bins)
    shown["truth"] = np.histogram(truth, bins, weights=weight, density=True)[0]
    effective = float(weight.sum() ** 2 / (weight**2).sum())
    return {"objects": n, "effective": effective, "bands": ", ".join(FEW), "rows": rows}, shown


def draw_slice(shown: dict[str, Any], path: Path) -> None:
    """Coverage against level, and stacked posteriors against the true redshifts."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
    levels = np.linspace(0.02, 0.98, 49)
    styles = dict(zip(shown["pit"], ("k:", "C3--", "C0-"), strict=True))
    for name, (p, weight) in shown["pit"].items():
        inside = np.abs(p - 0.5)[:, None] <= levels[None, :] / 2
        held = (weight[:, None] * inside).sum(axis=0) / weight.sum()
        left.plot(100 * levels, 100 * (held - levels), styles[name], label=name)
    left.axhline(0, color="0.6", lw=0.8)
    left.set(xlabel="central interval, %", ylabel="galaxies inside it, less that, points")
    left.set_ylim(top=1.4 * left.get_ylim()[1])
    left.legend(frameon=False, fontsize=8, loc="upper left")
    right.stairs(shown["truth"], shown["bins"], fill=True, color="0.85",
                 label="true redshifts of the other galaxies")  # fmt: skip
    middle = 0.5 * (shown["bins"][1:] + shown["bins"][:-1])
    for name in list(styles)[1:]:
        right.plot(middle, shown["stacked"][name], styles[name], label=f"mean: {name}")
    right.set(xlabel="redshift", ylabel="density", xlim=(0, 1.2))
    right.set_ylim(0, 1.5 * shown["truth"].max())
    right.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)
