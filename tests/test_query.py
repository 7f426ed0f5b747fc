"""`jpassed.query` and its command, asked of the loopback server."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from click.testing import CliRunner

import jpassed
from jpassed.cli import main
from jpassed.exceptions import (
    FileError,
    InputError,
    QueryError,
    TruncatedAnswerError,
    UnknownNameError,
)
from jpassed.io.catalogs import read_catalog
from jpassed.io.pieces import pieces_folder
from jpassed.vo.queries import key_column, plan_query
from jpassed.vo.ready_made import load_query
from jpassed.vo.saving import save_answer

CENTRE, RADIUS = (214.3, 52.5), 0.1
BULK = "SELECT object_id, flux_auto, flux_relerr_auto, z_spec FROM bulk.galaxies WHERE object_id < "
FIRST = 1_000_000


@pytest.fixture(autouse=True)
def services(tap, tmp_path_factory, monkeypatch):
    """The services' names lead to the loopback."""
    path = tap.services(tmp_path_factory.mktemp("services") / "services.yaml")
    monkeypatch.setenv("JPASSED_SERVICES", str(path))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run ``jpassed`` in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    return lambda *words, **more: runner.invoke(main, [str(word) for word in words], **more)


# --- ready-made queries -------------------------------------------------------------------------


def test_a_cone_holds_what_lies_within():
    everything = jpassed.query(
        "cefca-minijpas", "SELECT tile_id, number, alpha_j2000, delta_j2000 "
        "FROM minijpas.flambdadualobj"
    )  # fmt: skip
    places = SkyCoord(everything["alpha_j2000"], everything["delta_j2000"])
    inside = places.separation(SkyCoord(*CENTRE, unit="deg")) < RADIUS * u.deg
    found = jpassed.query(
        "cefca-minijpas", survey="minijpas", cone=("14h17m12s", "52:30:00", "6arcmin")
    )
    assert 0 < inside.sum() < len(everything)
    expected = {(row["tile_id"], row["number"]) for row in everything[inside]}
    assert {(row["tile_id"], row["number"]) for row in found} == expected
    assert len(found) == len(expected)
    assert found.meta["jp_query"].startswith("SELECT o.tile_id AS tile_id, ")


@pytest.mark.parametrize("survey", ["minijpas", "minijpas-mag"])
def test_annotate_recognises_the_answer(survey, caplog):
    table = jpassed.query("cefca-minijpas", survey=survey, cone=(*CENTRE, RADIUS))
    assert table["alpha_j2000"].unit == u.deg
    assert 0 < table["z_spec"].mask.sum() < len(table)
    with caplog.at_level(logging.WARNING):
        annotated = jpassed.annotate(table, outputs="z", context={"z": "z_spec"})
    assert annotated.meta["jp_survey"] == "minijpas"
    assert "extinction" not in caplog.text  # E(B-V) came along
    assert annotated["jp_nbands"].max() == 60
    np.testing.assert_array_equal(annotated["flags"], table["flags"])


def quirky(table: QTable) -> QTable:
    """The answer as CEFCA's service was seen to give it."""
    odd = QTable()
    for name in table.colnames:
        column = np.ma.asarray(getattr(table[name], "value", table[name]))
        if column.ndim == 2:
            values = np.empty(len(column), dtype=object)
            values[:] = list(column)
        else:
            values = column[:, None]
        odd[f"minijpas.FLambdaDualObj.{name}"] = values
    return odd


def test_annotate_recognises_the_answer_with_the_quirks_of_the_archive():
    table = jpassed.query("cefca-minijpas", survey="minijpas", cone=(*CENTRE, RADIUS))
    plain = jpassed.annotate(table, outputs="z")
    odd = jpassed.annotate(quirky(table), outputs="z")
    assert odd.meta["jp_survey"] == "minijpas"
    np.testing.assert_array_equal(odd["jp_z"], plain["jp_z"])
    np.testing.assert_array_equal(odd["jp_nbands"], plain["jp_nbands"])


