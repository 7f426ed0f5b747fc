"""Zero points as the regression of residuals on offsets. Plain arrays in, numbers out.

A galaxy's band i is compared with what its other bands predict. An offset o_j of band j (magnitude,
to be added to the catalogue's) makes its own flux too bright, and moves the predictions of the
others with it: residual = (I - J) o + noise, J the Jacobian of the predictions. Averaging residuals
would therefore leave a part of every offset in its neighbours; here the equations of all galaxies
are solved together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

__all__ = [
    "MAGNITUDE",
    "Equations",
    "Residuals",
    "Solution",
    "grey_and_slope",
    "joined",
    "scatter_of_tiles",
    "solve",
]

MAGNITUDE = 2.5 / np.log(10.0)
"""Magnitudes of a unit of ln(flux)."""

FLOOR = 0.02
"""Relative error that every comparison has beside the stated ones: no galaxy rules alone."""

CLIP = 1.5
"""Standard deviations beyond which a residual pulls no harder (Huber 1964)."""

ODD = 3.0
"""Galaxies whose mean squared residual is so many times the median count less: stars, blends."""

SCATTERS = np.geomspace(1e-4, 0.1, 60)
"""Magnitudes; scatters of the offsets of a catalogue that are averaged over. They end where zero
points of surveys do: with few bands, errors of the model along a colour that hardly changes the
residuals would otherwise pass for offsets of a magnitude."""

USUAL = 0.02
"""Magnitudes; half of the prior probability of a scatter lies below about this (half-Cauchy,
Gelman 2006, Bayesian Analysis 1, 515). One likeliest scatter instead would jump from no offsets to
all of them as galaxies are added, with errors that know nothing of it."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Residuals:
    """Relative residuals of N galaxies in B bands.

    Attributes
    ----------
    value : ndarray (N, B)
        Observed over predicted flux, less 1; 0 where there is none.
    weight : ndarray (N, B)
        Inverse variance, robust; 0 where there is none.
    """

    value: Array
    weight: Array

    @classmethod
    def make(
        cls, flux: Array, error: Array, observed: NDArray[np.bool_], mean: Array, sigma: Array
    ) -> Residuals:
        """From bandfluxes, errors and predictions, each (N, B), in one unit."""
        with np.errstate(all="ignore"):
            usable = observed & np.isfinite(mean) & np.isfinite(sigma) & (mean > 0)
            usable &= sigma < mean  # a prediction that excludes nothing
            value = np.where(usable, flux / mean - 1.0, 0.0)
            variance = (error**2 + sigma**2) / mean**2 + FLOOR**2
            weight = np.where(usable, 1.0 / variance, 0.0)
        pull = np.abs(value) * np.sqrt(weight)
        count = np.maximum(usable.sum(axis=1), 1)
        chi2 = np.minimum(pull**2, 100.0).sum(axis=1) / count
        usual = np.median(chi2[usable.any(axis=1)]) if usable.any() else 1.0
        row = np.minimum(1.0, ODD * max(usual, 1.0) / np.maximum(chi2, 1e-9))
        weight = weight * np.minimum(1.0, CLIP / np.maximum(pull, 1e-9)) * row[:, None]
        return cls(value, weight)

    def __len__(self) -> int:
        return len(self.value)

    def mean(self) -> tuple[Array, Array]:
        """Weighted mean residual of each band and its standard error (B,); NaN without any."""
        total = self.weight.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (self.weight * self.value).sum(axis=0) / total
            error = np.sqrt((self.weight**2 * (self.value - mean) ** 2).sum(axis=0)) / total
        return mean, error

    def of(self, rows: NDArray[np.int64]) -> Residuals:
        """Some of the galaxies."""
        return Residuals(self.value[rows], self.weight[rows])


