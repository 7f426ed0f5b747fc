"""Label kinds that a model never saw, as users describe them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jpassed.annotation.derived import is_derived
from jpassed.annotation.embedding import COLUMN as EMBEDDING
from jpassed.annotation.output import PREFIX, ROW_COLUMNS, SUFFIXES
from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.vocabulary import Kind, load_vocabulary

__all__ = ["KindDescription", "completed", "read_kinds"]

SUPPORTS = ("real", "positive")
SCALES = ("linear", "asinh")

NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class KindDescription:
    """A new kind; what is not told (None or empty) is taken from its values.

    Attributes
    ----------
    name : str
        Small letters, digits and underscores: a column is called ``jp_<name>``.
    unit : str
        As astropy writes it; empty if dimensionless.
    support : {"real", "positive"}
    scale : {"linear", "asinh"}
        "asinh" is for values over decades, such as EWs: linear below `softening`, logarithmic
        above.
    ucd : str
        UCD1+ words.
    loc, width, softening : float, optional
        See `jpassed.vocabulary.Kind`.
    lower, upper : float, optional
        Physical limits.
    format, description, reference : str
    """

    name: str
    unit: str = ""
    support: str = "real"
    scale: str = "linear"
    ucd: str = ""
    loc: float | None = None
    width: float | None = None
    softening: float | None = None
    lower: float | None = None
    upper: float | None = None
    format: str = "%.4g"
    description: str = ""
    reference: str = ""

    def __post_init__(self) -> None:
        from astropy import units as u
        from astropy.io.votable.ucd import check_ucd

        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise InputError(
                f"new kind: expected a name of small letters, digits and underscores, e.g. "
                f"d4000, got {self.name!r}"
            )
        if self.name in load_vocabulary():
            raise InputError(
                f"new kind {self.name!r}: the vocabulary has it already; name it in the labels"
            )
        if _taken(self.name):
            raise InputError(
                f"new kind {self.name!r}: jpassed annotate writes a column jp_{self.name} of its "
                "own; choose another name"
            )
        for what, value, choices in (
            ("support", self.support, SUPPORTS), ("scale", self.scale, SCALES)
        ):  # fmt: skip
            if value not in choices:
                raise UnknownNameError(f"{what} of the new kind {self.name!r}", value, choices)
        try:
            u.Unit(self.unit)
        except (ValueError, TypeError) as exc:
            raise InputError(f"new kind {self.name!r}: {self.unit!r} is no unit: {exc}") from exc
        if self.ucd and not check_ucd(self.ucd, check_controlled_vocabulary=True):
            raise InputError(f"new kind {self.name!r}: {self.ucd!r} is no UCD1+ word")


def _taken(name: str) -> bool:
    """Whether another column of an annotation, or a derived quantity, has that name."""
    column = f"{PREFIX}{name}"
    stem, _, suffix = name.rpartition("_")
    return (
        column in (*ROW_COLUMNS, EMBEDDING)
        or name.startswith("refine_")
        or is_derived(name)
        or (suffix in SUFFIXES and (stem in load_vocabulary() or is_derived(stem)))
    )


_FIELDS = {f.name for f in fields(KindDescription)}
_NUMBERS = ("loc", "width", "softening", "lower", "upper")


def read_kinds(
    described: Iterable[str | Mapping[str, Any] | KindDescription],
) -> tuple[KindDescription, ...]:
    """New kinds from what users give.

    Parameters
    ----------
    described : iterable
        Each a `KindDescription` or a mapping of its attributes; or a text
        ``"NAME[,UNIT[,SUPPORT[,SCALE]]]"``, e.g. ``"ew_hdelta,Angstrom,real,asinh"``; or the path
        of a YAML file (``name: {unit: ..., description: ...}``) or of an ECSV table with a row a
        kind.

    Returns
    -------
    tuple of KindDescription

    Raises
    ------
    InputError, UnknownNameError, FileError
        For a description that is none, and files that cannot be read.
    """
    found: list[KindDescription] = []
    for entry in described:
        if isinstance(entry, KindDescription):
            found.append(entry)
        elif isinstance(entry, Mapping):
            found.append(_from_mapping(entry))
        elif str(entry).endswith((".yaml", ".yml")):
            found += [_from_mapping(row) for row in _yaml_rows(Path(entry))]
        elif str(entry).endswith(".ecsv"):
            found += [_from_mapping(row) for row in _ecsv_rows(Path(entry))]
        else:
            parts = [part.strip() for part in str(entry).split(",")]
            if len(parts) > 4:
                raise InputError(f"new kind: expected NAME[,UNIT[,SUPPORT[,SCALE]]], got {entry!r}")
            given = zip(("name", "unit", "support", "scale"), parts, strict=False)
            found.append(_from_mapping({k: v for k, v in given if v or k in ("name", "unit")}))
    names = [kind.name for kind in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"new kinds: {', '.join(twice)} described more than once")
    return tuple(found)


def _from_mapping(values: Mapping[str, Any]) -> KindDescription:
    for key in values:
        if key not in _FIELDS:
            raise UnknownNameError("attribute of a new kind", str(key), sorted(_FIELDS))
    if "name" not in values:
        raise InputError(f"new kind: expected a name, got {dict(values)!r}")
    plain: dict[str, Any] = {}
    for key, value in values.items():
        if key not in _NUMBERS:
            plain[key] = "" if value is None else str(value)
            continue
        try:
            plain[key] = None if value is None else float(value)
        except (TypeError, ValueError):
            raise InputError(
                f"new kind {values['name']!r}: {key}: expected a number, got {value!r}"
            ) from None
    return KindDescription(**plain)


def _yaml_rows(path: Path) -> list[dict[str, Any]]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except OSError as exc:
        raise FileError(f"cannot read the new kinds in {path}: {exc}") from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise FileError(f"{path} is not YAML: {exc}") from exc
    if not isinstance(content, dict) or not all(
        isinstance(v, dict) or v is None for v in content.values()
    ):
        raise FileError(f"{path}: expected a mapping of names to attributes (unit: ...)")
    return [{"name": name, **(values or {})} for name, values in content.items()]


def _ecsv_rows(path: Path) -> list[dict[str, Any]]:
    from astropy.table import Table

    try:
        table = Table.read(path, format="ascii.ecsv")
    except (OSError, ValueError) as exc:
        raise FileError(f"cannot read the new kinds in {path}: {exc}") from exc
    masked = np.ma.is_masked
    return [{name: row[name] for name in table.colnames if not masked(row[name])} for row in table]


def completed(described: KindDescription, values: Sequence[float] | NDArray[np.float64]) -> Kind:
    """The kind, with what was not described taken from values of it.

    The scale's centre and width are the median and 1.4826 MAD of the scaled values; limits, where
    there are none, lie three times the range of the values beyond them.
    """
    x = np.asarray(values, dtype=np.float64)
    d = described
    softening = 1.0 if d.softening is None else d.softening
    if d.scale == "asinh" and d.softening is None:
        softening = max(0.3 * float(np.median(np.abs(x))), 1e-12)
    scaled = np.arcsinh(x / softening) if d.scale == "asinh" else x
    middle = float(np.median(scaled))
    spread = 1.4826 * float(np.median(np.abs(scaled - middle))) or float(scaled.std())
    # The scatter of equal numbers is a rounding error, not always 0.
    if not spread > 1e-12 * float(np.abs(scaled).max()):
        raise InputError(f"new kind {d.name!r}: all of its values are the same ({x[0]:g})")
    reach = 3.0 * float(x.max() - x.min())
    lower = 0.0 if d.support == "positive" else float(x.min()) - reach
    told = replace(
        d,
        loc=middle if d.loc is None else d.loc,
        width=spread if d.width is None else d.width,
        softening=softening,
        lower=lower if d.lower is None else d.lower,
        upper=float(x.max()) + reach if d.upper is None else d.upper,
        ucd=d.ucd or ("spect.line.eqWidth" if d.name.startswith("ew_") else "stat.value"),
        description=d.description or f"{d.name}, learned from labels of a fine-tuning",
        reference=d.reference or "labels of a fine-tuning",
    )
    values_of = {f.name: getattr(told, f.name) for f in fields(Kind)}
    return Kind(**values_of)
