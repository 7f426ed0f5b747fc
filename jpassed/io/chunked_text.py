"""CSV and ECSV by rows: some lines at a time, with the types that the columns have in all rows."""

from __future__ import annotations

import gzip
import zlib
from abc import abstractmethod
from collections.abc import Container, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import numpy as np

from jpassed.exceptions import FileError
from jpassed.io.chunks import ChunkedTable
from jpassed.io.formats import TableFile
from jpassed.io.native_columns import quantity_table
from jpassed.io.text_tables import csv_head, parse_csv, read_ecsv
from jpassed.io.texts import one_line

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["CsvChunks", "EcsvChunks", "open_text"]

_AT_ONCE = 16384
"""Lines that are parsed together to learn the types."""
_BINARY = 4096
"""Bytes at the beginning in which a text has no zero."""


class _TextChunks(ChunkedTable):
    """Rows that come in order from the lines of a file, and are read once."""

    rereadable = False

    def __init__(self, path: str | Path, file: Path, encoding: str) -> None:
        self.path, self._file, self._encoding = path, file, encoding

    def chunks(self, size: int, done: Container[int] = ()) -> Iterator[tuple[int, QTable]]:
        """See `ChunkedTable.chunks`."""
        with self._rows() as rows:
            number = 0
            while lines := list(islice(rows, size)):
                if number not in done:
                    yield number, cast("QTable", quantity_table(self._parsed(lines)))
                number += 1

    @contextmanager
    def _rows(self) -> Iterator[Iterator[str]]:
        """The records behind the header, each as its text."""
        try:
            with _opened(self._file, self._encoding) as source:
                yield self._behind_head(source)
        except (OSError, EOFError, zlib.error) as exc:
            if isinstance(exc, FileError):
                raise
            raise FileError(f"{self.path} is truncated or damaged: {one_line(exc)}") from exc

    @abstractmethod
    def _behind_head(self, source: TextIO) -> Iterator[str]:
        """Read the header, give the records after it."""

    @abstractmethod
    def _parsed(self, rows: list[str]) -> Any:
        """The table of some records."""

    def close(self) -> None:
        """See `ChunkedTable.close`."""


class CsvChunks(_TextChunks):
    """A CSV file; it is read once to learn the types of its columns."""

    def __init__(self, path: str | Path, file: Path, encoding: str) -> None:
        super().__init__(path, file, encoding)
        self._comments: list[str] = []
        self._header = ""
        self._texts: frozenset[str] = frozenset()
        kinds: dict[str, set[Any]] = {}
        self.n_rows = 0
        with self._rows() as rows:
            while lines := list(islice(rows, _AT_ONCE)):
                self.n_rows += len(lines)
                table = self._parsed(lines)
                for name in table.colnames:
                    if (kind := _kind(table[name])) is not None:
                        kinds.setdefault(name, set()).add(kind)
        # Texts of which some look like numbers, or like something else: as they are written.
        text = ("U", ())
        self._texts = frozenset(n for n, found in kinds.items() if len(found) > 1 or text in found)

    def _behind_head(self, source: TextIO) -> Iterator[str]:
        self._comments, lines = csv_head((line for line in source if line.strip()), self._file)
        self._header = next(lines)
        return _records(lines)

    def _parsed(self, rows: list[str]) -> Any:
        body = [line for record in (self._header, *rows) for line in record.splitlines()]
        return parse_csv(body, self._comments, self._file, self._texts)


class EcsvChunks(_TextChunks):
    """An ECSV file; its header says the types."""

    def __init__(self, path: str | Path, file: Path, encoding: str) -> None:
        super().__init__(path, file, encoding)
        self._head = ""
        with self._rows() as rows:
            self.n_rows = sum(1 for _ in rows)

    def _behind_head(self, source: TextIO) -> Iterator[str]:
        head = []
        for line in source:
            head.append(line)
            if line.strip() and not line.startswith("#"):
                break
        self._head = "".join(head)
        return _records(line for line in source if line.strip())

    @property
    def only_values(self) -> bool:
        """Whether no column is made of several, as times and coordinates are, or holds objects.

        Objects, and arrays of varying length, are written as texts of JSON.
        """
        from astropy.table import meta as table_meta

        lines = [line[2:] for line in self._head.splitlines() if line.startswith("# ")]
        try:
            told = table_meta.get_header_from_yaml(lines)
            return "__serialized_columns__" not in told.get("meta", {}) and not any(
                column["datatype"] == "object"
                or str(column.get("subtype", "")).endswith(("json", "null]"))
                for column in told["datatype"]
            )
        except Exception:  # the reader of the whole says what is wrong
            return False

    def _parsed(self, rows: list[str]) -> Any:
        content = "".join([self._head, *rows]).encode("utf-8")
        return read_ecsv(content, self._file)


def _kind(column: Any) -> Any:
    """What a column holds: numbers of any kind, texts, logicals, arrays of some shape."""
    if bool(np.all(getattr(column, "mask", False))) or len(column) == 0:
        return None
    kind = "number" if column.dtype.kind in "iuf" else column.dtype.kind
    return (kind, column.shape[1:])


def _records(lines: Iterator[str]) -> Iterator[str]:
    """Lines put together where a quoted text holds a line break."""
    for line in lines:
        record = line
        while record.count('"') % 2 and (more := next(lines, None)) is not None:
            record += more
        yield record


def _opened(path: Path, encoding: str) -> TextIO:
    with open(path, "rb") as source:
        packed = source.read(2) == b"\x1f\x8b"
    if packed:
        return cast(TextIO, gzip.open(path, "rt", encoding=encoding, newline=None))
    return open(path, encoding=encoding)


def open_text(file: TableFile, path: str | Path) -> ChunkedTable | None:
    """A CSV or ECSV file by rows; None if only its reader as a whole can say what is wrong.

    Raises
    ------
    FileError
        If it is damaged, or its lines do not hold the same number of fields.
    InputError
        If column names occur twice.
    """
    kind = CsvChunks if file.format == "csv" else EcsvChunks
    with _opened(file.path, "latin-1") as source:
        first = source.read(_BINARY)
    if "\x00" in first or (file.format == "ecsv" and "# %ECSV" not in first[:12]):
        return None
    found: ChunkedTable
    try:
        found = kind(path, file.path, "utf-8-sig")
    except UnicodeDecodeError:
        found = kind(path, file.path, "latin-1")
    if isinstance(found, EcsvChunks) and not found.only_values:
        return None
    return found
