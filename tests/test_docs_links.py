"""Links between files of the repository lead somewhere: those that Sphinx does not see as well."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from pages import ROOT, list_pages, name_of

from jpassed.cli import main

# Written while the pages are built, from jpassed/weights/default.
MADE = {ROOT / "docs" / "generated" / "model_card.md"}
OUTSIDE = [
    path
    for path in (ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md"))
    if path.exists()
]
CARD = ROOT / "jpassed" / "weights" / "default" / "MODEL_CARD.md"
FILES = {name_of(path): path for path in [*list_pages().values(), *OUTSIDE, CARD]}

_LINK = re.compile(r"(?<!`)\]\(([^)\s]+)\)")
_CODE = re.compile(r"^( *)(```+).*?^ *\2|`[^`\n]+`", flags=re.M | re.S)


def anchor(heading: str) -> str:
    """The name of a heading in a link, as GitHub and MyST make it."""
    heading = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    text = path.read_text("utf-8")
    # A page may include others: their headings are its own.
    for included in re.findall(r"^```\{include\} (\S+)", text, flags=re.M):
        found = path.parent / included
        text += "\n" + (CARD if found.resolve() in MADE else found).read_text("utf-8")
    # Those of commands are made from their help (docs/shell_help.py).
    group = click.Context(main)
    made = main.list_commands(group) if ".. click:: jpassed.cli:main" in text else []
    text = re.sub(r"^( *)(```+).*?^ *\2", "", text, flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.M)
    named = set(re.findall(r"^\((\S+)\)=$", text, re.M)) | {f"command-{name}" for name in made}
    return {anchor(heading) for heading in headings} | named


@pytest.mark.parametrize("name", FILES)
def test_links_of_a_file_lead_somewhere(name: str) -> None:
    path = FILES[name]
    dead = []
    for link in _LINK.findall(_CODE.sub("", path.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        there, _, wanted = link.partition("#")
        target = (path.parent / there).resolve() if there else path
        if target in MADE:
            target = CARD
        if not target.exists():
            dead.append(f"{link}: no such file")
        elif wanted and target.suffix == ".md" and wanted not in anchors(target):
            dead.append(f"{link}: no such heading, of {sorted(anchors(target))}")
    assert dead == []


def test_images_of_the_pages_are_small() -> None:
    large = {
        str(path.relative_to(ROOT)): path.stat().st_size // 1000
        for path in (ROOT / "docs" / "_static").rglob("*.png")
        if path.stat().st_size > 150_000
    }
    assert large == {}


def test_dead_links_of_built_pages_are_found(tmp_path: Path, project_root: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a href="b.html#here"></a><a href="b.html#gone"></a><a href="c.html"></a><a href="#top">'
        '</a><a href="https://example.org"></a><script src="https://example.org/x.js"></script>'
        '<img src="data:image/png;base64,AA"><p id="top"></p>'
    )
    (tmp_path / "b.html").write_text('<h1 id="here"></h1>')
    done = subprocess.run(
        [sys.executable, project_root / "tools" / "check_built_pages.py", tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "a.html: loads https://example.org/x.js",
        "a.html: no anchor b.html#gone",
        "a.html: no file c.html",
        "4 links, 3 wrong",
    ]
