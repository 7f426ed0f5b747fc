"""Which rows of a table are of one object."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jpassed.exceptions import InputError, UnknownNameError

__all__ = ["object_of_rows"]


def object_of_rows(table: Any, column: str) -> NDArray[np.intp]:
    """Number of the object of each row (N,), from a column that names it.

    Rows without a name (masked, or a number that is none) are objects of their own.

    Parameters
    ----------
    table : astropy.table.Table
        N rows.
    column : str

    Raises
    ------
    UnknownNameError
        If there is no such column.
    InputError
        If it has several values a row.
    """
    if column not in table.colnames:
        raise UnknownNameError("column", column, table.colnames)
    found = table[column]
    values = np.ma.asarray(getattr(found, "unmasked", found))
    if values.ndim != 1:
        raise InputError(f"groups: column {column!r} must hold one name or number a row")
    plain = np.ma.getdata(values)
    nameless = np.ma.getmaskarray(values) | np.asarray(getattr(found, "mask", False))
    if plain.dtype.kind == "f":
        nameless = nameless | ~np.isfinite(plain)
    index: NDArray[np.intp] = np.unique(plain.astype(str), return_inverse=True)[1]
    return np.where(nameless, len(index) + np.arange(len(index)), index)
