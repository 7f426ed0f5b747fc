"""Kill an annotation with SIGKILL at random moments, resume it, and compare with one left alone.

    PYTHONPATH=. python tools/kill_annotate.py [--kills 20] [--workers 1] [--ending fits]
        [--rows 3072] [--seed 0]

Kills fall on the start, the model, the writing of pieces, the last step that puts them together,
and the moment at which the output gets its name; with several workers a random one of them is
killed in place of the command every other time, and the command must go on, or say that no worker
could start where none had yet. After every kill the output must be absent or whole, and every piece
whole. An annotation that was finished begins anew.
Every finished output must hold every row once, in order, with the numbers of the uninterrupted one
to the last bit.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from jpassed.filters import known_bands, load_filters
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.io.native_columns import plain_table
from jpassed.io.piece_files import load_piece
from jpassed.io.pieces import pieces_folder

CHUNK = 256
"""Rows of a chunk."""

RUN = """\
import json
import sys
from jpassed.annotation.files import annotate_file
if __name__ == "__main__":
    annotate_file(sys.argv[1], sys.argv[2], resume=True, **json.loads(sys.argv[3]))
"""
NOT_STARTED = "the worker processes could not start"
PATIENCE = 20.0
"""Seconds after which processes that outlive a killed command are a fault."""

Command = subprocess.Popen[bytes]


def make_input(path: Path, rows: int) -> None:
    """Power laws in 60 bands, numbered, with texts of changing length and nulls."""
    from astropy.table import MaskedColumn, QTable

    rng = np.random.default_rng(1)
    table = QTable({"id": np.arange(rows)})
    level, slope = 10 ** rng.uniform(0.8, 2.8, rows), rng.normal(1.5, 0.7, rows)
    for band in load_filters("jpas").names:
        true = level * (known_bands()[band][0] / 6000.0) ** slope
        error = (0.03 * true + 0.2).astype(np.float32)
        table[band] = (true + error * rng.standard_normal(rows)).astype(np.float32)
        table[f"{band}_err"] = error
    table["name"] = [f"{'galaxy' * (1 + i % 3)} {i}" for i in range(rows)]
    table["runs"] = MaskedColumn(np.arange(rows) % 5, mask=np.arange(rows) % 700 == 699)
    write_catalog(table, path)


class Runs:
    """Annotations of one file that are killed and resumed.

    Parameters
    ----------
    folder : Path
        For all files.
    rows, workers, seed : int
    ending : str
    **options
        As of `annotate`.
    """

    def __init__(
        self, folder: Path, rows: int, workers: int, ending: str, seed: int, **options: Any
    ) -> None:
        self._options = json.dumps({"rows": CHUNK, "workers": workers, **options})
        self.source, self.output = folder / f"in.{ending}", folder / f"out.{ending}"
        self.workers, self.rows, self.chance = workers, rows, random.Random(seed)
        self.pieces = pieces_folder(self.output)
        self._script = folder / "run.py"
        self._script.write_text(RUN, "utf-8")
        make_input(self.source, rows)
        alone = folder / f"alone.{ending}"
        began = time.monotonic()
        self._wait(self._start(alone))
        self.seconds = time.monotonic() - began
        self.expected = _contents(alone)

    def _start(self, output: Path) -> Command:
        command = [
            sys.executable, str(self._script), str(self.source), str(output), self._options
        ]  # fmt: skip
        own = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, env=own, stderr=subprocess.PIPE, start_new_session=True)

    def _wait(self, process: Command) -> None:
        said = process.communicate()[1]
        if process.returncode != 0:
            raise SystemExit(f"a run failed: {said.decode(errors='replace')}")

    def kill(self) -> str:
        """Start or resume, and kill at a random moment; what was met."""
        process = self._start(self.output)
        if self.workers > 1 and self.chance.random() < 0.5:
            met = self._kill_worker(process)
        else:
            self._wait_for_moment(process)
            lived = process.poll() is None
            if lived:
                process.send_signal(signal.SIGKILL)
            process.communicate()
            met = "killed" if lived else "had ended"
        self._all_gone(process.pid)
        return f"{met}, {self.check()}"

    def _wait_for_moment(self, process: Command) -> None:
        moment = self.chance.random()
        if moment < 0.15:  # the start
            time.sleep(self.chance.uniform(0.0, 0.6 * self.seconds))
            return
        if moment < 0.3 or not self._more():  # the last step
            sign = self.chance.choice(
                [self.pieces / "writing.txt", self.pieces / "finished.json", self.output]
            )
            before = _changed(sign)
            while process.poll() is None and _changed(sign) == before:
                time.sleep(0.0002)
            time.sleep(self.chance.choice([0.0, 0.001, 0.01, 0.1]))
            return
        wanted = self._kept() + self.chance.randint(1, 3)
        while process.poll() is None and self._kept() < wanted and self._more():
            time.sleep(0.001)
        time.sleep(self.chance.uniform(0.0, 0.2))

    def _kept(self) -> int:
        return len(list(self.pieces.glob("[0-9]*.npz")))

    def _more(self) -> bool:
        return self._kept() * CHUNK < self.rows

    def _kill_worker(self, process: Command) -> str:
        while process.poll() is None and not _workers(process.pid):
            time.sleep(0.01)
        time.sleep(self.chance.uniform(0.0, 0.6) * self.seconds)
        workers = _workers(process.pid)
        if not workers:
            self._wait(process)
            return "no worker was left to kill"
        os.kill(self.chance.choice(workers), signal.SIGKILL)
        said = process.communicate()[1].decode(errors="replace")
        if process.returncode == 0:
            return "a worker killed, and the command went on"
        if NOT_STARTED in said:  # no worker had told that it is there: the next run goes on
            return "a worker killed before any was at work, and the command said so"
        raise SystemExit(f"the command did not go on without a worker: {said}")

    def _all_gone(self, group: int) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                return
            time.sleep(0.01)
        raise SystemExit(f"processes of group {group} outlive the command that was killed")

    def check(self) -> str:
        """See whether what a kill left is whole."""
        for path in self.pieces.glob("[0-9]*.npz"):
            load_piece(path)
        if self.output.exists():
            self.compare()
            if (self.pieces / "finished.json").exists():
                return "output in place, its pieces not yet removed"
            self.output.unlink()
            shutil.rmtree(self.pieces, ignore_errors=True)  # killed after its last file
            return "finished"
        return f"{self._kept()} pieces kept"

    def finish(self) -> None:
        """Let the last run end, and compare."""
        self._wait(self._start(self.output))
        self.compare()
        left = sorted(p.name for p in self.output.parent.glob(".*"))
        if left or self.pieces.exists():
            raise SystemExit(f"left behind: {left} {self.pieces if self.pieces.exists() else ''}")

    def compare(self) -> None:
        """Every row once, in order, every number the same."""
        found = _contents(self.output)
        different = [
            name
            for name in self.expected.keys() | found.keys()
            if name not in found
            or name not in self.expected
            or not all(map(_same, found[name], self.expected[name]))
        ]
        if different:
            raise SystemExit(f"other numbers than without kills: {', '.join(sorted(different))}")


def _contents(path: Path) -> dict[str, Any]:
    """Values and masks of all columns, by name."""
    table = plain_table(read_catalog(path))
    return {
        name: (np.ascontiguousarray(np.ma.getdata(table[name])), np.ma.getmaskarray(table[name]))
        for name in table.colnames
    }


def _same(one: Any, other: Any) -> bool:
    return bool(one.dtype == other.dtype and one.tobytes() == other.tobytes())


def _changed(path: Path) -> int:
    """When a file was last written, 0 where it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _workers(parent: int) -> list[int]:
    """Worker processes of a command, by /proc."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
            words = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if f"\nPPid:\t{parent}\n" in text and b"spawn_main" in words:
            found.append(int(status.parent.name))
    return found


def main() -> None:
    """Kill, resume, compare, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--ending", default="fits", help="of input and output")
    parser.add_argument("--rows", type=int, default=3072)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(Path(folder), options.rows, options.workers, options.ending, options.seed)
        print(f"left alone: {runs.seconds:.1f} s")
        for k in range(options.kills):
            print(f"{k + 1}: {runs.kill()}", flush=True)
        runs.finish()
    print("the same rows and numbers as without kills")


if __name__ == "__main__":
    main()
