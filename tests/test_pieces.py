"""A table in pieces: joined, kept in a folder, and written as if it had been one."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import weakref
from collections import OrderedDict

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Column, MaskedColumn, QTable, vstack
from hypothesis import given
from hypothesis import strategies as st

from jpassed.exceptions import FileError, InputError
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.io.layout import TableLayout, join_tables
from jpassed.io.native_columns import plain_table
from jpassed.io.pieces import Pieces, pieces_folder

FORMATS = ("fits", "fits.gz", "parquet", "vot", "ecsv", "csv")


def page(n: int, k: int) -> QTable:
    """A page of n rows with all that changes between pages: widths, masks, nulls."""
    rng = np.random.default_rng(k)
    table = QTable({"id": np.arange(n) + 100 * k}, meta={"jp_date": f"day {k}", "made": "here"})
    table.meta["nested"] = {"a": [1, 2], "b": 0.5}
    table["name"] = np.array(["x" * (1 + (i % (3 + k))) for i in range(n)])
    table["flux"] = rng.normal(size=(n, 3)).astype("f4") * u.uJy
    table["flux"].info.description = "Flux per band in Å"
    table["flux"].info.meta = {"ucd": "phot.flux"}
    table["z"] = MaskedColumn(rng.random(n), mask=rng.random(n) < 0.3 * k)
    table["z"].info.format = "%.5f"
    table["count"] = MaskedColumn(rng.integers(0, 9, n).astype("i2"), mask=np.arange(n) < k)
    table["good"] = rng.random(n) < 0.5
    table["flag"] = Column(rng.random(n) < 0.5) if k == 0 else MaskedColumn(
        rng.random(n) < 0.5, mask=np.arange(n) < k
    )  # fmt: skip
    table["label"] = MaskedColumn(["b" * k + "aé"[i % 2] * k + "c" for i in range(n)], mask=[k] * n)
    table["small"] = rng.integers(0, 9, n).astype("u1")
    return table


PAGES = [page(5, 0), page(7, 1), page(1, 2)]


def whole(pages: list[QTable]) -> QTable:
    """All pages in one table, as astropy puts them together."""
    found = vstack([plain_table(p) for p in pages], metadata_conflicts="silent")
    found.meta.update(pages[-1].meta)
    return found


def same_parquet(one, other) -> bool:
    import pyarrow.parquet

    a, b = (pyarrow.parquet.read_table(path) for path in (one, other))
    return a.equals(b) and a.schema.equals(b.schema, check_metadata=True)


@pytest.mark.parametrize("ending", FORMATS)
def test_a_file_of_pieces_is_the_file_of_the_whole(tmp_path, ending):
    one, pieced = tmp_path / f"one.{ending}", tmp_path / f"pieced.{ending}"
    write_catalog(whole(PAGES), one)
    with Pieces(pieced, {}) as pieces:
        for k, table in enumerate(PAGES):
            pieces.add(table, (k,))
        assert pieces.merge() == 13
        pieces.remove()
    if ending == "parquet":  # row groups are where the pages were
        assert same_parquet(one, pieced)
    else:
        assert one.read_bytes() == pieced.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([one.name, pieced.name])


NUMBERS = st.one_of(
    st.integers(-(2**15), 2**15 - 1), st.floats(width=32, allow_nan=False, allow_infinity=False)
)
KINDS = ("i2", "i4", "i8", "u1", "f4", "f8", "bool", "U")


@st.composite
def tables(draw):
    """Pages of one table: few rows, any type, any mask, texts of any length and script."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4))
    pages = []
    for rows in draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)):
        table = QTable()
        for k, kind in enumerate(kinds):
            if kind == "U":
                values = np.array(
                    draw(st.lists(st.text("abé€😀", max_size=4), min_size=rows, max_size=rows)), "U"
                )
            else:
                cells = st.lists(st.integers(0, 100), min_size=2 * rows, max_size=2 * rows)
                values = np.array(draw(cells)).astype(kind).reshape(rows, 2)
            masked = draw(st.booleans())
            mask = draw(st.lists(st.booleans(), min_size=rows, max_size=rows)) if masked else None
            if mask is not None and values.ndim == 2:
                mask = np.array(mask)[:, None] | np.array([False, True])
            new = Column(values) if mask is None else MaskedColumn(values, mask=mask)
            table[f"c{k}"] = new
        pages.append(table)
    return pages


