"""A TAP service whose every reply a test writes: for what the real server never does.

Logins, silent row limits, broken pages, other servers' forms of error. Everything else is tested
with the real server (fixture ``tap``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

VOTABLE = "application/x-votable+xml"


@dataclass
class Request:
    """What came: the body's form fields (not of multipart bodies) and the headers."""

    method: str
    path: str
    headers: dict[str, str]
    form: dict[str, str]


@dataclass
class Reply:
    """What goes out."""

    body: str | bytes = b""
    kind: str = VOTABLE
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    told_length: bool = True  # False: the end of the connection is the end of the body


@dataclass
class CannedService:
    """Where it is, what it was asked, and how it answers (see `serving`)."""

    url: str
    answer: Callable[[Request], Reply]
    requests: list[Request] = field(default_factory=list)

    def asked(self, path: str) -> list[Request]:
        """The requests for one path below the service's URL."""
        return [r for r in self.requests if r.path.partition("?")[0] == f"/tap{path}"]


@contextmanager
def serving(answer: Callable[[Request], Reply] | list[Reply]) -> Iterator[CannedService]:
    """A service that answers by a function, or with one reply after the other."""
    if isinstance(answer, list):
        replies = iter(answer)
        answer = lambda request: next(replies)  # noqa: E731

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length).decode("utf-8", "replace")
            form = {key: values[0] for key, values in parse_qs(body).items()}
            request = Request(self.command, self.path, dict(self.headers.items()), form)
            service.requests.append(request)
            reply = service.answer(request)
            content = reply.body.encode() if isinstance(reply.body, str) else reply.body
            self.send_response(reply.status)
            headers = {"Content-Type": reply.kind, "Content-Length": str(len(content))}
            if not reply.told_length:
                headers = {"Content-Type": reply.kind, "Connection": "close"}
                self.close_connection = True
            for name, value in {**headers, **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = reply  # noqa: N815

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service = CannedService(f"http://127.0.0.1:{server.server_address[1]}/tap", answer)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()


def with_jobs(sync: Reply, result: Reply | None = None) -> Callable[[Request], Reply]:
    """Answers of a service that fails at once, and has jobs."""
    phases = iter(["PENDING", "QUEUED", "EXECUTING"])

    def answer(request: Request) -> Reply:
        path = request.path.partition("?")[0].removeprefix("/tap")
        if path == "/sync":
            return sync
        if request.method == "POST" and path == "/async":
            return Reply("", status=303, headers={"Location": "http://inside:8080/tap/async/7"})
        if path == "/async/7/results/result":
            return result or Reply(votable())
        if path == "/async/7" and request.method == "GET":
            return Reply(
                '<job xmlns="http://www.ivoa.net/xml/UWS/v1.0"><jobId>7</jobId>'
                f"<phase>{next(phases, 'COMPLETED')}</phase></job>",
                "text/xml",
            )
        return Reply("", "text/plain", 200 if path.startswith("/async/7") else 404)

    return answer


def votable(
    rows: str = "<TR><TD>1</TD></TR>",
    fields: str = '<FIELD name="a" datatype="int"/>',
    before: str = '<INFO name="QUERY_STATUS" value="OK"/>',
    after: str = "",
) -> str:
    """A VOTable in text form."""
    return (
        '<?xml version="1.0"?>\n<VOTABLE version="1.3" '
        'xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">'
        f"{before}<TABLE>{fields}<DATA><TABLEDATA>{rows}</TABLEDATA></DATA></TABLE>"
        f"{after}</RESOURCE></VOTABLE>\n"
    )


def failure(words: str) -> str:
    """An error document."""
    return (
        '<?xml version="1.0"?>\n<VOTABLE version="1.3" '
        'xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">'
        f'<INFO name="QUERY_STATUS" value="ERROR">{words}</INFO></RESOURCE></VOTABLE>\n'
    )
