"""Training: questions, and the loop that survives a kill."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy import units as u
from astropy.table import QTable
from tiny_training import TINY

from jpassed.exceptions import FileError, InputError, ModelError
from jpassed.nn.checkpoint import read_model
from jpassed.training.config import MixConfig, TableConfig, TrainingConfig
from jpassed.training.journal import LOG, step_of
from jpassed.training.loop import _Trainer, train
from jpassed.training.setup import Setup, prepare
from jpassed.training.sources import join
from jpassed.training.state import STATE


@pytest.fixture(scope="module")
def ssp(real_data: Path) -> str:
    return str(real_data / "ssp" / "ssp_bc03_lr_chabrier.npz")


@pytest.fixture(scope="module")
def config() -> TrainingConfig:
    return TrainingConfig.from_dict(TINY)


@pytest.fixture(scope="module")
def setup(config: TrainingConfig, ssp: str) -> Setup:
    prepared = prepare(config, torch.device("cpu"), ssp=(ssp,))
    prepared.pool.fill()
    return prepared


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / LOG).read_text().splitlines()]


# ------------------------------------------------------------------------------------ questions


def draw(setup: Setup, n: int, seed: int):  # type: ignore[no-untyped-def]
    generator = torch.Generator().manual_seed(seed)
    return setup.simulated.draw(n, generator), generator


@pytest.mark.real_data
def test_selection_is_on_the_noisy_magnitude(setup: Setup) -> None:
    seen, _ = draw(setup, 400, 1)
    flux = seen.flux[:, setup.simulated.selection]
    assert bool((-2.5 * torch.log10(flux / 3631e6) < 22.7).all())
    assert seen.flux.shape == (400, 60 + 2 + 5)
    assert not torch.equal(seen.flux, seen.target)


@pytest.mark.real_data
def test_questions_repeat_with_their_seed_only(setup: Setup) -> None:
    questions = []
    for seed in (1, 1, 2):
        seen, generator = draw(setup, 64, seed)
        questions.append(setup.questioner.ask(seen, generator))
    first, again, other = questions
    assert first.requests.names == again.requests.names
    torch.testing.assert_close(first.target, again.target)
    assert first.requests.names != other.requests.names


@pytest.mark.real_data
def test_a_broad_question_shows_other_surveys_alone(
    setup: Setup, config: TrainingConfig, tmp_path: Path
) -> None:
    mix = replace(config.mix, broad=32)
    trainer = _Trainer(replace(config, mix=mix), setup, tmp_path, torch.device("cpu"))
    names = set()
    for step in range(4):
        usual, dense, broad = trainer.questions(step)
        assert dense is None and broad is not None
        assert len(broad.context) == 32 and len(usual.context) == config.optimiser.batch
        assert broad.context.patch is None
        assert len(broad.requests.names) == mix.broad_requests
        assert sum(n.startswith("flux:") for n in broad.requests.names) == mix.broad_bands
        names.add(broad.requests.names)
        shown = broad.context.bands.wavelength[broad.context.bands.observed]
        own = {round(float(setup.layout.pivot[i]), 1) for i in setup.questioner.main.tolist()}
        assert own.isdisjoint(round(float(w), 1) for w in shown)
    assert len(names) > 1
    assert trainer.config.objects_per_step == config.optimiser.batch + 32


@pytest.mark.real_data
def test_trainings_of_two_seeds_ask_other_questions(
    setup: Setup, config: TrainingConfig, tmp_path: Path
) -> None:
    # A CPU generator knows the lower 32 bits of its seed only.
    targets = []
    for seed, step in ((5, 3), (5, 3), (6, 3), (5, 4)):
        trainer = _Trainer(replace(config, seed=seed), setup, tmp_path, torch.device("cpu"))
        targets.append(trainer.questions(step)[0].target)
    assert torch.equal(targets[0], targets[1])
    assert not torch.equal(targets[0], targets[2])
    assert not torch.equal(targets[0], targets[3])


@pytest.mark.real_data
def test_every_kind_is_given_and_asked_but_never_both(setup: Setup) -> None:
    scaling = setup.questioner.scaling
    given_kinds, asked_names = set(), set()
    sizes = set()
    for seed in range(60):
        seen, generator = draw(setup, 64, seed)
        question = setup.questioner.ask(seen, generator)
        labels = question.context.labels
        present = labels.observed[..., 0]
        for i, name in enumerate(question.requests.names):
            if bool(question.asked[:, i].any()):
                asked_names.add(name)
            if name.startswith("flux:"):
                continue
            kind = scaling.kind[scaling.names.index(name)]
            both = ((labels.kind == kind) & present).any(1) & question.asked[:, i]
            assert not bool(both.any()), name
        given_kinds |= set(labels.kind[present].tolist())
        bands = 0
        if question.context.patch is not None:
            bands = question.context.patch.observed.sum((1, 2))
        sizes |= set((bands + question.context.bands.observed.sum((1, 2))).reshape(-1).tolist())
    assert given_kinds == set(scaling.kind.tolist())
    assert set(scaling.names) <= asked_names
    assert any(name == "flux:galex_fuv" for name in asked_names)
    assert min(sizes) <= 1
    assert max(sizes) >= 60


@pytest.mark.real_data
def test_a_real_bandflux_is_not_asked_with_its_own_noise(
    setup: Setup, config: TrainingConfig, tmp_path: Path, ssp: str
) -> None:
    table = real_table(20)
    path = tmp_path / "real.fits"
    table.write(path)
    mixed = replace(
        config,
        tables=(TableConfig(str(path), {"z": "z_spec"}, share=0.5),),
        mix=MixConfig(full=1, partial=0, surveys=0, joined=0, labels=0, only_labels=0, bands=30),
    )
    prepared = prepare(mixed, torch.device("cpu"), ssp=(ssp,))
    prepared.pool.fill()
    generator = torch.Generator().manual_seed(0)
    real = prepared.tables[0].draw(32, generator)
    seen = join([prepared.simulated.draw(32, generator), real])
    question = prepared.questioner.ask(seen, generator)
    column = {name: i for i, name in enumerate(prepared.layout.bands)}
    context = question.context.patch
    assert context is not None
    checked = 0
    for i, name in enumerate(question.requests.names):
        band = name.partition(":")[2]
        if band in prepared.model_config.patch_bands:
            inside = context.observed[32:, 0, column[band]]
            assert not bool((inside & question.asked[32:, i]).any())
            checked += int(inside.sum())
        if name == "z":
            assert bool(question.asked[32:, i].all())
            assert bool((question.error[32:, i] > 0).all())
    assert checked > 0


def real_table(n: int) -> QTable:
    rng = np.random.default_rng(0)
    table = QTable({"z_spec": rng.uniform(0.05, 0.3, n), "z_spec_err": np.full(n, 1e-4)})
    for band in ("gSDSS", "rSDSS", "iSDSS", "J0500", "J0600", "J0700", "J0800"):
        table[band] = rng.uniform(20, 60, n) * u.uJy
        table[f"{band}_err"] = np.full(n, 1.0) * u.uJy
    return table


# ------------------------------------------------------------------------------------- the loop


@pytest.mark.parametrize(
    ("line", "step"),
    [('{"step": 3, "loss": 1.5}', 3), ('{"step": 4, "lo', np.inf), ("", np.inf), ("4", np.inf)],
)
def test_a_line_of_the_log_that_was_cut_off_is_dropped(line: str, step: float) -> None:
    assert step_of(line) == step


@pytest.mark.real_data
def test_the_card_says_where_the_model_comes_from(
    tmp_path: Path, config: TrainingConfig, ssp: str
) -> None:
    short = replace(config, optimiser=replace(config.optimiser, steps=1, precision="bfloat16"))
    folder = train(short, tmp_path / "run", ssp=(ssp,))
    card = read_model(folder).card
    assert card["training"]["seed"] == 5
    assert card["provenance"]["files"].keys() == {"ssp_bc03_lr_chabrier.npz"}
    assert set(card["provenance"]["noise"]) == {
        "minijpas-v1", "broadband-v1", "galex-ais", "galex-mis", "galex-dis"
    }  # fmt: skip
    assert card["model"]["patch_bands"][0] == "uJAVA"
    assert card["package_version"]
    with pytest.raises(FileError, match="holds a training already"):
        train(short, folder, ssp=(ssp,))


@pytest.mark.real_data
def test_training_learns(tmp_path: Path, config: TrainingConfig, ssp: str) -> None:
    longer = replace(config, optimiser=replace(config.optimiser, steps=60, checkpoint_every=60))
    folder = train(longer, tmp_path / "run", ssp=(ssp,))
    values = losses(folder)
    assert np.mean(values[-10:]) < np.mean(values[:10]) - 0.1


@pytest.mark.real_data
def test_real_and_simulated_objects_train_together(
    tmp_path: Path, config: TrainingConfig, ssp: str
) -> None:
    path = tmp_path / "real.ecsv"
    real_table(30).write(path)
    mixed = replace(
        config,
        tables=(TableConfig(str(path), {"z": "z_spec"}, share=0.25),),
        model=replace(config.model, head_real="gaussian", head_redshift="gaussian"),
        optimiser=replace(config.optimiser, steps=2),
    )
    folder = train(mixed, tmp_path / "run", ssp=(ssp,))
    assert np.isfinite(losses(folder)).all()
    assert "real.ecsv" in read_model(folder).card["provenance"]["files"]
    assert read_model(folder).network.head.form == "gaussian"


@pytest.mark.real_data
def test_bad_trainings_say_what_to_do(tmp_path: Path, config: TrainingConfig, ssp: str) -> None:
    with pytest.raises(InputError, match="--ssp"):
        train(config, tmp_path / "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot make the folder"):
        train(config, tmp_path / "file" / "run", ssp=(ssp,))
    with pytest.raises(InputError, match="unknown device"):
        train(config, tmp_path / "run", ssp=(ssp,), device="quantum")
    short = replace(config, optimiser=replace(config.optimiser, steps=1))
    folder = train(short, tmp_path / "other", ssp=(ssp,))
    (folder / STATE).write_bytes(b"not a checkpoint")
    with pytest.raises(ModelError, match="is damaged"):
        train(short, folder, ssp=(ssp,), resume=True)


@pytest.mark.real_data
def test_one_token_a_band_can_be_trained(tmp_path: Path, config: TrainingConfig, ssp: str) -> None:
    published = replace(
        config,
        model=replace(config.model, patch_tokens=0),
        mix=MixConfig(full=1, partial=0, surveys=0, joined=0, only_labels=0),
        optimiser=replace(config.optimiser, steps=2, batch=16),
    )
    prepared = prepare(published, torch.device("cpu"), ssp=(ssp,))
    prepared.pool.fill()
    seen, generator = draw(prepared, 16, 0)
    context = prepared.questioner.ask(seen, generator).context
    assert context.patch is None
    assert int(context.bands.present.sum(1).max()) >= 60
    folder = train(published, tmp_path / "run", ssp=(ssp,))
    assert read_model(folder).network.patch is None
    assert np.isfinite(losses(folder)).all()


@pytest.mark.real_data
def test_other_settings_at_a_resume_are_told(
    tmp_path: Path, config: TrainingConfig, ssp: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = replace(config, optimiser=replace(config.optimiser, steps=1))
    folder = train(first, tmp_path / "run", ssp=(ssp,))
    assert read_model(folder).card["history"] == []
    second = replace(config, optimiser=replace(config.optimiser, steps=2, learning_rate=5e-4))
    train(second, folder, ssp=(ssp,), resume=True)
    assert "optimiser.learning_rate 0.001 -> 0.0005" in caplog.text
    changes = {"optimiser.learning_rate": [0.001, 0.0005], "optimiser.steps": [1, 2]}
    assert read_model(folder).card["history"] == [{"step": 1, "changes": changes}]
