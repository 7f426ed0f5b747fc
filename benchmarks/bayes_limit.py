"""The information limit: posteriors by the simulator itself, and a model against them.

    PYTHONPATH=. python benchmarks/bayes_limit.py FOLDER --cache FILE [--n N] [--half N]
        [--sandwich N] [--model default] [--compare-only] [--docs docs/limit.md]
        [-o X.json]

FOLDER is the shared data. The limit is the posterior under the package's own simulator, priors
(natural, ``balance=0``) and noise (``minijpas-v1`` with GALEX AIS), computed by importance
sampling from a library of prior draws where that is accepted, elsewhere by tempered sequential
Monte Carlo (docs/limit.md). Objects come from seeds 7,000,000 + bin, which no training uses, and
from the natural prior inside each bin of noisy r magnitude. FILE keeps photometry, truths, draws
and scores of every object (layout: limit_run.py) and is taken up where it ends; with
``--compare-only`` nothing is computed but the model's answer.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import torch
from limit_run import Limit, add, load

BATCH = 12
ORDER = (2, 1, 3, 0)


def main() -> None:
    """Compute what is missing, then compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("--cache", type=Path, required=True, help="file of the limit's posteriors")
    parser.add_argument("--n", type=int, default=48, help="objects a magnitude bin")
    parser.add_argument("--half", type=int, default=0, help="objects a bin with half of the bands")
    parser.add_argument("--sandwich", type=int, default=6, help="a bin, from the truth as well")
    parser.add_argument("--library", type=int, default=600_000, help="prior draws a bin")
    parser.add_argument("--particles", type=int, default=160)
    parser.add_argument("--sweeps", type=int, default=240)
    parser.add_argument("--tempering", type=int, default=5)
    parser.add_argument("--model", default="default", help="name or path")
    parser.add_argument("--compare-only", action="store_true")
    parser.add_argument("--limit-only", action="store_true")
    parser.add_argument("--docs", type=Path, default=None, help="page whose tables to renew")
    parser.add_argument("-o", "--output", type=Path, default=None)
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    if not options.compare_only:
        fill(options)
    if not options.limit_only:
        from limit_compare import compare, text
        from limit_report import update

        result = compare(load(options.cache), options.model)
        print(text(result))
        if options.docs:
            update(options.docs, result)
        if options.output:
            options.output.write_text(json.dumps(result, indent=1) + "\n")


def fill(options: argparse.Namespace) -> None:
    """Compute the batches that the file lacks, all bins in turn."""
    limit: Limit | None = None
    arrays = load(options.cache)
    for case, index, first, last in schedule(options.n, options.half):
        begin = max(first, present(arrays, index, case))
        if begin >= last:
            continue
        if limit is None:
            limit = Limit(
                options.folder, options.library, options.particles, options.sweeps,
                options.tempering,
            )  # fmt: skip
        sandwich = min(3, max(0, options.sandwich - first // BATCH * 3)) if case == 0 else 0
        batch = limit.batch(index, begin, last, case, sandwich)
        arrays = add(options.cache, arrays, batch, limit.bands)


def schedule(full: int, half: int) -> list[tuple[int, int, int, int]]:
    """(case, bin, first, last) of every batch: one of half the bands after two of all."""
    rounds: list[tuple[int, int, int]] = []
    for r in range(-(-full // BATCH)):
        rounds.append((0, r * BATCH, full))
        if r % 2 == 1:
            rounds.append((1, r // 2 * BATCH, half))
    halves = [(1, first, half) for first in range(0, half, BATCH)]
    rounds += [entry for entry in halves if entry not in rounds]
    return [
        (case, index, first, min(first + BATCH, number))
        for case, first, number in rounds
        if first < number
        for index in ORDER
    ]


def present(arrays: dict[str, np.ndarray], index: int, case: int) -> int:
    """Objects of a bin that the file holds."""
    if "bin" not in arrays:
        return 0
    return int(((arrays["bin"] == index) & (arrays["case"] == case)).sum())


if __name__ == "__main__":
    main()
