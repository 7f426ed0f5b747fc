"""Columns of a table as a database and a TAP service describe them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jpassed.exceptions import InputError
from jpassed.publishing.names import is_field, is_regular

__all__ = ["DescribedColumn", "describe"]

# numpy's type to that of the database; one that it lacks becomes the next wider one.
_TYPES = {
    "b1": "boolean",
    "u1": "smallint",
    "i1": "smallint",
    "i2": "smallint",
    "u2": "integer",
    "i4": "integer",
    "u4": "bigint",
    "i8": "bigint",
    "f2": "real",
    "f4": "real",
    "f8": "double precision",
}
_WHOLE: dict[str, Any] = {"smallint": np.int16, "integer": np.int32, "bigint": np.int64}


@dataclass(frozen=True)
class DescribedColumn:
    """One column of a published table.

    Attributes
    ----------
    name : str
        As in the table, and in the service.
    field : str
        Its name in the data file.
    type : str
        As a resource descriptor has it, e.g. ``real[60]``.
    unit : str
        VOUnit, or empty.
    ucd, description : str
    required : bool
        Whether no row is null.
    null : int or None
        The number that stands for null where a format has none; of whole numbers only.
    """

    name: str
    field: str
    type: str
    unit: str = ""
    ucd: str = ""
    description: str = ""
    required: bool = True
    null: int | None = None

    @property
    def quoted(self) -> bool:
        """Whether a query has to write the name in double quotes."""
        return not is_regular(self.name)

    def with_ucd(self, ucd: str) -> DescribedColumn:
        """The same column with another UCD."""
        return replace(self, ucd=ucd)


def describe(table: Any) -> tuple[list[DescribedColumn], Any]:
    """Describe the columns of a table, and make the table of the data file.

    Parameters
    ----------
    table : astropy.table.Table
        Plain columns with names that can be, see `jpassed.publishing.names.new_names`; not
        changed.

    Returns
    -------
    columns : list of DescribedColumn
    content : astropy.table.Table
        Named by `DescribedColumn.field`, in types that the database has.

    Raises
    ------
    InputError
        If a column holds something that a TAP service cannot serve.
    """
    from astropy.table import Table

    columns, content = [], Table()
    for k, name in enumerate(table.colnames):
        field = name if is_field(name) else f"column_{k + 1}"
        while field != name and field in table.colnames:
            field += "_"
        column, values = _describe(table[name], name, field)
        columns.append(column)
        content[field] = values
    return columns, content


def _describe(column: Any, name: str, field: str) -> tuple[DescribedColumn, Any]:
    from astropy.table import MaskedColumn

    if not hasattr(column, "dtype") or not hasattr(column, "shape"):
        raise InputError(
            f"column {name!r} is a {type(column).__name__}; store it as numbers or text "
            "(a time as MJD, positions as two columns in degrees)"
        )
    values = np.asarray(np.ma.getdata(column))
    mask = _missing(values) | np.ma.getmaskarray(column)
    kind, element = _element(values, name)
    text = element == "text"
    if values.ndim > 2 or (text and values.ndim > 1) or 0 in values.shape[1:]:
        what = "arrays of text" if text else f"arrays of shape {values.shape[1:]} in its rows"
        raise InputError(
            f"column {name!r} holds {what}; expected one value or a flat array of numbers"
        )
    null = None
    if element in _WHOLE:
        values = values.astype(_WHOLE[element], copy=False)
        null = _null(values, mask, element, name)
    rows = mask if mask.ndim == 1 else mask.all(axis=1)
    if mask.ndim == 2:  # an element of an array has no null of its own in a VOTable
        if element == "boolean":
            raise InputError(f"column {name!r}: expected one truth value in a row, not an array")
        if mask.any():
            blank = np.nan if null is None else null
            values = np.where(mask, np.asarray(blank, dtype=values.dtype), values)
        if null is not None:  # astropy writes no masked array of whole numbers
            rows = np.zeros_like(rows)
        mask = np.repeat(rows[:, None], values.shape[1], axis=1)
    if text:
        texts = np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values
        kept: Any = np.where(mask, "", texts.astype(str))
        if any(not item.isascii() for item in kept):  # "text" is served as ASCII
            kind = "unicode"
    else:
        kept = MaskedColumn(values, mask=mask) if rows.any() else values
    unit, remark = _unit(column)
    description = " ".join(filter(None, [*(column.info.description or "").split(), remark]))
    described = DescribedColumn(
        name=name,
        field=field,
        type=kind,
        unit=unit,
        ucd=str((column.info.meta or {}).get("ucd") or ""),
        description=description,
        required=not rows.any(),
        null=null,
    )
    return described, kept


def _missing(values: NDArray[Any]) -> Any:
    """What is null without a mask: to DaCHS, NaN is, and None is no text."""
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind == "O":
        return np.array([item is None for item in values.flat]).reshape(values.shape)
    return np.zeros(values.shape, dtype=bool)


def _element(values: NDArray[Any], name: str) -> tuple[str, str]:
    """The type as a descriptor has it, and that of an element."""
    if values.dtype.kind in "SU":
        return "text", "text"
    if values.dtype.kind == "O" and all(isinstance(item, str | None) for item in values.flat):
        return "text", "text"
    element = _TYPES.get(values.dtype.str[1:])
    if element is None and values.dtype == np.uint64 and not (values > 2**63 - 1).any():
        element = "bigint"
    if element is None:
        raise InputError(
            f"column {name!r} holds {values.dtype}; expected numbers of at most 64 bits "
            "(whole ones below 2^63), truth values or text"
        )
    return (element if values.ndim == 1 else f"{element}[{values.shape[1]}]"), element


def _null(values: NDArray[Any], mask: NDArray[np.bool_], element: str, name: str) -> int | None:
    """A number that no row has, to stand for null."""
    if not mask.any():
        return None
    limits = np.iinfo(_WHOLE[element])
    known = values[~mask]
    for candidate in (limits.min, limits.max, -1, limits.min + 1):
        if not (known == candidate).any():
            return int(candidate)
    raise InputError(f"column {name!r} uses every number that could stand for its missing values")


def _unit(column: Any) -> tuple[str, str]:
    """The unit as VOUnit, and what is to be said in the description where it has none."""
    from astropy import units as u

    unit = getattr(column, "unit", None)
    if unit is None or unit == u.dimensionless_unscaled:
        return "", ""
    if isinstance(unit, u.MagUnit):
        return "mag", ""
    if not isinstance(unit, u.UnitBase) or isinstance(unit, u.UnrecognizedUnit) or unit == u.dex:
        return "", f"[{unit}]"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", u.UnitsWarning)  # erg and Angstrom are deprecated
            return str(unit.to_string("vounit")), ""
    except (ValueError, u.UnitScaleError):
        return "", f"[{unit}]"