@pytest.mark.parametrize(
    ("service", "survey", "cone", "columns"),
    [
        ("vizier", "galex", (214.5, 52.7, 0.1), ["FUVmag", "e_NUVmag"]),
        ("datalab", "sdss-redshifts", (150.0, 20.0, 180), ["z_spec", "z_spec_err", "class"]),
        ("datalab", "desi-redshifts", (150.0, 20.0, 180), ["z_spec", "spectype"]),
    ],
)
def test_the_other_surveys(service, survey, cone, columns, request):
    if service == "datalab":
        request.getfixturevalue("spectra_server")
    found = jpassed.query(service, survey=survey, cone=cone)
    assert len(found) > 5
    assert set(columns) <= set(found.colnames)
    keys = [[row[key] for key in load_query(survey).keys] for row in found]
    assert len({tuple(map(str, key)) for key in keys}) == len(found)


def test_a_tile_a_condition_and_columns():
    everything = jpassed.query("cefca-minijpas", survey="minijpas", tile=["2241", 2470])
    stars = (everything["class_star"] > 0.8) & (everything["tile_id"] == 2241)
    found = jpassed.query(
        "cefca-minijpas",
        survey="minijpas",
        tile=2241,
        where="o.class_star > 0.8",
        columns="p.odds,ebv",
    )
    assert found.colnames == ["tile_id", "number", "odds", "ebv"]
    assert list(found["number"]) == list(everything["number"][stars])
    assert set(everything["tile_id"]) == {2241, 2470}


def test_a_query_made_for_another_service_is_told(caplog):
    plan_query("vizier", survey="minijpas", tile=1)
    assert "the query 'minijpas' is made for the service cefca-minijpas" in caplog.text
    caplog.clear()
    plan_query("loopback", survey="minijpas", tile=1)
    plan_query("cefca-minijpas", survey="minijpas-mag", tile=1)
    assert caplog.text == ""


# --- pages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [["tile_id", "number"], "number, tile_id"])
def test_pages_are_the_whole_answer(keys):
    adql = "SELECT tile_id, number, class_star FROM minijpas.magabdualobj WHERE class_star > 0.1"
    whole = jpassed.query("loopback", adql)
    pages = jpassed.query("loopback", adql, page_by=keys, page_rows=97, cache=False)
    by = [key.strip() for key in keys.split(",")] if isinstance(keys, str) else keys
    whole.sort(by)
    assert len(pages) > 1000
    for name in whole.colnames:
        np.testing.assert_array_equal(pages[name], whole[name])
    assert pages.meta["jp_query"] == adql


def test_a_row_limit_is_an_error_unless_rows_will_do(tap):
    everything = "SELECT object_id FROM bulk.galaxies"
    with pytest.raises(TruncatedAnswerError, match="maxrec"):
        jpassed.query(tap.url, everything, cache=False)
    some = jpassed.query(tap.url, everything, maxrec=10)
    assert len(some) == 10 and some.meta["jp_overflow"] is True


def test_an_answer_of_no_rows_has_its_columns():
    adql = f"{BULK} 0"
    for found in (
        jpassed.query("loopback", adql),
        jpassed.query("loopback", adql, page_by="object_id"),
    ):
        assert len(found) == 0
        assert found.colnames == ["object_id", "flux_auto", "flux_relerr_auto", "z_spec"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "got none of them"),
        ({"adql": "x", "survey": "minijpas"}, "got adql and survey"),
        ({"adql": "x", "cone": (1, 2, 3)}, "cone: only with survey"),
        ({"adql": "x", "tile": 3, "where": "a"}, "tile, where: only with survey"),
        ({"adql": "x", "page_by": "a", "maxrec": 0}, "at least 1, got 0"),
        ({"adql": "SELECT TOP 9 a FROM t", "page_by": "a"}, "say maxrec=N, --maxrec N), or run it"),
        ({"resume": "x", "page_by": "a"}, "page_by and resume exclude each other"),
        ({"adql": "x", "page_rows": 10}, "page_rows: only with page_by"),
        ({"adql": "x", "page_by": "a", "page_rows": 1}, "page_rows: expected a whole number"),
        ({"adql": "x", "page_by": "a", "page_rows": 9.5}, "at least 2, got 9.5"),
        ({"adql": "x", "maxrec": "3"}, "maxrec: expected a whole number, at least 0, got '3'"),
        ({"adql": "x", "maxrec": True}, "at least 0, got True"),
        ({"adql": b"x"}, "adql: expected a query as text"),
        ({"adql": "x", "page_by": " , "}, "page_by: expected at least one name"),
        ({"adql": "x", "page_by": [3]}, "page_by: expected names of columns"),
        ({"survey": "minijpas", "tile": 1, "page_by": "x"}, "unknown column to page by 'x'"),
        ({"survey": "minijpas"}, "would ask for all of the survey"),
    ],
)
def test_arguments_that_make_no_sense(given, said):
    with pytest.raises(InputError) as e:
        jpassed.query("loopback", **given)
    assert said in str(e.value)


