"""The table of figures: every statistic of every selection, with its uncertainty."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from jpassed.evaluation import bootstrap_interval
from jpassed.validation.compared import Compared
from jpassed.validation.selections import FEWEST, Selection
from jpassed.validation.statistics import Statistic

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["COLUMNS", "figures_of", "figures_table"]

FloatArray = NDArray[np.float64]
Row = dict[str, Any]

COLUMNS = {
    "quantity": "Quantity of the vocabulary",
    "statistic": "Name of the figure, see definition",
    "by": "What selects the objects",
    "selection": "Which objects the figure is of",
    "low": "Lower end of the bin, included",
    "high": "Upper end of the bin, excluded; per cent of the objects for the best by odds",
    "n": "Number of objects",
    "value": "The figure",
    "lo": "Lower end of its 68 % interval: bootstrap, of shares Jeffreys' binomial one",
    "hi": "Upper end of its 68 % interval",
    "unit": "Unit of the figure",
    "ideal": "What calibrated or perfect predictions would give, where that is known",
    "definition": "How the figure is computed",
}


def figures_of(
    compared: Compared,
    selections: Iterable[Selection],
    statistics: Sequence[Statistic],
    *,
    unit: str,
    groups: NDArray[np.intp] | None,
    n_bootstrap: int,
    seed: int,
    level: float,
) -> list[Row]:
    """Rows of the table, of one quantity.

    Parameters
    ----------
    compared : Compared
    selections : iterable of Selection
    statistics : sequence of Statistic
        Those whose columns nothing is known of are left out.
    unit : str
        Of the quantity.
    groups : ndarray (N,), optional
        Object of each row: whole objects are resampled.
    n_bootstrap : int
        Resamplings; 0 for no intervals.
    seed : int
    level : float
        Probability of the interval.
    """
    columns = compared.columns()
    known = {name for name, values in columns.items() if np.isfinite(values[compared.use]).any()}
    chosen = [s for s in statistics if set(s.needs) <= known]
    # Shares of independent objects have an interval of their own.
    drawn = [s for s in chosen if s.resampled and not (s.percent and groups is None)]
    names = sorted({name for s in drawn for name in s.needs})

    def resampled(*arrays: FloatArray) -> FloatArray:
        given = dict(zip(names, arrays, strict=True))
        return np.array([_of_known(s, [given[name] for name in s.needs]) for s in drawn])

    rows = []
    for selection in selections:
        part = {name: columns[name][selection.rows] for name in known}
        low = high = np.full(len(drawn), np.nan)
        if n_bootstrap and drawn and selection.rows.sum() >= FEWEST:
            own = None if groups is None else groups[selection.rows]
            low, high = bootstrap_interval(
                resampled, tuple(part[name] for name in names), own, n_bootstrap, seed, level=level
            )
        intervals = {s.name: ends for s, *ends in zip(drawn, low, high, strict=True)}
        for s in chosen:
            n = _n_known(part, s)
            value = _of_known(s, [part[name] for name in s.needs])
            ends = intervals.get(s.name, [np.nan, np.nan])
            if s.percent and groups is None and n_bootstrap and np.isfinite(value):
                ends = [*share_interval(value, n, level)]
            rows.append(
                {
                    "quantity": compared.truth.quantity,
                    "statistic": s.name,
                    "by": selection.by,
                    "selection": selection.label,
                    "low": selection.low,
                    "high": selection.high,
                    "n": n,
                    "value": value,
                    "lo": ends[0],
                    "hi": ends[1],
                    "unit": unit if s.unit == "quantity" else "",
                    "ideal": s.expected(n),
                    "definition": s.definition,
                }
            )
    return rows


def _of_known(statistic: Statistic, arrays: list[FloatArray]) -> float:
    """A statistic of the objects of which all that it needs is known."""
    known = np.logical_and.reduce([np.isfinite(array) for array in arrays])
    if not known.all():
        arrays = [array[known] for array in arrays]
    return float(statistic.function(*arrays)) if len(arrays[0]) >= FEWEST else np.nan


def share_interval(share: float, n: int, level: float) -> tuple[float, float]:
    """Interval of a share of n objects with Jeffreys' prior; it holds the share itself.

    Brown, Cai & DasGupta 2001, Stat. Sci. 16, 101. A bootstrap says that a share of none is none,
    whatever the number of objects.
    """
    ends = [0.5 - level / 2, 0.5 + level / 2]
    low, high = betaincinv(n * share + 0.5, n * (1 - share) + 0.5, ends)
    return min(float(low), share), max(float(high), share)


def _n_known(part: Mapping[str, FloatArray], statistic: Statistic) -> int:
    return int(np.logical_and.reduce([np.isfinite(part[name]) for name in statistic.needs]).sum())


def figures_table(rows: Sequence[Row]) -> Table:
    """The rows as a table, masked where a number is not known."""
    from astropy.table import Column, MaskedColumn, Table

    table = Table()
    for name, said in COLUMNS.items():
        values = [row[name] for row in rows]
        if name in ("low", "high", "value", "lo", "hi", "ideal"):
            array = np.array(values, dtype=np.float64)
            shape = "%.6g" if name in ("value", "lo", "hi") else None
            column = MaskedColumn(array, mask=~np.isfinite(array), description=said)
            column.format = shape
        else:
            column = Column(values, description=said)
        table[name] = column
    return table
