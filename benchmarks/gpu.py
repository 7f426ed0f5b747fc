"""Throughput of the network by batch size, its share of the matrix rate, compiled and not.

    PYTHONPATH=. python benchmarks/gpu.py [--device auto] [--precision auto]
        [--batches 1024 4096 16384 65536] [--compile no yes] [--objects 1000000]
        [-o benchmarks/results/gpu.json] [--page docs/speed.md]

For a GPU; on a processor (with small --batches and --objects) it does the same, slowly. First the
default outputs of one batch of objects that is on the device already, then `annotate` of --objects
rows, table to table. Power laws in 60 bands: the speed does not depend on the galaxies.
`torch.compile` needs a C++ compiler on a processor, and Triton on a GPU.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from machine import describe, in_words, matrix_rate, wait_for
from markdown_blocks import markdown_table, replace_block
from measuring import megaflop
from speed_sample import power_laws

import jpassed
from jpassed.annotation import DEFAULT_OUTPUTS
from jpassed.annotation.inference import Predictor
from jpassed.annotation.task import prepare
from jpassed.filters import known_bands
from jpassed.tokens import BandLayout, Context

BATCHES = {"cpu": (64, 128, 1024), "cuda": (1024, 4096, 16384, 65536)}
OBJECTS = {"cpu": 4096, "cuda": 1_000_000}
REPEATS = 10
SMALL = 1024
"""Objects that are made; larger batches repeat them."""


def first_objects(predictor: Predictor, n: int) -> Context:
    """Context tokens of n objects, on the predictor's device."""
    task = prepare(
        power_laws(n), model=predictor.model, outputs=predictor.outputs, context=None,
        survey="auto", device=str(predictor.device), batch_size=None,
    )  # fmt: skip
    p = task.photometry
    layout = BandLayout.make(p.bands, p.pivot, p.width, predictor.network.config.patch_bands)
    return predictor.context(p, {}, slice(0, n), layout).to(predictor.device)


def network_rates(
    predictor: Predictor, batches: Sequence[int], compiled: bool, repeats: int = REPEATS
) -> list[dict[str, Any]]:
    """Objects/s of the network alone, by batch size.

    Returns
    -------
    list of dict
        ``batch``, ``compiled``, ``rate`` (objects/s), ``first_s`` (the first call, with what it
        compiles), ``mflop`` (an object), ``gflops`` and ``memory_gb`` (of a GPU, else None).
    """
    few = first_objects(predictor, min(SMALL, max(batches)))
    network: Any = predictor.network
    if compiled:
        network = torch.compile(network)
    cuda = predictor.device.type == "cuda"
    found = []
    for size in batches:
        context = few[torch.arange(size, device=predictor.device) % len(few)]
        with torch.inference_mode():
            work = megaflop(lambda c=context: predictor.network(c, predictor.requests)) / size
            if cuda:
                torch.cuda.reset_peak_memory_stats()
            began = time.perf_counter()
            network(context, predictor.requests)
            wait_for(predictor.device)
            first = time.perf_counter() - began
            for _ in range(2):
                network(context, predictor.requests)
            wait_for(predictor.device)
            began = time.perf_counter()
            for _ in range(repeats):
                network(context, predictor.requests)
            wait_for(predictor.device)
            seconds = (time.perf_counter() - began) / repeats
        found.append(
            {
                "batch": size,
                "compiled": compiled,
                "rate": size / seconds,
                "first_s": first,
                "mflop": work,
                "gflops": 1e-3 * work * size / seconds,
                "memory_gb": torch.cuda.max_memory_allocated() / 1e9 if cuda else None,
            }
        )
        print(f"batch {size}, compiled {compiled}: {size / seconds:,.0f}/s", file=sys.stderr)
    return found


def annotate_rate(model: Any, device: str, precision: str, n: int, chi2: str) -> dict[str, Any]:
    """Objects/s of `annotate`, table to table."""
    table = power_laws(n)
    settings = {"model": model, "device": device, "precision": precision, "chi2": chi2}
    jpassed.annotate(table[: min(n, 1024)], **settings)
    began = time.perf_counter()
    jpassed.annotate(table, **settings)
    return {"chi2": chi2, "objects": n, "rate": n / (time.perf_counter() - began)}


def page_block(results: dict[str, Any]) -> str:
    """The figures as they stand in the page."""
    peak = results["matrix_gflops"]
    body = [
        [
            f"{row['batch']:,}", "yes" if row["compiled"] else "no", f"{row['rate']:,.0f}",
            f"{row['mflop']:.1f}", f"{row['gflops'] / peak:.0%}",
            "" if row["memory_gb"] is None else f"{row['memory_gb']:.1f} GB",
            f"{row['first_s']:.1f} s",
        ]
        for row in results["network"]
    ]  # fmt: skip
    head = [
        "objects at a time", "compiled", "objects/s", "MFLOP an object",
        "share of the matrix rate", "GPU memory", "first call",
    ]  # fmt: skip
    whole = [
        f"`annotate` ({'default' if row['chi2'] == 'quick' else 'no jp_chi2'}) of "
        f"{row['objects']:,} rows, table to table: {row['rate']:,.0f} objects/s."
        for row in results["annotate"]
    ]
    said = (
        f"The network in {results['precision']} on `{results['machine']['device']}`, whose matrix "
        f"rate is {peak / 1000:,.2f} TFLOP/s. {in_words(results['machine'])}"
    )
    return "\n\n".join([said, markdown_table(head, body), *whole])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default", help="name or folder")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--batches", type=int, nargs="+")
    parser.add_argument("--compile", nargs="+", default=["no"], choices=("no", "yes"))
    parser.add_argument("--objects", type=int, help="rows of annotate; 0 leaves it out")
    parser.add_argument("--threads", type=int, default=1, help="of a processor")
    parser.add_argument("-o", "--output", type=Path, help="JSON")
    parser.add_argument("--page", type=Path, help="page whose block 'gpu' is replaced")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    model = jpassed.load_model(options.model)
    predictor = Predictor(model, DEFAULT_OUTPUTS, known_bands(), options.device, options.precision)
    device = predictor.device
    rate = matrix_rate(getattr(torch, predictor.precision), str(device))
    results: dict[str, Any] = {
        "machine": describe(str(device)),
        "model": {"name": model.name, "version": model.version, "weights": model.digest},
        "precision": predictor.precision,
        "matrix_gflops": rate["gflops"],
        "network": [],
        "annotate": [],
    }
    batches = options.batches or BATCHES.get(device.type, BATCHES["cpu"])
    for choice in options.compile:
        results["network"] += network_rates(predictor, batches, choice == "yes")
    objects = OBJECTS.get(device.type, OBJECTS["cpu"])
    objects = objects if options.objects is None else options.objects
    for chi2 in ("quick", "none") if objects else ():
        results["annotate"].append(
            annotate_rate(model, str(device), predictor.precision, objects, chi2)
        )
    print(page_block(results))
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    if options.page is not None:
        replace_block(options.page, "gpu", page_block(results))


if __name__ == "__main__":
    main()
