"""Distributions: values, quantiles, moments, bounds, rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.posteriors import Binned, Distribution, Gaussian, GaussianMixture, Posterior, Transform
from jpassed.vocabulary import load_vocabulary

N = 40
TRANSFORMS = {
    "linear": Transform("linear", 0.4, 2.0),
    "asinh": Transform("asinh", 1.0, 0.7, 2.0),
    "log1p": Transform("log1p", 0.3, 0.2),
    "per object": Transform("asinh", 1.0, 0.7, np.linspace(0.5, 5.0, N)),
}


def mixture(transform: Transform | None = None, n: int = N, **bounds) -> GaussianMixture:
    rng = np.random.default_rng(1)
    return GaussianMixture(
        rng.dirichlet(np.full(4, 0.7), n) + 1e-12,
        rng.normal(0, 1.5, (n, 4)),
        np.exp(rng.normal(-1, 0.8, (n, 4))),
        transform,
        **bounds,
    )


def binned(transform: Transform | None = None, n: int = N, **bounds) -> Binned:
    rng = np.random.default_rng(2)
    edges = np.linspace(-3, 4, 71)
    return Binned(edges, rng.dirichlet(np.full(70, 0.3), n), transform, **bounds)


MAKERS = [mixture, binned]


@pytest.fixture(params=list(TRANSFORMS))
def transform(request) -> Transform:
    return TRANSFORMS[request.param]


@pytest.fixture(params=MAKERS, ids=["mixture", "binned"])
def make(request):
    return request.param


@pytest.fixture(params=[{}, {"lower": 0.0, "upper": 4.0}, {"lower": -0.5}], ids=str)
def bounds(request):
    return request.param


# One contract for every distribution, transform and bounds.


def test_quantile_inverts_cdf(make, transform, bounds):
    d = make(transform, **bounds)
    q = np.array([0.001, 0.16, 0.5, 0.84, 0.999])
    x = d.quantile(q)
    assert x.shape == (N, 5)
    assert np.all(np.diff(x, axis=1) >= 0)
    np.testing.assert_allclose(d.cdf(x), np.broadcast_to(q, x.shape), atol=2e-7)
    np.testing.assert_array_equal(d.quantile(0.5), x[:, 2])
    np.testing.assert_array_equal(d.median(), x[:, 2])


def test_density_integrates_to_one_and_gives_the_moments(make, transform, bounds):
    d = make(transform, **bounds)[:6]
    low, high = (d.transform.forward(d.quantile(q)) for q in (1e-10, 1 - 1e-10))
    y = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, 40001)
    x = np.clip(d.transform.inverse(y), d.lower, d.upper)
    # Density per y: free of the narrow peaks that the transform makes in x.
    density = d.pdf(x) * np.exp(-d.transform.log_slope(x))
    total = integrate.trapezoid(density, y, axis=1)
    np.testing.assert_allclose(total, 1, atol=2e-3)
    mean = integrate.trapezoid(density * x, y, axis=1) / total
    spread = np.sqrt(integrate.trapezoid(density * (x - mean[:, None]) ** 2, y, axis=1) / total)
    np.testing.assert_allclose(d.mean(), mean, atol=3e-3 * spread.max(), rtol=3e-3)
    np.testing.assert_allclose(d.std(), spread, rtol=6e-3)


def test_density_is_the_slope_of_the_cdf(make, transform):
    d = make(transform)
    x = d.quantile(np.array([0.3, 0.6]))
    step = 1e-6 * (1 + np.abs(x))
    slope = (d.cdf(x + step) - d.cdf(x - step)) / (2 * step)
    # At the edge of a bin the two sides differ: leave those out.
    same = np.isclose(d.pdf(x + step), d.pdf(x - step), rtol=1e-2)
    assert same.mean() > 0.9
    np.testing.assert_allclose(d.pdf(x)[same], slope[same], rtol=1e-3)


def test_samples_follow_the_distribution(make, transform, bounds):
    d = make(transform, **bounds)
    draws = d.sample(400, 7)
    assert draws.shape == (N, 400)
    uniform = np.concatenate([d[i : i + 1].cdf(draws[i : i + 1])[0] for i in range(N)])
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    np.testing.assert_array_equal(d.sample(400, 7), draws)


def test_nothing_lies_outside_the_bounds(make, transform):
    d = make(transform, lower=0.2, upper=1.1)
    assert np.all((d.sample(50, 1) >= 0.2) & (d.sample(50, 1) <= 1.1))
    np.testing.assert_array_equal(d.cdf(0.19), 0)
    np.testing.assert_array_equal(d.cdf(1.1), 1)
    np.testing.assert_array_equal(d.pdf(1.2), 0)
    assert np.all((d.mean() >= 0.2) & (d.mean() <= 1.1))


def test_rows_and_joining(make, transform):
    d = make(transform, lower=0.0)
    q = np.array([0.1, 0.9])
    for rows in (slice(5, 9), np.array([3, 1, 1]), np.arange(N) % 2 == 0):
        np.testing.assert_allclose(d[rows].quantile(q), d.quantile(q)[rows])
    joined = type(d).concatenate([d[:7], d[7:]])
    assert len(joined) == N and joined.lower == 0.0
    np.testing.assert_allclose(joined.quantile(q), d.quantile(q))
    with pytest.raises(InputError, match="slice"):
        d[3]
    with pytest.raises(InputError, match="bounds"):
        type(d).concatenate([d, make(transform)])


def test_mixed_classes_do_not_join():
    with pytest.raises(InputError, match="one class"):
        Distribution.concatenate([mixture(), binned()])
    with pytest.raises(InputError, match="different scales"):
        GaussianMixture.concatenate([mixture(), mixture(TRANSFORMS["asinh"])])


def test_noisy_value_has_the_broadened_density(make):
    d = make(Transform("linear", 0.2, 1.5))
    # The middle of a bin: within a bin the density is constant.
    x, error = np.full(N, 0.725), np.full(N, 0.9)
    draws = d.sample(1, 4)[:, 0]
    direct = np.empty(N)
    for i in range(N):
        grid = d[i : i + 1].quantile(np.linspace(1e-7, 1 - 1e-7, 20001))[0]
        direct[i] = np.mean(stats.norm.pdf(0.725, grid, 0.9))
    np.testing.assert_allclose(np.exp(d.logpdf(x, error)), direct, rtol=0.005)
    np.testing.assert_allclose(
        d.logpdf(draws, np.full(N, 1e-9)), d.logpdf(draws), rtol=1e-4, atol=1e-2
    )


def test_a_posterior_outside_its_bounds_sits_on_the_nearest_one(make):
    # Both makers live within a few units of 0.
    above = make(None, lower=60.0, upper=70.0)
    np.testing.assert_array_equal(above.quantile([0.16, 0.84]), 60.0)
    np.testing.assert_array_equal(above.mean(), 60.0)
    np.testing.assert_array_equal(above.std(), 0.0)
    np.testing.assert_array_equal(above.cdf(59.0), 0.0)
    np.testing.assert_array_equal(above.cdf(70.0), 1.0)


def test_an_object_without_parameters_is_nan_and_leaves_the_others_alone(make):
    good = make(TRANSFORMS["log1p"], lower=0.0, upper=1.2)
    if isinstance(good, GaussianMixture):
        means = good.means.copy()
        means[3] = np.nan
        d = GaussianMixture(good.weights, means, good.sigmas, good.transform, 0.0, 1.2)
    else:
        shares = good.probabilities.copy()
        shares[3] = np.nan
        d = Binned(good.edges, shares, good.transform, 0.0, 1.2)
    others = np.arange(N) != 3
    for values, reference in (
        (d.quantile([0.1, 0.5]), good.quantile([0.1, 0.5])),
        (d.cdf(0.4), good.cdf(0.4)),
        (d.mean(), good.mean()),
        (d.std(), good.std()),
        (d.sample(3, 1), good.sample(3, 1)),
    ):
        assert np.all(np.isnan(values[3]))
        np.testing.assert_allclose(values[others], reference[others])


# Known answers.


def test_a_gaussian_is_the_textbook_one():
    d = Gaussian(np.array([1.0, -2.0]), np.array([0.5, 2.0]))
    np.testing.assert_allclose(d.mean(), [1, -2], atol=1e-12)
    np.testing.assert_allclose(d.std(), [0.5, 2])
    np.testing.assert_allclose(d.quantile(0.8413447460685429), [1.5, 0.0])
    np.testing.assert_allclose(
        d.logpdf([1.0, 0.0]), stats.norm.logpdf([0.0, 1.0], 0, 1) - np.log([0.5, 2])
    )
    np.testing.assert_allclose(
        d.logpdf([1.0, 0.0], [1.2, 0]), stats.norm.logpdf([1, 0], [1, -2], [1.3, 2])
    )
    assert isinstance(d[:1], Gaussian)
    assert isinstance(Gaussian.concatenate([d, d]), Gaussian)


def test_a_truncated_gaussian_agrees_with_scipy():
    d = Gaussian(np.array([0.3]), np.array([1.0]), lower=0.0, upper=2.0)
    other = stats.truncnorm(-0.3, 1.7, loc=0.3)
    q = np.array([0.05, 0.5, 0.95])
    np.testing.assert_allclose(d.quantile(q)[0], other.ppf(q), rtol=1e-9)
    np.testing.assert_allclose(d.mean(), other.mean(), rtol=1e-9)
    np.testing.assert_allclose(d.std(), other.std(), rtol=1e-9)
    np.testing.assert_allclose(d.pdf(np.array([1.0])), other.pdf(1.0))
    assert d.probability([0.5], [1.0])[0] == pytest.approx(other.cdf(1.0) - other.cdf(0.5))


def test_lognormal_moments():
    d = Gaussian(np.array([0.2]), np.array([0.3]), Transform("log1p"))
    other = stats.lognorm(0.3, scale=np.exp(0.2))
    np.testing.assert_allclose(d.mean(), other.mean() - 1, rtol=1e-10)
    np.testing.assert_allclose(d.std(), other.std(), rtol=1e-9)
    np.testing.assert_allclose(d.quantile(0.9), other.ppf(0.9) - 1)


def test_quantiles_of_a_wide_gap():
    """Two narrow peaks far apart: the cdf is flat where Newton's method would leap."""
    d = GaussianMixture([[0.5, 0.5], [0.3, 0.7]], [[-50, 50]] * 2, [[1e-3, 1e-3]] * 2)
    x = d.quantile([0.25, 0.75])
    np.testing.assert_allclose(x[0], [-50, 50], atol=1e-3)
    np.testing.assert_allclose(d.cdf(x), [[0.25, 0.75]] * 2, atol=1e-6)


