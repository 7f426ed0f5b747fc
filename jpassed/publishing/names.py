"""Names that ADQL takes as they are, names that have to be quoted, and names that cannot be."""

from __future__ import annotations

import keyword
import re
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jpassed.exceptions import InputError

__all__ = ["MAX_LENGTH", "check_columns", "check_identifier", "is_field", "is_regular"]

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


def check_columns(names: list[str]) -> None:
    """Refuse names that no database column can have.

    Raises
    ------
    InputError
        For names that are empty, too long, hold a quote or a control character, are those of
        PostgreSQL's own columns, or differ by case only.
    """
    lower: dict[str, str] = {}
    for name in names:
        if not name or len(name.encode()) > MAX_LENGTH:
            raise InputError(f"column {name!r}: expected a name of 1 to {MAX_LENGTH} bytes; rename")
        if set(name) & _NEVER or not name.isprintable() or name != name.strip():
            raise InputError(
                f"column {name!r}: DaCHS takes no quotes, brackets, slashes, backslashes, percent "
                f"signs or blanks at the ends in a name; rename it, e.g. to {_plain(name)!r}"
            )
        if name.lower() in _lists()["columns"]:
            raise InputError(f"column {name!r} is a name of PostgreSQL's own; rename the column")
        if name.lower() in lower:
            raise InputError(
                f"columns {lower[name.lower()]!r} and {name!r} differ by case only, which a "
                "database does not see; rename one"
            )
        lower[name.lower()] = name


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") or "column"
