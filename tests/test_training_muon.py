"""Muon, and trainings that change their optimiser."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_model import make_model
from tiny_training import TINY

from jpassed.exceptions import UnknownNameError
from jpassed.training.config import TrainingConfig
from jpassed.training.journal import LOG
from jpassed.training.loop import train
from jpassed.training.muon import Muon, make_optimiser, orthogonalised


@settings(max_examples=20)
@given(
    shape=st.sampled_from([(8, 8), (5, 12), (12, 5), (2, 6, 9)]),
    seed=st.integers(0, 100),
    scale=st.sampled_from([1e-6, 1.0, 1e4]),
)
def test_singular_values_become_alike(shape: Sequence[int], seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(tuple(shape), generator=generator) * scale
    made = orthogonalised(matrix, 10).float()
    assert made.shape == matrix.shape
    values = torch.linalg.svdvals(made)
    # One singular value may start too small to be lifted all the way: the median tells.
    assert float(values.max()) < 1.35
    assert float(values.median()) > 0.6
    # The directions stay: U V^T of the matrix itself has the largest overlap of all.
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    overlap = (made * (u @ v)).sum((-2, -1)) / min(shape[-2:])
    assert float(overlap.min()) > 0.6


def test_an_update_has_the_size_of_adams() -> None:
    p = torch.nn.Parameter(torch.zeros(40, 60))
    optimiser = Muon([p], lr=0.1, weight_decay=0.0)
    p.grad = torch.randn(40, 60, generator=torch.Generator().manual_seed(1)) * 1e-3
    optimiser.step()
    # Adam's first step is the learning rate in every entry; Muon's is 0.2 of it, as Adam's
    # typical later one (Liu+2025), for a square matrix.
    assert float(p.detach().square().mean().sqrt()) == pytest.approx(0.2 * 0.1, rel=0.3)
    before = p.detach().clone()
    decaying = Muon([p], lr=0.1, weight_decay=0.5)
    p.grad = torch.zeros_like(p)
    decaying.step()
    torch.testing.assert_close(p.detach(), before * (1 - 0.1 * 0.5))


def test_muon_finds_the_least_squares_solution() -> None:
    generator = torch.Generator().manual_seed(2)
    wanted = torch.randn(6, 9, generator=generator)
    p = torch.nn.Parameter(torch.zeros(6, 9))
    optimiser = Muon([p], lr=0.1, weight_decay=0.0)
    for step in range(300):
        optimiser.param_groups[0]["lr"] = 0.1 * (1 - step / 300)
        optimiser.zero_grad()
        (p - wanted).square().sum().backward()
        optimiser.step()
    assert float((p.detach() - wanted).abs().max()) < 0.05


def test_every_parameter_has_one_optimiser() -> None:
    model = make_model()
    for name in ("adamw", "muon"):
        made = make_optimiser(model, name, 1e-3, 0.01)
        held = [id(p) for group in made.param_groups for p in group["params"]]
        assert sorted(held) == sorted(id(p) for p in model.parameters())
    hidden = {id(p) for p in made.parts[1].param_groups[0]["params"]}
    names = {k for k, p in model.named_parameters() if id(p) in hidden}
    assert "trunk.0.qkv.weight" in names
    assert not names & {"head.linear.weight", "request_kind.weight", "patch.first.weight"}
    with pytest.raises(UnknownNameError, match="adamw, muon"):
        make_optimiser(model, "sgd", 1e-3, 0.0)
    with pytest.raises(UnknownNameError, match="adamw, muon"):
        TrainingConfig.from_dict({"optimiser": {"name": "sgd"}})


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / LOG).read_text().splitlines()]


@pytest.mark.real_data
def test_a_resumed_muon_training_is_the_uninterrupted_one(
    tmp_path: Path, real_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ssp = (str(real_data / "ssp" / "ssp_bc03_lr_chabrier.npz"),)
    tiny = TrainingConfig.from_dict(TINY)
    muon = replace(tiny, optimiser=replace(tiny.optimiser, name="muon", steps=6))
    train(muon, tmp_path / "whole", ssp=ssp)
    train(muon, tmp_path / "parts", ssp=ssp, stop_after=4)
    train(muon, tmp_path / "parts", ssp=ssp, resume=True)
    whole = losses(tmp_path / "whole")
    assert losses(tmp_path / "parts") == pytest.approx(whole, rel=1e-6)
    # Another optimiser may take over; it is told, and starts without memory.
    adam = replace(tiny, optimiser=replace(tiny.optimiser, steps=7))
    train(adam, tmp_path / "parts", ssp=ssp, resume=True)
    assert "the checkpoint is of muon: adamw begins without its memory" in caplog.text
    assert "optimiser.name muon -> adamw" in caplog.text
    assert np.isfinite(losses(tmp_path / "parts")).all()
