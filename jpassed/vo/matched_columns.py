"""The columns of a match: what the service said, how far away, and what was not detected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.units import from_ab_magnitude

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jpassed.vo.coverage import Coverage
    from jpassed.vo.matchable import Band, Matchable
    from jpassed.vo.positions import Positions
    from jpassed.vo.upload_match import Matches

__all__ = ["MATCH_FLAGS", "STATUS", "match_columns", "output_names"]

MATCH_FLAGS = {
    "NO_POSITION": (1, "the row has no position"),
    "NOT_COVERED": (2, "not covered by the survey"),
    "COVERAGE_UNKNOWN": (4, "no match, and it is not known whether the survey covers the position"),
    "SEVERAL_CANDIDATES": (8, "several entries lie within the radius; the nearest was taken"),
    "SHARED": (16, "another row has the same match"),
}
"""Bits of the match's flag and what they say."""

STATUS = {
    0: "not observed, or coverage unknown",
    1: "observed, not detected",
    2: "detected",
}
"""Values of a band's status."""

# Magnitudes beyond this stand for none (-999, 99).
MAGNITUDE_RANGE = (-40.0, 60.0)


@dataclass(frozen=True)
class _Rows:
    """What the columns of N rows are made of."""

    n: int
    matches: Matches
    positions: Positions
    coverage: Coverage | None


def match_columns(
    target: Matchable,
    matches: Matches,
    positions: Positions,
    coverage: Coverage | None,
    bands: Mapping[str, Band],
    radius: float,
) -> list[Any]:
    """All columns of a match, shape (N,) each.

    Parameters
    ----------
    target : Matchable
    matches : Matches
    positions : Positions
    coverage : Coverage or None
        Where it is None, nothing is called a non-detection.
    bands : mapping
        Of the target, with the depths to use.
    radius : float
        Of the match, arcseconds; for descriptions.

    Returns
    -------
    list of Column
        The service's own columns, then for every band its flux, error, depth and status, then
        separation, candidates and flag.
    """
    rows = _Rows(len(positions), matches, positions, coverage)
    out = [_spread(matches.columns[n], rows, target.prefix + n) for n in matches.columns.colnames]
    for name, band in bands.items():
        out += _band_columns(target, name, band, rows)
    return out + _about(target, rows, radius)


def output_names(target: Matchable, columns: Sequence[str]) -> list[str]:
    """Names of the columns that a match writes."""
    named = [target.prefix + name for name in columns]
    for band in target.bands:
        named += [f"{target.prefix}{band}_{what}" for what in _BAND_PARTS]
    return named + [target.label + what for what in ("separation", "candidates", "flag")]


_BAND_PARTS = ("flux", "flux_err", "limit", "status")


def _spread(column: Any, rows: _Rows, name: str) -> Any:
    """A column of the matched rows as one of all rows, masked elsewhere."""
    from astropy.table import MaskedColumn

    given = np.ma.asarray(column)
    shape = (rows.n, *given.shape[1:])
    values = np.full(shape, "", dtype=object) if given.dtype.kind == "O" else None
    if values is None:
        values = np.zeros(shape, dtype=given.dtype)
    mask = np.ones(shape, dtype=bool)
    values[rows.matches.rows] = given.data
    mask[rows.matches.rows] = np.ma.getmaskarray(given)
    if given.dtype.kind == "f":
        mask |= np.isnan(values)
    return MaskedColumn(
        values,
        mask=mask,
        name=name,
        unit=column.unit,
        description=column.description,
        meta=dict(column.meta or {}),
    )


def _column(name: str, values: Any, mask: Any, unit: str | None, ucd: str, said: str) -> Any:
    from astropy.table import MaskedColumn

    meta = {"ucd": ucd}
    return MaskedColumn(values, mask=mask, name=name, unit=unit, description=said, meta=meta)


def _magnitudes(rows: _Rows, name: str) -> NDArray[np.float64]:
    out = np.full(rows.n, np.nan)
    column = np.ma.asarray(rows.matches.columns[name]).astype(np.float64)
    found = np.ma.filled(column, np.nan)
    low, high = MAGNITUDE_RANGE
    out[rows.matches.rows] = np.where((found > low) & (found < high), found, np.nan)
    return out


