"""Recalibration from PIT values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from jpassed.evaluation import coverage, pit, pit_distance
from jpassed.exceptions import InputError
from jpassed.posteriors import Binned, Gaussian, Posterior, Recalibrated, Recalibration, Transform

N = 20000


@pytest.fixture(scope="module")
def bold() -> tuple[Gaussian, np.ndarray]:
    """Posteriors that are half as wide as they should be, and shifted, in ln(1 + z)."""
    rng = np.random.default_rng(1)
    mean = rng.uniform(0.1, 0.5, N)
    truth = np.expm1(mean + 0.01 * rng.standard_normal(N) + 0.002)
    return Gaussian(mean, np.full(N, 0.005), Transform("log1p"), lower=0.0, upper=1.2), truth


def test_recalibrated_posteriors_cover_on_objects_not_used(bold):
    d, truth = bold
    assert coverage(pit(d, truth), 0.68) < 0.45
    fitted = Recalibration.fit(pit(d[: N // 2], truth[: N // 2]))
    better = Recalibrated(d[N // 2 :], fitted)
    p = pit(better, truth[N // 2 :])
    np.testing.assert_allclose(coverage(p, [0.68, 0.95]), [0.68, 0.95], atol=0.015)
    assert pit_distance(p) < 0.025
    np.testing.assert_allclose(np.median(better.median() - truth[N // 2 :]), 0, atol=5e-4)


def test_recalibrated_distribution_is_consistent(bold):
    d, truth = bold
    d = Recalibrated(d, Recalibration.fit(pit(d, truth)))[:50]
    q = np.array([0.02, 0.16, 0.5, 0.84, 0.98])
    x = d.quantile(q)
    np.testing.assert_allclose(d.cdf(x), np.broadcast_to(q, x.shape), atol=1e-6)
    assert np.all((x >= 0) & (x <= 1.2))
    grid = d.quantile(np.linspace(1e-4, 1 - 1e-4, 4001))
    total = np.trapezoid(d.pdf(grid), grid, axis=1)
    np.testing.assert_allclose(total, 1, atol=0.01)
    draws = d.sample(4000, 2)
    np.testing.assert_allclose(draws.mean(axis=1), d.mean(), atol=5 * d.std().max() / 60)
    np.testing.assert_allclose(draws.std(axis=1), d.std(), rtol=0.1)
    joined = Recalibrated.concatenate([d[:20], d[20:]])
    np.testing.assert_allclose(joined.quantile(q), x)
    posterior = Posterior({"z": d})
    np.testing.assert_allclose(posterior[5:8].median("z"), x[5:8, 2])


def test_identity_changes_nothing():
    same = Recalibration((-1.0, 0.0, 1.0), (-1.0, 0.0, 1.0))
    d = Binned(np.linspace(0, 1, 11), np.random.default_rng(3).dirichlet(np.ones(10), 7))
    other = Recalibrated(d, same)
    x = np.full(7, 0.33)
    np.testing.assert_allclose(other.cdf(x), d.cdf(x))
    np.testing.assert_allclose(other.logpdf(x), d.logpdf(x))
    np.testing.assert_allclose(other.quantile([0.1, 0.7]), d.quantile([0.1, 0.7]))
    np.testing.assert_allclose(other.mean(), d.mean(), rtol=1e-3)
    error = np.full(7, 0.2)
    np.testing.assert_allclose(other.logpdf(x, error), d.logpdf(x, error))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=20, max_size=60), st.floats(0.01, 0.99))
def test_any_fit_is_a_map_with_an_inverse(values, p):
    fitted = Recalibration.fit(values)
    steps = fitted.forward(np.linspace(0, 1, 101))
    assert np.all(np.diff(steps) >= 0)
    if 1e-12 < fitted.inverse(p) < 1 - 1e-12:
        assert fitted.forward(fitted.inverse(p)) == pytest.approx(p, abs=1e-3)
    assert Recalibration.from_dict(fitted.to_dict()) == fitted


def test_uniform_values_give_the_identity():
    fitted = Recalibration.fit((np.arange(1000) + 0.5) / 1000)
    p = np.linspace(0.001, 0.999, 50)
    np.testing.assert_allclose(fitted.forward(p), p, atol=1e-3)
    np.testing.assert_allclose(fitted.inverse(p), p, atol=1e-3)


def test_a_wrong_width_is_put_right_beyond_the_last_knot(bold):
    """Truth twice as wide as the posterior: r(p) = Phi(score / 2)."""
    score = np.random.default_rng(4).standard_normal(N)
    fitted = Recalibration.fit(norm.cdf(2 * score))
    np.testing.assert_allclose(fitted.forward(norm.cdf(-6.0)), norm.cdf(-3.0), rtol=0.4)
    step = 1e-6
    slope = (fitted.forward(0.3 + step) - fitted.forward(0.3 - step)) / (2 * step)
    assert np.exp(fitted.log_slope(0.3)) == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Recalibration((0.0, 1.0), (0.0, -0.9)), "values must be"),
        (lambda: Recalibration((0.0, 0.5, 0.5), (0.0, 0.2, 0.6)), "knots must be"),
        (lambda: Recalibration((0.0,), (0.0,)), "two or more"),
        (lambda: Recalibration((0.0, 0.5, 1.0), (0.0, 1.0)), "as many values"),
        (lambda: Recalibration.fit([1.2] * 30), "within 0 and 1"),
        (lambda: Recalibration.fit([0.5]), "at least 20"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
