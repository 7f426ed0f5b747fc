"""Log densities from draws of a posterior, in the scaled variable of each quantity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jpassed.posteriors import Transform
from jpassed.vocabulary import load_vocabulary

Array = NDArray[np.float64]

QUANTITIES = ("z", "logmstar", "av", "ew_halpha")
BANDWIDTH = 0.35
"""Kernel width over the posterior's own width: widens a Gaussian by 6 %, which costs 0.003 nat."""

TAIL_SHARE, TAIL_WIDTH = 0.02, 5.0
"""A little of the kernel is wide: no density is zero between the last draws of a tail."""

FOLDS = 8

ELSEWHERE, ELSEWHERE_WIDTH = 0.004, 0.5
"""Share of the density that some 250 draws cannot speak of, and its least width (scaled units)."""

FLOORS = {"av": 0.0}
"""Quantities with a hard edge, at which kernels are reflected."""


def core_width(t: Array, weight: Array, share: float = 0.3) -> float:
    """Standard deviation of the Gaussian whose densest `share` is as narrow as that of the draws.

    A second peak far away does not widen it.
    """
    order = np.argsort(t)
    x, w = t[order], weight[order] / weight.sum()
    upper = np.cumsum(w)
    lower = upper - w
    stop = np.searchsorted(upper, lower + share)
    good = stop < len(x)
    if not good.any():
        return float(max(x[-1] - x[0], 1e-6))
    width = (x[np.minimum(stop, len(x) - 1)] - x)[good].min()
    return float(max(width / 0.7706, 1e-6))  # 30 % of a Gaussian within 0.3853 sigma


def kernel_log_density(
    name: str, draws: Array, weight: Array, at: Array, bandwidth: float = BANDWIDTH
) -> Array:
    """ln density per physical unit at values `at`, from weighted draws (physical values)."""
    transform = Transform.of(load_vocabulary()[name])
    t, where = transform.forward(draws), transform.forward(at)
    h = bandwidth * core_width(t, weight)
    weight = weight / weight.sum()
    t_all, w_all = t, weight
    if name in FLOORS:
        floor = float(transform.forward(np.array([FLOORS[name]]))[0])
        t_all, w_all = np.concatenate([t, 2 * floor - t]), np.concatenate([weight, weight])
    u = (where[:, None] - t_all[None, :]) / h
    kernel = (1 - TAIL_SHARE) * np.exp(-0.5 * u**2)
    kernel += TAIL_SHARE / TAIL_WIDTH * np.exp(-0.5 * (u / TAIL_WIDTH) ** 2)
    density = (kernel * w_all[None, :]).sum(1) / (h * np.sqrt(2 * np.pi))
    centre = (t * weight).sum()
    broad = max(3.0 * np.sqrt(((t - centre) ** 2 * weight).sum()), ELSEWHERE_WIDTH)
    rest = np.exp(-0.5 * ((where - centre) / broad) ** 2) / (broad * np.sqrt(2 * np.pi))
    density = (1 - ELSEWHERE) * density + ELSEWHERE * rest
    return np.log(np.maximum(density, 1e-12)) + transform.log_slope(at)


def summarise(
    name: str,
    draws: Array,
    weight: Array,
    fold: NDArray[np.int_],
    truth: float,
    rng: np.random.Generator,
    number: int = 500,
) -> dict[str, Array]:
    """What the cache keeps of one object and quantity.

    Parameters
    ----------
    draws, weight : array (n,)
    fold : array of int (n,)
        Of `FOLDS` parts with few common ancestors: the density at draws of one is that of the
        others.
    truth : float
        NaN where the quantity is no target.
    """
    picked = rng.choice(len(draws), size=number, p=weight / weight.sum())
    own = np.empty(number)
    for part in range(FOLDS):
        here = fold[picked] == part
        if here.any():
            other = fold != part
            own[here] = kernel_log_density(
                name, draws[other], weight[other], draws[picked[here]]
            )
    values = {"draws": draws[picked], "log_density": own}
    if np.isfinite(truth):
        at, low = np.array([truth]), fold < FOLDS // 2
        values["score"] = kernel_log_density(name, draws, weight, at)[0]
        values["score_wide"] = kernel_log_density(name, draws, weight, at, 2 * BANDWIDTH)[0]
        values["score_halves"] = np.array(
            [kernel_log_density(name, draws[side], weight[side], at)[0] for side in (low, ~low)]
        )
        values["rank"] = weight[draws < truth].sum() / weight.sum()
    else:
        values |= {"score": np.nan, "score_wide": np.nan, "rank": np.nan}
        values["score_halves"] = np.full(2, np.nan)
    return {k: np.asarray(v, dtype=np.float64) for k, v in values.items()}


def sigma_nmad(z: Array, true: Array) -> float:
    """1.4826 times the median absolute deviation of dz / (1 + z) from its median."""
    dz = (z - true) / (1 + true)
    return float(1.4826 * np.median(np.abs(dz - np.median(dz))))
