"""Spectra on disk: fetched once, whole or not there, with their checksums in a journal."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from jpassed.archives.checksums import read_journal, sha256_of, write_journal
from jpassed.archives.description import SpectrumSource, without_login
from jpassed.archives.spectrum_sources import (
    GONE,
    NoSpectrumError,
    find_address,
    transport_to,
)
from jpassed.exceptions import JpassedError, ServiceError
from jpassed.vo.transport import TransientError, Transport

__all__ = ["SpectrumStore", "Wanted"]

logger = logging.getLogger(__name__)

_PIECE = 1 << 18
_FITS = (b"SIMPLE  =", b"\x1f\x8b")
Item = TypeVar("Item")


@dataclass(frozen=True)
class Wanted:
    """A spectrum to be had.

    Attributes
    ----------
    key : str
    row : mapping
        The object's columns in the table of spectra.
    position : tuple of float
        Degrees.
    """

    key: str
    row: Mapping[str, Any]
    position: tuple[float, float]


class SpectrumStore:
    """A folder of spectra of one archive.

    Parameters
    ----------
    folder : Path
        Is made if it is not there. ``journal.jsonl`` holds a line for every object: key, address,
        file, bytes and SHA-256.
    workers : int
        Downloads at a time.
    source : SpectrumSource, optional
        Only spectra that came from it count; else those of any, until `fetch` names one.
    retries : int
        Tries after the first.
    timeout : float
        Seconds without a byte after which a try has failed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        workers: int = 4,
        source: SpectrumSource | None = None,
        retries: int = 5,
        timeout: float = 60.0,
    ) -> None:
        self.folder, self.workers = folder, max(1, workers)
        self._settings = {"retries": retries, "timeout": timeout}
        folder.mkdir(parents=True, exist_ok=True)
        self._journal = folder / "journal.jsonl"
        self._known = {
            line["key"]: line
            for line in read_journal(self._journal)
            if (folder / line["file"]).is_file()
        }
        self._threads = threading.local()
        self.fetched = 0
        self._source = ""
        if source is not None:
            self._use(source)

    def path(self, key: str) -> Path | None:
        """The file of an object's spectrum, if it is here."""
        line = self._known.get(key)
        return None if line is None else self.folder / line["file"]

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What the journal says of the spectra that are here."""
        return list(self._known.values())

    def fetch(
        self,
        source: SpectrumSource,
        wanted: Iterable[Wanted],
        progress: Callable[[int], None] | None = None,
    ) -> dict[str, str]:
        """Fetch the spectra that are not here yet.

        Parameters
        ----------
        source : SpectrumSource
        wanted : iterable of Wanted
        progress : callable, optional
            Called with the number of objects whose spectra came.

        Returns
        -------
        dict
            Key to the reason why there is no spectrum.

        Raises
        ------
        LoginError
            If the service asks for a login.
        ServiceError
            If it cannot be reached; what was fetched stays, and another call goes on.
        """
        self._use(source)
        new = [w for w in wanted if w.key not in self._known]
        if not new:
            return {}
        if source.kind == "sparcl":
            from jpassed.archives.sparcl_spectra import fetch_sparcl

            return fetch_sparcl(self, source, new)
        failures: dict[str, str] = {}
        addresses: dict[str, list[str]] = {}
        if source.kind in ("url", "column"):
            found: Iterable[tuple[Wanted, str | JpassedError]] = (
                (w, self._address(source, w)) for w in new
            )
        else:
            found = self._parallel(new, lambda w: self._address(source, w))
        for want, url in found:
            if isinstance(url, NoSpectrumError):
                failures[want.key] = str(url)
            elif isinstance(url, JpassedError):
                raise url
            else:
                addresses.setdefault(url, []).append(want.key)
        came = 0
        for url, result in self._parallel(list(addresses), self._download):
            if isinstance(result, NoSpectrumError):
                failures.update(dict.fromkeys(addresses[url], str(result)))
            elif isinstance(result, JpassedError):
                raise result
            else:
                for key in addresses[url]:
                    self.record({"key": key, "url": url, **result, "date": _now()})
                came += len(addresses[url])
                if progress:
                    progress(came)
        return failures

    def file_of(self, address: str) -> Path:
        """Where the content of an address is kept."""
        name = hashlib.sha256(address.encode()).hexdigest()[:24]
        folder = self.folder / name[:2]
        folder.mkdir(exist_ok=True)
        return folder / f"{name}.fits"

    def record(self, line: dict[str, Any]) -> None:
        """Add a line to the journal."""
        line = {**line, "url": without_login(line["url"]), "source": self._source}
        write_journal(self._journal, line)
        self._known[line["key"]] = line

    def _use(self, source: SpectrumSource) -> None:
        """Forget what came from elsewhere; a file of the same address is taken as it is."""
        self._source = hashlib.sha256(repr(source).encode()).hexdigest()[:16]
        self._known = {k: v for k, v in self._known.items() if v.get("source") == self._source}

    def _parallel(
        self, items: list[Item], work: Callable[[Item], Any]
    ) -> Iterable[tuple[Item, Any]]:
        """Results of `work` as they come; nothing new is begun once one of them is an error."""

        def guarded(item: Item) -> Any:
            try:
                return work(item)
            except JpassedError as exc:
                return exc

        with ThreadPoolExecutor(self.workers) as pool:
            futures = {pool.submit(guarded, item): item for item in items}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            finally:
                for future in futures:
                    future.cancel()

    def _transport(self, url: str) -> Transport:
        """One for each thread and host: sessions of requests are not made to be shared."""
        from urllib.parse import urlsplit

        kept: dict[str, Transport] = self._threads.__dict__.setdefault("kept", {})
        host = urlsplit(url).netloc
        if host not in kept:
            kept[host] = transport_to(url, **self._settings)  # type: ignore[arg-type]
        return kept[host]

    def _address(self, source: SpectrumSource, want: Wanted) -> Any:
        try:
            return find_address(
                source, want.key, want.row, want.position, transport=self._transport
            )
        except JpassedError as exc:
            return exc

    def _download(self, url: str) -> dict[str, Any]:
        target = self.file_of(url)
        if not target.is_file():  # it is there where a run was killed before the journal
            transport = self._transport(url)
            transport.call("a spectrum", lambda: self._save(transport, url, target))
            self.fetched += 1
        return {
            "file": str(target.relative_to(self.folder)),
            "bytes": target.stat().st_size,
            "sha256": sha256_of(target),
        }

    def _save(self, transport: Transport, url: str, target: Path) -> None:
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        try:
            with transport.send("GET", url, "a spectrum") as response:
                pieces = response.iter_content(_PIECE)
                head = next(pieces, b"")
                if not head.startswith(_FITS):
                    kind = response.headers.get("Content-Type", "no content type")
                    said = " ".join(head[:60].decode("utf-8", "replace").split())
                    raise TransientError(
                        f"{without_login(url)} gives {kind} and no FITS: {said!r}", tries=2
                    )
                # Not by atomic_output: it takes errors of the connection for errors of the disk.
                with temporary.open("wb") as stream:
                    stream.write(head)
                    for piece in pieces:
                        stream.write(piece)
                    stream.flush()
                    os.fsync(stream.fileno())
                _check_length(response, temporary)
                os.replace(temporary, target)
        except ServiceError as exc:
            if getattr(exc, "status", None) in GONE:
                status = exc.status  # type: ignore[attr-defined]
                raise NoSpectrumError(f"not at the archive (HTTP {status})") from None
            raise
        finally:
            temporary.unlink(missing_ok=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _check_length(response: Any, path: Path) -> None:
    """Bytes on disk are as many as announced, unless they were sent compressed."""
    announced = response.headers.get("Content-Length")
    if announced is None or response.headers.get("Content-Encoding"):
        return
    size = path.stat().st_size
    if size != int(announced):
        raise TransientError(f"{size} of {announced} bytes came")
