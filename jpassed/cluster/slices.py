"""Rows of Parquet files, a slice in memory at a time, however long files and row groups are."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jpassed.exceptions import FileError
from jpassed.io.texts import one_line

__all__ = ["conformed", "even_slices", "is_local", "parquet_slices"]

_BUFFER = 1 << 16
"""Bytes of each column that are read ahead; otherwise pyarrow reads the whole row group."""


def parquet_slices(path: Any, rows: int, groups: Sequence[int] | None = None) -> Iterator[Any]:
    """The rows of a file, slice by slice.

    Parameters
    ----------
    path : str, Path or UPath
        A remote file is copied to a temporary folder first: its columns lie one behind the other,
        and servers need not know how to send parts of files.
    rows : int
        Of a slice, at most.
    groups : sequence of int, optional
        Row groups to read; all by default.

    Yields
    ------
    pyarrow.Table

    Raises
    ------
    FileError
        If the file cannot be read, or is damaged.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        with (
            _here(path) as place,
            pyarrow.parquet.ParquetFile(place, buffer_size=_BUFFER, pre_buffer=False) as file,
        ):
            chosen = None if groups is None else list(groups)
            for batch in file.iter_batches(rows, row_groups=chosen):
                yield pyarrow.Table.from_batches([batch])
    except (pyarrow.ArrowException, OSError, ValueError) as exc:
        raise FileError(f"{path} cannot be read, or is damaged: {one_line(exc)}") from exc


def even_slices(tables: Iterable[Any], rows: int) -> Iterator[Any]:
    """The same rows in slices of one length, but for the last: wherever files and groups end.

    Parameters
    ----------
    tables : iterable of pyarrow.Table
        With the same columns.
    rows : int

    Yields
    ------
    pyarrow.Table
    """
    import pyarrow

    held: list[Any] = []
    count = 0
    for table in tables:
        while count + table.num_rows >= rows:
            cut = rows - count
            yield pyarrow.concat_tables([*held, table.slice(0, cut)])
            table, held, count = table.slice(cut), [], 0
        if table.num_rows:
            held.append(table)
            count += table.num_rows
    if held:
        yield pyarrow.concat_tables(held)


def conformed(table: Any, schema: Any) -> Any:
    """A table with the columns and types of a schema; nulls where it lacks a column.

    Files of one catalogue may say ``string`` and ``large_string`` of the same column, or have no
    type for one that is empty in them; those of which the catalogue does not tell are left out.

    Parameters
    ----------
    table : pyarrow.Table
    schema : pyarrow.Schema

    Returns
    -------
    pyarrow.Table
        Without metadata.

    Raises
    ------
    pyarrow.ArrowException
        If values do not fit.
    """
    import pyarrow

    bare = schema.remove_metadata()
    if table.schema.equals(bare):
        return table.replace_schema_metadata(None)
    there = set(table.column_names)
    arrays = []
    for field in bare:
        if field.name not in there:
            arrays.append(pyarrow.nulls(table.num_rows, field.type))
            continue
        column = table[field.name]
        arrays.append(column if column.type == field.type else column.cast(field.type))
    return pyarrow.Table.from_arrays(arrays, schema=bare)


def is_local(path: Any) -> bool:
    """Whether a path, maybe of `universal_pathlib`, is one of this machine's file system."""
    return getattr(path, "protocol", "") in ("", "file", "local")


@contextmanager
def _here(path: Any) -> Iterator[str]:
    """Path of a file on this machine: the file, or a copy that is there for a while."""
    if is_local(path):
        yield str(getattr(path, "path", path))
        return
    with tempfile.TemporaryDirectory(prefix="jpassed-") as folder:
        copy = Path(folder) / "part.parquet"
        path.fs.get_file(path.path, str(copy))
        yield str(copy)
