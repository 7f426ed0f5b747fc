"""Measured less predicted bandfluxes of a catalogue, by band."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.filters.known import set_of_band
from jpassed.plotting.labels import set_label
from jpassed.plotting.style import MARKERS, legend, start

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from jpassed.surveys import Photometry

__all__ = ["plot_residuals"]

FORMS = ("error", "mag")


class _Predicted(Protocol):
    """What `jpassed.annotation.reconstruction.Reconstruction` has; bandfluxes in microjansky."""

    flux: NDArray[np.float64]
    error: NDArray[np.float64]
    observed: NDArray[np.bool_]


def plot_residuals(
    photometry: Photometry,
    predicted: _Predicted,
    *,
    unit: str = "error",
    least: int = 3,
    ax: Axes | None = None,
    style: str | None = None,
) -> Axes:
    """
    Draw measured less predicted bandfluxes of many objects: median and 16-84 % range of each band.

    Parameters
    ----------
    photometry : `~jpassed.surveys.Photometry`
        Measured bandfluxes of N objects in B bands.
    predicted : `~jpassed.annotation.reconstruction.Reconstruction`
        What the other bands of each object predict, of the same objects and bands; with
        ``predicted, task = reconstruct_table(table)`` the measurements are ``task.photometry``.
    unit : {"error", "mag"}
        In units of the error of the difference (that of the measurement and that of the
        prediction; the range of calibrated ones is that from -1 to 1), or as magnitudes.
    least : int
        Bands of fewer objects are left out.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; by default on pyplot's current axes.
    style : {"light", "dark"}, optional
        By default that of the Axes.

    Returns
    -------
    `~matplotlib.axes.Axes`
        Pivot wavelength in Å, residual. A positive residual in flux, a negative one in magnitudes,
        is a band that is brighter than predicted.

    Raises
    ------
    InputError
        The shapes differ, or no band has enough objects.
    UnknownNameError
        For another unit.
    """
    if unit not in FORMS:
        raise UnknownNameError("unit of residuals", unit, FORMS)
    shapes = photometry.flux.shape, predicted.flux.shape
    if shapes[0] != shapes[1]:
        raise InputError(f"measured bandfluxes {shapes[0]} and predicted {shapes[1]} differ")
    values = _residuals(photometry, predicted, unit)
    enough = np.isfinite(values).sum(axis=0) >= least
    if not enough.any():
        raise InputError(f"no band has {least} objects with a measured and a predicted bandflux")
    ax, look = start(ax, style)
    if unit == "error":
        ax.axhspan(-1.0, 1.0, color=look.shade, linewidth=0)
    ax.axhline(0.0, color=look.model, linewidth=1.0)
    low, middle, high = np.nanquantile(values[:, enough], [0.16, 0.5, 0.84], axis=0)
    pivot = photometry.pivot[enough]
    names = [band for band, good in zip(photometry.bands, enough, strict=True) if good]
    owners = [set_of_band(name) or "" for name in names]
    for k, owner in enumerate(dict.fromkeys(owners)):
        here = np.array([name == owner for name in owners])
        ax.errorbar(
            pivot[here],
            middle[here],
            yerr=np.array([(middle - low)[here], (high - middle)[here]]),
            fmt=MARKERS[k % len(MARKERS)],
            markersize=3,
            linewidth=0.8,
            color=look.series[k % len(look.series)],
            label=set_label(owner) if owner else "other bands",
        )
    reach = 1.12 * float(np.abs([low, high]).max())
    ax.set_ylim(-reach, reach)
    ax.set_xlabel("wavelength (Å)")
    ax.set_ylabel("residual / error" if unit == "error" else "measured - predicted (mag)")
    legend(
        ax, look, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=5, borderaxespad=0.1,
        handlelength=1.2, columnspacing=1.0, handletextpad=0.4,
    )  # fmt: skip
    return ax


def _residuals(photometry: Photometry, predicted: _Predicted, unit: str) -> NDArray[np.float64]:
    """Residuals (N, B), NaN where there is none."""
    seen = photometry.observed & predicted.observed
    with np.errstate(divide="ignore", invalid="ignore"):
        if unit == "error":
            error = np.hypot(photometry.error, predicted.error)
            values = (photometry.flux - predicted.flux) / error
        else:
            values = -2.5 * np.log10(photometry.flux / predicted.flux)
    return np.where(seen & np.isfinite(values), values, np.nan)
