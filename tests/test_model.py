"""The network: what must not change its answer, what must, and that all of it can learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_model import (
    BANDS,
    CONFIG,
    PASSBANDS,
    REQUESTED,
    SCALING,
    VOCABULARY,
    Objects,
    assert_same,
    make_model,
    make_objects,
    predict,
)

from jpassed.nn import SEDModel
from jpassed.tokens import Context, TokenBatch, build_requests

MODEL = make_model()
MODEL_WITHOUT_PATCH = make_model(patch_bands=())
MODEL_WITH_CONTRAST = make_model(contrast_bands=4)
OBJECTS = make_objects()
SEEDS = st.integers(0, 10_000)
EVERY_FORM = pytest.mark.parametrize(
    ("model", "patch"),
    [
        (MODEL, CONFIG.patch_bands),
        (MODEL_WITH_CONTRAST, CONFIG.patch_bands),
        (MODEL_WITHOUT_PATCH, ()),
    ],
    ids=["patch", "contrast", "no patch"],
)


def reorder(tokens: TokenBatch, order: list[int]) -> TokenBatch:
    return TokenBatch(*(getattr(tokens, f)[:, order] for f in TokenBatch.__annotations__))


def pad(tokens: TokenBatch, count: int, junk: float) -> TokenBatch:
    """`count` further tokens that hold nothing: junk in everything but the mask."""
    grown = {}
    for name in TokenBatch.__annotations__:
        tensor = getattr(tokens, name)
        shape = (tensor.shape[0], count, *tensor.shape[2:])
        extra = torch.full(shape, junk if tensor.dtype.is_floating_point else 0).to(tensor.dtype)
        grown[name] = torch.cat((tensor, extra), 1)
    return TokenBatch(**grown)


# Shapes and values


@EVERY_FORM
def test_answers_have_their_shapes_and_are_finite(model, patch):
    answer = predict(model, OBJECTS.context(patch))
    assert answer.names == REQUESTED
    assert answer.parameters.shape == (6, len(REQUESTED), 3 * CONFIG.components)
    assert answer.redshift_logits is not None
    # ln(1 + 1.25) in bins of 0.01
    assert answer.redshift_logits.shape == (6, 82)
    assert answer.parameters.dtype == answer.redshift_logits.dtype == torch.float32
    assert torch.isfinite(answer.parameters).all()
    assert torch.isfinite(answer.redshift_logits).all()


def test_without_redshift_among_the_requests_there_are_no_bins():
    assert predict(MODEL, OBJECTS.context(), ("av", "flux:p0")).redshift_logits is None


@pytest.mark.parametrize("form", ["gaussian", "mixture"])
def test_other_heads_for_redshift(form):
    model = make_model(head_real=form, head_redshift=form)
    answer = predict(model, OBJECTS.context())
    assert answer.redshift_logits is None
    assert answer.parameters.shape[-1] == (2 if form == "gaussian" else 9)


@EVERY_FORM
@given(seed=SEEDS, observed=st.floats(0.0, 1.0), given_=st.floats(0.0, 1.0))
@settings(max_examples=25)
def test_any_context_gives_finite_answers(model, patch, seed, observed, given_):
    objects = make_objects(4, seed, observed=observed, given=given_)
    answer = predict(model, objects.context(patch))
    assert torch.isfinite(answer.parameters).all()
    assert answer.redshift_logits is not None and torch.isfinite(answer.redshift_logits).all()


def test_no_hidden_state():
    context = OBJECTS.context()
    first = predict(MODEL, context)
    predict(MODEL, make_objects(3, seed=8).context())
    assert_same(predict(MODEL, context), first, tolerance=0.0)
    trained = make_model().train()
    assert_same(predict(trained, context), first, tolerance=0.0)


# What must not change the answer


@EVERY_FORM
@given(seed=SEEDS, order=st.permutations(range(len(BANDS))))
@settings(max_examples=25)
def test_order_of_the_bands_does_not_matter(model, patch, seed, order):
    objects = make_objects(5, seed)
    one = predict(model, objects.context(patch))
    assert_same(predict(model, objects.columns(list(order)).context(patch)), one)


@EVERY_FORM
@given(seed=SEEDS)
@settings(max_examples=25)
def test_order_of_the_tokens_does_not_matter(model, patch, seed):
    context = make_objects(5, seed, given=0.4).context(patch)
    rng = np.random.default_rng(seed)
    shuffled = replace(
        context,
        bands=reorder(context.bands, rng.permutation(context.bands.value.shape[1]).tolist()),
        labels=reorder(context.labels, rng.permutation(context.labels.value.shape[1]).tolist()),
    )
    assert_same(predict(model, shuffled), predict(model, context))


@EVERY_FORM
@given(seed=SEEDS, count=st.integers(1, 5), junk=st.sampled_from([0.0, 1.0, -50.0, 1e4]))
@settings(max_examples=25)
def test_padding_does_not_matter(model, patch, seed, count, junk):
    context = make_objects(5, seed).context(patch)
    padded = replace(
        context, bands=pad(context.bands, count, junk), labels=pad(context.labels, count, junk)
    )
    assert_same(predict(model, padded), predict(model, context))


@EVERY_FORM
@given(seed=SEEDS, junk=st.sampled_from([float("nan"), float("inf"), -float("inf"), -99.0, 1e30]))
@settings(max_examples=25)
def test_masked_values_do_not_matter(model, patch, seed, junk):
    clean = make_objects(5, seed, observed=0.5)
    dirty = replace(
        clean,
        flux=torch.where(clean.observed, clean.flux, junk),
        error=torch.where(clean.observed, clean.error, junk),
        value=torch.where(clean.given, clean.value, junk),
        label_error=torch.where(clean.given, clean.label_error, junk),
    )
    assert_same(predict(model, dirty.context(patch)), predict(model, clean.context(patch)), 0.0)


@EVERY_FORM
def test_a_band_that_nobody_observed_is_as_good_as_none(model, patch):
    seen = OBJECTS.observed.clone()
    seen[:, [1, 3, 6]] = False
    masked = replace(OBJECTS, observed=seen)
    dropped = masked.columns([0, 2, 4, 5, 7])
    assert_same(predict(model, dropped.context(patch)), predict(model, masked.context(patch)))


def test_an_empty_patch_is_as_good_as_none():
    seen = OBJECTS.observed.clone()
    seen[:, :5] = False
    masked = replace(OBJECTS, observed=seen)
    without = masked.columns([5, 6, 7]).context()
    assert without.patch is None
    assert masked.context().patch is not None
    assert_same(predict(MODEL, without), predict(MODEL, masked.context()))


@EVERY_FORM
@given(seed=SEEDS, rows=st.permutations(range(6)), cut=st.integers(1, 6))
@settings(max_examples=25)
def test_objects_do_not_know_of_each_other(model, patch, seed, rows, cut):
    objects = make_objects(6, seed)
    together = predict(model, objects.context(patch))
    chosen = list(rows)[:cut]
    apart = predict(model, objects.rows(chosen).context(patch))
    torch.testing.assert_close(apart.parameters, together.parameters[chosen], rtol=0, atol=2e-5)
    torch.testing.assert_close(
        apart.redshift_logits, together.redshift_logits[chosen], rtol=0, atol=2e-5
    )


@given(order=st.permutations(range(len(REQUESTED))), cut=st.integers(1, len(REQUESTED)))
@settings(max_examples=40)
def test_requests_are_answered_each_by_itself(order, cut):
    context = OBJECTS.context()
    every = predict(MODEL, context)
    chosen = list(order)[:cut]
    some = predict(MODEL, context, tuple(REQUESTED[i] for i in chosen))
    torch.testing.assert_close(some.parameters, every.parameters[:, chosen], rtol=0, atol=2e-5)
    if "z" in some.names:
        torch.testing.assert_close(some.redshift_logits, every.redshift_logits, rtol=0, atol=2e-5)


# What must change the answer


def distance(model: SEDModel, one: Context, other: Context) -> np.ndarray:
    """Largest change of each object's answer."""
    a, b = predict(model, one), predict(model, other)
    return (a.parameters - b.parameters).abs().amax((1, 2)).numpy()


