"""Answers that are kept, and jobs that still run: one file each, whole or not there."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from jpassed.exceptions import FileError
from jpassed.io.atomic import atomic_output

__all__ = ["AnswerCache", "CachedAnswer", "clear_cache", "list_cached"]

logger = logging.getLogger(__name__)

LARGEST = 2_000_000_000
"""Bytes of kept answers; the oldest make room for new ones."""

_ANSWER, _JOB = ".vot", ".job.json"
_MARK = b"<!-- jpassed "
_NOTE = 1 << 20


@dataclass(frozen=True)
class CachedAnswer:
    """One kept answer.

    Attributes
    ----------
    service, query : str
    date : str
        When it was fetched (UTC, ISO 8601).
    rows : int
    path : Path
        A VOTable.
    """

    service: str
    query: str
    date: str
    rows: int
    path: Path


def default_folder() -> Path:
    """``jpassed/tap`` in astropy's cache."""
    from astropy.config.paths import get_cache_dir

    return Path(get_cache_dir()) / "jpassed" / "tap"


def list_cached(folder: Path | None = None) -> list[CachedAnswer]:
    """The kept answers, the newest first.

    Parameters
    ----------
    folder : Path, optional
        Default: ``jpassed/tap`` in astropy's cache.

    Returns
    -------
    list of CachedAnswer
    """
    found = []
    for path in (folder or default_folder()).glob(f"*{_ANSWER}"):
        with open(path, "rb") as stream:
            note = _note(stream)
        if note is not None:
            found.append(
                CachedAnswer(note["service"], note["query"], note["date"], note["rows"], path)
            )
    return sorted(found, key=lambda answer: answer.date, reverse=True)


def clear_cache(service: str | None = None, folder: Path | None = None) -> int:
    """Delete kept answers; their number.

    Parameters
    ----------
    service : str, optional
        Only those of the service with this URL.
    folder : Path, optional
        Default: ``jpassed/tap`` in astropy's cache.

    Returns
    -------
    int
    """
    where = folder or default_folder()
    if service is None:
        paths = list(where.glob(f"*{_ANSWER}"))
    else:
        paths = [kept.path for kept in list_cached(where) if kept.service == service.rstrip("/")]
    for path in paths:
        path.unlink(missing_ok=True)
    return len(paths)


class AnswerCache:
    """Answers and running jobs by what was asked, of whom, and as whom.

    Parameters
    ----------
    folder : Path or None
        None: nothing is kept.

    Notes
    -----
    Files are readable by the user alone, and together not larger than `LARGEST`. Nothing that is
    written holds a password or a token. What cannot be written or read is logged and does not
    stop a query.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def get(self, key: str) -> tuple[BinaryIO, dict[str, Any]] | None:
        """An open VOTable and what is known of it; the caller closes it."""
        if self.folder is None:
            return None
        path = self.folder / f"{key}{_ANSWER}"
        try:
            stream = open(path, "rb")  # noqa: SIM115
        except FileNotFoundError:
            return None
        except OSError as exc:
            logger.warning("cannot read the kept answer %s: %s", path, exc)
            return None
        note = _note(stream)
        if note is None or _digest(stream, note["size"]) != note["sha256"]:
            stream.close()
            logger.warning("ignoring the damaged kept answer %s", path)
            return None
        hours = (datetime.now(UTC) - datetime.fromisoformat(note["date"])).total_seconds() / 3600
        age = f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.0f} days"
        logger.info("%s: answer of %s ago from the cache (%s)", note["service"], age, path)
        stream.seek(0)
        return stream, note

    def put(self, key: str, stream: BinaryIO, note: dict[str, Any]) -> None:
        """Keep an answer, with a note at its end that says what it is."""
        if self.folder is None:
            return
        stream.seek(0)
        size = stream.seek(0, 2)
        note = {**note, "size": size, "sha256": _digest(stream, size)}
        # XML comments hold no two hyphens in a row.
        text = json.dumps(note).replace("--", r"-\u002d")
        try:
            with atomic_output(self._folder() / f"{key}{_ANSWER}", overwrite=True) as path:
                with _private(path) as target:
                    stream.seek(0)
                    shutil.copyfileobj(stream, target, 1 << 20)
                    target.write(b"\n" + _MARK + text.encode("utf-8") + b" -->\n")
            self._make_room()
        except (FileError, OSError) as exc:
            logger.warning("the answer is not kept: %s", exc)

    def _make_room(self) -> None:
        """Delete the oldest answers where all together are too large."""
        found = [(path.stat(), path) for path in self._folder().glob(f"*{_ANSWER}")]
        size = sum(stat.st_size for stat, _ in found)
        for stat, path in sorted(found, key=lambda entry: entry[0].st_mtime_ns):
            if size <= LARGEST:
                break
            logger.info("deleting the kept answer %s to make room", path)
            path.unlink(missing_ok=True)
            size -= stat.st_size

    def keep_job(self, key: str, note: dict[str, Any]) -> None:
        """Remember a running job (``job_url`` in the note)."""
        if self.folder is None:
            return
        try:
            with atomic_output(self._folder() / f"{key}{_JOB}", overwrite=True) as path:
                with _private(path) as target:
                    target.write(json.dumps(note).encode("utf-8"))
        except (FileError, OSError) as exc:
            logger.warning("the job's address is not kept: %s", exc)

    def job(self, key: str) -> dict[str, Any] | None:
        """What is known of a job that another run left, or None."""
        if self.folder is None:
            return None
        path = self.folder / f"{key}{_JOB}"
        try:
            note = json.loads(path.read_text(encoding="utf-8"))
            note["job_url"].startswith("http")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as exc:
            logger.warning("ignoring the damaged file %s (%s)", path, type(exc).__name__)
            return None
        return dict(note)

    def drop_job(self, key: str) -> None:
        """Forget a job."""
        if self.folder is not None:
            try:
                (self.folder / f"{key}{_JOB}").unlink(missing_ok=True)
            except OSError as exc:
                logger.warning("the job's address stays in %s: %s", self.folder, exc)

    def _folder(self) -> Path:
        if self.folder is None:
            raise FileError("there is no cache")
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self.folder


def key_of(*parts: object) -> str:
    """A file name for what was asked."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()[:40]


def now() -> str:
    """UTC in ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _private(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _note(stream: BinaryIO) -> dict[str, Any] | None:
    """The note at the end of a kept answer."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - _NOTE))
    tail = stream.read()
    place = tail.rfind(_MARK)
    found = re.fullmatch(rb"(\{.*\}) -->\s*", tail[place + len(_MARK) :], re.DOTALL)
    if place < 0 or found is None:
        return None
    try:
        note = json.loads(found[1])
        datetime.fromisoformat(note["date"])
        return note if {"service", "query", "rows", "size", "sha256"} <= set(note) else None
    except (ValueError, KeyError, TypeError):
        return None


def _digest(stream: BinaryIO, size: int) -> str:
    stream.seek(0)
    found = hashlib.sha256()
    while size > 0:
        piece = stream.read(min(size, 1 << 20))
        if not piece:
            break
        found.update(piece)
        size -= len(piece)
    return found.hexdigest()


def alive(note: dict[str, Any], max_age: float = 7 * 86400.0) -> bool:
    """Whether the process that left a job may still be at it, on this machine."""
    import socket

    pid = note.get("pid")
    if note.get("host") != socket.gethostname() or not isinstance(pid, int):
        return False
    if time.time() - float(note.get("time", 0.0)) > max_age or pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
