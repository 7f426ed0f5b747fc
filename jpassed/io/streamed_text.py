"""One ECSV or CSV file out of many pieces, a piece at a time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jpassed.io.counted import counted
from jpassed.io.layout import TableLayout
from jpassed.io.text_tables import csv_text, ecsv_text

__all__ = ["write_text_pieces"]


def write_text_pieces(
    pieces: Iterable[Any], layout: TableLayout, meta: Any, rows: int, path: Path, kind: str
) -> None:
    """Write what `write_ecsv` or `write_csv` writes of all pieces in one table.

    Parameters
    ----------
    pieces, layout, meta, rows, path
        See `jpassed.io.streamed_fits.write_fits_pieces`.
    kind : {"ecsv", "csv"}

    Raises
    ------
    FileError
        If the pieces are not what `rows` says.
    """
    first = True
    with open(path, "w", encoding="utf-8", newline="") as target:
        for piece in counted(pieces, rows, path):
            cast = layout.cast(piece, meta)
            text = (ecsv_text if kind == "ecsv" else csv_text)(cast)
            target.write(text if first else _without_head(text, kind))
            first = False


def _without_head(text: str, kind: str) -> str:
    """The rows alone."""
    start = 0
    while kind == "ecsv" and text.startswith("#", start):
        start = text.index("\n", start) + 1
    return text[text.index("\n", start) + 1 :]
