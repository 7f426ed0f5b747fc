"""Queries as text: what counts of them, row limits, and queries that can be paged."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from jpassed.exceptions import InputError

__all__ = ["PagedQuery", "normalised", "sendable", "top_of"]


class PagedQuery(Protocol):
    """A query that can be asked page by page."""

    def whole(self) -> str:
        """The query for all rows."""

    def page(self, keys: Sequence[str], after: tuple | None, top: int) -> str:
        """The query for the first `top` rows beyond `after`, ordered by `keys`."""

    def count(self) -> str:
        """The query for the number of rows."""


_TOKEN = re.compile(
    r"""
    (?P<text>'(?:[^']|'')*')
    | (?P<name>"(?:[^"]|"")*")
    | (?P<comment>--[^\n]*|/\*.*?\*/)
    | (?P<blank>\s+)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<number>\d+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


def tokens(adql: str) -> list[tuple[str, str]]:
    """Kind and text of the pieces of a query; comments and blanks are one ``blank`` each."""
    found: list[tuple[str, str]] = []
    for match in _TOKEN.finditer(adql):
        kind = str(match.lastgroup)
        if kind in ("comment", "blank"):
            if found and found[-1][0] != "blank":
                found.append(("blank", " "))
        else:
            if kind == "other" and match[0] in ("'", '"'):
                raise InputError(f"the query has a quote {match[0]} that is not closed: {adql}")
            found.append((kind, match[0]))
    while found and (found[-1][0] == "blank" or found[-1][1] == ";"):
        found.pop()
    return found


def normalised(adql: str) -> str:
    """A query without comments, line breaks and closing semicolon.

    Raises
    ------
    InputError
        If nothing is left, a quote is not closed, or it holds several statements.
    """
    pieces = tokens(adql)
    if not pieces:
        raise InputError("the query is empty; write ADQL, e.g. SELECT TOP 10 * FROM a.table")
    if any(text == ";" for _, text in pieces):
        raise InputError("a TAP service takes one query at a time; found several, parted by ';'")
    return "".join(text for _, text in pieces)


def sendable(adql: str) -> str:
    """The query as it is sent: as written, without closing semicolons.

    Raises
    ------
    InputError
        See `normalised`.
    """
    normalised(adql)
    text = adql.strip()
    # Semicolons inside a closing comment are nobody's business.
    return re.sub(r"[\s;]+$", "", text)


def top_of(adql: str) -> int | None:
    """The row limit ``TOP n`` of a query's outermost SELECT; None if it has none."""
    words = [(kind, text) for kind, text in tokens(adql) if kind != "blank"]
    depth = 0
    for place, (kind, text) in enumerate(words):
        depth += {"(": 1, ")": -1}.get(text, 0)
        if kind == "word" and text.upper() == "SELECT" and depth == 0:
            rest = words[place + 1 :]
            if rest and rest[0][1].upper() in ("DISTINCT", "ALL"):
                rest = rest[1:]
            if len(rest) > 1 and rest[0][1].upper() == "TOP" and rest[1][0] == "number":
                return int(rest[1][1])
            return None
    return None


class WrappedQuery:
    """Any query, paged as a derived table."""

    def __init__(self, adql: str) -> None:
        self._adql = normalised(adql)

    def whole(self) -> str:
        """The query for all rows."""
        return self._adql

    def count(self) -> str:
        """The query for the number of rows."""
        return f"SELECT COUNT(*) AS n FROM ({self._adql}) AS q"
