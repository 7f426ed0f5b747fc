"""The figure of `intruders.py`: ROC curves, and scores of quasars by redshift."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from intruder_samples import Sample
from numpy.typing import NDArray

COLOURS = {"star": "#c1440e", "pickles": "#e0a458", "qso": "#1b6ca8"}
NAMES = {"star": "22 stars, spectra", "pickles": "131 Pickles stars", "qso": "75 QSOs, spectra"}


def draw(
    path: Path,
    samples: dict[str, Sample],
    found: dict[str, NDArray[np.float64]],
    galaxies: NDArray[np.float64],
    threshold: float,
) -> None:
    """Write the figure."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.8), layout="constrained")
    cuts = np.quantile(galaxies, np.linspace(0.5, 1.0, 2000))
    alarms = np.array([np.mean(galaxies > cut) for cut in cuts])
    for key, colour in COLOURS.items():
        shown = np.array([np.mean(found[key] > cut) for cut in cuts])
        left.plot(100 * alarms, 100 * shown, color=colour, label=NAMES[key])
        left.plot(
            100 * np.mean(galaxies > threshold), 100 * np.mean(found[key] > threshold), "o",
            color=colour,
        )  # fmt: skip
    left.axvline(5.0, color="0.6", ls=":", lw=1.0)
    left.axhline(90.0, color="0.6", ls=":", lw=1.0)
    left.set(
        xscale="log", xlim=(0.1, 50.0), ylim=(70.0, 100.5),
        xlabel="simulated galaxies flagged, %", ylabel="found, %",
        title="r 18-21; points: jp_flag",
    )  # fmt: skip
    left.legend(frameon=False, loc="lower right")

    def odds(score: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.log10(np.clip(score, 1e-6, 1 - 1e-6) / (1 - np.clip(score, 1e-6, 1 - 1e-6)))

    edges = np.linspace(-6.0, 6.0, 61)
    groups = [
        (galaxies, "0.55", "simulated galaxies"), (found["brown"], "#2a7f3f", "Brown SEDs"),
        (found["star"], COLOURS["star"], "stars"), (found["qso"], COLOURS["qso"], "QSOs"),
    ]  # fmt: skip
    for score, colour, title in groups:
        count, _ = np.histogram(odds(score), edges)
        right.stairs(100 * count / count.sum(), edges, color=colour, label=title, lw=1.4)
    right.axvline(np.log10(threshold / (1 - threshold)), color="0.6", ls=":", lw=1.0)
    right.set(xlabel="log10 of the odds, jp_intruder / (1 - jp_intruder)", ylabel="% of draws")
    right.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=90)
    plt.close(figure)
