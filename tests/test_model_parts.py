"""Parts of the network, and its configuration."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_model import CONFIG

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.nn import ModelConfig
from jpassed.nn.blocks import attention, key_bias
from jpassed.nn.embedding import _contrast as contrast
from jpassed.nn.encodings import FourierEncoding, WavelengthEncoding

SEEDS = st.integers(0, 10_000)


def direct_contrast(value, error, observed, reach):
    """Significance against the weighted mean of the neighbours, band by band."""
    found = np.zeros_like(value)
    for row, band in np.argwhere(observed):
        near = range(max(0, band - reach), min(value.shape[1], band + reach + 1))
        near = [i for i in near if i != band and observed[row, i]]
        if near:
            weight = 1 / (error[row, near] ** 2 + 1e-4)
            mean = (weight * value[row, near]).sum() / weight.sum()
            sigma = np.sqrt(error[row, band] ** 2 + 1e-4 + 1 / weight.sum())
            found[row, band] = np.arcsinh((value[row, band] - mean) / sigma) / 2
    return found


@given(seed=SEEDS, share=st.floats(0.0, 1.0), reach=st.integers(1, 5))
@settings(max_examples=30)
def test_contrast_is_the_significance_against_the_neighbours(seed, share, reach):
    rng = np.random.default_rng(seed)
    value = rng.uniform(-1, 3, (6, 12))
    error = 10 ** rng.uniform(-3, 1, value.shape)
    observed = rng.random(value.shape) < share
    value, error = np.where(observed, value, 0), np.where(observed, error, 0)
    tensors = (torch.tensor(a, dtype=torch.float32) for a in (value, error))
    found = contrast(*tensors, torch.from_numpy(observed), reach).numpy()
    expected = direct_contrast(value, error, observed, reach)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    # A band without neighbours has none, to the last digit.
    assert not found[expected == 0].any()


def test_attention_is_the_fused_kernel_in_plain_words():
    query, key, value = torch.randn(3, 4, 2, 5, 8, generator=torch.Generator().manual_seed(1))
    present = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 0, 1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]])
    bias = key_bias(present.bool())
    assert bias is not None and bias.shape == (4, 1, 1, 5)
    expected = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=present.bool()[:, None, None]
    )
    torch.testing.assert_close(attention(query, key, value, bias), expected)
    assert key_bias(torch.ones(2, 3, dtype=torch.bool)) is None


def test_fourier_encoding_spans_its_frequencies():
    encoding = FourierEncoding(5, 0.1, 10.0)
    assert encoding.size == 10
    x = torch.tensor([0.0, 0.3])
    code = encoding(x)
    frequency = 0.1 * 100.0 ** (np.arange(5) / 4)
    phase = 2 * np.pi * frequency * x.numpy()[:, None]
    np.testing.assert_allclose(code, np.c_[np.sin(phase), np.cos(phase)], atol=1e-5)


def test_wavelength_encoding_is_zero_without_a_passband():
    encoding = WavelengthEncoding(4)
    code = encoding(torch.tensor([0.0, 3785.0, 3785.0]), torch.tensor([0.0, 145.0, 500.0]))
    assert code.shape == (3, encoding.size)
    assert not code[0].any()
    assert torch.isfinite(code).all()
    assert not torch.equal(code[1], code[2])


# Configuration


def test_configuration_survives_plain_values():
    plain = CONFIG.as_dict()
    assert plain["patch_bands"] == list(CONFIG.patch_bands)
    assert ModelConfig.from_dict(plain) == CONFIG


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"head_real": "spiral"}, UnknownNameError, "unknown head_real 'spiral'"),
        ({"head_redshift": "bins"}, UnknownNameError, "Did you mean 'binned'"),
        ({"head_real": "binned"}, InputError, "'binned' is for redshift"),
        ({"head_redshift": "gaussian"}, InputError, "expected 'binned' or .*'mixture'.*'gaussian'"),
        ({"width": 100, "heads": 6}, InputError, "width 100 is not a multiple of heads 6"),
        ({"patch_bands": ["a"], "contrast_bands": 2}, InputError, "expected 0 to 1, .*got 2"),
        ({"heads": 0}, InputError, "heads: expected a positive number, got 0"),
        ({"components": 0}, InputError, "components: expected a positive number"),
        ({"redshift_bin": -0.1}, InputError, "redshift_bin: expected a positive number"),
        ({"widht": 192}, UnknownNameError, "unknown model setting 'widht'.*Did you mean 'width'"),
    ],
)
def test_wrong_settings_are_refused(changes, error, message):
    with pytest.raises(error, match=message):
        ModelConfig.from_dict(changes)
