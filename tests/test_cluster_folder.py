"""Folders of Parquet files on Dask, and what is said of columns that lost their units."""

from __future__ import annotations

import shutil

import numpy as np
import pyarrow.parquet
import pytest
from astropy import units as u
from astropy.table import Table
from click.testing import CliRunner
from cluster_catalogs import OUTPUTS, SHORT, assert_same, made_up, read_parts

import jpassed
from jpassed.cli import main
from jpassed.cluster import annotate_parquet_folder
from jpassed.cluster.described import describe_schema, votable_metadata
from jpassed.exceptions import FileError, InputError
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.io.native_columns import plain_table
from jpassed.io.parquet_tables import META_KEY, table_from_arrow

distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.xdist_group("cluster_folder")

OPTIONS = {"outputs": OUTPUTS, "device": "cpu"}


@pytest.fixture(scope="module")
def galaxies():
    return made_up(260)


@pytest.fixture(scope="module")
def scheduler():
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def folder(galaxies, tmp_path):
    """Two files, one of them in a folder below, and what is not to be read."""
    place = tmp_path / "objects"
    (place / "tile=2").mkdir(parents=True)
    write_catalog(galaxies[:100], place / "a.parquet")
    write_catalog(galaxies[100:], place / "tile=2" / "b.parquet")
    (place / "_SUCCESS").write_text("")
    (place / ".b.parquet").write_text("half a file")
    return place


def test_numbers_are_those_of_one_table_to_the_last_bit(folder, galaxies, scheduler, tmp_path):
    out = tmp_path / "out"
    words = ["annotate", str(folder), "-o", str(out), "--pdf", "--samples", "3", "--independent"]
    run = CliRunner().invoke(main, [*words, *SHORT, "--scheduler", scheduler])
    assert run.exit_code == 0, run.output
    assert f"{out}: 260 rows" in run.output
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*.parquet")) == [
        "a.parquet", "tile=2/b.parquet",
    ]  # fmt: skip
    expected = jpassed.annotate(galaxies, pdf=True, samples=3, joint=False, **OPTIONS)
    found = read_parts(out)
    assert found.colnames == expected.colnames
    drawn = [name for name in expected.colnames if name.endswith("_samples")]
    assert len(drawn) == 3
    assert_same(found, expected, [name for name in expected.colnames if name not in drawn])
    assert found["jp_z_pdf"].shape == expected["jp_z_pdf"].shape
    assert found["jp_z_samples"].shape == (260, 3)
    assert found["rSDSS"].unit == u.uJy
    assert found.meta["jp_z_pdf_edges"] == expected.meta["jp_z_pdf_edges"]


