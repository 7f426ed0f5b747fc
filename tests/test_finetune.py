"""Fine-tuning: the decision, the card, resuming, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from finetune_tables import QUICK, SMALL, galaxies, write_start
from small_model import VOCABULARY

import jpassed
from jpassed.adaptation import FinetuneSettings, finetune, finetuning
from jpassed.adaptation.finetune_card import _gain_as_annotated
from jpassed.adaptation.finetune_figures import posteriors
from jpassed.adaptation.heldout import HeldOut, compare, uninformed
from jpassed.adaptation.replay import read_replay, write_replay
from jpassed.adaptation.rows import own_rows, split_rows
from jpassed.annotation import infer
from jpassed.annotation.task import prepare
from jpassed.evaluation import log_score, pit
from jpassed.exceptions import FileError, InputError, ModelError, UnknownNameError
from jpassed.nn.checkpoint import read_model
from jpassed.posteriors import Recalibration
from jpassed.training.state import STATE
from jpassed.weights import find_model, load_model

LABELS = {"z": "z_spec,z_err"}


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> Path:
    return write_start(tmp_path_factory.mktemp("start") / "small")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    return finetune(
        galaxies(150), tmp_path_factory.mktemp("tuned") / "mine", LABELS, settings=QUICK
    )


def rows_of(table, labels=LABELS, model="default"):
    task = prepare(
        table, model=model, outputs=("z",), context=labels, survey="auto", device="cpu",
        batch_size=None,
    )  # fmt: skip
    return own_rows(task, VOCABULARY)


# The result


def test_learns_another_survey(tuned):
    assert tuned.accepted
    test = galaxies(200, seed=9)
    errors = []
    for model in ("default", tuned.folder):
        z = infer(test, model=model, outputs=["z"]).median("z")
        errors.append(np.median(np.abs(z - test["z_spec"])))
    assert errors[1] < 0.7 * errors[0]


def test_figures_are_of_the_written_model(tuned):
    entry = tuned.record["held_out"]["z"]
    assert entry["after"]["log_score"] > entry["before"]["log_score"]
    assert entry["after"]["n"] == tuned.record["rows"]["held_out"] == 45
    assert tuned.record["rows"]["learned_from"] == 105
    assert "z" in str(tuned) and "after" in str(tuned)
    assert list(tuned.table["when"]) == ["before", "after"]


def test_what_a_recalibration_corrects_already_is_no_gain(tuned):
    start, rows = load_model("default"), rows_of(galaxies(100, seed=5))
    truth = rows.seen.labels[:, 0].double().numpy()
    own = posteriors(start.network, VOCABULARY, rows, "z")
    entry = Recalibration.fit_line(pit(own, truth))
    same = _gain_as_annotated("z", entry, (start.network,) * 2, VOCABULARY, rows, 2.0)
    assert same.gain == 0.0 and not same.better
    pair = (start.network, tuned.model.network)
    plain = [log_score(posteriors(n, VOCABULARY, rows, "z"), truth) for n in pair]
    found = _gain_as_annotated("z", entry, pair, VOCABULARY, rows, 2.0)
    assert found.gain < 0.5 * np.mean(plain[1] - plain[0])


def test_card_tells_the_parent(tuned):
    card = json.loads((tuned.folder / "model.json").read_text())
    record = card["finetuning"][-1]
    assert record["parent"]["digest"] == load_model("default").digest
    assert record["settings"] == QUICK.as_dict()
    assert record["accepted"] is True
    assert card["sha256"][:16] != load_model("default").digest
    assert not (tuned.folder / STATE).exists()


def test_annotates_with_it(tuned):
    table = jpassed.annotate(galaxies(5), model=tuned.folder, outputs=["z"])
    assert table.meta["jp_weights"] == tuned.model.digest
    assert np.isfinite(np.asarray(table["jp_z"])).all()


def test_refinement_is_refused(tuned):
    with pytest.raises(ModelError, match="fine-tuning started from"):
        jpassed.annotate(galaxies(5), model=tuned.folder, outputs=["z"], refine=200)


def test_shuffled_labels_give_the_start(tmp_path):
    table = galaxies(60, 2)
    table["z_spec"] = np.random.default_rng(2).permutation(table["z_spec"])
    found = finetune(table, tmp_path / "m", LABELS, settings=QUICK)
    assert not found.accepted
    # The model has learned that nothing is known: a better score, and worth nothing.
    assert found.record["held_out"]["z"]["gain"]["gain"] > 0
    assert "own distribution" in found.reason and "the result is the start" in found.reason
    assert found.model.digest == load_model("default").digest
    assert read_model(tmp_path / "m").card["name"] == "default"


def test_bandfluxes_alone(start, tmp_path):
    found = finetune(galaxies(80), tmp_path / "m", model=start, settings=SMALL)
    assert found.record["labels"] == []
    # A random start cannot but gain.
    assert found.accepted and found.record["bandfluxes"]["gain"] > 0
    assert "before" in found.record["simulated"]
    assert found.record["trained"] == ["head", "request_band", "request_kind"]


def test_bandfluxes_alone_leave_every_label_as_it_is(tmp_path):
    some = replace(QUICK, steps=20)
    found = finetune(galaxies(80), tmp_path / "m", settings=some)
    assert found.accepted
    start, test = load_model("default"), galaxies(40, seed=9)
    assert found.model.card["recalibration"] == start.card["recalibration"]
    names = start.vocabulary.scalars
    levels = np.array([0.16, 0.5, 0.84])
    for context in (None, {"logmstar": "index"}, {"z": "z_spec,z_err"}):
        asked = [n for n in names if n not in (context or {})]
        one, other = (
            infer(test, model=m, outputs=[*asked, "flux:sdss_u"], context=context)
            for m in (start, found.model)
        )
        for name in asked:
            np.testing.assert_array_equal(other.quantile(name, levels), one.quantile(name, levels))
        assert not np.allclose(other.median("flux:sdss_u"), one.median("flux:sdss_u"), rtol=1e-3)


def test_rows_without_a_label_teach_too(start, tmp_path):
    table = galaxies(150)
    table["z_spec"][70:] = np.nan
    found = finetune(table, tmp_path / "m", LABELS, model=start, settings=SMALL)
    assert found.record["rows"]["learned_from"] == 105
    assert found.record["rows"]["with_z"] == 49


def test_few_rows_go_part_of_the_way(start, tmp_path, monkeypatch):
    monkeypatch.setattr(finetuning, "write_result", lambda *given: given[3])
    once = replace(SMALL, steps=3, every=3)
    before = load_model(start).network.state_dict()
    moved = []
    for blend in (0.0, 63.0):
        tuner = finetune(
            galaxies(60), tmp_path / f"m{blend}", LABELS, model=start,
            settings=replace(once, blend=blend),
        )  # fmt: skip
        assert tuner.record["best_step"] == 3
        after = tuner.best_state()
        moved.append(torch.cat([(after[name] - before[name]).flatten() for name in tuner.tuned]))
    # 42 rows are learned from: 42 / (42 + 63) of the way.
    assert float(moved[0].abs().max()) > 1e-3
    torch.testing.assert_close(moved[1], 0.4 * moved[0], rtol=0, atol=1e-6)


def test_nothing_changes_where_nothing_is_gained(start, tmp_path):
    timid = replace(SMALL, learning_rate=1e-12)
    found = finetune(galaxies(60), tmp_path / "m", LABELS, model=start, settings=timid)
    assert not found.accepted
    state, kept = load_model(start).network.state_dict(), found.model.network.state_dict()
    assert all(torch.equal(state[name], kept[name]) for name in state)


# Resuming


def test_resumed_equals_uninterrupted(tuned, tmp_path):
    table, folder = galaxies(150), tmp_path / "mine"
    stopped = finetune(table, folder, LABELS, settings=QUICK, stop_after=17)
    assert not stopped.finished and (folder / STATE).exists()
    with pytest.raises(FileError, match="--resume"):
        finetune(table, folder, LABELS, settings=QUICK)
    found = finetune(table, folder, LABELS, settings=QUICK, resume=True)
    assert found.model.digest == tuned.model.digest
    assert found.record["history"] == tuned.record["history"]


def test_resume_wants_the_same_table(start, tmp_path):
    folder = tmp_path / "mine"
    finetune(galaxies(60), folder, LABELS, model=start, settings=SMALL, stop_after=3)
    with pytest.raises(InputError, match="other rows"):
        finetune(galaxies(61), folder, LABELS, model=start, settings=SMALL, resume=True)
    with pytest.raises(InputError, match="other rows, labels"):
        finetune(galaxies(60), folder, {"av": "z_spec"}, model=start, settings=SMALL, resume=True)
    finetune(galaxies(61), folder, LABELS, model=start, settings=SMALL, overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.safetensors"]


def test_folders_are_not_overwritten(tuned, start, tmp_path):
    with pytest.raises(FileError, match="holds a model already"):
        finetune(galaxies(60), tuned.folder, LABELS, model=start)
    with pytest.raises(FileError, match="nothing to resume"):
        finetune(galaxies(60), tuned.folder, LABELS, model=start, resume=True)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileError, match="something else"):
        finetune(galaxies(60), tmp_path, LABELS, model=start)
    embedded = find_model("default")
    before = (embedded / "model.json").read_bytes()
    with pytest.raises(FileError, match="inside the package"):
        finetune(galaxies(60), embedded, LABELS, model=start, overwrite=True)
    assert (embedded / "model.json").read_bytes() == before
    with pytest.raises(FileError, match="name of an embedded model"):
        finetune(galaxies(60), "default", LABELS, model=start)


# What is refused


def test_too_few_rows(start, tmp_path):
    with pytest.raises(InputError, match="at least 50 rows with bandfluxes.* got 49"):
        finetune(galaxies(49), tmp_path / "m", LABELS, model=start)
    assert not (tmp_path / "m").exists()


def test_too_few_labels(start, tmp_path):
    table = galaxies(80)
    table["z_spec"][30:] = np.nan
    with pytest.raises(InputError, match="label 'z': expected at least 50 .* got 30"):
        finetune(table, tmp_path / "m", LABELS, model=start)


def test_labels_out_of_range_do_not_count(start, tmp_path):
    table = galaxies(80)
    table["z_spec"] += 5.0
    with pytest.raises(InputError, match="got 0"):
        finetune(table, tmp_path / "m", LABELS, model=start)


def test_unknown_quantity_and_column(start, tmp_path):
    with pytest.raises(UnknownNameError, match="unknown label quantity .redshift."):
        finetune(galaxies(60), tmp_path / "m", {"redshift": "z_spec"}, model=start)
    with pytest.raises(UnknownNameError, match="zspec"):
        finetune(galaxies(60), tmp_path / "m", {"z": "zspec"}, model=start)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0}, {"minutes": -1.0}, {"learning_rate": 0.0}, {"precision": "half"},
        {"seed": -1}, {"blend": -1.0}, {"warmup": 0}, {"ema": 1.0}, {"sigmas": -1.0},
    ],
)  # fmt: skip
def test_bad_settings(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        FinetuneSettings(**wrong)


# Parts


def test_arguments_go_before_the_settings(start, tmp_path):
    with pytest.raises(InputError, match="labels: expected"):
        finetune(galaxies(60), tmp_path / "m", "z=z_spec", model=start)
    found = finetune(
        galaxies(60), tmp_path / "m", LABELS, model=start, settings=SMALL, steps=2, seed=3
    )
    told = found.record["settings"]
    assert (told["steps"], told["seed"], told["replay"]) == (2, 3, SMALL.replay)


def test_split_is_of_the_seed(start):
    rows = rows_of(galaxies(100), model=start)
    one, again, other = (split_rows(rows, seed)[1].index.tolist() for seed in (1, 1, 2))
    assert one == again != other
    learned, judged = split_rows(rows, 1)
    assert sorted([*learned.index, *judged.index]) == list(range(100))


def test_scores_are_log_densities_of_the_posterior(start):
    rows = rows_of(galaxies(60), {"z": "z_spec"}, start)
    model = load_model(start)
    score = HeldOut(rows, VOCABULARY, ("z",)).scores(model.network)["z"]
    posterior = infer(galaxies(60), model=model, outputs=["z"])
    z = np.asarray(galaxies(60)["z_spec"])
    kind = VOCABULARY["z"]
    expected = posterior["z"].logpdf(z) + np.log(kind.width * (1 + z)) + 0.5 * np.log(2 * np.pi)
    # The head's softened bins against the interpolated density of the posterior.
    np.testing.assert_allclose(score, expected, atol=0.5)
    assert abs(np.mean(score - expected)) < 0.1


def test_uninformed_score_is_a_density():
    rng = np.random.default_rng(1)
    grid = np.linspace(-30, 30, 6001)
    density = np.exp(uninformed(rng.standard_normal(100), grid)) / np.sqrt(2 * np.pi)
    assert np.trapezoid(density, grid) == pytest.approx(1.0, abs=0.01)


def test_one_lucky_object_proves_nothing():
    gain = np.zeros(40)
    gain[0] = 100.0
    assert not compare(gain, np.zeros(40)).better
    assert compare(np.full(40, 0.3) + 0.1 * np.arange(40) / 40, np.zeros(40)).better
    assert not compare(np.full(40, np.nan), np.zeros(40)).better


def test_replay_survives_its_file(tmp_path):
    stored = read_replay()
    write_replay(tmp_path / "replay.safetensors", stored)
    again = read_replay(tmp_path / "replay.safetensors")
    ratio = again.galaxies.bandflux / stored.galaxies.bandflux
    assert float((ratio - 1).abs().max()) < 1e-3
    assert torch.equal(again.galaxies.labels, stored.galaxies.labels)
    assert (tmp_path / "replay.safetensors").stat().st_size <= 2**20
    with pytest.raises(FileError, match="cannot read the galaxies"):
        read_replay(tmp_path / "missing.safetensors")
