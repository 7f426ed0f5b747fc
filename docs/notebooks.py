"""A line below the title of each tutorial: the page as a notebook with what its cells printed."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any


def with_download(name: str, text: str) -> str:
    """The text of a tutorial with the line behind its first heading."""
    head, heading, rest = text.partition("\n# ")
    title, newline, rest = rest.partition("\n")
    line = f"\n*Save this page as a notebook: {{nb-download}}`{name}.ipynb`.*\n"
    return head + heading + title + newline + line + rest if heading else text


def add_download(app: Any, docname: str, source: list[str]) -> None:
    """Change the source of tutorials before it is read."""
    path = PurePosixPath(docname)
    if path.parent.name == "tutorials" and path.name != "index":
        source[0] = with_download(path.name, source[0])


def setup(app: Any) -> dict[str, bool]:
    """Take part in the reading of pages."""
    app.connect("source-read", add_download)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
