"""Columns of numpy to the binary COPY format of PostgreSQL: 100,000 rows of arrays in a second.

Run by the Python that has DaCHS, not by the tests. The format: a header, then for each row the
number of fields and for each field its length in bytes (-1 for NULL) and its bytes, big-endian;
see the PostgreSQL manual, COPY, "Binary Format". Rows of the same shape (the same NULLs, the same
text lengths) are one structured array each.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
# Types inside arrays: numpy's name to PostgreSQL's object id.
ELEMENT_OIDS = {"i2": 21, "i4": 23, "i8": 20, "f4": 700, "f8": 701}
NULL = np.int32(-1)


def binary_rows(columns: Mapping[str, np.ndarray]) -> bytes:
    """All rows of the columns as COPY takes them; masked elements become NULL."""
    plain, nulls = {}, {}
    for name, values in columns.items():
        mask = np.ma.getmaskarray(values)
        nulls[name] = mask.reshape(len(mask), -1).all(axis=1)
        filled = np.ma.getdata(values)
        plain[name] = np.char.encode(filled, "utf-8") if filled.dtype.kind == "U" else filled
    shapes = [
        np.where(nulls[name], -1, np.char.str_len(values) if values.dtype.kind == "S" else 0)
        for name, values in plain.items()
    ]
    keys, group = np.unique(np.column_stack(shapes), axis=0, return_inverse=True)
    group = np.ravel(group)
    return b"".join(
        _rows_of_one_shape({n: v[group == k] for n, v in plain.items()}, lengths)
        for k, lengths in enumerate(keys)
    )


def _rows_of_one_shape(columns: Mapping[str, np.ndarray], lengths: np.ndarray) -> bytes:
    fields: list[tuple] = [("fields", ">i2")]
    for k, (values, length) in enumerate(zip(columns.values(), lengths, strict=True)):
        fields.append((f"length{k}", ">i4"))
        if length < 0:
            continue
        if values.dtype.kind == "S":
            fields.append((f"value{k}", f"S{length}" if length else "V0"))
        elif values.ndim == 2:
            fields.append((f"head{k}", ">i4", (5,)))
            fields.append((f"value{k}", [("length", ">i4"), ("value", _big(values))],
                           values.shape[1]))
        else:
            fields.append((f"value{k}", _big(values)))
    n = len(next(iter(columns.values())))
    rows = np.zeros(n, dtype=fields)
    rows["fields"] = len(columns)
    for k, (values, length) in enumerate(zip(columns.values(), lengths, strict=True)):
        if length < 0:
            rows[f"length{k}"] = NULL
        elif values.dtype.kind == "S":
            rows[f"length{k}"] = length
            if length:
                rows[f"value{k}"] = values
        elif values.ndim == 2:
            size, width = values.dtype.itemsize, values.shape[1]
            rows[f"length{k}"] = 20 + width * (4 + size)
            # dimensions, whether it has NULLs, element type, number of elements, first index
            rows[f"head{k}"] = (1, 0, ELEMENT_OIDS[values.dtype.str[1:]], width, 1)
            rows[f"value{k}"]["length"] = size
            rows[f"value{k}"]["value"] = values
        else:
            rows[f"length{k}"] = values.dtype.itemsize
            rows[f"value{k}"] = values
    return rows.tobytes()


def _big(values: np.ndarray) -> str:
    return ">" + values.dtype.str[1:]


def fill(table: object, columns: Mapping[str, np.ndarray]) -> None:
    """Copy columns into a table of DaCHS that is being made (the ``table`` of an RD's script)."""
    names = ", ".join(columns)
    rows = io.BytesIO(HEADER + binary_rows(columns) + TRAILER)
    with table.connection.cursor() as cursor:
        cursor.copy_expert(
            f"COPY {table.tableDef.getQName()} ({names}) FROM STDIN WITH (FORMAT binary)", rows
        )
