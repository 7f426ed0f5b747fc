"""How good predictions are: photo-z statistics, calibration, scores, confidence intervals."""

from __future__ import annotations

from jpassed.evaluation.bootstrap import bootstrap_interval
from jpassed.evaluation.objects import ObjectScores, score_objects
from jpassed.evaluation.photoz import (
    bias,
    dex_residual,
    dex_scatter,
    fraction_within,
    mad_scatter,
    normalised_residual,
    odds,
    outlier_fraction,
    sigma_68,
    sigma_nmad,
    sigma_outlier_fraction,
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
    pit_cramer_von_mises,
    pit_distance,
    pit_outlier_rate,
)
from jpassed.evaluation.truth import Truth, read_truth

__all__ = [
    "ObjectScores",
    "Truth",
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
    "pit_cramer_von_mises",
    "pit_distance",
    "pit_outlier_rate",
    "posterior_report",
    "read_truth",
    "score_objects",
    "sigma_68",
    "sigma_nmad",
    "sigma_outlier_fraction",
]
