"""What the options of `annotate` cost, against the default in the same run.

    PYTHONPATH=. python benchmarks/options.py [--n 1024] [--rounds 3] [--threads 1]
        [-o benchmarks/results/options.json] [--page docs/speed.md]

Power laws in 60 bands, table to table, in one process on one thread. Rounds go through all options
in turn; medians of processor time count. What is slow by design (draws, refinement) gets fewer
objects.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from astropy.table import QTable
from machine import describe, in_words
from markdown_blocks import markdown_table, replace_block
from measuring import timed
from speed_sample import BANDS, power_laws

import jpassed

NARROW = 56
"""The first of `BANDS`; uJPAS, g, r, i follow."""


def as_it_is(table: QTable) -> QTable:
    """All bands."""
    return table


def every_second_band(table: QTable) -> QTable:
    """Half of the bands."""
    return without(table, BANDS[1::2])


def broad_bands(table: QTable) -> QTable:
    """uJPAS, g, r, i alone."""
    return without(table, BANDS[:NARROW])


def with_redshift(table: QTable) -> QTable:
    """A known redshift, too."""
    table["z_spec"] = 0.3
    return table


def without(table: QTable, bands: Sequence[str]) -> QTable:
    """The table without some bands and their errors."""
    table.remove_columns([name for band in bands for name in (band, f"{band}_err")])
    return table


@dataclass(frozen=True)
class Option:
    """One line: what is asked.

    Attributes
    ----------
    said : str
        As on the command line, or in words.
    settings : dict
        Of `annotate`.
    table : callable
        Makes the input of a copy of the table.
    share : float
        Of the objects that the fast options get.
    """

    said: str
    settings: dict[str, Any] = field(default_factory=dict)
    table: Callable[[QTable], QTable] = as_it_is
    share: float = 1.0


OPTIONS = (
    Option("default"),
    Option("`--precision float32`", {"precision": "float32"}),
    Option("`--chi2 none`", {"chi2": "none"}),
    Option("`--chi2 full`", {"chi2": "full"}, share=0.5),
    Option("`--outputs z`", {"outputs": "z"}),
    Option("`--outputs z --chi2 none`", {"outputs": "z", "chi2": "none"}),
    Option("`--outputs z,logmstar,logsfr`", {"outputs": "z,logmstar,logsfr"}),
    Option("`--pdf`", {"pdf": True}),
    Option("`--samples 10`", {"samples": 10}, share=0.25),
    Option("`--samples 10 --independent`", {"samples": 10, "joint": False}, share=0.5),
    Option("`--context z=z_spec`", {"context": {"z": "z_spec"}}, with_redshift),
    Option("half of the bands in the table", {}, every_second_band),
    Option("uJPAS, g, r, i alone in the table", {}, broad_bands),
)


def measure(n: int, rounds: int) -> list[dict[str, Any]]:
    """Objects/s on the processor time of a thread, by option."""
    table = power_laws(n)
    seconds: dict[str, list[float]] = {option.said: [] for option in OPTIONS}
    for turn in range(rounds + 1):
        for option in OPTIONS:
            few = max(8, round(n * option.share)) if turn else 8
            rows = option.table(table[:few].copy())
            settings = {"device": "cpu", **option.settings}
            spent = timed(lambda t=rows, s=settings: jpassed.annotate(t, **s), 1).processor
            if turn:  # the first round is not counted: imports, first calls
                seconds[option.said].append(spent / few)
        print(f"round {turn} of {rounds}", file=sys.stderr)
    middle = {said: statistics.median(values) for said, values in seconds.items()}
    return [
        {"option": said, "rate": 1.0 / value, "cost": value / middle["default"]}
        for said, value in middle.items()
    ]


def page_block(results: dict[str, Any]) -> str:
    """The figures as they stand in the page."""
    body = [
        [row["option"], f"{row['rate']:,.0f}", f"{row['cost']:.2f}"] for row in results["options"]
    ]
    head = ["option", "objects/s on a thread", "time, default = 1"]
    return "\n\n".join([markdown_table(head, body), in_words(results["machine"])])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, help="JSON")
    parser.add_argument("--page", type=Path, help="page whose block 'options' is replaced")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    results = {"machine": describe(), "options": measure(options.n, options.rounds)}
    print(page_block(results))
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    if options.page is not None:
        replace_block(options.page, "options", page_block(results))


if __name__ == "__main__":
    main()
