"""One quantity of all objects: what is predicted, what is true, and how the two compare."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jpassed.evaluation import ObjectScores, Truth

__all__ = ["Compared", "Densities"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Densities:
    """Posteriors on common bins.

    Attributes
    ----------
    edges : ndarray (M + 1,)
    values : ndarray (N, M)
        Mean density in each bin; NaN where nothing is predicted.
    """

    edges: FloatArray
    values: FloatArray


@dataclass(frozen=True)
class Compared:
    """A quantity of N objects.

    Attributes
    ----------
    truth : Truth
    scores : ObjectScores
        Predictions where there are any, comparisons where the truth can be used.
    odds : ndarray (N,)
        Of redshifts with a posterior; NaN elsewhere.
    source : str
        Where the predictions come from.
    densities : Densities or None
        If they were asked for.
    """

    truth: Truth
    scores: ObjectScores
    odds: FloatArray
    source: str
    densities: Densities | None = None

    @property
    def predicted(self) -> NDArray[np.bool_]:
        """Objects with a prediction, (N,)."""
        return np.isfinite(self.scores.median)

    @property
    def use(self) -> NDArray[np.bool_]:
        """Objects with a prediction and a usable truth, (N,)."""
        return self.truth.use & self.predicted

    @property
    def has_posteriors(self) -> bool:
        """Whether more is known than a value and an interval."""
        return bool(np.isfinite(self.scores.pit[self.use]).any())

    def columns(self) -> dict[str, FloatArray]:
        """What statistics are computed from, (N,) each."""
        s, true = self.scores, self.truth.value
        half = (s.high - s.low) / 2.0
        with np.errstate(invalid="ignore"):
            inside = np.where(
                np.isfinite(half) & np.isfinite(true), (s.low <= true) & (true <= s.high), np.nan
            )
            relative = half / (1.0 + s.median)
        return {
            "predicted": s.median,
            "truth": true,
            "residual": s.median - true,
            "half_width": half,
            "relative_error": relative,
            "odds": self.odds,
            "pit": s.pit,
            # Where there are posteriors the interval counts by PIT, errors of the truth included.
            "inside": np.full(len(true), np.nan) if self.has_posteriors else inside,
            "crps": s.crps,
            "log_score": s.log_score,
        }

    def counts(self) -> dict[str, int]:
        """How many objects there are, are used, and are left out for which reason."""
        return {
            "rows": len(self.truth.value),
            "no_truth": int(self.truth.missing.sum()),
            "truth_outside_range": int(self.truth.outside.sum()),
            "not_predicted": int((self.truth.use & ~self.predicted).sum()),
            "used": int(self.use.sum()),
        }
