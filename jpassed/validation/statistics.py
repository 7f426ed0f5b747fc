"""The figures of an evaluation: each a number, what it is computed from, and its definition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jpassed import evaluation

__all__ = ["LABEL_STATISTICS", "REDSHIFT_STATISTICS", "Statistic", "statistics_of"]

FloatArray = NDArray[np.float64]

DZ = "dz = (z_phot - z_true) / (1 + z_true)"
OUTLIERS, WITHIN, LEVELS = (0.05, 0.15), (0.003, 0.01), (0.5, 0.68, 0.9, 0.95)


@dataclass(frozen=True)
class Statistic:
    """One figure of a sample.

    Attributes
    ----------
    name, title : str
        As in ``figures.ecsv``, and in words.
    needs : tuple of str
        Columns of the objects that the function takes; it is left out where one is unknown.
    function : callable
        Arrays (n,) to a number.
    definition : str
    ideal : float, callable or None
        Its value for perfect or calibrated predictions, where there is one; of n objects.
    unit : str
        ``"quantity"`` for the unit of the quantity, else empty.
    percent : bool
        Whether it is a share.
    resampled : bool
        Whether a bootstrap tells its uncertainty. It does not for distances between distributions:
        resampled objects occur twice, which moves every distance up.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    function: Callable[..., float]
    definition: str
    ideal: float | Callable[[int], float] | None = None
    unit: str = ""
    percent: bool = False
    resampled: bool = True

    def expected(self, n: int) -> float:
        """`ideal` of n objects; NaN where there is none."""
        if self.ideal is None or n < 1:
            return float("nan")
        return float(self.ideal(n)) if callable(self.ideal) else self.ideal


BOTH = ("predicted", "truth")


def _share(x: float) -> Callable[..., float]:
    return lambda phot, true: evaluation.outlier_fraction(phot, true, x)


def _beyond(n_sigma: float) -> Callable[..., float]:
    return lambda phot, true: evaluation.sigma_outlier_fraction(phot, true, n_sigma)


def _within(x: float) -> Callable[..., float]:
    return lambda phot, true: evaluation.fraction_within(phot, true, x)


def _covered(level: float) -> Callable[..., float]:
    return lambda pit: evaluation.coverage(pit, level)


def _mean(values: FloatArray) -> float:
    return float(np.mean(values))


def _median(values: FloatArray) -> float:
    return float(np.median(values))


def _dex(predicted: FloatArray, true: FloatArray) -> FloatArray:
    positive = true > 0
    return evaluation.dex_residual(predicted[positive], true[positive])


def _dex_bias(predicted: FloatArray, true: FloatArray) -> float:
    return float(np.median(_dex(predicted, true))) if np.any(true > 0) else np.nan


def _dex_scatter(predicted: FloatArray, true: FloatArray) -> float:
    return evaluation.mad_scatter(_dex(predicted, true)) if np.any(true > 0) else np.nan


_POINTS = (
    Statistic("bias", "bias", BOTH, evaluation.bias, f"median of {DZ}", ideal=0.0),
    Statistic(
        "sigma_nmad", "σ_NMAD", BOTH, evaluation.sigma_nmad,
        "1.4826 × median of |Δz - median(Δz)| / (1 + z_true), Δz = z_phot - z_true "
        "(Brammer et al. 2008)",
    ),
    Statistic(
        "sigma_68", "σ_68", BOTH, evaluation.sigma_68,
        f"half the interval between the 16 and 84 % quantiles of {DZ}",
    ),
    *(
        Statistic(
            f"outliers_{x:g}", f"outliers beyond {x:g}", BOTH, _share(x),
            f"share of objects with |dz| > {x:g}, {DZ}", percent=True,
        )
        for x in OUTLIERS
    ),
    *(
        Statistic(
            f"outliers_{k}nmad", f"outliers beyond {k} σ_NMAD", BOTH, _beyond(k),
            f"share of objects with |dz - bias| > {k} sigma_nmad of the same selection",
            percent=True,
        )
        for k in (3, 5)
    ),
    *(
        Statistic(
            f"within_{x:g}", f"within {x:g}", BOTH, _within(x),
            f"share of objects with |dz| <= {x:g}, {DZ}", percent=True,
        )
        for x in WITHIN
    ),
    Statistic(
        "quoted_error", "quoted error", ("relative_error",), _median,
        "median of half the 16-84 % interval of the posterior, over 1 + z_phot",
    ),
    Statistic(
        "odds", "odds", ("odds",), _mean,
        "mean probability within 0.03 (1 + z_phot) of z_phot (Benitez 2000; half width of "
        "Hernan-Caballero et al. 2021)",
    ),
)  # fmt: skip

