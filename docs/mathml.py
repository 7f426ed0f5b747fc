"""Sphinx extension: formulas as MathML, which browsers show without a script or a network."""

from __future__ import annotations

import re
from html import escape

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util import logging

logger = logging.getLogger(__name__)

# Browsers know no variants of letters but upright ones: the letters themselves, by their first.
SCRIPT, DOUBLE = 0x1D49C, 0x1D538
OLDER = {"script": dict(zip("BEFHILMR", "ℬℰℱℋℐℒℳℛ", strict=True)),
         "double-struck": dict(zip("CHNPQRZ", "ℂℍℕℙℚℝℤ", strict=True))}  # fmt: skip


def mathml(source: str, where: nodes.Node, *, block: bool) -> str:
    """A formula of LaTeX as MathML; itself, with a warning, if it cannot be read."""
    # Brackets of a size become such as stretch: their sizes are TeX's.
    source = re.sub(r"\\[Bb]igg?[lr]?\s*([(\[])", r"\\left\1", source)
    source = re.sub(r"\\[Bb]igg?[lr]?\s*([)\]])", r"\\right\1", source)
    try:
        found = convert(source, display="block" if block else "inline")
    except Exception as error:  # the converter raises many kinds
        logger.warning("a formula cannot be shown: %s: %s", source, error, location=where)
        return f"<code>{escape(source)}</code>"
    if "\\" in found:
        logger.warning("a formula keeps a command: %s", source, location=where)
    # A function stands apart from what it is of, unless that is in brackets.
    found = re.sub(
        r"(<m[io]>(?:ln|exp|log|min|max)</m[io]>)(?!<mo stretchy|<mrow><mo stretchy)",
        r'\1<mspace width="0.17em"/>', found,
    )  # fmt: skip
    # Not under the function, where it has a limit.
    found = re.sub(r'(<m(?:sub|under)><mo>min</mo>)<mspace width="0.17em"/>', r"\1", found)
    found = re.sub(r'<mi mathvariant="(script|double-struck)">([A-Z])</mi>', _letter, found)
    return found.replace("<mo>&#x0005E;</mo>", '<mo stretchy="false">&#x002C6;</mo>')


def _letter(match: re.Match[str]) -> str:
    variant, letter = match[1], match[2]
    first = SCRIPT if variant == "script" else DOUBLE
    return f"<mi>{OLDER[variant].get(letter, chr(first + ord(letter) - ord('A')))}</mi>"


def visit_inline(translator, node):
    """A formula in a line."""
    translator.body.append(mathml(node.astext(), node, block=False))
    raise nodes.SkipNode


def visit_block(translator, node):
    """A formula of its own; its parts between wide spaces stand below each other on a phone."""
    translator.body.append(translator.starttag(node, "div", CLASS="math-block"))
    for part in re.split(r"\\qquad|\\\\", node.astext()):
        translator.body.append(mathml(part, node, block=True))
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app):
    """Register the renderer for ``html_math_renderer = "mathml"``."""
    app.add_css_file("mathml.css")
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
