"""Containers of joint draws, measurements of a drawn quantity, ranks."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from jpassed.evaluation.ranks import density_ranks, distance_ranks, rank_coverage, ranks
from jpassed.exceptions import InputError, UnknownNameError
from jpassed.posteriors import Binned, Gaussian, Transform
from jpassed.posteriors.conditioning import draw_given
from jpassed.posteriors.joint import JointSamples

RNG = np.random.default_rng(1)


def make(n=3, draws=50):
    x = RNG.normal(size=(n, draws))
    return JointSamples(
        {"a": x, "b": 2 * x + RNG.normal(size=x.shape), "c": np.exp(x)},
        {"c": "Angstrom"},
        log_density=-x,
        drawn=("a", "b"),
    )


def test_a_container_like_a_dictionary():
    samples = make()
    assert (len(samples), samples.n_draws) == (3, 50)
    assert samples.names == samples.keys() == tuple(samples) == ("a", "b", "c")
    assert set(dict(samples.items())) == {"a", "b", "c"}
    assert "a" in samples
    assert "d" not in samples
    assert samples.units == {"a": "", "b": "", "c": "Angstrom"}
    assert repr(samples) == "JointSamples(3 objects x 50: a, b, c)"
    part = samples[1:]
    np.testing.assert_array_equal(part["b"], samples["b"][1:])
    np.testing.assert_array_equal(part.log_density, samples.log_density[1:])
    assert samples.select(["c"]).names == ("c",)
    assert samples.first(7)["a"].shape == samples.first(7).log_density.shape == (3, 7)
    both = JointSamples.concatenate([samples[:1], samples[1:]])
    np.testing.assert_array_equal(both["c"], samples["c"])
    np.testing.assert_array_equal(both.log_density, samples.log_density)
    assert both.drawn == ("a", "b")


def test_moments():
    samples = make()
    for row in range(3):
        rows = np.stack([samples[q][row] for q in "abc"])
        np.testing.assert_allclose(samples.covariance()[row], np.cov(rows))
        np.testing.assert_allclose(samples.correlation(("a", "c"))[row], np.corrcoef(rows[[0, 2]]))
        assert samples.mean("c")[row] == pytest.approx(rows[2].mean())
        assert samples.std("c")[row] == pytest.approx(rows[2].std(ddof=1))


@given(
    arrays(float, (4, 9), elements=st.floats(-1e6, 1e6)),
    st.lists(st.floats(0, 1), min_size=1, max_size=4),
)
def test_quantiles_are_those_of_numpy(x, levels):
    found = JointSamples({"a": x}).quantile("a", levels)
    np.testing.assert_allclose(found, np.quantile(x, levels, axis=1).T, rtol=1e-9, atol=1e-6)


def test_draws_without_a_value():
    x = np.array([
        [np.nan, 1.0, 2.0, 3.0, np.nan],
        [-np.inf, -np.inf, -np.inf, 1.0, 2.0],
        [np.nan] * 5,
        [1.0, 2.0, np.inf, np.inf, np.inf],
    ])  # fmt: skip
    samples = JointSamples({"a": x})
    np.testing.assert_array_equal(samples.median("a"), [2.0, -np.inf, np.nan, np.inf])
    np.testing.assert_allclose(samples.quantile("a", [0.0, 1.0])[1], [-np.inf, 2.0])
    np.testing.assert_allclose(samples.defined("a"), [0.6, 0.4, 0.0, 0.4])
    np.testing.assert_allclose(samples.mean("a"), [2.0, 1.5, np.nan, 1.5])
    assert np.isnan(samples.std("a")[2])
    table = samples.to_table()
    assert table["a"].mask.sum() == 13


def test_as_a_table():
    samples = make()
    table = samples.to_table()
    assert table.colnames == ["a", "b", "c"]
    assert table["c"].unit == u.Angstrom
    assert table["c"].shape == (3, 50)
    np.testing.assert_allclose(table["a"], samples["a"])
    assert table.meta["drawn"] == "a, b"
    assert "joint" in table["a"].info.description


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: JointSamples({}), InputError, "at least one"),
        (lambda: JointSamples({"a": np.zeros(3)}), InputError, "one shape"),
        (lambda: JointSamples({"a": np.zeros((3, 2)), "b": np.zeros((3, 1))}), InputError, "one"),
        (
            lambda: JointSamples({"a": np.zeros((3, 2))}, log_density=np.zeros(3)),
            InputError,
            "log_density",
        ),
        (lambda: make()["d"], UnknownNameError, "a, b, c"),
        (lambda: make()[1], InputError, "slice"),
        (lambda: make().first(51), InputError, "1 to 50"),
        (lambda: make().quantile("a", 1.5), InputError, "within"),
        (lambda: JointSamples.concatenate([]), InputError, "no samples"),
        (lambda: JointSamples.concatenate([make(), make(draws=3)]), InputError, "cannot join"),
    ],
)
def test_what_makes_no_sense(call, error, said):
    with pytest.raises(error, match=said):
        call()


# --- measurements -------------------------------------------------------------------------------

LEVELS = (np.arange(999) + 0.5)[None, :] / 999


@pytest.mark.parametrize("error", [0.001, 0.02, 0.5])
def test_a_measurement_of_a_gaussian(error):
    prior = Gaussian(np.array([0.30]), np.array([0.02]))
    draws = draw_given(prior, [0.31], [error], LEVELS)[0]
    weight = 0.02**2 / (0.02**2 + error**2)
    expected = stats.norm(0.30 + 0.01 * weight, 0.02 * np.sqrt(1 - weight))
    scale = expected.std()
    np.testing.assert_allclose(draws, expected.ppf(LEVELS[0]), atol=0.05 * scale)
    np.testing.assert_allclose(draws[300:700], expected.ppf(LEVELS[0, 300:700]), atol=0.005 * scale)


def test_a_measurement_chooses_a_peak():
    edges = np.linspace(0.0, 1.0, 101)
    p = np.zeros((1, 100))
    p[0, 20], p[0, 70] = 0.9, 0.1
    draws = draw_given(Binned(edges, p), [0.705], [0.01], LEVELS)
    assert (draws > 0.699).all()
    assert (draws < 0.711).all()


def test_a_measurement_that_the_posterior_excludes():
    flat = Binned(np.array([0.0, 1.0]), np.ones((1, 1)), Transform(), 0.0, 1.0)
    draws = draw_given(flat, [0.0], [0.01], LEVELS)[0]
    half = stats.halfnorm(0.0, 0.01)
    np.testing.assert_allclose(np.median(draws), half.median(), rtol=0.02)
    far = draw_given(Binned(np.array([0.0, 0.5]), np.ones((1, 1))), [0.9], [0.01], LEVELS)[0]
    assert np.median(far) == pytest.approx(0.9, abs=1e-4)


@pytest.mark.parametrize(("error", "shape", "said"), [(0.0, (1, 5), "positive"), (1.0, (5,), "n")])
def test_measurements_that_make_no_sense(error, shape, said):
    with pytest.raises(InputError, match=said):
        draw_given(Gaussian(np.zeros(1), np.ones(1)), [0.0], [error], np.full(shape, 0.5))


# --- ranks --------------------------------------------------------------------------------------


def test_ranks_are_uniform_where_truth_and_draws_are_alike():
    x = np.random.default_rng(3).normal(size=(500, 20))
    p = ranks(x[:, 1:], x[:, 0], 1)
    assert stats.kstest(p, "uniform").pvalue > 1e-3
    alike = ranks(np.zeros((500, 19)), np.zeros(500), 1)
    assert stats.kstest(alike, "uniform").pvalue > 1e-3
    even = np.linspace(0, 1, 1001)
    np.testing.assert_allclose(rank_coverage(even, [0.5, 0.9]), [0.5, 0.9], atol=2e-3)
    np.testing.assert_allclose(rank_coverage([0.1, 0.4, 0.95], [0.5], central=False), [2 / 3])


def test_ranks_say_where_the_truth_lies():
    x = np.tile(np.arange(1.0, 100.0), (3, 1))
    np.testing.assert_allclose(ranks(x, [0.0, 50.5, 200.0], 1), [0.005, 0.505, 0.995], atol=0.006)
    assert density_ranks(x, [200.0, 0.0, 50.5], 1)[0] < 0.011
    assert np.isnan(ranks(x, [np.nan, 1.0, 1.0], 1)[0])
    x[1, 3] = np.nan
    assert np.isnan(ranks(x, np.ones(3), 1)).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ranks(np.zeros(3), np.zeros(3)), "draws"),
        (lambda: distance_ranks(np.zeros((3, 2)), np.zeros((3, 2))), "n >= 2, Q"),
        (lambda: distance_ranks(np.zeros((3, 4, 2)), np.zeros((3, 2))), "alike"),
        (lambda: rank_coverage([np.nan], [0.5]), "no rank"),
    ],
)
def test_ranks_that_make_no_sense(call, said):
    with pytest.raises(InputError, match=said):
        call()
