"""The YAML files of `jpassed/archives/data/archives`, and those of users, as `Archive`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from jpassed.archives.description import (
    Archive,
    Flags,
    LabelRule,
    SourceTable,
    SpectrumSource,
    TotalFlux,
)
from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.filters import find_band
from jpassed.surveys.survey_file import as_number, as_texts, check_keys, read_yaml
from jpassed.vocabulary import load_vocabulary

__all__ = ["archive_file", "list_archives", "load_archive", "parse_archive", "parse_spectra"]

FRAMES = ("rest", "observed")
KINDS = ("url", "column", "datalink", "ssap", "sparcl")
TOTAL_UNITS = ("nanomaggy", "uJy", "mag(AB)")


def list_archives() -> tuple[str, ...]:
    """Names of the shipped archive descriptions.

    Returns
    -------
    tuple of str
    """
    folder = files("jpassed.archives") / "data" / "archives"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".yaml")))


def archive_file(name: str) -> Traversable:
    """The file of a shipped description."""
    return files("jpassed.archives") / "data" / "archives" / f"{name}.yaml"


def load_archive(name: str | Path) -> Archive:
    """An archive by its name, or from a YAML file of your own.

    Parameters
    ----------
    name : str or Path
        A name of `list_archives`, or the path of a YAML file.

    Returns
    -------
    Archive

    Raises
    ------
    UnknownNameError
        If it is neither.
    FileError
        If the file cannot be read.
    InputError
        If it makes no sense; the message says where.
    """
    text = str(name)
    if text in list_archives():
        return parse_archive(read_yaml(archive_file(text).read_text("utf-8"), text), text)
    path = Path(text)
    if path.suffix.lower() not in (".yaml", ".yml"):
        raise UnknownNameError("archive", text, [*list_archives(), "or a YAML file"])
    try:
        content = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise FileError(f"cannot read the archive description {path}: {exc}") from None
    return parse_archive(read_yaml(content, text), text)


def parse_archive(block: Any, where: str) -> Archive:
    """An archive from the content of its file."""
    keys = ("name", "service", "description", "reference", "objects", "tables", "spectra")
    found = check_keys(block, keys, where)
    for key in ("name", "service", "objects"):
        if key not in found:
            raise InputError(f"{where}: {key!r} is missing")
    objects = dict(check_keys(found["objects"], (*_TABLE_KEYS, "class"), where))
    kind = str(objects.pop("class", ""))
    main = _table(objects, f"{where}, objects", "objects")
    if not (main.ra and main.dec):
        raise InputError(f"{where}, objects: 'ra' and 'dec' must name columns")
    if main.line:
        raise InputError(f"{where}, objects: a table of lines has no row for each spectrum")
    main = replace(main, columns=(*([kind] if kind else []), *main.columns))
    blocks = found.get("tables") or {}
    if not isinstance(blocks, Mapping):
        raise InputError(f"{where}, tables: expected 'name: block' lines, got {blocks!r}")
    tables = tuple(_table(b, f"{where}, {n}", str(n)) for n, b in blocks.items())
    spectra = found.get("spectra")
    return Archive(
        name=str(found["name"]),
        service=str(found["service"]),
        objects=main,
        kind=kind,
        tables=tables,
        spectra=None if spectra is None else parse_spectra(spectra, f"{where}, spectra"),
        description=str(found.get("description", "")),
        reference=str(found.get("reference", "")),
    )


_TABLE_KEYS = (
    "table", "key", "service", "where", "line", "labels", "ebv", "ebv_scale", "total",
    "photometry", "columns", "reference", "each", "ra", "dec",
    "adds_objects",
)  # fmt: skip
_LABEL_KEYS = tuple(name for name in LabelRule.__dataclass_fields__ if name != "quantity")


def _table(block: Any, where: str, name: str) -> SourceTable:
    found = check_keys(block, _TABLE_KEYS, where)
    for key in ("table", "key"):
        if not isinstance(found.get(key), str):
            raise InputError(f"{where}: {key!r} is missing")
    labels = found.get("labels") or {}
    if not isinstance(labels, Mapping):
        raise InputError(f"{where}, labels: expected 'quantity: block' lines, got {labels!r}")
    line = str(found.get("line", ""))
    each = check_keys(found.get("each") or {}, _LABEL_KEYS, f"{where}, each")
    rules = []
    for quantity, rule in labels.items():
        own = check_keys(rule, _LABEL_KEYS, f"{where}, {quantity}")
        rules.append(_label({**each, **own}, str(quantity), f"{where}, {quantity}", bool(line)))
    total = found.get("total")
    photometry = check_keys(found.get("photometry") or {}, ("survey", "columns"), where)
    return SourceTable(
        name=name,
        table=found["table"],
        key=found["key"],
        service=str(found.get("service", "")),
        where=str(found.get("where") or ""),
        line=line,
        adds_objects=bool(found.get("adds_objects", False)),
        ra=str(found.get("ra", "")),
        dec=str(found.get("dec", "")),
        labels=tuple(rules),
        ebv=str(found.get("ebv", "")),
        ebv_scale=as_number(found.get("ebv_scale", 1.0), f"{where}, ebv_scale"),
        total=None if total is None else _total(total, f"{where}, total"),
        photometry=str(photometry.get("survey", "")),
        photometry_columns=as_texts(photometry.get("columns"), f"{where}, photometry"),
        columns=as_texts(found.get("columns"), f"{where}, columns"),
        reference=str(found.get("reference", "")),
    )


def _label(block: Mapping[str, Any], quantity: str, where: str, long: bool) -> LabelRule:
    vocabulary = load_vocabulary()
    if quantity not in vocabulary.scalars:
        raise UnknownNameError(f"{where}: quantity", quantity, vocabulary.scalars)
    chosen: dict[str, Any] = {"needs_redshift": quantity != "z"}
    for key, value in block.items():
        if key in ("value", "error", "interval", "rows"):
            chosen[key] = as_texts(value, f"{where}, {key}")
        elif key in ("scale", "offset", "error_floor"):
            chosen[key] = as_number(value, f"{where}, {key}")
        elif key == "valid":
            pair = tuple(as_number(v, f"{where}, valid") for v in value)
            if len(pair) != 2 or not pair[0] < pair[1]:
                raise InputError(f"{where}, valid: expected [lowest, highest], got {value!r}")
            chosen[key] = pair
        elif key == "flags":
            flags = check_keys(value, ("column", "usable"), where)
            chosen[key] = Flags(str(flags["column"]), int(flags.get("usable", 0)))
        else:
            chosen[key] = value
    rule = LabelRule(quantity=quantity, **{"value": (), **chosen})
    stated = bool(rule.error) + bool(rule.interval)
    if not rule.value or stated > 1 or (not stated and rule.error_floor <= 0):
        raise InputError(
            f"{where}: expected 'value' and either 'error' or 'interval', or a positive "
            "'error_floor' where the table has no errors"
        )
    if rule.error and len(rule.error) != len(rule.value):
        raise InputError(f"{where}: expected one error for each value")
    if rule.interval and len(rule.interval) != 2:
        raise InputError(f"{where}, interval: expected the 16th and the 84th percentile")
    if rule.frame not in FRAMES:
        raise UnknownNameError(f"{where}: frame", rule.frame, FRAMES)
    if bool(rule.rows) != long:
        raise InputError(f"{where}: 'rows' belongs to a table with 'line', and is needed there")
    return rule


def _total(block: Any, where: str) -> TotalFlux:
    found = check_keys(block, ("band", "column", "unit"), where)
    total = TotalFlux(
        str(found.get("band", "")), str(found.get("column", "")), found.get("unit", "nanomaggy")
    )
    find_band(total.band)
    if not total.column:
        raise InputError(f"{where}: 'column' is missing")
    if total.unit not in TOTAL_UNITS:
        raise UnknownNameError(f"{where}: unit", total.unit, TOTAL_UNITS)
    return total


def parse_spectra(block: Any, where: str) -> SpectrumSource:
    """A `SpectrumSource` from its block."""
    found = check_keys(block, SpectrumSource.__dataclass_fields__, where)
    if found.get("kind") not in KINDS:
        raise UnknownNameError(f"{where}: kind", found.get("kind"), KINDS)
    if "release" in found:
        found["release"] = as_texts(found["release"], f"{where}, release")
    variants = found.get("variants", {})
    if not isinstance(variants, Mapping):
        raise InputError(f"{where}, variants: expected 'value: pattern' lines, got {variants!r}")
    found["variants"] = {str(value): str(pattern) for value, pattern in variants.items()}
    if variants and not found.get("column"):
        raise InputError(f"{where}, variants: 'column' is missing, by which they are chosen")
    source = SpectrumSource(**found)
    needed = "url" if source.kind in ("url", "ssap") else "column"
    if not getattr(source, needed):
        raise InputError(f"{where}: spectra of kind {source.kind!r} need {needed!r}")
    return source
