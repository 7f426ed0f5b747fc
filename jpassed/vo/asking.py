"""How a query is asked: at once or as a job, from the cache or anew."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from jpassed.exceptions import QueryError, TruncatedAnswerError
from jpassed.vo.adql import normalised
from jpassed.vo.answer import check_whole, read_answer
from jpassed.vo.cache import AnswerCache, now
from jpassed.vo.failures import TransientError
from jpassed.vo.job_runs import JobRuns
from jpassed.vo.order import Order, empty, scratch
from jpassed.vo.self_description import limits_in, read_capabilities
from jpassed.vo.transport import GaveUpError, Progress, Transport
from jpassed.vo.uploads import Uploads

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["Asking"]

logger = logging.getLogger(__name__)

LARGE_UPLOAD = 2_000_000
"""Bytes of uploads from which on a query is a job."""
SYNC_ROWS = 20_000
"""Rows from which on a query is a job where the service's limit is not known."""
TOO_LONG = r"\btime[ds]?[ -]?out\b|\btime limit\b|\btoo long\b|\bexecution (time|duration)\b"
"""What services say of a query at once that takes longer than they allow."""


class Asking:
    """Asks one service.

    Parameters
    ----------
    transport : Transport
    cache : AnswerCache
    """

    def __init__(self, transport: Transport, cache: AnswerCache) -> None:
        self.transport = transport
        self._cache = cache
        self._limits: tuple[int | None, int | None] | None = None
        self._capabilities: Any = None

    def answer(self, order: Order, mode: str) -> tuple[QTable, bool]:
        """The table of a query, and whether it was cut.

        Parameters
        ----------
        order : Order
        mode : str
            ``"auto"``, ``"sync"`` or ``"async"``, see `TapClient.run`.
        """
        kept = self._kept(order)
        if kept is not None:
            return kept
        with scratch() as stream:
            if mode == "sync":
                table, cut = self._ask_sync(order, stream)
            elif mode == "async" or self._is_large(order):
                table, cut = self._ask_async(order, stream)
            else:
                table, cut = self._ask_auto(order, stream)
            note = {
                "service": self.transport.service.url,
                "query": normalised(order.query),
                "date": now(),
                "rows": len(table),
                "cut": cut,
            }
            self._cache.put(order.key, stream, note)
        self._describe(table, order, note)
        order.say(f"{len(table)} rows")
        return table, cut

    def _describe(self, table: Any, order: Order, note: Mapping[str, Any]) -> None:
        table.meta.update(
            jp_service=self.transport.service.url,
            jp_query=note["query"],
            jp_query_date=note["date"],
        )
        if note["cut"] and not order.part:
            table.meta["jp_overflow"] = True
            logger.warning(
                "%s: only the first %d rows, as asked for", self.transport.service.name, len(table)
            )

    def _kept(self, order: Order) -> tuple[QTable, bool] | None:
        found = self._cache.get(order.key)
        if found is None:
            return None
        stream, note = found
        with stream:
            try:
                table = read_answer(stream, self.transport.named)
            except TransientError as exc:
                logger.warning("ignoring the damaged kept answer: %s", exc)
                return None
        self._describe(table, order, note)
        order.say(f"{len(table)} rows from the cache of {note['date']}")
        return table, bool(note["cut"])

    def _is_large(self, order: Order) -> bool:
        limit = self.transport.service.sync_rows or SYNC_ROWS
        many = order.uploads.size > LARGE_UPLOAD or max(order.maxrec or 0, order.top or 0) > limit
        # A job that a run of this query has left says that it was large then.
        return many or self._cache.job(order.key) is not None

    def _ask_auto(self, order: Order, stream: BinaryIO) -> tuple[QTable, bool]:
        try:
            table, cut = self._sync(order, order.maxrec, stream, patient=False)
        except GaveUpError as exc:
            if not exc.timeout:
                raise
            why = exc.reason
        except QueryError as exc:
            if not re.search(TOO_LONG, str(exc), re.IGNORECASE):
                raise
            why = "the service stops it after its time limit"
        else:
            if not order.lacks_rows(len(table), cut, self._sync_limits(order.maxrec, len(table))):
                return table, cut
            why = f"cut at {len(table)} rows"
        logger.info("%s: %s; asking again as a job", self.transport.service.name, why)
        order.say(f"{why}; asking again as a job")
        return self._ask_async(order, stream)

    def _ask_sync(self, order: Order, stream: BinaryIO) -> tuple[QTable, bool]:
        limit = order.maxrec
        table, cut = self._sync(order, limit, stream)
        if limit is None and order.lacks_rows(
            len(table), cut, self._sync_limits(limit, len(table))
        ):
            hard = self.limits()[1]
            if hard and hard > len(table):
                table, cut = self._sync(order, hard, stream)
                limit = hard
        self._refuse_cut(order, table, cut, self._sync_limits(limit, len(table)))
        return table, cut

    def _sync_limits(self, sent: int | None, rows: int) -> set[int | None]:
        """Row limits that a service may keep to without saying so."""
        # Limits are round numbers: the service is asked for its own only where it may matter.
        known = self.limits() if rows and rows % 100 == 0 else (None, None)
        return {self.transport.service.sync_rows, sent, known[0] if sent is None else known[1]}

    def _sync(
        self, order: Order, limit: int | None, stream: BinaryIO, patient: bool = True
    ) -> tuple[QTable, bool]:
        what = "the query"

        def attempt() -> tuple[QTable, bool]:
            empty(stream)
            with self.transport.send(
                "POST",
                f"{self.transport.service.url}/sync",
                what,
                data=self._parameters(order, limit),
                files=order.uploads.files(),
            ) as response:
                self.transport.save(response, stream, what, order.progress)
            return self._parsed(stream)

        return self.transport.call(
            "the query", attempt, progress=order.progress, retry_timeouts=patient
        )

    def _parsed(self, stream: BinaryIO) -> tuple[QTable, bool]:
        named = self.transport.named
        cut = check_whole(stream, named)
        return read_answer(stream, named), cut

    def _parameters(self, order: Order, limit: int | None) -> dict[str, Any]:
        from pyvo.dal import TAPQuery

        # pyvo leaves out a limit of 0, which asks for the columns alone.
        found = dict(TAPQuery(self.transport.service.url, order.query))
        if limit is not None:
            found["MAXREC"] = limit
        return {**found, **order.uploads.parameters()}

    def _refuse_cut(self, order: Order, table: Any, cut: bool, limits: set[int | None]) -> None:
        if not order.lacks_rows(len(table), cut, limits):
            return
        raise TruncatedAnswerError(
            f"{self.transport.named} gave only the first {len(table)} rows, its own limit. Ask "
            "for less, read it in pages (page_by=, --page-by), or say that the first "
            f"{len(table)} rows will do (maxrec=, --maxrec)"
        )

    def _ask_async(self, order: Order, stream: BinaryIO) -> tuple[QTable, bool]:
        limit = order.maxrec if order.maxrec is not None else self.limits()[1]
        runs = JobRuns(self.transport, self._cache, self._parsed)
        table, cut = runs.result(order, self._parameters(order, limit), stream)
        self._refuse_cut(order, table, cut, {limit})
        return table, cut

    def resumed(self, job_url: str, maxrec: int | None, progress: Progress | None) -> QTable:
        """The result of a job by its address."""
        runs = JobRuns(self.transport, self._cache, self._parsed)
        with scratch() as stream:
            table, cut, query = runs.resumed(job_url, stream, progress)
        order = Order(query or "SELECT", Uploads.of(None), maxrec, "", progress)
        self._refuse_cut(order, table, cut, {self.limits()[1]})
        self._describe(table, order, {"query": normalised(order.query), "date": now(), "cut": cut})
        return table

    def limits(self) -> tuple[int | None, int | None]:
        """Rows by default and at most; None: the service does not say."""
        if self._limits is None:
            self._limits = limits_in(self.capabilities())
        return self._limits

    def capabilities(self) -> Any:
        """What the service says of itself."""
        if self._capabilities is None:
            self._capabilities = read_capabilities(self.transport)
        return self._capabilities
