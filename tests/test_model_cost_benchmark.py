"""The benchmarks of the network's cost and precision run, and say what they found."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import jpassed
from jpassed.annotation import blocks


@pytest.fixture
def benchmarks(project_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(project_root / "benchmarks"))
    return project_root


def test_the_cost_of_the_network(benchmarks, tmp_path, monkeypatch):
    import model_cost

    monkeypatch.setattr(model_cost, "LEAST_SECONDS", 0.01)
    monkeypatch.setattr(model_cost, "PEAK_SIZE", {"cpu": 64})
    page, output = tmp_path / "model_cost.md", tmp_path / "cost.json"
    shutil.copy(benchmarks / "docs" / "model_cost.md", page)
    arguments = ["--n", "40", "--blocks", "16", "32", "-o", str(output), "--markdown", str(page)]
    monkeypatch.setattr(sys, "argv", ["model_cost.py", *arguments])
    threads = torch.get_num_threads()
    model_cost.main()
    torch.set_num_threads(threads)
    found = json.loads(output.read_text())
    assert {row["objects in a block"] for row in found["passes"]} == {16, 32}
    assert all(row["objects/s"] > 0 for row in found["passes"])
    assert blocks.BLOCK["cpu"] not in (16, 32)
    assert "GFLOP/s" in page.read_text() and "Not measured" not in page.read_text().split("Half")[0]


def test_operations_of_the_default_model(benchmarks):
    """The bar of the docs; counted, so it is the same on every machine."""
    import model_cost

    model = jpassed.load_model("default")
    found = model_cost.counted(model, model_cost.made_up(8), 8)
    assert 20 < found["posteriors"] < MOST_MFLOP
    assert 10 < found["jp_chi2"] < found["posteriors"]


MOST_MFLOP = 30.0


@pytest.mark.real_data
def test_the_change_by_bfloat16(benchmarks, tmp_path, real_data, monkeypatch):
    import precision

    page, output = tmp_path / "model_cost.md", tmp_path / "precision.json"
    shutil.copy(benchmarks / "docs" / "model_cost.md", page)
    arguments = [str(real_data), "--n", "40", "--no-real", "-o", str(output), "--markdown"]
    monkeypatch.setattr(sys, "argv", ["precision.py", *arguments, str(page)])
    precision.main()
    cases = json.loads(output.read_text())["cases"]
    assert len(cases) == 5
    for case in cases.values():
        assert np.isfinite(case["largest change of the mean log score"])
        assert 0 < case["largest change of the mean log score"] < 0.05
    assert "60 bands and redshift" in page.read_text()
