"""How quantities, units, surveys and lines are written in plots."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

import yaml
from astropy import units as u

__all__ = ["Line", "axis_label", "main_lines", "quantity_label", "set_label", "unit_text"]

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Line(NamedTuple):
    """A spectral line that is marked: rest wavelength in vacuum, Å, and the side of its name."""

    label: str
    wave: float
    side: str


@lru_cache(maxsize=1)
def _words() -> dict[str, Any]:
    text = (files("jpassed.plotting") / "data/labels.yaml").read_text(encoding="utf-8")
    words: dict[str, Any] = yaml.safe_load(text)
    return words


def main_lines() -> tuple[Line, ...]:
    """The lines that are marked in spectra."""
    return tuple(Line(**told) for told in _words()["lines"])


def set_label(name: str) -> str:
    """How a filter set is written: ``"jpas" -> "J-PAS"``."""
    return str(_words()["sets"].get(name, name))


def unit_text(unit: Any) -> str:
    """A unit for a label, empty without one: ``"uJy" -> "µJy"``."""
    if unit is None or not str(unit):
        return ""
    return u.Unit(unit).to_string("unicode").replace("\u03bc", "\u00b5")


def axis_label(name: str, unit: Any = None, power: int = 0) -> str:
    """``"bandflux", "uJy" -> "bandflux (µJy)"``, with a power of ten before the unit if asked."""
    said = unit_text(unit)
    if power:
        said = f"10{str(power).translate(_RAISED)} {said}"
    return f"{name} ({said})" if said else name


def quantity_label(quantity: str, unit: Any = None) -> str:
    """A quantity (or any column) with its unit, for an axis.

    A name that is not known is no formula, whatever is in it.
    """
    known = _words()["quantities"].get(quantity)
    return axis_label(known or quantity.replace("$", r"\$"), unit)
