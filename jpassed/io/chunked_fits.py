"""FITS tables by rows: each chunk is read as the FITS file that it would be on its own."""

from __future__ import annotations

import gzip
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from jpassed.exceptions import FileError
from jpassed.io.chunks import ChunkedTable
from jpassed.io.fits_cards import choose_table, read_fits
from jpassed.io.formats import TableFile
from jpassed.io.native_columns import quantity_table
from jpassed.io.texts import one_line

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["FitsChunks", "open_fits"]

_BLOCK = 2880
_LARGEST_BEFORE = 1 << 24
"""Bytes of the primary HDU (TOPCAT puts a VOTable there) that go along with every chunk."""
_NO_HDU = (
    "XTENSION= 'IMAGE   '", "BITPIX  =                    8", "NAXIS   =                    0",
    "PCOUNT  =                    0", "GCOUNT  =                    1", "END",
)  # fmt: skip
"""Stands for the HDUs before the table: its number is that of the file."""


class FitsChunks(ChunkedTable):
    """A table of a FITS file, its rows read where they lie.

    Parameters
    ----------
    path : str or Path
        As it was given, for messages.
    source : binary file
        Seekable, also one that unpacks; closed by `close`.
    before, head : bytes
        What comes before the table in a file of it alone, and the header of the table.
    part : str
        Number of the HDU in that file.
    start : int
        Where the rows begin in `source`.
    width : int
        Bytes of a row.
    n_rows : int
    """

    def __init__(
        self,
        path: str | Path,
        source: BinaryIO,
        before: bytes,
        head: bytes,
        part: str,
        start: int,
        width: int,
        n_rows: int,
    ) -> None:
        self.path, self.n_rows = path, n_rows
        self._source, self._before, self._head = source, before, head
        self._part, self._start, self._width = part, start, width

    @property
    def packed(self) -> bool:
        """Whether the rows are unpacked while they are read, from the first one on."""
        return isinstance(self._source, gzip.GzipFile)

    def read(self, start: int, stop: int) -> QTable:
        """See `ChunkedTable.read`."""
        from jpassed.io.streamed_fits import with_rows

        rows = stop - start
        try:
            self._source.seek(self._start + start * self._width)
            records = self._source.read(rows * self._width)
        except (OSError, EOFError, zlib.error) as exc:
            raise FileError(f"{self.path} is truncated or damaged: {one_line(exc)}") from exc
        if len(records) != rows * self._width:
            raise FileError(f"{self.path} is truncated: the file is shorter than it says")
        content = b"".join(
            (self._before, with_rows(self._head, rows), records, _padding(len(records)))
        )
        return cast("QTable", quantity_table(read_fits(content, Path(self.path), self._part)))

    def close(self) -> None:
        """See `ChunkedTable.close`."""
        self._source.close()


def open_fits(file: TableFile, path: str | Path) -> FitsChunks | None:
    """The table of a FITS file by rows; None if it has columns that lie apart from the rows.

    Raises
    ------
    FileError
        If it is not FITS, truncated, or has no table or several.
    InputError
        If column names occur twice.
    """
    from astropy.io import fits

    source = _opened(file.path)
    try:
        with (
            warnings.catch_warnings(),
            fits.open(source, memmap=False, lazy_load_hdus=True) as hdus,
        ):
            warnings.simplefilter("ignore")  # a truncated file is an error below
            everything = list(hdus)
            hdu = choose_table(everything, file.path, file.part)
            header, number = hdu.header, everything.index(hdu)
            if header.get("PCOUNT", 0) or hdus[0].header.get("COLFITS") is True:
                return None
            places = [other.fileinfo() for other in (hdus[0], hdu)]
            width, rows = int(header["NAXIS1"]), int(header["NAXIS2"])
    except FileError:
        raise
    except (OSError, EOFError, zlib.error, ValueError, TypeError, KeyError, IndexError) as exc:
        raise FileError(
            f"{file.path} is not a FITS table, or it is damaged: {one_line(exc)}"
        ) from exc
    finally:
        source.close()
    first, own = places
    if rows == 0 or width == 0 or first["datSpan"] > _LARGEST_BEFORE:
        return None
    source = _opened(file.path)
    before = _bytes(source, 0, first["datLoc"] + first["datSpan"]) + _empty_hdu() * (number - 1)
    head = _bytes(source, own["hdrLoc"], own["datLoc"])
    found = FitsChunks(path, source, before, head, str(number), own["datLoc"], width, rows)
    # Of a packed file only unpacking it would tell.
    if not found.packed and source.seek(0, 2) < own["datLoc"] + width * rows:
        found.close()
        raise FileError(f"{file.path} is truncated: the file is shorter than it says")
    return found


def _opened(path: Path) -> BinaryIO:
    """The file, unpacked where it is packed, whatever its name says."""
    plain = open(path, "rb")
    packed = plain.read(2) == b"\x1f\x8b"
    if not packed:
        plain.seek(0)
        return plain
    plain.close()
    return cast(BinaryIO, gzip.open(path, "rb"))


def _bytes(source: Any, start: int, stop: int) -> bytes:
    source.seek(start)
    return bytes(source.read(stop - start))


def _empty_hdu() -> bytes:
    return "".join(card.ljust(80) for card in _NO_HDU).ljust(_BLOCK).encode("ascii")


def _padding(size: int) -> bytes:
    return b"\0" * (-size % _BLOCK)