def _band_columns(target: Matchable, name: str, band: Band, rows: _Rows) -> list[Any]:
    mag, error = _magnitudes(rows, band.mag), _magnitudes(rows, band.error)
    detected = np.isfinite(mag)
    limit = np.full(rows.n, np.nan)
    if rows.coverage is not None:
        p = rows.positions
        limit = rows.coverage.limits(name, p.ra, p.dec, band.limit)
    silent = ~detected & np.isfinite(limit)
    flux = np.where(detected, from_ab_magnitude(np.where(detected, mag, 0.0)), 0.0)
    sigma = flux * 0.4 * np.log(10.0) * np.where(np.isfinite(error), error, 0.0)
    depth = from_ab_magnitude(np.where(silent, limit, 0.0)) / target.limit_sigma
    sigma = np.where(silent, depth, sigma)
    status = np.where(detected, 2, np.where(silent, 1, 0)).astype(np.int16)
    missing = status == 0
    stem, big = f"{target.prefix}{name}_", name.upper()
    what = f"{target.limit_sigma:g}-sigma depth"
    about = f"phot.flux.density;{band.ucd}"
    states = "; ".join(f"{k} {text}" for k, text in STATUS.items())
    return [
        _column(
            stem + "flux",
            np.where(missing, 0.0, flux),
            missing,
            "uJy",
            about,
            f"{big} AB bandflux; 0 where observed and not detected",
        ),
        _column(
            stem + "flux_err",
            np.where(missing, 0.0, sigma),
            missing | (detected & ~(error > 0)),
            "uJy",
            f"stat.error;{about}",
            f"1-sigma error of {stem}flux; where not detected, flux of the {what} over "
            f"{target.limit_sigma:g}",
        ),
        _column(
            stem + "limit",
            np.where(np.isfinite(limit), limit, 0.0),
            ~np.isfinite(limit),
            "mag",
            f"phot.mag;{band.ucd};stat.max",
            f"{big} {what} at the position, AB",
        ),
        _column(
            stem + "status",
            status,
            np.zeros(rows.n, dtype=bool),
            None,
            "meta.code.status",
            f"{big}: {states}",
        ),
    ]


def _about(target: Matchable, rows: _Rows, radius: float) -> list[Any]:
    matches, given = rows.matches, rows.positions.given
    separation = np.zeros(rows.n)
    matched = np.zeros(rows.n, dtype=bool)
    shared = np.zeros(rows.n, dtype=bool)
    matched[matches.rows] = True
    shared[matches.rows] = matches.shared
    separation[matches.rows] = matches.separation
    if rows.coverage is None:
        unknown, outside = given & ~matched, np.zeros(rows.n, dtype=bool)
    else:
        covered = rows.coverage.covers(rows.positions.ra, rows.positions.dec)
        unknown, outside = np.zeros(rows.n, dtype=bool), given & ~covered
    conditions = {
        "NO_POSITION": ~given,
        "NOT_COVERED": outside,
        "COVERAGE_UNKNOWN": unknown,
        "SEVERAL_CANDIDATES": matches.candidates > 1,
        "SHARED": shared,
    }
    flag = np.zeros(rows.n, dtype=np.int16)
    for name, rows_of in conditions.items():
        flag[rows_of] |= MATCH_FLAGS[name][0]
    bits = "; ".join(f"{bit} {text}" for bit, text in MATCH_FLAGS.values())
    of = f"in {target.table.strip(chr(34))}"
    return [
        _column(
            target.label + "separation",
            separation,
            ~matched,
            "arcsec",
            "pos.angDistance",
            f"Angular distance of the match {of}, the nearest within {radius:g} arcsec",
        ),
        _column(
            target.label + "candidates",
            matches.candidates,
            ~given,
            None,
            "meta.number",
            f"Entries {of} within {radius:g} arcsec",
        ),
        _column(
            target.label + "flag",
            flag,
            np.zeros(rows.n, dtype=bool),
            None,
            "meta.code",
            f"Bit mask of the match: {bits}",
        ),
    ]
