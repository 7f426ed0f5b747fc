"""VOTable: columns by name, the table's meta as PARAM elements."""

from __future__ import annotations

import json
import logging
import re
import uuid
import warnings
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO
from xml.sax.saxutils import quoteattr

import numpy as np

from jpassed.exceptions import FileError, InputError
from jpassed.io.native_columns import refuse_duplicates, widen
from jpassed.io.texts import as_json, one_line, unpack_meta

__all__ = [
    "no_masked_text",
    "number_nulls",
    "read_votable",
    "read_votable_meta",
    "read_votable_stream",
    "spell_units",
    "write_votable",
]

logger = logging.getLogger(__name__)

_PIECE = 1 << 18

JSON_UTYPE = "jpassed:json"
"""utype of a PARAM whose text is JSON (lists, dictionaries)."""

_WIDER = {
    "int8": "int16",
    "uint16": "int32",
    "uint32": "int64",
    "uint64": "int64",
    "float16": "float32",
    "float128": "float64",
}
"""Types that VOTable lacks."""

_CONFIG = {"version_1_3_or_later": True}
_KEPT = ("ucd", "utype", "xtype", "links")
"""What is kept of a FIELD beside its name, unit and description."""


def read_votable(content: bytes, path: Path, part: str | None) -> Any:
    """Read one table of a VOTable file.

    Parameters
    ----------
    content : bytes
    path : Path
        For messages.
    part : str or None
        Name, ID or number (from 0) of the TABLE; needed only where there are several.

    Returns
    -------
    astropy.table.Table
        PARAM elements of the table are in its meta.

    Raises
    ------
    FileError
        If it is not a VOTable, reports an error of a service, or has no table or several.
    InputError
        If column names occur twice.
    """
    return read_votable_stream(BytesIO(content), path, part)


def read_votable_stream(
    stream: BinaryIO, path: object, part: str | None, *, warn_of_overflow: bool = True
) -> Any:
    """Read one table of a VOTable that is read piece by piece; see `read_votable`.

    Parameters
    ----------
    stream : binary file
        Read from where it stands; never held in memory as a whole.
    path : object
        For messages.
    part : str or None
    warn_of_overflow : bool
        Whether the log says that the service cut the table.
    """
    from astropy.io import votable

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # A function: of a file object astropy wants to seek.
            source = _WithoutTextArrays(stream).read
            document = votable.parse(source, verify="ignore")
            _refuse_error(document, path, warn_of_overflow)
            chosen = _choose(list(document.iter_tables()), path, part)
            refuse_duplicates((field.name for field in chosen.fields), path)
            table = chosen.to_table(use_names_over_ids=True)
            meta = {param.name: _param_value(param) for param in chosen.params if param.name}
    except (FileError, InputError):
        raise
    except Exception as exc:  # the XML and binary parsers raise errors of many kinds
        raise FileError(f"{path} is not a VOTable, or it is damaged: {one_line(exc)}") from exc
    description = getattr(chosen, "description", None)
    table.meta.clear()
    if description:
        table.meta["description"] = str(description)
    table.meta.update(meta)
    unpack_meta(table.meta)
    for name in table.colnames:
        # votable.to_table keeps width and precision of the text form, which are not wanted.
        kept = table[name].info.meta or {}
        table[name].info.meta = {key: value for key, value in kept.items() if key in _KEPT}
    return table


def read_votable_meta(content: bytes, number: int) -> Any:
    """Meta of a table, and what is said of its columns, of a VOTable without values.

    Parameters
    ----------
    content : bytes
    number : int
        Of the table, from 0.

    Returns
    -------
    meta : dict
    columns : dict
        Name to description, UCD and the like.
    None
        In place of both, if it is not readable or has no such table.
    """
    from astropy.io import votable

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            document = votable.parse(BytesIO(_without_text_arrays(content)), verify="ignore")
            tables = list(document.iter_tables())
            if number >= len(tables):
                return None
            meta = {p.name: _param_value(p) for p in tables[number].params if p.name}
            fields = tables[number].fields
    except Exception as exc:  # the XML parser raises errors of many kinds
        logger.warning("the VOTable before the FITS table cannot be read: %s", one_line(exc))
        return None
    columns = {}
    for field in fields:
        about = {key: getattr(field, key, None) for key in ("ucd", "utype", "xtype")}
        about["description"] = " ".join(str(field.description or "").split())
        columns[field.name] = {key: str(value) for key, value in about.items() if value}
    return meta, columns


