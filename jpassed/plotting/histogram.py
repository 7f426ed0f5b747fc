"""How a quantity is distributed over a catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.plotting.labels import quantity_label
from jpassed.plotting.rows import numbers_of, pdf_edges, quantities_with
from jpassed.plotting.style import legend, start
from jpassed.posteriors.columns import column_name

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.axes import Axes

__all__ = ["plot_histogram"]


def plot_histogram(
    table: Table,
    quantity: str = "z",
    *,
    bins: int | None = None,
    ax: Axes | None = None,
    style: str | None = None,
) -> Axes:
    """
    Draw how the medians of a quantity are distributed, and the sum of its posteriors.

    Parameters
    ----------
    table : `~astropy.table.Table`
        From `jpassed.annotate`; where it has ``jp_<quantity>_pdf`` their sum is drawn as a line.
    quantity : str
        Which quantity.
    bins : int, optional
        By default the square root of the number of objects, from 10 to 60.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; by default on pyplot's current axes.
    style : {"light", "dark"}, optional
        By default that of the Axes.

    Returns
    -------
    `~matplotlib.axes.Axes`
        The quantity, and the number of objects in a bin.

    Raises
    ------
    UnknownNameError
        The table has no such prediction.
    InputError
        No row has one, or the column of posteriors does not state its bins.
    """
    name = column_name(quantity)
    if name not in table.colnames:
        raise UnknownNameError("predicted quantity", quantity, quantities_with(table, "lo"))
    values = numbers_of(table[name])
    values = values[np.isfinite(values)]
    if not len(values):
        raise InputError(f"no row has a prediction of {quantity}")
    pdf = column_name(quantity, "pdf")
    grid = pdf_edges(table, quantity) if pdf in table.colnames else None
    ax, look = start(ax, style)
    bins = int(np.clip(np.sqrt(len(values)), 10, 60)) if bins is None else bins
    counts, edges = np.histogram(values, bins)
    ax.stairs(counts, edges, color=look.truth, fill=True, alpha=0.3)
    ax.stairs(counts, edges, color=look.truth, linewidth=1.2, label="medians")
    top = float(counts.max())
    if grid is not None:
        # Objects expected in each bin: differences of the summed cumulative probability.
        summed = np.nansum(numbers_of(table[pdf]) * np.diff(grid), axis=0)
        below = np.interp(edges, grid, np.concatenate([[0.0], np.cumsum(summed)]))
        expected = np.diff(below)
        ax.stairs(
            expected,
            edges,
            color=look.model,
            linewidth=1.4,
            linestyle="--",
            label="sum of posteriors",
        )
        top = max(top, float(expected.max()))
        legend(
            ax, look, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.1,
            handlelength=1.4, columnspacing=1.0,
        )  # fmt: skip
    margin = 0.05 * (edges[-1] - edges[0])
    ax.set_xlim(edges[0] - margin, edges[-1] + margin)
    ax.set_ylim(0, 1.08 * top)
    ax.set_xlabel(quantity_label(quantity, table[name].unit))
    ax.set_ylabel("objects")
    return ax
