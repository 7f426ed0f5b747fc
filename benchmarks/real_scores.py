"""Scores of real.py, with 68 % bootstrap intervals by object, in one shape for everything.

A figure is a list ``[value, low, high]``; a row is a dictionary of figures and of counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jpassed.evaluation import (
    bias,
    bootstrap_interval,
    coverage,
    fraction_within,
    mad_scatter,
    normalised_residual,
    outlier_fraction,
    pit,
    sigma_nmad,
)
from jpassed.posteriors import Distribution

Array = NDArray[np.float64]
Row = dict[str, Any]

SEED = 20261203
RESAMPLINGS = 300
FLOOR = 1e-3
"""Share of a uniform density over 0 < z < 1.25 that every density gets, as in compare.py: the log
score of one impossible object would otherwise decide."""

Z_RANGE = float(np.log1p(1.25))

POINT_STATISTICS: dict[str, Callable[..., float]] = {
    "sigma_nmad": sigma_nmad,
    "bias": bias,
    "outliers": lambda z, true: outlier_fraction(z, true, 0.05),
}
"""Of redshifts that are mere numbers."""

REDSHIFT_STATISTICS: dict[str, Callable[..., float]] = {
    "sigma_nmad": lambda z, true, p, nll: sigma_nmad(z, true),
    "bias": lambda z, true, p, nll: bias(z, true),
    "outliers": lambda z, true, p, nll: outlier_fraction(z, true, 0.05),
    "within": lambda z, true, p, nll: fraction_within(z, true, 0.01),
    "median": lambda z, true, p, nll: float(np.median(np.abs(normalised_residual(z, true)))),
    "coverage": lambda z, true, p, nll: float(coverage(p, 0.68)),
    "nll": lambda z, true, p, nll: float(np.mean(nll)),
}
"""sigma_NMAD; median of dz/(1+z); share beyond 0.05(1+z) and within 0.01(1+z); median of
|dz|/(1+z); share of truths inside the central 68 % interval; mean -ln p of ln(1+z)."""


def redshift_scores(distribution: Distribution, true: ArrayLike) -> dict[str, Array]:
    """Median, truth, PIT and -ln of the density in ln(1+z) of N posteriors."""
    z = np.asarray(true, dtype=float)
    density = np.exp(distribution.logpdf(z)) * (1.0 + z)
    return {
        "z": distribution.median(),
        "true": z,
        "pit": pit(distribution, z),
        "nll": -np.log((1.0 - FLOOR) * density + FLOOR / Z_RANGE),
    }


def redshift_row(
    scores: Mapping[str, Array], group: ArrayLike, use: ArrayLike | None = None
) -> Row:
    """All of `REDSHIFT_STATISTICS` with their intervals, objects resampled by `group`."""
    chosen = np.ones(len(scores["z"]), bool) if use is None else np.asarray(use, bool)
    columns = tuple(scores[key][chosen] for key in ("z", "true", "pit", "nll"))
    return intervals(REDSHIFT_STATISTICS, columns, np.asarray(group)[chosen])


def intervals(
    statistics: Mapping[str, Callable[..., float]], columns: tuple[Array, ...], group: ArrayLike
) -> Row:
    """Statistics of the same columns with 68 % intervals: objects are drawn, with all their rows.

    With a single object there is no interval: it is NaN.
    """
    labels = np.asarray(group)
    objects = len(np.unique(labels))
    row: Row = {"n": len(labels), "objects": objects}
    if not len(labels):
        return row
    values = [function(*columns) for function in statistics.values()]
    low = high = np.full(len(values), np.nan)
    if objects > 1:
        low, high = bootstrap_interval(
            lambda *a: np.array([function(*a) for function in statistics.values()]),
            columns,
            None if objects == len(labels) else labels,
            RESAMPLINGS,
            SEED,
        )
    for i, name in enumerate(statistics):
        row[name] = [float(values[i]), float(low[i]), float(high[i])]
    return row


LINE_STATISTICS: dict[str, Callable[..., float]] = {
    "bias": lambda dex, p: float(np.median(dex)),
    "rms": lambda dex, p: float(np.std(dex)),
    "mad": lambda dex, p: mad_scatter(dex),
    "coverage": lambda dex, p: float(coverage(p, 0.68)),
}
"""Of log10(predicted / given): median, root mean square about the mean, 1.4826 MAD; and share of
the given values inside the central 68 % interval, which holds the error of the given value."""


def line_row(
    distribution: Distribution,
    width: Array,
    error: Array | None,
    group: ArrayLike,
    least: float,
    most: float = np.inf,
) -> Row:
    """Scores of a predicted EW for rows whose given EW (Å) is above `least` and up to `most`."""
    with np.errstate(invalid="ignore"):
        use = np.flatnonzero((width > least) & (width <= most))
    if not len(use):
        return {"n": 0, "objects": 0}
    part, given = distribution[use], width[use]
    dex = np.log10(np.maximum(part.median(), 1e-2) / given)
    p = pit(part, given, None if error is None else error[use])
    return intervals(LINE_STATISTICS, (dex, p), np.asarray(group)[use])


FLUX_STATISTICS: dict[str, Callable[..., float]] = {
    "bias": lambda mag, p: float(np.median(mag)),
    "mad": lambda mag, p: mad_scatter(mag),
    "coverage": lambda mag, p: float(coverage(p, 0.68)),
}
"""Of observed minus predicted magnitude: median, 1.4826 MAD; and coverage as for lines."""


def magnitude_difference(observed: ArrayLike, predicted: ArrayLike) -> Array:
    """Observed minus predicted magnitude of positive fluxes."""
    top, bottom = np.asarray(observed, dtype=float), np.asarray(predicted, dtype=float)
    return -2.5 * np.log10(top / np.maximum(bottom, 1e-6))
