"""What jpassed makes of a table: which column is which band, what is left out, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jpassed.exceptions import InputError
from jpassed.surveys.assumptions import check_magnitudes, extinction_notes
from jpassed.surveys.conversion import flux_unit
from jpassed.surveys.label_names import LabelSuggestion, suggest_labels
from jpassed.surveys.map_text import UNSURE, aux_columns, map_of
from jpassed.surveys.matching import Match, MatchResult, TableReader
from jpassed.surveys.near_misses import NearMiss, near_misses
from jpassed.surveys.suggestion import suggest_lines, suggest_map
from jpassed.surveys.survey import AUTO, OWN_PREFIXES, Survey, detect_survey, load_survey

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Identification", "IdentifiedBand", "LeftOut", "identify"]

NOT_READ = "a column of jpassed: never read as a bandflux"


@dataclass(frozen=True)
class IdentifiedBand:
    """One band that was found.

    Attributes
    ----------
    band, survey : str
        Its name, and the survey whose rule found it.
    column : str
        The column of the values.
    element : int or None
        Place in the column where that holds an array.
    unit : str
        As the values are read: that of the column, else the survey's; empty if there is none,
        ``"???"`` if values without a unit look like magnitudes.
    stated : bool
        Whether the column itself states the unit.
    error_column : str
    error_kind : {"error", "ivar", "relative_error"}
    pivot, width : float
        Å, vacuum.
    """

    band: str
    survey: str
    column: str
    element: int | None
    unit: str
    stated: bool
    error_column: str
    error_kind: str
    pivot: float
    width: float


@dataclass(frozen=True)
class LeftOut:
    """A column that looks like something and is not used: `column` and the `reason`."""

    column: str
    reason: str


@dataclass(frozen=True)
class Identification:
    """What was found in a table.

    Attributes
    ----------
    n_rows : int
    columns : tuple of str
        All columns of the table.
    surveys : tuple of str
        The surveys whose columns it has; empty if none was recognised.
    bands : tuple of IdentifiedBand
    also_used : dict
        Further columns that are read (flags, Galactic extinction), and what for.
    context : dict
        Labels that the survey file names: quantity to column.
    left_out : tuple of LeftOut
        Columns that look like bandfluxes and are not used.
    labels : tuple of LabelSuggestion
        Columns that could be given as context; none of them is used by itself.
    near : tuple of NearMiss
        Columns that look like a band and are not used.
    messages : tuple of str
        Which columns were preferred to which others.
    notes : tuple of str
        Which bands the table's E(B-V) is not used for.
    problem : str
        Why `jpassed.annotate` would refuse the table; empty if it would not.
    """

    n_rows: int
    columns: tuple[str, ...]
    surveys: tuple[str, ...] = ()
    bands: tuple[IdentifiedBand, ...] = ()
    also_used: dict[str, str] = field(default_factory=dict)
    context: dict[str, str] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    labels: tuple[LabelSuggestion, ...] = ()
    near: tuple[NearMiss, ...] = ()
    messages: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str = ""
    _map: str = field(default="", repr=False)

    @property
    def recognised(self) -> bool:
        """Whether there is a band with errors."""
        return bool(self.bands)

    @property
    def others(self) -> tuple[str, ...]:
        """Columns that are none of these."""
        known = {b.column for b in self.bands} | {b.error_column for b in self.bands}
        known |= {name.strip() for text in self.context.values() for name in text.split(",")}
        known |= set(self.also_used) | {item.column for item in self.left_out}
        known |= {name for item in self.labels for name in (item.column, item.error_column) if name}
        return tuple(name for name in self.columns if name not in known)

    def as_map(self) -> str:
        """A map (YAML) to edit and to give as ``survey=`` or with ``--map``.

        Of a table that was recognised it reads the same bandfluxes as were found; of another it
        is a guess to start from.
        """
        return self._map

    def __str__(self) -> str:
        from jpassed.surveys.identification_text import as_text

        return as_text(self)


def identify(table: Any, survey: str | Path | Survey = AUTO) -> Identification:
    """Say what jpassed makes of a table, whether or not it is of use.

    Parameters
    ----------
    table : astropy.table.Table
    survey : str, Path or Survey
        ``"auto"`` looks for every survey, as `jpassed.annotate` does; or a survey's name, or a
        YAML map.

    Returns
    -------
    Identification
        ``print`` shows it; ``.as_map()`` is a map to start from.

    Raises
    ------
    InputError
        If `table` is not a table.
    UnknownNameError, FileError
        If there is no such survey.

    Examples
    --------
    >>> from astropy.table import Table
    >>> from jpassed.surveys import identify
    >>> found = identify(Table({"J0660": [1.0], "J0660_err": [0.1], "z_spec": [0.2]}))
    >>> found.surveys, found.bands[0].unit, found.labels[0].option
    (('generic',), 'uJy', '--context z=z_spec')
    """
    if not hasattr(table, "colnames"):
        raise InputError(
            f"identify takes an astropy Table, got {type(table).__name__}; read a file with "
            "jpassed.io.catalogs.read_catalog"
        )
    reader = TableReader(table)
    if not isinstance(survey, Survey) and str(survey) != AUTO:
        survey = load_survey(survey)
    problem = ""
    found = MatchResult((), (), ())
    context: dict[str, str] = {}
    try:
        chosen = survey if isinstance(survey, Survey) else detect_survey(table)
        found = chosen.match(table)
        context = dict(chosen.context)
    except InputError as exc:
        problem = str(exc)
    if not found.matches and not problem:
        problem = "no column of this survey was recognised"
    unsure, refusal = check_magnitudes(found.matches, reader)
    bands, troubles = _bands(found.matches, reader, unsure)
    troubles += [refusal] if refusal else []
    if troubles and not problem:
        problem = troubles[0]
    if len(table) == 0 and not problem:
        problem = "the table has no rows"
    also = {name: what for m in found.matches for name, what in aux_columns(m, reader).items()}
    used = {m.value for m in found.matches} | {m.error for m in found.matches} | set(also)
    used |= {name.strip() for text in context.values() for name in text.split(",")}
    labels = suggest_labels(reader, used)
    near = near_misses(reader, found, used | {item.column for item in labels})
    notes = extinction_notes(found.matches, reader)
    left = _left_out(found, reader, used | {item.column for item in labels})
    further = suggest_lines(
        [item.column for item in near], [match.band for match in found.matches], reader
    )
    return Identification(
        n_rows=len(table),
        columns=tuple(reader.names),
        surveys=tuple(dict.fromkeys(band.survey for band in bands)),
        bands=bands,
        also_used=also,
        context=context,
        left_out=left,
        labels=labels,
        near=near,
        messages=found.messages,
        notes=notes,
        problem=problem,
        _map=map_of(found.matches, reader, context, unsure, further)
        if bands
        else suggest_map(reader) + "\n",
    )


def _bands(
    matches: tuple[Match, ...], reader: TableReader, unsure: tuple[str, ...]
) -> tuple[tuple[IdentifiedBand, ...], list[str]]:
    """The bands, and what is wrong with their units."""
    from jpassed.filters import known_bands

    known = known_bands()
    bands, troubles = [], []
    for match in matches:
        own = reader.unit(match.value)
        unit = "" if own is None else str(own)
        try:
            read = flux_unit(match, reader)
        except InputError as exc:
            troubles.append(str(exc))
        else:
            unit = UNSURE if match.value in unsure else _spelled(read, unit, match)
        pivot, width = match.rule.passband or known[match.band]
        bands.append(
            IdentifiedBand(
                match.band,
                match.rule.survey,
                match.value,
                match.element,
                unit,
                own is not None,
                match.error,
                match.error_kind,
                pivot,
                width,
            )
        )
    return tuple(bands), troubles


def _spelled(read: Any, own: str, match: Match) -> str:
    if match.rule.zero_point is not None:
        return f"counts, zero point {match.rule.zero_point:g}"
    if isinstance(read, str) and read == "abmag":
        return "mag(AB)"
    return own or match.rule.unit or str(read)


def _left_out(found: MatchResult, reader: TableReader, used: set[str]) -> tuple[LeftOut, ...]:
    items = [
        LeftOut(name, "looks like a bandflux, but has no column of errors")
        for name in found.without_error
        if name not in used
    ]
    listed = {item.column for item in items}
    for name in reader.names:
        if name in used or name in listed:
            continue
        if name.lower().startswith(OWN_PREFIXES):
            items.append(LeftOut(name, NOT_READ))
    return tuple(items)
