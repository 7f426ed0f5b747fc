"""The worked examples for contributors, followed block by block."""

from __future__ import annotations

import re
import sys
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from contributing_pages import ROOT, Page, write_toy_ssp

from jpassed import extensions
from jpassed.cli import main
from jpassed.exceptions import MissingDependencyError, UnknownNameError
from jpassed.extensions import add_extension, extension_names, load_extension

PAGES = ROOT / "docs" / "contributing"


@pytest.fixture
def follow(tmp_path, monkeypatch):
    """Follows a page in an empty folder, in which an SSP grid lies."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(extensions, "_added", {})
    write_toy_ssp(tmp_path / "ssp.npz")
    before = set(sys.modules)

    def page(name: str) -> Page:
        found = Page((PAGES / name).read_text("utf-8"), tmp_path)
        found.follow()
        return found

    yield page
    for module in set(sys.modules) - before:
        if module in ("heavy_tails", "cautious"):
            del sys.modules[module]


def test_a_survey_is_added(follow):
    page = follow("add_a_survey.md")
    # In the copy of the package the table is recognised without a map.
    assert "skywide" in page.said[-1] and "J0510" in page.said[-1]
    annotated = Table.read("annotated.fits")
    assert list(annotated["jp_nbands"]) == [5, 5, 5, 4, 5, 4, 5, 5, 5, 5]
    # The page shows the file twice: as one's own, and in the package.
    one, other = re.findall(r"# file: \S*skywide.yaml\n(.*?)```", page.text, flags=re.S)
    assert one == other


def test_a_passband_is_added(follow):
    page = follow("add_a_passband.md")
    listed = next(text for text in page.said if "odin_n419" in text)
    assert "odin_n673" in listed
    # The tool left all other bands as they were.
    old = (ROOT / "jpassed/filters/data/bands.ecsv").read_text().splitlines()
    new = (page.clone / "jpassed/filters/data/bands.ecsv").read_text().splitlines()
    assert new[: len(old)] == old and len(new) == len(old) + 3


def test_a_token_kind_is_added(follow):
    page = follow("add_a_token_kind.md")
    asked = Table.read("asked.fits")
    assert np.all((asked["jp_fyoung"] >= 0) & (asked["jp_fyoung"] <= 1))
    assert asked["jp_fyoung"].description.startswith("Mass formed in the last 100 Myr")
    assert any("use the jpassed version in its card" in text for text in page.said)


def test_a_head_is_added(follow):
    follow("add_a_head.md")
    assert {"jp_logmstar", "jp_av_err"} <= set(Table.read("heavy.fits").colnames)
    # The entry point alone is enough, as in another process.
    extensions._added.clear()
    assert load_extension("head", "student-t-4").form == "student-t-4"
    assert extension_names("head") == ("student-t-4",)


def test_an_objective_is_added(follow):
    follow("add_an_objective.md")
    assert Path("cautious-again/model.safetensors").is_file()


def test_what_cannot_be_imported_is_told(tmp_path, monkeypatch):
    kept = tmp_path / "gone-1.0.dist-info"
    kept.mkdir()
    (kept / "METADATA").write_text("Metadata-Version: 2.1\nName: gone\nVersion: 1.0\n")
    (kept / "entry_points.txt").write_text("[jpassed.heads]\nlost = gone_away:Head\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "lost" in {point.name for point in entry_points(group="jpassed.heads")}
    with pytest.raises(MissingDependencyError, match="'lost'.*gone_away:Head"):
        load_extension("head", "lost")
    with pytest.raises(UnknownNameError, match="unknown head 'lots'.*lost.*mixture|mixture.*lost"):
        load_extension("head", "lots", ("mixture",))


def test_only_heads_and_objectives_are_added():
    with pytest.raises(UnknownNameError, match="objective"):
        add_extension("survey", "x", object)


def test_every_page_is_followed():
    followed = set(re.findall(r"follow\(\"(\w+\.md)\"\)", Path(__file__).read_text()))
    assert followed == {page.name for page in PAGES.glob("*.md") if "```python" in page.read_text()}


def test_the_pages_name_files_and_settings_that_exist():
    for page in PAGES.glob("*.md"):
        text = page.read_text("utf-8")
        for name in re.findall(r"`((?:jpassed|tests|docs|tools|benchmarks)/[\w/.-]+)`", text):
            assert (ROOT / name).exists() or "skywide" in name, f"{page.name}: {name}"


def test_commands_shown_exist():
    shown = set()
    for page in (*PAGES.glob("*.md"), ROOT / "CONTRIBUTING.md"):
        shown |= set(re.findall(r"^jpassed (\w+)", page.read_text("utf-8"), flags=re.M))
    assert shown and shown <= set(main.list_commands(None))


def test_the_policy_is_followed_to_the_letter(follow):
    follow("policy.md")
