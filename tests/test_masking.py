"""What a training step hides and gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_model import SCALING, VOCABULARY

from jpassed.tokens.masking import give_labels, hide_bands, noisy_labels

PIVOT = torch.linspace(3500.0, 9500.0, 40)
SEEDS = st.integers(0, 10_000)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_mask(shape: tuple[int, int], share: float, seed: int) -> torch.Tensor:
    return torch.rand(shape, generator=generator(seed + 1)) < share


@given(seed=SEEDS, share=st.floats(0.0, 1.0), keep=st.floats(0.0, 1.0), bands=st.integers(1, 40))
@settings(max_examples=50)
def test_hidden_bands_are_a_part_and_never_all(seed, share, keep, bands):
    observed = random_mask((30, bands), share, seed)
    shown = hide_bands(observed, PIVOT[:bands], generator(seed), keep_all=keep)
    assert shown.shape == observed.shape and shown.dtype == torch.bool
    assert not (shown & ~observed).any()
    assert torch.equal(shown.any(-1), observed.any(-1))
    again = hide_bands(observed, PIVOT[:bands], generator(seed), keep_all=keep)
    assert torch.equal(shown, again)


def test_objects_that_keep_all_keep_all():
    observed = random_mask((200, 40), 0.7, 3)
    assert torch.equal(hide_bands(observed, PIVOT, generator(1), keep_all=1.0), observed)
    full = torch.ones(4000, 40, dtype=torch.bool)
    shown = hide_bands(full, PIVOT, generator(1), keep_all=0.6)
    assert 0.6 <= float(shown.all(-1).double().mean()) < 0.65


def test_what_is_left_runs_from_one_band_to_all():
    full = torch.ones(6000, 40, dtype=torch.bool)
    count = hide_bands(full, PIVOT, generator(2), keep_all=0.0).sum(-1).numpy()
    # Every tenth of the range of counts is visited by more than 2 % of the objects.
    histogram, _ = np.histogram(count, np.linspace(0.5, 40.5, 11))
    assert histogram.min() > 120
    assert count.min() == 1 and count.max() >= 39


def test_a_third_of_the_objects_show_a_window_of_wavelength_or_all_but_one():
    full = torch.ones(6000, 40, dtype=torch.bool)
    shown = hide_bands(full, PIVOT, generator(4), keep_all=0.0).numpy()
    first, last = shown.argmax(1), 39 - shown[:, ::-1].argmax(1)
    contiguous = (last - first + 1 == shown.sum(1)) & (shown.sum(1) > 4)
    # A window alone is contiguous; random holes almost never are.
    assert 0.22 < contiguous.mean() < 0.36
    # One gap, and three bands or more on both sides of it.
    changes = (np.diff(shown.astype(int), axis=1) != 0).sum(1)
    gap = (changes == 2) & shown[:, :3].all(1) & shown[:, -3:].all(1)
    assert 0.03 < gap.mean() < 0.12


@given(seed=SEEDS, share=st.floats(0.0, 1.0), most=st.integers(0, 19))
@settings(max_examples=50)
def test_given_labels_are_available_and_few(seed, share, most):
    available = random_mask((50, 19), share, seed)
    given_ = give_labels(available, most, generator(seed), favoured=0, favour=0.5)
    assert not (given_ & ~available).any()
    assert int(given_.sum(-1).max()) <= most
    again = give_labels(available, most, generator(seed), favoured=0, favour=0.5)
    assert torch.equal(given_, again)


def test_the_number_of_labels_is_uniform_and_the_favoured_comes_first():
    available = torch.ones(12000, 19, dtype=torch.bool)
    given_ = give_labels(available, 5, generator(1), favoured=3, favour=0.9)
    share = np.bincount(given_.sum(-1).numpy(), minlength=6) / 12000
    np.testing.assert_allclose(share, 1 / 6, atol=0.02)
    alone = given_[given_.sum(-1) == 1].double().mean(0)
    # Favoured in 90 %, else like any other.
    assert float(alone[3]) == pytest.approx(0.9 + 0.1 / 19, abs=0.02)
    others = np.delete(alone.numpy(), 3)
    np.testing.assert_allclose(others, 0.1 / 19, atol=0.01)


def label_values(n: int) -> torch.Tensor:
    scaled = torch.randn((n, len(SCALING.names)), generator=generator(9)).numpy()
    columns = [VOCABULARY[name].from_scaled(scaled[:, i]) for i, name in enumerate(SCALING.names)]
    return torch.tensor(np.stack(columns, 1), dtype=torch.float32)


def test_exact_labels_stay_exact():
    value = label_values(100)
    labels = noisy_labels(value, torch.ones_like(value).bool(), SCALING, generator(1), share=0.0)
    assert torch.equal(labels.value, value)
    assert not labels.error.any()
    assert labels.given.all()


def test_noisy_labels_scatter_by_their_stated_error():
    value = label_values(4000)
    given_ = random_mask((4000, value.shape[1]), 0.8, 1)
    labels = noisy_labels(value, given_, SCALING, generator(1), share=0.7)
    assert torch.equal(labels.given, given_)
    blurred = labels.error > 0
    assert not (blurred & ~given_).any()
    assert float(blurred[given_].double().mean()) == pytest.approx(0.7, abs=0.01)
    assert torch.equal(labels.value[~blurred], value[~blurred])
    deviation = ((labels.value - value) / labels.error)[blurred].double()
    assert float(deviation.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(deviation.std()) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("name", ["z", "logmstar", "tau", "ew_halpha"])
def test_label_errors_cover_the_stated_range_in_scaled_units(name):
    value = label_values(4000)
    labels = noisy_labels(value, torch.ones_like(value).bool(), SCALING, generator(2), share=1.0)
    i = SCALING.names.index(name)
    scaled = VOCABULARY[name].scaled_error(value[:, i].numpy(), labels.error[:, i].numpy())
    assert 0.002 < scaled.min() < 0.0025
    assert 0.45 < scaled.max() < 0.5
    # Log-uniform: the median is the geometric mean of the ends.
    assert np.median(scaled) == pytest.approx(np.sqrt(0.002 * 0.5), rel=0.1)
