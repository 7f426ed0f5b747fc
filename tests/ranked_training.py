"""Trainings of several ranks on this machine, as the tests start them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from tiny_training import TINY

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
import local_ranks  # noqa: E402

PATIENCE = 300.0
"""Seconds after which ranks that did not finish are taken for lost."""

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
    command = [sys.executable, "-c", RUN, str(config), str(output), str(stop_after)]
    return local_ranks.start_ranks(command, count, stderr=subprocess.PIPE, text=True)


def finish(ranks: list[subprocess.Popen[str]]) -> list[str]:
    """Wait for all; what each said on stderr. One that fails, or time that is up, ends them all."""
    said: dict[int, str] = {}
    ended: list[int] = []
    until = time.monotonic() + PATIENCE
    while len(said) < len(ranks):
        for number, rank in enumerate(ranks):
            if number in said:
                continue
            try:
                said[number] = rank.communicate(timeout=0.2)[1]
            except subprocess.TimeoutExpired:
                late = time.monotonic() > until
                if late or any(other.returncode for other in ranks):
                    ended.append(number)
                    rank.kill()
    texts = [said[number] for number in range(len(ranks))]
    codes = [rank.returncode for rank in ranks]
    assert codes == [0] * len(ranks), f"{codes}, killed here: {ended}\n" + "\n".join(texts)
    return texts


def kill_after(lines: int, log: Path, ranks: list[subprocess.Popen[str]]) -> None:
    """Kill the last rank once the log has so many lines, and wait until the others gave up."""
    while ranks[-1].poll() is None and not (log.exists() and log.read_text().count("\n") >= lines):
        time.sleep(0.01)
    ranks[-1].send_signal(signal.SIGKILL)
    for rank in ranks:
        rank.communicate(timeout=120)