def change(objects: Objects, name: str, column: int, factor: float) -> Objects:
    tensor = getattr(objects, name).clone()
    tensor[:, column] = tensor[:, column] * factor
    return replace(objects, **{name: tensor})


@EVERY_FORM
@pytest.mark.parametrize("column", [0, 6])
@pytest.mark.parametrize("name", ["flux", "error"])
def test_every_observed_value_and_error_counts(model, patch, name, column):
    full = replace(OBJECTS, observed=torch.ones_like(OBJECTS.observed))
    other = change(full, name, column, 1.7)
    assert (distance(model, full.context(patch), other.context(patch)) > 1e-4).all()


@EVERY_FORM
def test_presence_counts_even_for_a_flux_of_zero(model, patch):
    flux = OBJECTS.flux.clone()
    flux[:, [2, 7]] = 0.0
    seen = torch.ones_like(OBJECTS.observed)
    there = replace(OBJECTS, flux=flux, observed=seen)
    for column in (2, 7):
        fewer = seen.clone()
        fewer[:, column] = False
        away = replace(there, observed=fewer)
        assert (distance(model, there.context(patch), away.context(patch)) > 1e-4).all()


def test_brightness_counts():
    # log M* needs it, although fluxes are divided by the object's own scale.
    full = replace(OBJECTS, observed=torch.ones_like(OBJECTS.observed))
    brighter = replace(full, flux=full.flux * 10, error=full.error * 10)
    assert (distance(MODEL, full.context(), brighter.context()) > 1e-4).all()


