"""Rows, columns and numbers of the tables that are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jpassed.exceptions import InputError
from jpassed.posteriors import Posterior
from jpassed.posteriors.columns import column_name
from jpassed.posteriors.grids import PdfGrid

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = [
    "names_of",
    "number_of",
    "numbers_of",
    "one_number_a_row",
    "one_row",
    "pdf_edges",
    "quantities_with",
    "row_of",
]


def row_of(table: Table | Posterior, row: int) -> int:
    """A row counted from 0, also where it was counted from the end.

    Raises
    ------
    InputError
        There is no such row.
    """
    if isinstance(row, bool) or not isinstance(row, int | np.integer):
        raise InputError(f"row: expected a whole number (rows count from 0), got {row!r}")
    if not -len(table) <= row < len(table):
        raise InputError(f"row {row} of a table of {len(table)} rows (they count from 0)")
    return int(row) % len(table)


def one_row(posterior: Posterior, row: int, n_rows: int) -> Posterior:
    """The posterior of one row: `posterior` is of all rows of its table, or of this row alone.

    Raises
    ------
    InputError
        It is of other rows.
    """
    if len(posterior) == n_rows:
        return posterior[row : row + 1]
    if len(posterior) == 1:
        return posterior
    raise InputError(
        f"the posterior is of {len(posterior)} objects, the table has {n_rows} rows: give that of "
        "the same rows, or of one"
    )


def numbers_of(column: Any) -> NDArray[np.float64]:
    """The values of a column or array, NaN where masked.

    Raises
    ------
    InputError
        They are no numbers.
    """
    try:
        values = np.ma.asarray(getattr(column, "value", column), dtype=np.float64)
    except (TypeError, ValueError) as error:
        name = getattr(getattr(column, "info", None), "name", None)
        raise InputError(
            f"{f'column {name!r}' if name else 'values'}: expected numbers, got "
            f"{np.asarray(column).dtype.name}"
        ) from error
    mask = np.ma.getmaskarray(values) | np.asarray(getattr(column, "mask", False), dtype=bool)
    return np.where(mask, np.nan, np.ma.getdata(values))


def number_of(column: Any) -> float:
    """The one value of a column of one row, NaN where masked."""
    return float(numbers_of(column).ravel()[0])


def one_number_a_row(column: Any, name: str) -> NDArray[np.float64]:
    """The values (N,) of a column, NaN where masked.

    Raises
    ------
    InputError
        They are no numbers, or several a row.
    """
    values = numbers_of(column)
    if values.ndim != 1:
        raise InputError(f"column {name!r} has {values.shape[1:]} values a row, expected 1")
    return values


def names_of(names: str | Sequence[str]) -> list[str]:
    """Names that were given: one as it is, or several."""
    return [names] if isinstance(names, str) else list(names)


def quantities_with(table: Table, ending: str) -> list[str]:
    """Quantities for which a table has a column of a kind: ``jp_<quantity>_<ending>``."""
    before, after = column_name(""), f"_{ending}"
    found = [name for name in table.colnames if name.startswith(before) and name.endswith(after)]
    return [name[len(before) : -len(after)] for name in found]


def pdf_edges(table: Table, quantity: str) -> NDArray[np.float64]:
    """Edges (K + 1,) of the bins of a column ``jp_<quantity>_pdf``.

    Raises
    ------
    InputError
        Its description does not state them.
    """
    name = column_name(quantity, "pdf")
    try:
        return PdfGrid.parse(table[name].info.description or "").edges
    except InputError as error:
        raise InputError(
            f"column {name!r}: its description does not state the bins, as that of jpassed does; "
            "annotate the catalogue again, or leave the column out"
        ) from error
