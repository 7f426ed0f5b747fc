"""Columns as Python users expect them: native byte order, text as str, regular arrays in 2-D."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import InputError

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = [
    "copied",
    "extremes",
    "null_value",
    "plain_table",
    "quantity_table",
    "refuse_duplicates",
    "type_with_null",
    "widen",
]

_WITH_NULL = {
    "uint8": "int16",
    "int16": "int32",
    "uint16": "int32",
    "int32": "int64",
    "uint32": "int64",
}


def refuse_duplicates(names: Iterable[str], path: object) -> None:
    """Raise `InputError` that lists the names which occur twice."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        shown = ", ".join(map(repr, twice))
        raise InputError(f"{path} has more than one column called {shown}; rename or remove one")


def quantity_table(table: Any) -> Any:
    """A `QTable` of a table as read from a file.

    Parameters
    ----------
    table : astropy.table.Table

    Returns
    -------
    QTable
        Numbers in native byte order, text as str, rows of equal length as 2-D arrays, masks only
        where something is masked. Integers with a unit stay integers; a column whose unit
        astropy does not know stays a plain column.
    """
    from astropy import units as u
    from astropy.table import Column, QTable

    out = QTable(meta=table.meta)
    with warnings.catch_warnings():
        # QTable says of every odd unit that the column stays a plain one, as it should.
        warnings.simplefilter("ignore")
        for name in table.colnames:
            column = table[name]
            if isinstance(column, Column):
                column = _unmasked(_regular(_native(column)))
                unit = _read_unit(column)
                if (
                    unit is not None
                    and column.dtype.kind in "iu"
                    and not isinstance(unit, u.UnrecognizedUnit)
                ):
                    column = _whole_quantity(column)
            elif getattr(column, "mask", None) is not None and not np.any(column.mask):
                column = _with_info(column.unmasked, column)
            out[name] = column
    return out


def _read_unit(column: Any) -> Any:
    """The unit of a column; VizieR's spelling (``mW/m2/nm``) is none of VOTable's, but clear."""
    from astropy import units as u

    if isinstance(column.unit, u.UnrecognizedUnit):
        try:
            column.unit = u.Unit(str(column.unit), format="generic")
        except (ValueError, TypeError):
            return column.unit
    return column.unit


def _with_info(new: Any, old: Any) -> Any:
    for key in ("description", "format", "meta"):
        value = getattr(old.info, key, None)
        if value:
            setattr(new.info, key, value)
    return new


def _whole_quantity(column: Any) -> Any:
    """Integers with a unit: Quantity itself would make them float."""
    from astropy import units as u
    from astropy.utils.masked import Masked

    mask = getattr(column, "mask", None)
    values = np.asarray(column.data if mask is None else column.data.data)
    quantity = u.Quantity(values, column.unit, dtype=values.dtype)
    return _with_info(quantity if mask is None else Masked(quantity, mask=mask.copy()), column)


def _native(column: Any) -> Any:
    """Swap big-endian numbers, decode bytes."""
    dtype = column.dtype
    if dtype.kind == "S":
        plain = np.asarray(column.data.data if hasattr(column, "mask") else column.data)
        try:
            return _replaced(column, np.char.decode(plain, "utf-8"))
        except UnicodeDecodeError:  # Latin-1 has a letter for every byte: nothing is lost
            return _replaced(column, np.char.decode(plain, "latin-1"))
    if not dtype.isnative:
        plain = np.asarray(column.data.data if hasattr(column, "mask") else column.data)
        return _replaced(column, plain.astype(dtype.newbyteorder("=")))
    return column


def _replaced(column: Any, values: Any, mask: Any = None) -> Any:
    """The column with other values, its mask and everything said about it."""
    from astropy.table import Column, MaskedColumn

    known = {key: getattr(column, key) for key in ("name", "unit", "description", "meta")}
    if mask is None and hasattr(column, "mask"):
        mask = np.array(column.mask)
    if mask is None:
        new = Column(values, **known)
    else:
        new = MaskedColumn(values, mask=mask, **known)
    if column.format and values.dtype.kind in "biuf":
        new.format = column.format
    return new


def _unmasked(column: Any) -> Any:
    mask = getattr(column, "mask", None)
    if mask is None or np.any(mask):
        return column
    from astropy.table import Column

    return Column(
        column.data.data,
        name=column.name,
        unit=column.unit,
        description=column.description,
        meta=column.meta,
        format=column.format,
    )


def _regular(column: Any) -> Any:
    """Objects that are all text, or arrays of one length, as what they are."""
    if column.dtype.kind != "O" or len(column) == 0:
        return column
    items = list(np.asarray(column.data.data if hasattr(column, "mask") else column.data))
    empty = np.array([item is None or item is np.ma.masked for item in items])
    if hasattr(column, "mask") and np.shape(column.mask) == empty.shape:
        empty |= np.asarray(column.mask)
    kept = [item for item, blank in zip(items, empty, strict=True) if not blank]
    if not kept:
        return column
    if all(isinstance(item, str | bytes) for item in kept):
        texts = [
            "" if blank else item.decode("utf-8", "replace") if isinstance(item, bytes) else item
            for item, blank in zip(items, empty, strict=True)
        ]
        return _replaced(column, np.array(texts), empty if empty.any() else None)
    if not all(isinstance(item, np.ndarray | list | tuple) for item in kept):
        return column
    arrays = [np.ma.asarray(item) for item in kept]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1 or arrays[0].dtype.kind not in "biuf":
        return column
    blank_row = np.ma.masked_all(shapes.pop(), dtype=arrays[0].dtype)
    feed = iter(arrays)
    stacked = np.ma.stack([blank_row if blank else next(feed) for blank in empty])
    mask = np.ma.getmaskarray(stacked)
    return _replaced(column, stacked.filled(0), mask if mask.any() else None)


