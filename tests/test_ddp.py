"""Several ranks take the steps of one: the same losses, weights and files, and resumes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ranked_training import finish, kill_after, start_ranks, tiny_config

from jpassed.nn.checkpoint import read_model
from jpassed.training.journal import LOG, read_log
from jpassed.training.loop import train
from jpassed.training.state import STATE

pytestmark = pytest.mark.real_data

FIGURES = ("loss", "loss_z", "loss_flux", "loss_dense", "loss_broad", "gradient_norm")


@pytest.fixture(scope="module")
def place(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration and `one`, what a single process makes of it."""
    folder = tmp_path_factory.mktemp("ranks")
    tiny_config(folder, str(real_data / "ssp" / "ssp_bc03_lr_chabrier.npz"))
    train(folder / "tiny.yaml", folder / "one")
    return folder


def check_same(one: Path, other: Path) -> None:
    """Float32 sums in another order differ in the last digits, and not more after eight steps."""
    first, second = read_log(one), read_log(other)
    assert [r["step"] for r in second] == list(range(1, 9))
    for mine, theirs in zip(first, second, strict=True):
        for name in FIGURES:
            # A gradient has lost more digits than a loss; a wrong average would be off by far more.
            digits = 1e-5 if name == "gradient_norm" else 2e-6
            assert theirs[name] == pytest.approx(mine[name], rel=digits, abs=2e-6), name
        for name in ("objects", "weight_ess", "learning_rate", "skipped"):
            assert theirs[name] == mine[name]
    weights = read_model(one).network.state_dict()
    for name, value in read_model(other).network.state_dict().items():
        torch.testing.assert_close(value, weights[name], rtol=2e-3, atol=2e-5)
    assert {p.name for p in other.iterdir()} == {p.name for p in one.iterdir()}


def test_two_ranks_under_torchrun_have_the_losses_of_one(place: Path) -> None:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "-m", "jpassed", "train", str(place / "tiny.yaml"), "-o", str(place / "two"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    # One of the two speaks.
    assert done.stdout.count("trained") == 1
    check_same(place / "one", place / "two")


def test_a_resume_may_have_another_number_of_ranks(place: Path) -> None:
    train(place / "tiny.yaml", place / "changed", stop_after=2)
    finish(start_ranks(2, place / "tiny.yaml", place / "changed", stop_after=5))
    assert len(read_log(place / "changed")) == 5
    train(place / "tiny.yaml", place / "changed", resume=True)
    check_same(place / "one", place / "changed")


def test_a_killed_rank_ends_all_and_leaves_a_checkpoint(place: Path) -> None:
    output = place / "killed"
    ranks = start_ranks(2, place / "tiny.yaml", output)
    kill_after(6, output / LOG, ranks)
    assert ranks[1].returncode == -signal.SIGKILL
    # The other one may have been done already; it never goes on alone.
    assert ranks[0].returncode != 0 or len(read_log(output)) == 8
    assert (output / STATE).exists()
    finish(start_ranks(2, place / "tiny.yaml", output))
    check_same(place / "one", output)
