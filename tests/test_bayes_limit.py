"""The benchmark of the information limit: likelihood, importance sampling, particles, scores."""

from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from simulator_grids import toy_bands, toy_grid

from jpassed.simulator import GalaxySimulator
from jpassed.simulator.noise import NoiseModel


@pytest.fixture(scope="module")
def limit(project_root):
    """The benchmark's modules."""
    folder = str(project_root / "benchmarks")
    sys.path.insert(0, folder)
    try:
        names = ("likelihood", "library", "sampler", "scores", "compare", "run")
        yield SimpleNamespace(**{n: importlib.import_module(f"limit_{n}") for n in names})
    finally:
        sys.path.remove(folder)


@pytest.fixture(scope="module")
def noise_arrays():
    size = len(toy_bands())
    reference = np.zeros(size)
    reference[-2] = 1.0
    return {
        "depth5": np.full((2, size), 23.5), "depth_jitter": np.full(size, 0.1),
        "poisson": np.full(size, 0.003), "floor": np.zeros(size),
        "zp_scatter": np.full(size, 0.02), "aperture_scale": np.full(size, 1.24),
        "aperture_power": np.full(size, 0.525), "aperture_max": np.full(size, 10.0),
        "reference_weight": reference, "aperture_scatter": 0.3, "aperture_pivot": 36.31,
        "ab_zeropoint": 3631e6,
    }  # fmt: skip


@pytest.fixture(scope="module")
def forward(limit, noise_arrays):
    simulator = GalaxySimulator(toy_grid(), toy_bands(), balance=0.0, chunk=512)
    return limit.likelihood.Forward(simulator, noise_arrays, chunk=256)


@pytest.fixture(scope="module")
def objects(limit, forward, noise_arrays):
    return limit.library.draw_objects(forward, NoiseModel(noise_arrays), 19.0, 20.0, 40, 0)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(photometry, limit, n, o=0):
    return photometry[torch.full((n,), o)]


def test_objects_are_of_their_bin(limit, forward, noise_arrays, objects):
    mag = -2.5 * torch.log10(objects.photometry.flux[:, forward.r] / 3631e6)
    assert (mag >= 19.0).all() and (mag < 20.0).all()
    fewer = limit.library.draw_objects(forward, NoiseModel(noise_arrays), 19.0, 20.0, 10, 0)
    assert torch.equal(fewer.photometry.flux, objects.photometry.flux[:10])
    latents = forward.latents(objects.truth.x, objects.template)
    z = torch.expm1(objects.truth.zeta)
    again, _ = forward.simulator.render(z, objects.truth.mag, objects.truth.red, latents)
    torch.testing.assert_close(again.labels["logmstar"], objects.labels["logmstar"], atol=1e-3,
                               rtol=0)  # fmt: skip


def test_likelihood_is_the_gaussian_of_the_summed_covariance(forward, objects):
    from scipy.stats import multivariate_normal

    p, own = objects.truth[slice(0, 5)], objects.photometry[slice(0, 5)]
    value = forward.log_likelihood(p, own)
    z = torch.expm1(p.zeta)
    sample, lines = forward.simulator.render(z, p.mag, p.red, forward.latents(p.x))
    for i in range(5):
        flux = sample.bandflux[i].double().numpy()
        functions = forward.template[int(forward.grid(p.zeta[i]))].double().numpy()
        amplitude = float(torch.exp(forward.spread * p.x[i, forward.amplitude]))
        scale = np.full(len(functions), amplitude)
        scale[len(forward.smooth) :] = forward.mode_sigma[sample.kind[i]].numpy()
        design = functions * scale[:, None] * flux * (1 - lines[i].double().numpy())
        variance = forward.variance(sample.bandflux[[i]], own[slice(i, i + 1)])[0].double().numpy()
        normal = multivariate_normal(flux, design.T @ design + np.diag(variance))
        expected = normal.logpdf(own.flux[i].double().numpy())
        assert value[i].item() + 0.5 * len(flux) * -np.log(2 * np.pi) == pytest.approx(
            expected, abs=0.02
        )


def test_a_hidden_band_says_nothing(limit, forward, objects):
    own = objects.photometry[slice(0, 4)]
    observed = own.observed.clone()
    observed[:, 3] = False
    one = limit.likelihood.Photometry(own.flux, own.error, observed)
    flux = own.flux.clone()
    flux[:, 3] *= 5.0
    two = limit.likelihood.Photometry(flux, own.error, observed)
    p = objects.truth[slice(0, 4)]
    torch.testing.assert_close(forward.log_likelihood(p, one), forward.log_likelihood(p, two))
    assert (forward.log_likelihood(p, one) != forward.log_likelihood(p, own)).all()


