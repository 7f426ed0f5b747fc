"""Parquet by rows: batches of Arrow, put together to chunks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from jpassed.exceptions import FileError, InputError
from jpassed.io.chunks import ChunkedTable
from jpassed.io.formats import TableFile
from jpassed.io.native_columns import quantity_table, refuse_duplicates
from jpassed.io.parquet_tables import pyarrow_modules, table_from_arrow
from jpassed.io.texts import one_line

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["ParquetChunks", "open_parquet"]

_BATCH = 8192
"""Rows that Arrow decodes at a time."""
_BUFFER = 1 << 20
"""Bytes of a column that are read at a time: without it a row group is in memory as a whole."""


class ParquetChunks(ChunkedTable):
    """The rows of a Parquet file.

    Rows are decoded in order; asking for rows that lie before the last ones begins anew.
    """

    def __init__(self, path: str | Path, file: Path) -> None:
        self.path, self._path = path, file
        self._arrow, self._parquet = pyarrow_modules()
        with self._damage_told():
            self._file = self._parquet.ParquetFile(
                file, buffer_size=_BUFFER, pre_buffer=False, memory_map=False
            )
            self.n_rows = int(self._file.metadata.num_rows)
            refuse_duplicates(self._file.schema_arrow.names, file)
        self._at = 0
        self._batches: Iterator[Any] = iter(())
        self._left: list[Any] = []
        self._rewind(0)

    @property
    def only_values(self) -> bool:
        """Whether no column holds lists, whose lengths may differ between chunks alone."""
        kinds = self._arrow.types

        def lists(kind: Any) -> bool:
            if kinds.is_fixed_size_list(kind):
                return lists(kind.value_type)
            return bool(kinds.is_list(kind) or kinds.is_large_list(kind))

        return not any(map(lists, self._file.schema_arrow.types))

    def read(self, start: int, stop: int) -> QTable:
        """See `ChunkedTable.read`."""
        if start != self._at:
            self._rewind(start)
        parts, wanted = [], stop - start
        with self._damage_told():
            while wanted:
                batch = self._left.pop() if self._left else next(self._batches, None)
                if batch is None:
                    raise FileError(f"{self.path} is truncated: it has fewer rows than it says")
                if len(batch) > wanted:
                    self._left.append(batch.slice(wanted))
                    batch = batch.slice(0, wanted)
                parts.append(batch)
                wanted -= len(batch)
            self._at = stop
            rows = self._arrow.Table.from_batches(parts, schema=self._file.schema_arrow)
        return cast("QTable", quantity_table(table_from_arrow(rows, self._path)))

    def _rewind(self, start: int) -> None:
        """Go to a row: row groups before it are not read."""
        groups = self._file.metadata.num_row_groups
        first, before = 0, 0
        while first < groups - 1:
            rows = self._file.metadata.row_group(first).num_rows
            if before + rows > start:
                break
            before += rows
            first += 1
        self._left = []
        self._batches = self._file.iter_batches(_BATCH, row_groups=list(range(first, groups)))
        skip = start - before
        with self._damage_told():
            while skip:
                batch = next(self._batches, None)
                if batch is None:
                    raise FileError(f"{self.path} is truncated: it has fewer rows than it says")
                if len(batch) > skip:
                    self._left.append(batch.slice(skip))
                skip -= min(skip, len(batch))
        self._at = start

    def close(self) -> None:
        """See `ChunkedTable.close`."""
        self._batches, self._left = iter(()), []
        self._file.close()

    def _damage_told(self) -> _Damage:
        return _Damage(self._path, self._arrow.ArrowException)


class _Damage:
    """Turns what pyarrow raises for a damaged file into a `FileError`."""

    def __init__(self, path: Path, arrow: type[Exception]) -> None:
        self._path, self._arrow = path, arrow

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        if isinstance(exc, FileError | InputError):
            return
        if isinstance(exc, self._arrow | OSError | ValueError):
            raise FileError(
                f"{self._path} is not a Parquet file, or it is damaged: {one_line(exc)}"
            ) from exc


def open_parquet(file: TableFile, path: str | Path) -> ParquetChunks | None:
    """A Parquet file by rows; None if it is packed, or has columns that are more than values.

    Raises
    ------
    FileError
        If it is not Parquet or damaged.
    InputError
        If column names occur twice.
    """
    with open(file.path, "rb") as source:
        if source.read(2) == b"\x1f\x8b":
            return None
    found = ParquetChunks(path, file.path)
    if found.only_values:
        return found
    found.close()
    return None
