"""The SAMP service outlives whatever makes no sense, and says what is wrong with it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from annotation_tables import make_table, small_model
from astropy.table import Table
from samp_fixtures import OPTIONS, catalogue, given_rows, hub, serve, viewer
from samp_hub import LONG, Hub, Viewer

import jpassed
from jpassed.exceptions import UnknownNameError
from jpassed.io.catalogs import write_catalog
from jpassed.samp import AnnotationService

__all__ = ["catalogue", "hub", "serve", "viewer"]  # fixtures


@pytest.fixture(scope="module")
def steady(tmp_path_factory):
    """One service for many messages that make no sense: it has to survive them all."""
    home = tmp_path_factory.mktemp("steady")
    path = home / "galaxies.vot"
    write_catalog(make_table(8), path)
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("SAMP_HUB", f"std-lockurl:file://{home}/samp.lock")
        hub = Hub()
        options = {"model": small_model(), **OPTIONS}
        service = AnnotationService(options, on_selection=True, tell=said.append)
        service.start()
        viewer = Viewer()
        yield Steady(viewer, path, make_nonsense(path), said)
        viewer.close()
        service.stop()
        hub.stop()


@dataclass
class Steady:
    """A viewer beside a service, a table that it can use, and files that it cannot."""

    viewer: Viewer
    path: Path
    files: dict[str, Path]
    said: list[str]

    def assert_lives(self) -> None:
        """It still takes a table and annotates one of its rows."""
        assert self.viewer.send(self.path, table_id="t1")["samp.status"] == "samp.ok"
        reply = self.viewer.ask("table.select.rowList", table_id="t1", row_list=["1"])
        assert reply["samp.status"] == "samp.ok"
        _, table = self.viewer.next()
        assert given_rows(table["jp_z"]) == [1]


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
def test_selections_that_make_no_sense(steady, params, said):
    steady.viewer.send(steady.path, table_id="t1")
    reply = steady.viewer.ask("table.select.rowList", **params)
    assert reply["samp.status"] == "samp.error"
    assert said in reply["samp.error"]["samp.errortxt"]
    steady.assert_lives()


# --- what makes no sense --------------------------------------------------------------------------


def make_nonsense(good: Path) -> dict[str, Path]:
    folder = good.parent
    (folder / "text.vot").write_text("once upon a time")
    (folder / "page.vot").write_text("<html><body>Please log in</body></html>")
    (folder / "cut.vot").write_bytes(good.read_bytes()[:-3000])
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
def test_a_table_that_makes_no_sense(steady, name, said):
    path = steady.files.get(name, steady.path.parent / name)
    # A table that was annotated before is only found out when its rows are asked for.
    reply = steady.viewer.send(path, table_id="bad")
    if name == "done.vot":
        assert reply["samp.status"] == "samp.ok"
        reply = steady.viewer.ask("table.select.rowList", table_id="bad", row_list=["0"])
    assert reply["samp.status"] == "samp.error"
    assert said in reply["samp.error"]["samp.errortxt"]
    assert "received" not in reply["samp.error"]["samp.errortxt"]
    assert steady.said[-1].startswith("viewer: table.")
    assert said in steady.said[-1]
    steady.assert_lives()


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
def test_a_message_without_a_usable_url(steady, params, said):
    reply = steady.viewer.ask("table.load.votable", **params)
    assert said in reply["samp.error"]["samp.errortxt"]
    steady.assert_lives()


def test_a_bad_table_is_refused_in_either_mode(viewer, serve, catalogue):
    service = serve()
    files = make_nonsense(catalogue)
    for name, said in (("positions.fits", "no bandflux column"), ("done.vot", "annotated before")):
        reply = viewer.send(files[name])
        assert said in reply["samp.error"]["samp.errortxt"]
        assert said in service.said[-1]
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
