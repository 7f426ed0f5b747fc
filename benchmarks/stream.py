"""`jpassed annotate` of long files: rows/s, the model's share of the wall clock, peak memory.

    PYTHONPATH=. python benchmarks/stream.py [--rows 100000 1000000] [--ending fits]
        [--workers 1] [--threads 1] [--precision auto] [--scratch FOLDER] [-o results.json]
        [--page docs/large_files.md]

The input (60 bands with errors, power laws) is written first and removed at the end. Every number
of rows is annotated in a process of its own with the default outputs. The model's share is that of
the network (two passes an object: the outputs, and bands for ``jp_chi2``) in the wall clock of
all, from the open file to the finished one; with several workers it is not measured. Two chunks are
annotated at a time, of which the network has one: the parts add up to more than the whole. Peak
memory is that of the process and of its largest worker.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from machine import describe, in_words
from markdown_blocks import markdown_table, replace_block
from measuring import ChildrenMemory, peak_memory
from speed_sample import power_laws

AT_ONCE = 8192
"""Rows of the input that are in memory while it is written."""


class Stopwatch:
    """Wall clock and processor time inside some functions, of nested ones the outermost."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.processor: dict[str, float] = {}
        self._inside = threading.local()

    def watch(self, owner: Any, name: str, title: str) -> None:
        """Time a function of a module or class from now on."""
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            if getattr(self._inside, title, False):
                return function(*args, **kwargs)
            setattr(self._inside, title, True)
            wall, processor = time.perf_counter(), time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                setattr(self._inside, title, False)
                for kept, spent in (
                    (self.wall, time.perf_counter() - wall),
                    (self.processor, time.thread_time() - processor),
                ):
                    kept[title] = kept.get(title, 0.0) + spent

        setattr(owner, name, timed)


def make_input(path: Path, rows: int) -> None:
    """Write the catalogue, a part of its rows in memory at a time."""
    from jpassed.io.catalogs import write_catalog
    from jpassed.io.layout import TableLayout
    from jpassed.io.native_columns import plain_table
    from jpassed.io.parquet_tables import write_parquet_pieces
    from jpassed.io.streamed_fits import write_fits_pieces

    def pieces() -> Iterator[Any]:
        for start in range(0, rows, AT_ONCE):
            part = power_laws(min(AT_ONCE, rows - start), seed=start)
            part["id"] += start
            yield plain_table(part)

    writers = {".fits": write_fits_pieces, ".parquet": write_parquet_pieces}
    if path.suffix in writers:
        layout = TableLayout.of(plain_table(power_laws(4)))
        writers[path.suffix](pieces(), layout, {}, rows, path)
        return
    write_catalog(power_laws(rows), path)


def run(source: Path, target: Path, options: argparse.Namespace, answer: Any) -> None:
    """One run, in its own process."""
    import torch

    from jpassed.annotation import files
    from jpassed.annotation.chunk_work import ChunkWork
    from jpassed.io.chunk_pieces import ChunkPieces
    from jpassed.io.chunked_fits import FitsChunks
    from jpassed.io.chunked_parquet import ParquetChunks
    from jpassed.io.chunks import WholeTable
    from jpassed.nn.model import SEDModel

    torch.set_num_threads(options.threads)
    watch = Stopwatch()
    watch.watch(SEDModel, "forward", "network")
    watch.watch(SEDModel, "embed_observed", "network")
    for kind in (FitsChunks, ParquetChunks, WholeTable):
        watch.watch(kind, "read", "read")
    watch.watch(ChunkWork, "annotate", "annotate")
    watch.watch(ChunkWork, "keep", "keep")
    watch.watch(ChunkPieces, "put_together", "put together")
    settings = {} if options.precision is None else {"precision": options.precision}
    wall, processor = time.perf_counter(), time.process_time()
    with ChildrenMemory() as workers:
        rows = files.annotate_file(source, target, workers=options.workers, **settings)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    found: dict[str, Any] = {
        "rows": rows,
        "wall_s": round(wall, 2),
        "rows_per_s": round(rows / wall),
        "processor_s": round(processor + children.ru_utime + children.ru_stime, 2),
        "peak_memory_mb": round(peak_memory()),
        "input_mb": round(source.stat().st_size / 1e6, 1),
        "output_mb": round(target.stat().st_size / 1e6, 1),
        "wall_by_part_s": {k: round(v, 2) for k, v in sorted(watch.wall.items())},
        "processor_by_part_s": {k: round(v, 2) for k, v in sorted(watch.processor.items())},
    }
    if options.workers > 1:
        found["peak_memory_of_a_worker_mb"] = round(workers.peak)
    else:
        # Blocks of objects are computed in so many threads beside each other.
        network = watch.wall.get("network", 0.0) / options.threads
        found["model_share"] = round(network / wall, 3)
    answer.send(found)


