"""Folders that are either whole or not there."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jpassed.exceptions import FileError

__all__ = ["atomic_folder", "check_folder"]


def check_folder(path: str | Path, overwrite: bool = False, *, marks: Sequence[str]) -> None:
    """Refuse an output folder before any work is done for it.

    Parameters
    ----------
    path : str or Path
    overwrite : bool
        Whether an earlier output may be replaced.
    marks : sequence of str
        Files that tell an earlier output: a folder without them is left alone, whatever is asked.

    Raises
    ------
    FileError
        If the path exists and may not be replaced, or its parent does not exist or cannot be
        written to.
    """
    target = Path(path)
    parent = Path(os.path.abspath(target)).parent
    if not parent.is_dir():
        raise FileError(f"cannot write {target}: {parent} is not a folder")
    if target.exists() or target.is_symlink():
        empty = target.is_dir() and not any(target.iterdir())
        ours = target.is_dir() and all((target / mark).is_file() for mark in marks)
        if not empty and not ours:
            raise FileError(
                f"{target} exists and holds something else (no {', '.join(marks)}): it is left "
                "alone; choose another name"
            )
        if ours and not overwrite:
            raise FileError(f"{target} exists; choose another name or overwrite it (--overwrite)")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise FileError(f"cannot write {target}: no permission to write in {parent}")


@contextmanager
def atomic_folder(
    path: str | Path, overwrite: bool = False, *, marks: Sequence[str]
) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its place when the block ends well.

    Parameters
    ----------
    path, overwrite, marks
        See `check_folder`.

    Yields
    ------
    Path
        Where to write; removed if the block raises.

    Raises
    ------
    FileError
        See `check_folder`; also if the system refuses to write.
    """
    check_folder(path, overwrite, marks=marks)
    target = Path(os.path.abspath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        temporary.mkdir()
        yield temporary
        check_folder(path, overwrite, marks=marks)  # somebody may have been there meanwhile
        if target.exists():
            old = target.with_name(f".{target.name}.{secrets.token_hex(4)}.old")
            target.rename(old)
            temporary.rename(target)
            shutil.rmtree(old)
        else:
            temporary.rename(target)
    except OSError as exc:
        if isinstance(exc, FileError):
            raise
        raise FileError(f"cannot write {path}: {exc}") from exc
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)
