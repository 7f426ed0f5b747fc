"""Ctrl-C: one line, exit code 130, no job left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import click
import pytest
import requests
from click.testing import CliRunner

from jpassed.cli import main
from jpassed.cli.application import Application

SLOW = (
    "SELECT COUNT(*) AS n FROM bulk.galaxies AS a JOIN bulk.galaxies AS b "
    "ON SQRT(a.ra) < SQRT(b.ra) WHERE a.object_id < 1002007"
)


def plainly():
    raise KeyboardInterrupt


def within_a_class():
    """As where Ctrl-C comes while a library is imported."""

    class Attribute:
        def __set_name__(self, owner, name):
            raise KeyboardInterrupt

    try:
        type("Time", (), {"format": Attribute()})
    except KeyboardInterrupt as exc:  # from Python 3.12 on it is not wrapped
        raise RuntimeError("Error calling __set_name__") from exc


@pytest.mark.parametrize("happens", [plainly, within_a_class])
@pytest.mark.parametrize("debug", [False, True])
def test_it_is_no_error(monkeypatch, happens, debug):
    command = click.Command("stop", callback=happens)
    monkeypatch.setattr(Application, "get_command", lambda *_: command)
    shown = CliRunner().invoke(main, [*(["--debug"] if debug else []), "stop"])
    assert (shown.exit_code, shown.stdout, shown.stderr) == (130, "", "interrupted\n")


def test_an_error_that_is_none_stays_one(monkeypatch):
    def fail():
        raise RuntimeError("broken") from ValueError("why")

    command = click.Command("stop", callback=fail)
    monkeypatch.setattr(Application, "get_command", lambda *_: command)
    shown = CliRunner().invoke(main, ["stop"])
    assert (shown.exit_code, "unexpected RuntimeError: broken" in shown.stderr) == (1, True)


def test_a_query_that_runs_as_a_job(tap, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "jpassed", "query", tap.url, SLOW, "--async", "-o", "x.fits"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith("executing"):
            break
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert rest.splitlines() == ["interrupted: deleting the job", "interrupted"]
    url = re.search(r"^job (\S+)$", "".join(said), flags=re.M)[1]
    assert requests.get(url, timeout=30).status_code == 404
    assert list(tmp_path.iterdir()) == []
