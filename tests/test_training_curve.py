"""The training curve."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from jpassed.exceptions import FileError, InputError
from jpassed.plotting import plot_training
from jpassed.training.journal import COLUMNS, Journal
from jpassed.training.validation import FIGURES


def records(n: int = 400, every: int = 50) -> list[dict[str, Any]]:
    made = []
    for step in range(1, n + 1):
        record: dict[str, Any] = dict.fromkeys(COLUMNS, 1.0)
        record |= {"step": step, "objects": step * 1000, "loss": 5.0 - step / 100}
        if step == 7:
            record["loss"] = None
        if step % every == 0:
            record["validation"] = {name: 0.01 * (i + 1) for i, name in enumerate(FIGURES)}
        made.append(record)
    return made


def test_the_curve_shows_what_the_log_holds() -> None:
    figure = plot_training(records())
    losses, score, precision = figure.axes
    loss = losses.get_lines()[0]
    x, y = loss.get_data()
    # Medians of 20 steps: at 10.5 thousand objects the loss was 4.895 (one step has none).
    assert len(x) == 20
    assert x[1] == pytest.approx(0.0305)
    assert y[1] == pytest.approx(5.0 - 30.5 / 100)
    assert np.isfinite(y).all()
    labels = [t.get_text() for t in losses.get_legend().get_texts()]
    assert labels == ["loss (weighted sum)", "redshift", "labels", "EWs", "bandfluxes"]
    np.testing.assert_allclose(score.get_lines()[0].get_xdata(), np.arange(1, 9) * 0.05)
    bins = [t.get_text() for t in precision.get_legend().get_texts()]
    assert bins == ["r < 20", "r = 20 to 21", "r = 21 to 22", "r = 22 to 22.7"]
    assert precision.get_yscale() == "log"
    assert precision.get_xlabel() == "objects seen (millions)"
    plt.close(figure)


def test_a_log_of_earlier_versions_is_drawn() -> None:
    old = [{"step": s, "loss": 1.0, "norm": 1.0, "z": float(s)} for s in range(1, 41)]
    old[-1]["validation"] = {"log score": 3.0, "nmad 0-20": 0.002}
    figure = plot_training(old, figure=Figure())
    assert figure.axes[2].get_xlabel() == "steps"
    assert [line.get_label() for line in figure.axes[0].get_lines()][1] == "redshift"
    again = plot_training(old, batch=1_000_000, figure=Figure())
    assert again.axes[2].get_xlabel() == "objects seen (millions)"
    assert again.axes[1].get_lines()[0].get_xdata()[0] == pytest.approx(40.0)


def test_a_training_that_has_just_begun_is_drawn(tmp_path: Path) -> None:
    Journal(tmp_path).add(records(1)[0])
    figure = plot_training(tmp_path, figure=Figure())
    assert len(figure.axes[0].get_lines()[0].get_xdata()) == 1
    assert figure.axes[2].get_legend() is None


def test_without_a_log_there_is_no_curve(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot read the log"):
        plot_training(tmp_path)
    with pytest.raises(InputError, match="is empty"):
        plot_training([])


def test_the_tool_writes_a_picture(tmp_path: Path, project_root: Path) -> None:
    journal = Journal(tmp_path)
    for record in records(60):
        journal.add(record)
    tool = project_root / "tools" / "draw_training_curve.py"
    picture = tmp_path / "curve.png"
    subprocess.run([sys.executable, str(tool), str(tmp_path), str(picture)], check=True)
    assert picture.read_bytes().startswith(b"\x89PNG")
