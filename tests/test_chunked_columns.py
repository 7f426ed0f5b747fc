"""Columns that look different in some chunks: arrays of varying length, short rows, empty ones."""

from __future__ import annotations

import numpy as np
import pytest
from annotation_tables import make_table, small_model
from astropy.io import votable
from astropy.table import Table

from jpassed.annotation.chunk_work import ChunkWork
from jpassed.annotation.files import annotate_file
from jpassed.annotation.streaming import PageAnnotator
from jpassed.exceptions import InputError
from jpassed.io import read_catalog, write_catalog
from jpassed.io.chunked_text import CsvChunks, EcsvChunks
from jpassed.io.chunked_votable import VOTableChunks
from jpassed.io.chunks import WholeTable, open_chunks
from jpassed.io.pieces import pieces_folder

ROWS, CHUNK = 9, 3
OPTIONS = {"model": small_model(), "outputs": "z", "chi2": "none"}

# Lengths of the rows: they differ everywhere, not within a chunk, and not in the first one.
LENGTHS = {
    "everywhere": [k % 3 + 1 for k in range(ROWS)],
    "between chunks": [k // CHUNK + 1 for k in range(ROWS)],
    "later": [2 if k < CHUNK else k % 3 + 1 for k in range(ROWS)],
}


def write_arrays(path, lengths, ending: str) -> None:
    """A catalogue with a column of arrays of those lengths, as others write it."""
    table = make_table(ROWS)
    arrays = np.empty(ROWS, dtype=object)
    arrays[:] = [np.arange(n, dtype=float) for n in lengths]
    if ending == "ecsv":
        table["array"] = arrays
        Table(table).write(path, format="ascii.ecsv")
    elif ending == "vot":
        table["array"] = arrays
        document = votable.from_table(Table(table))
        field = document.get_first_table().get_field_by_id("array")
        assert (field.datatype, field.arraysize) == ("double", "*")
        document.to_xml(str(path), tabledata_format="tabledata")
    else:
        import pyarrow
        import pyarrow.parquet

        write_catalog(table, path)
        column = pyarrow.array([row.tolist() for row in arrays])
        stored = pyarrow.parquet.read_table(path).append_column("array", column)
        pyarrow.parquet.write_table(stored, path)


@pytest.mark.parametrize("ending", ["ecsv", "vot", "parquet"])
@pytest.mark.parametrize("case", LENGTHS)
def test_arrays_of_varying_length_come_through(tmp_path, ending, case):
    source, target = tmp_path / f"in.{ending}", tmp_path / "out.ecsv"
    write_arrays(source, LENGTHS[case], ending)
    annotate_file(source, target, rows=CHUNK, **OPTIONS)
    found = read_catalog(target)["array"]
    assert [list(row) for row in found] == [list(np.arange(n)) for n in LENGTHS[case]]


def test_arrays_with_nulls_in_ecsv_are_read_as_a_whole(tmp_path):
    source, target = tmp_path / "in.ecsv", tmp_path / "out.ecsv"
    write_arrays(source, LENGTHS["everywhere"], "ecsv")
    text = source.read_text()
    assert "float64[null]" in text or "subtype: json" in text
    for told in ("json", "'float64[null]'"):
        changed = text.replace("'float64[null]'", told).replace("subtype: json", f"subtype: {told}")
        source.write_text(changed)
        with open_chunks(source) as table:
            assert isinstance(table, WholeTable)
        annotate_file(source, target, rows=CHUNK, overwrite=True, **OPTIONS)
        assert [len(row) for row in read_catalog(target)["array"]] == LENGTHS["everywhere"]


def test_texts_and_arrays_of_one_shape_are_read_by_rows(tmp_path):
    table = make_table(ROWS)
    table["name"] = [f"{'galaxy' * (1 + k // 4)} {k}" for k in range(ROWS)]
    table["pair"] = np.arange(2.0 * ROWS).reshape(ROWS, 2)
    for ending, kind in (("ecsv", EcsvChunks), ("vot", VOTableChunks), ("parquet", None)):
        write_catalog(table, tmp_path / f"in.{ending}")
        with open_chunks(tmp_path / f"in.{ending}") as opened:
            assert isinstance(opened, kind) if kind else not isinstance(opened, WholeTable)
    document = votable.from_table(Table(table))
    document.get_first_table().get_field_by_id("name").arraysize = "*"
    document.to_xml(str(tmp_path / "open.vot"), tabledata_format="tabledata")
    with open_chunks(tmp_path / "open.vot") as opened:
        assert isinstance(opened, VOTableChunks)


def test_a_piece_does_not_lose_objects(tmp_path):
    page = make_table(ROWS)
    arrays = np.empty(ROWS, dtype=object)
    arrays[:] = [np.arange(n) for n in LENGTHS["everywhere"]]
    page["array"] = arrays
    work = ChunkWork(PageAnnotator(**OPTIONS), tmp_path, ROWS, whole=True)
    with pytest.raises(InputError, match="'array' holds arrays of different lengths"):
        work.run(0, page)
    assert not list(tmp_path.iterdir())


def csv_lines(tmp_path) -> list[str]:
    write_catalog(make_table(ROWS), tmp_path / "plain.csv")
    return (tmp_path / "plain.csv").read_text().splitlines()


@pytest.mark.parametrize("rows", [CHUNK, None])
def test_short_rows_of_a_csv_are_empty_at_the_end(tmp_path, rows):
    lines = csv_lines(tmp_path)
    lines[0] += ",name"
    lines[1] += ",NGC 1"
    lines[5] += ",M 31"
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("\n".join(lines) + "\n")
    assert annotate_file(source, target, rows=rows, **OPTIONS) == ROWS
    found, whole = read_catalog(target), read_catalog(source)
    assert list(np.ma.filled(found["name"], "-")) == list(np.ma.filled(whole["name"], "-"))
    assert list(np.ma.filled(found["name"], "-")) == ["NGC 1", *3 * "-", "M 31", *4 * "-"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("rows", [CHUNK, None])
def test_comments_of_a_csv_are_lines(tmp_path, newline, rows):
    source, target = tmp_path / "in.csv", tmp_path / "out.fits"
    lines = ["# made by hand", "# in two lines", *csv_lines(tmp_path)]
    source.write_bytes((newline.join(lines) + newline).encode())
    with open_chunks(source) as opened:
        assert isinstance(opened, CsvChunks)
        for _, page in opened.chunks(4):
            assert page.meta["comments"] == ["made by hand", "in two lines"]
    annotate_file(source, target, rows=rows, **OPTIONS)
    comments = read_catalog(target).meta["comments"]
    assert [line for line in comments if "made" in line or "lines" in line] == [
        "made by hand", "in two lines",
    ]  # fmt: skip


@pytest.mark.parametrize("blank", [0, 1, 2])
@pytest.mark.parametrize("values", [["True", "False"], ["1.5", "2.5"], ["7", "8"], ["a", "b"]])
def test_a_chunk_without_a_value_does_not_change_the_type(tmp_path, blank, values):
    lines = csv_lines(tmp_path)
    lines[0] += ",more"
    for k in range(ROWS):
        lines[k + 1] += "," + ("" if k // CHUNK == blank else values[k % 2])
    source, target = tmp_path / "in.csv", tmp_path / "out.fits"
    source.write_text("\n".join(lines) + "\n")
    annotate_file(source, target, rows=CHUNK, **OPTIONS)
    write_catalog(read_catalog(source), tmp_path / "whole.fits")
    whole, found = read_catalog(tmp_path / "whole.fits")["more"], read_catalog(target)["more"]
    assert found.dtype == whole.dtype
    masks = [np.ma.getmaskarray(np.ma.asarray(column)) for column in (found, whole)]
    np.testing.assert_array_equal(*masks)
    assert found[~masks[0]].tolist() == whole[~masks[1]].tolist()
    assert not pieces_folder(target).exists()
