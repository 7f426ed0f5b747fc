"""A catalogue on the sky."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.plotting.colours import draw_toned
from jpassed.plotting.labels import quantity_label
from jpassed.plotting.rows import one_number_a_row
from jpassed.plotting.style import load_style, start
from jpassed.vo.positions import find_positions

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from jpassed.vo.positions import Positions

__all__ = ["plot_sky"]

WHOLE_SKY = ("aitoff", "hammer", "lambert", "mollweide")
"""Matplotlib's projections of the whole sky, in radians."""

WIDE = 60.0
"""Degrees from which on a field is drawn on the whole sky."""


def plot_sky(
    table: Table,
    value: str | None = "jp_z",
    *,
    position: str | Sequence[str] | None = None,
    ax: Axes | None = None,
    style: str | None = None,
) -> Axes:
    """
    Draw the objects of a catalogue on the sky, east to the left, coloured by one of its columns.

    Parameters
    ----------
    table : `~astropy.table.Table`
    value : str or None
        The column that colours the objects; None draws them all alike.
    position : str or sequence of str, optional
        Columns of right ascension and declination, ``"RA,DEC"``; found by UCD or name otherwise
        (see `jpassed.vo.positions.find_positions`).
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw: plain Axes for a field (degrees, the scales equal at its centre), or Axes
        with a projection of the whole sky (``projection="mollweide"``). By default pyplot's
        current ones, and the Mollweide projection for fields of more than 60 degrees.
    style : {"light", "dark"}, optional
        By default that of the Axes.

    Returns
    -------
    `~matplotlib.axes.Axes`
        ICRS, degrees.

    Raises
    ------
    UnknownNameError
        No such column.
    InputError
        There are no positions, or no object with a position has a value.
    """
    found = find_positions(table, position)
    good = found.given.copy()
    tone = None
    if value is not None:
        if value not in table.colnames:
            raise UnknownNameError("column", value, table.colnames)
        tone = one_number_a_row(table[value], value)
        good &= np.isfinite(tone)
        if not good.any():
            raise InputError(f"no object with a position has a value of {value}")
    centre, reach = _field(found, good)
    if ax is None:
        ax = _new_axes(max(reach), style)
    ax, look = start(ax, style)
    x = (found.ra[good] - centre[0] + 180.0) % 360.0 - 180.0
    y = found.dec[good]
    whole = ax.name in WHOLE_SKY
    if whole:
        # East is to the left; RA 0 in the middle.
        x, y = -np.radians((found.ra[good] + 180.0) % 360.0 - 180.0), np.radians(y)
    else:
        x = x + centre[0]
    if tone is None:
        ax.plot(x, y, ".", color=look.truth, markersize=2.5, markeredgewidth=0)
    else:
        label = quantity_label(value.removeprefix("jp_"), table[value].unit) if value else ""
        draw_toned(ax, look, x, y, tone[good], label)
    if whole:
        _grid_of_the_sky(ax, look.muted, look.grid)
    else:
        _field_axes(ax, centre, reach)
    return ax


def _field(
    found: Positions, good: NDArray[np.bool_]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Centre (RA, Dec) and extent on the sky of some positions, degrees."""
    angle = np.radians(found.ra[good])
    middle = float(np.degrees(np.arctan2(np.sin(angle).mean(), np.cos(angle).mean()))) % 360.0
    off = (found.ra[good] - middle + 180.0) % 360.0 - 180.0
    dec = found.dec[good]
    middle = (middle + 0.5 * (off.max() + off.min())) % 360.0
    latitude = 0.5 * float(dec.max() + dec.min())
    width = float(off.max() - off.min()) * np.cos(np.radians(latitude))
    return (middle, latitude), (float(width), float(dec.max() - dec.min()))


def _new_axes(reach: float, style: str | None) -> Axes:
    """Pyplot's current Axes, those of the whole sky for a wide field."""
    import matplotlib
    import matplotlib.pyplot as plt

    with matplotlib.rc_context(None if style is None else load_style(style).settings()):
        return plt.gca() if reach <= WIDE else plt.subplot(projection="mollweide")


def _grid_of_the_sky(ax: Axes, ink: str, grid: str) -> None:
    ticks = np.arange(-150, 180, 30)
    ax.set_xticks(np.radians(ticks))
    ax.set_xticklabels([f"{-t % 360}°" if t % 60 == 0 else "" for t in ticks], color=ink)
    ax.tick_params(axis="x", labelsize="x-small")
    ax.grid(color=grid, linewidth=0.4)
    ax.set_axisbelow(True)
    ax.set_xlabel("right ascension (deg)")
    ax.set_ylabel("declination (deg)")


def _field_axes(ax: Axes, centre: tuple[float, float], reach: tuple[float, float]) -> None:
    """Equal scales at the centre, right ascension to the left, plain numbers."""
    squeeze = np.cos(np.radians(centre[1]))
    half = 0.54 * max(*reach, 1e-3)
    ax.set_xlim(centre[0] + half / squeeze, centre[0] - half / squeeze)
    ax.set_ylim(centre[1] - half, centre[1] + half)
    ax.set_aspect(1.0 / squeeze)
    ax.locator_params(nbins=5)
    ax.xaxis.set_major_formatter(_within_circle)
    ax.set_xlabel("right ascension (deg)")
    ax.set_ylabel("declination (deg)")


def _within_circle(x: float, place: Any = None) -> str:
    """Right ascension within 0 and 360 degrees."""
    return f"{x % 360.0:.6g}"
