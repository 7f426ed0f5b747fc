"""What the service is asked for, read from the parameters of a message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from jpassed.exceptions import InputError
from jpassed.samp.sending import LOADS

__all__ = ["ANNOTATE", "MTYPES", "SELECT", "Request", "read_request", "title"]

SELECT = "table.select.rowList"

ANNOTATE = "jpassed.annotate"
"""The service's own message type: annotates a table, and answers with its URL."""

FORMATS = {mtype: form for form, mtype in LOADS.items()}

MTYPES = (*FORMATS, SELECT, ANNOTATE)
"""The message types that the service takes."""


@dataclass(frozen=True)
class Request:
    """One message that has come in.

    Attributes
    ----------
    mtype, sender : str
        Its type, and the public id of the client that sent it.
    message_id : str or None
        Id for the reply; None for a notification, which has none.
    params : dict
        As they came.
    """

    mtype: str
    sender: str
    message_id: str | None
    params: Mapping[str, Any] = field(default_factory=dict)

    def text(self, key: str, default: str = "") -> str:
        """A parameter that is text.

        Raises
        ------
        InputError
            If it is something else.
        """
        value = self.params.get(key, default)
        if not isinstance(value, str):
            raise InputError(f"{self.mtype}: {key} should be text, got {type(value).__name__}")
        return value.strip()

    @property
    def url(self) -> str:
        """Where the table is."""
        url = self.text("url")
        if not url:
            raise InputError(f"{self.mtype} needs a url, and has none")
        return url

    @property
    def table_format(self) -> str:
        """The format of the table: that of the message type, else as its parameter says."""
        if self.mtype in FORMATS:
            return FORMATS[self.mtype]
        form = self.text("format", "votable").lower()
        if form not in LOADS:
            raise InputError(
                f"{self.mtype}: format should be one of {', '.join(LOADS)}, not {form}"
            )
        return form

    @property
    def name(self) -> str:
        """What the table is called."""
        return self.text("name") or title(self.url)


def title(url: str) -> str:
    """A name for a table that has none: its file's."""
    return PurePosixPath(unquote(urlsplit(url).path)).name or "table"


def read_request(sender: str, message_id: str | None, mtype: str, params: object) -> Request:
    """A request from what the hub hands over; whatever is wrong with it shows when it is read."""
    return Request(mtype, sender, message_id, params if isinstance(params, Mapping) else {})
