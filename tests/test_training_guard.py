"""Early warning of divergence, and the log of a training."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import TINY

from jpassed.exceptions import FileError, InputError, TrainingError, UnknownNameError
from jpassed.nn.checkpoint import read_model
from jpassed.training.config import TrainingConfig, WatchConfig
from jpassed.training.guard import Guard
from jpassed.training.journal import COLUMNS, CSV, LOG, Journal, loss_groups, read_log
from jpassed.training.loop import _Trainer, learning_rate, train
from jpassed.training.steps import Question
from jpassed.training.validation import FIGURES

# ------------------------------------------------------------------------------------ the guard


def watched(losses: list[float], norms: list[float] | None = None, **options: float) -> Guard:
    guard = Guard(WatchConfig(**options))  # type: ignore[arg-type]
    for step, loss in enumerate(losses):
        guard.usable(step, loss, 1.0 if norms is None else norms[step])
        if guard.reason:
            break
    return guard


def noise(n: int, seed: int = 1) -> list[float]:
    return np.random.default_rng(seed).normal(2.0, 0.3, n).tolist()


def test_an_ordinary_training_raises_no_alarm(caplog: pytest.LogCaptureFixture) -> None:
    falling = np.array(noise(3000)) + 3.0 * np.exp(-np.arange(3000) / 200.0)
    guard = watched(falling.tolist())
    assert (guard.reason, guard.skipped, caplog.text) == ("", 0, "")


@pytest.mark.parametrize(
    ("loss", "norm"), [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, math.inf)]
)
def test_what_is_not_finite_is_skipped_and_counted(loss: float, norm: float) -> None:
    guard = Guard(WatchConfig(skips=3))
    assert guard.usable(0, 1.0, 1.0)
    assert not guard.usable(1, loss, norm)
    assert not guard.usable(2, loss, norm)
    assert guard.reason == ""
    assert guard.usable(3, 1.0, 1.0)
    for step in (4, 5, 6):
        assert not guard.usable(step, loss, norm)
    assert guard.skipped == 5
    assert "3 steps in a row" in guard.reason


def test_a_single_leap_is_warned_of_once_and_not_fatal(caplog: pytest.LogCaptureFixture) -> None:
    losses = noise(400)
    losses[300] = 9.0
    losses[310] = 9.0
    guard = watched(losses)
    assert guard.reason == ""
    assert caplog.text.count("out of the ordinary: loss 9") == 1


def test_an_exploding_gradient_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    norms = [1.0] * 400
    norms[200] = 500.0
    assert watched(noise(400), norms).reason == ""
    assert "gradient norm 500, of late 1" in caplog.text


def test_a_loss_that_climbs_is_divergence() -> None:
    climbing = noise(300) + (np.array(noise(300)) + np.arange(300) / 20.0).tolist()
    guard = watched(climbing)
    assert "the loss rose from " in guard.reason
    assert watched(climbing, drift=1e6).reason == ""
    guard.forget()
    assert guard.reason == ""
    assert guard.usable(0, 50.0, 1.0)


def test_a_watch_goes_on_where_it_was() -> None:
    losses = noise(500)
    losses[220] = losses[499] = math.nan
    whole, first = Guard(WatchConfig(skips=2)), Guard(WatchConfig(skips=2))
    for step, loss in enumerate(losses):
        whole.usable(step, loss, 1.0 + loss)
        first.usable(step, loss, 1.0 + loss)
    second = Guard(WatchConfig(skips=2))
    second.remember(json.loads(json.dumps(first.remembered())))
    assert second.remembered() == whole.remembered()
    assert len(whole.losses) == WatchConfig().window
    # The second of two in a row, though the first was before the resume.
    assert not second.usable(500, math.nan, 1.0)
    assert second.reason == "2 steps in a row had no finite loss or gradient"
    second.remember({})
    assert (len(second.losses), second.in_a_row, second.reason) == (0, 0, "")


def test_settings_of_the_watch_are_checked() -> None:
    with pytest.raises(UnknownNameError, match="rollback, stop"):
        TrainingConfig.from_dict({"watch": {"on_divergence": "pray"}})
    with pytest.raises(UnknownNameError, match="watch setting 'skip'. Did you mean 'skips'"):
        TrainingConfig.from_dict({"watch": {"skip": 1}})
    with pytest.raises(InputError, match="150 or more, got 20"):
        TrainingConfig.from_dict({"watch": {"window": 20}})


# ------------------------------------------------------------------------------ poisoned batches


@pytest.fixture
def config() -> TrainingConfig:
    tiny = TrainingConfig.from_dict(TINY)
    return replace(
        tiny,
        optimiser=replace(tiny.optimiser, checkpoint_every=2, batch=32),
        simulation=replace(tiny.simulation, pool=256, segment=256, refresh_every=100),
        watch=WatchConfig(skips=2),
    )


@pytest.fixture
def ssp(real_data: Path) -> tuple[str, ...]:
    return (str(real_data / "ssp" / "ssp_bc03_lr_chabrier.npz"),)


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make the truths of some steps NaN, while fewer than `until` rollbacks were made."""
    clean = _Trainer.questions

    def choose(steps: set[int], until: int = 99) -> None:
        def questions(trainer: _Trainer, step: int) -> tuple[Question, Question | None]:
            asked, dense, broad = clean(trainer, step)
            if step in steps and trainer.rollbacks < until:
                asked = replace(asked, target=torch.full_like(asked.target, math.nan))
            return asked, dense, broad

        monkeypatch.setattr(_Trainer, "questions", questions)

    return choose


