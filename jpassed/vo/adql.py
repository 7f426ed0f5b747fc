"""Queries as text: what counts of them, row limits, and queries that can be paged."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from jpassed.exceptions import InputError

__all__ = ["PagedQuery", "WrappedQuery", "beyond", "literal", "normalised", "sendable", "top_of"]


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
    """Any query, paged as a derived table.

    Parameters
    ----------
    adql : str

    Raises
    ------
    InputError
        See `normalised`.
    """

    def __init__(self, adql: str) -> None:
        self._adql = normalised(adql)

    def __repr__(self) -> str:
        return f"WrappedQuery({self._adql!r})"

    def whole(self) -> str:
        """The query for all rows."""
        return self._adql

    def page(self, keys: Sequence[str], after: tuple | None, top: int) -> str:
        """The query for the first `top` rows beyond `after`, ordered by `keys`.

        Raises
        ------
        InputError
            If the query has a row limit of its own (TOP, OFFSET), which would give other rows on
            each page, or begins with WITH.
        """
        where = "" if after is None else f" WHERE {beyond(keys, after)}"
        order = ", ".join(keys)
        return f"SELECT TOP {top} * FROM ({self._inner(True)}) AS q{where} ORDER BY {order}"

    def count(self) -> str:
        """The query for the number of rows."""
        return f"SELECT COUNT(*) AS n FROM ({self._inner(False)}) AS q"

    def _inner(self, paged: bool) -> str:
        """The query as it can stand in brackets: its own order does not matter there."""
        pieces = tokens(self._adql)
        words = _outer_words(pieces)
        if words and words[0][1] == "WITH":
            raise InputError(
                f"a query that begins with WITH cannot be paged or counted: {self._adql}"
            )
        limits = [word for place, word in words if word in ("TOP", "OFFSET", "LIMIT")]
        if paged and limits:
            raise InputError(
                f"a query with {limits[0]} cannot be read in pages: the service may take other "
                f"rows each time. Leave {limits[0]} out (for the first N rows in the order of the "
                f"keys say maxrec=N, --maxrec N), or run it without pages: {self._adql}"
            )
        orders = [place for place, word in words if word == "ORDER"]
        if orders and not limits:
            pieces = pieces[: orders[-1]]
        return "".join(text for _, text in pieces).strip()


def _outer_words(pieces: Sequence[tuple[str, str]]) -> list[tuple[int, str]]:
    """Place and upper case of the words outside of all brackets."""
    found, depth = [], 0
    for place, (kind, text) in enumerate(pieces):
        depth += {"(": 1, ")": -1}.get(text, 0)
        if kind == "word" and depth == 0:
            found.append((place, text.upper()))
    return found


def beyond(keys: Sequence[str], after: Sequence[object]) -> str:
    """The condition for rows that come after `after` in the order of `keys`.

    Examples
    --------
    >>> beyond(["tile", "number"], (3, "it's"))
    "(tile > 3 OR (tile = 3 AND number > 'it''s'))"
    """
    if len(keys) != len(after) or not keys:
        raise InputError(f"{len(keys)} keys ({', '.join(keys)}) but {len(after)} values: {after!r}")
    key, value = keys[0], literal(after[0])
    if len(keys) == 1:
        return f"{key} > {value}"
    return f"({key} > {value} OR ({key} = {value} AND {beyond(keys[1:], after[1:])}))"


def literal(value: object) -> str:
    """A text or number as ADQL writes it, to the last digit.

    Raises
    ------
    InputError
        For what has no such form: NaN, infinity, truth values, other types.
    """
    import numpy as np

    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        quoted = value.replace("'", "''")
        return f"'{quoted}'"
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value - value == 0.0:
        return repr(value)
    raise InputError(f"a key is a text, an integer or a finite number; got {value!r}")
