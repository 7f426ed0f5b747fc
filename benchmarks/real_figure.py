"""The figure of real.py: what is left of every band when the others predict it.

python benchmarks/real_figure.py real.json docs/_static/real_residuals.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

SHOWN = ("SDSS and BOSS spectra, r = 19", "Brown SEDs, r = 19", "SDSS galaxies", "VVDS")

MANY = 12
TICKS = (1500, 2500, 4000, 6000, 10000, 20000)


def draw_figure(residuals: dict[str, Any], path: Path) -> None:
    """Median residual of each band against wavelength, real galaxies and twins, set by set."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    sets = [name for name in SHOWN if name in residuals]
    figure, axes = plt.subplots(
        -(-len(sets) // 2), 2, figsize=(10, 3.0 * -(-len(sets) // 2)), layout="constrained",
        squeeze=False,
    )  # fmt: skip
    for ax, name in zip(axes.flat, sets, strict=False):
        for label, style in (("real", "C0o"), ("simulated", "C1s")):
            rows = [row for row in residuals[name][label].values() if "mag" in row]
            rows.sort(key=lambda row: row["pivot"])
            value, low, high = np.array([row["mag"] for row in rows]).T
            wave = np.array([row["pivot"] for row in rows])
            ax.errorbar(
                wave, value, np.nan_to_num([value - low, high - value]).clip(min=0), fmt=style,
                ms=3.5, lw=0.8, mfc="none" if label == "simulated" else None,
                label=f"{label} galaxies" if label == "real" else "simulated twins",
            )  # fmt: skip
        ax.axhline(0.0, color="0.6", lw=0.8)
        ax.set(title=name, xlabel="pivot wavelength, Å", ylabel="observed - predicted, mag")
        ax.title.set_fontsize(10)
        if len(residuals[name]["real"]) > MANY:
            ax.set(xlim=(3300, 9900), ylim=(-0.07, 0.07))  # GALEX is in the table
        elif max(row["pivot"] for row in residuals[name]["real"].values()) > 12000:
            ax.set_xscale("log")
            ax.set_xticks(TICKS, [f"{tick:,}" for tick in TICKS])
            ax.minorticks_off()
    for ax in axes.flat[len(sets) :]:
        ax.remove()
    axes.flat[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    draw_figure(json.loads(Path(sys.argv[1]).read_text("utf-8"))["residuals"], Path(sys.argv[2]))
