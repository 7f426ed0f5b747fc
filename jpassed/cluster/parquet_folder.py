"""A folder of Parquet files in, the same files with predictions out, on Dask."""

from __future__ import annotations

import hashlib
import logging
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jpassed.cluster.described import COLUMN_LIST, describe_schema
from jpassed.cluster.parts import ROWS_AT_ONCE, rows_of
from jpassed.cluster.running import RETRIES, Outcome, cluster_client, outcome_of, run_parts
from jpassed.cluster.source_files import digest_of_files
from jpassed.cluster.work import (
    EXAMPLE_ROWS,
    all_options,
    open_work,
    remove_traces,
)
from jpassed.exceptions import FileError, InputError
from jpassed.io.folders import check_folder
from jpassed.io.texts import one_line

__all__ = ["annotate_parquet_folder"]

logger = logging.getLogger(__name__)

_ENDINGS = (".parquet", ".pq", ".parq")
_ONCE_MORE = "remove that file and resume (--resume)"
ROWS_A_PART = 500_000
"""Rows of a part, where the row groups of a file allow it: what is redone when a worker is lost."""


@dataclass(frozen=True)
class _Part:
    """Row groups of a file that follow each other, and the file that they become."""

    source: str
    groups: tuple[int, ...]
    rows: int
    path: str


def annotate_parquet_folder(
    folder: str | Path,
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
    """Annotate a folder of Parquet files part by part.

    Parameters
    ----------
    folder : str or Path
        Its files, also those in folders below, have the same columns. Names that begin with
        ``.`` or ``_`` are left out.
    output : str or Path
        Folder with files of the same names. A file of many rows becomes several, by its row
        groups: ``objects-00000.parquet`` and so on. It is there when it is whole. Workers on
        other machines must see both folders under the same paths.
    scheduler, workers, columns, overwrite, resume, progress
        See `annotate_hats`.
    **options
        Of `jpassed.annotate`.

    Returns
    -------
    int
        Rows.

    Raises
    ------
    FileError, InputError, UnrecognisedTableError, UnknownNameError, ModelError, ServiceError
        See `annotate_hats`.
    InputError
        If the files have different columns, or there is none; if two of them would have the same
        name in the output; if one of both folders lies within the other.

    Notes
    -----
    See `annotate_hats`. Rows are in memory a few thousands at a time, however long the files are.
    """
    chosen = all_options(options)
    place = Path(os.path.abspath(folder))
    _check_apart(place, Path(output))
    if resume and (whole := remove_traces(output)) is not None:
        return whole  # the run before was killed at its very end
    check_folder(output, overwrite, marks=(COLUMN_LIST,))
    parts = _parts(place)
    total = sum(part.rows for part in parts)
    if total == 0:
        raise InputError(f"{folder}: the files have no rows")
    example = _example(place, parts, columns)
    told = repr([(part.path, part.groups, part.rows) for part in parts])
    source = {
        "folder": str(place),
        "rows": total,
        "parts": hashlib.sha256(told.encode()).hexdigest()[:16],
        "files": digest_of_files(dict.fromkeys(part.source for part in parts)),
    }
    work = open_work(output, source, example, chosen, resume=resume, overwrite=overwrite)
    left = [part for part in parts if not (work.folder / part.path).is_file()]
    before = total - sum(part.rows for part in left)
    logger.info("%s: %d of %d parts to do", work.folder, len(left), len(parts))
    if left:
        with work.kept_if_begun(), cluster_client(scheduler, workers) as client:
            futures = {
                client.submit(
                    _annotate_part, str(work.folder), work.token, part, pure=False, retries=RETRIES
                ): part.path
                for part in left
            }
            run_parts(
                futures,
                total=total,
                progress=None if progress is None else lambda n, all: progress(before + n, all),
            )
    written = _written_rows(work.folder, parts)
    _common_metadata(work.folder, work.schema)
    work.finish(output, overwrite)
    return written


def _written_rows(folder: Path, parts: list[_Part]) -> int:
    """Rows of all parts; none may have others than were there to be read."""
    written = 0
    for part in parts:
        path = folder / part.path
        try:
            found = rows_of(path)
        except (OSError, ValueError) as exc:
            raise FileError(f"{path} cannot be read: {one_line(exc)}; {_ONCE_MORE}") from exc
        if found != part.rows:
            raise FileError(
                f"{path} has {found} rows, but {part.rows} are in {part.source}; {_ONCE_MORE}"
            )
        written += found
    return written


def _check_apart(place: Path, output: Path) -> None:
    """Refuse an output that would become input, or take it away."""
    inside, outside = Path(os.path.realpath(place)), Path(os.path.realpath(output))
    if inside in outside.parents:
        raise InputError(
            f"{output} lies within {place}, so that its files would be read as well; choose a "
            "folder beside it"
        )
    if outside in inside.parents:
        raise InputError(f"{place} lies within {output}; choose a folder beside it")


def _annotate_part(folder: str, token: str, part: _Part) -> Outcome:
    key = (zlib.crc32(part.path.encode()),)
    return outcome_of(folder, token, part.path, _batches(part), key)


def _batches(part: _Part) -> Iterator[Any]:
    import pyarrow
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(part.source) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=list(part.groups)):
            yield pyarrow.Table.from_batches([batch])


