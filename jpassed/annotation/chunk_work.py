"""One chunk of a catalogue in a file: annotated, and kept as a piece."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jpassed.annotation.output import written_before
from jpassed.annotation.refined import ROW_COLUMNS
from jpassed.annotation.streaming import PageAnnotator
from jpassed.annotation.task import read_outputs
from jpassed.io.chunk_pieces import chunk_file, side_by_side
from jpassed.io.layout import TableLayout
from jpassed.io.native_columns import plain_table
from jpassed.io.piece_files import save_piece
from jpassed.weights import model_vocabulary

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["ChunkWork", "Kept", "all_values", "kept_columns", "older_objects_left_alone"]


@contextmanager
def older_objects_left_alone() -> Iterator[None]:
    """Let collections of garbage within the block look at what is made in it, and be fast."""
    if gc.get_freeze_count():  # somebody's own choice
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@dataclass(frozen=True)
class Kept:
    """A chunk whose piece is on the disk.

    Attributes
    ----------
    number : int
    rows : int
    layout : TableLayout or None
        Of the chunk as it comes out; None where it has columns that are more than values, which
        are written with all rows in memory.
    """

    number: int
    rows: int
    layout: TableLayout | None


class ChunkWork:
    """What is done with each chunk.

    Parameters
    ----------
    annotator : PageAnnotator
    folder : Path
        Of the pieces.
    size : int
        Rows of a chunk.
    whole : bool
        Whether a piece holds the chunk's own columns too.
    """

    def __init__(self, annotator: PageAnnotator, folder: Path, size: int, whole: bool) -> None:
        self.annotator, self.folder, self.size, self.whole = annotator, folder, size, whole

    def annotate(
        self, number: int, page: QTable, progress: Callable[[int, int], None] | None = None
    ) -> QTable:
        """The chunk with its new columns."""
        return self.annotator(page, number * self.size, progress)

    def keep(self, number: int, page: QTable, annotated: QTable) -> Kept:
        """Write the piece of a chunk."""
        own = kept_columns(page.colnames, self.annotator.options)
        before = annotated[own] if own else None
        new = [name for name in annotated.colnames if name not in set(own)]
        piece = plain_table(annotated if self.whole else annotated[new])
        layout = None
        if self.whole:
            layout = TableLayout.of(piece)  # raises for what a piece cannot hold
        elif all_values(annotated):
            layout = TableLayout.of(piece if before is None else side_by_side(before, piece))
        save_piece(piece, chunk_file(self.folder, number), (number,))
        rows = len(page)
        # Tables and their columns refer to each other: what is left of them waits for this.
        del page, annotated, before, piece
        gc.collect()
        return Kept(number, rows, layout)

    def run(self, number: int, page: QTable) -> Kept:
        """Annotate a chunk and keep it."""
        return self.keep(number, page, self.annotate(number, page))


def kept_columns(names: list[str], options: dict[str, Any]) -> list[str]:
    """Columns of a catalogue that `annotate` leaves as they are."""
    if not options.get("replace_columns"):
        return list(names)
    outputs = read_outputs(
        options.get("outputs"), model_vocabulary(options.get("model", "default"))
    )
    replaced = {*written_before(names, outputs)}
    return [n for n in names if n not in replaced and n.lower() not in ROW_COLUMNS]


def all_values(table: QTable) -> bool:
    """Whether all columns hold numbers or texts, with or without a unit: no times, no objects."""
    from astropy import units as u
    from astropy.table import Column

    return all(
        isinstance(table[name], Column | u.Quantity | u.FunctionQuantity)
        and table[name].dtype.kind != "O"
        for name in table.colnames
    )
