"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A time limit on an example fails where the machine is busy, not where the code is wrong.
settings.register_profile("jpassed", deadline=None)
settings.load_profile("jpassed")

# One worker a core: more threads only get in the way. numpy is there already (pytest-mpl loads it)
# and keeps its own; torch and the processes that tests start take this.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# The loopback TAP server, and the proxy with faults in front of it.
pytest_plugins = ["tap_server", "fault_proxy"]

PROJECT_ROOT = Path(__file__).resolve().parent.parent


def _real_data_folder() -> Path:
    named = os.environ.get("JPASSED_TEST_DATA")
    return Path(named) if named else PROJECT_ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The folder that holds setup.cfg, README.md and the package."""
    return PROJECT_ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """
    The folder of real spectra, catalogues and passband curves.

    Taken from the environment variable JPASSED_TEST_DATA, else ../shared/data beside the project.
    Where it is absent the test skips, except under ``CI=true``: there it fails, so that a green CI
    has read the real files.
    """
    folder = _real_data_folder()
    if not folder.is_dir():
        reason = f"no real data at {folder}: set JPASSED_TEST_DATA to their folder"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"{reason} (CI=true requires them)", pytrace=False)
        pytest.skip(reason)
    return folder


@pytest.fixture(autouse=True)
def _isolated_caches(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """No test reads or writes the user's own cache and configuration."""
    for kind in ("cache", "config"):
        folder = tmp_path_factory.getbasetemp() / kind
        # astropy takes no notice of a folder that is not there.
        (folder / "astropy").mkdir(parents=True, exist_ok=True)
        monkeypatch.setenv(f"XDG_{kind.upper()}_HOME", str(folder))
    monkeypatch.setenv("MPLBACKEND", "Agg")


@pytest.fixture(autouse=True)
def _no_figures_left() -> Iterator[None]:
    """Tests that ask which figures pyplot has see their own alone."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
