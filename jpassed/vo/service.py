"""A service of the Virtual Observatory: where it is, and how it wants to be spoken to."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Service"]


@dataclass(frozen=True)
class Service:
    """One TAP service.

    Attributes
    ----------
    name : str
        Short name, or the URL where it has none.
    url : str
        Base URL of TAP, without ``/sync``.
    dialect : str
        Name of a dialect of `jpassed.vo`: how cones, array elements and row limits are written.
    sync_rows : int or None
        The service's hard row limit for synchronous queries, as reported.
    login : bool
        Whether (part of) it asks for a login.
    description, reference : str
    """

    name: str
    url: str
    dialect: str = "adql"
    sync_rows: int | None = None
    login: bool = False
    description: str = ""
    reference: str = ""
