"""Names that ADQL takes as they are, names that have to be quoted, and names that cannot be."""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from itertools import count
from typing import Any

from jpassed.exceptions import InputError

__all__ = ["MAX_LENGTH", "check_identifier", "is_field", "is_regular", "new_names"]

MAX_LENGTH = 63
"""Bytes of a name in PostgreSQL; longer ones are cut without a word."""
_REGULAR = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_NEVER = set("\"'()[]{}/\\%")
_PLAIN = re.compile(r"[a-z][a-z0-9_]*")


@lru_cache(maxsize=1)
def _lists() -> dict[str, Any]:
    import yaml

    path = files("jpassed.publishing") / "data" / "reserved_words.yaml"
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {
        "words": frozenset(found["words"].split()),
        "fields": frozenset([*found["fields"].split(), *map(str.lower, keyword.kwlist)]),
        "schemas": frozenset(found["schemas"]),
        "columns": frozenset(found["columns"]),
    }


def is_regular(name: str) -> bool:
    """Whether a query may write the name without quotes.

    Examples
    --------
    >>> [is_regular(name) for name in ("jp_z", "E(B-V)", "size")]
    [True, False, False]
    """
    return bool(_REGULAR.fullmatch(name)) and name.lower() not in _lists()["words"]


def is_field(name: str) -> bool:
    """Whether the data file may have a field of that name."""
    return is_regular(name) and name.lower() not in _lists()["fields"]


def check_identifier(name: str, what: str) -> str:
    """The name of a schema or table, or an `InputError` that says what is wrong with it."""
    lists = _lists()
    if not _PLAIN.fullmatch(name) or len(name) > MAX_LENGTH:
        raise InputError(
            f"{what} {name!r}: expected lower-case letters, digits and '_', a letter first, "
            f"{MAX_LENGTH} at most (--{what} NAME)"
        )
    if name in lists["words"]:
        raise InputError(f"{what} {name!r} is a reserved word of ADQL; choose another name")
    if what == "schema" and (name in lists["schemas"] or name.startswith("pg_")):
        raise InputError(f"schema {name!r} belongs to the data centre's software; choose another")
    return name


def new_names(names: Sequence[str], plain: Sequence[str] = ()) -> dict[str, str]:
    """New names of the columns that no database or DaCHS can have under their own.

    Those are names that are empty, too long, hold a quote, a bracket, a slash or a control
    character, are PostgreSQL's own, or are another's but for the case. A new name has lower-case
    letters and digits, ``_`` for everything else, and a number at its end where it is taken.

    Parameters
    ----------
    names : sequence of str
        All columns of a table.
    plain : sequence of str
        Those among them that must not need quotes either: DaCHS indexes no such name.

    Returns
    -------
    dict
        Old name to new name, of those that change.

    Examples
    --------
    >>> new_names(["ra", "E(B-V)", "_DE"], plain=["_DE"])
    {'E(B-V)': 'e_b_v', '_DE': 'de'}
    """
    seen: set[str] = set()
    changed = []
    for name in names:
        fits = _can_be(name) and name.lower() not in seen
        if fits and (name not in plain or is_regular(name)):
            seen.add(name.lower())
        else:
            changed.append(name)
    found = {}
    for name in changed:
        stem = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "column"
        stem = (stem if stem[0].isalpha() else f"c_{stem}")[: MAX_LENGTH - 8]
        if not is_regular(stem) or stem in _own():
            stem = f"{stem}_"
        free = (n for k in count(1) if (n := stem if k == 1 else f"{stem}_{k}") not in seen)
        found[name] = next(free)
        seen.add(found[name])
    return found


def _can_be(name: str) -> bool:
    usable = name.isprintable() and name == name.strip() and not set(name) & _NEVER
    return 0 < len(name.encode()) <= MAX_LENGTH and usable and name.lower() not in _own()


def _own() -> frozenset[str]:
    return frozenset(_lists()["columns"])