class _WithoutTextArrays:
    """The file without PARAM elements that hold several texts.

    STILTS and TOPCAT write the COMMENT cards of a FITS table as such a PARAM; astropy refuses the
    whole file for it. Only what lies before the data is looked at.
    """

    def __init__(self, stream: BinaryIO) -> None:
        head = b""
        while b"<DATA>" not in head:
            piece = stream.read(_PIECE)
            if not piece:
                break
            head += piece
        self._head = BytesIO(_without_text_arrays(head))
        self._rest = stream

    def read(self, size: int) -> bytes:
        # The parser takes a short answer for the end of the file.
        first = self._head.read(size)
        return first + self._rest.read(size - len(first)) if len(first) < size else first


def _without_text_arrays(content: bytes) -> bytes:
    head, mark, tail = content.partition(b"<DATA>")

    def keep(found: re.Match[bytes]) -> bytes:
        several = re.search(rb"""arraysize=["']\d+x""", found[1])
        text = re.search(rb"""datatype=["'](char|unicodeChar)["']""", found[1])
        return b"" if several and text else found[0]

    quoted = rb"""(?:[^>"']|"[^"]*"|'[^']*')*?"""
    pattern = rb"(<PARAM\b" + quoted + rb")(?:/>|>.*?</PARAM>)"
    return re.sub(pattern, keep, head, flags=re.DOTALL) + mark + tail


def _refuse_error(document: Any, path: object, warn_of_overflow: bool) -> None:
    for resource in document.resources:
        for info in resource.infos:
            if info.name == "QUERY_STATUS" and str(info.value).upper() == "ERROR":
                reason = " ".join(str(info.content or "no reason given").split())
                raise FileError(f"{path} holds the error of a service, not a table: {reason}")
            cut = info.name == "QUERY_STATUS" and str(info.value).upper() == "OVERFLOW"
            if cut and warn_of_overflow:
                logger.warning("%s was cut by the service that made it (OVERFLOW)", path)


def _choose(tables: list[Any], path: object, part: str | None) -> Any:
    tables = [table for table in tables if len(table.fields)]
    listed = ", ".join(f"{k} {table.name or table.ID or ''!r}" for k, table in enumerate(tables))
    if not tables:
        raise FileError(f"{path} has no table with columns")
    if part is None:
        if len(tables) > 1:
            raise FileError(
                f"{path} has {len(tables)} tables: {listed}; choose one as "
                f"{getattr(path, 'name', path)}#0 or by its name"
            )
        return tables[0]
    for k, table in enumerate(tables):
        if part in (str(k), table.name, table.ID):
            return table
    raise FileError(f"{path} has no table {part!r}; its tables are {listed}")


