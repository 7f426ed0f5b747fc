"""A real HTTP proxy in front of the loopback server, with programmable faults: ``fault_proxy``.

It listens on a port of its own and hands every request on; in headers and text bodies of the
answers it writes its own host and port for the server's, so that jobs and links keep going through
it. (Not inside the base64 of a binary VOTable.) A fault applies to the next `times` requests whose
"METHOD /path?query" has a match of a regular expression; the first that matches is taken:

    fault_proxy.cut(after=2000, match="/sync")      # then everything is well again
    fault_proxy.unavailable(retry_after=1, times=2)
    fault_proxy.call(tap.kill_web, match="/async/.*/phase")
    assert fault_proxy.count("POST /tap/sync") == 2
"""

from __future__ import annotations

import base64
import http.client
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tap_server import TapServer

LOGIN_PAGE = (
    b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>"
    b"<form action='/login' method='post'><input name='username'>"
    b"<input name='password' type='password'></form></body></html>"
)
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host",
              "accept-encoding", "date", "server"}
TEXT = ("text/", "xml", "json", "votable")
COOKIE = "jpassed-session=opened"


@dataclass
class Answer:
    """What the server answered, or what a fault puts in its place."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


@dataclass
class Fault:
    """One way to go wrong, for the next `times` requests that match."""

    kind: str
    match: str
    times: int
    settings: dict = field(default_factory=dict)


class FaultProxy:
    """The proxy; its methods order faults for coming requests."""

    def __init__(self, server: TapServer) -> None:
        self.server = server
        self.upstream = urlsplit(server.base).netloc
        self.requests: list[str] = []
        self._faults: list[Fault] = []
        self._guard = threading.Lock()
        self.closing = threading.Event()
        self.user_and_password: str | None = None
        self.login: dict[str, str] | None = None
        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._httpd.daemon_threads = True
        self._httpd.proxy = self  # type: ignore[attr-defined]
        self.netloc = f"127.0.0.1:{self._httpd.server_address[1]}"
        self._thread = threading.Thread(
            target=self._httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    @property
    def base(self) -> str:
        return f"http://{self.netloc}"

    @property
    def url(self) -> str:
        """Base URL of TAP through the proxy."""
        return f"{self.base}/tap"

    def services(self, path: Path) -> Path:
        """Write a file for JPASSED_SERVICES that points every service's name to the proxy."""
        return self.server.services(path, base=self.base)

    def count(self, match: str = "") -> int:
        """How many requests ("METHOD /path?query") so far have a match."""
        with self._guard:
            return sum(bool(re.search(match, line)) for line in self.requests)

    def close(self) -> None:
        self.closing.set()
        self._httpd.shutdown()
        self._httpd.server_close()
        self._thread.join()

    # What can go wrong

    def cut(self, after: int, *, match: str = "", times: int = 1) -> None:
        """Close the connection after that many bytes of the body; Content-Length says more."""
        self._order("cut", match, times, after=after)

    def reset(self, after: int | None = None, *, match: str = "", times: int = 1) -> None:
        """Reset the connection (RST): before any answer, or after that many bytes of the body."""
        self._order("reset", match, times, after=after)

    def lose(self, *, match: str = "", times: int = 1) -> None:
        """Hand the request on and reset the connection (RST) in place of the server's answer."""
        self._order("lose", match, times)

    def stall(
        self, seconds: float, after: int | None = None, *, match: str = "", times: int = 1
    ) -> None:
        """Send nothing for a while: before any answer, or after that many bytes of the body."""
        self._order("stall", match, times, seconds=seconds, after=after)

    def trickle(
        self, pause: float, chunk: int = 512, *, match: str = "", times: int = 1
    ) -> None:
        """Send the body in chunks with a pause before each."""
        self._order("trickle", match, times, pause=pause, chunk=chunk)

    def unavailable(
        self, retry_after: float | None = None, *, status: int = 503, match: str = "",
        times: int = 1,
    ) -> None:
        """Answer 503 (or another status), with Retry-After where given."""
        self._order("unavailable", match, times, retry_after=retry_after, status=status)

    def wrong_type(
        self, content_type: str = "application/octet-stream", *, match: str = "", times: int = 1
    ) -> None:
        """The right body under another content type."""
        self._order("wrong_type", match, times, content_type=content_type)

    def login_page(self, *, match: str = "", times: int = 1) -> None:
        """An HTML login page with status 200."""
        self._order("login_page", match, times)

    def replace(
        self, body: bytes, content_type: str = "application/x-votable+xml", *, status: int = 200,
        match: str = "", times: int = 1,
    ) -> None:
        """Another body altogether."""
        self._order("replace", match, times, body=body, content_type=content_type, status=status)

    def redirect_loop(self, *, match: str = "", times: int = 1000) -> None:
        """Redirect to the same URL."""
        self._order("redirect_loop", match, times)

    def call(self, function: Callable[[], object], *, match: str = "", times: int = 1) -> None:
        """Call a function, then hand the request on (if the server still takes it)."""
        self._order("call", match, times, function=function)

    def require_login(self, user: str, password: str) -> None:
        """From now on ask for HTTP Basic authentication; the capabilities declare it."""
        self.user_and_password = base64.b64encode(f"{user}:{password}".encode()).decode()

    def require_session(self, user: str, password: str) -> None:
        """From now on show the login page to who has not posted these to /login for a cookie."""
        self.login = {"username": user, "password": password}

    def _order(self, kind: str, match: str, times: int, **settings: object) -> None:
        with self._guard:
            self._faults.append(Fault(kind, match, times, settings))

    def take(self, line: str) -> Fault | None:
        """Note the request; the fault that applies to it, used up once."""
        with self._guard:
            self.requests.append(line)
            for fault in self._faults:
                if fault.times > 0 and re.search(fault.match, line):
                    fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def handle_any(self) -> None:
        self.close_connection = True
        proxy: FaultProxy = self.server.proxy  # type: ignore[attr-defined]
        length = int(self.headers.get("Content-Length") or 0)
        body = self._chunks() if self.headers.get("Transfer-Encoding") else self.rfile.read(length)
        fault = proxy.take(f"{self.command} {self.path}")
        try:
            answer = self._refusal(proxy, body) or self._instead(fault)
            if answer is None:
                if fault and fault.kind == "stall" and fault.settings["after"] is None:
                    proxy.closing.wait(fault.settings["seconds"])
                if fault and fault.kind == "reset" and fault.settings["after"] is None:
                    return self._reset()
                if fault and fault.kind == "call":
                    fault.settings["function"]()
                answer = self._from_server(proxy, body)
                if fault and fault.kind == "lose":
                    return self._reset()
            self._send(proxy, answer, fault)
        except (ConnectionError, http.client.HTTPException, OSError):
            self._reset()  # the server, or the client, is gone

    do_GET = do_POST = do_DELETE = do_HEAD = do_PUT = handle_any  # noqa: N815

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _from_server(self, proxy: FaultProxy, body: bytes) -> Answer:
        headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
        connection = http.client.HTTPConnection(proxy.upstream)
        try:
            connection.request(self.command, self.path, body or None, headers)
            found = connection.getresponse()
            content = found.read()
        finally:
            connection.close()
        there, here = proxy.upstream, proxy.netloc
        kept = [(k, v.replace(there, here)) for k, v in found.getheaders()
                if k.lower() not in HOP_BY_HOP]
        kind = found.getheader("Content-Type") or ""
        if any(word in kind for word in TEXT):
            content = content.replace(there.encode(), here.encode())
        if proxy.user_and_password and self.path.endswith("/capabilities"):
            content = content.replace(
                b"</accessURL>",
                b"</accessURL><securityMethod standardID='ivo://ivoa.net/sso#BasicAA'/>",
            )
        return Answer(found.status, kept, content)

    def _refusal(self, proxy: FaultProxy, body: bytes) -> Answer | None:
        """The answer to who is not logged in, where a login is asked for."""
        given = self.headers.get("Authorization") or ""
        wanted = proxy.user_and_password
        if wanted and not self.path.endswith("/capabilities") and given != f"Basic {wanted}":
            challenge = ("WWW-Authenticate", 'Basic realm="loopback"')
            return Answer(401, [challenge, ("Content-Type", "text/plain")], b"login required\n")
        if proxy.login is None:
            return None
        if urlsplit(self.path).path == "/login":
            form = {k: v[0] for k, v in parse_qs(body.decode("utf-8", "replace")).items()}
            if form == proxy.login:
                return Answer(200, [("Set-Cookie", f"{COOKIE}; Path=/")], b"welcome\n")
            return Answer(401, [("Content-Type", "text/html")], LOGIN_PAGE)
        if COOKIE not in (self.headers.get("Cookie") or ""):
            return Answer(200, [("Content-Type", "text/html")], LOGIN_PAGE)
        return None

    def _instead(self, fault: Fault | None) -> Answer | None:
        """The answer of a fault that does not ask the server."""
        if fault is None:
            return None
        chosen = fault.settings
        if fault.kind == "unavailable":
            after = chosen["retry_after"]
            headers = [("Content-Type", "text/plain")]
            headers += [] if after is None else [("Retry-After", str(after))]
            return Answer(chosen["status"], headers, b"try again later\n")
        if fault.kind == "login_page":
            return Answer(200, [("Content-Type", "text/html; charset=utf-8")], LOGIN_PAGE)
        if fault.kind == "replace":
            headers = [("Content-Type", chosen["content_type"])]
            return Answer(chosen["status"], headers, chosen["body"])
        if fault.kind == "redirect_loop":
            return Answer(302, [("Location", self.path)], b"")
        return None

    def _send(self, proxy: FaultProxy, answer: Answer, fault: Fault | None) -> None:
        kind, chosen = (fault.kind, fault.settings) if fault else ("", {})
        headers = answer.headers
        if kind == "wrong_type":
            headers = [(k, v) for k, v in headers if k.lower() != "content-type"]
            headers.append(("Content-Type", chosen["content_type"]))
        self.send_response(answer.status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        body, after = answer.body, chosen.get("after")
        if kind == "trickle":
            for start in range(0, len(body), chosen["chunk"]):
                proxy.closing.wait(chosen["pause"])
                self._write(body[start : start + chosen["chunk"]])
            return
        if kind in ("cut", "reset", "stall") and after is not None:
            self._write(body[:after])
            if kind == "cut":
                return
            if kind == "reset":
                return self._reset()
            proxy.closing.wait(chosen["seconds"])
            body = body[after:]
        self._write(body)

    def _write(self, content: bytes) -> None:
        self.wfile.write(content)
        self.wfile.flush()

    def _reset(self) -> None:
        """Close with RST in place of FIN."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


@pytest.fixture
def fault_proxy(tap: TapServer) -> Iterator[FaultProxy]:
    """A proxy of its own for each test, in front of the loopback TAP server."""
    proxy = FaultProxy(tap)
    yield proxy
    proxy.close()
