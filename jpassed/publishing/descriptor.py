"""The resource descriptor of DaCHS: what the data centre's software reads."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jpassed.publishing.described import DescribedColumn
from jpassed.publishing.provenance import Parameter
from jpassed.publishing.rights import Rights

__all__ = ["Resource", "descriptor"]


@dataclass(frozen=True)
class Resource:
    """What a descriptor says of a catalogue.

    Attributes
    ----------
    schema, table : str
        The catalogue is served as ``schema.table``.
    title, description, creator, date : str
        `date` of the publication, ISO 8601 in UTC.
    columns : sequence of DescribedColumn
    key : tuple of str
        Columns that together identify a row.
    identifier : str
        The one column that does; empty where there is none.
    positions : tuple of str
        Right ascension and declination in degrees; empty where there are none.
    example : tuple of float
        A position with a row.
    provenance : sequence of Parameter
    data : str
        The data file, from the descriptor's folder.
    rights : Rights
    source : str
        Bibcode or DOI of the paper.
    renamed : mapping
        Columns of the catalogue to their names in the service, where these differ.
    subjects : tuple of str
        Of the Unified Astronomy Thesaurus.
    """

    schema: str
    table: str
    title: str
    description: str
    creator: str
    date: str
    columns: Sequence[DescribedColumn]
    data: str
    key: tuple[str, ...] = ()
    identifier: str = ""
    positions: tuple[str, ...] = ()
    example: tuple[float, ...] = ()
    provenance: Sequence[Parameter] = field(default_factory=tuple)
    rights: Rights = field(default_factory=Rights)
    source: str = ""
    renamed: Mapping[str, str] = field(default_factory=dict)
    subjects: tuple[str, ...] = ("galaxies", "photometry", "redshift-surveys")


def descriptor(resource: Resource) -> str:
    """The text of ``q.rd``.

    Parameters
    ----------
    resource : Resource

    Returns
    -------
    str
        XML; see http://docs.g-vo.org/DaCHS/ref.html for its elements.
    """
    root = ElementTree.Element("resource", schema=resource.schema, resdir=resource.schema)
    for name, value in (
        ("creationDate", resource.date),
        ("title", resource.title),
        ("description", resource.description),
        *(("subject", subject) for subject in resource.subjects),
        ("creator", resource.creator),
        ("contentLevel", "Research"),
        ("type", "Catalog"),
        *(("coverage.waveband", band) for band in _wavebands(resource.columns)),
        ("source", resource.source),
        ("rights", resource.rights.text),
        ("rights.rightsURI", resource.rights.address),
    ):
        if not value:
            continue
        _meta(root, name, value)
    if resource.provenance:
        _meta(root, "_longdoc", _long_text(resource.provenance), format="plain")
    _table(root, resource)
    _import(root, resource)
    if resource.positions:
        _cone(root, resource)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


# UCD words of the VO's wavebands.
_WAVEBANDS = {
    "em.radio": "Radio", "em.mm": "Millimeter", "em.ir": "Infrared", "em.uv": "UV",
    "em.x-ray": "X-ray", "em.gamma": "Gamma-ray",
}  # fmt: skip


def _wavebands(columns: Sequence[DescribedColumn]) -> list[str]:
    """The optical, and all others that the UCD of a column names."""
    ucds = " ".join(column.ucd.lower() for column in columns)
    return ["Optical", *(band for word, band in _WAVEBANDS.items() if word in ucds)]


def _element(parent: ElementTree.Element, tag: str, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, attributes)


def _literal(text: str) -> str:
    """Text that DaCHS takes as it is: a backslash would begin a macro."""
    return text.replace("\\", "\\\\")


def _meta(parent: ElementTree.Element, name: str, value: str, **more: str) -> None:
    _element(parent, "meta", name=name, **more).text = _literal(value)


def _long_text(provenance: Sequence[Parameter]) -> str:
    lines = [f"{p.description}: {p.shown}" for p in provenance if p.shown]
    return "\n\n".join(["The predictions were made by jpassed.", *lines])


def _table(root: ElementTree.Element, resource: Resource) -> None:
    attributes = {"id": resource.table, "onDisk": "True", "adql": "True"}
    if resource.key:
        attributes["primary"] = ",".join(resource.key)
    if resource.positions:
        attributes["mixin"] = "//scs#pgs-pos-index"
    table = _element(root, "table", **attributes)
    _meta(table, "description", resource.description)
    for column in resource.columns:
        _column(table, column)
    for parameter in resource.provenance:
        element = _element(
            table,
            "param",
            name=parameter.name,
            type=parameter.type,
            ucd=parameter.ucd,
            description=parameter.description,
        )
        # DaCHS expands macros anew in each copy of a parameter: no escape survives them all.
        element.text = parameter.text.replace("\\", "/")


def _reference(column: DescribedColumn) -> str:
    return f"quoted/{column.name}" if column.quoted else column.name


def _column(table: ElementTree.Element, column: DescribedColumn) -> None:
    attributes = {"name": _reference(column), "type": column.type}
    for key in ("unit", "ucd", "description"):
        if getattr(column, key):
            attributes[key] = getattr(column, key)
    if column.required:
        attributes["required"] = "True"
    element = _element(table, "column", **attributes)
    if column.null is not None:
        _element(element, "values", nullLiteral=str(column.null))


def _import(root: ElementTree.Element, resource: Resource) -> None:
    data = _element(root, "data", id="import")
    _element(data, "sources").text = resource.data
    _element(data, "voTableGrammar")
    make = _element(data, "make", table=resource.table)
    # "*" would also map quoted names, which DaCHS then seeks in lower case.
    quoted = any(column.quoted for column in resource.columns)
    same = [column.field for column in resource.columns if column.field == column.name]
    maker = _element(make, "rowmaker", idmaps=",".join(same) if quoted else "*")
    for column in resource.columns:
        target = _reference(column)
        if column.type in ("text", "unicode") and not column.required:
            _element(maker, "map", key=target).text = f"@{column.field} or None"
        elif column.field != column.name:
            _element(maker, "map", key=target, source=column.field)


def _cone(root: ElementTree.Element, resource: Resource) -> None:
    service = _element(root, "service", id="cone", allowed="scs.xml,form")
    ra, dec = resource.example
    for name, value in (
        ("title", f"{resource.title}: cone search"),
        ("shortName", f"{resource.schema} cone"[:16]),
        ("testQuery.ra", repr(ra)),
        ("testQuery.dec", repr(dec)),
        ("testQuery.sr", "0.001"),
    ):
        _meta(service, name, value)
    _element(service, "publish", render="scs.xml", sets="local")
    _element(service, "publish", render="form", sets="local")
    core = _element(service, "scsCore", queriedTable=resource.table)
    _element(core, "FEED", source="//scs#coreDescs")
