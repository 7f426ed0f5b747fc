"""Posteriors for another prior: against closed forms, on grids and with draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jpassed.exceptions import InputError
from jpassed.posteriors import Binned, Gaussian, GaussianMixture, Transform
from jpassed.posteriors.prior_change import (
    draw_weights,
    reweighted,
    weighted_cdf,
    weighted_quantile,
)


@settings(max_examples=30, deadline=None)
@given(mean=st.floats(-1, 1), sigma=st.floats(0.2, 1.0), slope=st.floats(-2, 2))
def test_an_exponential_ratio_moves_a_gaussian_by_slope_times_variance(mean, sigma, slope):
    old = Gaussian(np.array([mean, 0.0]), np.array([sigma, 0.5]))
    new = reweighted(old, lambda x: slope * x)
    np.testing.assert_allclose(
        new.median(), [mean + slope * sigma**2, slope * 0.25], atol=2e-3 * (1 + abs(slope))
    )
    np.testing.assert_allclose(new.std(), [sigma, 0.5], rtol=2e-3)


def test_a_gaussian_prior_is_exchanged_for_another():
    # Likelihood N(0.4, 0.2) with the prior N(0, 1), then with N(1, 0.5).
    def product(mean, sigma):
        variance = 1 / (1 / 0.2**2 + 1 / sigma**2)
        return variance * (0.4 / 0.2**2 + mean / sigma**2), variance**0.5

    old, new = product(0.0, 1.0), product(1.0, 0.5)
    changed = reweighted(
        Gaussian(np.array([old[0]]), np.array([old[1]])),
        lambda x: -0.5 * ((x - 1.0) / 0.5) ** 2 + 0.5 * x**2,
    )
    assert changed.median()[0] == pytest.approx(new[0], abs=1e-3)
    assert changed.std()[0] == pytest.approx(new[1], rel=2e-3)


def test_bins_are_kept_and_a_ratio_may_differ_from_object_to_object():
    old = Binned(
        np.array([0.0, 0.1, 0.2, 0.4]), np.full((2, 3), 1 / 3), Transform("log1p"), 0.0, 1.2
    )
    # exp of these: 1, 3, 0 and 1, 1, 2.
    table = np.array([[0.0, np.log(3.0), -np.inf], [0.0, 0.0, np.log(2.0)]])
    new = reweighted(old, lambda x: table)
    np.testing.assert_array_equal(new.edges, old.edges)
    np.testing.assert_allclose(new.probabilities, [[0.25, 0.75, 0.0], [0.25, 0.25, 0.5]])
    assert (new.lower, new.upper) == (0.0, 1.2)
    same = reweighted(old, lambda x: np.zeros(x.shape[1]))
    np.testing.assert_allclose(same.probabilities, old.probabilities)


def test_the_ratio_is_called_with_physical_values():
    seen = []
    old = Binned(np.array([0.0, 0.1, 0.3]), np.ones((1, 2)), Transform("log1p"))
    reweighted(old, lambda x: seen.append(x) or np.zeros(2))
    np.testing.assert_allclose(seen[0], np.expm1([[0.05, 0.2]]))


@pytest.mark.parametrize(
    ("ratio", "message"),
    [
        (lambda x: np.zeros(3), "must give"),
        (lambda x: np.full(x.shape[1], np.nan), "NaN"),
        (lambda x: np.full(x.shape[1], np.inf), "old prior must allow"),
        (lambda x: np.full(x.shape[1], -np.inf), "forbids all"),
    ],
)
def test_bad_ratios_are_told(ratio, message):
    with pytest.raises(InputError, match=message):
        reweighted(Gaussian(np.zeros(2), np.ones(2)), ratio)


def test_draws_with_weights_give_the_same_posterior_as_the_grid():
    old = GaussianMixture(
        np.array([[0.6, 0.4]]), np.array([[0.0, 3.0]]), np.array([[0.5, 0.5]]), Transform()
    )

    def ratio(x):
        return -1.2 * x

    grid = reweighted(old, ratio)
    draws = old.sample(200_000, 1)
    weights, efficiency = draw_weights(ratio(draws))
    levels = [0.1, 0.5, 0.9]
    found = weighted_quantile(draws, weights, levels)[0]
    np.testing.assert_allclose(found, grid.quantile(levels)[0], atol=0.02)
    at = np.array([0.3])
    assert weighted_cdf(draws, weights, at)[0] == pytest.approx(grid.cdf(at)[0], abs=0.01)
    assert 0.1 < efficiency[0] < 0.9


def test_even_weights_change_nothing_and_efficiency_counts_draws():
    weights, efficiency = draw_weights(np.full((3, 8), -700.0))
    np.testing.assert_allclose(weights, 1 / 8)
    np.testing.assert_allclose(efficiency, 1.0)
    one, share = draw_weights(np.array([[0.0, -np.inf, -np.inf, -np.inf]]))
    np.testing.assert_array_equal(one, [[1, 0, 0, 0]])
    assert share[0] == pytest.approx(0.25)
    draws = np.array([[5.0, 1.0, 2.0, 9.0]])
    np.testing.assert_allclose(weighted_quantile(draws, one, [0.16, 0.84]), [[5.0, 5.0]], atol=1e-6)
    assert weighted_cdf(draws, one, np.array([5.0]))[0] == pytest.approx(0.5)


def test_draws_that_say_nothing_are_refused():
    with pytest.raises(InputError, match="finite log_ratio"):
        draw_weights(np.full((1, 3), -np.inf))
    with pytest.raises(InputError, match="finite log_ratio"):
        draw_weights(np.array([[0.0, np.nan]]))
    with pytest.raises(InputError, match="shape"):
        draw_weights(np.zeros(3))
    with pytest.raises(InputError, match="not all zero"):
        weighted_quantile(np.zeros((1, 2)), np.zeros((1, 2)), 0.5)
    with pytest.raises(InputError, match="one shape"):
        weighted_cdf(np.zeros((1, 2)), np.ones((1, 3)), np.zeros(1))
