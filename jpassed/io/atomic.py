"""Files that are either whole or not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jpassed.exceptions import FileError

__all__ = ["atomic_output", "check_output", "replaced"]


def check_output(path: str | Path, overwrite: bool = False) -> None:
    """Refuse an output path before any work is done for it.

    Raises
    ------
    FileError
        If the path is a folder, its folder does not exist or cannot be written to, or the file
        exists and `overwrite` is false.
    """
    target = Path(path)
    if target.is_dir():
        raise FileError(f"{target} is a folder; name a file to write to")
    # A link stays, and the file behind it is written.
    folder = Path(os.path.realpath(target)).parent if target.is_symlink() else target.parent
    if not folder.is_dir():
        raise FileError(f"cannot write {target}: {folder} is not a folder")
    if target.exists() and not overwrite:
        raise FileError(f"{target} exists; choose another name or overwrite it (--overwrite)")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FileError(f"cannot write {target}: no permission to write in {folder}")


@contextmanager
def atomic_output(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well.

    Parameters
    ----------
    path : str or Path
        The file to write.
    overwrite : bool
        Whether an existing file may be replaced; it stays as it is until the new one is whole.

    Yields
    ------
    Path
        Where to write; removed if the block raises.

    Raises
    ------
    FileError
        See `check_output`; also if the system refuses to write.
    """
    check_output(path, overwrite)
    # A link keeps pointing where it did: the file behind it is replaced.
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    with replaced(temporary, target, said=path):
        yield temporary
        if target.exists():
            if not overwrite:
                raise FileError(f"{path} exists by now; it was not overwritten")
            os.chmod(temporary, target.stat().st_mode & 0o7777)


@contextmanager
def replaced(temporary: Path, target: Path, *, said: str | Path | None = None) -> Iterator[None]:
    """Give what is written under a temporary name its own when the block ends well.

    Parameters
    ----------
    temporary : Path
        On the same file system; removed if the block raises.
    target : Path
        What is there is replaced.
    said : str or Path, optional
        How messages name it, if otherwise.

    Raises
    ------
    FileError
        If the system refuses to write.
    """
    try:
        yield
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, target)
    except OSError as exc:
        if isinstance(exc, FileError):
            raise
        raise FileError(f"cannot write {said or target}: {exc}") from exc
    finally:
        temporary.unlink(missing_ok=True)
