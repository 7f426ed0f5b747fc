"""All rows of a query past a service's row limit: page by page along a key."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import InputError, ServiceError, TruncatedAnswerError

if TYPE_CHECKING:
    from astropy.table import QTable

    from jpassed.vo.adql import PagedQuery

__all__ = ["read_pages"]

logger = logging.getLogger(__name__)

Ask = Callable[[str, int], "tuple[QTable, bool]"]
"""Runs a query for so many rows at most: a table, and whether the service cut it."""


def read_pages(
    ask: Ask,
    query: PagedQuery,
    keys: Sequence[str],
    rows: int,
    *,
    after: tuple | None = None,
    total: int | None = None,
    most: int | None = None,
) -> Iterator[QTable]:
    """The rows of a query in pages, ordered by `keys`, none missing and none twice.

    Parameters
    ----------
    ask : callable
    query : PagedQuery
    keys : sequence of str
        Columns of the result. Together they need not be unique: rows with equal keys stay
        together, so no such group may be larger than a page.
    rows : int
        Of a page at most.
    after : tuple, optional
        Begin beyond these values of the keys.
    total : int, optional
        Number of rows that are to come; None: not known.
    most : int, optional
        Stop behind so many rows.

    Yields
    ------
    QTable
        One without rows if there are none.

    Raises
    ------
    InputError
        If a key is no column of the result, or holds NULL, NaN or something else than texts and
        numbers.
    TruncatedAnswerError
        If more rows share one key than a page holds.
    ServiceError
        If in the end there are more or fewer rows than `total`, or the service does not keep to
        the order.
    """
    keyed, done, more = _Keys(keys, after), 0, False
    while total is None or done < total or done == 0:
        top = rows if most is None else min(rows, most - done)
        table, cut = ask(query.page(keys, keyed.after, top), top)
        full = cut or len(table) >= top
        if not len(table):
            if total == 0 or (total is None and not done):
                yield table
            break
        columns = keyed.columns(table)
        if most is not None and done + len(table) >= most:
            yield table[: most - done]
            return
        last = not full if total is None else done + len(table) >= total
        if not last:
            # The last group of equal keys may be incomplete: it comes again with the next page.
            kept = _rows_before_last_group(columns)
            if kept == 0 and full:
                raise TruncatedAnswerError(
                    f"{len(table)} rows or more share {keyed.described(columns)}, which is all "
                    "that a page holds: name more keys, so that fewer rows share them, or take "
                    "larger pages"
                )
            if kept == 0:
                done += len(table)
                break
            table, columns = table[:kept], [column[:kept] for column in columns]
        done += len(table)
        if total is not None and done > total:
            break
        keyed.after = tuple(column[-1].item() for column in columns)
        logger.debug("%d rows up to %s", done, keyed.after)
        yield table
        if last:
            # Nothing beyond it? A short page shows that, but only if its shortness is no limit.
            if full or total is None:
                more = len(ask(query.page(keys, keyed.after, 1), 1)[0]) > 0
            break
    if total is not None and (done != total or more):
        came = "more" if done >= total else f"only {done}"
        raise ServiceError(
            f"{came} rows came of the {total} that the service counted, in pages along "
            f"{', '.join(keys)}. The table changed meanwhile (also since its pages came into the "
            "cache: try without the cache), or a key is NULL somewhere, or it is not ordered as "
            "it is compared: choose other keys"
        )
    if more:
        raise ServiceError(
            f"the service's pages along {', '.join(keys)} are shorter than asked for, and it does "
            "not say so: ask for smaller pages"
        )


class _Keys:
    """The columns that pages go along, and where the last page ended."""

    def __init__(self, keys: Sequence[str], after: tuple | None) -> None:
        self.keys, self.after = keys, after

    def columns(self, table: QTable) -> list[Any]:
        """Their values (arrays); checked for being usable, and in order."""
        found = [self._column(table, key) for key in self.keys]
        numbers = [column for column in found if column.dtype.kind in "iuf"]
        if len(numbers) == len(found):
            before = None if self.after is None else self.after
            if not _in_order(found, before):
                raise ServiceError(
                    f"the service's rows are not ordered by {', '.join(self.keys)} as asked"
                )
        elif self.after is not None and tuple(c[0].item() for c in found) == self.after:
            raise ServiceError(f"the service repeats the row with {self.described(found)}")
        return found

    def _column(self, table: QTable, key: str) -> Any:
        wanted = key.strip('"')
        names = [name for name in table.colnames if name == wanted]
        names = names or [name for name in table.colnames if name.lower() == wanted.lower()]
        if not names:
            raise InputError(
                f"no column {key!r} to page along in the result; it has {', '.join(table.colnames)}"
            )
        column = table[names[0]]
        if np.any(getattr(column, "mask", False)):
            raise InputError(f"the key {key!r} is NULL in some rows: choose another")
        values = np.asarray(getattr(column, "value", column))
        if values.ndim != 1 or values.dtype.kind not in "iufU":
            raise InputError(f"a key is a text or a number; {key!r} is {values.dtype}")
        if values.dtype.kind == "f":
            if not np.isfinite(values).all():
                raise InputError(f"the key {key!r} is NULL or not finite in some rows")
            values = values.astype(np.float64)
        return values

    def described(self, columns: Sequence[Any]) -> str:
        """The keys of the first row in words."""
        return ", ".join(
            f"{key} = {column[0].item()!r}" for key, column in zip(self.keys, columns, strict=True)
        )


def _rows_before_last_group(columns: Sequence[Any]) -> int:
    """Number of rows before those that share the last row's keys."""
    same = np.ones(len(columns[0]), bool)
    for column in columns:
        same &= column == column[-1]
    different = np.flatnonzero(~same)
    return int(different[-1]) + 1 if len(different) else 0


def _in_order(columns: Sequence[Any], after: tuple | None) -> bool:
    """Whether numbers never fall from row to row, and begin beyond `after`."""
    rising = np.ones(len(columns[0]) - 1, bool)
    for column in reversed(columns):
        rising = (column[1:] > column[:-1]) | ((column[1:] == column[:-1]) & rising)
    begins = after is None or tuple(column[0].item() for column in columns) > after
    return bool(rising.all()) and begins
