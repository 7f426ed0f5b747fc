"""A folder of Parquet files in, the same files with predictions out, on Dask."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jpassed.cluster.described import describe_schema
from jpassed.cluster.parts import ROWS_AT_ONCE
from jpassed.cluster.running import RETRIES, Outcome, outcome_of
from jpassed.cluster.slices import parquet_slices
from jpassed.cluster.sources import Source, annotate_source, digest_of_files, written_part
from jpassed.cluster.work import EXAMPLE_ROWS, Work
from jpassed.exceptions import FileError, InputError
from jpassed.io.texts import one_line

__all__ = ["annotate_parquet_folder"]

_ENDINGS = (".parquet", ".pq", ".parq")
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
    place = Path(os.path.abspath(folder))
    _check_apart(place, Path(output))
    return annotate_source(
        lambda: _ParquetFolder(place),
        output,
        scheduler=scheduler,
        workers=workers,
        columns=columns,
        overwrite=overwrite,
        resume=resume,
        progress=progress,
        **options,
    )


class _ParquetFolder(Source):
    """The files of a folder, in parts of some row groups each."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self.parts: dict[str, _Part] = {part.path: part for part in _parts(place)}
        self.total = sum(part.rows for part in self.parts.values())
        if self.total == 0:
            raise InputError(f"{place}: the files have no rows")

    def identity(self) -> dict[str, Any]:
        """See `Source.identity`."""
        parts = list(self.parts.values())
        told = repr([(part.path, part.groups, part.rows) for part in parts])
        return {
            "folder": str(self._place),
            "rows": self.total,
            "parts": hashlib.sha256(told.encode()).hexdigest()[:16],
            "files": digest_of_files(dict.fromkeys(part.source for part in parts)),
        }

    def example(self, columns: str | Path | None) -> Any:
        """See `Source.example`."""
        import pyarrow.parquet

        part = next(part for part in self.parts.values() if part.rows)
        rows = next(parquet_slices(part.source, EXAMPLE_ROWS, part.groups))
        metadata = dict(rows.schema.metadata or {})
        common = self._place / "_common_metadata"
        if common.is_file():
            metadata = {**(pyarrow.parquet.read_schema(common).metadata or {}), **metadata}
        metadata.pop(b"pandas", None)
        schema = rows.schema.with_metadata(metadata)
        return rows.cast(describe_schema(schema, folder=self._place, columns=columns))

    def submit(self, client: Any, work: Work, left: Mapping[str, Any]) -> Mapping[Any, str]:
        """See `Source.submit`."""
        words = (str(work.folder), work.token)
        return {
            client.submit(_annotate_part, *words, part, pure=False, retries=RETRIES): path
            for path, part in left.items()
        }

    def complete(self, work: Work, output: str | Path) -> int:
        """See `Source.complete`."""
        import pyarrow.parquet

        for path, part in self.parts.items():
            found = written_part(work.folder / path).rows
            if found != part.rows:
                raise FileError(
                    f"{work.folder / path} has {found} rows, but {part.rows} are in "
                    f"{part.source}; remove that file and resume (--resume)"
                )
        pyarrow.parquet.write_metadata(work.schema, work.folder / "_common_metadata")
        return self.total


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
    slices = parquet_slices(part.source, ROWS_AT_ONCE, part.groups)
    return outcome_of(folder, token, part.path, slices, key, part.rows)


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
