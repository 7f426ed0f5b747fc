"""Posterior of one quantity of one object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.plotting.labels import axis_label, quantity_label
from jpassed.plotting.rows import number_of, numbers_of, pdf_edges, quantities_with, row_of
from jpassed.plotting.style import Style, legend, start
from jpassed.posteriors import Posterior
from jpassed.posteriors.columns import column_name

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["plot_posterior"]

_BEYOND = 0.002
"""Share of the probability that may lie beyond each side of the drawn range."""

_BINS = 400
"""Of a posterior that is tabulated for its plot."""

_LEAST_PEAK = 0.02
"""Share of the probability from which on a peak of its own is told."""

_VALLEY = 0.5
"""Of the lower peak's height: deeper valleys part two peaks."""

_TOLD = 3
"""Peaks whose place and share are written."""

_LINES = ("--", ":", "-.")


class _Density(NamedTuple):
    """A tabulated posterior: mean density (K,) in bins with edges (K + 1,), and its quantiles."""

    edges: NDArray[np.float64]
    density: NDArray[np.float64]
    low: float
    middle: float
    high: float
    unit: str


def plot_posterior(
    table: Table | Posterior,
    row: int = 0,
    quantity: str = "z",
    *,
    truth: float | Mapping[str, float] | None = None,
    peaks: bool = True,
    ax: Axes | None = None,
    style: str | None = None,
) -> Axes:
    """
    Draw the posterior of a quantity, with its median and its 16th and 84th percentile.

    Parameters
    ----------
    table : `~astropy.table.Table` or `~jpassed.Posterior`
        From `jpassed.annotate` with ``pdf=True`` (it has ``jp_<quantity>_pdf``), or from
        `jpassed.annotation.infer`, which resolves peaks that are narrower than a column's bins.
    row : int
        Which row, counted from 0.
    quantity : str
        Which quantity.
    truth : float or mapping of str to float, optional
        A known value, drawn as a dashed line; of several each has a name,
        ``{"spectroscopic": 0.31, "eazy-py": 0.29}``.
    peaks : bool
        Write the places and the probabilities of the three strongest peaks, where there are
        several.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; by default on pyplot's current axes.
    style : {"light", "dark"}, optional
        By default that of the Axes.

    Returns
    -------
    `~matplotlib.axes.Axes`
        The quantity, and its probability density.

    Raises
    ------
    UnknownNameError
        There is no posterior of this quantity.
    InputError
        The table has no such row, the row has no prediction, or the column does not state its bins.
    """
    if isinstance(table, Posterior):
        found = _of_posterior(table, row_of(table, row), quantity)
    else:
        found = _of_table(table, row_of(table, row), quantity)
    edges, density, low, middle, high, unit = found
    known = _named(truth)
    ax, look = start(ax, style)
    colour = look.model
    ax.stairs(density, edges, color=colour, fill=True, alpha=0.3)
    ax.stairs(density, edges, color=colour, linewidth=1.2)
    ax.axvline(middle, color=colour, linewidth=1.2)
    ax.axvspan(low, high, color=colour, alpha=0.15, linewidth=0)
    for k, (name, value) in enumerate(known.items()):
        line = _LINES[k % len(_LINES)]
        label = name or "known"
        ax.axvline(value, color=look.truth, linestyle=line, linewidth=1.3, label=label)
    _limits(ax, edges, density, list(known.values()))
    if peaks:
        _tell_peaks(ax, look, edges, density)
    ax.locator_params(axis="x", nbins=4)
    ax.set_xlabel(quantity_label(quantity, unit))
    ax.set_ylabel(axis_label("posterior density", f"1 / ({unit})" if unit else None))
    legend(ax, look, loc="upper right")
    return ax


def _of_table(table: Table, row: int, quantity: str) -> _Density:
    name = column_name(quantity, "pdf")
    if name not in table.colnames:
        raise UnknownNameError("posterior", quantity, quantities_with(table, "pdf"))
    own = {end: column_name(quantity, end) for end in ("lo", "", "hi")}
    if missing := [column for column in own.values() if column not in table.colnames]:
        raise InputError(f"the table has {name}, but lacks {', '.join(missing)}: annotate it again")
    density = numbers_of(table[name][row])
    if not np.isfinite(density).all() or not density.any():
        raise InputError(f"row {row} (counted from 0) has no prediction of {quantity}")
    edges = pdf_edges(table, quantity)
    only = table[row : row + 1]
    low, middle, high = (number_of(only[column]) for column in own.values())
    unit = table[own[""]].unit
    return _Density(edges, density, low, middle, high, str(unit or ""))


