"""`annotate_file`: a catalogue in a file in, another out, in the memory of a few chunks."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from jpassed.annotation.chunk_threads import AT_ONCE, annotate_in_threads
from jpassed.annotation.chunk_work import (
    ChunkWork,
    Kept,
    all_values,
    kept_columns,
    older_objects_left_alone,
)
from jpassed.annotation.derived import is_derived
from jpassed.annotation.draws import DERIVED_DRAWS
from jpassed.annotation.streaming import PageAnnotator, few_messages
from jpassed.annotation.task import read_outputs
from jpassed.exceptions import FileError, InputError
from jpassed.io.atomic import check_output
from jpassed.io.catalogs import default_output
from jpassed.io.chunk_pieces import ChunkPieces, noted_task
from jpassed.io.chunks import ChunkedTable, open_chunks
from jpassed.io.formats import table_file
from jpassed.io.layout import join_tables
from jpassed.io.pieces import finished_run, other_work, pieces_folder
from jpassed.weights import model_vocabulary

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["CHUNK_ROWS", "annotate_file"]

logger = logging.getLogger(__name__)

CHUNK_ROWS = 16384
"""Rows of a chunk: some ten seconds of one processor, some 30 MB."""
SMALLEST_CHUNK = 256
CHUNK_SECONDS = 60.0
"""What is lost by a kill at most, about."""
SECONDS_A_ROW, SECONDS_A_DRAW, SECONDS_REFINED = 6e-4, 1e-4, 0.25
"""About what an object costs, a draw of one of its quantities, and its refinement."""
_SIZE = "rows of a chunk"
"""Its name in the task."""

Progress = Callable[[int, int], None]


def annotate_file(
    source: str | Path,
    output: str | Path | None = None,
    *,
    workers: int = 1,
    resume: bool = False,
    overwrite: bool = False,
    rows: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> int:
    """Add predictions to the catalogue of a file, see `jpassed.annotate`.

    Memory does not grow with the number of rows where the formats allow it: FITS and Parquet in,
    FITS and Parquet out. Reading, the model, and writing go on beside each other. Chunks that
    are done are kept in a folder beside `output` until it is complete.

    Parameters
    ----------
    source : str or Path
        FITS, VOTable, ECSV, Parquet or CSV, see `jpassed.io.read_catalog`.
    output : str or Path, optional
        Format by its ending; by default ``<source>_jpassed.<ending>``. It appears under its name
        when it is complete.
    workers : int
        Processes, each with one thread and its own copy of the model; on a machine with GPUs each
        takes one of them in turn. One worker is this process.
    resume : bool
        Go on with the chunks that a run before this one had not done: the result is the one that
        it would have had. Where nothing is left of such a run the work begins.
    overwrite : bool
        Whether an existing output may be replaced, and what is left of another run removed.
    rows : int, optional
        Rows of a chunk.
    progress : callable, optional
        Called with (objects done, N), never twice at a time, from other threads too.
    **options
        As of `jpassed.annotate`.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    InputError, UnknownNameError, ModelError
        See `jpassed.annotate`.
    FileError
        If `source` cannot be read, `output` exists or cannot be written, or unfinished work of
        another run is in the way.

    Notes
    -----
    Predictions of a row do not depend on its chunk. What is drawn at random (``samples``,
    derived quantities, ``refine``) depends on where the chunks begin; the size of the chunks is
    kept when work is resumed.
    """
    target = Path(output) if output is not None else default_output(source)
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise InputError(f"workers: expected a positive whole number, got {workers!r}")
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or rows < 1):
        raise InputError(f"rows: expected a positive whole number, got {rows!r}")
    if table_file(target).part is not None:
        raise FileError(f"cannot write {target}: '#' picks a table to read, not one to write")
    finished = finished_run(target) if resume else None
    if finished is None:
        check_output(table_file(target).path, overwrite)
    # The filters of warnings belong to the process. The thread that reads and this one change them
    # for a while, each putting back what it found, which may be what the other had changed: what
    # they leave is undone here, around both.
    with warnings.catch_warnings(), few_messages():
        annotator = PageAnnotator(**options)
        task = {**annotator.task, **_identity(source)}
        for name in ("batch_size", "progress"):
            task.pop(name, None)
        if finished is not None:
            return _ended(target, *finished, task, rows)
        with open_chunks(source) as table:
            noted = noted_task(pieces_folder(target))
            size = rows or _noted_size(noted, resume) or _chunk_rows(table, workers, options)
            _clear(target, noted, resume, overwrite)
            with ChunkPieces(target, {**task, _SIZE: size}) as pieces:
                return _kept(table, pieces, annotator, size, workers, overwrite, progress)


def _ended(
    target: Path, done: int, old: dict[str, Any], task: dict[str, Any], rows: int | None
) -> int:
    """The end of a run that was killed when its output had its name already."""
    task = {**task, _SIZE: rows or old.get(_SIZE)}
    if told := other_work(old, task):
        raise FileError(
            f"{target} is complete, by a run of other work ({told}): run that command again, "
            "choose another output, or replace it (--overwrite without --resume)"
        )
    with ChunkPieces(target, task) as pieces:
        pieces.remove()
    return done


def _kept(
    table: ChunkedTable,
    pieces: ChunkPieces,
    annotator: PageAnnotator,
    size: int,
    workers: int,
    overwrite: bool,
    progress: Progress | None,
) -> int:
    """Annotate; what is done stays if that fails."""
    try:
        with older_objects_left_alone():
            return _annotated(table, pieces, annotator, size, workers, overwrite, progress)
    except BaseException as exc:
        pieces.look_again()  # the last chunk may have been written meanwhile
        if not pieces.done:
            pieces.remove()  # of an option with a slip of the pen nothing is left
        elif isinstance(exc, KeyboardInterrupt):
            logger.warning(
                "interrupted: %d rows are done and kept; the same command with --resume goes on "
                "with the others", pieces.rows
            )  # fmt: skip
        raise


def _annotated(
    table: ChunkedTable,
    pieces: ChunkPieces,
    annotator: PageAnnotator,
    size: int,
    workers: int,
    overwrite: bool,
    progress: Progress | None,
) -> int:
    total = table.n_rows
    if total is not None and total <= size and not pieces.done:
        page = table.read(0, total) if table.rereadable else next(table.chunks(total))[1]
        whole = annotator(page, 0, _counted(progress, 0, total))
        written = pieces.write(whole, overwrite=overwrite)
        pieces.remove()
        return written
    work = ChunkWork(annotator, pieces.folder, size, whole=not table.rereadable)
    if workers > 1:
        from jpassed.annotation.workers import annotate_in_processes

        found = annotate_in_processes(table, work, pieces.numbers, workers)
    else:
        # Where batches are slow an interrupt must reach them.
        beside = 1 if _is_slow(annotator.options) else AT_ONCE
        found = annotate_in_threads(table, work, pieces.numbers, pieces.rows, progress, beside)
    # Whatever happens, no thread goes on behind this.
    with closing(cast("Generator[Kept, None, None]", found)):
        for kept in found:
            pieces.note(kept.number, kept.rows, kept.layout)
            if progress is not None and workers > 1:
                progress(pieces.rows, total or 0)
    _check_unchanged(table.path, pieces.task)
    written = _put_together(table, pieces, annotator.options, size, overwrite)
    pieces.remove()
    return written


def _put_together(
    table: ChunkedTable, pieces: ChunkPieces, options: dict[str, Any], size: int, overwrite: bool
) -> int:
    if not table.rereadable:
        return pieces.put_together(None, overwrite=overwrite)
    total = int(table.n_rows or 0)

    def beside(number: int) -> QTable:
        chunk = table.read(number * size, min((number + 1) * size, total))
        return chunk[kept_columns(chunk.colnames, options)]

    if all_values(beside(0)):
        return pieces.put_together(beside, overwrite=overwrite)
    # Times, coordinates, arrays of varying length: written with all rows in memory.
    whole = table.read(0, total)
    whole = whole[kept_columns(whole.colnames, options)]
    added = join_tables(pieces.added())
    for name in added.colnames:
        whole[name] = added[name]
    whole.meta = added.meta
    return pieces.write(whole, overwrite=overwrite)


def _counted(
    progress: Progress | None, before: int, total: int | None
) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total or 0)


def _noted_size(noted: dict[str, Any] | None, resume: bool) -> int | None:
    found = noted.get(_SIZE) if noted is not None and resume else None
    return found if isinstance(found, int) and found > 0 else None


def _chunk_rows(table: ChunkedTable, workers: int, options: dict[str, Any]) -> int:
    """Rows of a chunk: a minute of work at most, and some for each of the workers."""
    outputs = read_outputs(
        options.get("outputs"), model_vocabulary(options.get("model", "default"))
    )
    draws = _draws(options, outputs)
    cost = SECONDS_A_ROW + SECONDS_A_DRAW * draws * len(outputs)
    if options.get("refine"):
        cost += SECONDS_REFINED
    most = min(CHUNK_ROWS, max(SMALLEST_CHUNK, int(CHUNK_SECONDS / cost)))
    if workers > 1 and table.n_rows is not None:
        share = math.ceil(table.n_rows / (4 * workers) / SMALLEST_CHUNK) * SMALLEST_CHUNK
        most = min(most, max(share, SMALLEST_CHUNK))
    return most


def _draws(options: dict[str, Any], outputs: Sequence[str]) -> int:
    """Joint draws of each quantity and object."""
    draws = int(options.get("samples") or 0) if options.get("joint", True) else 0
    return max(draws, DERIVED_DRAWS) if any(map(is_derived, outputs)) else draws


def _is_slow(options: dict[str, Any]) -> bool:
    """Whether a batch takes a minute rather than half a second."""
    outputs = read_outputs(
        options.get("outputs"), model_vocabulary(options.get("model", "default"))
    )
    return bool(options.get("refine")) or _draws(options, outputs) > 0


def _identity(source: str | Path) -> dict[str, Any]:
    """What tells whether the file is still the same."""
    file = table_file(source)
    try:
        found = file.path.stat()
    except FileNotFoundError:
        raise FileError(f"{file.path} does not exist") from None
    except OSError as exc:
        raise FileError(f"cannot read {file.path}: {exc}") from exc
    return {
        "input": f"{file.path.resolve()}{'#' + file.part if file.part else ''}",
        "bytes of the input": found.st_size,
        "time of the input": found.st_mtime_ns,
    }


def _check_unchanged(source: str | Path, task: dict[str, Any]) -> None:
    """Raise `FileError` if the input is not what it was when the work began."""
    now = _identity(source)
    if told := other_work({name: task.get(name) for name in now}, now):
        raise FileError(
            f"{source} changed while it was annotated ({told}), and its rows may not belong to "
            "what was predicted: put it back as it was and go on (--resume), or begin anew "
            "(--overwrite)"
        )


def _clear(target: Path, noted: dict[str, Any] | None, resume: bool, overwrite: bool) -> None:
    """See to what an earlier run left behind."""
    if resume or noted is None:
        return
    folder = pieces_folder(target)
    with ChunkPieces(target, noted) as pieces:
        rows = pieces.rows
        if overwrite:
            logger.warning("%s: %d rows of an earlier run are removed", folder, rows)
            pieces.remove()
            return
    raise FileError(
        f"{folder} holds {rows} rows of a run that did not end: resume it (--resume), or begin "
        "anew (--overwrite, or remove the folder)"
    )
