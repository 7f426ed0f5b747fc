"""Pieces of a table that has chunks of a fixed size: finished in any order, put together in order.

A piece holds what was added to a chunk; the chunk itself is read again where the file allows it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jpassed.exceptions import FileError
from jpassed.io.layout import TableLayout, joined_meta
from jpassed.io.native_columns import plain_table
from jpassed.io.piece_files import load_piece, read_note
from jpassed.io.pieces import Piece, Pieces

__all__ = ["ChunkPieces", "chunk_file", "noted_task"]

logger = logging.getLogger(__name__)

Beside = Callable[[int], Any]
"""From the number of a chunk to the table whose columns stand before those of its piece."""


def chunk_file(folder: Path, number: int) -> Path:
    """The file of the piece of a chunk, which is numbered from 0."""
    return folder / f"{number + 1:06d}.npz"


def noted_task(folder: Path) -> dict[str, Any] | None:
    """The task of the pieces in a folder; None if it has no pieces, or does not say."""
    if not any(folder.glob("[0-9]*.npz")):
        return None
    try:
        return dict(json.loads((folder / "task.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


class ChunkPieces(Pieces):
    """The pieces of one output file, by the number of the chunk.

    Parameters
    ----------
    output : str or Path
    task : mapping
        See `Pieces`; the size of the chunks is part of it.
    """

    def __init__(self, output: str | Path, task: Mapping[str, Any]) -> None:
        self._layout_so_far: TableLayout | None = None
        self._known: set[int] = set()
        self._beside: Beside | None = None
        super().__init__(output, task)

    @property
    def numbers(self) -> frozenset[int]:
        """Numbers of the chunks that are done."""
        return frozenset(piece.after[0] for piece in self.done)

    def note(self, number: int, rows: int, layout: TableLayout | None) -> None:
        """A piece was written to its `chunk_file`.

        Parameters
        ----------
        number : int
        rows : int
        layout : TableLayout or None
            Of the chunk as it comes out: the columns beside the piece, and its own.
        """
        self.done.append(Piece(chunk_file(self.folder, number), rows, (number,)))
        if layout is not None:
            self._join(number, layout)

    def look_again(self) -> None:
        """Take all pieces that are there for done."""
        self.done = self._found()

    def put_together(self, beside: Beside | None, *, overwrite: bool = False) -> int:
        """Write the output of all pieces, see `merge`.

        Parameters
        ----------
        beside : callable, optional
            Without it pieces hold all columns.
        overwrite : bool

        Raises
        ------
        FileError
            If a piece is missing, or the file cannot be written.
        InputError
            If a column does not go through the format of the output a chunk at a time.
        """
        self.done.sort(key=lambda piece: int(piece.after[0]))
        missing = set(range(len(self.done))) - self.numbers
        if missing:
            raise FileError(f"{self.folder} lacks piece {min(missing) + 1}; remove the folder")
        self._beside = beside
        return self.merge(overwrite=overwrite)

    def added(self) -> Iterator[Any]:
        """What the pieces themselves hold, in order."""
        for piece in sorted(self.done, key=lambda piece: int(piece.after[0])):
            yield load_piece(piece.path)

    def tables(self) -> Iterator[Any]:
        """The pieces with the columns beside them, one in memory at a time."""
        for piece in self.done:
            yield self._whole(piece)

    def _whole(self, piece: Piece) -> Any:
        own = load_piece(piece.path)
        return own if self._beside is None else side_by_side(self._beside(piece.after[0]), own)

    def _join(self, number: int, layout: TableLayout) -> None:
        before = self._layout_so_far
        self._layout_so_far = layout if before is None else before.joined(layout)
        self._known.add(number)

    def _layout(self) -> tuple[TableLayout, dict[Any, Any]]:
        meta: dict[Any, Any] = {}
        for piece in self.done:
            if piece.after[0] not in self._known:  # of a run before this one
                self._join(piece.after[0], TableLayout.of(self._whole(piece)))
        for piece in (self.done[0], self.done[-1]):
            meta = joined_meta((meta, load_piece(piece.path).meta))
        if self._layout_so_far is None:
            raise FileError(f"{self.folder} has no pieces")
        return self._layout_so_far, meta

    def _found(self) -> list[Piece]:
        self._clean()
        found = []
        for path in sorted(self.folder.glob("[0-9]*.npz")):
            rows = int(read_note(path)["rows"])
            found.append(Piece(path, rows, (int(path.stem) - 1,)))
        return found


def side_by_side(chunk: Any, added: Any) -> Any:
    """One plain table of the columns of two; the meta is that of the second."""
    table = plain_table(chunk)
    table.meta = added.meta
    for name in added.colnames:
        table[name] = added[name]
    return table
