"""Dialects of ADQL: how a service writes cones and the elements of its array columns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.surveys.survey_file import check_keys, read_yaml

__all__ = ["Dialect", "list_dialects", "load_dialect", "number", "text"]


@dataclass(frozen=True)
class Dialect:
    """One dialect, see ``data/dialects.yaml``.

    Attributes
    ----------
    name : str
    cone : str
        Pattern of a condition with ``{ra}, {dec}, {ra0}, {dec0}, {radius}``.
    element : str or None
        Pattern of an array's element with ``{column}, {filters}, {band}``.
    join : str or None
        Pattern like `cone`, where the centre is a column as well; `cone` where it is None.
    description, reference : str
    """

    name: str
    cone: str
    element: str | None = None
    join: str | None = None
    description: str = ""
    reference: str = ""

    def circle(self, ra: str, dec: str, centre: tuple[float, float], radius: float) -> str:
        """Condition that the columns `ra`, `dec` lie within `radius` degrees of `centre`."""
        return self.cone.format(
            ra=ra, dec=dec, ra0=number(centre[0]), dec0=number(centre[1]), radius=number(radius)
        )

    def neighbours(self, position: tuple[str, str], centre: tuple[str, str], radius: float) -> str:
        """Condition that columns `position` lie within `radius` degrees of those of `centre`."""
        pattern = self.cone if self.join is None else self.join
        (ra, dec), (ra0, dec0) = position, centre
        return pattern.format(ra=ra, dec=dec, ra0=ra0, dec0=dec0, radius=number(radius))

    def band(self, column: str, filters: str, band: str) -> str:
        """The element of an array column that belongs to a band.

        Raises
        ------
        InputError
            If the dialect cannot write it.
        """
        if self.element is None:
            raise InputError(
                f"the dialect {self.name!r} has no way to pick {band} out of the array {column}; "
                "ask for the whole array"
            )
        return self.element.format(column=column, filters=filters, band=band)


@cache
def _dialects() -> dict[str, Dialect]:
    source = files("jpassed.vo") / "data" / "dialects.yaml"
    blocks = read_yaml(source.read_text(encoding="utf-8"), "dialects.yaml")
    keys = ("cone", "element", "join", "description", "reference")
    return {
        name: Dialect(name, **check_keys(block, keys, f"dialects.yaml, {name}"))
        for name, block in blocks.items()
    }


def list_dialects() -> tuple[str, ...]:
    """Names of the dialects."""
    return tuple(_dialects())


def load_dialect(name: str) -> Dialect:
    """A dialect by its name.

    Raises
    ------
    UnknownNameError
        If there is none of that name.
    """
    known = _dialects()
    if not isinstance(name, str) or name not in known:
        raise UnknownNameError("dialect", name, known)
    return known[name]


def number(value: float) -> str:
    """A number as ADQL reads it back to the last bit."""
    from math import isfinite

    if isinstance(value, bool) or not isfinite(value):
        raise InputError(f"expected a finite number for the query, got {value!r}")
    return repr(int(value)) if isinstance(value, int) else repr(float(value))


def text(value: str) -> str:
    """A text as ADQL writes it, quotes doubled."""
    return "'" + value.replace("'", "''") + "'"
