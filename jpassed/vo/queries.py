"""`query`: a question to a TAP service, its whole answer as a table."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.vo.adql import WrappedQuery
from jpassed.vo.ready_made import ReadyMade, SurveyQuery, list_queries, load_query

if TYPE_CHECKING:
    from astropy.table import QTable, Table

    from jpassed.vo.client import TapClient
    from jpassed.vo.login import Credentials
    from jpassed.vo.service import Service
    from jpassed.vo.transport import Progress

__all__ = ["PAGE_ROWS", "Question", "key_column", "plan_query", "query"]

logger = logging.getLogger(__name__)

PAGE_ROWS = 10_000
"""Rows of a page unless the service gives fewer or others are asked for."""


@dataclass(frozen=True)
class Question:
    """What is asked of a service, and how; made by `plan_query`.

    Attributes
    ----------
    client : TapClient
    adql : str or SurveyQuery
        Empty where a job is resumed.
    keys : tuple of str
        Columns by which the answer is paged; empty for an answer in one.
    rows : int
        Of a page.
    uploads : mapping of str to Table
    mode : {"auto", "sync", "async"}
    maxrec : int or None
        Rows at most; of pages, the first in the order of the keys.
    resume : str
        URL of a job whose answer is fetched instead.
    """

    client: TapClient
    adql: str | SurveyQuery
    keys: tuple[str, ...] = ()
    rows: int = PAGE_ROWS
    uploads: Mapping[str, Table] = field(default_factory=dict)
    mode: Literal["auto", "sync", "async"] = "auto"
    maxrec: int | None = None
    resume: str = ""

    @property
    def text(self) -> str:
        """The whole query in ADQL."""
        return self.adql if isinstance(self.adql, str) else self.adql.whole()

    def table(self, progress: Progress | None = None) -> QTable:
        """The whole answer.

        Raises
        ------
        ServiceError, QueryError, InputError
            See `query`.
        """
        if self.resume:
            return self.client.resume(self.resume, maxrec=self.maxrec, progress=progress)
        if self.keys:
            return self._stacked(progress)
        answer = self.client.run(
            self.adql,
            uploads=self.uploads or None,
            mode=self.mode,
            maxrec=self.maxrec,
            progress=progress,
        )
        return self._described(answer)

    def pages(self, after: tuple[Any, ...] | None = None, before: int = 0) -> Iterator[QTable]:
        """The answer in pages, from behind the keys `after` on; only where there are `keys`.

        `before` is the number of rows up to there.
        """
        if self.maxrec is not None and self.maxrec <= before:
            return iter(())
        found = self.client.pages(
            self.adql,
            keys=self.keys,
            rows=self.rows,
            after=after,
            uploads=self.uploads or None,
            maxrec=None if self.maxrec is None else self.maxrec - before,
        )
        return map(self._described, found)

    def _described(self, answer: QTable) -> QTable:
        """The answer with the UCDs that a ready-made query knows better than the service."""
        if isinstance(self.adql, str):
            return answer
        ucds = {name.lower(): ucd for name, ucd in self.adql.ucds.items()}
        for name in answer.colnames:
            if name.lower() in ucds:
                info = answer[name].info
                info.meta = {**(info.meta or {}), "ucd": ucds[name.lower()]}
        return answer

    def count(self) -> int:
        """Number of rows, counted by the service."""
        what = WrappedQuery(self.adql) if isinstance(self.adql, str) else self.adql
        table = self.client.run(what.count(), uploads=self.uploads or None)
        return int(table[table.colnames[0]][0])

    def _stacked(self, progress: Progress | None) -> QTable:
        from jpassed.io.layout import join_tables
        from jpassed.io.native_columns import quantity_table

        pages, rows = [], 0
        for page in self.pages():
            pages.append(page)
            rows += len(page)
            if progress:
                progress(f"{rows} rows")
        table = quantity_table(join_tables(pages))
        table.meta["jp_query"] = self.text
        return table


def query(
    service: str | Service,
    adql: str | None = None,
    *,
    survey: str | Path | None = None,
    cone: Any = None,
    tile: int | Sequence[int] | None = None,
    where: str | None = None,
    columns: Sequence[str] | str | None = None,
    uploads: Mapping[str, Table] | None = None,
    maxrec: int | None = None,
    page_by: Sequence[str] | str | None = None,
    page_rows: int | None = None,
    mode: Literal["auto", "sync", "async"] = "auto",
    resume: str | None = None,
    credentials: Credentials | None = None,
    cache: bool | Path = True,
    timeout: float = 60.0,
    progress: Progress | None = None,
) -> QTable:
    """Ask a TAP service of the Virtual Observatory.

    Parameters
    ----------
    service : str or Service
        A name of `jpassed.vo.list_services`, or the URL of a TAP service.
    adql : str, optional
        The query. Either this, or `survey`, or `resume`.
    survey : str or Path, optional
        A ready-made query (see `jpassed.vo.list_queries`), or a YAML file of the same form. It is
        paged by its own keys, so that the service's row limit does not matter.
    cone : sequence, optional
        Part of the survey: (RA, Dec, radius) in degrees, or as Quantity, or as text such as
        ``("14h17m", "+52d30m", "10arcmin")``; or (SkyCoord, radius).
    tile : int or sequence of int, optional
        Part of the survey: numbers of tiles.
    where : str, optional
        Part of the survey: a condition in ADQL. Columns of the main table are ``o.class_star``.
    columns : sequence of str, optional
        Instead of all columns of the ready-made query; ``"*"`` stands for these.
    uploads : mapping of str to Table, optional
        Tables that the query calls ``TAP_UPLOAD.name``.
    maxrec : int, optional
        So many rows at most: an answer that is cut there is no error then. With pages they are
        the first in the order of the keys.
    page_by : sequence of str, optional
        Columns of the answer that together identify a row: the answer is asked for in pages,
        beyond any row limit of the service.
    page_rows : int, optional
        Rows of a page.
    mode : {"auto", "sync", "async"}
        One request, a job, or what seems better.
    resume : str, optional
        URL of a job that was started before: its answer is waited for and fetched.
    credentials : Credentials, optional
        User and password; see `jpassed.vo.login.Credentials`.
    cache : bool or Path
        Whether an answer is kept, and taken from a folder where it was kept before.
    timeout : float
        Seconds without a byte after which a try has failed.
    progress : callable, optional
        Is told in words how far it is.

    Returns
    -------
    QTable
        All rows, with units, descriptions and UCDs (``column.info.meta["ucd"]``). Its meta has
        ``jp_service``, ``jp_query``, ``jp_query_date`` and, where `maxrec` cut it,
        ``jp_overflow``.

    Raises
    ------
    InputError
        If the arguments make no sense together.
    UnknownNameError
        For an unknown service or ready-made query.
    QueryError
        If the service refuses the query.
    TruncatedAnswerError
        If the service's row limit cut the answer.
    LoginError
        If the service asks for a login, or refuses the one given.
    ServiceError
        If it cannot be reached, or its answer is damaged.

    Examples
    --------
    >>> import jpassed
    >>> table = jpassed.query(
    ...     "cefca-minijpas", survey="minijpas", cone=(214.2, 52.5, 0.1)
    ... )  # doctest: +SKIP
    """
    question = plan_query(
        service,
        adql,
        survey=survey,
        cone=cone,
        tile=tile,
        where=where,
        columns=columns,
        uploads=uploads,
        maxrec=maxrec,
        page_by=page_by,
        page_rows=page_rows,
        mode=mode,
        resume=resume,
        credentials=credentials,
        cache=cache,
        timeout=timeout,
    )
    return question.table(progress)


def plan_query(
    service: str | Service,
    adql: str | None = None,
    *,
    survey: str | Path | None = None,
    cone: Any = None,
    tile: int | Sequence[int] | None = None,
    where: str | None = None,
    columns: Sequence[str] | str | None = None,
    uploads: Mapping[str, Table] | None = None,
    maxrec: int | None = None,
    page_by: Sequence[str] | str | None = None,
    page_rows: int | None = None,
    mode: Literal["auto", "sync", "async"] = "auto",
    resume: str | None = None,
    credentials: Credentials | None = None,
    cache: bool | Path = True,
    timeout: float = 60.0,
) -> Question:
    """Check what `query` is asked, and connect nowhere yet; arguments as there."""
    from jpassed.vo.client import TapClient

    given = [n for n, v in (("adql", adql), ("survey", survey), ("resume", resume)) if v]
    if len(given) != 1:
        raise InputError(
            "a query needs one of adql (the query itself), survey (a ready-made query) and resume "
            f"(the URL of a job); got {' and '.join(given) or 'none of them'}"
        )
    if adql is not None and not isinstance(adql, str):
        raise InputError(f"adql: expected a query as text, got {adql!r}")
    parts = {"cone": cone, "tile": tile, "where": where, "columns": columns}
    stray = [name for name, value in parts.items() if value is not None and survey is None]
    if stray:
        raise InputError(
            f"{', '.join(stray)}: only with survey, a ready-made query; put it into the ADQL"
        )
    keys = _names(page_by, "page_by")
    if keys and resume:
        raise InputError("page_by and resume exclude each other")
    _check_rows("page_rows", page_rows, 2)
    _check_rows("maxrec", maxrec, 1 if keys else 0)
    client = TapClient(service, credentials=credentials, cache=cache, timeout=timeout)
    what: str | SurveyQuery = adql or ""
    if survey is not None:
        ready = load_query(survey)
        _warn_of_other_service(ready, client.service.name)
        asked = None if columns is None else _names(columns, "columns")
        what = ready.select(
            client.service.dialect, cone=cone, tile=tile, where=where, columns=asked
        )
        unknown = [key for key in keys if key not in what.columns]
        if unknown:
            raise UnknownNameError("column to page by", unknown[0], what.columns)
        few = maxrec is not None and maxrec <= (client.service.sync_rows or PAGE_ROWS)
        if not keys and not few and mode == "auto":
            keys = tuple(what.keys)
    elif keys:
        WrappedQuery(adql or "").page(keys, None, 2)  # raises for what cannot be paged
    if page_rows is not None and not keys:
        raise InputError("page_rows: only with page_by, the columns that identify a row")
    rows = page_rows or min(PAGE_ROWS, client.service.sync_rows or PAGE_ROWS)
    return Question(client, what, keys, rows, uploads or {}, mode, maxrec, resume or "")


def _check_rows(what: str, rows: Any, least: int) -> None:
    if rows is None:
        return
    if isinstance(rows, bool) or not isinstance(rows, Integral) or int(rows) < least:
        raise InputError(f"{what}: expected a whole number, at least {least}, got {rows!r}")


def _warn_of_other_service(ready: ReadyMade, name: str) -> None:
    elsewhere = {query.service for query in list_queries().values()} - {ready.service}
    if name in elsewhere:
        logger.warning("the query %r is made for the service %s", ready.name, ready.service)


def _names(names: Sequence[str] | str | None, what: str) -> tuple[str, ...]:
    """Names given as a sequence or as one text with commas, each once."""
    if names is None:
        return ()
    items = names.split(",") if isinstance(names, str) else list(names)
    if not all(isinstance(item, str) for item in items):
        raise InputError(f"{what}: expected names of columns, got {names!r}")
    found = tuple(dict.fromkeys(item.strip() for item in items if item.strip()))
    if not found:
        raise InputError(f"{what}: expected at least one name, got {names!r}")
    return found


def key_column(table: Any, key: str) -> str:
    """The column of an answer that a key of the query means.

    Services change the case of names, and put the schema or table before them.

    Raises
    ------
    InputError
        If there is none, or several.
    """
    if key in table.colnames:
        return key
    plain = key.strip('"').lower()
    tests = (
        lambda name: name == plain,
        lambda name: name.rsplit(".", 1)[-1] == plain,
        lambda name: name.endswith(f"_{plain}"),
    )
    for test in tests:
        found = [name for name in table.colnames if test(str(name).lower())]
        if len(found) == 1:
            return str(found[0])
        if found:
            break
    raise InputError(
        f"the answer has no one column {key!r} to page by; its columns are "
        f"{', '.join(map(str, table.colnames))}"
    )
