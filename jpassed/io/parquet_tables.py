"""Parquet through pyarrow: nulls for masked values, astropy's own description in the metadata."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from jpassed.exceptions import FileError, InputError, MissingDependencyError
from jpassed.io.counted import counted
from jpassed.io.layout import TableLayout
from jpassed.io.native_columns import refuse_duplicates
from jpassed.io.texts import one_line

__all__ = [
    "META_KEY",
    "arrow_table",
    "pyarrow_modules",
    "read_parquet",
    "table_from_arrow",
    "write_parquet",
    "write_parquet_pieces",
]

META_KEY = b"table_meta_yaml"
"""Where astropy keeps units and descriptions; its own reader finds them there too."""


def pyarrow_modules() -> tuple[Any, Any]:
    """`pyarrow` and `pyarrow.parquet`; raises `MissingDependencyError` where they are missing."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as exc:
        raise MissingDependencyError(
            "Parquet files need pyarrow: python -m pip install pyarrow"
        ) from exc
    return pyarrow, pyarrow.parquet


def read_parquet(content: bytes, path: Path) -> Any:
    """Read Parquet.

    Raises
    ------
    FileError
        If it is not Parquet or damaged.
    InputError
        If column names occur twice.
    """
    arrow, parquet = pyarrow_modules()
    try:
        file = parquet.ParquetFile(BytesIO(content))
        refuse_duplicates(file.schema_arrow.names, path)
        source = file.read()
    except InputError:
        raise
    except (arrow.ArrowException, OSError, ValueError) as exc:
        reason = one_line(exc)
        raise FileError(f"{path} is not a Parquet file, or it is damaged: {reason}") from exc
    return table_from_arrow(source, path)


def table_from_arrow(source: Any, path: Path) -> Any:
    """The table of an Arrow table; units and descriptions from the metadata of its schema.

    Columns of kinds that a table cannot hold (maps, structures) are left out.

    Parameters
    ----------
    source : pyarrow.Table
    path : Path
        For messages.

    Raises
    ------
    FileError
        If what the metadata says of the columns is damaged.
    """
    from astropy.table import Table, serialize

    arrow, _ = pyarrow_modules()
    meta, described = _description(source.schema.metadata or {}, path)
    table = Table(meta=meta)
    for name in source.column_names:
        values = _values(arrow, source[name].combine_chunks())
        if values is None:
            continue
        table[name] = values
        for key in ("description", "format", "unit", "meta"):
            if key in described.get(name, {}):
                setattr(table[name], key, described[name][key])
    if "__serialized_columns__" in meta:
        table = serialize._construct_mixins_from_columns(table)
    return table


def _description(metadata: dict[bytes, bytes], path: Path) -> tuple[Any, dict[str, Any]]:
    """Meta of the table, and what the metadata says of each column."""
    from astropy.table import meta as table_meta

    text = metadata.get(META_KEY)
    if text is None:
        return {}, {}
    try:
        header = table_meta.get_header_from_yaml(text.decode("utf-8").split("\n"))
    except Exception as exc:  # YAML and its constructors raise errors of many kinds
        raise FileError(f"{path}: its table description is damaged: {one_line(exc)}") from exc
    return header.get("meta", {}), {item["name"]: item for item in header.get("datatype", [])}


def _values(arrow: Any, array: Any) -> Any:
    """A column as array or masked array; None for kinds that a table cannot hold."""
    kinds = arrow.types
    if isinstance(array, arrow.ChunkedArray):
        array = array.combine_chunks()
    if kinds.is_dictionary(array.type):
        array = array.dictionary_decode()
    missing = np.asarray(array.is_null())
    if kinds.is_fixed_size_list(array.type) and len(array):
        inner = array.fill_null([0] * array.type.list_size) if missing.any() else array
        flat = _values(arrow, inner.flatten())
        if flat is None:
            return None
        rows = flat.reshape(len(array), array.type.list_size)
        if missing.any():
            rows = np.ma.array(rows, mask=np.ma.getmaskarray(rows) | missing[:, None])
        return rows
    if kinds.is_list(array.type) or kinds.is_large_list(array.type):
        items = np.empty(len(array), dtype=object)
        items[:] = [None if row is None else _row(row) for row in array.to_pylist()]
        return items
    if kinds.is_null(array.type):
        return np.ma.masked_all(len(array), dtype=float)
    if kinds.is_temporal(array.type) or kinds.is_decimal(array.type):
        array = array.cast(arrow.float64() if kinds.is_decimal(array.type) else arrow.string())
    if kinds.is_string(array.type) or kinds.is_large_string(array.type):
        texts = np.array(["" if item is None else item for item in array.to_pylist()], dtype=str)
        return np.ma.array(texts, mask=missing) if missing.any() else texts
    if kinds.is_binary(array.type) or kinds.is_large_binary(array.type):
        texts = np.array(
            [(item or b"").decode("utf-8", "replace") for item in array.to_pylist()], dtype=str
        )
        return np.ma.array(texts, mask=missing) if missing.any() else texts
    if not (
        kinds.is_integer(array.type)
        or kinds.is_floating(array.type)
        or kinds.is_boolean(array.type)
    ):
        return None
    filled = array.fill_null(False if kinds.is_boolean(array.type) else 0)
    values = filled.to_numpy(zero_copy_only=False)
    return np.ma.array(values, mask=missing) if missing.any() else np.array(values)


