"""How fast `annotate` is: objects/s on one thread, from 60 J-PAS bands to all outputs.

    python benchmarks/annotate.py [--model default] [--n 8192] [--bands 60] [--samples 0] [--pdf]

Photometry is made up (power laws with 3 % errors): the speed does not depend on the galaxies.
Printed are objects per second of wall clock and of processor time (the same on an idle machine),
and where the time goes. Without an embedded model the network has random weights: as fast.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from astropy import units as u
from astropy.table import QTable

import jpassed
from jpassed.annotation.inference import Predictor
from jpassed.filters import known_bands, load_filters
from jpassed.nn import ModelConfig, SEDModel
from jpassed.nn.checkpoint import LoadedModel
from jpassed.vocabulary import load_vocabulary


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
    """Processor time spent inside some functions."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def watch(self, owner: Any, name: str, title: str) -> None:
        """Time a function of a module or class from now on."""
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.spent[title] = self.spent.get(title, 0.0) + time.process_time() - began

        setattr(owner, name, timed)


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="default", help="name, folder, or 'random'")
    parser.add_argument("--n", type=int, default=8192)
    parser.add_argument("--bands", type=int, default=60, help="60 (J-PAS) or 62 (and GALEX)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=None)
    parser.add_argument("--samples", type=int, default=0)
    parser.add_argument("--pdf", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = choose_model(options.model)
    names = (*load_filters("jpas").names, "galex_fuv", "galex_nuv")[: options.bands]
    table = catalogue(options.n, names)
    settings = {
        "model": model,
        "device": "cpu",
        "batch_size": options.batch_size,
        "samples": options.samples,
        "pdf": options.pdf,
    }
    jpassed.annotate(table[:64], **settings)  # imports and first calls

    from jpassed.annotation import table as module
    from jpassed.annotation import task

    watch = Stopwatch()
    watch.watch(task, "read_photometry", "photometry")
    watch.watch(Predictor, "context", "tokens")
    watch.watch(SEDModel, "forward", "network")
    watch.watch(module, "posterior_columns", "columns")
    watch.watch(module, "copied", "copy of the table")
    wall, processor = time.perf_counter(), time.process_time()
    result = jpassed.annotate(table, **settings)
    processor = time.process_time() - processor
    wall = time.perf_counter() - wall
    watch.spent["the rest"] = processor - sum(watch.spent.values())
    figures = {
        "objects": len(result),
        "bands": len(names),
        "new columns": len(result.colnames) - len(table.colnames),
        "model": model.name,
        "weights": model.digest,
        "threads": options.threads,
        "objects/s (wall clock)": round(len(result) / wall),
        "objects/s (processor time)": round(len(result) / processor),
        "share of the network": round(watch.spent["network"] / processor, 3),
        "processor time, microseconds per object": {
            title: round(1e6 * seconds / len(result), 1) for title, seconds in watch.spent.items()
        },
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
