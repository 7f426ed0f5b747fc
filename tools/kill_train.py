"""Kill a training with SIGKILL at random moments, let it resume, and compare with one left alone.

    python tools/kill_train.py [FOLDER] [--kills 20] [--ranks 1] [--seed 0]

FOLDER holds `ssp/` (default: JPASSED_TEST_DATA, else ../shared/data). The training is small, with
all three questions of a step, a pool that is refreshed, and a checkpoint every five steps. Kills
fall on the start, the simulation, the steps and the writing of files; with several ranks a random
one is killed, and the others must give up. After every kill each file must be whole. At the end the
log, the state and the model must be those of the uninterrupted training: every step once, every
number the same to the last bit.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file

from jpassed.nn.checkpoint import CARD, WEIGHTS, read_model
from jpassed.training.journal import CSV, LOG, read_log
from jpassed.training.state import STATE

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
from local_ranks import all_succeed, start_ranks  # noqa: E402

CLOCKS = ("seconds", "samples_per_second")
"""What the log tells of the time that a step took: another in every run."""

PATIENCE = 5.0
"""Seconds that ranks have to give up when one of them was killed."""

SETTINGS: dict[str, Any] = {
    "seed": 5,
    "name": "killed",
    "simulation": {
        "bands": ["jpas", "galex", "sdss"], "noise_other": ["broadband-v1"],
        "pool": 512, "segment": 256, "refresh_every": 3,
    },
    "mix": {"dense": 48, "broad": 32},
    "model": {
        "patch_width": 32, "patch_blocks": 1, "patch_tokens": 2, "width": 16, "heads": 2,
        "blocks": 1, "redshift_bin": 0.02, "dense_readout": True,
    },
    "optimiser": {
        "batch": 64, "warmup": 10, "decay": 20, "checkpoint_every": 5,
        "validate_every": 10, "validation": 64, "threads": 1, "precision": "float32",
    },
}  # fmt: skip


def start(config: Path, output: Path, ranks: int) -> list[subprocess.Popen[bytes]]:
    """`jpassed train --resume`, once a rank."""
    command = [
        sys.executable, "-m", "jpassed", "train", str(config), "-o", str(output), "--resume",
        "--device", "cpu",
    ]  # fmt: skip
    nothing = subprocess.DEVNULL
    return start_ranks(command, ranks, stdout=nothing, stderr=nothing)


def steps_done(output: Path) -> int:
    """Lines of the log so far."""
    log = output / LOG
    return log.read_bytes().count(b"\n") if log.exists() else 0


def kill_once(
    config: Path, output: Path, ranks: int, chance: random.Random, startup: float
) -> tuple[int, bool]:
    """Start or resume, and kill a rank at a random moment: steps in the log, whether it lived."""
    running = start(config, output, ranks)
    if chance.random() < 0.2:
        time.sleep(chance.uniform(0.0, startup))
    else:
        before = output.joinpath(LOG).stat().st_mtime_ns if steps_done(output) else 0
        more = chance.randint(1, 12)
        while all(p.poll() is None for p in running):
            log = output / LOG
            if log.exists() and log.stat().st_mtime_ns > before:
                break
            time.sleep(0.001)
        first = steps_done(output)
        while all(p.poll() is None for p in running) and steps_done(output) < first + more:
            time.sleep(0.001)
        time.sleep(chance.uniform(0.0, 0.05))
    victim = chance.choice(running)
    lived = victim.poll() is None
    if lived:
        victim.send_signal(signal.SIGKILL)
    if not lived and not all_succeed(running):
        raise SystemExit("a rank failed that nobody had killed")
    for process in running:
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            # It waits for one that will not come; torchrun ends it at once.
            process.kill()
            process.wait()
    return steps_done(output), lived


def check_files(output: Path) -> None:
    """Read every file that a reader may meet: each is whole, or not there."""
    if (output / STATE).exists():
        load_file(output / STATE)
    if (output / WEIGHTS).exists() and (output / CARD).exists():
        read_model(output)
    if steps_done(output):
        steps = [r["step"] for r in read_log(output)]
        if steps != list(range(1, len(steps) + 1)):
            raise SystemExit(f"the log repeats or lacks steps: {steps}")


def records_of(folder: Path) -> dict[str, Any]:
    """What a checkpoint tells beside its tensors, clocks apart."""
    with safe_open(str(folder / STATE), framework="pt") as file:
        record: dict[str, Any] = json.loads(file.metadata()["record"])
    record.pop("seconds")
    return record


def differences(one: Path, other: Path) -> list[str]:
    """What differs between two finished trainings, clocks apart."""
    found = []
    logs = [read_log(folder) for folder in (one, other)]
    for records in logs:
        for record in records:
            for name in CLOCKS:
                record.pop(name)
    if logs[0] != logs[1]:
        found.append(f"the log ({len(logs[0])} and {len(logs[1])} steps)")
    states = [load_file(folder / STATE) for folder in (one, other)]
    same = states[0].keys() == states[1].keys() and all(
        torch.equal(value, states[1][name]) for name, value in states[0].items()
    )
    if not same:
        found.append("the state")
    if records_of(one) != records_of(other):
        found.append("the record of the state")
    if (one / WEIGHTS).read_bytes() != (other / WEIGHTS).read_bytes():
        found.append("the weights of the model")
    cards = [json.loads((folder / CARD).read_text()) for folder in (one, other)]
    for card in cards:
        card.pop("seconds")
    if cards[0] != cards[1]:
        found.append("the card")
    if (one / CSV).read_text().count("\n") != (other / CSV).read_text().count("\n"):
        found.append("lines of the CSV")
    names = [sorted(p.name for p in folder.iterdir()) for folder in (one, other)]
    if names[0] != names[1]:
        found.append(f"the files: {names[0]} and {names[1]}")
    return found


def kill_and_compare(
    folder: Path, ssp: Path, *, kills: int, ranks: int, seed: int
) -> dict[str, Any]:
    """Kill a training `kills` times; what came of it, `differences` empty where all is well."""
    # Long enough that every kill finds it at work.
    options = {**SETTINGS["optimiser"], "steps": 20 * kills}
    simulation = {**SETTINGS["simulation"], "ssp": [str(ssp)]}
    settings = {**SETTINGS, "simulation": simulation, "optimiser": options}
    config = folder / "killed.yaml"
    config.write_text(yaml.safe_dump(settings))
    began = time.monotonic()
    whole, output = folder / "whole", folder / "killed"
    running = start(config, whole, ranks)
    while not steps_done(whole) and running[0].poll() is None:
        time.sleep(0.01)
    startup = time.monotonic() - began
    if not all_succeed(running):
        raise SystemExit("the uninterrupted training failed")
    chance = random.Random(seed)
    at: list[int] = []
    lived = 0
    while lived < kills:
        done, hit = kill_once(config, output, ranks, chance, startup)
        lived += hit
        at.append(done)
        check_files(output)
        if not hit:
            break
    leftovers = sum(p.name.endswith(".tmp") for p in output.iterdir()) if output.exists() else 0
    if not all_succeed(start(config, output, ranks)):
        raise SystemExit("the last resume failed")
    check_files(output)
    return {
        "kills": lived, "ranks": ranks, "steps in the log at each": at,
        "steps": len(read_log(output)),
        "unfinished files before the last resume": leftovers,
        "differences": differences(whole, output),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("JPASSED_TEST_DATA", "../shared/data")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(default))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    ssp = (arguments.folder / "ssp" / "ssp_bc03_lr_chabrier.npz").resolve()
    with tempfile.TemporaryDirectory() as place:
        report = kill_and_compare(
            Path(place), ssp, kills=arguments.kills, ranks=arguments.ranks, seed=arguments.seed
        )
    print(json.dumps(report))
    if report["differences"] or report["kills"] < arguments.kills:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
