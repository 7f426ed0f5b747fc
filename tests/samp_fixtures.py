"""A hub, a viewer and a service for the tests of SAMP."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from annotation_tables import make_table, numbers, small_model
from astropy.table import QTable, Table
from samp_hub import Hub, Viewer

import jpassed
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.samp import AnnotationService

OPTIONS = {"outputs": ["z", "flux:galex_nuv"], "context": None}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:file://{tmp_path}/samp.lock")
    running = Hub()
    yield running
    running.stop()


@pytest.fixture
def viewer(hub):
    running = Viewer()
    yield running
    running.close()


@pytest.fixture
def serve(hub):
    """Start a service with the small model; returns it, with its lines in ``.said``."""
    running = []

    def start(options=None, **settings):
        said = []
        options = {"model": small_model(), **OPTIONS, **(options or {})}
        service = AnnotationService(options, tell=said.append, **settings)
        service.said = said
        running.append(service)
        service.start()
        return service

    yield start
    for service in running:
        service.stop()


@pytest.fixture
def catalogue(tmp_path) -> Path:
    path = tmp_path / "galaxies.vot"
    write_catalog(make_table(8), path)
    return path


def expected(path: Path) -> QTable:
    return jpassed.annotate(read_catalog(path), model=small_model(), outputs=OPTIONS["outputs"])


def assert_same(found: Table, wanted: Table, rows=slice(None), rtol: float = 0.0) -> None:
    assert found.colnames == wanted.colnames
    for name in wanted.colnames:
        left, right = found[name], wanted[name]
        np.testing.assert_allclose(numbers(left)[rows], numbers(right)[rows], rtol=rtol)
        assert left.info.unit == right.info.unit
        assert left.info.description == right.info.description
        assert (left.info.meta or {}).get("ucd") == (right.info.meta or {}).get("ucd")


def given_rows(column) -> list[int]:
    """Rows in which a column has a value."""
    return [int(k) for k in np.flatnonzero(np.isfinite(numbers(column)))]
