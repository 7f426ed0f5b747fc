"""The match itself: positions go up in chunks, candidates come back, the nearest one stays."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import QueryError, ServiceError, TruncatedAnswerError
from jpassed.vo.dialects import load_dialect, text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jpassed.vo.matchable import Matchable
    from jpassed.vo.positions import Positions

__all__ = ["Matches", "available_columns", "match_query", "match_uploaded", "rows_at_a_time"]

logger = logging.getLogger(__name__)

UPLOAD = "jp_positions"
ROW, RA, DEC = "jp_row", "jp_ra", "jp_dec"
BYTES_A_ROW = 40
"""Of an upload: 24 bytes as base64, and the head of the VOTable."""
MARGIN = 0.01
"""Arcseconds by which the service searches wider than asked, so that roundings of its own lose no
candidate; the separation that counts is computed here."""


@dataclass(frozen=True)
class Matches:
    """The best match of each of N rows.

    Attributes
    ----------
    rows : ndarray of int, shape (M,)
        Rows that have a match, ascending.
    separation : ndarray of shape (M,)
        Arcseconds.
    candidates : ndarray of int, shape (N,)
        Entries of the service's table within the radius.
    shared : ndarray of bool, shape (M,)
        Whether another row has the same entry for its match.
    columns : Table
        What the service said of the M matches, under the names that come out.
    query : str
        What every chunk was asked with.
    """

    rows: NDArray[np.int64]
    separation: NDArray[np.float64]
    candidates: NDArray[np.int32]
    shared: NDArray[np.bool_]
    columns: Any
    query: str


def match_query(target: Matchable, columns: Mapping[str, str], radius: float, dialect: str) -> str:
    """The ADQL of one chunk.

    Parameters
    ----------
    target : Matchable
    columns : mapping
        Name that comes out to column of the table.
    radius : float
        Arcseconds.
    dialect : str
    """
    near = load_dialect(dialect).neighbours(
        (f"c.{target.ra}", f"c.{target.dec}"), (f"t.{RA}", f"t.{DEC}"), (radius + MARGIN) / 3600.0
    )
    kept = "".join(f", c.{column} AS jp_c{k}" for k, column in enumerate(columns.values()))
    return (
        f"SELECT t.{ROW}, c.{target.ra} AS jp_c_ra, c.{target.dec} AS jp_c_dec{kept} "
        f"FROM TAP_UPLOAD.{UPLOAD} AS t JOIN {target.table} AS c ON {near}"
    )


def available_columns(client: Any, target: Matchable) -> dict[str, str]:
    """Those of the optional columns that the service's table has."""
    if not target.optional:
        return {}
    table = target.table.strip('"')
    try:
        answer = client.run(
            "SELECT column_name FROM TAP_SCHEMA.columns WHERE table_name IN "
            f"({text(table)}, {text(chr(34) + table + chr(34))})"
        )
    except QueryError as exc:
        logger.info("%s does not list its columns (%s)", target.service, exc)
        return {}
    listed = {str(name).strip('"').lower() for name in answer[answer.colnames[0]]}
    found = {
        name: column
        for name, column in target.optional.items()
        if column.strip('"').lower() in listed
    }
    for name in target.optional.keys() - found.keys():
        logger.info("%s has no column %s: left out", target.table, target.optional[name])
    return found


def rows_at_a_time(client: Any, wanted: int) -> int:
    """How many positions to upload at a time: `wanted`, or what the service says that it takes.

    Raises
    ------
    ServiceError
        If the service says that it takes no uploads.
    """
    said = client.capabilities()
    if said and not client.takes_uploads():
        raise ServiceError(
            f"{client.service.name} takes no uploads, so that no positions can be matched there"
        )
    most = wanted
    for part in said:
        hard = getattr(getattr(part, "uploadlimit", None), "hard", None)
        content = getattr(hard, "content", None)
        if content:
            rows = (
                int(content)
                if getattr(hard, "unit", "") == "row"
                else int(content) // BYTES_A_ROW - 100
            )
            most = min(most, max(1, rows))
    return most


def match_uploaded(
    client: Any,
    target: Matchable,
    positions: Positions,
    columns: Mapping[str, str],
    *,
    radius: float,
    dialect: str,
    chunk: int,
    progress: Callable[[int, int], None] | None = None,
) -> Matches:
    """Match positions against a table of a service.

    Parameters
    ----------
    client : TapClient
    target : Matchable
    positions : Positions
        N rows; those without a position are not sent. Nothing but a row's number and its
        position is sent.
    columns : mapping
        Name that comes out to column of the table.
    radius : float
        Arcseconds.
    dialect : str
        Of the service.
    chunk : int
        Rows to send at a time; fewer where the service refuses so many or cuts its answer.
    progress : callable, optional
        Called with (rows done, rows to do).

    Returns
    -------
    Matches

    Raises
    ------
    ServiceError, QueryError
        From the service; nothing is returned unless all chunks were answered whole.
    """
    query = match_query(target, columns, radius, dialect)
    rows = np.flatnonzero(positions.given)
    answers = []
    done, size = 0, max(1, int(chunk))
    while done < len(rows):
        part = rows[done : done + size]
        try:
            answer = client.run(query, uploads={UPLOAD: _upload(positions, part)})
        except (TruncatedAnswerError, ServiceError, QueryError) as exc:
            if len(part) == 1 or not _too_much(exc):
                raise
            size = (len(part) + 1) // 2
            logger.info("%s: %s; going on with %d positions at a time", target.service, exc, size)
            continue
        answers.append(_candidates(answer, positions, part, columns, radius))
        done += len(part)
        if progress is not None:
            progress(done, len(rows))
    return _best(answers, len(positions), columns, query)