@given(tables())
def test_any_pages_give_the_fits_file_of_the_whole(tmp_path_factory, pages):
    folder = tmp_path_factory.mktemp("pages")
    write_catalog(whole(pages), folder / "one.fits")
    with Pieces(folder / "pieced.fits", {}) as pieces:
        for table in pages:
            pieces.add(table, ())
        pieces.merge()
    assert (folder / "one.fits").read_bytes() == (folder / "pieced.fits").read_bytes()


def test_joined_tables_are_what_astropy_stacks():
    joined, stacked = join_tables(PAGES), whole(PAGES)
    assert joined.colnames == stacked.colnames
    for name in joined.colnames:
        one, other = joined[name], stacked[name]
        assert (one.dtype, one.unit, type(one)) == (other.dtype, other.unit, type(other))
        assert one.info.description == other.info.description
        np.testing.assert_array_equal(np.ma.getmaskarray(one), np.ma.getmaskarray(other))
        np.testing.assert_array_equal(np.ma.getdata(one), np.ma.getdata(other))
    assert joined.meta == {"jp_date": "day 2", "made": "here", "nested": {"a": [1, 2], "b": 0.5}}


def test_texts_of_which_a_page_has_none():
    empty = QTable({"a": [1, 2], "t": MaskedColumn([None, None], mask=True, dtype=object)})
    given_ = QTable({"a": [3, 4], "t": MaskedColumn(["x", "yy"], mask=[False, True])})
    joined = join_tables([empty, given_, empty])
    assert joined["t"].dtype == "U2"
    assert list(joined["t"].mask) == [True, True, False, True, True, True]
    alone = join_tables([empty])
    assert alone["t"].dtype.kind == "U" and alone["t"].mask.all()
    numbers = QTable({"a": [1], "t": np.ones((1, 3))})
    blank = QTable({"a": [1], "t": MaskedColumn([0], mask=True, dtype="f4")})
    for pages in ([blank, numbers], [numbers, blank]):
        joined = join_tables(pages)
        assert joined["t"].shape == (2, 3) and joined["t"].mask.sum() == 3
    joined = join_tables([empty, numbers])
    assert joined["t"].shape == (3, 3) and joined["t"].mask.sum() == 6


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({"a": [1]}, {"b": [1]}, "the columns change between pages: b new, a gone"),
        ({"a": [1]}, {"a": ["x"]}, "column 'a' changes from int64 to text between pages"),
        ({"a": [1]}, {"a": [[1, 2]]}, "from int64 to int64[2] between pages"),
        ({"a": [1] * u.m}, {"a": [1] * u.s}, "column 'a' changes its unit from m to s"),
    ],
)
def test_pages_that_do_not_fit(first, second, said):
    with pytest.raises(InputError) as e:
        join_tables([QTable(first), QTable(second)])
    assert said in str(e.value)


def test_no_table_at_all():
    with pytest.raises(InputError, match="there is no table to join"):
        join_tables([])


def test_objects_cannot_be_kept(tmp_path):
    table = QTable({"a": np.array([np.ones(2), np.ones(3)], dtype=object)})
    with Pieces(tmp_path / "x.fits", {}) as pieces:
        with pytest.raises(InputError, match="column 'a' holds arrays of different lengths"):
            pieces.add(table, ())
        assert (pieces.rows, pieces.after) == (0, None)


def test_mixins_cannot_be_kept(tmp_path):
    from astropy.time import Time

    with Pieces(tmp_path / "x.fits", {}) as pieces:
        with pytest.raises(InputError, match="column 't' is a Time"):
            pieces.add(QTable({"t": Time(["2020-01-01"])}), ())


