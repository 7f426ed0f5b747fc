"""The local readout: what a requested passband sees of the bands around it."""

from __future__ import annotations

import pytest
import torch

from jpassed.exceptions import InputError
from jpassed.nn import ModelConfig, SEDModel
from jpassed.nn.embedding import _filled, _neighbourhood
from jpassed.nn.readout import LocalReadout
from jpassed.tokens import BandLayout, LabelScaling, build_context, build_requests
from jpassed.vocabulary import load_vocabulary

VOCABULARY = load_vocabulary()
SCALING = LabelScaling.from_vocabulary(VOCABULARY, VOCABULARY.scalars)
BANDS = ("a", "b", "c", "far")
PIVOT = (5000.0, 5100.0, 5200.0, 15000.0)
WIDTH = (145.0, 145.0, 145.0, 1500.0)
CONFIG = ModelConfig(
    patch_bands=("a", "b", "c"), patch_width=32, patch_blocks=1, patch_tokens=2, width=24,
    heads=2, blocks=1, components=2, readout_kernels=3,
)  # fmt: skip


def context(flux, observed=None, bands=BANDS):
    value = torch.tensor(flux, dtype=torch.float32)
    seen = torch.ones_like(value, dtype=torch.bool) if observed is None else torch.tensor(observed)
    layout = BandLayout.make(bands, PIVOT[: len(bands)], WIDTH[: len(bands)], CONFIG.patch_bands)
    return build_context(
        value, torch.full_like(value, 0.5), seen, layout, vocabulary=VOCABULARY, scaling=SCALING
    )


def requests(*names):
    where = dict(zip(BANDS, zip(PIVOT, WIDTH, strict=True), strict=True))
    return build_requests(names, VOCABULARY, where)


@pytest.fixture
def readout():
    torch.manual_seed(0)
    module = LocalReadout(CONFIG, VOCABULARY)
    torch.nn.init.normal_(module.last.weight)
    return module


def test_it_begins_with_nothing():
    out = LocalReadout(CONFIG, VOCABULARY)(context([[1.0, 5.0, 1.0, 2.0]]), requests("flux:b"))
    assert out.shape == (1, 1, 24)
    assert not out.any()


def test_quantities_without_a_wavelength_get_zeros(readout):
    out = readout(context([[1.0, 5.0, 1.0, 2.0]]), requests("z", "flux:b", "av"))
    assert not out[:, [0, 2]].any()
    assert out[:, 1].abs().min() > 0


def test_a_narrow_kernel_sees_its_own_band_alone(readout):
    narrow = readout.requires_grad_(False)._means(
        [context([[1.0, 5.0, 1.0, 2.0]]).patch], torch.tensor([[5100.0, 5000.0, 9000.0]])
    )
    kernels = narrow.unflatten(-1, (3, 6))[0, :, 0]
    own = context([[1.0, 5.0, 1.0, 2.0]]).patch.value[0, 0]
    # channel 1 is asinh(value); the mean lacks 1e-3 of its weight
    assert kernels[0, 1] == pytest.approx(float(own[1].asinh()), rel=2e-3)
    assert kernels[1, 1] == pytest.approx(float(own[0].asinh()), rel=2e-3)
    assert kernels[2].tolist() == pytest.approx([-0.9868, 0, 0, 0, 0, 0], abs=1e-4)


def test_masked_values_do_not_matter(readout):
    seen = [[True, False, True, True]]
    one = readout(context([[1.0, 5.0, 1.0, 2.0]], seen), requests("flux:b", "flux:far"))
    other = readout(context([[1.0, -70.0, 1.0, 2.0]], seen), requests("flux:b", "flux:far"))
    assert torch.equal(one, other)
    full = readout(context([[1.0, 5.0, 1.0, 2.0]]), requests("flux:b", "flux:far"))
    assert not torch.allclose(one[:, 0], full[:, 0])


def test_nothing_observed_is_finite(readout):
    out = readout(context([[0.0] * 4], [[False] * 4]), requests("flux:b"))
    assert torch.isfinite(out).all()


def test_gradients_reach_the_kernel_widths(readout):
    readout(context([[1.0, 5.0, 1.0, 2.0]]), requests("flux:b")).square().sum().backward()
    assert readout.log_width.grad is not None
    assert torch.isfinite(readout.log_width.grad).all() and readout.log_width.grad.abs().sum() > 0


def test_a_model_with_a_readout_sees_a_line_in_its_band():
    torch.manual_seed(1)
    model = SEDModel(CONFIG, VOCABULARY).eval()
    torch.nn.init.normal_(model.readout.last.weight)
    flat, line = context([[1.0, 1.0, 1.0, 1.0]]), context([[1.0, 3.0, 1.0, 1.0]])
    model.patch.last.weight.data.zero_()  # the patch tokens tell nothing
    with torch.no_grad():
        a, b = (model(c, requests("flux:b", "z")).parameters[0] for c in (flat, line))
    assert not torch.allclose(a[0], b[0])


FILLED = ModelConfig(
    patch_bands=("a", "b", "c"), patch_width=32, patch_blocks=1, patch_tokens=2, width=24,
    heads=2, blocks=1, components=2, fill_missing=True, patch_pivots=PIVOT[:3],
)  # fmt: skip


def test_missing_bands_are_interpolated():
    pivot = torch.tensor([5000.0, 5100.0, 5200.0, 9000.0])
    kernel = _neighbourhood(pivot)
    values = torch.tensor([[[2.0, 0.0, 4.0, 50.0]]])
    seen = torch.tensor([[True, False, True, True]])
    filled = _filled(values, seen, kernel)
    assert filled[0, 0].tolist() == pytest.approx([2.0, 3.0, 4.0, 50.0], abs=0.02)
    far = _filled(torch.tensor([[[2.0, 0, 0, 0]]]), torch.tensor([[True] + [False] * 3]), kernel)
    assert far[0, 0].tolist() == pytest.approx([2.0] * 4)
    none = _filled(torch.zeros(1, 1, 4), torch.zeros(1, 4, dtype=torch.bool), kernel)
    assert not none.any()


def test_a_masked_column_is_an_absent_column():
    torch.manual_seed(2)
    model = SEDModel(FILLED, VOCABULARY).eval()
    masked = context([[1.0, 7.0, 2.0]], [[True, False, True]], BANDS[:3])
    layout = BandLayout.make(("a", "c"), (5000.0, 5200.0), (145.0, 145.0), FILLED.patch_bands)
    value = torch.tensor([[1.0, 2.0]])
    absent = build_context(
        value, torch.full_like(value, 0.5), torch.ones_like(value, dtype=torch.bool), layout,
        vocabulary=VOCABULARY, scaling=SCALING,
    )  # fmt: skip
    with torch.no_grad():
        one, other = (model(c, requests("av", "flux:b")).parameters for c in (masked, absent))
    assert torch.allclose(one, other, atol=1e-6)


def test_filling_needs_the_wavelengths():
    with pytest.raises(InputError, match="patch_pivots: expected 3 wavelengths"):
        ModelConfig(patch_bands=("a", "b", "c"), fill_missing=True)
