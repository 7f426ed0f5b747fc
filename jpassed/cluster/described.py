"""Units, descriptions and UCDs of columns whose catalogue may have lost them.

HATS keeps names and types only. What else is said of the columns comes from the metadata of the
Parquet files (astropy's, or the VOTable header of VOParquet), from the list of columns that
jpassed writes beside its output, or from a table or list of the user's.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

from jpassed.exceptions import FileError, InputError
from jpassed.io.parquet_tables import META_KEY, table_from_arrow
from jpassed.io.text_tables import read_ecsv, write_ecsv
from jpassed.io.texts import one_line

__all__ = [
    "COLUMN_LIST",
    "describe_like",
    "describe_schema",
    "list_columns",
    "said_of",
    "votable_metadata",
]

COLUMN_LIST = "jpassed_columns.ecsv"
"""Name of the list of columns in a folder of output: a row a column, the table's meta as meta."""

_VOTABLE = b"IVOA.VOTable-Parquet.content"
_VOTABLE_VERSION = b"IVOA.VOTable-Parquet.version"
_SAID = ("unit", "description", "format", "meta")

Said = dict[str, dict[str, Any]]
"""By column: unit, description, format and meta, as far as they are known."""


def describe_schema(schema: Any, *, folder: Any = None, columns: str | Path | None = None) -> Any:
    """A schema whose metadata hold all that is known of its columns, as astropy keeps it.

    Parameters
    ----------
    schema : pyarrow.Schema
        With the metadata of the files.
    folder : path-like, optional
        Of the catalogue, maybe a remote one; its list of columns is read if it has one.
    columns : str or Path, optional
        A list of columns (``name``, and ``unit``, ``description`` or ``ucd``), or a table with
        columns of the same names, whose rows do not matter. It has the last word.

    Raises
    ------
    FileError
        If metadata, list or table are damaged.
    InputError
        If `columns` has no column of the schema.
    """
    metadata = dict(schema.metadata or {})
    table = table_from_arrow(schema.empty_table(), Path(str(folder or "")))
    if _VOTABLE in metadata and META_KEY not in metadata:
        _say(table, _of_votable(metadata[_VOTABLE], folder))
    if folder is not None and (listed := _read_list(folder)) is not None:
        _say(table, _of_list(listed))
        table.meta.update(listed.meta)
    if columns is not None:
        given = _read_given(columns)
        if not _say(table, given):
            raise InputError(
                f"{columns} has none of the catalogue's columns ({_few(schema.names)}); it has "
                f"{_few(list(given))}"
            )
    metadata[META_KEY] = said_of(table)
    return schema.with_metadata(metadata)


def describe_like(table: Any, other: Any) -> None:
    """Say of a plain table and its columns what is said of another and of its columns."""
    _say(table, _of_columns(other))
    table.meta.update(other.meta)


def said_of(table: Any) -> bytes:
    """Astropy's description of a table's columns, and its meta."""
    from astropy.table import meta as table_meta

    return "\n".join(table_meta.get_yaml_from_table(table)).encode()


def votable_metadata(table: Any) -> dict[bytes, bytes]:
    """Metadata by which TOPCAT, STILTS and HATS tell units and UCDs of Parquet (VOParquet).

    Parameters
    ----------
    table : Table
        Plain columns; changed in small ways, its rows are left out.
    """
    from jpassed.io.votables import write_votable

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "columns.vot"
        write_votable(table[:0], path)
        return {_VOTABLE_VERSION: b"1.0", _VOTABLE: path.read_bytes()}


def list_columns(table: Any, folder: Path) -> Path:
    """Write `COLUMN_LIST` into a folder.

    Parameters
    ----------
    table : Table
        Plain columns.
    folder : Path

    Returns
    -------
    Path
    """
    from astropy.table import Table

    rows = Table(meta=dict(table.meta))
    columns = [table[name] for name in table.colnames]
    rows["name"] = table.colnames
    rows["datatype"] = [column.dtype.name.split("[")[0] for column in columns]
    rows["shape"] = ["x".join(map(str, column.shape[1:])) for column in columns]
    rows["unit"] = ["" if column.unit is None else str(column.unit) for column in columns]
    rows["ucd"] = [str(column.meta.get("ucd", "")) for column in columns]
    rows["format"] = [str(column.format or "") for column in columns]
    rows["description"] = [str(column.description or "") for column in columns]
    path = folder / COLUMN_LIST
    path.unlink(missing_ok=True)
    write_ecsv(rows, path)
    return path


def _say(table: Any, said: Said) -> bool:
    """Say of a table's columns what is known; False if it is of none of them."""
    shared = [name for name in table.colnames if name in said]
    for name in shared:
        for key, value in said[name].items():
            if key == "meta":
                table[name].meta.update(value)
            else:
                setattr(table[name], key, value)
    return bool(shared)


def _of_columns(table: Any) -> Said:
    """What a table says of its columns."""
    found: Said = {}
    for name in table.colnames:
        info = table[name].info
        said = {key: getattr(info, key, None) for key in _SAID}
        found[name] = {key: value for key, value in said.items() if value}
    return found


def _of_list(rows: Any) -> Said:
    """What a list of columns says of them."""
    found: Said = {}
    for row in rows:
        texts = {key: str(row[key]) for key in rows.colnames}
        texts = {key: text for key, text in texts.items() if text not in ("", "--")}
        said: dict[str, Any] = {k: texts[k] for k in ("unit", "description") if k in texts}
        if "format" in texts:
            said["format"] = texts["format"]
        if "ucd" in texts:
            said["meta"] = {"ucd": texts["ucd"]}
        found[texts.get("name", "")] = said
    return found


def _of_votable(content: bytes, folder: Any) -> Said:
    from astropy.io.votable import parse_single_table

    try:
        table = parse_single_table(io.BytesIO(content)).to_table(use_names_over_ids=True)
    except Exception as exc:  # XML and VOTable raise errors of many kinds
        raise FileError(f"{folder}: its VOTable header is damaged: {one_line(exc)}") from exc
    return _of_columns(table)


def _read_list(folder: Any) -> Any:
    path = (Path(folder) if isinstance(folder, str) else folder) / COLUMN_LIST
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise FileError(f"cannot read {path}: {one_line(exc)}") from exc
    return read_ecsv(content, path)


def _read_given(path: str | Path) -> Said:
    from jpassed.io.catalogs import read_catalog

    table = read_catalog(path)
    names = {name.lower(): name for name in table.colnames}
    if "name" in names and {"unit", "description", "ucd"} & set(names):
        table.rename_columns(list(names.values()), list(names))
        return _of_list(table)
    return _of_columns(table)


def _few(names: list[str]) -> str:
    return ", ".join(map(str, names[:4])) + (" ..." if len(names) > 4 else "")
