"""`annotate_file`: the file that `annotate` of the whole table would give, a chunk at a time."""

from __future__ import annotations

import gzip
import logging
import shutil
import warnings

import numpy as np
import pytest
from annotation_tables import make_table, masked, numbers, small_model, write_small
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, QTable
from click.testing import CliRunner

from jpassed.annotation import annotate
from jpassed.annotation.chunk_work import ChunkWork
from jpassed.annotation.files import annotate_file
from jpassed.cli import main
from jpassed.exceptions import FileError, InputError, UnknownNameError, UnrecognisedTableError
from jpassed.io import read_catalog, write_catalog
from jpassed.io.pieces import pieces_folder

ROWS = 11
CHUNK = 4
OPTIONS = {"model": small_model(), "outputs": ["z", "t0", "flux:galex_nuv"]}
ENDINGS = ("fits", "fits.gz", "parquet", "vot", "ecsv", "csv")


def make_input(n: int = ROWS) -> QTable:
    """A table in which chunks differ in masks, widths of texts and nulls."""
    table = masked(masked(make_table(n), "J0540", [1]), "J0750", [8, 9])
    table["name"] = [f"{'galaxy' * (1 + i // 4)} {i}" for i in range(n)]
    table["runs"] = MaskedColumn(np.arange(n), mask=np.arange(n) == 6)
    table["good"] = np.arange(n) % 3 == 0
    table["ra"] = np.linspace(0.0, 10.0, n) * u.deg
    table.meta["telescope"] = "JAST80"
    return table


def same(one: QTable, other: QTable) -> None:
    """The same columns: names, units, words, types, masks and values."""
    assert one.colnames == other.colnames
    for name in one.colnames:
        a, b = one[name], other[name]
        assert (a.dtype, a.unit) == (b.dtype, b.unit), name
        assert a.info.description == b.info.description, name
        masks = [np.broadcast_to(getattr(x, "mask", False), x.shape) for x in (a, b)]
        np.testing.assert_array_equal(*masks, err_msg=name)
        values = [np.asarray(x.filled(0) if hasattr(x, "filled") else x) for x in (a, b)]
        close(*values, name)
    days = [dict(t.meta) for t in (one, other)]
    for meta in days:
        meta.pop("jp_date", None)
    assert days[0] == days[1]


def close(one, other, name: str) -> None:
    """The same values; of predictions to single precision, which is all a random network gives."""
    if name.startswith("jp_") and one.dtype.kind == "f":
        np.testing.assert_allclose(one, other, rtol=1e-6, err_msg=name)
    else:
        np.testing.assert_array_equal(one, other, err_msg=name)


@pytest.mark.parametrize(
    ("ending", "rows"), [*((ending, CHUNK) for ending in ENDINGS), ("csv", None), ("vot", None)]
)
def test_chunks_give_the_file_of_the_whole(tmp_path, ending, rows):
    source, whole, parts = (tmp_path / f"{k}.{ending}" for k in ("in", "whole", "parts"))
    write_catalog(make_input(), source)
    write_catalog(annotate(read_catalog(source), **OPTIONS), whole)
    assert annotate_file(source, parts, rows=rows, **OPTIONS) == ROWS
    same(read_catalog(parts), read_catalog(whole))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        p.name for p in (source, whole, parts)
    )


@pytest.mark.parametrize("rows", [ROWS, None, 1])
def test_any_size_of_chunks(tmp_path, rows):
    source, target = tmp_path / "in.fits", tmp_path / "out.parquet"
    write_catalog(make_input(), source)
    whole = annotate(read_catalog(source), **OPTIONS)
    assert annotate_file(source, target, rows=rows, **OPTIONS) == ROWS
    found = read_catalog(target)
    for name in ("jp_z", "jp_t0_err", "jp_flux_galex_nuv_hi", "jp_flag"):
        close(numbers(found[name]), numbers(whole[name]), name)
    assert list(found["name"]) == list(whole["name"])


def test_one_table_of_several_in_a_file(tmp_path):
    source, target = tmp_path / "in.fits", tmp_path / "out.fits"
    write_catalog(make_input(), source)
    with fits.open(source) as hdus:
        table = hdus[1].copy()
        table.name = "GALAXIES"
        fits.HDUList(
            [fits.PrimaryHDU(), fits.ImageHDU(np.zeros((7, 9))), hdus[1].copy(), table]
        ).writeto(tmp_path / "several.fits")
    with pytest.raises(FileError, match="has 2 tables"):
        annotate_file(tmp_path / "several.fits", target, rows=CHUNK, **OPTIONS)
    annotate_file(f"{tmp_path / 'several.fits'}#GALAXIES", target, rows=CHUNK, **OPTIONS)
    expected = annotate(read_catalog(f"{tmp_path / 'several.fits'}#3"), **OPTIONS)
    close(numbers(read_catalog(target)["jp_z"]), numbers(expected["jp_z"]), "jp_z")


