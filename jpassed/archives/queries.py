"""The queries of a training set, page by page on disk, so that a killed run goes on."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jpassed.archives.description import Archive, SourceTable, without_login
from jpassed.archives.description_file import archive_file, list_archives
from jpassed.exceptions import FileError, QueryError, ServiceError
from jpassed.io.atomic import atomic_output

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["TableQuery", "count_rows", "fetch_table", "read_pages", "table_query", "write_json"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableQuery:
    """Columns of a table under a condition: a `jpassed.vo.adql.PagedQuery`.

    Attributes
    ----------
    table : str
        As ADQL wants it.
    columns : tuple of str
    where : str
        May be empty.
    join : str
        What follows the table's name, may be empty.
    """

    table: str
    columns: tuple[str, ...]
    where: str = ""
    join: str = ""

    def whole(self) -> str:
        """The query for all rows."""
        return self._select("", [self.where])

    def page(self, keys: Sequence[str], after: tuple[Any, ...] | None, top: int) -> str:
        """The query for the first `top` rows beyond `after`, ordered by `keys`."""
        conditions = [self.where, "" if after is None else _beyond(keys, after)]
        return f"{self._select(f'TOP {top} ', conditions)} ORDER BY {', '.join(keys)}"

    def count(self) -> str:
        """The query for the number of rows."""
        where = f" WHERE {self.where}" if self.where else ""
        return f"SELECT COUNT(*) AS n FROM {self.table}{self.join}{where}"

    def _select(self, top: str, conditions: Sequence[str]) -> str:
        given = [f"({c})" for c in conditions if c]
        where = f" WHERE {' AND '.join(given)}" if given else ""
        return f"SELECT {top}{', '.join(self.columns)} FROM {self.table}{self.join}{where}"


def _beyond(keys: Sequence[str], after: Sequence[Any]) -> str:
    """The condition for rows that follow `after` in the order of `keys`."""
    parts = []
    for k, (key, value) in enumerate(zip(keys, after, strict=True)):
        same = [f"{keys[j]} = {literal(after[j])}" for j in range(k)]
        parts.append("(" + " AND ".join([*same, f"{key} > {literal(value)}"]) + ")")
    return " OR ".join(parts)


def literal(value: Any) -> str:
    """A key as ADQL writes it."""
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, str):
        return "'" + plain.replace("'", "''") + "'"
    return repr(plain)


def table_query(archive: Archive, table: SourceTable, upto: Any = None) -> TableQuery:
    """The query for the rows of a table, with keys up to `upto` if that is given.

    A table that adds no objects is asked for those of the table of spectra, where both are at one
    service.
    """
    main = archive.objects
    conditions = [table.where]
    if upto is not None:
        conditions.append(f"{table.key} <= {literal(upto)}")
    together = archive.service_of(table) == archive.service_of(main)
    join = ""
    if table is not main and not table.adds_objects and main.where and together:
        # Renamed inside, so that no column of the table needs its table's name before it.
        join = (
            f" AS jp_t JOIN (SELECT {main.key} AS jp_key FROM {main.table} WHERE {main.where}) "
            f"AS jp_o ON jp_t.{table.key} = jp_o.jp_key"
        )
    given = [c for c in conditions if c]
    where = given[0] if len(given) == 1 else " AND ".join(f"({c})" for c in given)
    return TableQuery(table.table, table.wanted, where, join)


def fetch_table(
    client: Any,
    archive: Archive,
    table: SourceTable,
    folder: Path,
    *,
    rows: int,
    limit: int | None = None,
    upto: Any = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Fetch a table page by page into a folder, or go on where an earlier run stopped.

    Parameters
    ----------
    client : jpassed.vo.client.TapClient
    archive : Archive
    table : SourceTable
    folder : Path
        Holds the pages and, once all are there, ``query.json``.
    rows : int
        Rows of a page.
    limit : int, optional
        At most so many rows, in the order of the key.
    upto : optional
        Only keys up to this one.
    progress : callable, optional
        Called with what is being done.

    Returns
    -------
    dict
        ``archive, table, service, url, query, date, rows``, and ``last``: the last key, where
        `limit` cut the table.

    Raises
    ------
    QueryError
        If the service refuses the query; the message says how to leave the table out.
    """
    done = folder / "query.json"
    if done.is_file():
        return dict(json.loads(done.read_text("utf-8")))
    folder.mkdir(parents=True, exist_ok=True)
    query = table_query(archive, table, upto)
    keys = [table.key, *([table.line] if table.line else [])]
    pages = sorted(folder.glob("page-*.parquet"))
    found, after = 0, None
    for page in pages:
        content = _read(page)
        found += len(content)
        after = _last(content, keys)
    record: dict[str, Any] = {
        "archive": archive.name,
        "table": table.name,
        "service": without_login(archive.service_of(table)),
        "query": query.whole(),
        "last": None,
    }
    try:
        if limit is None or found < limit:
            size = rows if limit is None else min(rows, limit + 1)
            for content in client.pages(query, keys=keys, rows=size, after=after):
                part = _named(content, table.wanted)
                if limit is not None:
                    part = part[: limit - found]
                record["date"] = str(content.meta.get("jp_query_date", ""))
                record["url"] = str(content.meta.get("jp_service", ""))
                if not len(part):
                    continue
                _write(part, folder / f"page-{len(pages):05d}.parquet")
                pages.append(folder / f"page-{len(pages):05d}.parquet")
                found += len(part)
                if progress:
                    progress(f"{archive.name}.{table.name}: {found} rows")
                if limit is not None and found >= limit:
                    break
        # Of pages that began in the middle the client does not check the sum.
        if after is not None and limit is None and (counted := client.count(query)) != found:
            raise ServiceError(
                f"{archive.name}, table {table.name!r}: {found} rows came in two or more runs, but "
                f"now the service counts {counted}: the table has changed. Delete {folder} and "
                "run the same command again"
            )
    except QueryError as exc:
        raise _refused(exc, archive, table) from exc
    if limit is not None and found >= limit and pages:
        last = _last(_read(pages[-1]), keys[:1])[0]
        record["last"] = last.item() if hasattr(last, "item") else str(last)
    if "date" not in record:  # of a run that was killed when all rows were here
        written = datetime.fromtimestamp(pages[-1].stat().st_mtime, UTC)
        record |= {"date": written.isoformat(timespec="seconds"), "url": client.service.url}
    record["rows"] = found
    write_json(record, done)
    return record


