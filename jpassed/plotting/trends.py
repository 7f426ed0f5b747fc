"""A statistic in bins of magnitude, redshift or odds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jpassed.exceptions import InputError
from jpassed.plotting.rows import numbers_of
from jpassed.plotting.style import start

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_trend"]


def plot_trend(
    low: ArrayLike,
    high: ArrayLike,
    value: ArrayLike,
    interval: tuple[ArrayLike, ArrayLike] | None = None,
    *,
    name: str = "",
    by: str = "",
    reference: float | None = None,
    ax: Axes | None = None,
    style: str | None = None,
) -> Axes:
    """
    Draw a statistic in bins, with its uncertainty.

    Parameters
    ----------
    low, high : array (K,)
        Edges of the bins.
    value : array (K,)
        The statistic; bins where it is masked or not finite are left out.
    interval : two arrays (K,), optional
        Ends of its confidence interval.
    name, by : str
        Labels of the axes.
    reference : float, optional
        What it should be, drawn as a dashed line.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; by default on pyplot's current axes.
    style : {"light", "dark"}, optional
        By default that of the Axes.

    Returns
    -------
    `~matplotlib.axes.Axes`

    Raises
    ------
    InputError
        No bin has a value, or the lengths differ.
    """
    left, right, y = (numbers_of(a) for a in (low, high, value))
    if not (left.shape == right.shape == y.shape) or y.ndim != 1:
        raise InputError(f"expected columns of one length, got {left.shape}, {y.shape}")
    good = np.isfinite(y) & np.isfinite(left) & np.isfinite(right)
    if not good.any():
        raise InputError(f"no bin has a value{f' of {name}' if name else ''}")
    ax, look = start(ax, style)
    middle = 0.5 * (left + right)[good]
    errors = None
    if interval is not None:
        ends = [numbers_of(end)[good] for end in interval]
        errors = np.clip([y[good] - ends[0], ends[1] - y[good]], 0.0, None)
        errors = np.nan_to_num(errors)
    if reference is not None:
        ax.axhline(reference, color=look.muted, linestyle="--", linewidth=0.9)
    ax.errorbar(
        middle, y[good], yerr=errors, xerr=0.5 * (right - left)[good],
        fmt="o", markersize=4, color=look.truth, linewidth=1.1,
    )  # fmt: skip
    ax.set_xlabel(by)
    ax.set_ylabel(name)
    ax.grid(color=look.grid, linewidth=0.4)
    ax.set_axisbelow(True)
    return ax
