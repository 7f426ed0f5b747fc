"""Who made the predictions, with what and when: from the table's meta to parameters of a table."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["Parameter", "matches_of", "provenance"]

# Keys that jpassed writes, and what they say.
_SAID = {
    "jp_model": ("Model", "meta.id;meta.modelled"),
    "jp_model_version": ("Version of the model", "meta.version"),
    "jp_weights": ("Digest of the model's weights", "meta.checksum"),
    "jp_version": ("Version of jpassed that made the predictions", "meta.version;meta.software"),
    "jp_date": ("Date of the predictions", "time.processing"),
    "jp_survey": ("Survey whose columns were read", "meta.id"),
    "jp_context": ("Labels that the model was given", "meta.note"),
    "jp_service": ("Service that the objects were queried from", "meta.ref.url"),
    "jp_query": ("Query for the objects", "meta.note"),
    "jp_query_date": ("Date of the query", "time"),
}
_EDGES = "_pdf_edges"
_MATCH = "jp_crossmatch_"


@dataclass(frozen=True)
class Parameter:
    """One parameter of a published table.

    Attributes
    ----------
    name, type, ucd, description : str
    text : str
        Its value, as a descriptor has it.
    shown : str
        Its value for readers; empty where it is too long to show.
    """

    name: str
    type: str
    text: str
    description: str
    ucd: str = ""
    shown: str = ""


def provenance(meta: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Parameters for all of a table's meta that jpassed wrote.

    Parameters
    ----------
    meta : mapping
        ``table.meta`` of an annotated table.

    Returns
    -------
    tuple of Parameter
        Empty for a table that jpassed did not annotate.
    """
    found = []
    matches = matches_of(meta)
    for key, value in meta.items():
        name = re.sub(r"\W", "_", str(key), flags=re.ASCII)
        if not name.lower().startswith("jp_"):
            continue
        value = value.tolist() if hasattr(value, "tolist") else value  # of numpy
        if value is None or value == "":
            continue
        said, ucd = _SAID.get(name.lower(), (name, "meta.note"))
        if name.lower().endswith(_EDGES):
            column = name[: -len("_edges")]
            said, ucd = f"Edges of the bins of {column}", "meta.note"
        made = _parameter(name, value, said, ucd)
        if key in matches:
            label = name[len(_MATCH) :]
            made = replace(
                made, description=f"Cross-match with {label}", shown=_of_match(matches[key])
            )
        found.append(made)
    return tuple(found)


def matches_of(meta: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What the meta says of cross-matches: key of the meta to its content.

    Some formats keep the content as text.
    """
    found = {}
    for key, value in meta.items():
        if not str(key).lower().startswith(_MATCH):
            continue
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                continue
        if isinstance(value, Mapping):
            found[str(key)] = value
    return found


def _of_match(said: Mapping[str, Any]) -> str:
    """A cross-match in a sentence; the query itself is in the parameter."""
    parts = [f"{said['table']} at {said['service']}"] if {"table", "service"} <= set(said) else []
    if "radius_arcsec" in said:
        parts.append(f"within {said['radius_arcsec']:g} arcsec")
    if {"matched", "rows"} <= set(said):
        parts.append(f"{said['matched']} of {said['rows']} rows matched")
    parts += [f"coverage: {said['coverage']}"] if said.get("coverage") else []
    parts += [str(said[key]) for key in ("date", "reference") if said.get(key)]
    return "; ".join(parts)


def _parameter(name: str, value: Any, said: str, ucd: str) -> Parameter:
    if isinstance(value, list | tuple) and value and all(_is_number(v) for v in value):
        text = " ".join(repr(float(v)) for v in value)
        return Parameter(name, f"double precision[{len(value)}]", text, said, ucd)
    if _is_number(value):
        kind = "bigint" if isinstance(value, int) else "double precision"
        return Parameter(name, kind, repr(value), said, ucd, repr(value))
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    text = " ".join(text.split())
    return Parameter(name, "text" if text.isascii() else "unicode", text, said, ucd, text)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