@pytest.mark.parametrize("kind", ["fits", "parquet"])
def test_one_piece_is_in_memory_at_a_time(tmp_path, kind):
    from jpassed.io.parquet_tables import write_parquet_pieces
    from jpassed.io.streamed_fits import write_fits_pieces

    write = {"fits": write_fits_pieces, "parquet": write_parquet_pieces}[kind]
    layout = TableLayout.of(plain_table(PAGES[0]))
    seen, most = [], 0

    def pieces():
        nonlocal most
        for _ in range(5):
            table = plain_table(PAGES[0])
            seen.append(weakref.ref(table))
            yield table
            del table
            gc.collect()
            most = max(most, sum(ref() is not None for ref in seen))

    write(pieces(), layout, {}, 25, tmp_path / "out")
    assert len(seen) == 5 and most == 1


# --- going on -----------------------------------------------------------------------------------


def test_work_goes_on_behind_the_last_piece(tmp_path):
    output = tmp_path / "out.fits"
    with Pieces(output, {"query": "a", "n": 1}) as pieces:
        pieces.add(PAGES[0], (np.int64(4), "x", np.float64(0.1)))
    folder = pieces_folder(output)
    assert folder.name == "out.fits.jpassed-pieces"
    assert "of out.fits while it works" in (folder / "README.txt").read_text()
    assert json.loads((folder / "task.json").read_text()) == {"query": "a", "n": 1}
    (folder / ".000002.npz.1234.part").write_bytes(b"half a piece")
    with Pieces(output, {"n": 1, "query": "a"}) as pieces:
        assert (pieces.rows, pieces.after) == (5, (4, "x", 0.1))
        pieces.add(PAGES[1], (11, "y", 0.2))
        (table, _) = pieces.tables()
        assert table["flux"].unit == u.uJy
        assert table["z"].format == "%.5f"
        assert table["flux"].meta == {"ucd": "phot.flux"}
        assert pieces.merge(meta={"made": "there"}) == 12
        assert not list(folder.glob(".*"))
    assert folder.is_dir()  # until it is removed
    assert read_catalog(output).meta["made"] == "there"


def test_meta_of_other_kinds(tmp_path):
    table = PAGES[0].copy()
    table.meta = {"a": OrderedDict(b=1), "c": np.float32(0.5), "d": np.arange(2), "e": 1 * u.m}
    with Pieces(tmp_path / "out.ecsv", {}) as pieces:
        pieces.add(table, ())
        (found,) = pieces.tables()
    assert {k: found.meta[k] for k in "ace"} == {"a": {"b": 1}, "c": 0.5, "e": 1 * u.m}
    assert list(found.meta["d"]) == [0, 1]


def test_pieces_of_other_work_are_not_used(tmp_path):
    output = tmp_path / "out.fits"
    with Pieces(output, {"query": "a", "model": "m", "n": 1}) as pieces:
        pieces.add(PAGES[0], (1,))
    with pytest.raises(FileError, match=r"other work \(not the same: model, query\)"):
        Pieces(output, {"query": "b", "n": 1})
    with Pieces(output, {"query": "a", "model": "m", "n": 1}) as pieces:
        assert pieces.rows == 5


def test_a_folder_without_a_piece_is_anybody_s(tmp_path):
    output = tmp_path / "out.fits"
    Pieces(output, {"query": "with a typing error"}).close()
    with Pieces(output, {"query": "a"}) as pieces:
        assert json.loads((pieces.folder / "task.json").read_text()) == {"query": "a"}


@pytest.mark.parametrize("killed", range(6))
def test_what_a_killed_removal_leaves_is_the_beginning_of_the_same_work(
    tmp_path, monkeypatch, killed
):
    output, step = tmp_path / "out.fits", [0]
    with Pieces(output, {"query": "a"}) as pieces:
        for k in range(4):
            pieces.add(PAGES[0], (k,))

        def until(really):
            def unlink(*args, **given):
                if step[0] == killed:
                    raise KeyboardInterrupt
                step[0] += 1
                really(*args, **given)

            return unlink

        with monkeypatch.context() as patch:
            patch.setattr("os.unlink", until(os.unlink))
            with pytest.raises(KeyboardInterrupt):
                pieces.remove()
    left = len(list(pieces.folder.glob("*.npz")))
    assert left == max(4 - killed, 0)
    if left:
        with pytest.raises(FileError, match="other work"):
            Pieces(output, {"query": "b"})
    with Pieces(output, {"query": "a"}) as pieces:
        assert pieces.after == ((left - 1,) if left else None)


