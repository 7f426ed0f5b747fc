"""Trainings of several ranks on this machine, as the tests start them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from tiny_training import TINY

RUN = (
    "import sys; from jpassed.training.loop import train; "
    "train(sys.argv[1], sys.argv[2], resume=True, stop_after=int(sys.argv[3]) or None)"
)


def tiny_config(folder: Path, ssp: str, **optimiser: Any) -> Path:
    """A configuration whose steps ask all three questions and refresh the pool."""
    values = {
        **TINY,
        "simulation": {**TINY["simulation"], "ssp": [ssp]},
        "mix": {"dense": 48, "broad": 32},
        "model": {**TINY["model"], "dense_readout": True, "readout_kernels": 2, "rest_frame": True},
        "optimiser": {**TINY["optimiser"], **optimiser},
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def start_ranks(
    count: int, config: Path, output: Path, stop_after: int = 0
) -> list[subprocess.Popen[str]]:
    """Start the ranks plainly: with the environment that torchrun sets, and without it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = [sys.executable, "-c", RUN, str(config), str(output), str(stop_after)]
    return [
        subprocess.Popen(
            command,
            env={**os.environ, **own, "RANK": str(r), "LOCAL_RANK": str(r), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for r in range(count)
    ]


def finish(ranks: list[subprocess.Popen[str]]) -> list[str]:
    """Wait for all; what each said on stderr."""
    said = [rank.communicate()[1] for rank in ranks]
    for rank, text in zip(ranks, said, strict=True):
        assert rank.returncode == 0, text
    return said


def kill_after(lines: int, log: Path, ranks: list[subprocess.Popen[str]]) -> None:
    """Kill the last rank once the log has so many lines, and wait until the others gave up."""
    while ranks[-1].poll() is None and not (log.exists() and log.read_text().count("\n") >= lines):
        time.sleep(0.01)
    ranks[-1].send_signal(signal.SIGKILL)
    for rank in ranks:
        rank.communicate(timeout=120)
