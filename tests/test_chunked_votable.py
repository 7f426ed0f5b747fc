"""VOTables by rows: what the reader of the whole file gives, a chunk at a time."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from astropy import units as u
from astropy.io import votable
from astropy.table import MaskedColumn, QTable, Table

from jpassed.exceptions import FileError
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.io.chunked_votable import VOTableChunks
from jpassed.io.chunks import WholeTable, open_chunks
from jpassed.io.layout import join_tables
from jpassed.io.native_columns import plain_table

ROWS = 10


def make_table() -> QTable:
    rng = np.random.default_rng(4)
    table = QTable({"id": np.arange(ROWS), "flux": rng.normal(size=ROWS).astype("f4") * u.uJy})
    table["pair"] = rng.normal(size=(ROWS, 2))
    table["name"] = [f"galaxy {k % 4}" for k in range(ROWS)]
    table["few"] = MaskedColumn(np.arange(ROWS, dtype="i2"), mask=np.arange(ROWS) % 3 == 1)
    table["good"] = np.arange(ROWS) % 2 == 0
    table["flux"].info.description = "a < b & c"
    table.meta["survey"] = "J-PAS"
    return table


def same(path, size: int, kind: type = VOTableChunks) -> None:
    whole = plain_table(read_catalog(path))
    with open_chunks(path) as table:
        assert isinstance(table, kind)
        assert table.n_rows == len(whole)
        parts = dict(table.chunks(size))
        assert list(parts) == list(range(-(-len(whole) // size)))
        if len(parts) > 2:
            assert sorted(dict(table.chunks(size, done={0, 2}))) == sorted(set(parts) - {0, 2})
    joined = join_tables(parts.values())
    assert joined.colnames == whole.colnames
    assert joined.meta == whole.meta
    for name in whole.colnames:
        one, other = joined[name], whole[name]
        assert (one.dtype, one.unit, one.description) == (
            other.dtype,
            other.unit,
            other.description,
        )
        np.testing.assert_array_equal(np.ma.getmaskarray(one), np.ma.getmaskarray(other))
        np.testing.assert_array_equal(np.ma.filled(one, 0), np.ma.filled(other, 0))


@pytest.mark.parametrize("size", [1, 3, 10, 64])
@pytest.mark.parametrize("form", ["tabledata", "binary", "binary2"])
def test_chunks_are_the_rows_of_the_whole(tmp_path, form, size):
    path = tmp_path / "in.vot"
    table = make_table()
    if form == "binary":
        table.remove_column("few")  # that form has no nulls
    document = votable.from_table(Table(plain_table(table)))
    document.to_xml(str(path), tabledata_format=form)
    same(path, size)


@pytest.mark.parametrize("ending", ["vot", "vot.gz"])
def test_files_of_our_own(tmp_path, ending):
    path = tmp_path / f"in.{ending}"
    write_catalog(make_table(), path)
    same(path, 4)


def test_rows_that_lie_on_borders(tmp_path, monkeypatch):
    from jpassed.io import chunked_votable

    for form in ("tabledata", "binary2"):
        path = tmp_path / f"{form}.vot"
        document = votable.from_table(Table(plain_table(make_table())))
        document.to_xml(str(path), tabledata_format=form)
        for piece in (1, 7, 64, 101):
            monkeypatch.setattr(chunked_votable, "_PIECE", piece)
            same(path, 3)


def test_several_tables_and_varying_texts_are_read_as_a_whole(tmp_path):
    path = tmp_path / "in.vot"
    table = make_table()
    table["one"] = ["a"] * ROWS  # a text of one letter: its length is left open
    write_catalog(table, path)
    same(path, 4, WholeTable)


def test_a_truncated_file_is_told(tmp_path):
    path = tmp_path / "in.vot"
    votable.from_table(Table(plain_table(make_table()))).to_xml(str(path))
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"</TR>") + 200])
    with pytest.raises(FileError), open_chunks(path) as table:
        list(table.chunks(4))
    path.write_bytes(gzip.compress(content)[:-20])
    with pytest.raises(FileError), open_chunks(path) as table:
        list(table.chunks(4))
