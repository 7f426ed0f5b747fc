"""Derived quantities: what is computed from joint draws of the vocabulary's kinds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from typing import Any

from jpassed.annotation.formulas import FORMULAS, Draws, FloatArray
from jpassed.exceptions import UnknownNameError
from jpassed.posteriors.joint import JointSamples

__all__ = ["Derived", "compute", "derive", "is_derived", "load_derived", "needed"]


@dataclass(frozen=True)
class Derived:
    """One derived quantity.

    Attributes
    ----------
    name : str
        Used in columns and in every call, as the vocabulary's.
    unit : str
        Astropy unit string, empty if dimensionless.
    ucd : str
        UCD1+ words.
    format : str
        Column format.
    formula : str
        Name in `jpassed.annotation.formulas.FORMULAS`.
    lines : tuple of str
        Emission lines that it takes.
    needs : tuple of str
        Kinds of the vocabulary that it is computed from.
    description, reference : str
        What it is, and who defined it.
    """

    name: str
    unit: str
    ucd: str
    format: str
    formula: str
    lines: tuple[str, ...]
    needs: tuple[str, ...]
    description: str
    reference: str

    @property
    def probability(self) -> bool:
        """Whether draws are 0 or 1, and their mean is what is asked."""
        return self.ucd.startswith("stat.probability")


@lru_cache(maxsize=1)
def _read() -> tuple[dict[str, Derived], dict[str, Any]]:
    from astropy.table import Table

    with as_file(files("jpassed.annotation") / "data" / "derived.ecsv") as path:
        table = Table.read(path, format="ascii.ecsv").filled("")
    found = {}
    for row in table:
        entry: dict[str, Any] = {name: str(row[name]) for name in table.colnames}
        entry["lines"] = tuple(entry["lines"].split())
        entry["needs"] = tuple(entry["needs"].split())
        found[entry["name"]] = Derived(**entry)
    constants = {name: item["value"] for name, item in table.meta["constants"].items()}
    return found, constants


def load_derived() -> Mapping[str, Derived]:
    """All derived quantities by name, in the order of their data file.

    Returns
    -------
    mapping
        Name to `Derived`.
    """
    return _read()[0]


def is_derived(name: object) -> bool:
    """Whether a quantity is computed from others."""
    return name in load_derived()


def needed(names: Iterable[str]) -> tuple[str, ...]:
    """The kinds (and bandfluxes) that have to be drawn for some quantities, each once."""
    derived = load_derived()
    found = [q for name in names for q in (derived[name].needs if name in derived else (name,))]
    return tuple(dict.fromkeys(found))


def compute(name: str, draws: Draws) -> FloatArray:
    """A derived quantity from draws of one shape.

    Raises
    ------
    UnknownNameError
        If it is not one, or `draws` lack what it needs.
    """
    derived, constants = _read()
    if name not in derived:
        raise UnknownNameError("derived quantity", name, derived)
    entry = derived[name]
    for needed_name in entry.needs:
        if needed_name not in draws:
            raise UnknownNameError(f"quantity that {name} needs", needed_name, list(draws))
    return FORMULAS[entry.formula](draws, entry.lines, constants)


def derive(samples: JointSamples, names: Iterable[str]) -> JointSamples:
    """Joint samples with derived quantities beside the others.

    Parameters
    ----------
    samples : JointSamples
        Of all that the derived quantities need.
    names : iterable of str

    Returns
    -------
    JointSamples
    """
    values, units = dict(samples.items()), dict(samples.units)
    for name in names:
        values[name] = compute(name, dict(samples.items()))
        units[name] = load_derived()[name].unit
    return JointSamples(values, units, log_density=samples.log_density, drawn=samples.drawn)