def _row(row: list[Any]) -> Any:
    if any(item is None for item in row):
        return np.ma.array(
            [0 if item is None else item for item in row], mask=[item is None for item in row]
        )
    return np.array(row)


def write_parquet(table: Any, path: Path) -> None:
    """Write a plain table (see `plain_table`) as Parquet; 2-D columns as fixed-size lists.

    Raises
    ------
    FileError
        If a column holds objects that Parquet has no type for.
    """
    _, parquet = pyarrow_modules()
    parquet.write_table(arrow_table(table), path)


def arrow_table(table: Any) -> Any:
    """A plain table (see `plain_table`) as a `pyarrow.Table`, described as `write_parquet` does.

    Raises
    ------
    FileError
        If a column holds objects that Parquet has no type for.
    """
    arrow, _ = pyarrow_modules()
    arrays = _arrays(arrow, table)
    return arrow.Table.from_arrays(arrays, schema=_schema(arrow, table, arrays))


def write_parquet_pieces(
    pieces: Iterable[Any], layout: TableLayout, meta: Any, rows: int, path: Path
) -> None:
    """Write what `write_parquet` writes of all pieces in one table, a row group a piece.

    Parameters
    ----------
    pieces, layout, meta, rows, path
        See `jpassed.io.streamed_fits.write_fits_pieces`.

    Raises
    ------
    FileError
        If the pieces are not what `layout` and `rows` say.
    """
    arrow, parquet = pyarrow_modules()
    example = layout.cast(layout.example(), meta)
    for name, column in layout.columns.items():
        # A text that is there in some row makes a column of texts; one of nulls only has no type.
        if column.dtype.kind == "U" and column.given and column.masked:
            example[name].mask = False
    schema = _schema(arrow, example, _arrays(arrow, example))
    with parquet.ParquetWriter(path, schema) as writer:
        for piece in counted(pieces, rows, path):
            cast = layout.cast(piece, meta)
            arrays = [
                array.cast(field.type) if array.type != field.type else array
                for array, field in zip(_arrays(arrow, cast), schema, strict=True)
            ]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))


def _arrays(arrow: Any, table: Any) -> list[Any]:
    arrays = []
    for name in table.colnames:
        try:
            arrays.append(_array(arrow, table[name]))
        except (arrow.ArrowException, ValueError, TypeError) as exc:
            raise FileError(f"column {name!r} cannot be kept in Parquet: {one_line(exc)}") from exc
    return arrays


def _schema(arrow: Any, table: Any, arrays: list[Any]) -> Any:
    """Names, types, and what astropy says of the columns."""
    from astropy.table import meta as table_meta

    header = "\n".join(table_meta.get_yaml_from_table(table))
    lengths = {
        f"table::len::{name}": str(table[name].dtype.itemsize // 4)
        for name in table.colnames
        if table[name].dtype.kind == "U"
    }
    metadata = {key.encode(): text.encode() for key, text in lengths.items()}
    metadata[META_KEY] = header.encode()
    fields = [
        arrow.field(name, array.type) for name, array in zip(table.colnames, arrays, strict=True)
    ]
    return arrow.schema(fields, metadata=metadata)


def _array(arrow: Any, column: Any) -> Any:
    mask = getattr(column, "mask", None)
    values = np.asarray(column.data if mask is None else column.data.data)
    if mask is not None and not np.any(mask):
        mask = None
    if values.dtype.kind in "iufc" and not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    if values.ndim > 1:
        size = int(np.prod(values.shape[1:]))
        flat = arrow.array(
            np.ascontiguousarray(values).reshape(-1),
            mask=None if mask is None else np.asarray(mask).reshape(-1),
        )
        return arrow.FixedSizeListArray.from_arrays(flat, size)
    if values.dtype.kind in "UO":
        items = values.tolist()
        if mask is not None:
            items = [None if m else item for item, m in zip(items, mask, strict=True)]
        return arrow.array(items)
    return arrow.array(values, mask=None if mask is None else np.asarray(mask))
