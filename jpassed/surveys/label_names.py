"""Columns that look like labels: suggestions for the context, never used by themselves."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from jpassed.exceptions import InputError
from jpassed.surveys.labels import error_column_of
from jpassed.surveys.matching import TableReader

__all__ = ["LabelSuggestion", "may_be", "quantity_meant", "suggest_labels"]

# Of a median: beyond, it is a magnitude.
LOWEST_REDSHIFT, HIGHEST_REDSHIFT = -0.5, 12.0


@dataclass(frozen=True)
class LabelSuggestion:
    """A column that could be given as context.

    Attributes
    ----------
    quantity, column : str
    error_column : str or None
    """

    quantity: str
    column: str
    error_column: str | None

    @property
    def option(self) -> str:
        """As it is said on the command line."""
        error = "" if self.error_column is None else f",{self.error_column}"
        return f"--context {self.quantity}={self.column}{error}"


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    from astropy.table import Table

    path = files("jpassed.surveys").joinpath("data", "label_names.ecsv")
    table = Table.read(path.read_text("utf-8").splitlines(), format="ascii.ecsv")
    return tuple((str(row["quantity"]), re.compile(str(row["pattern"]))) for row in table)


def quantity_meant(name: str) -> str:
    """The quantity that catalogues call so (``"redshift"``, ``"mass"``), empty if there is none."""
    plain = name.lower()
    return next((q for q, pattern in _patterns() if pattern.fullmatch(plain)), "")


def suggest_labels(reader: TableReader, used: Collection[str]) -> tuple[LabelSuggestion, ...]:
    """Columns whose name is one of those that catalogues give to labels.

    Parameters
    ----------
    reader : TableReader
    used : collection of str
        Columns that are something else.

    Returns
    -------
    tuple of LabelSuggestion
        In the table's order.
    """
    found = []
    for name in reader.names:
        plain = name.lower().rsplit(".", 1)[-1]
        if name in used or plain.startswith("jp_") or reader.width(name) != 1:
            continue
        quantity = quantity_meant(plain)
        if quantity and may_be(quantity, name, reader):
            found.append(LabelSuggestion(quantity, name, error_column_of(name, reader.names)))
    return tuple(found)


def may_be(quantity: str, name: str, reader: TableReader) -> bool:
    """Whether the values could be: a column z may well be a magnitude."""
    if quantity != "z" or len(reader) == 0:
        return True
    try:
        values, missing = reader.numbers(name)
    except InputError:
        return False
    # Not measured is -9 in some tables, -99 or -1 in others.
    given = values[~missing & (values > LOWEST_REDSHIFT)]
    return given.size == 0 or bool(np.median(given) < HIGHEST_REDSHIFT)
