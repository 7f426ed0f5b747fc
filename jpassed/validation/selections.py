"""Which objects a figure is of: all, by flag, by magnitude, redshift, odds, or any column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.surveys.columns import numbers_and_mask
from jpassed.units import ab_magnitude
from jpassed.validation.compared import Compared

if TYPE_CHECKING:
    from jpassed.surveys import Photometry

__all__ = ["ALL", "Axis", "Selection", "axes_of_table", "selections"]

FloatArray = NDArray[np.float64]

ALL = "all"
BEST = (10, 25, 50, 75, 90)
"""Per cent of the objects with the largest odds."""

REFERENCE = ("rSDSS", "sdss_r", "decam_r", "ps1_r", "jplus_rSDSS")
"""Bands whose magnitude bins objects, the first that half of them have."""

R_PIVOT = 6250.0
STEPS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
MOST_BINS = 8
QUANTILES = 5
FEWEST = 5
"""Objects of a bin below which only their number is told."""


@dataclass(frozen=True)
class Selection:
    """Some of N objects.

    Attributes
    ----------
    by, label : str
        What selects, and the selection in words.
    low, high : float
        Ends of a bin, ``low <= x < high``; NaN where it is none.
    rows : ndarray (N,) of bool
    """

    by: str
    label: str
    low: float
    high: float
    rows: NDArray[np.bool_]


@dataclass(frozen=True)
class Axis:
    """What objects are binned by.

    Attributes
    ----------
    name : str
    values : ndarray (N,)
        NaN where it is not known.
    edges : ndarray (K + 1,)
    """

    name: str
    values: FloatArray
    edges: FloatArray

    def bins(self) -> Iterator[Selection]:
        """The selections of its bins."""
        for low, high in zip(self.edges[:-1], self.edges[1:], strict=True):
            with np.errstate(invalid="ignore"):
                rows = (self.values >= low) & (self.values < high)
            yield Selection(
                self.name, f"{low:g} <= {self.name} < {high:g}", float(low), float(high), rows
            )

    @property
    def outside(self) -> NDArray[np.bool_]:
        """Objects in no bin, (N,)."""
        with np.errstate(invalid="ignore"):
            inside = (self.values >= self.edges[0]) & (self.values < self.edges[-1])
        return ~inside


def axes_of_table(
    table: Any,
    photometry: Photometry | None,
    by: Mapping[str, Sequence[float] | None] | None,
) -> list[Axis]:
    """The axes that were named; without any, the magnitude in an r band where there is one.

    Parameters
    ----------
    table : astropy.table.Table
    photometry : Photometry or None
    by : mapping, optional
        A band (its AB magnitude) or a column, to the edges of its bins; None finds edges.

    Raises
    ------
    UnknownNameError
        For what is neither.
    InputError
        For edges that do not increase, or a column of no numbers.
    """
    if by is None:
        band = _reference(photometry)
        if band is None or photometry is None:
            return []
        values = _magnitudes(photometry, band)
        return [Axis(f"mag {band}", values, round_edges(values, 0.5))]
    axes = []
    for name, edges in by.items():
        if photometry is not None and name in photometry.bands:
            values, title, step = _magnitudes(photometry, name), f"mag {name}", 0.5
        elif name in table.colnames:
            raw, missing = numbers_and_mask(table[name], name)
            values = np.where(missing, np.nan, raw).reshape(len(table), -1)
            if values.shape[1] != 1:
                raise InputError(f"by: column {name!r} holds {values.shape[1]} numbers a row")
            values, title, step = values[:, 0], name, 0.0
        else:
            bands = () if photometry is None else photometry.bands
            raise UnknownNameError("band or column", name, [*bands, *table.colnames])
        if edges is None:
            cut = round_edges(values, step) if step else equal_counts(values)
        else:
            cut = _checked(name, edges)
        axes.append(Axis(title, values, cut))
    return axes


def round_edges(values: FloatArray, least: float) -> FloatArray:
    """Round numbers that hold 99 % of the values in at most 8 bins."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.array([0.0, 1.0])
    low, high = np.quantile(known, [0.005, 0.995])
    for step in STEPS:
        first, last = np.floor(low / step + 1e-9), np.floor(high / step + 1e-9) + 1
        if step >= least and last - first <= MOST_BINS:
            return np.round(np.arange(first, last + 1) * step, 6)
    return np.array([low, np.nextafter(high, np.inf)])


