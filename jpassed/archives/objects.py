"""The objects of an archive: the union of its tables, each with whatever is known of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.archives.description import Archive, SourceTable
from jpassed.archives.label_rules import LabelValues, Rows, measure
from jpassed.archives.queries import read_pages
from jpassed.exceptions import InputError
from jpassed.surveys import load_survey
from jpassed.units import from_ab_magnitude

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Bands", "Objects", "join_tables"]

NANOMAGGY = 3.631
"""Microjansky in a nanomaggy."""


@dataclass
class Bands:
    """Total bandfluxes of N objects in B bands, microjansky, corrected for the Milky Way."""

    names: tuple[str, ...]
    flux: Array
    error: Array
    observed: NDArray[np.bool_]


@dataclass
class Objects:
    """N objects of one archive.

    Attributes
    ----------
    archive : Archive
    key : list of str
        Identifier in the archive.
    ra, dec : ndarray of shape (N,)
        Degrees, NaN where not known.
    kind : list of str
        Class, empty where not stated.
    has_spectrum : ndarray of bool, shape (N,)
        Whether it has a row in the table of spectra.
    redshift : ndarray of shape (N,)
        Safe redshift, NaN where there is none.
    labels : dict
        Quantity to `LabelValues`.
    sources : list of str
        ``archive.table`` of each rule, see `LabelValues.source`.
    ebv : ndarray of shape (N,)
        NaN where not known.
    total : ndarray of shape (N,)
        Total flux in `total_band`, microjansky, not corrected for the Milky Way; NaN if unknown.
    total_band : str
    bands : list of Bands
    columns : dict
        Columns for addresses of spectra, with N rows; masked for objects that are not in them.
    left_out : Counter
        Objects, by reason.
    """

    archive: Archive
    key: list[str]
    ra: Array
    dec: Array
    kind: list[str]
    has_spectrum: NDArray[np.bool_]
    redshift: Array
    labels: dict[str, LabelValues]
    sources: list[str]
    ebv: Array
    total: Array
    total_band: str
    bands: list[Bands]
    columns: dict[str, Any]
    left_out: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.key)

    def row(self, n: int) -> dict[str, Any]:
        """The columns of one object, as plain values; masked ones are left out."""
        values = {name: column[n] for name, column in self.columns.items()}
        return {
            name: v.item() if hasattr(v, "item") else v
            for name, v in values.items()
            if v is not np.ma.masked
        }


def join_tables(
    archive: Archive,
    folder: Path,
    *,
    redshift: tuple[float, float],
    limit: int | None = None,
) -> tuple[Objects, NDArray[np.int64]]:
    """Join the tables of an archive by their key; objects of any table are kept.

    Parameters
    ----------
    archive : Archive
    folder : Path
        Holds a folder of pages for each table.
    redshift : tuple of float
        Objects with a safe redshift outside are left out.
    limit : int, optional
        At most so many objects.

    Returns
    -------
    Objects, ndarray of int
        All objects, and the positions of those that are kept.
    """
    tables = {t.name: _whole(folder / t.name, t) for t in archive.all_tables}
    keys: dict[str, int] = {}
    left_out: Counter[str] = Counter()
    for text in _keys(tables[archive.objects.name], archive.objects.key):
        if text in keys:
            left_out["object: second row of an identifier"] += 1
        keys.setdefault(text, len(keys))
    spectra = len(keys)
    for table in archive.tables:
        if table.adds_objects:
            for text in _keys(tables[table.name], table.key):
                keys.setdefault(text, len(keys))
    count = len(keys)
    rows = {}
    for table in archive.all_tables:
        place = [keys.get(text, -1) for text in _keys(tables[table.name], table.key)]
        rows[table.name] = Rows(tables[table.name], np.array(place, dtype=np.int64), count)
    safe, unsafe = _redshifts(archive, rows, count)
    labels, sources = _labels(archive, rows, safe, unsafe, count)
    total, total_band = _total(archive, rows, count)
    has_spectrum = np.arange(count) < spectra
    columns = {}
    for table in reversed(archive.all_tables):  # of columns of one name those of `objects` stay
        if not table.line:
            names = table.wanted if table is archive.objects else table.columns
            arrays = {n for n in names if tables[table.name][n].ndim > 1}  # no part of an address
            columns.update(
                {name: _first_rows(rows[table.name], name) for name in names if name not in arrays}
            )
    objects = Objects(
        archive=archive,
        key=list(keys),
        ra=_coalesce(rows, [(t, t.ra, 1.0) for t in archive.all_tables if t.ra], count),
        dec=_coalesce(rows, [(t, t.dec, 1.0) for t in archive.all_tables if t.dec], count),
        kind=["" if v is np.ma.masked else str(v).strip() for v in columns[archive.kind]]
        if archive.kind
        else [""] * count,
        has_spectrum=has_spectrum,
        redshift=safe,
        labels=labels,
        sources=sources,
        ebv=_coalesce(rows, [(t, t.ebv, t.ebv_scale) for t in archive.all_tables if t.ebv], count),
        total=total,
        total_band=total_band,
        bands=[_bands(rows[t.name], t) for t in archive.all_tables if t.photometry],
        columns=columns,
        left_out=left_out,
    )
    with np.errstate(invalid="ignore"):
        outside = (safe < redshift[0]) | (safe > redshift[1])
    if outside.any():
        left_out[f"object: redshift outside {redshift[0]:g}-{redshift[1]:g}"] += int(outside.sum())
    known = has_spectrum if archive.spectra is not None else np.zeros(count, dtype=bool)
    for entry in labels.values():
        known = known | entry.observed
    for group in objects.bands:
        known = known | group.observed.any(axis=1)
    unknown = ~known & ~outside
    if unknown.any():
        left_out["object: nothing usable in any table"] += int(unknown.sum())
    kept = np.flatnonzero(known & ~outside)
    return objects, kept if limit is None else kept[:limit]


def _whole(folder: Path, table: SourceTable) -> dict[str, Any]:
    """All pages of a table as masked columns."""
    pages = list(read_pages(folder))
    if not pages:
        return {name: np.ma.masked_all(0) for name in table.wanted}
    return {
        name: np.ma.concatenate([_plain(page[name]) for page in pages]) for name in table.wanted
    }


def _plain(column: Any) -> Any:
    """A column of whatever kind as a masked array without unit."""
    mask = getattr(column, "mask", None)
    values = getattr(column, "unmasked", column)
    values = np.asarray(getattr(values, "value", values))
    if hasattr(column, "data") and isinstance(column.data, np.ma.MaskedArray):
        values, mask = column.data.data, column.data.mask
    return np.ma.array(values, mask=np.ma.nomask if mask is None else mask)


def _keys(columns: dict[str, Any], key: str) -> list[str]:
    values = columns[key]
    if not len(values):
        return []
    if np.ma.is_masked(values):
        raise InputError(f"column {key!r} joins the tables, but is empty in some rows")
    if values.dtype.kind == "f":
        raise InputError(f"column {key!r} joins the tables, but holds fractions, not identifiers")
    return [str(v).strip() for v in np.asarray(values).tolist()]


def _redshifts(
    archive: Archive, rows: dict[str, Rows], count: int
) -> tuple[Array, NDArray[np.bool_]]:
    """Safe redshifts, and objects whose redshift is known not to be safe."""
    safe = np.full(count, np.nan)
    stated = np.zeros(count, dtype=bool)
    for table in archive.all_tables:
        for rule in table.labels:
            if rule.quantity != "z":
                continue
            own = rows[table.name]
            values, present = own.of_objects(own.numbers(rule.value[0]))
            good = present & np.isfinite(values)
            if rule.flags is not None:
                flagged, _ = own.of_objects(own.flagged(rule.flags).astype(float))
                good &= flagged == 0
            stated |= present
            new = good & ~np.isfinite(safe)
            safe[new] = values[new]
    return safe, stated & ~np.isfinite(safe)


def _labels(
    archive: Archive,
    rows: dict[str, Rows],
    safe: Array,
    unsafe: NDArray[np.bool_],
    count: int,
) -> tuple[dict[str, LabelValues], list[str]]:
    labels: dict[str, LabelValues] = {}
    sources: list[str] = []
    for table in archive.all_tables:
        for rule in table.labels:
            found = measure(rule, rows[table.name], table.line, safe, unsafe)
            kept = labels.setdefault(rule.quantity, LabelValues.empty(count))
            kept.fill(found, len(sources))
            sources.append(f"{archive.name}.{table.name}")
    return labels, sources


def _coalesce(
    rows: dict[str, Rows], given: Iterable[tuple[SourceTable, str, float]], count: int
) -> Array:
    """Numbers from the first table that has them."""
    out = np.full(count, np.nan)
    for table, name, scale in given:
        own = rows[table.name]
        values, _ = own.of_objects(own.numbers(name))
        out = np.where(np.isfinite(out), out, scale * values)
    return out


def _total(archive: Archive, rows: dict[str, Rows], count: int) -> tuple[Array, str]:
    given = [t for t in archive.all_tables if t.total is not None]
    if len(given) > 1:
        raise InputError(
            f"{archive.name}: total fluxes in the tables {', '.join(t.name for t in given)}; "
            "state those of one"
        )
    if not given or given[0].total is None:
        return np.full(count, np.nan), ""
    own, total = rows[given[0].name], given[0].total
    values, _ = own.of_objects(own.numbers(total.column))
    with np.errstate(invalid="ignore", over="ignore"):
        if total.unit == "mag(AB)":
            flux = np.where((values > 0) & (values < 40), from_ab_magnitude(values), np.nan)
        else:
            flux = values * (NANOMAGGY if total.unit == "nanomaggy" else 1.0)
        return np.where(flux > 0, flux, np.nan), total.band


def _bands(rows: Rows, table: SourceTable) -> Bands:
    """Bandfluxes of a table as its survey reads them."""
    from astropy.table import Table

    names = load_survey(table.photometry).bands
    shape = (rows.count, len(names))
    bands = Bands(names, np.zeros(shape), np.ones(shape), np.zeros(shape, dtype=bool))
    if not len(rows.place):
        return bands
    content = Table({name: rows.columns[name] for name in table.photometry_columns}, masked=True)
    found = load_survey(table.photometry).photometry(content)
    for k, name in enumerate(found.bands):
        b = names.index(name)
        seen, _ = rows.of_objects(found.observed[:, k].astype(float))
        bands.observed[:, b] = seen == 1
        for full, values in ((bands.flux, found.flux), (bands.error, found.error)):
            of_objects, _ = rows.of_objects(values[:, k])
            full[:, b] = np.where(seen == 1, of_objects, full[:, b])
    return bands


def _first_rows(rows: Rows, name: str) -> Any:
    """A column of the table of spectra, one row for each object."""
    values = rows.columns[name]
    out = np.ma.masked_all(rows.count, dtype=values.dtype)
    order = np.flatnonzero(rows.place >= 0)[::-1]
    out[rows.place[order]] = values[order]
    return out
