"""HTTP to one service: time-outs, retries with back-off, and errors that say what happened."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar
from urllib.parse import urljoin, urlsplit

from jpassed.exceptions import LoginError, QueryError, ServiceError
from jpassed.vo.failures import TransientError, passing_failure
from jpassed.vo.login import login_form, open_session, split_url
from jpassed.vo.replies import PAGE_HEAD, error_words, is_login, page_title, retry_after

if TYPE_CHECKING:
    from requests import Response

    from jpassed.vo.login import Credentials
    from jpassed.vo.service import Service

__all__ = ["GaveUpError", "Progress", "TransientError", "Transport"]

logger = logging.getLogger(__name__)

Progress = Callable[[str], None]
Result = TypeVar("Result")

LONGEST_PAUSE = 30.0
"""Seconds; of the service's own Retry-After up to `LONGEST_WAIT` are waited."""
LONGEST_WAIT = 300.0
_PIECE = 1 << 17


class GaveUpError(ServiceError):
    """All tries failed; the last with a time-out or not."""

    def __init__(self, message: str, failure: TransientError) -> None:
        super().__init__(message)
        self.reason, self.timeout = failure.reason, failure.timeout


class Transport:
    """Requests to one service.

    Parameters
    ----------
    service : Service
        Its URL without user and password.
    credentials : Credentials or None
    retries : int
        Tries after the first.
    timeout : float
        Seconds without a byte after which a request has failed.
    backoff : float
        Seconds before the first retry; doubled each time, with jitter.
    """

    def __init__(
        self,
        service: Service,
        credentials: Credentials | None,
        *,
        retries: int,
        timeout: float,
        backoff: float,
    ) -> None:
        self.service = service
        self.retries, self.timeout, self.backoff = retries, timeout, backoff
        self.failures = 0
        self._credentials = credentials
        self._session, self._cookies = open_session(service.url, credentials)
        self._nobody = open_session(service.url, None)[0]
        self._logged_in = self._cookie_was_good = False

    def call(
        self,
        what: str,
        attempt: Callable[[], Result],
        *,
        progress: Progress | None = None,
        retry_timeouts: bool = True,
        tries: int | None = None,
        advice: str = "",
    ) -> Result:
        """Run `attempt` until it does not fail for a passing reason.

        Parameters
        ----------
        what : str
            What is done, for messages: "sending the query".
        attempt : callable
            Raises `TransientError` or an error of requests for what may pass.
        progress : callable, optional
        retry_timeouts : bool
            False: a time-out ends it.
        tries : int, optional
            At most so many, instead of as many as for all requests.
        advice : str
            What to do when all tries fail.

        Raises
        ------
        ServiceError
            After the last try. It hangs on no other exception: those of requests know the
            headers that were sent.
        """
        most, rare = tries or self.retries + 1, 0
        for number in range(1, most + 1):
            try:
                result = attempt()
                self._cookie_was_good = self._logged_in
                return result
            except TransientError as exc:
                failure = exc.with_traceback(None)
            except LoginError:
                if not self._expired():
                    raise
                failure = TransientError("the login has expired", wait=0.0, tries=2)
            except Exception as exc:
                found = passing_failure(exc, self.timeout)
                if found is None:
                    raise
                failure = found
            self.failures += 1
            rare += failure.tries is not None
            last = most if failure.tries is None else min(most, number - rare + failure.tries)
            pause = self._pause(number, failure.wait)
            if number >= last or (failure.timeout and not retry_timeouts) or pause is None:
                break
            logger.warning(
                "%s: %s failed: %s; trying again in %.1f s (try %d of %d)",
                self.service.name, what, failure.reason, pause, number + 1, last,
            )  # fmt: skip
            if progress:
                progress(f"{failure.reason}; trying again in {pause:.0f} s ({number + 1}/{last})")
            time.sleep(pause)
        times = "once" if number == 1 else f"{number} times"
        if pause is None and number < last:
            advice = f"It asks to wait {failure.wait:.0f} s: try again after that"
        raise GaveUpError(
            f"{self.named}: {what} failed {times}: {failure.reason}. "
            f"{advice or 'Check the network and the service, and try again later'}",
            failure,
        )

    @property
    def named(self) -> str:
        """The service in messages."""
        name, url = self.service.name, self.service.url
        return url if name in ("", url) else f"{name} ({url})"

    def _pause(self, number: int, asked: float | None) -> float | None:
        if asked is not None:
            return None if asked > LONGEST_WAIT else max(asked, 0.0)
        longest = min(self.backoff * 2.0 ** (number - 1), LONGEST_PAUSE)
        return longest * random.uniform(0.5, 1.0)

    @contextmanager
    def send(
        self,
        method: str,
        url: str,
        what: str,
        *,
        ok: tuple[int, ...] = (200,),
        anonymous: bool = False,
        **given: Any,
    ) -> Iterator[Response]:
        """One request, streamed; its status is looked at, its body is not yet read.

        Parameters
        ----------
        method, url : str
        what : str
            For messages.
        ok : tuple of int
            The status codes that are no error.
        anonymous : bool
            Whether to send no login, although there is one.
        given : dict
            To requests: data, files, params, allow_redirects.

        Raises
        ------
        TransientError
            For a status that may pass.
        LoginError, QueryError, ServiceError
        """
        if not anonymous:
            self._log_in()
        session: Any = self._nobody if anonymous else self._session
        timeout = (min(self.timeout, 20.0), self.timeout)
        settled = "allow_redirects" in given
        given.setdefault("allow_redirects", method == "GET")
        place = ""
        with getattr(session, method.lower())(
            url, timeout=timeout, stream=True, **given
        ) as response:
            logger.debug("%s %s: %d", method, url, response.status_code)
            if response.is_redirect and not settled:
                place = self._followed(url, response)
            else:
                if response.status_code not in ok:
                    self._refuse(response, what)
                yield response
        if place:
            with self.send("GET", place, what, ok=ok, anonymous=anonymous) as response:
                yield response

    def _followed(self, url: str, response: Response) -> str:
        """Where a POST is to be gone on with a GET.

        requests would repeat it as a GET without what was posted, also where the service has
        merely moved (to https, mostly).
        """
        place = urljoin(url, response.headers["Location"])
        if place == url:
            raise TransientError("it redirects without end", tries=1)
        if response.status_code != 303 and urlsplit(place).path.endswith(("/sync", "/async")):
            moved = split_url(place)[0]
            raise ServiceError(f"{self.named} has moved: use the URL {moved}")
        return place

    def read(self, method: str, url: str, what: str, *, progress: Progress | None = None) -> bytes:
        """The body of a small page, with retries."""

        def attempt() -> bytes:
            with self.send(method, url, what) as response:
                return response.content

        return self.call(what, attempt, progress=progress)

    def save(
        self, response: Response, target: BinaryIO, what: str, progress: Progress | None
    ) -> int:
        """Write the body of an answer to a file; number of bytes."""
        total, said = 0, time.monotonic()
        kind = response.headers.get("Content-Type", "")
        for piece in response.iter_content(_PIECE):
            if not total:
                self.refuse_page(piece, kind, str(response.url), what)
            target.write(piece)
            total += len(piece)
            if progress and time.monotonic() - said > 0.5:
                said = time.monotonic()
                progress(f"fetching: {total / 1e6:.1f} MB")
        return total

    def refuse_page(self, head: bytes, kind: str, url: str, what: str) -> None:
        """Raise if an answer is a web page, or anything else but XML."""
        start = head[:PAGE_HEAD].lstrip().lower()
        page = start.startswith((b"<!doctype html", b"<html")) or (
            "html" in kind.lower() and b"<votable" not in start
        )
        if page:
            title = page_title(head)
            said = f"a web page{f' titled {title!r}' if title else ''}"
            if is_login(head, title, url):
                raise LoginError(self._login_needed(f"answers {what} with {said}"))
            raise TransientError(f"it answers with {said} instead of a table", tries=2)
        if not start.startswith((b"<", b"\xef\xbb\xbf<")):
            shown = " ".join(head[:80].decode("utf-8", "replace").split())
            raise TransientError(
                f"it answers with {kind or 'no content type'} instead of a VOTable: {shown!r}",
                tries=2,
            )

    def _refuse(self, response: Response, what: str) -> None:
        status, url = response.status_code, str(response.url)
        head = _first(response)
        if status in (401, 403):
            raise LoginError(self._login_needed(f"refuses {what} (HTTP {status})"))
        said = error_words(head) or page_title(head)
        shown = f"HTTP {status} {response.reason or ''}".strip() + (f": {said}" if said else "")
        if status == 500 and error_words(head):
            raise QueryError(f"{self.named} refuses the query: {said}")
        if status in (408, 425, 429, 500, 502, 503, 504) or status > 520:
            raise TransientError(
                shown,
                wait=retry_after(response.headers.get("Retry-After")),
                timeout=status in (408, 504),
            )
        if error_words(head) and status in (400, 422):
            raise QueryError(f"{self.named} refuses the query: {said}")
        if status == 413:
            raise ServiceError(
                f"{self.named}: {what} failed: {shown}. The upload is too large for the service: "
                "send it in smaller pieces"
            )
        error = ServiceError(
            f"{self.named}: {what} failed: {shown} ({url}). Check that the URL is that of a TAP "
            "service, without /sync"
        )
        error.status = status  # type: ignore[attr-defined]
        raise error

    def _login_needed(self, happened: str) -> str:
        if self._credentials is None:
            return (
                f"{self.named} {happened}: it wants a login. Give credentials=Credentials(user, "
                "password), set JPASSED_VO_USER and JPASSED_VO_PASSWORD, or add the service's host "
                "to ~/.netrc"
            )
        who = self._credentials.identity or "the token's owner"
        return (
            f"{self.named} {happened} although a login was sent, as {who}: check user and "
            "password, and that this user may see the release"
        )

    def _expired(self) -> bool:
        """Whether a cookie that was good may have run out; then it is asked for anew."""
        if self._cookies is None or not self._cookie_was_good:
            return False
        self._logged_in = self._cookie_was_good = False
        self._cookies.cookies.clear()
        return True

    def _log_in(self) -> None:
        """Once, where a login page is to be gone through."""
        if self._cookies is None or self._credentials is None or self._logged_in:
            return
        form = login_form(self.service.url)
        if form is None:
            return
        # In one expression: no variable here holds the password when an error is raised.
        answer = self._cookies.post(
            form.url,
            data={
                form.user: self._credentials.user,
                form.password: self._credentials.password.reveal(),
                **form.further,
            },
            timeout=self.timeout,
        )
        if answer.status_code in (401, 403) or (
            answer.ok and is_login(answer.content, page_title(answer.content), "")
        ):
            raise LoginError(self._login_needed("refuses the login"))
        if not answer.ok:
            raise TransientError(f"the login page {form.url} answers HTTP {answer.status_code}")
        self._logged_in = True


def _first(response: Response) -> bytes:
    """The beginning of an answer's body; what came where it breaks off."""
    head = b""
    try:
        for piece in response.iter_content(PAGE_HEAD):
            head += piece
            if len(head) >= PAGE_HEAD:
                break
    except OSError as exc:
        logger.debug("the body of an error broke off: %s", type(exc).__name__)
    return head