def _param_value(param: Any) -> Any:
    value = param.value
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, np.ma.MaskedArray):
        value = value.filled(np.nan) if value.dtype.kind == "f" else value.data
    if isinstance(value, np.ndarray):
        value = value.tolist()
    elif isinstance(value, np.generic):
        value = value.item()
    if param.utype == JSON_UTYPE and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def write_votable(table: Any, path: Path) -> None:
    """Write a plain table (see `plain_table`) as VOTable 1.4, binary2.

    Parameters
    ----------
    table : astropy.table.Table
        Changed in small ways (units); hand over a copy.
    path : Path
        Not existing.
    """
    from astropy.io import votable
    from astropy.io.votable.converters import get_converter
    from astropy.io.votable.tree import Param

    meta = {str(key): value for key, value in dict(table.meta).items()}
    description = meta.pop("description", None)
    table.meta = {}
    widen(table, _WIDER)
    spell_units(table)
    no_masked_text(table)
    nulls = number_nulls(table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        document = votable.from_table(table)
        element = document.get_first_table()
        if description:
            element.description = str(description)
        for field in element.fields:
            if field.name in nulls:
                field.values.null = nulls[field.name]
            if field.datatype == "bit":
                # astropy's choice for booleans; STILTS stumbles over it in binary2, and a bit
                # cannot be null.
                field.datatype = "boolean"
                field.converter = get_converter(field, _CONFIG, None)
            if field.datatype in ("char", "unicodeChar") and field.arraysize == "1":
                # A text of one letter at most, which VOTable 1.3 does not write as an array of 1.
                field.arraysize = "*"
                field.converter = get_converter(field, _CONFIG, None)
        texts: dict[bytes, str] = {}
        for number, (key, value) in enumerate(meta.items()):
            if key.startswith("__"):
                continue
            if isinstance(value, np.generic):
                value = value.item()
            given: dict[str, Any] = {"name": key, "ID": f"meta_{number}"}
            if isinstance(value, bool):
                given.update(datatype="boolean", value=value)
            elif isinstance(value, int) and abs(value) < 2**62:
                given.update(datatype="long", value=value)
            elif isinstance(value, float):
                given.update(datatype="double", value=value)
            else:
                text = value if isinstance(value, str) else json.dumps(value, default=as_json)
                # astropy escapes & and < in values twice: a word stands for the text at first.
                word = f"jpassed-text-{number}-{uuid.uuid4().hex}"
                texts[word.encode()] = text
                given.update(datatype="unicodeChar", arraysize="*", value=word)
                if not isinstance(value, str):
                    given["utype"] = JSON_UTYPE
            element.params.append(Param(document, **given))
        buffer = BytesIO()
        document.to_xml(buffer, tabledata_format="binary2")
    path.write_bytes(_finish_head(buffer.getvalue(), texts))


def _finish_head(content: bytes, texts: Mapping[bytes, str]) -> bytes:
    """Put texts in their places, and undo the line breaks that astropy puts into descriptions."""
    head, mark, tail = content.partition(b"<DATA>")
    for word, text in texts.items():
        # Line breaks in an attribute would be read as blanks.
        quoted = quoteattr(text, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
        head = head.replace(b'"' + word + b'"', quoted.encode("utf-8"))
    head = re.sub(
        rb"(<DESCRIPTION>)(.*?)(</DESCRIPTION>)",
        lambda found: found[1] + b" ".join(found[2].split()) + found[3],
        head,
        flags=re.DOTALL,
    )
    return head + mark + tail


def no_masked_text(table: Any) -> None:
    """VOTable has no null text: masked text is written as empty."""
    from astropy.table import Column, MaskedColumn

    for name in table.colnames:
        column = table[name]
        if isinstance(column, MaskedColumn) and column.dtype.kind in "US":
            table[name] = Column(
                column.filled(""), name=name, description=column.description, meta=column.meta
            )


def number_nulls(table: Any, *, cells: bool = False) -> dict[str, int]:
    """Whole numbers that are masked get a number that no other is, for ``field.values.null``.

    Parameters
    ----------
    table : astropy.table.Table
        Of plain columns; changed.
    cells : bool
        Also of columns with one number a row. Binary2 marks such cells as null, but no element of
        an array; binary marks nothing.

    Returns
    -------
    dict
        Column to number.
    """
    from astropy.table import Column, MaskedColumn

    found = {}
    for name in table.colnames:
        column = table[name]
        if not isinstance(column, MaskedColumn) or column.dtype.kind not in "iu":
            continue
        if (column.ndim < 2 and not cells) or not np.any(column.mask):
            continue
        values, mask = column.data.data, np.ma.getmaskarray(column.data)
        limits = np.iinfo(values.dtype)
        null, step = (limits.min, 1) if limits.min < 0 else (limits.max, -1)
        used = set(np.unique(values[~mask]).tolist())
        while null in used and len(used) <= limits.max - limits.min:
            null += step
        if null in used:  # every number that a byte holds is taken
            values, null = values.astype(np.int16), -1
        found[name] = int(null)
        about = {key: getattr(column, key) for key in ("unit", "description", "meta")}
        filled = np.where(mask, np.asarray(null, dtype=values.dtype), values)
        table[name] = Column(filled, name=name, **about)
    return found


def spell_units(table: Any) -> None:
    """Units that VOTable cannot spell: magnitudes are ``mag``, the rest goes to the description."""
    from astropy import units as u

    for name in table.colnames:
        column = table[name]
        unit = getattr(column, "unit", None)
        if isinstance(unit, u.MagUnit):
            column.unit = u.mag
        elif isinstance(unit, u.function.FunctionUnitBase) or unit == u.dex:
            column.unit = None
            column.description = " ".join(filter(None, [column.description, f"[{unit}]"]))
