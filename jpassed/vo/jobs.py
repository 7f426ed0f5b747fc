"""Asynchronous queries: a job is made, started, waited for, fetched and deleted (UWS)."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urljoin, urlsplit

from jpassed.exceptions import InputError, JpassedError, QueryError, ServiceError
from jpassed.vo.failures import TransientError
from jpassed.vo.replies import error_words, plain_words

if TYPE_CHECKING:
    from jpassed.vo.transport import Progress, Transport

__all__ = ["Job", "JobGoneError", "JobLostError", "Jobs"]

logger = logging.getLogger(__name__)

ACTIVE = ("PENDING", "QUEUED", "EXECUTING", "HELD", "SUSPENDED", "UNKNOWN")
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two looks at a job; each pause is half as long again as the one before."""


class JobGoneError(JpassedError):
    """A job that the service does not know (any more)."""


class JobLostError(JpassedError):
    """A job that ended badly after requests had failed: the service may have restarted."""


@dataclass(frozen=True)
class Job:
    """A job of a service.

    Attributes
    ----------
    url : str
        Below the service's URL as the user gave it: what a service behind a proxy says of its
        own address need not be reachable.
    """

    url: str


class Jobs:
    """The jobs of one query.

    Parameters
    ----------
    transport : Transport
    progress : callable, optional
    """

    def __init__(self, transport: Transport, progress: Progress | None = None) -> None:
        self._transport = transport
        self._progress = progress
        self._base = f"{transport.service.url}/async"
        self._doubtful: tuple[str, str] | None = None
        self._places: dict[str, str] = {}
        self._given: dict[str, str] = {}  # where the service itself says that a job is

    def submit(self, parameters: Mapping[str, Any], files: Callable[[], Any]) -> Job:
        """Make a job, which does not run yet.

        Parameters
        ----------
        parameters : mapping
            Of the query.
        files : callable
            Gives the uploads anew for each try.

        Notes
        -----
        Where the answer to a submission is lost, the job may have been made: the service's list
        is searched for it before another is sent. A job that was made and not found never runs,
        since jobs are started by a second request.
        """
        marker = "".join(secrets.choice(" \t") for _ in range(32))
        runid = f"jpassed-{secrets.token_hex(6)}"
        sent = {**parameters, "QUERY": f"{parameters['QUERY']}{marker}", "RUNID": runid}
        tries = 0

        def attempt() -> Job:
            nonlocal tries
            tries += 1
            if tries > 1:
                self._doubtful = marker, runid
                found = self._search(marker, runid)
                if found:
                    logger.info("found the job of the submission that was cut: %s", found[0])
                    return Job(found[0])
            return self._post(sent, files())

        interrupted = False
        try:
            job = self._transport.call("sending the job", attempt, progress=self._progress)
        except KeyboardInterrupt:
            interrupted = True
        if interrupted:
            self._doubtful = marker, runid
            self._delete_others(Job(""))
            raise KeyboardInterrupt
        self._delete_others(job)
        return job

    def _post(self, sent: Mapping[str, Any], files: Any) -> Job:
        with self._transport.send(
            "POST", self._base, "the job", ok=(200, 201, 301, 302, 303, 307, 308),
            data=sent, files=files, allow_redirects=False,
        ) as response:  # fmt: skip
            place = urljoin(self._base, response.headers.get("Location") or "")
            if urlsplit(place).path.endswith("/async") and place != self._base:
                raise ServiceError(
                    f"{self._transport.named} has moved: use the URL {place.removesuffix('/async')}"
                )
            if place == self._base:
                kind = response.headers.get("Content-Type", "")
                self._transport.refuse_page(response.content, kind, self._base, "the job")
                said = error_words(response.content)
                if said:
                    raise QueryError(f"{self._transport.named} refuses the query: {said}")
                raise TransientError("it says not where the job is", tries=2)
        if "/async/" not in urlsplit(place).path:
            # The page of a login, perhaps.
            with self._transport.send("GET", place, "the job") as response:
                kind = response.headers.get("Content-Type", "")
                self._transport.refuse_page(response.content, kind, place, "the job")
        job = Job(self._own(place))
        if urlsplit(place).netloc == urlsplit(job.url).netloc:
            self._given[job.url] = place
        return job

    def named(self, url: str) -> Job:
        """A job by its address.

        Raises
        ------
        InputError
            If it is not that of a job of this service.
        """
        host, own = urlsplit(url).hostname, urlsplit(self._base).hostname
        if host != own or "/async/" not in url:
            raise InputError(
                f"a job of {self._transport.named} has a URL like {self._base}/JOB; got {url!r}"
            )
        return Job(self._own(url))

    def _own(self, place: str) -> str:
        """The address of a job below the service's own URL."""
        found = re.search(r"/async/([^/?#]+)", urlsplit(place).path)
        if found is None:
            raise TransientError(f"it names no job, but {place}", tries=2)
        return f"{self._base}/{found[1]}"

    def _search(self, marker: str, runid: str) -> list[str]:
        """Addresses of pending jobs of this very query, where the service lists jobs.

        They are known by their RUNID, or by the white space that ends their query: not every
        service keeps the RUNID.
        """
        from pyvo.io import uws

        found = []
        try:
            with self._transport.send("GET", f"{self._base}?PHASE=PENDING", "the list") as answer:
                listed = list(uws.parse_job_list(BytesIO(answer.content).read))
            for entry in listed[-50:]:
                if entry.phase not in (None, "PENDING") or not entry.jobid:
                    continue
                address = f"{self._base}/{entry.jobid}"
                with self._transport.send("GET", address, "the job") as answer:
                    content = answer.content
                if f"{marker}<".encode() in content or runid.encode() in content:
                    found.append(address)
        except Exception as exc:
            # Many services list no jobs to strangers, and whatever happens here: a job that was
            # made and is not found never runs.
            logger.debug("the list of jobs cannot be read: %s", type(exc).__name__)
        return found

    def _delete_others(self, job: Job) -> None:
        """Delete what cut submissions may have left beside the job."""
        if self._doubtful is None:
            return
        for url in self._search(*self._doubtful):
            if url != job.url:
                logger.info("deleting the job that a cut submission left: %s", url)
                self._delete(Job(url))

    def look(self, job: Job) -> Any:
        """The job's present state (pyvo's JobSummary).

        Raises
        ------
        JobGoneError
            If the service does not know it.
        """
        from pyvo.io import uws

        def attempt() -> Any:
            with self._transport.send(
                "GET", self._at(job), "looking at the job", ok=(200, 404, 410)
            ) as response:
                content = response.content
                kind = response.headers.get("Content-Type", "")
            if response.status_code != 200:
                return None
            self._transport.refuse_page(content, kind, job.url, "looking at the job")
            if not re.search(rb"</(?:\w+:)?job\s*>\s*$", content):
                raise TransientError("the description of the job broke off")
            try:
                summary = uws.parse_job(BytesIO(content).read)
            except Exception as exc:  # the parser's errors are of many kinds
                reason = type(exc).__name__
            else:
                return summary
            raise TransientError(f"the description of the job cannot be read ({reason})", tries=3)

        summary = self._transport.call(
            "looking at the job", attempt, progress=self._progress,
            advice=f"The job may still run: go on later with the job URL {job.url}, or ask the "
            "same query again",
        )  # fmt: skip
        if summary is None and self._given.get(job.url, job.url) not in (job.url, self._at(job)):
            self._places[job.url] = self._given[job.url]
            return self.look(job)
        if summary is None:
            raise JobGoneError(f"{self._base}: there is no job {job.url}")
        return summary

    def _at(self, job: Job) -> str:
        """Where the job is spoken to: below the service's own URL, unless it is not known there."""
        return self._places.get(job.url, job.url)

    def start(self, job: Job) -> None:
        """Let it run, once: a job that runs must not be started again."""

        def attempt() -> None:
            if self.look(job).phase not in (None, "PENDING", "HELD"):
                return
            with self._transport.send(
                "POST", f"{self._at(job)}/phase", "starting the job",
                ok=(200, 201, 202, 204, 302, 303),
                data={"PHASE": "RUN"}, allow_redirects=False,
            ):  # fmt: skip
                return

        self._transport.call("starting the job", attempt, progress=self._progress)

    def wait(self, job: Job, failures: int) -> Any:
        """Until it has ended; its last state.

        Parameters
        ----------
        job : Job
        failures : int
            Of requests so far when the job was taken up. If there are more when it ends in an
            error, the error may come from there: a server that restarts fails its jobs, and so
            does a start that arrives twice.

        Raises
        ------
        QueryError
            If it ended in an error, with the service's words.
        JobLostError
            If it ended in an error and requests failed meanwhile.
        JobGoneError
        ServiceError
        """
        pause, began, seen = FIRST_PAUSE, time.monotonic(), ""
        while True:
            summary = self.look(job)
            phase = str(summary.phase or "UNKNOWN").upper()
            if phase not in ACTIVE:
                break
            if phase == "PENDING":
                self.start(job)
            if self._progress and (phase != seen or time.monotonic() - began > 2):
                passed = time.monotonic() - began
                self._progress(phase.lower() + (f" for {passed:.0f} s" if passed > 1 else ""))
            if phase != seen:
                logger.info("%s: %s", job.url, phase.lower())
            seen = phase
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)
        if phase == "COMPLETED":
            return summary
        if phase == "ARCHIVED":
            raise JobGoneError(f"{self._base}: the result of {job.url} is not kept any more")
        message = getattr(getattr(summary, "errorsummary", None), "message", None)
        said = " ".join(str(getattr(message, "content", "") or "").split()) or self._error_of(job)
        named = self._transport.named
        if self._transport.failures > failures:
            raise JobLostError(f"{named}: the job ended as {phase} after requests failed: {said}")
        if phase == "ERROR":
            raise QueryError(f"{named} refuses the query: {said}")
        limit = getattr(summary, "executionduration", None)
        raise ServiceError(
            f"{named}: the job {job.url} ended as {phase}: {said}. The service may limit how long "
            f"a job runs{f' (here {limit} s)' if limit else ''}: ask for less, or in pages"
        )

    def _error_of(self, job: Job) -> str:
        """What the page of its error says, where the job itself says nothing."""
        try:
            with self._transport.send("GET", f"{self._at(job)}/error", "the error") as response:
                content = response.content
        except (JpassedError, TransientError, OSError) as exc:
            logger.debug("no page of the error: %s", type(exc).__name__)
            return "no reason given"
        return error_words(content) or plain_words(content.decode("utf-8", "replace"))[:500]

    def fetch(self, job: Job, summary: Any, target: BinaryIO) -> None:
        """One try to write the result of a completed job to a file."""
        what = "fetching the result"
        place = self._result(job, summary)
        with self._transport.send("GET", place, what, ok=(200, 404, 410)) as response:
            if response.status_code != 200:
                raise JobGoneError(f"{self._base}: the result of {job.url} is not there any more")
            self._transport.save(response, target, what, self._progress)

    def _result(self, job: Job, summary: Any) -> str:
        default = f"{self._at(job)}/results/result"
        places = [str(r.href) for r in summary.results or () if getattr(r, "href", None)]
        named = [p for p in places if urlsplit(p).path.endswith("/results/result")]
        if named or not places:
            return default
        chosen = [str(r.href) for r in summary.results if r.id_ == "result" and r.href] or places
        return urljoin(f"{job.url}/", chosen[0])

    def delete(self, job: Job) -> bool:
        """Delete it; whether that worked. Never raises for a service that does not answer."""
        done = self._delete(job)
        self._delete_others(job)
        return done

    def _delete(self, job: Job) -> bool:

        def attempt() -> None:
            with self._transport.send(
                "DELETE", self._at(job), "deleting the job", ok=(200, 202, 204, 302, 303, 404, 410),
                allow_redirects=False,
            ):  # fmt: skip
                return

        try:
            self._transport.call("deleting the job", attempt, tries=2)
        except JpassedError as exc:
            logger.warning("the job %s could not be deleted: %s", job.url, exc)
            return False
        logger.debug("deleted the job %s", job.url)
        return True