@dataclass(frozen=True)
class Equations:
    """Normal equations ``curvature @ offset = pull`` of the galaxies of a catalogue or a tile.

    Attributes
    ----------
    n : int
        Galaxies that were summed over.
    curvature : ndarray (B, B)
        1 / mag**2.
    pull : ndarray (B,)
        1 / mag.
    scatter : ndarray (B, B)
        Covariance of `pull`, from its scatter from galaxy to galaxy.
    lever : ndarray (B, B)
        What an error of the baseline (magnitude) does to `pull`.
    """

    n: int
    curvature: Array
    pull: Array
    scatter: Array
    lever: Array

    @classmethod
    def make(cls, residuals: Residuals, jacobian: Array, baseline: Array) -> Equations:
        """Sum over galaxies.

        Parameters
        ----------
        residuals : Residuals
            N galaxies.
        jacobian : ndarray (B, B)
            Mean over galaxies. Not each galaxy's own: that has the noise of its bands in it, as
            its residuals have, and the product of both does not average out.
        baseline : ndarray (B,)
            Relative residual of each band where there are no offsets.
        """
        design = np.eye(len(baseline)) - jacobian
        weight = residuals.weight / MAGNITUDE**2
        pulls = (weight * MAGNITUDE * (residuals.value - baseline)) @ design
        total = weight.sum(axis=0)
        n = len(pulls)
        centred = pulls - pulls.mean(axis=0)
        scatter = centred.T @ centred * (n / max(n - 1, 1))
        lever = design.T * total
        return cls(n, lever @ design, pulls.sum(axis=0), scatter, lever)

    def moved(self, applied: Array) -> Equations:
        """The same equations for the whole offsets, where `applied` (B,) were applied before."""
        return replace(self, pull=self.pull + self.curvature @ np.nan_to_num(applied))


def joined(parts: Sequence[Equations]) -> Equations:
    """Equations of the galaxies of several tiles together."""
    return Equations(
        sum(p.n for p in parts),
        *(
            np.sum([getattr(p, name) for p in parts], axis=0)
            for name in ("curvature", "pull", "scatter", "lever")
        ),
    )


@dataclass(frozen=True)
class Solution:
    """Offsets relative to their mean, magnitude.

    Attributes
    ----------
    offset : ndarray (B,)
        Their mean over the measured bands is 0; NaN where nothing was measured.
    covariance : ndarray (B, B)
    scatter : float
        Scatter of the offsets that was given, or the mean of its posterior probability.
    """

    offset: Array
    covariance: Array
    scatter: float

    @property
    def error(self) -> Array:
        """Standard errors (B,)."""
        variance: Array = np.diag(self.covariance)
        return np.sqrt(np.maximum(variance, 0.0))


def solve(
    equations: Equations,
    *,
    centre: Solution | None = None,
    scatter: float | Array | None = None,
    baseline_error: Array | None = None,
    least: float = 0.0,
) -> Solution:
    """Mean and covariance of the offsets' posterior probability.

    Parameters
    ----------
    equations : Equations
    centre : Solution, optional
        Offsets that are expected before: those of the whole catalogue for a tile; 0 by default.
    scatter : float or ndarray (S,), optional
        Scatter of the offsets about `centre`, magnitude, or the probability of each of
        `SCATTERS`. By default its posterior probability is taken, and averaged over.
    baseline_error : ndarray (B,) or (F, B), optional
        Standard error of the baseline, relative: it is noise like any other, so that the model's
        own residuals are not taken for offsets. Of several that are equally probable before, the
        posterior probability is taken, and averaged over.
    least : float
        Magnitudes; scatters below are not believed.
    """
    b = len(equations.pull)
    start = np.zeros(b) if centre is None else np.nan_to_num(centre.offset)
    widths = np.array([scatter]) if isinstance(scatter, float) else SCATTERS
    if scatter is None:
        widths = SCATTERS[SCATTERS >= least]
    errors = [None] if baseline_error is None else list(np.atleast_2d(baseline_error))
    own = [_Modes.of(equations, start, error) for error in errors]
    log_share = np.stack([modes.log_likelihood(widths) for modes in own])
    if scatter is None:
        log_share += _log_prior(widths)
    elif not isinstance(scatter, float):
        log_share += np.log(np.maximum(scatter, 1e-300)) - logsumexp(log_share, axis=0)
    share = np.exp(log_share - logsumexp(log_share))
    seen, block = own[0].seen, own[0].block
    spread = None if centre is None else np.nan_to_num(centre.covariance[block])
    parts = [modes.averaged(widths, each, spread) for modes, each in zip(own, share, strict=True)]
    delta = np.sum([part[0] for part in parts], axis=0)
    total = np.sum([part[1] for part in parts], axis=0) - np.outer(delta, delta)
    offset, covariance = np.full(b, np.nan), np.full((b, b), np.nan)
    free = own[0].free
    offset[seen] = free @ (start[seen] + delta)
    covariance[block] = free @ total @ free
    return Solution(offset, covariance, float((share * widths).sum()))


