"""Samples a second of a training, and their share of what the machine's matrix units can do.

    python benchmarks/training.py [FOLDER] [--config default] [--device cpu] [--threads 1]
        [--steps 16] [--times 1] [--ranks 1] [--json FILE] [--page FILE]

FOLDER holds `ssp/` (default: JPASSED_TEST_DATA, else ../shared/data). The same steps are taken in
float32 and bfloat16. `--times 1,4,16` repeats them with so many times the objects a step, which is
what a GPU needs to be busy: `--device cuda --times 1,4,16,64`. `--ranks 2` also trains with one and
with two processes, of one thread each, and compares their pace.

A sample is an object that a step trains on. A step's time contains what its new galaxies cost the
simulator. Operations are those of the matrix products, forwards and backwards, two for a
multiplication with an addition; the share is against the rate of a square product of the same
precision, measured in the same run.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from host_reads import HostReads
from machine import describe, in_words, matrix_rate, wait_for
from markdown_blocks import markdown_table, replace_block
from measuring import megaflop
from ranks_pace import grids_and_lines, pace

from jpassed.training.config import TrainingConfig
from jpassed.training.loop import _Trainer
from jpassed.training.presets import find_config
from jpassed.training.setup import Setup, prepare

PRECISIONS = ("float32", "bfloat16")
PARTS = ("drawing", "loss and gradient", "step")


def seconds(call: Callable[[int], Any], steps: Sequence[int], device: torch.device) -> list[float]:
    """Processor seconds (CPU) or seconds (GPU) of a call for each step."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    found = []
    for step in steps:
        wait_for(device)
        began = clock()
        call(step)
        wait_for(device)
        found.append(clock() - began)
    return found


def times_as_many(config: TrainingConfig, times: int, precision: str) -> TrainingConfig:
    """The configuration with so many times the objects a step."""
    mix, options = config.mix, config.optimiser
    return replace(
        config,
        mix=replace(mix, dense=times * mix.dense, broad=times * mix.broad),
        optimiser=replace(options, batch=times * options.batch, precision=precision),
    )


def measure(
    config: TrainingConfig, setup: Setup, device: torch.device, steps: int, simulation: float
) -> dict[str, Any]:
    """Pace of a training, its parts, and its operations.

    `simulation` is what the galaxies that are made anew cost a step, in seconds: the pool makes
    many at once, between steps. Their operations are not counted.
    """
    with tempfile.TemporaryDirectory() as folder:
        trainer = _Trainer(config, setup, Path(folder), device)
    numbers = range(1, steps + 1)
    for number in numbers:
        trainer.step(number)
    operations = sum(1e6 * megaflop(lambda n=n: trainer.step(n)) for n in numbers)
    with HostReads() as reads:
        for number in numbers:
            trainer.step(number)
    whole = seconds(trainer.step, numbers, device)
    drawing = seconds(trainer.questions, numbers, device)
    asked = {n: trainer.questions(n) for n in numbers}
    learning = seconds(lambda n: trainer.loss(*asked[n])[0].backward(), numbers, device)
    precision = config.optimiser.precision
    rate = matrix_rate(getattr(torch, precision), device.type)["gflops_by_processor_time"]
    at_once = 1 if device.type == "cuda" else torch.get_num_threads()
    spent = sum(whole) / at_once + steps * simulation
    objects = config.objects_per_step
    return {
        "precision": precision,
        "objects_per_step": objects,
        "seconds_per_step": spent / steps,
        "samples_per_second": objects * steps / spent,
        "mflop_per_sample": operations / steps / objects / 1e6,
        "gflops": operations / spent / 1e9,
        "matrix_gflops": rate,
        "share_of_matrix_rate": operations / spent / 1e9 / rate,
        "share_of_time": {
            "drawing": sum(drawing) / at_once / spent,
            "loss and gradient": sum(learning) / at_once / spent,
            "simulation": steps * simulation / spent,
        },
        "host_reads_per_step": sum(reads.places.values()) / steps,
    }


