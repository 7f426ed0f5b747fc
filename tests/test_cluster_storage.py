"""HATS catalogues on servers, with columns of their own choice, and with many row groups."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading

import pyarrow.parquet
import pytest
from cluster_catalogs import as_hats, made_up

from jpassed.cluster import annotate_hats
from jpassed.exceptions import FileError

distributed = pytest.importorskip("distributed")
lsdb = pytest.importorskip("lsdb")

pytestmark = pytest.mark.xdist_group("cluster_storage")

QUICK = {"outputs": "z", "chi2": "none", "device": "cpu"}


class _NoListing(http.server.SimpleHTTPRequestHandler):
    """Files, but no folders, as most servers of catalogues."""

    def log_message(self, *words):
        pass

    def list_directory(self, path):
        self.send_error(403)


@pytest.fixture(scope="module")
def scheduler():
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def hats(tmp_path_factory):
    """Three partitions, of which LSDB opens two columns unasked."""
    path = as_hats(made_up(90), tmp_path_factory.mktemp("catalogue"), rows=40)
    info = lsdb.open_catalog(str(path)).hc_structure.catalog_info
    info.copy_and_update(default_columns=["id", "rSDSS"]).to_properties_file(path)
    return path


@pytest.fixture(scope="module")
def annotated(hats, scheduler):
    out = hats.parent / "annotated"
    annotate_hats(hats, out, scheduler=scheduler, **QUICK)
    return out


def shown(path):
    return lsdb.open_catalog(str(path)).hc_structure.catalog_info.default_columns


def test_columns_that_are_shown_are_those_that_are_there(hats, annotated, scheduler, tmp_path):
    new = [name for name in lsdb.open_catalog(str(annotated)).columns if name.startswith("jp_")]
    assert "jp_z" in new
    assert shown(annotated) == ["id", "rSDSS", *new]
    out = tmp_path / "again"
    annotate_hats(annotated, out, scheduler=scheduler, replace_columns=True, **QUICK)
    assert shown(out) == ["id", "rSDSS", *new]
    assert set(lsdb.open_catalog(str(out)).columns) == {"id", "rSDSS", "ra", "dec", *new}


def test_a_server_need_not_list_its_folders(hats, scheduler, tmp_path):
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_NoListing, directory=str(hats.parent))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/{hats.name}"
        assert annotate_hats(url, tmp_path / "out", scheduler=scheduler, **QUICK) == 90
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert len(lsdb.open_catalog(str(tmp_path / "out"))) == 90
    for name in ("partition_info.csv", "skymap.fits", "point_map.fits"):
        before = hats / name
        assert (tmp_path / "out" / name).exists() == before.exists()
        if before.exists():
            assert (tmp_path / "out" / name).read_bytes() == before.read_bytes()


def test_footers_are_left_where_they_are_when_there_are_many(
    hats, annotated, scheduler, tmp_path, monkeypatch
):
    assert (annotated / "dataset" / "_metadata").is_file()
    own = tmp_path / "own"
    shutil.copytree(hats, own)
    (own / "partition_info.csv").unlink()  # LSDB reads the pixels from _metadata, which it has
    monkeypatch.setattr("jpassed.cluster.hats.FEW_ROW_GROUPS", 2)
    annotate_hats(own, tmp_path / "out", scheduler=scheduler, **QUICK)
    assert not (tmp_path / "out" / "dataset" / "_metadata").exists()
    catalog = lsdb.open_catalog(str(tmp_path / "out"))
    assert catalog.npartitions == lsdb.open_catalog(str(annotated)).npartitions > 2
    assert catalog.compute(progress_bar=False)["jp_z"].notna().sum() > 50
    schema = pyarrow.parquet.read_schema(tmp_path / "out" / "dataset" / "_common_metadata")
    assert "jp_z" in schema.names


def in_folders(hats, own):
    """The catalogue with a folder of two files a partition, whose texts are of two types."""
    shutil.copytree(hats, own)
    (own / "dataset" / "_metadata").unlink()
    for path in sorted((own / "dataset").rglob("Npix=*.parquet")):
        table = pyarrow.parquet.read_table(path, partitioning=None)
        path.unlink()
        folder = path.with_suffix("")
        folder.mkdir()
        half = table.num_rows // 2
        pyarrow.parquet.write_table(table.slice(0, half), folder / "part0.parquet")
        wide = table["name"].cast(pyarrow.large_string())
        table = table.set_column(table.schema.get_field_index("name"), "name", wide)
        pyarrow.parquet.write_table(table.slice(half), folder / "part1.parquet")
    info = lsdb.open_catalog(str(hats), columns="all").hc_structure.catalog_info
    info.copy_and_update(npix_suffix="/").to_properties_file(own)
    return own


def test_partitions_may_be_folders_of_files(hats, annotated, scheduler, tmp_path):
    own, out = in_folders(hats, tmp_path / "own"), tmp_path / "out"
    assert annotate_hats(own, out, scheduler=scheduler, **QUICK) == 90
    for path in (annotated / "dataset").rglob("Npix=*.parquet"):
        before = pyarrow.parquet.read_table(path, partitioning=None)
        after = pyarrow.parquet.read_table(out / path.relative_to(annotated), partitioning=None)
        assert after.replace_schema_metadata(None).equals(before.replace_schema_metadata(None))


def test_a_damaged_file_of_a_partition_is_told(hats, scheduler, tmp_path):
    own = in_folders(hats, tmp_path / "own")
    path = sorted((own / "dataset").rglob("part1.parquet"))[-1]
    content = bytearray(path.read_bytes())
    content[4:3000] = bytes(2996)  # its first pages; the footer is whole
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"^partition Order: \d+, Pixel: \d+: "):
        annotate_hats(own, tmp_path / "out", scheduler=scheduler, **QUICK)
    assert not (tmp_path / "out").exists()