def test_no_likelihood_outside_the_prior(limit, forward, objects):
    p = objects.truth[slice(0, 2)]
    outside = limit.likelihood.Particles(torch.tensor([-0.1, 1.0]), p.mag, p.red, p.x)
    own = objects.photometry[slice(0, 2)]
    assert torch.isneginf(forward.log_likelihood(outside, own)).all()


def test_completed_draws_follow_the_exact_likelihood(forward, objects):
    """Reweighted conditional draws estimate the same evidence as prior draws of the template."""
    n = 4000
    o = int(objects.truth.x[:, forward.amplitude].argmin())
    p, own = objects.truth[torch.full((n,), o)], objects.photometry[torch.full((n,), o)]
    linear = forward.log_likelihood(p[slice(0, 1)], own[slice(0, 1)]).item()
    _, _, weight = forward.complete(p, own, generator(11))
    assert weight.std() < 1.0
    exact = linear + torch.logsumexp(weight.double(), 0).item() - np.log(n)
    template = torch.randn(n, forward.template.shape[1], generator=generator(12))
    z = torch.expm1(p.zeta)
    sample, _ = forward.simulator.render(z, p.mag, p.red, forward.latents(p.x, template))
    variance = forward.variance(sample.bandflux, own)
    log = -0.5 * ((own.flux - sample.bandflux) ** 2 / variance + torch.log(variance)).sum(1)
    brute = torch.logsumexp(log.double(), 0).item() - np.log(n)
    assert exact == pytest.approx(brute, abs=0.7)


def test_importance_sampling_finds_the_truth(limit, forward, objects):
    library = limit.library.Library(forward, 19.0, 20.0, 6000)
    own = objects.photometry[slice(0, 1)]
    p, prior, like = library.propose(own, 1500, generator(13))
    assert 1000 < len(p) < 2200
    again = forward.log_likelihood(p, rows(objects.photometry, limit, len(p)))
    torch.testing.assert_close(again, like, atol=0.3, rtol=0)
    weight = torch.softmax((prior + 0.3 * like).double(), 0)
    mean = float((weight * p.zeta).sum())
    spread = float((weight * (p.zeta - mean) ** 2).sum() ** 0.5)
    assert abs(mean - float(objects.truth.zeta[0])) < 5 * spread + 0.01


def test_library_weights_are_those_of_the_prior(limit, forward):
    """Draws that keep their own magnitude have, on average over the window, the same weight."""
    library = limit.library.Library(forward, 19.0, 20.0, 4000)
    total = torch.zeros(4000)
    for mag in np.arange(library.low, library.high, 0.05) + 0.025:
        here = torch.full((4000,), float(mag))
        log = library.log_weight(library.zeta, here, library.red, library.log_mass)
        total += torch.exp(log - library.log_drawn) * 0.05
    torch.testing.assert_close(total, torch.ones(4000), atol=2e-3, rtol=0)


def test_effective_numbers_and_tails(limit):
    assert limit.library.effective(torch.zeros(50)) == pytest.approx(50.0)
    assert limit.library.effective(torch.tensor([0.0, -100.0])) == pytest.approx(1.0)
    u = torch.rand(20000, generator=generator(14), dtype=torch.float64)
    for k in (0.3, 0.9):
        log_weight = torch.log((u**-k - 1.0) / k + 1e-9)
        assert limit.library.pareto_k(log_weight) == pytest.approx(k, abs=0.15)


def test_systematic_resampling_keeps_shares(limit):
    log = torch.log(torch.tensor([[0.5, 0.25, 0.25, 1e-30]]))
    drawn = limit.sampler.systematic(log, 400, generator(15))
    counts = torch.bincount(drawn[0], minlength=4).tolist()
    assert counts == [200, 100, 100, 0]


class Analytic:
    """A stand-in for `Forward`: Gaussian prior and Gaussian likelihood in every coordinate."""

    log_mass = 0
    amplitude = 1

    def column(self, name: str) -> int:
        return 2

    def mean_log_mass(self, zeta, mag, red):
        return 0.02 * mag

    def log_prior(self, p):
        return -0.5 * ((p.zeta - 0.3) ** 2 / 0.01 + (p.mag - 20) ** 2) - 0.5 * (p.x**2).sum(1)

    def log_likelihood(self, p, own):
        parts = torch.cat([10 * (p.zeta[:, None] - 0.3), p.mag[:, None] - 20, p.x], 1)
        return -0.5 * ((parts - own.flux) ** 2 / own.error**2).sum(1)


