"""Tables that are read some rows at a time, in the memory of those rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jpassed.exceptions import FileError, InputError
from jpassed.io.formats import TableFile, table_file

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["ChunkedTable", "WholeTable", "open_chunks"]


class ChunkedTable(ABC):
    """A table in a file, of which some rows are in memory at a time.

    Attributes
    ----------
    path : str or Path
        As it was given.
    n_rows : int or None
        None where the file does not say, and only reading it to its end would tell.
    rereadable : bool
        Whether `read` is there: rows come again as they came, without parsing texts anew.
    """

    path: str | Path
    n_rows: int | None = None
    rereadable: bool = True

    def read(self, start: int, stop: int) -> QTable:
        """Rows from `start` to before `stop`, as `jpassed.io.read_catalog` reads them.

        Raises
        ------
        FileError
            If the file is damaged, truncated, or changed meanwhile.
        """
        raise NotImplementedError(f"{type(self).__name__} reads its rows once")

    def chunks(self, size: int, done: Container[int] = ()) -> Iterator[tuple[int, QTable]]:
        """The rows in chunks, from the first to the last.

        Parameters
        ----------
        size : int
            Rows of a chunk; the last one has what is left.
        done : container of int
            Numbers of chunks, from 0, that are left out.

        Yields
        ------
        number : int
        table : QTable
        """
        if self.n_rows is None:
            raise NotImplementedError(f"{type(self).__name__} does not know its rows")
        for number, start in enumerate(range(0, self.n_rows, size)):
            if number not in done:
                yield number, self.read(start, min(start + size, self.n_rows))

    @abstractmethod
    def close(self) -> None:
        """Let go of the file."""

    def __enter__(self) -> ChunkedTable:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class WholeTable(ChunkedTable):
    """A table that is in memory as a whole: of formats and columns that have no rows to seek."""

    def __init__(self, path: str | Path) -> None:
        from jpassed.io.catalogs import read_catalog

        self.path = path
        self._table: Any = read_catalog(path)
        self.n_rows = len(self._table)

    def read(self, start: int, stop: int) -> QTable:
        """See `ChunkedTable.read`."""
        whole = start == 0 and stop >= len(self._table)
        return self._table if whole else self._table[start:stop]

    def close(self) -> None:
        """See `ChunkedTable.close`."""
        self._table = None


def open_chunks(path: str | Path) -> ChunkedTable:
    """Open a table to read it some rows at a time.

    FITS, VOTable, CSV, ECSV (all also packed) and Parquet are read by rows. As a whole are read
    tables with columns of arrays or (in a VOTable's binary stream) texts of varying length, of
    times or coordinates, and VOTables with several tables.

    Parameters
    ----------
    path : str or Path
        See `jpassed.io.read_catalog`.

    Raises
    ------
    FileError
        If the file is missing, empty, damaged, truncated, or not a table.
    InputError
        If the table has no rows or columns, a column name occurs twice, or the ending is unknown.
    """
    file = table_file(path)
    found = _by_rows(file, path)
    if found is None:
        return WholeTable(path)
    if found.n_rows == 0:
        found.close()
        raise InputError(f"{path}: the table has no rows")
    return found


def _by_rows(file: TableFile, path: str | Path) -> ChunkedTable | None:
    """A table that can be read by rows; None if this one cannot."""
    _check_there(file)
    if file.part is not None and file.format not in ("fits", "votable"):
        return None  # the reader of the whole says what is wrong
    if file.format == "fits":
        from jpassed.io.chunked_fits import open_fits

        return open_fits(file, path)
    if file.format == "parquet":
        from jpassed.io.chunked_parquet import open_parquet

        return open_parquet(file, path)
    if file.format in ("csv", "ecsv"):
        from jpassed.io.chunked_text import open_text

        return open_text(file, path)
    from jpassed.io.chunked_votable import open_votable

    return open_votable(file, path)


def _check_there(file: TableFile) -> None:
    """Raise what `read_bytes` raises for a file that is not there, without reading it."""
    try:
        with open(file.path, "rb") as source:
            first = source.read(1)
    except FileNotFoundError:
        raise FileError(f"{file.path} does not exist") from None
    except IsADirectoryError:
        raise FileError(f"{file.path} is a folder, expected a table") from None
    except OSError as exc:
        raise FileError(f"cannot read {file.path}: {exc}") from exc
    if not first:
        raise FileError(f"{file.path} is empty (0 bytes), expected a {file.format} table")
