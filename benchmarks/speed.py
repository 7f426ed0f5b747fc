"""One table of speeds, measured in one run: this package and its rivals on the same objects.

    PYTHONPATH=. python benchmarks/speed.py [FOLDER] [--n 4096] [--rounds 3] [--only NAME]
        [-o benchmarks/results/speed.json] [--page docs/speed.md]

FOLDER (default: JPASSED_TEST_DATA, else ../shared/data) holds `ssp/`, which the galaxies are
simulated with, and the templates of eazy-py. Without it power laws are taken, and eazy-py and the
trees are left out. Each contender has a process of its own, with one thread where none else is
said; rounds go through all of them in turn, and medians over the rounds count. Ratios are of
processor time, which other processes on the machine do not spoil. Needs `pip install
jpassed[benchmarks]`. Without -o and --page the table is printed and nothing is written.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import speed_sample
from machine import describe
from markdown_blocks import replace_block
from speed_contenders import TREE_ROWS, Contender, contenders, prepare
from speed_tables import page_block

THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
NEEDS_FOLDER = ("eazy", "trees")


def contend(name: str, n: int, sample: Path, folder: Path | None, repeats: int) -> None:
    """Prepare a contender, say so, wait for a line on stdin, measure, print the result."""
    contender = next(c for c in contenders(n) if c.name == name)
    # Libraries print as they like: the protocol has a stream of its own.
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        ready = prepare(contender, sample, folder)
        print("ready", file=answers, flush=True)
        sys.stdin.readline()
        print(json.dumps(ready.measure(contender, repeats)), file=answers, flush=True)


def measured(
    contender: Contender, n: int, sample: Path, folder: Path | None, repeats: int
) -> dict[str, Any]:
    """Measure a contender in as many processes as it has, started together."""
    command = [
        sys.executable, str(Path(__file__).resolve()), "--contend", contender.name, "--n", str(n),
        "--sample", str(sample), "--repeats", str(repeats), *([str(folder)] if folder else []),
    ]  # fmt: skip
    threads = dict.fromkeys(THREAD_SETTINGS, str(contender.threads))
    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(
                subprocess.Popen(
                    command, env={**os.environ, **threads}, text=True,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                )
            )
            for _ in range(contender.processes)
        ]  # fmt: skip
        for process in running:
            if process.stdout is None or process.stdout.readline().strip() != "ready":
                raise RuntimeError(f"{contender.name}: ended before its start; see above")
        for process in running:
            if process.stdin is not None:
                process.stdin.write("go\n")
                process.stdin.flush()
        found = [json.loads(p.stdout.readline()) for p in running if p.stdout is not None]
    first = dict(found[0])
    first["rate"] = sum(one["rate"] for one in found)
    first["rate_by_processor"] = statistics.mean(one["rate_by_processor"] for one in found)
    first["peak_mb"] = sum(one["peak_mb"] for one in found)
    return first


def rounds(
    chosen: Sequence[Contender], number: int, n: int, sample: Path, folder: Path | None
) -> Iterator[dict[str, Any]]:
    """Medians of all contenders over some rounds."""
    found: dict[str, list[dict[str, Any]]] = {c.name: [] for c in chosen}
    for turn in range(number):
        for contender in chosen:
            one = measured(contender, n, sample, folder, repeats=2)
            found[contender.name].append(one)
            print(
                f"round {turn + 1} of {number}: {contender.name}: {one['rate']:,.0f} objects/s, "
                f"{one['rate_by_processor']:,.0f} a thread by processor time",
                file=sys.stderr,
            )
    for name, results in found.items():
        middle = dict(results[0])
        for key in ("rate", "rate_by_processor", "peak_mb"):
            middle[key] = statistics.median(one[key] for one in results)
        rates = [one["rate_by_processor"] for one in results]
        middle["spread"] = (max(rates) - min(rates)) / statistics.median(rates)
        yield {"name": name, **middle}


def make_sample(path: Path, folder: Path | None, n: int, trees: bool) -> str:
    """Write the objects of all contenders; says what they are."""
    if folder is None:
        table, said = speed_sample.power_laws(n), "power laws with 3 % errors"
    else:
        number = max(n, min(TREE_ROWS, 4 * n)) if trees else n
        table, said = speed_sample.simulated_galaxies(folder, number), "simulated galaxies"
    table.write(path)
    return said


def given_folder(name: str | None) -> Path | None:
    """The folder of SSP grids and templates, if it is there."""
    path = Path(name or os.environ.get("JPASSED_TEST_DATA", "../shared/data"))
    return path.resolve() if (path / "ssp").is_dir() else None


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all, print the table, keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--n", type=int, default=4096, help="objects for the fast contenders")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="contenders whose names begin so, with commas")
    parser.add_argument("-o", "--output", type=Path, help="JSON")
    parser.add_argument("--page", type=Path, help="page whose block 'speed' is replaced")
    parser.add_argument("--contend", help=argparse.SUPPRESS)
    parser.add_argument("--sample", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--repeats", type=int, default=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    folder = given_folder(options.folder)
    if options.contend:
        contend(options.contend, options.n, options.sample, folder, options.repeats)
        return
    import jpassed

    wanted = tuple(options.only.split(","))
    chosen = [
        c for c in contenders(options.n)
        if c.name.startswith(wanted) and (folder is not None or c.system not in NEEDS_FOLDER)
    ]  # fmt: skip
    if not chosen:
        parser.error(f"--only {options.only}: no contender is left")
    if folder is None:
        print("no folder with ssp/: eazy-py and the trees are left out", file=sys.stderr)
    machine = describe()
    with tempfile.TemporaryDirectory() as work:
        sample = Path(work) / "objects.fits"
        objects = make_sample(sample, folder, options.n, any(c.system == "trees" for c in chosen))
        rows = list(rounds(chosen, options.rounds, options.n, sample, folder))
    model = jpassed.load_model("default")
    results = {
        "machine": machine,
        "model": {"name": model.name, "version": model.version, "weights": model.digest},
        "objects": objects,
        "rounds": options.rounds,
        "command": f"benchmarks/speed.py --n {options.n} --rounds {options.rounds}",
        "rows": rows,
    }
    print(page_block(results))
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    if options.page is not None:
        replace_block(options.page, "speed", page_block(results))


if __name__ == "__main__":
    main()
