"""A real SAMP hub on loopback, and a client that loads tables as TOPCAT does."""

from __future__ import annotations

import itertools
import os
import queue
import re
import signal
import subprocess
import sys
import time
import xmlrpc.client
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import jpassed
from jpassed.io.catalogs import read_catalog
from jpassed.samp.connection import samp_library

_tags = itertools.count()

LONG = 120.0
"""Seconds after which something that should come is taken as lost."""

HUB_PROGRAM = """
import signal, sys
from jpassed.samp.connection import samp_library
samp = samp_library()
samp.conf.use_internet = False
hub = samp.SAMPHubServer(web_profile=False, addr="127.0.0.1", mode="multiple")
hub.start()
print("up", flush=True)
sys.stdin.read()
hub.stop()
"""


def with_package() -> dict[str, str]:
    """An environment in which another Python finds the jpassed that is tested."""
    folder = str(Path(jpassed.__file__).parent.parent)
    paths = [folder, os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


_children: list[subprocess.Popen] = []


def start_process(words: list[str], **settings: Any) -> subprocess.Popen:
    """A process that `end_processes` ends where its test does not come to do so."""
    _children.append(subprocess.Popen(words, **settings))
    return _children[-1]


def end_processes() -> None:
    """Kill what is left of the processes of a test."""
    while _children:
        process = _children.pop()
        if process.poll() is None:
            process.kill()
            process.wait()


class Hub:
    """The hub of pyvo (astropy's) in this process; SAMP_HUB must name its lock file."""

    def __init__(self) -> None:
        samp = samp_library()
        self._setting = samp.conf.set_temp("use_internet", False)
        self._setting.__enter__()
        self._hub = samp.SAMPHubServer(web_profile=False, addr="127.0.0.1", mode="multiple")
        self._hub.start()

    def stop(self) -> None:
        if self._hub is not None:
            self._hub.stop()
            self._setting.__exit__(None, None, None)
            self._hub = None


class HubProcess:
    """The same hub in a process of its own, which can be killed."""

    def __init__(self) -> None:
        self._process = start_process(
            [sys.executable, "-W", "ignore", "-c", HUB_PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=with_package(),
        )
        assert self._process.stdout is not None
        # The library's own log goes to stdout as well.
        assert "up\n" in iter(self._process.stdout.readline, "")

    def kill(self) -> None:
        """As if the power went: no good-bye, and its lock file stays."""
        os.kill(self._process.pid, signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        self._process.communicate()


JSAMP = Path("/usr/share/java/jsamp.jar")
"""The hub of TOPCAT, STILTS and Aladin; it comes with STILTS."""


class JsampHub:
    """The hub that most users have."""

    def __init__(self, lock: Path) -> None:
        self._process = start_process(
            ["java", "-Djava.awt.headless=true", "-jar", str(JSAMP)]
            + ["hub", "-mode", "no-gui", "-profiles", "std"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        last = time.monotonic() + LONG
        while not self._answers(lock):
            assert self._process.poll() is None, "the hub has ended"
            assert time.monotonic() < last, "the hub did not come"
            time.sleep(0.02)

    def _answers(self, lock: Path) -> bool:
        if not lock.is_file():
            return False
        found = re.search(r"samp\.hub\.xmlrpc\.url=(\S+)\n", lock.read_text())
        if found is None or "samp.profile.version=1" not in lock.read_text():
            return False
        try:
            xmlrpc.client.ServerProxy(found[1].replace("\\", "")).samp.hub.ping()
        except (OSError, xmlrpc.client.Error):  # "Hub is stopped": it is about to start
            return False
        return True

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


class Viewer:
    """A program that shows tables: takes them, answers, and sends some.

    Parameters
    ----------
    name : str
    formats : tuple of str
        The formats that it takes.
    strict : bool
        Refuse a table-id that is known already, as TOPCAT 4.8 does.
    """

    def __init__(
        self, name: str = "viewer", formats: tuple[str, ...] = ("votable", "fits"), strict=False
    ) -> None:
        samp = samp_library()
        self.client = samp.SAMPIntegratedClient(
            metadata={"samp.name": name, "samp.description.text": "shows tables"},
            addr="127.0.0.1",
        )
        self.client.connect()
        self.strict = strict
        self.refuses = ""
        self.known: set[str] = set()
        self.loaded: queue.Queue[tuple[dict[str, Any], Any]] = queue.Queue()
        self.progress: queue.Queue[dict[str, Any]] = queue.Queue()
        for form in formats:
            self.client.bind_receive_call(f"table.load.{form}", self._load)

    def listen_to_progress(self) -> None:
        self.client.bind_receive_notification("samp.msg.progress", self._progress)

    def close(self) -> None:
        self.client.disconnect()

    def _load(self, private_key, sender, msg_id, mtype, params, extra) -> None:
        key = params.get("table-id", "")
        reason = self.refuses
        if self.strict and key in self.known:
            reason = f"Duplicate table-id: table '{key}' has already been received"
        if reason:
            self.client.ereply(msg_id, "samp.error", result={}, error={"samp.errortxt": reason})
            return
        self.known.add(key)
        table = read_catalog(path_of(params["url"]))
        self.client.ereply(msg_id, "samp.ok", result={})
        self.loaded.put(({"samp.mtype": mtype, **params}, table))

    def _progress(self, private_key, sender, mtype, params, extra) -> None:
        self.progress.put(params)

    def jpassed(self) -> str:
        """Public id of the service."""
        for public_id in self.client.get_registered_clients():
            if self.client.get_metadata(public_id).get("samp.name") == "jpassed":
                return public_id
        raise LookupError("no jpassed on the hub")

    def ask(self, mtype: str, /, **params: Any) -> dict[str, Any]:
        """Call the service and wait for its reply; ``_`` in a key stands for ``-``."""
        named = {key.replace("_", "-"): value for key, value in params.items()}
        if isinstance(named.get("table-id"), str):
            self.known.add(named["table-id"])
        return self.call(self.jpassed(), mtype, named)

    def call(self, receiver: str, mtype: str, params: dict[str, Any]) -> dict[str, Any]:
        """Call a client and wait for its reply.

        Not by the hub's callAndWait: pyvo's loses replies that come at once (it notes that it
        waits after it has sent the message).
        """
        tag = f"tag{next(_tags)}"
        answer: queue.Queue[dict[str, Any]] = queue.Queue()

        def heard(private_key, responder, tag, response) -> None:
            answer.put(response)

        self.client.bind_receive_response(tag, heard)
        self.client.call(receiver, tag, {"samp.mtype": mtype, "samp.params": params})
        return answer.get(timeout=LONG)

    def send(self, path: Path, **params: Any) -> dict[str, Any]:
        """Send a table file and wait for the reply."""
        form = "fits" if path.name.endswith((".fits", ".fits.gz")) else "votable"
        return self.ask(f"table.load.{form}", url=path.as_uri(), **params)

    def next(self) -> tuple[dict[str, Any], Any]:
        """The next table that came: parameters of its message, and the table."""
        return self.loaded.get(timeout=LONG)


def path_of(url: str) -> Path:
    """The path of a ``file:`` URL."""
    parts = urlsplit(url)
    assert parts.scheme == "file", url
    return Path(unquote(parts.path))
