"""Several ranks against one, with the same global batch: their pace by the clock, and their losses.

    python benchmarks/ranks_pace.py [FOLDER] [--ranks 1,2] [--steps 60] [--config default]
        [--precision float32] [--optimiser adamw] [--smaller 8]

tells how far the losses of a training with more ranks are from those with one. FOLDER holds `ssp/`
(default: JPASSED_TEST_DATA, else ../shared/data). `--smaller 8` takes an eighth of the objects of a
step. `benchmarks/training.py --ranks 2` measures the pace.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from local_ranks import all_succeed, start_ranks

from jpassed.training.config import TrainingConfig
from jpassed.training.journal import read_log
from jpassed.training.presets import find_config


def pace(
    config: TrainingConfig, ssp: tuple[str, ...], lines: str, counts: Sequence[int], steps: int
) -> list[dict[str, Any]]:
    """Samples a second of trainings with the same global batch by so many ranks each.

    Every rank has one thread. Steps in which a rank meets a new form of question for the first time
    are slow: of twice `steps` steps the median counts.
    """
    found = []
    for count, log in logs(config, ssp, lines, counts, 2 * steps):
        clock = statistics.median(r["seconds_of_step"] for r in _timed(log))
        found.append({"ranks": count, "samples_per_second": config.objects_per_step / clock})
    return found


def apart(
    config: TrainingConfig, ssp: tuple[str, ...], lines: str, counts: Sequence[int], steps: int
) -> list[dict[str, Any]]:
    """Largest relative difference of a step's loss, and gradient, to that of the first training."""
    found: list[dict[str, Any]] = []
    first: list[dict[str, Any]] = []
    for count, log in logs(config, ssp, lines, counts, steps):
        first = first or log
        row: dict[str, Any] = {"ranks": count, "steps": len(log)}
        for name in ("loss", "gradient_norm"):
            pairs = [(r[name], s[name]) for r, s in zip(first, log, strict=True)]
            row[name] = max(abs(other / one - 1.0) for one, other in pairs)
        found.append(row)
    return found


def logs(
    config: TrainingConfig, ssp: tuple[str, ...], lines: str, counts: Sequence[int], steps: int
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """The log of a training by so many ranks each."""
    options = replace(
        config.optimiser, steps=steps, checkpoint_every=10**6, validate_every=10**6, threads=1
    )
    short = replace(config, optimiser=options)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "config.yaml"
        path.write_text(yaml.safe_dump(short.as_dict()))
        for count in counts:
            output = Path(place) / f"ranks-{count}"
            arguments = [str(path), "-o", str(output), "--lines", lines, "--device", "cpu"]
            arguments += [part for name in ssp for part in ("--ssp", name)]
            _train(arguments, count)
            yield count, read_log(output)


def _timed(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Steps with the seconds of each, from the pace of the last 20; the first ones are left out."""
    objects = log[0]["objects"]
    late = log[len(log) // 2 :]
    return [{**r, "seconds_of_step": objects / r["samples_per_second"]} for r in late]


def _train(arguments: list[str], count: int) -> None:
    """`jpassed train` with so many ranks."""
    command = [sys.executable, "-m", "jpassed", "train", *arguments]
    if not all_succeed(start_ranks(command, count, stdout=subprocess.DEVNULL)):
        raise SystemExit(f"the training with {count} rank(s) failed")


def grids_and_lines(folder: Path) -> tuple[tuple[str, ...], str]:
    """The files that the simulator needs."""
    ssp = folder / "ssp"
    grids = tuple(str(ssp / f"ssp_{n}.npz") for n in ("bc03_lr_chabrier", "emiles_kroupa"))
    return grids, str(ssp / "fsps_nebular" / "ZAU_ND_mist.lines")


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    default = Path(os.environ.get("JPASSED_TEST_DATA", "../shared/data"))
    parser.add_argument("folder", nargs="?", type=Path, default=default)
    parser.add_argument("--ranks", default="1,2", help="the first is what others differ from")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--config", default="default", help="a preset or a YAML file")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--optimiser", default="adamw", choices=("adamw", "muon"))
    parser.add_argument("--smaller", type=int, default=8)
    asked = parser.parse_args(arguments)
    config = TrainingConfig.from_yaml(find_config(asked.config))
    options, mix, simulation = config.optimiser, config.mix, config.simulation
    config = replace(
        config,
        simulation=replace(simulation, pool=min(simulation.pool, 2 * simulation.segment)),
        mix=replace(mix, dense=mix.dense // asked.smaller, broad=mix.broad // asked.smaller),
        optimiser=replace(
            options, batch=options.batch // asked.smaller, precision=asked.precision,
            name=asked.optimiser, validation=256,
        ),
    )  # fmt: skip
    counts = [int(number) for number in asked.ranks.split(",")]
    found = apart(config, *grids_and_lines(asked.folder), counts, asked.steps)
    for row in found:
        print(
            f"{row['ranks']} rank(s), {row['steps']} steps: loss within {row['loss']:.1e}, "
            f"gradient norm within {row['gradient_norm']:.1e} (relative)"
        )
    return found


if __name__ == "__main__":
    main()
