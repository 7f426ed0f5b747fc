"""Every block of code on every page runs, by the rules of pages.yaml."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from contributing_pages import write_toy_ssp
from finetune_tables import write_start
from pages import (
    ROOT,
    RULES,
    Block,
    list_pages,
    options_unknown,
    read_blocks,
    run_line,
    shell_lines,
    why_not_run,
)

import jpassed
from jpassed.adaptation import read_kinds
from jpassed.cli import main
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.surveys import load_survey
from jpassed.training.config import TrainingConfig

PAGES = list_pages()
# Run by test_contributing.py, and by the kernels that execute the tutorials in every build.
ELSEWHERE = ("contributing/", "tutorials/")
# Rows of the table of a page where three are too few.
LONGER = {"finetune.md": 150}
RUN_HERE = [
    name
    for name, path in PAGES.items()
    if name not in RULES["own_test"]
    and not name.startswith(ELSEWHERE)
    and {"sh", "python", "yaml"} & {block.info for block in read_blocks(path)}
]


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that readers of the pages have: few rows of the example, under many names."""
    folder = tmp_path_factory.mktemp("shelf")
    main.main(["example", str(folder / "example.fits")], standalone_mode=False)
    whole = read_catalog(folder / "example.fits")
    table = whole[:150]
    table["z_spec"], table["z_spec_err"] = table["true_z"], 0.001
    table["z_err"] = 0.001
    table["mass"], table["mass_err"] = table["true_logmstar"], 0.1
    table["D4000_N"] = 1.2 + 0.05 * (np.asarray(table["true_logmstar"]) - 10)
    table["D4000_N_ERR"] = 0.02
    table["TILE_ID"] = "2241"
    for name in ("spectroscopic.fits", "indices.fits"):
        write_catalog(table, folder / name)
    few = table[:13]
    for name in ("catalogue.fits", "catalogue.vot", "catalogue.csv", "catalogue.parquet",
                 "huge.fits"):  # fmt: skip
        write_catalog(few, folder / name)
    write_catalog(table[:50], folder / "spectra.fits")
    write_catalog(few[:4], folder / "example.fits", overwrite=True)
    write_start(folder / "small")
    own = few["J0660", "J0660_err"]
    own.rename_columns(own.colnames, ["f660n", "df660n"])
    for name, value in {"r_total": 20.0, "r_total_err": 0.05, "w1": 3.0, "w1_ivar": 4.0}.items():
        own[name] = value
    write_catalog(own, folder / "mine.csv")
    for path in (ROOT / "docs" / "tutorials" / "spectra").glob("spec-*.fits"):
        shutil.copy(path, folder)
    for name in ("ssp.npz", "bc03_chabrier.npz"):
        write_toy_ssp(folder / name)
    for name in ("f1.dat", "f2.dat"):
        wave = np.arange(5000.0, 5200.0)
        throughput = np.exp(-0.5 * ((wave - 5100) / 30) ** 2)
        np.savetxt(folder / name, np.column_stack((wave, throughput)))
    return folder


