"""Small pieces of text that all formats need."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["as_json", "one_line"]


def one_line(exc: BaseException) -> str:
    """The message of an exception without its line breaks."""
    return " ".join(str(exc).split()) or type(exc).__name__


def as_json(value: Any) -> Any:
    """What `json.dumps` is to write for an object that it does not know."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return str(value)
