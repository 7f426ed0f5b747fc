"""What is taken for granted of columns that do not say it: their unit, the Milky Way's dust."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jpassed.exceptions import InputError
from jpassed.surveys.columns import says_magnitude
from jpassed.surveys.extinction import ebv_columns, uncorrected
from jpassed.surveys.map_text import extinction_column
from jpassed.surveys.matching import Match, TableReader

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "assumed_units",
    "check_magnitudes",
    "extinction_notes",
]

# Between them lie the AB magnitudes of nearly everything in a galaxy survey. Fluxes of a sample in
# microjansky spread over far more than the factor 2.7 that the limits allow.
BRIGHTEST, FAINTEST = 12.0, 32.0
LARGEST_ERROR = 1.5
ENOUGH_ROWS = 5
NEARLY_ALL = 0.95

SHOWN = 6


def look_like_magnitudes(values: NDArray[np.float64], errors: NDArray[np.float64]) -> bool:
    """Whether numbers, shape (rows, columns), can hardly be anything but magnitudes."""
    given = np.isfinite(values) & np.isfinite(errors) & (np.abs(values) < 90) & (errors > 0)
    if not given.any():
        return False
    fitting = (values > BRIGHTEST) & (values < FAINTEST)
    return bool(
        fitting[given].mean() >= NEARLY_ALL
        and (values[given] >= 0).all()
        and np.median(errors[given]) < LARGEST_ERROR
    )


def _taken_as_microjansky(matches: Iterable[Match], reader: TableReader) -> list[Match]:
    """Columns that state no unit, and that a rule, not the user, takes as microjansky."""
    return [
        match
        for match in matches
        if not match.rule.exact
        and match.rule.unit == "uJy"
        and match.rule.zero_point is None
        and reader.unit(match.value) is None
    ]


def check_magnitudes(
    matches: Sequence[Match], reader: TableReader, *, values: bool = True
) -> tuple[tuple[str, ...], str]:
    """Columns that would be taken as microjansky and seem to be magnitudes.

    Parameters
    ----------
    matches : sequence of Match
    reader : TableReader
    values : bool
        Whether the values count, besides names and units.

    Returns
    -------
    columns : tuple of str
    reason : str
        Why they are refused; empty if there are none.
    """
    from astropy import units as u

    bare = [m for m in _taken_as_microjansky(matches, reader) if "flux" not in m.value.lower()]
    found = [
        match
        for match in bare
        if says_magnitude(match.value) or "mag" in str(reader.unit(match.error) or u.one)
    ]
    why = "their names or errors say that they are magnitudes"
    if not found and values and len(reader) >= ENOUGH_ROWS and _all_magnitudes(bare, reader):
        found, why = bare, "their values look like magnitudes"
    if not found:
        return (), ""
    first = found[0]
    columns = tuple(match.value for match in found)
    return columns, (
        f"{_named(columns)}: no unit is stated, and {why}; they are not taken as uJy. Give the "
        "columns their unit (mag(AB), uJy ...), or say in a map (--map FILE; identify --as-map "
        "writes one) 'mag:' for AB magnitudes, or 'flux:' with its unit:\n"
        f"bands:\n  {first.band}: {{mag: {first.value}, {first.error_kind}: {first.error}}}"
    )


def _all_magnitudes(matches: Sequence[Match], reader: TableReader) -> bool:
    if not matches or any(match.error_kind != "error" for match in matches):
        return False
    try:
        values = np.stack([reader.numbers(match.value)[0] for match in matches], axis=1)
        errors = np.stack([reader.numbers(match.error)[0] for match in matches], axis=1)
    except (InputError, ValueError):  # what is wrong with them is said where they are read
        return False
    return values.ndim == 2 and look_like_magnitudes(values, errors)


def assumed_units(matches: Sequence[Match], reader: TableReader) -> tuple[str, ...]:
    """A line on the columns that are taken as microjansky, if there are any."""
    bare = _taken_as_microjansky(matches, reader)
    if not bare:
        return ()
    text = f"{_named([match.value for match in bare])}: no unit, taken as uJy"
    if len(reader) < ENOUGH_ROWS and _all_magnitudes(bare, reader):
        text += "; if they are magnitudes, give the columns the unit mag(AB)"
    return (text,)


def extinction_notes(matches: Sequence[Match], reader: TableReader) -> tuple[str, ...]:
    """A line that says which bands the table's E(B-V) is not used for, if there are any."""
    rest = uncorrected(matches, reader)
    if not rest or reader.table.meta.get("MWCORR") is True:  # as `jpassed.jspectra` writes it
        return ()
    columns = ebv_columns(reader)
    corrected = {
        match.rule.survey: column
        for match in matches
        if (column := extinction_column(match, reader)) in columns
    }
    name = ", ".join(dict.fromkeys(corrected.values())) or columns[0]
    used = f"for {' and '.join(corrected)} only" if corrected else "not used"
    return (
        f"{name}: {used}; {_named([m.band for m in rest], '{}')} taken as corrected for the Milky "
        "Way (otherwise say 'extinction:' in a map; identify --as-map shows how)",
    )


def _named(names: Sequence[str], form: str = "'{}'") -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(form.format(name) for name in names[:SHOWN]) + more
