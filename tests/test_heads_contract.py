"""One contract for every scalar head: what it is trained on is what users get."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from small_model import CONFIG, VOCABULARY, make_model, make_objects, predict

from jpassed.annotation.distributions import distribution_of, scaled_distribution
from jpassed.exceptions import UnknownNameError
from jpassed.nn.checkpoint import read_model, write_model
from jpassed.nn.flow_head import BOUND, bend, make_knots, unbend
from jpassed.nn.heads import SCALAR_HEADS, FlowHead, StudentTHead, make_head

ROOT = 0.5 * math.log(2 * math.pi)
SIZES = {"gaussian": 2, "student-t": 3, "mixture": 9, "flow": 25}
every_form = pytest.mark.parametrize("form", SCALAR_HEADS)


def parameters_of(form: str, n: int = 5, seed: int = 1, spread: float = 0.7) -> torch.Tensor:
    """(n, 1, P) of order one, in double precision."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(0, spread, (n, 1, SIZES[form])))


def density(form: str, parameters: torch.Tensor, y: np.ndarray, error: float) -> np.ndarray:
    """Densities (N, Q) that the loss stands for, at values (Q,)."""
    n, q = len(parameters), len(y)
    every = parameters.expand(n, q, -1)
    target = torch.from_numpy(y).expand(n, q)
    loss = SCALAR_HEADS[form].loss(every, target, torch.full_like(target, error))
    return np.exp(-loss.numpy() - ROOT)


def test_the_forms_are_these():
    assert set(SCALAR_HEADS) == set(SIZES)
    with pytest.raises(UnknownNameError, match="unknown head 'flw'.*flow"):
        make_head("flw", CONFIG, 2)


@every_form
def test_parameters_of_every_request(form):
    head = make_head(form, CONFIG, 6)
    found = head(torch.randn(4, 3, CONFIG.width), torch.tensor([5, 0, 2]))
    assert found.shape == (4, 3, SIZES[form])
    assert found.dtype == torch.float32
    assert f"out={SIZES[form]}" in repr(head) or "KindLinear()" in repr(head)


@every_form
@pytest.mark.parametrize("error", [0.0, 0.3])
def test_density_integrates_to_one(form, error):
    u = np.linspace(-1, 1, 1_501 if error else 8_001)
    y = 2.0 * u + 4000.0 * u**7  # dense in the middle, out to where t's tails end
    found = density(form, parameters_of(form), y, error)
    np.testing.assert_allclose(np.trapezoid(found, y, axis=1), 1.0, atol=2e-3)


@every_form
def test_the_label_error_convolves_the_density(form):
    parameters, error = parameters_of(form, spread=0.5), 0.4
    y = np.linspace(-12, 12, 4801)
    exact = density(form, parameters, y, 0.0)
    kernel = stats.norm.pdf(np.arange(-640, 641) * (y[1] - y[0]), 0, error) * (y[1] - y[0])
    direct = np.array([np.convolve(row, kernel, "same") for row in exact])
    found = density(form, parameters, y, error)
    inside = np.abs(y) < 6
    peak = direct.max(axis=1, keepdims=True)
    # Exact but for sums over nodes; the flow's is the coarsest.
    limit = 0.02 if form == "flow" else 1e-3
    assert (np.abs(found - direct)[:, inside] < limit * peak).all()


@every_form
@given(seed=st.integers(0, 10_000), error=st.sampled_from([0.0, 0.3]))
@settings(max_examples=25, deadline=None)
def test_users_get_the_density_that_was_trained(form, seed, error):
    parameters = parameters_of(form, seed=seed)
    d = scaled_distribution(make_head(form, CONFIG, 1), parameters[:, 0])
    y = np.random.default_rng(seed).normal(0, 1.5, 5)
    loss = SCALAR_HEADS[form].loss(
        parameters, torch.from_numpy(y)[:, None], torch.full((5, 1), error).double()
    )
    found = d.logpdf(y, np.full(5, error)) if error else d.logpdf(y)
    np.testing.assert_allclose(found, -loss[:, 0].numpy() - ROOT, rtol=1e-6, atol=1e-5)
    q = np.array([0.01, 0.4, 0.97])
    np.testing.assert_allclose(d.cdf(d.quantile(q)), np.tile(q, (5, 1)), atol=1e-7)
    assert np.isfinite(d.mean()).all() and (d.std() > 0).all()


