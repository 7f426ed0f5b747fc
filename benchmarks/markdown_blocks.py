"""Put measured tables into a page of the documentation, between two marks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

SHOWN_OPTIONS = ("--n", "--each", "--library", "--steps")


def replace_block(path: Path, name: str, text: str) -> None:
    """Replace what stands between ``<!-- name -->`` and ``<!-- end name -->``.

    Raises
    ------
    ValueError
        If the page lacks the marks.
    """
    page = path.read_text("utf-8")
    first, last = f"<!-- {name} -->", f"<!-- end {name} -->"
    before, found, rest = page.partition(first)
    _, closed, after = rest.partition(last)
    if not (found and closed):
        raise ValueError(f"{path} lacks the marks {first} and {last}")
    path.write_text(f"{before}{first}\n\n{text.strip()}\n\n{last}{after}", "utf-8")


def markdown_table(head: list[str], body: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown_command(arguments: Sequence[str]) -> str:
    """A command line with what decides the figures, and without the names of folders and files."""
    words = [f"benchmarks/{Path(arguments[0]).name}", "FOLDER"]
    for option, value in zip(arguments[1:], arguments[2:], strict=False):
        if option in SHOWN_OPTIONS:
            words += [option, value]
    return " ".join(words)