def test_columns_that_are_more_than_values(tmp_path):
    table = make_input()
    table["place"] = SkyCoord(np.arange(ROWS) * u.deg, np.arange(ROWS) * u.deg)
    source, whole, parts = (tmp_path / f"{k}.ecsv" for k in ("in", "whole", "parts"))
    write_catalog(table, source)
    write_catalog(annotate(read_catalog(source), **OPTIONS), whole)
    annotate_file(source, parts, rows=CHUNK, **OPTIONS)
    one, other = read_catalog(parts), read_catalog(whole)
    assert one.colnames == other.colnames
    assert one["place"][3].ra == 3 * u.deg
    close(numbers(one["jp_z"]), numbers(other["jp_z"]), "jp_z")


def test_arrays_of_varying_length_are_read_as_a_whole(tmp_path):
    source, target = tmp_path / "in.fits", tmp_path / "out.ecsv"
    write_catalog(make_input(), source)
    with fits.open(source) as hdus:
        arrays: np.ndarray = np.empty(ROWS, dtype=object)
        arrays[:] = [np.arange(k % 3 + 1, dtype="f4") for k in range(ROWS)]
        more = fits.ColDefs([fits.Column("spectrum", "PE()", array=arrays)])
        fits.BinTableHDU.from_columns(hdus[1].columns + more).writeto(tmp_path / "vla.fits")
    annotate_file(tmp_path / "vla.fits", target, rows=CHUNK, **OPTIONS)
    found = read_catalog(target)
    assert [len(row) for row in found["spectrum"]] == [k % 3 + 1 for k in range(ROWS)]
    expected = annotate(read_catalog(source), **OPTIONS)
    close(numbers(found["jp_z"]), numbers(expected["jp_z"]), "jp_z")


def test_columns_of_an_earlier_annotation_are_replaced(tmp_path):
    source, once, twice = (tmp_path / f"{k}.fits" for k in ("in", "once", "twice"))
    write_catalog(make_input(), source)
    annotate_file(source, once, rows=CHUNK, pdf=True, **OPTIONS)
    with pytest.raises(InputError, match="annotated before"):
        annotate_file(once, twice, rows=CHUNK, **OPTIONS)
    assert not pieces_folder(twice).exists()
    annotate_file(
        once, twice, rows=CHUNK, replace_columns=True, outputs="z", model=OPTIONS["model"]
    )
    found = read_catalog(twice)
    expected = annotate(
        read_catalog(once), outputs="z", model=OPTIONS["model"], replace_columns=True
    )
    assert found.colnames == expected.colnames
    close(numbers(found["jp_z"]), numbers(expected["jp_z"]), "jp_z")


def test_row_groups_of_any_size(tmp_path):
    import pyarrow.parquet as parquet

    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    write_catalog(make_input(), source)
    groups = tmp_path / "groups.parquet"
    parquet.write_table(parquet.read_table(source), groups, row_group_size=3)
    annotate_file(groups, target, rows=CHUNK, **OPTIONS)
    annotate_file(source, tmp_path / "other.parquet", rows=CHUNK, **OPTIONS)
    same(read_catalog(target), read_catalog(tmp_path / "other.parquet"))


CSV = """\
# made by hand
# in two lines
id,name,J0540,J0540_err,J0680,J0680_err,rSDSS,rSDSS_err,J0470,J0470_err,note,good,pair
1,007,10.5,0.5,11,1,12.25,1,9,1,,True,"[1, 2]"
2,42,10.5,0.5,11,1,12.25,1,9,1,,False,"[3, 4]"

3,8,,0.5,11,1,12.25,1,9,1,,True,"[5, 6]"
4,NGC 1,10.5,0.5,11,1,12.25,1,9,1,"two
lines, quoted",maybe,"[7]"
5,null,10.5,0.5,11,1,12.25,1,9,1,x,,
"""


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_columns_of_a_csv_have_the_types_of_all_rows(tmp_path, packed, encoding):
    content = CSV.replace("NGC 1", "NGC 1 é").encode(encoding)
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes(gzip.compress(content) if packed else content)
    annotate_file(source, target, rows=2, **OPTIONS)
    write_catalog(annotate(read_catalog(source), **OPTIONS), tmp_path / "whole.csv")
    found, whole = (read_catalog(tmp_path / f"{name}.csv") for name in ("out", "whole"))
    same(found, whole)
    assert list(found["name"][:4]) == ["007", "42", "8", "NGC 1 é"]
    assert found["note"][3] == "two\nlines, quoted"


def test_a_csv_line_with_fewer_fields(tmp_path):
    source = tmp_path / "in.csv"
    source.write_text(CSV + "6,7\n8,9,10,11,12,13,14,15,16,17,18,19,20,21,22\n")
    with pytest.raises(FileError, match="is not a CSV table, or it is damaged"):
        annotate_file(source, tmp_path / "out.csv", rows=2, **OPTIONS)


def test_progress_counts_all_rows(tmp_path):
    source = tmp_path / "in.fits"
    write_catalog(make_input(), source)
    seen: list[tuple[int, int]] = []
    annotate_file(
        source, tmp_path / "out.fits", rows=CHUNK, progress=lambda *at: seen.append(at), **OPTIONS
    )
    done = [rows for rows, _ in seen]
    assert done in ([4, 8, ROWS], [4, 7, ROWS])  # the second and third are done beside each other
    assert {total for _, total in seen} == {ROWS}


