"""The blocks of a survey file, checked and turned into rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.filters import known_bands
from jpassed.surveys.rules import (
    ColumnRule,
    Extinction,
    FlagRule,
    Limit,
    RowSelection,
    Sentinels,
)

__all__ = [
    "SHARED_KEYS",
    "as_number",
    "as_texts",
    "check_keys",
    "parse_shared",
    "pattern_rule",
    "read_yaml",
    "single_rule",
]

LAYOUTS = ("columns", "array")


def read_yaml(text: str, where: str) -> Any:
    """Content of a YAML text, refusing keys that occur twice (YAML keeps the last silently)."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    def mapping(loader: Any, node: Any) -> dict[Any, Any]:
        loader.flatten_mapping(node)
        keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
        twice = [key for k, key in enumerate(keys) if key in keys[:k]]
        if twice:
            raise InputError(f"{where}: {twice[0]!r} is there twice; keep one of them")
        return dict(loader.construct_mapping(node, deep=True))

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    try:
        return yaml.load(text, Loader=Loader)
    except yaml.YAMLError as exc:
        raise InputError(f"{where} is not valid YAML: {' '.join(str(exc).split())}") from None


def check_keys(block: Any, allowed: Iterable[str], where: str) -> dict[str, Any]:
    """`block` as a dictionary, refusing anything else and any key that is not in `allowed`."""
    if not isinstance(block, Mapping):
        raise InputError(f"{where}: expected 'key: value' lines, got {block!r}")
    valid = sorted(allowed)
    for key in block:
        if key not in valid:
            raise InputError(f"{where}: unknown key {key!r}; valid keys: {', '.join(valid)}")
    return dict(block)


def as_texts(value: Any, where: str) -> tuple[str, ...]:
    """A text or a list of texts as a tuple."""
    if value is None:
        return ()
    items = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(item, str) and item for item in items):
        raise InputError(f"{where}: expected a column name or a list of them, got {value!r}")
    return tuple(items)


def as_number(value: Any, where: str) -> float:
    """A number, refusing text and booleans."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{where}: expected a number, got {value!r}")
    return float(value)


def _as_numbers(value: Any, where: str) -> tuple[float, ...]:
    items = value if isinstance(value, list | tuple) else [value]
    return tuple(as_number(item, where) for item in items)


def _sentinels(block: Any, where: str) -> Sentinels:
    if isinstance(block, list):
        both = _as_numbers(block, where)
        return Sentinels(both, both)
    found = check_keys(block, ("flux", "mag"), where)
    return Sentinels(**{key: _as_numbers(value, where) for key, value in found.items()})


def _limit(block: Any, where: str) -> Limit | None:
    if block is None or block is False:
        return None
    found = check_keys(block, ("value", "nsigma"), where)
    limit = Limit(**{key: as_number(value, where) for key, value in found.items()})
    if not limit.nsigma > 0:
        raise InputError(f"{where}: nsigma must be positive, got {limit.nsigma}")
    return limit


def _flags(block: Any, where: str) -> tuple[FlagRule, ...]:
    rules = []
    for item in block if isinstance(block, list) else [block]:
        found = check_keys(item, ("column", "bits"), where)
        bits = found.get("bits")
        if bits is not None and (isinstance(bits, bool) or not isinstance(bits, int)):
            raise InputError(f"{where}: bits must be a whole number (a bit mask), got {bits!r}")
        rules += [FlagRule(name, bits) for name in as_texts(found.get("column"), where)]
    return tuple(rules)


def _rows(block: Any, where: str) -> tuple[RowSelection, ...]:
    selections = []
    for item in block if isinstance(block, list) else [block]:
        found = check_keys(item, ("column", "values", "otherwise"), where)
        values = found.get("values")
        column = found.get("column")
        if not isinstance(column, str) or not isinstance(values, list) or not values:
            raise InputError(f"{where}: expected 'column: NAME' and 'values: [...]', got {item!r}")
        selections.append(RowSelection(column, tuple(values), bool(found.get("otherwise", False))))
    return tuple(selections)


def _extinction(block: Any, where: str) -> Extinction:
    if block is None or block is False:
        return Extinction()
    found = check_keys(block, ("ebv", "magnitudes", "transmission"), where)
    ebv: list[tuple[str, int | None, float]] = []
    entries = found.get("ebv", [])
    for item in entries if isinstance(entries, list) else [entries]:
        if isinstance(item, str):
            ebv.append((item, None, 1.0))
            continue
        part = check_keys(item, ("column", "element", "divide_by"), where)
        element = part.get("element")
        if not isinstance(part.get("column"), str) or not isinstance(element, int | None):
            raise InputError(f"{where}: expected 'column: NAME', got {item!r}")
        ebv.append((part["column"], element, as_number(part.get("divide_by", 1.0), where)))
    return Extinction(
        tuple(ebv),
        as_texts(found.get("magnitudes"), where),
        as_texts(found.get("transmission"), where),
    )


_PARSERS = {
    "sentinels": _sentinels,
    "limit": _limit,
    "flags": _flags,
    "where": _rows,
    "extinction": _extinction,
}
SHARED_KEYS = tuple(_PARSERS)
"""Keys that a survey file may give once for all its rules, or rule by rule."""

_NUMBER_LISTS = ("ab_offset", "asinh_softening")
_PATTERNS = ("value", "error", "ivar", "relative_error", "prefer")
_RULE_KEYS = (
    "layout",
    "bands",
    "unit",
    "zero_point",
    "closed",
    "priority",
    *_PATTERNS,
    *_NUMBER_LISTS,
    *SHARED_KEYS,
)
_BAND_KEYS = (
    "flux",
    "mag",
    "error",
    "ivar",
    "relative_error",
    "unit",
    "zero_point",
    "ab_offset",
    "asinh_softening",
    "pivot",
    "width",
    "svo",
    "medium",
    "counting",
    *SHARED_KEYS,
)


def parse_shared(block: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The parsed values of those `SHARED_KEYS` that `block` has."""
    return {
        key: parse(block[key], f"{where}, {key}") for key, parse in _PARSERS.items() if key in block
    }