def measured(rows: int, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Write an input, annotate it in a new process, and remove both files.

    Returns
    -------
    dict
        Of `run`; ``"shell_s"`` is the wall clock from the start of the process, with the imports.

    Raises
    ------
    RuntimeError
        If that process ended without an answer.
    """
    source, target = (folder / f"{name}_{rows}.{options.ending}" for name in ("in", "out"))
    context = multiprocessing.get_context("spawn")
    writer = context.Process(target=make_input, args=(source, rows))
    writer.start()
    writer.join()
    mine, theirs = context.Pipe()
    began = time.perf_counter()
    process = context.Process(target=run, args=(source, target, options, theirs))
    process.start()
    theirs.close()
    try:
        found: dict[str, Any] = mine.recv()
    except EOFError:
        raise RuntimeError(f"the run with {rows} rows failed, see above") from None
    finally:
        process.join()
        for path in (source, target):
            path.unlink(missing_ok=True)
    return {**found, "shell_s": round(time.perf_counter() - began, 2)}


def page_block(results: dict[str, Any]) -> str:
    """The figures as they stand in the page."""
    head = ["rows", "minutes", "rows/s", "model's share", "peak memory", "input", "output"]
    body = [
        [
            f"{run['rows']:,}",
            f"{run['wall_s'] / 60:.1f}",
            f"{run['rows_per_s']:,}",
            f"{100 * run['model_share']:.0f} %" if "model_share" in run else "",
            f"{run['peak_memory_mb']:,} MB",
            f"{run['input_mb']:,.0f} MB",
            f"{run['output_mb']:,.0f} MB",
        ]
        for run in results["runs"]
    ]
    how = results["options"]
    said = (
        f"60 bands with errors in {how['ending']}, default outputs, "
        f"{how['workers']} worker{'s' if how['workers'] > 1 else ''}, "
        f"{how['threads']} thread{'s' if how['threads'] > 1 else ''} for the network. "
    )
    return "\n".join([markdown_table(head, body), "", said + in_words(results["machine"])])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print JSON, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--ending", default="fits")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", help="default: that of `annotate`")
    parser.add_argument("--scratch", type=Path, help="where the files are for a while")
    parser.add_argument("-o", "--output", type=Path, help="JSON with all figures")
    parser.add_argument("--page", type=Path, help="page with the block 'stream' to fill")
    options = parser.parse_args(arguments)
    results: dict[str, Any] = {
        "machine": describe(),
        "options": {k: v for k, v in vars(options).items() if isinstance(v, str | int)},
        "runs": [],
    }
    folder = Path(tempfile.mkdtemp(prefix="jpassed-stream-", dir=options.scratch))
    try:
        for rows in options.rows:
            found = measured(rows, options, folder)
            results["runs"].append(found)
            print(json.dumps(found), file=sys.stderr, flush=True)
            if options.output is not None:
                options.output.parent.mkdir(parents=True, exist_ok=True)
                options.output.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    finally:
        shutil.rmtree(folder)
    if options.page is not None:
        replace_block(options.page, "stream", page_block(results))
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
