"""Passbands: nominal J-PAS and J-PLUS sets as data, further surveys, files, and the SVO service.

synphot and speclite are imported when a passband is first built; the table of pivots and widths
behind `known_bands` needs neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jpassed.filters.known import filter_set_names, known_bands

if TYPE_CHECKING:
    from jpassed.filters.filterset import FilterSet
    from jpassed.filters.passband import Passband
    from jpassed.filters.sets import find_band, load_filters
    from jpassed.filters.svo_index import list_svo

__all__ = [
    "FilterSet",
    "Passband",
    "filter_set_names",
    "find_band",
    "known_bands",
    "list_svo",
    "load_filters",
]

_LAZY = {
    "FilterSet": "jpassed.filters.filterset",
    "Passband": "jpassed.filters.passband",
    "find_band": "jpassed.filters.sets",
    "list_svo": "jpassed.filters.svo_index",
    "load_filters": "jpassed.filters.sets",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
