"""How good predictions are: photo-z statistics, calibration, scores, confidence intervals."""

from __future__ import annotations

from jpassed.evaluation.bootstrap import bootstrap_interval
from jpassed.evaluation.photoz import (
    bias,
    dex_residual,
    dex_scatter,
    fraction_within,
    mad_scatter,
    normalised_residual,
    odds,
    outlier_fraction,
    sigma_nmad,
)
from jpassed.evaluation.report import photoz_report, posterior_report
from jpassed.evaluation.scores import (
    coverage,
    crps,
    crps_gaussian,
    crps_quantiles,
    crps_samples,
    log_score,
    pit,
    pit_distance,
)

__all__ = [
    "bias",
    "bootstrap_interval",
    "coverage",
    "crps",
    "crps_gaussian",
    "crps_quantiles",
    "crps_samples",
    "dex_residual",
    "dex_scatter",
    "fraction_within",
    "log_score",
    "mad_scatter",
    "normalised_residual",
    "odds",
    "outlier_fraction",
    "photoz_report",
    "pit",
    "pit_distance",
    "posterior_report",
    "sigma_nmad",
]
