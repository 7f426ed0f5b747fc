"""The pace of a training with several ranks, by the clock."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from jpassed.training.config import TrainingConfig
from jpassed.training.journal import read_log


def pace(
    config: TrainingConfig, ssp: tuple[str, ...], lines: str, counts: Sequence[int], steps: int
) -> list[dict[str, Any]]:
    """Samples a second of trainings with the same global batch by so many ranks each.

    Every rank has one thread. Steps in which a rank meets a new form of question for the first time
    are slow: of twice `steps` steps the median counts.
    """
    options = replace(
        config.optimiser, steps=2 * steps, checkpoint_every=10**6, validate_every=10**6, threads=1
    )
    short = replace(config, optimiser=options)
    found = []
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "config.yaml"
        path.write_text(yaml.safe_dump(short.as_dict()))
        for count in counts:
            output = Path(place) / f"ranks-{count}"
            arguments = [str(path), "-o", str(output), "--lines", lines, "--device", "cpu"]
            arguments += [part for name in ssp for part in ("--ssp", name)]
            _train(arguments, count)
            clock = [r["seconds_of_step"] for r in _timed(read_log(output))]
            found.append(
                {
                    "ranks": count,
                    "samples_per_second": config.objects_per_step / statistics.median(clock),
                }
            )
    return found


def _timed(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Steps with the seconds of each, from the pace of the last 20; the first ones are left out."""
    objects = log[0]["objects"]
    late = log[len(log) // 2 :]
    return [{**r, "seconds_of_step": objects / r["samples_per_second"]} for r in late]


def _train(arguments: list[str], count: int) -> None:
    """`jpassed train` with so many ranks."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", "jpassed", "train", *arguments],
            env={**os.environ, **shared, "RANK": str(r), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
        )
        for r in range(count)
    ]
    if any([rank.wait() for rank in ranks]):
        raise SystemExit(f"the training with {count} rank(s) failed")
