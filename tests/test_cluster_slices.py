"""Rows of Parquet files in slices: whatever the files, their row groups and their types."""

from __future__ import annotations

import pyarrow
import pyarrow.parquet
import pytest
from cluster_catalogs import made_up
from hypothesis import given
from hypothesis import strategies as st
from test_chunked_magnitudes import CHUNK, ROWS, sorted_by_flux

from jpassed.cluster import parts
from jpassed.cluster.described import describe_schema
from jpassed.cluster.slices import conformed, even_slices, parquet_slices
from jpassed.cluster.work import HIDDEN, all_options, open_work
from jpassed.exceptions import FileError, InputError
from jpassed.io.catalogs import write_catalog

pytestmark = pytest.mark.xdist_group("cluster_slices")


def numbered(lengths):
    """Tables of these lengths whose rows are numbered through."""
    start = 0
    for length in lengths:
        yield pyarrow.table({"n": pyarrow.array(range(start, start + length), pyarrow.int64())})
        start += length


@given(lengths=st.lists(st.integers(0, 40), max_size=12), rows=st.integers(1, 17))
def test_slices_are_even_wherever_files_end(lengths, rows):
    found = list(even_slices(numbered(lengths), rows))
    total = sum(lengths)
    assert [t.num_rows for t in found[:-1]] == [rows] * (len(found) - 1)
    assert [n for t in found for n in t["n"].to_pylist()] == list(range(total))
    assert len(found) == -(-total // rows)


def test_row_groups_of_a_file_are_read_in_slices(tmp_path):
    path = tmp_path / "file.parquet"
    pyarrow.parquet.write_table(next(numbered([100])), path, row_group_size=30)
    found = list(parquet_slices(path, 16))
    assert max(t.num_rows for t in found) == 16
    assert [n for t in found for n in t["n"].to_pylist()] == list(range(100))
    some = parquet_slices(path, 16, groups=[1, 3])
    assert [n for t in some for n in t["n"].to_pylist()] == [*range(30, 60), *range(90, 100)]


def test_a_slice_takes_the_memory_of_a_slice(tmp_path):
    """Not that of the row group: pyarrow would read it ahead."""
    path = tmp_path / "file.parquet"
    rows = pyarrow.table({"n": pyarrow.array(range(400_000), pyarrow.int64())})
    pyarrow.parquet.write_table(
        rows, path, compression="none", use_dictionary=False, data_page_size=1 << 13
    )
    assert pyarrow.parquet.read_metadata(path).num_row_groups == 1
    size, before = rows.nbytes, pyarrow.total_allocated_bytes()
    slices = parquet_slices(path, 4096)
    next(slices)
    assert pyarrow.total_allocated_bytes() - before < size / 4
    slices.close()


def test_a_damaged_file_is_named_and_not_the_output(work, rows, tmp_path):
    path = tmp_path / "damaged.parquet"
    pyarrow.parquet.write_table(rows, path)
    content = bytearray(path.read_bytes())
    content[4:400] = b"\xff" * 396
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"damaged\.parquet cannot be read, or is damaged") as told:
        slices = parquet_slices(path, 16)
        parts.write_part(str(work.folder), work.token, "a.parquet", slices, (0,), len(rows))
    assert "cannot write" not in str(told.value)


def test_types_of_files_become_those_of_the_catalogue():
    schema = pyarrow.schema(
        [("name", pyarrow.string()), ("z", pyarrow.float64()), ("new", pyarrow.int16())]
    )
    table = pyarrow.table(
        {
            "z": pyarrow.nulls(2, pyarrow.null()),
            "name": pyarrow.array(["a", None], pyarrow.large_string()),
            "Npix": pyarrow.array([1, 1]),
        }
    )
    found = conformed(table, schema.with_metadata({"unit": "none"}))
    assert found.schema.equals(schema, check_metadata=True)
    assert found.to_pydict() == {"name": ["a", None], "z": [None, None], "new": [None, None]}
    same = found.replace_schema_metadata({"k": "v"})
    assert conformed(same, schema).schema.equals(schema, check_metadata=True)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    write_catalog(made_up(48), path)
    table = pyarrow.parquet.read_table(path)
    return table.cast(describe_schema(table.schema))


@pytest.fixture
def work(rows, tmp_path):
    options = all_options({"outputs": ["z"], "chi2": "none", "device": "cpu", "seed": 3})
    return open_work(tmp_path / "out", {"n": 1}, rows, options, resume=False)


def test_a_part_with_other_rows_than_said_is_not_written(work, rows):
    with pytest.raises(FileError, match="48 rows were read where 50 are said to be: .* damaged"):
        parts.write_part(str(work.folder), work.token, "a.parquet", [rows], (0,), 50)
    assert [path.name for path in work.folder.iterdir()] == [HIDDEN]
    assert not list((work.folder / HIDDEN / work.token).iterdir())
    assert parts.write_part(str(work.folder), work.token, "a.parquet", [rows], (0,), 48)[0] == 48


def test_faint_rows_after_the_first_ones_are_not_taken_for_magnitudes(tmp_path, monkeypatch):
    """The catalogue's first rows were fluxes; the later ones alone would be refused."""
    write_catalog(sorted_by_flux(), tmp_path / "rows.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "rows.parquet")
    rows = table.cast(describe_schema(table.schema))
    options = all_options({"outputs": ["z"], "chi2": "none", "device": "cpu"})
    with pytest.raises(InputError, match="look like magnitudes"):
        open_work(tmp_path / "other", {"n": 1}, rows.slice(CHUNK, CHUNK), options, resume=False)
    monkeypatch.setattr(parts, "ROWS_AT_ONCE", CHUNK)
    begun = open_work(tmp_path / "out", {"n": 1}, rows.slice(0, CHUNK), options, resume=False)
    count, _ = parts.write_part(str(begun.folder), begun.token, "a.parquet", [rows], (0,))
    assert count == ROWS
    written = pyarrow.parquet.read_table(begun.folder / "a.parquet")
    assert written["id"].to_pylist() == list(range(ROWS))
    assert written["jp_z"].null_count == 0
