"""Posteriors for another prior than the one they were made with.

By Bayes' theorem p(y | x) is proportional to p(x | y) p(y). Where the new prior q differs in y
alone, the likelihood p(x | y) stays, and

    q(y | x)  is proportional to  p(y | x) q(y) / p(y).

y may be several quantities: the ratio is then that of their joint densities, and joint draws of
the posterior take it as a weight. A ratio of what is *not* among the drawn quantities must be
averaged over it at given y and x; it cannot be left out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jpassed.exceptions import InputError
from jpassed.posteriors.binned import Binned
from jpassed.posteriors.distribution import Distribution

__all__ = ["draw_weights", "reweighted", "weighted_cdf", "weighted_quantile"]

FloatArray = NDArray[np.float64]

LogRatio = Callable[[FloatArray], ArrayLike]

_TAIL = 1e-7


def reweighted(distribution: Distribution, log_ratio: LogRatio, *, bins: int = 2000) -> Binned:
    """Marginal posterior of one quantity under another prior of that quantity.

    Parameters
    ----------
    distribution : Distribution
        N objects, posteriors for the prior p.
    log_ratio : callable
        ln q(x) / p(x) up to a constant: called with physical values of shape (1, G), it gives
        (G,), (1, G) or, if it differs from object to object, (N, G). -inf forbids a value.
    bins : int
        Bins, even in scaled values, between the outermost quantiles of all objects. A `Binned`
        posterior keeps its own bins.

    Returns
    -------
    Binned

    Raises
    ------
    InputError
        If the ratio is NaN or +inf, has a wrong shape, or forbids all that a posterior allows.

    Examples
    --------
    A photometric redshift for a cluster field, which has more galaxies near z = 0.3:

    >>> import numpy as np
    >>> from jpassed.posteriors import Gaussian
    >>> from jpassed.posteriors.prior_change import reweighted
    >>> z = Gaussian(np.array([0.32]), np.array([0.03]))
    >>> member = reweighted(z, lambda x: np.log(1 + 9 * np.exp(-0.5 * ((x - 0.3) / 0.01) ** 2)))
    >>> member.median().round(3)
    array([0.304])
    """
    if isinstance(distribution, Binned):
        edges = distribution.edges
    else:
        if bins < 2:
            raise InputError(f"bins: expected at least 2, got {bins}")
        ends = distribution.transform.forward(distribution.quantile([_TAIL, 1.0 - _TAIL]))
        known = ends[np.isfinite(ends).all(axis=1)]
        if not len(known):
            raise InputError("no posterior is finite: there is nothing to reweight")
        edges = np.linspace(known[:, 0].min(), known[:, 1].max(), bins + 1)
    at_edges = np.stack(
        [distribution.transform.inverse(np.full(len(distribution), e)) for e in edges], axis=1
    )
    mass = np.maximum(np.diff(distribution.cdf(at_edges), axis=1), 0.0)
    middles = 0.5 * (edges[1:] + edges[:-1])
    if distribution.transform.n_objects is None:
        centres = distribution.transform.inverse(middles[None, :])
    else:
        centres = np.stack(
            [distribution.transform.inverse(np.full(len(distribution), y)) for y in middles], 1
        )
    ratio = np.atleast_2d(np.asarray(log_ratio(centres), dtype=np.float64))
    if ratio.shape[1] != len(middles) or ratio.shape[0] not in (1, len(distribution)):
        raise InputError(
            f"log_ratio must give ({len(middles)},) or ({len(distribution)}, {len(middles)}) "
            f"values, got {ratio.shape}"
        )
    if np.any(np.isnan(ratio)) or np.any(np.isposinf(ratio)):
        raise InputError("log_ratio must not be NaN or +inf: the old prior must allow every value")
    with np.errstate(divide="ignore"):
        log_mass = np.log(mass) + ratio
    top = log_mass.max(axis=1, keepdims=True)
    if np.any(np.isneginf(top)):
        raise InputError(
            f"the new prior forbids all that the posteriors of {int(np.isneginf(top).sum())} "
            "objects allow"
        )
    limits = (distribution.lower, distribution.upper)
    return Binned(edges, np.exp(log_mass - top), distribution.transform, *limits)


def draw_weights(log_ratio: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Weights of joint draws for another prior, and how many draws are left.

    Parameters
    ----------
    log_ratio : array (N, S)
        ln q / p of each of S draws of N objects, up to a constant for each object; -inf is
        allowed.

    Returns
    -------
    weights : array (N, S)
        Sum 1 for every object.
    efficiency : array (N,)
        Effective share of the draws, ``1 / (S sum w^2)`` (Kong, Liu & Wong 1994, J. Am. Stat.
        Assoc. 89, 278). A few per cent say that the new prior lies where hardly any draw is.

    Raises
    ------
    InputError
        If a value is NaN or +inf, or all draws of an object are forbidden.
    """
    value = np.asarray(log_ratio, dtype=np.float64)
    if value.ndim != 2 or value.shape[1] == 0:
        raise InputError(f"log_ratio must have shape (objects, draws), got {value.shape}")
    top = value.max(axis=1, keepdims=True)
    if not np.all(np.isfinite(top)):
        raise InputError("every object needs a draw with a finite log_ratio, and none NaN or +inf")
    weights = np.exp(value - top)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights, 1.0 / (value.shape[1] * (weights**2).sum(axis=1))


def weighted_cdf(draws: ArrayLike, weights: ArrayLike, x: ArrayLike) -> FloatArray:
    """Share of the weight at or below x, (N, S), (N, S), (N,) -> (N,); PIT where x is the truth.

    Draws equal to x count half.
    """
    value, weight, at = _checked(draws, weights)[:2] + (np.asarray(x, dtype=np.float64),)
    if at.shape != value.shape[:1]:
        raise InputError(f"x must have shape {value.shape[:1]}, got {at.shape}")
    under = (value < at[:, None]) + 0.5 * (value == at[:, None])
    out: FloatArray = (weight * under).sum(axis=1)
    return out


def weighted_quantile(draws: ArrayLike, weights: ArrayLike, q: ArrayLike) -> FloatArray:
    """Quantiles of weighted draws, (N, S), (N, S), (Q,) -> (N, Q).

    Linear between the middles of the draws' steps of the cumulative weight.
    """
    value, weight, total = _checked(draws, weights)
    levels = np.atleast_1d(np.asarray(q, dtype=np.float64))
    if levels.ndim != 1 or not np.all((levels > 0) & (levels < 1)):
        raise InputError(f"quantiles must be one number or a list within (0, 1), got {q!r}")
    order = np.argsort(value, axis=1)
    value = np.take_along_axis(value, order, axis=1)
    weight = np.take_along_axis(weight / total, order, axis=1)
    middle = np.cumsum(weight, axis=1) - 0.5 * weight
    # Draws without weight are not there: the interpolation must not aim at them.
    rows = [
        np.interp(levels, m[w > 0], v[w > 0])
        for m, v, w in zip(middle, value, weight, strict=True)
    ]
    return np.stack(rows)


def _checked(draws: ArrayLike, weights: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    value, weight = (np.asarray(v, dtype=np.float64) for v in (draws, weights))
    if value.ndim != 2 or value.shape != weight.shape:
        raise InputError(
            f"draws and weights must have one shape (objects, draws), got {value.shape} and "
            f"{weight.shape}"
        )
    total = weight.sum(axis=1, keepdims=True)
    if np.any(weight < 0) or not np.all(total > 0):
        raise InputError("weights must not be negative, and not all zero for an object")
    return value, weight, total
