"""The code that the pages show: where it stands, and a shell for lines of it."""

from __future__ import annotations

import glob
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import yaml
from click.testing import CliRunner

from jpassed.cli import main
from jpassed.io.catalogs import read_catalog, write_catalog

ROOT = Path(__file__).resolve().parent.parent
RULES = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
# Rows of the example that the pages are followed with.
FEW = 4
# Pages made elsewhere: by automodapi and generate.py while the pages are built.
MADE = ("docs/_build", "docs/api/names", "docs/generated")

_FENCE = re.compile(r"^( *)(`{3,}|:{3,})(.*)$")


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, the line of its fence, the words behind the fence, its text."""

    page: str
    line: int
    info: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def name_of(path: Path) -> str:
    """README.md, or the path below docs/."""
    docs = ROOT / "docs"
    return str(path.relative_to(docs if docs in path.parents else ROOT))


def list_pages() -> dict[str, Path]:
    """Every page that somebody wrote."""
    found = sorted((ROOT / "docs").rglob("*.md"))
    skipped = tuple(str(ROOT / folder) for folder in MADE)
    kept = [path for path in found if not str(path).startswith(skipped)]
    return {name_of(path): path for path in [ROOT / "README.md", *kept]}


def read_blocks(path: Path) -> list[Block]:
    """The fenced blocks of a page; a block inside a card or a note counts, the card does not."""
    blocks: list[Block] = []
    start, ending, indent, info = 0, "", "", ""
    inside: list[str] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        fence = _FENCE.match(line)
        if ending:
            if fence and fence[2] == ending and not fence[3].strip():
                blocks.append(Block(name_of(path), start, info, "\n".join(inside) + "\n"))
                ending = ""
            else:
                inside.append(line.removeprefix(indent))
        elif fence and fence[2].startswith("`"):
            start, indent, ending, info = number, fence[1], fence[2], fence[3].strip()
            inside = []
    if ending:
        raise ValueError(f"{path}: the block of line {start} has no end")
    return blocks


def shell_lines(text: str) -> list[str]:
    """Commands of a shell block: whole lines, without comments, one a `&&`."""
    text = re.sub(r"\\\n\s*", "", text)
    lines = [re.sub(r"(^|\s)#\s.*", "", line) for line in text.splitlines()]
    return [part.strip() for line in lines for part in line.split("&&") if part.strip()]


def why_not_run(line: str) -> str | None:
    """Why a command of a page is not run as it stands, or None where it is."""
    for rule in RULES["not_run"]:
        if re.match(rule["line"], line):
            return str(rule["why"])
    return None


def shortened(words: list[str]) -> list[str]:
    """The command in a form that takes seconds, by the rules of pages.yaml."""
    for rule in RULES["shorter"]:
        begins = rule["command"].split()
        if words[: len(begins)] == begins:
            for old, new in rule.get("instead", {}).items():
                words = shlex.split(f" {shlex.join(words)} ".replace(f" {old} ", f" {new} "))
            words = words + rule.get("more", "").split()
    # What a page shows twice, or what an earlier line of it wrote, is written again.
    if "--resume" in words and "-o" in words:
        Path(words[words.index("-o") + 1]).unlink(missing_ok=True)
    elif words[1] in ("annotate", "example"):
        words = [*words, "--overwrite"]
    return words


def run_line(line: str) -> str:
    """Run one command as a shell would, ``jpassed`` in this process; what it printed."""
    words = shlex.split(line)
    target = None
    if ">" in words:
        target = Path(words[words.index(">") + 1])
        words = words[: words.index(">")]
    if words[0] == "echo":
        said = f"{words[1]}\n"
    elif words[0] == "jpassed":
        words = [found for w in words for found in (sorted(glob.glob(w)) if "*" in w else [w])]
        done = CliRunner().invoke(main, shortened(words)[1:])
        if done.exit_code != 0:
            raise AssertionError(f"{line}\n{done.output}") from done.exception
        said = done.stdout
        if words[1] == "example":  # 200 rows, of which a few will do
            table = read_catalog(words[2])
            write_catalog(table[:FEW], words[2], overwrite=True)
    else:
        raise AssertionError(f"{line}: no command of jpassed: say why in pages.yaml")
    if target is not None:
        target.write_text(said)
    return said


def options_unknown(line: str) -> list[str]:
    """Options of a ``jpassed`` command line that its help does not know."""
    words = shlex.split(line)
    given = words[words.index("jpassed") + 1 :]
    known = CliRunner().invoke(main, [given[0], "--help"])
    if known.exit_code != 0:
        return [given[0]]
    options = [word for word in given[1:] if re.match(r"-[a-z-]", word)]
    return [w for w in options if not re.search(rf"(?<![\w-]){re.escape(w)}\b", known.stdout)]
