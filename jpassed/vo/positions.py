"""Positions of a table: which columns they are, and what they are in degrees of ICRS."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import InputError, UnknownNameError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Positions", "find_positions"]

logger = logging.getLogger(__name__)

# Longitude and latitude by name, most wanted first; lower case, without a schema before the dot.
_NAMES = (
    ("ra", "dec"),
    ("ra_icrs", "de_icrs"),
    ("ra_icrs", "dec_icrs"),
    ("raj2000", "dej2000"),
    ("raj2000", "decj2000"),
    ("ra_j2000", "dec_j2000"),
    ("_raj2000", "_dej2000"),
    ("alpha_j2000", "delta_j2000"),
    ("alphawin_j2000", "deltawin_j2000"),
    ("radeg", "decdeg"),
    ("ra_deg", "dec_deg"),
    ("ra_deg", "de_deg"),
    ("ra_deg", "dec"),
    ("ra_deg", "de"),
    ("ra", "de"),
    ("ra", "dec_deg"),
    ("target_ra", "target_dec"),
    ("mean_fiber_ra", "mean_fiber_dec"),
    ("plug_ra", "plug_dec"),
)
_UCDS = (
    (("pos.eq.ra;meta.main", "pos.eq.dec;meta.main"), "icrs"),
    (("pos_eq_ra_main", "pos_eq_dec_main"), "icrs"),
    (("pos.eq.ra", "pos.eq.dec"), "icrs"),
    (("pos.galactic.lon;meta.main", "pos.galactic.lat;meta.main"), "galactic"),
    (("pos.galactic.lon", "pos.galactic.lat"), "galactic"),
)
_DEGREES = {"degrees", "degree", "deg.", "degs", "d"}
_BLANK = {"", "null", "none", "nan", "na", "n/a", "--", "masked"}
ROWS_SHOWN = 5


@dataclass(frozen=True)
class Positions:
    """Positions of N rows.

    Attributes
    ----------
    ra, dec : ndarray of shape (N,)
        ICRS, degrees; 0 <= ra < 360. NaN where a row has no position.
    given : ndarray of bool, shape (N,)
        Rows that have a position.
    columns : tuple of str
        The table's columns: longitude and latitude, or one column of coordinates.
    """

    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    given: NDArray[np.bool_]
    columns: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ra)


def find_positions(
    table: Any, columns: str | Sequence[str] | None = None, frame: str | None = None
) -> Positions:
    """Positions of a table's rows.

    Parameters
    ----------
    table : Table or QTable
    columns : str or sequence of str, optional
        ``"RA,DEC"``, the two names, or the name of one column of coordinates (`SkyCoord`).
        Otherwise they are found: a column of coordinates, then the UCDs
        ``pos.eq.ra;meta.main`` and ``pos.eq.dec;meta.main``, then common names.
    frame : str, optional
        Frame of the two columns as astropy names it (``"galactic"``, ``"fk4"``); ICRS otherwise,
        or Galactic where the UCDs say so. FK5 J2000 is taken as ICRS by most catalogues.

    Returns
    -------
    Positions

    Raises
    ------
    InputError
        If no columns or several pairs are found, if a column holds no angles, or if no row has
        a position.
    UnknownNameError
        If a named column is not there, or astropy has no such frame.
    """
    names, said = _choose(table, columns)
    if len(names) == 1:
        ra, dec = _from_coordinates(table[names[0]])
    else:
        lon, lat = (_degrees(table[name], name, k == 0) for k, name in enumerate(names))
        ra, dec = _to_icrs(*_sensible(lon, lat, names), frame or said)
    given = np.isfinite(ra) & np.isfinite(dec)
    if not given.any():
        raise InputError(
            f"no row has a position in {' and '.join(map(repr, names))}; name the columns of "
            "right ascension and declination (position='RA,DEC', --position RA,DEC)"
        )
    ra, dec = np.where(given, ra % 360.0, np.nan), np.where(given, dec, np.nan)
    return Positions(np.where(ra == 360.0, 0.0, ra), dec, given, names)


def _choose(table: Any, columns: str | Sequence[str] | None) -> tuple[tuple[str, ...], str]:
    if columns is None:
        return _search(table)
    wanted = columns.split(",") if isinstance(columns, str) else list(columns)
    names = tuple(str(name).strip() for name in wanted)
    for name in names:
        if name not in table.colnames:
            raise UnknownNameError("column", name, table.colnames)
    if len(names) == 1 and not _is_coordinates(table[names[0]]):
        raise InputError(
            f"column {names[0]!r} holds no coordinates; name two columns, 'RA,DEC', or one SkyCoord"
        )
    if len(names) > 2:
        raise InputError(f"expected two columns of positions, 'RA,DEC', got {', '.join(names)}")
    return names, _frame_of(table, names)


def _frame_of(table: Any, names: Sequence[str]) -> str:
    ucd = _ucd(table[names[0]])
    return "galactic" if ucd.startswith("pos.galactic") else "icrs"


def _is_coordinates(column: Any) -> bool:
    from astropy.coordinates import BaseCoordinateFrame, SkyCoord

    return isinstance(column, SkyCoord | BaseCoordinateFrame)


def _ucd(column: Any) -> str:
    meta = getattr(column.info, "meta", None) or {}
    return str(meta.get("ucd") or "").strip().lower()


def _search(table: Any) -> tuple[tuple[str, ...], str]:
    whole = [name for name in table.colnames if _is_coordinates(table[name])]
    if len(whole) == 1:
        return (whole[0],), "icrs"
    if len(whole) > 1:
        raise _ambiguous(whole)
    ucds = {name: _ucd(table[name]) for name in table.colnames}
    for pair, frame in _UCDS:
        found = [[name for name, ucd in ucds.items() if ucd == wanted] for wanted in pair]
        if all(len(side) == 1 for side in found):
            return (found[0][0], found[1][0]), frame
        if pair[0].endswith("main") and all(found):
            raise _ambiguous([*found[0], *found[1]])
    plain: dict[str, list[str]] = {}
    for name in table.colnames:
        plain.setdefault(name.lower().rsplit(".", 1)[-1], []).append(name)
    for lon, lat in _NAMES:
        if lon in plain and lat in plain:
            if len(plain[lon]) > 1 or len(plain[lat]) > 1:
                raise _ambiguous([*plain[lon], *plain[lat]])
            return (plain[lon][0], plain[lat][0]), "icrs"
    raise InputError(
        "no columns of positions were found: none with the UCDs pos.eq.ra;meta.main and "
        f"pos.eq.dec;meta.main, nor ra and dec. Name them (position='RA,DEC', --position RA,DEC). "
        f"The table has: {', '.join(table.colnames)}"
    )


def _ambiguous(names: Sequence[str]) -> InputError:
    return InputError(
        f"several columns may hold the positions: {', '.join(names)}; name the two to take "
        "(position='RA,DEC', --position RA,DEC)"
    )


def _from_coordinates(column: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from astropy.coordinates import SkyCoord

    sky = SkyCoord(column, copy=False).icrs
    ra, dec = _plain(sky.ra.deg), _plain(sky.dec.deg)
    return ra, dec


def _plain(values: Any) -> NDArray[np.float64]:
    """Numbers as float64, NaN where masked."""
    if hasattr(values, "unmasked"):
        return np.where(values.mask, np.nan, np.asarray(values.unmasked, dtype=np.float64))
    masked = np.ma.asarray(values)
    return np.ma.filled(masked.astype(np.float64), np.nan)


def _degrees(column: Any, name: str, longitude: bool) -> NDArray[np.float64]:
    from astropy import units as u

    if getattr(column, "ndim", 1) != 1:
        raise InputError(f"column {name!r} holds {column.shape[1:]} values in a row; expected one")
    if column.dtype.kind in "SUO":
        return _from_text(column, name, longitude)
    if column.dtype.kind not in "iuf":
        raise InputError(f"column {name!r} holds {column.dtype}; expected an angle")
    values = _plain(column.value if isinstance(column, u.Quantity) else column)
    unit = getattr(column, "unit", None)
    if unit is None or str(unit).strip() == "" or str(unit).strip().lower() in _DEGREES:
        known = np.abs(values[np.isfinite(values)])
        if longitude and len(known) > 20 and known.max() <= 24.0:
            logger.warning("%s states no unit: its values of 0 to 24 are taken as degrees", name)
        return values
    try:
        factor = u.Unit(unit).to(u.deg)
    except (u.UnitConversionError, ValueError, TypeError):
        raise InputError(
            f"column {name!r} is in {unit}; expected an angle (deg, rad, arcsec, hourangle)"
        ) from None
    # A factor of 1 leaves degrees as they are to the last bit.
    return values if factor == 1.0 else values * factor


def _from_text(column: Any, name: str, longitude: bool) -> NDArray[np.float64]:
    """Degrees of texts: decimal degrees, or sexagesimal with hours of right ascension."""
    from astropy import units as u
    from astropy.coordinates import Angle

    raw = np.ma.filled(np.ma.asarray(column).astype(object), "")
    texts = [
        (item.decode("ascii", "replace") if isinstance(item, bytes) else str(item)).strip()
        for item in raw
    ]
    out = np.full(len(texts), np.nan)
    for k, text in enumerate(texts):
        if text.lower() in _BLANK:
            continue
        try:
            out[k] = float(text)
            continue
        except ValueError:
            unit = u.hourangle if longitude and "d" not in text.lower() else u.deg
        try:
            out[k] = Angle(text, unit=unit).deg
        except (ValueError, TypeError, u.UnitsError):
            raise InputError(
                f"column {name!r}, row {k}: expected an angle such as '10:12:03.5', got {text!r}"
            ) from None
    return out


def _sensible(
    lon: NDArray[np.float64], lat: NDArray[np.float64], names: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Numbers that are no position (-999, 99) count as none, and are named."""
    known = np.isfinite(lon) & np.isfinite(lat)
    odd = known & ((np.abs(lat) > 90.0) | (np.abs(lon) > 360.0))
    if odd.any():
        rows = np.flatnonzero(odd)
        shown = ", ".join(map(str, rows[:ROWS_SHOWN])) + (", ..." if len(rows) > ROWS_SHOWN else "")
        if odd.sum() == known.sum():
            k = rows[0]
            raise InputError(
                f"no row has a position: {names[0]} = {lon[k]:g}, {names[1]} = {lat[k]:g} deg in "
                f"row {k}; expected at most 360 and 90 deg"
            )
        logger.warning("%d rows (%s) hold no position on the sky; left out", len(rows), shown)
    keep = known & ~odd
    return np.where(keep, lon, np.nan), np.where(keep, lat, np.nan)


def _to_icrs(
    lon: NDArray[np.float64], lat: NDArray[np.float64], frame: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if frame.lower() == "icrs":
        return lon, lat
    from astropy.coordinates import SkyCoord, frame_transform_graph

    if frame.lower() not in frame_transform_graph.get_names():
        raise UnknownNameError("frame", frame, ("icrs", "fk5", "fk4", "galactic"))
    given = np.isfinite(lon) & np.isfinite(lat)
    sky = SkyCoord(lon[given], lat[given], unit="deg", frame=frame.lower()).icrs
    ra, dec = np.full(len(lon), np.nan), np.full(len(lat), np.nan)
    ra[given], dec[given] = sky.ra.deg, sky.dec.deg
    return ra, dec
