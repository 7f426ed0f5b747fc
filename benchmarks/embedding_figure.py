"""The figure of `embedding.py`: real and simulated galaxies on two axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

X, Y = 1, 2
"""The first axis is brightness, as is the second: the third tells colour and mass."""

SHOWN = 1500
"""Points in a panel: more make a heavy file, and nothing clearer."""


def draw(
    path: Path,
    real: Array,
    known: dict[str, Array],
    brown: Array,
    seds: dict[str, Array],
    simulated: Array,
    truth: dict[str, Array],
) -> None:
    """Write the figure."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from PIL import Image

    figure, panels = plt.subplots(2, 2, figsize=(9.0, 6.8), layout="constrained")
    for panel, title, points, colour, label, limits in (
        (panels[0, 0], "simulated, 60 J-PAS bands", simulated, truth["z"], "z", (0, 0.8)),
        (panels[0, 1], "simulated", simulated, truth["ur_rest"], "(u-r) rest", (0.8, 2.8)),
        (panels[1, 0], "7,000 SDSS galaxies, ugriz+", real, known["z"], "z_spec", (0, 0.3)),
        (panels[1, 1], "Brown SEDs, z 0.05-0.6", brown, seds["u-r"], "(u-r) rest", (0.8, 2.8)),
    ):
        points, colour = points[:SHOWN], colour[:SHOWN]
        size = 3.0 if len(points) > 1000 else 10.0
        dots = panel.scatter(
            points[:, X], points[:, Y], c=colour, s=size, lw=0, cmap="viridis", vmin=limits[0],
            vmax=limits[1],
        )  # fmt: skip
        low, high = np.nanquantile(points[:, [X, Y]], [0.002, 0.998], axis=0)
        margin = 0.05 * (high - low)
        panel.set(
            title=title, xlim=(low[0] - margin[0], high[0] + margin[0]),
            ylim=(low[1] - margin[1], high[1] + margin[1]), xlabel=f"axis {X + 1}",
            ylabel=f"axis {Y + 1}",
        )  # fmt: skip
        figure.colorbar(dots, ax=panel, label=label)
    figure.savefig(path, dpi=70)
    plt.close(figure)
    # 128 colours are enough, and a third of the size.
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(128)
    small.save(path, optimize=True)