_CALIBRATION = (
    *(
        Statistic(
            f"coverage_{100 * x:.0f}", f"coverage of {100 * x:.0f} % intervals", ("pit",),
            _covered(x),
            f"share of truths inside the central {100 * x:.0f} % interval of the posterior",
            ideal=x, percent=True,
        )
        for x in LEVELS
    ),
    Statistic(
        "coverage_quoted", "coverage of the quoted interval", ("inside",), _mean,
        "share of truths inside the quoted 68 % interval (between the columns of its ends)",
        ideal=0.68, percent=True,
    ),
    Statistic(
        "pit_distance", "PIT, Kolmogorov-Smirnov", ("pit",), evaluation.pit_distance,
        "largest distance of the distribution of PIT values (cumulative probability of the "
        "posterior at the truth) from the uniform one; 0.87 / sqrt(n) on average if calibrated",
        ideal=lambda n: 0.8687 / np.sqrt(n), resampled=False,
    ),
    Statistic(
        "pit_cvm", "PIT, Cramér-von Mises", ("pit",), evaluation.pit_cramer_von_mises,
        "integral of the squared distance of the distribution of PIT values from the uniform "
        "one; 1 / (6 n) on average if calibrated",
        ideal=lambda n: 1.0 / (6.0 * n), resampled=False,
    ),
    Statistic(
        "pit_outliers", "PIT outliers", ("pit",), evaluation.pit_outlier_rate,
        "share of PIT values below 0.0001 or above 0.9999 (Schmidt et al. 2020); 0.0002 if "
        "calibrated", ideal=2e-4, percent=True,
    ),
    Statistic(
        "crps", "CRPS", ("crps",), _mean,
        "mean continuous ranked probability score, the integral of (F(x) - [x >= truth])^2 "
        "(Gneiting & Raftery 2007); smaller is better", unit="quantity",
    ),
    Statistic(
        "log_score", "log score", ("log_score",), _mean,
        "mean natural logarithm of the posterior density at the truth, per unit of the quantity; "
        "larger is better; densities below 1e-10 count as 1e-10",
    ),
)  # fmt: skip

REDSHIFT_STATISTICS: tuple[Statistic, ...] = (*_POINTS, *_CALIBRATION)
"""Of photometric redshifts."""

_LABELS = (
    Statistic(
        "bias", "bias", ("residual",), _median,
        "median of the predicted value minus the truth", ideal=0.0, unit="quantity",
    ),
    Statistic(
        "scatter", "scatter", ("residual",), evaluation.mad_scatter,
        "1.4826 × median of |d - median(d)|, d = the predicted value minus the truth",
        unit="quantity",
    ),
    Statistic(
        "rms", "rms", ("residual",), lambda d: float(np.sqrt(np.mean(d**2))),
        "root mean square of the predicted value minus the truth", unit="quantity",
    ),
    Statistic(
        "quoted_error", "quoted error", ("half_width",), _median,
        "median of half the 16-84 % interval of the posterior", unit="quantity",
    ),
)  # fmt: skip

_DEX = (
    Statistic(
        "bias_dex", "bias in dex", BOTH, _dex_bias,
        "median of log10(predicted / truth) of the objects with a positive truth", ideal=0.0,
    ),
    Statistic(
        "scatter_dex", "scatter in dex", BOTH, _dex_scatter,
        "1.4826 × median of |d - median(d)|, d = log10(predicted / truth), of the objects with a "
        "positive truth",
    ),
)  # fmt: skip

LABEL_STATISTICS: tuple[Statistic, ...] = (*_LABELS, *_DEX, *_CALIBRATION)
"""Of every other quantity; those in dex of quantities that span decades."""


def statistics_of(quantity: str, *, decades: bool = False) -> Sequence[Statistic]:
    """What is computed of a quantity; `decades` for one whose values span them."""
    if quantity == "z":
        return REDSHIFT_STATISTICS
    return LABEL_STATISTICS if decades else (*_LABELS, *_CALIBRATION)
