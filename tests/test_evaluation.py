"""Statistics with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from jpassed import evaluation as ev
from jpassed.exceptions import InputError
from jpassed.posteriors import Binned, Gaussian, GaussianMixture, Posterior, Transform

TRUE = np.array([0.0, 0.5, 1.0, 0.25, 0.25])
PHOT = np.array([0.01, 0.5, 0.98, 0.375, 0.25])


def test_point_statistics_by_hand():
    # dz / (1 + z): 0.01, 0, -0.01, 0.1, 0.
    np.testing.assert_allclose(ev.normalised_residual(PHOT, TRUE), [0.01, 0, -0.01, 0.1, 0])
    assert ev.bias(PHOT, TRUE) == 0.0
    assert ev.sigma_nmad(PHOT, TRUE) == pytest.approx(1.4826 * 0.01)
    assert ev.outlier_fraction(PHOT, TRUE, 0.05) == pytest.approx(0.2)
    assert ev.fraction_within(PHOT, TRUE, 0.003) == pytest.approx(0.4)
    assert ev.fraction_within(PHOT, TRUE, 0.0101) == pytest.approx(0.8)


def test_nmad_follows_brammer_in_subtracting_the_median_before_dividing():
    true = np.array([0.0, 1.0, 3.0])
    phot = true + np.array([0.1, 0.1, 0.5])
    # Median of dz is 0.1: deviations 0, 0, 0.4 / 4.
    assert ev.sigma_nmad(phot, true) == pytest.approx(0.0, abs=1e-12)
    assert ev.bias(phot, true) == pytest.approx(0.1)


def test_nmad_is_sigma_for_gaussian_errors_and_blind_to_outliers():
    rng = np.random.default_rng(0)
    true = rng.uniform(0, 1, 40000)
    phot = true + 0.004 * (1 + true) * rng.standard_normal(40000)
    assert ev.sigma_nmad(phot, true) == pytest.approx(0.004, rel=0.03)
    phot[:2000] += 0.5
    assert ev.sigma_nmad(phot, true) == pytest.approx(0.004, rel=0.1)
    assert ev.outlier_fraction(phot, true, 0.05) == pytest.approx(0.05, abs=1e-3)


@settings(max_examples=50, deadline=None)
@given(
    shift=st.floats(-0.3, 0.3),
    factor=st.floats(0.1, 10),
    residual=st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=30),
)
def test_nmad_ignores_shifts_and_scales_with_the_errors(shift, factor, residual):
    true = np.full(len(residual), 0.4)
    dz = np.array(residual)
    base = ev.sigma_nmad(true + dz, true)
    assert ev.sigma_nmad(true + dz + shift, true) == pytest.approx(base, abs=1e-9)
    assert ev.sigma_nmad(true + factor * dz, true) == pytest.approx(factor * base, abs=1e-9)
    threshold = ev.outlier_fraction(true + dz, true, 0.1) + ev.fraction_within(true + dz, true, 0.1)
    assert threshold == pytest.approx(1.0)


def test_odds():
    d = Gaussian(np.array([0.5, 0.5]), np.array([0.045, 0.001]))
    np.testing.assert_allclose(ev.odds(d, [0.5, 0.5]), [0.6826894921, 1.0], rtol=1e-6)
    np.testing.assert_allclose(ev.odds(d, [0.5, 0.9], 0.03)[1], 0.0, atol=1e-12)


def test_dex_scatter():
    true = np.array([1.0, 10.0, 100.0, 1.0, 1.0])
    predicted = true * 10 ** np.array([0.1, -0.1, 0.0, 0.1, -0.1])
    np.testing.assert_allclose(
        ev.dex_residual(predicted, true), [0.1, -0.1, 0, 0.1, -0.1], atol=1e-12
    )
    assert ev.dex_scatter(predicted, true) == pytest.approx(0.14826)
    assert ev.dex_scatter(predicted, true, robust=False) == pytest.approx(np.sqrt(0.008))
    predicted[0] = -3.0
    # A prediction without a logarithm is the worst there is, not one to leave out.
    assert ev.dex_scatter(predicted, true, robust=False) == np.inf
    assert np.isfinite(ev.dex_scatter(predicted, true))
    assert ev.dex_scatter(-np.ones(5), true) == np.inf
    with pytest.raises(InputError, match="not positive"):
        ev.dex_scatter(true, np.zeros(5))


def test_pit_and_coverage_of_calibrated_and_of_bold_posteriors():
    rng = np.random.default_rng(3)
    mean = rng.normal(0, 3, 20000)
    truth = mean + rng.standard_normal(20000)
    good = ev.pit(Gaussian(mean, np.ones(20000)), truth)
    np.testing.assert_allclose(ev.coverage(good, [0.68, 0.95]), [0.68, 0.95], atol=0.01)
    assert ev.pit_distance(good) < 0.015
    bold = ev.pit(Gaussian(mean, np.full(20000, 0.5)), truth)
    inside = 2 * stats.norm.cdf(0.5 * stats.norm.ppf(0.84)) - 1
    assert ev.coverage(bold, 0.68) == pytest.approx(inside, abs=0.01)
    assert ev.pit_distance(bold) > 0.1


def test_coverage_counts_the_interval_of_the_columns():
    d = GaussianMixture([[0.6, 0.4]] * 400, [[-1, 2]] * 400, [[0.3, 1.0]] * 400)
    truth = d.sample(1, 5)[:, 0]
    low, high = d.quantile([0.16, 0.84]).T
    assert ev.coverage(ev.pit(d, truth), 0.68) == np.mean((truth >= low) & (truth <= high))


def test_pit_with_an_uncertain_truth():
    rng = np.random.default_rng(4)
    mean = rng.normal(0, 3, 20000)
    truth = mean + rng.standard_normal(20000)
    measured = truth + 2 * rng.standard_normal(20000)
    d = Gaussian(mean, np.ones(20000))
    assert ev.pit_distance(ev.pit(d, measured)) > 0.1
    assert ev.pit_distance(ev.pit(d, measured, np.full(20000, 2.0))) < 0.015
    expected = stats.norm.logpdf(measured, mean, np.sqrt(5))
    np.testing.assert_allclose(ev.log_score(d, measured, np.full(20000, 2.0)), expected)


def test_pit_distance_by_hand():
    assert ev.pit_distance([0.5]) == 0.5
    assert ev.pit_distance([0.25, 0.75]) == 0.25


@settings(max_examples=40, deadline=None)
@given(mean=st.floats(-10, 10), log_sigma=st.floats(-3, 3), truth=st.floats(-20, 20))
def test_crps_of_gaussians(mean, log_sigma, truth):
    sigma = np.exp(log_sigma)
    exact = ev.crps_gaussian([mean], [sigma], [truth])
    d = Gaussian(np.array([mean]), np.array([sigma]))
    np.testing.assert_allclose(
        ev.crps(d, [truth], levels=2000), exact, rtol=2e-3, atol=1e-3 * sigma
    )
    assert exact[0] > 0


def test_crps_from_samples_and_its_meaning():
    rng = np.random.default_rng(6)
    samples = rng.standard_normal((4, 4000))
    truth = np.array([0.0, 1.0, -2.0, 5.0])
    np.testing.assert_allclose(
        ev.crps_samples(samples, truth), ev.crps_gaussian(np.zeros(4), np.ones(4), truth), atol=0.05
    )
    # A certain prediction scores its distance.
    np.testing.assert_allclose(ev.crps_samples(np.full((1, 9), 2.0), [5.0]), 3.0)
    np.testing.assert_allclose(ev.crps(Binned([0.0, 1e-9], [[1.0]]), [5.0]), 5.0)


def test_bootstrap_interval_of_a_mean():
    values = np.random.default_rng(7).standard_normal(400)
    low, high = ev.bootstrap_interval(np.mean, values, n=2000, seed=1)
    assert (high - low) / 2 == pytest.approx(values.std() / 20, rel=0.08)
    assert low < values.mean() < high
    assert ev.bootstrap_interval(np.mean, values, n=2000, seed=1) == (low, high)


def test_bootstrap_draws_whole_objects():
    rng = np.random.default_rng(8)
    objects = rng.standard_normal(17)
    groups = np.repeat(np.arange(17), 50)
    rows = objects[groups] + 0.01 * rng.standard_normal(850)
    low, high = ev.bootstrap_interval(np.mean, rows, groups, 2000)
    assert (high - low) / 2 == pytest.approx(objects.std() / np.sqrt(17), rel=0.1)
    low, high = ev.bootstrap_interval(np.mean, rows, n=2000)
    assert (high - low) / 2 < 0.25 * objects.std() / np.sqrt(17)


def test_bootstrap_of_several_columns_and_of_arrays():
    low, high = ev.bootstrap_interval(ev.sigma_nmad, (PHOT, TRUE), n=200)
    assert 0 <= low <= high
    low, high = ev.bootstrap_interval(
        lambda p: ev.coverage(p, [0.68, 0.95]), np.linspace(0.001, 0.999, 500), n=300
    )
    assert low.shape == (2,) and np.all(low < high)
    np.testing.assert_allclose((low + high) / 2, [0.68, 0.95], atol=0.02)


def test_photoz_report_by_magnitude():
    rng = np.random.default_rng(9)
    true = rng.uniform(0, 1, 3000)
    mag = rng.uniform(17, 21, 3000)
    sigma = np.where(mag < 19, 0.002, 0.01)
    phot = true + sigma * (1 + true) * rng.standard_normal(3000)
    d = Gaussian(phot, sigma * (1 + true))
    table = ev.photoz_report(
        phot,
        true,
        mag,
        [17, 19, 21, 23],
        pit=ev.pit(d, true),
        crps=ev.crps(d, true),
        log_score=ev.log_score(d, true),
        n_bootstrap=50,
    )
    assert list(table["n"]) == [*np.histogram(mag, [17, 19, 21])[0], 0]
    np.testing.assert_allclose(table["sigma_nmad"][:2], [0.002, 0.01], rtol=0.1)
    first = mag < 19
    assert table["sigma_nmad"][0] == ev.sigma_nmad(phot[first], true[first])
    assert table["within_0.003"][0] == ev.fraction_within(phot[first], true[first], 0.003)
    assert table["outliers_0.05"][1] == 0
    assert table["crps"][0] == pytest.approx(np.mean(ev.crps(d[first], true[first])))
    np.testing.assert_allclose(table["coverage_68"][:2], 0.68, atol=0.04)
    assert np.all(table["sigma_nmad_lo"][:2] < table["sigma_nmad"][:2])
    assert np.all(table["sigma_nmad_hi"][:2] > table["sigma_nmad"][:2])
    assert table["sigma_nmad"].mask.tolist() == [False, False, True]
    assert "Brammer" in table.meta["definitions"]["sigma_nmad"]


def test_photoz_report_of_one_bin_has_the_plain_statistics():
    table = ev.photoz_report(PHOT, TRUE)
    assert len(table) == 1 and table["n"][0] == 5
    assert table["sigma_nmad"][0] == ev.sigma_nmad(PHOT, TRUE)
    assert table["median_abs"][0] == pytest.approx(0.01)
    assert "coverage_68" not in table.colnames


def test_posterior_report():
    rng = np.random.default_rng(10)
    n = 4000
    mean = rng.normal(0, 2, n)
    truth = mean + rng.standard_normal(n)
    posterior = Posterior(
        {
            "logmstar": Gaussian(mean, np.ones(n)),
            "t0": Gaussian(mean, np.ones(n), Transform("linear", 0.0, 2.0)),
            "av": Gaussian(mean, np.ones(n)),
        }
    )
    hidden = np.where(np.arange(n) < 1000, np.nan, truth)
    measured = truth + rng.standard_normal(n)
    table = ev.posterior_report(
        posterior,
        {"logmstar": hidden, "t0": 2 * measured, "other": truth},
        use={"logmstar": np.arange(n) >= 500},
        errors={"t0": np.full(n, 2.0)},
    )
    assert table["quantity"].tolist() == ["logmstar", "t0"]
    assert table["n"].tolist() == [3000, 4000]
    np.testing.assert_allclose(table["coverage_68"], 0.68, atol=0.03)
    np.testing.assert_allclose(table["coverage_95"], 0.95, atol=0.02)
    np.testing.assert_allclose(table["scatter"], [1, 2 * np.sqrt(2)], rtol=0.06)
    np.testing.assert_allclose(table["sigma"], [0.994, 1.989], rtol=1e-3)
    assert table["crps"][0] == pytest.approx(1 / np.sqrt(np.pi), rel=0.04)
    assert table["log_score"][0] == pytest.approx(-0.5 - 0.5 * np.log(2 * np.pi), abs=0.05)
    empty = ev.posterior_report(posterior, {"av": truth, "t0": truth}, use={"av": np.zeros(n)})
    assert empty["quantity"].tolist() == ["t0", "av"] and empty["n"].tolist() == [n, 0]
    assert empty["bias"].mask.tolist() == [False, True]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ev.sigma_nmad([], []), "no objects"),
        (lambda: ev.sigma_nmad([0.1, np.nan], [0.1, 0.2]), "1 of 2 values are not finite"),
        (lambda: ev.bias([0.1], [0.1, 0.2]), "one per object"),
        (lambda: ev.mad_scatter([np.nan]), "masked"),
        (lambda: ev.coverage([0.5], 1.0), "levels"),
        (lambda: ev.coverage([np.nan]), "finite"),
        (lambda: ev.crps_quantiles(np.zeros((2, 3)), [0.5], [0, 0]), "levels"),
        (lambda: ev.crps_samples(np.zeros((2, 1)), [0, 0]), "S >= 2"),
        (lambda: ev.bootstrap_interval(np.mean, []), "first axis"),
        (lambda: ev.bootstrap_interval(np.mean, [1.0], level=1.0), "level"),
        (lambda: ev.bootstrap_interval(np.mean, [1.0, 2.0], groups=[1]), "groups"),
        (lambda: ev.photoz_report(PHOT, TRUE, by=TRUE), "edges"),
        (lambda: ev.photoz_report(PHOT, TRUE, TRUE, [1.0, 0.0]), "increasing"),
        (lambda: ev.photoz_report(PHOT, TRUE, pit=[0.5]), "one value per object"),
        (
            lambda: ev.posterior_report(Posterior({"z": Gaussian(TRUE, TRUE + 1)}), {"av": TRUE}),
            "no truth",
        ),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