def equal_counts(values: FloatArray) -> FloatArray:
    """Edges between which there are as many values."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.array([0.0, 1.0])
    edges = np.unique(np.quantile(known, np.linspace(0, 1, QUANTILES + 1)))
    edges = np.array([float(f"{edge:.4g}") for edge in edges[:-1]] + [edges[-1]])
    last = np.nextafter(edges[-1], np.inf)
    return np.unique(np.array([*edges[:-1], last if last > edges[-1] else edges[-1] + 1]))


def selections(
    compared: Compared,
    axes: Sequence[Axis],
    truth_z: FloatArray | None,
    flag: NDArray[np.int32] | None,
) -> Iterator[Selection]:
    """Selections of the objects of one quantity; those that cannot be used are in none."""
    use, nan = compared.use, float("nan")
    yield Selection(ALL, ALL, nan, nan, use)
    if flag is not None and (flag[use] != 0).any():
        yield Selection("jp_flag", "no flag", nan, nan, use & (flag == 0))
        yield Selection("jp_flag", "flagged", nan, nan, use & (flag != 0))
    redshift = []
    if truth_z is not None:
        redshift = [Axis("z_true", truth_z, round_edges(truth_z[use], 0.02))]
    for axis in (*axes, *redshift):
        for part in axis.bins():
            rows = part.rows & use
            if rows.any():
                yield Selection(part.by, part.label, part.low, part.high, rows)
    yield from _best(compared)


def _best(compared: Compared) -> Iterator[Selection]:
    """The objects with the largest odds, or the smallest errors where there are no odds."""
    if compared.truth.quantity != "z":
        return
    columns, use = compared.columns(), compared.use
    for name, merit in (("odds", columns["odds"]), ("quoted error", -columns["relative_error"])):
        known = use & np.isfinite(merit)
        if not known.any():
            continue
        order = np.argsort(-merit[known], kind="stable")
        where = np.flatnonzero(known)[order]
        for share in BEST:
            rows = np.zeros(len(use), dtype=bool)
            rows[where[: max(1, round(share / 100 * len(where)))]] = True
            yield Selection(name, f"best {share} % by {name}", float("nan"), float(share), rows)
        return


def _checked(name: str, edges: Sequence[float]) -> FloatArray:
    cut = np.asarray(edges, dtype=np.float64)
    if cut.ndim != 1 or len(cut) < 2 or np.any(~np.isfinite(cut)) or np.any(np.diff(cut) <= 0):
        raise InputError(f"by: the edges of {name!r} must be two or more increasing numbers")
    return cut


def _reference(photometry: Photometry | None) -> str | None:
    if photometry is None or not len(photometry.bands):
        return None
    share = photometry.observed.mean(axis=0)
    for band in REFERENCE:
        if band in photometry.bands and share[photometry.bands.index(band)] > 0.5:
            return band
    common = np.flatnonzero(share > 0.5)
    if not len(common):
        return None
    return str(photometry.bands[common[np.argmin(np.abs(photometry.pivot[common] - R_PIVOT))]])


def _magnitudes(photometry: Photometry, band: str) -> FloatArray:
    i = photometry.bands.index(band)
    flux, seen = photometry.flux[:, i], photometry.observed[:, i]
    good = seen & (flux > 0)
    values = np.full(len(flux), np.nan)
    values[good] = ab_magnitude(flux[good])
    return values
