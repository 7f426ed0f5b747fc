"""Write the folder that a data centre imports: descriptor, data, instructions."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from jpassed.exceptions import FileError, InputError
from jpassed.io.atomic import atomic_output
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.io.native_columns import plain_table
from jpassed.publishing.described import DescribedColumn, describe
from jpassed.publishing.descriptor import Resource, descriptor
from jpassed.publishing.instructions import instructions
from jpassed.publishing.names import check_identifier, new_names
from jpassed.publishing.provenance import provenance
from jpassed.publishing.rights import read_rights, read_source
from jpassed.publishing.roles import ADDED_KEY, add_key, add_positions, find_key

__all__ = ["Publication", "publish"]

logger = logging.getLogger(__name__)

_MAIN = re.compile(r";?meta\.main\b")


@dataclass(frozen=True)
class Publication:
    """What `publish` wrote.

    Attributes
    ----------
    folder : Path
        With ``q.rd``, ``README.md`` and ``data/``.
    table : str
        ``schema.table``, the name in queries.
    rows : int
    key : tuple of str
        Columns that identify a row; empty if there are none.
    positions : tuple of str
        Right ascension and declination; empty if there are none, and then no cone search.
    quoted : tuple of str
        Columns that queries have to write in double quotes.
    renamed : dict
        Columns of the catalogue that DaCHS cannot serve to the names they have got.
    """

    folder: Path
    table: str
    rows: int
    key: tuple[str, ...]
    positions: tuple[str, ...]
    quoted: tuple[str, ...]
    renamed: Mapping[str, str] = field(default_factory=dict)


def publish(
    table: Any,
    folder: str | Path,
    *,
    schema: str | None = None,
    name: str = "main",
    title: str | None = None,
    description: str | None = None,
    creator: str | None = None,
    license: str | None = None,
    source: str | None = None,
    key: str | Sequence[str] | None = None,
    position: str | Sequence[str] | None = None,
    overwrite: bool = False,
) -> Publication:
    """Write what GAVO DaCHS needs to serve a catalogue by TAP and cone search.

    Parameters
    ----------
    table : Table, QTable, str or Path
        The catalogue, usually annotated; a path is read with `jpassed.io.catalogs.read_catalog`.
    folder : str or Path
        Gets ``q.rd``, ``README.md`` and ``data/<name>.vot``.
    schema : str, optional
        Schema of the database; the folder's name otherwise.
    name : str
        Of the table in its schema.
    title, description, creator : str, optional
        For the readers of the service; creators as ``"Doe, J.; Roe, R."``.
    license : str, optional
        ``"CC-BY-4.0"``, ``"CC-BY-SA-4.0"``, ``"CC0-1.0"``, a URL, or words of your own.
    source : str, optional
        Bibcode or DOI of the paper that describes the catalogue.
    key : str or sequence of str, optional
        Columns that together identify a row. Found otherwise: UCD ``meta.id;meta.main``, then
        common names, where the values are unique; ``jp_id`` is added where no single column does.
    position : str or sequence of str, optional
        Columns of right ascension and declination; found otherwise.
    overwrite : bool
        Whether files in `folder` may be replaced.

    Returns
    -------
    Publication

    Raises
    ------
    InputError
        If a column, the key or the name of schema or table is one that a TAP service cannot
        serve, or `source` is neither bibcode nor DOI.
    FileError
        If a file is in the way or cannot be written.

    Notes
    -----
    Columns whose names DaCHS cannot serve are renamed (``E(B-V)`` becomes ``e_b_v``), see
    `jpassed.publishing.names.new_names`; so are names of the key and the positions that queries
    would have to quote.

    Masked values and NaN become NULL. Masked elements of an array become NaN in arrays of floats,
    and the column's null value in arrays of whole numbers, as VOTable has no other null for them.
    All values arrive in the database to the last bit, but for the sign of zero, which PostgreSQL's
    numbers have not. Backslashes in parameters become slashes: DaCHS would take them for macros.

    Examples
    --------
    >>> publish(annotated, "minijpas_jp", key="tile_id,number")  # doctest: +SKIP
    """
    target = Path(folder)
    chosen = check_identifier(schema if schema is not None else target.resolve().name, "schema")
    check_identifier(name, "table")
    _check_folder(target, name, overwrite)
    paper = "" if source is None else read_source(source)
    given = read_catalog(table) if isinstance(table, str | Path) else table
    if len(given) == 0:
        raise InputError("the table has no rows: nothing to publish")
    plain = plain_table(given)
    resource, content = _resource(
        plain, chosen, name, key, position, title=title, description=description, creator=creator
    )
    resource = replace(resource, rights=read_rights(license), source=paper)
    (target / "data").mkdir(parents=True, exist_ok=True)
    data = target / resource.data
    write_catalog(content, data, overwrite=overwrite)
    checksum = hashlib.sha256(data.read_bytes()).hexdigest()
    for path, text in (
        (target / "README.md", instructions(resource, len(plain), checksum)),
        (target / "q.rd", descriptor(resource)),
    ):
        with atomic_output(path, overwrite) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return Publication(
        folder=target,
        table=f"{chosen}.{name}",
        rows=len(plain),
        key=resource.key,
        positions=resource.positions,
        quoted=tuple(column.name for column in resource.columns if column.quoted),
        renamed=resource.renamed,
    )


def _check_folder(target: Path, name: str, overwrite: bool) -> None:
    if target.exists() and not target.is_dir():
        raise FileError(f"{target} is a file; name a folder to write to")
    there = [n for n in ("q.rd", "README.md", f"data/{name}.vot") if (target / n).exists()]
    if there and not overwrite:
        raise FileError(
            f"{target} holds {', '.join(there)} already; choose another folder or overwrite "
            "(--overwrite)"
        )
    if not target.exists() and not target.resolve().parent.is_dir():
        raise FileError(f"cannot write {target}: {target.resolve().parent} is not a folder")


def _resource(
    plain: Any,
    schema: str,
    name: str,
    key: str | Sequence[str] | None,
    position: str | Sequence[str] | None,
    *,
    title: str | None,
    description: str | None,
    creator: str | None,
) -> tuple[Resource, Any]:
    meta = dict(plain.meta)
    positions = add_positions(plain, position)
    columns_of_key = find_key(plain, key)
    identifier = columns_of_key[0] if len(columns_of_key) == 1 else ""
    if positions and not identifier:  # a cone search wants one column
        add_key(plain, columns_of_key)
        identifier = ADDED_KEY
    renamed = _rename(plain, (*columns_of_key, *positions))
    columns_of_key = tuple(renamed.get(n, n) for n in columns_of_key)
    positions = tuple(renamed.get(n, n) for n in positions)
    identifier = renamed.get(identifier, identifier)
    columns, content = describe(plain)
    made = provenance(meta)
    if not made:
        logger.info("the table's meta does not say who made its predictions")
    if creator is None:
        logger.warning("no creator is named (creator=, --creator): put one into q.rd")
    plainly = f"{schema}: a catalogue{' with predictions of jpassed' if made else ''}"
    said = title or str(meta.get("title") or plainly)
    about = description or str(meta.get("description") or _about(said, len(plain), meta))
    resource = Resource(
        schema=schema,
        table=name,
        title=said,
        description=about,
        creator=creator or "not named",
        date=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        columns=_with_roles(columns, identifier, positions),
        data=f"data/{name}.vot",
        key=columns_of_key or ((identifier,) if identifier else ()),
        identifier=identifier,
        positions=positions,
        example=_example(plain, positions),
        provenance=made,
        renamed=renamed,
    )
    return resource, content


def _about(title: str, rows: int, meta: Mapping[str, Any]) -> str:
    """A description where none is given."""
    known = {str(key).lower(): value for key, value in meta.items()}
    if not known.get("jp_model"):
        return f"{title}. {rows:,} objects."
    version = f" {known['jp_version']}" if known.get("jp_version") else ""
    date = f" on {str(known['jp_date'])[:10]}" if known.get("jp_date") else ""
    return (
        f"{title}. {rows:,} objects; the columns jp_* are predictions of jpassed{version}{date} "
        f"with its model {known['jp_model']}."
    )


def _rename(plain: Any, indexed: Sequence[str]) -> dict[str, str]:
    """Rename the columns that cannot be served under their names, and say so."""
    renamed = new_names(plain.colnames, indexed)
    for old, new in renamed.items():
        plain.rename_column(old, new)
        info = plain[new].info
        info.description = f"{info.description or ''} (column {old} of the catalogue)".strip()
        logger.warning("column %r is published as %s: DaCHS cannot serve that name", old, new)
    return renamed


def _with_roles(
    columns: Sequence[DescribedColumn], identifier: str, positions: tuple[str, ...]
) -> list[DescribedColumn]:
    """UCDs that say which columns are the main ones; the others are not."""
    roles = {identifier: "meta.id;meta.main"}
    roles.update(zip(positions, ("pos.eq.ra;meta.main", "pos.eq.dec;meta.main"), strict=False))
    out = []
    for column in columns:
        ucd = roles.get(column.name)
        if ucd is None:
            ucd = column.ucd
            if ucd in roles.values():
                ucd = _MAIN.sub("", ucd)
        out.append(column.with_ucd(ucd))
    return out


def _example(plain: Any, positions: tuple[str, ...]) -> tuple[float, ...]:
    if not positions:
        return ()
    pair: list[Any] = [
        np.ma.filled(np.ma.asarray(plain[name].data, dtype=float), np.nan) for name in positions
    ]
    first = int(np.flatnonzero(np.isfinite(pair[0]) & np.isfinite(pair[1]))[0])
    return tuple(float(values[first]) for values in pair)
