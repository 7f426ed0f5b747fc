"""The dense readout: heads that read the whole patch, and trainings that ask it for everything."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_model import (
    CONFIG,
    PASSBANDS,
    PATCH,
    SCALING,
    VOCABULARY,
    make_model,
    make_objects,
)
from tiny_training import TINY

from jpassed.exceptions import InputError, ModelError
from jpassed.nn import ModelConfig
from jpassed.nn.heads import BinnedHead
from jpassed.nn.kind_linear import KindLinear
from jpassed.tokens import build_requests
from jpassed.training.config import TrainingConfig
from jpassed.training.loop import train
from jpassed.training.setup import prepare

NAMES = ("ew_halpha", "z", "logmstar", "flux:p2")


def dense_model(**changes):
    model = make_model(dense_readout=True, patch_width=40, **changes)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "dense.lift" in name:
                torch.nn.init.normal_(p, std=0.5)
    return model


def objects(n, seed, **shown):
    """Made-up objects, the last of which has no band (`shown`: see `make_objects`)."""
    return make_objects(n + 1, seed, **shown)


def ask(model, context, names=NAMES):
    with torch.inference_mode():
        return model(context, build_requests(names, VOCABULARY, PASSBANDS))


def close(a, b, rows=slice(None)):
    np.testing.assert_allclose(a.parameters[rows], b.parameters[rows], atol=2e-5)
    np.testing.assert_allclose(a.redshift_logits[rows], b.redshift_logits[rows], atol=2e-5)


def test_at_first_the_heads_see_the_patch_alone():
    model = make_model(dense_readout=True)
    context = objects(6, seed=1).context()
    requests = build_requests(NAMES, VOCABULARY, PASSBANDS)
    with torch.inference_mode():
        close(model(context, requests), model.from_patch(context, requests))
    with torch.inference_mode():
        single = model.from_patch(context, build_requests(["z"], VOCABULARY, {}))
    np.testing.assert_allclose(
        single.redshift_logits, ask(model, context).redshift_logits, atol=2e-5
    )


def test_other_bands_and_labels_move_what_the_patch_says():
    model = dense_model()
    made = objects(6, seed=1, observed=1.0, given=0.5)
    both = ask(model, made.context())
    patch = ask(model, replace(made, given=torch.zeros_like(made.given)).context())
    assert (both.parameters - patch.parameters)[:6].abs().amax((1, 2)).min() > 1e-4
    requests = build_requests(NAMES, VOCABULARY, PASSBANDS)
    with torch.inference_mode():
        alone = model.from_patch(made.context(), requests)
    assert (both.parameters - alone.parameters).abs().amax((1, 2)).min() > 1e-4


def test_an_object_without_bands_of_the_patch_reads_nothing_of_it():
    model = dense_model()
    made = objects(5, seed=2, observed=1.0)
    observed = made.observed.clone()
    observed[:2, : len(PATCH)] = False
    mixed = ask(model, replace(made, observed=observed).context())
    observed[:, : len(PATCH)] = False
    single = replace(made, observed=observed)
    lone = list(range(len(PATCH), observed.shape[1]))
    without = ask(model, single.columns(lone).context(()))
    close(mixed, without, slice(0, 2))
    assert (mixed.parameters - without.parameters)[2:5].abs().max() > 1e-3


def test_a_request_is_answered_alike_alone_and_among_others():
    model = dense_model()
    context = objects(4, seed=3).context()
    together = ask(model, context)
    for i, name in enumerate(NAMES):
        alone = ask(model, context, (name,))
        np.testing.assert_allclose(alone.parameters[:, 0], together.parameters[:, i], atol=2e-5)


def test_a_model_without_one_says_so():
    context = objects(2, seed=1).context()
    with pytest.raises(ModelError, match="dense readout"):
        make_model().from_patch(context, build_requests(["z"], VOCABULARY, {}))
    with pytest.raises(InputError, match="dense_readout: expected patch bands"):
        ModelConfig(dense_readout=True, patch_tokens=0)
    with pytest.raises(InputError, match="dense: 64 objects a step need"):
        TrainingConfig.from_dict({"mix": {"dense": 64}})
    with pytest.raises(InputError, match="got -5 and 1"):
        TrainingConfig.from_dict({"mix": {"dense": -5}})


def test_one_vector_serves_all_requests():
    torch.manual_seed(1)
    linear, kind = KindLinear(7, 5, 3), torch.tensor([2, 6, 2, 0])
    x = torch.randn(4, 1, 5)
    np.testing.assert_allclose(
        linear(x, kind).detach(), linear(x.expand(-1, 4, -1), kind).detach(), atol=1e-6
    )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0.0, 0.8), min_size=1, max_size=6),
    st.sampled_from([0.0, 1e-4, 0.003, 0.02, 0.3]),
    st.integers(0, 99),
)
def test_far_bins_have_no_share_of_a_softened_target(where, sigma, seed):
    head = BinnedHead(replace(CONFIG, redshift_bin=0.004), 0.3, 0.2)
    x = torch.tensor(where, dtype=torch.float64)
    error = torch.full((len(where),), sigma, dtype=torch.float64)
    bins = head.edges.numel() - 1
    logits = 3.0 * torch.randn(
        len(where), bins, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    found = head.loss(logits, (x - 0.3) / 0.2, error / 0.2)
    soft = torch.hypot(error, torch.full_like(error, 0.002)).unsqueeze(-1)
    cumulative = 0.5 * torch.erf((head.edges.double() - x.unsqueeze(-1)) / soft / math.sqrt(2.0))
    share = cumulative.diff(dim=-1)
    share = share / share.sum(-1, keepdim=True)
    wanted = -(share * logits.log_softmax(-1)).sum(-1)
    wanted = wanted + math.log(0.004 / 0.2) - 0.5 * math.log(2 * math.pi)
    np.testing.assert_allclose(found, wanted, atol=2e-4)


@pytest.mark.parametrize("error", [math.nan, math.inf, 1e30])
def test_a_broken_error_of_a_target_makes_a_broken_loss_not_a_crash(error):
    head = BinnedHead(replace(CONFIG, redshift_bin=0.02), 0.3, 0.2)
    logits = torch.zeros(2, head.edges.numel() - 1)
    found = head.loss(logits, torch.zeros(2), torch.tensor([0.0, error]))
    assert torch.isfinite(found[0])


def test_joint_draws_ask_as_if_everything_were_shown():
    # The sampler hands the embedded bands in, and the bands themselves for fluxes and lines alone.
    model = dense_model(rest_frame=True, readout_kernels=3)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith(("readout.last.weight", "rest.last.weight")):
                torch.nn.init.normal_(p, std=0.5)
    made = objects(5, seed=4, observed=1.0, given=0.6)
    context = made.context()
    whole = ask(model, context, ("z", "logmstar"))
    requests = build_requests(("z", "logmstar"), VOCABULARY, PASSBANDS)
    none = {f.name: getattr(context.bands, f.name)[:, :0] for f in fields(context.bands)}
    bare = replace(context, patch=None, bands=replace(context.bands, **none))
    with torch.inference_mode():
        embedded = model.embed_observed(context).take(torch.arange(len(context)))
        close(model(bare, requests, embedded), whole)


@pytest.mark.real_data
def test_a_training_asks_the_patch_for_every_label(real_data, tmp_path):
    ssp = (str(real_data / "ssp" / "ssp_bc03_lr_chabrier.npz"),)
    model = {**TINY["model"], "dense_readout": True, "rest_frame": True}
    mix = {"dense": 48, "dense_weight": 0.5}
    config = TrainingConfig.from_dict({**TINY, "model": model, "mix": mix})
    setup = prepare(config, torch.device("cpu"), ssp=ssp)
    setup.pool.fill()
    generator = torch.Generator().manual_seed(1)
    seen = setup.simulated.draw(40, generator)
    question = setup.questioner.ask_patch(seen, generator)
    assert question.requests.names == SCALING.names
    there = question.context.patch.present
    assert torch.equal(question.asked, seen.label_known & there)
    assert question.context.bands.value.shape[1] == 0
    assert question.context.labels.value.shape[1] == 0
    shown = question.context.patch.observed[:, 0]
    full = shown.all(1).float().mean()
    assert 0.2 < full < 1.0
    assert float(question.weight.mean()) == pytest.approx(1.0, abs=1e-5)

    folder = train(config, tmp_path / "run", ssp=ssp)
    train(config, tmp_path / "resumed", ssp=ssp, stop_after=4)
    train(config, tmp_path / "resumed", ssp=ssp, resume=True)
    one, other = ((tmp_path / run / "log.jsonl").read_text() for run in ("run", "resumed"))
    for a, b in zip(one.splitlines(), other.splitlines(), strict=True):
        first, second = json.loads(a), json.loads(b)
        for key in ("loss", "loss_dense", "objects", "gradient_norm"):
            assert first[key] == pytest.approx(second[key], rel=1e-4), key
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert all(np.isfinite(line["loss_dense"]) for line in log)
    assert log[-1]["objects"] == len(log) * (64 + 48)
    card = json.loads((folder / "model.json").read_text())
    assert card["objects"] == log[-1]["objects"]
