"""Predictions that are columns already: those of `jpassed.annotate`, and other codes'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jpassed.evaluation import ObjectScores, Truth, crps_samples, odds, score_objects
from jpassed.evaluation.ranks import ranks
from jpassed.exceptions import InputError, UnknownNameError
from jpassed.posteriors import Binned
from jpassed.posteriors.columns import column_name
from jpassed.posteriors.grids import PdfGrid
from jpassed.surveys.columns import column_unit, numbers_and_mask
from jpassed.surveys.labels import LOGARITHM_OF, SENTINELS
from jpassed.validation.compared import Compared, Densities
from jpassed.vocabulary import Kind, Vocabulary, load_vocabulary

__all__ = ["annotated_columns", "column_edges", "column_matrix", "compare_columns"]

FloatArray = NDArray[np.float64]

CHUNK = 4096
"""Objects whose posteriors are compared at a time."""


@dataclass(frozen=True)
class _Columns:
    """Names of the columns of one quantity."""

    point: str
    low: str | None = None
    high: str | None = None
    error: str | None = None
    pdf: str | None = None
    samples: str | None = None

    def __str__(self) -> str:
        names = (self.point, self.low, self.high, self.error, self.pdf, self.samples)
        return ", ".join(name for name in names if name is not None)


def annotated_columns(table: Any, quantities: Any) -> bool:
    """Whether a table has the predictions of `jpassed.annotate` of all quantities."""
    return all(column_name(name) in table.colnames for name in quantities)


def compare_columns(
    table: Any,
    truths: Mapping[str, Truth],
    predictions: Mapping[str, str] | None = None,
    *,
    vocabulary: Vocabulary | None = None,
    densities: bool = False,
    seed: int = 0,
) -> dict[str, Compared]:
    """Compare columns with what is known.

    Parameters
    ----------
    table : astropy.table.Table
    truths : dict of str to Truth
    predictions : dict, optional
        Quantity to ``"value"``, ``"value,error"`` or ``"value,low,high"`` (16 and 84 %). Without
        it the columns ``jp_...`` are taken, with ``_pdf`` or else ``_samples`` where they are.
    vocabulary : Vocabulary, optional
        Kinds that there are; the common ones by default.
    densities : bool
        Whether to keep the tabulated posteriors.
    seed : int
        Of the ranks among samples.

    Raises
    ------
    UnknownNameError
        For a column that is not there.
    InputError
        For columns that cannot be used.
    """
    found, words = {}, load_vocabulary() if vocabulary is None else vocabulary
    for name, true in truths.items():
        columns = _annotated(table, name) if predictions is None else _named(predictions, name)
        found[name] = _compare(table, columns, true, words, densities, seed)
    return found


def _annotated(table: Any, quantity: str) -> _Columns:
    def there(suffix: str) -> str | None:
        name = column_name(quantity, suffix)
        return name if name in table.colnames else None

    point = column_name(quantity)
    if point not in table.colnames:
        raise UnknownNameError("column", point, table.colnames)
    return _Columns(
        point, there("lo"), there("hi"), there("err"), there("pdf"), there("samples")
    )  # fmt: skip


def _named(predictions: Mapping[str, str], quantity: str) -> _Columns:
    if quantity not in predictions:
        raise InputError(
            f"predictions: nothing is named for {quantity!r}, whose truth is; got "
            f"{dict(predictions)}"
        )
    names = [part.strip() for part in str(predictions[quantity]).split(",") if part.strip()]
    if len(names) == 1:
        return _Columns(names[0])
    if len(names) == 2:
        return _Columns(names[0], error=names[1])
    if len(names) == 3:
        return _Columns(*names)
    raise InputError(
        f"predictions of {quantity!r}: expected 'value', 'value,error' or 'value,low,high', got "
        f"{predictions[quantity]!r}"
    )


def _compare(
    table: Any, columns: _Columns, true: Truth, vocabulary: Vocabulary, densities: bool, seed: int
) -> Compared:
    kind = vocabulary[true.quantity]
    point = _numbers(table, columns.point, kind)
    point = np.where(np.isin(point, SENTINELS), np.nan, point)
    nothing = np.full(len(point), np.nan)
    low, high = nothing, nothing
    if columns.low is not None and columns.high is not None:
        low, high = (_numbers(table, end, kind) for end in (columns.low, columns.high))
    elif columns.error is not None:
        error = _numbers(table, columns.error, kind, error=True)
        error = np.where(error >= 0, error, np.nan)
        low, high = point - error, point + error
    scores = ObjectScores(point, low, high, nothing, nothing, nothing)
    probable, kept = nothing, None
    if columns.pdf is not None:
        scores, probable, kept = _by_density(table, columns.pdf, scores, true, densities)
    elif columns.samples is not None:
        scores = _by_samples(table, columns.samples, scores, true, seed)
    return Compared(true, scores, probable, f"columns {columns}", kept)


def _by_density(
    table: Any, name: str, scores: ObjectScores, true: Truth, densities: bool
) -> tuple[ObjectScores, FloatArray, Densities | None]:
    edges = column_edges(table, name)
    values = column_matrix(table, name)
    if values.shape[1] != len(edges) - 1:
        raise InputError(f"column {name!r} has {values.shape[1]} bins, its edges {len(edges)}")
    share = np.clip(values, 0.0, None) * np.diff(edges)
    share[~(share.sum(axis=1) > 0)] = np.nan
    value = np.where(np.isfinite(scores.median), true.value, np.nan)
    parts, probable = [], np.full(len(value), np.nan)
    for start in range(0, len(value), CHUNK):
        rows = slice(start, start + CHUNK)
        binned = Binned(edges, share[rows], interpolation="cubic")
        parts.append(score_objects(binned, value[rows], true.error[rows]))
        if true.quantity == "z":
            probable[rows] = odds(binned, scores.median[rows])
    found = ObjectScores.concatenate(parts)
    # Without a posterior there is nothing to compare, whatever the other columns say.
    median = np.where(np.isfinite(share).all(axis=1), scores.median, np.nan)
    filled = ObjectScores(
        median, scores.low, scores.high, found.pit, found.crps, found.log_score
    )  # fmt: skip
    return filled, probable, Densities(edges, values) if densities else None


def _by_samples(
    table: Any, name: str, scores: ObjectScores, true: Truth, seed: int
) -> ObjectScores:
    draws = column_matrix(table, name)
    value = np.where(np.isfinite(scores.median), true.value, np.nan)
    rng = np.random.default_rng(seed)
    # A measured truth is compared with measured draws.
    draws = draws + true.error[:, None] * rng.standard_normal(draws.shape)
    known = np.isfinite(value) & np.isfinite(draws).all(axis=1)
    pit, crps = np.full((2, len(value)), np.nan)
    if known.any() and draws.shape[1] > 1:
        pit[known] = ranks(draws[known], value[known], rng)
        crps[known] = crps_samples(draws[known], value[known])
    return ObjectScores(
        scores.median, scores.low, scores.high, pit, crps, np.full(len(value), np.nan)
    )


def column_edges(table: Any, name: str) -> FloatArray:
    """Edges of the bins of a column: from its description, or the table's meta."""
    for key, edges in table.meta.items():
        if str(key).lower() == f"{name.lower()}_edges":
            return np.asarray(edges, dtype=np.float64)
    return PdfGrid.parse(table[name].info.description or "").edges


