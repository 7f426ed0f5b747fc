"""A catalogue in a plane of colours, magnitudes or quantities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.plotting.counts import MANY, draw_bar, draw_counts
from jpassed.plotting.labels import quantity_label
from jpassed.plotting.rows import one_number_a_row
from jpassed.plotting.style import Style, start
from jpassed.surveys import read_photometry
from jpassed.units import ab_magnitude

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from jpassed.surveys import Photometry

__all__ = ["plot_colours"]

LEAST_SNR = 3.0
"""Bandfluxes below so many errors have no magnitude worth a point."""


def plot_colours(
    table: Table,
    x: str,
    y: str,
    value: str | None = None,
    *,
    survey: str = "auto",
    ax: Axes | None = None,
    style: str | None = None,
) -> Axes:
    """
    Draw a catalogue in a plane: a colour against a colour, a magnitude or a quantity.

    Parameters
    ----------
    table : `~astropy.table.Table`
        A catalogue, annotated or not.
    x, y : str
        A column (``"jp_z"``), a colour of two bands (``"gSDSS-rSDSS"``), or a band, for its
        magnitude (``"rSDSS"``). Colours and magnitudes are AB, corrected for the Milky Way, of
        bandfluxes above 3 errors.
    value : str, optional
        A column (or colour, or band) that colours the points. Without it more than 2,000 objects
        are drawn as counts.
    survey : str
        Name or path of the survey that says which columns are bandfluxes.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; by default on pyplot's current axes.
    style : {"light", "dark"}, optional
        By default that of the Axes.

    Returns
    -------
    `~matplotlib.axes.Axes`

    Raises
    ------
    UnknownNameError
        Neither a column, nor a band, nor a colour.
    InputError
        No row has both.
    """
    source = _Source(table, survey)
    across, up = source.get(x), source.get(y)
    tone = None if value is None else source.get(value)
    good = np.isfinite(across) & np.isfinite(up)
    if tone is not None:
        good &= np.isfinite(tone)
    if not good.any():
        names = ", ".join(name for name in (x, y, value) if name)
        raise InputError(f"no row has all of {names} (bandfluxes count above {LEAST_SNR:g} errors)")
    ax, look = start(ax, style)
    across, up = across[good], up[good]
    limits = _ends(across), _ends(up)
    if tone is None and len(across) > MANY:
        draw_counts(ax, look, across, up, limits)
    elif tone is None:
        size = _size(len(across))
        ax.plot(across, up, "o", color=look.truth, markersize=size, markeredgewidth=0, alpha=0.7)
    else:
        draw_toned(ax, look, across, up, tone[good], source.label(str(value)))
    ax.set_xlim(*limits[0])
    ax.set_ylim(*limits[1])
    ax.set_xlabel(source.label(x))
    ax.set_ylabel(source.label(y))
    return ax


def draw_toned(
    ax: Axes,
    look: Style,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    tone: NDArray[np.float64],
    label: str,
    **settings: Any,
) -> None:
    """Points coloured by a number, with its bar; the ends of the map are the 1 and 99 % of it."""
    low, high = np.quantile(tone, [0.01, 0.99])
    size = _size(len(x))
    points = ax.scatter(
        x, y, c=tone, s=size**2, cmap=look.colours(), vmin=low, vmax=high, linewidths=0,
        rasterized=len(x) > MANY, **settings,
    )  # fmt: skip
    draw_bar(ax, look, points, label)


def _size(n: int) -> float:
    """Of the points of n objects."""
    return float(np.clip(40.0 / np.sqrt(n), 1.2, 4.5))


class _Source:
    """Columns, colours and magnitudes of a table by name."""

    def __init__(self, table: Table, survey: str) -> None:
        self._table, self._survey = table, survey
        self._read: Photometry | None = None

    def _photometry(self) -> Photometry:
        if self._read is None:
            self._read = read_photometry(self._table, self._survey)
        return self._read

    def get(self, name: str) -> NDArray[np.float64]:
        """Values (N,) of a column, a colour or a magnitude, NaN where there is none."""
        if self._is_column(name):
            return one_number_a_row(self._table[name], name)
        first, minus, second = name.partition("-")
        if not minus:
            return self._magnitude(name)
        return self._magnitude(first.strip()) - self._magnitude(second.strip())

    def label(self, name: str) -> str:
        """What is written at the axis of `name`."""
        if self._is_column(name):
            return quantity_label(name.removeprefix("jp_"), self._table[name].unit)
        first, minus, second = name.partition("-")
        said = f"{first.strip()} - {second.strip()}" if minus else name
        return f"{said} (mag)" if minus else f"{said} (AB mag)"

    def _is_column(self, name: str) -> bool:
        # A band's own column holds fluxes, or magnitudes of some kind: the band means AB.
        return name in self._table.colnames and name not in self._bands(quietly=True)

    def _bands(self, *, quietly: bool = False) -> tuple[str, ...]:
        from jpassed.exceptions import UnrecognisedTableError

        try:
            return self._photometry().bands
        except UnrecognisedTableError:
            if quietly:
                return ()
            raise

    def _magnitude(self, band: str) -> NDArray[np.float64]:
        bands = self._bands(quietly=True)
        if band not in bands:
            columns = [n for n in self._table.colnames if n.startswith("jp_")]
            raise UnknownNameError("column, band or colour (BAND-BAND)", band, [*bands, *columns])
        k = bands.index(band)
        photometry = self._photometry()
        flux, error = photometry.flux[:, k], photometry.error[:, k]
        with np.errstate(divide="ignore", invalid="ignore"):
            strong = photometry.observed[:, k] & (flux > LEAST_SNR * error)
            return np.where(strong, ab_magnitude(flux), np.nan)


def _ends(values: NDArray[np.float64]) -> tuple[float, float]:
    """Ends of an axis: all of a few objects, 99.6 % of many."""
    low, high = np.quantile(values, [0.002, 0.998] if len(values) > 500 else [0.0, 1.0])
    margin = 0.05 * (high - low) or 0.5
    return float(low - margin), float(high + margin)
