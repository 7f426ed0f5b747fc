"""Training sets from the archives of spectroscopic surveys."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jpassed.archives.building import FetchSummary, fetch, planned_queries
    from jpassed.archives.description_file import list_archives, load_archive
    from jpassed.archives.manifest import TrainingSet, read_training_set
    from jpassed.archives.plan import list_presets, load_plan

__all__ = [
    "FetchSummary",
    "TrainingSet",
    "fetch",
    "list_archives",
    "list_presets",
    "load_archive",
    "load_plan",
    "planned_queries",
    "read_training_set",
]

_LAZY = {
    "FetchSummary": "jpassed.archives.building",
    "TrainingSet": "jpassed.archives.manifest",
    "fetch": "jpassed.archives.building",
    "list_archives": "jpassed.archives.description_file",
    "list_presets": "jpassed.archives.plan",
    "load_archive": "jpassed.archives.description_file",
    "load_plan": "jpassed.archives.plan",
    "planned_queries": "jpassed.archives.building",
    "read_training_set": "jpassed.archives.manifest",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
