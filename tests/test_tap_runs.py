"""How test runs share the loopback server: who starts it, who stops it, who only says why not."""

from __future__ import annotations

import fcntl
from pathlib import Path
from types import SimpleNamespace

import pytest
import tap_server

STAND_IN = """#!/bin/sh
echo "$1" >> "{log}"
case "$1" in
    status) exit {status} ;;
    start) {start} ;;
esac
"""


class Run(tap_server._Run):
    """The state of a test run of its own, beside that of the run that runs this test."""


@pytest.fixture
def script(tmp_path, monkeypatch):
    """A stand-in for server.sh that notes what it is asked; the locks and marks are real."""

    def write(*, status: int = 3, start: str = "echo http://127.0.0.1:1/tap") -> Path:
        path, log = tmp_path / "server.sh", tmp_path / "log"
        path.write_text(STAND_IN.format(log=log, status=status, start=start))
        path.chmod(0o755)
        log.touch()
        return log

    for name in ("PYTEST_XDIST_WORKER", "CI", "JPASSED_TAP_KEEP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tap_server, "SCRIPT", tmp_path / "server.sh")
    monkeypatch.setattr(tap_server, "STARTED", tmp_path / "started")
    monkeypatch.setattr(tap_server, "USERS", tmp_path / "users")
    monkeypatch.setattr(tap_server, "_Run", Run)
    monkeypatch.setattr(Run, "users", None)
    monkeypatch.setattr(Run, "starting", None)
    return write


CONFIG = SimpleNamespace(getoption=lambda name, default: default)


def begin_and_end(between=lambda: None) -> None:
    tap_server.pytest_configure(CONFIG)
    between()
    tap_server.pytest_unconfigure(CONFIG)


def test_a_run_stops_what_it_started(script):
    log = script()
    begin_and_end(tap_server._note_start)
    assert log.read_text().split() == ["status", "stop"]
    assert not tap_server.STARTED.exists()


def test_a_server_that_was_up_stays_up(script):
    log = script(status=0)
    begin_and_end(tap_server._note_start)
    assert log.read_text().split() == ["status"]


def test_a_run_without_such_tests_starts_and_stops_nothing(script):
    log = script()
    begin_and_end()
    assert log.read_text() == ""


def test_it_is_left_up_where_the_user_says_so(script, monkeypatch):
    monkeypatch.setenv("JPASSED_TAP_KEEP", "1")
    log = script()
    begin_and_end(tap_server._note_start)
    assert log.read_text() == ""


def test_the_last_run_stops_it(script):
    log = script()
    with tap_server.USERS.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        begin_and_end(tap_server._note_start)
        assert "stop" not in log.read_text()
        assert tap_server.STARTED.exists()
    begin_and_end()  # the other run is over: this one finds the mark and no user
    assert log.read_text().split()[-1] == "stop"


def test_ci_starts_it_at_once(script, monkeypatch):
    monkeypatch.setenv("CI", "true")
    log = script()
    begin_and_end()
    assert sorted(log.read_text().split()) == ["start", "status", "stop"]


def test_workers_leave_it_to_the_controller(script, monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    monkeypatch.setenv("CI", "true")
    log = script()
    begin_and_end()
    assert log.read_text() == ""


@pytest.mark.parametrize(
    ("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)]
)
def test_where_it_cannot_start_the_reason_is_said(script, monkeypatch, ci, outcome):
    monkeypatch.setenv("CI", ci)
    script(start="echo 'missing packages; as root: apt-get install python3-gavo' >&2; exit 1")
    with pytest.raises(outcome, match="apt-get install python3-gavo"):
        tap_server.tap.__wrapped__()


def test_a_server_that_does_not_stop_is_told(script, capsys):
    script(start="true")
    tap_server.SCRIPT.write_text(
        '#!/bin/sh\n[ "$1" = stop ] && { echo "not mine" >&2; exit 1; }\nexit 3\n'
    )
    begin_and_end(tap_server._note_start)
    assert "could not be stopped: server.sh stop: not mine" in capsys.readouterr().err
