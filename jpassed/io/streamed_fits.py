"""One FITS table out of many pieces, a piece at a time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from jpassed.exceptions import FileError
from jpassed.io.counted import counted
from jpassed.io.fits_cards import write_fits
from jpassed.io.layout import TableLayout
from jpassed.io.native_columns import null_value

__all__ = ["with_rows", "write_fits_pieces"]

_BLOCK = 2880
_ROWS = re.compile(rb"NAXIS2  = +(\d+) ")
_AS_THEY_ARE = ("uint8", "int16", "int32", "int64", "float32", "float64")
"""Types whose values stand in the records as they are, but for the order of their bytes."""


def write_fits_pieces(
    pieces: Iterable[Any], layout: TableLayout, meta: Any, rows: int, path: Path
) -> None:
    """Write the file that `write_fits` writes of all pieces in one table, to the byte.

    Parameters
    ----------
    pieces : iterable of Table
        Plain tables; one is in memory at a time.
    layout : TableLayout
        Of all of them.
    meta : mapping
        The table's.
    rows : int
        Of all of them.
    path : Path
        Not existing.

    Raises
    ------
    FileError
        If the pieces are not what `layout` and `rows` say.
    InputError
        If a column cannot be written.
    """
    layout = layout.with_nulls()
    head, _, kind = _parts(layout.cast(layout.example(), meta))
    primary, table_head = head[:_BLOCK], head[_BLOCK:]
    records = _Records(layout, kind, path)
    with open(path, "wb") as target:
        target.write(primary + with_rows(table_head, rows))
        for piece in counted(pieces, rows, path):
            target.write(memoryview(records.of(piece)).cast("B"))
        target.write(b"\0" * (-rows * kind.itemsize % _BLOCK))


class _Records:
    """Turns pieces into the records of the file.

    Plain numbers, nearly all columns, are put in their places here; of texts, logicals and what
    FITS has to shift or to widen astropy makes the records.
    """

    def __init__(self, layout: TableLayout, kind: np.dtype[Any], path: Path) -> None:
        self._layout, self._kind, self._path = layout, kind, path
        self._fields = dict(zip(layout.columns, kind.names or (), strict=True))
        self._others = TableLayout(
            {name: own for name, own in layout.columns.items() if not self._is_plain(name)}
        )

    def _is_plain(self, name: str) -> bool:
        own, field = self._layout.columns[name], self._kind[self._fields[name]]
        if own.missing and own.shape and own.dtype.kind != "f":
            return False  # the null of whole numbers in arrays is astropy's choice
        return (
            own.dtype.name in _AS_THEY_ARE
            and field.base.newbyteorder("=") == own.dtype
            and field.shape == own.shape
        )

    def of(self, piece: Any) -> Any:
        """The records of a piece."""
        records = np.zeros(len(piece), self._kind)
        if self._others.columns:
            self._fill_others(piece, records)
        for name, own in self._layout.columns.items():
            if name in self._others.columns:
                continue
            values, mask = own.cast(piece[name])
            records[self._fields[name]] = values
            if mask is not None and mask.any():
                blank = np.nan if own.dtype.kind == "f" else null_value(own.dtype)
                records[self._fields[name]][mask] = blank
        return records

    def _fill_others(self, piece: Any, records: Any) -> None:
        # With the example as its last row a piece has the nulls of the whole, and with them the
        # types that FITS makes of them.
        _, content, kind = _parts(self._others.cast(piece, {}, example=True))
        found = np.frombuffer(content, kind)[:-1]
        for name, field in zip(self._others.columns, kind.names or (), strict=True):
            if kind[field] != self._kind[self._fields[name]]:
                raise FileError(
                    f"cannot write {self._path}: column {name!r} of a piece does not fit the others"
                )
            records[self._fields[name]] = found[field]


def _parts(table: Any) -> tuple[bytes, bytes, np.dtype[Any]]:
    """Headers, records, and type of a record of a table as FITS."""
    from astropy.io import fits

    buffer = BytesIO()
    write_fits(table, buffer)
    content = buffer.getvalue()
    with fits.open(BytesIO(content), memmap=False, lazy_load_hdus=False) as hdus:
        start = hdus[1].fileinfo()["datLoc"]
        width, rows = hdus[1].header["NAXIS1"], hdus[1].header["NAXIS2"]
        kind = hdus[1].columns.dtype.newbyteorder(">")
    if kind.itemsize != width:
        raise FileError(f"FITS rows of {width} bytes have fields of {kind.itemsize}")
    return content[:start], content[start : start + width * rows], kind


def with_rows(head: bytes, rows: int) -> bytes:
    """The header of a table with another number of rows."""
    found = _ROWS.search(head)
    if not found:
        raise FileError("a FITS header without NAXIS2")
    return head[: found.start()] + b"NAXIS2  = %20d " % rows + head[found.end() :]
