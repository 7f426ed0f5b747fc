"""Chunks of a catalogue in several processes, each with its own model and one thread."""

from __future__ import annotations

import gc
import logging
import logging.handlers
import multiprocessing
import os
import threading
from collections.abc import Container, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jpassed.annotation.chunk_work import ChunkWork, Kept
from jpassed.exceptions import JpassedError
from jpassed.io.chunks import ChunkedTable, open_chunks

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["WorkerLostError", "annotate_in_processes"]

logger = logging.getLogger(__name__)

AHEAD = 2
"""Chunks that wait for each worker, or are worked on."""
LOSSES = 3
"""Losses of workers without a chunk done between them, after which the work ends."""


class WorkerLostError(JpassedError, RuntimeError):
    """Worker processes that do not start, or end again and again without a result."""


@dataclass(frozen=True)
class Setup:
    """What a worker process needs to know.

    Attributes
    ----------
    options : dict
        Of `annotate`.
    folder : Path
        Of the pieces.
    size : int
        Rows of a chunk.
    whole : bool
    source : str or Path or None
        The file that the worker reads its chunks from; None where they are sent to it.
    level : int
        Of the package's log.
    """

    options: dict[str, Any]
    folder: Path
    size: int
    whole: bool
    source: str | Path | None
    level: int


_MINE: dict[str, Any] = {}
"""Of a worker process: its `ChunkWork` and its open file."""


def annotate_in_processes(
    table: ChunkedTable, work: ChunkWork, done: Container[int], workers: int
) -> Iterator[Kept]:
    """Annotate the chunks of a table, in the order in which they are finished.

    A chunk whose worker is killed is done again by another one.

    Parameters
    ----------
    table : ChunkedTable
    work : ChunkWork
    done : container of int
        Numbers of chunks that are left out.
    workers : int
        Processes.

    Yields
    ------
    Kept

    Raises
    ------
    WorkerLostError
        If no worker starts, or workers end again and again.
    JpassedError
        See `jpassed.annotate`.
    """
    own = _own_file(table)
    setup = Setup(
        work.annotator.options, work.folder, work.size, work.whole,
        table.path if own else None, logging.getLogger("jpassed").getEffectiveLevel(),
    )  # fmt: skip
    chunks = _chunks(table, work.size, done, own)
    again: list[tuple[int, QTable | None]] = []
    losses = 0
    started = multiprocessing.get_context("spawn").Event()
    with _logs() as queue:
        while True:
            pool = _pool(setup, workers, queue, started)
            running: dict[Future[Kept], tuple[int, QTable | None]] = {}
            try:
                while True:
                    while len(running) < AHEAD * workers:
                        chunk = again.pop() if again else next(chunks, None)
                        if chunk is None:
                            break
                        again.append(chunk)  # until it is handed over
                        running[pool.submit(_run, *chunk)] = chunk
                        again.pop()
                    if not running:
                        pool.shutdown()
                        return
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        kept = future.result()
                        running.pop(future)
                        losses = 0
                        yield kept
            except BrokenProcessPool as exc:
                if not started.is_set():
                    raise WorkerLostError(
                        "the worker processes could not start: see the first traceback or message "
                        'above. In a script call this under `if __name__ == "__main__":`, as '
                        "each process begins by running the script; it cannot come from standard "
                        "input. If there is no traceback, memory may be short: ask for fewer "
                        "workers"
                    ) from exc
                losses += 1
                if losses > LOSSES:
                    raise WorkerLostError(
                        f"{losses} times a worker process ended before its chunk was done, without "
                        "a word: killed, or out of memory. Ask for fewer workers, and go on with "
                        "resume=True (--resume)"
                    ) from exc
                for future, chunk in running.items():
                    if not (future.done() and future.exception() is None):
                        again.append(chunk)
                    else:
                        yield future.result()
                logger.warning(
                    "a worker process was lost (killed, or out of memory); its chunks are done "
                    "again"
                )
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _own_file(table: ChunkedTable) -> bool:
    """Whether workers read the chunks themselves: where they lie by rows in the file."""
    from jpassed.io.chunked_fits import FitsChunks

    return isinstance(table, FitsChunks) and not table.packed


def _chunks(
    table: ChunkedTable, size: int, done: Container[int], own: bool
) -> Iterator[tuple[int, QTable | None]]:
    if not own:
        yield from table.chunks(size, done)
        return
    for number in range(-(-int(table.n_rows or 0) // size)):
        if number not in done:
            yield number, None


def _pool(setup: Setup, workers: int, logs: Any, started: Any) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")  # torch does not survive a fork
    turns = context.Queue()
    for turn in range(workers):
        turns.put(turn)
    return ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start, initargs=(setup, turns, logs, started)
    )


@contextmanager
def _logs() -> Iterator[Any]:
    """A queue for the log of the workers, which comes out in this process."""
    queue = multiprocessing.get_context("spawn").Queue()
    listener = logging.handlers.QueueListener(queue, _Here())
    listener.start()
    try:
        yield queue
    finally:
        listener.stop()
        queue.close()


class _Here(logging.Handler):
    """Hands a record to the logger of its name, with the filters of that."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger(record.name).handle(record)


def _start(setup: Setup, turns: Any, logs: Any, started: Any) -> None:
    """In a worker process: prepare for chunks, and say so."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    root = logging.getLogger("jpassed")
    root.addHandler(logging.handlers.QueueHandler(logs))
    root.setLevel(setup.level)
    root.propagate = False
    import torch

    from jpassed.annotation.streaming import PageAnnotator

    torch.set_num_threads(1)
    options = dict(setup.options)
    if options.get("device", "auto") in ("auto", "cuda") and torch.cuda.is_available():
        options["device"] = f"cuda:{turns.get() % torch.cuda.device_count()}"
    _MINE["work"] = ChunkWork(PageAnnotator(**options), setup.folder, setup.size, setup.whole)
    if setup.source is not None:
        _MINE["table"] = open_chunks(setup.source)
    gc.freeze()  # collections of garbage look at what chunks make
    started.set()


def _end_with_parent() -> None:
    """A worker whose parent was killed has nobody to work for."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(number: int, page: QTable | None) -> Kept:
    """In a worker process: one chunk."""
    work: ChunkWork = _MINE["work"]
    if page is None:
        table: ChunkedTable = _MINE["table"]
        start = number * work.size
        page = table.read(start, min(start + work.size, int(table.n_rows or 0)))
    return work.run(number, page)
