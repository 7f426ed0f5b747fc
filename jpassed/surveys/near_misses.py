"""Columns of an unrecognised table that are nearly those of a survey."""

from __future__ import annotations

import difflib
import logging
import re
from dataclasses import dataclass

from jpassed.exceptions import InputError
from jpassed.surveys.matching import TableReader
from jpassed.surveys.suggestion import error_guess

__all__ = ["NearMiss", "near_misses"]

logger = logging.getLogger(__name__)

SHOWN = 12
CLOSE = 0.85


@dataclass(frozen=True)
class NearMiss:
    """A column that nearly is a bandflux: `column`, and what it lacks or could be."""

    column: str
    hint: str


def near_misses(reader: TableReader) -> tuple[NearMiss, ...]:
    """Columns without their errors, with a band's name misspelt, or with errors but no band.

    Parameters
    ----------
    reader : TableReader

    Returns
    -------
    tuple of NearMiss
        The most telling ones of each sort first.
    """
    from jpassed.surveys.survey import list_surveys, load_survey

    found: dict[str, str] = {}
    for survey in map(load_survey, list_surveys()):
        if not survey.auto:
            continue
        try:
            without_error = survey.match(reader.table).without_error
        except InputError as exc:  # two columns for one band: the table's problem says so
            logger.debug("%s: %s", survey.name, exc)
            continue
        for name in without_error:
            found.setdefault(
                name, f"looks like a bandflux of {survey.name}, but has no column of errors"
            )
    errors = set()
    for name in reader.names:
        if name.lower().startswith(("jp_", "true_")) or reader.width(name) < 1:
            continue
        pair = error_guess(name, reader.names)
        if pair is None:
            continue
        errors.add(pair[0])
        band = _close_band(name)
        if band:
            found.setdefault(name, f"did you mean {band}? Its errors may be {pair[0]!r}")
        else:
            found.setdefault(name, f"has errors in {pair[0]!r}; a map can say which band it is")
    return tuple(NearMiss(n, hint) for n, hint in found.items() if n not in errors)[:SHOWN]


def _close_band(name: str) -> str:
    """A known band whose name is nearly part of a column's, empty if none is."""
    from jpassed.filters import known_bands

    bands = {band.lower(): band for band in known_bands()}
    words = [name.lower(), *re.split(r"[^a-z0-9]+", name.lower())]
    for word in words:
        near = difflib.get_close_matches(word, bands, n=1, cutoff=CLOSE)
        if len(word) > 3 and near:
            return bands[near[0]]
    return ""
