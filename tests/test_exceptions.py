"""Errors keep their words and attributes on the way from another process."""

from __future__ import annotations

import copy
import importlib
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import jpassed
from jpassed.exceptions import FileError, JpassedError, MissingDependencyError, UnknownNameError
from jpassed.vo.failures import TransientError

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "UnknownNameError": ("survey", "minijpas", ["minijpas-pdr201912", "jpas"]),
    "UnknownSvoIdError": ("OAJ/JPAS.nothing", "http://service.example", "no such filter"),
    "UnknownFacilityError": ("facility", "oaj", ["OAJ"], "http://service.example", "nothing"),
    "GaveUpError": ("gave up", TransientError("no answer", timeout=True)),
}
"""Of classes whose arguments are not a message; a new one of these belongs here, too."""


def below(kind: type[JpassedError]) -> Iterator[type[JpassedError]]:
    yield kind
    for other in kind.__subclasses__():
        yield from below(other)


def every_class() -> list[type[JpassedError]]:
    """Of the package, wherever it is defined."""
    root = Path(jpassed.__file__).parent
    for path in root.rglob("*.py"):
        if re.search(r"^class \w+Error\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            parts = path.relative_to(root.parent).with_suffix("").parts
            importlib.import_module(".".join(parts))
    found = {kind for kind in below(JpassedError) if kind.__module__.split(".")[0] == "jpassed"}
    return sorted(found, key=lambda kind: kind.__name__)


def make(kind: type[JpassedError]) -> JpassedError:
    error = kind(*ARGUMENTS.get(kind.__name__, ("what was expected, what came",)))
    error.add_note("said by a worker")
    return error


@pytest.mark.parametrize("kind", every_class(), ids=lambda kind: kind.__name__)
def test_errors_survive_the_way_between_processes(kind):
    error = make(kind)
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is kind
        assert str(again) == str(error) and again.args == error.args
        assert vars(again) == vars(error)


def test_what_built_in_errors_hold_is_kept():
    error = pickle.loads(pickle.dumps(FileError(28, "no space left", "out.fits")))
    assert (error.errno, error.filename) == (28, "out.fits")
    missing = MissingDependencyError("install it", name="lsdb")
    assert pickle.loads(pickle.dumps(missing)).name == "lsdb"


def test_every_class_is_looked_at():
    assert set(ARGUMENTS) <= {kind.__name__ for kind in every_class()}
    assert UnknownNameError in every_class()
