"""A training step leaves the device alone: nothing of it is read on the host but its figures."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch
from ranked_training import tiny_config

from jpassed.exceptions import InputError
from jpassed.training.config import TrainingConfig
from jpassed.training.host import host_plan, on_device, picked, shuffled
from jpassed.training.journal import read_log
from jpassed.training.loop import _Trainer, train
from jpassed.training.pool import Galaxies, GalaxyStore
from jpassed.training.setup import prepare


@pytest.fixture
def counting(project_root: Path, monkeypatch: pytest.MonkeyPatch) -> type:
    monkeypatch.syspath_prepend(str(project_root / "benchmarks"))
    sys.modules.pop("host_reads", None)
    from host_reads import HostReads

    return HostReads


def test_reads_are_counted(counting: type) -> None:
    values, mask = torch.arange(4.0), torch.tensor([True, False, True, True])
    with counting() as reads:
        values.sum().item()
        values[mask]
        bool(mask.all())
        values[torch.tensor([0, 2])] * 2.0
    assert sum(reads.places.values()) == 3


@pytest.mark.real_data
def test_a_step_reads_its_figures_once_and_nothing_else(
    counting: type, tmp_path: Path, real_data: Path
) -> None:
    path = tiny_config(tmp_path, str(real_data / "ssp" / "ssp_bc03_lr_chabrier.npz"))
    config = TrainingConfig.from_yaml(path)
    setup = prepare(config, torch.device("cpu"))
    trainer = _Trainer(config, setup, tmp_path, torch.device("cpu"))
    trainer.step(0)
    with counting() as reads:
        for step in range(1, 5):
            trainer.step(step)
    own = {k: n for k, n in reads.places.items() if k.startswith("jpassed/training/")}
    assert sum(own.values()) == 4, own
    assert all("loop.py" in place and place.endswith("tolist") for place in own)


def test_a_plan_is_that_of_the_seed() -> None:
    generator = torch.Generator().manual_seed(3)
    # On a CPU the generator plans by itself: one stream of numbers.
    assert host_plan(generator) is generator
    assert sorted(shuffled(9, generator)) == list(range(9))
    assert picked(0, generator) == 0
    assert {picked(3, generator) for _ in range(99)} == {0, 1, 2}
    assert on_device([1.0, 2.0], torch.device("cpu"), torch.float32).tolist() == [1.0, 2.0]


def test_a_pool_without_bright_galaxies_is_told() -> None:
    faint = Galaxies(
        torch.ones(8, 2), torch.ones(8, 4), torch.ones(8, 4, dtype=torch.bool),
        torch.full((8,), 25.0), torch.zeros(8),
    )  # fmt: skip
    store = GalaxyStore(("z", "ew_oii", "ew_halpha", "ur_rest"), torch.device("cpu"))
    store.hold(faint)
    assert store.share_brighter(26.0) == pytest.approx(1.0)
    with pytest.raises(InputError, match="is brighter than r = 22.7"):
        store.share_brighter(22.7)


@pytest.mark.real_data
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_simulates_and_trains(tmp_path: Path, real_data: Path) -> None:
    path = tiny_config(tmp_path, str(real_data / "ssp" / "ssp_bc03_lr_chabrier.npz"))
    folder = train(path, tmp_path / "run", device="cuda", stop_after=4)
    train(path, folder, device="cuda", resume=True)
    assert [r["step"] for r in read_log(folder)] == list(range(1, 9))
    assert all(math.isfinite(r["loss"]) for r in read_log(folder))