def _parts(place: Path) -> list[_Part]:
    """The parts of all files of a folder."""
    import pyarrow.parquet

    if not place.is_dir():
        raise FileError(f"{place} is not a folder")
    paths = sorted(p for p in place.rglob("*") if p.suffix.lower() in _ENDINGS and p.is_file())
    paths = [p for p in paths if not any(n[0] in "._" for n in p.relative_to(place).parts)]
    if not paths:
        raise InputError(f"{place} has no Parquet files ({', '.join(_ENDINGS)})")
    parts: list[_Part] = []
    first: Any = None
    for path in paths:
        try:
            metadata = pyarrow.parquet.read_metadata(path)
            schema = metadata.schema.to_arrow_schema()
        except (pyarrow.ArrowException, OSError, ValueError) as exc:
            raise FileError(f"{path} is not a Parquet file, or damaged: {one_line(exc)}") from exc
        first = schema if first is None else first
        if not schema.equals(first):
            raise InputError(f"{path}: {_difference(first, schema)} in {paths[0]}")
        parts += _of_file(path, path.relative_to(place), metadata)
    sources: dict[str, str] = {}
    for part in parts:
        if part.path in sources:
            raise InputError(
                f"{sources[part.path]} and {part.source} would both become {part.path}: rename "
                "one of them"
            )
        sources[part.path] = part.source
    return parts


def _of_file(path: Path, name: Path, metadata: Any) -> list[_Part]:
    runs: list[list[int]] = [[]]
    rows = [0]
    for group in range(metadata.num_row_groups):
        more = metadata.row_group(group).num_rows
        if runs[-1] and rows[-1] + more > ROWS_A_PART:
            runs.append([])
            rows.append(0)
        runs[-1].append(group)
        rows[-1] += more
    names = [str(name.with_suffix(".parquet"))]
    if len(runs) > 1:
        names = [str(name.with_name(f"{name.stem}-{k:05d}.parquet")) for k in range(len(runs))]
    return [_Part(str(path), tuple(g), n, p) for g, n, p in zip(runs, rows, names, strict=True)]


def _difference(first: Any, other: Any) -> str:
    """The first difference of two schemas, to be followed by ``in`` the first file."""
    for name in first.names:
        if name not in other.names:
            return f"lacks the column {name!r}, which is"
    for name in other.names:
        if name not in first.names:
            return f"has the column {name!r}, which is not"
    for name in first.names:
        if first.field(name).type != other.field(name).type:
            return (
                f"the column {name!r} is of type {other.field(name).type}, but "
                f"{first.field(name).type}"
            )
    return "the columns are in another order than"


def _example(place: Path, parts: list[_Part], columns: str | Path | None) -> Any:
    """First rows of a folder, with all that is known of its columns."""
    import pyarrow.parquet

    part = next(part for part in parts if part.rows)
    rows = next(_batches(part)).slice(0, EXAMPLE_ROWS)
    metadata = dict(rows.schema.metadata or {})
    common = place / "_common_metadata"
    if common.is_file():
        metadata = {**(pyarrow.parquet.read_schema(common).metadata or {}), **metadata}
    metadata.pop(b"pandas", None)
    schema = rows.schema.with_metadata(metadata)
    return rows.cast(describe_schema(schema, folder=place, columns=columns))


def _common_metadata(folder: Path, schema: Any) -> None:
    import pyarrow.parquet

    pyarrow.parquet.write_metadata(schema, folder / "_common_metadata")
