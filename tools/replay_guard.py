#!/usr/bin/env python
"""Let the guard of a training look at a log: what it would have warned of, and how near it came.

    python tools/replay_guard.py RUN/log.jsonl
"""

from __future__ import annotations

import argparse
import logging
import math
import statistics
from pathlib import Path

from jpassed.training.config import WatchConfig
from jpassed.training.guard import FEWEST, LATEST, Guard
from jpassed.training.journal import read_log


def scatters(values: list[float], value: float) -> float:
    """How many scatters (1.4826 MAD) a value lies above the median of others."""
    middle = statistics.median(values)
    return (value - middle) / (1.4826 * statistics.median(abs(v - middle) for v in values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log", type=Path, help="log.jsonl, or the folder of a training")
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    guard = Guard(WatchConfig())
    most = {"loss (scatters)": 0.0, "drift (scatters)": 0.0, "gradient norm (ratio)": 0.0}
    count = 0
    for record in read_log(parser.parse_args().log):
        # Logs of earlier versions call the norm "norm".
        loss = math.nan if record["loss"] is None else record["loss"]
        norm = record.get("gradient_norm", record.get("norm"))
        norm = math.nan if norm is None else norm
        before, norms = list(guard.losses), list(guard.norms)
        if guard.usable(record["step"], loss, norm) and len(before) >= FEWEST:
            latest = statistics.median(before[-LATEST:])
            figures = (
                scatters(before, loss),
                scatters(before[:-LATEST], latest),
                norm / statistics.median(norms),
            )
            most = {k: max(m, f) for (k, m), f in zip(most.items(), figures, strict=True)}
        count += 1
        if guard.reason:
            print(f"step {record['step']}: would stop: {guard.reason}")
            guard.forget()
    print(f"{count} steps, {guard.skipped} without a finite loss or gradient")
    for name, figure in most.items():
        print(f"most above the recent: {name} {figure:.2f}")


if __name__ == "__main__":
    main()
