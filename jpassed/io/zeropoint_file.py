"""Files of zero points: small tables with units, errors and provenance."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from jpassed.exceptions import InputError
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.io.formats import read_bytes, table_file
from jpassed.surveys.zeropoints import ZeroPoints

__all__ = ["check_zeropoint_file", "read_zeropoints", "write_zeropoints"]


def read_zeropoints(path: str | os.PathLike[str] | ZeroPoints) -> ZeroPoints:
    """Zero points of a file; those that are there already are given back.

    Parameters
    ----------
    path : str, path or ZeroPoints
        ECSV, or any other format of `read_catalog` but CSV, which has no provenance.

    Raises
    ------
    FileError
        If the file is missing or damaged.
    InputError
        If it holds something else.
    """
    if isinstance(path, ZeroPoints):
        return path
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"zeropoints: expected a file or ZeroPoints, got {path!r}")
    where = os.fspath(path)
    checksum = hashlib.sha256(read_bytes(table_file(where))).hexdigest()
    return ZeroPoints.from_table(read_catalog(where), where=where, checksum=checksum)


def check_zeropoint_file(path: str | os.PathLike[str]) -> None:
    """Refuse a name whose format cannot hold zero points, before any work is done for it.

    Raises
    ------
    InputError
        For CSV.
    """
    if table_file(os.fspath(path)).format == "csv":
        raise InputError(f"{path}: CSV keeps neither units nor provenance; name it .ecsv")


def write_zeropoints(
    zeropoints: ZeroPoints, path: str | os.PathLike[str], overwrite: bool = False
) -> None:
    """Write zero points; the ending chooses the format, ``.ecsv`` is the one to read by eye.

    Raises
    ------
    FileError
        If the file exists and `overwrite` is false, or cannot be written.
    InputError
        See `check_zeropoint_file`.
    """
    check_zeropoint_file(path)
    write_catalog(zeropoints.to_table(), Path(path), overwrite)
