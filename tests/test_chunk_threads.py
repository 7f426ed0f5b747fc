"""Two chunks beside each other in one process: the network for one, the columns of the other."""

from __future__ import annotations

import sys
import threading
import time
from contextvars import copy_context
from pathlib import Path

import pytest
import torch
from annotation_tables import make_table, small_model

from jpassed.annotation import files
from jpassed.annotation.chunk_work import ChunkWork
from jpassed.annotation.threads import SWITCH_SECONDS, one_thread_each, taking_turns, threads, turn
from jpassed.io import read_catalog, write_catalog
from jpassed.io.pieces import pieces_folder
from jpassed.nn import SEDModel

ROWS, CHUNK = 14, 2
OPTIONS = {"model": small_model(), "outputs": "z", "chi2": "none", "rows": CHUNK}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_catalog(make_table(ROWS), tmp_path / "in.fits")
    return tmp_path / "in.fits"


class Meeting:
    """Threads that are in a function at the same time, at most."""

    def __init__(self) -> None:
        self._lock, self._inside, self.most = threading.Lock(), 0, 0

    def watch(self, monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
        function = getattr(owner, name)

        def watched(*args: object, **kwargs: object) -> object:
            with self._lock:
                self._inside += 1
                self.most = max(self.most, self._inside)
            try:
                time.sleep(0.02)  # long enough to be met
                return function(*args, **kwargs)
            finally:
                with self._lock:
                    self._inside -= 1

        monkeypatch.setattr(owner, name, watched)


def test_the_network_is_asked_for_one_chunk_at_a_time(source, tmp_path, monkeypatch):
    chunks, network = Meeting(), Meeting()
    chunks.watch(monkeypatch, ChunkWork, "annotate")
    network.watch(monkeypatch, SEDModel, "forward")
    both = threading.Barrier(2, timeout=60)
    annotated = ChunkWork.annotate

    def together(self, number, page, progress=None):
        if number in (1, 2):
            both.wait()  # fails unless both chunks are under way
        return annotated(self, number, page, progress)

    monkeypatch.setattr(ChunkWork, "annotate", together)
    assert files.annotate_file(source, tmp_path / "out.fits", **OPTIONS) == ROWS
    assert (chunks.most, network.most) == (2, 1)


def test_turns_are_taken_by_threads_of_one_run_alone():
    assert turn() is not turn()  # nothing to hold outside
    with taking_turns():
        own = turn()
        assert own is turn()
        with taking_turns():
            assert turn() is not own
        assert turn() is own


def test_settings_of_the_process_are_as_they_were(source, tmp_path, monkeypatch):
    inside: set[tuple[float, int, int]] = set()
    annotated = ChunkWork.annotate

    def looked(self, number, page, progress=None):
        with one_thread_each():
            inside.add((sys.getswitchinterval(), torch.get_num_threads(), threads()))
        return annotated(self, number, page, progress)

    monkeypatch.setattr(ChunkWork, "annotate", looked)
    before = sys.getswitchinterval(), torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        files.annotate_file(source, tmp_path / "out.fits", **OPTIONS)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before[1])
    assert sys.getswitchinterval() == before[0]
    # Each thread has one of torch's own, and blocks go to the three that were allowed.
    ((interval, *numbers),) = inside
    assert interval == pytest.approx(SWITCH_SECONDS) and numbers == [1, 3]


def test_the_last_of_several_runs_puts_the_interval_back():
    before = sys.getswitchinterval()
    contexts, runs = [copy_context(), copy_context()], [taking_turns(), taking_turns()]
    for context, run in zip(contexts, runs, strict=True):
        context.run(run.__enter__)
    contexts[0].run(runs[0].__exit__, None, None, None)
    assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS)
    contexts[1].run(runs[1].__exit__, None, None, None)
    assert sys.getswitchinterval() == before


def test_a_chunk_that_fails_ends_the_other(source, tmp_path, monkeypatch):
    """What is under way beside it goes no further than its next batch."""
    failed, batches = threading.Event(), []
    annotated = ChunkWork.annotate

    def annotate(self, number, page, progress=None):
        if number == 1:
            failed.set()
            raise RuntimeError("the machine went down")
        if number == 2:
            failed.wait(60)

        def told(done: int, total: int) -> None:
            batches.append(number)
            progress(done, total)

        return annotated(self, number, page, told)

    monkeypatch.setattr(ChunkWork, "annotate", annotate)
    with pytest.raises(RuntimeError, match="went down"):
        files.annotate_file(source, tmp_path / "out.fits", **OPTIONS)
    assert max(batches) <= 2
    assert not [t for t in threading.enumerate() if t.name.startswith("jpassed-chunk")]
    folder = pieces_folder(tmp_path / "out.fits")
    assert (folder / "000001.npz").is_file() and not (folder / "000002.npz").exists()


@pytest.mark.parametrize(
    ("options", "own"),
    [({}, False), ({"samples": 2}, True), ({"samples": 2, "joint": False}, False),
     ({"outputs": ["z", "lineflux_halpha"]}, True)],
)  # fmt: skip
def test_slow_chunks_are_within_reach_of_an_interrupt(source, tmp_path, monkeypatch, options, own):
    workers: set[threading.Thread] = set()
    annotated = ChunkWork.annotate

    def looked(self, number, page, progress=None):
        workers.add(threading.current_thread())
        return annotated(self, number, page, progress)

    monkeypatch.setattr(ChunkWork, "annotate", looked)
    files.annotate_file(source, tmp_path / "out.fits", **{**OPTIONS, **options})
    assert (threading.main_thread() in workers) == own
    assert len(workers) == 1 or not own


def test_a_progress_that_fails_ends_the_run(source, tmp_path):
    def told(done: int, total: int) -> None:
        if done > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.annotate_file(source, tmp_path / "out.fits", progress=told, **OPTIONS)
    kept = sorted(pieces_folder(tmp_path / "out.fits").glob("*.npz"))
    assert 1 <= len(kept) <= 3
    assert files.annotate_file(source, tmp_path / "out.fits", resume=True, **OPTIONS) == ROWS
    assert len(read_catalog(tmp_path / "out.fits")) == ROWS
