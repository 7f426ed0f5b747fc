"""Many objects in a plane, as counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jpassed.plotting.style import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MANY", "draw_bar", "draw_counts"]

MANY = 2000
"""Objects from which on a plane is drawn as counts."""

CELLS = 120


def draw_counts(
    ax: Axes,
    look: Style,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    limits: tuple[tuple[float, float], tuple[float, float]],
) -> None:
    """Numbers of objects in cells, with their bar."""
    from matplotlib.colors import LogNorm

    counts = ax.hist2d(
        x, y, bins=CELLS, range=limits, cmin=1, cmap=look.colours(), norm=LogNorm(), rasterized=True
    )
    draw_bar(ax, look, counts[3], "objects")


def draw_bar(ax: Axes, look: Style, drawn: Any, label: str) -> None:
    """The bar of a map of colours beside the Axes."""
    bar = ax.figure.colorbar(drawn, ax=ax, pad=0.02, shrink=0.85)
    look.dress(bar.ax)
    bar.outline.set_edgecolor(look.ink)
    bar.set_label(label, color=look.ink)