def test_messages_are_told_once(tmp_path, caplog):
    table = make_input()
    table["J0400_err"][[1, 5, 9]] = -1 * table["J0400_err"].unit
    write_catalog(table, tmp_path / "in.fits")
    with caplog.at_level(logging.WARNING):
        annotate_file(tmp_path / "in.fits", tmp_path / "out.fits", rows=CHUNK, **OPTIONS)
    said = [r.getMessage() for r in caplog.records if "J0400" in r.getMessage()]
    assert len(said) == 1


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"workers": 0}, InputError, "workers: expected a positive whole number, got 0"),
        ({"rows": True}, InputError, "rows: expected a positive whole number, got True"),
        ({"chi2": "some"}, InputError, "some"),
    ],
)
def test_a_slip_leaves_nothing_behind(tmp_path, options, error, said):
    source = tmp_path / "in.fits"
    write_catalog(make_input(), source)
    with pytest.raises(error, match=said):
        annotate_file(source, tmp_path / "out.fits", **{"rows": CHUNK, **OPTIONS, **options})
    assert [p.name for p in tmp_path.iterdir()] == ["in.fits"]


def test_options_are_looked_at_before_the_file(tmp_path):
    source, target = tmp_path / "in.csv", tmp_path / "out.fits"
    source.write_text("what is in it is not looked at\n")
    for options in ({"outputs": "mass of sins"}, {"survey": "nosuch"}, {"model": "nosuch"}):
        with pytest.raises(UnknownNameError):
            annotate_file(source, target, **{**OPTIONS, **options})
    with pytest.raises(FileError, match="'#' picks a table to read, not one to write"):
        annotate_file(source, f"{target}#2", **OPTIONS)
    with pytest.raises(FileError, match=r"other\.fits does not exist"):
        annotate_file(tmp_path / "other.fits", target, **OPTIONS)
    assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]


def test_filters_of_warnings_are_as_they_were(tmp_path, monkeypatch):
    source = tmp_path / "in.fits"
    write_catalog(make_input(), source)
    before = list(warnings.filters), warnings.showwarning
    annotated = ChunkWork.annotate

    def annotate(self, number, page, progress=None):
        # What two threads leave that enter and leave `catch_warnings` in each other's way.
        warnings.simplefilter("ignore")
        warnings.showwarning = lambda *_, **__: None
        return annotated(self, number, page, progress)

    monkeypatch.setattr(ChunkWork, "annotate", annotate)
    for k in range(2):
        annotate_file(source, tmp_path / f"{k}.fits", rows=CHUNK, **OPTIONS)
        assert (list(warnings.filters), warnings.showwarning) == before
    with pytest.raises(InputError):
        annotate_file(source, tmp_path / "2.fits", rows=CHUNK, chi2="some", **OPTIONS)
    assert (list(warnings.filters), warnings.showwarning) == before


def test_a_useless_file_is_told(tmp_path):
    source, target = tmp_path / "in.fits", tmp_path / "out.fits"
    write_catalog(make_input(), source)
    write_catalog(QTable({"a": np.arange(9.0)}), tmp_path / "other.fits")
    with pytest.raises(UnrecognisedTableError):
        annotate_file(tmp_path / "other.fits", target, rows=CHUNK, **OPTIONS)
    with open(source, "r+b") as file:
        file.truncate(source.stat().st_size - 2880)
    with pytest.raises(FileError, match="truncated"):
        annotate_file(source, target, rows=CHUNK, **OPTIONS)
    assert not target.exists()


def test_a_full_disk_keeps_what_is_done(tmp_path, monkeypatch):
    from jpassed.io import piece_files

    source, target = tmp_path / "in.fits", tmp_path / "out.fits"
    write_catalog(make_input(), source)
    save, calls = piece_files._save, []

    def full(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        save(*arguments)

    monkeypatch.setattr(piece_files, "_save", full)
    with pytest.raises(FileError, match="No space left on device"):
        annotate_file(source, target, rows=CHUNK, **OPTIONS)
    # Two chunks are annotated beside each other: which of them fails is a matter of chance.
    assert len(list(pieces_folder(target).glob("*.npz"))) == 2
    assert annotate_file(source, target, rows=CHUNK, resume=True, **OPTIONS) == ROWS
    assert len(calls) == 4
    assert not pieces_folder(target).exists()


def test_the_command_annotates_a_file(tmp_path):
    model = write_small(tmp_path / "model")
    source, target = tmp_path / "in.fits", tmp_path / "out.fits"
    write_catalog(make_input(), source)
    words = ["annotate", str(source), "-o", str(target), "--model", str(model), "--outputs", "z"]
    shown = CliRunner().invoke(main, words)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout == f"{target}: {ROWS} rows\n"
    expected = annotate(read_catalog(source), model=model, outputs="z")
    close(numbers(read_catalog(target)["jp_z"]), numbers(expected["jp_z"]), "jp_z")
    shutil.rmtree(model)
