"""What the service says to the client that sent a message, and to those that get the result."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jpassed.exceptions import InputError
from jpassed.samp.connection import CLIENT_NAME, HUB_TROUBLE, client_name, subscribers
from jpassed.samp.requests import ANNOTATE, Request
from jpassed.samp.sending import load_message, receivers_of, reply_text

if TYPE_CHECKING:
    from pyvo.samp import SAMPIntegratedClient

    from jpassed.samp.work import Answer

__all__ = ["Conversation"]

logger = logging.getLogger(__name__)

PROGRESS = "samp.msg.progress"
SECONDS_BETWEEN_REPORTS = 1.0
_tags = itertools.count(1)


class Conversation:
    """One message and all that is said about it.

    Parameters
    ----------
    client : SAMPIntegratedClient
    request : Request
    tell : callable
        Takes a line for the user of the service.
    to_all : bool
        Whether results go to every client.
    """

    def __init__(
        self,
        client: SAMPIntegratedClient,
        request: Request,
        tell: Callable[[str], None],
        to_all: bool,
    ) -> None:
        self._client = client
        self.request = request
        self._tell = tell
        self._to_all = to_all
        self._sender = client_name(client, request.sender)
        self._wants_progress: bool | None = None
        self._reported = 0.0

    def refuse_relatives(self) -> None:
        """Refuse the tables of another jpassed: two services would never come to an end."""
        if self._sender == CLIENT_NAME and self.request.mtype != ANNOTATE:
            raise InputError("it comes from jpassed itself, and is not annotated again")

    # --- to the sender ------------------------------------------------------------------------

    def progress(self, done: int, total: int) -> None:
        """Report how far the work is, where the sender listens; at most once a second."""
        now = time.monotonic()
        if now - self._reported < SECONDS_BETWEEN_REPORTS and done < total:
            return
        self._reported = now
        self._report(f"{done} of {total} rows", 100.0 * done / max(total, 1))

    def _report(self, text: str, percent: float) -> None:
        try:
            if self._wants_progress is None:
                listening = subscribers(self._client, PROGRESS)
                self._wants_progress = self.request.sender in listening
            if self._wants_progress:
                self._client.enotify(
                    self.request.sender,
                    PROGRESS,
                    msgid=self.request.message_id or "",
                    txt=f"jpassed: {text}",
                    percent=f"{percent:.0f}",
                )
        except HUB_TROUBLE as exc:
            logger.debug("no progress reported: %s", exc)

    def fail(self, reason: str, *, quiet: bool = False) -> None:
        """Answer with an error; a notification has no answer, so that it is reported as well."""
        if not quiet:
            self._tell(f"{self._sender}: {self.request.mtype} failed: {reason}")
        first = next(iter(reason.splitlines()), "no reason given")
        error = {"samp.errortxt": first, "samp.usertxt": reason}
        self._reply("samp.error", {}, error)
        self._report(f"failed: {reason}", 100.0)

    def _reply(self, status: str, result: dict[str, str], error: dict[str, str] | None) -> None:
        if self.request.message_id is None:
            return
        try:
            self._client.ereply(self.request.message_id, status, result=result, error=error)
        except HUB_TROUBLE as exc:
            logger.warning("%s did not hear the answer: %s", self._sender, exc)

    # --- the result ---------------------------------------------------------------------------

    def deliver(self, answer: Answer) -> None:
        """Send the result to who wants it, and answer the message."""
        if answer.table is None:
            self._tell(f"{answer.name}: {answer.said}")
            self._reply("samp.ok", answer.result(), None)
            return
        if self.request.mtype == ANNOTATE:
            answer.write("votable")
            self._tell(f"{answer.name}: {answer.said}; {self._sender} has its address")
            self._reply("samp.ok", answer.result(), None)
            return
        receivers = self._receivers(answer)
        names = [
            client_name(self._client, receiver)
            for receiver, form in receivers.items()
            if self._send(answer, receiver, form)
        ]
        if names:
            self._tell(f"{answer.name}: {answer.said}; sent to {', '.join(names)}")
            self._reply("samp.ok", answer.result(), None)
            return
        url = answer.write("votable")
        self._tell(f"{answer.name}: {answer.said}, but no program on the hub takes tables")
        reason = f"annotated, but no client takes tables; the result is {url} until jpassed ends"
        self._reply("samp.warning", answer.result(), {"samp.errortxt": reason})

    def _send(self, answer: Answer, receiver: str, form: str, table_id: str = "") -> bool:
        """Ask one receiver to load the result; whether the hub took the message."""
        url = answer.write(form)
        own = answer.table_id or url
        tag = f"jpassed-{next(_tags)}"

        def heard(private_key: str, sender: str, tag: str, response: dict[str, Any]) -> None:
            self._client.unbind_receive_response(tag)
            said = reply_text(response)
            if said == "loaded":
                return
            # TOPCAT refuses a second table under an id that it knows; others show the new one.
            if not table_id and self._send(answer, receiver, form, answer.another_id()):
                return
            self._tell(f"{client_name(self._client, sender)} could not load the result: {said}")

        message = load_message(form, url, table_id or own, answer.title)
        self._client.bind_receive_response(tag, heard)
        try:
            self._client.call(receiver, tag, message)
        except HUB_TROUBLE as exc:  # it has left the hub meanwhile
            logger.warning("%s did not take the result: %s", receiver, exc)
            return False
        return True

    def _receivers(self, answer: Answer) -> dict[str, str]:
        """Public ids and the format in which each gets the table."""
        takers = receivers_of(self._client)
        everybody = set().union(*takers.values())
        # One that sends tables and takes none (STILTS) sends them for others to see.
        chosen = everybody
        if not self._to_all and self.request.sender in everybody:
            chosen = {self.request.sender}
        found = {}
        for receiver in sorted(chosen):
            first = answer.wanted_format
            found[receiver] = first if receiver in takers[first] else _other(first)
        return found


def _other(form: str) -> str:
    return "fits" if form == "votable" else "votable"