@every_form
@given(
    target=st.floats(-50, 50), spread=st.floats(-30, 30),
    error=st.sampled_from([0.0, 1e-4, 1e3]), place=st.integers(0, 24),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_gradients_are_finite_far_from_the_truth(form, target, spread, error, place):
    parameters = torch.full((1, 1, SIZES[form]), 0.5)
    parameters[..., place % SIZES[form]] = spread
    parameters.requires_grad_()
    loss = SCALAR_HEADS[form].loss(parameters, torch.tensor([[target]]), torch.tensor([[error]]))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(parameters.grad).all()


@every_form
def test_a_head_can_sharpen_to_a_ten_thousandth(form):
    quantiles = (torch.arange(200, dtype=torch.float64) + 0.5) / 200
    target = 0.3 + 1e-4 * torch.special.ndtri(quantiles).unsqueeze(0)
    raw = torch.zeros(1, 1, SIZES[form], dtype=torch.float64)
    if form == "mixture":
        raw[..., 3:6] = torch.tensor([-0.5, 0.2, 0.9])  # apart, as they start in training
    raw.requires_grad_()
    optimiser = torch.optim.LBFGS(
        [raw], max_iter=400, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def objective() -> torch.Tensor:
        optimiser.zero_grad()
        every = raw.expand(1, 200, -1)
        loss = SCALAR_HEADS[form].loss(every, target, torch.zeros_like(target)).mean()
        loss.backward()
        return loss

    optimiser.step(objective)
    loss = objective()
    d = scaled_distribution(make_head(form, CONFIG, 1), raw.detach()[0])
    low, middle, high = d.quantile([0.16, 0.5, 0.84])[0]
    assert middle == pytest.approx(0.3, abs=2e-5)
    assert (high - low) / 2 == pytest.approx(1e-4, rel=0.15)
    best = stats.norm.logpdf(target.numpy(), 0.3, 1e-4).mean()
    assert float(-loss) - ROOT == pytest.approx(best, abs=0.05)


@every_form
def test_single_precision_is_enough_for_a_sharp_head(form):
    parameters = torch.zeros(1, 1, SIZES[form], dtype=torch.float64)
    parameters[..., 0], parameters[..., 1] = 1.3, math.log(1e-4)
    if form == "gaussian":
        parameters[..., 1] *= 2
    if form == "mixture":
        parameters[..., :3], parameters[..., 3:6], parameters[..., 6:] = 0.0, 1.3, math.log(1e-4)
    y = torch.tensor([[1.3 + 5e-5]], dtype=torch.float64)
    double = SCALAR_HEADS[form].loss(parameters, y, torch.zeros_like(y))
    single = SCALAR_HEADS[form].loss(parameters.float(), y.float(), torch.zeros(1, 1))
    assert float(single) == pytest.approx(float(double), abs=0.01)


@every_form
def test_heads_are_saved_and_read(form, tmp_path):
    changes = {"head_real": form, "head_redshift": form}
    model = make_model(**changes)
    config = replace(CONFIG, **changes)
    loaded = read_model(write_model(tmp_path, model.state_dict(), config, {}, VOCABULARY)).network
    assert loaded.config == config and type(loaded.head) is type(model.head)
    names, context = ("z", "av", "ew_halpha", "flux:p2"), make_objects().context()
    answers = [predict(m, context, names) for m in (model, loaded)]
    scale = context.log_scale.numpy().astype(np.float64)
    for i, name in enumerate(names):
        kind = VOCABULARY[name.split(":")[0]]
        one, other = (
            distribution_of(m, a, i, kind, scale)
            for m, a in zip((model, loaded), answers, strict=True)
        )
        assert repr(one) == repr(other) and len(one) == 6
        assert (one.lower, one.upper) == (other.lower, other.upper)
        both = [d.cdf(one.median()) for d in (one, other)]
        np.testing.assert_allclose(both[1], both[0], atol=0.02)
        assert np.isfinite(one.mean()).all() and np.isfinite(one.std()).all()


# Student-t


@given(t=st.floats(-40, 40), log_scale=st.floats(-9, 2), log_dof=st.floats(-6, 5.9))
@settings(max_examples=60)
def test_student_t_loss_is_its_log_density(t, log_scale, log_dof):
    scale = math.exp(log_scale)
    parameters = torch.tensor([[[0.3, log_scale, log_dof]]], dtype=torch.float64)
    y = torch.tensor([[0.3 + t * scale]], dtype=torch.float64)
    loss = StudentTHead.loss(parameters, y, torch.zeros_like(y))
    expected = stats.t.logpdf(float(y), 2 + math.exp(log_dof), 0.3, scale)
    assert -float(loss) - ROOT == pytest.approx(expected, abs=1e-5)


def test_a_student_t_of_many_degrees_of_freedom_is_a_gaussian():
    y = torch.linspace(-1, 1.2, 13).double()[None]
    sharp = torch.tensor([[[0.1, -0.5, 50.0]]]).double().expand(1, 13, 3)
    gaussian = torch.tensor([[[0.1, -1.0]]]).double().expand(1, 13, 2)
    for error, limit in ((0.0, 0.02), (0.7, 0.02)):
        errors = torch.full_like(y, error)
        one = StudentTHead.loss(sharp, y, errors)
        other = SCALAR_HEADS["gaussian"].loss(gaussian, y, errors)
        torch.testing.assert_close(one, other, atol=limit, rtol=limit)


# Flow


def test_a_flow_of_zeros_is_a_gaussian():
    y = torch.linspace(-8, 8, 33).double()[None]
    raw = torch.zeros(1, 33, 25).double()
    raw[..., 0], raw[..., 1] = 0.4, math.log(0.8)
    gaussian = torch.tensor([0.4, 2 * math.log(0.8)]).double().expand(1, 33, 2)
    for error in (0.0, 0.5):
        errors = torch.full_like(y, error)
        one = FlowHead.loss(raw, y, errors)
        other = SCALAR_HEADS["gaussian"].loss(gaussian, y, errors)
        # The tails of the mixture that stands for the noisy density end at four sigma.
        near = (y - 0.4).abs() < (9.0 if error == 0 else 2.5)
        torch.testing.assert_close(one[near], other[near], atol=2e-3, rtol=2e-3)


@given(seed=st.integers(0, 10_000), wild=st.floats(0.1, 8.0))
@settings(max_examples=40, deadline=None)
def test_the_spline_inverts_and_has_its_slope(seed, wild):
    rng = np.random.default_rng(seed)
    knots = make_knots(torch.from_numpy(rng.normal(0, wild, (1, 23))).expand(50, 23))
    u = torch.from_numpy(np.sort(rng.uniform(-1.3 * BOUND, 1.3 * BOUND, 50))).requires_grad_()
    v, log_slope = bend(u, knots)
    assert (v.diff() >= 0).all()
    (slope,) = torch.autograd.grad(v.sum(), u)
    torch.testing.assert_close(log_slope.exp(), slope, rtol=1e-6, atol=1e-8)
    back, again = unbend(v.detach(), knots)
    torch.testing.assert_close(bend(back, knots)[0], v, atol=1e-8, rtol=1e-8)
    assert torch.isfinite(again).all()


def test_the_spline_is_that_of_zuko():
    transforms = pytest.importorskip("zuko.transforms")
    raw = torch.from_numpy(np.random.default_rng(4).normal(0, 1, (200, 23)))
    knots = make_knots(raw)
    theirs = transforms.MonotonicRQSTransform(raw[..., :8], raw[..., 8:16], raw[..., 16:], BOUND)
    theirs.horizontal, theirs.vertical, theirs.derivatives = knots
    u = torch.linspace(-6, 6, 200, dtype=torch.float64)
    v, log_slope = bend(u, knots)
    other, ladj = theirs.call_and_ladj(u)
    torch.testing.assert_close(v, other)
    torch.testing.assert_close(log_slope, ladj)
    torch.testing.assert_close(unbend(v, knots)[0], theirs.inv(v), atol=1e-6, rtol=1e-6)
