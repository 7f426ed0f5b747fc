"""Hubs that are not there, go away, come back; and what broadcast does with a hub."""

from __future__ import annotations

import os
import queue
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from annotation_tables import make_table, numbers, small_model
from samp_hub import JSAMP, LONG, Hub, HubProcess, JsampHub, Viewer, end_processes, path_of

from jpassed.exceptions import FileError, ServiceError
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.samp import AnnotationService, broadcast
from jpassed.samp.connection import connect, disconnect, is_alive
from jpassed.samp.sending import _deliver, load_message, receivers_of


@pytest.fixture
def lock(tmp_path, monkeypatch):
    """Where a hub of this test writes its lock file; none runs yet."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:file://{tmp_path}/samp.lock")
    yield tmp_path / "samp.lock"
    end_processes()


@pytest.fixture
def hub(lock):
    running = Hub()
    yield running
    running.stop()


@pytest.fixture
def viewer(hub):
    running = Viewer()
    yield running
    running.close()


@pytest.fixture
def catalogue(tmp_path):
    path = tmp_path / "galaxies.fits"
    write_catalog(make_table(6), path)
    return path


class Lines(queue.Queue):
    """What a service tells, line by line."""

    def wait_for(self, text: str) -> str:
        while True:
            line = self.get(timeout=LONG)
            if text in line:
                return line


def make_service(**settings) -> tuple[AnnotationService, Lines]:
    lines = Lines()
    options = {"model": small_model(), "outputs": ["z"]}
    return AnnotationService(options, tell=lines.put, **settings), lines


# --- no hub ---------------------------------------------------------------------------------------


def test_without_a_hub_the_error_says_what_to_start(lock):
    service, _ = make_service()
    with pytest.raises(ServiceError, match=r"no SAMP hub is running: start TOPCAT or Aladin"):
        service.run()
    with pytest.raises(ServiceError, match="no SAMP hub is running"):
        service.start()
    with pytest.raises(ServiceError, match="no SAMP hub is running"):
        broadcast(make_table(2))


@pytest.mark.parametrize(
    "content",
    ["", "# nothing\n", "\n\n", "samp.secret", "samp.hub.xmlrpc.url=http://127.0.0.1:9/\n"],
)
def test_a_lock_file_without_a_hub(lock, content):
    lock.write_text(content)
    with pytest.raises(ServiceError, match="no SAMP hub is running"):
        connect("test")


def test_something_that_is_no_hub(lock):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            page = b"<html>I sell shoes</html>"
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_):
            return None

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        lock.write_text(
            f"samp.secret=x\nsamp.hub.xmlrpc.url=http://127.0.0.1:{server.server_port}/\n"
            "samp.profile.version=1.3\n"
        )
        with pytest.raises(ServiceError, match="cannot be spoken to"):
            connect("test")
        server.shutdown()
        thread.join()


def test_a_profile_that_is_not_the_standard_one(lock, monkeypatch):
    monkeypatch.setenv("SAMP_HUB", "carrier-pigeon:coo")
    with pytest.raises(ServiceError, match="no SAMP hub is running"):
        connect("test")


# --- a hub that goes away -------------------------------------------------------------------------


def test_the_service_ends_when_the_hub_stops(hub, catalogue):
    service, lines = make_service()
    service.start()
    hub.stop()
    lines.wait_for("the SAMP hub has gone")
    service._thread.join()
    service.stop()


def test_the_service_ends_when_the_hub_is_killed(lock):
    hub = HubProcess()
    service, lines = make_service()
    service.start()
    hub.kill()
    assert lock.is_file()
    lines.wait_for("the SAMP hub has gone")
    service._thread.join()
    service.stop()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_waiting_for_one_hub_after_another(lock, catalogue, end):
    service, lines = make_service(wait=True)
    service.start()
    lines.wait_for("waiting for a SAMP hub")
    for _ in range(2):
        hub = HubProcess()
        lines.wait_for("on the SAMP hub")
        viewer = Viewer()
        assert viewer.send(catalogue)["samp.status"] == "samp.ok"
        assert viewer.next()[0]["name"] == "galaxies.fits (jpassed)"
        viewer.close()
        getattr(hub, end)()
        lines.wait_for("the SAMP hub has gone")
        lines.wait_for("waiting for a SAMP hub")
    service.stop()


def test_a_hub_that_goes_while_a_table_is_in_work(lock, tmp_path):
    path = tmp_path / "long.fits"
    write_catalog(make_table(3000), path)
    lines = Lines()
    service = AnnotationService(
        {"model": small_model(), "outputs": ["z"], "batch_size": 1}, tell=lines.put
    )
    hub = HubProcess()
    service.start()
    viewer = Viewer()
    viewer.listen_to_progress()
    viewer.client.ecall(viewer.jpassed(), "tag", "table.load.fits", url=path.as_uri())
    viewer.progress.get(timeout=LONG)
    hub.stop()
    lines.wait_for("the table was not annotated")
    lines.wait_for("the SAMP hub has gone")
    service.stop()
    disconnect(viewer.client)


@pytest.mark.skipif(
    not JSAMP.exists() and os.environ.get("CI", "").lower() != "true",
    reason="JSAMP is not installed (it comes with Debian's stilts)",
)
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_the_hub_of_topcat(lock, catalogue, end):
    service, lines = make_service(on_selection=True)
    hub = JsampHub(lock)
    service.start()
    viewer = Viewer()
    assert viewer.send(catalogue, table_id="t1")["samp.status"] == "samp.ok"
    reply = viewer.ask("table.select.rowList", table_id="t1", row_list=["4"])
    assert reply["samp.status"] == "samp.ok"
    about, table = viewer.next()
    assert about["table-id"] == "t1"
    assert list(np.isfinite(numbers(table["jp_z"]))) == [False] * 4 + [True, False]
    wrong = viewer.ask("table.load.fits", url="http://192.0.2.1/x.fits")
    assert "lies on another machine" in wrong["samp.error"]["samp.errortxt"]
    viewer.close()
    getattr(hub, end)()
    lines.wait_for("the SAMP hub has gone")
    service._thread.join()
    service.stop()


def test_leaving_a_hub_that_is_gone_is_no_error(lock):
    hub = HubProcess()
    client = connect("test")
    assert is_alive(client)
    hub.kill()
    assert not is_alive(client)
    disconnect(client)
    assert not client.is_connected


# --- broadcast ------------------------------------------------------------------------------------


def test_broadcast_a_table(viewer):
    table = make_table(6)
    assert broadcast(table, name="mine") == {"viewer": "loaded"}
    about, loaded = viewer.next()
    assert about["name"] == "mine"
    assert about["table-id"] == about["url"]
    for name in table.colnames:
        assert list(numbers(loaded[name])) == list(numbers(table[name]))
        assert loaded[name].info.unit == table[name].info.unit
    assert not path_of(about["url"]).exists()
    assert viewer.client.get_registered_clients() == ["cli#hub"]


def test_broadcast_a_file_as_it_is(viewer, catalogue):
    assert broadcast(str(catalogue)) == {"viewer": "loaded"}
    about, _ = viewer.next()
    assert about["samp.mtype"] == "table.load.fits"
    assert about["url"] == about["table-id"] == catalogue.as_uri()
    assert about["name"] == "galaxies.fits"
    assert catalogue.is_file()


def test_broadcast_a_file_of_another_format(viewer, tmp_path):
    path = tmp_path / "galaxies.parquet"
    write_catalog(make_table(6), path)
    assert broadcast(path, table_id="t1") == {"viewer": "loaded"}
    about, loaded = viewer.next()
    assert about["samp.mtype"] == "table.load.votable"
    assert about["table-id"] == "t1"
    assert len(loaded) == 6


def test_each_viewer_gets_a_format_that_it_takes(viewer, catalogue):
    old = Viewer("old", formats=("votable",))
    assert broadcast(catalogue) == {"viewer": "loaded", "old": "loaded"}
    assert viewer.next()[0]["url"] == catalogue.as_uri()
    about, loaded = old.next()
    assert about["samp.mtype"] == "table.load.votable"
    assert about["table-id"] == catalogue.as_uri()
    assert loaded.colnames == read_catalog(catalogue).colnames
    old.close()


def test_large_tables_are_sent_as_fits(viewer, monkeypatch):
    monkeypatch.setattr("jpassed.samp.sending.MANY_VALUES", 10)
    assert broadcast(make_table(6)) == {"viewer": "loaded"}
    assert viewer.next()[0]["samp.mtype"] == "table.load.fits"


def test_what_viewers_say_is_returned(viewer, catalogue):
    second = Viewer()
    viewer.refuses = "no more memory"
    said = broadcast(catalogue)
    assert sorted(said.values()) == ["loaded", "no more memory"]
    assert all(name.startswith("viewer (cli#") for name in said)
    second.close()


def test_a_viewer_that_never_answers(viewer, catalogue):
    viewer.client.bind_receive_call("table.load.fits", lambda *_: None)
    assert broadcast(catalogue, timeout=0.2) == {"viewer": "no answer within 0.2 s"}


def test_one_that_leaves_before_its_turn_takes_nothing_from_the_others(viewer, catalogue):
    client = connect("test")
    try:
        (listening,) = receivers_of(client)["fits"]
        message = load_message("fits", catalogue.as_uri(), "t1", "mine")
        said = _deliver(client, {"gone": message, listening: message}, LONG)
    finally:
        disconnect(client)
    assert said == {"gone": "not on the hub any more", "viewer": "loaded"}


def test_broadcast_with_nobody_to_hear(hub, catalogue):
    with pytest.raises(ServiceError, match="no program on the SAMP hub takes tables"):
        broadcast(catalogue)


def test_broadcast_a_file_that_is_missing(viewer, tmp_path):
    with pytest.raises(FileError, match="does not exist"):
        broadcast(tmp_path / "nothing.fits")
