"""What a SAMP message may point at: files, servers of this machine, and what is refused."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import socket
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from annotation_tables import make_table
from astropy.table import Table

from jpassed.exceptions import FileError, InputError, ServiceError
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.samp.fetching import Limits, check_url, fetch_table


@pytest.fixture
def votable(tmp_path) -> Path:
    path = tmp_path / "galaxies.vot"
    write_catalog(make_table(5), path)
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    place = tmp_path / "work"
    place.mkdir()
    return place


class Server:
    """An HTTP server that misbehaves on demand."""

    def __init__(self, content: bytes) -> None:
        server = self
        self.wait = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                kind = self.path.strip("/").split("/")[0]
                getattr(self, f"answer_{kind}")()

            def answer_table(self):
                self.begin(200, len(content))
                self.wfile.write(content)

            def answer_unsized(self):
                self.begin(200, None)
                self.wfile.write(content)

            def answer_cut(self):
                self.begin(200, len(content))
                self.wfile.write(content[:1000])

            def answer_page(self):
                self.begin(200, None)
                self.wfile.write(b"<html><body>please log in</body></html>")

            def answer_missing(self):
                self.send_error(404, "it was here once")

            def answer_crash(self):
                self.send_error(500)

            def answer_silence(self):
                server.wait.wait()

            def answer_moved(self):
                self.send_response(302)
                self.send_header("Location", server.elsewhere)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def begin(self, status, size):
                self.send_response(status)
                if size is not None:
                    self.send_header("Content-Length", str(size))
                self.end_headers()

            def log_message(self, *_):
                return None

        self.elsewhere = ""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def url(self, kind: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/{kind}/x"

    def stop(self) -> None:
        self.wait.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server(votable):
    running = Server(votable.read_bytes())
    yield running
    running.stop()


@pytest.mark.parametrize("kind", ["table", "unsized"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_table_from_a_server_of_this_machine(server, votable, folder, kind, host, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody is there
    table = fetch_table(server.url(kind, host), "votable", folder, Limits())
    np.testing.assert_array_equal(table["id"], read_catalog(votable)["id"])
    assert list(folder.iterdir()) == []


def test_a_file_whose_name_ends_in_anything(tmp_path, votable, folder):
    place = tmp_path / "with blank & ä.tmp"
    place.write_bytes(votable.read_bytes())
    assert "%20" in place.as_uri()
    table = fetch_table(place.as_uri(), "votable", folder, Limits())
    assert len(table) == 5
    assert place.is_file()
    assert list(folder.iterdir()) == []


def test_a_long_votable_of_text(tmp_path, folder):
    """As TOPCAT sends it: TABLEDATA, longer than what is read at a time."""
    plain = Table({"id": np.arange(9000), "J0660": np.linspace(1, 2, 9000)})
    path = tmp_path / "long.vot"
    plain.write(path, format="votable", tabledata_format="tabledata")
    assert path.stat().st_size > 600_000
    table = fetch_table(path.as_uri(), "votable", folder, Limits())
    np.testing.assert_array_equal(table["id"], plain["id"])
    np.testing.assert_array_equal(table["J0660"], plain["J0660"])


def test_a_url_as_java_writes_it(votable, folder):
    """TOPCAT writes file:/home/... with one slash."""
    assert len(fetch_table(f"file:{votable}", "votable", folder, Limits())) == 5
    assert len(fetch_table(f"file://localhost{votable}", "votable", folder, Limits())) == 5


@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        ("missing", ServiceError, "it was here once"),
        ("crash", ServiceError, "Internal Server Error"),
        ("cut", ServiceError, "IncompleteRead|was cut after 1000 of"),
        ("page", FileError, "not a VOTable"),
    ],
)
def test_answers_without_a_table(server, folder, kind, error, said):
    with pytest.raises(error, match=said) as caught:
        fetch_table(server.url(kind), "votable", folder, Limits())
    assert server.url(kind) in str(caught.value)
    assert str(folder) not in str(caught.value)
    assert list(folder.iterdir()) == []


def test_a_server_that_says_nothing(server, folder):
    with pytest.raises(ServiceError, match="timed out"):
        fetch_table(server.url("silence"), "votable", folder, Limits(timeout=0.2))


def test_a_dead_url(folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ServiceError, match="Connection refused"):
        fetch_table(f"http://127.0.0.1:{port}/t.vot", "votable", folder, Limits())


@pytest.mark.parametrize(
    ("elsewhere", "error", "said"),
    [
        ("http://192.0.2.1/t.vot", InputError, "lies on another machine"),
        ("file:///etc/passwd", ServiceError, "not allowed"),  # urllib refuses it itself
        ("ftp://127.0.0.1/t.vot", InputError, "which is not followed"),
    ],
)
def test_redirects_are_no_way_around(server, folder, elsewhere, error, said):
    server.elsewhere = elsewhere
    with pytest.raises(error, match=said):
        fetch_table(server.url("moved"), "votable", folder, Limits())


def test_a_redirect_on_this_machine_is_followed(server, folder):
    server.elsewhere = server.url("table")
    assert len(fetch_table(server.url("moved"), "votable", folder, Limits())) == 5


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1/t.vot",  # documentation addresses, RFC 5737 and 3849
        "https://[2001:db8::1]/t.vot",
        "http://no-such-host.invalid/t.vot",
        "http://0.0.0.0/t.vot",
    ],
)
def test_other_machines_are_refused(url):
    with pytest.raises(InputError, match="--allow-remote"):
        check_url(url)
    check_url(url, allow_remote=True)


@pytest.mark.parametrize("url", ["http://127.0.0.1/x", "http://127.9.9.9:80/x", "file:///x.vot"])
def test_this_machine_passes(url):
    check_url(url)


@pytest.mark.parametrize("url", ["gopher://x/", "javascript:alert(1)", "http:///x", "", "x.vot"])
def test_what_is_no_url_of_a_table_is_refused_anyhow(url):
    with pytest.raises(InputError):
        check_url(url, allow_remote=True)


@pytest.mark.parametrize("kind", ["table", "unsized"])
def test_too_large_from_a_server(server, folder, kind):
    with pytest.raises(FileError, match=r"--max-size"):
        fetch_table(server.url(kind), "votable", folder, Limits(max_bytes=1000))
    assert list(folder.iterdir()) == []


def test_too_large_a_file(votable, folder):
    with pytest.raises(FileError, match=r"the limit is 0 MB .*--max-size"):
        fetch_table(votable.as_uri(), "votable", folder, Limits(max_bytes=1000))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")
@pytest.mark.parametrize("kind", ["gzip", "bz2", "xz", "zip"])
def test_a_small_file_that_is_large_when_unpacked(tmp_path, folder, kind):
    plain = tmp_path / "zeros.fits"
    write_catalog(Table({"a": np.zeros(100_000)}), plain)
    packed = tmp_path / "packed.fits"
    if kind == "zip":
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(plain, plain.name)
    else:
        pack = {"gzip": gzip, "bz2": bz2, "xz": lzma}[kind].compress
        packed.write_bytes(pack(plain.read_bytes()))
    assert packed.stat().st_size < 10_000
    with pytest.raises(FileError, match="the limit is 0 MB"):
        fetch_table(packed.as_uri(), "fits", folder, Limits(max_bytes=100_000))
    assert not list(folder.iterdir())
    if kind == "gzip":
        assert len(fetch_table(packed.as_uri(), "fits", folder, Limits())) == 100_000
        packed.write_bytes(packed.read_bytes()[:500])
        with pytest.raises(FileError, match="is compressed, and damaged"):
            fetch_table(packed.as_uri(), "fits", folder, Limits())


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read(votable, folder):
    votable.chmod(0)
    with pytest.raises(FileError, match=r"cannot read file:.*Permission denied"):
        fetch_table(votable.as_uri(), "votable", folder, Limits())


def test_pipes_and_devices_are_not_read(tmp_path, folder):
    os.mkfifo(tmp_path / "pipe.vot")
    for place in (tmp_path / "pipe.vot", Path("/dev/zero")):
        with pytest.raises(FileError, match="is not a file with a table"):
            fetch_table(place.as_uri(), "votable", folder, Limits())