@pytest.mark.real_data
def test_a_poisoned_batch_is_skipped(
    tmp_path: Path, config: TrainingConfig, ssp: tuple[str, ...], poison: Callable[..., None]
) -> None:
    poison({3})
    folder = train(config, tmp_path / "run", ssp=ssp)
    log = read_log(folder)
    assert [r["step"] for r in log] == list(range(1, 9))
    assert [r["skipped"] for r in log] == [0, 0, 0, 1, 1, 1, 1, 1]
    assert log[3]["loss"] is None
    assert all(math.isfinite(r["loss"]) for r in log[:3] + log[4:])
    assert all(bool(torch.isfinite(v).all()) for v in read_model(folder).network.parameters())
    # Skipped steps are remembered by a resumed training.
    longer = replace(config, optimiser=replace(config.optimiser, steps=9))
    train(longer, folder, ssp=ssp, resume=True)
    assert read_log(folder)[-1]["skipped"] == 1


@pytest.mark.real_data
def test_poison_for_ever_stops_with_the_checkpoint_kept(
    tmp_path: Path, config: TrainingConfig, ssp: tuple[str, ...], poison: Callable[..., None]
) -> None:
    poison({3, 4, 5, 6, 7})
    with pytest.raises(TrainingError, match=r"diverged at step 5: 2 steps in a row.*is kept") as e:
        train(config, tmp_path / "run", ssp=ssp)
    assert "Lower the learning rate (0.001) and resume" in str(e.value)
    # The checkpoint of step 4 holds what was learned before the poison.
    assert read_model(tmp_path / "run").card["steps"] == 4
    poison(set())
    train(config, tmp_path / "run", ssp=ssp, resume=True)
    assert read_log(tmp_path / "run")[-1]["step"] == 8


@pytest.mark.real_data
@pytest.mark.parametrize("threads", [1, 2])
def test_a_resumed_training_remembers_what_it_watched(
    threads: int,
    tmp_path: Path,
    config: TrainingConfig,
    ssp: tuple[str, ...],
    poison: Callable[..., None],
) -> None:
    poison({3, 4})
    folder = train(config, tmp_path / "run", ssp=ssp, stop_after=4)
    # Step 4 was skipped, and so is step 5: two in a row, as without the stop between them.
    again = replace(config, optimiser=replace(config.optimiser, threads=threads))
    if threads == config.optimiser.threads:
        with pytest.raises(TrainingError, match="diverged at step 5: 2 steps in a row"):
            train(again, folder, ssp=ssp, resume=True)
        return
    # With other settings it begins anew.
    train(again, folder, ssp=ssp, resume=True)
    assert [r["skipped"] for r in read_log(folder)] == [0, 0, 0, 1, 2, 2, 2, 2]


