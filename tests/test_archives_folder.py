"""The folder of a training set, whenever a run in it is killed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from jpassed.archives.folder import training_folder
from jpassed.archives.plan import load_plan
from jpassed.exceptions import FileError

OLD = {"archives": ["sdss-dr17"]}
NEW = {"archives": ["sdss-dr17"], "seed": 2}


class KilledError(BaseException):
    """In place of a kill, at a moment that is known."""


def enter(folder: Path, plan: dict, overwrite: bool = False) -> None:
    with training_folder(folder, load_plan(plan), overwrite):
        pass


def test_killed_before_its_plan_is_written(tmp_path, monkeypatch):
    folder = tmp_path / "set"

    def killed(*_):
        # What `atomic_output` leaves: it cannot clean up after a kill.
        (folder / ".plan.json.0123abcd.part").write_text("{")
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("jpassed.archives.folder.write_json", killed)
        with pytest.raises(KilledError):
            enter(folder, OLD)
    enter(folder, OLD)
    assert sorted(p.name for p in folder.iterdir()) == [".lock", "plan.json", "queries", "shards"]


def test_killed_while_an_old_set_is_replaced(tmp_path, monkeypatch):
    folder = tmp_path / "set"
    enter(folder, OLD)
    pages = [folder / f"queries/sdss/lines/page-0000{k}.parquet" for k in range(2)]
    spectrum = folder / "spectra/sdss/a.fits"
    for path in (*pages, spectrum, folder / "shards/part-00000.parquet"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with pytest.raises(FileError, match=r"another plan \(seed differ\)"):
        enter(folder, NEW)

    def killed(_):
        pages[0].unlink()
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KilledError):
            enter(folder, NEW, overwrite=True)
    # The old plan must not take the page that is left for all of them...
    with pytest.raises(FileError, match="another plan"):
        enter(folder, OLD)
    assert pages[1].exists()
    # ... and the new one takes none of them, though nobody says --overwrite again.
    enter(folder, NEW)
    assert not pages[1].exists()
    assert not list((folder / "shards").iterdir())
    assert spectrum.exists()
    (folder / "queries/new").mkdir()
    enter(folder, NEW)
    assert (folder / "queries/new").exists()


@pytest.mark.parametrize("content", ['{"queries": []}', "[1]", "no JSON"])
def test_a_folder_with_a_plan_of_somebody_else(tmp_path, content):
    (tmp_path / "queries").mkdir()
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(FileError, match="holds something else"):
        enter(tmp_path, NEW, overwrite=True)
    assert (tmp_path / "queries").exists()
    assert (tmp_path / "plan.json").read_text() == content
