"""Commands run in this process, with stand-ins for what they call."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from click.testing import CliRunner

import jpassed.io.catalogs
from jpassed.cli import main


@pytest.fixture
def run():
    """Run ``jpassed`` in this process; gives click's result with .stdout, .stderr, .exit_code."""
    runner = CliRunner()
    return lambda *words: runner.invoke(main, [str(word) for word in words])


@pytest.fixture
def library(monkeypatch):
    """Put a function in the place of one that a command imports when it runs; returns the calls."""

    def replace(module: str, name: str, result):
        calls = []

        def stand_in(*arguments, **named):
            calls.append((arguments, named))
            if isinstance(result, Exception):
                raise result
            return result

        monkeypatch.setattr(importlib.import_module(module), name, stand_in)
        return calls

    return replace


@pytest.fixture
def catalogue(tmp_path, monkeypatch):
    """A path to annotate, and in place of its reader and writer the names of what was written."""
    path = tmp_path / "galaxies.fits"
    path.touch()
    written = []
    monkeypatch.setattr(jpassed.io.catalogs, "read_catalog", lambda path: ["row 1", "row 2"])
    monkeypatch.setattr(
        jpassed.io.catalogs,
        "write_catalog",
        lambda table, path, overwrite: written.append((list(table), Path(path), overwrite)),
    )
    return path, written
