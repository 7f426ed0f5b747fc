"""ECSV and CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterable, Iterator
from io import StringIO
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from jpassed.exceptions import FileError
from jpassed.io.native_columns import refuse_duplicates
from jpassed.io.texts import as_json, one_line

__all__ = [
    "csv_head",
    "csv_text",
    "ecsv_text",
    "parse_csv",
    "read_csv",
    "read_ecsv",
    "write_csv",
    "write_ecsv",
]

# Looked for in this order, where the header has no comma.
_OTHER_DELIMITERS = (";", "\t", "|", " ")
_NULLS = ("", "null", "NULL", "None", "NA", "N/A", "--", "---")


def _text(content: bytes, path: Path, kind: str) -> str:
    if b"\x00" in content[:4096]:
        raise FileError(f"{path} is not a {kind} file: it holds binary data")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def read_ecsv(content: bytes, path: Path) -> Any:
    """Read ECSV; raises `FileError` if it is something else, `InputError` on doubled columns."""
    from astropy.table import Table

    text = _text(content, path, "ECSV")
    if not text.startswith("# %ECSV"):
        first = text.split("\n", 1)[0][:60]
        raise FileError(f"{path} is not an ECSV file: it begins with {first!r}, not '# %ECSV 1.0'")
    lines = text.splitlines()
    names = next((line for line in lines if not line.startswith("#")), "")
    delimiter = "," if any(line.strip() == "# delimiter: ','" for line in lines[:2000]) else " "
    refuse_duplicates(next(csv.reader([names], delimiter=delimiter), []), path)
    try:
        return Table.read(lines, format="ascii.ecsv")
    except Exception as exc:  # YAML, number and table parsers raise errors of many kinds
        raise FileError(f"{path} is not an ECSV table, or it is damaged: {one_line(exc)}") from exc


def read_csv(content: bytes, path: Path) -> Any:
    """Read CSV with one header line.

    Lines that start with ``#`` before the header are comments, unless the only such line is the
    header itself. Fields may also be separated by semicolons, tabs, bars or spaces, if the header
    has no comma. Empty fields, ``null``, ``None``, ``NA``, ``--`` and ``---`` are masked;
    columns of texts such as ``[1.0, 2.0]`` become 2-D.

    Raises
    ------
    FileError
        If it is not text or its lines do not hold the same number of fields.
    InputError
        If column names occur twice.
    """
    text = _text(content, path, "CSV")
    comments, body = csv_head((line for line in text.splitlines() if line.strip()), path)
    return parse_csv([line.rstrip("\r\n") for line in body], comments, path)


def csv_head(lines: Iterable[str], path: Path) -> tuple[list[str], Iterator[str]]:
    """Comments before the header of a CSV file, and the lines from the header on.

    Lines whose fields are separated by something else than commas are rewritten with commas.
    """
    comments: list[str] = []
    rest = iter(lines)
    for line in rest:
        if line.startswith("#"):
            comments.append(line.rstrip("\r\n"))
            continue
        if len(comments) == 1:
            header = comments[0].lstrip("# ")
            delimiter = _delimiter(header, line)
            if _is_header(header, line, delimiter):
                return [], _with_commas(chain([header, line], rest), delimiter)
        following = next(rest, "")
        delimiter = _delimiter(line, following)
        lines = chain([line, following] if following else [line], rest)
        return comments, _with_commas(lines, delimiter)
    raise FileError(f"{path} has no header line with column names")


def parse_csv(body: list[str], comments: list[str], path: Path, texts: Collection[str] = ()) -> Any:
    """The table of a header and rows; columns named in `texts` stay as they are written."""
    from astropy.io import ascii as astropy_ascii
    from astropy.table import MaskedColumn

    names = [name.strip() for name in next(csv.reader(body[:1]))]
    refuse_duplicates(names, path)
    try:
        table = astropy_ascii.read(
            body, format="csv", guess=False, fill_values=[(null, "0") for null in _NULLS]
        )
    except Exception as exc:  # the readers raise errors of many kinds
        raise FileError(f"{path} is not a CSV table, or it is damaged: {one_line(exc)}") from exc
    if comments:
        table.meta["comments"] = [line.lstrip("# ") for line in comments]
    for name in table.colnames:
        if name not in texts:
            _unpack(table, name)
    if texts:
        rows = list(csv.reader(f"{line}\n" for line in body[1:]))
        for k, name in enumerate(names):
            if name in texts:
                # A line may be short: what it lacks is empty.
                written = [row[k].strip() if k < len(row) else "" for row in rows]
                mask = [text in _NULLS for text in written]
                values = ["" if m else text for text, m in zip(written, mask, strict=True)]
                new = MaskedColumn(values, mask=mask) if any(mask) else values
                table.replace_column(name, new)
    return table


def _delimiter(header: str, following: str) -> str:
    """What separates the fields; anything but a comma must make a header of the first line."""
    if "," not in header:
        for delimiter in _OTHER_DELIMITERS:
            if _is_header(header, following, delimiter):
                return delimiter
    return ","


def _fields(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    # A line break within a text is kept; spaces at the ends separate nothing.
    ends = None if delimiter == " " else "\r\n"
    whole = (f"{line.strip(ends)}\n" for line in lines)
    return csv.reader(whole, delimiter=delimiter, skipinitialspace=delimiter == " ")


def _with_commas(lines: Iterable[str], delimiter: str) -> Iterator[str]:
    """The same records as CSV; those that are CSV pass as they are."""
    if delimiter == ",":
        yield from lines
        return
    for record in _fields(lines, delimiter):
        text = StringIO()
        csv.writer(text, lineterminator="\n").writerow(record)
        yield from text.getvalue().splitlines(keepends=True)


def _is_header(named: str, following: str, delimiter: str) -> bool:
    """Whether a line names the columns of the line after it."""
    names = next(_fields([named], delimiter), [])
    fields = next(_fields([following], delimiter), [])
    return (
        len(names) == len(fields) > 1
        and any(map(_is_number, fields))
        and not any(map(_is_number, names))
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _unpack(table: Any, name: str) -> None:
    """Turn a column of JSON lists of one length into a 2-D column, and True/False into bool."""
    column = table[name]
    if column.dtype.kind != "U" or column.ndim != 1:
        return
    texts = [str(text).strip() for text in np.ma.filled(column, "")]
    given = [text for text in texts if text]
    if given and {text.lower() for text in given} <= {"true", "false"}:
        logical = np.array([text.lower() == "true" for text in texts])
        mask = np.array([not text for text in texts])
        table.replace_column(name, np.ma.array(logical, mask=mask) if mask.any() else logical)
        return
    if not given or not all(text[0] == "[" and text[-1] == "]" for text in given):
        return
    try:
        rows = [json.loads(text) if text else None for text in texts]
    except ValueError:
        return
    lengths = {len(row) for row in rows if row is not None}
    if len(lengths) != 1:
        return
    blank = [None] * lengths.pop()
    filled = [blank if row is None else row for row in rows]
    if not all(item is None or isinstance(item, int | float) for row in filled for item in row):
        return
    mask = np.array([[item is None for item in row] for row in filled])
    values = np.array([[0 if item is None else item for item in row] for row in filled])
    table.replace_column(name, np.ma.array(values, mask=mask) if mask.any() else values)


def write_ecsv(table: Any, path: Path) -> None:
    """Write a plain table (see `plain_table`) as ECSV with commas."""
    path.write_text(ecsv_text(table), "utf-8")


def write_csv(table: Any, path: Path) -> None:
    """Write a plain table (see `plain_table`) as CSV; 2-D columns become JSON lists.

    CSV has no place for units, descriptions and meta: they are lost.
    """
    path.write_text(csv_text(table), "utf-8")


def ecsv_text(table: Any) -> str:
    """What `write_ecsv` writes."""
    text = StringIO()
    table.write(text, format="ascii.ecsv", delimiter=",")
    return text.getvalue()


def csv_text(table: Any) -> str:
    """What `write_csv` writes; the table is changed."""
    from astropy.table import Column

    table.meta = {}
    for name in table.colnames:
        column = table[name]
        if column.ndim > 1:
            rows = np.array(np.ma.getdata(column), dtype=object)
            rows[np.ma.getmaskarray(np.ma.asarray(column))] = None
            texts = [json.dumps(_no_nan(row), default=as_json) for row in rows.tolist()]
            table.replace_column(name, Column(texts, name=name))
    text = StringIO()
    table.write(text, format="ascii.csv")
    return text.getvalue()


def _no_nan(row: Any) -> Any:
    """JSON has no NaN: it stands as null, which comes back masked."""
    if isinstance(row, list):
        return [_no_nan(item) for item in row]
    return None if isinstance(row, float) and not np.isfinite(row) else row
