"""Gaussian mixtures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp, ndtr, ndtri

from jpassed.exceptions import InputError
from jpassed.posteriors.distribution import (
    LEAST_MASS,
    Distribution,
    as_rows,
    check_transform,
)
from jpassed.posteriors.transforms import FloatArray, Transform

__all__ = ["Gaussian", "GaussianMixture"]

_LOG_ROOT_2PI = 0.5 * np.log(2 * np.pi)
#: Rows solved at once: the temporaries stay in the processor's cache.
_CHUNK = 2048
_STEPS = 100


class GaussianMixture(Distribution):
    """Mixture of K Gaussians in the scaled value.

    Parameters
    ----------
    weights : array (N, K)
        Not negative; normalised here.
    means, sigmas : array (N, K)
        In scaled values; sigmas positive. Objects with NaN give NaN.
    transform, lower, upper
        See `Distribution`.

    Raises
    ------
    InputError
        Shapes that differ, negative weights, sigmas that are not positive.
    """

    def __init__(
        self,
        weights: ArrayLike,
        means: ArrayLike,
        sigmas: ArrayLike,
        transform: Transform | None = None,
        lower: float = -np.inf,
        upper: float = np.inf,
    ) -> None:
        super().__init__(transform, lower, upper)
        self.weights = as_rows(weights, "weights")
        self.means, self.sigmas = as_rows(means, "means"), as_rows(sigmas, "sigmas")
        shapes = [self.weights.shape, self.means.shape, self.sigmas.shape]
        if len(set(shapes)) != 1:
            raise InputError(f"weights, means and sigmas must have one shape, got {shapes}")
        if np.any(self.weights < 0) or np.any(self.sigmas <= 0):
            raise InputError("mixture weights must not be negative and sigmas must be positive")
        total = self.weights.sum(axis=1, keepdims=True)
        if np.any(total == 0):
            raise InputError("the mixture weights of an object are all zero")
        self.weights /= total
        check_transform(self.transform, len(self))

    def __len__(self) -> int:
        return len(self.means)

    def _deviations(self, y: FloatArray) -> FloatArray:
        return (y[:, :, None] - self.means[:, None, :]) / self.sigmas[:, None, :]

    def _cdf(self, y: FloatArray) -> FloatArray:
        return np.einsum("nqk,nk->nq", ndtr(self._deviations(y)), self.weights)

    def _logpdf(self, y: FloatArray) -> FloatArray:
        deviation = self._deviations(y)
        scale = (np.log(self.sigmas) + _LOG_ROOT_2PI)[:, None, :]
        return logsumexp(-0.5 * deviation**2 - scale, b=self.weights[:, None, :], axis=-1)

    def _quantile(self, q: FloatArray) -> FloatArray:
        if self.means.shape[1] == 1:
            return self.means + self.sigmas * ndtri(q)
        out = np.empty(q.shape)
        for start in range(0, len(self), _CHUNK):
            part = slice(start, start + _CHUNK)
            out[part] = _solve(self.weights[part], self.means[part], self.sigmas[part], q[part])
        return out

    def _drawn(self, uniform: FloatArray) -> FloatArray:
        """Pick a component, then a place inside it, both with the same uniform number.

        Twenty times as fast as solving for quantiles, which draws need not be.
        """
        below, above = np.zeros_like(self.weights), np.ones_like(self.weights)
        if self.truncated:
            _, _, low, high = self._bounds()
            below = ndtr((low - self.means) / self.sigmas)
            above = ndtr((high - self.means) / self.sigmas)
        share = self.weights * (above - below)
        total = share.sum(axis=1, keepdims=True)
        if np.any(total <= LEAST_MASS):
            return self.values_at(uniform)
        end = np.cumsum(share / total, axis=1)
        component = np.zeros(uniform.shape, dtype=np.intp)
        for k in range(end.shape[1] - 1):
            component += uniform > end[:, k : k + 1]

        def chosen(parameters: FloatArray) -> FloatArray:
            return np.take_along_axis(parameters, component, axis=1)

        part = share / total
        with np.errstate(divide="ignore", invalid="ignore"):
            inside = np.clip((uniform - chosen(end - part)) / chosen(part), 0.0, 1.0)
        level = chosen(below) + inside * chosen(above - below)
        tiny = np.finfo(float).tiny
        y = chosen(self.means) + chosen(self.sigmas) * ndtri(np.clip(level, tiny, 1 - 1e-16))
        return np.clip(self.transform.inverse(y), self.lower, self.upper)

    def _pieces(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        reach = 9.0 * self.sigmas
        return self.weights, self.means - reach, self.means + reach

    def _piece_logpdf(self, y: FloatArray) -> FloatArray:
        deviation = (y - self.means[..., None]) / self.sigmas[..., None]
        return -0.5 * deviation**2 - np.log(self.sigmas)[..., None] - _LOG_ROOT_2PI

    def _broadened(self, error: FloatArray) -> Self:
        return self._like(
            self.weights, self.means, np.hypot(self.sigmas, error[:, None]), self.transform, False
        )

    def _like(
        self,
        weights: FloatArray,
        means: FloatArray,
        sigmas: FloatArray,
        transform: Transform,
        bounds: bool = True,
    ) -> Self:
        """A distribution of the same class, without going through its own constructor."""
        out = object.__new__(type(self))
        limits = (self.lower, self.upper) if bounds else (-np.inf, np.inf)
        GaussianMixture.__init__(out, weights, means, sigmas, transform, *limits)
        return out

    def _rows(self, rows: Any, transform: Transform) -> Self:
        return self._like(self.weights[rows], self.means[rows], self.sigmas[rows], transform)

    @classmethod
    def _joined(cls, parts: Sequence[Any], transform: Transform) -> Self:
        columns = [
            np.concatenate([getattr(p, name) for p in parts])
            for name in ("weights", "means", "sigmas")
        ]
        joined: Self = parts[0]._like(*columns, transform)
        return joined


class Gaussian(GaussianMixture):
    """One Gaussian in the scaled value: the solution of the published loss.

    Parameters
    ----------
    mean, sigma : array (N,)
        In scaled values; sigma positive.
    transform, lower, upper
        See `Distribution`.
    """

    def __init__(
        self,
        mean: ArrayLike,
        sigma: ArrayLike,
        transform: Transform | None = None,
        lower: float = -np.inf,
        upper: float = np.inf,
    ) -> None:
        means, sigmas = (np.array(v, dtype=np.float64) for v in (mean, sigma))
        if means.ndim != 1 or means.shape != sigmas.shape:
            raise InputError(
                f"mean and sigma must be one per object, got {means.shape} and {sigmas.shape}"
            )
        super().__init__(
            np.ones((len(means), 1)), means[:, None], sigmas[:, None], transform, lower, upper
        )


def _solve(weights: FloatArray, means: FloatArray, sigmas: FloatArray, q: FloatArray) -> FloatArray:
    """Quantiles of mixtures, (N, K) and (N, Q) -> (N, Q).

    Newton's method on ``ndtri(cdf(y)) = ndtri(q)``, which is close to linear, kept inside a
    bracket that each step narrows; a step that leaves it is replaced by its middle. The quantile
    of a mixture lies between those of its components: the first bracket. Elements that have
    converged leave the iteration.
    """
    n_levels = q.shape[1]
    z = ndtri(q)
    component = means[:, None, :] + sigmas[:, None, :] * z[:, :, None]
    low, high = component.min(axis=-1).ravel(), component.max(axis=-1).ravel()
    mean = (weights * means).sum(axis=1)
    spread = np.sqrt((weights * (sigmas**2 + (means - mean[:, None]) ** 2)).sum(axis=1))
    y = np.clip((mean[:, None] + spread[:, None] * z).ravel(), low, high)
    target, z = q.ravel(), z.ravel()
    row = np.repeat(np.arange(len(q)), n_levels)
    tolerance = 1e-9 * spread[row]
    out = y.copy()
    active = np.flatnonzero(np.isfinite(y) & (high - low > tolerance))
    density_norm = weights / (sigmas * np.sqrt(2 * np.pi))
    for _ in range(_STEPS):
        if not len(active):
            break
        r, at = row[active], y[active]
        u = (at[:, None] - means[r]) / sigmas[r]
        cumulative = np.einsum("ak,ak->a", ndtr(u), weights[r])
        density = np.einsum("ak,ak->a", np.exp(-0.5 * u * u), density_norm[r])
        under = cumulative < target[active]
        low[active] = np.where(under, at, low[active])
        high[active] = np.where(under, high[active], at)
        lo, hi = low[active], high[active]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            reached = ndtri(cumulative)
            step = (z[active] - reached) * np.exp(-0.5 * reached**2) / density
            new = at + step / np.sqrt(2 * np.pi)
        new = np.where((new > lo) & (new < hi), new, 0.5 * (lo + hi))
        y[active] = new
        out[active] = new
        active = active[(np.abs(new - at) > tolerance[active]) & (hi - lo > tolerance[active])]
    return out.reshape(q.shape)
