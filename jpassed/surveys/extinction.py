"""Milky Way extinction of a band: A_b = k_b E(B-V)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from jpassed.surveys.columns import ColumnIndex
from jpassed.surveys.matching import Match, TableReader, fill_pattern

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ebv_columns", "extinction_coefficient", "extinction_magnitudes", "uncorrected"]

_EBV_NAME = re.compile(r"(?:^|[._])(?:e\(b-v\)|e_?bv|ebmv)(?:_?(?:sfd|sf11|planck))?$")


@cache
def _coefficients() -> dict[str, float]:
    from astropy.table import Table

    text = files("jpassed.surveys").joinpath("data", "extinction.ecsv").read_text("utf-8")
    table = Table.read(text.splitlines(), format="ascii.ecsv")
    return {str(row["band"]): float(row["k"]) for row in table}


@cache
def _curve() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wavelength (vacuum Å) and k of tabulated bands, in order, one system per wavelength."""
    from jpassed.filters import known_bands

    known = known_bands()
    points = sorted(
        (known[band][0], k)
        for band, k in _coefficients().items()
        if band in known and not band.startswith(("sdss_", "decam_"))
    )
    wavelength, k = np.array(points).T
    return wavelength, k


def extinction_coefficient(band: str, pivot: float) -> float:
    """k_b = A_b / E(B-V) of a band.

    Parameters
    ----------
    band : str
        Band name; tabulated bands (miniJPAS, GALEX, SDSS, DECam, 2MASS, WISE) are looked up in
        ``data/extinction.ecsv``, which names the sources.
    pivot : float
        Pivot wavelength in Å; other bands are interpolated in it, and constant beyond the table.

    Returns
    -------
    float
        For E(B-V) on the scale of Schlegel, Finkbeiner & Davis (1998).
    """
    found = _coefficients().get(band)
    if found is not None:
        return found
    return float(np.interp(pivot, *_curve()))


def _from_patterns(
    patterns: tuple[str, ...], match: Match, index: ColumnIndex, reader: TableReader
) -> NDArray[np.float64] | None:
    n_bands = len(match.rule.bands)
    for pattern in patterns:
        plain = fill_pattern(pattern, match.label, "")
        if plain not in index:
            continue
        values, _ = reader.numbers(index.actual(plain))
        if values.ndim == 1 and ("{band}" in pattern or match.rule.exact):
            return values
        if values.ndim == 2 and values.shape[1] == n_bands:
            return values[:, match.index]
    return None


def extinction_magnitudes(
    match: Match, pivot: float, reader: TableReader
) -> NDArray[np.float64] | None:
    """A_b of one band for every row, from what the table has.

    Parameters
    ----------
    match : Match
    pivot : float
        Pivot wavelength in Å.
    reader : TableReader

    Returns
    -------
    ndarray of shape (N,) or None
        Magnitudes, NaN where the table has no value; None if it has none of the columns.
    """
    rule = match.rule.extinction
    index = reader.index(match.rule.prefixes)
    found = _from_patterns(rule.magnitudes, match, index, reader)
    if found is not None:
        return found
    found = _from_patterns(rule.transmission, match, index, reader)
    if found is not None:
        positive = np.where(found > 0, found, np.nan)
        return -2.5 * np.log10(positive)
    for column, element, divide_by in rule.ebv:
        if column.lower() not in index:
            continue
        values, _ = reader.numbers(index.actual(column.lower()))
        if values.ndim == 2 and element is not None and element < values.shape[1]:
            values = values[:, element]
        if values.ndim == 1:
            return values / divide_by * extinction_coefficient(match.band, pivot)
    return None


def ebv_columns(reader: TableReader) -> tuple[str, ...]:
    """Columns that by their name hold E(B-V)."""
    return tuple(
        name
        for name in reader.names
        if _EBV_NAME.search(name.lower())
        and not name.lower().startswith(("jp_", "true_"))
        and reader.width(name) == 1
    )


def uncorrected(matches: Sequence[Match], reader: TableReader) -> tuple[Match, ...]:
    """Bands that no rule corrects for the Milky Way, although the table has E(B-V)."""
    if not ebv_columns(reader):
        return ()
    # A map says what its user wants; a rule that looks for a column and finds none says so itself.
    return tuple(m for m in matches if not m.rule.exact and not m.rule.extinction)