def test_a_long_file_becomes_several_by_its_row_groups(galaxies, scheduler, tmp_path, monkeypatch):
    monkeypatch.setattr("jpassed.cluster.parquet_folder.ROWS_A_PART", 100)
    (tmp_path / "in").mkdir()
    write_catalog(galaxies, tmp_path / "one.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "one.parquet")
    pyarrow.parquet.write_table(table, tmp_path / "in" / "all.parquet", row_group_size=50)
    done = []
    rows = annotate_parquet_folder(
        tmp_path / "in", tmp_path / "out", scheduler=scheduler, outputs="z", chi2="none",
        device="cpu", progress=lambda n, total: done.append((n, total)),
    )  # fmt: skip
    assert rows == 260
    names = sorted(path.name for path in (tmp_path / "out").glob("all*"))
    assert names == [f"all-{k:05d}.parquet" for k in range(3)]
    assert list(read_parts(tmp_path / "out")["id"]) == list(range(260))
    assert len(done) == 3
    assert done[-1] == (260, 260)


def test_draws_belong_to_seed_and_part(folder, scheduler, tmp_path):
    found = []
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        annotate_parquet_folder(
            folder, tmp_path / name, scheduler=scheduler, outputs="z", chi2="none", samples=2,
            joint=False, seed=seed, device="cpu",
        )  # fmt: skip
        found.append(np.ma.asarray(read_parts(tmp_path / name)["jp_z_samples"]).filled(-1))
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any(axis=1).sum() > 200


def test_what_is_wrong_with_a_folder_is_said(folder, galaxies, scheduler, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(FileError, match="is not a folder"):
        annotate_parquet_folder(tmp_path / "none", out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no Parquet files"):
        annotate_parquet_folder(tmp_path / "empty", out)
    less = galaxies[:5].copy()
    less.remove_column("class")
    write_catalog(less, folder / "c.parquet")
    with pytest.raises(
        InputError, match=r"c\.parquet: lacks the column 'class', which is in .*a\.p"
    ):
        annotate_parquet_folder(folder, out)
    less["class"] = np.zeros(5)
    write_catalog(less, folder / "c.parquet", overwrite=True)
    with pytest.raises(InputError, match="'class' is of type double, but int16 in"):
        annotate_parquet_folder(folder, out)
    (folder / "c.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(FileError, match="c.parquet is not a Parquet file, or damaged"):
        annotate_parquet_folder(folder, out)


def test_a_part_that_cannot_be_read_is_named(folder, scheduler, tmp_path):
    path = folder / "tile=2" / "b.parquet"
    content = bytearray(path.read_bytes())
    content[4:3000] = bytes(2996)  # its first pages; the footer is whole
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"tile=2/b\.parquet: "):
        annotate_parquet_folder(
            folder, tmp_path / "out", scheduler=scheduler, outputs="z", device="cpu"
        )
    assert not (tmp_path / "out").exists()


def test_two_files_of_one_name_are_refused(folder, galaxies, tmp_path, monkeypatch):
    out = tmp_path / "out"
    shutil.copyfile(folder / "tile=2" / "b.parquet", folder / "a.pq")
    with pytest.raises(InputError, match=r"a\.parquet and .*a\.pq would both become a\.parquet"):
        annotate_parquet_folder(folder, out, **OPTIONS)
    (folder / "a.pq").unlink()
    table = pyarrow.parquet.read_table(folder / "a.parquet")
    pyarrow.parquet.write_table(table, folder / "a.parquet", row_group_size=50)
    pyarrow.parquet.write_table(table, folder / "a-00001.parquet")
    monkeypatch.setattr("jpassed.cluster.parquet_folder.ROWS_A_PART", 60)
    with pytest.raises(InputError, match=r"would both become a-00001\.parquet: rename"):
        annotate_parquet_folder(folder, out, **OPTIONS)


def test_rows_that_were_not_written_are_missed(folder, galaxies, scheduler, tmp_path):
    out = tmp_path / "out"
    unfinished = tmp_path / "out.jpassed-unfinished"

    def lose(done, total):
        if done < total:
            return
        table = pyarrow.parquet.read_table(unfinished / "a.parquet")
        pyarrow.parquet.write_table(table[:90], unfinished / "a.parquet")

    words = {"scheduler": scheduler, "outputs": "z", "chi2": "none", "device": "cpu"}
    with pytest.raises(FileError, match=r"a\.parquet has 90 rows, but 100 are in .*; remove that"):
        annotate_parquet_folder(folder, out, progress=lose, **words)
    assert not out.exists()
    (unfinished / "a.parquet").unlink()
    assert annotate_parquet_folder(folder, out, resume=True, **words) == 260


def test_an_output_within_the_input_is_refused(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    for out in (folder / "out", tmp_path / "link" / "tile=2" / "out"):
        with pytest.raises(InputError, match="lies within .* its files would be read as well"):
            annotate_parquet_folder(folder, out, **OPTIONS)
    with pytest.raises(InputError, match="tile=2 lies within"):
        annotate_parquet_folder(folder / "tile=2", folder, overwrite=True, **OPTIONS)


def said(schema):
    return table_from_arrow(schema.empty_table(), "here")


def test_units_come_from_a_list_of_columns(tmp_path):
    path = tmp_path / "columns.csv"
    path.write_text(
        "Name,unit,ucd,description\nrSDSS,uJy,phot.flux;em.opt.R,Flux in r\nother,deg,,\n"
    )
    schema = pyarrow.schema([("rSDSS", pyarrow.float32()), ("id", pyarrow.int64())])
    found = said(describe_schema(schema, columns=path))
    assert found["rSDSS"].unit == u.uJy
    assert found["rSDSS"].meta["ucd"] == "phot.flux;em.opt.R"
    assert found["rSDSS"].description == "Flux in r"
    assert found["id"].unit is None


def test_units_come_from_a_votable_header():
    table = Table({"rSDSS": np.zeros(1, np.float32)})
    table["rSDSS"].unit, table["rSDSS"].description = u.uJy, "Flux in r"
    schema = pyarrow.schema([("rSDSS", pyarrow.float32())], metadata=votable_metadata(table))
    described = describe_schema(schema)
    assert said(described)["rSDSS"].unit == u.uJy
    assert said(described)["rSDSS"].description == "Flux in r"
    assert META_KEY in described.metadata


def test_units_come_from_the_list_beside_an_output(folder, scheduler, tmp_path):
    first, again = tmp_path / "first", tmp_path / "again"
    annotate_parquet_folder(
        folder, first, scheduler=scheduler, outputs="z", chi2="none", device="cpu"
    )
    for path in first.rglob("*.parquet"):  # as programs do that know nothing of units
        table = pyarrow.parquet.read_table(path, partitioning=None).replace_schema_metadata(None)
        pyarrow.parquet.write_table(table, path)
    annotate_parquet_folder(
        first, again, scheduler=scheduler, outputs="z", chi2="none", device="cpu",
        replace_columns=True,
    )  # fmt: skip
    found = read_catalog(again / "a.parquet")
    assert found["rSDSS"].unit == u.uJy
    assert found["ra"].info.meta["ucd"] == "pos.eq.ra;meta.main"
    assert found.colnames == read_catalog(first / "a.parquet").colnames
    np.testing.assert_array_equal(
        plain_table(found)["jp_z"], plain_table(read_catalog(first / "a.parquet"))["jp_z"]
    )