def test_what_the_service_refuses():
    with pytest.raises(QueryError, match="no_such_column"):
        jpassed.query("loopback", "SELECT no_such_column FROM bulk.galaxies")
    with pytest.raises(UnknownNameError, match="unknown service 'loopbak'"):
        jpassed.query("loopbak", "SELECT 1")


@pytest.mark.parametrize("name", ["id", "ID", "a.b.Id", "cat_id"])
def test_keys_are_found_under_the_names_that_services_give(name):
    assert key_column(QTable({name: [1], "other": [2]}), "id") == name
    with pytest.raises(InputError, match="no one column 'id' to page by; its columns are"):
        key_column(QTable({"a.id": [1], "b.id": [2]}), "id")


# --- files --------------------------------------------------------------------------------------


def test_a_saved_answer_is_the_annotated_answer(tmp_path):
    given = {"survey": "minijpas", "tile": 2241}
    whole = jpassed.annotate(jpassed.query("loopback", **given), outputs="z,logmstar")
    question = plan_query("loopback", page_rows=120, page_by=("tile_id", "number"), **given)
    sizes = []

    def work(page, before):
        sizes.append((before, len(page)))
        return jpassed.annotate(page, outputs="z,logmstar")

    assert save_answer(question, tmp_path / "out.fits", work=work) == 500
    assert sizes[0] == (0, 119) and len(sizes) == 5
    saved = read_catalog(tmp_path / "out.fits")
    assert saved.colnames == whole.colnames
    for name in whole.colnames:
        one, other = (np.ma.asarray(getattr(t[name], "value", t[name])) for t in (saved, whole))
        np.testing.assert_array_equal(np.ma.getmaskarray(one), np.ma.getmaskarray(other))
        np.testing.assert_allclose(one.filled(0), other.filled(0), rtol=1e-4)
        assert saved[name].info.description == whole[name].info.description
        assert saved[name].unit == whole[name].unit
    assert saved.meta["jp_query"] == whole.meta["jp_query"]
    assert list(tmp_path.iterdir()) == [tmp_path / "out.fits"]


def test_a_page_that_cannot_be_worked_on_leaves_the_others(tmp_path, fault_proxy):
    def question():
        return plan_query(
            fault_proxy.url, f"{BULK}{FIRST + 100}", page_by="object_id", page_rows=30, cache=False
        )

    def fail_late(page, before):
        if before > 50:
            raise InputError("a page like that")
        return page

    target = tmp_path / "out.ecsv"
    with pytest.raises(InputError, match="a page like that"):
        save_answer(question(), target, work=fail_late)
    assert len(list(pieces_folder(target).glob("*.npz"))) == 2
    before = fault_proxy.count("POST /tap/sync")
    assert save_answer(question(), target, work=lambda page, before: page) == 100
    # The count, the two pages that are missing, and whether there is more.
    assert fault_proxy.count("POST /tap/sync") - before == 1 + 2 + 1
    assert list(read_catalog(target)["object_id"]) == list(range(FIRST, FIRST + 100))


def test_other_work_on_the_same_file_is_refused(tmp_path):
    target = tmp_path / "out.fits"

    def save(task, work):
        question = plan_query("loopback", f"{BULK}{FIRST + 9}", page_by="object_id", page_rows=6)
        return save_answer(question, target, task=task, work=work)

    def fail_late(page, before):
        if before:
            raise InputError("no")
        return page

    with pytest.raises(InputError, match="no"):
        save({"model": "a"}, fail_late)
    with pytest.raises(jpassed.JpassedError, match=r"other work \(not the same: model\)"):
        save({"model": "b"}, None)


