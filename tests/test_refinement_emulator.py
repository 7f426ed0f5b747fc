"""Refinement: rest-frame spectra, the emulator of a toy simulator, the likelihood."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from simulator_grids import toy_bands, toy_grid

from jpassed.exceptions import InputError
from jpassed.refinement.coordinates import Cosmology, from_coordinates
from jpassed.refinement.emulator import EmulatorNet
from jpassed.refinement.fit_emulator import fit_emulator, fit_prior
from jpassed.refinement.kernels import Kernels
from jpassed.refinement.likelihood import MAGNITUDE, Likelihood, PredictedBands
from jpassed.refinement.rest_frame import Bandfluxes, rest_grid
from jpassed.refinement.spectra import Spectra, draw_spectra
from jpassed.simulator import GalaxySimulator

COSMOLOGY = Cosmology()


@pytest.fixture(scope="module")
def simulator() -> GalaxySimulator:
    return GalaxySimulator(toy_grid(), toy_bands(), chunk=1024)


@pytest.fixture(scope="module")
def drawn(simulator) -> Spectra:
    return draw_spectra(simulator, 3000, torch.Generator().manual_seed(4))


@pytest.fixture(scope="module")
def emulator(drawn) -> EmulatorNet:
    return fit_emulator(drawn, size=24, units=128)


@pytest.fixture(scope="module")
def predicted(emulator, simulator) -> PredictedBands:
    return PredictedBands(emulator, toy_bands(), simulator.lines.wave)


def test_spectra_and_lines_give_the_simulators_bandfluxes(simulator, drawn):
    """The grid of the emulator is coarser than the simulator's: half a per cent is its price."""
    bands = Bandfluxes(toy_bands(), simulator.lines.wave)
    own = slice(0, 400)
    theta, zeta = drawn.theta[own], drawn.theta[own, 0]
    labels = from_coordinates(theta, COSMOLOGY)
    spectrum = bands.resampled(drawn.log_spectrum[own], -60.0).exp()
    spectrum[:, bands.wave < 912.0] = 0.0
    lines = drawn.log_lines[own].exp() * labels["ew_halpha"][:, None]
    total = bands.continuum(spectrum, zeta) + bands.lines(lines, zeta)
    factor = bands.to_microjansky(labels["logc_halpha"], COSMOLOGY.modulus(labels["z"]), zeta)
    optical = slice(0, len(toy_bands()) - 1)
    ratio = (total * factor[:, None] / drawn.bandflux[own])[:, optical]
    assert (ratio - 1).abs().quantile(0.95) < 0.01
    assert ratio.median().item() == pytest.approx(1.0, abs=1e-3)


def test_the_recorder_leaves_the_simulator_as_it_was(simulator):
    before = simulator.sample(64, torch.Generator().manual_seed(1)).bandflux
    assert "_observe" not in vars(simulator.synthesis)
    draw_spectra(simulator, 10, torch.Generator().manual_seed(2))
    after = simulator.sample(64, torch.Generator().manual_seed(1)).bandflux
    assert torch.equal(before, after)


def test_galaxies_keep_their_own_spectra(drawn):
    """The colour of a spectrum is the galaxy's own: it follows the label u - r."""
    wave = rest_grid()
    blue, red = (int(np.argmin(abs(wave - w))) for w in (3560.0, 6180.0))
    colour = (drawn.log_spectrum[:, red] - drawn.log_spectrum[:, blue]).numpy()
    assert np.corrcoef(colour, drawn.theta[:, 7].numpy())[0, 1] > 0.97


def test_the_emulator_is_calibrated(predicted, simulator):
    """Galaxies it has not seen: chi2 of the noise-free bandfluxes about the number of bands."""
    fresh = draw_spectra(simulator, 600, torch.Generator().manual_seed(9))
    flux = fresh.bandflux.clone()
    optical = torch.ones(flux.shape, dtype=torch.bool)
    optical[:, -1] = False
    error = 0.02 * flux
    noisy = flux + error * torch.randn(flux.shape, generator=torch.Generator().manual_seed(1))
    likelihood = Likelihood(predicted, torch.zeros(flux.shape[1]))
    fine = (flux > 0).all(1)
    _, chi2 = likelihood(fresh.theta[fine], noisy[fine], error[fine], optical[fine])
    per_band = chi2 / optical[fine].sum(1)
    assert per_band.median().item() == pytest.approx(1.0, abs=0.25)
    scatter = (predicted.predict(fresh.theta[fine])[0] / flux[fine])[:, 3:-2].log().std().item()
    assert scatter < 0.08


