"""Importance weights: smoothed tails, effective numbers, evidence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jpassed.exceptions import InputError

__all__ = ["effective_number", "log_evidence", "pareto_smoothed", "weighted_quantiles"]

FloatArray = NDArray[np.float64]


def log_evidence(log_weight: FloatArray) -> FloatArray:
    """ln of the mean weight (N,), of log weights (N, n): the evidence of the model."""
    top = np.max(log_weight, axis=1, keepdims=True)
    safe = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return safe[:, 0] + np.log(np.mean(np.exp(log_weight - safe), axis=1))


def effective_number(log_weight: FloatArray) -> FloatArray:
    """Effective number of draws (N,): (sum w)^2 / sum w^2 (Kish 1965)."""
    top = np.max(log_weight, axis=1, keepdims=True)
    weight = np.exp(log_weight - np.where(np.isfinite(top), top, 0.0))
    total = weight.sum(axis=1)
    return np.where(total > 0, total**2 / np.maximum((weight**2).sum(axis=1), 1e-300), 0.0)


def pareto_smoothed(log_weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Pareto-smoothed log weights and the shape k of each object's tail.

    Vehtari et al. (2024, JMLR 25, 72): the largest min(n/5, 3 sqrt(n)) weights are replaced by
    the expected order statistics of a generalised Pareto distribution fitted to them (Zhang &
    Stephens 2009, Technometrics 51, 316), cut at the largest raw weight. k below 0.7: reliable.

    Parameters
    ----------
    log_weight : array (N, n)
        At least 25 draws.

    Returns
    -------
    smoothed : array (N, n)
    k : array (N,)
        NaN where all weights are zero.
    """
    values = np.asarray(log_weight, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 25:
        raise InputError(f"expected log weights (objects, at least 25 draws), got {values.shape}")
    smoothed, shape = values.copy(), np.full(len(values), np.nan)
    count = int(min(values.shape[1] / 5, 3 * np.sqrt(values.shape[1])))
    for i, row in enumerate(values):
        if not np.isfinite(row.max()):
            continue
        relative = row - row.max()
        order = np.argsort(relative)
        tail, cut = order[-count:], relative[order[-count - 1]]
        start = np.exp(max(cut, -700.0))
        excess = np.exp(relative[tail]) - start
        if excess[0] <= 0 or not excess[-1] > 0:
            excess = np.maximum(excess, 1e-300)
        k, sigma = _pareto_fit(excess)
        shape[i] = k
        level = (np.arange(count) + 0.5) / count
        with np.errstate(over="ignore"):
            fitted = start + sigma * np.expm1(-k * np.log1p(-level)) / k
        smoothed[i, tail] = np.minimum(np.log(fitted), 0.0) + row.max()
    return smoothed, shape


def _pareto_fit(excess: FloatArray) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto distribution, increasing `excess` (M,)."""
    n = len(excess)
    points = 20 + int(np.sqrt(n))
    quarter = max(excess[int(n / 4 + 0.5) - 1], 1e-12 * excess[-1])
    b = 1.0 - np.sqrt(points / (np.arange(1, points + 1) - 0.5))
    b = b / (3.0 * quarter) + 1.0 / excess[-1]
    k = np.log1p(-b[:, None] * excess).mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = n * (np.log(-b / k) - k - 1.0)
    score = np.where(np.isfinite(score), score, -np.inf)
    weight = np.exp(score - score.max())
    best = float((b * weight).sum() / weight.sum())
    shape = float(np.log1p(-best * excess).mean())
    # a weak prior of shape 0.5 with the weight of 10 draws steadies short tails
    steadied = (shape * n + 0.5 * 10.0) / (n + 10.0)
    return (steadied if abs(steadied) > 1e-6 else 1e-6), -shape / best


def weighted_quantiles(values: FloatArray, weight: FloatArray, levels: FloatArray) -> FloatArray:
    """Quantiles (N, Q) at common levels (Q,) of weighted draws (N, n)."""
    order = np.argsort(values, axis=1)
    x, w = np.take_along_axis(values, order, 1), np.take_along_axis(weight, order, 1)
    total = np.cumsum(w, axis=1)
    middle = (total - 0.5 * w) / total[:, -1:]
    return np.stack([np.interp(levels, m, row) for m, row in zip(middle, x, strict=True)])
