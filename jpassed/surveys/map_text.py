"""A map (YAML) that says of a table what was found in it, to be edited and given with --map."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from jpassed.exceptions import InputError
from jpassed.surveys.columns import says_magnitude
from jpassed.surveys.conversion import flux_unit
from jpassed.surveys.extinction import ebv_columns, uncorrected
from jpassed.surveys.matching import Match, TableReader, fill_pattern
from jpassed.surveys.rules import Sentinels

__all__ = ["UNSURE", "aux_columns", "extinction_column", "extinction_hint", "map_of"]

UNSURE = "???"
"""Stands in a map for a unit that is not known; a map that still says so is refused."""

SHARED = ("sentinels", "limit", "flags", "where", "extinction")


def map_of(
    matches: Sequence[Match],
    reader: TableReader,
    context: Mapping[str, str] | None = None,
    unsure: Collection[str] = (),
    further: Sequence[str] = (),
) -> str:
    """A map by which these columns are read as the surveys that they were recognised by do.

    Parameters
    ----------
    matches : sequence of Match
    reader : TableReader
    context : mapping, optional
        Labels that are to be context: quantity to column.
    unsure : collection of str
        Columns whose unit is not known: it is left to the user.
    further : sequence of str
        Lines of bands that are not read; they are comments.

    Returns
    -------
    str
        YAML with one line per band under ``bands``, and one rule per array column under
        ``photometry``; what all of them share stands once.
    """
    bands: dict[str, dict[str, Any]] = {}
    arrays: dict[tuple[str, str], dict[str, Any]] = {}
    prefixes: list[str] = []
    for match in matches:
        prefixes += _prefixes(match, reader)
        if match.element is None:
            bands[match.band] = _line(match, reader, match.value in unsure)
        else:
            arrays.setdefault((match.value, match.error), _array(match, reader))
    entries = [*bands.values(), *arrays.values()]
    top: dict[str, Any] = {"context": dict(context)} if context else {}
    if prefixes:
        top["prefixes"] = list(dict.fromkeys(prefixes))
    # What is shared would hold for a further band too, once its comment is taken off.
    for key in () if further else SHARED:
        first = entries[0].get(key)
        if first is not None and all(entry.get(key) == first for entry in entries):
            top[key] = first
            for entry in entries:
                del entry[key]
    text = _text(top, bands, list(arrays.values()), further)
    rest = uncorrected(matches, reader)
    if rest:
        names = [match.band for match in rest]
        text += extinction_hint(ebv_columns(reader)[0], names, reader, top.get("prefixes", ()))
    return text


def _text(
    top: Mapping[str, Any],
    bands: Mapping[str, Any],
    arrays: Sequence[Mapping[str, Any]],
    further: Sequence[str],
) -> str:
    lines = [f"{key}: {_flow(value)}" for key, value in top.items()]
    if bands:
        lines.append("bands:")
        lines += [f"  {_flow(band)}: {_flow(entry)}" for band, entry in bands.items()]
    if further:
        lines.append("# These columns look like bands; take off the '#' of a line to use it:")
        lines += [] if bands else ["# bands:"]
        lines += [f"#{line}" for line in further]
    if arrays:
        lines.append("photometry:")
        for array in arrays:
            items = [f"{key}: {_flow(value)}" for key, value in array.items()]
            lines.append(f"  - {items[0]}")
            lines += [f"    {item}" for item in items[1:]]
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    """YAML on one line."""
    import yaml

    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, width=1 << 20, allow_unicode=True
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _line(match: Match, reader: TableReader, unsure: bool) -> dict[str, Any]:
    """What a line of ``bands`` says."""
    rule = match.rule
    magnitude, unit = _guessed(match) if unsure else _unit(match, reader)
    entry: dict[str, Any] = {
        "mag" if magnitude else "flux": match.value,
        match.error_kind: match.error,
    }
    if rule.zero_point is not None:
        entry["zero_point"] = rule.zero_point
    elif unit:
        entry["unit"] = unit
    if rule.passband is not None:
        entry["pivot"], entry["width"] = (float(size) for size in rule.passband)
    if rule.ab_offset and rule.ab_offset[match.index]:
        entry["ab_offset"] = rule.ab_offset[match.index]
    if magnitude and rule.asinh_softening:
        entry["asinh_softening"] = rule.asinh_softening[match.index]
    return entry | _shared(match, reader)


def _array(match: Match, reader: TableReader) -> dict[str, Any]:
    """What an item of ``photometry`` says of an array column."""
    rule = match.rule
    plain = {name: _plain(name, match, reader) for name in (match.value, match.error)}
    bands: Any = [band for _, band in rule.bands]
    if any(label != band for label, band in rule.bands):
        bands = dict(rule.bands)
    entry: dict[str, Any] = {
        "layout": "array",
        "bands": bands,
        "value": plain[match.value],
        match.error_kind: plain[match.error],
    }
    _, unit = _unit(match, reader)
    if rule.zero_point is not None:
        entry["zero_point"] = rule.zero_point
    elif unit or rule.unit:
        entry["unit"] = unit or rule.unit
    for key in ("ab_offset", "asinh_softening"):
        numbers = getattr(rule, key)
        if any(numbers):
            entry[key] = list(numbers)
    if rule.priority:
        entry["priority"] = rule.priority
    return entry | _shared(match, reader)


def _unit(match: Match, reader: TableReader) -> tuple[bool, str]:
    """Whether the column holds magnitudes, and the unit to write beside it (empty: none)."""
    try:
        found = flux_unit(match, reader)
    except InputError:
        return (False, match.rule.unit) if match.rule.unit else _guessed(match)
    if isinstance(found, str) and found == "abmag":
        return True, "" if match.element is None else "mag(AB)"
    own = reader.unit(match.value)
    if own is None:
        return False, match.rule.unit or ""
    text = str(own)
    return False, text if _readable(text) else match.rule.unit or ""


def _guessed(match: Match) -> tuple[bool, str]:
    return (True, "") if says_magnitude(match.value) else (False, UNSURE)


def _readable(unit: str) -> bool:
    from jpassed.units import to_microjansky

    try:
        to_microjansky(0.0, unit, pivot=5000.0)
    except InputError:
        return False
    return True


def _shared(match: Match, reader: TableReader) -> dict[str, Any]:
    rule = match.rule
    found: dict[str, Any] = {}
    if rule.sentinels != Sentinels():
        found["sentinels"] = {"flux": list(rule.sentinels.flux), "mag": list(rule.sentinels.mag)}
    if rule.limit is not None:
        found["limit"] = {"value": rule.limit.value, "nsigma": rule.limit.nsigma}
    flags = []
    for flag, plain in _flags(match, reader):
        flags.append({"column": plain} | ({} if flag.bits is None else {"bits": flag.bits}))
    if flags:
        found["flags"] = flags
    index = reader.index(rule.prefixes)
    where = [s for s in rule.where if s.column.lower() in index][:1]
    if where:
        found["where"] = [{"column": s.column, "values": list(s.values)} for s in where]
    extinction = _extinction(match, reader)
    if extinction:
        found["extinction"] = extinction[0]
    return found


def _flags(match: Match, reader: TableReader) -> list[tuple[Any, str]]:
    """Rules of flags that apply, with the plain name of their column."""
    index = reader.index(match.rule.prefixes)
    found = []
    for flag in match.rule.flags:
        plain = fill_pattern(flag.column, match.label, "")
        if plain in index:
            width = reader.width(index.names_of(plain)[0])
            if width in (1, len(match.rule.bands)):
                found.append((flag, plain))
    return found


def _extinction(match: Match, reader: TableReader) -> tuple[dict[str, Any], str] | None:
    """The correction for the Milky Way that applies, and the plain name of its column."""
    rule = match.rule.extinction
    index = reader.index(match.rule.prefixes)
    n_bands = len(match.rule.bands)
    for kind in ("magnitudes", "transmission"):
        for pattern in getattr(rule, kind):
            plain = fill_pattern(pattern, match.label, "")
            if plain not in index:
                continue
            width = reader.width(index.names_of(plain)[0])
            one = width == 1 and ("{band}" in pattern or match.rule.exact)
            if one or (width > 1 and width == n_bands):
                return {kind: pattern if match.element is not None else plain}, plain
    for column, element, divide_by in rule.ebv:
        plain = column.lower()
        if plain not in index:
            continue
        width = reader.width(index.names_of(plain)[0])
        if width == 1 and element is None and divide_by == 1.0:
            return {"ebv": plain}, plain
        if width == 1 or (element is not None and element < width):
            entry: dict[str, Any] = {"column": plain, "divide_by": divide_by}
            return {"ebv": [entry | ({} if element is None else {"element": element})]}, plain
    return None


def extinction_column(match: Match, reader: TableReader) -> str:
    """The column that corrects a band for the Milky Way; empty if there is none."""
    found = _extinction(match, reader)
    return reader.index(match.rule.prefixes).names_of(found[1])[0] if found else ""


def extinction_hint(
    column: str, bands: Sequence[str], reader: TableReader, prefixes: Sequence[str] = ()
) -> str:
    """A comment for the end of a map, by which E(B-V) would be used for some bands."""
    index = reader.index(tuple(prefixes))
    plain = next((name for name in index if column in index.names_of(name)), column.lower())
    which = f"the fluxes of {', '.join(bands)}" if bands else "the fluxes"
    return (
        f"# If {which} are not corrected for the Milky Way, take off the '#' here:\n"
        f"# extinction: {_flow({'ebv': plain})}\n"
    )


def aux_columns(match: Match, reader: TableReader) -> dict[str, str]:
    """Columns that are read beside a band's own, and what for."""
    index = reader.index(match.rule.prefixes)
    plain = {name: "flags" for _, name in _flags(match, reader)}
    plain |= {
        s.column.lower(): "selects rows" for s in match.rule.where if s.column.lower() in index
    }
    extinction = _extinction(match, reader)
    if extinction:
        plain[extinction[1]] = "Galactic extinction"
    return {actual: what for name, what in plain.items() for actual in index.names_of(name)}


def _plain(name: str, match: Match, reader: TableReader) -> str:
    index = reader.index(match.rule.prefixes, match.rule.exclude)
    return next(plain for plain in index if name in index.names_of(plain))


def _prefixes(match: Match, reader: TableReader) -> list[str]:
    """The prefixes that were taken off the columns that a match uses."""
    if not match.rule.prefixes:
        return []
    names = [match.value, match.error, *aux_columns(match, reader)]
    bare = [name.lower().rsplit(".", 1)[-1] for name in names]
    taken = []
    for text in bare:
        prefix = next((p for p in match.rule.prefixes if text.startswith(p) and text != p), None)
        if prefix is not None:
            taken.append(prefix)
    return taken
