"""Tables to the clients of a hub."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jpassed.exceptions import FileError, ServiceError
from jpassed.samp.connection import (
    CLIENT_NAME,
    HUB_TROUBLE,
    client_name,
    connect,
    disconnect,
    is_alive,
    subscribers,
)

if TYPE_CHECKING:
    from astropy.table import Table
    from pyvo.samp import SAMPIntegratedClient

__all__ = ["LOADS", "broadcast", "load_message", "receivers_of", "write_for_clients"]

logger = logging.getLogger(__name__)

LOADS = {"votable": "table.load.votable", "fits": "table.load.fits"}
"""The message types of SAMP that load a table, by its format."""

ENDINGS = {"votable": ".vot", "fits": ".fits"}

MANY_VALUES = 500_000
"""Tables with more numbers go out as FITS to who takes it: a VOTable takes 20 times as long (13 s
for 3 million numbers)."""


def receivers_of(client: SAMPIntegratedClient) -> dict[str, set[str]]:
    """Public ids of the other clients that show a table, by format.

    A service of jpassed takes tables to annotate, not to show.
    """
    found = {form: set(subscribers(client, mtype)) for form, mtype in LOADS.items()}
    everybody = set().union(*found.values())
    relatives = {who for who in everybody if client_name(client, who) == CLIENT_NAME}
    return {form: takers - relatives for form, takers in found.items()}


def load_message(form: str, url: str, table_id: str, name: str) -> dict[str, Any]:
    """The message that asks a client to load a table."""
    params = {"url": url, "table-id": table_id, "name": name}
    return {
        "samp.mtype": LOADS[form],
        "samp.params": {key: text for key, text in params.items() if text},
    }


def best_format(table: Table) -> str:
    """The format in which a table is sent where its receiver takes both."""
    values = sum(max(int(column.size), len(table)) for column in table.itercols())
    return "fits" if values > MANY_VALUES else "votable"


def write_for_clients(table: Table, folder: Path, form: str, stem: str) -> str:
    """Write a table into a folder of its own; returns its ``file:`` URL."""
    from jpassed.io.catalogs import write_catalog

    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in stem).strip("._") or "table"
    place = Path(tempfile.mkdtemp(dir=folder)) / f"{safe[:80]}{ENDINGS[form]}"
    write_catalog(table, place)
    return place.as_uri()


def broadcast(
    table: Table | str | os.PathLike[str],
    *,
    name: str = "",
    table_id: str = "",
    timeout: float = 60.0,
) -> dict[str, str]:
    """Send a table to every program on the SAMP hub that takes tables.

    Parameters
    ----------
    table : astropy.table.Table or path
        A FITS or VOTable file is sent as it is. A table, and a file of another format, is
        written to a temporary VOTable (FITS where it is large), which is removed when all
        have loaded it.
    name : str
        What the receivers call it; by default the file's name, or ``jpassed``.
    table_id : str
        Its id in later messages; by default the file's URL.
    timeout : float
        Seconds to wait until the receivers have loaded it.

    Returns
    -------
    dict
        Name of each client to ``"loaded"``, or what it said instead.

    Raises
    ------
    ServiceError
        If there is no hub, no client on it takes tables, or the hub goes away.
    FileError
        If the file is missing or no table.

    Examples
    --------
    >>> from jpassed.samp import broadcast
    >>> broadcast("catalogue_jpassed.fits")  # doctest: +SKIP
    {'topcat': 'loaded'}
    """
    client = connect("Broadcasts a table with predictions.")
    try:
        with tempfile.TemporaryDirectory(prefix="jpassed-samp-") as folder:
            takers = receivers_of(client)
            if not any(takers.values()):
                raise ServiceError(
                    "no program on the SAMP hub takes tables; start TOPCAT or Aladin and try again"
                )
            offer = _Offer(table, name, table_id, Path(folder), takers)
            return _deliver(client, offer.messages(), timeout)
    except HUB_TROUBLE as exc:
        if isinstance(exc, FileError | ServiceError):
            raise
        raise ServiceError(f"the SAMP hub went away: {exc}") from exc
    finally:
        disconnect(client)


class _Offer:
    """One table for several clients, each in a format that it takes."""

    def __init__(
        self,
        table: Any,
        name: str,
        table_id: str,
        folder: Path,
        takers: Mapping[str, set[str]],
    ) -> None:
        self._table = table
        self._folder = folder
        self._takers = takers
        self._name = name or "jpassed"
        self._id = table_id
        self._own: tuple[str, str] | None = None
        if isinstance(table, (str, os.PathLike)):
            self._look_at_file(Path(table), name)

    def _look_at_file(self, path: Path, name: str) -> None:
        from jpassed.io.formats import table_file

        file = table_file(path)
        place = file.path.resolve()
        if not place.is_file():
            raise FileError(f"{path} does not exist")
        self._name = name or place.name
        self._id = self._id or place.as_uri()
        if file.format in LOADS and file.part is None:
            self._own = (file.format, place.as_uri())

    def messages(self) -> dict[str, dict[str, Any]]:
        """A message for each client."""
        found: dict[str, dict[str, Any]] = {}
        for form, url in self._urls():
            for receiver in self._takers[form] - set(found):
                found[receiver] = load_message(form, url, self._id or url, self._name)
        return found

    def _urls(self) -> list[tuple[str, str]]:
        """Formats and URLs, most wanted first, so that every client finds one."""
        urls = [] if self._own is None else [self._own]
        if urls:
            others = set().union(*self._takers.values()) - self._takers[urls[0][0]]
            if not others:
                return urls
        if isinstance(self._table, (str, os.PathLike)):
            from jpassed.io.catalogs import read_catalog

            self._table = read_catalog(Path(self._table))
        first = best_format(self._table)
        for form in (first, *(f for f in LOADS if f != first)):
            served = set().union(*(self._takers[f] for f, _ in urls)) if urls else set()
            if self._takers[form] - served:
                urls.append((form, write_for_clients(self._table, self._folder, form, self._name)))
        return urls


def _deliver(
    client: SAMPIntegratedClient, messages: Mapping[str, dict[str, Any]], timeout: float
) -> dict[str, str]:
    """Send each client its message and wait for the replies."""
    plain = [client_name(client, receiver) for receiver in messages]
    # Two windows of one program have one name.
    names = {
        receiver: f"{name} ({receiver})" if plain.count(name) > 1 else name
        for receiver, name in zip(messages, plain, strict=True)
    }
    replies: dict[str, str] = {}
    complete = threading.Event()

    def heard(private_key: str, sender: str, tag: str, response: dict[str, Any]) -> None:
        replies[sender] = reply_text(response)
        if len(replies) >= len(messages):
            complete.set()

    client.bind_receive_response("load", heard)
    for receiver, message in messages.items():
        try:
            client.call(receiver, "load", message)
        except HUB_TROUBLE as exc:  # it has left meanwhile; the others still get theirs
            if not is_alive(client):
                raise
            logger.warning("%s did not take the table: %s", names[receiver], exc)
            replies[receiver] = "not on the hub any more"
    if len(replies) < len(messages):
        complete.wait(timeout)
    silent = f"no answer within {timeout:g} s"
    return {names[receiver]: replies.get(receiver, silent) for receiver in messages}


def reply_text(response: Mapping[str, Any]) -> str:
    """What a reply says, ``"loaded"`` if all went well."""
    status = str(response.get("samp.status", ""))
    if status == "samp.ok":
        return "loaded"
    error = response.get("samp.error") or {}
    return str(error.get("samp.errortxt") or error.get("samp.code") or status or "no status")
