"""Measure everything on the page docs/speed.md, one benchmark after the other.

    PYTHONPATH=. python benchmarks/refresh_speed.py [FOLDER] [--rows 1000 10000 100000 1000000]
        [--workers 1] [--only options speed gpu rows annotate startup]
        [--results benchmarks/results] [--page docs/speed.md] [--quick]

Figures go into the page as each benchmark ends, and are kept as JSON. --quick takes few objects:
whether it works, not how fast it is.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROWS = (1000, 10_000, 100_000, 1_000_000)

QUICK = {
    "options": ("--n", "16", "--rounds", "1"),
    "speed": ("--n", "128", "--rounds", "1"),
    "gpu": ("--batches", "64", "--objects", "64"),
    "rows": (),
    "annotate": ("--n", "64", "--rounds", "1"),
    "startup": ("--rounds", "1"),
}


def commands(options: argparse.Namespace) -> dict[str, list[str]]:
    """The command of each benchmark, by name."""
    figure = options.page.parent / "_static" / "rows.png"
    rows = (100,) if options.quick else options.rows
    own: dict[str, list[str]] = {
        "options": [],
        "speed": [str(options.folder)] if options.folder else [],
        "gpu": ["--device", "cpu"],
        "rows": ["--rows", *map(str, rows), "--workers", str(options.workers),
                 "--figure", str(figure), *(["--again"] if options.again else [])],
        "annotate": [],
        "startup": [],
    }  # fmt: skip
    return {
        name: [
            sys.executable, str(HERE / f"{name}.py"), *own[name],
            *(QUICK[name] if options.quick else ()),
            "-o", str(options.results / f"{name}.json"), "--page", str(options.page),
        ]
        for name in options.only
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run them; stops at the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--again", action="store_true", help="also sizes that are kept")
    parser.add_argument("--only", nargs="+", choices=list(QUICK), default=list(QUICK))
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--page", type=Path, default=HERE.parent / "docs" / "speed.md")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name, command in commands(options).items():
        print(f"--- {name}", file=sys.stderr, flush=True)
        subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    main()
