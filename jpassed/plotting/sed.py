"""Bandfluxes of one object, with those that a model predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from astropy import units as u

from jpassed.exceptions import InputError, UnknownNameError, UnrecognisedTableError
from jpassed.filters import known_bands
from jpassed.filters.known import set_of_band
from jpassed.plotting.labels import axis_label, main_lines, set_label
from jpassed.plotting.rows import number_of, one_row, row_of
from jpassed.plotting.style import MARKERS, Style, legend, start
from jpassed.posteriors import Posterior
from jpassed.surveys import Photometry, read_photometry

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["plot_sed"]

PREFIX = "jp_flux_"
BROAD = 400.0
"""Bands wider than this (Å) average over what narrow ones resolve: they are drawn as points."""

LEVELS = (0.16, 0.5, 0.84)
APART = 1.2
"""Ratio of wavelengths from which on no line joins two bands."""

UPPER, GAP = 0.70, 0.03
"""Share of the bandfluxes in the height of a plot with residuals, and of what parts the two."""

WIDE = 8.0
"""Ratio of wavelengths from which on their axis is logarithmic."""


class _Points(NamedTuple):
    """Bands of one object, by wavelength: Å, and bandfluxes in microjansky, each (B,)."""

    bands: tuple[str, ...]
    pivot: NDArray[np.float64]
    width: NDArray[np.float64]
    middle: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def plot_sed(
    table: Table,
    row: int = 0,
    *,
    posterior: Posterior | None = None,
    survey: str = "auto",
    z: float | None = None,
    lines: bool = True,
    residuals: Axes | bool = False,
    flux_unit: Any = "uJy",
    wave_unit: Any = "Angstrom",
    ax: Axes | None = None,
    style: str | None = None,
) -> Axes:
    """
    Draw the bandfluxes of one row with their errors, and over them those that a model predicted.

    Parameters
    ----------
    table : `~astropy.table.Table`
        A table of bandfluxes, or of labels for which bandfluxes were predicted; where
        `jpassed.annotate` added ``jp_flux_<band>`` with ``_lo`` and ``_hi``, these are drawn with
        their 16th and 84th percentile: narrow bands as a line, broad ones as points.
    row : int
        Which row, counted from 0.
    posterior : `~jpassed.Posterior`, optional
        Draw its bandfluxes (``flux:<band>``) instead of the table's; of the rows of the table, or
        of this one alone.
    survey : str
        Name or path of the survey that says which columns are bandfluxes.
    z : float, optional
        Redshift at which lines are marked; by default the median of the posterior, or the table's
        ``jp_z``. Without any no line is marked.
    lines : bool
        Mark the main emission lines.
    residuals : `~matplotlib.axes.Axes` or bool
        Draw measured less predicted bandfluxes, in units of the measured errors (Delta/sigma), on
        these Axes, or (True) on new ones below `ax`.
    flux_unit, wave_unit : str or `~astropy.units.Unit`
        Of the axes; ``"erg / (s cm2 Angstrom)"`` shows the flux per wavelength.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; by default on pyplot's current axes.
    style : {"light", "dark"}, optional
        By default that of the Axes.

    Returns
    -------
    `~matplotlib.axes.Axes`
        Pivot wavelength, bandflux (its power of ten is in the label where it is a large one).

    Raises
    ------
    InputError
        The table has no such row, a unit is none of flux or wavelength, or there is nothing
        predicted whose residuals could be drawn.
    UnrecognisedTableError
        The table has no bandfluxes, and none are predicted.
    """
    row = row_of(table, row)
    only = table[row : row + 1]
    photometry = _measured(only, survey)
    one = None if posterior is None else one_row(posterior, row, len(table))
    points = _of_table(only, photometry) if one is None else _of_posterior(one, photometry)
    if not points.bands and not photometry.bands:
        read_photometry(only, survey)  # which says what it looked for
    if residuals is not False and not points.bands:
        raise InputError(
            f"row {row} (counted from 0) has no predicted bandfluxes, and so no residuals: "
            "annotate with outputs=['flux:<band>', ...], or give the posterior of "
            "jpassed.annotation.infer"
        )
    units = _Units(flux_unit, wave_unit, photometry, points)
    ax, look = start(ax, style)
    _draw_measured(ax, look, photometry, units)
    _draw_predicted(ax, look, points, units)
    _draw_limits(ax, photometry, points, units)
    redshift = z if z is not None else _redshift(only, one)
    if lines and redshift is not None:
        _mark_lines(ax, look, redshift, units)
    ax.set_xlabel(axis_label("wavelength", units.wave))
    ax.set_ylabel(axis_label("bandflux", units.flux, units.power))
    # Above the axes: inside there is no corner that no galaxy has bands in.
    legend(
        ax, look, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, borderaxespad=0.1,
        handlelength=1.2, columnspacing=1.0, handletextpad=0.4,
    )  # fmt: skip
    if residuals is not False:
        below = residuals if residuals is not True else _axes_below(ax)
        _draw_residuals(below, ax, look, photometry, points, units)
    return ax


def _measured(only: Table, survey: str) -> Photometry:
    """The bandfluxes of one row; no bands where the table has none, as a table of labels."""
    try:
        return read_photometry(only, survey)
    except UnrecognisedTableError:
        none = np.zeros((len(only), 0))
        bands, places = (), np.zeros(0)
        return Photometry(
            bands, places, places, none, none, none > 0, np.zeros(len(only), dtype=bool)
        )


class _Units:
    """From Å and microjansky to the units of the axes, and the power of ten of the fluxes."""

    def __init__(self, flux: Any, wave: Any, photometry: Photometry, points: _Points) -> None:
        try:
            self.flux, self.wave = u.Unit(flux), u.Unit(wave)
            (1 * u.uJy).to(self.flux, u.spectral_density(5000 * u.AA))
            (1 * u.AA).to(self.wave)
        except (ValueError, TypeError, u.UnitConversionError) as error:
            raise InputError(
                f"expected units of flux density and of wavelength (flux_unit='uJy', "
                f"wave_unit='Angstrom'), got {flux!r} and {wave!r}"
            ) from error
        self.power = 0
        seen = photometry.observed[0]
        largest = max(
            np.abs(self.fluxes(photometry.flux[0][seen], photometry.pivot[seen])).max(initial=0.0),
            np.abs(self.fluxes(points.middle, points.pivot)).max(initial=0.0),
        )
        if largest > 0 and not 1e-2 <= largest < 1e5:
            self.power = int(np.floor(np.log10(largest)))

    def fluxes(self, value: NDArray[np.float64], pivot: NDArray[np.float64]) -> Any:
        """Microjansky in the unit and power of ten of the axis."""
        scaled = (value * u.uJy).to_value(self.flux, u.spectral_density(pivot * u.AA))
        return scaled / 10.0**self.power

    def waves(self, value: Any) -> Any:
        """Å in the unit of the axis."""
        return (np.asarray(value) * u.AA).to_value(self.wave)


def _draw_measured(ax: Axes, look: Style, photometry: Photometry, units: _Units) -> None:
    """Points with errors, a marker for each filter set; sets of broad bands show their width."""
    seen = photometry.observed[0]
    owners = [set_of_band(band) or "" for band in photometry.bands]
    for marker, owner in zip(MARKERS * len(owners), dict.fromkeys(owners), strict=False):
        here = seen & np.array([name == owner for name in owners])
        if not here.any():
            continue
        pivot = photometry.pivot[here]
        ax.errorbar(
            units.waves(pivot),
            units.fluxes(photometry.flux[0][here], pivot),
            yerr=units.fluxes(photometry.error[0][here], pivot),
            fmt=marker,
            markersize=2.6,
            linewidth=0.7,
            color=look.ink,
            label=set_label(owner) if owner else "measured",
            zorder=3,
        )


def _draw_predicted(ax: Axes, look: Style, points: _Points, units: _Units) -> None:
    """The predicted bandfluxes: a line with its band, and points for broad or lonely bands."""
    alone = (points.width > BROAD) | _lonely(points.pivot, points.width)
    wave = units.waves(points.pivot)
    middle, low, high = (units.fluxes(v, points.pivot) for v in points[3:])
    label: str | None = "predicted"
    for part in _runs(points.pivot, alone):
        band = (wave[part], low[part], high[part])
        ax.fill_between(*band, color=look.model, alpha=0.35, linewidth=0, zorder=4)
        ax.plot(wave[part], middle[part], color=look.model, linewidth=1.2, label=label, zorder=4)
        label = None
    if alone.any():
        ax.errorbar(
            wave[alone],
            middle[alone],
            xerr=0.5 * units.waves(points.width[alone]),
            yerr=np.clip([(middle - low)[alone], (high - middle)[alone]], 0.0, None),
            fmt="s",
            markersize=5,
            markerfacecolor="none",
            linewidth=0.9,
            color=look.model,
            label="predicted, broad bands",
            zorder=4,
        )


def _lonely(pivot: NDArray[np.float64], width: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Bands without another narrow one near by: no line leads to them."""
    narrow = width <= BROAD
    ratio = pivot[:, None] / pivot[None, :]
    near = (np.abs(np.log(ratio)) < np.log(APART)) & narrow[None, :]
    np.fill_diagonal(near, False)
    return ~near.any(axis=1)


