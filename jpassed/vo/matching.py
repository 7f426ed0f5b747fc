"""`crossmatch`: a table in, the same table with the nearest entries of a service's table out."""

from __future__ import annotations

import dataclasses
import datetime
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import jpassed
from jpassed.exceptions import InputError, UnknownNameError
from jpassed.vo.coverage import Coverage, fetch_fields, read_coverage
from jpassed.vo.matchable import Band, FieldTable, Matchable, load_matchable, own_matchable
from jpassed.vo.matched_columns import match_columns, output_names
from jpassed.vo.positions import Positions, find_positions
from jpassed.vo.services import load_service
from jpassed.vo.upload_match import (
    Matches,
    available_columns,
    match_uploaded,
    rows_at_a_time,
)

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["coverage_of", "crossmatch", "meta_key"]

logger = logging.getLogger(__name__)

CHUNK = 5000
"""Positions in one upload: some 200 kB, which servers take in a synchronous query."""

TAP_PREFIX = "tap:"

CoverageSource = str | os.PathLike[str] | Mapping[str, str | Path] | Coverage


def crossmatch(
    table: Any,
    target: str | os.PathLike[str] | Matchable | None = None,
    *,
    radius: float | None = None,
    position: str | Sequence[str] | None = None,
    frame: str | None = None,
    coverage: CoverageSource | None = None,
    limits: Mapping[str, float] | None = None,
    service: str | None = None,
    catalog: str | None = None,
    ra: str | None = None,
    dec: str | None = None,
    columns: Sequence[str] = (),
    prefix: str | None = None,
    chunk: int = CHUNK,
    credentials: Any = None,
    cache: bool | Path = True,
    replace_columns: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> QTable:
    """Add to each row the nearest entry of a table of a TAP service.

    The positions are uploaded, with the number of the row and nothing else, and joined by the
    service.

    Parameters
    ----------
    table : astropy.table.Table or QTable
        N objects. It is not changed.
    target : str, path or Matchable, optional
        A table known by name (``"galex"``; `jpassed.vo.matchable.list_matchables`), or a YAML
        file that describes one. Otherwise `service`, `catalog`, `ra`, `dec` and `columns` say
        which table it is.
    radius : float, optional
        Of the match, arcseconds; that of the target, or 1.
    position : str or sequence of str, optional
        The columns of the positions, ``"RA,DEC"``, or one column of coordinates. Otherwise they
        are found by their UCDs (``pos.eq.ra;meta.main``) or names.
    frame : str, optional
        Of the two columns; ICRS otherwise. Epochs and proper motions are not considered.
    coverage : str, path, mapping or Coverage, optional
        What the survey observed: a file with circular fields (ra, dec, radius in degrees,
        ``<band>_limit``), a MOC, MOCs by band, or ``"tap:TABLE"``, a table of fields of the
        service. Where none is known, no row is called a non-detection.
    limits : mapping, optional
        Depth of the survey by band, AB magnitude, in place of the target's; a table of fields
        has its own.
    service, catalog, ra, dec : str, optional
        Service, table and columns of positions (degrees), as ADQL wants them; with a named
        target they replace its own.
    columns : sequence of str
        Columns to keep; with a named target in addition to its own.
    prefix : str, optional
        Of the columns that come out.
    chunk : int
        Positions to upload at a time; fewer are sent where the service takes fewer.
    credentials : Credentials, optional
        For a service with a login.
    cache : bool or path
        Whether answers are kept, and taken from earlier runs.
    replace_columns : bool
        Allow to replace columns that the table already has.
    progress : callable, optional
        Called with (positions done, positions to do).

    Returns
    -------
    astropy.table.QTable
        The table's own columns, unchanged, and those of the nearest entry within the radius,
        masked where there is none. For each band ``<prefix><band>_flux`` and ``_flux_err``
        (microjansky), ``_limit`` (AB) and ``_status`` (0 not observed, 1 observed and not
        detected: a flux of 0 with the error of the depth, 2 detected); ``<prefix>separation``
        (arcsec), ``<prefix>candidates`` and ``<prefix>flag`` (see
        `jpassed.vo.matched_columns.MATCH_FLAGS`). ``meta["jp_crossmatch_<name>"]`` says what was
        asked of whom.

    Raises
    ------
    InputError
        If the table has no positions or already has columns that would be written, or an
        argument makes no sense.
    UnknownNameError
        For unknown targets, services, bands, columns or frames.
    ServiceError, QueryError
        From the service. A match is whole or an error, never a part of it.

    Examples
    --------
    >>> matched = jpassed.crossmatch(table, "galex")  # doctest: +SKIP
    >>> annotated = jpassed.annotate(matched)  # doctest: +SKIP
    """
    from jpassed.vo.client import TapClient

    wanted = _target(target, service, catalog, ra, dec, columns, radius, prefix)
    size = wanted.radius if radius is None else radius
    if not _is_number(size) or not 0 < size <= 3600:
        raise InputError(f"radius: expected arcseconds, more than 0 and at most 3600, got {size!r}")
    if not _is_number(chunk) or int(chunk) != chunk or chunk < 1:
        raise InputError(f"chunk: expected a positive whole number, got {chunk!r}")
    if not hasattr(table, "colnames") or len(table) == 0:
        raise InputError("expected a table with rows")
    bands = _with_limits(wanted.bands, limits)
    positions = find_positions(table, position, frame)
    there = load_service(wanted.service)
    client = TapClient(there, credentials=credentials, cache=cache)
    kept = {**wanted.columns, **available_columns(client, wanted)}
    existing = _clashes(table, output_names(wanted, list(kept)), replace_columns)
    known = coverage_of(coverage, wanted, client)
    _say_coverage(known, wanted)
    matches = match_uploaded(
        client,
        wanted,
        positions,
        kept,
        radius=size,
        dialect=there.dialect,
        chunk=rows_at_a_time(client, int(chunk)),
        progress=progress,
    )
    result = _with_columns(
        table, match_columns(wanted, matches, positions, known, bands, size), existing
    )
    said = _provenance(wanted, there, matches, positions, size, known)
    result.meta[meta_key(wanted.name)] = said if frame is None else {**said, "frame": frame}
    logger.info("%s: %d of %d rows matched", wanted.name, len(matches.rows), len(table))
    return result


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, Real) and not isinstance(value, bool) and bool(np.isfinite(float(value)))
    )


