"""Models on disk: round trip, damage, and the way from a name to a model."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save
from small_model import CONFIG, VOCABULARY, assert_same, make_model, make_objects, predict

import jpassed
from jpassed import weights
from jpassed.exceptions import FileError, InputError, ModelError, UnknownNameError
from jpassed.nn.checkpoint import CARD, WEIGHTS, read_model, write_model

CONTEXT = make_objects().context()
RECORD = {"name": "tiny", "version": "0.3", "package_version": "0.1.0", "steps": 12}


def write(folder: Path, seed: int = 1, **record: object) -> Path:
    model = make_model(seed)
    return write_model(folder, model.state_dict(), CONFIG, {**RECORD, **record}, VOCABULARY)


@pytest.fixture
def folder(tmp_path) -> Path:
    return write(tmp_path / "model")


def edit_card(folder: Path, **changes: object) -> None:
    card = json.loads((folder / CARD).read_text())
    card.update(changes)
    (folder / CARD).write_text(json.dumps(card))


def replace_weights(folder: Path, blob: bytes) -> None:
    """Other weights, with a card that vouches for them."""
    (folder / WEIGHTS).write_bytes(blob)
    edit_card(folder, sha256=hashlib.sha256(blob).hexdigest())


# Round trip


def test_round_trip(folder):
    model = make_model()
    loaded = read_model(folder)
    assert loaded.network.config == CONFIG
    assert not loaded.network.training
    kept = model.state_dict()
    assert loaded.network.state_dict().keys() == kept.keys()
    for name, value in loaded.network.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, kept[name].half().float()), name
    # Half precision keeps 11 bits of every weight.
    assert_same(predict(loaded.network, CONTEXT), predict(model, CONTEXT), tolerance=0.02)


def test_a_second_round_trip_changes_nothing(folder, tmp_path):
    first = read_model(folder)
    again = write_model(
        tmp_path / "again", first.network.state_dict(), CONFIG, first.card, VOCABULARY
    )
    second = read_model(again)
    assert second.digest == first.digest
    assert (again / WEIGHTS).read_bytes() == (folder / WEIGHTS).read_bytes()
    assert (again / CARD).read_text() == (folder / CARD).read_text()
    assert_same(predict(second.network, CONTEXT), predict(first.network, CONTEXT), tolerance=0.0)


def test_card_keeps_what_was_recorded(folder):
    loaded = read_model(folder)
    assert loaded.name == "tiny" and loaded.version == "0.3"
    assert loaded.card["steps"] == 12
    assert loaded.card["vocabulary"] == VOCABULARY.digest
    assert loaded.card["model"] == CONFIG.as_dict()
    blob = (folder / WEIGHTS).read_bytes()
    assert loaded.digest == hashlib.sha256(blob).hexdigest()[:16]
    count = sum(p.numel() for p in make_model().parameters())
    assert loaded.card["parameters"] == count
    # Two bytes a weight, and a header.
    assert 2 * count < len(blob) < 2 * count + 20_000
    assert all(v.dtype == torch.float16 for v in load_file(folder / WEIGHTS).values())


def test_a_card_without_name_has_one(tmp_path):
    model = make_model()
    loaded = read_model(write_model(tmp_path, model.state_dict(), CONFIG, {}, VOCABULARY))
    assert loaded.name == "unnamed" and loaded.version == "0"


def test_nothing_else_is_written_and_the_folder_is_made(tmp_path):
    folder = write(tmp_path / "a" / "b")
    assert sorted(p.name for p in folder.iterdir()) == [CARD, WEIGHTS]
    write(folder, seed=2)
    assert sorted(p.name for p in folder.iterdir()) == [CARD, WEIGHTS]
    assert_same(predict(read_model(folder).network, CONTEXT), predict(make_model(2), CONTEXT), 0.02)


@pytest.mark.parametrize("form", ["gaussian", "mixture"])
def test_other_forms_come_back(tmp_path, form):
    model = make_model(head_real=form, head_redshift=form, patch_bands=())
    config = replace(CONFIG, head_real=form, head_redshift=form, patch_bands=())
    loaded = read_model(write_model(tmp_path, model.state_dict(), config, {}, VOCABULARY))
    assert loaded.network.redshift_head is None and loaded.network.patch is None
    one, other = (predict(m, make_objects().context(())) for m in (loaded.network, model))
    assert_same(one, other, tolerance=0.02)


# Damage


@pytest.mark.parametrize("place", [0.0, 0.01, 0.3, 0.7, 0.9999])
@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_bit_is_found(folder, place, bit):
    blob = bytearray((folder / WEIGHTS).read_bytes())
    blob[int(place * len(blob))] ^= 1 << bit
    (folder / WEIGHTS).write_bytes(bytes(blob))
    with pytest.raises(ModelError, match="model.safetensors is damaged: its SHA-256") as caught:
        read_model(folder)
    assert "Install the model again" in str(caught.value)
    assert read_sha(folder)[:16] in str(caught.value)


def read_sha(folder: Path) -> str:
    return json.loads((folder / CARD).read_text())["sha256"]


@pytest.mark.parametrize("left", [0, 7, 1000, -1])
def test_truncated_weights_are_found(folder, left):
    blob = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(blob[:left])
    with pytest.raises(ModelError, match="is damaged: its SHA-256"):
        read_model(folder)


def test_a_pickle_is_never_opened(folder):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(folder / "sprung"),))

    replace_weights(folder, pickle.dumps(Trap()))
    with pytest.raises(ModelError, match="does not fit its card"):
        read_model(folder)
    assert not (folder / "sprung").exists()


def test_weights_of_another_model_do_not_fit(folder):
    other = make_model(components=2).state_dict()
    replace_weights(folder, save({k: v.contiguous() for k, v in other.items()}))
    with pytest.raises(ModelError, match="does not fit its card.*head.linear") as caught:
        read_model(folder)
    assert "\n" not in str(caught.value)
    state = make_model().state_dict()
    state.pop("norm.weight")
    replace_weights(folder, save(state))
    with pytest.raises(ModelError, match="does not fit its card.*norm.weight"):
        read_model(folder)


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"format": 1', b"\xff\xfe\x00", b"[1, 2", b"not JSON"]
)
def test_a_damaged_card_is_found(folder, content):
    (folder / CARD).write_bytes(content)
    with pytest.raises(ModelError, match="model.json is damaged.*Install the model again"):
        read_model(folder)


@pytest.mark.parametrize("content", ["[]", "3", "{}", '{"format": 2}', '{"format": "1"}'])
def test_another_format_is_refused(folder, content):
    (folder / CARD).write_text(content)
    with pytest.raises(ModelError, match="expected a model of format 1; update jpassed"):
        read_model(folder)


def test_another_vocabulary_is_refused(folder):
    edit_card(folder, vocabulary="0123456789abcdef", package_version="7.8.9")
    with pytest.raises(ModelError, match="trained with vocabulary 0123456789abcdef") as caught:
        read_model(folder)
    assert VOCABULARY.digest in str(caught.value)
    assert "7.8.9" in str(caught.value)  # the version that can read it


@pytest.mark.parametrize(
    "settings",
    [
        {**CONFIG.as_dict(), "flavour": 3},
        {**CONFIG.as_dict(), "head_real": "spiral"},
        {**CONFIG.as_dict(), "width": "wide"},
        [1, 2],
        None,
    ],
)
def test_settings_of_another_version_are_refused(folder, settings):
    edit_card(folder, model=settings)
    with pytest.raises(ModelError, match="model.json: its model settings are not those of this"):
        read_model(folder)


def test_a_card_without_settings_is_refused(folder):
    card = json.loads((folder / CARD).read_text())
    del card["model"]
    (folder / CARD).write_text(json.dumps(card))
    with pytest.raises(ModelError, match="its model settings are not those"):
        read_model(folder)


@pytest.mark.parametrize("name", [CARD, WEIGHTS])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileError, match=f"is not a model: {name} is missing.*jpassed train"):
        read_model(folder)


def test_an_unreadable_file_is_a_file_error(folder, monkeypatch):
    def refuse(self):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(FileError, match="cannot read the model.*Permission denied"):
        read_model(folder)


# Writing


@pytest.mark.parametrize("target", [WEIGHTS, CARD])
def test_a_write_that_fails_leaves_the_old_file(folder, monkeypatch, target):
    before = (folder / target).read_bytes()
    written = Path.write_bytes

    def full_disk(self, content):
        if target in self.name:
            written(self, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return written(self, content)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(FileError, match="cannot write the model to .*No space left"):
        write(folder, seed=2)
    assert (folder / target).read_bytes() == before
    assert sorted(p.name for p in folder.iterdir()) == [CARD, WEIGHTS]


def test_weights_appear_as_a_whole(tmp_path, monkeypatch):
    # At the moment of the exchange the new file is complete and the old one still in place.
    folder = write(tmp_path / "model")
    before = (folder / WEIGHTS).read_bytes()
    seen = []
    exchange = os.replace

    def watch(source, target):
        seen.append((Path(target).name, Path(source).parent == Path(target).parent))
        if Path(target).name == WEIGHTS:
            assert Path(target).read_bytes() == before
            assert len(Path(source).read_bytes()) == len(before)
        exchange(source, target)

    monkeypatch.setattr(os, "replace", watch)
    write(folder, seed=2)
    # The old card tells of the new weights before they come, and its successor follows them.
    assert seen == [(CARD, True), (WEIGHTS, True), (CARD, True)]


def test_a_file_in_the_way_is_a_file_error(tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(FileError, match="cannot write the model to .*taken"):
        write(tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"
    (tmp_path / "model" / WEIGHTS).mkdir(parents=True)
    with pytest.raises(FileError, match="cannot write the model to .*model"):
        write(tmp_path / "model")
    assert [p.name for p in (tmp_path / "model").iterdir()] == [WEIGHTS]


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 1e5])
def test_weights_that_half_precision_cannot_hold_are_refused(tmp_path, wrong):
    state = make_model().state_dict()
    state["norm.weight"][3] = wrong
    with pytest.raises(ModelError, match="cannot write the model: norm.weight holds weights"):
        write_model(tmp_path / "model", state, CONFIG, {}, VOCABULARY)
    assert not (tmp_path / "model").exists()


# From a name to a model


@pytest.fixture
def embedded(tmp_path, monkeypatch) -> Path:
    """A package folder with two models."""
    folder = tmp_path / "weights"
    write(folder / "default")
    write(folder / "galaxies-small", seed=2, name="small")
    (folder / "notes").mkdir()
    monkeypatch.setattr(weights, "_FOLDER", folder)
    return folder


def test_models_are_listed_with_their_cards(embedded):
    cards = weights.list_models()
    assert list(cards) == ["default", "galaxies-small"]
    assert cards["galaxies-small"]["name"] == "small"


def test_models_are_found_by_name_and_by_folder(embedded, tmp_path, monkeypatch):
    assert weights.find_model("default") == embedded / "default"
    own = write(tmp_path / "mine", seed=3, name="mine")
    assert weights.find_model(own) == own
    assert weights.find_model(str(own)) == own
    monkeypatch.chdir(tmp_path)
    assert weights.find_model("mine").resolve() == own.resolve()
    assert weights.load_model().name == "tiny"
    assert weights.load_model("galaxies-small").name == "small"
    loaded = weights.load_model(own, device="cpu")
    assert loaded.name == "mine"
    assert weights.load_model(loaded) is loaded
    assert jpassed.load_model is weights.load_model


@pytest.mark.parametrize("name", ["galaxy-small", "", "defaults"])
def test_an_unknown_name_lists_the_models(embedded, name):
    with pytest.raises(UnknownNameError, match="unknown model") as caught:
        weights.load_model(name)
    assert "Valid choices: default, galaxies-small" in str(caught.value)
    if name:
        assert "Did you mean" in str(caught.value)


def test_a_path_that_is_no_folder_is_a_file_error(embedded, tmp_path):
    with pytest.raises(FileError, match="expected the folder of a model"):
        weights.load_model(str(tmp_path / "nowhere"))
    with pytest.raises(FileError, match="expected the folder of a model"):
        weights.load_model(embedded / "default" / WEIGHTS)
    with pytest.raises(FileError, match="is not a model: model.safetensors is missing"):
        weights.load_model(tmp_path)


@pytest.mark.parametrize("name", [None, 3, np.nan])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(InputError, match="model: expected a name or the path of a folder"):
        weights.load_model(name)


def test_a_damaged_card_concerns_its_own_model(embedded):
    (embedded / "default" / CARD).write_text("{")
    assert weights.load_model("galaxies-small").name == "small"
    with pytest.raises(ModelError, match="model.json is damaged"):
        weights.load_model("default")
    with pytest.raises(ModelError, match="default.*is damaged.*Install jpassed again"):
        weights.list_models()
