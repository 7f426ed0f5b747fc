"""What a public docstring must say, and what of it is missing."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

from numpydoc.docscrape import NumpyDocString

import jpassed
from jpassed import exceptions

ARRAYS = re.compile(r"NDArray|ndarray|Tensor|ArrayLike|FloatArray")
SHAPE = re.compile(
    r"\((?:\.\.\.|[A-Za-z0-9]{1,2})(?: [A-Z])?[,)]|(?i:any shape|same (?:unit and )?shape)"
)
QUANTITIES = re.compile(r"\bQuantity\b")
UNIT = re.compile(r"unit|Å|Angstrom|micron|jansky|Jy|mag\b|magnitude|deg|arc|solMass|\byr\b|Gyr")
PHYSICAL = re.compile(
    r"^(wavelengths?|pivots?|widths?|wave|flux(es)?|radius|ra|dec|ebv|magnitudes?|fwhm)$"
)
ELSEWHERE = re.compile(r"\b(As|See)\b[^`]*`")
"""Parameters of a group whose types another docstring tells."""
ERRORS = {
    name: found
    for name, found in vars(exceptions).items()
    if inspect.isclass(found) and issubclass(found, exceptions.JpassedError)
}


def public_modules() -> dict[str, ModuleType]:
    """Modules and subpackages directly under the package, by name."""
    found = {
        info.name: importlib.import_module(f"jpassed.{info.name}")
        for info in pkgutil.iter_modules(jpassed.__path__)
        if not info.name.startswith("_")
    }
    return {"": jpassed, **found}


def public_objects() -> dict[str, Any]:
    """Functions and classes that `__all__` of a public module names, by dotted name.

    Each once, by the shortest name.
    """
    found: dict[int, tuple[str, Any]] = {}
    for part, module in public_modules().items():
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            if inspect.isclass(thing) or inspect.isroutine(thing):
                found.setdefault(id(thing), (".".join(filter(None, (part, name))), thing))
    return dict(sorted(found.values(), key=lambda pair: pair[0]))


def members_of(cls: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties that a class itself defines."""
    for name, thing in vars(cls).items():
        if name.startswith("_"):
            continue
        if isinstance(thing, (classmethod, staticmethod)):
            yield name, thing.__func__
        elif isinstance(thing, cached_property):
            yield name, property(thing.func)
        elif isinstance(thing, property) or inspect.isfunction(thing):
            yield name, thing


def text_of(thing: Any) -> str:
    """The cleaned docstring, empty where there is none of its own."""
    own = thing.__doc__ if not inspect.isclass(thing) else vars(thing).get("__doc__")
    return inspect.cleandoc(own or "")


def parameters_of(function: Any) -> dict[str, inspect.Parameter]:
    """Parameters that a caller gives, without self and cls."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return {}
    return {
        name: p
        for name, p in signature.parameters.items()
        if name not in ("self", "cls") and not name.startswith("_")
    }


def raised(function: Any) -> set[str]:
    """Names of the package's exceptions that the function itself raises."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return set()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and node.exc is not None:
            called = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            name = getattr(called, "id", getattr(called, "attr", ""))
            if name in ERRORS:
                found.add(name)
    return found


def described(parsed: NumpyDocString, *sections: str) -> dict[str, tuple[str, str]]:
    """Names of the entries of sections, each with its type and its text."""
    found = {}
    for section in sections:
        for entry in parsed[section]:
            for name in entry.name.split(","):
                found[name.strip().lstrip("*")] = (entry.type, " ".join(entry.desc))
    return found


def faults_of_function(function: Any, *, method: bool = False) -> list[str]:
    """What the docstring of a function lacks."""
    text = text_of(function)
    if not text:
        return ["no docstring"]
    faults = []
    parsed = NumpyDocString(text)
    if not re.search(r"[.:]$", text.split("\n\n")[0].strip()):
        faults.append("the summary does not end with a full stop")
    parameters = parameters_of(function)
    listed = described(parsed, "Parameters", "Other Parameters")
    # A short method may say in its text what its parameters are.
    short = method and not parsed["Parameters"]
    for name, parameter in parameters.items():
        if short:
            if not re.search(rf"\b{name}\b", text):
                faults.append(f"parameter {name} is not named")
            continue
        if name not in listed:
            faults.append(f"parameter {name} is not described")
            continue
        kind, words = listed[name]
        elsewhere = not kind and ELSEWHERE.match(words)
        if not kind and not elsewhere and parameter.kind not in (
            inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL
        ):  # fmt: skip
            faults.append(f"parameter {name} has no type")
        if elsewhere:
            continue
        given = str(parameter.annotation)
        said = f"{kind} {words}"
        if ARRAYS.search(given) and not SHAPE.search(said):
            faults.append(f"parameter {name} is an array without a shape")
        numbers = ARRAYS.search(given) or QUANTITIES.search(given) or "float" in given
        if PHYSICAL.match(name) and numbers and not UNIT.search(f"{said} {text}"):
            faults.append(f"parameter {name} has no unit")
    faults += [f"{name} is described, and no parameter" for name in set(listed) - set(parameters)]
    given = str(inspect.signature(function).return_annotation)
    gives = given not in ("None", "<class 'inspect._empty'>", "NoReturn")
    answered = parsed["Returns"] or parsed["Yields"]
    if gives and not method and not answered:
        faults.append("no Returns or Yields")
    if gives and ARRAYS.search(given) and not SHAPE.search(text):
        faults.append("returns an array without a shape")
    documented = {entry.name or entry.type for entry in parsed["Raises"]}
    documented = {part.strip() for names in documented for part in names.split(",")}
    for name in raised(function):
        parents = {cls.__name__ for cls in ERRORS[name].__mro__}
        if not documented & parents and not (method and name in text):
            faults.append(f"raises {name}, and does not say so")
    return faults


def faults_of_class(cls: type) -> list[str]:
    """What the docstrings of a class, its attributes and its members lack."""
    text = text_of(cls)
    if not text:
        return ["no docstring"]
    parsed = NumpyDocString(text)
    listed = described(parsed, "Parameters", "Attributes", "Other Parameters")
    faults = []
    if not issubclass(cls, (Exception, tuple)) and not getattr(cls, "_is_protocol", False):
        wanted = parameters_of(cls) if is_dataclass(cls) or "__init__" in vars(cls) else {}
        faults = [f"attribute {name} is not described" for name in wanted if name not in listed]
    for name, member in members_of(cls):
        if isinstance(member, property):
            if not text_of(member.fget) and name not in listed:
                faults.append(f"{name}: no docstring")
            continue
        inherited = any(name in vars(base) for base in cls.__mro__[1:])
        if inherited and not text_of(member):
            continue
        faults += [f"{name}(): {fault}" for fault in faults_of_function(member, method=True)]
    return faults


def faults_of(thing: Any) -> list[str]:
    """What the docstring of a public function or class lacks."""
    return faults_of_class(thing) if inspect.isclass(thing) else faults_of_function(thing)
