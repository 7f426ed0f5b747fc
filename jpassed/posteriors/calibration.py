"""Recalibration of posteriors after training, from PIT values of a validation sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from jpassed.exceptions import InputError
from jpassed.posteriors.distribution import Distribution
from jpassed.posteriors.transforms import FloatArray, Transform

__all__ = ["LEVELS", "Recalibrated", "Recalibration"]

_LOW_TAIL, _HIGH_TAIL = (0.005, 0.01, 0.025, 0.05), (0.95, 0.975, 0.99, 0.995)
LEVELS: tuple[float, ...] = (*_LOW_TAIL, *np.linspace(0.1, 0.9, 17).tolist(), *_HIGH_TAIL)
"""Levels of the PIT distribution that the map is fitted at, closer in the tails."""

#: Largest normal score: probabilities of 1e-15 and below are all the same.
_LARGEST_SCORE = 8.0
#: Normal scores beyond this count as this where a width is fitted: outliers have no say in it.
_LARGEST_OUTLIER = 4.0
#: Fewest objects beyond a level that is used.
_LEAST_COUNT = 5
_MOMENT_LEVELS = (np.arange(400) + 0.5) / 400


@dataclass(frozen=True)
class Recalibration:
    """A monotone map r of (0, 1): the recalibrated cumulative probability is r(F(x)).

    With r the distribution function of the PIT values of a validation sample, its recalibrated
    PIT values are uniform (Bordoloi, Lilly & Amara 2010, MNRAS 406, 881; Kuleshov, Fenner &
    Ermon 2018, arXiv:1807.00263). The map is kept in normal scores,
    ``r(p) = Phi(g(Phi^-1(p)))`` with g linear between knots and beyond them, so that posteriors
    which are too narrow by a constant factor are put right far into their tails. It is the same
    for all objects: it corrects what is wrong on average, not object by object.

    Parameters
    ----------
    knots, values : sequence (L,)
        Strictly increasing normal scores: g(knots) = values.

    Raises
    ------
    InputError
        Fewer than two knots, or knots or values that do not increase.
    """

    knots: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ("knots", "values"):
            column = np.asarray(getattr(self, name), dtype=np.float64)
            finite = column.ndim == 1 and len(column) > 1 and bool(np.all(np.isfinite(column)))
            if not finite or np.any(np.diff(column) <= 0):
                raise InputError(f"{name} must be two or more increasing numbers, got {column}")
            object.__setattr__(self, name, tuple(column.tolist()))
        if len(self.knots) != len(self.values):
            raise InputError(f"{len(self.knots)} knots need as many values, got {len(self.values)}")

    @classmethod
    def fit(cls, pit_values: ArrayLike, levels: Sequence[float] = LEVELS) -> Self:
        """The map that makes PIT values uniform.

        Parameters
        ----------
        pit_values : array (N,)
            Of a sample that was not used in training; at least 20.
        levels : sequence
            Levels of the PIT distribution to match. Those with fewer than 5 objects beyond them
            are left out.

        Raises
        ------
        InputError
            PIT values that are not within 0 and 1, or too few.
        """
        p = _checked(pit_values)
        at = np.asarray(levels, dtype=np.float64)
        at = at[np.minimum(at, 1 - at) * p.size >= _LEAST_COUNT]
        knots = np.quantile(_score(p), at)
        # Many values alike (posteriors on their bound) must not make a step.
        knots = np.maximum.accumulate(knots) + 1e-6 * np.arange(len(knots))
        return cls(tuple(knots), tuple(ndtri(at)))

    @classmethod
    def fit_line(cls, pit_values: ArrayLike) -> Self:
        """The shift and stretch of normal scores that gives PIT values the best log score.

        Two numbers: for posteriors that are off by a share of their width, or too narrow or too
        wide by a factor, and for samples too small to say more.

        Parameters
        ----------
        pit_values : array (N,)
            Of a sample that was not used in training; at least 20.

        Raises
        ------
        InputError
            PIT values that are not within 0 and 1, too few, or all alike.
        """
        u = np.clip(_score(_checked(pit_values)), -_LARGEST_OUTLIER, _LARGEST_OUTLIER)
        middle, spread = float(np.mean(u)), float(np.std(u))
        if spread <= 0:
            raise InputError("the PIT values are all alike: no width can be told from them")
        return cls((middle - spread, middle + spread), (-1.0, 1.0))

    def after(self, first: Recalibration) -> Recalibration:
        """The map of `first`, then this one: r(p) = self(first(p)), exactly.

        Both are piecewise linear in normal scores, and so is the result.
        """
        own = _line(np.asarray(self.knots), first.values, first.knots)
        knots = np.unique(np.concatenate([np.asarray(first.knots), own]))
        # Knots closer than this differ by rounding alone.
        knots = knots[np.diff(knots, prepend=-np.inf) > 1e-9]
        values = _line(_line(knots, first.knots, first.values), self.knots, self.values)
        return Recalibration(tuple(knots), tuple(values))

    def forward(self, p: ArrayLike) -> FloatArray:
        """r(p)."""
        return np.asarray(ndtr(_line(_score(p), self.knots, self.values)))

    def inverse(self, q: ArrayLike) -> FloatArray:
        """The p with r(p) = q."""
        return np.asarray(ndtr(_line(_score(q), self.values, self.knots)))

    def log_slope(self, p: ArrayLike) -> FloatArray:
        """Log of the derivative of r at p.

        Parameters
        ----------
        p : array, any shape
            In (0, 1).

        Returns
        -------
        array
            The same shape.
        """
        u = _score(p)
        steps = np.diff(self.values) / np.diff(self.knots)
        index = np.clip(np.searchsorted(self.knots, u, "right") - 1, 0, len(steps) - 1)
        g = _line(u, self.knots, self.values)
        return 0.5 * (u**2 - g**2) + np.log(steps[index])

    def to_dict(self) -> dict[str, list[float]]:
        """Plain lists, for a model card."""
        return {"knots": list(self.knots), "values": list(self.values)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Sequence[float]]) -> Self:
        """The map of `to_dict`.

        Parameters
        ----------
        content : mapping
            ``knots`` and ``values``.

        Returns
        -------
        Recalibration
        """
        return cls(tuple(content["knots"]), tuple(content["values"]))


def _checked(pit_values: ArrayLike) -> FloatArray:
    p = np.asarray(pit_values, dtype=np.float64)
    if p.ndim != 1 or p.size < 4 * _LEAST_COUNT or not np.all((p >= 0) & (p <= 1)):
        raise InputError(
            f"at least {4 * _LEAST_COUNT} PIT values within 0 and 1 are needed, one per object"
        )
    return p


def _score(p: ArrayLike) -> FloatArray:
    values: FloatArray = ndtri(np.asarray(p, dtype=np.float64))
    return np.clip(values, -_LARGEST_SCORE, _LARGEST_SCORE)


def _line(u: FloatArray, knots: Sequence[float], values: Sequence[float]) -> FloatArray:
    """Linear interpolation, and extrapolation with the slope of the outermost segments."""
    x, y = np.asarray(knots), np.asarray(values)
    low = y[0] + (u - x[0]) * (y[1] - y[0]) / (x[1] - x[0])
    high = y[-1] + (u - x[-1]) * (y[-1] - y[-2]) / (x[-1] - x[-2])
    inner = np.interp(u, x, y)
    return np.where(u < x[0], low, np.where(u > x[-1], high, inner))


class Recalibrated(Distribution):
    """A distribution with its cumulative probability passed through a `Recalibration`.

    Parameters
    ----------
    base : Distribution
    recalibration : Recalibration
    """

    def __init__(self, base: Distribution, recalibration: Recalibration) -> None:
        # The base keeps the bounds: its own probabilities are already those inside them.
        super().__init__(base.transform)
        self.base, self.recalibration = base, recalibration

    def __len__(self) -> int:
        return len(self.base)

    def _cdf(self, y: FloatArray) -> FloatArray:
        return self.recalibration.forward(self.base.cdf(self.transform.inverse(y)))

    def _logpdf(self, y: FloatArray) -> FloatArray:
        x = self.transform.inverse(y)
        slope = self.recalibration.log_slope(self.base.cdf(x))
        return self.base.logpdf(x) + slope - self.transform.log_slope(x)

    def _quantile(self, q: FloatArray) -> FloatArray:
        levels = np.clip(self.recalibration.inverse(q), 1e-15, 1 - 1e-15)
        return self.transform.forward(self.base.values_at(levels))

    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation in physical units, over 400 even quantiles.

        Returns
        -------
        mean, std : array (N,)
        """
        x = self.quantile(_MOMENT_LEVELS)
        return x.mean(axis=1), x.std(axis=1)

    def _pieces(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        return self.base._pieces()

    def _piece_logpdf(self, y: FloatArray) -> FloatArray:
        return self.base._piece_logpdf(y)

    def _broadened(self, error: FloatArray) -> Self:
        return type(self)(self.base._broadened(error), self.recalibration)

    def _rows(self, rows: Any, transform: Transform) -> Self:
        return type(self)(self.base[rows], self.recalibration)

    @classmethod
    def _joined(cls, parts: Sequence[Any], transform: Transform) -> Self:
        if any(p.recalibration != parts[0].recalibration for p in parts):
            raise InputError("cannot join distributions with different recalibrations")
        members = [p.base for p in parts]
        return cls(type(members[0]).concatenate(members), parts[0].recalibration)
