"""What the truth says of the posterior of each object: the numbers behind every statistic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jpassed.evaluation.scores import crps, log_score, pit
from jpassed.exceptions import InputError
from jpassed.posteriors import Distribution

__all__ = ["LEAST_LOG_DENSITY", "ObjectScores", "score_objects", "with_error_of_truth"]

FloatArray = NDArray[np.float64]

LEAST_LOG_DENSITY = float(np.log(1e-10))
"""Densities below 1e-10 per unit count as this: one object must not decide on a mean log score."""

NEGLIGIBLE = 0.02
"""Errors of the truth below this share of the posterior's half width change it by 0.02 %."""

_LEVELS = (0.16, 0.5, 0.84)


@dataclass(frozen=True)
class ObjectScores:
    """One number for each of N objects; NaN where it is not known.

    Attributes
    ----------
    median, low, high : ndarray (N,)
        Of the posterior: 50, 16 and 84 %.
    pit : ndarray (N,)
        Cumulative probability at the truth.
    crps : ndarray (N,)
    log_score : ndarray (N,)
        Log density at the truth, not below `LEAST_LOG_DENSITY`.
    """

    median: FloatArray
    low: FloatArray
    high: FloatArray
    pit: FloatArray
    crps: FloatArray
    log_score: FloatArray

    def __len__(self) -> int:
        return len(self.median)

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """The objects of several, one after the other.

        Parameters
        ----------
        parts : sequence of ObjectScores
            At least one.

        Raises
        ------
        InputError
            If there are none.
        """
        if not parts:
            raise InputError("no scores to join")
        return cls(
            *(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls))
        )


def score_objects(
    distribution: Distribution, truth: ArrayLike, error: ArrayLike | None = None
) -> ObjectScores:
    """Compare posteriors with known values.

    Parameters
    ----------
    distribution : Distribution
        N objects.
    truth : array (N,)
        NaN where it is not known: PIT and scores are NaN there.
    error : array (N,), optional
        Standard errors of the truth. PIT, CRPS and log score are then those of the measured
        value, of which the posterior is convolved with the error.

    Returns
    -------
    ObjectScores

    Raises
    ------
    InputError
        If the truth or its errors have another shape, or an error is negative.
    """
    true = np.asarray(truth, dtype=np.float64)
    if true.shape != (len(distribution),):
        raise InputError(f"the truth must have shape ({len(distribution)},), got {true.shape}")
    low, median, high = distribution.quantile(_LEVELS).T
    found = np.full((3, len(true)), np.nan)
    known = np.isfinite(true) & np.isfinite(median)
    for rows, part in with_error_of_truth(distribution, known, true, error, (high - low) / 2):
        found[:, rows] = (
            pit(part, true[rows]),
            crps(part, true[rows]),
            np.maximum(log_score(part, true[rows]), LEAST_LOG_DENSITY),
        )
    return ObjectScores(median, low, high, *found)


def with_error_of_truth(
    distribution: Distribution,
    known: NDArray[np.bool_],
    truth: FloatArray,
    error: ArrayLike | None,
    half_width: FloatArray,
) -> list[tuple[NDArray[np.intp], Distribution]]:
    """Rows of known truth with the distribution of what was measured there.

    The rows whose error matters are convolved with it; for the others nothing is computed.
    """
    sigma = np.zeros(len(truth)) if error is None else np.asarray(error, dtype=np.float64)
    if sigma.shape != truth.shape or np.any(sigma[known] < 0):
        raise InputError(f"errors of the truth must be {truth.shape} numbers from 0 on")
    blurred = known & (sigma > NEGLIGIBLE * half_width)
    parts: list[tuple[NDArray[np.intp], Distribution]] = []
    for rows, blur in ((np.flatnonzero(known & ~blurred), False), (np.flatnonzero(blurred), True)):
        if len(rows):
            part: Distribution = distribution[rows]
            if blur:
                part = part.broadened(truth[rows], sigma[rows])
            parts.append((rows, part))
    return parts
