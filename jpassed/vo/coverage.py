"""What part of the sky a survey observed, and how deep: circular fields, or a MOC.

Only a position that a survey covered can be "observed, not detected". Where no coverage is known,
a source without a match is "not observed".
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from jpassed.exceptions import FileError, InputError, MissingDependencyError, UnknownNameError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jpassed.vo.matchable import FieldTable

__all__ = ["Coverage", "FieldCoverage", "MocCoverage", "fetch_fields", "read_coverage"]


class Coverage(Protocol):
    """Where a survey observed."""

    @property
    def description(self) -> str:
        """Where that is known from."""

    def covers(self, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether positions (degrees, ICRS) were observed at all, shape (N,)."""

    def limits(
        self, band: str, ra: NDArray[np.float64], dec: NDArray[np.float64], depth: float | None
    ) -> NDArray[np.float64]:
        """Depth in a band at positions, AB magnitude, shape (N,).

        NaN where the band was not observed; `depth`, that of the whole survey, where the
        coverage itself knows of none.
        """


@dataclass(frozen=True)
class FieldCoverage:
    """Circular fields, each with a depth in every band.

    Attributes
    ----------
    ra, dec, radius : ndarray of shape (F,)
        Degrees, ICRS.
    depths : dict
        Band to the depth of each field, AB magnitude, shape (F,); NaN where it was not observed.
    description : str
        Where the fields come from.
    """

    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    radius: NDArray[np.float64]
    depths: Mapping[str, NDArray[np.float64]]
    description: str = ""

    def _pairs(
        self, ra: NDArray[np.float64], dec: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Positions and the fields that hold them, one pair for each."""
        from astropy.coordinates import angular_separation
        from scipy.spatial import cKDTree

        known = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
        usable = np.flatnonzero(np.isfinite(self.ra + self.dec + self.radius) & (self.radius > 0))
        if not len(known) or not len(usable):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        tree = cKDTree(_unit_vectors(ra[known], dec[known]))
        # The chord is a first cut, a little wide; the angle decides.
        reach = 2.0 * np.sin(np.radians(np.minimum(self.radius[usable], 180.0)) / 2.0) + 1e-9
        near = tree.query_ball_point(_unit_vectors(self.ra[usable], self.dec[usable]), reach)
        field = np.repeat(usable, [len(rows) for rows in near])
        row = known[np.concatenate([np.asarray(rows, dtype=np.int64) for rows in near])]
        away = angular_separation(
            *(np.radians(v) for v in (ra[row], dec[row], self.ra[field], self.dec[field]))
        )
        inside = np.degrees(away) <= self.radius[field]
        return row[inside], field[inside]

    def covers(self, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether a field holds a position."""
        covered = np.zeros(len(ra), dtype=bool)
        covered[self._pairs(ra, dec)[0]] = True
        return covered

    def limits(
        self, band: str, ra: NDArray[np.float64], dec: NDArray[np.float64], depth: float | None
    ) -> NDArray[np.float64]:
        """The deepest of the fields that hold a position."""
        row, field = self._pairs(ra, dec)
        found = np.full(len(ra), -np.inf)
        if band in self.depths:
            own = self.depths[band][field]
        else:
            own = np.full(len(field), np.nan if depth is None else depth)
        np.maximum.at(found, row, np.where(np.isfinite(own), own, -np.inf))
        return np.where(np.isfinite(found), found, np.nan)


@dataclass(frozen=True)
class MocCoverage:
    """A MOC (multi-order coverage map): what was observed, at the survey's own depth.

    Attributes
    ----------
    mocs : dict
        Band to `mocpy.MOC`; ``None`` as a key stands for every band without one of its own.
    description : str
    """

    mocs: Mapping[str | None, Any]
    description: str = ""

    def _inside(
        self, moc: Any, ra: NDArray[np.float64], dec: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        from astropy import units as u

        inside = np.zeros(len(ra), dtype=bool)
        known = np.isfinite(ra) & np.isfinite(dec)
        if known.any():
            inside[known] = moc.contains_lonlat(ra[known] * u.deg, dec[known] * u.deg)
        return inside

    def covers(self, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether any of the maps holds a position."""
        return np.any([self._inside(moc, ra, dec) for moc in self.mocs.values()], axis=0)

    def limits(
        self, band: str, ra: NDArray[np.float64], dec: NDArray[np.float64], depth: float | None
    ) -> NDArray[np.float64]:
        """The survey's depth where the band's map holds a position."""
        moc = self.mocs.get(band, self.mocs.get(None))
        if moc is None or depth is None:
            return np.full(len(ra), np.nan)
        return np.where(self._inside(moc, ra, dec), depth, np.nan)


def _unit_vectors(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.float64]:
    lon, lat = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)


def read_coverage(
    source: str | Path | Mapping[str, str | Path] | Coverage, bands: tuple[str, ...] = ()
) -> Coverage:
    """Coverage from a file.

    Parameters
    ----------
    source : str, Path, mapping or Coverage
        A table of fields (``ra``, ``dec``, ``radius`` in degrees, and ``<band>_limit``, the depth
        as AB magnitude, empty where the band was not observed), in any format that
        `jpassed.io.read_catalog` reads; or a MOC as FITS or JSON. Band to MOC where they differ.
    bands : tuple of str
        Bands that may have a depth.

    Raises
    ------
    FileError
        If a file cannot be read, or is neither.
    InputError, UnknownNameError
        If a table of fields lacks a column, or a band is unknown.
    MissingDependencyError
        For a MOC, if mocpy is not installed.
    """
    if isinstance(source, Mapping):
        for band in source:
            if band not in bands:
                raise UnknownNameError("band", band, bands)
        mocs: dict[str | None, Any] = {band: _read_moc(path) for band, path in source.items()}
        return MocCoverage(mocs, ", ".join(f"{band}: {path}" for band, path in source.items()))
    if not isinstance(source, str | Path):
        return source
    if is_moc(source):
        return MocCoverage({None: _read_moc(source)}, f"MOC {Path(source).name}")
    from jpassed.io import read_catalog

    table = read_catalog(source)
    limits = {band: f"{band}_limit" for band in bands if f"{band}_limit" in table.colnames}
    return _fields(table, ("ra", "dec", "radius"), limits, f"fields of {Path(source).name}")


def is_moc(path: str | Path) -> bool:
    """Whether a file is a MOC: FITS that says so in its header, or JSON.

    Raises
    ------
    FileError
        If it cannot be read.
    """
    file = Path(path)
    if file.suffix.lower() == ".json":
        return True
    try:
        with open(file, "rb") as opened:
            head = opened.read(40 * 2880)
    except OSError as exc:
        if "#" in str(path):  # a table within a file, which the reader knows how to find
            return False
        raise FileError(f"cannot read {path}: {exc}") from exc
    cards = (head[k : k + 80] for k in range(0, len(head), 80))
    marks = (b"MOCORDER", b"MOCORD_S", b"MOCVERS ", b"MOCDIM  ")
    return head.startswith(b"SIMPLE") and any(card.startswith(marks) for card in cards)


def _read_moc(path: str | Path) -> Any:
    try:
        from mocpy import MOC
    except ImportError as exc:
        raise MissingDependencyError(
            f"{path} is a MOC: reading it needs mocpy (python -m pip install 'jpassed[moc]')"
        ) from exc
    if not Path(path).is_file():
        raise FileError(f"{path} does not exist")
    kind = "json" if Path(path).suffix.lower() == ".json" else "fits"
    if kind == "fits":
        _refuse_truncated(path)
    try:
        return MOC.load(str(path), format=kind)
    except Exception as exc:  # mocpy's readers raise errors of many kinds
        reason = " ".join(str(exc).split()) or type(exc).__name__
        raise FileError(f"{path} is not a MOC, or it is damaged: {reason}") from exc


def _refuse_truncated(path: str | Path) -> None:
    """mocpy reads what is left of a truncated file without a word."""
    from astropy.io import fits

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with fits.open(path, memmap=False, lazy_load_hdus=False):
                pass
        except (OSError, TypeError, ValueError) as exc:
            raise FileError(f"{path} is not a MOC, or it is damaged: {exc}") from exc
    if any("truncated" in str(w.message) for w in caught):
        raise FileError(f"{path} is not a MOC, or it is damaged: the file is truncated")


def fetch_fields(client: Any, source: FieldTable) -> FieldCoverage:
    """The fields of a service's table; nothing of the user's is sent.

    Parameters
    ----------
    client : TapClient
    source : FieldTable
    """
    names = [source.ra, source.dec, source.radius, *source.limits.values()]
    kept = ", ".join(f"{name} AS jp_f{k}" for k, name in enumerate(names))
    table = client.run(f"SELECT {kept} FROM {source.table}")
    if len(table.colnames) != len(names):
        raise InputError(f"{source.table} answered with {', '.join(table.colnames)}")
    found = list(table.colnames)
    limits = dict(zip(source.limits, found[3:], strict=True))
    return _fields(table, tuple(found[:3]), limits, f"fields of {source.table}")


def _fields(
    table: Any, names: tuple[str, ...], limits: Mapping[str, str], description: str
) -> FieldCoverage:
    from astropy import units as u

    from jpassed.surveys.columns import column_unit, numbers_and_mask

    columns = {name.lower(): name for name in table.colnames}
    missing = [name for name in names if name.lower() not in columns]
    if missing:
        raise InputError(
            f"{description}: no column {', '.join(missing)}; a table of fields has ra, dec, radius "
            f"(degrees) and <band>_limit (AB). It has: {', '.join(table.colnames)}"
        )
    numbers: list[NDArray[np.float64]] = []
    for name in names:
        column = table[columns[name.lower()]]
        values = numbers_and_mask(column, name)[0]
        unit = column_unit(column)
        try:
            numbers.append(values * (1.0 if unit is None else u.Unit(unit).to(u.deg)))
        except (u.UnitConversionError, TypeError, ValueError):
            raise InputError(f"{description}: {name} is in {unit}, expected an angle") from None
    depths = {band: numbers_and_mask(table[name], name)[0] for band, name in limits.items()}
    # 0, -99, 99 and the like are no depths: the band was off.
    depths = {b: np.where((d > 0) & (d < 50), d, np.nan) for b, d in depths.items()}
    lon, lat, size = numbers
    return FieldCoverage(lon, lat, size, depths, description)
