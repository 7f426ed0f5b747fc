"""What is imported before the first number, and that the benchmarks of it run."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from jpassed.annotation import annotate

NEVER = ("synphot", "specutils", "pyvo", "matplotlib", "sklearn", "dask", "lsdb")
"""Packages that no default prediction needs; each takes a second or so to import."""

FIRST = """
import sys
import numpy as np
from astropy.table import Table
import jpassed
bands = {"J0390": 3.0, "J0500": 5.0, "J0660": 8.0, "rSDSS": 7.0, "iSDSS": 9.0}
table = Table({name: np.full(3, flux) for name, flux in bands.items()}, units=["uJy"] * 5)
for name in bands:
    table[f"{name}_err"] = 0.1 * table[name]
found = jpassed.annotate(table, outputs=["z", "logmstar"], chi2="quick")
assert len(found) == 3 and "jp_z" in found.colnames and "jp_chi2" in found.colnames
print(*sys.modules)
"""


def loaded_by(code: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in done.stdout.split()}


def test_a_prediction_loads_nothing_that_it_does_not_need():
    loaded = loaded_by(FIRST)
    assert "torch" in loaded
    assert not loaded & set(NEVER)


def test_the_command_is_built_without_the_libraries_of_others():
    loaded = loaded_by("import sys, jpassed.annotation.files; print(*sys.modules)")
    assert not loaded & set(NEVER)


@pytest.fixture(scope="module")
def benchmarks(project_root):
    folder = str(project_root / "benchmarks")
    sys.path.insert(0, folder)
    try:
        names = ("annotate", "startup")
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    finally:
        sys.path.remove(folder)
        for name in names:
            sys.modules.pop(name, None)


def page_with(tmp_path, name):
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n<!-- {name} -->\nold\n<!-- end {name} -->\n\nthe end\n", "utf-8")
    return page


def test_the_stages_of_annotate_add_up(benchmarks, tmp_path):
    page, kept = page_with(tmp_path, "annotate"), tmp_path / "deep" / "annotate.json"
    benchmarks.annotate.main(
        ["--n", "40", "--rounds", "1", "--bands", "12", "--page", str(page), "-o", str(kept)]
    )
    found = json.loads(kept.read_text())
    stages = found["stages, us per object"]
    assert set(stages) == {title for *_, title in benchmarks.annotate.STAGES} | {"the rest"}
    assert min(stages.values()) >= 0 and stages["network"] > 0
    total = 1e6 * found["processor_s"] / found["objects"]
    assert sum(stages.values()) == pytest.approx(total, rel=0.01)
    assert found["outside the network, us per object"] + stages["network"] == pytest.approx(
        total, rel=0.01
    )
    assert found["machine"]["cores"] and found["precision"] in ("float32", "bfloat16")
    text = page.read_text("utf-8")
    assert "| network |" in text and "old" not in text and text.endswith("the end\n")


def test_watching_leaves_the_functions_as_they_were(benchmarks):
    stages = benchmarks.annotate.STAGES
    before = [getattr(owner, name) for owner, name, _ in stages]
    with benchmarks.annotate.Stopwatch().watching(stages):
        assert all(
            getattr(owner, name) is not function
            for (owner, name, _), function in zip(stages, before, strict=True)
        )
    assert [getattr(owner, name) for owner, name, _ in stages] == before
    assert importlib.import_module("jpassed.annotation").annotate is annotate


def test_starts_are_timed_in_processes_of_their_own(benchmarks, tmp_path):
    page, kept = page_with(tmp_path, "startup"), tmp_path / "startup.json"
    some = ["python, nothing", "import jpassed", "jpassed --help"]
    benchmarks.startup.main(
        ["--rows", "2", "--rounds", "1", "--only", *some, "--page", str(page), "-o", str(kept)]
    )
    seconds = json.loads(kept.read_text())["seconds"]
    assert list(seconds) == some
    assert all(row["wall"] > 0 for row in seconds.values())
    assert "| `jpassed --help` |" in page.read_text("utf-8")


def test_a_process_that_fails_is_told(benchmarks):
    with pytest.raises(RuntimeError, match="no such thing"):
        benchmarks.startup.timed([sys.executable, "-c", "raise SystemExit('no such thing')"])
