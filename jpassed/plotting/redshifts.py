"""Predicted against known values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from numpy.typing import ArrayLike, NDArray

from jpassed.evaluation.photoz import bias, outlier_fraction, sigma_nmad
from jpassed.exceptions import InputError
from jpassed.plotting.counts import MANY, draw_counts
from jpassed.plotting.labels import quantity_label
from jpassed.plotting.rows import numbers_of
from jpassed.plotting.style import Style, legend, start

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_predicted", "plot_redshifts"]

FEW = 60
"""Up to so many objects points are larger, to be seen at all."""


def plot_redshifts(
    z_phot: ArrayLike,
    z_spec: ArrayLike,
    *,
    outliers: tuple[float, ...] = (0.05, 0.15),
    statistics: bool = True,
    ax: Axes | None = None,
    style: str | None = None,
) -> Axes:
    """
    Draw photometric against spectroscopic redshifts, with the limits of outliers.

    Parameters
    ----------
    z_phot, z_spec : array (N,)
        Pairs with a value that is not finite are left out.
    outliers : tuple of float
        Lines at ``z_phot = z_spec +- x (1 + z_spec)``.
    statistics : bool
        Write the number of objects, the bias, sigma_NMAD, and the share of outliers beyond the
        first of the lines (see `jpassed.evaluation.photoz`).
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
        No pair is finite, or the lengths or the kinds of unit differ.
    """
    y, x = _pairs(z_phot, z_spec)
    ax, look = start(ax, style)
    _draw(ax, look, y, x)
    ends = np.array(ax.get_xlim())
    for reach, line in zip(outliers, ("--", ":", "-."), strict=False):
        for sign in (-1, 1):
            label = f"Δz = ±{reach:g}(1+z)" if sign > 0 else None
            limit = ends + sign * reach * (1 + ends)
            ax.plot(ends, limit, line, color=look.model, linewidth=1.1, label=label)
    ax.set_xlabel(r"$z_{\rm spec}$")
    ax.set_ylabel(r"$z_{\rm phot}$")
    if statistics:
        _write_statistics(ax, look, y, x, outliers[:1])
    if outliers:
        # Above the axes: inside there is no corner that no catalogue has objects in.
        legend(
            ax, look, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(outliers),
            borderaxespad=0.2, columnspacing=1.2, handlelength=1.6,
        )  # fmt: skip
    return ax


def plot_predicted(
    predicted: ArrayLike,
    truth: ArrayLike,
    *,
    name: str = "",
    ax: Axes | None = None,
    style: str | None = None,
) -> Axes:
    """
    Draw predicted against known values of a quantity, with the line on which they are equal.

    Parameters
    ----------
    predicted, truth : array (N,)
        Pairs with a value that is masked or not finite are left out; more than 2,000 are drawn
        as counts. Where both have units, known values are converted to those of the predicted.
    name : str
        Of the quantity, for the labels of the axes.
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
        No pair is finite, or the lengths or the kinds of unit differ.
    """
    y, x = _pairs(predicted, truth)
    ax, look = start(ax, style)
    _draw(ax, look, y, x)
    written = quantity_label(name) if name else ""
    ax.set_xlabel(f"{written}, known".lstrip(", "))
    ax.set_ylabel(f"{written}, predicted".lstrip(", "))
    return ax


def _pairs(
    predicted: ArrayLike, truth: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Predicted and known values of the objects that have both."""
    y, x = numbers_of(predicted), numbers_of(truth)
    own, other = (getattr(values, "unit", None) for values in (predicted, truth))
    if own is not None and other is not None and own != other:
        try:
            x = u.Unit(other).to(u.Unit(own), x)
        except (u.UnitConversionError, TypeError, ValueError) as error:
            raise InputError(
                f"known values in {other} cannot be compared with predictions in {own}"
            ) from error
    if y.shape != x.shape or y.ndim != 1:
        raise InputError(f"expected two columns of one length, got {y.shape} and {x.shape}")
    good = np.isfinite(x) & np.isfinite(y)
    if not good.any():
        raise InputError("no object has both a predicted and a known value")
    return y[good], x[good]


def _draw(ax: Axes, look: Style, y: NDArray[np.float64], x: NDArray[np.float64]) -> None:
    """Points, or counts where they are many, and the line of equality, on a square."""
    both = np.concatenate([x, y])
    low, high = np.quantile(both, [0.001, 0.999]) if len(x) > 1000 else (both.min(), both.max())
    margin = 0.04 * (high - low) or 0.5
    limits = (float(low - margin), float(high + margin))
    if len(x) > MANY:
        draw_counts(ax, look, x, y, (limits, limits))
    else:
        size = 5 if len(x) > FEW else 8
        ax.plot(x, y, ".", color=look.truth, markersize=size, alpha=0.6, markeredgewidth=0)
    ax.plot(limits, limits, color=look.ink, linewidth=0.9)
    ax.set_xlim(limits)
    ax.set_ylim(limits)
    ax.set_aspect("equal")


def _write_statistics(
    ax: Axes,
    look: Style,
    y: NDArray[np.float64],
    x: NDArray[np.float64],
    outliers: tuple[float, ...],
) -> None:
    said = [f"{len(x)} objects", f"bias {bias(y, x):+.4f}"]
    said.append(rf"$\sigma_{{\rm NMAD}}$ {sigma_nmad(y, x):.4f}")
    for reach in outliers:
        said.append(f"{100 * outlier_fraction(y, x, reach):.1f} % beyond {reach:g}(1+z)")
    # The upper left corner belongs to redshifts far too high: rarer than far too low ones.
    ax.text(
        0.04, 0.96, "\n".join(said), transform=ax.transAxes, ha="left", va="top",
        fontsize="x-small", color=look.ink, linespacing=1.4,
        bbox={"facecolor": look.background, "edgecolor": "none", "alpha": 0.75, "pad": 1.5},
    )  # fmt: skip
