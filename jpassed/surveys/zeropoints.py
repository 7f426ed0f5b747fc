"""Zero points of a catalogue's own bands: magnitudes to add, by band and tile, and their file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import InputError
from jpassed.surveys.photometry import Photometry

if TYPE_CHECKING:
    from astropy.table import QTable
    from numpy.typing import NDArray

__all__ = ["WHOLE", "ZeroPoints", "tile_names"]

WHOLE = ""
"""The tile that stands for the whole catalogue: for rows on tiles that have no zero points."""

SIGN = "magnitude to add to the catalogue's magnitudes; fluxes are multiplied by 10**(-0.4 offset)"
LARGEST = 2.0
"""Magnitudes; a larger offset is a wrong unit or a wrong column, not a zero point."""

SIGNIFICANT, VERDICT, KIND = "jp_zp_significant", "jp_zp_verdict", "jp_zp_kind"
DOUBTFUL = "jp_zp_doubtful"
"""Entry of the header of zero points that are not applied before somebody deleted it."""

UNMEASURED = "not measured"
"""How `VERDICT` begins where the errors are too large to tell."""

_COLUMNS = ("tile", "band", "survey", "pivot", "offset", "offset_err", "n_galaxies", "own")
_SHOWN = 5


@dataclass(frozen=True, eq=False)
class ZeroPoints:
    """Corrections of T tiles and B bands.

    Attributes
    ----------
    bands : tuple of str
        Band names.
    surveys : tuple of str
        Survey of the columns that each band was read from: a zero point belongs to photometry.
    pivot : ndarray (B,)
        Pivot wavelengths, vacuum Å.
    tiles : tuple of str
        Values of the tile column as text; `WHOLE` is the catalogue as a whole.
    offset, error : ndarray (T, B)
        Magnitudes **to add to the catalogue's magnitudes**, and their standard errors; NaN where
        there were too few galaxies.
    n_galaxies : ndarray (T, B) of int
        Galaxies that they were measured on.
    own : ndarray (T, B) of bool
        False where the value is that of the whole catalogue, for want of galaxies on the tile.
    column : str
        Tile column of the catalogue; empty if there is one zero point a band.
    meta : dict
        Provenance, plain values.
    checksum : str
        SHA-256 of the file that they were read from, hexadecimal.

    Raises
    ------
    InputError
        Wrong shapes, repeated bands or tiles, or offsets beyond 2 mag.
    """

    bands: tuple[str, ...]
    surveys: tuple[str, ...]
    pivot: NDArray[np.float64]
    tiles: tuple[str, ...]
    offset: NDArray[np.float64]
    error: NDArray[np.float64]
    n_galaxies: NDArray[np.int64]
    own: NDArray[np.bool_]
    column: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    checksum: str = ""

    def __post_init__(self) -> None:
        shape = (len(self.tiles), len(self.bands))
        for name in ("offset", "error", "n_galaxies", "own"):
            if getattr(self, name).shape != shape:
                raise InputError(
                    f"zero points: {name} has shape {getattr(self, name).shape}, expected {shape} "
                    "(tiles, bands)"
                )
        for name in ("bands", "tiles"):
            values = getattr(self, name)
            if not values or len(set(values)) != len(values):
                raise InputError(f"zero points: {name} must be there once each, got {values}")
        if len(self.surveys) != len(self.bands) or self.pivot.shape != (len(self.bands),):
            raise InputError("zero points: expected a survey and a pivot wavelength of each band")
        if WHOLE not in self.tiles:
            raise InputError("zero points: the rows of the whole catalogue (tile '') are missing")
        if len(self.tiles) > 1 and not self.column:
            raise InputError("zero points: there are tiles, and no name of the tile column")
        if np.any(np.abs(self.offset) > LARGEST) or np.any(np.isinf(self.offset)):
            raise InputError(
                f"zero points: offsets up to {np.nanmax(np.abs(self.offset)):.3g} mag; expected "
                f"magnitudes within {LARGEST:g} of 0"
            )

    @property
    def label(self) -> str:
        """What an annotated table says of them: the checksum of their file."""
        return f"sha256:{self.checksum}" if self.checksum else "zero points made in this session"

    def of_tile(self, tile: str = WHOLE) -> dict[str, float]:
        """Offsets of one tile by band, magnitude; those that were not determined are left out."""
        row = self.offset[self.tiles.index(tile if tile in self.tiles else WHOLE)]
        return {b: float(v) for b, v in zip(self.bands, row, strict=True) if np.isfinite(v)}

    def apply(self, photometry: Photometry, table: Any) -> tuple[Photometry, tuple[str, ...]]:
        """Corrected bandfluxes, and what there is to say about it.

        Parameters
        ----------
        photometry : Photometry
            N objects as they were read from `table`.
        table : astropy.table.Table
            Holds the tile column, if the zero points are by tile.

        Returns
        -------
        Photometry
            Fluxes and errors times ``10**(-0.4 offset)``; bands without a zero point as they are.
        tuple of str
            Bands and tiles without a zero point of their own, one line each.

        Raises
        ------
        InputError
            If no band is among those of the zero points, if a band is read from the columns of
            another survey, if the tile column is missing, or if the header calls them doubtful.
        """
        if DOUBTFUL in self.meta:
            raise InputError(
                f"zero points: {self.meta[DOUBTFUL]}. They are not applied; delete "
                f"{DOUBTFUL} from their header to apply them all the same"
            )
        common = [band for band in photometry.bands if band in self.bands]
        if not common:
            raise InputError(
                f"zero points: they are of {_few(self.bands)}, and the table has "
                f"{_few(photometry.bands) if photometry.bands else 'no bands'}; expected a file "
                "that was made from this catalogue (jpassed zeropoints TABLE -o FILE)"
            )
        self._check_surveys(photometry, common)
        row, messages = self._rows(table, len(photometry))
        if str(self.meta.get(VERDICT, "")).startswith(UNMEASURED):
            messages.append(f"zero points: {self.meta[VERDICT]}")
        offset = np.zeros(photometry.flux.shape)
        for j, band in enumerate(photometry.bands):
            if band in self.bands:
                offset[:, j] = self.offset[row, self.bands.index(band)]
        without = [b for b in photometry.bands if b not in self.bands]
        without += [b for b in common if np.isnan(self.offset[:, self.bands.index(b)]).all()]
        if without:
            messages.append(f"zero points: none for {_few(without)}; those bands stay as they are")
        gain = 10.0 ** (-0.4 * np.where(np.isfinite(offset), offset, 0.0))
        corrected = replace(photometry, flux=photometry.flux * gain, error=photometry.error * gain)
        return corrected, tuple(messages)

    def _check_surveys(self, photometry: Photometry, common: Sequence[str]) -> None:
        if not photometry.surveys:
            return
        for band in common:
            here = photometry.surveys[photometry.bands.index(band)]
            there = self.surveys[self.bands.index(band)]
            if here != there:
                raise InputError(
                    f"zero points: {band} is of survey {there!r} there and of {here!r} in the "
                    "table. A zero point belongs to the photometry that it was measured on: make "
                    "a file from this catalogue (jpassed zeropoints TABLE -o FILE)"
                )

    def _rows(self, table: Any, n: int) -> tuple[NDArray[np.int64], list[str]]:
        """Index into `tiles` of every row of a table."""
        whole = self.tiles.index(WHOLE)
        if not self.column:
            return np.full(n, whole), []
        names = tile_names(table, self.column)
        index = {tile: i for i, tile in enumerate(self.tiles)}
        row = np.array([index.get(name, whole) for name in names], dtype=np.int64)
        unknown = sorted({name for name in names if name != WHOLE and name not in index})
        messages = []
        if unknown:
            count = sum(name not in index for name in names)
            which = (
                f"1 row is on a tile without zero points of its own ({_few(unknown)}) and gets"
                if count == 1
                else f"{count} rows are on tiles without zero points of their own "
                f"({_few(unknown)}) and get"
            )
            messages.append(f"zero points: {which} those of the whole catalogue")
        return row, messages

    def to_table(self) -> QTable:
        """One row for each tile and band, with units, descriptions and the provenance in meta."""
        from astropy import units as u
        from astropy.table import Column, MaskedColumn, QTable

        n_bands = len(self.bands)
        known = np.isfinite(self.offset).ravel()
        said = {
            "tile": (np.repeat(np.array(self.tiles, dtype=str), n_bands), "Value of the tile "
                     "column; empty for the whole catalogue, and for tiles that are not listed"),
            "band": (np.tile(np.array(self.bands), len(self.tiles)), "Band"),
            "survey": (np.tile(np.array(self.surveys), len(self.tiles)), "Survey of its columns"),
            "pivot": (np.tile(self.pivot, len(self.tiles)), "Pivot wavelength, vacuum"),
            "offset": (self.offset.ravel(), f"Zero point: {SIGN}"),
            "offset_err": (self.error.ravel(), "Standard error of offset"),
            "n_galaxies": (self.n_galaxies.ravel(), "Galaxies that it was measured on"),
            "own": (self.own.ravel(), "Whether it was measured on this tile; else it is that of "
                    "the whole catalogue"),
        }  # fmt: skip
        units = {"pivot": u.AA, "offset": u.mag, "offset_err": u.mag}
        table = QTable()
        for name, (values, description) in said.items():
            if name in ("offset", "offset_err"):
                mask = ~known | ~np.isfinite(values)
                table[name] = MaskedColumn(
                    np.where(mask, 0.0, values), mask=mask, unit=units[name], format=".4f"
                ) if mask.any() else Column(values, unit=units[name], format=".4f")  # fmt: skip
            else:
                table[name] = Column(values, unit=units.get(name))
            table[name].info.description = description
        table.meta.update(self.meta)
        table.meta["jp_zp_sign"] = SIGN
        table.meta["jp_zp_tile_column"] = self.column
        return table

    @classmethod
    def from_table(
        cls, table: Any, *, where: str = "zero points", checksum: str = ""
    ) -> ZeroPoints:
        """Zero points of a table that `to_table` made.

        Raises
        ------
        InputError
            If it is not such a table.
        """
        lacking = [name for name in _COLUMNS if name not in table.colnames]
        if lacking or len(table) == 0:
            raise InputError(
                f"{where}: no file of zero points: {', '.join(lacking) or 'rows'} missing; "
                "expected one that jpassed zeropoints wrote"
            )
        texts = {name: [str(v) if v is not np.ma.masked else "" for v in table[name]]
                 for name in ("tile", "band", "survey")}  # fmt: skip
        tiles, bands = (tuple(dict.fromkeys(texts[name])) for name in ("tile", "band"))
        shape = (len(tiles), len(bands))
        pairs = set(zip(texts["tile"], texts["band"], strict=True))
        if not len(table) == len(pairs) == shape[0] * shape[1]:
            raise InputError(
                f"{where}: {len(table)} rows of {len(tiles)} tiles and {len(bands)} bands; "
                "expected each band once on each tile"
            )
        i = np.array([tiles.index(name) for name in texts["tile"]])
        j = np.array([bands.index(name) for name in texts["band"]])

        def grid(name: str, unit: str | None = None) -> NDArray[Any]:
            values = np.zeros(shape)
            values[i, j] = _plain(table[name], name, unit, where)
            return values

        surveys = dict(zip(texts["band"], texts["survey"], strict=True))
        return cls(
            bands,
            tuple(surveys[band] for band in bands),
            grid("pivot", "Angstrom")[0],
            tiles,
            grid("offset", "mag"),
            grid("offset_err", "mag"),
            grid("n_galaxies").astype(np.int64),
            grid("own").astype(bool),
            str(table.meta.get("jp_zp_tile_column", "")),
            {k: v for k, v in table.meta.items() if k not in ("jp_zp_sign", "jp_zp_tile_column")},
            checksum,
        )


def _plain(column: Any, name: str, unit: str | None, where: str) -> NDArray[np.float64]:
    """Numbers of a column in a unit, NaN where masked."""
    from astropy import units as u

    own = getattr(column, "unit", None)
    factor = 1.0
    if unit is not None and own is not None:
        try:
            factor = float(u.Unit(own).to(unit))
        except u.UnitConversionError:
            raise InputError(f"{where}: column {name!r} is in {own}, expected {unit}") from None
    mask = np.ma.getmaskarray(column) if not hasattr(column, "unmasked") else column.mask
    values = getattr(column, "unmasked", column)
    values = np.asarray(getattr(values, "value", np.ma.getdata(values)), dtype=np.float64)
    return np.where(np.asarray(mask), np.nan, values * factor)


def tile_names(table: Any, column: str) -> list[str]:
    """Values of a tile column as text, empty where masked; whole numbers without a point.

    Raises
    ------
    InputError
        If there is no such column, or it has several values a row.
    """
    if column not in table.colnames:
        raise InputError(
            f"tile column {column!r} is not in the table, whose columns are "
            f"{_few(table.colnames)}; the zero points are by its values"
        )
    values = np.ma.asarray(getattr(table[column], "unmasked", table[column]))
    if values.ndim != 1:
        raise InputError(f"tile column {column!r} has shape {values.shape}; expected one value")
    mask = np.ma.getmaskarray(values) | np.asarray(getattr(table[column], "mask", False))
    found = []
    for value, hidden in zip(values.data, mask, strict=True):
        if isinstance(value, bytes):
            value = value.decode("ascii", "replace")
        elif isinstance(value, np.floating):
            hidden = hidden or not np.isfinite(value)
            value = int(value) if not hidden and value == int(value) else value
        found.append(WHOLE if hidden else str(value).strip())
    return found


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(list(names)[:_SHOWN]) + more
