"""Heads against direct numpy calculations in float64."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp, ndtr
from scipy.stats import norm
from small_model import CONFIG, VOCABULARY

from jpassed.nn.heads import BinnedHead, GaussianHead, MixtureHead, make_head
from jpassed.posteriors import Binned

ROOT = 0.5 * math.log(2 * math.pi)
SEEDS = st.integers(0, 10_000)
Z = VOCABULARY["z"]


def binned_head(**changes) -> BinnedHead:
    torch.manual_seed(1)
    config = replace(CONFIG, redshift_bin=0.005, **changes)
    return BinnedHead(config, Z.loc, Z.width)


def published_loss(y, mu, log_variance, error):
    """Leung & Bovy (2024), eq. 3, for one value."""
    s2 = np.exp(log_variance) + error**2
    return (y - mu) ** 2 / (2 * s2) + 0.5 * np.log(s2)


def torch_loss(head, parameters, target, error):
    """A head's loss of float64 arrays."""
    return head.loss(
        *(torch.from_numpy(np.asarray(a)) for a in (parameters, target, error))
    ).numpy()


# Gaussian: the published form


@given(seed=SEEDS, exact=st.booleans())
@settings(max_examples=50)
def test_gaussian_loss_is_the_published_one_to_the_digit(seed, exact):
    rng = np.random.default_rng(seed)
    y, mu = rng.normal(0, 2, (2, 7, 4))
    log_variance = rng.uniform(-12, 4, (7, 4))
    error = np.zeros((7, 4)) if exact else 10 ** rng.uniform(-4, 1, (7, 4))
    found = torch_loss(GaussianHead, np.stack((mu, log_variance), -1), y, error)
    np.testing.assert_allclose(found, published_loss(y, mu, log_variance, error), rtol=1e-13)


def test_gaussian_loss_by_hand():
    # y - mu = 1, s_pred = 0.6, s_true = 0.8: s = 1, L = 1/2.
    found = torch_loss(GaussianHead, [[[1.0, 2 * math.log(0.6)]]], [[2.0]], [[0.8]])
    assert found[0, 0] == pytest.approx(0.5, abs=1e-15)


def test_gaussian_loss_is_a_density_without_its_constant():
    y, mu, sigma, error = 0.3, -0.2, 0.5, 0.7
    found = torch_loss(GaussianHead, [[[mu, 2 * math.log(sigma)]]], [[y]], [[error]])
    assert -found[0, 0] - ROOT == pytest.approx(norm.logpdf(y, mu, math.hypot(sigma, error)))


def test_the_model_learns_its_own_variance_and_not_the_labels():
    # With labels that scatter by s_true, the loss is lowest at s_pred, not at their sum.
    rng = np.random.default_rng(5)
    own, error = 0.5, 1.0
    y = rng.normal(0, math.hypot(own, error), 200_000)
    grid = np.linspace(0.3, 0.8, 26)
    loss = [published_loss(y, 0.0, 2 * math.log(s), error).mean() for s in grid]
    best = grid[int(np.argmin(loss))]
    found = [
        torch_loss(
            GaussianHead,
            np.tile([0.0, 2 * math.log(s)], (len(y), 1, 1)),
            y[:, None],
            np.full((len(y), 1), error),
        ).mean()
        for s in (best, 0.4, 1.1)
    ]
    assert best == pytest.approx(own, abs=0.03)
    assert found[0] < min(found[1:])


# Mixture


@given(seed=SEEDS)
@settings(max_examples=50)
def test_a_mixture_of_one_is_the_published_loss(seed):
    rng = np.random.default_rng(seed)
    y, mu, logit = rng.normal(0, 2, (3, 7, 4))
    log_sigma = rng.uniform(-6, 2, (7, 4))
    error = rng.uniform(0, 2, (7, 4)) * rng.integers(0, 2, (7, 4))
    one = torch_loss(MixtureHead, np.stack((logit, mu, log_sigma), -1), y, error)
    other = torch_loss(GaussianHead, np.stack((mu, 2 * log_sigma), -1), y, error)
    np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def random_mixture(seed: int, shape=(5, 3), k: int = 4):
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [
            rng.normal(0, 2, (*shape, k)),
            rng.normal(0, 1.5, (*shape, k)),
            rng.uniform(-3, 0.5, (*shape, k)),
        ],
        -1,
    )