def test_pieces_of_another_upload_are_not_used(tmp_path):
    target = tmp_path / "out.fits"

    def save(numbers, work=None):
        asked = {"page_by": "id", "page_rows": 6, "uploads": {"mine": Table({"id": numbers})}}
        return save_answer(
            plan_query("loopback", "SELECT id FROM TAP_UPLOAD.mine", **asked), target, work=work
        )

    def fail_late(page, before):
        if before:
            raise InputError("no")
        return page

    with pytest.raises(InputError, match="no"):
        save(np.arange(9), fail_late)
    with pytest.raises(FileError, match=r"other work \(not the same: uploads\)"):
        save(np.arange(9) * 2)
    assert save(np.arange(9)) == 9


def test_a_query_that_fails_at_once_leaves_nothing_behind(tmp_path):
    target = tmp_path / "out.fits"
    wrong = f"{BULK}{FIRST + 9}".replace("z_spec", "no_such")
    with pytest.raises(QueryError, match="no_such"):
        save_answer(plan_query("loopback", wrong, page_by="object_id"), target)
    assert not list(tmp_path.iterdir())
    assert save_answer(plan_query("loopback", f"{BULK}{FIRST + 9}", page_by="object_id"), target)


def test_faults_on_the_way_change_nothing(tmp_path, fault_proxy):
    fault_proxy.unavailable(retry_after=0, match="POST /tap/sync")
    fault_proxy.cut(after=3000, match="POST /tap/sync", times=2)
    fault_proxy.reset(after=2000, match="POST /tap/sync")
    question = plan_query(
        fault_proxy.url, f"{BULK}{FIRST + 100}", page_by="object_id", page_rows=30, cache=False
    )
    assert save_answer(question, tmp_path / "out.vot") == 100
    # The count and its fault, the pages and theirs: the count's answer is too short to be cut.
    assert fault_proxy.count("POST /tap/sync") == 1 + 1 + 4 + 2
    assert list(read_catalog(tmp_path / "out.vot")["object_id"]) == list(range(FIRST, FIRST + 100))


def test_an_interrupt_keeps_what_is_done(tmp_path, caplog):
    target = tmp_path / "out.fits"
    question = plan_query("loopback", f"{BULK}{FIRST + 100}", page_by="object_id", page_rows=30)

    def interrupt(text):
        if text == "58 rows":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_answer(question, target, progress=interrupt)
    assert "interrupted: the same command goes on behind 58 rows" in caplog.text
    said = []
    assert save_answer(question, target, progress=said.append) == 100
    assert said[0] == f"going on behind 58 rows of {pieces_folder(target)}"
    assert said[-1] == f"100 rows: writing {target}"


def test_a_killed_command_goes_on_where_it_was(tmp_path, fault_proxy):
    asked = [f"{BULK}{FIRST + 300}", "--page-by", "object_id", "--page-rows", "50", "--no-cache"]
    words = ["query", fault_proxy.url, *asked, "--annotate", "--outputs", "z", "-o"]
    target = tmp_path / "out.fits"
    reached, go_on = threading.Event(), threading.Event()

    def hold_the_fifth():
        if fault_proxy.count("POST /tap/sync") > 5:
            reached.set()
            go_on.wait(60)

    fault_proxy.call(hold_the_fifth, match="POST /tap/sync", times=100)
    process = subprocess.Popen(
        [sys.executable, "-m", "jpassed", *words, str(target)],
        stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    folder = pieces_folder(target)
    try:
        assert reached.wait(120)
        last = time.monotonic() + 120
        while len(list(folder.glob("0*.npz"))) < 4 and time.monotonic() < last:
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        go_on.set()
    process.stderr.close()
    done = {path.name: path.stat().st_mtime_ns for path in folder.glob("0*.npz")}
    assert len(done) == 4 and not target.exists()
    before = fault_proxy.count("POST /tap/sync")
    shown = CliRunner().invoke(main, [*words, str(target)])
    assert shown.exit_code == 0, shown.stderr
    assert "going on behind 196 rows" in shown.stderr
    assert fault_proxy.count("POST /tap/sync") - before == 1 + 3 + 1
    assert not folder.exists()
    saved = read_catalog(target)
    whole = jpassed.query("loopback", f"{asked[0]} ORDER BY object_id")
    whole = jpassed.annotate(whole, outputs="z")
    np.testing.assert_array_equal(saved["object_id"], whole["object_id"])
    np.testing.assert_allclose(saved["jp_z"], whole["jp_z"], rtol=1e-5)
