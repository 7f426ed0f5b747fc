"""One FITS table out of many pieces, a piece at a time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

from jpassed.exceptions import FileError
from jpassed.io.fits_cards import write_fits
from jpassed.io.layout import TableLayout

__all__ = ["with_rows", "write_fits_pieces"]

_BLOCK = 2880
_ROWS = re.compile(rb"NAXIS2  = +(\d+) ")


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
    head, example = _parts(layout.cast(layout.example(), meta))
    width, written = len(example), 0
    primary, table_head = head[:_BLOCK], head[_BLOCK:]
    with open(path, "wb") as target:
        target.write(primary + with_rows(table_head, rows))
        for piece in pieces:
            # With the example as its last row a piece has the nulls of the whole, and with them
            # the types that FITS makes of them.
            own_head, records = _parts(layout.cast(piece, meta, example=True))
            if with_rows(own_head[_BLOCK:], 1) != table_head:
                raise FileError(f"cannot write {path}: a piece does not fit the others")
            target.write(records[:-width])
            written += len(records) - width
        if written != rows * width:
            raise FileError(
                f"cannot write {path}: the pieces have {written // max(width, 1)} rows instead of "
                f"{rows}"
            )
        target.write(b"\0" * (-written % _BLOCK))


def _parts(table: Any) -> tuple[bytes, bytes]:
    """Headers and records of a table as FITS."""
    from astropy.io import fits

    buffer = BytesIO()
    write_fits(table, buffer)
    content = buffer.getvalue()
    with fits.open(BytesIO(content), memmap=False, lazy_load_hdus=False) as hdus:
        start = hdus[1].fileinfo()["datLoc"]
        size = hdus[1].header["NAXIS1"] * hdus[1].header["NAXIS2"]
    return content[:start], content[start : start + size]


def with_rows(head: bytes, rows: int) -> bytes:
    """The header of a table with another number of rows."""
    found = _ROWS.search(head)
    if not found:
        raise FileError("a FITS header without NAXIS2")
    return head[: found.start()] + b"NAXIS2  = %20d " % rows + head[found.end() :]
