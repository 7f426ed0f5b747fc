"""Presets of training configurations."""

from __future__ import annotations

from pathlib import Path

import pytest

from jpassed.exceptions import FileError, UnknownNameError
from jpassed.jspectrum.error_model import load_noise
from jpassed.training.config import TrainingConfig
from jpassed.training.loop import train
from jpassed.training.presets import find_config, list_presets
from jpassed.vocabulary import load_vocabulary


def test_presets_are_listed() -> None:
    assert list_presets() == ("cpu", "default", "gpu")


@pytest.mark.parametrize("name", ["cpu", "default", "gpu"])
def test_presets_are_valid(name: str) -> None:
    config = TrainingConfig.from_yaml(find_config(name))
    assert config.name == name
    assert config.optimiser.decay + config.optimiser.warmup < config.optimiser.steps
    known = {*load_vocabulary().names}
    assert set(config.mix.weights) <= known
    for preset in (config.simulation.noise, *config.simulation.noise_other):
        assert load_noise(preset).bands


def test_a_path_is_a_path(tmp_path: Path) -> None:
    assert find_config(tmp_path / "my") == tmp_path / "my"
    assert find_config("my.yaml") == Path("my.yaml")


def test_an_unknown_preset_lists_the_valid_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'gpu'.* cpu, default, gpu"):
        train("gpus", tmp_path / "run")
    with pytest.raises(FileError, match="my.yaml"):
        train("my.yaml", tmp_path / "run")
    assert not (tmp_path / "run").exists()
