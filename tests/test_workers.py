"""Several processes: the same file as one gives, whatever happens to them."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from annotation_tables import make_table, masked, small_model, write_small
from astropy import units as u

from jpassed.annotation import workers
from jpassed.annotation.chunk_work import ChunkWork
from jpassed.annotation.files import annotate_file
from jpassed.annotation.streaming import PageAnnotator
from jpassed.annotation.workers import WorkerLostError, annotate_in_processes
from jpassed.exceptions import InputError, UnknownNameError
from jpassed.io import read_catalog, write_catalog
from jpassed.io.chunks import open_chunks
from jpassed.io.pieces import pieces_folder

ROWS, CHUNK = 40, 4
OPTIONS = {"model": small_model(), "outputs": "z,t0"}


def write_input(path: Path) -> Path:
    table = masked(make_table(ROWS), "J0540", [1, 17])
    table["name"] = [f"galaxy {k}" for k in range(ROWS)]
    table["J0400_err"][[1, 5, 39]] = -1 * u.uJy
    write_catalog(table, path)
    return path


def same_but_for_the_date(one: Path, other: Path) -> None:
    tables = [read_catalog(path) for path in (one, other)]
    assert tables[0].colnames == tables[1].colnames
    for name in tables[0].colnames:
        a, b = (np.ma.asarray(np.asarray(table[name])) for table in tables)
        np.testing.assert_array_equal(a, b, err_msg=name)


@pytest.mark.parametrize("ending", ["fits", "parquet"])
def test_two_workers_write_what_one_writes(tmp_path, caplog, ending):
    source = write_input(tmp_path / f"in.{ending}")
    one, two = tmp_path / f"one.{ending}", tmp_path / f"two.{ending}"
    annotate_file(source, one, rows=CHUNK, **OPTIONS)
    seen: list[tuple[int, int]] = []
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        annotate_file(
            source, two, rows=CHUNK, workers=2, progress=lambda *at: seen.append(at), **OPTIONS
        )
    same_but_for_the_date(one, two)
    assert seen == [(k, ROWS) for k in range(CHUNK, ROWS + 1, CHUNK)]
    # What the workers have to say comes out here, and once.
    assert sum("J0400" in record.getMessage() for record in caplog.records) == 1
    assert not pieces_folder(two).exists()


def test_the_chunks_of_a_killed_worker_are_done_again(tmp_path, caplog, monkeypatch):
    source, target = write_input(tmp_path / "in.fits"), tmp_path / "out.fits"
    pools = []
    make_pool = workers._pool

    def pool(*arguments):
        pools.append(make_pool(*arguments))
        return pools[-1]

    killed: list[int] = []

    def kill_once(done: int, total: int) -> None:
        if not killed:  # later they may be gone already
            killed.extend(pools[0]._processes)
            for worker in killed:
                os.kill(worker, signal.SIGKILL)

    monkeypatch.setattr(workers, "_pool", pool)
    annotate_file(source, target, rows=CHUNK, workers=2, progress=kill_once, **OPTIONS)
    assert len(pools) == 2 and killed
    assert "a worker process was lost" in caplog.text
    annotate_file(source, tmp_path / "one.fits", rows=CHUNK, **OPTIONS)
    same_but_for_the_date(target, tmp_path / "one.fits")


class DeadlyToSend:
    """What kills the process that it is sent to."""

    def __reduce__(self):
        return os._exit, (9,)


class DeadlySeed:
    """What kills the process that uses it."""

    def __int__(self):
        os._exit(9)


def test_workers_that_die_again_and_again(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "LOSSES", 1)
    source, target = write_input(tmp_path / "in.fits"), tmp_path / "out.fits"
    said = r"2 times a worker process ended .* killed, or out of memory.* \(--resume\)"
    with pytest.raises(WorkerLostError, match=said):
        annotate_file(source, target, rows=CHUNK, workers=2, seed=DeadlySeed(), **OPTIONS)
    assert [p.name for p in tmp_path.iterdir()] == ["in.fits"]


def test_workers_that_do_not_start_are_tried_once(tmp_path, caplog):
    source, target = write_input(tmp_path / "in.fits"), tmp_path / "out.fits"
    with pytest.raises(WorkerLostError, match="could not start.*__main__.*standard input"):
        annotate_file(source, target, rows=CHUNK, workers=2, seed=DeadlyToSend(), **OPTIONS)
    assert "was lost" not in caplog.text
    assert [p.name for p in tmp_path.iterdir()] == ["in.fits"]


def test_a_script_that_workers_cannot_run(tmp_path):
    """From standard input; it is as with a script that begins the work without a guard."""
    source, model = write_input(tmp_path / "in.fits"), write_small(tmp_path / "model")
    script = (
        "from jpassed.annotation.files import annotate_file\n"
        f"annotate_file({str(source)!r}, {str(tmp_path / 'out.fits')!r}, rows={CHUNK}, workers=2,"
        f" outputs='z', chi2='none', model={str(model)!r})\n"
    )
    run = subprocess.run([sys.executable, "-"], input=script, capture_output=True, text=True)
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert "could not start" in last and 'if __name__ == "__main__":' in last
    assert "out of memory" not in run.stderr
    assert run.stderr.count("spawn_main") <= 2  # a traceback of each worker
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.fits", "model"]


def test_an_error_of_a_worker_is_that_of_the_call(tmp_path):
    """Of the first chunk, which says the choices, or of another, which says its rows."""
    write_catalog(make_table(ROWS), tmp_path / "in.fits")
    options = {**OPTIONS, "outputs": "z", "context": {"zed": "z_spec"}}
    with pytest.raises(InputError, match="unknown context quantity 'zed'.*z"):
        annotate_file(tmp_path / "in.fits", tmp_path / "out.fits", rows=CHUNK, workers=2, **options)
    assert [p.name for p in tmp_path.iterdir()] == ["in.fits"]
    work = ChunkWork(PageAnnotator(**options), tmp_path, CHUNK, whole=False)
    with (
        open_chunks(tmp_path / "in.fits") as table,
        pytest.raises(UnknownNameError, match="^unknown context quantity 'zed'"),
    ):
        list(annotate_in_processes(table, work, range(1, ROWS // CHUNK), 1))
