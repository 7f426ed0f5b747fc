"""Posterior of one quantity of one object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.plotting.axes import axes_or_current
from jpassed.posteriors.columns import column_name
from jpassed.posteriors.grids import PdfGrid

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.axes import Axes

__all__ = ["plot_posterior"]

#: Share of the probability that may lie beyond each side of the drawn range.
_BEYOND = 0.002


def plot_posterior(
    table: Table,
    row: int = 0,
    quantity: str = "z",
    *,
    truth: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """
    Draw the posterior of a quantity, with its median and its 16th and 84th percentile.

    Parameters
    ----------
    table : `~astropy.table.Table`
        From `jpassed.annotate` with ``pdf=True``: it has ``jp_<quantity>_pdf``.
    row : int
        Which row.
    quantity : str
        Which quantity.
    truth : float, optional
        A known value, drawn as a dashed line.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; by default on pyplot's current axes.

    Returns
    -------
    `~matplotlib.axes.Axes`
        The quantity, and its probability density.

    Raises
    ------
    UnknownNameError
        The table has no posterior of this quantity.
    InputError
        The table has no such row, the row has no prediction, or the column does not state its bins.
    """
    name = column_name(quantity, "pdf")
    if name not in table.colnames:
        start, end = column_name(""), "_pdf"
        there = [n for n in table.colnames if n.startswith(start) and n.endswith(end)]
        raise UnknownNameError("posterior", quantity, [n[len(start) : -len(end)] for n in there])
    if not -len(table) <= row < len(table):
        raise InputError(f"row {row} of a table of {len(table)} rows")
    density = np.ma.filled(np.ma.asarray(_plain(table[name][row]), dtype=np.float64), np.nan)
    if not np.isfinite(density).all():
        raise InputError(f"row {row} has no prediction of {quantity}")
    edges = PdfGrid.parse(table[name].info.description or "").edges
    ax = axes_or_current(ax)
    ax.stairs(density, edges, color="tab:orange", fill=True, alpha=0.3)
    ax.stairs(density, edges, color="tab:orange", linewidth=1.2)
    low, middle, high = (
        float(_plain(table[column_name(quantity, end)][row])) for end in ("lo", "", "hi")
    )
    ax.axvline(middle, color="tab:orange", linewidth=1.2)
    ax.axvspan(low, high, color="tab:orange", alpha=0.15, linewidth=0)
    if truth is not None:
        ax.axvline(truth, color="black", linestyle="--", linewidth=1.0)
    share = np.cumsum(density * np.diff(edges))
    share /= share[-1]
    first, last = np.searchsorted(share, [_BEYOND, 1 - _BEYOND])
    ends = [edges[first], edges[min(last, len(density) - 1) + 1]]
    if truth is not None:
        ends += [truth]
    margin = 0.1 * (max(ends) - min(ends))
    ax.set_xlim(min(ends) - margin, max(ends) + margin)
    ax.set_ylim(bottom=0)
    ax.locator_params(axis="x", nbins=5)
    unit = table[column_name(quantity)].unit
    ax.set_xlabel(f"{quantity} ({unit})" if unit else quantity)
    ax.set_ylabel("posterior density")
    return ax


def _plain(value: Any) -> Any:
    """A quantity's value, anything else as it is."""
    return getattr(value, "value", value)
