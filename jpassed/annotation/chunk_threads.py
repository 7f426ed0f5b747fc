"""The chunks of a catalogue in one process: read, annotated and kept beside each other.

Two chunks are annotated at a time. The network is asked for one of them, and meanwhile the columns
of the other are made of what it answered: neither waits, and no more threads compute the network
than were allowed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from threading import Event, Lock
from typing import TYPE_CHECKING

from jpassed.annotation.chunk_work import ChunkWork, Kept
from jpassed.annotation.threads import one_thread_each, taking_turns
from jpassed.io.chunks import ChunkedTable

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["AT_ONCE", "annotate_in_threads"]

AT_ONCE = 2
"""Chunks that are annotated beside each other."""

Progress = Callable[[int, int], None]


class _StoppedError(Exception):
    """Ends the work on a chunk whose run is over."""


class _Told:
    """Rows that are done in all chunks, told to whom it may concern.

    Parameters
    ----------
    progress : callable or None
    before : int
        Rows that were done before.
    total : int
    """

    def __init__(self, progress: Progress | None, before: int, total: int) -> None:
        self._progress, self._before, self._total = progress, before, total
        self._rows: dict[int, int] = {}
        self._lock = Lock()
        self.begun, self.stopped = Event(), Event()

    def of(self, number: int) -> Progress:
        """What a chunk is to call with (its rows done, its rows)."""

        def tell(done: int, _: int) -> None:
            if self.stopped.is_set():
                raise _StoppedError
            with self._lock:
                self._rows[number] = done
                if self._progress is not None:
                    self._progress(self._before + sum(self._rows.values()), self._total)
            self.begun.set()

        return tell


def annotate_in_threads(
    table: ChunkedTable,
    work: ChunkWork,
    done: frozenset[int],
    rows: int,
    progress: Progress | None = None,
    at_once: int = AT_ONCE,
) -> Iterator[Kept]:
    """Annotate and keep the chunks of a table that are not done.

    Parameters
    ----------
    table : ChunkedTable
    work : ChunkWork
    done : frozenset of int
        Numbers of chunks to leave out.
    rows : int
        How many rows these have.
    progress : callable, optional
        Called with (objects done, objects), never twice at a time, but by other threads than this.
    at_once : int
        Chunks that are annotated beside each other. A single one is annotated by this thread: an
        interrupt ends it where it is, and not after its batch.

    Yields
    ------
    Kept
        As the chunks are done, in their order.
    """
    import torch

    chunks = table.chunks(work.size, done)
    told = _Told(progress, rows, table.n_rows or 0)
    with (
        one_thread_each(),
        taking_turns(),
        ThreadPoolExecutor(1, "jpassed-read") as reader,
        ThreadPoolExecutor(1, "jpassed-write") as writer,
        ThreadPoolExecutor(at_once, "jpassed-chunk", torch.set_num_threads, (1,)) as lanes,
    ):

        def one(number: int, page: QTable) -> Future[Kept]:
            annotated = work.annotate(number, page, told.of(number))
            return writer.submit(work.keep, number, page, annotated)

        coming: Future[tuple[int, QTable] | None] = reader.submit(next, chunks, None)
        running: deque[Future[Future[Kept]]] = deque()
        going: deque[Future[Kept]] = deque()
        try:
            while (chunk := coming.result()) is not None:
                coming = reader.submit(next, chunks, None)
                if at_once == 1:
                    going.append(one(*chunk))
                else:
                    running.append(lanes.submit(copy_context().run, one, *chunk))
                del chunk
                if running and not told.begun.is_set():
                    # The first chunk recognises the columns, and has its say on them first.
                    running[0].add_done_callback(lambda _: told.begun.set())
                    told.begun.wait()
                if len(running) == at_once:
                    going.append(running.popleft().result())
                while len(going) > 1:
                    yield going.popleft().result()
            going += [future.result() for future in running]
            while going:
                yield going.popleft().result()
        finally:
            told.stopped.set()
