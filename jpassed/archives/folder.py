"""The folder of a training set: what it may hold, and that one run at a time works in it."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jpassed.archives.manifest import MANIFEST
from jpassed.archives.plan import FetchPlan
from jpassed.archives.queries import write_json
from jpassed.exceptions import FileError

__all__ = ["training_folder"]

logger = logging.getLogger(__name__)

LOCK = ".lock"
PLAN = "plan.json"


@contextmanager
def training_folder(folder: Path, plan: FetchPlan, overwrite: bool) -> Iterator[None]:
    """Make the folder, or see that what it holds belongs to the plan; hold it for one run.

    Raises
    ------
    FileError
        If it holds something else, a training set of another plan that may not be replaced, or
        if another run works in it.
    """
    _check(folder)
    with (folder / LOCK).open("w") as stream:
        _lock(stream.fileno(), folder)
        _prepare(folder, plan, overwrite)
        yield


def _check(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise FileError(f"{folder} is not a folder: name a folder for the training set")
    held = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    # A kill may have come before the plan was written.
    begun = {LOCK, *(name for name in held if name.startswith(f".{PLAN}."))}
    if held - begun and _said(folder) is None:
        raise FileError(f"{folder} holds something else: name a new folder for the training set")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LOCK).touch()
    except OSError as exc:
        raise FileError(f"cannot make the folder {folder}: {exc}") from None


def _lock(descriptor: int, folder: Path) -> None:
    """Until the descriptor is closed, by a kill too."""
    try:
        import fcntl
    except ImportError:  # of another system: two runs there are the user's to avoid
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FileError(
            f"another jpassed fetch works in {folder}: wait for it, or name another folder"
        ) from None
    except OSError as exc:  # some network file systems have no locks
        logger.warning("%s cannot be locked (%s): let no two runs work in it", folder, exc)


def _said(folder: Path) -> dict[str, Any] | None:
    """What the folder's plan says; None where there is none of jpassed."""
    try:
        found = json.loads((folder / PLAN).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"digest", "plan"} <= set(found) else None


def _prepare(folder: Path, plan: FetchPlan, overwrite: bool) -> None:
    now: dict[str, Any] = {"digest": plan.digest, "plan": plan.as_dict()}
    old = _said(folder)
    if old is not None and (old["digest"] != plan.digest or old.get("replacing")):
        if old["digest"] != plan.digest and not overwrite:
            other = [k for k, value in now["plan"].items() if value != old["plan"].get(k)]
            raise FileError(
                f"{folder} is a training set of another plan ({', '.join(other)} differ): "
                "name another folder, or replace it (--overwrite; spectra are kept)"
            )
        # Said before anything goes: after a kill no run of the old plan may take what is left.
        write_json({**now, "replacing": True}, folder / PLAN)
        (folder / MANIFEST).unlink(missing_ok=True)
        (folder / "shards.jsonl").unlink(missing_ok=True)
        for part in ("queries", "shards"):
            if (folder / part).exists():
                shutil.rmtree(folder / part)
    write_json(now, folder / PLAN)
    (folder / "shards").mkdir(exist_ok=True)
    (folder / "queries").mkdir(exist_ok=True)
    for unfinished in folder.rglob(".*.part"):
        unfinished.unlink(missing_ok=True)  # of a run that was killed
