"""What a benchmark ran on: processor, cores, torch build, and its measured matrix rate.

    PYTHONPATH=. python benchmarks/machine.py [--device cpu] [--threads 1]

Speeds are kept beside this description: a number without its machine says nothing.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).resolve().parent / "results"
"""Where the figures of the documentation are kept."""

MATRIX_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile", "asimd", "sve", "bf16")
"""Flags of a processor that decide how fast it multiplies matrices."""

MATRIX_SIZE = {"cpu": 1024, "cuda": 8192}
REPEATS = 5
"""Timings of a matrix product; the median of them counts."""

SMALLEST_TIMING = 0.05
"""Seconds that one of them takes at least."""


def wait_for(device: torch.device | str) -> None:
    """Return when a device has done what it was given."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def matrix_rate(
    dtype: torch.dtype, device: str = "cpu", size: int | None = None
) -> dict[str, float]:
    """Rate of a square matrix product, the most that a network can reach.

    Parameters
    ----------
    dtype : torch.dtype
    device : str
    size : int, optional
        Rows and columns; 1024 on a CPU (in its cache), 8192 on a GPU.

    Returns
    -------
    dict
        ``"gflops"`` by the clock and ``"gflops_by_processor_time"`` (times the threads: what an
        idle machine would reach; the same as the first on a GPU). A multiplication and an
        addition are two operations.
    """
    kind = torch.device(device).type
    n = size or MATRIX_SIZE.get(kind, 1024)
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    for _ in range(3):
        a @ b
    wait_for(device)
    began = time.perf_counter()
    a @ b
    wait_for(device)
    calls = max(1, round(SMALLEST_TIMING / max(time.perf_counter() - began, 1e-6)))
    walls, processors = [], []
    for _ in range(REPEATS):
        wall, processor = time.perf_counter(), time.process_time()
        for _ in range(calls):
            a @ b
        wait_for(device)
        walls.append((time.perf_counter() - wall) / calls)
        processors.append((time.process_time() - processor) / calls)
    work = 2e-9 * n**3
    by_clock = work / statistics.median(walls)
    by_processor = work * torch.get_num_threads() / max(statistics.median(processors), 1e-9)
    return {
        "gflops": by_clock,
        "gflops_by_processor_time": by_clock if kind == "cuda" else by_processor,
    }


def _processor() -> tuple[str, list[str]]:
    """Name and matrix flags of the processor, where the system tells."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.processor() or platform.machine(), []
    fields = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip().lower(), value.strip())
    flags = (fields.get("flags") or fields.get("features") or "").split()
    name = fields.get("model name") or platform.machine()
    known = (f"family {fields['cpu family']}", f"model {fields['model']}") if (
        "cpu family" in fields and "model" in fields
    ) else ()  # fmt: skip
    return " ".join([name, *known]), [flag for flag in MATRIX_FLAGS if flag in flags]


def _memory() -> float | None:
    """Memory of the machine in GB, where the system tells."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (ValueError, OSError, AttributeError):
        return None


def _commit() -> str:
    """The commit that was measured, with a plus if files differ from it; empty outside git."""
    folder = Path(__file__).resolve().parent
    try:
        name = _said("git", "-C", str(folder), "rev-parse", "--short", "HEAD")
        changed = _said(
            "git", "-C", str(folder.parent), "status", "--porcelain", "-uno", "--", "jpassed"
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return name + ("+" if changed else "")


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def describe(device: str = "cpu", *, rates: bool = True) -> dict[str, Any]:
    """The machine, as it is kept beside figures.

    Parameters
    ----------
    device : str
    rates : bool
        Also measure the matrix rates of float32 and bfloat16, on one thread of a CPU.
    """
    name, flags = _processor()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    found: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": name,
        "cores": os.cpu_count(),
        "flags": flags,
        "memory_gb": None if (memory := _memory()) is None else round(memory, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torch_cpu": torch.backends.cpu.get_cpu_capability(),
        "commit": _commit(),
        "load": None if load is None else round(load, 2),
        "device": device,
    }
    if torch.device(device).type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(torch.device(device))
        found["cuda"] = torch.version.cuda
    if rates:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for kind in ("float32", "bfloat16"):
                rate = matrix_rate(getattr(torch, kind), device)
                found[f"{kind}_gflops"] = round(rate["gflops_by_processor_time"], 1)
        finally:
            torch.set_num_threads(threads)
    return found


def in_words(machine: dict[str, Any]) -> str:
    """A sentence on the machine, for a page."""
    on = machine.get("gpu") or f"one thread of {machine['cpu']} ({machine['cores']} cores)"
    said = (
        f"Measured on {on} on {machine['date'][:10]}, commit `{machine['commit'] or 'unknown'}`, "
        f"torch {machine['torch']}, Python {machine['python']}"
    )
    if "float32_gflops" in machine:
        said += (
            f"; its matrix rate is {machine['float32_gflops']:,.0f} GFLOP/s in float32 and "
            f"{machine['bfloat16_gflops']:,.0f} in bfloat16"
        )
    if machine["load"] is not None:
        said += f"; load before the run {machine['load']:.1f}"
    return said + "."


def main() -> None:
    """Print the description as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(json.dumps(describe(options.device), indent=1))


if __name__ == "__main__":
    main()
