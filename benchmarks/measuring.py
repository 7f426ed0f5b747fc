"""Time, memory and floating-point operations of a call, for benchmarks.

Where other processes share the machine, processor time is what compares: on an idle one it is the
wall clock times the threads.
"""

from __future__ import annotations

import os
import resource
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["ChildrenMemory", "Timing", "megaflop", "peak_memory", "timed"]


@dataclass(frozen=True)
class Timing:
    """What a call costs; medians over its repetitions.

    Attributes
    ----------
    wall, processor : float
        Seconds.
    """

    wall: float
    processor: float


def timed(call: Callable[[], Any], repeats: int = 3) -> Timing:
    """Time a call, `repeats` times."""
    walls, processors = [], []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        call()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return Timing(statistics.median(walls), statistics.median(processors))


def peak_memory() -> float:
    """Largest resident memory of this process so far, MB.

    Linux counts it for a process itself in ``VmHWM``; `getrusage` would report that of the process
    which started this one, if that was larger.
    """
    own = _status(Path("/proc/self/status")).get("VmHWM")
    if own is not None:
        return own * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


class ChildrenMemory:
    """Watches the largest resident memory of this process's children, until the context ends.

    Attributes
    ----------
    peak : float
        MB, of the largest child; zero where there is no ``/proc``. What a child takes in its last
        `EVERY` seconds alone is not seen.
    """

    EVERY = 0.25

    def __init__(self) -> None:
        self.peak = 0.0
        self._end = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> ChildrenMemory:
        self._watch.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._end.set()
        self._watch.join()

    def _look(self) -> None:
        own = _command(Path("/proc/self"))
        while True:
            for folder in Path("/proc").glob("[0-9]*"):
                # Between fork and exec a child has the memory, and the command, of its parent.
                if _command(folder) == own:
                    continue
                found = _status(folder / "status")
                if found.get("PPid") == os.getpid():
                    self.peak = max(self.peak, found.get("VmHWM", 0.0) * 1024 / 1e6)
            if self._end.wait(self.EVERY):
                return


def _command(folder: Path) -> bytes:
    """Command line of a process, empty if it has ended."""
    try:
        return (folder / "cmdline").read_bytes()
    except OSError:
        return b""


def _status(path: Path) -> dict[str, float]:
    """Parent and peak memory (kB) of a process, as far as its status file tells."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in lines if line.startswith(("PPid:", "VmHWM:")))
    return {name: float(value.split()[0]) for name, value in pairs}


def megaflop(call: Callable[[], Any]) -> float:
    """Floating-point operations of the matrix products in a call, in millions.

    A multiplication and an addition are two; what is no matrix product (activations, norms) is
    not counted.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    # The counter sees its own thread alone, and `annotate` computes blocks in several.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with FlopCounterMode(display=False) as counter:
            call()
    finally:
        torch.set_num_threads(threads)
    return counter.get_total_flops() / 1e6