def test_pieces_without_their_task_are_not_used(tmp_path):
    output = tmp_path / "out.fits"
    with Pieces(output, {"query": "a"}) as pieces:
        pieces.add(PAGES[0], (0,))
    (pieces.folder / "task.json").unlink()
    with pytest.raises(FileError, match=r"other work \(its task.json is missing or damaged\)"):
        Pieces(output, {"query": "a"})


@pytest.mark.parametrize("ending", ["fits", "parquet.gz"])
def test_a_killed_merge_leaves_nothing_that_stays(tmp_path, ending):
    output = tmp_path / f"out.{ending}"
    code = (
        "import os, signal\nfrom jpassed.io import pieces\n"
        f"found = pieces.Pieces({str(output)!r}, {{}})\n"
        "real = found._write\n"
        "def write(*args):\n    real(*args)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "found._write = write\nfound.merge()"
    )
    with Pieces(output, {}) as pieces:
        pieces.add(PAGES[0], (0,))
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert len(list(tmp_path.glob(".out.*.part"))) == 1
    (tmp_path / ".out.fits.mine.part.txt").write_text("of somebody else")
    with Pieces(output, {}) as pieces:
        pieces.merge()
        pieces.remove()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".out.fits.mine.part.txt", output.name]


def test_two_processes_do_not_work_on_the_same_pieces(tmp_path):
    output = tmp_path / "out.fits"
    code = f"from jpassed.io.pieces import Pieces; Pieces({str(output)!r}, {{}})"
    with Pieces(output, {}):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "is in use by another jpassed" in done.stderr
    Pieces(output, {}).close()


def test_damaged_pieces_are_told(tmp_path):
    output = tmp_path / "out.fits"
    with Pieces(output, {}) as pieces:
        for k in range(3):
            pieces.add(PAGES[0], (k,))
    folder = pieces_folder(output)
    second = folder / "000002.npz"
    content = second.read_bytes()
    second.write_bytes(content[:500])
    with pytest.raises(FileError, match=r"000002\.npz is damaged"):
        Pieces(output, {})
    second.unlink()
    with pytest.raises(FileError, match="lacks piece 2; remove the folder"):
        Pieces(output, {})
    second.write_bytes(content)
    (folder / "task.json").write_text("{")
    with pytest.raises(FileError, match=r"other work \(its task.json is missing or damaged\)"):
        Pieces(output, {})


def test_a_folder_that_cannot_be_made(tmp_path):
    with pytest.raises(FileError, match="cannot keep pieces in"):
        Pieces(tmp_path / "nowhere" / "out.fits", {})


def test_nothing_is_written_of_nothing_or_over_a_file(tmp_path):
    output = tmp_path / "out.fits"
    with Pieces(output, {}) as pieces:
        with pytest.raises(FileError, match="has no pieces"):
            pieces.merge()
        pieces.add(PAGES[0], (1,))
        output.write_text("mine")
        with pytest.raises(FileError, match="exists"):
            pieces.merge()
        assert output.read_text() == "mine"
        assert pieces.merge(overwrite=True) == 5


def test_pages_that_change_are_refused_when_written(tmp_path):
    with Pieces(tmp_path / "out.fits", {}) as pieces:
        pieces.add(QTable({"a": [1]}), (1,))
        pieces.add(QTable({"a": ["x"]}), (2,))
        with pytest.raises(InputError, match="column 'a' changes from int64 to text"):
            pieces.merge()
    assert not (tmp_path / "out.fits").exists()


def test_a_layout_that_is_not_that_of_the_pieces(tmp_path):
    from jpassed.io.parquet_tables import write_parquet_pieces
    from jpassed.io.streamed_fits import write_fits_pieces

    plain = plain_table(PAGES[0])
    layout = TableLayout.of(plain)
    for write in (write_fits_pieces, write_parquet_pieces):
        with pytest.raises(FileError, match="the pieces have 5 rows instead of 6"):
            write([plain], layout, {}, 6, tmp_path / write.__name__)
