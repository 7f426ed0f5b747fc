"""What the pages say is what the package does."""

from __future__ import annotations

import re
from configparser import ConfigParser

import pytest
from click.testing import CliRunner

from jpassed.cli import main
from jpassed.filters import filter_set_names
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.surveys import load_survey


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.+?)^```", text, flags=re.M | re.S)


@pytest.fixture
def page(project_root):
    return lambda name: (project_root / "docs" / name).read_text(encoding="utf-8")


def test_the_example_map_is_a_map(page, tmp_path):
    (example,) = blocks(page("columns_in.md"), "yaml")
    path = tmp_path / "mine.yaml"
    path.write_text(example)
    assert set(load_survey(path).bands) == {"J0660", "sdss_r", "wise_w1"}


def test_every_filter_set_is_listed(page):
    for name in filter_set_names():
        assert f"`{name}`" in page("passbands.md")


def test_every_dependency_has_its_line(page, project_root):

    setup = ConfigParser()
    setup.read(project_root / "setup.cfg")
    listed = page("dependencies.md")
    required = re.findall(r"^([\w-]+)>=", setup["options"]["install_requires"], flags=re.M)
    assert required
    assert [name for name in required if f"\n| {name} |" not in listed] == []


def test_every_part_of_the_package_is_in_the_tree(page, project_root):
    listed = page("architecture.md")
    parts = sorted((project_root / "jpassed").iterdir())
    names = [f"{p.name}/" for p in parts if (p / "__init__.py").exists()]
    names += [p.name for p in parts if p.suffix == ".py" and p.stem != "__main__"]
    assert len(names) > 15
    assert [name for name in names if f"\n  {name} " not in listed] == []


def shell_commands(text: str) -> list[list[str]]:
    lines = "".join(blocks(text, "sh")).splitlines()
    commands = [part.split("#")[0] for line in lines for part in line.split("&&")]
    return [command.split() for command in commands if command.strip().startswith("jpassed ")]


@pytest.mark.parametrize(
    "name",
    ["../README.md", "quickstart.md", "columns_in.md", "simulator.md", "joint.md", "publish.md",
     "finetune.md", "speed.md"],
)  # fmt: skip
def test_every_option_shown_exists(page, name):
    shown = shell_commands(page(name))
    assert shown
    for words in shown:
        known = CliRunner().invoke(main, [words[1], "--help"])
        assert known.exit_code == 0, words
        for word in words[2:]:
            if word.startswith("-"):
                assert re.search(rf"(?<![\w-]){word}\b", known.stdout), words


def test_toctree_lists_every_page(page, project_root):
    listed = set(re.findall(r"^(\w+)$", "".join(blocks(page("index.md"), "{toctree}")), flags=re.M))
    pages = {path.stem for path in (project_root / "docs").glob("*.md")} - {"index"}
    assert listed == pages


@pytest.mark.parametrize("name", ["../README.md", "quickstart.md", "joint.md"])
def test_python_shown_runs(page, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, ["example", "example.fits"]).exit_code == 0
    table = read_catalog("example.fits")[:3]
    table["z_spec"], table["z_spec_err"] = table["true_z"], 0.001
    table["mass"] = table["true_logmstar"]
    write_catalog(table, "catalogue.fits")
    write_catalog(table, "example.fits", overwrite=True)
    code = "\n".join(blocks(page(name), "python"))
    assert "jpassed.annotate(" in code
    said = {}
    exec(compile(code, name, "exec"), said)
    assert list(said["table"]["mass"]) == list(table["mass"])


def test_the_page_of_commands_has_every_command_and_option(project_root, monkeypatch):
    monkeypatch.syspath_prepend(str(project_root / "docs"))
    import generate

    def options(text: str) -> dict[str, set[str]]:
        # Not to the letter: how help is laid out depends on the version of click.
        sections = text.split("## jpassed ")[1:]
        shown = re.compile(r"(?<!\w)--?[a-z][\w-]*")
        return {part.split()[0]: set(shown.findall(part)) for part in sections}

    kept = (project_root / "docs" / "generated" / "commands.md").read_text("utf-8")
    assert options(kept) == options(generate.commands())


@pytest.mark.parametrize("page", ["derived", "flags", "noise_presets", "quantities", "surveys"])
def test_generated_pages_in_the_clone_are_current(project_root, monkeypatch, page):
    monkeypatch.syspath_prepend(str(project_root / "docs"))
    import generate

    kept = (project_root / "docs" / "generated" / f"{page}.md").read_text("utf-8")
    assert getattr(generate, page)() == kept
