"""One row of a table, and of the posterior that belongs to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jpassed.exceptions import InputError
from jpassed.posteriors import Posterior

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["number_of", "numbers_of", "one_row", "row_of"]


def row_of(table: Table | Posterior, row: int) -> int:
    """A row counted from 0, also where it was counted from the end.

    Raises
    ------
    InputError
        There is no such row.
    """
    if not -len(table) <= row < len(table):
        raise InputError(f"row {row} of a table of {len(table)} rows (they count from 0)")
    return row % len(table)


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
    """The values of a column or array, NaN where masked."""
    values = np.ma.asarray(getattr(column, "value", column), dtype=np.float64)
    mask = np.ma.getmaskarray(values) | np.asarray(getattr(column, "mask", False), dtype=bool)
    return np.where(mask, np.nan, np.ma.getdata(values))


def number_of(column: Any) -> float:
    """The one value of a column of one row, NaN where masked."""
    return float(numbers_of(column).ravel()[0])