def simulator_pace(setup: Setup, device: torch.device, repeats: int = 2) -> float:
    """Galaxies a second of the simulator, as the pool asks for them."""
    simulator, segment = setup.pool.simulator, setup.pool.segment
    generator = torch.Generator(device=device).manual_seed(1)
    spent = seconds(lambda _: simulator.sample(segment, generator), range(repeats + 1), device)[1:]
    threads = 1 if device.type == "cuda" else torch.get_num_threads()
    return segment * threads / statistics.median(spent)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """All measurements."""
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    config = TrainingConfig.from_yaml(find_config(arguments.config))
    simulation = config.simulation
    small = replace(simulation, pool=min(simulation.pool, 2 * simulation.segment))
    options = replace(config.optimiser, validation=256, threads=arguments.threads)
    config = replace(config, simulation=small, optimiser=options)
    grids, lines = grids_and_lines(arguments.folder)
    setup = prepare(config, device, ssp=grids, lines=lines)
    setup.pool.fill()
    made = simulator_pace(setup, device)
    found: dict[str, Any] = {
        "machine": describe(arguments.device),
        "config": Path(arguments.config).stem,
        "threads": arguments.threads,
        "steps": arguments.steps,
        "simulated_per_second": made,
        "simulated_per_step": simulation.segment / simulation.refresh_every,
        "rows": [],
    }
    for times in arguments.times:
        for precision in PRECISIONS:
            larger = times_as_many(config, times, precision)
            cost = found["simulated_per_step"] / made
            found["rows"].append(measure(larger, setup, device, arguments.steps, cost))
            gc.collect()
    if arguments.ranks > 1:
        found["ranks"] = pace(config, grids, lines, (1, arguments.ranks), arguments.steps)
    return found


def as_markdown(found: dict[str, Any]) -> str:
    """The table of a page, and what it was measured on."""
    head = [
        "precision", "objects a step", "samples/s", "MFLOP a sample", "GFLOP/s", "matrix rate",
        "share", "of the time: drawing", "loss and gradient", "simulation",
    ]  # fmt: skip
    body = []
    for row in found["rows"]:
        part = row["share_of_time"]
        body.append(
            [
                row["precision"],
                f"{row['objects_per_step']:,}",
                f"{row['samples_per_second']:,.0f}",
                f"{row['mflop_per_sample']:.1f}",
                f"{row['gflops']:,.0f}",
                f"{row['matrix_gflops']:,.0f}",
                f"{100 * row['share_of_matrix_rate']:.0f} %",
                f"{100 * part['drawing']:.0f} %",
                f"{100 * part['loss and gradient']:.0f} %",
                f"{100 * part['simulation']:.0f} %",
            ]  # fmt: skip
        )
    said = (
        f"Preset `{found['config']}`, {found['threads']} thread(s), {found['steps']} steps; the "
        f"simulator makes {found['simulated_per_second']:,.0f} galaxies/s, and "
        f"{found['simulated_per_step']:,.0f} are made anew a step. {in_words(found['machine'])}"
    )
    if "ranks" in found:
        each = "; ".join(
            f"{r['ranks']} rank(s): {r['samples_per_second']:,.0f} samples/s"
            for r in found["ranks"]
        )
        ratio = found["ranks"][-1]["samples_per_second"] / found["ranks"][0]["samples_per_second"]
        said += f"\n\nBy the clock, with the same global batch, {each}: {ratio:.2f} times."
    return f"{markdown_table(head, body)}\n\n{said}"


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(os.environ.get("JPASSED_TEST_DATA", "../shared/data"))
    parser.add_argument("folder", nargs="?", type=Path, default=default)
    parser.add_argument("--config", default="default", help="a preset or a YAML file")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument(
        "--times", type=lambda t: [int(x) for x in t.split(",")], default=[1],
        help="multiples of the objects a step",
    )  # fmt: skip
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--json", type=Path, help="keep the figures in this file")
    parser.add_argument("--page", type=Path, help="page with a block training-speed-DEVICE")
    arguments = parser.parse_args()
    found = run(arguments)
    text = as_markdown(found)
    print(text)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    if arguments.page:
        kind = torch.device(arguments.device).type
        replace_block(arguments.page, f"training-speed-{kind}", text)


if __name__ == "__main__":
    main()
