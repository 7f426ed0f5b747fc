"""The benchmarks of speed run, count and tell; how fast anything is, is not tested."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import jpassed
from jpassed.cli import main
from jpassed.io.catalogs import read_catalog, write_catalog

NAMES = (
    "gpu", "machine", "markdown_blocks", "measuring", "options", "refresh_speed", "rival_eazy",
    "rival_transformer", "rows", "speed", "speed_contenders", "speed_sample", "speed_tables",
)  # fmt: skip


@pytest.fixture(scope="module")
def modules(project_root):
    """The benchmarks' own modules, which import each other by name."""
    folder = str(project_root / "benchmarks")
    sys.path.insert(0, folder)
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in NAMES})
    finally:
        sys.path.remove(folder)


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "speed.md"
    blocks = (f"<!-- {name} -->\nold\n<!-- end {name} -->" for name in ("speed", "rows", "gpu"))
    path.write_text("\n\n".join(["# Speed", *blocks, "the end"]), "utf-8")
    return path


@pytest.fixture
def from_project(project_root, monkeypatch):
    """Processes that a benchmark starts find the package beside it."""
    monkeypatch.setenv("PYTHONPATH", str(project_root))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_one_command_fills_the_table_of_speeds(modules, page, tmp_path, from_project, monkeypatch):
    monkeypatch.setenv("JPASSED_TEST_DATA", str(tmp_path / "nowhere"))
    kept = tmp_path / "results" / "speed.json"
    wanted = "jpassed-float32-quick-1x2,transformer-together-float32"
    modules.speed.main(
        ["--n", "64", "--rounds", "1", "--only", wanted, "-o", str(kept), "--page", str(page)]
    )
    results = json.loads(kept.read_text("utf-8"))
    rows = {row["name"]: row for row in results["rows"]}
    assert set(rows) == set(wanted.split(","))
    own, rival = (rows[name] for name in wanted.split(","))
    assert own["rate"] > 0 and own["rate_by_processor"] > 0
    # Counted, not timed: two passes of the model, and one of the published shape.
    assert 30 < own["mflop"] < 80
    assert rival["mflop"] == pytest.approx(390.25, abs=0.1)
    # Two processes count, each with the libraries.
    assert own["processes"] == 2
    assert 2 * 100 < own["peak_mb"] < 5000
    assert own["note"].endswith("columns")
    assert len(results["model"]["weights"]) == 16
    assert {"cpu", "cores", "flags", "torch", "date", "float32_gflops"} <= set(results["machine"])
    text = page.read_text("utf-8")
    assert "Leung & Bovy shape, all requests in one call" in text
    assert results["model"]["weights"] in text and "the end" in text


