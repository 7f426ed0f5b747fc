"""A client of the SAMP hub that annotates the tables it receives."""

from __future__ import annotations

import logging
import queue
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from jpassed.exceptions import JpassedError, ServiceError
from jpassed.samp.connection import (
    HUB_TROUBLE,
    connect,
    disconnect,
    is_alive,
)
from jpassed.samp.conversation import Conversation
from jpassed.samp.fetching import MAX_BYTES, Limits
from jpassed.samp.requests import MTYPES, Request, read_request
from jpassed.samp.work import StoppedError, Workbench

if TYPE_CHECKING:
    from pyvo.samp import SAMPIntegratedClient

__all__ = ["AnnotationService"]

logger = logging.getLogger(__name__)

DESCRIPTION = (
    "Predicts what is not known of galaxies from what is: send it a table with bandfluxes, it "
    "comes back with new columns; send it a row selection, and these rows are done."
)
LEAVING = "jpassed is leaving the hub; the table was not annotated"
LONGEST_QUEUE = 100
SECONDS_BETWEEN_PINGS = 2.0
SECONDS_BETWEEN_TRIES = 1.0
GOODBYES = ("samp.hub.event.shutdown", "samp.hub.disconnect")


class AnnotationService:
    """Annotates tables that programs such as TOPCAT and Aladin send through the SAMP hub.

    A table that arrives (``table.load.votable``, ``table.load.fits``) is annotated and sent back
    under its table-id. A selection of its rows (``table.select.rowList``) annotates those of them
    that have no predictions yet; the table that is sent back has all rows, so that row numbers
    keep their meaning, and predictions for the selected ones. A call is answered when the work is
    done, or with an error that says why it is not; the service lives on.

    Parameters
    ----------
    options : mapping, optional
        Arguments of `jpassed.annotate`, e.g. ``{"outputs": ["z"], "context": {"z": "z_spec"}}``.
    wait : bool
        Wait for a hub where there is none, and for the next one where it goes away.
    on_selection : bool
        Annotate only the rows that are selected; tables are merely remembered.
    to_all : bool
        Send results to every client, not only to the one whose table it is.
    allow_remote : bool
        Fetch tables of other machines as well.
    max_bytes : int
        Largest file that is read.
    tell : callable, optional
        Called with a line of text for each thing that happens; by default it is logged.

    Examples
    --------
    >>> from jpassed.samp import AnnotationService
    >>> with AnnotationService({"outputs": ["z"]}) as service:  # doctest: +SKIP
    ...     service.run()
    """

    def __init__(
        self,
        options: Mapping[str, Any] | None = None,
        *,
        wait: bool = False,
        on_selection: bool = False,
        to_all: bool = False,
        allow_remote: bool = False,
        max_bytes: int = MAX_BYTES,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self._options = dict(options or {})
        self._wait = wait
        self._to_all = to_all
        self._tell = tell or logger.info
        self._limits = Limits(allow_remote, max_bytes)
        self._on_selection = on_selection
        self._queue: queue.Queue[Request | None] = queue.Queue(LONGEST_QUEUE)
        self._stop = threading.Event()
        self._hub_gone = threading.Event()
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._client: SAMPIntegratedClient | None = None

    # --- life ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until `stop` is called, or until the hub goes away and `wait` is false.

        Raises
        ------
        ServiceError
            If there is no hub and `wait` is false.
        JpassedError
            If the options cannot be used: an unknown output, a missing model.
        """
        with tempfile.TemporaryDirectory(prefix="jpassed-samp-") as folder:
            bench = Workbench(
                self._options,
                Path(folder),
                on_selection=self._on_selection,
                interrupted=lambda: self._stop.is_set() or self._hub_gone.is_set(),
                limits=self._limits,
            )
            while not self._stop.is_set():
                client = self._connect()
                if client is None:
                    return
                try:
                    self._serve(client, bench)
                finally:
                    self._leave(client)
                if not self._stop.is_set():
                    self._tell("the SAMP hub has gone")
                if not self._wait:
                    return

    def start(self) -> None:
        """Run in a thread of its own; returns when the service is on the hub.

        With `wait` it returns at once, whether or not there is a hub.

        Raises
        ------
        JpassedError
            See `run`.
        """
        trouble: list[BaseException] = []

        def work() -> None:
            try:
                self.run()
            except BaseException as exc:
                # It is raised again below where it kept the service from starting.
                trouble.append(exc)
                if self._ready.is_set():
                    logger.error("the SAMP service has ended: %s", exc)
            finally:
                self._ready.set()

        self._ready.clear()
        self._stop.clear()
        self._thread = threading.Thread(target=work, name="jpassed-samp", daemon=True)
        self._thread.start()
        if not self._wait:
            self._ready.wait()
        if trouble:
            raise trouble[0]

    def stop(self) -> None:
        """Leave the hub; a table in work is given up, and its sender told so."""
        self._stop.set()
        self._wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
            self._thread = None

    def __enter__(self) -> AnnotationService:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # --- on the hub ---------------------------------------------------------------------------

    def _connect(self) -> SAMPIntegratedClient | None:
        """A registered and subscribed client; None if stopped while waiting for a hub."""
        told = False
        while not self._stop.is_set():
            try:
                client = connect(DESCRIPTION)
            except ServiceError:
                if not self._wait:
                    raise
                if not told:
                    self._tell("waiting for a SAMP hub")
                told = True
                self._stop.wait(SECONDS_BETWEEN_TRIES)
                continue
            try:
                self._subscribe(client)
            except HUB_TROUBLE as exc:
                disconnect(client)
                if not self._wait:
                    raise ServiceError(f"the SAMP hub went away: {exc}") from exc
                continue
            self._tell("on the SAMP hub, ready for tables")
            self._ready.set()
            return client
        return None

    def _subscribe(self, client: SAMPIntegratedClient) -> None:
        self._hub_gone.clear()
        self._client = client
        for mtype in GOODBYES:
            client.bind_receive_notification(mtype, self._hear_goodbye, declare=False)
        for mtype in MTYPES:
            client.bind_receive_message(mtype, self._hear, declare=False)
        client.client.declare_subscriptions()

    def _hear(
        self,
        private_key: str,
        sender: str,
        message_id: str | None,
        mtype: str,
        params: Any,
        extra: Any,
    ) -> None:
        """Called in a thread of the XML-RPC server: nothing is done here."""
        request = read_request(sender, message_id, mtype, params)
        try:
            self._queue.put_nowait(request)
        except queue.Full:
            if self._client is not None:
                talk = Conversation(self._client, request, self._tell, self._to_all)
                talk.fail(f"{LONGEST_QUEUE} messages are waiting already; send it later")

    def _hear_goodbye(
        self, private_key: str, sender: str, mtype: str, params: Any, extra: Any
    ) -> None:
        self._hub_gone.set()
        self._wake()

    def _wake(self) -> None:
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            logger.debug("the queue is full, nobody needs to be woken")

    def _serve(self, client: SAMPIntegratedClient, bench: Workbench) -> None:
        while not (self._stop.is_set() or self._hub_gone.is_set()):
            try:
                request = self._queue.get(timeout=SECONDS_BETWEEN_PINGS)
            except queue.Empty:
                request = None
                if not is_alive(client):
                    return
            if request is None:
                continue
            talk = Conversation(client, request, self._tell, self._to_all)
            try:
                self._answer(talk, bench)
            except HUB_TROUBLE as exc:
                if not is_alive(client):
                    return
                logger.warning("the hub refused a message: %s", exc)

    def _answer(self, talk: Conversation, bench: Workbench) -> None:
        """Do what one message asks; whatever goes wrong with it is said to its sender."""
        try:
            talk.refuse_relatives()
            answer = bench.do(talk.request, talk.progress)
        except StoppedError:
            talk.fail(LEAVING)
            return
        except KeyboardInterrupt:
            talk.fail(LEAVING, quiet=True)
            raise
        except JpassedError as exc:
            talk.fail(str(exc))
            return
        except Exception as exc:
            # A table of a stranger may break anything; the service must outlive it.
            logger.exception("%s could not be answered", talk.request.mtype)
            talk.fail(f"unexpected {type(exc).__name__}: {exc}")
            return
        try:
            talk.deliver(answer)
        except JpassedError as exc:  # the result could not be written
            talk.fail(str(exc))

    def _leave(self, client: SAMPIntegratedClient) -> None:
        """Tell those that still wait, and unregister."""
        left = 0
        while True:
            try:
                request = self._queue.get_nowait()
            except queue.Empty:
                break
            if request is None:
                continue
            left += 1
            if not self._hub_gone.is_set():
                talk = Conversation(client, request, self._tell, self._to_all)
                talk.fail(LEAVING, quiet=True)
        self._client = None
        if left:
            self._tell(f"{left} messages were left unanswered")
        disconnect(client)
