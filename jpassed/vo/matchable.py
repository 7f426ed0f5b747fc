"""Tables that positions can be matched against: by name, from a file, or told one by one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.surveys.survey_file import as_number, check_keys, read_yaml
from jpassed.vo.services import user_services_file

__all__ = [
    "Band",
    "FieldTable",
    "Matchable",
    "list_matchables",
    "load_matchable",
    "own_matchable",
    "user_matchables_file",
]

DEFAULT_RADIUS = 1.0


@dataclass(frozen=True)
class Band:
    """One band of a table: its columns of AB magnitudes, and the depth of its survey.

    Attributes
    ----------
    mag, error : str
        Columns that come out (without prefix).
    limit : float or None
        Depth, AB magnitude; None where it is not known.
    ucd : str
        Part of the spectrum, e.g. ``em.UV.100-200nm``.
    """

    mag: str
    error: str
    limit: float | None = None
    ucd: str = "em"


@dataclass(frozen=True)
class FieldTable:
    """A service's table of circular fields.

    Attributes
    ----------
    table, ra, dec, radius : str
        As ADQL wants them; degrees.
    limits : dict
        Band to the column with the depth of a field (AB magnitude, null: not observed).
    """

    table: str
    ra: str = "ra"
    dec: str = "dec"
    radius: str = "radius"
    limits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Matchable:
    """A table of a TAP service that positions can be matched against.

    Attributes
    ----------
    name : str
        What it is called in the meta of the result.
    service : str
        Name or URL.
    table, ra, dec : str
        As ADQL wants them; positions in degrees of ICRS or FK5 J2000.
    columns, optional : dict
        Name that comes out (without prefix) to column of the table.
    radius : float
        Arcseconds.
    prefix : str
        Of the columns that come out.
    bands : dict
        Name to `Band`.
    limit_sigma : float
        Significance of the depths.
    coverage : FieldTable or None
    description, reference : str
    """

    name: str
    service: str
    table: str
    ra: str
    dec: str
    columns: Mapping[str, str]
    optional: Mapping[str, str] = field(default_factory=dict)
    radius: float = DEFAULT_RADIUS
    prefix: str = ""
    bands: Mapping[str, Band] = field(default_factory=dict)
    limit_sigma: float = 5.0
    coverage: FieldTable | None = None
    description: str = ""
    reference: str = ""

    @property
    def label(self) -> str:
        """Prefix of the columns that tell of the match itself."""
        return self.prefix or "match_"


_KEYS = (
    "service",
    "table",
    "ra",
    "dec",
    "columns",
    "optional",
    "radius",
    "prefix",
    "bands",
    "limit_sigma",
    "coverage",
    "description",
    "reference",
)
_REQUIRED = ("service", "table", "ra", "dec", "columns")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@cache
def _embedded() -> dict[str, Any]:
    text = (resources.files("jpassed.vo") / "data" / "crossmatch.yaml").read_text("utf-8")
    return dict(read_yaml(text, "crossmatch.yaml"))


def user_matchables_file() -> Path:
    """Where users add tables of their own, or replace shipped ones; the file need not exist."""
    return user_services_file().with_name("crossmatch.yaml")


def list_matchables() -> list[str]:
    """Names of the tables that jpassed knows how to match against, the user's own included."""
    return sorted({*_embedded(), *_own()})


def _own() -> dict[str, Any]:
    path = user_matchables_file()
    if not path.exists():
        return {}
    found = _read(path) or {}
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected blocks 'name: ...', got {found!r}")
    return found


