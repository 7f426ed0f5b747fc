"""HATS catalogues through LSDB on Dask: the numbers of one machine, whatever happens to workers."""

from __future__ import annotations

import json
import os
import shutil
import signal

import numpy as np
import pyarrow.parquet
import pytest
from astropy import units as u
from click.testing import CliRunner
from cluster_catalogs import OUTPUTS, SHORT, as_hats, assert_same, made_up, read_parts

import jpassed
from jpassed.cli import main
from jpassed.cluster import annotate_hats, running
from jpassed.cluster.described import COLUMN_LIST
from jpassed.exceptions import FileError, InputError, ServiceError
from jpassed.io.catalogs import read_catalog

distributed = pytest.importorskip("distributed")
lsdb = pytest.importorskip("lsdb")

pytestmark = pytest.mark.xdist_group("cluster_hats")

OPTIONS = {"outputs": OUTPUTS, "device": "cpu"}
QUICK = {"outputs": "z", "chi2": "none", "device": "cpu"}


@pytest.fixture(scope="module")
def galaxies():
    return made_up()


@pytest.fixture(scope="module")
def expected(galaxies):
    return jpassed.annotate(galaxies, **OPTIONS)


@pytest.fixture(scope="module")
def hats(galaxies, tmp_path_factory):
    return as_hats(galaxies, tmp_path_factory.mktemp("catalogue"))


@pytest.fixture(scope="module")
def scheduler():
    """A cluster of one thread in this process: the quickest to start."""
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def annotated(hats, scheduler, tmp_path_factory):
    """What the command makes of the catalogue."""
    out = tmp_path_factory.mktemp("annotated") / "galaxies_jp"
    table = hats.parent / "one.parquet"  # with the units that the catalogue lost
    words = ["annotate", "--hats", str(hats), "-o", str(out), "--columns", str(table), *SHORT]
    run = CliRunner().invoke(main, [*words, "--scheduler", scheduler])
    assert run.exit_code == 0, run.output
    assert f"{out}: 420 rows" in run.output
    return out


def test_numbers_are_those_of_one_machine_to_the_last_bit(annotated, expected, galaxies):
    found = read_parts(annotated)
    new = [name for name in expected.colnames if name not in galaxies.colnames]
    assert len(new) > 12
    assert np.ma.getmaskarray(np.ma.asarray(expected["jp_z"])).any()
    assert_same(found, expected, new)


def test_columns_of_the_catalogue_stay_as_they_are(annotated, hats):
    old = sorted((hats / "dataset").rglob("Npix=*.parquet"))
    new = sorted((annotated / "dataset").rglob("Npix=*.parquet"))
    assert len(old) > 3
    assert [p.relative_to(annotated) for p in new] == [p.relative_to(hats) for p in old]
    for one, other in zip(old, new, strict=True):
        before = pyarrow.parquet.read_table(one).replace_schema_metadata(None)
        after = pyarrow.parquet.read_table(other).replace_schema_metadata(None)
        assert after.select(before.schema.names).equals(before)


def test_lsdb_opens_the_result_with_nulls_for_what_is_masked(annotated, expected):
    from hats.io.validation import is_valid_catalog

    assert is_valid_catalog(annotated, strict=True, verbose=False)
    catalog = lsdb.open_catalog(str(annotated))
    assert len(catalog) == len(expected)
    frame = catalog.compute(progress_bar=False)
    assert frame["jp_z"].isna().sum() == np.ma.getmaskarray(np.ma.asarray(expected["jp_z"])).sum()
    assert str(frame.dtypes["jp_flag"]) == "int32[pyarrow]"
    info = catalog.hc_structure.catalog_info
    assert info.catalog_name == "galaxies_jp"
    assert info.__pydantic_extra__["jp_weights"] == expected.meta["jp_weights"]


def test_units_descriptions_and_ucds_are_carried_along(annotated, expected):
    part = next((annotated / "dataset").rglob("Npix=*.parquet"))
    found = read_catalog(part)
    assert found["rSDSS"].unit == u.uJy
    assert found["ra"].unit == u.deg
    assert found["ra"].info.meta["ucd"] == "pos.eq.ra;meta.main"
    assert found["ra"].info.description == "Right ascension"
    for name in ("jp_z", "jp_flux_galex_nuv", "jp_flag"):
        assert found[name].info.description == expected[name].info.description
        assert found[name].info.meta["ucd"] == expected[name].info.meta["ucd"]
    assert found["jp_flux_galex_nuv"].unit == u.uJy
    for key in ("jp_model", "jp_weights", "jp_version"):
        assert found.meta[key] == expected.meta[key]


def test_the_list_of_columns_and_the_votable_header_say_the_same(annotated):
    from astropy.io.votable import parse_single_table

    listed = read_catalog(annotated / COLUMN_LIST)
    said = {row["name"]: (row["unit"], row["ucd"]) for row in listed}
    assert said["jp_flux_galex_nuv"][0] == "uJy"
    assert listed.meta["jp_model"] == "default"
    schema = pyarrow.parquet.read_schema(annotated / "dataset" / "_common_metadata")
    header = annotated.parent / "header.vot"
    header.write_bytes(schema.metadata[b"IVOA.VOTable-Parquet.content"])
    fields = {f.name: f for f in parse_single_table(str(header)).fields}
    assert str(fields["jp_flux_galex_nuv"].unit) == "uJy"
    assert fields["jp_z"].ucd == said["jp_z"][1]


