"""What tables a TAP service has, in its own words; and which one a misspelt name may mean."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from jpassed.exceptions import InputError, JpassedError
from jpassed.vo.adql import literal, tokens

if TYPE_CHECKING:
    from jpassed.vo.client import TapClient
    from jpassed.vo.transport import Progress

__all__ = ["columns_of", "find_tables", "meant_table"]

_TABLES = "SELECT table_name, description FROM TAP_SCHEMA.tables"
_COLUMNS = (
    "SELECT column_name, unit, datatype, description FROM TAP_SCHEMA.columns WHERE table_name = {}"
)
_SEARCHED = 50_000
"""Tables at most that are looked through for the one that is meant."""


def find_tables(
    client: TapClient, part: str = "", progress: Progress | None = None
) -> dict[str, str]:
    """Names and descriptions of a service's tables.

    Parameters
    ----------
    client : TapClient
    part : str
        A table's whole name, then it is the only one; or part of names.
    progress : callable, optional

    Raises
    ------
    InputError
        If no name has that part; the message has those that are like it.
    ServiceError, QueryError
        See `TapClient.run`.
    """
    found = client.run(_TABLES, progress=progress)
    known = dict(sorted(zip(_texts(found, 0), _texts(found, 1), strict=True)))
    wanted = _plain(part)
    whole = [name for name in known if _plain(name) == wanted]
    chosen = whole or [name for name in known if wanted in _plain(name)]
    if not chosen:
        hint = _hint(part, known)
        raise InputError(f"{client.service.name} has no table {part!r}{hint or '; leave it out'}")
    return {name: known[name] for name in chosen}


def columns_of(client: TapClient, table: str) -> list[tuple[str, str, str, str]]:
    """Name, unit, type and description of each column of a table."""
    found = client.run(_COLUMNS.format(literal(table)))
    return list(zip(*(_texts(found, k) for k in range(4)), strict=True))


def meant_table(client: TapClient, adql: str, error: str) -> str:
    """``. Did you mean 'a.table'?`` where a service's error names a table that it has not.

    Empty where nothing comes near, or the service does not say which tables it has.
    """
    said = error.lower()
    suspects = [
        name
        for name in _tables_in(adql)
        if _plain(name).rpartition(".")[2] in said and "tap_upload." not in _plain(name)
    ]
    if not suspects:
        return ""
    try:
        known = _texts(client.run(_TABLES, maxrec=_SEARCHED, mode="sync"), 0)
    except JpassedError:
        return ""  # the service's own words will do
    plain = {_plain(name) for name in known}
    missing = [name for name in suspects if _plain(name) not in plain]
    return _hint(missing[0], known) if missing else ""


def _hint(name: str, known: Iterable[str]) -> str:
    by_plain = {_plain(text): text for text in known}
    near = difflib.get_close_matches(_plain(name), list(by_plain), n=3, cutoff=0.75)
    return f". Did you mean {' or '.join(by_plain[text] for text in near)}?" if near else ""


def _tables_in(adql: str) -> list[str]:
    """What stands behind FROM and JOIN."""
    text = "".join(piece for _, piece in tokens(adql))
    name = r'(?:"[^"]+"|\w+)(?:\s*\.\s*(?:"[^"]+"|\w+))*'
    return re.findall(rf"\b(?:FROM|JOIN)\s+({name})", text, re.IGNORECASE)


def _plain(name: str) -> str:
    return re.sub(r"[\"\s]", "", name).lower()


def _texts(table: Any, k: int) -> list[str]:
    """The texts of a column in one line each, empty where there is none."""
    import numpy as np

    column = table[table.colnames[k]]
    mask = np.broadcast_to(getattr(column, "mask", False), (len(table),))
    return [
        "" if gone else " ".join(str(text).split()) for text, gone in zip(column, mask, strict=True)
    ]