@given(seed=SEEDS)
@settings(max_examples=50)
def test_mixture_loss_is_its_log_density(seed):
    parameters = random_mixture(seed)
    rng = np.random.default_rng(seed + 1)
    y, error = rng.normal(0, 2, (5, 3)), rng.uniform(0, 1, (5, 3))
    logit, mean, log_sigma = np.split(parameters, 3, -1)
    sigma = np.hypot(np.exp(log_sigma), error[..., None])
    density = logsumexp(log_softmax(logit, -1) + norm.logpdf(y[..., None], mean, sigma), axis=-1)
    found = torch_loss(MixtureHead, parameters, y, error)
    np.testing.assert_allclose(found, -density - ROOT, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("error", [0.0, 0.4])
def test_mixture_density_integrates_to_one(error):
    parameters = random_mixture(3, (1, 1))
    y = np.linspace(-20, 20, 40_001)[:, None]
    every = np.broadcast_to(parameters, (len(y), 1, 12))
    density = np.exp(-torch_loss(MixtureHead, every.copy(), y, np.full_like(y, error)) - ROOT)
    assert np.trapezoid(density[:, 0], y[:, 0]) == pytest.approx(1.0, abs=1e-6)


def test_mixture_starts_with_its_components_apart():
    head = MixtureHead(CONFIG, len(VOCABULARY))
    with torch.no_grad():
        _, mean, _ = head.split(head(torch.zeros(1, 2, CONFIG.width), torch.tensor([0, 3])))
    np.testing.assert_allclose(mean, np.broadcast_to([-1.5, 0.0, 1.5], (1, 2, 3)), atol=1e-6)


def test_mixture_computes_in_float32_at_least():
    parameters = torch.from_numpy(random_mixture(1))
    assert all(t.dtype == torch.float64 for t in MixtureHead.split(parameters))
    assert all(t.dtype == torch.float32 for t in MixtureHead.split(parameters.bfloat16()))


# Both


@pytest.mark.parametrize("form", ["gaussian", "mixture"])
@given(
    target=st.floats(-50, 50), spread=st.floats(-30, 30), error=st.sampled_from([0.0, 1e-4, 1e3])
)
@settings(max_examples=50)
def test_gradients_are_finite_far_from_the_truth(form, target, spread, error):
    head = make_head(form, CONFIG, 3)
    size = 2 if form == "gaussian" else 9
    parameters = torch.full((1, 1, size), 0.5)
    parameters[..., -1] = spread
    parameters.requires_grad_()
    loss = head.loss(parameters, torch.tensor([[target]]), torch.tensor([[error]]))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(parameters.grad).all()


@pytest.mark.parametrize("form", ["gaussian", "mixture"])
def test_every_kind_has_its_own_layer(form):
    head = make_head(form, CONFIG, 6)
    x = torch.randn(4, 3, CONFIG.width)
    head(x, torch.tensor([5, 0, 2])).square().sum().backward()
    touched = head.linear.weight.grad.abs().sum((1, 2)) > 0
    assert touched.tolist() == [True, False, True, False, False, True]
    with torch.no_grad():
        same = head(x[:, [0, 0]], torch.tensor([1, 1]))
        apart = head(x[:, [0, 0]], torch.tensor([1, 4]))
    torch.testing.assert_close(same[:, 0], same[:, 1])
    assert not torch.allclose(apart[:, 0], apart[:, 1])


def test_heads_by_name():
    assert isinstance(make_head("gaussian", CONFIG, 2), GaussianHead)
    assert isinstance(make_head("mixture", CONFIG, 2), MixtureHead)


# Bins of redshift


def test_bins_cover_the_redshifts():
    head = binned_head()
    edges = head.edges.numpy()
    assert edges[0] == 0.0
    assert edges[-2] < math.log1p(CONFIG.redshift_max) <= edges[-1] + 1e-6
    np.testing.assert_allclose(np.diff(edges), 0.005, atol=1e-6)
    logits = head(torch.randn(3, CONFIG.width))
    assert logits.shape == (3, len(edges) - 1)
    assert logits.dtype == torch.float32


def direct_loss(head: BinnedHead, logits, target, error):
    """Cross entropy of one object by scipy, with every step written out."""
    edges = head.edges.double().numpy()
    centre = target * Z.width + Z.loc
    soft = math.hypot(error * Z.width, 0.5 * 0.005)
    share = np.diff(ndtr((edges - centre) / soft))
    share /= share.sum()
    # Log density in scaled units: bins of 0.005 / width.
    density = log_softmax(logits) - math.log(0.005 / Z.width)
    return -(share * density).sum() - ROOT


@given(
    seed=SEEDS,
    z=st.floats(0.0, 1.2),
    error=st.sampled_from([0.0, 0.001, 0.02, 0.3]),
)
@settings(max_examples=60)
def test_binned_loss_agrees_with_a_direct_calculation(seed, z, error):
    head = binned_head()
    logits = np.random.default_rng(seed).normal(0, 3, len(head.edges) - 1)
    target = float(Z.to_scaled(z))
    found = head.loss(
        torch.from_numpy(logits)[None], torch.tensor([target]).double(), torch.tensor([error])
    )
    assert float(found) == pytest.approx(direct_loss(head, logits, target, error), abs=2e-4)
    single = head.loss(
        torch.from_numpy(logits)[None].float(), torch.tensor([target]), torch.tensor([error])
    )
    assert float(single) == pytest.approx(float(found), abs=3e-3)


def test_flat_bins_are_a_uniform_density():
    head = binned_head()
    count = len(head.edges) - 1
    extent = count * 0.005 / Z.width
    found = head.loss(torch.full((1, count), 7.0), torch.tensor([0.4]), torch.tensor([0.0]))
    assert float(found) + ROOT == pytest.approx(math.log(extent), abs=1e-5)


def test_binned_density_integrates_to_one():
    head = binned_head()
    logits = torch.randn((4, len(head.edges) - 1), generator=torch.Generator().manual_seed(2)).mul(
        3
    )
    probability = logits.softmax(-1).numpy()
    np.testing.assert_allclose(probability.sum(1), 1.0, atol=1e-6)
    # As the posterior that users get: density per scaled unit, and per redshift.
    edges = (head.edges.double().numpy() - head.loc) / head.scale
    posterior = Binned(edges, probability)
    fine = np.linspace(edges[0], edges[-1], 20 * len(edges))
    middle = 0.5 * (fine[1:] + fine[:-1])
    density = np.exp(posterior.logpdf(np.tile(middle, (4, 1))))
    np.testing.assert_allclose((density * np.diff(fine)).sum(1), 1.0, atol=0.01)


def test_binned_loss_of_a_smooth_density_is_its_log_density():
    head = binned_head()
    edges = head.edges.double().numpy()
    mean, sigma = math.log1p(0.5), 0.08  # 16 bins wide: softening hardly matters
    share = np.diff(ndtr((edges - mean) / sigma))
    logits = torch.from_numpy(np.log(np.maximum(share, 1e-30)))
    x = np.linspace(0.005, 0.8, 4001)
    y = torch.from_numpy((x - Z.loc) / Z.width)
    every = logits.expand(len(y), -1)
    loss = head.loss(every, y, torch.zeros_like(y)).numpy()
    density = np.exp(-loss - ROOT)
    assert np.trapezoid(density, y.numpy()) == pytest.approx(1.0, abs=0.01)
    near = np.abs(x - mean) < 2 * sigma
    expected = norm.logpdf(x[near], mean, sigma) + math.log(Z.width)
    np.testing.assert_allclose(-loss[near] - ROOT, expected, atol=0.01)


def test_the_binned_loss_is_lowest_where_the_probability_is():
    head = binned_head()
    logits = torch.zeros(1, len(head.edges) - 1)
    logits[0, 60] = 8.0
    inside = (60.5 * 0.005 - Z.loc) / Z.width
    losses = [
        float(head.loss(logits, torch.tensor([inside + shift]), torch.tensor([0.0])))
        for shift in (0.0, 0.01, 0.025, 0.2)
    ]
    assert losses == sorted(losses)
    vague = float(head.loss(logits, torch.tensor([inside]), torch.tensor([0.1])))
    assert vague > losses[0]


@pytest.mark.parametrize("z", [-0.5, -0.004, 0.0, 1.25, 1.3, 9.0])
def test_redshifts_at_and_beyond_the_ends_do_no_harm(z):
    head = binned_head()
    logits = torch.randn((1, len(head.edges) - 1), requires_grad=True)
    target = torch.tensor([float(Z.to_scaled(z))])
    loss = head.loss(logits, target, torch.tensor([0.0]))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(logits.grad).all()
    if 0 <= z <= 1.25:  # inside, the gradient pulls towards the truth
        assert float(logits.grad.abs().max()) > 0.1
