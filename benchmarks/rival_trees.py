"""Gradient boosting and the nearest library galaxy, for compare.py.

Both learn from the same draws: galaxies of the training simulator, each with one draw of the
noise of minijpas-v1, weighted back to the natural prior at their magnitude (as the loss of the
training is).
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from simulated_sample import BANDS, add_noise

from jpassed.posteriors import Binned, Transform

Array = NDArray[np.float64]

LEVELS = (0.025, 0.16, 0.5, 0.84, 0.975)
TRANSFORMS = {
    "z": Transform("log1p"),
    "logmstar": Transform(),
    "av": Transform(),
    "ew_halpha": Transform("asinh", softening=2.0),
}
"""Scores are densities in these values: ln(1+z), dex, mag, asinh(EW / 2 Å)."""

RANGES = {
    "z": (0.0, 0.82, 1640), "logmstar": (4.0, 13.0, 900), "av": (0.0, 6.0, 600),
    "ew_halpha": (-3.0, 9.0, 1200),
}  # fmt: skip
"""First and last edge, in transformed values, and number of bins of tabulated posteriors."""

LIMITS = {"z": (0.0, 1.25), "logmstar": (4.0, 13.0), "av": (0.0, 6.0), "ew_halpha": (-20.0, 8000.0)}
ITERATIONS = {"z": 150, "logmstar": 60, "av": 60, "ew_halpha": 60}
ROWS = 100_000
"""Galaxies that the trees learn from; with 200,000 they cost twice as much."""

SELECTION = 22.7
ZERO_POINT = 0.0184
"""Scatter of the zero points (0.02 mag), which the stated errors leave out."""


def edges(name: str) -> Array:
    """Edges of the bins of tabulated posteriors."""
    low, high, number = RANGES[name]
    return np.linspace(low, high, number + 1)


def tabulated(name: str, probabilities: Array) -> Binned:
    """A posterior from probabilities of the bins of `edges`."""
    return Binned(edges(name), probabilities, TRANSFORMS[name])


def inputs(flux: Array, error: Array) -> Array:
    """What the trees see of N objects: colours, contrasts of neighbours, S/N, magnitude.

    (N, 60 + 55 + 1): fluxes over the object's own weighted mean, differences of neighbouring
    narrow bands, and the r magnitude. Trees cannot form differences themselves.
    """
    floor = 0.2 * np.abs(flux).mean(axis=1, keepdims=True)
    weight = 1.0 / (error**2 + floor**2)
    scale = (weight * flux).sum(axis=1) / weight.sum(axis=1)
    scale = np.maximum(scale, weight.sum(axis=1) ** -0.5)
    relative = flux / scale[:, None]
    contrast = np.diff(relative[:, :56], axis=1)
    r = np.maximum(flux[:, BANDS.index("rSDSS")], 1e-3)
    return np.concatenate([relative, contrast, -2.5 * np.log10(r / 3631e6)[:, None]], axis=1)


def noisy_library(drawn: dict[str, Array], seed: int) -> tuple[Array, Array, Array, Array]:
    """Fluxes and errors with noise, rows that pass the selection, and their weights."""
    flux, error = add_noise(drawn["flux"], seed)
    r = flux[:, BANDS.index("rSDSS")]
    rows = np.flatnonzero(r > 3631e6 * 10 ** (-0.4 * SELECTION))
    return flux[rows], error[rows], rows, at_magnitude(drawn["log_weight"], drawn["mag_r"])[rows]


def at_magnitude(log_weight: Array, magnitude: Array) -> Array:
    """Weights that give the natural prior back at every magnitude, mean 1 in bins of 0.25."""
    weight = np.exp(-(log_weight - log_weight.max()))
    weight = np.minimum(weight, 1e3 * np.median(weight))
    cell = np.digitize(magnitude, np.arange(12.0, 24.0, 0.25))
    mean = np.bincount(cell, weights=weight) / np.maximum(np.bincount(cell), 1)
    return np.asarray(weight / mean[cell])


def boosting(
    drawn: dict[str, Array], flux: dict[str, Array], error: dict[str, Array]
) -> tuple[dict[str, dict[str, Array]], float, float]:
    """Quantiles of every quantity by histogram gradient boosting with quantile losses.

    Parameters
    ----------
    drawn : dict
        Of `simulated_sample.library`.
    flux, error : dict of str to array (N, 60)
        Named sets of objects.

    Returns
    -------
    quantiles : dict of str to dict of str to array (N, 5)
        By set, then quantity, at `LEVELS`.
    fit_seconds, seconds_per_object : float
        CPU time.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    drawn = {key: values[:ROWS] for key, values in drawn.items()}
    noisy, sigma, rows, weight = noisy_library(drawn, 11)
    seen = inputs(noisy, sigma).astype(np.float32)
    asked = {key: inputs(flux[key], error[key]).astype(np.float32) for key in flux}
    count = sum(len(v) for v in asked.values())
    answers: dict[str, dict[str, Array]] = {key: {} for key in flux}
    fit_seconds = seconds = 0.0
    for name, transform in TRANSFORMS.items():
        target = transform.forward(drawn[name][rows])
        good = np.isfinite(target)
        columns: dict[str, list[Array]] = {key: [] for key in flux}
        for level in LEVELS:
            began = time.process_time()
            trees = HistGradientBoostingRegressor(
                loss="quantile", quantile=level, max_iter=ITERATIONS[name], learning_rate=0.15,
                max_leaf_nodes=31, min_samples_leaf=40, early_stopping=False, random_state=1,
            ).fit(seen[good], target[good], sample_weight=weight[good])  # fmt: skip
            fit_seconds += time.process_time() - began
            began = time.process_time()
            for key in flux:
                columns[key].append(trees.predict(asked[key]))
            seconds += time.process_time() - began
        for key in flux:
            # Separate fits may cross.
            answers[key][name] = np.sort(np.stack(columns[key], 1), axis=1)
    return answers, fit_seconds, seconds / count


