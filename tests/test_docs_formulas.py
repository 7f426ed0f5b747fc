"""Formulas of the pages become MathML, without a script or a network."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from pages import ROOT, list_pages

pytest.importorskip("latex2mathml", reason="latex2mathml of the extra 'docs' is not installed")
pytest.importorskip("sphinx", reason="Sphinx of the extra 'docs' is not installed")

MATHML = "{http://www.w3.org/1998/Math/MathML}"


@pytest.fixture
def show(monkeypatch):
    """A formula as the pages show it, read as XML."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import mathml

    complaints = []
    monkeypatch.setattr(mathml.logger, "warning", lambda text, *a, **k: complaints.append(text % a))

    def shown(source: str, block: bool = True) -> ElementTree.Element:
        found = mathml.mathml(source, None, block=block)
        assert not complaints
        return ElementTree.fromstring(found.replace("&nbsp;", " "))

    shown.complaints = complaints
    shown.mathml = mathml.mathml
    return shown


def formulas() -> list[tuple[str, str, bool]]:
    found = []
    for name, path in list_pages().items():
        text = re.sub(r"^( *)```.*?^\1```", "", path.read_text("utf-8"), flags=re.M | re.S)
        text = re.sub(r"`[^`\n]*`", "", text)
        found += [(name, f, True) for f in re.findall(r"\$\$(.+?)\$\$", text, flags=re.S)]
        text = re.sub(r"\$\$.+?\$\$", "", text, flags=re.S)
        inline = re.findall(r"(?<![\\$\w])\$([^$\s](?:[^$]*?[^$\s])?)\$(?!\w)", text)
        found += [(name, f, False) for f in inline]
    return found


def test_every_formula_of_every_page_can_be_shown(show):
    known = formulas()
    assert len(known) > 150
    for page, source, block in known:
        root = show(source, block)
        assert root.tag == f"{MATHML}math", page
        assert "\\" not in "".join(root.itertext()), (page, source)


def test_brackets_stretch_and_letters_are_letters(show):
    root = show(r"\mathcal L = \Big(\frac{a}{b}\Big)\,\mathbb E \ln q")
    stretching = [m.text for m in root.iter(f"{MATHML}mo") if m.get("stretchy") == "true"]
    assert stretching == ["(", ")"]
    letters = [m.text for m in root.iter(f"{MATHML}mi")]
    assert letters == ["ℒ", "a", "b", "𝔼", "ln", "q"]
    # The logarithm stands apart from what it is of.
    spaces = [m.get("width") for m in root.iter(f"{MATHML}mspace")]
    assert spaces[-1] == "0.17em"


def test_a_formula_that_cannot_be_shown_is_told(show):
    assert show.mathml("a^b^c", None, block=True) == "<code>a^b^c</code>"
    show.mathml(r"\unheard x", None, block=True)
    assert ["cannot be shown" in text for text in show.complaints] == [True, False]
    assert "keeps a command" in show.complaints[1]
