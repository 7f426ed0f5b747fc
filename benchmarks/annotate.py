"""Where the time of `annotate` goes: the network, and everything around it, on one thread.

    PYTHONPATH=. python benchmarks/annotate.py [--model default] [--n 16384] [--bands 60]
        [--precision auto] [--chi2 quick] [--samples 0] [--pdf] [--rounds 3]
        [-o benchmarks/results/annotate.json] [--page docs/speed.md]

Photometry is made up (power laws with errors): the speed does not depend on the galaxies. Each
round annotates the same table; the round with the least processor time is kept. A stage's time is
its own, without the stages that it calls. Without an embedded model the network has random
weights: as fast. What a user waits for besides, the start, is in `benchmarks/startup.py`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from astropy import units as u
from astropy.table import QTable
from machine import describe, in_words
from markdown_blocks import markdown_table, replace_block

import jpassed
from jpassed.annotation import row_flags, task
from jpassed.annotation import table as tables
from jpassed.annotation.inference import Predictor
from jpassed.annotation.predictive import FORMS
from jpassed.filters import known_bands, load_filters
from jpassed.nn import ModelConfig, SEDModel
from jpassed.nn.checkpoint import LoadedModel
from jpassed.vocabulary import load_vocabulary

BUDGET = 40.0
"""Microseconds of an object that are not the network's, at most."""

STAGES: tuple[tuple[Any, str, str], ...] = (
    (task, "read_photometry", "bandfluxes from columns"),
    (Predictor, "context", "tokens"),
    (Predictor, "ask", "network"),
    (Predictor, "distributions", "posteriors of the network's numbers"),
    (tables, "known_quantiles", "quantiles of the redshift"),
    (tables, "posterior_values", "quantiles of the others, columns"),
    (row_flags.TaskChi2, "flags", "jp_chi2"),
    (row_flags.TaskIntruders, "flags", "jp_intruder"),
    (row_flags.RowFlags, "of", "jp_flag"),
    (tables, "copied", "copy of the table"),
)


def catalogue(n: int, bands: tuple[str, ...], seed: int = 1) -> QTable:
    """Power laws of 17 to 22 mag with noise."""
    rng = np.random.default_rng(seed)
    brightness = 10 ** rng.uniform(0.8, 2.8, n)
    slope = rng.normal(1.5, 0.7, n)
    table = QTable({"id": np.arange(n)})
    for band in bands:
        true = brightness * (known_bands()[band][0] / 6000.0) ** slope
        error = 0.03 * true + 0.2
        table[band] = (true + error * rng.standard_normal(n)) * u.uJy
        table[f"{band}_err"] = error * u.uJy
    return table


def choose_model(name: str) -> LoadedModel:
    """A model by name, or one of the default shape with random weights."""
    if name != "random" and (name != "default" or "default" in jpassed.list_models()):
        return jpassed.load_model(name)
    torch.manual_seed(1)
    bands = tuple(load_filters("jpas").names)
    config = ModelConfig(patch_bands=bands, patch_width=720, contrast_bands=56)
    return LoadedModel(SEDModel(config, load_vocabulary()).eval(), {"name": "random"}, "0" * 16)


