"""ROC curves of the flags, as numbers and as a figure."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from flag_corruptions import CORRUPTIONS
from numpy.typing import NDArray

Array = NDArray[np.float64]


def roc(good: Array, bad: Array) -> tuple[Array, Array]:
    """False alarms among `good`, and found of `bad`, as the limit falls."""
    limits = np.unique(np.concatenate([good, bad]))[::-1]
    alarms = np.array([np.mean(good > limit) for limit in limits])
    found = np.array([np.mean(bad > limit) for limit in limits])
    return np.append(alarms, 1.0), np.append(found, 1.0)


def found_at(good: Array, bad: Array, alarms: float) -> float:
    """Percentage of `bad` above what a share of `good` exceeds."""
    return 100.0 * float(np.mean(bad > np.quantile(good, 1.0 - alarms)))


def area(good: Array, bad: Array) -> float:
    """Area under the ROC: the chance that a bad object has the larger value."""
    alarms, found = roc(good, bad)
    return float(np.trapezoid(found, alarms))


def draw(path: Path, chi2: dict[str, Any], ratios: dict[str, Any]) -> None:
    """The ROC curves as a PNG."""
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=(9.6, 4.6), layout="constrained")
    axes = figure.subplots(1, 3)
    for ax, label in zip(axes[:2], ("simulated", "Brown SEDs"), strict=True):
        for i, name in enumerate(CORRUPTIONS):
            for form, style in (("full", "-"), ("quick", ":")):
                named = name if form == "full" and ax is axes[0] else None
                ax.plot(*chi2[name, label, form], style, color=f"C{i}", lw=1.2, label=named)
        ax.set_title(f"jp_chi2, {label}\n(full: solid, quick: dotted)", fontsize=9)
        ax.set_ylabel("spoilt objects found")
    for i, (name, curve) in enumerate(ratios.items()):
        axes[2].plot(*curve, color=f"C{i % 4}", ls="-" if i < 4 else "--", lw=1.2, label=name)
    axes[2].set_title("width over the prior's,\nredshift outliers found", fontsize=9)
    axes[2].set_ylabel("outliers found")
    for ax in axes:
        ax.set_xscale("log")
        ax.set_xlim(2e-3, 1)
        ax.set_ylim(0, 1)
        ax.axvline(0.01, color="0.8", lw=0.8, zorder=0)
        ax.set_xlabel("false alarms")
    for ax, place in ((axes[0], "lower left"), (axes[2], "lower right")):
        lines, names = ax.get_legend_handles_labels()
        figure.legend(lines, names, loc=f"outside {place}", ncols=2, fontsize=7, frameon=False)
    drawn = BytesIO()
    figure.savefig(drawn, dpi=110, format="png")
    Image.open(drawn).convert("RGB").quantize(48).save(path, optimize=True)
