"""Predicted against known values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jpassed.exceptions import InputError
from jpassed.plotting.axes import axes_or_current

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_predicted", "plot_redshifts"]

MANY = 2000
"""Objects from which on the plane is drawn as counts."""


def plot_redshifts(
    z_phot: ArrayLike,
    z_spec: ArrayLike,
    *,
    outliers: tuple[float, ...] = (0.05, 0.15),
    ax: Axes | None = None,
) -> Axes:
    """
    Draw photometric against spectroscopic redshifts, with the limits of outliers.

    Parameters
    ----------
    z_phot, z_spec : array (N,)
        Pairs with a value that is not finite are left out.
    outliers : tuple of float
        Lines at ``z_phot = z_spec +- x (1 + z_spec)``.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; by default on pyplot's current axes.

    Returns
    -------
    `~matplotlib.axes.Axes`

    Raises
    ------
    InputError
        No pair is finite, or the lengths differ.
    """
    ax = plot_predicted(z_phot, z_spec, ax=ax)
    x = np.array(ax.get_xlim())
    styles = ("--", ":", "-.")
    for reach, style in zip(outliers, styles, strict=False):
        for sign in (-1, 1):
            label = f"Δz = ±{reach:g}(1+z)" if sign > 0 else None
            ax.plot(
                x, x + sign * reach * (1 + x), style, color="tab:red", linewidth=1.1, label=label
            )
    ax.set_xlabel(r"$z_{\rm spec}$")
    ax.set_ylabel(r"$z_{\rm phot}$")
    if outliers:
        # Above the axes: inside there is no corner that no catalogue has objects in.
        ax.legend(
            frameon=False, fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0),
            ncols=len(outliers), borderaxespad=0.2,
        )  # fmt: skip
    return ax


def plot_predicted(
    predicted: ArrayLike, truth: ArrayLike, *, name: str = "", ax: Axes | None = None
) -> Axes:
    """
    Draw predicted against known values of a quantity, with the line on which they are equal.

    Parameters
    ----------
    predicted, truth : array (N,)
        Pairs with a value that is not finite are left out; more than 2,000 are drawn as counts.
    name : str
        Of the quantity, for the labels of the axes.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; by default on pyplot's current axes.

    Returns
    -------
    `~matplotlib.axes.Axes`

    Raises
    ------
    InputError
        No pair is finite, or the lengths differ.
    """
    y, x = np.asarray(predicted, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if y.shape != x.shape or y.ndim != 1:
        raise InputError(f"expected two columns of one length, got {y.shape} and {x.shape}")
    good = np.isfinite(x) & np.isfinite(y)
    if not good.any():
        raise InputError("no object has both a predicted and a known value")
    x, y = x[good], y[good]
    ax = axes_or_current(ax)
    both = np.concatenate([x, y])
    low, high = np.quantile(both, [0.001, 0.999]) if len(x) > 1000 else (both.min(), both.max())
    margin = 0.04 * (high - low) or 0.5
    limits = (low - margin, high + margin)
    if len(x) > MANY:
        from matplotlib.colors import LogNorm

        counts = ax.hist2d(
            x, y, bins=120, range=(limits, limits), cmin=1, cmap="viridis", norm=LogNorm()
        )
        bar = ax.figure.colorbar(counts[3], ax=ax, pad=0.02, shrink=0.85)
        bar.set_label("objects")
    else:
        ax.plot(x, y, ".", color="tab:blue", markersize=6, alpha=0.6, markeredgewidth=0)
    ax.plot(limits, limits, color="black", linewidth=0.9)
    ax.set_xlim(limits)
    ax.set_ylim(limits)
    ax.set_aspect("equal")
    ax.set_xlabel(f"{name}, known".lstrip(", "))
    ax.set_ylabel(f"{name}, predicted".lstrip(", "))
    return ax
