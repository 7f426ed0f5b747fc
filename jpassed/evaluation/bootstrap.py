"""Confidence intervals of statistics by resampling objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jpassed.exceptions import InputError

__all__ = ["bootstrap_interval"]


def bootstrap_interval(
    statistic: Callable[..., Any],
    values: ArrayLike | tuple[ArrayLike, ...],
    groups: ArrayLike | None = None,
    n: int = 1000,
    seed: int | np.random.Generator = 0,
    *,
    level: float = 0.68,
) -> tuple[Any, Any]:
    """Percentile bootstrap interval of a statistic (Efron 1979, Ann. Stat. 7, 1).

    Rows of one object (noise draws of the same galaxy, say) are not independent: whole objects
    are drawn with replacement, with all their rows.

    Parameters
    ----------
    statistic : callable
        Called as ``statistic(*arrays)`` with the resampled rows; gives a number or an array.
    values : array (N, ...) or tuple of such arrays
        The arguments of `statistic`, with equal first axes.
    groups : array (N,), optional
        Object of each row; every row is an object of its own when not given.
    n : int
        Number of resamplings.
    seed : int or numpy Generator
    level : float
        Probability of the central interval.

    Returns
    -------
    low, high : float or array

    Raises
    ------
    InputError
        Shapes that differ, no rows, or a level outside (0, 1).
    """
    arrays = [np.asarray(v) for v in (values if isinstance(values, tuple) else (values,))]
    n_rows = len(arrays[0]) if arrays and arrays[0].ndim else 0
    if n_rows == 0 or any(a.ndim == 0 or len(a) != n_rows for a in arrays):
        raise InputError(f"values must have one first axis, got {[a.shape for a in arrays]}")
    if n < 1 or not 0 < level < 1:
        raise InputError(f"n must be positive and level within (0, 1), got {n} and {level}")
    members = _members(groups, n_rows)
    rng = np.random.default_rng(seed)
    results = []
    for _ in range(n):
        drawn = rng.integers(len(members), size=len(members))
        rows = np.concatenate([members[i] for i in drawn]) if groups is not None else drawn
        results.append(np.asarray(statistic(*(a[rows] for a in arrays)), dtype=np.float64))
    low, high = np.quantile(np.stack(results), [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return (float(low), float(high)) if low.ndim == 0 else (low, high)


def _members(groups: ArrayLike | None, n_rows: int) -> list[NDArray[np.intp]] | range:
    """Rows of each object."""
    if groups is None:
        return range(n_rows)
    labels = np.asarray(groups)
    if labels.shape != (n_rows,):
        raise InputError(f"groups must have shape ({n_rows},), got {labels.shape}")
    _, index = np.unique(labels, return_inverse=True)
    order = np.argsort(index, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(index[order])) + 1)
