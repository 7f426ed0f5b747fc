"""Student-t, flow, and bins with a smooth density: one contract, and known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.nn.flow_head import bend, make_knots
from jpassed.posteriors import Binned, Gaussian, GaussianMixture, Transform
from jpassed.posteriors.flow import SplineFlow
from jpassed.posteriors.student_t import StudentT

N = 12
TRANSFORMS = {
    "linear": Transform("linear", 0.4, 2.0),
    "asinh": Transform("asinh", 1.0, 0.7, 2.0),
    "log1p": Transform("log1p", 0.3, 0.2),
    "per object": Transform("asinh", 1.0, 0.7, np.linspace(0.5, 5.0, N)),
}


def student(transform: Transform | None = None, **bounds) -> StudentT:
    rng = np.random.default_rng(1)
    loc, scale = rng.normal(0, 1.0, N), np.exp(rng.normal(-1, 0.5, N))
    return StudentT(loc, scale, 4.5 + rng.exponential(9, N), transform, **bounds)


def flow(transform: Transform | None = None, **bounds) -> SplineFlow:
    rng = np.random.default_rng(3)
    knots = [k.numpy() for k in make_knots(torch.from_numpy(rng.normal(0, 0.5, (N, 23))))]
    loc, scale = rng.normal(0, 0.2, N), np.exp(rng.normal(-0.5, 0.3, N))
    return SplineFlow(loc, scale, *knots, transform, **bounds)


def smooth(transform: Transform | None = None, **bounds) -> Binned:
    rng = np.random.default_rng(2)
    edges = np.concatenate((np.linspace(-3, 0, 31), np.linspace(0.2, 4, 20)))
    shares = rng.dirichlet(np.full(50, 0.5), N)
    shares[:, 20:23] = 0.0
    return Binned(edges, shares, transform, interpolation="cubic", **bounds)


MAKERS = {"student-t": student, "flow": flow, "smooth bins": smooth}
make = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
every_transform = pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
every_bound = pytest.mark.parametrize(
    "bounds", [{}, {"lower": 0.0, "upper": 4.0}, {"lower": -0.5}], ids=str
)


@make
@every_transform
@every_bound
def test_quantile_inverts_cdf(make, transform, bounds):
    d = make(transform, **bounds)
    q = np.array([0.001, 0.16, 0.5, 0.84, 0.999])
    x = d.quantile(q)
    assert x.shape == (N, 5)
    assert np.all(np.diff(x, axis=1) >= 0)
    np.testing.assert_allclose(d.cdf(x), np.broadcast_to(q, x.shape), atol=2e-7)
    np.testing.assert_array_equal(d.median(), x[:, 2])


@make
@every_transform
@pytest.mark.parametrize("bounds", [{"lower": 0.0, "upper": 4.0}, {}], ids=str)
def test_density_integrates_to_one_and_gives_the_moments(make, transform, bounds):
    d = make(transform, **bounds)[:4]
    tail = 5e-4 if isinstance(d, StudentT) and not bounds and transform.scale != "linear" else 1e-7
    low, high = (d.transform.forward(d.quantile(q)) for q in (tail, 1 - tail))
    y = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, 40001)
    x = np.clip(d.transform.inverse(y), d.lower, d.upper)
    density = d.pdf(x) * np.exp(-d.transform.log_slope(x))
    total = integrate.trapezoid(density, y, axis=1)
    np.testing.assert_allclose(total, 1 - 2 * tail, atol=1e-4)
    mean = integrate.trapezoid(density * x, y, axis=1) / total
    spread = np.sqrt(integrate.trapezoid(density * (x - mean[:, None]) ** 2, y, axis=1) / total)
    np.testing.assert_allclose(d.mean(), mean, atol=3e-3 * spread.max(), rtol=3e-3)
    np.testing.assert_allclose(d.std(), spread, rtol=6e-3)


@make
@every_transform
def test_density_is_the_slope_of_the_cdf(make, transform):
    d = make(transform)
    x = d.quantile(np.array([0.02, 0.3, 0.6, 0.98]))
    step = 1e-6 * (1 + np.abs(x))
    slope = (d.cdf(x + step) - d.cdf(x - step)) / (2 * step)
    np.testing.assert_allclose(d.pdf(x), slope, rtol=1e-3, atol=1e-5)


@make
@every_bound
def test_samples_follow_the_distribution(make, bounds):
    d = make(TRANSFORMS["asinh"], **bounds)
    draws = d.sample(500, 7)
    assert np.all((draws >= d.lower) & (draws <= d.upper))
    uniform = np.concatenate([d[i : i + 1].cdf(draws[i : i + 1])[0] for i in range(N)])
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    np.testing.assert_array_equal(d.sample(500, 7), draws)


@make
def test_rows_joining_and_repr(make):
    d = make(TRANSFORMS["per object"], lower=0.0)
    q = np.array([0.1, 0.9])
    for rows in (slice(5, 9), np.array([3, 1, 1]), np.arange(N) % 2 == 0):
        np.testing.assert_allclose(d[rows].quantile(q), d.quantile(q)[rows])
        assert type(d[rows]) is type(d)
    joined = type(d).concatenate([d[:7], d[7:]])
    assert len(joined) == N and joined.lower == 0.0
    np.testing.assert_allclose(joined.quantile(q), d.quantile(q))
    np.testing.assert_allclose(joined.pdf(d.median()), d.pdf(d.median()))
    assert repr(d) == f"{type(d).__name__}(12 objects, asinh)"


@make
@pytest.mark.parametrize("error", [0.1, 0.4, 3.0])
def test_noisy_value_has_the_convolved_density(make, error):
    d = make(None)
    if isinstance(d, Binned) and error < 0.2:
        pytest.skip("bins are convolved as if flat: the error must not be far below a bin")
    x = d.quantile(0.7)
    found = np.exp(d.logpdf(x, np.full(N, error)))
    direct = np.empty(N)
    for i in range(N):
        y = x[i] + error * np.linspace(-8, 8, 16001)
        density = d[i : i + 1].pdf(y[None])[0] * stats.norm.pdf(y, x[i], error)
        direct[i] = integrate.trapezoid(density, y)
    np.testing.assert_allclose(found, direct, rtol=0.005 if make is student else 0.08)
    assert not d.broadened(x, np.full(N, error)).truncated


@make
def test_an_object_without_parameters_is_nan_and_leaves_the_others_alone(make):
    good = make(TRANSFORMS["log1p"], lower=0.0, upper=1.2)
    bad = make(TRANSFORMS["log1p"], lower=0.0, upper=1.2)
    (bad.probabilities if isinstance(bad, Binned) else bad.loc)[3] = np.nan
    others = np.arange(N) != 3
    for values, reference in (
        (bad.quantile([0.1, 0.5]), good.quantile([0.1, 0.5])),
        (bad.cdf(0.4), good.cdf(0.4)),
        (bad.logpdf(0.4), good.logpdf(0.4)),
        (bad.mean(), good.mean()),
        (bad.sample(3, 1), good.sample(3, 1)),
    ):
        assert np.all(np.isnan(values[3]))
        np.testing.assert_allclose(values[others], reference[others])


# Student-t: known answers


def test_student_t_is_that_of_scipy():
    d = StudentT([0.3, -1.0], [0.5, 2.0], [3.0, 40.0])
    other = stats.t([3.0, 40.0], [0.3, -1.0], [0.5, 2.0])
    x = np.array([1.1, -7.0])
    np.testing.assert_allclose(d.logpdf(x), other.logpdf(x), rtol=1e-12)
    np.testing.assert_allclose(d.cdf(x), other.cdf(x), rtol=1e-12)
    np.testing.assert_allclose(d.quantile(0.99), other.ppf(0.99), rtol=1e-9)
    np.testing.assert_allclose(d.mean(), other.mean(), atol=1e-9)
    # What lies beyond the quadrature matters for few degrees of freedom: 1 % at three.
    np.testing.assert_allclose(d.std(), other.std(), rtol=0.01)


def test_many_degrees_of_freedom_make_a_gaussian():
    d, g = StudentT([0.2], [0.7], [1e7]), Gaussian([0.2], [0.7])
    x = np.array([[-1.0, 0.4, 2.0]])
    np.testing.assert_allclose(d.logpdf(x), g.logpdf(x), atol=1e-6)
    np.testing.assert_allclose(d.logpdf([0.4], [0.5]), g.logpdf([0.4], [0.5]), atol=1e-4)


def test_flux_has_a_mean_in_spite_of_heavy_tails():
    d = StudentT([1.0], [0.3], [2.5], Transform("asinh", 4.6, 1.5, 0.02))
    assert np.isfinite(d.mean()).all() and np.isfinite(d.std()).all()
    inside = d.quantile([5e-4, 1 - 5e-4])[0]
    assert inside[0] < d.mean()[0] < inside[1]


# Flow: known answers


def test_equal_knots_make_a_gaussian():
    knots = np.tile(np.linspace(-5, 5, 9), (2, 1))
    d = SplineFlow([0.3, -2.0], [0.5, 1e-4], knots, knots, np.ones_like(knots))
    g = Gaussian([0.3, -2.0], [0.5, 1e-4])
    x = g.quantile([1e-12, 0.1, 0.5, 0.999, 1 - 1e-12])
    np.testing.assert_allclose(d.logpdf(x), g.logpdf(x), rtol=1e-8)
    np.testing.assert_allclose(d.quantile([0.02, 0.7]), g.quantile([0.02, 0.7]), rtol=1e-9)
    np.testing.assert_allclose(d.std(), [0.5, 1e-4], rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), wild=st.floats(0.1, 8.0))
def test_the_two_rails_have_the_same_spline(seed, wild):
    rng = np.random.default_rng(seed)
    knots = make_knots(torch.from_numpy(rng.normal(0, wild, (5, 23))))
    d = SplineFlow(np.zeros(5), np.ones(5), *(k.numpy() for k in knots))
    u = rng.uniform(-7, 7, 5)
    v, log_slope = bend(torch.from_numpy(u), knots)
    np.testing.assert_allclose(d.cdf(u), stats.norm.cdf(v), atol=1e-9)
    np.testing.assert_allclose(d.logpdf(u), stats.norm.logpdf(v) + log_slope.numpy(), atol=1e-6)


# Bins


def test_a_cubic_keeps_the_probability_of_every_bin():
    d, flat = smooth(), Binned(smooth().edges, smooth().probabilities)
    np.testing.assert_allclose(d.cdf(d.edges[None]), flat.cdf(d.edges[None]), atol=1e-12)
    # Continuous: the density at an edge is one number.
    edge = d.edges[None, 5:15]
    np.testing.assert_allclose(d.pdf(edge - 1e-9), d.pdf(edge + 1e-9), rtol=1e-4, atol=1e-6)
    assert np.all(d.pdf(np.linspace(-3, 4, 4000)[None]) >= 0)


def test_equal_bins_stay_flat():
    d = Binned([0, 1, 2, 3], [[1, 1, 1]], interpolation="cubic")
    np.testing.assert_allclose(d.pdf(np.array([[0.0, 0.4, 1.7, 3.0]])), 1 / 3)
    np.testing.assert_allclose(d.quantile([0.1, 0.9]), [[0.3, 2.7]])


def test_a_smooth_density_is_closer_to_a_gaussian():
    sigma = 1.4
    edges = np.arange(-30, 31) + 0.3
    share = np.diff(stats.norm.cdf(edges, 0, sigma))[None]
    x = np.linspace(-5, 5, 2001)[None]
    true, weight = stats.norm.logpdf(x, 0, sigma), stats.norm.pdf(x, 0, sigma)
    lost = [
        float((weight * (true - Binned(edges, share, interpolation=i).logpdf(x))).sum() / 200)
        for i in ("constant", "cubic")
    ]
    assert 0.01 < lost[0] < 0.03
    assert abs(lost[1]) < 0.1 * lost[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: StudentT([0.0], [0.0], [3.0]), "positive"),
        (lambda: StudentT([0.0], [1.0, 2.0], [3.0]), "one per object"),
        (lambda: StudentT([0.0], [1.0], [0.0]), "positive"),
        (lambda: SplineFlow([0.0], [1.0], [[0, 1]], [[0, 1, 2]], [[1, 1]]), "one shape"),
        (lambda: SplineFlow([0.0], [1.0], [[0, 0]], [[0, 1]], [[1, 1]]), "increase"),
        (lambda: SplineFlow([0.0], [1.0], [[0, 1]], [[0, 1]], [[1, 0]]), "positive"),
        (lambda: SplineFlow([0.0, 1.0], [1.0], [[0, 1]], [[0, 1]], [[1, 1]]), "one per object"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_other_interpolations_are_refused():
    with pytest.raises(UnknownNameError, match="unknown interpolation 'spline'.*cubic"):
        Binned([0, 1], [[1.0]], interpolation="spline")
    with pytest.raises(InputError, match="different interpolations"):
        Binned.concatenate([smooth(), Binned(smooth().edges, smooth().probabilities)])


def test_a_broadened_form_is_a_mixture():
    for d in (student(), flow()):
        assert isinstance(d.broadened(np.zeros(N), np.full(N, 0.1)), GaussianMixture)
    assert math.isfinite(float(flow().logpdf(0.0, np.full(N, 0.1))[0]))
