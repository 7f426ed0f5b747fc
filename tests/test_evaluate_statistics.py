"""The numbers behind an evaluation, against cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, cramervonmises, norm

from jpassed.evaluation import (
    ObjectScores,
    pit_cramer_von_mises,
    pit_outlier_rate,
    read_truth,
    score_objects,
    sigma_68,
    sigma_nmad,
    sigma_outlier_fraction,
)
from jpassed.evaluation.objects import LEAST_LOG_DENSITY
from jpassed.exceptions import InputError, UnknownNameError
from jpassed.posteriors import Binned, Gaussian
from jpassed.validation.figures import share_interval
from jpassed.validation.statistics import LABEL_STATISTICS, REDSHIFT_STATISTICS

N = 20_000


@pytest.fixture(scope="module")
def redshifts():
    """Gaussian errors of 0.01 (1 + z), a bias of 0.002 (1 + z)."""
    rng = np.random.default_rng(1)
    z = rng.uniform(0.1, 0.9, N)
    return z + (1 + z) * (0.002 + 0.01 * rng.standard_normal(N)), z


def test_sigma_68_is_the_standard_deviation_of_gaussian_errors(redshifts):
    assert sigma_68(*redshifts) == pytest.approx(0.00994, rel=0.02)  # 0.9945 sigma in 16 to 84 %
    assert sigma_nmad(*redshifts) == pytest.approx(0.01, rel=0.02)


def test_sigma_outliers_are_about_the_bias(redshifts):
    share = 2 * norm.sf(3)
    assert sigma_outlier_fraction(*redshifts) == pytest.approx(share, abs=0.001)
    phot, true = redshifts
    far = phot.copy()
    far[: N // 10] += 0.5
    assert sigma_outlier_fraction(far, true, 5) == pytest.approx(0.1, abs=0.001)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40))
def test_cramer_von_mises_is_that_of_scipy(values):
    mine = pit_cramer_von_mises(values)
    assert mine == pytest.approx(cramervonmises(values, "uniform").statistic / len(values))


def test_cramer_von_mises_of_uniform_values_is_a_sixth_of_their_inverse_number():
    rng = np.random.default_rng(2)
    found = np.mean([pit_cramer_von_mises(rng.uniform(size=50)) for _ in range(400)])
    assert found == pytest.approx(1 / 300, rel=0.1)


def test_pit_outliers_are_counted_at_both_ends():
    assert pit_outlier_rate([0.0, 5e-5, 0.2, 0.99995, 0.9998]) == pytest.approx(0.6)


def test_scores_of_objects_are_those_of_a_gaussian():
    d = Gaussian(np.array([0.3, 0.5]), np.array([0.02, 0.01]))
    found = score_objects(d, np.array([0.32, np.nan]))
    np.testing.assert_allclose(found.median, [0.3, 0.5])
    np.testing.assert_allclose(found.high - found.low, 2 * norm.ppf(0.84) * d.std())
    np.testing.assert_allclose(found.pit, [norm.cdf(1.0), np.nan])
    np.testing.assert_allclose(found.log_score, [norm.logpdf(0.32, 0.3, 0.02), np.nan])
    both = ObjectScores.concatenate([found, found])
    np.testing.assert_array_equal(both.pit, np.tile(found.pit, 2))


def test_the_error_of_the_truth_widens_the_posterior():
    d = Gaussian(np.full(3, 0.3), np.full(3, 0.03))
    found = score_objects(d, np.full(3, 0.35), np.array([0.04, 1e-5, 0.0]))
    np.testing.assert_allclose(found.pit, norm.cdf([1.0, 5 / 3, 5 / 3]), atol=1e-6)
    np.testing.assert_allclose(found.high - found.low, 2 * norm.ppf(0.84) * 0.03)


def test_one_impossible_truth_does_not_decide_on_the_mean_log_score():
    d = Binned([0.0, 0.5, 1.0], [[1.0, 0.0]])
    assert score_objects(d, np.array([0.8])).log_score == [LEAST_LOG_DENSITY]


@pytest.mark.parametrize("errors", [np.array([0.1]), np.array([-0.1, 0.1])])
def test_errors_of_the_truth_that_make_no_sense_are_refused(errors):
    d = Gaussian(np.zeros(2), np.ones(2))
    with pytest.raises(InputError, match="errors of the truth"):
        score_objects(d, np.zeros(2), errors)


@given(st.integers(5, 2000), st.floats(0, 1))
def test_share_intervals_hold_the_share_and_shrink(n, share):
    low, high = share_interval(share, n, 0.68)
    assert 0 <= low <= share <= high <= 1
    assert high - low < 1.2 / np.sqrt(n)


def test_share_interval_of_none_is_not_none():
    low, high = share_interval(0.0, 10, 0.68)
    assert (low, high) == (0.0, pytest.approx(beta.ppf(0.84, 0.5, 10.5)))


def test_truths_are_counted_by_what_is_wrong_with_them():
    from astropy.table import MaskedColumn, Table

    table = Table({"z_spec": MaskedColumn([0.1, -99.0, 1.7, 0.3, 0.2], mask=[0, 0, 0, 1, 0])})
    table["z_spec_err"] = [0.001, 0.001, 0.001, 0.001, 0.0]
    found = read_truth(table, {"z": "z_spec"})["z"]
    assert found.missing.tolist() == [False, True, False, True, False]
    assert found.outside.tolist() == [False, False, True, False, False]
    assert found.use.tolist() == [True, False, False, False, True]
    assert found.error_column == "z_spec_err"
    assert found.has_errors
    np.testing.assert_array_equal(np.isfinite(found.value), found.use)


@pytest.mark.parametrize(
    ("truth", "error", "said"),
    [
        ({}, InputError, "z_spec"),
        ("z=z_spec", InputError, "got 'z=z_spec'"),
        ({"z": "none"}, UnknownNameError, "z_spec"),
        ({"zz": "z_spec"}, UnknownNameError, "logmstar"),
        ({"z": "bad"}, InputError, "2 rows"),
    ],
)
def test_truths_that_cannot_be_read_are_refused(truth, error, said):
    from astropy.table import Table

    table = Table({"z_spec": [0.1, 0.2], "bad": [-99.0, 3.0]})
    with pytest.raises(error, match=said):
        read_truth(table, truth)


@pytest.mark.parametrize("statistics", [REDSHIFT_STATISTICS, LABEL_STATISTICS])
def test_every_statistic_has_a_name_of_its_own_and_a_definition(statistics):
    assert len({s.name for s in statistics}) == len(statistics)
    for s in statistics:
        assert len(s.definition) > 20
        assert np.isnan(s.expected(0))
    ideal = {s.name: s.expected(400) for s in statistics}
    assert ideal["coverage_68"] == 0.68
    assert ideal["pit_distance"] == pytest.approx(0.0434, abs=1e-4)
