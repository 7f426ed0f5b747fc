"""100,000 rows from a TAP service through `annotate` into FITS: time, whose it is, and memory.

    python benchmarks/tap_stream.py http://127.0.0.1:8089/tap [--rows 20000 50000 100000]

Each number of rows runs in a process of its own, as ``jpassed query URL "SELECT ... FROM
bulk.galaxies" --page-by object_id --annotate -o OUT`` does, with the default outputs and without a
cache; the service is that of the tests (tests/tap/server.sh start). Printed is one line of JSON for
each: wall clock, the highest resident memory, and the seconds of the parts, of which those of the
service run beside ours:

- service: waiting for it, and the transfer
- votable: reading its answer
- annotate, keep, merge: ours (the model; writing the pieces; writing the FITS file)
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measuring import peak_memory

FIRST = 1_000_000
"""The lowest object_id of bulk.galaxies; they follow each other."""
QUERY = (
    "SELECT object_id, ra, dec, flux_auto, flux_relerr_auto, z_spec FROM bulk.galaxies "
    "WHERE object_id < {end}"
)
OURS = ("annotate", "keep", "merge")


class Stopwatch:
    """Wall clock and processor time spent inside some functions."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.processor: dict[str, float] = {}

    def watch(self, owner: Any, name: str, title: str) -> None:
        """Time a function of a module or class from now on."""
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            began, worked = time.perf_counter(), time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                now, done = time.perf_counter(), time.thread_time()
                self.wall[title] = self.wall.get(title, 0.0) + now - began
                self.processor[title] = self.processor.get(title, 0.0) + done - worked

        setattr(owner, name, timed)


def run(service: str, rows: int, page: int, outputs: str | None, answer: Any) -> None:
    """One run, in its own process."""
    import torch

    from jpassed.annotation import streaming
    from jpassed.io.formats import table_file
    from jpassed.io.pieces import Pieces
    from jpassed.vo import asking
    from jpassed.vo.queries import plan_query
    from jpassed.vo.saving import save_answer

    torch.set_num_threads(1)
    watch = Stopwatch()
    watch.watch(asking.Asking, "_sync", "asking")
    watch.watch(asking.Asking, "_parsed", "votable")
    watch.watch(streaming, "annotate", "annotate")
    watch.watch(Pieces, "add", "keep")
    watch.watch(Pieces, "merge", "merge")
    began = time.perf_counter()
    work = streaming.PageAnnotator(outputs=outputs)
    question = plan_query(
        service,
        QUERY.format(end=FIRST + rows),
        page_by="object_id",
        page_rows=page,
        cache=False,
        timeout=600.0,
    )
    with tempfile.TemporaryDirectory() as folder, streaming.few_messages():
        target = Path(folder) / "galaxies.fits"
        written = save_answer(question, target, work=work, task=work.task)
        size = table_file(target).path.stat().st_size
    wall = time.perf_counter() - began
    parts = {k: v for k, v in watch.wall.items() if k != "asking"}
    parts["service"] = watch.wall["asking"] - watch.wall["votable"]
    ours = sum(parts[k] for k in OURS)
    answer.send(
        {
            "rows": written,
            "wall_s": round(wall, 1),
            "peak_rss_MB": round(peak_memory()),
            "file_MB": round(size / 1e6, 1),
            "seconds": {k: round(v, 1) for k, v in sorted(parts.items())},
            "processor_seconds": {k: round(v, 1) for k, v in sorted(watch.processor.items())},
            "ours_over_all_parts": round(ours / sum(parts.values()), 2),
        }
    )


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service")
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 50_000, 100_000])
    parser.add_argument("--page-rows", type=int, default=10_000)
    parser.add_argument("--outputs", help="instead of the default ones, with commas")
    args = parser.parse_args()
    start = multiprocessing.get_context("spawn")
    for rows in args.rows:
        mine, theirs = start.Pipe()
        process = start.Process(
            target=run, args=(args.service, rows, args.page_rows, args.outputs, theirs)
        )
        process.start()
        theirs.close()
        try:
            print(json.dumps(mine.recv()), flush=True)
        except EOFError:
            raise SystemExit(f"the run with {rows} rows failed") from None
        process.join()


if __name__ == "__main__":
    main()
