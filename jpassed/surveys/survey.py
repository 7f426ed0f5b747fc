"""A survey: one YAML file that says which column is which band."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.surveys.assumptions import check_magnitudes
from jpassed.surveys.conversion import read_band
from jpassed.surveys.matching import MatchResult, TableReader, match_rules
from jpassed.surveys.photometry import Photometry
from jpassed.surveys.remarks import in_few_lines
from jpassed.surveys.rules import ColumnRule
from jpassed.surveys.suggestion import unrecognised
from jpassed.surveys.survey_file import (
    SHARED_KEYS,
    as_number,
    as_texts,
    check_keys,
    parse_shared,
    pattern_rule,
    read_yaml,
    single_rule,
)

__all__ = ["Survey", "detect_survey", "list_surveys", "load_survey", "read_photometry"]

logger = logging.getLogger(__name__)

AUTO = "auto"

# Columns that jpassed itself writes beside the bandfluxes, and never reads as bandfluxes.
OWN_PREFIXES = ("jp_", "true_")

_SURVEY_KEYS = (
    "name",
    "description",
    "reference",
    "auto",
    "priority",
    "requires",
    "prefixes",
    "include",
    "context",
    "unit",
    "bands",
    "photometry",
    *SHARED_KEYS,
)


@dataclass(frozen=True)
class Survey:
    """How the tables of a survey name their bandfluxes.

    Attributes
    ----------
    name, description, reference : str
    rules : tuple of ColumnRule
    auto : bool
        Whether ``survey="auto"`` tries it.
    requires : tuple of str
        Columns without which a table is not of this survey.
    context : dict
        Labels that the survey file names as context: quantity to column.
    judged : bool
        Whether the values of a table's first rows were looked at before. What comes now is more
        of it, and not refused because its values look like magnitudes: the faint end of a
        catalogue in microjansky does.
    """

    name: str
    rules: tuple[ColumnRule, ...]
    description: str = ""
    reference: str = ""
    auto: bool = True
    requires: tuple[str, ...] = ()
    context: Mapping[str, str] = field(default_factory=dict)
    judged: bool = False

    @property
    def bands(self) -> tuple[str, ...]:
        """Every band that the rules can give."""
        return tuple(dict.fromkeys(band for rule in self.rules for _, band in rule.bands))

    def match(self, table: Any) -> MatchResult:
        """Which columns of a table hold which band."""
        return match_rules(self.rules, TableReader(table))

    def recognises(self, table: Any) -> bool:
        """Whether the table has the required columns and at least one band with errors."""
        reader = TableReader(table)
        prefixes = self.rules[0].prefixes if self.rules else ()
        index = reader.index(prefixes)
        if not all(name.lower() in index for name in self.requires):
            return False
        return bool(match_rules(self.rules, reader).matches)

    def photometry(self, table: Any) -> Photometry:
        """Bandfluxes of a table.

        Parameters
        ----------
        table : astropy.table.Table
            N rows.

        Returns
        -------
        Photometry
            Every row of the table; rows without any measurement are in its `bad_rows`.

        Raises
        ------
        UnrecognisedTableError
            If no column is recognised; the message lists the columns and a map to start from.
        InputError
            If the table is empty, or a unit is missing or wrong, or values without a unit look
            like magnitudes, or two columns give one band.
        """
        if len(table.colnames) == 0 or len(table) == 0:
            raise InputError(
                f"the table is empty ({len(table)} rows, {len(table.colnames)} columns); "
                "expected at least one row with bandfluxes"
            )
        reader = TableReader(table)
        found = match_rules(self.rules, reader)
        if not found.matches:
            raise unrecognised(reader, found.without_error, self.name)
        columns = [read_band(match, reader) for match in found.matches]
        _, refusal = check_magnitudes(found.matches, reader, values=not self.judged)
        if refusal:
            raise InputError(refusal)
        messages = list(found.messages)
        if found.without_error:
            messages.append(
                "left out, no error column: " + ", ".join(map(repr, found.without_error))
            )
        messages += [text for column in columns for text in column.messages]
        messages += in_few_lines(remark for column in columns for remark in column.remarks)
        unique = tuple(dict.fromkeys(messages))
        for text in unique:
            logger.info(text)
        return Photometry(
            tuple(match.band for match in found.matches),
            np.array([column.pivot for column in columns]),
            np.array([column.width for column in columns]),
            np.stack([column.flux for column in columns], axis=1),
            np.stack([column.error for column in columns], axis=1),
            np.stack([column.observed for column in columns], axis=1),
            np.any([column.bad_error for column in columns], axis=0),
            tuple(match.rule.survey for match in found.matches),
            tuple(match.value for match in found.matches),
            unique,
        )


def parse_survey(block: Any, name: str, source: str | None = None) -> Survey:
    """A `Survey` from the content of its YAML file; `source` names the file in messages.

    Raises
    ------
    InputError
        With the place and the valid keys, if the content is not one of a survey file.
    """
    where = f"survey file {source or name!r}"
    found = check_keys(block, _SURVEY_KEYS, where)
    if not ({"bands", "photometry", "include"} & set(found)):
        raise InputError(
            f"{where}: expected 'bands' (one line per band) or 'photometry' (column patterns)"
        )
    title = str(found.get("name", name))
    shared = parse_shared(found, where)
    shared["priority"] = int(as_number(found.get("priority", 0), f"{where}, priority"))
    prefixes = as_texts(found.get("prefixes"), f"{where}, prefixes")
    shared["prefixes"] = tuple(text.lower() for text in prefixes)
    shared["exclude"] = OWN_PREFIXES
    rules: list[ColumnRule] = []
    own = found.get("bands", {})
    if not isinstance(own, Mapping):
        raise InputError(f"{where}, bands: expected 'BAND: {{flux: COLUMN, error: COLUMN}}' lines")
    for band, line in own.items():
        rules.append(single_rule(title, str(band), line, shared, found.get("unit"), where))
    items = found.get("photometry", [])
    if not isinstance(items, list):
        raise InputError(f"{where}, photometry: expected a list of rules")
    for k, item in enumerate(items):
        rules.append(pattern_rule(title, item, shared, f"{where}, photometry[{k}]"))
    for other in as_texts(found.get("include"), f"{where}, include"):
        if other not in list_surveys():
            reason = UnknownNameError("survey", other, list_surveys())
            raise InputError(f"{where}, include: {reason}")
        rules += _embedded(other).rules
    context = check_context(found.get("context", {}), where)
    requires = as_texts(found.get("requires"), f"{where}, requires")
    return Survey(
        title,
        tuple(rules),
        str(found.get("description", "")),
        str(found.get("reference", "")),
        bool(found.get("auto", True)),
        requires,
        context,
    )


def check_context(block: Any, where: str) -> dict[str, str]:
    """The labels that a survey file names as context, checked against the vocabulary."""
    from jpassed.vocabulary import load_vocabulary

    if not isinstance(block, Mapping):
        raise InputError(f"{where}, context: expected 'QUANTITY: COLUMN' lines, got {block!r}")
    scalars = load_vocabulary().scalars
    for quantity in block:
        if quantity not in scalars:
            raise InputError(f"{where}, context: {UnknownNameError('quantity', quantity, scalars)}")
    return {str(quantity): str(column) for quantity, column in block.items()}


def list_surveys() -> tuple[str, ...]:
    """Names of the surveys that come with jpassed.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> import jpassed
    >>> {"minijpas", "sdss", "legacy"} <= set(jpassed.list_surveys())
    True
    """
    folder = files("jpassed.surveys").joinpath("data")
    return tuple(sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".yaml")))


@cache
def _embedded(name: str) -> Survey:
    path = files("jpassed.surveys").joinpath("data", f"{name}.yaml")
    return parse_survey(read_yaml(path.read_text("utf-8"), name), name)


def load_survey(name: str | Path) -> Survey:
    """A survey by name or from a YAML file.

    Parameters
    ----------
    name : str or Path
        A name of `list_surveys`, several joined with commas, or the path of a YAML file.

    Returns
    -------
    Survey

    Raises
    ------
    UnknownNameError
        If there is neither such a survey nor such a file.
    FileError
        If the file is missing or cannot be read.
    InputError
        If the file is not a survey file.

    Examples
    --------
    >>> from jpassed.surveys import load_survey
    >>> load_survey("galex").bands
    ('galex_fuv', 'galex_nuv')
    """
    text = str(name)
    if text in list_surveys():
        return _embedded(text)
    path = Path(name)
    if path.suffix.lower() in {".yaml", ".yml"} or path.is_file():
        try:
            content = path.read_text("utf-8")
        except FileNotFoundError:
            raise FileError(f"survey file {text} does not exist") from None
        except (OSError, UnicodeDecodeError) as exc:
            raise FileError(f"survey file {text} cannot be read: {exc}") from None
        return parse_survey(read_yaml(content, f"survey file {text}"), path.stem, text)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if len(parts) > 1:
        return _merge([load_survey(part) for part in parts])
    raise UnknownNameError("survey", text, (AUTO, *list_surveys()))


def _merge(surveys: list[Survey]) -> Survey:
    if len(surveys) == 1:
        return surveys[0]
    return Survey(
        "+".join(survey.name for survey in surveys),
        tuple(rule for survey in surveys for rule in survey.rules),
        description="several surveys in one table",
        context={k: v for survey in surveys for k, v in survey.context.items()},
    )


def detect_survey(table: Any) -> Survey:
    """The surveys whose columns a table has, merged into one.

    Parameters
    ----------
    table : astropy.table.Table

    Returns
    -------
    Survey
        Its name joins those recognised with ``+``.

    Raises
    ------
    UnrecognisedTableError
        If no bandflux column is recognised.
    """
    found = [s for s in map(_embedded, list_surveys()) if s.auto and s.recognises(table)]
    reader = TableReader(table)
    if found:
        rules = [rule for survey in found for rule in survey.rules]
        useful = {match.rule.survey for match in match_rules(rules, reader).matches}
        return _merge([survey for survey in found if survey.name in useful])
    bare = [name for s in map(_embedded, list_surveys()) for name in s.match(table).without_error]
    raise unrecognised(reader, tuple(dict.fromkeys(bare)), AUTO)


def read_photometry(table: Any, survey: str | Path | Survey = AUTO) -> Photometry:
    """Bandfluxes of a table.

    Parameters
    ----------
    table : astropy.table.Table
    survey : str, Path or Survey
        ``"auto"`` takes whatever is recognised; otherwise see `load_survey`.

    Returns
    -------
    Photometry

    Raises
    ------
    InputError
        See `Survey.photometry`.
    """
    if len(table.colnames) == 0 or len(table) == 0:
        raise InputError(
            f"the table is empty ({len(table)} rows, {len(table.colnames)} columns); "
            "expected at least one row with bandfluxes"
        )
    if not isinstance(survey, Survey):
        survey = detect_survey(table) if str(survey) == AUTO else load_survey(survey)
    return survey.photometry(table)
