"""Which columns identify a row and which hold its position."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.publishing.provenance import matches_of
from jpassed.vo.positions import find_positions

__all__ = ["ADDED_KEY", "add_key", "add_positions", "find_key"]

logger = logging.getLogger(__name__)

ADDED_KEY = "jp_id"
ADDED_POSITIONS = ("jp_ra", "jp_dec")
_KEYS = (
    ("object_id",),
    ("objid",),
    ("source_id",),
    ("specobjid",),
    ("targetid",),
    ("tile_id", "number"),
    ("id",),
)


def find_key(table: Any, key: str | Sequence[str] | None = None) -> tuple[str, ...]:
    """Columns that together identify a row.

    Parameters
    ----------
    table : Table
    key : str or sequence of str, optional
        ``"tile_id,number"`` or names; otherwise a column with the UCD ``meta.id;meta.main``, then
        common names, are taken if their values are unique.

    Returns
    -------
    tuple of str
        Empty if none was found.

    Raises
    ------
    UnknownNameError
        If a named column is not there.
    InputError
        If named columns have missing values or the same values in two rows.
    """
    if key is not None:
        wanted = key.split(",") if isinstance(key, str) else list(key)
        names = tuple(name.strip() for name in wanted)
        for name in names:
            if name not in table.colnames:
                raise UnknownNameError("column", name, table.colnames)
        fault = _fault(table, names)
        if fault:
            raise InputError(f"{', '.join(names)} cannot identify the rows: {fault}")
        return names
    lower = {name.lower(): name for name in table.colnames}
    main = [
        (name,)
        for name in table.colnames
        if (table[name].info.meta or {}).get("ucd") == "meta.id;meta.main"
    ]
    named = [tuple(lower[n] for n in names) for names in _KEYS if all(n in lower for n in names)]
    for names in [*main, *named]:
        if not _fault(table, names):
            return names
    return ()


def _fault(table: Any, names: Sequence[str]) -> str:
    """Why the columns do not identify the rows; empty if they do."""
    for name in names:
        column = table[name]
        if column.dtype.kind not in "iuSU" or column.ndim != 1:
            return f"{name} holds {column.dtype}, expected whole numbers or text"
        if np.ma.getmaskarray(column).any():
            return f"{name} has missing values"
    seen: dict[tuple[Any, ...], int] = {}
    for k, row in enumerate(
        zip(*(np.ma.getdata(table[name]).tolist() for name in names), strict=True)
    ):
        if row in seen:
            return f"rows {seen[row]} and {k} are both {', '.join(map(str, row))}"
        seen[row] = k
    return ""


def add_key(table: Any, key: tuple[str, ...]) -> None:
    """Add a single column that identifies a row, which a cone search needs.

    The values of `key` with ``-`` between them, or the number of the row where there is none.
    """
    from astropy.table import Column

    if ADDED_KEY in table.colnames:
        raise InputError(
            f"the table has a column {ADDED_KEY!r} that does not identify its rows; rename it, or "
            "name the columns that do (key=, --key)"
        )
    if key:
        parts = [np.asarray(np.ma.getdata(table[name])).astype(str) for name in key]
        values = parts[0]
        for part in parts[1:]:
            values = np.char.add(np.char.add(values, "-"), part)
        said = "-".join(key)
    else:
        values, said = np.arange(1, len(table) + 1), "Number of the row"
        logger.warning("no column identifies the rows: %s, the number of the row, does", ADDED_KEY)
    table.add_column(Column(values, name=ADDED_KEY, description=said), index=0)


def add_positions(table: Any, position: str | Sequence[str] | None) -> tuple[str, ...]:
    """The columns of right ascension and declination in degrees, added where needed.

    Parameters
    ----------
    table : Table
        Two columns are added (``jp_ra``, ``jp_dec``) where the positions are not ICRS degrees.
    position : str or sequence of str, optional
        See `jpassed.vo.positions.find_positions`. Otherwise those by which the table was
        cross-matched, or those found.

    Returns
    -------
    tuple of str
        Empty if no positions were found and none were named.
    """
    from astropy.table import MaskedColumn

    frame = None
    if position is None and (matched := _matched_by(table)) is not None:
        position, frame = matched
    try:
        found = find_positions(table, position, frame)
    except InputError as exc:
        if position is not None:
            raise
        logger.warning("no cone search: %s", str(exc).split(" The table has:")[0])
        return ()
    if len(found.columns) == 2:
        pair = [table[name] for name in found.columns]
        plain = [
            np.ma.filled(np.ma.masked_invalid(column.data), np.nan)
            for column in pair
            if column.dtype.kind == "f"
        ]
        degrees = all(str(column.unit or "deg") == "deg" for column in pair)
        if (
            degrees
            and len(plain) == 2
            and all(
                np.array_equal(mine[found.given], theirs[found.given])
                for mine, theirs in zip(plain, (found.ra, found.dec), strict=True)
            )
        ):
            for column in pair:
                column.unit = "deg"
            return found.columns
    for name, values, what in zip(
        ADDED_POSITIONS, (found.ra, found.dec), ("Right ascension", "Declination"), strict=True
    ):
        if name in table.colnames:
            raise InputError(f"the table has a column {name!r} already; rename it")
        table[name] = MaskedColumn(
            values,
            mask=~found.given,
            unit="deg",
            description=f"{what}, ICRS, of {', '.join(found.columns)}",
        )
    if len(found.columns) == 1:
        del table[found.columns[0]]  # a column of coordinates: the two are what it held
    return ADDED_POSITIONS


def _matched_by(table: Any) -> tuple[list[str], str | None] | None:
    """Columns, and their frame, by which `jpassed.crossmatch` found entries, if always the same."""
    taken = {
        (tuple(said.get("position") or ()), said.get("frame"))
        for said in matches_of(table.meta).values()
    }
    names, frame = taken.pop() if len(taken) == 1 else ((), None)
    return (list(names), frame) if names and all(n in table.colnames for n in names) else None
