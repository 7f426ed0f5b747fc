"""From columns of an archive to labels of the vocabulary: units, frames, signs, masks, errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.archives.description import Flags, LabelRule
from jpassed.surveys.columns import numbers_and_mask
from jpassed.vocabulary import load_vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["EXTENSIVE", "LabelValues", "Rows", "SLACK", "measure"]

EXTENSIVE = (
    "logmstar", "logmformed", "logsfr", "mabs_r", "logc_oii", "logc_hbeta", "logc_oiii",
    "logc_halpha",
)  # fmt: skip
"""Labels that grow with the light that is looked at: they belong to total fluxes."""

SLACK = {"z": 0.01}
"""How far beyond the vocabulary's range noise may carry a value."""


@dataclass
class LabelValues:
    """One quantity of N objects.

    Attributes
    ----------
    value, error : ndarray of shape (N,)
        In the vocabulary's unit; 0 where not observed.
    observed : ndarray of bool, shape (N,)
    source : ndarray of int, shape (N,)
        Which rule of the archive it is from, -1 where not observed.
    left_out : Counter
        Measurements that were not taken, by reason.
    """

    value: Array
    error: Array
    observed: NDArray[np.bool_]
    source: NDArray[np.int64]
    left_out: Counter[str] = field(default_factory=Counter)

    @classmethod
    def empty(cls, count: int) -> LabelValues:
        """N objects without a measurement."""
        return cls(
            np.zeros(count), np.zeros(count), np.zeros(count, dtype=bool),
            np.full(count, -1, dtype=np.int64),
        )  # fmt: skip

    def fill(self, other: LabelValues, source: int) -> None:
        """Take what `other` has and this has not."""
        new = other.observed & ~self.observed
        self.value[new], self.error[new] = other.value[new], other.error[new]
        self.observed |= new
        self.source[new] = source
        self.left_out.update(other.left_out)


class Rows:
    """Rows of a table, and the object that each belongs to.

    Parameters
    ----------
    columns : mapping
        Name to column, all of one length.
    place : ndarray of int
        Position of each row's object; -1 for none.
    count : int
        Number of objects.
    """

    def __init__(self, columns: Mapping[str, Any], place: NDArray[np.int64], count: int) -> None:
        self.columns, self.place, self.count = columns, place, count

    def numbers(self, name: str) -> Array:
        """A column as numbers, NaN where masked, of each row."""
        values, mask = numbers_and_mask(self.columns[name], name)
        return np.where(mask, np.nan, values) if mask is not None else values

    def of_objects(
        self, values: Array, chosen: NDArray[np.bool_] | None = None
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Values of the objects (the first row of each), and which of them have a row."""
        out = np.full(self.count, np.nan)
        use = self.place >= 0
        if chosen is not None:
            use &= chosen
        rows = np.flatnonzero(use)[::-1]  # the first row is written last
        out[self.place[rows]] = values[rows]
        present = np.zeros(self.count, dtype=bool)
        present[self.place[rows]] = True
        return out, present

    def flagged(self, flags: Flags) -> NDArray[np.bool_]:
        """Rows that the flags do not call good."""
        given = self.numbers(flags.column)
        known = np.isfinite(given) & (given >= 0)
        bits = np.where(known, given, 0).astype(np.int64)
        return np.asarray(~known | ((bits & ~flags.usable) != 0))


def measure(
    rule: LabelRule,
    rows: Rows,
    line: str,
    redshift: Array,
    unsafe: NDArray[np.bool_],
) -> LabelValues:
    """Values of one rule.

    Parameters
    ----------
    rule : LabelRule
    rows : Rows
    line : str
        Column that names the line, or empty.
    redshift : ndarray of shape (N,)
        Safe redshifts, NaN where there is none.
    unsafe : ndarray of bool, shape (N,)
        Objects whose redshift is known to be wrong or doubtful.

    Returns
    -------
    LabelValues
    """
    value, error, present, invalid = _sums(rule, rows, line)
    good = present & np.isfinite(value)  # most objects of a union have no row in most tables
    reasons: Counter[str] = Counter()

    if invalid.any():  # a column in another unit than thought would show here
        reasons["outside 'valid'"] += int(invalid.sum())

    def drop(bad: NDArray[np.bool_], reason: str) -> None:
        nonlocal good
        lost = good & bad
        if lost.any():
            reasons[reason] += int(lost.sum())
        good = good & ~bad

    if rule.flags is not None:
        flagged, _ = rows.of_objects(rows.flagged(rule.flags).astype(float))
        drop(flagged != 0, f"flagged in {rule.flags.column}")
    drop(~np.isfinite(error), "no positive error")
    if rule.needs_redshift:
        drop(unsafe, "redshift not safe")
    with np.errstate(all="ignore"):
        value, error = value * rule.scale, error * abs(rule.scale)
        if rule.log10:
            drop(~(value > 0), "no logarithm")
            value, error = np.log10(value), error / (value * np.log(10.0))
        if rule.frame == "observed":
            drop(~np.isfinite(redshift), "no redshift to bring it to the rest frame")
            value, error = value / (1.0 + redshift), error / (1.0 + redshift)
        value = value + rule.offset
        error = np.hypot(error, rule.error_floor)
        kind = load_vocabulary()[rule.quantity]
        slack = SLACK.get(rule.quantity, 0.0)
        drop(~((value >= kind.lower - slack) & (value <= kind.upper)), "outside the vocabulary")
    return LabelValues(
        np.where(good, value, 0.0), np.where(good, error, 0.0), good,
        np.where(good, 0, -1), reasons,
    )  # fmt: skip


def _sums(
    rule: LabelRule, rows: Rows, line: str
) -> tuple[Array, Array, NDArray[np.bool_], NDArray[np.bool_]]:
    """Sum, error and presence of a rule's parts, and where one is outside `valid`.

    A part that is lacking makes the sum unknown.
    """
    total, variance = np.zeros(rows.count), np.zeros(rows.count)
    every = np.ones(rows.count, dtype=bool)
    positive = np.ones(rows.count, dtype=bool)
    invalid = np.zeros(rows.count, dtype=bool)
    names = np.asarray(_texts(rows.columns[line])) if line else None
    for which in rule.rows or (None,):
        chosen = None if names is None else names == which
        for k, column in enumerate(rule.value):
            part, present = rows.of_objects(rows.numbers(column), chosen)
            stated = np.isfinite(part)
            part = _valid(rule, part)
            invalid |= stated & ~np.isfinite(part)
            if rule.interval:
                first, last = (
                    rows.of_objects(_valid(rule, rows.numbers(c)), chosen)[0] for c in rule.interval
                )
                sigma = 0.5 * (last - first)
            elif rule.error:
                sigma, _ = rows.of_objects(rows.numbers(rule.error[k]), chosen)
            else:
                sigma = np.zeros(rows.count)  # `error_floor` is all that is known
            total, every = total + part, every & present
            positive &= (sigma > 0) | (not rule.error and not rule.interval)
            variance = variance + sigma**2
    error = np.where(positive, np.sqrt(variance), np.nan)
    return total, error, every, invalid


def _valid(rule: LabelRule, values: Array) -> Array:
    """NaN where a value is no measurement."""
    low, high = rule.valid
    with np.errstate(invalid="ignore"):
        return np.where((values >= low) & (values <= high), values, np.nan)


def _texts(column: Any) -> list[str]:
    values = np.ma.filled(np.ma.asarray(column).astype(object), "")
    return [v.decode() if isinstance(v, bytes) else str(v).strip() for v in values]