def test_a_contender_that_ends_early_is_told(modules, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    contender = modules.speed_contenders.contenders(64)[0]
    with pytest.raises(RuntimeError, match=f"{contender.name}: ended before its start"):
        modules.speed.measured(contender, 64, tmp_path / "objects.fits", None, 1)


@pytest.mark.real_data
def test_eazy_and_trees_compete_on_simulated_galaxies(modules, real_data, tmp_path, capsys):
    for package in ("eazy", "sklearn"):
        pytest.importorskip(package)
    monkey = pytest.MonkeyPatch()
    monkey.setattr(modules.speed_contenders, "TREE_ROWS", 200)
    monkey.setattr(modules.speed_contenders, "LEVELS", (0.5,))
    try:
        sample = tmp_path / "objects.fits"
        assert modules.speed.make_sample(sample, real_data, 60, False) == "simulated galaxies"
        for contender in modules.speed_contenders.contenders(60):
            if contender.system not in ("eazy", "trees"):
                continue
            ready = modules.speed_contenders.prepare(contender, sample, real_data)
            row = ready.measure(contender, 1)
            assert row["rate_by_processor"] > 0
            assert row["note"] in ("p(z) on 405 redshifts", "1 quantiles of 19 quantities")
    finally:
        monkey.undo()


def test_the_transformer_has_the_published_size_and_no_order_of_requests(modules):
    torch.manual_seed(3)
    network = modules.rival_transformer.PublishedTransformer(79).eval()
    # Leung & Bovy (2024): 8.8 million parameters.
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(8.8e6, rel=0.01)
    value, kind, asked = torch.randn(5, 60), torch.arange(1, 61), torch.arange(61, 80)
    with torch.inference_mode():
        one_by_one = network(value, kind, asked)
        together = network(value, kind, asked, together=True)
        shuffled = torch.randperm(60)
        other = network(value[:, shuffled], kind[shuffled], asked)
    assert one_by_one[0].shape == (5, 19)
    torch.testing.assert_close(one_by_one, together)
    torch.testing.assert_close(one_by_one, other, atol=1e-5, rtol=1e-4)
    assert (one_by_one[1] > 0).all()


def test_padding_of_the_transformer_is_not_seen(modules):
    torch.manual_seed(4)
    network = modules.rival_transformer.PublishedTransformer(79).eval()
    value, asked = torch.randn(3, 20), torch.arange(61, 64)
    with torch.inference_mode():
        before = network(value, torch.arange(1, 21), asked)[0]
        network.offsets[0] = 100.0
        after = network(value, torch.arange(1, 21), asked)[0]
    torch.testing.assert_close(before, after)


def test_operations_of_a_matrix_product_are_counted(modules):
    a, b = torch.randn(10, 20), torch.randn(20, 30)
    assert modules.measuring.megaflop(lambda: a @ b) == pytest.approx(2 * 10 * 20 * 30 / 1e6)


def test_the_machine_is_described(modules):
    found = modules.machine.describe()
    assert found["cores"] >= 1 and found["float32_gflops"] > 0 and found["bfloat16_gflops"] > 0
    said = modules.machine.in_words(found)
    assert found["torch"] in said and found["date"][:10] in said
    assert "GFLOP/s" not in modules.machine.in_words(modules.machine.describe(rates=False))


def _row(name, rate, **more):
    row = {
        "name": name, "title": name, "system": "jpassed", "precision": "float32", "threads": 1,
        "processes": 1, "rate": rate, "rate_by_processor": rate, "mflop": 25.0, "peak_mb": 500.0,
    }  # fmt: skip
    return {**row, **more}


def test_misses_are_said(modules):
    rows = [
        _row("jpassed-float32-quick-1x1", 1200.0),
        _row("jpassed-bfloat16-quick-1x1", 1900.0, precision="bfloat16"),
        _row("jpassed-float32-none-1x1", 2000.0),
        _row("eazy", 50.0, system="eazy", mflop=None),
        _row("transformer-published-float32", 100.0),
        _row("transformer-published-bfloat16", 200.0, precision="bfloat16"),
    ]
    said = {line[0]: line[2] for line in modules.speed_tables.asked({r["name"]: r for r in rows})}
    met = said["default `annotate`, float32, one thread"]
    assert met == "1,200 objects/s by the clock (1,200 by processor time)"
    missed = said["default `annotate`, bfloat16, one thread"]
    assert missed.startswith("1,900 objects/s by") and missed.endswith("**missed**")
    assert said["posteriors of all outputs"] == "25.0 MFLOP"
    assert said["default in bfloat16 against eazy-py"] == "38 times"
    # Each precision against the same.
    shape = "against the Leung & Bovy shape as published, in"
    assert said[f"default in float32 {shape} float32 as well"] == "12 times"
    assert said[f"default in bfloat16 {shape} bfloat16 as well"] == "10 times, **missed**"
    assert len(said) == 6


def test_all_batches_are_tried_at_the_default_number_of_objects(modules):
    parts = modules.speed_contenders
    number = {c.name: c.n for c in parts.contenders(4096)}
    assert number["transformer-published-float32"] >= max(parts.TRANSFORMER_BATCHES)
    assert {c.n for c in parts.contenders(64) if c.system == "transformer"} == {8}


def test_memory_is_that_of_the_process_itself(modules, project_root, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(project_root / "benchmarks"))
    large = np.ones(400_000_000, np.uint8)
    program = "import measuring; print(measuring.peak_memory()); input()"
    with (
        modules.measuring.ChildrenMemory() as children,
        subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child,
    ):
        told = float(child.stdout.readline())
        patience = time.monotonic() + 60.0
        while children.peak < told and time.monotonic() < patience:
            time.sleep(modules.measuring.ChildrenMemory.EVERY)
        child.communicate(b"end\n")
    assert modules.measuring.peak_memory() > large.size / 1e6
    assert 1 < told <= children.peak < 200


def test_operations_are_counted_whatever_the_threads(modules):
    table = modules.speed_sample.power_laws(256)
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            found.append(modules.measuring.megaflop(lambda: jpassed.annotate(table, outputs="z")))
            assert torch.get_num_threads() == threads
        finally:
            torch.set_num_threads(1)
    assert found[0] == found[1] > 0


def test_rows_are_measured_once_and_kept(modules, page, tmp_path, from_project, capsys):
    kept, figure = tmp_path / "rows.json", tmp_path / "rows.png"
    more = ["-o", str(kept), "--page", str(page), "--figure", str(figure)]
    modules.rows.main(["--rows", "40", "--scratch", str(tmp_path), *more])
    [first] = json.loads(kept.read_text("utf-8"))["runs"]
    assert first["rows"] == 40 and first["shell_s"] >= first["wall_s"] > 0
    assert first["peak_memory_mb"] > 100 and 0 < first["model_share"] < 1
    assert "| 40 | 1 |" in page.read_text("utf-8")
    other = {**first, "rows": 60}
    kept.write_text(json.dumps({"runs": [other, first]}), "utf-8")
    modules.rows.main(["--rows", "60", "40", "--scratch", str(tmp_path), *more])
    assert "40 rows: kept from before" in capsys.readouterr().err
    assert json.loads(kept.read_text("utf-8"))["runs"] == [other, first]
    assert "| 60 | 1 |" in page.read_text("utf-8")
    assert figure.stat().st_size > 5000
    assert sorted(path.name for path in tmp_path.glob("jpassed-rows-*")) == []


def test_the_commands_for_a_gpu_run_on_a_processor(modules, page, tmp_path, capsys):
    kept = tmp_path / "gpu.json"
    modules.gpu.main(
        ["--device", "cpu", "--precision", "float32", "--batches", "8", "20", "--objects", "16",
         "-o", str(kept), "--page", str(page)]
    )  # fmt: skip
    results = json.loads(kept.read_text("utf-8"))
    assert [row["batch"] for row in results["network"]] == [8, 20]
    assert all(10 < row["mflop"] < 50 for row in results["network"])
    assert [row["chi2"] for row in results["annotate"]] == ["quick", "none"]
    assert "share of the matrix rate" in page.read_text("utf-8")


def test_the_costs_of_options_are_ratios_to_the_default(modules, tmp_path, capsys, page):
    kept = tmp_path / "options.json"
    with page.open("a", encoding="utf-8") as text:
        text.write("<!-- options -->\n<!-- end options -->\n")
    modules.options.main(["--n", "16", "--rounds", "1", "-o", str(kept), "--page", str(page)])
    rows = {row["option"]: row for row in json.loads(kept.read_text("utf-8"))["options"]}
    assert rows["default"]["cost"] == 1.0
    assert set(rows) == {option.said for option in modules.options.OPTIONS}
    # Draws cost far more than quantiles, whatever the machine does beside.
    assert rows["`--samples 10`"]["cost"] > 2
    assert "uJPAS, g, r, i alone in the table" in page.read_text("utf-8")


def test_one_command_refreshes_the_page(modules, project_root, tmp_path):
    page = project_root / "docs" / "speed.md"
    names = ["options", "speed", "gpu", "rows"]
    for name in names:
        assert f"<!-- {name} -->" in page.read_text("utf-8")
    given = argparse.Namespace(
        folder=tmp_path, rows=[1000], workers=2, again=False, only=names, page=page, quick=True,
        results=tmp_path,
    )  # fmt: skip
    commands = modules.refresh_speed.commands(given)
    assert list(commands) == names
    for name, command in commands.items():
        assert command[1] == str(project_root / "benchmarks" / f"{name}.py")
        assert command[-4:] == ["-o", str(tmp_path / f"{name}.json"), "--page", str(page)]
    assert "100" in commands["rows"] and str(tmp_path) in commands["speed"]


def test_commands_of_the_page_run(project_root, tmp_path, monkeypatch):
    text = (project_root / "docs" / "speed.md").read_text("utf-8")
    (shown,) = re.findall(r"^```sh\n(.+?)^```", text, flags=re.M | re.S)
    commands = [line.split("#")[0].split() for line in shown.splitlines()]
    assert len(commands) >= 5
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, ["example", "example.fits"]).exit_code == 0
    write_catalog(read_catalog("example.fits")[:3], "catalogue.fits")
    for words in commands:
        assert words[0] == "jpassed"
        done = CliRunner().invoke(main, words[1:])
        assert done.exit_code == 0, (words, done.output)
        table = read_catalog("out.fits")
        assert len(table) == 3 and "jp_z" in table.colnames
        assert ("jp_chi2" in table.colnames) != ("none" in words)
        Path("out.fits").unlink()
