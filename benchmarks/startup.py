"""What a user waits for before the first number: imports, help, a hundred rows from a cold shell.

    PYTHONPATH=. python benchmarks/startup.py [--rows 100] [--rounds 5] [--only "import jpassed"]
        [-o benchmarks/results/startup.json] [--page docs/speed.md]

Every round is a process of its own, from its start to its end: the interpreter, all imports, the
weights, the table in and out. The median of the wall clock is shown, with that of the processor
time, which is what it comes to on a machine with other things to do. Files are in the operating
system's cache after a round that is not counted (unless there is but one).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from annotate import catalogue
from machine import describe, in_words
from markdown_blocks import markdown_table, replace_block

from jpassed.filters import load_filters

FIRST_PREDICTION = """
import sys
from astropy.table import QTable
import jpassed
jpassed.annotate(QTable.read(sys.argv[1]))
"""

ASKED = {
    "import jpassed": 0.3,
    "jpassed --help": 0.3,
    "Python: annotate a table": 5.0,
    "jpassed annotate, FITS to FITS": 5.0,
}
"""Seconds at most."""


def commands(source: Path, target: Path) -> dict[str, list[str]]:
    """Command lines by what they do."""
    return {
        "python, nothing": [sys.executable, "-c", "pass"],
        "import jpassed": [sys.executable, "-c", "import jpassed"],
        "jpassed --help": [sys.executable, "-m", "jpassed", "--help"],
        "import torch": [sys.executable, "-c", "import torch"],
        "import astropy.table": [sys.executable, "-c", "import astropy.table"],
        "Python: annotate a table": [sys.executable, "-c", FIRST_PREDICTION, str(source)],
        "jpassed annotate, FITS to FITS": [
            sys.executable, "-m", "jpassed", "annotate", str(source), "-o", str(target),
            "--overwrite",
        ],
    }  # fmt: skip


def timed(command: list[str]) -> tuple[float, float]:
    """Wall clock and processor time of a process, seconds.

    Raises
    ------
    RuntimeError
        If it fails; with what it said.
    """
    before, began = os.times(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    wall, after = time.perf_counter() - began, os.times()
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    children = after.children_user + after.children_system
    return wall, children - before.children_user - before.children_system


def page_block(figures: dict[str, Any], machine: dict[str, Any]) -> str:
    """A table of the medians, and a sentence on the machine."""
    body = []
    for what, row in figures["seconds"].items():
        limit = ASKED.get(what)
        asked = "" if limit is None else f"{limit:g}"
        if limit is not None:
            asked += ", met" if row["wall"] < limit else ", **missed**"
        body.append([f"`{what}`", f"{row['wall']:.2f}", f"{row['processor']:.2f}", asked])
    head = ["from a cold shell", "wall clock, s", "processor time, s", "asked"]
    return (
        f"{markdown_table(head, body)}\n\n{figures['rows']} rows of {figures['bands']} bands, "
        f"default outputs; median of {figures['rounds']} processes each. {in_words(machine)}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print JSON, keep it, and fill the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", metavar="WHAT", help="some of the rows")
    parser.add_argument("-o", "--output", type=Path, help="JSON file of the figures")
    parser.add_argument("--page", type=Path, help="page with the mark <!-- startup -->")
    options = parser.parse_args(arguments)
    machine = describe(rates=False)
    bands = tuple(load_filters("jpas").names)
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch) / "rows.fits", Path(scratch) / "out.fits"
        catalogue(options.rows, bands).write(source)
        seconds = {}
        for what, command in commands(source, target).items():
            if options.only and what not in options.only:
                continue
            if options.rounds > 1:
                timed(command)
            rounds = [timed(command) for _ in range(options.rounds)]
            wall, processor = (statistics.median(column) for column in zip(*rounds, strict=True))
            seconds[what] = {"wall": round(wall, 3), "processor": round(processor, 3)}
    figures = {
        "rows": options.rows, "bands": len(bands), "rounds": options.rounds, "seconds": seconds,
    }  # fmt: skip
    print(json.dumps(figures, indent=1))
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps({"machine": machine, **figures}, indent=1) + "\n")
    if options.page:
        replace_block(options.page, "startup", page_block(figures, machine))


if __name__ == "__main__":
    main()
