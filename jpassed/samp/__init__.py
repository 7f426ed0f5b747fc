"""Tables from and to the desktop tools on a SAMP hub."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jpassed.samp.sending import broadcast
    from jpassed.samp.service import AnnotationService

__all__ = ["AnnotationService", "broadcast"]

_HOMES = {
    "AnnotationService": "jpassed.samp.service",
    "broadcast": "jpassed.samp.sending",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
