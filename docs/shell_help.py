"""The help of the commands is written for a shell: what sphinx-click takes from it, as markup."""

from __future__ import annotations

import re
from typing import Any

import click

# Names that end in an underscore (jp_) are links to markup, stars begin an emphasis.
_MARKUP = re.compile(r"(?<=\w)_(?!\w)|\*")
# Two hyphens would become a dash, and addresses of schedulers links.
_OPTION = re.compile(r"(?<![\w`<-])(--[a-z][\w-]*|tcp://[\w.:]+)")
_EXAMPLE = "Example: "
# What sphinx-click itself adds to the help of an option.
_REQUIRED = "**Required**"
_DEFAULT = re.compile(r":default: ``'?(.*?)'?``$")
_CHOICES = ":options: "
_EVENTS = ("description", "options", "epilog")


def escape(line: str) -> str:
    """A line of help without anything that is markup by accident; options as code."""
    start = line.lstrip()
    indent = line.removesuffix(start)
    if start.startswith(".. "):
        return line
    if start.startswith(_REQUIRED):
        return f"{indent}*Required.* " + escape(start.removeprefix(_REQUIRED).lstrip())
    if found := _DEFAULT.match(start):
        return f"{indent}Default: ``{found[1]}``."
    if start.startswith(_CHOICES):
        choices = start.removeprefix(_CHOICES).split(" | ")
        return f"{indent}One of " + ", ".join(f"``{choice}``" for choice in choices) + "."
    line = _MARKUP.sub(lambda found: "\\" + found[0], line)
    return _OPTION.sub(r"``\1``", line)


def as_markup(app: Any, context: click.Context, lines: list[str]) -> None:
    r"""Rewrite lines in place: text is escaped, what stood behind ``\b`` is an example."""
    written: list[str] = []
    inside = False
    for line in lines:
        example = line.startswith(("| ", _EXAMPLE))
        if example:
            if not inside:
                written += ["", ".. code-block:: sh", ""]
            # Further lines stand below the first command.
            text = line.removeprefix("| ").removeprefix(_EXAMPLE)
            written.append("   " + text.removeprefix(" " * len(_EXAMPLE)))
        else:
            written.append(escape(line))
        inside = example
    lines[:] = written


def as_target(app: Any, context: click.Context, lines: list[str]) -> None:
    """Have pages link to a command: ``[annotate](#command-annotate)``."""
    lines[:0] = [f".. _command-{context.info_name}:", ""]


def setup(app: Any) -> dict[str, bool]:
    """Take part in what sphinx-click writes."""
    app.setup_extension("sphinx_click")
    for event in _EVENTS:
        app.connect(f"sphinx-click-process-{event}", as_markup)
    app.connect("sphinx-click-process-description", as_target)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