def _too_much(exc: Exception) -> bool:
    """Whether fewer rows may help: a cut answer, or an upload larger than the service takes."""
    said = str(exc).lower()
    large = any(word in said for word in ("too large", "too big", "exceed", "limit", "accept"))
    return isinstance(exc, TruncatedAnswerError) or ("upload" in said and large) or "413" in said


def _upload(positions: Positions, rows: NDArray[np.int64]) -> Any:
    from astropy.table import Table

    table = Table(
        {ROW: rows.astype(np.int64), RA: positions.ra[rows], DEC: positions.dec[rows]},
        units={RA: "deg", DEC: "deg"},
    )
    for name, ucd in ((ROW, "meta.record"), (RA, "pos.eq.ra"), (DEC, "pos.eq.dec")):
        table[name].info.meta = {"ucd": ucd}
    return table


def _candidates(
    answer: Any,
    positions: Positions,
    asked: NDArray[np.int64],
    columns: Mapping[str, str],
    radius: float,
) -> Any:
    """The rows of one answer within the radius, as plain columns under their final names."""
    from astropy.coordinates import angular_separation

    from jpassed.io.native_columns import plain_table

    found = plain_table(answer)
    names = [ROW, "jp_c_ra", "jp_c_dec", *(f"jp_c{k}" for k in range(len(columns)))]
    if len(found.colnames) != len(names):
        raise ServiceError(
            f"the service answered with {len(found.colnames)} columns where {len(names)} were "
            f"asked for: {', '.join(found.colnames)}"
        )
    # By place: some services change the case of names, or put the table before them.
    for old, new in zip(list(found.colnames), names, strict=True):
        if old != new:
            found.rename_column(old, new)
    if len(found) == 0:
        found["jp_separation"] = np.empty(0)
        return found
    row = np.asarray(found[ROW], dtype=np.int64)
    if not np.isin(row, asked).all():
        raise ServiceError("the service answered with rows that were not sent")
    there = [np.radians(np.asarray(found[name], dtype=np.float64)) for name in names[1:3]]
    here = np.radians(positions.ra[row]), np.radians(positions.dec[row])
    separation = np.degrees(angular_separation(*here, *there)) * 3600.0
    if np.max(separation) > 2.0 * radius + 1.0:
        # Else everything would end as "no match".
        raise ServiceError(
            f"the service's neighbours within {radius:g} arcsec lie up to {np.max(separation):.4g} "
            "arcsec away by the columns named as their positions: are these in degrees, and ICRS?"
        )
    found["jp_separation"] = separation
    return found[separation <= radius]


def _best(answers: list[Any], n: int, columns: Mapping[str, str], query: str) -> Matches:
    from astropy.table import Table, vstack

    full = [answer for answer in answers if len(answer)] or answers[:1]
    table = vstack(full, metadata_conflicts="silent") if len(full) > 1 else full[0]
    table = table[_order(table)]
    row = np.asarray(table[ROW], dtype=np.int64)
    candidates = np.bincount(row, minlength=n).astype(np.int32)
    rows, first = np.unique(row, return_index=True)
    table = table[first]
    entry = np.stack(
        [np.asarray(table[name], dtype=np.float64) for name in ("jp_c_ra", "jp_c_dec")]
    )
    shared = np.zeros(len(rows), dtype=bool)
    if len(rows):
        _, which, times = np.unique(entry, axis=1, return_inverse=True, return_counts=True)
        shared = times[which.ravel()] > 1
    kept = Table()
    for k, name in enumerate(columns):
        kept[name] = table[f"jp_c{k}"]
    separation = np.asarray(table["jp_separation"], dtype=np.float64)
    return Matches(rows, separation, candidates, shared, kept, query)


def _order(table: Any) -> NDArray[np.intp]:
    """By row, then separation; ties by the entry's own numbers, so that they do not depend on the
    order in which the service answers."""
    keys: list[NDArray[Any]] = []
    for name in table.colnames:
        if name in (ROW, "jp_separation"):
            continue
        column = np.ma.asarray(table[name])
        if column.ndim == 1:
            plain = column.filled(column.dtype.type()) if column.dtype.kind != "O" else column.data
            texts = plain.astype(str) if column.dtype.kind == "O" else plain
            keys.append(np.unique(texts, return_inverse=True)[1])
            keys.append(np.ma.getmaskarray(column))
    # Equal but for rounding is equal.
    separation = np.round(np.asarray(table["jp_separation"], dtype=np.float64), 8)
    return np.lexsort([*reversed(keys), separation, np.asarray(table[ROW])])
