"""What should be said of a table's columns before anything is predicted from them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from jpassed.surveys.assumptions import assumed_units, extinction_notes
from jpassed.surveys.label_names import suggest_labels
from jpassed.surveys.map_text import aux_columns
from jpassed.surveys.matching import TableReader, match_rules
from jpassed.surveys.near_misses import near_misses, unused_line
from jpassed.surveys.survey import Survey

__all__ = ["column_notes"]


def column_notes(table: Any, survey: Survey, used: Collection[str] = ()) -> tuple[str, ...]:
    """One line each on units that are assumed, E(B-V) that is not used, and bands left out.

    Parameters
    ----------
    table : astropy.table.Table
    survey : Survey
        By which it is read.
    used : collection of str, optional
        Columns that are used as something else, such as labels.

    Returns
    -------
    tuple of str
        Empty where there is nothing to say. The same for every part of a table.
    """
    reader = TableReader(table)
    found = match_rules(survey.rules, reader)
    others = set(used) | {name for m in found.matches for name in aux_columns(m, reader)}
    for label in suggest_labels(reader, others):
        others |= {name for name in (label.column, label.error_column) if name}
    near = near_misses(reader, found, others) if found.matches else ()
    return (
        *assumed_units(found.matches, reader),
        *extinction_notes(found.matches, reader),
        *((unused_line(near),) if near else ()),
    )
