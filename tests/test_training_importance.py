"""Weights of a training step: posteriors of the declared prior, whatever the context shows."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from jpassed.training.importance import context_weights, effective_share, suggested_log_flux

LOG_TEN = math.log(10.0)
SLOPE = 0.5
"""Counts of the toy population rise as 10**(SLOPE magnitude)."""


class Toy:
    """Galaxies drawn evenly in magnitude (18 to 23) and colour, of a prior that is not even.

    Natural counts rise with magnitude; red galaxies are rarer than blue ones.
    """

    def __init__(self, n: int, noise: float, seed: int = 1) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.mag = 18.0 + 5.0 * torch.rand(n, generator=generator)
        self.colour = torch.rand(n, generator=generator) * 2.0
        magnitudes = torch.stack((self.mag, self.mag + self.colour), 1)
        self.truth = 10 ** (-0.4 * (magnitudes - 22.0))
        self.error = torch.full_like(self.truth, noise)
        self.flux = self.truth + noise * torch.randn(self.truth.shape, generator=generator)
        natural = 10 ** (SLOPE * (self.mag - 22.0)) * (2.5 - self.colour)
        self.full = natural / natural.mean()
        bins = ((self.mag - 18.0) / 0.25).long()
        per_bin = torch.zeros(21).index_add_(0, bins, self.full)
        count = torch.zeros(21).index_add_(0, bins, torch.ones(n))
        self.at_magnitude = self.full * (count / per_bin.clamp(min=1e-9))[bins]

    def weights(self, shown: tuple[bool, bool], clip: float = 1e9) -> Tensor:
        observed = torch.tensor(shown).expand(len(self.mag), 2)
        suggested = suggested_log_flux(self.flux, self.error, observed, self.truth, 0)
        return context_weights(
            self.full, self.at_magnitude, self.truth[:, 0].log(), suggested, observed.any(-1),
            clip=clip,
        )  # fmt: skip


def learned(values: Tensor, weight: Tensor, context: Tensor) -> Tensor:
    """Mean of `values` among objects of the same context: what a network learns to answer.

    Cells are half an error wide; the open one at the end is left out.
    """
    cells = torch.bucketize(context, torch.linspace(-2.0, 6.0, 17))
    top = torch.zeros(18).index_add_(0, cells, weight * values)
    return (top / torch.zeros(18).index_add_(0, cells, weight))[:-1]


@pytest.mark.parametrize("shown", [(True, False), (False, True)])
def test_a_noisy_band_gives_the_posterior_of_the_declared_prior(shown: tuple[bool, bool]) -> None:
    # The noise is that of a galaxy of magnitude 21: the faint half is lost in it.
    toy = Toy(400_000, noise=2.5)
    context = toy.flux[:, int(shown[1])] / 2.5
    wanted = learned(toy.mag, toy.full, context)
    answer = learned(toy.mag, toy.weights(shown), context)
    wrong = learned(toy.mag, toy.at_magnitude, context)
    # The weight varies a little within a cell.
    assert float((answer - wanted).abs().max()) < 0.05
    assert float((wrong - wanted).abs().max()) > 0.3


def test_without_a_band_the_weight_is_the_full_one() -> None:
    toy = Toy(2000, noise=0.1)
    torch.testing.assert_close(toy.weights((False, False)), toy.full / toy.full.mean())


def test_a_sure_magnitude_gives_the_weight_at_magnitude() -> None:
    toy = Toy(20_000, noise=1e-4)
    weight = toy.weights((True, False))
    at_magnitude = toy.at_magnitude / toy.at_magnitude.mean()
    # The tabulated ratio has steps of a quarter of a magnitude.
    ratio = (weight / at_magnitude).log()
    assert float(ratio.abs().median()) < 0.05
    assert effective_share(weight) > 0.85 > 0.7 > effective_share(toy.full)


def test_the_suggestion_is_the_magnitude_where_bands_say_it() -> None:
    toy = Toy(5000, noise=1e-3)
    both = torch.ones(5000, 2, dtype=torch.bool)
    suggested = suggested_log_flux(toy.flux, toy.error, both, toy.truth, 0)
    assert float((suggested - toy.truth[:, 0].log()).abs().median()) < 0.02
    # From the other band alone it is as good as the colour: 0.5 mag of scatter, no offset.
    other = both & torch.tensor([False, True])
    away = suggested_log_flux(toy.flux, toy.error, other, toy.truth, 0) - toy.truth[:, 0].log()
    assert abs(float(away.median())) < 0.1
    assert 0.2 < float(away.std()) < 0.8


def test_the_suggestion_does_not_look_at_hidden_bands() -> None:
    toy = Toy(500, noise=1.0)
    shown = torch.tensor([False, True]).expand(500, 2)
    poisoned = toy.flux.clone()
    poisoned[:, 0] = math.nan
    first = suggested_log_flux(toy.flux, toy.error, shown, toy.truth, 0)
    second = suggested_log_flux(poisoned, toy.error, shown, toy.truth, 0)
    assert torch.equal(first, second)


@given(
    seed=st.integers(0, 50),
    noise=st.floats(1e-3, 1e3),
    clip=st.floats(2.0, 30.0),
    shown=st.tuples(st.booleans(), st.booleans()),
)
def test_no_object_dominates(
    seed: int, noise: float, clip: float, shown: tuple[bool, bool]
) -> None:
    weight = Toy(256, noise, seed).weights(shown, clip)
    assert bool(torch.isfinite(weight).all())
    assert float(weight.min()) > 0
    assert float(weight.max()) <= clip * (1 + 1e-5)
    assert float(weight.mean()) == pytest.approx(1.0, rel=0.15)
    assert effective_share(weight) >= 1.0 / clip**2


def test_lost_objects_are_suggested_the_mean() -> None:
    truth = Toy(1000, noise=1.0).truth
    flux, error = torch.tensor([[-30.0, 0.0]]), torch.ones(1, 2)
    shown = torch.tensor([[True, False]])
    suggested = suggested_log_flux(flux, error, shown, truth, 0)
    assert float(suggested) == pytest.approx(float(truth[:, 0].log().mean()), abs=1e-5)


@pytest.mark.parametrize(
    ("weight", "share"),
    [([1.0, 1.0, 1.0, 1.0], 1.0), ([1.0, 0.0, 0.0, 0.0], 0.25), ([3.0, 1.0], 0.8), ([], 0.0)],
)
def test_effective_share(weight: list[float], share: float) -> None:
    assert effective_share(torch.tensor(weight)) == pytest.approx(share)
