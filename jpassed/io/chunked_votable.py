"""VOTable by rows: each chunk is read as the VOTable that it would be on its own."""

from __future__ import annotations

import base64
import gzip
import re
import warnings
import zlib
from collections.abc import Container, Iterator
from io import BytesIO
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from jpassed.exceptions import FileError, InputError
from jpassed.io.chunks import ChunkedTable
from jpassed.io.formats import TableFile
from jpassed.io.native_columns import quantity_table
from jpassed.io.texts import one_line
from jpassed.io.votables import read_votable

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["VOTableChunks", "open_votable"]

_PIECE = 1 << 18
_LARGEST_HEAD = 1 << 24
_ROW_END = b"</TR>"
_BORDER = 16
"""Bytes at the end of a piece that may begin a word that ends in the next one."""
_BYTES = {
    "boolean": 1, "unsignedByte": 1, "short": 2, "int": 4, "long": 8, "char": 1, "unicodeChar": 2,
    "float": 4, "double": 8, "floatComplex": 8, "doubleComplex": 16,
}  # fmt: skip
"""Bytes of a value in a binary stream; bits are packed."""


class VOTableChunks(ChunkedTable):
    """The rows of a file with one table, read once and in order.

    Parameters
    ----------
    path : str or Path
        As it was given.
    file : Path
    head : bytes
        Everything before the first row.
    tail : bytes
        What closes all that `head` opens.
    width : int
        Bytes of a row of a binary stream; 0 for rows in XML.
    n_rows : int
    """

    rereadable = False

    def __init__(
        self, path: str | Path, file: Path, head: bytes, tail: bytes, width: int, n_rows: int
    ) -> None:
        self.path, self.n_rows = path, n_rows
        self._file, self._head, self._tail, self._width = file, head, tail, width

    def chunks(self, size: int, done: Container[int] = ()) -> Iterator[tuple[int, QTable]]:
        """See `ChunkedTable.chunks`."""
        total, number = int(self.n_rows or 0), 0
        try:
            with _opened(self._file) as source:
                source.seek(len(self._head))
                rows = self._binary(source) if self._width else self._xml(source)
                for number in range(-(-total // size)):
                    wanted = min(size, total - number * size)
                    content = rows.send(wanted) if number else _first(rows, wanted)
                    if number in done:
                        continue
                    whole = self._head + content + self._tail
                    table = read_votable(whole, Path(self.path), None)
                    if len(table) != wanted:
                        raise FileError(f"{self.path} is truncated or damaged")
                    yield number, cast("QTable", quantity_table(table))
        except (OSError, EOFError, zlib.error, ValueError, StopIteration) as exc:
            if isinstance(exc, FileError | InputError):
                raise
            raise FileError(f"{self.path} is truncated or damaged: {one_line(exc)}") from exc

    def _xml(self, source: BinaryIO) -> Any:
        """A generator that is sent a number of rows and gives them as they are in the file."""
        held, content = b"", b""
        while True:
            wanted = yield content
            parts, found, border = [held], held.count(_ROW_END), held[-len(_ROW_END) + 1 :]
            while found < wanted:
                piece = source.read(_PIECE)
                if not piece:
                    raise FileError(f"{self.path} is truncated: its rows end too early")
                parts.append(piece)
                found += (border + piece).count(_ROW_END)  # a tag may lie on both sides
                border = (border + piece)[-len(_ROW_END) + 1 :]
            whole = b"".join(parts)
            place = -1
            for _ in range(wanted):
                place = whole.index(_ROW_END, place + 1)
            content, held = whole[: place + len(_ROW_END)], whole[place + len(_ROW_END) :]

    def _binary(self, source: BinaryIO) -> Any:
        """The same of a stream in base64."""
        text, records, content = b"", b"", b""
        while True:
            wanted = (yield content) * self._width
            parts, size = [records], len(records)
            while size < wanted:
                piece = source.read(_PIECE)
                if not piece:
                    raise FileError(f"{self.path} is truncated: its rows end too early")
                text += b"".join(piece.partition(b"<")[0].split())
                full = len(text) // 4 * 4
                parts.append(base64.b64decode(text[:full]))
                text, size = text[full:], size + len(parts[-1])
                if b"<" in piece and size < wanted:
                    raise FileError(f"{self.path} is truncated: its rows end too early")
            whole = b"".join(parts)
            content, records = base64.b64encode(whole[:wanted]), whole[wanted:]

    def close(self) -> None:
        """See `ChunkedTable.close`."""


def _first(rows: Any, wanted: int) -> bytes:
    next(rows)
    return cast(bytes, rows.send(wanted))


def open_votable(file: TableFile, path: str | Path) -> VOTableChunks | None:
    """A VOTable by rows; None for several tables, and rows that only its reader finds."""
    if file.part is not None:
        return None
    try:
        with _opened(file.path) as source:
            return _by_rows(source, file.path, path)
    except (OSError, EOFError, zlib.error):
        return None


def _by_rows(source: BinaryIO, file: Path, path: str | Path) -> VOTableChunks | None:
    head = b""
    while not (found := re.search(rb"<DATA>\s*(<TABLEDATA>|<BINARY2?>\s*<STREAM[^>]*>)", head)):
        piece = source.read(_PIECE)
        if not piece or len(head) > _LARGEST_HEAD:
            return None
        head += piece
    rest, head = head[found.end() :], head[: found.end()]
    binary = b"BINARY" in found[1]
    if binary and (b"base64" not in found[1] or b"href" in found[1] or found[1].endswith(b"/>")):
        return None
    if re.search(rb"<\w+:(TABLE|FIELD)\b", head) or len(re.findall(rb"<TABLE\b", head)) != 1:
        return None
    tail = _closing(head, found[1])
    rest = rest or source.read(_PIECE)
    rows, characters = 0, 0
    border, ended, closed = b"", False, False
    while rest:
        if not ended and binary:
            body, mark, _ = rest.partition(b"<")
            characters += len(b"".join(body.split())) - body.count(b"=")  # without the padding
            ended = bool(mark)
        seen = border + rest
        rows += seen.count(_ROW_END) - border.count(_ROW_END)
        if re.search(rb"<TABLE[\s>]", seen) or b"OVERFLOW" in seen:
            return None
        closed = closed or b"</TABLE>" in seen
        border, rest = seen[-_BORDER:], source.read(_PIECE)
    if not closed:
        return None
    fields = _fields(head + tail)
    if not binary:
        # An array of varying length is another column in each chunk; a text is not.
        if not rows or not fields or any(map(_varies, fields)):
            return None
        return VOTableChunks(path, file, head, tail, 0, rows)
    width = _row_bytes(fields, b"BINARY2" in found[1])
    if not width or characters * 3 // 4 % width or not characters:
        return None
    return VOTableChunks(path, file, head, tail, width, characters * 3 // 4 // width)


def _closing(head: bytes, last: bytes) -> bytes:
    inner = b"</TABLEDATA>" if b"TABLEDATA" in last else b"</STREAM></BINARY>"
    if b"BINARY2" in last:
        inner = b"</STREAM></BINARY2>"
    opened = len(re.findall(rb"<RESOURCE\b(?![^>]*/>)", head)) - head.count(b"</RESOURCE>")
    return inner + b"</DATA></TABLE>" + b"</RESOURCE>" * opened + b"</VOTABLE>"


def _fields(content: bytes) -> list[Any]:
    """The columns that a file without rows describes; empty if it cannot be read."""
    from astropy.io import votable

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            document = votable.parse(BytesIO(content), verify="ignore")
    except Exception:  # the reader of the whole says what is wrong
        return []
    return list(document.get_first_table().fields)


def _varies(field: Any) -> bool:
    """Whether rows in XML hold arrays of varying length."""
    shape = str(field.arraysize or "1")
    return "*" in shape and (field.datatype not in ("char", "unicodeChar") or "x" in shape)


def _row_bytes(fields: list[Any], flags: bool) -> int:
    """Bytes of a row of a binary stream; 0 if they are not the same for all rows."""
    width = -(-len(fields) // 8) if flags else 0
    for field in fields:
        shape = str(field.arraysize or "1")
        if "*" in shape or (field.datatype not in _BYTES and field.datatype != "bit"):
            return 0
        count = prod(int(n) for n in shape.split("x"))
        width += -(-count // 8) if field.datatype == "bit" else count * _BYTES[field.datatype]
    return width


def _opened(path: Path) -> BinaryIO:
    plain = open(path, "rb")
    packed = plain.read(2) == b"\x1f\x8b"
    plain.seek(0)
    if not packed:
        return plain
    plain.close()
    return cast(BinaryIO, gzip.open(path, "rb"))