def _log_prior(widths: Array) -> Array:
    """Log probability of each of some scatters, for the part of the axis that it stands for."""
    found: Array = np.log(np.gradient(widths)) - np.log1p((widths / USUAL) ** 2)
    return found


def scatter_of_tiles(parts: Sequence[Equations], centre: Solution) -> Array:
    """Probability (S,) of each of `SCATTERS` for offsets of tiles about those of the whole."""
    start = np.nan_to_num(centre.offset)
    each = [_Modes.of(part, start).log_likelihood(SCATTERS) for part in parts]
    score = np.sum(each, axis=0) + _log_prior(SCATTERS)
    found: Array = np.exp(score - logsumexp(score))
    return found


@dataclass(frozen=True)
class _Modes:
    """Independent combinations of the offsets less `start`, and how well each is measured."""

    seen: NDArray[np.bool_]
    free: Array
    precision: Array
    vector: Array
    along: Array
    constant: float
    """Log likelihood where there are no offsets."""

    @classmethod
    def of(cls, equations: Equations, start: Array, baseline_error: Array | None = None) -> _Modes:
        # A band may also be felt through the others' predictions: that is not a measurement.
        seen = (equations.lever != 0).any(axis=0)
        block = np.ix_(seen, seen)
        h = equations.curvature[block]
        m = _stable(equations.scatter[block], h, equations.n)
        if baseline_error is not None:
            lever = equations.lever[block] * (MAGNITUDE * baseline_error[seen])
            m = m + lever @ lever.T
        pull = equations.pull[seen] - h @ start[seen]
        # Least squares with the noise of the equations as it is. A grey offset is not measured,
        # whatever rounding says.
        count = int(seen.sum())
        free = np.eye(count) - 1.0 / max(count, 1)
        precision = free @ h @ np.linalg.solve(m, h) @ free
        target = free @ h @ np.linalg.solve(m, pull)
        value, vector = np.linalg.eigh(0.5 * (precision + precision.T))
        constant = -0.5 * (pull @ np.linalg.solve(m, pull) + np.linalg.slogdet(m)[1])
        return cls(seen, free, np.maximum(value, 0.0), vector, vector.T @ target, float(constant))

    @property
    def block(self) -> tuple[NDArray[np.int64], ...]:
        rows = np.flatnonzero(self.seen)
        return np.ix_(rows, rows)

    def log_likelihood(self, widths: Array) -> Array:
        """Of scatters (S,): a mode whose offset has variance s**2 is seen with 1/precision more."""
        square = widths[:, None] ** 2
        gain = 1.0 + self.precision * square
        total: Array = 0.5 * (self.along**2 * square / gain - np.log(gain)).sum(axis=1)
        return self.constant + total

    def averaged(self, widths: Array, share: Array, spread: Array | None) -> tuple[Array, Array]:
        """First and second moments of the offsets less `start`, times the sum of `share` (S,).

        `spread` (B, B) is the covariance of `start`: where a tile tells nothing, it has the error
        of the whole.
        """
        kept = 1.0 / (1.0 + self.precision * widths[:, None] ** 2)
        variance = kept * widths[:, None] ** 2
        mean = variance * self.along
        second = (share[:, None] * mean).T @ mean + np.diag(share @ variance)
        if spread is not None:
            turned = self.vector.T @ spread @ self.vector
            second = second + ((share[:, None] * kept).T @ kept) * turned
        return self.vector @ (share @ mean), self.vector @ second @ self.vector.T


def _stable(scatter: Array, curvature: Array, n: int) -> Array:
    """Covariance of n galaxies' pulls, pulled towards a multiple of the curvature."""
    b = len(curvature)
    size = np.trace(scatter) / max(np.trace(curvature), 1e-300)
    share = b / (b + max(n - 1, 0))
    mixed = (1.0 - share) * scatter + share * max(size, 1e-3) * curvature
    return mixed + 1e-9 * np.trace(mixed) / b * np.eye(b)


def grey_and_slope(pivot: Array) -> Array:
    """Directions (B, 2) that galaxies may imitate: all bands alike, and a slope in ln wavelength.

    The slope has mean 0 and a scatter of 1 over the bands.
    """
    x = np.log(pivot)
    x = x - x.mean()
    width = x.std()
    return np.stack([np.ones_like(x), x / (width if width > 0 else 1.0)], axis=1)
