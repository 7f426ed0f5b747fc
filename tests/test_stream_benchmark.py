"""The benchmark of long files runs, counts and fills its page, whose commands work."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import sys

import pytest
from annotation_tables import make_table, write_small
from click.testing import CliRunner

from jpassed.cli import main
from jpassed.io import read_catalog, write_catalog


@pytest.fixture(scope="module")
def stream(project_root):
    folder = str(project_root / "benchmarks")
    sys.path.insert(0, folder)
    try:
        yield importlib.import_module("stream")
    finally:
        sys.path.remove(folder)


def test_it_measures_and_fills_the_page(stream, project_root, tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- stream -->\nold\n<!-- end stream -->\nafter\n")
    output = tmp_path / "results" / "stream.json"
    monkeypatch.setattr(stream, "describe", lambda: {**MACHINE})
    monkeypatch.setenv("PYTHONPATH", f"{project_root}:{project_root / 'benchmarks'}")
    stream.main(
        ["--rows", "40", "--scratch", str(tmp_path), "-o", str(output), "--page", str(page)]
    )
    (found,) = json.loads(output.read_text())["runs"]
    assert found["rows"] == 40
    assert 0 < found["model_share"] < 1
    assert found["peak_memory_mb"] > 50
    assert found["output_mb"] > found["input_mb"] > 0
    assert "annotate_file" not in found["wall_by_part_s"]
    text = page.read_text()
    assert re.search(r"\| 40 \| [\d.]+ \| [\d,]+ \| \d+ % \| [\d,]+ MB", text)
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.md", "results"]


MACHINE = {
    "cpu": "a processor", "cores": 2, "date": "2026-01-01T00:00:00", "commit": "", "load": None,
    "torch": "2", "python": "3",
}  # fmt: skip


def test_the_inputs_have_all_rows_once(stream, tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "AT_ONCE", 8)
    for ending in ("fits", "parquet", "csv"):
        path = tmp_path / f"in.{ending}"
        stream.make_input(path, 20)
        table = read_catalog(path)
        assert list(table["id"]) == list(range(20))
        assert len(table.colnames) == 121


def test_the_commands_of_the_page_run(project_root, tmp_path, monkeypatch):
    page = (project_root / "docs" / "large_files.md").read_text("utf-8")
    (block,) = re.findall(r"^```sh\n(.+?)^```", page, flags=re.M | re.S)
    commands = [shlex.split(line) for line in block.splitlines()]
    assert len(commands) == 3
    monkeypatch.chdir(tmp_path)
    model = write_small(tmp_path / "model")
    for ending in ("fits", "parquet", "csv"):
        write_catalog(make_table(6), f"catalogue.{ending}")
    for words in commands:
        words = [("1" if word == "4" else word) for word in words]  # workers have their own tests
        output = tmp_path / words[words.index("-o") + 1]
        output.unlink(missing_ok=True)
        shown = CliRunner().invoke(main, [*words[1:], "--model", str(model), "--outputs", "z"])
        assert shown.exit_code == 0, shown.output
        assert len(read_catalog(output)["jp_z"]) == 6
