"""Bandfluxes of one object, with those that a model predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jpassed.exceptions import InputError
from jpassed.filters import known_bands
from jpassed.plotting.axes import axes_or_current
from jpassed.surveys import read_photometry

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["plot_sed"]

PREFIX = "jp_flux_"
BROAD = 400.0
"""Bands wider than this (Å) average over what narrow ones resolve: they are drawn as points."""


def plot_sed(table: Table, row: int = 0, *, survey: str = "auto", ax: Axes | None = None) -> Axes:
    """
    Draw the bandfluxes of one row, and over them those that a model predicted.

    Parameters
    ----------
    table : `~astropy.table.Table`
        A table of bandfluxes; where `jpassed.annotate` added ``jp_flux_<band>`` with ``_lo`` and
        ``_hi``, these are drawn with their 16th and 84th percentile: narrow bands as a line, broad
        ones as points.
    row : int
        Which row.
    survey : str
        Name or path of the survey that says which columns are bandfluxes.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; by default on pyplot's current axes.

    Returns
    -------
    `~matplotlib.axes.Axes`
        Pivot wavelength in Å, bandflux in microjansky.

    Raises
    ------
    InputError
        The table has no such row.
    UnrecognisedTableError
        The table has no bandfluxes.
    """
    if not -len(table) <= row < len(table):
        raise InputError(f"row {row} of a table of {len(table)} rows")
    row %= len(table)
    only = table[row : row + 1]
    ax = axes_or_current(ax)
    photometry = read_photometry(only, survey)
    seen = photometry.observed[0]
    ax.errorbar(
        photometry.pivot[seen],
        photometry.flux[0][seen],
        yerr=photometry.error[0][seen],
        fmt="o",
        markersize=3,
        linewidth=0.8,
        color="black",
        label="observed",
        zorder=3,
    )
    points = _predicted(only)
    wave, middle, low, high = points[points[:, 1] <= BROAD][:, [0, 2, 3, 4]].T
    if wave.size:
        ax.fill_between(wave, low, high, color="tab:orange", alpha=0.3, linewidth=0)
        ax.plot(wave, middle, color="tab:orange", linewidth=1.2, label="predicted")
    wave, width, middle, low, high = points[points[:, 1] > BROAD].T
    if wave.size:
        ax.errorbar(
            wave,
            middle,
            xerr=0.5 * width,
            yerr=(middle - low, high - middle),
            fmt="s",
            markersize=4,
            markerfacecolor="none",
            linewidth=0.8,
            color="tab:orange",
            label="predicted, broad bands",
        )
    ax.set_xlabel("wavelength (Å)")
    ax.set_ylabel("bandflux (µJy)")
    ax.legend(frameon=False)
    return ax


def _predicted(only: Table) -> NDArray[np.float64]:
    """Pivot, width, median, 16th and 84th percentile of predicted bands, by pivot: (B, 5)."""
    points = []
    for band, (pivot, width) in known_bands().items():
        names = [f"{PREFIX}{band}{end}" for end in ("", "_lo", "_hi")]
        if all(name in only.colnames for name in names):
            values = [_microjansky(only[name]) for name in names]
            if np.isfinite(values).all():
                points.append((pivot, width, *values))
    return np.array(sorted(points), dtype=np.float64).reshape(-1, 5)


def _microjansky(column: object) -> float:
    """The one value of a column in microjansky, NaN where masked."""
    value = np.ma.asarray(getattr(column, "value", column), dtype=np.float64)
    return float(np.ma.filled(value, np.nan)[0])