def test_particles_reach_a_known_posterior(limit):
    forward, size, width = Analytic(), 200, 8
    data = torch.randn(3, width, generator=generator(16))
    error = torch.full((3, width), 0.5)
    error[:, 5] = 0.1
    own = limit.likelihood.Photometry(data, error, torch.ones(3, width, dtype=torch.bool))
    n = 3 * size
    start = torch.randn(n, width, generator=generator(17))
    p = limit.likelihood.Particles(
        0.3 + 0.1 * start[:, 0], 20 + start[:, 1], start[:, 2] > 0, start[:, 2:].clone()
    )
    owner = torch.arange(3).repeat_interleave(size)
    population = limit.sampler.Population(p, forward.log_likelihood(p, own[owner]), own, size)
    sampler = limit.sampler.Sampler(forward, generator(18))
    sampler.temper(population, torch.full((3,), 0.02), sweeps=3)
    total, square, count = 0.0, 0.0, 0
    for sweep in range(240):
        sampler.sweep(population, torch.ones(3))
        if sweep >= 40 and sweep % 5 == 0:
            q = population.particles
            y = torch.cat([10 * (q.zeta[:, None] - 0.3), q.mag[:, None] - 20, q.x], 1)
            y = y.reshape(3, size, width)
            total, square, count = total + y.mean(1), square + (y**2).mean(1), count + 1
    assert (sampler.accepted[:5] > 0).all()
    mean = total / count
    spread = torch.sqrt(square / count - mean**2)
    shrink = 1.0 / (1.0 + error**2)
    torch.testing.assert_close(mean, data * shrink, atol=0.08, rtol=0)
    torch.testing.assert_close(spread / (error * shrink.sqrt()), torch.ones(3, width), atol=0.12,
                               rtol=0)  # fmt: skip


def test_kernel_density_of_a_gaussian(limit):
    rng = np.random.default_rng(19)
    draws = rng.normal(10.0, 0.2, 4000)
    at = np.linspace(9.6, 10.4, 9)
    own = limit.scores.kernel_log_density("logmstar", draws, np.ones(4000), at)
    # what a kernel of that width makes of it, but for its wide parts
    wide = 0.2 * np.hypot(1.0, limit.scores.BANDWIDTH)
    true = -0.5 * ((at - 10.0) / wide) ** 2 - np.log(wide * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(own, true, atol=0.1)
    # a second peak does not widen the kernel
    two = np.concatenate([draws, rng.normal(12.0, 0.2, 2000)])
    assert limit.scores.core_width(two, np.ones(6000)) == pytest.approx(0.3, abs=0.08)
    mass = np.trapezoid(
        np.exp(limit.scores.kernel_log_density("logmstar", two, np.ones(6000),
                                               np.linspace(6, 16, 801))),
        np.linspace(6, 16, 801),
    )  # fmt: skip
    assert mass == pytest.approx(1.0, abs=0.01)


def test_kernel_density_keeps_to_the_edge_of_av(limit):
    rng = np.random.default_rng(20)
    draws = rng.exponential(0.1, 3000)
    grid = np.linspace(0.0, 3.0, 1201)
    density = np.exp(limit.scores.kernel_log_density("av", draws, np.ones(3000), grid))
    assert np.trapezoid(density, grid) == pytest.approx(1.0, abs=0.02)
    assert density[0] > 5.0


def test_summary_of_an_object(limit):
    rng = np.random.default_rng(21)
    draws = rng.normal(0.3, 0.01, 2000)
    fold = np.arange(2000) % limit.scores.FOLDS
    out = limit.scores.summarise("z", draws, np.ones(2000), fold, 0.3, rng)
    assert out["rank"] == pytest.approx(0.5, abs=0.05)
    assert out["score"] == pytest.approx(-np.log(0.01 * np.sqrt(2 * np.pi)), abs=0.15)
    entropy = -0.5 - np.log(0.01 * np.sqrt(2 * np.pi))
    assert out["log_density"].mean() == pytest.approx(entropy, abs=0.15)
    none = limit.scores.summarise("z", draws, np.ones(2000), fold, np.nan, rng)
    assert np.isnan(none["score"]) and np.isfinite(none["draws"]).all()


def test_the_file_is_joined_and_read(limit, tmp_path):
    path = tmp_path / "limit.npz"
    assert limit.run.load(path) == {}
    one = limit.run.add(path, {}, {"bin": np.array([0, 0])}, ("a", "b"))
    limit.run.add(path, one, {"bin": np.array([2])}, ("a", "b"))
    back = limit.run.load(path)
    assert back["bin"].tolist() == [0, 0, 2] and back["bands"].tolist() == ["a", "b"]
    assert [p.name for p in tmp_path.iterdir()] == ["limit.npz"]


def test_redshift_figures(limit):
    rng = np.random.default_rng(22)
    true = rng.uniform(0.1, 0.6, 300)
    draws = true[:, None] + 0.01 * (1 + true[:, None]) * rng.normal(size=(300, 500))
    model = true + 0.02 * (1 + true) * rng.normal(size=300)
    found = limit.compare.redshift(true, draws, model)
    assert found["sigma_nmad model"] == pytest.approx(0.02, rel=0.15)
    assert found["sigma_nmad limit, at draws"] == pytest.approx(0.01, rel=0.1)
    low, high = found["ratio at draws interval"]
    assert low < found["ratio at draws"] < high
