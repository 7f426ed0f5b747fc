"""Archives as data: which service and tables, and which column is which label.

`jpassed.archives.description_file` reads the YAML files that say so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jpassed.exceptions import UnknownNameError

__all__ = [
    "Archive",
    "Flags",
    "LabelRule",
    "SourceTable",
    "SpectrumSource",
    "TotalFlux",
    "without_login",
]

_LOGIN = re.compile(r"://[^/?#\s'\"]*@")


def without_login(text: str) -> str:
    """A text without the ``user:password@`` of its URLs: what is written down or shown."""
    return _LOGIN.sub("://", text)


@dataclass(frozen=True)
class Flags:
    """A bit mask that says which rows are good.

    Attributes
    ----------
    column : str
    usable : int
        Bits that may be set; with any other bit, a negative value or none at all the row is bad.
    """

    column: str
    usable: int = 0


@dataclass(frozen=True)
class LabelRule:
    """How columns become one quantity of the vocabulary.

    The value is the sum of `value` (or of `rows` in a table with a row for each line), times
    `scale`, its log10 if `log10`, plus `offset`; EWs of the observed frame are divided by 1 + z.

    Attributes
    ----------
    quantity : str
    value, error : tuple of str
        Columns; several are summed, their errors in quadrature.
    interval : tuple of str
        Columns of the 16th and 84th percentile in place of `error`: half their distance.
    rows : tuple of str
        Names of lines, in a table with `line`.
    frame : {"rest", "observed"}
        Of an equivalent width.
    scale, offset, error_floor : float
        `error_floor` is added in quadrature, in the vocabulary's unit; it is the error where the
        table has none.
    log10 : bool
        Whether the columns hold the value itself, not its logarithm.
    valid : tuple of float
        Values outside, of `value` and `interval`, are no measurement.
    flags : Flags or None
    needs_redshift : bool
        Whether the label is wrong where the redshift is.
    provenance : str
        Who measured it and how, as far as it matters: code, IMF, aperture.
    """

    quantity: str
    value: tuple[str, ...]
    error: tuple[str, ...] = ()
    interval: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    frame: str = "rest"
    scale: float = 1.0
    offset: float = 0.0
    error_floor: float = 0.0
    log10: bool = False
    valid: tuple[float, float] = (float("-inf"), float("inf"))
    flags: Flags | None = None
    needs_redshift: bool = True
    provenance: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the rule reads."""
        flags = (self.flags.column,) if self.flags else ()
        return (*self.value, *self.error, *self.interval, *flags)


@dataclass(frozen=True)
class TotalFlux:
    """The column with an object's total flux in one band, not corrected for the Milky Way.

    Attributes
    ----------
    band : str
        The passband of the column, in which the spectrum is measured.
    column : str
    unit : {"nanomaggy", "uJy", "mag(AB)"}
    """

    band: str
    column: str
    unit: str = "nanomaggy"


@dataclass(frozen=True)
class SourceTable:
    """One table of an archive.

    Attributes
    ----------
    name, table, key : str
        Short name, name in ADQL, and the column by which tables are joined.
    service : str
        Name or URL of the TAP service; the archive's own if empty.
    where : str
        ADQL condition, may be empty.
    line : str
        Column that names the line, in a table with several rows an object.
    adds_objects : bool
        Whether objects that are only here are kept: a catalogue of galaxies. Rows of other tables
        are taken for the objects that others have.
    ra, dec : str
        Columns of the position in degrees, may be empty.
    labels : tuple of LabelRule
    ebv : str
        Column with E(B-V), may be empty.
    ebv_scale : float
        Times this it is E(B-V) on the scale of Schlafly & Finkbeiner (2011); 0.86 for SFD.
    total : TotalFlux or None
    photometry : str
        Survey of `jpassed.surveys` that reads `photometry_columns`: total fluxes.
    photometry_columns : tuple of str
    columns : tuple of str
        Further columns, for addresses of spectra.
    reference : str
    """

    name: str
    table: str
    key: str
    service: str = ""
    where: str = ""
    line: str = ""
    adds_objects: bool = False
    ra: str = ""
    dec: str = ""
    labels: tuple[LabelRule, ...] = ()
    ebv: str = ""
    ebv_scale: float = 1.0
    total: TotalFlux | None = None
    photometry: str = ""
    photometry_columns: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    reference: str = ""

    @property
    def wanted(self) -> tuple[str, ...]:
        """Every column to be queried, the key first."""
        given = (self.line, self.ra, self.dec)
        names = [self.key, *(name for name in given if name), *self.columns]
        names += [c for rule in self.labels for c in rule.columns]
        names += [self.ebv] if self.ebv else []
        names += [self.total.column] if self.total else []
        return tuple(dict.fromkeys([*names, *self.photometry_columns]))


@dataclass(frozen=True)
class SpectrumSource:
    """Where the spectrum of an object is.

    Attributes
    ----------
    kind : {"url", "column", "datalink", "ssap", "sparcl"}
        A pattern of the address; a column with it; a column with a datalink document; a simple
        spectral access service; SPARCL.
    url : str
        Pattern with columns in braces, e.g. ``{plate:04d}``; the service of ``ssap``.
    column : str
        Of ``column`` and ``datalink``: holds the address. Of ``sparcl``: the identifier. Of
        ``url``: what `variants` goes by.
    variants : mapping
        Of ``url``: patterns in place of `url` for some values of `column`.
    match : str
        Of ``ssap``: the column of the answer that holds the object's key; the nearest if empty.
    radius : float
        Of ``ssap``: arcsec.
    name : str
        Pattern of the spectrum's name in a file with several; the object's key if empty.
    release : tuple of str
        Of ``sparcl``: data sets.
    """

    kind: str
    url: str = ""
    column: str = ""
    match: str = ""
    radius: float = 2.0
    name: str = ""
    release: tuple[str, ...] = ()
    variants: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Archive:
    """An archive: its objects, tables of labels, and spectra.

    Attributes
    ----------
    name, service, description, reference : str
    objects : SourceTable
        One row for each spectrum.
    kind : str
        Column of `objects` with the class, may be empty.
    tables : tuple of SourceTable
        Joined by their key.
    spectra : SpectrumSource or None
    """

    name: str
    service: str
    objects: SourceTable
    kind: str = ""
    tables: tuple[SourceTable, ...] = ()
    spectra: SpectrumSource | None = None
    description: str = ""
    reference: str = ""

    @property
    def all_tables(self) -> tuple[SourceTable, ...]:
        """`objects` first, then the others."""
        return (self.objects, *self.tables)

    def service_of(self, table: SourceTable) -> str:
        """Name or URL of the service of one of the tables."""
        return table.service or self.service

    def changed(
        self,
        *,
        where: str | None = None,
        without: tuple[str, ...] = (),
        union: bool = True,
        **other: Any,
    ) -> Archive:
        """The archive with another selection of objects, or without some of its tables.

        Without `union` no table adds objects to those selected.
        """
        names = [t.name for t in self.tables]
        for name in without:
            if name not in names:
                raise UnknownNameError(f"table of {self.name}", name, names)
        objects = self.objects if where is None else replace(self.objects, where=where)
        kept = tuple(
            replace(t, adds_objects=t.adds_objects and union)
            for t in self.tables
            if t.name not in without
        )
        return replace(self, objects=objects, tables=kept, **other)
