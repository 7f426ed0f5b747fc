"""Catalogues in and out: FITS, VOTable, ECSV, Parquet and CSV, each also gzipped."""

from __future__ import annotations

import gzip
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jpassed.exceptions import FileError, InputError, JpassedError
from jpassed.io.atomic import atomic_output, check_output
from jpassed.io.formats import TableFile, list_endings, read_bytes, table_file
from jpassed.io.native_columns import plain_table, quantity_table

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = [
    "check_output",
    "default_output",
    "list_endings",
    "read_catalog",
    "write_catalog",
    "write_whole",
]

logger = logging.getLogger(__name__)


def default_output(path: str | Path, suffix: str = "_jpassed") -> Path:
    """Path of the output beside an input: ``cat.fits.gz`` gives ``cat_jpassed.fits.gz``.

    Parameters
    ----------
    path : str or Path
        The input; ``#PART`` at its end is dropped.
    suffix : str
        What goes between the name and its ending.

    Returns
    -------
    Path

    Raises
    ------
    UnknownNameError
        If the ending is not one of a table.
    """
    file = table_file(path)
    stem = file.path.name[: -len(file.ending)]
    return file.path.with_name(f"{stem}{suffix}{file.ending}")


def read_catalog(path: str | Path) -> QTable:
    """Read a table.

    Parameters
    ----------
    path : str or Path
        FITS, VOTable, ECSV, Parquet or CSV by its ending, also with ``.gz``. Where a FITS or
        VOTable file holds several tables, ``file.fits#2`` or ``file.fits#NAME`` picks one.

    Returns
    -------
    QTable
        Native byte order, text as str, units where the file has them, UCDs in
        ``column.info.meta["ucd"]``.

    Raises
    ------
    FileError
        If the file is missing, empty, damaged, truncated, or not a table.
    InputError
        If the table has no rows or columns, a column name occurs twice, or the ending is unknown.

    Examples
    --------
    >>> table = read_catalog("catalogue.fits")  # doctest: +SKIP
    """
    file = table_file(path)
    content = read_bytes(file)
    table = quantity_table(_read(content, file))
    if not table.colnames:
        raise InputError(f"{path}: the table has no columns")
    if len(table) == 0:
        raise InputError(f"{path}: the table has no rows")
    return table


def _read(content: bytes, file: TableFile) -> Any:
    if file.part is not None and file.format not in ("fits", "votable"):
        raise FileError(f"{file.path}#{file.part}: a {file.format} file holds one table only")
    if file.format == "fits":
        from jpassed.io.fits_cards import read_fits

        return read_fits(content, file.path, file.part)
    if file.format == "votable":
        from jpassed.io.votables import read_votable

        return read_votable(content, file.path, file.part)
    if file.format == "parquet":
        from jpassed.io.parquet_tables import read_parquet

        return read_parquet(content, file.path)
    from jpassed.io.text_tables import read_csv, read_ecsv

    return (read_ecsv if file.format == "ecsv" else read_csv)(content, file.path)


def write_catalog(table: Any, path: str | Path, overwrite: bool = False) -> None:
    """Write a table, whole or not at all.

    Parameters
    ----------
    table : Table or QTable
        It is not changed.
    path : str or Path
        Format by its ending, see `read_catalog`. The file appears under its name when it is
        complete.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    FileError
        If the file exists and `overwrite` is false, or cannot be written.
    UnknownNameError
        If the ending is not one of a table.

    Notes
    -----
    Descriptions and UCDs (``column.info.meta["ucd"]``) are written such that astropy as well as
    STILTS and TOPCAT see them: in FITS as ``TCOMMn`` and ``TUCDn``. The table's meta goes along
    in every format but CSV, which also has no units.
    """
    file = table_file(path)
    if file.part is not None:
        raise FileError(f"cannot write {path}: '#' picks a table to read, not one to write")
    with atomic_output(file.path, overwrite) as temporary:
        write_whole(table, file, temporary)


def write_whole(table: Any, file: TableFile, temporary: Path) -> None:
    """Write a table under another name than that of its `file`; see `write_catalog`."""
    plain = plain_table(table)
    if file.format == "csv" and any(plain[name].info.unit for name in plain.colnames):
        logger.warning("%s: CSV keeps no units and no descriptions of the columns", file.path)
    try:
        _write(plain, temporary, file.format)
    except (JpassedError, OSError):
        raise
    except Exception as exc:  # each writer has its own errors for columns it cannot hold
        reason = " ".join(str(exc).split()) or type(exc).__name__
        raise FileError(f"cannot write {file.path} as {file.format}: {reason}") from exc
    if file.gzipped:
        compress(temporary)


def _write(table: Any, path: Path, kind: str) -> None:
    if kind == "fits":
        from jpassed.io.fits_cards import write_fits

        write_fits(table, path)
        return
    if kind == "ecsv":
        from jpassed.io.text_tables import write_ecsv

        write_ecsv(table, path)
        return
    from astropy.table import serialize

    # Times and coordinates as plain columns; only Parquet has a place to say what they were.
    table = serialize.represent_mixins_as_columns(table)
    if kind == "parquet":
        from jpassed.io.parquet_tables import write_parquet

        write_parquet(table, path)
        return
    table.meta.pop("__serialized_columns__", None)
    if kind == "votable":
        from jpassed.io.votables import write_votable

        write_votable(table, path)
        return
    from jpassed.io.text_tables import write_csv

    write_csv(table, path)


def compress(path: Path) -> None:
    """Pack a file with gzip, in its place."""
    packed = path.with_name(path.name + ".gz")
    try:
        # No name and no time inside: the same table gives the same bytes.
        with open(path, "rb") as source, open(packed, "wb") as raw:
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as target:
                shutil.copyfileobj(source, target, 1 << 20)
        packed.replace(path)
    finally:
        packed.unlink(missing_ok=True)