def _target(
    target: str | os.PathLike[str] | Matchable | None,
    service: str | None,
    catalog: str | None,
    ra: str | None,
    dec: str | None,
    columns: Sequence[str],
    radius: float | None,
    prefix: str | None,
) -> Matchable:
    if isinstance(columns, str):
        columns = [name.strip() for name in columns.split(",") if name.strip()]
    if target is None:
        if service is None:
            raise InputError(
                "say what to match with: a table known by name, such as 'galex', or a service "
                "with the table, its columns of positions and the columns to keep"
            )
        where = catalog or "", ra or "", dec or ""
        return own_matchable(service, *where, columns, radius=radius, prefix=prefix or "")
    named = load_matchable(target if isinstance(target, str | Matchable) else Path(target))
    changes: dict[str, Any] = {
        key: value
        for key, value in {"service": service, "table": catalog, "ra": ra, "dec": dec}.items()
        if value is not None
    }
    if columns:
        more = {name.strip('"'): name for name in columns}
        changes["columns"] = {**named.columns, **more}
    if prefix is not None:
        changes["prefix"] = prefix
    return dataclasses.replace(named, **changes)


def _with_limits(bands: Mapping[str, Band], limits: Mapping[str, float] | None) -> dict[str, Band]:
    out = dict(bands)
    for name, limit in (limits or {}).items():
        if name not in out:
            raise UnknownNameError("band", name, out)
        if not _is_number(limit) or not 0 < limit < 50:
            raise InputError(f"limits, {name}: expected an AB magnitude, got {limit!r}")
        out[name] = dataclasses.replace(out[name], limit=float(limit))
    return out


def coverage_of(source: CoverageSource | None, wanted: Matchable, client: Any) -> Coverage | None:
    """What a survey observed, as `crossmatch` is told of it; None where it is not known."""
    if source is None:
        return None if wanted.coverage is None else fetch_fields(client, wanted.coverage)
    if isinstance(source, str) and source.startswith(TAP_PREFIX):
        limits = {band: f"{band}_limit" for band in wanted.bands}
        return fetch_fields(client, FieldTable(source[len(TAP_PREFIX) :], limits=limits))
    if isinstance(source, os.PathLike):
        source = Path(source)
    return read_coverage(source, tuple(wanted.bands))


def _say_coverage(coverage: Coverage | None, wanted: Matchable) -> None:
    if coverage is None and wanted.bands:
        logger.warning(
            "%s: no coverage is known, so no row is called a non-detection; what has no match is "
            "not observed (coverage=, --coverage)",
            wanted.name,
        )


def _clashes(table: Any, names: Sequence[str], replace_columns: bool) -> list[str]:
    """Columns of the table that would be written, in any case (FITS knows no case)."""
    lower = {name.lower() for name in names}
    if len(lower) < len(names):
        raise InputError(f"columns would come out twice: {', '.join(names)}; give a prefix")
    existing = [name for name in table.colnames if name.lower() in lower]
    if existing and not replace_columns:
        raise InputError(
            f"the table already has {', '.join(existing[:5])}"
            f"{' and more' if len(existing) > 5 else ''}; ask for replace_columns=True "
            "(--replace-columns), give a prefix, or rename those columns"
        )
    return existing


def _with_columns(table: Any, columns: Sequence[Any], existing: Sequence[str]) -> QTable:
    from astropy.table import Table

    from jpassed.io.native_columns import copied, quantity_table

    result = copied(table)
    for name in existing:
        result.remove_column(name)
    added = quantity_table(Table(list(columns)))
    for name in added.colnames:
        result[name] = added[name]
    return result


def _provenance(
    wanted: Matchable,
    there: Any,
    matches: Matches,
    positions: Positions,
    radius: float,
    coverage: Coverage | None,
) -> dict[str, Any]:
    return {
        "service": there.url,
        "table": wanted.table.strip('"'),
        "reference": wanted.reference,
        "query": matches.query,
        "radius_arcsec": float(radius),
        "position": list(positions.columns),
        "matched": len(matches.rows),
        "rows": len(positions),
        "coverage": "unknown" if coverage is None else coverage.description,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "jpassed": jpassed.__version__,
    }


def meta_key(name: str) -> str:
    """Where the table's meta tells of a match with the table of that name."""
    return "jp_crossmatch_" + "".join(c if c.isalnum() else "_" for c in name)