def _numbers(table: Any, name: str, kind: Kind, *, error: bool = False) -> FloatArray:
    """A column in the unit of a kind; log10 of one in a linear unit where the kind is that."""
    values = column_matrix(table, name)
    if values.shape[1] != 1:
        raise InputError(f"column {name!r} holds {values.shape[1]} numbers a row, expected one")
    return _in_unit(values[:, 0], column_unit(table[name]), kind, name, error)


def _in_unit(values: FloatArray, unit: Any, kind: Kind, name: str, error: bool) -> FloatArray:
    from astropy import units as u

    if unit is None or unit in (u.dimensionless_unscaled, u.dex):
        return values
    linear = LOGARITHM_OF.get(kind.name)
    try:
        if linear is not None and not error:
            scaled = values * unit.to(u.Unit(linear))
            return np.log10(np.where(scaled > 0, scaled, np.nan))
        if linear is None:
            return np.asarray(values * unit.to(u.Unit(kind.unit)))
    except (u.UnitConversionError, AttributeError, TypeError):
        pass
    wanted = f"log10 without a unit, or {linear}" if linear else kind.unit or "no unit"
    if linear and error:
        wanted = "dex; give the ends of its interval instead (value,low,high)"
    raise InputError(f"column {name!r} is in {unit}; {kind.name} needs {wanted}")


def column_matrix(table: Any, name: str) -> FloatArray:
    """A column as (N, M), masked values as NaN."""
    if name not in table.colnames:
        raise UnknownNameError("column", name, table.colnames)
    values, missing = numbers_and_mask(table[name], name)
    filled = np.where(missing, np.nan, values)
    return filled.reshape(len(table), -1)
