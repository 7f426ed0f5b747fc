"""What pages quote of measurements is what the measured pages say."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

FIGURES = yaml.safe_load(Path(__file__).with_name("quoted_figures.yaml").read_text("utf-8"))


@pytest.mark.parametrize("entry", FIGURES, ids=lambda e: f"{Path(e['page']).stem}: {e['says']}")
def test_a_quoted_figure_was_measured(entry, project_root):
    docs = project_root / "docs"
    page = (docs / entry["page"]).read_text("utf-8")
    # Where a line ends is no matter.
    assert entry["says"] in " ".join(page.split()), f"{entry['page']} quotes another figure now"
    measured = (docs / entry["where"]).read_text("utf-8")
    missing = [text for text in entry["has"] if text not in measured]
    assert not missing, f"{entry['where']} was measured again: {entry['page']} quotes {missing}"
