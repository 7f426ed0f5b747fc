"""Widths against the prior, and the statistics of one label."""

from __future__ import annotations

import numpy as np
import pytest

from jpassed.evaluation.sharpness import interval_widths, label_statistics, width_ratio
from jpassed.exceptions import InputError
from jpassed.posteriors import Gaussian, Transform


def test_a_posterior_that_repeats_the_prior_has_ratio_one():
    truth = np.random.default_rng(1).normal(2.0, 0.7, 40000)
    prior = Gaussian(np.full(truth.size, 2.0), np.full(truth.size, 0.7))
    assert width_ratio(prior, truth) == pytest.approx(1.0, abs=0.02)
    sharp = Gaussian(truth, np.full(truth.size, 0.07))
    assert width_ratio(sharp, truth) == pytest.approx(0.1, abs=0.002)


def test_widths_may_be_compared_in_transformed_values():
    # asinh(x / 2) of a Gaussian of width 1 around 2 sinh(3) in y.
    transform = Transform("asinh", softening=2.0)
    posterior = Gaussian(np.array([3.0]), np.array([0.5]), transform)
    assert interval_widths(posterior, transform)[0] == pytest.approx(0.4972, abs=1e-3)
    assert interval_widths(posterior)[0] > 8.0


def test_statistics_of_calibrated_posteriors():
    rng = np.random.default_rng(2)
    truth = rng.normal(0.0, 1.0, 20000)
    seen = truth + rng.normal(0.0, 0.5, truth.size)
    # Conjugate: N(0, 1) prior, noise 0.5.
    posterior = Gaussian(seen * 0.8, np.full(truth.size, np.sqrt(0.2)))
    row = label_statistics(posterior, truth)
    for level in (50, 68, 90, 95):
        assert row[f"coverage_{level}"] == pytest.approx(level / 100, abs=0.012)
    assert row["n"] == 20000
    assert row["rms"] == pytest.approx(np.sqrt(0.2), rel=0.02)
    assert row["scatter"] == pytest.approx(np.sqrt(0.2), rel=0.03)
    assert row["bias"] == pytest.approx(0.0, abs=0.02)
    assert row["width_ratio"] == pytest.approx(np.sqrt(0.2), rel=0.03)
    expected = -0.5 * np.log(2 * np.pi * 0.2) - 0.5
    assert row["log_score"] == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("prior", [[1.0], [1.0, np.nan], [2.0, 2.0, 2.0], [[1.0, 2.0]]])
def test_priors_without_a_width_are_refused(prior):
    with pytest.raises(InputError, match="prior's draws"):
        width_ratio(Gaussian(np.zeros(1), np.ones(1)), prior)