@pytest.mark.parametrize("name", ["z", "logmstar", "ew_halpha"])
def test_labels_and_their_errors_count(name):
    column = SCALING.names.index(name)
    chosen = torch.zeros_like(OBJECTS.given)
    none = replace(OBJECTS, given=chosen.clone())
    chosen[:, column] = True
    value = OBJECTS.value.clone()
    value[:, column] = 0.5
    exact = replace(
        OBJECTS, given=chosen, value=value, label_error=torch.zeros_like(OBJECTS.label_error)
    )
    shifted = change(exact, "value", column, 1.3)
    vague = replace(exact, label_error=torch.full_like(exact.label_error, 0.2))
    for other in (none, shifted, vague):
        assert (distance(MODEL, exact.context(), other.context()) > 1e-4).all()


def test_labels_of_two_kinds_differ():
    given = torch.zeros_like(OBJECTS.given)
    value = torch.ones_like(OBJECTS.value)
    contexts = []
    for name in ("av", "av_young"):
        chosen = given.clone()
        chosen[:, SCALING.names.index(name)] = True
        contexts.append(replace(OBJECTS, given=chosen, value=value).context())
    assert (distance(MODEL, *contexts) > 1e-4).all()


def test_a_filter_never_seen_is_known_by_wavelength_and_width():
    asked = {"here": (5000.0, 150.0), "there": (5200.0, 150.0), "wide": (5000.0, 900.0)}
    context = OBJECTS.context()
    with torch.no_grad():
        requests = build_requests([f"flux:{n}" for n in asked], VOCABULARY, asked)
        answer = MODEL(context, requests).parameters
    assert torch.isfinite(answer).all()
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert ((answer[:, i] - answer[:, j]).abs().amax(-1) > 1e-4).all()
    bands = context.bands
    moved = replace(context, bands=replace(bands, wavelength=bands.wavelength * 1.1))
    wider = replace(context, bands=replace(bands, width=bands.width * 3))
    seen = bands.present.any(-1).numpy()
    for other in (moved, wider):
        assert (distance(MODEL, context, other)[seen] > 1e-4).all()
        assert (distance(MODEL, context, other)[~seen] == 0).all()


# Learning


@pytest.mark.parametrize("form", ["gaussian", "mixture"])
@pytest.mark.parametrize("contrast", [0, 5])
def test_gradients_reach_every_weight_and_are_finite(form, contrast):
    model = make_model(head_real=form, contrast_bands=contrast).train()
    objects = make_objects(16, given=0.3)
    names = tuple(VOCABULARY.scalars) + tuple(f"flux:{b}" for b in BANDS)
    answer = model(objects.context(), build_requests(names, VOCABULARY, PASSBANDS))
    target = torch.zeros(16, len(names))
    loss = model.head.loss(answer.parameters, target, target).mean()
    loss = (
        loss + model.redshift_head.loss(answer.redshift_logits, target[:, 0], target[:, 0]).mean()
    )
    loss.backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name
        assert weight.grad.abs().sum() > 0, name


def test_gradients_survive_masked_junk():
    model = make_model().train()
    dirty = replace(
        OBJECTS,
        flux=torch.where(OBJECTS.observed, OBJECTS.flux, float("nan")),
        error=torch.where(OBJECTS.observed, OBJECTS.error, float("inf")),
    )
    answer = model(dirty.context(), build_requests(REQUESTED, VOCABULARY, PASSBANDS))
    (answer.parameters.square().mean() + answer.redshift_logits.square().mean()).backward()
    for name, weight in model.named_parameters():
        assert weight.grad is None or torch.isfinite(weight.grad).all(), name


def test_half_precision_answers_nearly_the_same():
    context = OBJECTS.context()
    exact = predict(MODEL, context)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = predict(MODEL, context)
    assert rough.parameters.dtype == rough.redshift_logits.dtype == torch.float32
    assert_same(rough, exact, tolerance=0.1)
    assert not torch.equal(rough.parameters, exact.parameters)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_gpu_answers_the_same():
    context = OBJECTS.context()
    requests = build_requests(REQUESTED, VOCABULARY, PASSBANDS)
    with torch.no_grad():
        there = make_model().to("cuda")(context.to("cuda"), requests.to("cuda"))
    back = replace(
        there, parameters=there.parameters.cpu(), redshift_logits=there.redshift_logits.cpu()
    )
    assert_same(back, predict(MODEL, context), tolerance=1e-3)
