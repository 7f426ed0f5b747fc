"""Refinement: coordinates, weights, flows, marginals, the prior."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jpassed.exceptions import InputError
from jpassed.posteriors import GaussianMixture
from jpassed.refinement.coordinates import (
    CORE,
    NAMES,
    Cosmology,
    from_coordinates,
    to_coordinates,
)
from jpassed.refinement.flow import AutoregressiveMixture, ReadOut
from jpassed.refinement.importance import (
    effective_number,
    log_evidence,
    pareto_smoothed,
    weighted_quantiles,
)
from jpassed.refinement.marginals import marginal
from jpassed.refinement.prior import SkyPrior
from jpassed.refinement.refiner import running_mean
from jpassed.simulator.cosmology import FlatUniverse
from jpassed.vocabulary import load_vocabulary

COSMOLOGY = Cosmology()


def random_labels(n: int, seed: int) -> dict[str, torch.Tensor]:
    """Labels inside the support of every kind."""
    rng = np.random.default_rng(seed)
    words = load_vocabulary()
    out = {}
    for name in words.scalars:
        kind = words[name]
        y = rng.uniform(-1.2, 1.2, n)
        low, high = max(kind.lower, -50.0), kind.upper
        if name.startswith(("ew", "av", "tau")):
            low = max(low, 0.05)
        out[name] = torch.tensor(np.clip(kind.from_scaled(y), low, high))
    out["z"] = torch.tensor(rng.uniform(0.002, 1.19, n))
    out["t0"] = torch.tensor(rng.uniform(0.2, 0.98, n)) * COSMOLOGY.age(out["z"])
    return out


@given(st.integers(0, 10**6))
def test_coordinates_come_back(seed):
    labels = random_labels(5, seed)
    mag = torch.tensor(np.random.default_rng(seed).uniform(16.0, 23.0, 5))
    back = from_coordinates(to_coordinates(labels, mag, COSMOLOGY).double(), COSMOLOGY)
    assert set(labels) | {"mag"} == set(back)
    for name, value in labels.items():
        np.testing.assert_allclose(back[name], value, rtol=2e-5, atol=3e-5, err_msg=name)
    np.testing.assert_allclose(back["mag"], mag, atol=1e-5)


def test_an_equivalent_width_below_zero_becomes_zero():
    labels = random_labels(3, 1)
    labels["ew_nii"] = torch.tensor([-4.0, 0.0, 7.0], dtype=torch.float64)
    theta = to_coordinates(labels, torch.full((3,), 20.0), COSMOLOGY)
    back = from_coordinates(theta, COSMOLOGY)["ew_nii"]
    np.testing.assert_allclose(back, [0.0, 0.0, 7.0], atol=1e-5)


def test_distances_and_ages_are_those_of_the_universe():
    z = np.array([0.003, 0.1, 0.55, 1.19])
    universe = FlatUniverse()
    modulus, age = COSMOLOGY.modulus(torch.tensor(z)), COSMOLOGY.age(torch.tensor(z))
    np.testing.assert_allclose(modulus, universe.distance_modulus(z), atol=1e-5)
    np.testing.assert_allclose(age, universe.age(z), atol=1e-5)


# --- weights


def test_evidence_of_a_gaussian_is_known():
    """Prior N(0, 1), one datum 0.7 with error 0.5, proposal N(0, 2): evidence N(0.7; 0, 1.25)."""
    x = 2.0 * np.random.default_rng(2).standard_normal((3, 40000))
    log_w = -0.5 * x**2 - 0.5 * ((0.7 - x) / 0.5) ** 2 + 0.5 * (x / 2) ** 2 + np.log(2.0 / 0.5)
    log_w -= 0.5 * np.log(2 * np.pi)
    expected = -0.5 * 0.7**2 / 1.25 - 0.5 * np.log(2 * np.pi * 1.25)
    np.testing.assert_allclose(log_evidence(log_w), expected, atol=0.03)
    smoothed, k = pareto_smoothed(log_w)
    np.testing.assert_allclose(log_evidence(smoothed), expected, atol=0.03)
    assert (k < 0.5).all()


def test_effective_number_of_equal_and_of_single_weights():
    log_w = np.array([[3.0] * 50, [0.0] + [-np.inf] * 49, [-np.inf] * 50])
    np.testing.assert_allclose(effective_number(log_w), [50.0, 1.0, 0.0])
    assert log_evidence(log_w)[0] == pytest.approx(3.0)
    assert log_evidence(log_w)[2] == -np.inf


@pytest.mark.parametrize("shape", [0.2, 0.5, 1.0])
def test_the_tail_shape_of_pareto_weights_is_found(shape):
    u = np.random.default_rng(4).uniform(size=(30, 4000))
    _, k = pareto_smoothed(-shape * np.log(u))
    assert np.mean(k) == pytest.approx(shape, abs=0.1)


def test_smoothing_changes_the_tail_alone_and_never_beyond_the_largest():
    log_w = np.random.default_rng(5).standard_normal((4, 1000)) * 2
    smoothed, _ = pareto_smoothed(log_w)
    count = int(min(200, 3 * np.sqrt(1000)))
    low = np.argsort(log_w, axis=1)[:, :-count]
    taken = [np.take_along_axis(v, low, 1) for v in (log_w, smoothed)]
    np.testing.assert_array_equal(*taken)
    assert (smoothed.max(axis=1) <= log_w.max(axis=1) + 1e-12).all()


def test_too_few_draws_are_refused():
    with pytest.raises(InputError, match="at least 25 draws"):
        pareto_smoothed(np.zeros((2, 10)))


def test_weighted_quantiles_of_repeated_draws():
    x = np.random.default_rng(6).standard_normal((2, 3000))
    weight = np.exp(x)  # turns N(0, 1) into N(1, 1)
    found = weighted_quantiles(x, weight, np.array([0.16, 0.5, 0.84]))
    np.testing.assert_allclose(found, [[0.006, 1.0, 1.994]] * 2, atol=0.15)


def test_a_marginal_keeps_median_and_width():
    kind = load_vocabulary()["logmstar"]
    x = 10.0 + 0.3 * np.random.default_rng(7).standard_normal((3, 4000))
    weight = np.full(x.shape, 1.0 / x.shape[1])
    found = marginal(x, weight, np.full(3, 4000.0), kind)
    assert isinstance(found, GaussianMixture)
    np.testing.assert_allclose(found.median(), 10.0, atol=0.02)
    low, high = found.quantile([0.16, 0.84]).T
    np.testing.assert_allclose((high - low) / 2, 0.298, rtol=0.08)
    exact = -np.log(0.3 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(found.logpdf(np.full(3, 10.0)), exact, atol=0.12)


def test_a_marginal_of_few_effective_draws_is_smoother_but_not_wider():
    kind = load_vocabulary()["av"]
    x = np.abs(np.random.default_rng(8).standard_normal((1, 2000)) * 0.1 + 1.0)
    x = np.concatenate([x, x])
    x[:, ::2] += 1.0
    weight = np.full(x.shape, 1.0 / x.shape[1])
    found = marginal(x, weight, np.array([20.0, 2000.0]), kind)
    between = found.pdf(np.array([[1.5]]))[:, 0]
    assert between[0] > 1.5 * between[1]
    np.testing.assert_allclose(found.std(), x.std(axis=1), rtol=0.03)
    assert (found.cdf(np.full(2, 0.0)) <= 1e-6).all()


# --- flows


def make_flow(context: int = 5) -> AutoregressiveMixture:
    torch.manual_seed(3)
    flow = AutoregressiveMixture(1, 4, 5, context=context, width=12, components=3)
    flow.loc.copy_(torch.tensor([0.3, 20.0, 0.0, 1.0, 2.0]))
    flow.root.copy_(torch.diag(torch.tensor([0.2, 1.5, 0.1, 2.0, 1.0])))
    flow.root[3, 1] = 0.7
    return flow


def test_draws_carry_their_own_density():
    flow = make_flow()
    described = flow.described(torch.randn(2, 5))
    rows = torch.tensor([0, 0, 1, 1, 1])
    theta = torch.zeros(5, 5)
    theta[:, 0] = torch.linspace(0.1, 0.7, 5)
    stated = flow.draw(theta, described, rows, torch.Generator().manual_seed(1))
    np.testing.assert_allclose(stated, flow.log_density(theta, described, rows).detach(), atol=2e-4)
    assert (theta[:, 4] == 0).all()


def test_a_density_integrates_to_one_and_looks_only_back():
    flow = make_flow(context=0)
    grid = torch.linspace(-40.0, 40.0, 20001)
    theta = flow.loc.repeat(len(grid), 1).clone()
    theta[:, 2] = grid * flow.root[2, 2] + flow.loc[2]
    density = flow.log_density(theta, flow.described(None)).detach()
    assert torch.trapezoid(density[1].exp(), grid).item() == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_allclose(density[0], density[0, 0], atol=1e-5)
    assert density[2].std() > 0


def test_the_read_out_does_not_see_hidden_tokens():
    torch.manual_seed(5)
    read_out = ReadOut(12, size=7, heads=2)
    tokens = torch.randn(3, 4, 12)
    bias = torch.zeros(3, 1, 1, 4)
    bias[..., 3] = -1e9
    other = tokens.clone()
    other[:, 3] += 10.0
    np.testing.assert_allclose(
        read_out(tokens, bias).detach(), read_out(other, bias).detach(), atol=1e-6
    )
    assert not torch.allclose(read_out(tokens, None), read_out(other, None))


# --- the prior


def test_the_prior_of_redshift_and_magnitude_is_normalised():
    sky = SkyPrior()
    rng = torch.Generator().manual_seed(1)
    zeta = torch.rand(200000, generator=rng) * float(np.log(2.2))
    mag = 12.5 + 11.5 * torch.rand(200000, generator=rng)
    mean = sky.log_density(zeta, mag).exp().mean().item() * 11.5 * float(np.log(2.2))
    assert mean == pytest.approx(1.0, abs=0.03)
    outside = sky.log_density(torch.tensor([0.9, 0.3]), torch.tensor([20.0, 24.5]))
    assert (outside == -torch.inf).all()


def test_the_running_mean_keeps_the_sum():
    p = torch.zeros(1, 9)
    p[0, 4] = 2.0
    smooth = running_mean(p)
    assert smooth.sum().item() == pytest.approx(1.0)
    np.testing.assert_allclose(smooth[0, 3:6], 1 / 3)


def test_core_coordinates_hold_all_that_the_spectrum_needs():
    assert NAMES[:2] == ("zeta", "mag")
    assert {n for n in NAMES[:CORE] if n.startswith("ew_")} == {
        f"ew_{k}" for k in ("halpha", "oiii", "oii", "hbeta", "nii", "sii")
    }


def test_galaxies_stand_where_their_normal_numbers_stand():
    """The map from normal numbers keeps their order, and the density of what it gives is stated."""
    flow = make_flow(context=0)
    theta = flow.loc.repeat(401, 1).clone()
    normal = torch.zeros(401, 3)
    normal[:, 0] = torch.linspace(-3.5, 3.5, 401)
    generator = torch.Generator().manual_seed(1)
    rows = torch.zeros(401, dtype=torch.int64)
    density = flow.draw(theta, flow.described(None), rows, generator, normal=normal)[0].detach()
    y = flow.standard(theta)[:, 1].detach()
    assert (y.diff() > 0).all()
    # p(y) dy = N(u) du
    slope = y.diff() / normal[:, 0].diff()
    middle = 0.5 * (normal[1:, 0] + normal[:-1, 0])
    expected = torch.exp(-0.5 * middle**2) / np.sqrt(2 * np.pi)
    found = torch.exp(0.5 * (density[1:] + density[:-1])) * slope
    np.testing.assert_allclose(found, expected, rtol=0.05, atol=1e-4)
