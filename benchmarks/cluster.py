"""Two workers against one on a HATS catalogue and a folder, and what a survey would cost.

    PYTHONPATH=. python benchmarks/cluster.py [--n 40000] [--partitions 16] [--repeats 1] [--write]

Photometry is made up (benchmarks/annotate.py). Every run has a cluster of its own, whose workers
are ready before the clock starts; the clock stops when the output has its name. The output is
compared with `annotate` of the one table, bit by bit. With --write the figures go into
benchmarks/results/cluster.json and docs/survey_scale.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from annotate import catalogue
from machine import RESULTS, describe, in_words
from markdown_blocks import markdown_table, replace_block
from measuring import peak_memory

import jpassed
from jpassed.cluster import (
    ObjectCost,
    annotate_hats,
    annotate_parquet_folder,
    measure_cost,
    plan_survey,
)
from jpassed.cluster.parts import ROWS_A_GROUP
from jpassed.filters import load_filters

PAGE = Path(__file__).resolve().parents[1] / "docs" / "survey_scale.md"
SURVEYS = ((1e8, (16, 128)), (1e10, (128, 1024)))
PRICE = 0.05
"""Of a core-hour in the tables of the page: an example, to be replaced by one's own."""


def make_catalogue(n: int, partitions: int, folder: Path) -> Any:
    """A table, the same as HATS catalogue and as folder of Parquet files."""
    import lsdb
    import pyarrow.parquet
    from nested_pandas.nestedframe.io import from_pyarrow

    from jpassed.io.native_columns import plain_table
    from jpassed.io.parquet_tables import arrow_table

    rng = np.random.default_rng(3)
    table = catalogue(n, tuple(load_filters("jpas").names))
    table["ra"], table["dec"] = rng.uniform(120, 180, n), rng.uniform(20, 60, n)
    rows = arrow_table(plain_table(table))
    (folder / "parquet").mkdir(parents=True)
    step = -(-n // partitions)
    for k, start in enumerate(range(0, n, step)):
        part = rows.slice(start, step)
        pyarrow.parquet.write_table(part, folder / "parquet" / f"part-{k:03d}.parquet")
    for name, each in (("hats", step), ("hats_whole", n + 1)):
        lsdb.from_dataframe(
            from_pyarrow(rows), ra_column="ra", dec_column="dec", catalog_name=name,
            partition_rows=each, margin_threshold=None, lowest_order=0 if each > n else 2,
        ).write_catalog(folder / name, as_collection=False, progress_bar=False)  # fmt: skip
    return table


def make_ready() -> None:
    """What a worker does once: imports, and the model."""
    import lsdb  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import torch

    import jpassed

    torch.set_num_threads(1)
    model = jpassed.load_model()
    jpassed.annotate(catalogue(64, tuple(load_filters("jpas").names)), model=model, device="cpu")


def spent() -> tuple[float, float]:
    """Processor seconds of a process until now, and its peak memory in bytes."""
    return time.process_time(), 1e6 * peak_memory()


def run(
    annotate: Callable[..., int],
    source: Path,
    target: Path,
    workers: int,
    options: dict[str, Any],
    processes: bool = True,
) -> dict[str, Any]:
    """One run on a cluster of its own, its workers processes or threads of this one.

    Returns
    -------
    dict
        ``wall`` and ``parts`` (seconds: all, and from the first part that is done to the last),
        ``cpu`` (seconds of all workers), ``memory`` (bytes, of the largest), ``start`` (seconds
        until the workers were ready).
    """
    import distributed

    shutil.rmtree(target, ignore_errors=True)
    began = time.perf_counter()
    with (
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=processes,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        if processes:
            client.run(sys.path.insert, 0, str(Path(__file__).parent))
            client.run(make_ready)
        ready = time.perf_counter()
        before = sum(cpu for cpu, _ in client.run(spent).values())
        done: list[tuple[float, int]] = []
        rows = annotate(
            source, target, scheduler=cluster.scheduler_address,
            progress=lambda n, total: done.append((time.perf_counter(), n)), **options,
        )  # fmt: skip
        wall = time.perf_counter() - ready
        after = list(client.run(spent).values())
    return {
        "workers": workers,
        "rows": rows,
        "wall": wall,
        "parts": done[-1][0] - ready,
        "cpu": sum(cpu for cpu, _ in after) - before,
        "memory": max(peak for _, peak in after),
        "start": ready - began,
    }


def differing(table: Any, target: Path, options: dict[str, Any]) -> list[str]:
    """New columns in which an output differs from `annotate` of the one table."""
    from jpassed.io.catalogs import read_catalog
    from jpassed.io.layout import join_tables
    from jpassed.io.native_columns import plain_table

    expected = plain_table(jpassed.annotate(table, **options))
    paths = [p for p in target.rglob("*.parquet") if p.stem.startswith(("Npix", "part-"))]
    found = join_tables(read_catalog(path) for path in paths)
    found = found[np.argsort(np.asarray(found["id"]))]
    wrong = []
    for name in expected.colnames:
        one, other = np.ma.asarray(found[name]), np.ma.asarray(expected[name])
        same = np.array_equal(np.ma.getmaskarray(one), np.ma.getmaskarray(other))
        if not same or not np.array_equal(one.compressed(), other.compressed()):
            wrong.append(name)
    return wrong


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All runs, and the cost of an object that follows from them."""
    import torch

    torch.set_num_threads(1)
    asked = {"device": "cpu", "precision": options.precision}
    table = make_catalogue(options.n, options.partitions, folder)
    runs: dict[str, list[dict[str, Any]]] = {"hats": [], "parquet": []}
    apart = not options.in_process
    for _ in range(options.repeats):
        for workers in (1, 2):
            for kind, annotate in (("hats", annotate_hats), ("parquet", annotate_parquet_folder)):
                out = run(annotate, folder / kind, folder / f"{kind}_jp", workers, asked, apart)
                runs[kind].append(out)
                print(f"{kind}, {workers} workers: {out['wall']:.1f} s, {out['cpu']:.1f} s cpu")
    whole = run(annotate_hats, folder / "hats_whole", folder / "whole_jp", 1, asked, apart)
    differ = {kind: differing(table, folder / f"{kind}_jp", asked) for kind in runs}
    alone = measure_cost(table, rows=min(options.n, 8192), **asked)
    return {"runs": runs, "whole": whole, "differ": differ, **derived(runs, whole, alone, options)}


def derived(
    runs: dict[str, list[dict[str, Any]]],
    whole: dict[str, Any],
    alone: ObjectCost,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Ratios, and the cost of an object in a worker."""

    def of(kind: str, workers: int, what: str) -> float:
        return statistics.median(r[what] for r in runs[kind] if r["workers"] == workers)

    small, part = of("hats", 1, "memory"), options.n / options.partitions
    slope = (whole["memory"] - small) / max(options.n - part, 1)
    cost = {
        "seconds": of("hats", 1, "cpu") / options.n,
        "bytes_in": alone.bytes_in,
        "bytes_out": alone.bytes_out,
        "bytes_memory": alone.bytes_memory,
        "base_memory": small,
        "start": of("hats", 1, "start"),
    }
    return {
        "ratio": {k: of(k, 1, "wall") / of(k, 2, "wall") for k in runs},
        "rate": {k: {str(w): options.n / of(k, w, "wall") for w in (1, 2)} for k in runs},
        "alone_seconds": alone.seconds,
        "bytes_a_row_of_a_partition": slope,
        "copies": slope / alone.bytes_memory,
        "cost": cost,
    }


def tables(result: dict[str, Any]) -> tuple[str, str]:
    """The two blocks of the page: what was measured, and what follows for surveys."""
    names = {"hats": "HATS catalogue, LSDB", "parquet": "folder of Parquet files"}
    body = []
    for kind, name in names.items():
        rate, ratio = result["rate"][kind], result["ratio"][kind]
        same = "yes" if not result["differ"][kind] else ", ".join(result["differ"][kind])
        body.append([name, f"{rate['1']:,.0f}", f"{rate['2']:,.0f}", f"{ratio:.2f}", same])
    head = ["", "1 worker, objects/s", "2 workers, objects/s", "ratio", "bits of `annotate`"]
    cost = result["cost"]
    n, partitions = result["settings"]["n"], result["settings"]["partitions"]
    measured = (
        f"{markdown_table(head, body)}\n\n"
        f"{n:,} objects in {partitions} parts. An object costs {1e6 * cost['seconds']:.0f} us of a "
        f"worker's processor ({1e6 * result['alone_seconds']:.0f} us in `annotate` alone), "
        f"{cost['bytes_in']:.0f} bytes of Parquet in and {cost['bytes_out']:.0f} more out; a "
        f"worker takes {cost['base_memory'] / 1e9:.2f} GB with small partitions, and "
        f"{result['bytes_a_row_of_a_partition'] / 1e3:.1f} kB more for each row of a larger one, "
        f"up to the {ROWS_A_GROUP:,} of a row group. {in_words(result['machine'])}"
    )
    body = []
    for rows, sizes in SURVEYS:
        for workers in sizes:
            plan = plan_survey(rows, cost, workers=workers, price=PRICE)
            body.append(
                [
                    f"10^{round(np.log10(rows))}", str(workers), f"{plan.hours:,.1f}",
                    f"{plan.core_hours:,.0f}", f"{plan.price:,.0f}",
                    f"{plan.memory_worker / 1e9:.1f}", f"{plan.disk_in / 1e12:.2f}",
                    f"{plan.disk_out / 1e12:.2f}", f"{plan.transfer / 1e6:,.0f}",
                ]
            )  # fmt: skip
    head = [
        "objects", "workers", "hours", "core-hours", "money", "memory a worker, GB",
        "disk in, TB", "disk out, TB", "traffic, MB/s",
    ]  # fmt: skip
    return measured, markdown_table(head, body)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=40_000)
    parser.add_argument("--partitions", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--in-process", action="store_true", help="threads for workers: a trial")
    parser.add_argument("--write", action="store_true", help="into results/ and the page")
    options = parser.parse_args(arguments)
    about = describe()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options, Path(folder))
    settings = {k: v for k, v in vars(options).items() if k != "write"}
    result = {"machine": about, "settings": settings, **result}
    measured, plans = tables(result)
    print(f"\n{measured}\n\n{plans}")
    if options.write:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "cluster.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
        replace_block(PAGE, "cluster", measured)
        replace_block(PAGE, "survey plans", f"{plans}\n\nMoney at {PRICE} a core-hour.")
    return result


if __name__ == "__main__":
    main()
