"""Calibration of posteriors: histogram of PIT values, and how often intervals hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtrik, betaincinv

from jpassed.exceptions import InputError
from jpassed.plotting.rows import numbers_of
from jpassed.plotting.style import legend, start

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_coverage", "plot_pit"]

LINES = ("-", "--", "-.", ":")
BAND = (0.025, 0.975)
_ROUNDING = 1e-6

Values = ArrayLike | Mapping[str, ArrayLike]


def plot_pit(
    pit: Values,
    *,
    bins: int | None = None,
    ax: Axes | None = None,
    style: str | None = None,
) -> Axes:
    """
    Draw the histogram of PIT values, with the scatter that calibrated posteriors would have.

    A slope says that predictions are biased, a valley that posteriors are too narrow, a hill that
    they are too wide; high ends are outliers.

    Parameters
    ----------
    pit : array (N,), or mapping of str to such arrays
        Values within 0 and 1; those that are masked or not finite are left out. Of several
        samples, such as before and after a recalibration, all are drawn.
    bins : int, optional
        By default one for 20 objects, from 8 to 20.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; by default on pyplot's current axes.
    style : {"light", "dark"}, optional
        By default that of the Axes.

    Returns
    -------
    `~matplotlib.axes.Axes`
        Density, 1 for calibrated posteriors; 95 % of their bins lie in the grey band, which is
        that of the smallest sample.

    Raises
    ------
    InputError
        No finite value, or one beyond 0 and 1.
    """
    samples = _samples(pit)
    ax, look = start(ax, style)
    n = min(len(values) for values in samples.values())
    bins = int(np.clip(n // 20, 8, 20)) if bins is None else bins
    edges = np.linspace(0.0, 1.0, bins + 1)
    low, high = np.ceil(bdtrik(BAND, n, 1.0 / bins)) * bins / n
    ax.axhspan(low, high, color=look.shade, linewidth=0, label="95 % of calibrated bins")
    ax.axhline(1.0, color=look.muted, linewidth=0.8)
    top = high
    for k, (name, values) in enumerate(samples.items()):
        colour, line = look.series[k % len(look.series)], LINES[k % len(LINES)]
        density = np.histogram(values, edges)[0] * bins / len(values)
        label = f"{name}, {len(values)}" if name else f"{len(values)} objects"
        ax.stairs(density, edges, color=colour, linewidth=1.5, linestyle=line, label=label)
        if len(samples) == 1:
            ax.stairs(density, edges, color=colour, fill=True, alpha=0.25)
        top = max(top, float(density.max()))
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.3 * top)
    ax.set_xlabel("PIT, cumulative probability at the truth")
    ax.set_ylabel("density of objects")
    legend(ax, look, loc="upper center")
    return ax


def plot_coverage(pit: Values, *, ax: Axes | None = None, style: str | None = None) -> Axes:
    """
    Draw how often central intervals hold the truth, against how often they say they do.

    Parameters
    ----------
    pit : array (N,), or mapping of str to such arrays
        As of `plot_pit`.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; by default on pyplot's current axes.
    style : {"light", "dark"}, optional
        By default that of the Axes.

    Returns
    -------
    `~matplotlib.axes.Axes`
        Below the diagonal intervals are too narrow. 95 % of calibrated samples, of the size of the
        smallest, lie in the grey band at each probability.

    Raises
    ------
    InputError
        No finite value, or one beyond 0 and 1.
    """
    samples = _samples(pit)
    ax, look = start(ax, style)
    level = np.linspace(0.0, 1.0, 101)
    n = min(len(values) for values in samples.values())
    low, high = (betaincinv(level * n + 0.5, (1 - level) * n + 0.5, q) for q in BAND)
    ax.fill_between(level, low, high, color=look.shade, linewidth=0, label="95 % if calibrated")
    ax.plot([0, 1], [0, 1], color=look.muted, linewidth=0.8)
    for k, (name, values) in enumerate(samples.items()):
        colour, line = look.series[k % len(look.series)], LINES[k % len(LINES)]
        inside = np.sort(2.0 * np.abs(values - 0.5))
        share = np.searchsorted(inside, level, side="right") / len(inside)
        ax.plot(level, share, color=colour, linewidth=1.5, linestyle=line, label=name or None)
    for at in (0.5, 0.68, 0.9, 0.95):
        ax.axvline(at, color=look.grid, linewidth=0.6, linestyle=":")
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.set_aspect("equal")
    ax.set_xlabel("probability of the central interval")
    ax.set_ylabel("share of objects inside")
    legend(ax, look, loc="upper left")
    return ax


def _samples(pit: Values) -> dict[str, NDArray[np.float64]]:
    given = dict(pit) if isinstance(pit, Mapping) else {"": pit}
    found = {}
    for name, values in given.items():
        array = numbers_of(values).ravel()
        array = array[np.isfinite(array)]
        if not len(array):
            raise InputError(f"no PIT value is known{f' of {name!r}' if name else ''}")
        if array.min() < -_ROUNDING or array.max() > 1 + _ROUNDING:
            raise InputError(
                f"PIT values{f' of {name!r}' if name else ''} lie within 0 and 1, got "
                f"{array.min():.4g} to {array.max():.4g}"
            )
        found[str(name)] = array
    if not found:
        raise InputError("no PIT values were given")
    return found
