"""A query as a job from its submission to its result, also over breaks and restarts."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from jpassed.exceptions import InputError, JpassedError, LoginError, ServiceError
from jpassed.vo.adql import normalised
from jpassed.vo.cache import AnswerCache, alive
from jpassed.vo.jobs import Job, JobGoneError, JobLostError, Jobs
from jpassed.vo.order import Order, empty
from jpassed.vo.transport import GaveUpError, Progress, Transport

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["JobRuns"]

logger = logging.getLogger(__name__)

NEW_JOBS = 3
"""So many jobs at most for one query, where a service loses them."""

_BUSY: set[str] = set()
"""Keys of the jobs that threads of this process wait for."""


class JobRuns:
    """Runs queries as jobs.

    Parameters
    ----------
    transport : Transport
    cache : AnswerCache
        Keeps the addresses of running jobs.
    parse : callable
        Table and overflow of an answer in a file; raises TransientError.
    """

    def __init__(
        self,
        transport: Transport,
        cache: AnswerCache,
        parse: Callable[[BinaryIO], tuple[QTable, bool]],
    ) -> None:
        self._transport, self._cache, self._parse = transport, cache, parse

    def result(
        self, order: Order, parameters: Mapping[str, Any], stream: BinaryIO
    ) -> tuple[QTable, bool]:
        """The table of a query, and whether it was cut.

        Goes on with the job that another run of the same query has left, if the service still
        knows it. The job is deleted when its result is here, when it failed, and on Ctrl-C; it is
        left, and its address kept, where the service does not answer any more.
        """
        jobs = Jobs(self._transport, order.progress)
        mine = order.key not in _BUSY
        job = self._left(order) if mine else None
        if mine:
            _BUSY.add(order.key)
        try:
            if job is not None:
                try:
                    return self._finish(jobs, job, order, stream)
                except (GaveUpError, LoginError):
                    raise
                except JpassedError as exc:
                    reason = str(exc)
                logger.info("the job that was left is of no use (%s); sending another", reason)
            for number in range(1, NEW_JOBS + 1):
                job = jobs.submit(parameters, order.uploads.files)
                logger.info("%s: job %s", self._transport.service.name, job.url)
                order.say(f"job {job.url}")
                if mine:
                    self._remember(order, job)
                try:
                    return self._finish(jobs, job, order, stream)
                except (JobGoneError, JobLostError) as exc:
                    reason = str(exc)
                logger.warning("%s (job %d of %d)", reason, number, NEW_JOBS)
                order.say(f"the job was lost; sending it again ({number}/{NEW_JOBS})")
        finally:
            if mine:
                _BUSY.discard(order.key)
        raise ServiceError(
            f"{self._transport.named} lost the job {NEW_JOBS} times: {reason}. Try again later"
        )

    def resumed(
        self, job_url: str, stream: BinaryIO, progress: Progress | None
    ) -> tuple[QTable, bool, str]:
        """Table, overflow and query of a job by its address."""
        jobs = Jobs(self._transport, progress)
        job = jobs.named(job_url)
        reason = ""
        try:
            summary = jobs.look(job)
            query = _query_of(summary)
            order = Order(query or "SELECT", _nothing(), None, "", progress)
            return (*self._finish(jobs, job, order, stream), query)
        except (JobGoneError, JobLostError) as exc:
            reason = str(exc)
        raise ServiceError(f"{reason}. It may have been fetched already; send the query again")

    def _left(self, order: Order) -> Job | None:
        note = self._cache.job(order.key)
        if note is None or alive(note):
            return None
        try:
            job = Jobs(self._transport).named(str(note["job_url"]))
        except InputError:
            return None
        logger.info("%s: going on with the job %s", self._transport.service.name, job.url)
        order.say(f"going on with the job {job.url}")
        return job

    def _remember(self, order: Order, job: Job) -> None:
        self._cache.keep_job(
            order.key,
            {
                "job_url": job.url,
                "service": self._transport.service.url,
                "query": normalised(order.query),
                "time": time.time(),
                "pid": os.getpid(),
                "host": socket.gethostname(),
            },
        )

    def _finish(self, jobs: Jobs, job: Job, order: Order, stream: BinaryIO) -> tuple[QTable, bool]:
        """Start it, wait for it, fetch its result; delete it unless it may be of use later."""
        interrupted, failures = False, self._transport.failures
        try:
            jobs.start(job)
            summary = jobs.wait(job, failures)

            def attempt() -> tuple[QTable, bool]:
                empty(stream)
                jobs.fetch(job, summary, stream)
                return self._parse(stream)

            found = self._transport.call(
                "fetching the result", attempt, progress=order.progress,
                advice=f"The job is done: fetch it later with the job URL {job.url}, or ask the "
                "same query again",
            )  # fmt: skip
        except (KeyboardInterrupt, SystemExit):
            interrupted = True
        except (GaveUpError, LoginError):
            raise  # it can be gone on with
        except JpassedError:
            self._end(jobs, job, order)
            raise
        if interrupted:
            logger.info("interrupted: deleting the job %s", job.url)
            order.say("interrupted: deleting the job")
        self._end(jobs, job, order)
        if interrupted:
            raise KeyboardInterrupt
        return found

    def _end(self, jobs: Jobs, job: Job, order: Order) -> None:
        jobs.delete(job)
        self._cache.drop_job(order.key)


def _query_of(summary: Any) -> str:
    for parameter in summary.parameters or ():
        if str(parameter.id_).lower() == "query":
            return str(parameter.content or "")
    return ""


def _nothing() -> Any:
    from jpassed.vo.uploads import Uploads

    return Uploads.of(None)
