"""Queries to a TAP service that end in the whole answer or in one clear error."""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jpassed.exceptions import InputError
from jpassed.vo.adql import WrappedQuery, normalised, sendable
from jpassed.vo.asking import Asking
from jpassed.vo.cache import AnswerCache, default_folder, key_of
from jpassed.vo.login import find_credentials, identity_of, in_the_clear, split_url
from jpassed.vo.order import Order
from jpassed.vo.paging import read_pages
from jpassed.vo.self_description import read_tables
from jpassed.vo.service import Service
from jpassed.vo.transport import Progress, Transport
from jpassed.vo.uploads import Uploads

if TYPE_CHECKING:
    from astropy.table import QTable, Table

    from jpassed.vo.adql import PagedQuery
    from jpassed.vo.login import Credentials

__all__ = ["TapClient"]

logger = logging.getLogger(__name__)


class TapClient:
    """One TAP service.

    Parameters
    ----------
    service : Service or str
        A service, its name (see `jpassed.vo.list_services`) or its URL.
    credentials : Credentials, optional
        Default: what the URL holds, else JPASSED_VO_USER and JPASSED_VO_PASSWORD (or
        JPASSED_VO_TOKEN) for services that ask for a login or are given by URL, else
        ``~/.netrc``.
    cache : bool or Path
        Whether answers are kept and taken from ``jpassed/tap`` in astropy's cache; or a folder
        instead.
    retries : int
        Tries after the first of each request, with growing pauses; a service's Retry-After is
        kept to.
    timeout : float
        Seconds without a byte after which a try has failed.
    backoff : float
        Seconds of the first pause, about.

    Raises
    ------
    InputError
        If the URL is none, or a number is negative.

    Examples
    --------
    >>> client = TapClient("https://gea.esac.esa.int/tap-server/tap")
    >>> client.run("SELECT TOP 5 * FROM gaiadr3.gaia_source_lite")  # doctest: +SKIP
    """

    def __init__(
        self,
        service: Service | str,
        *,
        credentials: Credentials | None = None,
        cache: bool | Path = True,
        retries: int = 5,
        timeout: float = 60.0,
        backoff: float = 0.5,
    ) -> None:
        if retries < 0 or timeout <= 0 or backoff < 0:
            raise InputError(
                "retries and backoff are not negative and timeout is positive; got "
                f"retries={retries}, timeout={timeout}, backoff={backoff}"
            )
        inside = None
        if isinstance(service, str):
            service, inside = _service_of(service)
        by_url = service.name == service.url
        url, within = split_url(service.url)
        inside = within or inside
        name = url if "@" in service.name or service.name == service.url else service.name
        self.service = service = dataclasses.replace(service, url=url, name=name)
        self._credentials = credentials or inside
        if self._credentials is None:
            self._credentials = find_credentials(url, environment=by_url or service.login)
        elif in_the_clear(url):
            logger.warning("%s is not https: whoever listens reads the login", url)
        transport = Transport(
            service, self._credentials, retries=retries, timeout=timeout, backoff=backoff
        )
        folder = None if cache is False else default_folder() if cache is True else Path(cache)
        self._asking = Asking(transport, AnswerCache(folder))

    def __repr__(self) -> str:
        return f"TapClient({self.service.url!r})"

    def run(
        self,
        adql: str | PagedQuery,
        *,
        uploads: Mapping[str, Table] | None = None,
        mode: Literal["auto", "sync", "async"] = "auto",
        maxrec: int | None = None,
        progress: Progress | None = None,
    ) -> QTable:
        """Run a query.

        Parameters
        ----------
        adql : str or PagedQuery
        uploads : mapping of str to Table, optional
            Tables that the query calls ``TAP_UPLOAD.name``.
        mode : str
            ``"sync"``: one request; ``"async"``: a job; ``"auto"``: one request where that may
            do, a job where uploads or the rows asked for are many, and when the request timed out
            or its answer was cut.
        maxrec : int, optional
            So many rows at most: an answer that is cut there is no error then.
        progress : callable, optional
            Is told in words how far it is.

        Returns
        -------
        QTable
            All rows. Its meta has ``jp_service``, ``jp_query``, ``jp_query_date`` and, where
            `maxrec` cut it, ``jp_overflow``.

        Raises
        ------
        TruncatedAnswerError
            If the service's own row limit cut the answer.
        QueryError
            If the service refuses the query, in its words.
        LoginError
        ServiceError
            If the service cannot be reached, or gives no usable answer.
        InputError
            For an unknown mode, or a negative `maxrec`.
        """
        if mode not in ("auto", "sync", "async"):
            raise InputError(f"mode is 'auto', 'sync' or 'async'; got {mode!r}")
        if maxrec is not None and maxrec < 0:
            raise InputError(f"maxrec is not negative; got {maxrec}")
        query = sendable(adql if isinstance(adql, str) else adql.whole())
        return self._asking.answer(self._order(query, uploads, maxrec, progress), mode)[0]

    def _order(
        self,
        query: str,
        uploads: Mapping[str, Table] | None,
        maxrec: int | None,
        progress: Progress | None,
        part: bool = False,
    ) -> Order:
        sent, who = Uploads.of(uploads), identity_of(self._credentials)
        key = key_of(self.service.url, normalised(query), sent.digest(), maxrec, part, who)
        return Order(query, sent, maxrec, key, progress, part)

    def resume(
        self, job_url: str, *, maxrec: int | None = None, progress: Progress | None = None
    ) -> QTable:
        """The result of a job that another run has sent; the job is deleted then.

        Parameters
        ----------
        job_url : str
            As the log of that run has it.
        maxrec, progress
            See `run`.

        Raises
        ------
        ServiceError
            If the service knows no such job, or see `run`.
        """
        return self._asking.resumed(job_url, maxrec, progress)

    def pages(
        self,
        adql: str | PagedQuery,
        *,
        keys: Sequence[str],
        rows: int,
        after: tuple | None = None,
        uploads: Mapping[str, Table] | None = None,
        maxrec: int | None = None,
        progress: Progress | None = None,
    ) -> Iterator[QTable]:
        """All rows of a query in pages, past the service's row limit.

        Parameters
        ----------
        adql : str or PagedQuery
        keys : sequence of str
            Columns of the result to order the rows by. They need not be unique together, but no
            more rows than a page holds may share them; none may be NULL.
        rows : int
            Of a page at most; fewer where the service gives fewer.
        after : tuple, optional
            Begin beyond these values of the keys; the number of rows is then not checked.
        maxrec : int, optional
            So many rows at most, the first in the order of the keys. Where there are more and
            `after` is not given, each page has ``jp_overflow`` in its meta.
        uploads, progress
            See `run`.

        Yields
        ------
        QTable
            Ordered by the keys; one without rows if there are none.

        Raises
        ------
        InputError
            If the query cannot be paged (TOP, WITH), or the keys are no columns for it.
        TruncatedAnswerError
            If more rows share one key than a page holds.
        ServiceError
            If in the end not as many rows came as the service counted at first, or see `run`.
        """
        if rows < 1 or not keys or isinstance(keys, str):
            raise InputError(f"pages want at least one row and one key; got {rows} and {keys!r}")
        query = WrappedQuery(adql) if isinstance(adql, str) else adql
        if maxrec is not None and maxrec < 1:
            raise InputError(f"maxrec of pages is positive; got {maxrec}")
        query.page(keys, after, rows)
        rows = min(rows, self._page_limit())
        return self._pages(query, tuple(keys), rows, after, uploads, maxrec, progress)

    def _page_limit(self) -> int:
        known = [self.service.sync_rows, self.limits()[1]]
        return min((limit for limit in known if limit), default=sys.maxsize)

    def _pages(
        self,
        query: PagedQuery,
        keys: tuple[str, ...],
        rows: int,
        after: tuple | None,
        uploads: Mapping[str, Table] | None,
        maxrec: int | None,
        progress: Progress | None,
    ) -> Iterator[QTable]:
        total, most = None, maxrec
        if after is None:
            counted = self._order(query.count(), uploads, None, progress)
            total = _single(self._asking.answer(counted, "auto")[0])
            logger.info("%s: %d rows, in pages of %d", self.service.name, total, rows)
            most = maxrec if maxrec is not None and maxrec < total else None
            if most is not None:
                name = self.service.name
                logger.warning("%s: only the first %d of %d rows, as asked for", name, most, total)

        def ask(adql: str, most: int) -> tuple[QTable, bool]:
            order = self._order(adql, uploads, most, progress, part=True)
            table, cut = self._asking.answer(order, "auto")
            return table, cut or len(table) in self._asking.limits()

        for page in read_pages(ask, query, keys, rows, after=after, total=total, most=most):
            if total is not None and most is not None:
                page.meta["jp_overflow"] = True
            yield page

    def count(self, adql: str | PagedQuery) -> int:
        """Number of rows of a query, counted by the service.

        Parameters
        ----------
        adql : str or PagedQuery

        Returns
        -------
        int

        Raises
        ------
        QueryError, ServiceError
            See `run`.
        """
        query = WrappedQuery(adql) if isinstance(adql, str) else adql
        return _single(self.run(query.count()))

    def limits(self) -> tuple[int | None, int | None]:
        """Rows that the service gives by default and at most, as it says; None: it does not."""
        return self._asking.limits()

    def capabilities(self) -> Any:
        """What the service says of itself (pyvo's list of capabilities; empty: nothing)."""
        return self._asking.capabilities()

    def takes_uploads(self) -> bool:
        """Whether the service says that it takes tables along with a query."""
        return any(getattr(part, "uploadmethods", None) for part in self.capabilities())

    def tables(self) -> dict[str, list[str]]:
        """The service's tables and their columns."""
        return read_tables(self._asking.transport)


def _single(table: Any) -> int:
    return int(table[table.colnames[0]][0])


def _service_of(text: str) -> tuple[Service, Credentials | None]:
    """A service by its name or URL, and the login that the URL holds."""
    from jpassed.vo.services import load_service

    if "://" not in text:
        return load_service(text), None
    url, inside = split_url(text)
    return load_service(url), inside