def _rule_bands(value: Any, layout: str, where: str) -> tuple[tuple[str, str], ...]:
    known = known_bands()
    if value == "known" and layout == "columns":
        return tuple((band, band) for band in known)
    if isinstance(value, Mapping):
        if any(isinstance(label, bool) for label in value):
            raise InputError(f"{where}: write labels such as y, n, on, off in quotes ('y')")
        pairs = tuple((str(label), str(band)) for label, band in value.items())
    else:
        pairs = tuple((band, band) for band in as_texts(value, where))
    if not pairs:
        raise InputError(f"{where}: expected a list of bands or 'label: band' lines")
    for _, band in pairs:
        check_band(band, where)
    return pairs


def check_band(band: str, where: str) -> None:
    """Refuse a band that jpassed does not know, listing the nearest ones."""
    if band not in known_bands():
        error = UnknownNameError("band", band, known_bands())
        raise InputError(
            f"{where}: {error}. A band of your own needs its 'pivot' and 'width' in Å, or 'svo', "
            "its id at the SVO Filter Profile Service, e.g. SLOAN/SDSS.u"
        )


def _per_band(block: Mapping[str, Any], key: str, n_bands: int, where: str) -> tuple[float, ...]:
    if key not in block:
        return ()
    numbers = _as_numbers(block[key], f"{where}, {key}")
    if len(numbers) == 1:
        return numbers * n_bands
    if len(numbers) != n_bands:
        raise InputError(f"{where}, {key}: {len(numbers)} numbers for {n_bands} bands")
    return numbers


def _per_band_numbers(block: Mapping[str, Any], n_bands: int, where: str) -> dict[str, Any]:
    return {key: _per_band(block, key, n_bands, where) for key in _NUMBER_LISTS}


def _check_unit(unit: Any, where: str) -> str | None:
    from jpassed.units import to_microjansky

    if unit is None:
        return None
    if not isinstance(unit, str):
        raise InputError(f"{where}, unit: expected text such as 'uJy', got {unit!r}")
    if not unit.strip(" ?"):
        raise InputError(
            f"{where}, unit: {unit!r} stands for a unit that is not known; write the one of the "
            "column there, for example uJy, nanomaggy, mag(AB), erg / (s cm2 Hz) or "
            "erg / (s cm2 Angstrom)"
        )
    # Per "A" is per Angstrom in every table of fluxes; as a unit it is the ampere.
    unit = re.sub(r"(?<![A-Za-z])A(?![A-Za-z])", "Angstrom", unit)
    try:
        to_microjansky(0.0, unit, pivot=5000.0)
    except InputError as exc:
        raise InputError(f"{where}, unit: {exc}") from None
    return unit


def _optional_number(block: Mapping[str, Any], key: str, where: str) -> float | None:
    return as_number(block[key], f"{where}, {key}") if key in block else None


