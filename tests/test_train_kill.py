"""A training that is killed at any moment leaves whole files, and ends as one left alone.

``python tools/kill_train.py --kills 20`` does the same more often.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from ranked_training import tiny_config

from jpassed.nn.checkpoint import CARD, WEIGHTS, read_model
from jpassed.training.journal import CSV, LOG, read_log
from jpassed.training.loop import train
from jpassed.training.state import STATE

pytestmark = pytest.mark.real_data


@pytest.fixture
def ssp(real_data: Path) -> Path:
    return (real_data / "ssp" / "ssp_bc03_lr_chabrier.npz").resolve()


@pytest.fixture
def tool(project_root: Path) -> ModuleType:
    path = project_root / "tools" / "kill_train.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def test_kills_leave_no_trace(tool: ModuleType, tmp_path: Path, ssp: Path) -> None:
    report = tool.kill_and_compare(tmp_path, ssp, kills=2, ranks=1, seed=3)
    assert report["kills"] == 2
    assert report["steps"] == 40
    assert report["differences"] == []


def test_the_comparison_sees_what_differs(tool: ModuleType, tmp_path: Path, ssp: Path) -> None:
    config = tiny_config(tmp_path, str(ssp), steps=3)
    one, other = train(config, tmp_path / "one"), train(config, tmp_path / "other")
    assert tool.differences(one, other) == []
    lines = (other / LOG).read_text().splitlines()
    (other / LOG).write_text("\n".join([*lines, lines[-1]]) + "\n")
    (other / ".half.tmp").write_bytes(b"")
    found = tool.differences(one, other)
    assert found[0] == "the log (3 and 4 steps)"
    assert found[1].startswith("the files: ")
    assert len(found) == 2
    with pytest.raises(SystemExit, match="repeats or lacks steps"):
        tool.check_files(other)


def test_a_resume_clears_and_mends(tmp_path: Path, ssp: Path) -> None:
    config = tiny_config(tmp_path, str(ssp), steps=6)
    folder = train(config, tmp_path / "run", stop_after=4)
    # Killed while it wrote: an unfinished file, and new weights beside an old card.
    (folder / f".{STATE}.4711.tmp").write_bytes(b"half")
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, "sha256": "0" * 64, "steps": 2}))
    train(config, folder, resume=True, stop_after=4)
    mended = read_model(folder)
    assert mended.card["steps"] == 4
    assert mended.card["sha256"] == card["sha256"]
    assert {p.name for p in folder.iterdir()} == {LOG, CSV, STATE, WEIGHTS, CARD}


def test_steps_before_the_first_checkpoint_are_not_told_twice(tmp_path: Path, ssp: Path) -> None:
    config = tiny_config(tmp_path, str(ssp), steps=4)
    folder = train(config, tmp_path / "run")
    before = read_log(folder)
    weights = read_model(folder).network.state_dict()
    # As after a kill at step 4, before anything but the log was written.
    for name in (STATE, WEIGHTS, CARD):
        (folder / name).unlink()
    train(config, folder, resume=True)
    after = read_log(folder)
    assert [r["step"] for r in after] == [1, 2, 3, 4]
    assert [r["loss"] for r in after] == [r["loss"] for r in before]
    assert (folder / CSV).read_text().count("\n") == 5
    for name, value in read_model(folder).network.state_dict().items():
        assert torch.equal(value, weights[name])


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_kill_between_the_files_of_a_model_leaves_one_that_can_be_read(
    renames: int, tmp_path: Path, ssp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(tmp_path, str(ssp), steps=6)
    folder = train(config, tmp_path / "run", stop_after=2)
    first = read_model(folder)
    done = []
    replace = os.replace

    def stopping(source: Path, target: Path) -> None:
        if Path(target).name in (WEIGHTS, CARD):
            if len(done) == renames:
                raise KeyboardInterrupt
            done.append(target)
        replace(source, target)

    monkeypatch.setattr("jpassed.nn.checkpoint.os.replace", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(config, folder, resume=True, stop_after=4)
    monkeypatch.undo()
    kept = read_model(folder)
    assert (kept.digest == first.digest) == (renames < 2)
    # The card tells of the weights that it was made for until its turn comes.
    assert kept.card["steps"] == 2
    train(config, folder, resume=True, stop_after=2)
    assert read_model(folder).digest == first.digest
    assert "sha256_next" not in json.loads((folder / CARD).read_text())
