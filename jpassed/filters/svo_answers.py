"""Answers of an SVO Filter Profile Service, kept in a cache for the time without a network."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from http.client import HTTPException
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import URLError
from urllib.parse import quote, urlencode
from urllib.request import urlopen

from jpassed.exceptions import FileError, JpassedError

__all__ = [
    "SVO_URL",
    "SvoService",
    "first_table",
    "status_of",
]

logger = logging.getLogger(__name__)

SVO_URL = "https://svo2.cab.inta-csic.es/theory/fps/fps.php"
"""Address of the service (Rodrigo & Solano 2020)."""

ENVIRONMENT = "JPASSED_SVO_URL"
"""Environment variable with the address of another one, a mirror for example."""

Cache = bool | str | os.PathLike[str]
Parsed = TypeVar("Parsed")


class SvoService:
    """Where answers come from, and where they are kept.

    Parameters
    ----------
    base_url : str, optional
        Address of the service; by default that in ``JPASSED_SVO_URL``, else `SVO_URL`.
    cache : bool or path
        True: ``jpassed/svo`` in astropy's cache. A path: that folder. False: no cache.
    timeout : float
        Seconds to wait.
    """

    def __init__(
        self, base_url: str | None = None, cache: Cache = True, timeout: float = 30.0
    ) -> None:
        self.base_url = base_url or os.environ.get(ENVIRONMENT) or SVO_URL
        self.timeout = timeout
        self._folder: Path | None = None
        if cache is True:
            from astropy.config.paths import get_cache_dir

            self._folder = Path(get_cache_dir()) / "jpassed" / "svo"
        elif cache is not False:
            self._folder = Path(os.fspath(cache))

    def address(self, query: Mapping[str, str]) -> str:
        """URL of a query."""
        return f"{self.base_url}?{urlencode(query)}"

    def answer(
        self,
        query: Mapping[str, str],
        name: str,
        what: str,
        parse: Callable[[bytes, str], Parsed],
        *,
        refresh: bool = False,
    ) -> Parsed:
        """What the service says, from the cache if it is there.

        Parameters
        ----------
        query : mapping
            Parameters of the URL.
        name : str
            Name of the answer in the cache.
        what : str
            What is asked for, for messages: ``"the curve 'OAJ/JPAS.J0378'"``.
        parse : callable
            Takes the content and its address; only what it takes without an error is kept.
        refresh : bool
            Ask the service even where the cache has an answer.

        Raises
        ------
        FileError
            If the service cannot be reached.
        JpassedError
            As `parse` raises.
        """
        address = self.address(query)
        kept = self._place(name)
        known = kept is not None and kept.is_file()
        if kept is not None and known and not refresh:
            try:
                return parse(kept.read_bytes(), address)
            except (JpassedError, OSError) as exc:
                logger.warning("ignoring the damaged cached answer %s: %s", kept, exc)
                known = False
        content = _download(address, what, self.timeout, known)
        parsed = parse(content, address)
        if kept is not None:
            _keep(kept, content)
        return parsed

    def has(self, name: str) -> bool:
        """Whether an answer is in the cache."""
        kept = self._place(name)
        return kept is not None and kept.is_file()

    def _place(self, name: str) -> Path | None:
        if self._folder is None:
            return None
        # The service is part of the name: the same id may mean another curve elsewhere. Quoting
        # leaves no separator, so that no id reaches outside the folder.
        service = hashlib.sha256(self.base_url.encode()).hexdigest()[:8]
        return self._folder / f"{quote(name, safe='')}-{service}.xml"


def _download(address: str, what: str, timeout: float, known: bool) -> bytes:
    try:
        with urlopen(address, timeout=timeout) as answer:
            content: bytes = answer.read()
    except (URLError, HTTPException, OSError, ValueError) as exc:
        reason = getattr(exc, "reason", None) or exc
        kept = " (the cache has an older answer: leave out refresh)" if known else ""
        raise FileError(
            f"cannot fetch {what} from {address}: {reason}{kept}. Check the network "
            f"or the address (base_url=... or {ENVIRONMENT}); or save the curve from the service's "
            "web page and read it with FilterSet.from_files"
        ) from exc
    return content


def _keep(path: Path, content: bytes) -> None:
    """Write to the cache atomically; a cache that cannot be written is not an error."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.replace(temporary, path)
    except OSError as exc:
        logger.warning("cannot keep the answer in %s: %s", path, exc)
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def first_table(content: bytes, address: str) -> tuple[Any, Any]:
    """The document of an answer, and its first table with rows (None where there is none).

    Raises
    ------
    FileError
        If the answer is no VOTable.
    """
    from astropy.io.votable import parse

    try:
        document = parse(BytesIO(content), verify="ignore")
    except Exception as exc:
        # astropy's VOTable reader raises many kinds for damaged XML.
        raise FileError(
            f"the answer of {address} is no VOTable ({type(exc).__name__}: {exc}); is base_url "
            "the address of an SVO Filter Profile Service?"
        ) from exc
    tables = [table for table in document.iter_tables() if len(table.array) > 0]
    return document, tables[0] if tables else None


def status_of(document: Any) -> str:
    """What the service says about itself where it gives no table."""
    infos = [*document.infos, *(info for resource in document.resources for info in resource.infos)]
    said = [str(i.content or i.value) for i in infos if i.name == "QUERY_STATUS"]
    return said[0] if said else "a table without rows"
