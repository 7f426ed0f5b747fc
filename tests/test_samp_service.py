"""The SAMP service with a real hub and a second client: tables, selections, errors."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from annotation_tables import make_table, numbers, small_model
from astropy.table import QTable, Table
from samp_hub import LONG, Hub, Viewer, path_of

import jpassed
from jpassed.exceptions import InputError, UnknownNameError
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.samp import AnnotationService
from jpassed.samp.known_tables import KnownTable, KnownTables, row_numbers

OPTIONS = {"outputs": ["z", "flux:galex_nuv"], "context": None}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:file://{tmp_path}/samp.lock")
    running = Hub()
    yield running
    running.stop()


@pytest.fixture
def viewer(hub):
    running = Viewer()
    yield running
    running.close()


@pytest.fixture
def serve(hub):
    """Start a service with the small model; returns it, with its lines in ``.said``."""
    running = []

    def start(options=None, **settings):
        said = []
        options = {"model": small_model(), **OPTIONS, **(options or {})}
        service = AnnotationService(options, tell=said.append, **settings)
        service.said = said
        running.append(service)
        service.start()
        return service

    yield start
    for service in running:
        service.stop()


@pytest.fixture
def catalogue(tmp_path) -> Path:
    path = tmp_path / "galaxies.vot"
    write_catalog(make_table(8), path)
    return path


def expected(path: Path) -> QTable:
    return jpassed.annotate(read_catalog(path), model=small_model(), outputs=OPTIONS["outputs"])


def assert_same(found: Table, wanted: Table, rows=slice(None), rtol: float = 0.0) -> None:
    assert found.colnames == wanted.colnames
    for name in wanted.colnames:
        left, right = found[name], wanted[name]
        np.testing.assert_allclose(numbers(left)[rows], numbers(right)[rows], rtol=rtol)
        assert left.info.unit == right.info.unit
        assert left.info.description == right.info.description
        assert (left.info.meta or {}).get("ucd") == (right.info.meta or {}).get("ucd")


def given_rows(column) -> list[int]:
    """Rows in which a column has a value."""
    return [int(k) for k in np.flatnonzero(np.isfinite(numbers(column)))]


# --- what it says of itself -----------------------------------------------------------------------


def test_the_hub_knows_name_description_and_messages(viewer, serve):
    serve()
    about = viewer.client.get_metadata(viewer.jpassed())
    assert about["samp.name"] == "jpassed"
    assert "bandfluxes" in about["samp.description.text"]
    taken = viewer.client.get_subscriptions(viewer.jpassed())
    wanted = {"table.load.votable", "table.load.fits", "table.select.rowList", "jpassed.annotate"}
    assert wanted <= set(taken)
    assert viewer.ask("samp.app.ping")["samp.status"] == "samp.ok"


# --- tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["vot", "fits"])
def test_a_table_comes_back_under_its_id(viewer, serve, tmp_path, ending):
    service = serve()
    path = tmp_path / f"my galaxies.{ending}"
    write_catalog(make_table(8), path)
    reply = viewer.send(path, table_id="t1", name="NGP field")
    assert reply["samp.status"] == "samp.ok"
    assert reply["samp.result"]["rows"] == "8"
    about, table = viewer.next()
    assert about["table-id"] == "t1"
    assert about["name"] == "NGP field (jpassed)"
    assert about["samp.mtype"] == "table.load.votable"
    assert about["url"] == reply["samp.result"]["url"]
    assert_same(table, expected(path))
    assert table.meta["jp_model"] == "small"
    assert service.said[-1] == "NGP field: 8 rows annotated; sent to viewer"


def test_a_table_without_id_and_name_is_named_after_its_file(viewer, serve, catalogue):
    serve()
    assert viewer.send(catalogue)["samp.status"] == "samp.ok"
    about, _ = viewer.next()
    assert about["name"] == "galaxies.vot (jpassed)"
    assert about["table-id"] == about["url"]


def test_a_viewer_of_fits_gets_fits(hub, serve, catalogue):
    serve()
    viewer = Viewer(formats=("fits",))
    assert viewer.send(catalogue)["samp.status"] == "samp.ok"
    about, table = viewer.next()
    assert about["samp.mtype"] == "table.load.fits"
    assert_same(table, expected(catalogue))
    viewer.close()


def test_several_tables_are_done_in_order(viewer, serve, catalogue):
    serve()
    to = viewer.jpassed()
    for k in range(4):
        viewer.client.ecall(
            to, f"tag{k}", "table.load.votable", url=catalogue.as_uri(), name=f"n{k}"
        )
    assert [viewer.next()[0]["name"] for _ in range(4)] == [f"n{k} (jpassed)" for k in range(4)]


def test_a_notification_is_annotated_as_well(viewer, serve, catalogue):
    serve()
    viewer.client.enotify(viewer.jpassed(), "table.load.votable", url=catalogue.as_uri())
    about, table = viewer.next()
    assert_same(table, expected(catalogue))


def test_only_the_sender_gets_the_result(viewer, serve, catalogue):
    other = Viewer("other")
    serve()
    viewer.send(catalogue)
    viewer.next()
    assert other.loaded.empty()
    other.close()


def test_everybody_gets_the_result_when_asked(viewer, serve, catalogue):
    other = Viewer("other")
    service = serve(to_all=True)
    viewer.send(catalogue)
    assert viewer.next()[0]["url"] == other.next()[0]["url"]
    assert sorted(service.said[-1].split("sent to ")[1].split(", ")) == ["other", "viewer"]
    other.close()


def test_of_a_sender_that_takes_none_all_others_get_the_table(viewer, serve, catalogue):
    serve()
    sender = Viewer("sender", formats=())
    assert sender.send(catalogue, table_id="x")["samp.status"] == "samp.ok"
    assert viewer.next()[0]["table-id"] == "x"
    sender.close()


def test_nobody_takes_tables(hub, serve, catalogue):
    serve()
    sender = Viewer("sender", formats=())
    reply = sender.send(catalogue)
    assert reply["samp.status"] == "samp.warning"
    assert "no client takes tables" in reply["samp.error"]["samp.errortxt"]
    assert_same(read_catalog(path_of(reply["samp.result"]["url"])), expected(catalogue))
    sender.close()


def test_a_viewer_that_refuses_a_known_id_gets_another(hub, serve, catalogue):
    """TOPCAT 4.8.7: "Duplicate table-id: table '...' has already been received"."""
    serve(on_selection=True)
    viewer = Viewer(strict=True)
    viewer.send(catalogue, table_id="t1")
    viewer.ask("table.select.rowList", table_id="t1", row_list=["2"])
    about, table = viewer.next()
    assert about["table-id"] != "t1"
    assert about["table-id"].startswith("t1#jpassed-")
    # A selection in the new table means the same rows.
    viewer.ask("table.select.rowList", table_id=about["table-id"], row_list=["5"])
    again, table = viewer.next()
    assert again["table-id"] not in ("t1", about["table-id"])
    assert given_rows(table["jp_z"]) == [2, 5]
    viewer.close()


def test_a_viewer_that_cannot_load_is_reported(viewer, serve, catalogue):
    service = serve()
    viewer.refuses = "out of memory"
    told = threading.Event()
    tell = service._tell

    def hear(line):
        tell(line)
        if "could not load" in line:
            told.set()

    service._tell = hear
    assert viewer.send(catalogue, table_id="t")["samp.status"] == "samp.ok"
    assert told.wait(LONG)
    assert service.said[-1] == "viewer could not load the result: out of memory"


def test_the_services_own_message_answers_with_an_address(viewer, serve, catalogue):
    serve(on_selection=True)
    reply = viewer.ask("jpassed.annotate", url=catalogue.as_uri(), format="votable")
    assert reply["samp.status"] == "samp.ok"
    assert_same(read_catalog(path_of(reply["samp.result"]["url"])), expected(catalogue))
    assert viewer.loaded.empty()
    wrong = viewer.ask("jpassed.annotate", url=catalogue.as_uri(), format="parquet")
    assert "one of votable, fits, not parquet" in wrong["samp.error"]["samp.errortxt"]


def test_files_are_there_until_the_service_ends(viewer, serve, catalogue):
    service = serve()
    viewer.send(catalogue)
    place = path_of(viewer.next()[0]["url"])
    assert place.is_file()
    folder = place.parent.parent
    assert [p.name for p in folder.rglob("*") if p.is_file()] == ["galaxies_jpassed.vot"]
    service.stop()
    assert not folder.exists()
    with pytest.raises(LookupError):
        viewer.jpassed()


# --- selections -----------------------------------------------------------------------------------


def test_selected_rows_are_annotated_one_selection_after_the_other(viewer, serve, catalogue):
    service = serve(on_selection=True)
    reply = viewer.send(catalogue, table_id="t1", name="mine")
    assert reply["samp.status"] == "samp.ok"
    assert service.said[-1] == "mine: 8 rows received, waiting for a selection"
    assert (
        viewer.ask("table.select.rowList", table_id="t1", row_list=["6", "2"])["samp.status"]
        == "samp.ok"
    )
    about, table = viewer.next()
    wanted = expected(catalogue)
    assert about["table-id"] == "t1"
    assert len(table) == 8
    assert_same(table, wanted, rows=[2, 6], rtol=1e-4)
    for name in ("jp_z", "jp_flux_galex_nuv_err", "jp_flag", "jp_nbands"):
        assert given_rows(table[name]) == [2, 6]
    for name in read_catalog(catalogue).colnames:
        np.testing.assert_array_equal(numbers(table[name]), numbers(wanted[name]))
    # The next selection adds to it.
    viewer.ask("table.select.rowList", table_id="t1", row_list=["2", "0"])
    _, table = viewer.next()
    assert service.said[-1] == "mine: 1 row annotated; sent to viewer"
    assert_same(table, wanted, rows=[0, 2, 6], rtol=1e-4)
    assert given_rows(table["jp_z"]) == [0, 2, 6]
    # Nothing new: nothing is sent.
    reply = viewer.ask("table.select.rowList", table_id="t1", row_list=["0", "6"])
    assert reply["samp.status"] == "samp.ok"
    assert viewer.loaded.empty()


def test_a_selection_in_an_annotated_table_sends_nothing(viewer, serve, catalogue):
    serve()
    viewer.send(catalogue, table_id="t1")
    viewer.next()
    reply = viewer.ask("table.select.rowList", table_id="t1", row_list=["1"])
    assert reply["samp.status"] == "samp.ok"
    assert viewer.loaded.empty()


def test_a_table_is_known_by_its_url_too(viewer, serve, catalogue):
    """TOPCAT gives the file of a table as its id in one message, as url in another."""
    serve(on_selection=True)
    viewer.send(catalogue, table_id="file:/somewhere.vot")
    for where in ({"url": catalogue.as_uri()}, {"url": "file:/somewhere.vot"}):
        reply = viewer.ask("table.select.rowList", row_list=["3"], **where)
        assert reply["samp.status"] == "samp.ok", reply


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"table_id": "other", "row_list": ["1"]}, "table-id 'other'. Send the table first"),
        ({"row_list": ["1"]}, "needs the table-id or the url"),
        ({"table_id": "t1"}, "expected a list of row numbers"),
        ({"table_id": "t1", "row_list": "1"}, "expected a list of row numbers"),
        ({"table_id": "t1", "row_list": []}, "no row is selected"),
        ({"table_id": "t1", "row_list": ["1", "x"]}, "expected whole numbers"),
        ({"table_id": "t1", "row_list": ["8"]}, "row 8 does not exist, the table has 8 rows"),
        ({"table_id": "t1", "row_list": ["-1"]}, "row -1 does not exist"),
        ({"table_id": ["t1"], "row_list": ["1"]}, "table-id should be text"),
    ],
)
def test_selections_that_make_no_sense(viewer, serve, catalogue, params, said):
    serve(on_selection=True)
    viewer.send(catalogue, table_id="t1")
    reply = viewer.ask("table.select.rowList", **params)
    assert reply["samp.status"] == "samp.error"
    assert said in reply["samp.error"]["samp.errortxt"]
    assert (
        viewer.ask("table.select.rowList", table_id="t1", row_list=["1"])["samp.status"]
        == "samp.ok"
    )


# --- what makes no sense --------------------------------------------------------------------------


def make_nonsense(folder: Path) -> dict[str, Path]:
    (folder / "text.vot").write_text("once upon a time")
    (folder / "page.vot").write_text("<html><body>Please log in</body></html>")
    (folder / "cut.vot").write_bytes((folder / "galaxies.vot").read_bytes()[:-3000])
    (folder / "empty.fits").write_bytes(b"")
    write_catalog(Table({"ra": [1.0], "dec": [2.0]}), folder / "positions.fits")
    write_catalog(
        jpassed.annotate(make_table(2), model=small_model(), outputs=["z"]), folder / "done.vot"
    )
    Table({"J0660": np.zeros(0), "J0660_err": np.zeros(0)}).write(
        folder / "norows.vot", format="votable"
    )
    (folder / "folder.vot").mkdir()
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("text.vot", "is not a VOTable"),
        ("page.vot", "is not a VOTable"),
        ("cut.vot", "is not a VOTable"),
        ("empty.fits", "is empty"),
        ("positions.fits", "no bandflux column"),
        ("done.vot", "annotated before"),
        ("norows.vot", "has no rows"),
        ("folder.vot", "is not a file"),
        ("nothing.vot", "no such file"),
    ],
)
def test_a_table_that_makes_no_sense(viewer, serve, catalogue, name, said):
    service = serve()
    files = make_nonsense(catalogue.parent)
    path = files.get(name, catalogue.parent / name)
    reply = viewer.send(path)
    assert reply["samp.status"] == "samp.error"
    assert said in reply["samp.error"]["samp.errortxt"]
    assert "received" not in reply["samp.error"]["samp.errortxt"]
    assert service.said[-1].startswith("viewer: table.load.")
    assert said in service.said[-1]
    # It lives on.
    assert viewer.send(catalogue)["samp.status"] == "samp.ok"
    viewer.next()


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "needs a url, and has none"),
        ({"url": ""}, "needs a url, and has none"),
        ({"url": ["a"]}, "url should be text"),
        ({"url": "galaxies.vot"}, "expected file:, http: or https:"),
        ({"url": "ftp://127.0.0.1/x.vot"}, "expected file:, http: or https:"),
        ({"url": "file://elsewhere/x.vot"}, "a file of another machine"),
    ],
)
def test_a_message_without_a_usable_url(viewer, serve, catalogue, params, said):
    serve()
    reply = viewer.ask("table.load.votable", **params)
    assert said in reply["samp.error"]["samp.errortxt"]
    assert viewer.send(catalogue)["samp.status"] == "samp.ok"


def test_a_failed_notification_is_reported_to_who_listens(viewer, serve, tmp_path):
    serve()
    viewer.listen_to_progress()
    viewer.client.enotify(
        viewer.jpassed(), "table.load.votable", url=(tmp_path / "nothing.vot").as_uri()
    )
    heard = viewer.progress.get(timeout=LONG)
    assert heard["txt"].startswith("jpassed: failed: ")
    assert "no such file" in heard["txt"]


def test_another_jpassed_is_not_annotated(hub, serve, catalogue):
    """Two services that send each other what they made would never end."""
    serve()
    viewer = Viewer("jpassed")
    first = next(
        c
        for c in viewer.client.get_registered_clients()
        if viewer.client.get_metadata(c).get("samp.name") == "jpassed"
    )
    reply = viewer.call(first, "table.load.votable", {"url": catalogue.as_uri()})
    assert "comes from jpassed itself" in reply["samp.error"]["samp.errortxt"]
    viewer.close()


def test_options_that_cannot_be_used(hub, serve):
    with pytest.raises(UnknownNameError, match="redshift"):
        serve({"outputs": ["redshift"]})
    with pytest.raises(UnknownNameError, match="unknown model 'nothing'"):
        serve({"model": "nothing"})


# --- the end --------------------------------------------------------------------------------------


def test_a_table_in_work_is_given_up_when_the_service_ends(viewer, serve, tmp_path):
    service = serve({"batch_size": 1})
    viewer.listen_to_progress()
    path = tmp_path / "long.fits"
    write_catalog(make_table(3000), path)
    replies = []
    done = threading.Event()

    def heard(private_key, responder, tag, response):
        replies.append((tag, response))
        if len(replies) == 2:
            done.set()

    for tag in ("working", "waiting"):
        viewer.client.bind_receive_response(tag, heard)
        viewer.client.ecall(viewer.jpassed(), tag, "table.load.fits", url=path.as_uri())
    assert viewer.progress.get(timeout=LONG)["percent"] == "0"
    service.stop()
    assert done.wait(LONG)
    assert {tag for tag, _ in replies} == {"working", "waiting"}
    for _, response in replies:
        assert response["samp.status"] == "samp.error"
        assert "leaving the hub" in response["samp.error"]["samp.errortxt"]
    assert viewer.loaded.empty()


def test_too_many_messages_are_refused_one_by_one(viewer, serve, tmp_path, monkeypatch):
    monkeypatch.setattr("jpassed.samp.service.LONGEST_QUEUE", 1)
    serve({"batch_size": 1})
    viewer.listen_to_progress()
    path = tmp_path / "long.fits"
    write_catalog(make_table(300), path)
    replies = {}
    refused = threading.Event()

    def heard(private_key, responder, tag, response):
        replies[tag] = response["samp.status"]
        if replies[tag] == "samp.error":
            replies["reason"] = response["samp.error"]["samp.errortxt"]
            refused.set()

    viewer.client.bind_receive_response("one", heard)
    viewer.client.ecall(viewer.jpassed(), "one", "table.load.fits", url=path.as_uri())
    viewer.progress.get(timeout=LONG)  # it is in work, the queue is empty
    for tag in ("two", "three"):
        viewer.client.bind_receive_response(tag, heard)
        viewer.client.ecall(viewer.jpassed(), tag, "table.load.fits", url=path.as_uri())
    assert refused.wait(LONG)
    assert replies["reason"] == "1 messages are waiting already; send it later"
    assert [len(viewer.next()[1]) for _ in range(2)] == [300, 300]


# --- parts ----------------------------------------------------------------------------------------


def test_the_latest_tables_are_remembered():
    tables = KnownTables(kept=2)
    for k in range(3):
        tables.add(KnownTable(make_table(2), f"n{k}", f"t{k}", "c1"), (f"t{k}", f"file:/{k}"))
    assert len(tables) == 2
    with pytest.raises(InputError, match="table-id 't0' or url 'file:/0'.*last 2"):
        tables.find("t0", "file:/0")
    assert tables.find("", "file:/1").name == "n1"
    # What was just asked for stays longer.
    tables.add(KnownTable(make_table(2), "n3", "t3", "c1"), ("t3",))
    assert tables.find("t1", "").name == "n1"
    with pytest.raises(InputError, match="t2"):
        tables.find("t2", "")


def test_an_id_means_the_latest_table():
    tables = KnownTables()
    for k in range(2):
        tables.add(KnownTable(make_table(2), f"n{k}", "t", "c1"), ("t", ""))
    assert tables.find("t", "").name == "n1"


def test_row_numbers_are_text_in_samp():
    assert row_numbers(["0", " 2 ", 1], 3) == [0, 2, 1]