def count_rows(client: Any, archive: Archive, table: SourceTable) -> int:
    """How many rows the query for a table gives; its columns are tried with one row.

    Raises
    ------
    QueryError
        See `fetch_table`.
    """
    query = table_query(archive, table)
    try:
        _named(client.run(query.page([table.key], None, 1)), table.wanted)
        return int(client.count(query))
    except QueryError as exc:
        raise _refused(exc, archive, table) from exc


def _refused(exc: QueryError, archive: Archive, table: SourceTable) -> QueryError:
    advice = "" if table is archive.objects else f", or leave it out: without: [{table.name}]"
    if archive.name in list_archives():
        advice = f": copy {archive_file(archive.name)} and name the copy in the plan{advice}"
    return QueryError(
        f"{archive.name}, table {table.name!r}: {exc}. Correct the archive's description{advice}"
    )


def read_pages(folder: Path) -> Iterator[QTable]:
    """The pages of a table that `fetch_table` has fetched, in order."""
    for page in sorted(folder.glob("page-*.parquet")):
        yield _read(page)


def write_json(content: Any, path: Path) -> None:
    """Write JSON, atomically."""
    with atomic_output(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def _read(page: Path) -> QTable:
    from jpassed.io.catalogs import read_catalog

    return read_catalog(page)


def _write(part: Any, page: Path) -> None:
    from jpassed.io.catalogs import write_catalog

    part.meta.clear()  # the query is kept once, in query.json
    write_catalog(part, page, overwrite=True)


def _named(content: Any, wanted: Sequence[str]) -> Any:
    """The wanted columns under the names asked for: services answer in a case of their own."""
    lower = {name.lower(): name for name in content.colnames}
    lacking = [name for name in wanted if _bare(name) not in lower]
    if lacking:
        raise FileError(
            f"the answer lacks the columns {', '.join(lacking)}; it has "
            f"{', '.join(content.colnames)}"
        )
    part = content[[lower[_bare(name)] for name in wanted]]
    for name in wanted:
        if lower[_bare(name)] != name:
            part.rename_column(lower[_bare(name)], name)
    return part


def _bare(name: str) -> str:
    return name.strip('"').lower()


def _last(content: Any, keys: Sequence[str]) -> tuple[Any, ...]:
    return tuple(content[key][-1] for key in keys)
