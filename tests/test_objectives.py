"""The reference objective: the published likelihood of what was asked."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_model import PASSBANDS, REQUESTED, VOCABULARY, make_model, make_objects

from jpassed.nn.model import Prediction
from jpassed.objectives import request_nll
from jpassed.tokens import build_requests

SEEDS = st.integers(0, 10_000)
GAUSSIAN = make_model(head_real="gaussian", head_redshift="gaussian")
MIXTURE = make_model()
N, R = 8, len(REQUESTED)
REDSHIFT = REQUESTED.index("z")


def random_case(seed: int, size: int) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(seed)
    error = 10 ** rng.uniform(-3, 0.5, (N, R)) * rng.integers(0, 2, (N, R))
    return {
        "parameters": torch.from_numpy(rng.normal(0, 1.5, (N, R, size))),
        "target": torch.from_numpy(rng.normal(0, 1.5, (N, R))),
        "error": torch.from_numpy(error),
        "asked": torch.from_numpy(rng.random((N, R)) < 0.7),
        "weight": torch.from_numpy(rng.uniform(0.2, 5.0, N)),
    }


def reference(case: dict[str, torch.Tensor], weighted: bool) -> tuple[np.ndarray, np.ndarray]:
    """Leung & Bovy (2024), eq. 3, averaged over objects: loops over numpy floats."""
    a = {name: tensor.numpy() for name, tensor in case.items()}
    loss, counts = np.zeros(R), np.zeros(R)
    for r in range(R):
        for i in range(N):
            if a["asked"][i, r]:
                mu, log_variance = a["parameters"][i, r]
                s2 = np.exp(log_variance) + a["error"][i, r] ** 2
                w = a["weight"][i] if weighted else 1.0
                loss[r] += w * ((a["target"][i, r] - mu) ** 2 / (2 * s2) + 0.5 * np.log(s2))
                counts[r] += w
    return loss / np.where(counts > 0, counts, 1), counts


@given(seed=SEEDS, weighted=st.booleans())
@settings(max_examples=40)
def test_objective_is_the_published_likelihood_to_the_digit(seed, weighted):
    case = random_case(seed, 2)
    loss, counts = request_nll(
        GAUSSIAN,
        Prediction(REQUESTED, case["parameters"], None),
        case["target"],
        case["error"],
        case["asked"],
        case["weight"] if weighted else None,
    )
    expected, numbers = reference(case, weighted)
    np.testing.assert_allclose(loss, expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(counts, numbers, rtol=1e-12)


@given(seed=SEEDS, factor=st.floats(1e-2, 1e2))
@settings(max_examples=20)
def test_only_the_ratios_of_the_weights_matter(seed, factor):
    case = random_case(seed, 2)
    prediction = Prediction(REQUESTED, case["parameters"], None)
    common = (case["target"], case["error"], case["asked"])
    one, _ = request_nll(GAUSSIAN, prediction, *common, case["weight"])
    other, _ = request_nll(GAUSSIAN, prediction, *common, factor * case["weight"])
    np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def test_weights_correct_a_biased_draw():
    # Rare objects drawn w times as often, their loss divided by w: the mean over the prior.
    rng = np.random.default_rng(2)
    y = np.where(np.arange(60_000) % 10 == 0, 3.0, 0.0)  # one in ten is rare
    w = np.where(y > 0, 6.0, 1.0)
    drawn = rng.choice(len(y), 60_000, p=w / w.sum())
    parameters = torch.zeros(60_000, 1, 2, dtype=torch.float64)
    zero = torch.zeros(60_000, 1, dtype=torch.float64)
    asked = torch.ones(60_000, 1, dtype=torch.bool)

    def mean(values, weight):
        target = torch.from_numpy(values)[:, None]
        found, _ = request_nll(
            GAUSSIAN, Prediction(("av",), parameters, None), target, zero, asked, weight
        )
        return float(found)

    prior = mean(y, None)
    assert prior == pytest.approx(0.1 * 4.5)
    assert mean(y[drawn], torch.from_numpy(1 / w[drawn])) == pytest.approx(prior, rel=0.03)
    assert mean(y[drawn], None) > 3 * prior


@pytest.mark.parametrize("model", [GAUSSIAN, MIXTURE], ids=["gaussian", "mixture and bins"])
@pytest.mark.parametrize("junk", [float("nan"), float("inf"), 1e30])
def test_what_is_not_asked_changes_neither_loss_nor_gradient(model, junk):
    objects = make_objects(N)
    requests = build_requests(REQUESTED, VOCABULARY, PASSBANDS)
    case = random_case(1, 2)
    asked = case["asked"]
    results = []
    for filler in (0.0, junk):
        model.zero_grad()
        loss, counts = request_nll(
            model,
            model(objects.context(), requests),
            torch.where(asked, case["target"], filler).float(),
            torch.where(asked, case["error"], filler).float(),
            asked,
            case["weight"].float(),
        )
        loss.sum().backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        results.append((loss.detach(), counts, gradient))
    for clean, dirty in zip(*results, strict=True):
        assert torch.isfinite(dirty).all()
        assert torch.equal(clean, dirty)


def test_a_request_that_nobody_was_asked_costs_nothing():
    case = random_case(4, 2)
    asked = case["asked"].clone()
    asked[:, 2] = False
    parameters = case["parameters"].requires_grad_()
    loss, counts = request_nll(
        GAUSSIAN, Prediction(REQUESTED, parameters, None), case["target"], case["error"], asked
    )
    assert loss[2].item() == 0.0 and counts[2].item() == 0.0
    loss.sum().backward()
    assert not parameters.grad[:, 2].any()
    assert parameters.grad[:, 3].any()


def test_redshift_comes_from_its_bins():
    case = random_case(3, 3 * 3)
    head = MIXTURE.redshift_head
    bins = len(head.edges) - 1
    logits = torch.from_numpy(np.random.default_rng(1).normal(0, 2, (N, bins)))
    target = case["target"].clone()
    target[:, REDSHIFT] = torch.linspace(-1.4, 2.2, N)
    arguments = (target, case["error"], torch.ones(N, R, dtype=torch.bool))
    loss, _ = request_nll(MIXTURE, Prediction(REQUESTED, case["parameters"], logits), *arguments)
    without, _ = request_nll(MIXTURE, Prediction(REQUESTED, case["parameters"], None), *arguments)
    expected = head.loss(logits, target[:, REDSHIFT], case["error"][:, REDSHIFT]).mean()
    assert float(loss[REDSHIFT]) == pytest.approx(float(expected), rel=1e-9)
    assert float(without[REDSHIFT]) != pytest.approx(float(expected), rel=1e-3)
    others = [i for i in range(R) if i != REDSHIFT]
    assert torch.equal(loss[others], without[others])
    # Comparable constants: a uniform density scores its logarithm, less 1/2 log(2 pi).
    flat, _ = request_nll(
        MIXTURE,
        Prediction(REQUESTED, case["parameters"], torch.zeros(N, bins)),
        target,
        torch.zeros(N, R),
        arguments[2],
    )
    extent = bins * head.step / head.scale
    assert float(flat[REDSHIFT]) == pytest.approx(
        math.log(extent) - 0.5 * math.log(2 * math.pi), abs=1e-4
    )


def test_a_step_along_the_gradient_lowers_the_loss():
    model = make_model(seed=3).train()
    objects = make_objects(32)
    requests = build_requests(REQUESTED, VOCABULARY, PASSBANDS)
    context = objects.context()
    target, error = torch.full((32, R), 0.3), torch.full((32, R), 0.1)
    asked = torch.ones(32, R, dtype=torch.bool)

    def total() -> torch.Tensor:
        return request_nll(model, model(context, requests), target, error, asked)[0].sum()

    before = total()
    before.backward()
    norm = torch.sqrt(sum((p.grad**2).sum() for p in model.parameters() if p.grad is not None))
    with torch.no_grad():
        for p in model.parameters():
            if p.grad is not None:
                p -= 1e-3 * p.grad / norm
        after = total()
    assert (before - after).item() == pytest.approx(1e-3 * norm.item(), rel=0.1)
