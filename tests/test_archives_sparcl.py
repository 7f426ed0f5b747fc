"""Spectra from SPARCL: its own client, against a loopback server that speaks its protocol.

SPARCL itself cannot be reached from where the tests run. What the server below answers follows the
client's source (sparclclient 1.2.2); the records are made, their fields are SPARCL's.
"""

from __future__ import annotations

import json
import pickle
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jpassed.archives.description import SpectrumSource
from jpassed.archives.spectrum_store import SpectrumStore, Wanted
from jpassed.exceptions import InputError, MissingDependencyError, ServiceError
from jpassed.io.spectra import read_spectrum

RELEASE = "DESI-DR1"
FIELDS = ("sparcl_id", "specid", "ra", "dec", "wavelength", "flux", "ivar", "data_release")
WAVE = np.arange(3600.0, 9824.0, 0.8)


def record(number: int) -> dict[str, Any]:
    return {
        "sparcl_id": f"uuid-{number}", "specid": number, "ra": 10.0 + number, "dec": -1.0,
        "wavelength": WAVE, "flux": np.full(WAVE.size, float(number)),
        "ivar": np.where(WAVE < 3700, 0.0, 4.0), "data_release": RELEASE, "_dr": RELEASE,
    }  # fmt: skip


class Sparcl:
    """The server; it has the spectra 1 to 9."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.broken = False
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.startswith("/sparc/version"):
                    return self.send(b"12.0")
                rows = [
                    {"data_release": RELEASE, "origdp": name, "newdp": name, "storage": "C",
                     "default": True, "all": True}
                    for name in FIELDS
                ]  # fmt: skip
                self.send(json.dumps(rows).encode())

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                owner.asked.append(self.path.split("?")[0])
                if owner.broken:
                    said = {"errorCode": "X", "errorMessage": "down", "traceback": ""}
                    return self.send(json.dumps(said).encode(), 500)
                head = {"status": {"warnings": []}}
                if self.path.startswith("/sparc/find"):
                    wanted = next(c[1:] for c in body["search"] if c[0] == "specid")
                    found = [
                        {k: v for k, v in record(n).items() if k in ("sparcl_id", "specid", "_dr")}
                        for n in wanted
                        if 1 <= n <= 9
                    ]
                    return self.send(json.dumps([head, *found]).encode())
                found = [record(int(name.split("-")[1])) for name in body]
                self.send(pickle.dumps([head, *found]))

            def send(self, body: bytes, status: int = 200) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._httpd.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._httpd.server_address[1]}"
        self._thread = threading.Thread(
            target=self._httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._httpd.shutdown()
        self._httpd.server_close()
        self._thread.join()


@pytest.fixture
def sparcl() -> Iterator[Sparcl]:
    pytest.importorskip("sparcl", reason="sparclclient is not installed (pip: sparclclient==1.2.2)")
    server = Sparcl()
    yield server
    server.close()


def wanted(*numbers: int) -> list[Wanted]:
    return [Wanted(f"k{n}", {"targetid": np.int64(n).item()}, (0.0, 0.0)) for n in numbers]


def source(url: str = "") -> SpectrumSource:
    return SpectrumSource("sparcl", url=url, column="targetid", release=(RELEASE,))


def test_spectra_come_once_and_missing_ones_are_told(sparcl, tmp_path):
    store = SpectrumStore(tmp_path / "desi")
    failures = store.fetch(source(sparcl.url), wanted(3, 5, 77))
    assert failures == {"k77": "not at SPARCL"}
    assert store.fetched == 2
    (found,) = read_spectrum(store.path("k5"))
    assert found.name == "5"
    assert found.metadata["frame"] == "observed"
    assert found.metadata["ra"] == 15.0
    np.testing.assert_array_equal(found.wave, WAVE)
    np.testing.assert_array_equal(found.flux[found.good], 5.0)
    np.testing.assert_array_equal(found.ivar, np.where(WAVE < 3700, 0.0, 4.0))
    asked = len(sparcl.asked)
    again = SpectrumStore(tmp_path / "desi")
    assert again.fetch(source(sparcl.url), wanted(3, 5)) == {}
    assert len(sparcl.asked) == asked
    assert again.fetch(source(sparcl.url), wanted(3, 5, 8)) == {}
    assert again.fetched == 1
    # A run that was killed before the journal was written keeps its files.
    (tmp_path / "desi/journal.jsonl").unlink()
    third = SpectrumStore(tmp_path / "desi")
    asked = len(sparcl.asked)
    assert third.fetch(source(sparcl.url), wanted(3, 5, 8)) == {}
    assert len(sparcl.asked) == asked
    assert len(third.lines) == 3
    assert all(len(line["sha256"]) == 64 for line in third.lines)


def test_a_server_that_fails_is_one_clear_error(sparcl, tmp_path):
    store = SpectrumStore(tmp_path / "desi")
    sparcl.broken = True
    with pytest.raises(ServiceError, match="SPARCL does not answer as expected.*down"):
        store.fetch(source(sparcl.url), wanted(3))
    with pytest.raises(ServiceError, match="SPARCL does not answer"):
        SpectrumStore(tmp_path / "desi").fetch(source("http://127.0.0.1:9"), wanted(3))
    with pytest.raises(InputError, match="'targetid' is empty"):
        store.fetch(source(sparcl.url), [Wanted("k1", {}, (0.0, 0.0))])


def test_without_the_package_it_says_what_to_install(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sparcl.client", None)
    with pytest.raises(MissingDependencyError, match="pip install .sparclclient==1.2.2"):
        SpectrumStore(tmp_path / "desi").fetch(source(), wanted(3))
