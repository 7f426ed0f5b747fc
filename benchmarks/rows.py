"""Cost against rows: `jpassed annotate` of FITS files from a thousand to ten million rows.

    PYTHONPATH=. python benchmarks/rows.py [--rows 1000 10000 100000 1000000 10000000]
        [--workers 1] [--precision auto] [--scratch FOLDER] [--again]
        [-o benchmarks/results/rows.json] [--page docs/speed.md] [--figure docs/_static/rows.png]

Every number of rows is a file of its own (60 bands with errors, power laws), annotated with the
default outputs by a process of its own, from its start to the finished file, and removed. Results
are kept after each: the same command goes on with the sizes that the results lack, or with --again
measures all anew. Ten million rows take some 5 GB for the input and 20 GB besides in --scratch,
and an hour or more. Without -o nothing is kept.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import stream
from machine import describe, in_words
from markdown_blocks import markdown_table, replace_block

SIZES = (1000, 10_000, 100_000, 1_000_000, 10_000_000)


def measured(rows: int, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One size, as `stream.measured` has it, with what was asked for."""
    own = {"workers": options.workers, "precision": options.precision}
    settings = argparse.Namespace(threads=1, ending="fits", **own)
    return {**stream.measured(rows, settings, folder), "rows": rows, **own}


def same(run: dict[str, Any], rows: int, options: argparse.Namespace) -> bool:
    """Whether a kept run is of this size and these options."""
    return (run["rows"], run["workers"], run["precision"]) == (
        rows, options.workers, options.precision,
    )  # fmt: skip


def page_block(runs: Sequence[dict[str, Any]], figure: str | None) -> str:
    """The figures as they stand in the page."""
    ordered = sorted(runs, key=lambda run: (run["workers"], run["rows"]))
    head = [
        "rows", "workers", "time", "rows/s", "processor time a row", "model's share",
        "peak memory", "input", "output",
    ]  # fmt: skip
    body = [
        [
            f"{run['rows']:,}", str(run["workers"]), spoken(run["shell_s"]),
            f"{run['rows'] / run['shell_s']:,.0f}",
            f"{1e6 * run['processor_s'] / run['rows']:,.0f} µs",
            f"{run['model_share']:.0%}" if "model_share" in run else "",
            memory(run), f"{run['input_mb']:,.1f} MB", f"{run['output_mb']:,.1f} MB",
        ]
        for run in ordered
    ]  # fmt: skip
    parts = [markdown_table(head, body)]
    machine = dict(max((run["machine"] for run in ordered), key=lambda one: one["date"]))
    loads = [run["machine"]["load"] for run in ordered if run["machine"]["load"] is not None]
    said = f" Load before the runs: {min(loads):.1f} to {max(loads):.1f}." if loads else ""
    parts.append(in_words({**machine, "load": None}) + said)
    if figure is not None:
        parts.append(f"![Cost against rows](_static/{figure})")
    return "\n\n".join(parts)


def spoken(seconds: float) -> str:
    """A time in seconds, minutes or hours."""
    for limit, unit, name in ((100.0, 1.0, "s"), (5400.0, 60.0, "min")):
        if seconds < limit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds / 3600:.2f} h"


def memory(run: dict[str, Any]) -> str:
    """Peak memory, of the process and of its largest worker."""
    own = f"{run['peak_memory_mb'] / 1000:.2f} GB"
    if "peak_memory_of_a_worker_mb" in run:
        own += f" + {run['peak_memory_of_a_worker_mb'] / 1000:.2f} GB a worker"
    return own


def draw(runs: Sequence[dict[str, Any]], path: Path) -> None:
    """Time and peak memory against rows."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.6), layout="constrained")
    for workers in sorted({run["workers"] for run in runs}):
        own = sorted((r for r in runs if r["workers"] == workers), key=lambda run: run["rows"])
        rows = [run["rows"] for run in own]
        label = f"{workers} worker{'s' if workers > 1 else ''}"
        left.loglog(rows, [run["shell_s"] for run in own], "o-", label=label)
        right.semilogx(rows, [run["peak_memory_mb"] / 1000 for run in own], "o-", label=label)
    longest = max(runs, key=lambda run: run["rows"])
    ends = [min(run["rows"] for run in runs), longest["rows"]]
    line = [longest["shell_s"] * end / longest["rows"] for end in ends]
    left.loglog(ends, line, ":", color="grey", label="in proportion to rows")
    left.set(xlabel="rows", ylabel="time from the shell [s]")
    most = max(run["peak_memory_mb"] for run in runs) / 1000
    right.set(xlabel="rows", ylabel="peak memory [GB]", ylim=(0.0, 1.25 * most))
    left.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the results lack, and show all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--scratch", type=Path, help="where the files are for a while")
    parser.add_argument("--again", action="store_true", help="measure sizes that are there, too")
    parser.add_argument("-o", "--output", type=Path, help="JSON with all figures")
    parser.add_argument("--page", type=Path, help="page whose block 'rows' is replaced")
    parser.add_argument("--figure", type=Path, help="PNG, beside other figures of the pages")
    options = parser.parse_args(arguments)
    runs: list[dict[str, Any]] = []
    if options.output is not None and options.output.exists():
        runs = json.loads(options.output.read_text("utf-8"))["runs"]
    for rows in options.rows:
        if any(same(run, rows, options) for run in runs) and not options.again:
            print(f"{rows:,} rows: kept from before", file=sys.stderr)
            continue
        machine = describe()
        folder = Path(tempfile.mkdtemp(prefix="jpassed-rows-", dir=options.scratch))
        try:
            found = {**measured(rows, options, folder), "machine": machine}
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        runs = [*(run for run in runs if not same(run, rows, options)), found]
        print(f"{rows:,} rows: {spoken(found['shell_s'])}", file=sys.stderr, flush=True)
        if options.output is not None:
            options.output.parent.mkdir(parents=True, exist_ok=True)
            temporary = options.output.with_suffix(".tmp")
            temporary.write_text(json.dumps({"runs": runs}, indent=1) + "\n", "utf-8")
            temporary.replace(options.output)
    if options.figure is not None:
        draw(runs, options.figure)
    block = page_block(runs, None if options.figure is None else options.figure.name)
    print(block)
    if options.page is not None:
        replace_block(options.page, "rows", block)


if __name__ == "__main__":
    main()
