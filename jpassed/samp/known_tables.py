"""The tables that clients have sent, by the names that later messages use for them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jpassed.exceptions import InputError

if TYPE_CHECKING:
    from astropy.table import QTable
    from numpy.typing import NDArray

__all__ = ["KEPT", "KnownTable", "KnownTables", "row_numbers"]

KEPT = 8
"""How many tables are remembered, the latest ones."""

ROW = "__jpassed_row"


class KnownTable:
    """One table that a client has sent, and the predictions made for its rows so far.

    Parameters
    ----------
    table : QTable
        As it was received, N rows.
    name : str
        What its users call it.
    table_id : str
        What messages call it; empty if its sender gave no id.
    sender : str
        Public id of the client.
    """

    def __init__(self, table: QTable, name: str, table_id: str, sender: str) -> None:
        self.table = table
        self.name = name
        self.table_id = table_id
        self.sender = sender
        self.done: NDArray[np.bool_] = np.zeros(len(table), dtype=bool)
        self._predictions: QTable | None = None

    def missing(self, rows: Sequence[int]) -> NDArray[np.int64]:
        """Those of some rows that have no predictions yet, in increasing order."""
        wanted = np.unique(np.asarray(rows, dtype=np.int64))
        return wanted[~self.done[wanted]]

    def add(self, annotated: QTable, rows: NDArray[np.int64]) -> None:
        """Keep the predictions of some rows.

        Parameters
        ----------
        annotated : QTable
            Of these rows, with the table's own columns and new ones.
        rows : ndarray of int
            Numbers of the rows, increasing.
        """
        from astropy.table import vstack

        own = set(self.table.colnames) & set(annotated.colnames)
        changed = [name for name in annotated.colnames if name not in own]
        # Replaced columns (--replace-columns) are predictions, too.
        changed += [name for name in annotated.colnames if name in own and name[:3] == "jp_"]
        new = annotated[changed]
        new[ROW] = rows
        if self._predictions is None:
            self._predictions = new
        else:
            self._predictions = vstack(
                [self._predictions, new], join_type="exact", metadata_conflicts="silent"
            )
        self.done[rows] = True

    def annotated(self) -> QTable:
        """All rows of the table in their order, predictions masked where there are none."""
        from astropy.table import join

        if self._predictions is None:
            return self.table
        again = [name for name in self._predictions.colnames if name in self.table.colnames]
        left = self.table.copy()
        left.remove_columns(again)
        left[ROW] = np.arange(len(left))
        full = join(
            left, self._predictions, keys=ROW, join_type="left", metadata_conflicts="silent"
        )
        full.remove_column(ROW)
        full.meta = {**self.table.meta, **self._predictions.meta}
        return full


class KnownTables:
    """The latest tables, found by their id or by their URL.

    Parameters
    ----------
    kept : int
        How many are remembered.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._tables: OrderedDict[int, KnownTable] = OrderedDict()
        self._keys: dict[str, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._tables)

    def add(self, known: KnownTable, keys: Iterable[str]) -> None:
        """Remember a table under its id and URL; they then mean no older one."""
        self._count += 1
        self._tables[self._count] = known
        for key in keys:
            if key:
                self._keys[key] = self._count
        while len(self._tables) > self._kept:
            self._tables.popitem(last=False)
        self._keys = {key: n for key, n in self._keys.items() if n in self._tables}

    def also(self, known: KnownTable, key: str) -> None:
        """Remember a further name of a table, the URL under which it was sent back."""
        for number, table in self._tables.items():
            if table is known:
                self._keys[key] = number

    def find(self, table_id: str, url: str) -> KnownTable:
        """The table that a message means.

        TOPCAT names a table that it has read from a file by that file's URL, in either place.

        Raises
        ------
        InputError
            If no such table was sent, or it was too long ago.
        """
        for key in (table_id, url):
            if key and key in self._keys:
                number = self._keys[key]
                self._tables.move_to_end(number)
                return self._tables[number]
        named = " or ".join(
            f"{what} {key!r}" for what, key in (("table-id", table_id), ("url", url)) if key
        )
        if not named:
            raise InputError("a selection needs the table-id or the url of a table; it has neither")
        raise InputError(
            f"a selection in a table that was not sent here: {named}. Send the table first; the "
            f"last {self._kept} are remembered"
        )


def row_numbers(given: object, n_rows: int) -> list[int]:
    """The ``row-list`` of a message as numbers.

    Raises
    ------
    InputError
        If it is no list of whole numbers, is empty, or has a row that the table has not.
    """
    if not isinstance(given, list | tuple):
        raise InputError(f"row-list: expected a list of row numbers, got {str(given)[:60]!r}")
    try:
        rows = [int(str(item)) for item in given]
    except ValueError as exc:
        raise InputError(f"row-list: expected whole numbers: {exc}") from None
    if not rows:
        raise InputError("row-list: no row is selected")
    outside = [row for row in rows if not 0 <= row < n_rows]
    if outside:
        raise InputError(
            f"row-list: row {outside[0]} does not exist, the table has {n_rows} rows counted from 0"
        )
    return rows
