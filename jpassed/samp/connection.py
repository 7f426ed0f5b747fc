"""Connection to a SAMP hub that is running; none is ever started."""

from __future__ import annotations

import http.client
import importlib
import logging
import warnings
import xmlrpc.client
from typing import TYPE_CHECKING, Any
from xml.parsers.expat import ExpatError

import jpassed
from jpassed.exceptions import ServiceError

if TYPE_CHECKING:
    from pyvo.samp import SAMPIntegratedClient

__all__ = [
    "CLIENT_NAME",
    "HUB_TROUBLE",
    "client_name",
    "connect",
    "disconnect",
    "is_alive",
    "samp_library",
    "subscribers",
]

logger = logging.getLogger(__name__)

CLIENT_NAME = "jpassed"
"""The name under which jpassed registers."""

HUB_TROUBLE = (OSError, xmlrpc.client.Error, http.client.HTTPException, ExpatError)
"""What talking to a hub raises when it is not there any more, or is no hub."""

NO_HUB = (
    "no SAMP hub is running: start TOPCAT or Aladin, which bring one along (in DS9: File > SAMP > "
    "Start Hub), and try again. The hub is looked for in the file .samp of the home folder, or "
    "where the environment variable SAMP_HUB points"
)


def samp_library() -> Any:
    """The package that speaks SAMP: ``pyvo.samp``, or ``astropy.samp`` beside a pyvo before 1.9.

    It moved from one to the other, and astropy 8 warns of its own.
    """
    found = importlib.import_module("pyvo.samp")
    if not hasattr(found, "SAMPHubServer"):
        found = importlib.import_module("astropy.samp")
    return found


def connect(description: str) -> SAMPIntegratedClient:
    """A client registered with the hub that is running.

    It listens on the loopback interface only.

    Parameters
    ----------
    description : str
        What the hub shows its users about this client.

    Returns
    -------
    SAMPIntegratedClient
        Disconnect it with `disconnect`.

    Raises
    ------
    ServiceError
        If there is no hub, or it cannot be spoken to.
    """
    samp = samp_library()
    metadata = {
        "samp.name": CLIENT_NAME,
        "samp.description.text": description,
        "author.name": "The jpassed developers",
        "jpassed.version": jpassed.__version__,
        **_home_page(),
    }
    client = samp.SAMPIntegratedClient(metadata=metadata, addr="127.0.0.1")
    # The library would otherwise ask a page of the Internet whether there is one.
    with warnings.catch_warnings(), samp.conf.set_temp("use_internet", False):
        warnings.simplefilter("ignore")
        try:
            client.connect()
        except samp.SAMPHubError as exc:
            if "find a running" in str(exc):
                raise ServiceError(NO_HUB) from None
            raise ServiceError(f"{NO_HUB}. It was said: {exc}") from exc
        except KeyError as exc:
            raise ServiceError(f"{NO_HUB}. That file lacks {exc}") from exc
        except (*HUB_TROUBLE, ValueError, samp.SAMPClientError) as exc:
            disconnect(client)
            raise ServiceError(
                f"{NO_HUB}. What was found there cannot be spoken to: {type(exc).__name__}: {exc}"
            ) from exc
    return client


def _home_page() -> dict[str, str]:
    """Where the documentation is, as the installed package says; nothing where it does not."""
    from importlib import metadata

    try:
        listed = metadata.metadata("jpassed").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        return {}
    pages = dict(entry.split(", ", 1) for entry in listed if ", " in entry)
    page = next((pages[k] for k in ("Documentation", "Homepage", "Source") if k in pages), "")
    return {"samp.documentation.url": page} if page else {}


def disconnect(client: SAMPIntegratedClient) -> None:
    """Unregister and close a client, whether or not the hub is still there."""
    if client.client is None:
        return
    try:
        client.disconnect()
    except (*HUB_TROUBLE, samp_library().SAMPClientError) as exc:
        logger.debug("the hub did not hear the good-bye: %s", exc)


def is_alive(client: SAMPIntegratedClient) -> bool:
    """Whether the hub answers."""
    try:
        client.ping()
    except HUB_TROUBLE:
        return False
    return True


def subscribers(client: SAMPIntegratedClient, mtype: str) -> tuple[str, ...]:
    """Public ids of the other clients that take messages of a type."""
    return tuple(client.get_subscribed_clients(mtype))


def client_name(client: SAMPIntegratedClient, public_id: str) -> str:
    """The name that a client gives itself, else its id."""
    try:
        about: Any = client.get_metadata(public_id)
    except HUB_TROUBLE:
        return public_id  # it has unregistered meanwhile
    return str(about.get("samp.name") or public_id)