def test_bins_by_hand():
    d = Binned([0, 1, 3], [[1, 3]])
    np.testing.assert_allclose(
        d.cdf(np.array([[-1, 0.5, 1, 2, 3, 9]])), [[0, 0.125, 0.25, 0.625, 1, 1]]
    )
    np.testing.assert_allclose(d.quantile([0.125, 0.25, 0.625]), [[0.5, 1, 2]])
    np.testing.assert_allclose(d.pdf(np.array([[-1, 0.5, 2, 4]])), [[0, 0.25, 0.375, 0]])
    assert d.mean()[0] == pytest.approx(0.25 * 0.5 + 0.75 * 2)


def test_many_levels_agree_with_few():
    d = binned()
    q = np.linspace(0.01, 0.99, 50)
    few = np.concatenate([d.quantile(q[i : i + 10]) for i in range(0, 50, 10)], axis=1)
    np.testing.assert_allclose(d.quantile(q), few)


def test_moments_do_not_depend_on_the_chunks():
    d = mixture(TRANSFORMS["asinh"], n=9000, lower=0.0)
    np.testing.assert_allclose(d.mean()[8990:], d[8990:].mean())


@settings(max_examples=60, deadline=None)
@given(
    weights=st.lists(st.floats(1e-6, 1), min_size=3, max_size=3),
    means=st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3),
    logs=st.lists(st.floats(-9, 5), min_size=3, max_size=3),
    q=st.floats(1e-6, 1 - 1e-6),
)
def test_quantiles_of_any_mixture(weights, means, logs, q):
    d = GaussianMixture([weights], [means], [np.exp(logs)])
    x = d.quantile(q)
    assert np.isfinite(x[0])
    # The cdf may be steep: bracket the level within the solver's tolerance.
    spread = 1e-6 * (np.ptp(means) + np.exp(max(logs)))
    assert d.cdf(x - spread)[0] <= q + 1e-9 and d.cdf(x + spread)[0] >= q - 1e-9


