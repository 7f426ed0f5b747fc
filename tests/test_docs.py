"""What the pages say is what the package does."""

from __future__ import annotations

import re
from configparser import ConfigParser

import pytest

from jpassed.filters import filter_set_names
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


def test_help_is_no_markup_by_accident(project_root, monkeypatch):
    """What sphinx-click would read as a link, an emphasis or a block of lines."""
    monkeypatch.syspath_prepend(str(project_root / "docs"))
    from shell_help import as_markup

    lines = [
        "What jp_ holds: flux_*, with --pdf.", "",
        "| Example: jpassed plot a.fits", "|          jpassed plot b.fits",
    ]  # fmt: skip
    as_markup(None, None, lines)
    assert lines == [
        "What jp\\_ holds: flux\\_\\*, with ``--pdf``.", "",
        "", ".. code-block:: sh", "", "   jpassed plot a.fits", "   jpassed plot b.fits",
    ]  # fmt: skip
    lines = [".. option:: --samples <N>"]
    as_markup(None, None, lines)
    assert lines == [".. option:: --samples <N>"]


def test_tutorials_are_notebooks_that_begin_and_end_alike(project_root, monkeypatch):
    monkeypatch.syspath_prepend(str(project_root / "docs"))
    from notebooks import with_download

    folder = project_root / "docs" / "tutorials"
    names = {path.stem for path in folder.glob("*.md")} - {"index"}
    (listed,) = blocks((folder / "index.md").read_text("utf-8"), "{toctree}")
    assert names == set(re.findall(r"^(\w+)$", listed, flags=re.M))
    for name in names:
        text = (folder / f"{name}.md").read_text("utf-8")
        assert text.startswith("---\nfile_format: mystnb\nkernelspec:\n  name: python3\n"), name
        assert text.count("```{code-cell}") >= 3, name
        title = re.search(r"^# .+$", text, flags=re.M)[0]
        shown = with_download(name, text)
        assert f"{title}\n\n*Save this page as a notebook: {{nb-download}}`{name}.ipynb`" in shown
        # Where to go next.
        assert re.search(r"\]\((\.\./|\w+\.md)", text[-1500:]), name


@pytest.mark.parametrize("page", ["derived", "flags", "noise_presets", "quantities", "surveys"])
def test_generated_pages_in_the_clone_are_current(project_root, monkeypatch, page):
    monkeypatch.syspath_prepend(str(project_root / "docs"))
    import generate

    kept = (project_root / "docs" / "generated" / f"{page}.md").read_text("utf-8")
    assert getattr(generate, page)() == kept
