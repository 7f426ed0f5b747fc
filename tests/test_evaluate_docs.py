"""The pages on evaluation and recalibration: their commands and their Python run as written."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from jpassed.cli import main
from jpassed.io.catalogs import read_catalog
from jpassed.validation.statistics import REDSHIFT_STATISTICS


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.+?)^```", text, flags=re.M | re.S)


@pytest.fixture(scope="module")
def pages(project_root):
    return {
        name: (project_root / "docs" / f"{name}.md").read_text("utf-8")
        for name in ("evaluate", "calibrate")
    }


@pytest.mark.parametrize("name", ["evaluate", "calibrate"])
def test_what_a_page_shows_runs(pages, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for line in "".join(blocks(pages[name], "sh")).splitlines():
        words = line.split()
        assert words[0] == "jpassed"
        if words[1] == "evaluate":
            words += ["--bootstrap", "0"]
        shown = CliRunner().invoke(main, words[1:])
        assert shown.exit_code == 0, (line, shown.output)
    for code in blocks(pages[name], "python"):
        exec(compile(code, name, "exec"), {})
    if name == "evaluate":
        assert (tmp_path / "report" / "report.html").is_file()
        assert (tmp_path / "from_python" / "figures.ecsv").is_file()
        found = read_catalog("by_mass/figures.ecsv")
        assert {"true_logmstar", "mag iSDSS"} <= set(found["by"])


def test_the_page_names_every_statistic(pages):
    text = pages["evaluate"]
    missing = [
        s.name
        for s in REDSHIFT_STATISTICS
        if f"`{s.name}`" not in text and not s.name.startswith(("coverage", "quoted"))
    ]
    assert missing == []
    assert "`coverage_50` to `coverage_95`" in text
