"""Small pieces of text that all formats need."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from typing import Any

import numpy as np

__all__ = ["META_CARD", "as_json", "one_line", "unpack_meta"]

META_CARD = "JPMETA"
"""Card with the entries of the table's meta that FITS has no card for, as JSON."""

# Arguments of astropy's readers: no user of a catalogue can give them.
_FOR_PROGRAMMERS = ("If this is really a FITS file, try with ignore_missing_simple=True",)


def one_line(exc: BaseException) -> str:
    """The message of an exception without its line breaks, and without advice for programmers."""
    said = " ".join(str(exc).split())
    for advice in _FOR_PROGRAMMERS:
        said = said.replace(advice, "")
    return said.strip() or type(exc).__name__


def as_json(value: Any) -> Any:
    """What `json.dumps` is to write for an object that it does not know."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return str(value)


def unpack_meta(meta: MutableMapping[str, Any]) -> None:
    """Put the entries of `META_CARD` in place of it, and of cards that show them again.

    Other programs keep the card as it is, also in a VOTable.
    """
    packed = meta.get(META_CARD)
    if not isinstance(packed, str):
        return
    try:
        entries = json.loads(packed)
    except ValueError:
        return
    if not isinstance(entries, dict):
        return
    shown = {META_CARD.lower(), *(key.lower() for key in entries)}
    for key in [key for key in meta if str(key).lower() in shown]:
        del meta[key]
    meta.update(entries)