class Stopwatch:
    """Processor time of functions, each without those of the others that it calls."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._inner = [0.0]

    @contextmanager
    def watching(self, stages: Sequence[tuple[Any, str, str]]) -> Iterator[Stopwatch]:
        """Time the functions of (module or class, name, title) meanwhile."""
        kept = [(owner, name, getattr(owner, name)) for owner, name, _ in stages]
        for (owner, name, title), (_, _, function) in zip(stages, kept, strict=True):
            setattr(owner, name, self._timed(function, title))
        try:
            yield self
        finally:
            for owner, name, function in kept:
                setattr(owner, name, function)

    def _timed(self, function: Callable[..., Any], title: str) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.process_time()
            self._inner.append(0.0)
            try:
                return function(*args, **kwargs)
            finally:
                spent = time.process_time() - began
                own = spent - self._inner.pop()
                self._inner[-1] += spent
                self.spent[title] = self.spent.get(title, 0.0) + own

        return timed


def measure(table: QTable, settings: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Microseconds of an object in each stage, and the cost of a call whatever its rows."""
    small = table[:128]
    jpassed.annotate(small, **settings)  # imports and first calls
    best: dict[str, Any] | None = None
    for _ in range(rounds):
        wall, processor = time.perf_counter(), time.process_time()
        with Stopwatch().watching(STAGES) as watch:
            result = jpassed.annotate(table, **settings)
        processor = time.process_time() - processor
        wall = time.perf_counter() - wall
        if best is None or processor < best["processor_s"]:
            best = {"processor_s": processor, "wall_s": wall, "spent": dict(watch.spent)}
            best["new columns"] = len(result.colnames) - len(table.colnames)
    if best is None:
        raise ValueError("expected at least one round")
    fixed = []
    for _ in range(rounds):
        began = time.process_time()
        with Stopwatch().watching(STAGES) as watch:
            jpassed.annotate(small, **settings)
        fixed.append(time.process_time() - began - watch.spent["network"])
    n, spent = len(table), best.pop("spent")
    spent["the rest"] = best["processor_s"] - sum(spent.values())
    outside = best["processor_s"] - spent["network"]
    return {
        **best,
        "objects": n,
        "objects/s (wall clock)": round(n / best["wall_s"]),
        "objects/s (processor time)": round(n / best["processor_s"]),
        "network, share": round(spent["network"] / best["processor_s"], 4),
        "network, us per object": round(1e6 * spent["network"] / n, 1),
        "outside the network, us per object": round(1e6 * outside / n, 1),
        "call of 128 objects without the network, ms": round(1e3 * min(fixed), 1),
        "stages, us per object": {title: round(1e6 * s / n, 2) for title, s in spent.items()},
    }


def page_block(figures: dict[str, Any], machine: dict[str, Any]) -> str:
    """A table of the stages, and a sentence on the machine."""
    total = figures["network, us per object"] + figures["outside the network, us per object"]
    stages = sorted(figures["stages, us per object"].items(), key=lambda item: -item[1])
    body = [[title, f"{us:.1f}", f"{100 * us / total:.1f} %"] for title, us in stages]
    outside = figures["outside the network, us per object"]
    met = "met" if outside <= BUDGET else "**missed**"
    return (
        f"{markdown_table(['stage', 'microseconds an object', 'share'], body)}\n\n"
        f"{figures['objects']:,} objects, {figures['bands']} bands, "
        f"{figures['precision']}: {outside:.0f} microseconds an object outside the network (asked: "
        f"{BUDGET:.0f}, {met}), {100 * figures['network, share']:.1f} % of the processor time "
        "inside it. A call costs "
        f"{figures['call of 128 objects without the network, ms']:.0f} ms besides the network, "
        f"whatever its rows (128 here). {in_words(machine)}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print JSON, keep it, and fill the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default", help="name, folder, or 'random'")
    parser.add_argument("--n", type=int, default=16384)
    parser.add_argument("--bands", type=int, default=60, help="60 (J-PAS) or 62 (and GALEX)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--chi2", choices=FORMS, default="quick")
    parser.add_argument("--batch-size", type=int, default=None)
    parser.add_argument("--samples", type=int, default=0)
    parser.add_argument("--pdf", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, help="JSON file of the figures")
    parser.add_argument("--page", type=Path, help="page with the mark <!-- annotate -->")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    machine = describe()
    model = choose_model(options.model)
    names = (*load_filters("jpas").names, "galex_fuv", "galex_nuv")[: options.bands]
    table = catalogue(options.n, names)
    settings = {
        "model": model,
        "device": "cpu",
        "precision": options.precision,
        "chi2": options.chi2,
        "batch_size": options.batch_size,
        "samples": options.samples,
        "pdf": options.pdf,
    }
    found = measure(table, settings, options.rounds)
    about = {
        "bands": len(names),
        "model": model.name,
        "weights": model.digest,
        "precision": jpassed.annotate(table[:1], **settings).meta["jp_precision"],
        "chi2": options.chi2,
        "threads": options.threads,
    }
    figures = {**about, **found}
    print(json.dumps(figures, indent=1))
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps({"machine": machine, **figures}, indent=1) + "\n")
    if options.page:
        replace_block(options.page, "annotate", page_block(figures, machine))


if __name__ == "__main__":
    main()
