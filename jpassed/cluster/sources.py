"""What the catalogues of a cluster have in common, and the order in which they are annotated."""

from __future__ import annotations

import hashlib
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jpassed.cluster.described import COLUMN_LIST
from jpassed.cluster.running import Outcome, cluster_client, run_parts
from jpassed.cluster.work import Work, all_options, open_work, remove_traces
from jpassed.exceptions import FileError
from jpassed.io.folders import check_folder
from jpassed.io.texts import one_line

__all__ = ["Source", "WrittenPart", "annotate_source", "digest_of_files", "written_part"]

logger = logging.getLogger(__name__)


class Source(ABC):
    """A catalogue in parts, each of which becomes a file of the output.

    Attributes
    ----------
    parts : dict
        Each part by the path of its file in the output.
    total : int
        Rows of all of them, as the catalogue says.
    """

    parts: dict[str, Any]
    total: int

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What tells this catalogue from another, and from what it was before a change."""

    @abstractmethod
    def example(self, columns: str | Path | None) -> Any:
        """First rows as an Arrow table, with all that is known of its columns."""

    @abstractmethod
    def submit(self, client: Any, work: Work, left: Mapping[str, Any]) -> Mapping[Any, str]:
        """Send the parts that are left to a cluster: the future of each, and its name."""

    def outcome(self, result: Any) -> Outcome:
        """The outcome in what a future gives."""
        found: Outcome = result
        return found

    @abstractmethod
    def complete(self, work: Work, output: str | Path) -> int:
        """Check what was written, and add what makes a catalogue of it; its rows."""


@dataclass(frozen=True)
class WrittenPart:
    """Rows and row groups of a part of the output."""

    rows: int
    groups: int


def annotate_source(
    opened: Callable[[], Source],
    output: str | Path,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    columns: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> int:
    """Annotate a catalogue part by part.

    Parameters
    ----------
    opened : callable
        Opens the catalogue, once options and output were looked at.
    output, scheduler, workers, columns, overwrite, resume, progress, **options
        See `jpassed.cluster.annotate_hats`.

    Returns
    -------
    int
        Rows.

    Raises
    ------
    JpassedError
        See `jpassed.cluster.annotate_hats`.
    """
    chosen = all_options(options)
    if resume and (whole := remove_traces(output)) is not None:
        return whole  # the run before was killed at its very end
    check_folder(output, overwrite, marks=(COLUMN_LIST,))
    source = opened()
    example = source.example(columns)
    work = open_work(output, source.identity(), example, chosen, resume=resume, overwrite=overwrite)
    left = {path: p for path, p in source.parts.items() if not (work.folder / path).is_file()}
    logger.info("%s: %d of %d parts to do", work.folder, len(left), len(source.parts))
    if left:
        done = (path for path in source.parts if path not in left)
        before = sum(written_part(work.folder / path).rows for path in done)
        with work.kept_if_begun(), cluster_client(scheduler, workers) as client:
            run_parts(
                source.submit(client, work, left),
                total=source.total,
                read=source.outcome,
                progress=None if progress is None else lambda n, all: progress(before + n, all),
            )
    rows = source.complete(work, output)
    work.finish(output, overwrite)
    return rows


def written_part(path: Path) -> WrittenPart:
    """What a file of the output holds.

    Raises
    ------
    FileError
        If it cannot be read.
    """
    import pyarrow.parquet

    try:
        known = pyarrow.parquet.read_metadata(path)
    except (pyarrow.ArrowException, OSError, ValueError) as exc:
        raise FileError(
            f"{path} cannot be read: {one_line(exc)}; remove that file and resume (--resume)"
        ) from exc
    return WrittenPart(int(known.num_rows), int(known.num_row_groups))


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
