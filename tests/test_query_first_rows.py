"""The first rows of a long answer: pages that stop, and files of them."""

from __future__ import annotations

import logging

import pytest
from click.testing import CliRunner

import jpassed
from jpassed.cli import main
from jpassed.exceptions import InputError
from jpassed.io.catalogs import read_catalog
from jpassed.vo.adql import WrappedQuery
from jpassed.vo.queries import plan_query
from jpassed.vo.saving import save_answer

FIRST = 1_000_000
BULK = "SELECT object_id, ra FROM bulk.galaxies WHERE object_id < 1000100"
TILES = "SELECT tile_id, number FROM minijpas.flambdadualobj"


@pytest.fixture(autouse=True)
def loopback(tap, tmp_path_factory, monkeypatch):
    """The services' names lead to the loopback."""
    path = tap.services(tmp_path_factory.mktemp("services") / "services.yaml")
    monkeypatch.setenv("JPASSED_SERVICES", str(path))


@pytest.mark.parametrize(
    ("maxrec", "rows"), [(1, 1), (29, 29), (30, 30), (31, 31), (99, 99), (100, 100), (150, 100)]
)
def test_pages_stop_behind_exactly_so_many_rows(maxrec, rows, caplog):
    with caplog.at_level(logging.WARNING):
        found = jpassed.query("loopback", BULK, page_by="object_id", page_rows=30, maxrec=maxrec)
    assert list(found["object_id"]) == list(range(FIRST, FIRST + rows))
    assert found.meta.get("jp_overflow", False) is (maxrec < 100)
    assert (f"only the first {maxrec} of 100 rows, as asked for" in caplog.text) == (maxrec < 100)


def test_rows_that_share_a_key_may_be_more_than_are_asked_for():
    everything = jpassed.query("loopback", TILES, page_by="tile_id,number")
    tile = min(everything["tile_id"])
    found = jpassed.query("loopback", TILES, page_by="tile_id", maxrec=7)
    assert list(found["tile_id"]) == [tile] * 7


def test_ready_made_queries_go_in_pages_where_more_than_a_page_will_do():
    given = {"survey": "minijpas", "tile": 2241}
    assert plan_query("loopback", **given, maxrec=20_001).keys == ("tile_id", "number")
    assert plan_query("loopback", **given, maxrec=20_000).keys == ()


@pytest.mark.parametrize("name", ["out.fits", "out.ecsv"])
def test_a_file_of_the_first_rows_also_after_an_interrupt(tmp_path, name):
    def question(maxrec):
        return plan_query("loopback", BULK, page_by="object_id", page_rows=30, maxrec=maxrec)

    def interrupt(text):
        if text.startswith("58"):
            raise KeyboardInterrupt

    target = tmp_path / name
    with pytest.raises(KeyboardInterrupt):
        save_answer(question(70), target, progress=interrupt)
    with pytest.raises(jpassed.JpassedError, match=r"\(not the same: rows at most\); run that"):
        save_answer(question(71), target)
    assert save_answer(question(70), target) == 70
    found = read_catalog(target)
    assert list(found["object_id"]) == list(range(FIRST, FIRST + 70))
    assert found.meta["jp_overflow"] is True
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_going_on_where_all_rows_have_come_but_no_file_was_written(tmp_path):
    def full(text):
        if "writing" in text:
            raise OSError("disk full")

    target = tmp_path / "out.fits"
    question = plan_query("loopback", BULK, page_by="object_id", page_rows=30, maxrec=60)
    with pytest.raises(OSError, match="disk full"):
        save_answer(question, target, progress=full)
    assert save_answer(question, target) == 60
    assert read_catalog(target).meta["jp_overflow"] is True


def test_a_query_that_is_no_good_for_pages_is_shown_as_written():
    for wrong in ("SELECT TOP 9 a FROM t", "WITH t AS (SELECT 1) SELECT a FROM t"):
        with pytest.raises(InputError, match="paged|pages") as said:
            WrappedQuery(wrong).page(["a"], None, 5)
        assert str(said.value).endswith(f": {wrong}")
        with pytest.raises(InputError, match="paged|pages"):
            plan_query("loopback", wrong, page_by="a")


def test_a_slip_in_the_outputs_is_told_before_anything_is_asked(fault_proxy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["query", fault_proxy.url, BULK, "--page-by", "object_id", "--annotate"]
    shown = CliRunner().invoke(main, [*words, "--outputs", "z,zz", "-o", "out.fits"])
    assert (shown.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert "unknown output 'zz'. Did you mean 'z'?" in shown.stderr
    assert fault_proxy.count("POST /tap/sync") == 0
