"""The loopback TAP server of the tests: fixture ``tap``, and how test runs share the server.

The first test that asks for it starts it (tests/tap/server.sh); under ``CI=true`` it starts in the
background as soon as the run begins. The last of the test runs that use it at the same time stops
it, if a run started it: one that was up already stays up. JPASSED_TAP_KEEP=1 leaves it up.
Tests that use it get ``xdist_group("tap")``: one worker runs them, one after the other, so that a
test may kill the server.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
import yaml

SCRIPT = Path(__file__).resolve().parent / "tap" / "server.sh"
ROOT = Path(os.environ.get("JPASSED_TAP_ROOT", "/var/tmp/jpassed-tests-tap"))
PORT = int(os.environ.get("JPASSED_TAP_PORT", "8089"))
STARTED = ROOT.with_name(ROOT.name + ".started-by-tests")
USERS = ROOT.with_name(ROOT.name + ".users")
# Services by whose names the tests and the documentation's commands reach the loopback.
SERVICE_NAMES = ("cefca-minijpas", "cefca-jplus", "datalab", "vizier", "gaia", "loopback")
FIXTURES = {"tap", "fault_proxy", "spectra_server"}


@dataclass(frozen=True)
class TapServer:
    """The running server: DaCHS with the tables of tests/tap/rd."""

    base: str

    @property
    def url(self) -> str:
        """Base URL of TAP, without ``/sync``."""
        return f"{self.base}/tap"

    @property
    def ssa(self) -> str:
        """SSAP of the real spectra."""
        return f"{self.base}/spectra/q/s/ssap.xml"

    @property
    def datalink(self) -> str:
        """Datalink of the real spectra: add ``?ID=`` and an ssa_pubDID."""
        return f"{self.base}/spectra/q/dl/dlmeta"

    @property
    def cone(self) -> str:
        """Cone search of galex.ais."""
        return f"{self.base}/galex/q/cone/scs.xml"

    def services(self, path: Path, *, base: str | None = None) -> Path:
        """Write a file for JPASSED_SERVICES that points every service's name here, or to `base`."""
        entry = {
            "url": f"{base or self.base}/tap",
            "dialect": "adql",
            "sync_rows": 20_000,
            "description": "loopback server of the tests",
        }
        path.write_text(yaml.safe_dump({name: dict(entry) for name in SERVICE_NAMES}))
        return path

    def kill_web(self) -> None:
        """Kill -9 the web server; the database and running jobs live on."""
        run_script("kill-web")

    def start_web(self) -> None:
        """Start the web server again."""
        run_script("start-web")


def run_script(command: str) -> str:
    """What the server's script prints on stdout; a failure raises with what it says."""
    with open(os.devnull) as nothing:
        done = subprocess.run(
            [str(SCRIPT), command], stdin=nothing, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise RuntimeError(f"{SCRIPT.name} {command}: {done.stderr.strip()[-2000:]}")
    return done.stdout.strip()


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() == "true"


def _is_up() -> bool:
    return subprocess.run([str(SCRIPT), "status"], capture_output=True, check=False).returncode == 0


def _note_start() -> None:
    """Remember that a test run starts the server, so that the last run stops it."""
    if not os.environ.get("JPASSED_TAP_KEEP") and not _is_up():
        STARTED.touch()


class _Run:
    """What the controlling process of a test run holds until its end."""

    users: IO[str] | None = None
    starting: subprocess.Popen[bytes] | None = None


def pytest_configure(config: pytest.Config) -> None:
    """Count this run among the server's users; in CI start the server meanwhile."""
    if "PYTEST_XDIST_WORKER" in os.environ or config.getoption("collectonly", False):
        return
    try:
        _Run.users = USERS.open("w")
    except OSError:
        return  # another user's server: use it if it is up, never stop it
    fcntl.flock(_Run.users, fcntl.LOCK_SH)
    if _in_ci():
        _note_start()
        _Run.starting = subprocess.Popen(
            [str(SCRIPT), "start"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server if a test run started it and no other run uses it."""
    if _Run.users is None:
        return
    if _Run.starting is not None:
        _Run.starting.wait()
    with _Run.users as users:
        _Run.users = None
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another run uses it, and stops it
        if STARTED.exists() and not os.environ.get("JPASSED_TAP_KEEP"):
            try:
                run_script("stop")
            except (RuntimeError, OSError) as exc:
                print(f"the loopback TAP server could not be stopped: {exc}", file=sys.stderr)
            STARTED.unlink()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker for all tests that use the server: some of them kill it."""
    for item in items:
        if FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group("tap"))


@pytest.fixture(scope="session")
def tap() -> TapServer:
    """
    The loopback TAP server, started where it is down.

    Where it cannot start the test skips and says what to install, except under ``CI=true``: there
    it fails.
    """
    try:
        _note_start()
        url = run_script("start")
    except (RuntimeError, OSError) as exc:
        reason = f"no loopback TAP server: {exc}"
        if _in_ci():
            pytest.fail(f"{reason} (CI=true requires it)", pytrace=False)
        pytest.skip(reason)
    return TapServer(base=url.removesuffix("/tap"))


@pytest.fixture(scope="session")
def spectra_server(tap: TapServer, real_data: Path) -> TapServer:
    """The loopback server where it also serves the real spectra and their tables."""
    return tap
