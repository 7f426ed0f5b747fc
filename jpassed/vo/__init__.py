"""The Virtual Observatory: services by name, queries, cross-matches.

pyvo, requests and astropy are imported when a service is first spoken to.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jpassed.vo.adql import PagedQuery, WrappedQuery
    from jpassed.vo.cache import CachedAnswer, clear_cache, list_cached
    from jpassed.vo.client import TapClient
    from jpassed.vo.login import Credentials
    from jpassed.vo.ready_made import list_queries, load_query
    from jpassed.vo.service import Service
    from jpassed.vo.services import list_services, load_service

# One line each: name, and the module it comes from.
_LAZY = {
    "CachedAnswer": "jpassed.vo.cache",
    "Credentials": "jpassed.vo.login",
    "PagedQuery": "jpassed.vo.adql",
    "Service": "jpassed.vo.service",
    "TapClient": "jpassed.vo.client",
    "WrappedQuery": "jpassed.vo.adql",
    "clear_cache": "jpassed.vo.cache",
    "list_cached": "jpassed.vo.cache",
    "list_queries": "jpassed.vo.ready_made",
    "list_services": "jpassed.vo.services",
    "load_query": "jpassed.vo.ready_made",
    "load_service": "jpassed.vo.services",
}

__all__ = [
    "CachedAnswer",
    "Credentials",
    "PagedQuery",
    "Service",
    "TapClient",
    "WrappedQuery",
    "clear_cache",
    "list_cached",
    "list_queries",
    "list_services",
    "load_query",
    "load_service",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
