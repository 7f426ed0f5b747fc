"""Pieces of a table on their way into a file, counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from jpassed.exceptions import FileError

__all__ = ["counted"]


def counted(pieces: Iterable[Any], rows: int, path: Path) -> Iterator[Any]:
    """The pieces as they come; an error at the end unless they have so many rows together.

    Parameters
    ----------
    pieces : iterable of Table
        One is in memory at a time.
    rows : int
        Of all of them.
    path : Path
        The file that is written, for the message.

    Yields
    ------
    Table

    Raises
    ------
    FileError
        If they have more or fewer rows.
    """
    written = 0
    for piece in pieces:
        written += len(piece)
        yield piece
    if written != rows:
        raise FileError(f"cannot write {path}: the pieces have {written} rows instead of {rows}")
