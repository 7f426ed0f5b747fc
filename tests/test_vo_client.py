"""The client: what it takes, what a service says of itself, and what is imported for it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import jpassed.vo
from jpassed.exceptions import InputError, UnknownNameError
from jpassed.io import read_catalog, write_catalog
from jpassed.vo import Service, TapClient, WrappedQuery


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"retries": -1}, "retries=-1"),
        ({"timeout": 0.0}, "timeout=0.0"),
        ({"backoff": -0.5}, "backoff=-0.5"),
    ],
)
def test_numbers_that_make_no_sense(given, said):
    with pytest.raises(InputError, match=said):
        TapClient("https://example.org/tap", **given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mode": "asynchronous"}, "mode is 'auto', 'sync' or 'async'; got 'asynchronous'"),
        ({"maxrec": -1}, "maxrec is not negative; got -1"),
        ({"adql": " ; "}, "the query is empty"),
    ],
)
def test_arguments_that_make_no_sense(given, said):
    with pytest.raises(InputError, match=said):
        TapClient("http://127.0.0.1:1/tap").run(**{"adql": "SELECT 1", **given})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"keys": []}, "at least one row and one key"),
        ({"keys": "object_id"}, "at least one row and one key"),
        ({"rows": 0}, "at least one row and one key"),
        ({"adql": "SELECT TOP 5 a FROM t"}, "a query with TOP cannot be read in pages"),
        ({"after": (1, 2)}, r"1 keys \(a\) but 2 values"),
    ],
)
def test_pages_that_make_no_sense_are_refused_at_once(given, said):
    client = TapClient("http://127.0.0.1:1/tap")
    with pytest.raises(InputError, match=said):
        client.pages(**{"adql": "SELECT a FROM t", "keys": ["a"], "rows": 5, **given})


def test_a_service_by_name_or_url(tap, tmp_path, monkeypatch):
    monkeypatch.setenv("JPASSED_SERVICES", str(tap.services(tmp_path / "services.yaml")))
    client = TapClient("loopback")
    assert (client.service.name, client.service.url) == ("loopback", tap.url)
    assert client.service.sync_rows == 20_000
    assert client.count("SELECT * FROM bulk.galaxies") == 100_000
    assert TapClient(Service("x", f"{tap.url}/sync")).service.url == tap.url
    with pytest.raises(UnknownNameError, match="Did you mean 'loopback'"):
        TapClient("lopback")


def test_what_the_service_says_of_itself(tap):
    client = TapClient(tap.url, cache=False)
    assert client.takes_uploads() and client.limits() == (20_000, 50_000)
    tables = client.tables()
    assert "bulk.galaxies" in tables
    assert {"tile_id", "number", "mag_auto", "class_star"} <= set(tables["minijpas.magabdualobj"])


def test_a_query_with_its_own_pages(tap):
    """Whatever has whole(), page() and count()."""

    class OneTile(WrappedQuery):
        def whole(self):
            return super().whole() + " WHERE tile_id = 2243"

        def _inner(self, paged):
            return self.whole()

    query = OneTile("SELECT tile_id, number, mag_auto FROM minijpas.magabdualobj")
    client = TapClient(tap.url, cache=False)
    whole = client.run(query)
    pages = list(client.pages(query, keys=["number"], rows=150))
    assert len(pages) > 2 and set(whole["tile_id"]) == {2243}
    assert client.count(query) == len(whole)
    assert sum(map(len, pages)) == len(whole)


def test_a_queried_table_survives_every_format(tap, tmp_path):
    table = TapClient(tap.url).run("SELECT TOP 50 * FROM minijpas.magabdualobj")
    assert table["mag_auto"].shape == (50, 60) and table["mag_auto"].dtype.isnative
    for ending in ("fits", "vot", "ecsv", "parquet"):
        write_catalog(table, tmp_path / f"t.{ending}")
        read = read_catalog(tmp_path / f"t.{ending}")
        assert read.colnames == table.colnames
        for name in table.colnames:
            assert np.array_equal(np.asarray(read[name]), np.asarray(table[name]), equal_nan=True)
            assert read[name].info.meta.get("ucd") == table[name].info.meta.get("ucd")
            assert read[name].info.description == table[name].info.description
            assert getattr(read[name], "unit", None) == getattr(table[name], "unit", None)


def test_public_names():
    assert set(jpassed.vo.__all__) <= set(dir(jpassed.vo))
    for name in jpassed.vo.__all__:
        assert getattr(jpassed.vo, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = jpassed.vo.nothing


def test_nothing_heavy_is_imported_before_it_is_needed():
    script = (
        "import sys, jpassed.vo.client, jpassed.vo.paging, jpassed.vo.cache\n"
        "print([m for m in ('pyvo', 'requests', 'astropy.table', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
