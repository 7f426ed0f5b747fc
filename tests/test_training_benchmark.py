"""The benchmarks of training and simulation run, and say what they found."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest
from ranked_training import tiny_config

pytestmark = pytest.mark.real_data


@pytest.fixture
def benchmarks(project_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(project_root / "benchmarks"))
    for name in ("training", "simulator", "host_reads", "machine", "measuring", "ranks_pace"):
        sys.modules.pop(name, None)


def test_the_pace_of_a_training_is_measured(
    benchmarks: None, tmp_path: Path, real_data: Path
) -> None:
    import training

    config = tiny_config(tmp_path, str(real_data / "ssp" / "ssp_bc03_lr_chabrier.npz"))
    found = training.run(
        argparse.Namespace(
            folder=real_data, config=str(config), device="cpu", threads=1, steps=1, times=[2],
            ranks=1,
        )
    )  # fmt: skip
    assert [r["precision"] for r in found["rows"]] == ["float32", "bfloat16"]
    assert [r["objects_per_step"] for r in found["rows"]] == [288, 288]
    for row in found["rows"]:
        # Operations are those of the shapes, whatever the precision.
        assert row["mflop_per_sample"] == found["rows"][0]["mflop_per_sample"] > 0
        assert row["gflops"] * 1e3 == pytest.approx(
            row["mflop_per_sample"] * row["samples_per_second"], rel=1e-6
        )
        assert set(row["share_of_time"]) == {"drawing", "loss and gradient", "simulation"}
        # What the simulator takes is a part of the time that shares and pace refer to.
        simulation = found["simulated_per_step"] / found["simulated_per_second"]
        assert row["share_of_time"]["simulation"] * row["seconds_per_step"] == pytest.approx(
            simulation
        )
        assert 0 < row["share_of_time"]["simulation"] < 1
        assert row["samples_per_second"] * row["seconds_per_step"] == pytest.approx(288)
    text = training.as_markdown(found)
    assert text.count("| bfloat16 |") == 1
    assert "Measured on" in text
    json.dumps(found)


def test_losses_of_ranks_are_compared(
    benchmarks: None, tmp_path: Path, real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import ranks_pace

    config = tiny_config(tmp_path, str(real_data / "ssp" / "ssp_bc03_lr_chabrier.npz"))
    given = [str(real_data), "--config", str(config), "--smaller", "1", "--steps", "3"]
    one, two = ranks_pace.main([*given, "--ranks", "1,2"])
    assert (one["steps"], one["loss"], one["gradient_norm"]) == (3, 0.0, 0.0)
    assert 0 <= two["loss"] < 1e-5
    assert "2 rank(s), 3 steps: loss within" in capsys.readouterr().out


def test_the_pace_of_the_simulator_is_measured(
    benchmarks: None, tmp_path: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import simulator

    kept = tmp_path / "simulator.json"
    arguments = ["simulator.py", str(real_data), "--threads", "1", "--number", "512"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--chunk", "512", "--json", str(kept)])
    simulator.main()
    found = json.loads(kept.read_text())
    assert found["chunk"] == 512
    assert found["host_reads_per_chunk"] == 3
    assert found["galaxies_per_second"] > 0
    assert 0.5 < found["mflop_per_galaxy"] < 5.0
