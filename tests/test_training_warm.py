"""Trainings that start from other weights."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_model import CONFIG, VOCABULARY, assert_same, make_model, make_objects, predict
from tiny_training import TINY

from jpassed.exceptions import FileError, ModelError
from jpassed.nn import SEDModel
from jpassed.nn.checkpoint import read_model, write_model
from jpassed.training.config import TrainingConfig
from jpassed.training.loop import train
from jpassed.training.state import STATE
from jpassed.training.warm import read_weights, start_from
from jpassed.vocabulary import Vocabulary

CARD = {"kinds": list(VOCABULARY.names), "steps": 7, "objects": 448}


def written(folder: Path, model: SEDModel, card: dict[str, object] | None = None) -> Path:
    state = {k: v.half().float() for k, v in model.state_dict().items()}
    model.load_state_dict(state)
    return write_model(folder, state, model.config, CARD if card is None else card, VOCABULARY)


def test_equal_shapes_give_equal_predictions(tmp_path: Path) -> None:
    source, other = make_model(1), make_model(2)
    folder = written(tmp_path / "source", source)
    record = start_from(other, folder, VOCABULARY)
    context = make_objects().context()
    assert_same(predict(source, context), predict(other, context), 0.0)
    assert record["name"] == "source"
    assert record["digest"] == read_model(folder).digest
    assert (record["steps"], record["objects"]) == (7, 448)
    assert record["copied"] == len(source.state_dict())
    assert record["kinds"] == "by name"
    assert record["new"] == record["left"] == record["mismatched"] == record["new_kinds"] == []


@pytest.mark.parametrize("times", [2, 5])
def test_finer_bins_of_redshift_have_the_same_density(tmp_path: Path, times: int) -> None:
    source = make_model(1)
    fine = make_model(2, redshift_bin=CONFIG.redshift_bin / times)
    folder = written(tmp_path / "source", source)
    record = start_from(fine, folder, VOCABULARY)
    assert record["bins_repeated"] == times
    assert record["mismatched"] == []
    context = make_objects().context()
    coarse, finer = (predict(m, context).redshift_logits for m in (source, fine))
    assert coarse is not None
    assert finer is not None
    p, q = coarse.double().softmax(-1), finer.double().softmax(-1)
    q = torch.nn.functional.pad(q, (0, times * p.shape[1] - q.shape[1]))
    # All but the last bin, of which the fine ones may cover a part only, up to normalisation.
    shares = q.unflatten(1, (-1, times))
    np.testing.assert_allclose(shares[:, :-1].std(-1), 0.0, atol=1e-9)
    whole = shares.sum(-1)[:, :-1]
    np.testing.assert_allclose(
        whole / whole.sum(1, keepdim=True),
        p[:, :-1] / p[:, :-1].sum(1, keepdim=True),
        rtol=1e-5,
    )


@pytest.mark.parametrize("width", [CONFIG.redshift_bin / 1.5, CONFIG.redshift_bin * 2])
def test_bins_that_do_not_nest_start_anew(tmp_path: Path, width: float) -> None:
    other = make_model(2, redshift_bin=width)
    before = {k: v.clone() for k, v in other.state_dict().items()}
    record = start_from(other, written(tmp_path / "source", make_model(1)), VOCABULARY)
    assert [m.split()[0] for m in record["mismatched"]] == [
        "redshift_head.last.weight",
        "redshift_head.last.bias",
    ]
    assert torch.equal(other.state_dict()["redshift_head.last.bias"], before[
        "redshift_head.last.bias"
    ])  # fmt: skip
    assert record["bins_repeated"] == 1


def fewer_kinds(folder: Path, names: list[str], card: dict[str, object]) -> Path:
    """A model of a vocabulary with only some kinds, in their order."""
    rows = [VOCABULARY.names.index(n) for n in names]
    tensors = load_file(written(folder, make_model(1)) / "model.safetensors")
    for name in ("label.kind.weight", "request_kind.weight"):
        tensors[name] = tensors[name][rows].clone()
    for name in ("head.linear.weight", "head.linear.bias"):
        tensors[name] = tensors[name][rows].clone()
    save_file(tensors, folder / "model.safetensors")
    (folder / "model.json").write_text(json.dumps(card))
    return folder


@pytest.mark.parametrize("told", [True, False])
def test_kinds_are_matched_by_name_or_position(tmp_path: Path, told: bool) -> None:
    if told:
        names = ["flux", "z", "av", "logmstar"]
        card: dict[str, object] = {"kinds": names}
    else:
        names = [*VOCABULARY.names[:4], "flux"]
        card = {}
    folder = fewer_kinds(tmp_path / "source", names, card)
    source, other = make_model(1), make_model(2)
    fresh = other.state_dict()["head.linear.bias"].clone()
    record = start_from(other, folder, VOCABULARY)
    assert record["kinds"] == ("by name" if told else "by position")
    assert record["new_kinds"] == [k for k in VOCABULARY.names if k not in names]
    for tensor in ("head.linear.weight", "request_kind.weight", "label.kind.weight"):
        for name in names:
            row = VOCABULARY.names.index(name)
            wanted = source.state_dict()[tensor][row].half().float()
            torch.testing.assert_close(other.state_dict()[tensor][row], wanted, rtol=0, atol=0)
    row = VOCABULARY.names.index("logage_l")
    assert torch.equal(other.state_dict()["head.linear.bias"][row], fresh[row])
    # What both know is answered alike: from bands alone, as labels would be of new kinds too.
    context = make_objects(given=0.0).context()
    asked = ("z", "logmstar", "flux:p2")
    source.load_state_dict({k: v.half().float() for k, v in source.state_dict().items()})
    assert_same(predict(source, context, asked), predict(other, context, asked), 1e-6)


def test_blocks_that_are_new_change_nothing_at_first(tmp_path: Path) -> None:
    source = make_model(1)
    deeper = make_model(2, patch_blocks=3, blocks=3, decoder_blocks=3)
    record = start_from(deeper, written(tmp_path / "source", source), VOCABULARY)
    assert record["new"] == ["decoder.2.*", "patch.blocks.1.*", "patch.blocks.2.*", "trunk.2.*"]
    context = make_objects().context()
    assert_same(predict(source, context), predict(deeper, context), 1e-6)


def test_the_first_of_many_blocks_are_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = make_model(1, patch_blocks=3)
    shallow = make_model(2)
    with caplog.at_level(logging.WARNING):
        record = start_from(shallow, written(tmp_path / "source", source), VOCABULARY)
    assert record["left"] == ["patch.blocks.1.*", "patch.blocks.2.*"]
    assert "patch.blocks.2.*" in caplog.text
    name = "patch.blocks.0.up.weight"
    assert torch.equal(shallow.state_dict()[name], source.state_dict()[name])


def test_another_width_is_refused_with_its_reason(tmp_path: Path) -> None:
    other = make_model(2, width=32, heads=4)
    folder = written(tmp_path / "source", make_model(1))
    record = start_from(other, folder, VOCABULARY)
    assert any(m.startswith("norm.weight (24,) -> (32,)") for m in record["mismatched"])
    only = tmp_path / "odd.safetensors"
    save_file({"something.else": torch.zeros(3)}, only)
    with pytest.raises(ModelError, match="nothing of the weights"):
        start_from(other, only, VOCABULARY)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no weights to start from at .*nowhere"):
        read_weights(tmp_path / "nowhere")
    (tmp_path / "bad.safetensors").write_bytes(b"no such thing")
    with pytest.raises(ModelError, match="damaged"):
        read_weights(tmp_path / "bad.safetensors")


def test_the_bandflux_is_the_last_kind() -> None:
    # Weights without names of kinds are matched on this ground.
    vocabulary: Vocabulary = VOCABULARY
    assert vocabulary.names[-1] == "flux"


@pytest.mark.real_data
def test_a_training_starts_where_another_ended(tmp_path: Path, real_data: Path) -> None:
    ssp = (str(real_data / "ssp" / "ssp_bc03_lr_chabrier.npz"),)
    tiny = TrainingConfig.from_dict(TINY)
    first = replace(tiny, optimiser=replace(tiny.optimiser, steps=2))
    source = train(first, tmp_path / "first", ssp=ssp)
    still = replace(
        tiny, optimiser=replace(tiny.optimiser, steps=1, learning_rate=1e-12, weight_decay=0.0)
    )
    folder = train(still, tmp_path / "second", ssp=ssp, start_from=source)
    # Half a float16's last digit apart, at most: both were rounded.
    one, two = (read_model(f).network.state_dict() for f in (source, folder))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=2e-3, atol=1e-6)
    card = read_model(folder).card
    assert card["kinds"] == list(VOCABULARY.names)
    assert card["started_from"]["name"] == "first"
    assert card["started_from"]["digest"] == read_weights(source / STATE).digest
    assert card["training"]["start_from"] == "first"
    more = replace(still, optimiser=replace(still.optimiser, steps=2))
    train(more, folder, ssp=ssp, resume=True)
    assert read_model(folder).card["started_from"] == card["started_from"]
