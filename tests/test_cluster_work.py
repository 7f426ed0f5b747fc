"""The folder of an unfinished output: whose it is, and what tasks that live on may do to it."""

from __future__ import annotations

import shutil

import pyarrow.parquet
import pytest
from cluster_catalogs import made_up

from jpassed.cluster import parts
from jpassed.cluster.described import describe_schema
from jpassed.cluster.work import HIDDEN, all_options, open_work, unfinished_folder
from jpassed.exceptions import FileError
from jpassed.io.catalogs import write_catalog

pytestmark = pytest.mark.xdist_group("cluster_work")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """A few objects as an Arrow table that knows its units."""
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    write_catalog(made_up(40), path)
    table = pyarrow.parquet.read_table(path)
    return table.cast(describe_schema(table.schema))


@pytest.fixture
def begin(rows, tmp_path):
    """Begin with an output, or go on with it."""

    def begun(**how):
        options = all_options({"outputs": ["z"], "chi2": "none", "device": "cpu"})
        return open_work(tmp_path / "out", {"n": 1}, rows, options, **{"resume": False, **how})

    return begun


def test_a_task_of_an_earlier_run_writes_nothing_into_the_new_work(begin, rows):
    old = begin()
    assert parts.write_part(str(old.folder), old.token, "a.parquet", [rows], (0,))[0] == 40
    new = begin(overwrite=True)
    assert new.token != old.token
    with pytest.raises(FileError, match="belongs to other work"):
        parts.write_part(str(old.folder), old.token, "b/c.parquet", [rows], (0,))
    assert [path.name for path in new.folder.iterdir()] == [HIDDEN]


@pytest.mark.parametrize(
    ("limits", "groups"),
    [((10_000, 1 << 30), [80]), ((32, 1 << 30), [32, 32, 16]), ((10_000, 1), [16] * 5)],
)
def test_row_groups_are_of_several_slices_but_bounded(begin, rows, monkeypatch, limits, groups):
    monkeypatch.setattr(parts, "ROWS_AT_ONCE", 16)
    monkeypatch.setattr(parts, "ROWS_A_GROUP", limits[0])
    monkeypatch.setattr(parts, "BYTES_A_GROUP", limits[1])
    work = begin()
    twice = pyarrow.concat_tables([rows, rows])
    assert parts.write_part(str(work.folder), work.token, "a.parquet", [twice], (0,))[0] == 80
    known = pyarrow.parquet.read_metadata(work.folder / "a.parquet")
    assert [known.row_group(k).num_rows for k in range(known.num_row_groups)] == groups
    found = pyarrow.parquet.read_table(work.folder / "a.parquet")
    assert found["id"].to_pylist() == twice["id"].to_pylist()


def test_a_task_that_outlives_its_work_does_not_end_in_the_new_one(begin, rows):
    old = begin()

    def batches():
        yield rows
        begin(overwrite=True)  # another command, while this task is at its rows
        yield rows

    with pytest.raises(FileError, match=r"cannot write .*a\.parquet"):
        parts.write_part(str(old.folder), old.token, "a.parquet", batches(), (0,))
    assert [path.name for path in old.folder.iterdir()] == [HIDDEN]


def test_a_task_does_not_make_a_folder_that_was_removed(begin, rows):
    work = begin()
    parts.part_annotator(str(work.folder), work.token)  # as a worker that has done a part
    shutil.rmtree(work.folder)
    with pytest.raises(FileError, match="is not there any more"):
        parts.write_part(str(work.folder), work.token, "b/c.parquet", [rows], (0,))
    assert not work.folder.exists()


@pytest.mark.parametrize("how", [{"resume": True}, {"overwrite": True}, {}])
def test_what_a_removal_cut_short_left_is_in_nobodys_way(begin, tmp_path, how):
    left = unfinished_folder(tmp_path / "out")
    (left / HIDDEN).mkdir(parents=True)
    (left / HIDDEN / "schema.parquet").write_text("some")
    (left / "dataset").mkdir()
    (left / "dataset" / "a.parquet").write_text("of nobody knows what work")
    work = begin(**how)
    assert work.scratch.is_dir()
    assert not (left / "dataset").exists()


@pytest.mark.parametrize("how", [{"resume": True}, {"overwrite": True}])
def test_a_folder_with_anything_else_is_left_alone(begin, tmp_path, how):
    left = unfinished_folder(tmp_path / "out")
    left.mkdir()
    (left / "thesis.tex").write_text("mine")
    with pytest.raises(FileError, match=r"holds thesis\.tex\): it is left alone"):
        begin(**how)
    assert (left / "thesis.tex").read_text() == "mine"
