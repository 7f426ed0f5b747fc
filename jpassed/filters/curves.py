"""Transmission curves in files: text, ECSV, VOTable, FITS."""

from __future__ import annotations

import gzip
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import FileError, InputError

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

__all__ = ["curve_name", "read_curve", "to_angstrom"]

_EXPECTED = (
    "expected a table of wavelength and throughput (text columns with # comments, ECSV, VOTable "
    "or FITS)"
)


def curve_name(path: str | PathLike[str]) -> str:
    """Band name that a file stands for: its name without folder and extensions."""
    stem = Path(path).name
    for suffix in (".gz", ".ecsv", ".tab", ".txt", ".dat", ".res", ".csv", ".xml", ".vot", ".fits"):
        stem = stem.removesuffix(suffix)
    return stem


def read_curve(
    path: str | PathLike[str], *, unit: str = "Angstrom", column: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wavelength in Å and throughput of a transmission curve.

    Parameters
    ----------
    path : path
        Text (two or more columns, ``#`` comments), ECSV, VOTable or FITS, gzipped or not.
    unit : str
        Unit of the wavelengths where the file does not give one.
    column : int
        Column of the throughput, counted from 0; wavelengths are column 0.

    Returns
    -------
    wavelength, throughput : ndarray, shape (n,)

    Raises
    ------
    FileError
        If the file is missing or is no such table.
    InputError
        If `unit` or the file's own is not a length, or `column` does not exist.
    """
    try:
        content = Path(path).read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise FileError(f"cannot read the curve {str(path)!r}: {reason}") from exc
    try:
        columns, given = _columns(content)
    except (ValueError, TypeError, OSError, KeyError, IndexError) as exc:
        raise FileError(f"{str(path)!r} is not a transmission curve; {_EXPECTED}: {exc}") from exc
    if not 1 <= column < len(columns):
        raise InputError(
            f"{str(path)!r} has {len(columns)} columns; there is no throughput column {column} "
            "(they count from 0, which is the wavelength)"
        )
    return columns[0] * to_angstrom(given or unit, path), columns[column]


def _columns(content: bytes) -> tuple[list[NDArray[np.float64]], Any]:
    """Columns as float64 and the unit of the first, None where the file has none."""
    head = content[:2000].lstrip()
    if head.startswith(b"SIMPLE"):
        return _table(BytesIO(content), "fits")
    if head.startswith(b"<"):
        return _table(BytesIO(content), "votable")
    text = content.decode("utf-8", errors="replace")
    if head.startswith(b"# %ECSV"):
        return _table(text.splitlines(), "ascii.ecsv")
    separator = "," if "," in _first_row(text) else None
    if not _first_row(text):
        raise ValueError("it has no rows")
    rows = np.loadtxt(StringIO(text), ndmin=2, delimiter=separator)
    return list(rows.T.astype(np.float64)), None


def _first_row(text: str) -> str:
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return next(lines, "")


def _table(source: Any, form: str) -> tuple[list[NDArray[np.float64]], Any]:
    from astropy.table import Table

    table = Table.read(source, format=form)
    columns = [np.asarray(np.ma.filled(table[n], np.nan), dtype=np.float64) for n in table.colnames]
    return columns, table.columns[0].unit


def to_angstrom(unit: Any, path: str | PathLike[str]) -> float:
    """Factor from a length unit to Å; `path` is named in the error."""
    from astropy import units as u

    try:
        return float(u.Unit(unit).to(u.AA))
    except (ValueError, TypeError, u.UnitConversionError) as exc:
        raise InputError(
            f"the wavelengths of {str(path)!r} are said to be in {str(unit)!r}, which is not a "
            "length; use for example unit='nm' or 'micron'"
        ) from exc
