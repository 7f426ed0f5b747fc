"""The shape of the package: which folder imports which, and what no module may contain."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import jpassed

PACKAGE = Path(jpassed.__file__).parent

# Left to right: a module imports from its own group and from groups left of it.
ORDER = (
    ("exceptions", "extensions", "units"),
    ("vocabulary",),
    ("filters",),
    ("surveys",),
    ("io",),
    ("vo",),
    ("jspectrum",),
    ("archives",),
    ("posteriors",),
    ("evaluation",),
    ("tokens",),
    ("nn",),
    ("weights",),
    ("objectives",),
    ("simulator",),
    ("training",),
    ("simulation",),
    ("refinement",),
    ("annotation",),
    ("cluster",),
    ("adaptation",),
    ("publishing",),
    ("samp",),
    ("plotting",),
    ("validation",),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, group in enumerate(ORDER) for name in group}

TENSOR_RAIL = {"nn", "objectives", "simulator"}
BOTH_RAILS = {
    "tokens", "weights", "training", "simulation", "refinement", "annotation", "cluster",
    "adaptation",
}  # fmt: skip
SKY_RAIL = set(RANK) - TENSOR_RAIL - BOTH_RAILS

MAX_LINES = 400
FUNCTIONS = [name for name in jpassed.__all__ if name.islower() and not name.startswith("_")]


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def named(path: Path) -> str:
    return str(path.relative_to(PACKAGE.parent))


def part_of(path: Path) -> str:
    """The top-level part a file belongs to: ``nn`` for jpassed/nn/heads.py."""
    inside = path.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def imported(path: Path, source: str) -> list[tuple[int, str]]:
    """Every imported dotted name with its line, lazy imports inside functions included."""
    package = ("jpassed", *path.relative_to(PACKAGE).parent.parts)
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += node.module.split(".") if node.module else []
            found += [(node.lineno, ".".join([*base, alias.name])) for alias in node.names]
    return found


def wrong_arrows(path: Path, source: str) -> list[str]:
    """What is wrong with the imports of one file: arrows to the right, and the other rail."""
    part = part_of(path)
    if part not in RANK:
        return [f"{named(path)}: {part} has no place in ORDER"]
    faults = []
    for line, name in imported(path, source):
        top, *rest = name.split(".")
        where = f"{named(path)}:{line} imports {name}"
        if top == "jpassed" and rest and rest[0] in RANK and RANK[rest[0]] > RANK[part]:
            faults.append(f"{where}: {rest[0]} lies to the right of {part}")
        if top == "torch" and part in SKY_RAIL:
            faults.append(f"{where}: {part} is on the sky rail")
        if top == "astropy" and part in TENSOR_RAIL:
            faults.append(f"{where}: {part} is on the tensor rail")
    return faults


def forbidden(path: Path, source: str) -> list[str]:
    """Asserts, swallowed exceptions, and prints outside the command line."""
    faults = []
    for node in ast.walk(ast.parse(source)):
        where = f"{named(path)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Assert):
            faults.append(f"{where} assert: user input wants an exception")
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
            if part_of(path) != "cli":
                faults.append(f"{where} print: the library logs")
        if isinstance(node, ast.ExceptHandler):
            wide = node.type is None or getattr(node.type, "id", "") in (
                "Exception",
                "BaseException",
            )
            if wide and all(isinstance(step, ast.Pass) for step in node.body):
                faults.append(f"{where} swallows every exception")
    return faults


@pytest.mark.parametrize("path", modules(), ids=named)
def test_module_keeps_the_rules(path):
    source = path.read_text(encoding="utf-8")
    faults = forbidden(path, source)
    if path != PACKAGE / "__init__.py":  # lazy: it names every part, imports none
        faults += wrong_arrows(path, source)
    if source.count("\n") > MAX_LINES:
        faults.append(f"{named(path)} has {source.count(chr(10))} lines: two files?")
    if path.stem in FUNCTIONS:
        faults.append(f"{named(path)} is named like the public function {path.stem}")
    if path.stem in ("utils", "helpers"):
        faults.append(f"{named(path)}: a name that says nothing")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("where", "source", "said"),
    [
        ("filters/x.py", "from jpassed.surveys import load_survey", "lies to the right"),
        ("filters/x.py", "from ..surveys import load_survey", "lies to the right"),
        ("filters/x.py", "from .. import surveys", "lies to the right"),
        ("filters/x.py", "def f():\n    import jpassed.nn.heads", "lies to the right"),
        ("posteriors/x.py", "import torch", "sky rail"),
        ("nn/x.py", "from astropy import units", "tensor rail"),
        ("simulator/x.py", "import astropy.units as u", "tensor rail"),
        ("surprise.py", "", "no place in ORDER"),
    ],
)
def test_a_wrong_import_is_seen(where, source, said):
    faults = wrong_arrows(PACKAGE / where, source)
    assert len(faults) == 1
    assert said in faults[0]


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("surveys/x.py", "from jpassed.filters import load_filters"),
        ("surveys/x.py", "from .photometry import Photometry"),
        ("nn/x.py", "import torch"),
        ("tokens/x.py", "import torch, astropy"),
        ("cli/x.py", "from jpassed.annotation import annotate"),
    ],
)
def test_a_right_import_passes(where, source):
    assert wrong_arrows(PACKAGE / where, source) == []


@pytest.mark.parametrize(
    ("where", "source", "faults"),
    [
        ("nn/x.py", "assert x > 0", 1),
        ("nn/x.py", "print(x)", 1),
        ("cli/x.py", "print(x)", 0),
        ("nn/x.py", "try:\n    x\nexcept Exception:\n    pass", 1),
        ("nn/x.py", "try:\n    x\nexcept:\n    pass", 1),
        ("nn/x.py", "try:\n    x\nexcept KeyError:\n    pass", 0),
    ],
)
def test_forbidden_code_is_seen(where, source, faults):
    assert len(forbidden(PACKAGE / where, source)) == faults
