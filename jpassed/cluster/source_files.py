"""Files that a catalogue is read from: whether they are those that an earlier run has read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from jpassed.exceptions import FileError

__all__ = ["digest_of_files"]


def digest_of_files(paths: Iterable[str | Path]) -> str:
    """Tells local files from what they are when one of them is replaced or changed in place."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            known = os.stat(path)
        except OSError as exc:
            raise FileError(f"cannot read {path}: {exc}") from exc
        digest.update(f"{path} {known.st_size} {known.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
