"""Columns that look like bandfluxes and are not read as one."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Collection
from dataclasses import dataclass

from jpassed.exceptions import InputError
from jpassed.surveys.columns import says_magnitude
from jpassed.surveys.conversion import is_bandflux
from jpassed.surveys.matching import MatchResult, TableReader, match_rules
from jpassed.surveys.suggestion import POSITIONS, error_guess, guess_band, is_redshift

__all__ = ["NearMiss", "near_misses", "unused_line"]

logger = logging.getLogger(__name__)

SHOWN = 12
NAMED = 6
CLOSE = 0.85

_OWN = ("jp_", "true_")
# Emission lines have fluxes and errors too; absolute magnitudes are none of the sky.
_NO_BAND = re.compile(
    r"(?:^|[_.])(?:h_?(?:a|b|g|d|alpha|beta|gamma|delta)|\[?(?:o|n|s|c|ne|mg)i{1,3}v?\]?|lya)"
    r"(?:$|[_.\d])|abs_?mag|line"
)


@dataclass(frozen=True)
class NearMiss:
    """A column that nearly is a bandflux: `column`, and what it lacks or could be."""

    column: str
    hint: str


_NOTHING = MatchResult((), (), ())


def near_misses(
    reader: TableReader, found: MatchResult = _NOTHING, used: Collection[str] = ()
) -> tuple[NearMiss, ...]:
    """Columns that look like a band and are not read as one.

    Of a table without any band: columns without their errors, with a band's name misspelt, or
    with errors but no band. Of a table with bands: those that another survey would read as a band
    that is not there, and those whose name or unit is one of a bandflux and that have errors.

    Parameters
    ----------
    reader : TableReader
    found : MatchResult, optional
        What was recognised.
    used : collection of str, optional
        Columns that are something else, such as labels.

    Returns
    -------
    tuple of NearMiss
        The most telling ones of each sort first.
    """
    if found.matches:
        return _beside(reader, found, set(used))
    return _instead(reader)


def unused_line(near: tuple[NearMiss, ...]) -> str:
    """One line on columns that look like bands."""
    names = [repr(item.column) for item in near]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    many = (
        "columns look like bands and are" if len(names) > 1 else "column looks like a band and is"
    )
    return (
        f"{len(names)} {many} not used: {', '.join(names[:NAMED])}{more} (jpassed identify says "
        "more; a map has to name every band that is to be used)"
    )


def _beside(reader: TableReader, found: MatchResult, used: set[str]) -> tuple[NearMiss, ...]:
    from jpassed.surveys.survey import list_surveys, load_survey

    bands = {match.band for match in found.matches}
    known = {name for match in found.matches for name in (match.value, match.error)}
    known |= used | set(found.passed_over) | set(found.without_error)
    near: dict[str, str] = {}
    errors = set()
    for survey in map(load_survey, list_surveys()):
        try:
            if not survey.auto or not survey.recognises(reader.table):
                continue
            matches = match_rules(survey.rules, reader).matches
        except InputError as exc:  # two columns for one band, none of them used
            logger.debug("%s: %s", survey.name, exc)
            continue
        for match in matches:
            if match.band not in bands and match.value not in known:
                near.setdefault(match.value, f"{survey.name} reads it as {match.band}")
                errors.add(match.error)
    taken = {match.band for match in found.matches}
    for name in reader.names:
        if name in known or name in near or not _may_be_band(name, reader):
            continue
        pair = error_guess(name, reader.names)
        if pair is None or pair[0] in known:
            continue
        hint = _likely(name, taken, reader)
        if hint:
            near[name] = f"{hint} Its errors may be {pair[0]!r}"
            errors.add(pair[0])
    return tuple(NearMiss(n, hint) for n, hint in near.items() if n not in errors)


def _may_be_band(name: str, reader: TableReader) -> bool:
    lower = name.lower()
    if lower.startswith(_OWN) or lower in POSITIONS or _NO_BAND.search(lower):
        return False
    return reader.width(name) == 1


def _likely(name: str, taken: set[str], reader: TableReader) -> str:
    """What a column with errors could be, beside bands that are known; empty if hardly one."""
    unit = reader.unit(name)
    if unit is not None and not is_bandflux(unit):
        return ""
    band = guess_band(name, taken, whole=True) or _close_band(name)
    if band in taken:
        return ""
    if band:
        return f"did you mean {band}?"
    if unit is not None or says_magnitude(name) or re.search("flux|flx", name.lower()):
        return "a map can say which band it is."
    return ""


def _instead(reader: TableReader) -> tuple[NearMiss, ...]:
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
    bare: dict[str, str] = {}
    for name in reader.names:
        if name.lower().startswith(_OWN) or reader.width(name) < 1:
            continue
        pair = error_guess(name, reader.names)
        if pair is None:
            band = _named_band(name)
            if band and name not in found:
                bare[name] = f"names {band}, but has no column of errors"
            continue
        errors.add(pair[0])
        band = _close_band(name)
        if band:
            found.setdefault(name, f"did you mean {band}? Its errors may be {pair[0]!r}")
        else:
            hint = f"has errors in {pair[0]!r}; a map can say which band it is"
            band = "" if is_redshift(name, reader) else guess_band(name, set(), whole=True)
            found.setdefault(name, f"{hint}, perhaps {band}" if band else hint)
    if not found:
        found = bare
    return tuple(NearMiss(n, hint) for n, hint in found.items() if n not in errors)[:SHOWN]


def _named_band(name: str) -> str:
    """The band whose whole name is a word of a flux or magnitude's, empty if none is."""
    lower = name.lower()
    if not (says_magnitude(name) or "flux" in lower):
        return ""
    band = guess_band(name, set())
    return band if len(band) > 3 and band.lower() in lower else ""


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
