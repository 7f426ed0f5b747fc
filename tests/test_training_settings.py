"""Settings of a training, its learning rate, and the weights of rare galaxies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tiny_training import TINY

from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.nn.config import ModelConfig
from jpassed.training.config import OptimiserConfig, TableConfig, TrainingConfig
from jpassed.training.loop import learning_rate
from jpassed.training.pool import Galaxies
from jpassed.training.setup import prepare
from jpassed.training.sources import TableSource
from jpassed.training.weighting import density_weights

# ----------------------------------------------------------------------------- configuration


def test_configuration_survives_yaml(tmp_path: Path) -> None:
    config = TrainingConfig.from_dict(TINY)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config.as_dict()))
    assert TrainingConfig.from_yaml(path) == config


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sed": 1}, "training setting 'sed'. Did you mean 'seed'?"),
        ({"optimiser": {"rate": 1}}, "optimiser setting 'rate'"),
        ({"model": {"depth": 3}}, "model setting 'depth'"),
        ({"mix": {"prior": "flat"}}, "Valid choices: balanced, declared"),
        ({"optimiser": {"precision": "float16"}}, "bfloat16, float32"),
        ({"model": {"head_real": "spiral"}}, "binned, flow, gaussian, mixture"),
    ],
)
def test_unknown_settings_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(UnknownNameError, match=words):
        TrainingConfig.from_dict(change)


def test_a_setting_of_a_deeper_level_is_told_its_place() -> None:
    with pytest.raises(InputError, match=r"'steps' stands one level deeper: optimiser: {steps: "):
        TrainingConfig.from_dict({"steps": 3})
    with pytest.raises(InputError, match=r"simulation: {bands: ...}, mix: {bands: ...}"):
        TrainingConfig.from_dict({"bands": ["jpas"]})


@pytest.mark.parametrize(
    ("name", "said"), [("nosuch", "nosuch does not exist"), ("empty", "empty holds no training")]
)
def test_a_table_that_is_not_there_is_said_so(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    config = TableConfig(str(tmp_path / name), labels={"z": "z"})
    with pytest.raises(FileError, match=f"{said}.* a folder of jpassed fetch"):
        TableSource(config, ("rSDSS",), ("z",), torch.device("cpu"))


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="nowhere.yaml"):
        TrainingConfig.from_yaml(tmp_path / "nowhere.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1,")
    with pytest.raises(FileError, match="is not YAML"):
        TrainingConfig.from_yaml(tmp_path / "broken.yaml")


def test_paths_expand_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDS", "/somewhere")
    config = TrainingConfig.from_dict({"simulation": {"ssp": ["$GRIDS/a.npz"]}})
    assert config.simulation.ssp == ("/somewhere/a.npz",)


def test_learning_rate_warms_up_stays_and_decays() -> None:
    options = OptimiserConfig(steps=100, warmup=10, decay=20, learning_rate=1.0)
    rates = [learning_rate(step, options) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10:80] == [1.0] * 70
    assert np.all(np.diff(rates[80:]) < 0)
    assert learning_rate(100, options) == pytest.approx(0.0)


# -------------------------------------------------------------------------- density weighting


def population(n: int = 20000) -> tuple[Galaxies, tuple[str, ...]]:
    generator = torch.Generator().manual_seed(3)
    names = ("z", "ew_oii", "ew_halpha", "ur_rest")
    labels = torch.stack(
        [
            torch.rand(n, generator=generator) * 1.2,
            torch.rand(n, generator=generator).square() * 100,
            torch.rand(n, generator=generator) ** 20 * 600,
            torch.randn(n, generator=generator) * 0.5 + 1.8,
        ],
        1,
    )
    mag = 24 - 4 * torch.rand(n, generator=generator).square()
    seen = torch.ones_like(labels, dtype=torch.bool)
    zero = torch.zeros(n)
    return Galaxies(torch.ones(n, 2), labels, seen, mag, zero), names


def test_weights_give_the_declared_prior_back() -> None:
    galaxies, names = population()
    weights = density_weights(galaxies, names, exponent=0.5, clip=5.0)
    drawn = weights.drawing / weights.drawing.sum()
    ew = galaxies.labels[:, 2]
    assert float((drawn * weights.loss).sum()) == pytest.approx(1.0, rel=1e-4)
    assert float((drawn * weights.loss * ew).sum()) == pytest.approx(float(ew.mean()), rel=1e-4)
    # Rare strong lines are drawn more often than they occur.
    strong = ew > 400
    assert float(drawn[strong].sum()) > 1.3 * float(strong.float().mean())


def test_weights_at_a_magnitude_keep_the_prior_within_it() -> None:
    galaxies, names = population()
    weights = density_weights(galaxies, names, exponent=0.5, clip=5.0)
    here = (galaxies.mag_r > 23.0) & (galaxies.mag_r <= 23.25)
    drawn = (weights.drawing * weights.loss_at_magnitude)[here]
    z = galaxies.labels[here, 0]
    assert float((drawn * z).sum() / drawn.sum()) == pytest.approx(float(z.mean()), rel=1e-4)


def test_no_exponent_no_weights() -> None:
    galaxies, names = population(500)
    weights = density_weights(galaxies, names, exponent=0.0, clip=5.0)
    torch.testing.assert_close(weights.drawing, torch.ones(500))
    torch.testing.assert_close(weights.loss, torch.ones(500))


def test_model_configuration_refuses_what_cannot_be() -> None:
    with pytest.raises(InputError, match="multiple of heads"):
        ModelConfig(width=30, heads=4)
    with pytest.raises(InputError, match="'binned' is for redshift"):
        ModelConfig(head_real="binned")


def test_without_a_grid_it_says_what_one_is() -> None:
    config = TrainingConfig.from_dict(TINY)
    with pytest.raises(InputError, match="do not come with the package.*docs/training.md"):
        prepare(config, torch.device("cpu"))
