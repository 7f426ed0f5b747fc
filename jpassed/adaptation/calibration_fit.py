"""Which recalibration PIT values ask for, judged on rows that it was not fitted to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jpassed.evaluation import coverage, pit_distance
from jpassed.exceptions import InputError
from jpassed.posteriors.calibration import LEVELS, Recalibration

__all__ = ["FEWEST_ROWS", "FORMS", "CrossValidation", "choose_recalibration"]

FloatArray = NDArray[np.float64]

FEWEST_ROWS = 50
"""Objects of known truth below which nothing is fitted: 40 train a fold, 10 judge it."""

EDGE = 1e-6
"""PIT values are kept this far from 0 and 1 when a log score is judged: one object whose truth
the posterior excludes must not outweigh all others."""

COARSE = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)

FORMS: dict[str, Callable[[FloatArray], Recalibration]] = {
    "shift and stretch": Recalibration.fit_line,
    "7 levels": lambda p: Recalibration.fit(p, COARSE),
    f"{len(LEVELS)} levels": Recalibration.fit,
}
"""Maps that are tried, from the stiffest on."""


@dataclass(frozen=True)
class CrossValidation:
    """What a recalibration does to objects that it was not fitted to.

    Attributes
    ----------
    form : str
        Name of the map in `FORMS`.
    pit : ndarray (N,)
        Recalibrated PIT values, each by the map of the other folds.
    gain, gain_error : float
        Mean gain of the log score in nats an object, and its standard error.
    each : ndarray (N,)
        What a row gains, by the map of the other folds.
    fold, label : ndarray (N,) of int
        The fold and the object of a row.
    """

    form: str
    pit: FloatArray
    gain: float
    gain_error: float
    each: FloatArray
    fold: NDArray[np.intp]
    label: NDArray[np.intp]

    @property
    def helps(self) -> bool:
        """Whether the gain exceeds its standard error."""
        return self.gain > self.gain_error

    @property
    def distance(self) -> float:
        """Kolmogorov-Smirnov distance of the held-out PIT values from uniform."""
        return pit_distance(self.pit)

    @property
    def coverage_68(self) -> float:
        """Share of held-out truths inside the recalibrated central 68 % interval."""
        return coverage(self.pit, 0.68)


def choose_recalibration(
    pit_values: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    folds: int = 5,
    seed: int = 0,
) -> tuple[Recalibration, CrossValidation]:
    """The map whose held-out log score is best, fitted to all rows.

    The log score of an object gains ln r'(p) by a map r, whatever its posterior: PIT values are
    all that is needed.

    Parameters
    ----------
    pit_values : array (N,)
        Of objects of known truth.
    groups : array (N,), optional
        Object of each row: its rows are held out together.
    folds : int
        Parts of the sample that are held out in turn.
    seed : int
        Of the partition.

    Returns
    -------
    recalibration : Recalibration
    check : CrossValidation
        Of the form that was chosen.

    Raises
    ------
    InputError
        For fewer than `FEWEST_ROWS` values or objects, or fewer than two folds.
    """
    p = np.asarray(pit_values, dtype=np.float64)
    label = np.arange(p.size) if groups is None else np.unique(groups, return_inverse=True)[1]
    n_objects = int(label.max()) + 1 if p.size else 0
    if n_objects < FEWEST_ROWS:
        raise InputError(
            f"recalibration needs at least {FEWEST_ROWS} objects with a prediction and a known "
            f"value, got {n_objects}"
        )
    if not 2 <= folds <= 20:
        raise InputError(f"folds: expected 2 to 20, got {folds}")
    fold = (np.random.default_rng(seed).permutation(n_objects) % folds)[label]
    checks = [_held_out(name, p, fold, label) for name in FORMS]
    best = max(checks, key=lambda check: check.gain)
    return FORMS[best.form](p), best


def _held_out(
    name: str, p: FloatArray, fold: NDArray[np.intp], label: NDArray[np.intp]
) -> CrossValidation:
    after, gain = np.empty_like(p), np.empty_like(p)
    for k in np.unique(fold):
        out = fold == k
        fitted = FORMS[name](p[~out])
        after[out] = fitted.forward(p[out])
        gain[out] = fitted.log_slope(np.clip(p[out], EDGE, 1.0 - EDGE))
    # Rows of one object are one witness.
    count = np.bincount(label)
    each = np.bincount(label, weights=gain) / count
    error = float(each.std(ddof=1) / np.sqrt(len(each)))
    return CrossValidation(name, after, float(each.mean()), error, gain, fold, label)
