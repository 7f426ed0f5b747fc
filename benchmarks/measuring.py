"""Time, memory and floating-point operations of a call, for benchmarks.

Where other processes share the machine, processor time is what compares: on an idle one it is the
wall clock times the threads.
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Timing", "megaflop", "peak_memory", "timed"]


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
    try:
        for line in Path("/proc/self/status").read_text("utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def megaflop(call: Callable[[], Any]) -> float:
    """Floating-point operations of the matrix products in a call, in millions.

    A multiplication and an addition are two; what is no matrix product (activations, norms) is
    not counted.
    """
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() / 1e6