@pytest.fixture
def place(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own with those files, in which a page is followed."""
    shutil.copytree(shelf, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names_given(page: str) -> dict[str, Any]:
    """What the Python of a page takes from the reader, and nothing else."""
    labels = {"z": "z", "logmstar": "mass", "logage_l": "age", "av": "a_v", "ew_halpha": "ha"}
    whole = read_catalog("spectroscopic.fits")
    stock = {
        "jpassed": jpassed,
        "np": np,
        "table": whole[: LONGER.get(page, 3)],
        "flux": np.full((2, 60), 50.0),
        "labels": labels,
        "bands": [f"flux:{band}" for band in jpassed.load_filters("jpas").names],
    }
    return {name: stock[name] for name in RULES["given"].get(page, [])}


def check_yaml(block: Block) -> None:
    """A block of YAML is what its page says it is; a map of columns is kept as mine.yaml."""
    kind = RULES["yaml"][block.page]
    path = Path("mine.yaml")
    path.write_text(block.text)
    if kind == "columns":
        assert load_survey(path).bands
    elif kind == "kinds":
        assert read_kinds([str(path)])
    else:
        assert TrainingConfig.from_dict(yaml.safe_load(block.text))


@pytest.mark.parametrize("name", RUN_HERE)
def test_the_blocks_of_a_page_run(name: str, place: Path) -> None:
    said = names_given(name)
    for block in read_blocks(PAGES[name]):
        if block.info == "sh":
            for line in shell_lines(block.text):
                if why_not_run(line) is None:
                    run_line(line)
        elif block.info == "yaml":
            check_yaml(block)
        elif block.info == "python" and why_not_run_python(block) is None:
            # Padded, so that a traceback tells the line of the page.
            code = "\n" * block.line + shorter_python(block)
            exec(compile(code, str(PAGES[name]), "exec"), said)


def why_not_run_python(block: Block) -> str | None:
    for rule in RULES["not_run_python"]:
        if rule["page"] == block.page and rule["has"] in block.text:
            return str(rule["why"])
    return None


def shorter_python(block: Block) -> str:
    text = block.text
    for rule in RULES["shorter_python"]:
        if rule["page"] == block.page:
            text = text.replace(rule["old"], rule["new"])
    return text


@pytest.mark.parametrize("name", PAGES)
def test_what_is_not_run_exists(name: str) -> None:
    unknown = []
    for block in read_blocks(PAGES[name]):
        if block.info != "sh":
            continue
        for line in shell_lines(block.text):
            if "jpassed " in line and not line.startswith(("pip", "python3", ".venv")):
                unknown += [f"{block}: {option} of `{line}`" for option in options_unknown(line)]
    assert unknown == []


def test_scripts_that_the_pages_name_know_their_options() -> None:
    wrong, seen = [], set()
    for name, path in PAGES.items():
        text = re.sub(r"\\\n\s*", "", path.read_text("utf-8"))
        for script, rest in re.findall(r"python ((?:benchmarks|tools)/\w+\.py)([^`\n&|>]*)", text):
            seen.add(script)
            if not (ROOT / script).is_file():
                wrong.append(f"{name}: no {script}")
                continue
            known = (ROOT / script).read_text("utf-8")
            options = set(re.findall(r"(?<=\s)--?[a-z][\w-]*", rest)) - {"--help"}
            wrong += [f"{name}: {script} {o}" for o in options if f'"{o}"' not in known]
    assert len(seen) > 20
    assert wrong == []


def test_every_block_has_a_language_that_is_known() -> None:
    plain = {"sh", "python", "yaml", "text", "json", "toml", "diff"}
    strange = [
        f"{block}: ```{block.info}"
        for path in PAGES.values()
        for block in read_blocks(path)
        if block.info not in plain and not block.info.startswith("{")
    ]
    assert strange == []


def test_the_rules_are_about_something() -> None:
    blocks = [block for path in PAGES.values() for block in read_blocks(path)]
    lines = [line for b in blocks if b.info == "sh" for line in shell_lines(b.text)]
    for rule in RULES["not_run"]:
        assert any(re.match(rule["line"], line) for line in lines), rule
        assert len(rule["why"]) > 15
    for rule in RULES["not_run_python"]:
        assert any(b.page == rule["page"] and rule["has"] in b.text for b in blocks), rule
    for rule in RULES["shorter_python"]:
        assert any(b.page == rule["page"] and rule["old"] in b.text for b in blocks), rule
    for rule in RULES["shorter"]:
        assert any(line.startswith(rule["command"]) for line in lines), rule
    for page in [*RULES["given"], *RULES["yaml"]]:
        assert page in RUN_HERE, page
    for page, test in RULES["own_test"].items():
        text = (ROOT / "tests" / test).read_text("utf-8")
        assert page.removesuffix(".md") in text and "blocks" in text or page in text, (page, test)