@settings(max_examples=60, deadline=None)
@given(
    scale=st.sampled_from(["linear", "asinh", "log1p"]),
    loc=st.floats(-5, 5),
    width=st.floats(0.1, 5),
    softening=st.floats(0.01, 10),
    x=st.floats(-0.99, 1e4),
)
def test_transforms_invert_and_have_the_right_slope(scale, loc, width, softening, x):
    t = Transform(scale, loc, width, softening)
    y = t.forward([x])
    assert t.inverse(y)[0] == pytest.approx(x, rel=1e-9, abs=1e-9)
    step = 1e-6 * max(1e-3, abs(1 + x))
    slope = (t.forward([x + step]) - t.forward([x - step])) / (2 * step)
    assert np.exp(t.log_slope([x]))[0] == pytest.approx(slope[0], rel=1e-3)
    assert t.scaled_error([x], [2.0])[0] == pytest.approx(2 * slope[0], rel=1e-3)


def test_transforms_agree_with_the_vocabulary():
    words = load_vocabulary()
    for kind in words:
        if kind.scale == "object":
            with pytest.raises(InputError, match="per object"):
                Transform.of(kind)
            continue
        x = np.array([0.1, 0.5, 1.1])
        t = Transform.of(kind)
        np.testing.assert_allclose(t.forward(x), kind.to_scaled(x))
        np.testing.assert_allclose(t.inverse(t.forward(x)), kind.from_scaled(kind.to_scaled(x)))
        np.testing.assert_allclose(
            t.scaled_error(x, np.full(3, 0.2)), kind.scaled_error(x, np.full(3, 0.2))
        )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: GaussianMixture([[1.0]], [[0.0, 1.0]], [[1.0]]), "one shape"),
        (lambda: GaussianMixture([[1.0]], [[0.0]], [[0.0]]), "positive"),
        (lambda: GaussianMixture([[0.0]], [[0.0]], [[1.0]]), "all zero"),
        (lambda: GaussianMixture([1.0], [0.0], [1.0]), r"shape \(objects, K\)"),
        (lambda: Gaussian([[0.0]], [[1.0]]), "one per object"),
        (lambda: mixture(lower=2.0, upper=1.0), "below upper"),
        (lambda: mixture(Transform("asinh", softening=np.ones(3))), "3 objects"),
        (lambda: Transform("sqrt"), "linear"),
        (lambda: Transform("linear", width=0.0), "width must be positive"),
        (lambda: Binned([0, 1], [[0.5, 0.5]]), "3 edges"),
        (lambda: Binned([0, 2, 1], [[0.5, 0.5]]), "increase"),
        (lambda: Binned([0, 1], [[-0.5]]), "not be negative"),
        (lambda: Binned([0, 1], [[0.0]]), "all zero"),
        (lambda: mixture().quantile(1.0), r"\(0, 1\)"),
        (lambda: mixture().cdf(np.zeros(3)), r"\(1, points\)"),
        (lambda: mixture().cdf(np.zeros((3, 2))), "points"),
        (lambda: mixture().sample(0), "a whole number from 1 on"),
        (lambda: mixture().broadened(0.0, -1.0), "negative"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


# The container.


@pytest.fixture
def posterior() -> Posterior:
    return Posterior(
        {"z": binned(TRANSFORMS["log1p"], lower=0.0, upper=1.2), "t0": mixture()}, {"t0": "Gyr"}
    )


def test_posterior_hands_on_to_its_distributions(posterior):
    assert posterior.names == ("z", "t0") and list(posterior) == ["z", "t0"]
    assert len(posterior) == N and "z" in posterior and "av" not in posterior
    assert posterior.units == {"z": "", "t0": "Gyr"}
    t0 = posterior["t0"]
    np.testing.assert_array_equal(posterior.mean("t0"), t0.mean())
    np.testing.assert_array_equal(posterior.sigma("t0"), t0.std())
    np.testing.assert_array_equal(posterior.median("t0"), t0.quantile(0.5))
    np.testing.assert_array_equal(posterior.quantile("t0", [0.2]), t0.quantile([0.2]))
    np.testing.assert_allclose(posterior.interval("t0", 0.5), t0.quantile([0.25, 0.75]).T)
    np.testing.assert_array_equal(posterior.cdf("t0", 0.3), t0.cdf(0.3))
    np.testing.assert_array_equal(posterior.logpdf("t0", 0.3), t0.logpdf(0.3))
    np.testing.assert_array_equal(posterior.sample("t0", 5, 1), t0.sample(5, 1))
    grid = np.linspace(-1, 1, 7)
    np.testing.assert_array_equal(posterior.pdf("t0", grid), t0.pdf(grid[None]))
    np.testing.assert_array_equal(posterior.pdf("t0", np.tile(grid, (N, 1))), t0.pdf(grid[None]))


def test_posterior_rows_selection_and_joining(posterior):
    part = posterior[10:20]
    assert len(part) == 10 and part.units == posterior.units
    np.testing.assert_allclose(part.median("z"), posterior.median("z")[10:20])
    joined = Posterior.concatenate([posterior[:10], part, posterior[20:]])
    np.testing.assert_allclose(joined.median("z"), posterior.median("z"))
    assert posterior.select(["t0"]).names == ("t0",)
    with pytest.raises(InputError, match="cannot join"):
        Posterior.concatenate([posterior, posterior.select(["z"])])


def test_posterior_refuses_what_it_does_not_have(posterior):
    with pytest.raises(UnknownNameError, match="Valid choices: t0, z"):
        posterior["av"]
    with pytest.raises(InputError, match="same objects"):
        Posterior({"z": mixture(), "t0": mixture(n=3)})
    with pytest.raises(InputError, match="at least one"):
        Posterior({})
    with pytest.raises(InputError, match="level"):
        posterior.interval("z", 1.0)
