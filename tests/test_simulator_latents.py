"""The simulator as a function of latents, and the density of redshift and magnitude."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from simulator_grids import toy_bands, toy_grid

from jpassed.exceptions import InputError
from jpassed.simulator import LABELS, GalaxySimulator
from jpassed.simulator.latents import CHOICES, LatentRandoms, NaturalDensity, latent_layout
from jpassed.simulator.priors import Randoms


class Recorder(Randoms):
    """Keeps what it hands out, as standard normal numbers."""

    def __init__(self, n: int, seed: int) -> None:
        super().__init__(n, torch.Generator().manual_seed(seed), "cpu")
        self.kept: list[torch.Tensor] = []

    def uniform(self, lower=0.0, upper=1.0):
        u = torch.rand(self.n, generator=self.generator, dtype=torch.float64).clamp(1e-6, 1 - 1e-6)
        self.kept.append(torch.special.ndtri(u)[:, None].float())
        return lower + (upper - lower) * u.float()

    def normal(self, *columns):
        values = super().normal(*columns)
        self.kept.append(values.reshape(self.n, -1))
        return values


@pytest.fixture(scope="module")
def simulator() -> GalaxySimulator:
    return GalaxySimulator(toy_grid(), toy_bands(), balance=0.0, chunk=512)


@pytest.fixture(scope="module")
def density(simulator) -> NaturalDensity:
    return NaturalDensity(simulator.table)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_latents_give_the_drawn_galaxies(simulator, density):
    z, mag, red = density.draw(400, generator(1), 22.0, 18.0)
    random = Recorder(400, 2)
    drawn, _ = simulator.render_from(random, z, mag, red)
    latents = torch.cat(random.kept, 1)
    assert latents.shape[1] == latent_layout(simulator).size
    again, _ = simulator.render(z, mag, red, latents)
    assert torch.equal(again.kind, drawn.kind)
    torch.testing.assert_close(again.bandflux, drawn.bandflux, rtol=2e-3, atol=1e-6)
    for name in LABELS:
        torch.testing.assert_close(again.labels[name], drawn.labels[name], rtol=5e-3, atol=5e-3)


def test_given_numbers_come_out(simulator, density):
    z, mag, red = density.draw(50, generator(3), 20.0)
    latents = torch.randn(50, latent_layout(simulator).size, generator=generator(4))
    sample, lines = simulator.render(z, mag, red, latents)
    torch.testing.assert_close(sample.labels["z"], z)
    assert torch.equal(sample.mag_r, mag)
    assert (sample.log_weight == 0).all()
    r = sample.bands.index("rSDSS")
    torch.testing.assert_close(
        -2.5 * torch.log10(sample.bandflux[:, r] / 3631e6), mag, atol=1e-4, rtol=0
    )
    assert (lines >= 0).all() and (lines <= 1).all() and (lines.amax(0) > 0.01).any()
    subset, _ = simulator.render(z[10:20], mag[10:20], red[10:20], latents[10:20])
    torch.testing.assert_close(subset.bandflux, sample.bandflux[10:20], rtol=1e-4, atol=1e-7)


def test_the_layout_names_every_column(simulator):
    layout = latent_layout(simulator)
    assert sum(s.stop - s.start for s in layout.slices.values()) == layout.size
    assert set(CHOICES) <= set(layout.slices)
    assert layout.columns("log_mass", "modulation") == [0, 5, 6, 7, 8, 9]
    # the library's latent chooses the library and moves nothing where there is one
    z, mag, red = torch.full((2,), 0.2), torch.full((2,), 20.0), torch.zeros(2, dtype=torch.bool)
    latents = torch.zeros(2, layout.size)
    latents[1, layout.columns("library")] = 2.0
    sample, _ = simulator.render(z, mag, red, latents)
    assert torch.equal(sample.bandflux[0], sample.bandflux[1])
    # the template's smooth factor moves the stars, and r keeps its magnitude
    latents[1, layout.columns("template")] = 1.0
    sample, _ = simulator.render(z, mag, red, latents)
    ratio = sample.bandflux[1] / sample.bandflux[0]
    assert ratio[sample.bands.index("rSDSS")] == pytest.approx(1.0, abs=1e-5)
    assert (ratio - 1).abs().max() > 1e-3


def test_uniform_latents_are_uniform():
    latents = torch.randn(20000, 1, generator=generator(5))
    u = LatentRandoms(latents).uniform(2.0, 4.0)
    assert u.min() >= 2.0 and u.max() <= 4.0
    assert u.mean().item() == pytest.approx(3.0, abs=0.02)
    assert u.std().item() == pytest.approx(2.0 / 12**0.5, abs=0.01)


def test_too_few_latents(simulator):
    z, mag, red = torch.full((1,), 0.2), torch.full((1,), 20.0), torch.zeros(1, dtype=torch.bool)
    with pytest.raises(InputError, match="more than the 3 latents"):
        simulator.render(z, mag, red, torch.zeros(1, 3))
    with pytest.raises(InputError, match=r"\(n, D\)"):
        LatentRandoms(torch.zeros(3))


def test_density_is_that_of_the_simulator(simulator, density):
    area = np.diff(simulator.table.z_edges)[:, None] * np.diff(simulator.table.m_edges)[None, :]
    total = (np.exp(density.log_density.numpy().astype(float)) * area).sum()
    assert total == pytest.approx(1.0, abs=1e-3)
    sample = simulator.sample(40000, generator(6))
    use = (sample.mag_r > 20.0) & (sample.mag_r < 21.5)
    z, mag, red = density.draw(int(use.sum()), generator(7), 21.5, 20.0)
    assert mag.min() >= 20.0 and mag.max() <= 21.5
    levels = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9])
    for own, drawn in ((z, sample.labels["z"][use]), (mag, sample.mag_r[use])):
        torch.testing.assert_close(own.quantile(levels), drawn.quantile(levels), atol=0.03, rtol=0)
    assert 0.1 < red.float().mean() < 0.6


def test_density_outside_the_prior(density):
    z = torch.tensor([0.3, -0.1, 1.3, 0.3])
    mag = torch.tensor([20.0, 20.0, 20.0, 25.0])
    log = density.log(z, mag, torch.zeros(4, dtype=torch.bool))
    assert torch.isfinite(log).tolist() == [True, False, False, False]
    with pytest.raises(InputError, match="no galaxies between"):
        density.draw(3, generator(8), 10.0, 9.0)
