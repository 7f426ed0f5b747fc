"""A file server as SDSS has one: real spectra under /spec/PLATE-MJD-FIBER.fits, with faults."""

from __future__ import annotations

import csv
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

PATTERN = "/spec/{plate:04d}-{mjd:05d}-{fiberid:04d}.fits"


class SpectrumFiles:
    """The server. `faults` maps a path to what goes wrong there, each for one request."""

    def __init__(self, folder: Path) -> None:
        with (folder / "spectra" / "spectra_index.csv").open(newline="") as lines:
            rows = [r for r in csv.DictReader(lines) if r["survey"].startswith("SDSS")]
        self.files = {f"/spec/{row['object']}.fits": folder / row["file"] for row in rows}
        self.requests: Counter[str] = Counter()
        self.faults: dict[str, list[str]] = {}
        self.pause = 0.0
        self.most_at_once = 0
        self._now = 0
        self._guard = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with owner._guard:
                    owner.requests[self.path] += 1
                    owner._now += 1
                    owner.most_at_once = max(owner.most_at_once, owner._now)
                    given = owner.faults.get(self.path, [])
                    fault = given.pop(0) if given else ""
                try:
                    threading.Event().wait(owner.pause)
                    self.answer(fault)
                finally:
                    with owner._guard:
                        owner._now -= 1

            def answer(self, fault: str) -> None:
                file = owner.files.get(self.path)
                if fault == "busy":
                    self.send(503, "text/plain", b"", {"Retry-After": "0"})
                elif fault == "page":
                    self.send(200, "text/html", b"<html><title>Sign in</title></html>")
                elif file is None or fault == "gone":
                    self.send(404, "text/html", b"<html>Not found</html>")
                elif fault == "cut":
                    body = file.read_bytes()
                    self.send(200, "application/fits", body, sent=body[: len(body) // 2])
                    self.close_connection = True
                else:
                    self.send(200, "application/fits", file.read_bytes())

            def send(
                self, status: int, kind: str, body: bytes, more: Any = None, sent: Any = None
            ) -> None:
                self.send_response(status)
                headers = {"Content-Type": kind, "Content-Length": str(len(body)), **(more or {})}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body if sent is None else sent)

            def log_message(self, *_: Any) -> None:
                pass

        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._httpd.daemon_threads = True
        self.base = f"http://127.0.0.1:{self._httpd.server_address[1]}"
        self.url = self.base + PATTERN
        self._thread = threading.Thread(
            target=self._httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._httpd.shutdown()
        self._httpd.server_close()
        self._thread.join()


@pytest.fixture
def spectrum_files(real_data: Path) -> Iterator[SpectrumFiles]:
    """Real spectra by HTTP, with a log of the requests."""
    server = SpectrumFiles(real_data)
    yield server
    server.close()