def pattern_rule(survey: str, block: Any, shared: Mapping[str, Any], where: str) -> ColumnRule:
    """A `ColumnRule` from one item of the list ``photometry`` of a survey file."""
    found = check_keys(block, _RULE_KEYS, where)
    layout = found.get("layout", "columns")
    if layout not in LAYOUTS:
        raise InputError(f"{where}, layout: expected one of {', '.join(LAYOUTS)}, got {layout!r}")
    bands = _rule_bands(found.get("bands"), layout, f"{where}, bands")
    patterns: dict[str, Any] = {
        key: as_texts(found.get(key), f"{where}, {key}") for key in _PATTERNS
    }
    if not patterns["value"]:
        raise InputError(f"{where}: 'value' (the column names of the fluxes) is missing")
    if layout == "columns" and not all("{band}" in pattern for pattern in patterns["value"]):
        raise InputError(f"{where}, value: one column per band needs '{{band}}' in each pattern")
    own = parse_shared(found, where)
    if "priority" in found:
        own["priority"] = int(as_number(found["priority"], f"{where}, priority"))
    return ColumnRule(
        survey,
        layout,
        bands,
        closed=bool(found.get("closed", False)),
        unit=_check_unit(found.get("unit"), where),
        zero_point=_optional_number(found, "zero_point", where),
        **patterns,
        **_per_band_numbers(found, len(bands), where),
        **{**shared, **own},
    )


def _own_passband(found: Mapping[str, Any], band: str, where: str) -> tuple[float, float] | None:
    """Pivot and width in Å of a band as its line gives them, None where it does not."""
    if "svo" in found:
        if "pivot" in found or "width" in found:
            raise InputError(f"{where}: give either 'svo' or 'pivot' and 'width'")
        return _svo_passband(found, band, where)
    for key in ("medium", "counting"):
        if key in found:
            raise InputError(f"{where}: {key!r} says how to read the curve that 'svo' names")
    if "pivot" not in found and "width" not in found:
        return None
    sizes = [_optional_number(found, key, where) for key in ("pivot", "width")]
    if any(size is None or size <= 0 for size in sizes):
        raise InputError(f"{where}: a band of your own needs positive 'pivot' and 'width' in Å")
    return float(sizes[0] or 0.0), float(sizes[1] or 0.0)


def _svo_passband(found: Mapping[str, Any], band: str, where: str) -> tuple[float, float]:
    """Pivot and width of a curve of the SVO service, fetched once and then from the cache."""
    from jpassed.filters import FilterSet

    identifier = found["svo"]
    if not isinstance(identifier, str):
        raise InputError(f"{where}, svo: expected an id such as SLOAN/SDSS.u, got {identifier!r}")
    try:
        passband = FilterSet.from_svo(
            [identifier],
            names=[band],
            medium=str(found.get("medium", "air")),
            counting=str(found.get("counting", "photon")),
        )[0]
    except FileError as exc:
        raise FileError(f"{where}, svo: {exc}") from exc
    except InputError as exc:
        raise InputError(f"{where}, svo: {exc}") from exc
    return passband.pivot_wavelength, passband.equivalent_width


def single_rule(
    survey: str, band: str, block: Any, shared: Mapping[str, Any], unit: str | None, where: str
) -> ColumnRule:
    """A `ColumnRule` from one line of the mapping ``bands`` of a map."""
    where = f"{where}, {band}"
    found = check_keys(block, _BAND_KEYS, where)
    if ("flux" in found) == ("mag" in found):
        raise InputError(f"{where}: give either 'flux: COLUMN' or 'mag: COLUMN'")
    kind = "flux" if "flux" in found else "mag"
    errors: dict[str, Any] = {k: as_texts(found.get(k), f"{where}, {k}") for k in _PATTERNS[1:4]}
    if sum(map(len, errors.values())) != 1:
        raise InputError(f"{where}: give one of 'error', 'ivar', 'relative_error' (a column)")
    passband = _own_passband(found, band, where)
    if passband is None:
        check_band(band, where)
    own_unit = _check_unit(found.get("unit"), where)
    return ColumnRule(
        survey,
        "columns",
        ((band, band),),
        as_texts(found[kind], f"{where}, {kind}"),
        unit=own_unit or ("mag(AB)" if kind == "mag" else unit),
        zero_point=_optional_number(found, "zero_point", where),
        exact=True,
        passband=passband,
        **errors,
        **_per_band_numbers(found, 1, where),
        **{**shared, **parse_shared(found, where)},
    )
