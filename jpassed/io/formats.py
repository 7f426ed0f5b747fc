"""Table formats by the ending of a file's name."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

from jpassed.exceptions import FileError, UnknownNameError

__all__ = ["TableFile", "list_endings", "read_bytes", "table_file"]

_ENDINGS = {
    ".fits": "fits",
    ".fit": "fits",
    ".fts": "fits",
    ".vot": "votable",
    ".votable": "votable",
    ".xml": "votable",
    ".ecsv": "ecsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
}
# Text tables under other names: their layout is anything.
_TEXT_ENDINGS = {".txt", ".dat", ".cat", ".asc", ".ascii", ".tsv", ".tab", ".tbl"}


@dataclass(frozen=True)
class TableFile:
    """A path taken apart.

    Attributes
    ----------
    path : Path
        Without the fragment.
    format : {"fits", "votable", "ecsv", "parquet", "csv"}
    gzipped : bool
    part : str or None
        Name or number of the table within the file, after ``#``.
    ending : str
        All of the ending, e.g. ``".fits.gz"``.
    """

    path: Path
    format: str
    gzipped: bool
    part: str | None
    ending: str


def list_endings() -> tuple[str, ...]:
    """Endings of the formats that are read and written, each also with ``.gz``."""
    return tuple(_ENDINGS)


def table_file(path: str | Path) -> TableFile:
    """Format of a table by its name; ``catalogue.fits#2`` and ``#NAME`` pick one of its tables.

    Raises
    ------
    UnknownNameError
        If the ending is not one of a table; the message lists those that are.
    """
    text = str(path)
    part = None
    stem, mark, fragment = text.rpartition("#")
    if mark and fragment and "/" not in fragment and not Path(text).exists():
        text, part = stem, fragment
    plain = Path(text)
    gzipped = plain.suffix.lower() == ".gz"
    inner = Path(plain.name[:-3] if gzipped else plain.name)
    suffix = inner.suffix.lower()
    if suffix not in _ENDINGS:
        given = "".join([inner.suffix, ".gz" if gzipped else ""]) or plain.name
        error = UnknownNameError(f"table format of {text}:", given, _ENDINGS)
        if inner.suffix.lower() in _TEXT_ENDINGS:
            error.message += (
                "; a text table with a line of column names is read as .csv: rename it (commas, "
                "semicolons, tabs, bars or spaces may separate its columns)"
            )
        raise error
    ending = plain.name[len(inner.stem) :]
    return TableFile(plain, _ENDINGS[suffix], gzipped, part, ending)


def read_bytes(file: TableFile) -> bytes:
    """Content of a file, unpacked.

    Raises
    ------
    FileError
        If it is missing, a folder, empty, unreadable, or its gzip stream is damaged.
    """
    try:
        content = file.path.read_bytes()
    except FileNotFoundError:
        raise FileError(f"{file.path} does not exist") from None
    except IsADirectoryError:
        raise FileError(f"{file.path} is a folder, expected a table") from None
    except OSError as exc:
        raise FileError(f"cannot read {file.path}: {exc}") from exc
    if not content:
        raise FileError(f"{file.path} is empty (0 bytes), expected a {file.format} table")
    # Downloads are often unpacked or packed on the way without their name changing.
    packed = content[:2] == b"\x1f\x8b"
    if not packed:
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as exc:
        raise FileError(f"{file.path} is truncated or damaged: {exc}") from None