def _read(path: Path) -> Any:
    try:
        return read_yaml(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as exc:
        raise FileError(f"cannot read {path}: {exc}") from exc


def load_matchable(name: str | Path | Matchable) -> Matchable:
    """A table to match against.

    Parameters
    ----------
    name : str, Path or Matchable
        One of `list_matchables`, or a YAML file with the keys of one (see
        ``jpassed/vo/data/crossmatch.yaml``).

    Raises
    ------
    UnknownNameError
        If the name is neither known nor a file.
    FileError, InputError
        If the file cannot be read or says something else.
    """
    if isinstance(name, Matchable):
        return name
    path = Path(name)
    if path.suffix.lower() in (".yaml", ".yml"):
        return _parse(path.stem, _read(path), str(path))
    own = _own()
    if str(name) in own:
        return _parse(str(name), own[str(name)], f"{user_matchables_file()}, {name}")
    if str(name) not in _embedded():
        raise UnknownNameError("table to match", name, list_matchables())
    return _parse(str(name), _embedded()[str(name)], f"crossmatch.yaml, {name}")


def own_matchable(
    service: str,
    table: str,
    ra: str,
    dec: str,
    columns: Sequence[str],
    *,
    radius: float | None = None,
    prefix: str = "",
) -> Matchable:
    """Any table of any service that takes uploads; `columns` keep their names.

    Raises
    ------
    InputError
        If something is missing.
    """
    missing = [
        key
        for key, value in {"table": table, "ra": ra, "dec": dec, "columns": columns}.items()
        if not value
    ]
    if missing:
        raise InputError(
            f"a match with a table of {service} needs {', '.join(missing)} as well: the table, "
            "its columns of positions, and the columns to keep"
        )
    if len(set(columns)) != len(columns):
        raise InputError(f"columns are named twice: {', '.join(columns)}")
    kept = {column.strip('"').rsplit(".", 1)[-1]: column for column in columns}
    size = DEFAULT_RADIUS if radius is None else radius
    return Matchable(table.strip('"'), service, table, ra, dec, kept, radius=size, prefix=prefix)


def _parse(name: str, block: Any, where: str) -> Matchable:
    found = check_keys(block, _KEYS, where)
    for key in _REQUIRED:
        if not found.get(key):
            raise InputError(f"{where}: {key!r} is missing; needed are {', '.join(_REQUIRED)}")
    for key in ("service", "table", "ra", "dec", "prefix", "description", "reference"):
        if not isinstance(found.get(key, ""), str):
            raise InputError(f"{where}, {key}: expected text, got {found[key]!r}")
    columns = _names(found["columns"], f"{where}, columns")
    optional = _names(found.pop("optional", {}), f"{where}, optional")
    bands = {
        band: _band(item, {**columns, **optional}, f"{where}, {band}")
        for band, item in (found.pop("bands", None) or {}).items()
    }
    own: dict[str, Any] = {"columns": columns, "optional": optional, "bands": bands}
    for key in ("radius", "limit_sigma"):
        if key in found:
            own[key] = as_number(found[key], f"{where}, {key}")
            if not own[key] > 0:
                raise InputError(f"{where}, {key}: expected a positive number, got {found[key]}")
    if found.get("coverage"):
        own["coverage"] = _field_table(found.pop("coverage"), bands, f"{where}, coverage")
    return Matchable(name, **{**found, **own})


def _names(block: Any, where: str) -> dict[str, str]:
    if not isinstance(block, Mapping):
        raise InputError(f"{where}: expected 'name: column' lines, got {block!r}")
    for name, column in block.items():
        if not _WORD.fullmatch(str(name)) or not isinstance(column, str) or not column:
            raise InputError(f"{where}: expected 'name: column' in letters, got {name!r}: {column}")
    return dict(block)


def _band(block: Any, columns: Mapping[str, str], where: str) -> Band:
    found = check_keys(block, ("mag", "error", "limit", "ucd"), where)
    for key in ("mag", "error"):
        if found.get(key) not in columns:
            raise UnknownNameError(f"column of {key} ({where})", found.get(key), columns)
    if found.get("limit") is not None:
        found["limit"] = as_number(found["limit"], f"{where}, limit")
    return Band(**found)


def _field_table(block: Any, bands: Mapping[str, Band], where: str) -> FieldTable:
    found = check_keys(block, ("table", "ra", "dec", "radius", "limits"), where)
    limits = _names(found.get("limits", {}), f"{where}, limits")
    if not isinstance(found.get("table"), str):
        raise InputError(f"{where}: 'table' is missing")
    for band in limits:
        if band not in bands:
            raise UnknownNameError(f"band ({where})", band, bands)
    return FieldTable(**{**found, "limits": limits})