def _runs(pivot: NDArray[np.float64], left_out: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Bands by wavelength that a line may join, in parts where there is a gap."""
    kept = np.flatnonzero(~left_out)
    gaps = np.flatnonzero(pivot[kept[1:]] > APART * pivot[kept[:-1]]) + 1
    return [part for part in np.split(kept, gaps) if len(part)]


def _draw_limits(ax: Axes, photometry: Photometry, points: _Points, units: _Units) -> None:
    """Axes that hold what is measured and predicted; a huge error sets no scale."""
    seen = photometry.observed[0]
    pivot = np.concatenate([photometry.pivot[seen], points.pivot])
    if not pivot.size:
        return
    if pivot.max() > WIDE * pivot.min():
        _logarithmic(ax, units.waves(pivot.min()), units.waves(pivot.max()))
    flux = units.fluxes(photometry.flux[0][seen], photometry.pivot[seen])
    error = units.fluxes(photometry.error[0][seen], photometry.pivot[seen])
    ends = units.fluxes(np.concatenate([points.low, points.high]), np.tile(points.pivot, 2))
    held = np.concatenate([flux, ends, [0.0]])
    span = held.max() - held.min()
    if not (np.isfinite(span) and span > 0):
        return
    error = np.minimum(error, 0.15 * span)
    low, high = (np.concatenate([held, flux - error]).min(), (np.append(held, flux + error)).max())
    ax.set_ylim(low - 0.04 * span if low < 0 else 0.0, high + 0.16 * (high - low))


def _logarithmic(ax: Axes, low: float, high: float) -> None:
    """A logarithmic axis of wavelengths with plain numbers on it."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    ax.set_xscale("log")
    ax.set_xlim(0.88 * low, 1.14 * high)
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_minor_formatter(NullFormatter())
    plain = ScalarFormatter()
    plain.set_scientific(False)
    ax.xaxis.set_major_formatter(plain)


def _mark_lines(ax: Axes, look: Style, z: float, units: _Units) -> None:
    """A thin line at each main line within the Axes, with its name where there is room for it."""
    from matplotlib import rcParams

    ends = ax.get_xlim()
    size = 0.7 * float(rcParams["font.size"])
    # Of a name of one letter, as a share of the width of the Axes.
    letter = 0.66 * size / 72.0 * ax.figure.dpi / ax.bbox.width
    last = -np.inf
    for label, rest, side in main_lines():
        at = float(units.waves(rest * (1.0 + z)))
        if not min(ends) < at < max(ends):
            continue
        ax.axvline(at, color=look.muted, linewidth=0.7, linestyle=":", zorder=0)
        place = ax.transAxes.inverted().transform(ax.transData.transform((at, 0.0)))[0]
        begin = place if side == "right" else place - letter * len(label)
        if begin < last or begin < 0.0 or begin + letter * len(label) > 1.0:
            continue
        last = begin + letter * len(label)
        ax.annotate(
            label, (at, 0.985), xycoords=("data", "axes fraction"), textcoords="offset points",
            xytext=(1.5 if side == "right" else -1.5, 0), ha="left" if side == "right" else "right",
            va="top", fontsize=size, color=look.muted,
        )  # fmt: skip
    ax.set_xlim(ends)


def _axes_below(ax: Axes) -> Axes:
    """Axes in the lower part of the place that others have; these keep the upper part of it."""
    from matplotlib.transforms import Bbox

    def upper(drawn: Any, renderer: Any) -> Bbox:
        x0, y0, x1, y1 = drawn.get_position(original=True).extents
        return Bbox.from_extents(x0, y1 - UPPER * (y1 - y0), x1, y1)

    ax.set_axes_locator(upper)
    return ax.inset_axes((0.0, -(1.0 - UPPER) / UPPER, 1.0, (1.0 - UPPER - GAP) / UPPER))


def _draw_residuals(
    below: Axes, ax: Axes, look: Style, photometry: Photometry, points: _Points, units: _Units
) -> None:
    """Measured less predicted, in measured errors."""
    look.dress(below)
    place = {band: k for k, band in enumerate(points.bands)}
    seen = [i for i in np.flatnonzero(photometry.observed[0]) if photometry.bands[i] in place]
    expected = points.middle[[place[photometry.bands[i]] for i in seen]]
    pull = (photometry.flux[0][seen] - expected) / photometry.error[0][seen]
    below.axhspan(-1.0, 1.0, color=look.shade, linewidth=0)
    below.axhline(0.0, color=look.model, linewidth=1.0)
    below.plot(units.waves(photometry.pivot[seen]), pull, "o", color=look.ink, markersize=2.5)
    reach = max(3.4, 1.1 * float(np.abs(pull).max(initial=0.0)))
    below.set_ylim(-reach, reach)
    if ax.get_xscale() == "log" and below.get_xscale() != "log":
        _logarithmic(below, *ax.get_xlim())
    below.set_xlim(ax.get_xlim())
    below.set_ylabel(r"$\Delta/\sigma$")
    below.set_xlabel(ax.get_xlabel())
    ax.set_xlabel("")
    ax.tick_params(labelbottom=False)


def _redshift(only: Table, posterior: Posterior | None) -> float | None:
    """The median redshift of one object, if it is known."""
    if posterior is not None and "z" in posterior:
        return float(posterior.median("z")[0])
    if "jp_z" not in only.colnames:
        return None
    z = number_of(only["jp_z"])
    return z if np.isfinite(z) else None


def _places(photometry: Photometry) -> dict[str, tuple[float, float]]:
    """Pivot and width of all bands, those of the table's own among them, Å."""
    own = zip(photometry.bands, photometry.pivot, photometry.width, strict=True)
    return {**known_bands(), **{band: (float(pivot), float(width)) for band, pivot, width in own}}


def _of_posterior(posterior: Posterior, photometry: Photometry) -> _Points:
    """Bandfluxes of the posterior of one object."""
    places = _places(photometry)
    points = []
    for name in posterior:
        band = name.removeprefix("flux:")
        if band != name and band in places:
            low, middle, high = (float(posterior.quantile(name, q)[0]) for q in LEVELS)
            points.append((*places[band], band, middle, low, high))
    if not points:
        raise UnknownNameError("bandflux of the posterior", "flux:<band>", list(posterior))
    return _sorted(points)


def _of_table(only: Table, photometry: Photometry) -> _Points:
    """Bandfluxes that the columns of one row predict."""
    points = []
    for band, place in _places(photometry).items():
        names = [f"{PREFIX}{band}{end}" for end in ("", "_lo", "_hi")]
        if all(name in only.colnames for name in names):
            values = [number_of(only[name]) for name in names]
            if np.isfinite(values).all():
                points.append((*place, band, *values))
    return _sorted(points)


def _sorted(points: list[tuple[Any, ...]]) -> _Points:
    points = sorted(points)
    numbers = np.array([(p[0], p[1], *p[3:]) for p in points], dtype=np.float64).reshape(-1, 5)
    return _Points(tuple(p[2] for p in points), *numbers.T)
