"""What the network costs: MFLOP per object, and how near it comes to the machine's matrix rate.

    PYTHONPATH=. python benchmarks/model_cost.py [--device cpu] [--threads 1] [--blocks 64 128 256]
        [--n 4096] [--compile] [-o model_cost.json] [--markdown docs/speed.md]

Operations of matrix products are counted as torch runs them (2 for a multiplication and an
addition), of the default outputs (one pass) and of `annotate` as it is (a second pass for
jp_chi2). The machine's rate is that of one large matrix product in the same precision, measured in
the same run. Times are of the processor (on a GPU: of the device), without what surrounds the
network.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from markdown_blocks import replace_block, shown_command
from torch.utils.flop_counter import FlopCounterMode

import jpassed
from jpassed.annotation import DEFAULT_OUTPUTS, blocks
from jpassed.annotation.devices import choose_device, native_bfloat16
from jpassed.annotation.inference import Predictor
from jpassed.annotation.predictive import compared_bands
from jpassed.filters import known_bands, load_filters
from jpassed.nn.checkpoint import LoadedModel
from jpassed.surveys import Photometry
from jpassed.tokens import BandLayout, Context

PEAK_SIZE = {"cpu": 2048, "cuda": 8192}
LEAST_SECONDS = 0.3


def main() -> None:
    """Measure, print JSON, and write the table of the docs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="default")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--n", type=int, default=4096, help="objects")
    parser.add_argument("--blocks", type=int, nargs="+", default=None, help="objects in a block")
    parser.add_argument("--compile", action="store_true", help="also with torch.compile")
    parser.add_argument("-o", "--output", type=Path, default=None)
    parser.add_argument("--markdown", type=Path, default=None, help="page to put the table into")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    model = jpassed.load_model(options.model)
    usual = blocks.BLOCK.get(device.type, blocks.BLOCK["cpu"])
    sizes = options.blocks or sorted({usual // 2, usual, 2 * usual})
    photometry = made_up(options.n)
    figures: dict[str, Any] = {
        "command": shown_command(sys.argv),
        "machine": machine(device, options.threads),
        "weights": model.digest,
        "MFLOP per object": counted(model, photometry),
        "rates": {},
        "passes": [],
    }
    for precision in ("float32", "bfloat16") if native_bfloat16(device) else ("float32",):
        rate = matrix_rate(device, getattr(torch, precision))
        figures["rates"][precision] = {"GFLOP/s of a large matrix product": round(rate)}
        for size in sizes:
            for compiled in (False, True) if options.compile else (False,):
                figures["passes"].append(
                    measured(model, photometry, device, precision, size, rate, compiled)
                )
    text = json.dumps(figures, indent=1)
    print(text)
    if options.output is not None:
        options.output.write_text(text + "\n")
    if options.markdown is not None:
        replace_block(options.markdown, "model cost", markdown(figures))


def machine(device: torch.device, threads: int) -> dict[str, Any]:
    """What the figures belong to."""
    name = torch.cpu.get_capabilities().get("cpu_name") or platform.processor()
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    return {"name": name, "threads": threads, "torch": torch.__version__}


def made_up(n: int, seed: int = 1) -> Photometry:
    """Power laws with 3 % errors in the J-PAS bands; the cost does not depend on the galaxies."""
    names = tuple(load_filters("jpas").names)
    pivot, width = np.array([known_bands()[name] for name in names]).T
    rng = np.random.default_rng(seed)
    true = 10 ** rng.uniform(0.8, 2.8, (n, 1)) * (pivot / 6000.0) ** rng.normal(1.5, 0.7, (n, 1))
    error = 0.03 * true + 0.2
    flux = true + error * rng.standard_normal(true.shape)
    every = np.ones(flux.shape, dtype=bool)
    return Photometry(names, pivot, width, flux, error, every, np.zeros(n, dtype=bool))


def asked(model: LoadedModel, photometry: Photometry) -> dict[str, tuple[str, ...]]:
    """Requests of the passes of `annotate` with its default options."""
    tested = compared_bands(photometry.bands, photometry.pivot, "quick")
    bands = np.array(photometry.bands)[tested]
    return {"posteriors": DEFAULT_OUTPUTS, "jp_chi2": tuple(f"flux:{band}" for band in bands)}


def counted(model: LoadedModel, photometry: Photometry, n: int = 64) -> dict[str, float]:
    """Operations of the matrix products of each pass, per object and in units of a million."""
    found = {}
    for name, names in asked(model, photometry).items():
        predictor = Predictor(model, names, known_bands(), "cpu")
        context = context_of(predictor, photometry)[:n]
        questions = predictor.network.prepare(predictor.requests)
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            predictor.network(context, predictor.requests, None, questions)
        found[name] = round(counter.get_total_flops() / n / 1e6, 2)
    return found


def context_of(predictor: Predictor, photometry: Photometry) -> Context:
    """Tokens of all objects on the predictor's device."""
    layout = BandLayout.make(
        photometry.bands, photometry.pivot, photometry.width,
        predictor.network.config.patch_bands,
    )  # fmt: skip
    whole = slice(0, len(photometry))
    return predictor.context(photometry, {}, whole, layout).to(predictor.device)


def best_time(work: Callable[[], Any], device: torch.device) -> float:
    """Least time of a call in seconds: processor time, or wall time of a GPU that is waited for."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    work()
    best, began = np.inf, time.perf_counter()
    while time.perf_counter() - began < LEAST_SECONDS or best == np.inf:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        start = clock()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, clock() - start)
    return best / (torch.get_num_threads() if device.type == "cpu" else 1)


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """GFLOP/s of one large matrix product."""
    size = PEAK_SIZE.get(device.type, PEAK_SIZE["cpu"])
    one, other = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2.0 * size**3 / best_time(lambda: one @ other, device) / 1e9


def measured(
    model: LoadedModel,
    photometry: Photometry,
    device: torch.device,
    precision: str,
    size: int,
    rate: float,
    compiled: bool,
) -> dict[str, Any]:
    """One pass for the default outputs in blocks of a size."""
    predictor = Predictor(model, DEFAULT_OUTPUTS, known_bands(), str(device), precision)
    context = context_of(predictor, photometry)
    operations = counted(model, photometry)["posteriors"]
    before = dict(blocks.BLOCK)
    began = time.perf_counter()
    try:
        blocks.BLOCK[device.type] = size
        if compiled:
            predictor.network.compile()
        predictor.ask(context)
        first = time.perf_counter() - began
        seconds = best_time(lambda: predictor.ask(context), device) / len(photometry)
    finally:
        blocks.BLOCK.update(before)
    return {
        "precision": precision,
        "objects in a block": size,
        "compiled": compiled,
        "first call s": round(first, 2),
        "microseconds per object": round(seconds * 1e6, 1),
        "objects/s": round(1.0 / seconds),
        "GFLOP/s": round(operations * 1e6 / seconds / 1e9, 1),
        "share of the matrix rate": round(operations * 1e6 / seconds / 1e9 / rate, 3),
    }


def markdown(figures: dict[str, Any]) -> str:
    """The table of the docs."""
    count, at = figures["MFLOP per object"], figures["machine"]
    lines = [
        f"Matrix products take {count['posteriors']:g} MFLOP an object for the default outputs, "
        f"and {count['jp_chi2']:g} more for `jp_chi2`. On {at['name']} "
        f"({at['threads']} thread{'s' if at['threads'] > 1 else ''}, torch {at['torch']}) one pass "
        "takes:",
        "",
        "| precision | objects in a block | µs per object | GFLOP/s | of a large matrix product |",
        "|---|---|---|---|---|",
    ]
    for row in figures["passes"]:
        how = f"{row['precision']}{', compiled' if row['compiled'] else ''}"
        whole = figures["rates"][row["precision"]]["GFLOP/s of a large matrix product"]
        lines.append(
            f"| {how} | {row['objects in a block']} | {row['microseconds per object']:g} | "
            f"{row['GFLOP/s']:g} | {row['share of the matrix rate']:.0%} of {whole} |"
        )
    return "\n".join([*lines, "", f"Measured with `{figures['command']}`."])


if __name__ == "__main__":
    main()
