"""An annotation that was killed or interrupted goes on, and loses or repeats no row.

``python tools/kill_annotate.py --kills 20`` kills more often.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from annotation_tables import make_table, numbers, small_model, write_small
from click.testing import CliRunner

from jpassed.annotation import files
from jpassed.annotation.chunk_work import ChunkWork
from jpassed.annotation.files import annotate_file
from jpassed.cli import main
from jpassed.exceptions import FileError
from jpassed.io import read_catalog, write_catalog
from jpassed.io.chunk_pieces import ChunkPieces
from jpassed.io.pieces import pieces_folder

ROWS, CHUNK = 11, 4
OPTIONS = {"model": small_model(), "outputs": "z", "chi2": "none"}


@pytest.fixture
def source(tmp_path) -> Path:
    path = tmp_path / "in.fits"
    write_catalog(make_table(ROWS), path)
    return path


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "out.fits"


@pytest.fixture
def stopped(source, target, monkeypatch) -> Path:
    """A run that ended at its third chunk."""
    stop_at(monkeypatch, 2, RuntimeError("the machine went down"))
    with pytest.raises(RuntimeError, match="went down"):
        annotate_file(source, target, rows=CHUNK, **OPTIONS)
    monkeypatch.undo()
    assert not target.exists()
    assert len(list(pieces_folder(target).glob("*.npz"))) == 2
    return target


def stop_at(monkeypatch, number: int, error: BaseException) -> None:
    annotated = ChunkWork.annotate

    def annotate(self, k, page, progress=None):
        if k == number:
            raise error
        return annotated(self, k, page, progress)

    monkeypatch.setattr(ChunkWork, "annotate", annotate)


def worked_on(monkeypatch) -> list[int]:
    """Numbers of the chunks that are annotated from now on."""
    done: list[int] = []
    annotated = ChunkWork.annotate

    def annotate(self, number, page, progress=None):
        done.append(number)
        return annotated(self, number, page, progress)

    monkeypatch.setattr(ChunkWork, "annotate", annotate)
    return done


def test_only_what_is_missing_is_done(source, stopped, tmp_path, monkeypatch):
    done = worked_on(monkeypatch)
    assert annotate_file(source, stopped, resume=True, **OPTIONS) == ROWS  # keeps the chunks' size
    assert done == [2]
    annotate_file(source, tmp_path / "alone.fits", rows=CHUNK, **OPTIONS)
    one, other = read_catalog(stopped), read_catalog(tmp_path / "alone.fits")
    assert one.colnames == other.colnames
    np.testing.assert_array_equal(numbers(one["jp_z"]), numbers(other["jp_z"]))
    assert not pieces_folder(stopped).exists()


def test_chunks_that_are_missing_in_between(source, stopped, monkeypatch):
    (pieces_folder(stopped) / "000001.npz").unlink()  # as several workers leave them
    done = worked_on(monkeypatch)
    annotate_file(source, stopped, resume=True, **OPTIONS)
    assert done == [0, 2]
    assert len(read_catalog(stopped)) == ROWS


def test_unfinished_work_is_not_lost_by_accident(source, stopped, monkeypatch, caplog):
    with pytest.raises(
        FileError, match=r"8 rows of a run that did not end: resume it \(--resume\)"
    ):
        annotate_file(source, stopped, rows=CHUNK, **OPTIONS)
    assert len(list(pieces_folder(stopped).glob("*.npz"))) == 2
    done = worked_on(monkeypatch)
    annotate_file(source, stopped, rows=CHUNK, overwrite=True, **OPTIONS)
    assert "8 rows of an earlier run are removed" in caplog.text
    assert done == [0, 1, 2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"outputs": "z,t0"}, "not the same: outputs"),
        ({"seed": 5}, "not the same: seed"),
        ({"rows": 3}, "not the same: rows of a chunk"),
    ],
)
def test_other_work_does_not_go_on(source, stopped, change, said):
    with pytest.raises(FileError, match=said):
        annotate_file(source, stopped, resume=True, **{**OPTIONS, **change})
    assert len(list(pieces_folder(stopped).glob("*.npz"))) == 2


def test_another_input_does_not_go_on(source, stopped):
    os.utime(source, (1, 1))
    with pytest.raises(FileError, match="not the same: time of the input"):
        annotate_file(source, stopped, resume=True, **OPTIONS)


def test_batches_and_workers_may_change(source, stopped):
    options = {**OPTIONS, "batch_size": 2, "device": "cpu"}
    assert annotate_file(source, stopped, resume=True, **options) == ROWS


def test_a_damaged_piece_is_told(source, stopped):
    (pieces_folder(stopped) / "000002.npz").write_bytes(b"PK half a file")
    with pytest.raises(FileError, match=r"000002\.npz is damaged .*; remove it and go on"):
        annotate_file(source, stopped, resume=True, **OPTIONS)
    (pieces_folder(stopped) / "000002.npz").unlink()
    assert annotate_file(source, stopped, resume=True, **OPTIONS) == ROWS


def end_killed(source, target, monkeypatch) -> bytes:
    """A run that is killed between the last step and its end."""

    def killed(self):
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(ChunkPieces, "remove", killed)
        with pytest.raises(RuntimeError, match="killed"):
            annotate_file(source, target, rows=CHUNK, **OPTIONS)
    return target.read_bytes()


@pytest.mark.parametrize("pieces_left", [True, False])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"outputs": "t0"}, "not the same: outputs"),
        ({"rows": 3}, "not the same: rows of a chunk"),
        ({}, "not the same: time of the input"),
    ],
)
def test_other_work_than_that_which_ended(source, target, monkeypatch, change, said, pieces_left):
    content = end_killed(source, target, monkeypatch)
    if not pieces_left:  # the kill fell into the removal
        for path in (*pieces_folder(target).glob("*.npz"), pieces_folder(target) / "task.json"):
            path.unlink()
    if not change:
        os.utime(source, (1, 1))
    with pytest.raises(FileError, match=f"is complete, by a run of other work .{said}"):
        annotate_file(source, target, resume=True, **{**OPTIONS, **change})
    assert target.read_bytes() == content
    assert annotate_file(source, target, overwrite=True, **{**OPTIONS, **change}) == ROWS
    assert not pieces_folder(target).exists()


def test_an_input_that_changes_meanwhile_is_told(source, target, monkeypatch):
    found = source.stat()
    annotated = ChunkWork.annotate

    def annotate(self, number, page, progress=None):
        if number == 1:
            os.utime(source, (1, 1))
        return annotated(self, number, page, progress)

    with monkeypatch.context() as patch:
        patch.setattr(ChunkWork, "annotate", annotate)
        with pytest.raises(FileError, match="changed while it was annotated .*time of the input"):
            annotate_file(source, target, rows=CHUNK, **OPTIONS)
    assert not target.exists()
    with pytest.raises(FileError, match="not the same: time of the input"):
        annotate_file(source, target, resume=True, **OPTIONS)
    os.utime(source, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert annotate_file(source, target, resume=True, **OPTIONS) == ROWS


def test_a_kill_between_the_file_and_the_end(source, target, monkeypatch):
    content = end_killed(source, target, monkeypatch)
    done = worked_on(monkeypatch)
    assert annotate_file(source, target, resume=True, **OPTIONS) == ROWS
    assert (done, target.read_bytes()) == ([], content)
    assert not pieces_folder(target).exists()
    # By now it is a file like any other.
    with pytest.raises(FileError, match="exists"):
        annotate_file(source, target, resume=True, **OPTIONS)


def test_resume_without_anything_to_resume_begins(source, target):
    assert annotate_file(source, target, resume=True, rows=CHUNK, **OPTIONS) == ROWS


def test_one_command_at_a_time(source, stopped):
    task = {"who": "another command"}
    (pieces_folder(stopped) / "000001.npz").unlink()
    (pieces_folder(stopped) / "000002.npz").unlink()
    with ChunkPieces(stopped, task), pytest.raises(FileError, match="in use by another jpassed"):
        annotate_file(source, stopped, resume=True, rows=CHUNK, **OPTIONS)


def test_an_interrupt_says_how_to_go_on(source, target, monkeypatch, caplog):
    stop_at(monkeypatch, 2, KeyboardInterrupt())
    with caplog.at_level(logging.WARNING), pytest.raises(KeyboardInterrupt):
        annotate_file(source, target, rows=CHUNK, **OPTIONS)
    assert "8 rows are done and kept; the same command with --resume goes on" in caplog.text


def test_the_command_resumes(source, target, tmp_path, monkeypatch):
    model = write_small(tmp_path / "model")
    words = ["annotate", str(source), "-o", str(target), "--model", str(model), "--outputs", "z"]
    monkeypatch.setattr(files, "CHUNK_ROWS", CHUNK)
    monkeypatch.setattr(files, "SMALLEST_CHUNK", 1)
    with monkeypatch.context() as patch:
        stop_at(patch, 1, OSError(5, "Input/output error"))
        assert CliRunner().invoke(main, words).exit_code == 1
    shown = CliRunner().invoke(main, words)
    assert shown.exit_code == 1
    assert "4 rows of a run that did not end: resume it (--resume)" in shown.stderr
    shown = CliRunner().invoke(main, [*words, "--resume"])
    assert (shown.exit_code, shown.stdout) == (0, f"{target}: {ROWS} rows\n")


@pytest.fixture
def tool(project_root: Path) -> ModuleType:
    path = project_root / "tools" / "kill_annotate.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def test_kills_at_any_moment_change_nothing(tool, tmp_path):
    model = write_small(tmp_path / "model")
    folder = tmp_path / "files"
    folder.mkdir()
    runs = tool.Runs(
        folder, rows=2048, workers=1, ending="fits", seed=2, model=str(model), outputs="z,t0"
    )
    met = [runs.kill() for _ in range(4)]
    assert any("killed" in text for text in met)
    runs.finish()