def _of_posterior(posterior: Posterior, row: int, quantity: str) -> _Density:
    one = posterior[row : row + 1]
    distribution = one[quantity]
    ends = np.asarray(one.quantile(quantity, [_BEYOND / 4, 1 - _BEYOND / 4])).ravel()
    if not np.isfinite(ends).all() or ends[0] >= ends[1]:
        raise InputError(f"row {row} (counted from 0) has no prediction of {quantity}")
    edges = np.linspace(ends[0], ends[1], _BINS + 1)
    density = np.diff(distribution.cdf(edges[None, :])[0]) / np.diff(edges)
    low, middle, high = np.asarray(one.quantile(quantity, [0.16, 0.5, 0.84])).ravel()
    return _Density(edges, density, low, middle, high, posterior.units.get(quantity, ""))


def _named(truth: float | Mapping[str, float] | None) -> dict[str, float]:
    """Known values by name; those that are not finite are left out."""
    given = truth if isinstance(truth, Mapping) else {} if truth is None else {"": truth}
    values = {str(name): number_of(value) for name, value in given.items()}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def _limits(
    ax: Axes, edges: NDArray[np.float64], density: NDArray[np.float64], known: list[float]
) -> None:
    """Axes that hold nearly all of the probability, and what is known."""
    share = np.cumsum(density * np.diff(edges))
    share /= share[-1]
    first, last = np.searchsorted(share, [_BEYOND, 1 - _BEYOND])
    ends = [edges[first], edges[min(last, len(density) - 1) + 1], *known]
    margin = 0.1 * (max(ends) - min(ends))
    ax.set_xlim(min(ends) - margin, max(ends) + margin)
    ax.set_ylim(0, 1.12 * float(density.max()))


def _tell_peaks(
    ax: Axes, look: Style, edges: NDArray[np.float64], density: NDArray[np.float64]
) -> None:
    """Place and share of the strongest peaks, where there are several and room for their text."""
    found = find_peaks(edges, density)
    if len(found) < 2:
        return
    width, top = np.ptp(ax.get_xlim()), ax.get_ylim()[1]
    told: list[tuple[float, float]] = []
    for place, height, share in sorted(found, key=lambda peak: -peak[2])[:_TOLD]:
        if any(abs(x - place) < 0.3 * width and abs(y - height) < 0.1 * top for x, y in told):
            continue
        told.append((place, height))
        ax.annotate(
            f"{place:.3g}: {100 * share:.0f} %", (place, height), xytext=(0, 2),
            textcoords="offset points", ha="center", va="bottom", fontsize="x-small",
            color=look.ink,
        )  # fmt: skip


def find_peaks(
    edges: NDArray[np.float64], density: NDArray[np.float64]
) -> list[tuple[float, float, float]]:
    """Place, height and probability of each peak of a tabulated density, by place.

    Two peaks are told apart where the density between them falls below half of the lower one;
    those with less than 2 % of the probability are left to their neighbour.

    Parameters
    ----------
    edges : array (K + 1,)
    density : array (K,)

    Returns
    -------
    list of tuple of float
    """
    mass = density * np.diff(edges)
    mass = mass / mass.sum()
    inside = np.concatenate([[-1.0], density, [-1.0]])
    tops = [
        k
        for k in range(len(density))
        if inside[k + 1] > inside[k] and inside[k + 1] >= inside[k + 2]
    ]
    cuts: list[int] = []
    kept: list[int] = []
    for top in tops:
        if kept:
            valley = kept[-1] + int(np.argmin(density[kept[-1] : top + 1]))
            lower = min(density[kept[-1]], density[top])
            begin = cuts[-1] if cuts else 0
            enough = mass[begin:valley].sum() >= _LEAST_PEAK
            if density[valley] > _VALLEY * lower or not enough:
                kept[-1] = top if density[top] > density[kept[-1]] else kept[-1]
                continue
            cuts.append(valley)
        kept.append(top)
    if len(kept) > 1 and mass[cuts[-1] :].sum() < _LEAST_PEAK:
        kept.pop()
        cuts.pop()
    ends = [0, *cuts, len(density)]
    centre = 0.5 * (edges[1:] + edges[:-1])
    return [
        (float(centre[top]), float(density[top]), float(mass[low:high].sum()))
        for top, low, high in zip(kept, ends[:-1], ends[1:], strict=True)
    ]
