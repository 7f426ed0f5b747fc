"""Ranks of a training: shares of a step, and what the environment must say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ranked_training import tiny_config

from jpassed.exceptions import InputError
from jpassed.training.config import TrainingConfig
from jpassed.training.loop import _Trainer
from jpassed.training.ranks import Ranks, join_ranks
from jpassed.training.setup import prepare
from jpassed.training.step_loss import Questions, loss_figures

TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@given(objects=st.integers(1, 5000), count=st.integers(1, 64))
def test_shares_are_even_and_leave_nobody_out(objects: int, count: int) -> None:
    rows = [list(range(objects))[Ranks(r, count).rows(objects)] for r in range(count)]
    assert sum(rows, []) == list(range(objects))
    sizes = {len(r) for r in rows}
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.real_data
@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("step", [0, 3])
def test_losses_and_gradients_of_the_shares_add_up(
    count: int, step: int, tmp_path: Path, real_data: Path
) -> None:
    path = tiny_config(tmp_path, str(real_data / "ssp" / "ssp_bc03_lr_chabrier.npz"))
    config = TrainingConfig.from_yaml(path)
    setup = prepare(config, torch.device("cpu"))
    setup.pool.fill()
    trainer = _Trainer(config, setup, tmp_path, torch.device("cpu"))
    questions = Questions(*trainer.questions(step))
    weights = list(trainer.network.parameters())

    def graded(part: Questions) -> tuple[torch.Tensor, list[torch.Tensor]]:
        total, figures = trainer.loss(*part)
        found = torch.autograd.grad(total, weights, allow_unused=True)
        pairs = zip(found, weights, strict=True)
        return figures.double(), [torch.zeros_like(w) if g is None else g for g, w in pairs]

    whole, gradient = graded(questions)
    parts = [graded(questions.share(Ranks(r, count))) for r in range(count)]
    torch.testing.assert_close(
        sum(p[0] for p in parts), whole, rtol=1e-5, atol=1e-5, equal_nan=True
    )
    for i, expected in enumerate(gradient):
        total = sum(p[1][i] for p in parts)
        scale = float(expected.abs().max())
        torch.testing.assert_close(total, expected, rtol=1e-4, atol=1e-6 + 1e-5 * scale)
    told = loss_figures(questions, whole.tolist())
    assert set(told) == {
        "loss", "loss_z", "loss_labels", "loss_ew", "loss_flux", "loss_dense", "loss_broad"
    }  # fmt: skip
    assert told["loss"] == pytest.approx(float(whole[0]))


def test_one_process_is_one_rank(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("WORLD_SIZE", "1")
    with join_ranks("cpu") as (ranks, device):
        assert ranks == Ranks(0, 1) and ranks.first
        assert device == torch.device("cpu")
        values = torch.ones(3)
        ranks.add(values)
        assert values.tolist() == [1, 1, 1]
        ranks.agree(7, "nothing", device)


def test_an_environment_that_is_not_whole_is_told(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="RANK, MASTER_ADDR, MASTER_PORT is not set.*torchrun"):
        with join_ranks("cpu"):
            pass
    bare.setenv("WORLD_SIZE", "two")
    with pytest.raises(InputError, match="WORLD_SIZE in the environment: expected a number"):
        with join_ranks("cpu"):
            pass
    for name, value in zip(TORCHRUN, ("0", "0", "2", "127.0.0.1", "1"), strict=True):
        bare.setenv(name, value)
    with pytest.raises(InputError, match="each rank has a GPU of its own: name 'cuda'"):
        with join_ranks("cuda:1"):
            pass


def test_more_ranks_than_objects_are_refused() -> None:
    config = TrainingConfig.from_dict({"optimiser": {"batch": 64}})
    Ranks(0, 64).check_shares(config)
    with pytest.raises(InputError, match="batch: 64 objects cannot be shared by 100 ranks"):
        Ranks(0, 100).check_shares(config)