def test_a_killed_worker_loses_and_repeats_nothing(hats, expected, tmp_path):
    out = tmp_path / "out"
    killed = []
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):

        def kill(done, total):
            if not killed:  # one part is done: both workers are at the next ones
                pids = sorted(client.run(os.getpid).values())
                os.kill(pids[0], signal.SIGKILL)
                killed.append(pids[0])

        rows = annotate_hats(
            hats, out, scheduler=cluster.scheduler_address, progress=kill, **OPTIONS
        )
    assert killed
    assert rows == 420
    found = read_parts(out)
    assert list(found["id"]) == list(range(420))
    assert_same(found, expected, ["jp_z", "jp_logmstar", "jp_chi2", "jp_flag"])
    assert [p.name for p in out.rglob("*") if ".part" in p.name.replace(".parquet", "")] == []


def test_what_is_done_is_not_done_again_on_resume(hats, scheduler, expected, tmp_path):
    out = tmp_path / "out"

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        annotate_hats(hats, out, scheduler=scheduler, progress=stop, **OPTIONS)
    assert not out.exists()
    unfinished = tmp_path / "out.jpassed-unfinished"
    done = {p: p.stat().st_mtime_ns for p in unfinished.rglob("Npix=*.parquet")}
    assert 0 < len(done)
    with pytest.raises(FileError, match=r"did not end has left: resume it \(--resume\)"):
        annotate_hats(hats, out, scheduler=scheduler, **OPTIONS)
    with pytest.raises(FileError, match="with other decides, new left"):
        annotate_hats(hats, out, scheduler=scheduler, resume=True, outputs=["z"], device="cpu")
    words = ["annotate", "--hats", str(hats), "-o", str(out), "--resume", *SHORT]
    run = CliRunner().invoke(main, [*words, "--scheduler", scheduler])
    assert run.exit_code == 0, run.output
    for path, time in done.items():
        assert (out / path.relative_to(unfinished)).stat().st_mtime_ns == time
    assert not unfinished.exists()
    assert not (out / ".jpassed").exists()
    assert_same(read_parts(out), expected, ["jp_z", "jp_logmstar_err", "jp_chi2", "jp_flag"])


def test_an_output_in_the_way_is_told_before_any_work(annotated, hats, tmp_path):
    with pytest.raises(FileError, match="exists; choose another name or overwrite"):
        annotate_hats(hats, annotated, **OPTIONS)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileError, match="holds something else"):
        annotate_hats(hats, tmp_path, overwrite=True, **OPTIONS)


def test_an_earlier_output_is_replaced_when_asked(hats, scheduler, tmp_path):
    out = tmp_path / "out"
    for outputs in ("z", "logmstar"):
        annotate_hats(
            hats, out, scheduler=scheduler, outputs=outputs, chi2="none", device="cpu",
            overwrite=True,
        )  # fmt: skip
    schema = json.dumps(lsdb.open_catalog(str(out)).columns.tolist())
    assert "jp_logmstar" in schema
    assert "jp_z" not in schema
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_catalogue_that_changed_is_not_gone_on_with(hats, scheduler, tmp_path):
    out, own = tmp_path / "out", tmp_path / "own"
    shutil.copytree(hats, own)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        annotate_hats(own, out, scheduler=scheduler, progress=stop, **QUICK)
    path = sorted((own / "dataset").rglob("Npix=*.parquet"))[-1]
    table = pyarrow.parquet.read_table(path, partitioning=None)
    seen = pyarrow.array(np.asarray(table["rSDSS"]) * 2, pyarrow.float32())
    table = table.set_column(table.schema.get_field_index("rSDSS"), "rSDSS", seen)
    pyarrow.parquet.write_table(table, path)
    with pytest.raises(FileError, match=r"other source left \(the catalogue has changed\)"):
        annotate_hats(own, out, scheduler=scheduler, resume=True, **QUICK)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--hats", "cat", "file.fits", "-o", "out"], "takes the place of IN"),
        (["--hats", "cat"], "want -o OUT"),
        (["file.fits", "--scheduler", "tcp://h:1"], "--scheduler: only with --hats"),
        (["--hats", "c", "-o", "o", "--scheduler", "h", "--workers", "2"], "own workers"),
        (["--hats", "c", "-o", "o", "--samp"], "--samp: not of whole surveys"),
    ],
)
def test_options_that_do_not_go_together(words, said):
    run = CliRunner().invoke(main, ["annotate", *words])
    assert run.exit_code == 2
    assert said in run.output


def test_what_cannot_be_done_is_said(hats, tmp_path, galaxies, monkeypatch):
    monkeypatch.setattr(running, "CONNECT_SECONDS", 1)
    with pytest.raises(FileError, match="is no HATS catalogue"):
        annotate_hats(tmp_path, tmp_path / "out")
    with pytest.raises(InputError, match="unknown options: outptus"):
        annotate_hats(hats, tmp_path / "out", outptus=["z"])
    with pytest.raises(InputError, match="survey: expected a name or a path"):
        annotate_hats(hats, tmp_path / "out", survey=3)
    with pytest.raises(ServiceError, match="no Dask scheduler answers at tcp://127.0.0.1:9"):
        annotate_hats(hats, tmp_path / "out", scheduler="tcp://127.0.0.1:9", outputs=["z"])
    assert not (tmp_path / "out.jpassed-unfinished").exists()
    with pytest.raises(InputError, match="has none of the catalogue's columns"):
        other = tmp_path / "other.ecsv"
        galaxies[["id"]].copy().write(other)
        table = read_catalog(other)
        table.rename_column("id", "number")
        table.write(other, overwrite=True)
        annotate_hats(hats, tmp_path / "out", columns=other)
