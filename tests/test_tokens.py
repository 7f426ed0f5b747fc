"""Tokens: layout, scaling, context and requests."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_model import (
    BANDS,
    PASSBANDS,
    PATCH,
    PIVOT,
    SCALING,
    SINGLE,
    VOCABULARY,
    WIDTH,
    Objects,
    make_objects,
)

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.tokens import (
    BandLayout,
    LabelScaling,
    TokenBatch,
    build_context,
    build_requests,
    flux_scale,
    flux_to_scaled,
)
from jpassed.tokens.scaling import FLUX_LOC, FLUX_SOFTENING, FLUX_WIDTH

OBJECTS = make_objects(8)
SEEDS = st.integers(0, 10_000)


def assert_tokens_equal(one: TokenBatch | None, other: TokenBatch | None) -> None:
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        for field in fields(TokenBatch):
            torch.testing.assert_close(
                getattr(one, field.name), getattr(other, field.name), rtol=1e-6, atol=0
            )


# Layout


def test_layout_puts_bands_where_the_model_expects_them():
    layout = BandLayout.make(("s1", "p3", "p0"), (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), PATCH)
    assert layout.bands == ("s1", "p3", "p0")
    assert layout.patch.tolist() == [2, -1, -1, 1, -1]
    assert layout.single.tolist() == [0]
    assert layout.pivot.tolist() == [1.0, 2.0, 3.0]
    assert layout.width.tolist() == [4.0, 5.0, 6.0]
    assert layout.with_single(torch.tensor([], dtype=torch.int64)).single.tolist() == []
    bare = layout.without_patch()
    assert bare.patch.tolist() == [-1] * 5
    assert bare.single.tolist() == [0]


def test_without_a_patch_every_band_is_a_token():
    layout = BandLayout.make(BANDS, PIVOT, WIDTH, ())
    assert layout.single.tolist() == list(range(len(BANDS)))
    assert len(layout.patch) == 0


def test_a_band_given_twice_is_refused():
    with pytest.raises(InputError, match="expected every band once, got p1, s0 more than once"):
        BandLayout.make(("p1", "s0", "p1", "s0", "p2"), [1.0] * 5, [1.0] * 5, PATCH)


# The object's flux scale


def numpy_scale(flux, error, observed):
    """The documented scale, in float64."""
    scales = []
    for f, e, seen in zip(flux, error, observed, strict=True):
        f, e = np.asarray(f[seen], np.float64), np.asarray(e[seen], np.float64)
        if not len(f):
            scales.append(1.0)
            continue
        weight = 1 / (e**2 + (0.2 * np.abs(f).mean()) ** 2)
        scales.append(max((weight * f).sum() / weight.sum(), weight.sum() ** -0.5))
    return np.array(scales)


@given(seed=SEEDS, observed=st.floats(0.0, 1.0))
@settings(max_examples=30)
def test_scale_is_the_weighted_mean(seed, observed):
    o = make_objects(4, seed, observed=observed)
    scale, seen = flux_scale(o.flux, o.error, o.observed)
    expected = numpy_scale(o.flux.numpy(), o.error.numpy(), o.observed.numpy())
    np.testing.assert_allclose(scale, expected, rtol=1e-5)
    np.testing.assert_array_equal(seen, o.observed.any(-1))


def test_scale_of_an_object_lost_in_the_noise_is_its_noise():
    flux = torch.tensor([[-4.0, 1.0, -2.0]])
    error = torch.full((1, 3), 6.0)
    scale, _ = flux_scale(flux, error, torch.ones(1, 3, dtype=torch.bool))
    floor = 0.2 * 7.0 / 3.0
    assert float(scale[0]) == pytest.approx(np.sqrt((36.0 + floor**2) / 3), rel=1e-6)


@given(seed=SEEDS, factor=st.floats(1e-3, 1e3))
@settings(max_examples=30)
def test_scale_follows_the_flux(seed, factor):
    o = make_objects(4, seed)
    one, seen = flux_scale(o.flux, o.error, o.observed)
    other, _ = flux_scale(o.flux * factor, o.error * factor, o.observed)
    np.testing.assert_allclose(other[seen], factor * one[seen], rtol=1e-5)


# Requested bandfluxes


@given(relative=st.floats(-3.0, 100.0), scale=st.floats(1e-2, 1e5), share=st.floats(0.0, 0.5))
def test_requested_flux_is_scaled_by_asinh(relative, scale, share):
    flux = relative * scale
    error = share * scale
    value, sigma = flux_to_scaled(
        torch.tensor([[flux]], dtype=torch.float64),
        torch.tensor([scale], dtype=torch.float64),
        torch.tensor([[error]], dtype=torch.float64),
    )
    expected = (np.arcsinh(relative / FLUX_SOFTENING) - FLUX_LOC) / FLUX_WIDTH
    assert float(value) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    back = np.sinh(float(value) * FLUX_WIDTH + FLUX_LOC) * FLUX_SOFTENING * scale
    assert back == pytest.approx(flux, rel=1e-6, abs=1e-9 * scale)
    slope = 1 / np.hypot(relative, FLUX_SOFTENING) / FLUX_WIDTH
    assert float(sigma) == pytest.approx(share * slope, rel=1e-6)
    none = flux_to_scaled(torch.ones(1, 1), torch.ones(1))[1]
    assert none.tolist() == [[0.0]]


# Labels


@given(seed=SEEDS)
@settings(max_examples=30)
def test_labels_are_scaled_as_the_vocabulary_says(seed):
    rng = np.random.default_rng(seed)
    scaled = rng.uniform(-3, 3, (5, len(SCALING.names)))
    value = np.empty_like(scaled)
    expected = np.empty_like(scaled)
    error = rng.uniform(0, 0.5, scaled.shape)
    for i, name in enumerate(SCALING.names):
        kind = VOCABULARY[name]
        value[:, i] = kind.from_scaled(scaled[:, i])
        expected[:, i] = kind.scaled_error(value[:, i], error[:, i])
    found, sigma = SCALING.to_scaled(torch.from_numpy(value), torch.from_numpy(error))
    np.testing.assert_allclose(found, scaled, rtol=0, atol=1e-6)
    np.testing.assert_allclose(sigma, expected, rtol=1e-6)
    assert not SCALING.to_scaled(torch.from_numpy(value))[1].any()


@given(ew=st.floats(-50.0, -1e-3))
def test_negative_equivalent_widths_have_a_scaled_value(ew):
    scaling = LabelScaling.from_vocabulary(VOCABULARY, ["ew_oii", "ew_halpha"])
    value, sigma = scaling.to_scaled(torch.tensor([[ew, ew]]), torch.tensor([[1.0, 1.0]]))
    for i, name in enumerate(scaling.names):
        kind = VOCABULARY[name]
        assert float(value[0, i]) == pytest.approx(float(kind.to_scaled(ew)), abs=1e-5)
        assert float(value[0, i]) < float(kind.to_scaled(0.0))
        assert float(sigma[0, i]) == pytest.approx(float(kind.scaled_error(ew, 1.0)), rel=1e-5)


def test_scaling_keeps_the_order_that_is_asked():
    scaling = LabelScaling.from_vocabulary(VOCABULARY, ["tau", "z"])
    assert scaling.names == ("tau", "z")
    assert scaling.kind.tolist() == [VOCABULARY.index("tau"), VOCABULARY.index("z")]
    with pytest.raises(UnknownNameError, match="unknown quantity 'mass'"):
        LabelScaling.from_vocabulary(VOCABULARY, ["mass"])


# Context


def test_context_holds_the_photometry_in_units_of_the_scale():
    context = OBJECTS.context()
    scale = np.exp(context.log_scale.double().numpy())[:, None]
    np.testing.assert_allclose(
        scale[:, 0],
        numpy_scale(OBJECTS.flux.numpy(), OBJECTS.error.numpy(), OBJECTS.observed.numpy()),
        rtol=1e-5,
    )
    assert len(context) == 8
    patch, bands = context.patch, context.bands
    assert patch is not None
    assert patch.value.shape == (8, 1, len(PATCH))
    assert bands.value.shape == (8, len(SINGLE), 1)
    flux = np.concatenate([patch.value[:, 0], bands.value[..., 0]], 1) * scale
    error = np.concatenate([patch.error[:, 0], bands.error[..., 0]], 1) * scale
    seen = np.concatenate([patch.observed[:, 0], bands.observed[..., 0]], 1)
    np.testing.assert_array_equal(seen, OBJECTS.observed)
    np.testing.assert_allclose(flux, np.where(seen, OBJECTS.flux, 0), rtol=1e-5)
    np.testing.assert_allclose(error, np.where(seen, OBJECTS.error, 0), rtol=1e-5)
    np.testing.assert_allclose(patch.wavelength[0, 0], PIVOT[:5])
    np.testing.assert_allclose(bands.width[0, :, 0], WIDTH[5:])
    assert (patch.kind == VOCABULARY.index("flux")).all() and (patch.survey == 1).all()
    assert (bands.kind == VOCABULARY.index("flux")).all() and (bands.survey == 0).all()
    for tokens in (patch, bands, context.labels):
        assert tokens.value.dtype == tokens.error.dtype == torch.float32
        assert torch.equal(tokens.present, tokens.observed.any(-1))


def test_the_object_without_bands_is_marked():
    context = OBJECTS.context()
    assert context.has_scale.tolist() == OBJECTS.observed.any(-1).tolist()
    assert not context.has_scale[-1] and float(context.log_scale[-1]) == 0.0


@given(seed=SEEDS, junk=st.sampled_from([float("nan"), float("inf"), -float("inf"), -99.0, 1e30]))
@settings(max_examples=30)
def test_masked_values_do_not_reach_the_tokens(seed, junk):
    clean = make_objects(5, seed, observed=0.5)
    dirty = replace(
        clean,
        flux=torch.where(clean.observed, clean.flux, junk),
        error=torch.where(clean.observed, clean.error, junk),
        value=torch.where(clean.given, clean.value, junk),
        label_error=torch.where(clean.given, clean.label_error, junk),
    )
    one, other = clean.context(), dirty.context()
    torch.testing.assert_close(one.log_scale, other.log_scale, rtol=0, atol=0)
    for name in ("patch", "bands", "labels"):
        assert_tokens_equal(getattr(one, name), getattr(other, name))


def test_a_non_detection_is_not_a_missing_band():
    flux, error = OBJECTS.flux.clone(), OBJECTS.error
    flux[:, 0] = 0.0
    there, away = OBJECTS.observed.clone(), OBJECTS.observed.clone()
    there[:, 0], away[:, 0] = True, False
    detected = replace(OBJECTS, flux=flux, error=error, observed=there).context().patch
    missing = replace(OBJECTS, flux=flux, error=error, observed=away).context().patch
    assert detected is not None and missing is not None
    assert detected.observed[:, 0, 0].all() and (detected.value[:, 0, 0] == 0).all()
    assert (detected.error[:, 0, 0] > 0).all()
    assert not missing.observed[:, 0, 0].any() and not missing.error[:, 0, 0].any()


def test_bands_that_are_left_out_do_not_set_the_scale():
    layout = OBJECTS.layout()
    some = layout.with_single(torch.tensor([6]))
    keep = [0, 1, 2, 3, 4, 6]
    left = OBJECTS.columns(keep)

    def build(objects: Objects, layout: BandLayout):
        return build_context(
            objects.flux,
            objects.error,
            objects.observed,
            layout,
            vocabulary=VOCABULARY,
            scaling=SCALING,
        )

    one, other = build(OBJECTS, some), build(left, left.layout())
    torch.testing.assert_close(one.log_scale, other.log_scale)
    assert_tokens_equal(one.patch, other.patch)
    assert_tokens_equal(one.bands, other.bands)
    bare = build(OBJECTS, layout.without_patch())
    assert bare.patch is None
    expected = numpy_scale(
        OBJECTS.flux.numpy()[:, 5:], OBJECTS.error.numpy()[:, 5:], OBJECTS.observed.numpy()[:, 5:]
    )
    np.testing.assert_allclose(bare.log_scale.exp(), expected, rtol=1e-5)


def test_a_patch_band_the_table_lacks_is_not_observed():
    context = OBJECTS.columns([4, 0, 6]).context()
    patch = context.patch
    assert patch is not None
    assert not patch.observed[:, 0, 1:4].any()
    np.testing.assert_array_equal(patch.observed[:, 0, 0], OBJECTS.observed[:, 0])
    np.testing.assert_array_equal(patch.observed[:, 0, 4], OBJECTS.observed[:, 4])
    assert patch.wavelength[0, 0].tolist() == [3800.0, 0.0, 0.0, 0.0, 7000.0]


def test_labels_become_tokens_of_their_kinds():
    context = OBJECTS.context()
    labels = context.labels
    given = OBJECTS.given.numpy()
    assert labels.value.shape == (8, given.sum(1).max(), 1)
    assert not labels.wavelength.any() and not labels.width.any()
    for row in range(8):
        seen = labels.observed[row, :, 0].numpy()
        names = [VOCABULARY.names[k] for k in labels.kind[row].numpy()[seen]]
        assert names == [n for n, g in zip(SCALING.names, given[row], strict=True) if g]
        for token, name in zip(np.flatnonzero(seen), names, strict=True):
            column, kind = SCALING.names.index(name), VOCABULARY[name]
            value = float(OBJECTS.value[row, column])
            error = float(OBJECTS.label_error[row, column])
            assert float(labels.value[row, token, 0]) == pytest.approx(
                float(kind.to_scaled(value)), abs=1e-5
            )
            assert float(labels.error[row, token, 0]) == pytest.approx(
                float(kind.scaled_error(value, error)), rel=1e-4
            )


def test_without_labels_there_is_no_label_token():
    none = replace(OBJECTS, given=torch.zeros_like(OBJECTS.given)).context()
    assert none.labels.value.shape == (8, 0, 1)
    assert none.labels.present.shape == (8, 0)


def test_tokens_and_contexts_can_be_cut_and_moved():
    context = OBJECTS.context()
    assert_tokens_equal(context.bands[2:4], OBJECTS.rows([2, 3]).context().bands)
    rows = torch.tensor([5, 1])
    torch.testing.assert_close(context.bands[rows].value, context.bands.value[rows])
    moved = context.to("cpu")
    assert_tokens_equal(moved.patch, context.patch)
    assert_tokens_equal(moved.labels, context.labels)
    assert moved.to("meta").bands.value.device.type == "meta"
    asked = build_requests(["z"], VOCABULARY, {})
    assert asked.to("meta").kind.device.type == "meta" and asked.to("meta").names == ("z",)


# Requests


def test_requests_know_their_kind_and_passband():
    requests = build_requests(["z", "flux:p1", "ew_nii"], VOCABULARY, PASSBANDS)
    assert requests.names == ("z", "flux:p1", "ew_nii")
    assert len(requests) == 3
    assert requests.kind.tolist() == [VOCABULARY.index(n) for n in ("z", "flux", "ew_nii")]
    assert requests.wavelength.tolist() == [0.0, 4600.0, 0.0]
    assert requests.width.tolist() == [0.0, 145.0, 0.0]


@pytest.mark.parametrize("name", ["redshift", "flux", "z:p1", "logmstar:", ""])
def test_unknown_requests_list_the_quantities(name):
    with pytest.raises(UnknownNameError, match="unknown quantity") as caught:
        build_requests([name], VOCABULARY, PASSBANDS)
    assert "logmstar" in str(caught.value) and "flux:<band>" in str(caught.value)


@pytest.mark.parametrize("name", ["flux:p7", "flux:"])
def test_unknown_passbands_list_the_known_ones(name):
    with pytest.raises(UnknownNameError, match="unknown passband.*p0, p1.*s2"):
        build_requests([name], VOCABULARY, PASSBANDS)
