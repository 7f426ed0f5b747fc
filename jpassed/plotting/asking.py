"""Plots of a catalogue whatever columns it has: a model is asked for what they lack."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import InputError, UnrecognisedTableError
from jpassed.filters import known_bands
from jpassed.filters.known import set_of_band
from jpassed.plotting.overview import plot_catalogue, plot_object
from jpassed.plotting.rows import names_of, numbers_of, row_of
from jpassed.posteriors.columns import column_name
from jpassed.surveys import read_labels, read_photometry

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.figure import Figure

__all__ = ["draw_catalogue", "draw_object"]

logger = logging.getLogger(__name__)

DRAWN_TOGETHER = ("z", "logmstar", "logsfr", "av")
"""Quantities of a corner plot, unless others are asked."""

MOST_ROWS = 20_000
"""Of a catalogue that is annotated for its plot alone."""


def draw_object(
    table: Table,
    row: int,
    kinds: Sequence[str] = ("sed", "pdf"),
    *,
    quantities: Sequence[str] | None = None,
    truth: Mapping[str, str] | None = None,
    draws: int = 1000,
    model: str | os.PathLike[str] | None = None,
    title: str | None = None,
    style: str | None = None,
    survey: Any = "auto",
    number: int | None = None,
    **keywords: Any,
) -> Figure:
    """`plot_object` of a row, after asking a model for what its columns do not hold.

    Parameters
    ----------
    table, row, kinds, quantities, title, style
        See `plot_object`.
    truth : mapping of str to str, optional
        Quantity to the column that holds its known value.
    draws : int
        Of the corner plot.
    model : str or path, optional
        Ask this model, whatever columns there are; the default one otherwise.
    number : int, optional
        What messages call the row, where the table is a part of a catalogue; counted from 1.
    survey, **keywords
        Of `jpassed.annotation.infer`.

    Raises
    ------
    JpassedError
        See `plot_object` and `jpassed.annotation.infer`.
    """
    row, kinds = row_of(table, row), names_of(kinds)
    quantities = None if quantities is None else names_of(quantities)
    number = row + 1 if number is None else number
    only = table[row : row + 1]
    labels = read_labels(only, truth, what="truth") if truth else {}
    known = {name: float(c.value[0]) for name, c in labels.items() if c.observed[0]}
    for name in set(labels) - set(known):
        logger.warning(
            "row %d has no known value of %s in column %s", number, name, labels[name].column
        )
    asked: dict[str, Any] = {
        "title": _with_flags(title, only), "style": style, "truth": known,
    }  # fmt: skip
    if model is None and _has_all(only, kinds, quantities, survey):
        return plot_object(table, row, kinds, quantities=quantities, survey=survey, **asked)
    from jpassed.annotation import infer
    from jpassed.weights import load_model

    loaded = load_model("default" if model is None else model)
    if model is None:
        _warn_of_others(table, loaded.name, loaded.digest, keywords)
    if not keywords.get("context") and not _has_bands(only, survey):
        logger.warning("row %d has no band with a flux: what is drawn is the prior", number)
    own = ("z",) if quantities is None else tuple(quantities)
    outputs = [*own, *(["z"] if "z" not in own else [])]
    if "sed" in kinds:
        outputs += [f"flux:{band}" for band in _bands(only, survey, loaded.card)]
    posterior = infer(only, model=loaded, outputs=outputs, survey=survey, **keywords)
    together = DRAWN_TOGETHER if quantities is None else own
    sampled = None
    if "corner" in kinds:
        sampled = posterior.sample(draws, names=together, rng=0)
    return plot_object(
        table, row, kinds, quantities=quantities, posterior=posterior, draws=sampled,
        survey=survey, **asked,
    )  # fmt: skip


def draw_catalogue(
    table: Table,
    kinds: Sequence[str] | None = None,
    *,
    truth: Mapping[str, str] | None = None,
    model: str | os.PathLike[str] | None = None,
    title: str | None = None,
    style: str | None = None,
    survey: Any = "auto",
    progress: Callable[[int, int], None] | None = None,
    **keywords: Any,
) -> Figure:
    """`plot_catalogue`, after annotating the table if it is not.

    Parameters
    ----------
    table, kinds, title, style
        See `plot_catalogue`.
    truth : mapping of str to str, optional
        Quantity to the column that holds its known values.
    model : str or path, optional
        Ask this model, whatever columns there are.
    progress : callable, optional
        Called with (objects done, N).
    survey, **keywords
        Of `jpassed.annotate`.

    Raises
    ------
    InputError
        The table is not annotated, and has more than 20,000 rows.
    JpassedError
        See `plot_catalogue` and `jpassed.annotate`.
    """
    labels = read_labels(table, truth, what="truth") if truth else {}
    wanted = ["z", *(name for name in labels if name != "z")]
    if model is not None or any(column_name(name) not in table.colnames for name in wanted):
        if len(table) > MOST_ROWS:
            missing = ", ".join(
                column_name(n) for n in wanted if column_name(n) not in table.colnames
            )
            raise InputError(
                f"{len(table)} rows without {missing or 'the predictions of this model'} are too "
                "many to annotate for a plot: annotate first (jpassed annotate IN), and plot the "
                "result"
            )
        from jpassed.annotation import annotate

        table = annotate(
            table, model=model or "default", outputs=wanted, pdf=True, chi2="none", survey=survey,
            replace_columns=True, progress=progress, **keywords,
        )  # fmt: skip
    known = {
        name: np.where(column.observed, column.value, np.nan) for name, column in labels.items()
    }
    return plot_catalogue(table, kinds, truth=known, survey=survey, title=title, style=style)


def _has_all(
    only: Table, kinds: Sequence[str], quantities: Sequence[str] | None, survey: Any
) -> bool:
    """Whether the columns of a row hold all that its plots want, and are not blank."""

    def held(name: str) -> bool:
        return name in only.colnames and bool(np.isfinite(numbers_of(only[name])).all())

    own = ("z",) if quantities is None else tuple(quantities)
    ends = ("pdf", "lo", "", "hi")
    if "pdf" in kinds and not all(held(column_name(q, e)) for q in own for e in ends):
        return False
    together = DRAWN_TOGETHER if quantities is None else own
    if "corner" in kinds and any(column_name(q, "samples") not in only.colnames for q in together):
        return False
    if "sed" not in kinds:
        return True
    try:
        photometry = read_photometry(only, survey)
    except UnrecognisedTableError:
        return any(held(name) for name in only.colnames if name.startswith("jp_flux_"))
    seen = [
        band for band, there in zip(photometry.bands, photometry.observed[0], strict=True) if there
    ]
    return all(held(column_name(f"flux:{band}")) for band in seen)


def _bands(only: Table, survey: Any, card: Mapping[str, Any]) -> list[str]:
    """Bands to predict: those of J-PAS and those of the table that the model can place."""
    from jpassed.annotation.targets import trained_range

    places = {
        band: place[0] for band, place in known_bands().items() if set_of_band(band) == "jpas"
    }
    try:
        photometry = read_photometry(only, survey)
        places |= {b: float(p) for b, p in zip(photometry.bands, photometry.pivot, strict=True)}
    except UnrecognisedTableError:
        pass
    low, high = trained_range(card) or (0.0, np.inf)
    return [band for band, pivot in places.items() if low <= pivot <= high]


def _has_bands(only: Table, survey: Any) -> bool:
    """Whether a row has any band; a table without bands says so by itself."""
    try:
        return bool(read_photometry(only, survey).observed.any())
    except UnrecognisedTableError:
        return True


def _with_flags(title: str | None, only: Table) -> str | None:
    """The title of a row's plot, with the names of its flags."""
    if title is None or "jp_flag" not in only.colnames:
        return title
    from jpassed.annotation import Flag

    names = Flag.names(only["jp_flag"][0])
    return f"{title} ({', '.join(names)})" if names else title


def _warn_of_others(table: Table, name: str, digest: str, keywords: Mapping[str, Any]) -> None:
    """Say where the columns of a catalogue come from another model, or knew more."""
    before = table.meta.get("jp_weights")
    if before and str(before) != digest:
        logger.warning(
            "the catalogue was annotated by the model %s (%s), the plot asks %s (%s): name the "
            "model with model= (--model)",
            table.meta.get("jp_model", "?"), before, name, digest,
        )  # fmt: skip
    for what in ("context", "zeropoints"):
        known = str(table.meta.get(f"jp_{what}") or "")
        if known and not keywords.get(what):
            logger.warning(
                "the catalogue was annotated with the %s %s, the plot without: give it again with "
                "%s= (--%s)",
                what, known, what, what,
            )  # fmt: skip
