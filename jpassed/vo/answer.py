"""Answers of a TAP service: whole or refused, and as the tables that files give."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from jpassed.exceptions import FileError, InputError, QueryError
from jpassed.vo.failures import TransientError
from jpassed.vo.replies import error_words

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["check_whole", "read_answer"]

_HEAD = 1 << 22
_TAIL = 1 << 16

NUMBERS = {
    "boolean": "bool", "unsignedByte": "uint8", "short": "int16", "int": "int32", "long": "int64",
    "float": "float32", "double": "float64",
    "floatComplex": "complex64", "doubleComplex": "complex128",
}  # fmt: skip
"""Datatypes of VOTable that numpy has too."""


def check_whole(stream: BinaryIO, named: str) -> bool:
    """Whether a VOTable is complete, and whether the service cut its rows.

    Parameters
    ----------
    stream : binary file
        Its position is moved.
    named : str
        The service, for messages.

    Returns
    -------
    bool
        True if the service says OVERFLOW.

    Raises
    ------
    TransientError
        If the document does not end, or the service failed while it wrote the rows.
    QueryError
        If it is an error document.
    """
    size = stream.seek(0, 2)
    stream.seek(max(0, size - _TAIL))
    tail = stream.read()
    stream.seek(0)
    start = stream.read(_TAIL)
    ended = re.search(rb"</[\w:.-]+\s*>\s*$", tail)
    if ended and not re.search(rb"<(?:\w+:)?VOTABLE\b", start):
        shown = " ".join(start[:80].decode("utf-8", "replace").split())
        raise TransientError(f"it answers with XML that is no VOTable: {shown!r}", tries=2)
    if not re.search(rb"</(?:\w+:)?VOTABLE\s*>\s*(?:<!--.*?-->\s*)*$", tail, re.DOTALL):
        raise TransientError(
            f"the answer broke off after {size} bytes (the VOTable has no end)" if size
            else "the answer is empty"
        )  # fmt: skip
    stream.seek(0)
    head = stream.read(_HEAD)
    head, rows = _parted(head)
    said = error_words(head)
    if said:
        raise QueryError(f"{named} refuses the query: {said}")
    # What follows the rows: the tail may hold the head too where the table is small.
    after = tail.rpartition(b"</DATA>")[2] if b"</DATA>" in tail else tail if rows else b""
    said = error_words(after)
    if said:
        raise TransientError(f"the service failed while it sent the rows: {said}")
    return _overflows(head) or _overflows(after)


def _parted(head: bytes) -> tuple[bytes, bool]:
    """What stands before the rows, and whether there are rows."""
    found = re.search(rb"<(?:\w+:)?DATA\b", head)
    return (head, False) if found is None else (head[: found.start()], True)


def _overflows(markup: bytes) -> bool:
    for found in re.finditer(rb"<(?:\w+:)?INFO\b[^>]*>", markup):
        if re.search(rb"""name\s*=\s*["']QUERY_STATUS["']""", found[0]) and re.search(
            rb"""value\s*=\s*["']OVERFLOW["']""", found[0], re.IGNORECASE
        ):
            return True
    return False


def read_answer(stream: BinaryIO, named: str) -> QTable:
    """The table of an answer that is known to be whole.

    Parameters
    ----------
    stream : binary file
    named : str
        The service, for messages.

    Returns
    -------
    QTable
        Like `jpassed.io.read_catalog`, and: names without their table's name, arrays of length
        one as scalars, arrays of one common length in 2-D (rows without array masked), text
        as text also where there are no rows.

    Raises
    ------
    TransientError
        If it cannot be read as a VOTable.
    QueryError
        If a column's name occurs twice.
    """
    from jpassed.io.native_columns import quantity_table
    from jpassed.io.votables import read_votable_stream

    stream.seek(0)
    kinds = _kinds(_parted(stream.read(_HEAD))[0])
    stream.seek(0)
    label = f"the answer of {named}"
    try:
        table = read_votable_stream(stream, label, None, warn_of_overflow=False)
    except FileError as exc:
        failure: Exception = TransientError(f"its VOTable cannot be read: {exc}", tries=2)
    except InputError as exc:
        failure = QueryError(f"{exc} (SELECT ... AS another_name)")
    else:
        failure = TransientError("")
        table.meta.clear()
        for name, kind in zip(table.colnames, kinds, strict=False):
            table[name] = _tidy(table[name], kind)
        _short_names(table)
        return quantity_table(table)
    raise failure


def _short_names(table: Any) -> None:
    """``minijpas.magabdualobj.tile_id`` is ``tile_id`` where no other column is called so."""
    short = {
        name: re.sub(r"^(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_][^.]*$)", "", name)
        for name in table.colnames
    }
    count = Counter(short.values())
    for name, wanted in short.items():
        if wanted != name and count[wanted] == 1:
            table.rename_column(name, wanted)


def _kinds(head: bytes) -> list[str]:
    """Datatypes of the fields, in order."""
    quoted = rb"""(?:[^>"']|"[^"]*"|'[^']*')*?"""
    fields = re.findall(rb"<(?:\w+:)?FIELD\b(" + quoted + rb")/?>", head)
    found = [re.search(rb"""\bdatatype\s*=\s*["'](\w+)["']""", field) for field in fields]
    return [kind[1].decode() if kind else "" for kind in found]


def _tidy(column: Any, kind: str) -> Any:
    """One column in the shape that its values have."""
    if column.ndim == 2 and column.shape[1] == 1 and column.dtype.kind in "biufc":
        return column[:, 0]
    if column.dtype.kind != "O":
        return column
    values = np.asarray(column.data.data if hasattr(column, "mask") else column.data)
    masked = np.zeros(len(values), bool)
    if hasattr(column, "mask") and np.shape(column.mask) == masked.shape:
        masked = np.array(column.mask)
    if kind in NUMBERS:
        return _tidy_arrays(column, values, masked, np.dtype(NUMBERS[kind]))
    if all(isinstance(v, str | bytes) or v is None for v in values):
        texts = np.array([_text(v) for v in values], dtype="U" if len(values) else "U1")
        gone = masked | np.array([v is None for v in values], bool)
        return _replaced(column, texts, gone if gone.any() else None)
    return column


def _tidy_arrays(column: Any, values: Any, masked: Any, dtype: Any) -> Any:
    """Arrays of varying length; NULL arrays come as arrays of length zero."""
    arrays = np.empty(len(values), object)
    for row, value in enumerate(values):
        arrays[row] = np.ma.zeros(0, dtype) if value is None else np.ma.asarray(value, dtype)
    empty = masked | np.array([array.size == 0 for array in arrays], bool)
    if empty.all():
        return _replaced(column, np.zeros(len(values), dtype), empty if len(empty) else None)
    return _replaced(column, arrays, empty if empty.any() else None)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _replaced(column: Any, values: Any, mask: Any) -> Any:
    from astropy.table import Column, MaskedColumn

    known = {key: getattr(column, key) for key in ("name", "unit", "description", "meta")}
    return Column(values, **known) if mask is None else MaskedColumn(values, mask=mask, **known)