def test_the_likelihood_is_a_multivariate_normal(predicted, drawn):
    theta = drawn.theta[:3]
    mean, modes, variance = predicted.predict(theta)
    size = mean.shape[1]
    generator = torch.Generator().manual_seed(3)
    error = 0.05 * mean.abs() + 0.01
    flux = mean + error * torch.randn(mean.shape, generator=generator)
    observed = torch.rand(mean.shape, generator=generator) < 0.8
    likelihood = Likelihood(predicted, torch.full((size,), 0.02))
    found, _ = likelihood(theta, flux, error, observed)
    for i in range(len(theta)):
        keep = observed[i].numpy()
        root = modes[i].double().numpy()[keep]
        zero_point = 0.02 * MAGNITUDE * mean[i].double().numpy()[keep]
        sigma = error[i].double().numpy()[keep]
        diagonal = variance[i].double().numpy()[keep] + sigma**2 + zero_point**2
        exact = multivariate_normal(
            mean[i].double().numpy()[keep], root @ root.T + np.diag(diagonal)
        ).logpdf(flux[i].double().numpy()[keep]) + np.log(sigma).sum()
        assert found[i].item() == pytest.approx(exact, abs=0.02)


def test_bands_that_are_not_observed_do_not_count(predicted, drawn):
    theta = drawn.theta[:2]
    mean = predicted.predict(theta)[0]
    likelihood = Likelihood(predicted, torch.full((mean.shape[1],), 0.02))
    observed = torch.ones(mean.shape, dtype=torch.bool)
    observed[:, 4] = False
    error = 0.1 * mean.abs() + 0.01
    other = mean.clone()
    other[:, 4] *= 100.0
    first, second = (likelihood(theta, flux, error, observed)[0] for flux in (mean, other))
    assert torch.equal(first, second)


def test_a_wrong_redshift_is_unlikely(predicted, drawn):
    theta = drawn.theta[:100].clone()
    flux = drawn.bandflux[:100]
    error = 0.02 * flux.abs() + 1e-3
    observed = torch.ones(flux.shape, dtype=torch.bool)
    observed[:, -1] = False
    likelihood = Likelihood(predicted, torch.full((flux.shape[1],), 0.02))
    right, _ = likelihood(theta, flux, error, observed)
    theta[:, 0] = (theta[:, 0] + 0.05).clamp(max=0.78)
    wrong, _ = likelihood(theta, flux, error, observed)
    assert (right > wrong).float().mean() > 0.95


def test_no_passband_is_refused():
    with pytest.raises(InputError, match="no passband"):
        Bandfluxes([], np.array([5000.0]))


def test_a_prior_learns_its_galaxies(drawn):
    prior = fit_prior(drawn.theta, steps=60, batch=256, width=16)
    own = prior.log_density(drawn.theta[:500], prior.described(None)).sum(0).mean()
    moved = drawn.theta[:500].clone()
    moved[:, 3] += 4 * prior.scale[3]
    other = prior.log_density(moved, prior.described(None)).sum(0).mean()
    assert own > other + 1.0


# --- kernels around draws


def test_kernels_have_the_moments_of_the_draws_and_a_density():
    generator = torch.Generator().manual_seed(2)
    root = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.3, 0.0], [0.0, 0.1, 2.0]])
    draws = torch.randn(4000, 3, generator=generator) @ root.T + torch.tensor([1.0, 2.0, 3.0])
    kernels = Kernels.around(draws, torch.zeros(4000))
    new = kernels.draw(4000, generator)
    np.testing.assert_allclose(new.mean(0), draws.mean(0), atol=0.35)
    np.testing.assert_allclose(np.cov(new.T), np.cov(draws.T), atol=0.6, rtol=0.25)
    # importance sampling with the stated density finds the volume of a box
    inside = ((new - torch.tensor([1.0, 2.0, 3.0])).abs() < 0.5).all(1)
    volume = (inside / kernels.log_density(new).exp()).mean().item()
    assert volume == pytest.approx(1.0, rel=0.3)


def test_kernels_widen_where_one_draw_has_all_the_weight():
    generator = torch.Generator().manual_seed(3)
    draws = torch.randn(500, 18, generator=generator)
    log_weight = torch.zeros(500)
    log_weight[7] = 300.0
    kernels = Kernels.around(draws, log_weight)
    assert kernels.draw(400, generator).std(0).min() > 0.1