def plain_table(table: Any) -> Any:
    """A `Table` with the columns of `table` as plain columns that carry their unit.

    Parameters
    ----------
    table : Table or QTable

    Returns
    -------
    astropy.table.Table
        A new table; no column of the old one is changed. Mixins other than Quantity (times,
        coordinates) stay as they are.
    """
    from astropy import units as u
    from astropy.table import Column, MaskedColumn, Table
    from astropy.utils.masked import Masked

    out = Table(meta=table.meta)
    for name in table.colnames:
        column = table[name]
        if isinstance(column, Column):
            out[name] = column.copy()
            continue
        if not isinstance(column, u.Quantity | u.FunctionQuantity):
            out[name] = column
            continue
        values = column.value
        if isinstance(values, Masked):
            new = MaskedColumn(values.unmasked, mask=values.mask, unit=column.unit, name=name)
        else:
            new = Column(np.array(values), unit=column.unit, name=name)
        out[name] = _with_info(new, column)
    return out


def copied(table: Any) -> QTable:
    """A `QTable` with copies of all columns: same values, masks, dtypes, units, order and meta."""
    from astropy import units as u
    from astropy.table import Column, MaskedColumn, QTable
    from astropy.utils.masked import Masked

    with warnings.catch_warnings():
        # Columns that cannot be quantities (text, unknown units) stay as they are: no news.
        warnings.simplefilter("ignore")
        result = QTable(table, copy=True)
        for name in table.colnames:
            old, new = table[name], result[name]
            if not isinstance(old, Column) or not isinstance(new, u.Quantity):
                continue
            if old.dtype == new.dtype:
                continue
            # Quantity makes floats of whole numbers unless it is told their type.
            if isinstance(old, MaskedColumn):
                plain = u.Quantity(old.data.data, old.unit, dtype=old.dtype, copy=True)
                quantity = Masked(plain, mask=np.array(old.mask))
            else:
                quantity = u.Quantity(old.data, old.unit, dtype=old.dtype, copy=True)
            quantity.info = new.info
            result.replace_column(name, quantity)
    return result


def widen(table: Any, types: Mapping[str, str]) -> None:
    """Give plain columns of types that a format lacks the next wider one, with the same values.

    Parameters
    ----------
    table : astropy.table.Table
        Of plain columns; changed.
    types : mapping
        Name of a numpy type to the one that takes its place, e.g. ``{"int8": "int16"}``.

    Raises
    ------
    InputError
        If a value does not fit.
    """
    from astropy.table import Column

    for name in table.colnames:
        column = table[name]
        if not isinstance(column, Column) or column.dtype.name not in types:
            continue
        old = np.asarray(np.ma.getdata(column))
        new = old.astype(types[column.dtype.name])
        mask = np.ma.getmaskarray(np.ma.asarray(column))
        if old.dtype.kind in "iu" and np.any((new != old) & ~mask):
            raise InputError(f"column {name!r} holds {old.max()}, too large for {new.dtype}")
        table[name] = _replaced(column, new)


def null_value(dtype: np.dtype[Any]) -> int:
    """The integer that stands for null: the smallest, or the largest of unsigned ones."""
    limits = np.iinfo(dtype)
    return int(limits.min if dtype.kind == "i" else limits.max)


def extremes(values: Any, mask: Any) -> tuple[int, int] | None:
    """The smallest and the largest integer that is not masked; None if there is none."""
    if values.dtype.kind not in "iu":
        return None
    given = values if mask is None else values[~np.asarray(mask)]
    return (int(given.min()), int(given.max())) if given.size else None


def type_with_null(dtype: np.dtype[Any], found: tuple[int, int] | None) -> np.dtype[Any]:
    """The type for integers, of which some are null, whose null is none of the values.

    Parameters
    ----------
    dtype : numpy.dtype
    found : tuple of int or None
        See `extremes`.

    Returns
    -------
    numpy.dtype
        int64 for uint64, of which astropy reads no nulls. The smallest int64 has no other type to
        go to, and is null.

    Raises
    ------
    InputError
        If a uint64 is too large for an int64.
    """
    if dtype.kind not in "iu":
        return dtype
    if dtype.name == "uint64":
        if found and found[1] > np.iinfo(np.int64).max:
            raise InputError(f"{found[1]} beside nulls is too large for int64")
        return np.dtype(np.int64)
    taken = found is not None and null_value(dtype) in found
    return np.dtype(_WITH_NULL.get(dtype.name, dtype)) if taken else dtype
