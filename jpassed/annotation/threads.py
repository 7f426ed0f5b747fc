"""Threads that compute blocks of objects beside each other, each with one thread of torch's own.

The matrix products of a block are too small to be shared: two threads within a block are hardly
faster than one, and slower by far where other programs want the processors, as they spin while
they wait. How a product is shared would show in the last bits, too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import lru_cache
from threading import Lock

import torch

__all__ = ["MOST", "block_threads", "one_thread_each", "taking_turns", "threads", "turn"]

MOST = 8
"""More threads of one process wait for its interpreter; `--workers` are processes."""

SWITCH_SECONDS = 1e-4
"""After how long a thread hands the interpreter over to one that waits for it.

The network needs it for microseconds at a time, thousands of times a second; with Python's own 5 ms
it stands still while another thread makes columns.
"""

_asked: ContextVar[int | None] = ContextVar("threads for blocks", default=None)


def threads() -> int:
    """Threads for blocks: as many as torch may use here (``OMP_NUM_THREADS``), but at most 8."""
    asked = _asked.get()
    return min(torch.get_num_threads() if asked is None else asked, MOST)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Within, torch's own work takes one thread, and blocks those that torch had before."""
    before = torch.get_num_threads()
    if before == 1 or _asked.get() is not None:
        yield
        return
    token = _asked.set(before)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _asked.reset(token)


_turn: ContextVar[AbstractContextManager[object] | None] = ContextVar("turn", default=None)


_switching = Lock()
_intervals: list[float] = []
"""That of the process before the first of the runs under way, once for each of them."""


@contextmanager
def _switching_fast() -> Iterator[None]:
    """Python's interval is that of the process: the last of several runs puts it back."""
    with _switching:
        before = _intervals[0] if _intervals else sys.getswitchinterval()
        _intervals.append(before)
        sys.setswitchinterval(min(before, SWITCH_SECONDS))
    try:
        yield
    finally:
        with _switching:
            before = _intervals.pop()
            if not _intervals:
                sys.setswitchinterval(before)


@contextmanager
def taking_turns() -> Iterator[None]:
    """Within, threads that have this context ask the network one after the other."""
    token = _turn.set(Lock())
    try:
        with _switching_fast():
            yield
    finally:
        _turn.reset(token)


def turn() -> AbstractContextManager[object]:
    """What a thread holds while it asks the network: see `taking_turns`."""
    return _turn.get() or nullcontext()


@lru_cache(maxsize=1)
def block_threads(number: int) -> ThreadPoolExecutor:
    """A pool of so many threads, kept for the next call.

    Parameters
    ----------
    number : int
    """
    return ThreadPoolExecutor(number, "jpassed-block", torch.set_num_threads, (1,))
