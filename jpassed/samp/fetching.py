"""Tables that a message points at: only from this machine unless more is allowed."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import socket
import stat
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.parse import unquote, urlsplit
from urllib.request import (
    HTTPRedirectHandler,
    ProxyHandler,
    Request,
    build_opener,
    url2pathname,
)
from zipfile import BadZipFile, ZipFile

from jpassed.exceptions import FileError, InputError, ServiceError

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["MAX_BYTES", "Limits", "check_url", "fetch_table", "file_of_url"]

MAX_BYTES = 2_000_000_000
"""Largest file that is read, in bytes, where nothing else is asked for."""


@dataclass(frozen=True)
class Limits:
    """What may be fetched.

    Attributes
    ----------
    allow_remote : bool
        Whether a table may lie on another machine, see `check_url`.
    max_bytes : int
        Largest size of a file.
    timeout : float
        Seconds without a byte after which a server is given up.
    """

    allow_remote: bool = False
    max_bytes: int = MAX_BYTES
    timeout: float = 60.0


ENDINGS = {"votable": ".vot", "fits": ".fits"}

CHUNK = 1 << 20

UNPACK: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
"""How a compressed file begins, and what unpacks it: the readers look at the content, too."""


def check_url(url: str, allow_remote: bool = False) -> None:
    """Refuse what no other program on this machine would offer.

    Any client of the hub, and through it a web page, can send a URL. Unless `allow_remote` is
    true only ``file:`` and ``http(s)`` on an address of this machine pass.

    Raises
    ------
    InputError
        If the URL is not one of these.
    """
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    if scheme == "file":
        if (parts.hostname or "localhost") != "localhost":
            raise InputError(f"{url} names a file of another machine, which is not read")
        return
    if scheme not in ("http", "https"):
        raise InputError(f"{url} is not a URL of a table: expected file:, http: or https:")
    if not parts.hostname:
        raise InputError(f"{url} names no host")
    if not allow_remote and not _is_here(parts.hostname):
        raise InputError(
            f"{url} lies on another machine, and any program on the hub could have sent it: it is "
            "not fetched. Start `jpassed samp --allow-remote` to allow such tables, or load it in "
            "TOPCAT and send it from there"
        )


def _is_here(host: str) -> bool:
    """Whether every address of a host is one of this machine."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return False
    return bool(found) and all(_is_own(family, place) for family, _, _, _, place in found)


def _is_own(family: int, place: Any) -> bool:
    # A socket can be bound to an address of this machine only; 0.0.0.0 is none.
    if place[0] in ("0.0.0.0", "::"):
        return False
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((place[0], 0, *place[2:]))
    except OSError:
        return False
    return True


class _CheckedRedirects(HTTPRedirectHandler):
    """Follows a redirect only to where a message may point, too."""

    def __init__(self, allow_remote: bool) -> None:
        self._allow_remote = allow_remote

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        if urlsplit(newurl).scheme.lower() not in ("http", "https"):
            raise InputError(f"{req.full_url} redirects to {newurl}, which is not followed")
        check_url(newurl, self._allow_remote)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def file_of_url(url: str) -> Path:
    """Path that a ``file:`` URL means."""
    parts = urlsplit(url)
    return Path(url2pathname(parts.path) if os.name == "nt" else unquote(parts.path))


def fetch_table(url: str, form: str, folder: Path, limits: Limits) -> QTable:
    """The table that a message points at.

    Parameters
    ----------
    url : str
    form : {"votable", "fits"}
        What the message says it is; the file's name may end in anything.
    folder : Path
        Where it may lie while it is read.
    limits : Limits

    Raises
    ------
    InputError
        If the URL is refused, or the table is empty.
    FileError
        If the file is missing, too large, or no table of that format.
    ServiceError
        If the server cannot be reached or does not send the table.
    """
    from jpassed.io.catalogs import read_catalog

    check_url(url, limits.allow_remote)
    place = folder / f"received{ENDINGS[form]}"
    place.unlink(missing_ok=True)
    try:
        if urlsplit(url).scheme.lower() == "file":
            _link(file_of_url(url), place, url, limits.max_bytes)
        else:
            _download(url, place, limits)
        _check_unpacked(place, url, limits.max_bytes)
        try:
            return read_catalog(place)
        except (FileError, InputError) as exc:
            # The reader knows the file under a name that tells its sender nothing.
            said = str(exc).replace(str(place), url).replace(place.name, url)
            raise (FileError if isinstance(exc, FileError) else InputError)(said) from exc
    finally:
        place.unlink(missing_ok=True)


def _link(source: Path, place: Path, url: str, max_bytes: int) -> None:
    try:
        about = source.stat()
    except FileNotFoundError:
        raise FileError(f"{url}: there is no such file") from None
    except (OSError, ValueError) as exc:
        raise FileError(f"cannot read {url}: {exc}") from exc
    if not stat.S_ISREG(about.st_mode):
        raise FileError(f"{url} is not a file with a table")  # a folder, a pipe, a device
    if about.st_size > max_bytes:
        raise _too_large(url, about.st_size, max_bytes)
    try:
        place.symlink_to(source)
    except OSError:  # not everybody may make links on Windows
        shutil.copyfile(source, place)


def _download(url: str, place: Path, limits: Limits) -> None:
    handlers: list[Any] = [_CheckedRedirects(limits.allow_remote)]
    if not limits.allow_remote:
        handlers.append(ProxyHandler({}))  # what lies on this machine needs no proxy
    try:
        with build_opener(*handlers).open(url, timeout=limits.timeout) as answer:
            stated = answer.headers.get("Content-Length")
            if stated is not None and stated.isdigit() and int(stated) > limits.max_bytes:
                raise _too_large(url, int(stated), limits.max_bytes)
            size = 0
            with open(place, "wb") as target:
                while chunk := answer.read(CHUNK):
                    size += len(chunk)
                    if size > limits.max_bytes:
                        raise _too_large(url, size, limits.max_bytes)
                    target.write(chunk)
            if stated is not None and stated.isdigit() and size < int(stated):
                raise ServiceError(f"{url} was cut after {size} of {stated} bytes; send it again")
    except (InputError, FileError, ServiceError):
        raise
    except (URLError, HTTPException, OSError, ValueError) as exc:
        reason = getattr(exc, "reason", None) or exc
        raise ServiceError(f"cannot fetch {url}: {reason}. Send the table again") from exc


def _check_unpacked(place: Path, url: str, max_bytes: int) -> None:
    """Refuse what is small as it comes, but not where it is read: in memory."""
    try:
        with place.open("rb") as stream:
            head = stream.read(6)
    except OSError as exc:
        raise FileError(f"cannot read {url}: {exc.strerror}") from exc
    size = 0
    try:
        if head.startswith(b"PK"):
            with ZipFile(place) as packed:
                size = sum(member.file_size for member in packed.infolist())
        for magic, unpack in UNPACK.items():
            if head.startswith(magic):
                with unpack(place) as content:
                    while size <= max_bytes and (chunk := content.read(CHUNK)):
                        size += len(chunk)
    except (BadZipFile, OSError, EOFError, zlib.error, lzma.LZMAError) as exc:
        raise FileError(f"{url} is compressed, and damaged: {exc}") from exc
    if size > max_bytes:
        raise _too_large(url, size, max_bytes)


def _too_large(url: str, size: int, limit: int) -> FileError:
    return FileError(
        f"{url} has {size / 1e6:.0f} MB or more, the limit is {limit / 1e6:.0f} MB "
        "(jpassed samp --max-size); annotate such a file with `jpassed annotate`"
    )
