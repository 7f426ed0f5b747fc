"""Several plots on one figure: of one object, and of a catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import (
    InputError,
    JpassedError,
    UnknownNameError,
    UnrecognisedTableError,
)
from jpassed.plotting.colours import plot_colours
from jpassed.plotting.histogram import plot_histogram
from jpassed.plotting.joint import corner_size, plot_corner
from jpassed.plotting.posterior import plot_posterior
from jpassed.plotting.redshifts import plot_predicted, plot_redshifts
from jpassed.plotting.rows import names_of, number_of, one_row, quantities_with, row_of
from jpassed.plotting.sed import plot_sed
from jpassed.plotting.sky import plot_sky
from jpassed.plotting.style import start_figure
from jpassed.posteriors import JointSamples, Posterior
from jpassed.posteriors.columns import column_name
from jpassed.surveys import read_photometry
from jpassed.vo.positions import find_positions

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["CATALOGUE_KINDS", "OBJECT_KINDS", "plot_catalogue", "plot_object"]

OBJECT_KINDS = ("sed", "pdf", "corner")
CATALOGUE_KINDS = ("truth", "histogram", "magnitude", "colours", "sky")

COLOURS = (
    ("gSDSS-rSDSS", "rSDSS-iSDSS"),
    ("sdss_g-sdss_r", "sdss_r-sdss_i"),
    ("decam_g-decam_r", "decam_r-decam_z"),
    ("bass_g-bass_r", "bass_r-mzls_z"),
    ("ps1_g-ps1_r", "ps1_r-ps1_i"),
)
"""Colours of a catalogue, most wanted first."""

MAGNITUDES = ("rSDSS", "sdss_r", "decam_r", "bass_r", "ps1_r")
PAGE = 7.1
"""Inches: the width of both columns of a journal."""


def plot_object(
    table: Table,
    row: int = 0,
    kinds: Sequence[str] = ("sed", "pdf"),
    *,
    quantities: Sequence[str] | None = None,
    posterior: Posterior | None = None,
    draws: JointSamples | None = None,
    survey: str = "auto",
    truth: Mapping[str, float] | None = None,
    title: str | None = None,
    figure: Figure | None = None,
    style: str | None = None,
) -> Figure:
    """
    Draw what is known of one object: its bandfluxes, its posteriors, and their corner plot.

    Parameters
    ----------
    table : `~astropy.table.Table`
        A catalogue; what is drawn comes from its ``jp_`` columns unless `posterior` and `draws`
        are given.
    row : int
        Which row, counted from 0.
    kinds : sequence of {"sed", "pdf", "corner"}
        Bandfluxes with residuals, a posterior for each quantity, joint draws.
    quantities : sequence of str, optional
        Whose posteriors; by default that of redshift, and the corner plot of all that have draws.
    posterior : `~jpassed.Posterior`, optional
        Of the rows of the table, or of this row alone: from `jpassed.annotation.infer`.
    draws : `~jpassed.posteriors.JointSamples`, optional
        In the same way; by default the columns ``jp_<quantity>_samples``.
    survey : str
        Name or path of the survey that says which columns are bandfluxes.
    truth : mapping of str to float, optional
        Known values by quantity.
    title : str, optional
        Above the plots.
    figure : `~matplotlib.figure.Figure`, optional
        An empty figure to draw on; by default a new one of pyplot.
    style : {"light", "dark"}, optional
        By default that of the figure.

    Returns
    -------
    `~matplotlib.figure.Figure`

    Raises
    ------
    UnknownNameError
        For another kind, or where there is no posterior of a quantity.
    InputError
        The table has no such row, or lacks what is asked.
    """
    wanted = _chosen(kinds, OBJECT_KINDS)
    row = row_of(table, row)
    given = {} if truth is None else {name: number_of(value) for name, value in truth.items()}
    known = {name: value for name, value in given.items() if np.isfinite(value)}
    one = None if posterior is None else one_row(posterior, row, len(table))
    source, at = (table, row) if draws is None else (draws, row % len(draws))
    names = _drawn(source) if quantities is None else names_of(quantities)
    size = corner_size(len(names)) if "corner" in wanted else 0.0
    panels = ["sed"] if "sed" in wanted else []
    panels += (["z"] if quantities is None else names) if "pdf" in wanted else []
    width, height, places = _layout(panels, size, 0.3 if title else 0.08)
    with start_figure(figure, style, width, height, layout="none") as (figure, look):
        if title:
            figure.suptitle(title, fontsize="medium", color=look.ink, y=1 - 0.07 / height)
        for panel, (left, bottom, wide, high) in zip(panels, places, strict=True):
            place = (left / width, bottom / height, wide / width, high / height)
            ax = figure.add_axes(place)
            if panel == "sed":
                plot_sed(
                    table,
                    row,
                    posterior=one,
                    survey=survey,
                    residuals=_has_fluxes(table, one),
                    ax=ax,
                )
            elif one is not None:
                plot_posterior(one, 0, panel, truth=known.get(panel), ax=ax)
            else:
                plot_posterior(table, row, panel, truth=known.get(panel), ax=ax)
        if size:
            grid = figure.add_gridspec(
                2, 3, height_ratios=(height - size, size),
                width_ratios=(0.5 * (width - size) + 1e-3, size, 0.5 * (width - size) + 1e-3),
            )  # fmt: skip
            some = {name: known[name] for name in names if name in known}
            plot_corner(
                source, at, names, truth=some, figure=figure.add_subfigure(grid[1, 1]),
                style=look.name,
            )  # fmt: skip
    return figure


def plot_catalogue(
    table: Table,
    kinds: Sequence[str] | None = None,
    *,
    truth: Mapping[str, Any] | None = None,
    survey: str = "auto",
    title: str | None = None,
    figure: Figure | None = None,
    style: str | None = None,
) -> Figure:
    """
    Draw an annotated catalogue: predicted against known values, redshifts, colours and the sky.

    Parameters
    ----------
    table : `~astropy.table.Table`
        From `jpassed.annotate`, with ``jp_z``.
    kinds : sequence of {"truth", "histogram", "magnitude", "colours", "sky"}, optional
        Predicted against known values; how redshifts are distributed; redshift against magnitude;
        a plane of two colours; the sky. The last three are coloured by redshift. By default all
        that the table has the columns of.
    truth : mapping of str to array (N,), optional
        Known values by quantity.
    survey : str
        Name or path of the survey that says which columns are bandfluxes.
    title : str, optional
        Above the plots.
    figure : `~matplotlib.figure.Figure`, optional
        An empty figure to draw on; by default a new one of pyplot.
    style : {"light", "dark"}, optional
        By default that of the figure.

    Returns
    -------
    `~matplotlib.figure.Figure`
        With one Axes for each kind, and one for each quantity of the truth.

    Raises
    ------
    UnknownNameError
        For another kind, or a quantity that the table does not predict.
    InputError
        The table is not annotated, or lacks what is asked.
    """
    if "jp_z" not in table.colnames:
        raise InputError("the table has no jp_z: annotate it first (jpassed annotate)")
    known = {} if truth is None else dict(truth)
    drawings = _drawings(table, kinds, known, survey)
    if not drawings:
        raise InputError("there is nothing to draw of this table")
    columns = min(len(drawings), 2 if len(drawings) in (2, 4) else 3)
    rows = -(-len(drawings) // columns)
    with start_figure(figure, style, 3.5 * columns, 3.0 * rows) as (figure, look):
        if title:
            figure.suptitle(title, fontsize="medium", color=look.ink)
        for k, draw in enumerate(drawings):
            draw(figure.add_subplot(rows, columns, k + 1))
    return figure


def _chosen(kinds: Sequence[str], choices: Sequence[str]) -> list[str]:
    """The kinds that are asked, in the order of the choices."""
    asked = names_of(kinds)
    for kind in asked:
        if kind not in choices:
            raise UnknownNameError("kind of plot", str(kind), choices)
    if not asked:
        raise InputError(f"no kind of plot was asked for: {', '.join(choices)}")
    return [kind for kind in choices if kind in asked]


def _drawn(source: JointSamples | Table) -> list[str]:
    """Quantities that have draws."""
    if isinstance(source, JointSamples):
        return list(source.names)
    return quantities_with(source, "samples")


def _has_fluxes(table: Table, posterior: Posterior | None) -> bool:
    """Whether bandfluxes are predicted."""
    if posterior is not None:
        return any(name.startswith("flux:") for name in posterior)
    return any(name.startswith("jp_flux_") for name in table.colnames)


_LEFT, _RIGHT, _BOTTOM, _ABOVE, _BETWEEN = 0.58, 0.12, 0.46, 0.08, 0.62
"""Inches around Axes: labels lie to the left and below, and between two of them."""


def _layout(
    panels: Sequence[str], corner: float, top: float
) -> tuple[float, float, list[tuple[float, float, float, float]]]:
    """Width and height of a figure, and left, bottom, width, height of its panels, all in inches.

    The bandfluxes share their row with one posterior; others follow three to a row; the corner
    plot has the lowest place.
    """
    rows: list[list[str]] = []
    rest = list(panels)
    if rest and rest[0] == "sed":
        rows.append(rest[:2])
        rest = rest[2:]
    rows += [rest[k : k + 3] for k in range(0, len(rest), 3)]
    most = max((len(row) for row in rows), default=0)
    width = PAGE if most > 1 or panels[:1] == ["sed"] else 3.5
    width = max(width, corner)
    heights = [2.9 if row[0] == "sed" else 2.3 for row in rows]
    height = sum(heights) + corner + top
    places, y = [], height - top
    for row, tall in zip(rows, heights, strict=True):
        y -= tall
        shares = [2.6, 1.0] if row[0] == "sed" and len(row) == 2 else [1.0] * len(row)
        above = 0.22 if row[0] == "sed" else _ABOVE  # its legend
        free = width - _LEFT - _RIGHT - _BETWEEN * (len(row) - 1)
        x = _LEFT
        for share in shares:
            wide = free * share / sum(shares)
            places.append((x, y + _BOTTOM, wide, tall - _BOTTOM - above))
            x += wide + _BETWEEN
    return width, height, places


Drawing = Callable[["Axes"], Any]


def _drawings(
    table: Table, kinds: Sequence[str] | None, truth: Mapping[str, Any], survey: str
) -> list[Drawing]:
    """What draws each plot of a catalogue on the Axes that it is given."""
    asked = list(CATALOGUE_KINDS) if kinds is None else _chosen(kinds, CATALOGUE_KINDS)
    if "truth" in asked and not truth and kinds is not None:
        raise InputError("no known values were given: truth={'z': ...} (--truth z=COLUMN)")
    for name in truth:
        if column_name(name) not in table.colnames:
            raise UnknownNameError("predicted quantity", name, quantities_with(table, "lo"))
    bands = _bands(table, survey)
    colours = next((c for c in COLOURS if set("-".join(c).split("-")) <= bands), None)
    magnitude = next((m for m in MAGNITUDES if m in bands), None)
    found: dict[str, list[Drawing]] = {
        "truth": [_against(table, name, values) for name, values in truth.items()],
        "histogram": [lambda ax: plot_histogram(table, "z", ax=ax)],
    }
    if magnitude is not None:
        found["magnitude"] = [
            lambda ax: plot_colours(table, magnitude, "jp_z", survey=survey, ax=ax)
        ]
    if colours is not None:
        found["colours"] = [lambda ax: plot_colours(table, *colours, "jp_z", survey=survey, ax=ax)]
    if _has_positions(table):
        found["sky"] = [lambda ax: plot_sky(table, "jp_z", ax=ax)]
    missing = [kind for kind in asked if kind not in found]
    if kinds is not None and missing:
        raise InputError(
            f"{', '.join(missing)}: the table has no columns for it (magnitude and colours want "
            "broad bands such as gSDSS, rSDSS and iSDSS, sky wants right ascension and declination)"
        )
    return [draw for kind in asked for draw in found.get(kind, [])]


def _against(table: Table, name: str, values: Any) -> Drawing:
    """Predicted against known values of a quantity."""
    predicted = table[column_name(name)]
    if name == "z":
        return lambda ax: plot_redshifts(predicted, values, ax=ax)
    return lambda ax: plot_predicted(predicted, values, name=name, ax=ax)


def _bands(table: Table, survey: str) -> set[str]:
    try:
        return set(read_photometry(table, survey).bands)
    except UnrecognisedTableError:
        return set()


def _has_positions(table: Table) -> bool:
    try:
        find_positions(table)
    except JpassedError:
        return False
    return True
