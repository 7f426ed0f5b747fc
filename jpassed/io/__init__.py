"""Tables and spectra in, tables out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jpassed.io.atomic import atomic_output
    from jpassed.io.catalogs import default_output, read_catalog, write_catalog
    from jpassed.io.spectra import read_spectrum

__all__ = ["atomic_output", "default_output", "read_catalog", "read_spectrum", "write_catalog"]

_LAZY = {
    "atomic_output": "jpassed.io.atomic",
    "default_output": "jpassed.io.catalogs",
    "read_catalog": "jpassed.io.catalogs",
    "read_spectrum": "jpassed.io.spectra",
    "write_catalog": "jpassed.io.catalogs",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