def from_quantiles(name: str, quantiles: Array) -> Binned:
    """A posterior through quantiles: linear between them in the normal score, and beyond.

    That is a Gaussian whose width differs between each pair of neighbours.
    """
    from scipy.special import ndtr, ndtri

    score = ndtri(np.asarray(LEVELS))
    at = edges(name)
    least = 1e-4 if name == "z" else 1e-2
    cumulative = np.empty((len(quantiles), len(at)))
    for row, values in enumerate(quantiles):
        x = values + least * np.arange(len(values)) * 0.25
        u = np.interp(at, x, score)
        low = (score[1] - score[0]) / (x[1] - x[0])
        high = (score[-1] - score[-2]) / (x[-1] - x[-2])
        u = np.where(at < x[0], score[0] + low * (at - x[0]), u)
        u = np.where(at > x[-1], score[-1] + high * (at - x[-1]), u)
        cumulative[row] = ndtr(u)
    return tabulated(name, np.maximum(np.diff(cumulative, axis=1), 0.0) + 1e-12)


def nearest(
    drawn: dict[str, Array], flux: Array, error: Array, *, chunk: int = 100
) -> tuple[dict[str, Array], dict[str, Array], float]:
    """The library galaxy of least chi2 (free amplitude), and posteriors weighted by exp(-chi2/2).

    Masses go with the amplitude.

    Returns
    -------
    best : dict of str to array (N,)
        Its labels.
    probabilities : dict of str to array (N, bins)
        Of the bins of `edges`, smoothed by one bin of the redshift's, three of others'.
    seconds : float
        CPU time.
    """
    from scipy.ndimage import gaussian_filter1d

    began = time.process_time()
    shape = (drawn["flux"] / drawn["flux"].mean(axis=1, keepdims=True)).astype(np.float32)
    squares = shape**2
    log_prior = np.log(np.exp(-drawn["log_weight"]))
    best: dict[str, list[Array]] = {name: [] for name in TRANSFORMS}
    tables: dict[str, list[Array]] = {name: [] for name in TRANSFORMS}
    bins: dict[str, Any] = {}
    for name, transform in TRANSFORMS.items():
        index = np.searchsorted(edges(name), transform.forward(drawn[name])) - 1
        known = np.isfinite(drawn[name])
        bins[name] = (np.clip(np.where(known, index, 0), 0, RANGES[name][2] - 1), known)
    for start in range(0, len(flux), chunk):
        f = flux[start : start + chunk]
        weight = 1.0 / (error[start : start + chunk] ** 2 + (ZERO_POINT * f) ** 2)
        cross = (f * weight).astype(np.float32) @ shape.T
        norm = np.maximum(weight.astype(np.float32) @ squares.T, 1e-30)
        amplitude = np.maximum(cross / norm, 0.0)
        chi2 = (f**2 * weight).sum(axis=1, keepdims=True) - amplitude * cross
        # The prior of the library galaxy as it is, at the object's own magnitude.
        offset = -2.5 * np.log10(np.maximum(amplitude, 1e-12) / drawn["flux"].mean(axis=1))
        near = -0.5 * (offset / 0.25) ** 2
        log_p = -0.5 * chi2 + log_prior + near
        log_p -= log_p.max(axis=1, keepdims=True)
        p = np.exp(log_p)
        least = chi2.argmin(axis=1)
        for name in TRANSFORMS:
            # A line out of range has no strength to take over.
            index, known = bins[name]
            place = np.where(known[least], least, np.where(known, log_p, -np.inf).argmax(axis=1))
            value = drawn[name][place]
            if name == "logmstar":  # the amplitude is mass
                value = value - 0.4 * np.take_along_axis(offset, place[:, None], axis=1)[:, 0]
            best[name].append(value)
            rows = []
            for row, shift in zip(p, offset, strict=True):
                use = np.flatnonzero(known & (row > 1e-9))
                at = index[use]
                if name == "logmstar":
                    at = np.searchsorted(edges(name), drawn[name][use] - 0.4 * shift[use]) - 1
                    at = np.clip(at, 0, RANGES[name][2] - 1)
                table = np.bincount(at, weights=row[use], minlength=RANGES[name][2])
                smooth = gaussian_filter1d(table, 1.0 if name == "z" else 3.0)
                rows.append(smooth + 1e-9 * smooth.max() + 1e-30)
            tables[name].append(np.stack(rows))
    seconds = time.process_time() - began
    return (
        {name: np.concatenate(v) for name, v in best.items()},
        {name: np.concatenate(v) for name, v in tables.items()},
        seconds,
    )