@pytest.mark.real_data
def test_a_rollback_goes_on_more_slowly(
    tmp_path: Path,
    config: TrainingConfig,
    ssp: tuple[str, ...],
    poison: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    back = replace(config, watch=WatchConfig(skips=2, on_divergence="rollback", rollbacks=1))
    poison({5, 6}, until=1)
    folder = train(back, tmp_path / "run", ssp=ssp)
    log = read_log(folder)
    assert [r["step"] for r in log] == list(range(1, 9))
    factors = [r["learning_rate"] / learning_rate(k, back.optimiser) for k, r in enumerate(log)]
    assert factors == pytest.approx([1.0] * 6 + [0.5] * 2)
    (told,) = read_model(folder).card["history"]
    assert (told["step"], told["from"], told["rollback"]) == (6, 7, 1)
    assert "rolling back" in caplog.text
    poison({5, 6, 7})
    with pytest.raises(TrainingError, match="diverged at step 8"):
        train(back, tmp_path / "again", ssp=ssp)


@pytest.mark.real_data
def test_without_a_checkpoint_there_is_nothing_to_roll_back_to(
    tmp_path: Path, config: TrainingConfig, ssp: tuple[str, ...], poison: Callable[..., None]
) -> None:
    poison({0, 1})
    with pytest.raises(TrainingError, match="no checkpoint yet"):
        train(replace(config, watch=WatchConfig(skips=2, on_divergence="rollback")),
              tmp_path / "run", ssp=ssp)  # fmt: skip


# -------------------------------------------------------------------------------------- the log


@pytest.mark.real_data
def test_the_log_says_what_its_description_says(
    tmp_path: Path, config: TrainingConfig, ssp: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    folder = train(config, tmp_path / "run", ssp=ssp)
    log = read_log(folder / LOG)
    usual = set(COLUMNS) - {"loss_dense", "loss_broad"}
    assert [set(r) - {"validation"} for r in log] == [usual] * 8
    assert set(log[-1]["validation"]) <= set(FIGURES)
    assert [r["objects"] for r in log] == [32 * (k + 1) for k in range(8)]
    assert all(r["samples_per_second"] > 0 for r in log)
    assert np.all(np.diff([r["seconds"] for r in log]) >= 0)
    assert all(0 < r["weight_ess"] <= 1 for r in log)
    with (folder / CSV).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(r["step"]) for r in rows] == list(range(1, 9))
    assert float(rows[2]["loss"]) == log[2]["loss"]
    assert float(rows[-1]["validation_log score"]) == log[-1]["validation"]["log score"]
    assert rows[0]["validation_log score"] == ""


def test_the_log_is_cut_at_a_resume(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.cut(3)
    assert not (tmp_path / LOG).exists()
    for step in (1, 2, 3):
        journal.add({"step": step, "loss": math.nan if step == 2 else 1.5})
    with (tmp_path / LOG).open("a") as log:
        log.write('{"step": 4, "lo')
    assert [r["loss"] for r in read_log(tmp_path)] == [1.5, None, 1.5]
    journal.cut(2)
    assert [r["step"] for r in read_log(tmp_path)] == [1, 2]
    with (tmp_path / CSV).open(newline="") as file:
        assert [r["loss"] for r in csv.DictReader(file)] == ["1.5", ""]
    for line in (tmp_path / LOG).read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot read the log"):
        read_log(tmp_path)
    (tmp_path / LOG).write_text("step,loss\n1,2\n")
    with pytest.raises(FileError, match="is no log of a training"):
        read_log(tmp_path / LOG)
    with pytest.raises(FileError, match="cannot write the log"):
        Journal(tmp_path / "nowhere").add({"step": 1})


def test_losses_are_grouped() -> None:
    names = ("z", "logmstar", "av", "ew_oii", "flux:J0660")
    groups = loss_groups(names, (1.0, 2.0, 4.0, 5.0, 6.0))
    assert groups == {"loss_z": 1.0, "loss_labels": 3.0, "loss_ew": 5.0, "loss_flux": 6.0}
    assert math.isnan(loss_groups((), ())["loss_z"])
