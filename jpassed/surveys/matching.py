"""Which column is which band: the rules of a survey tried on the columns of a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.surveys.columns import ColumnIndex, column_unit, numbers_and_mask
from jpassed.surveys.rules import ColumnRule

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Match", "MatchResult", "TableReader", "match_rules"]

ERROR_KINDS = ("error", "ivar", "relative_error")

# A family of columns that has nearly as many bands as the fullest one may be preferred to it.
NEARLY_ALL = 0.9


class TableReader:
    """Columns of one table as plain numbers, each read once."""

    def __init__(self, table: Any) -> None:
        self.table = table
        self.names = [str(name) for name in table.colnames]
        self._numbers: dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]] = {}
        self._widths: dict[str, int] = {}
        self._indices: dict[tuple[tuple[str, ...], tuple[str, ...]], ColumnIndex] = {}

    def __len__(self) -> int:
        return len(self.table)

    def index(self, prefixes: tuple[str, ...], exclude: tuple[str, ...] = ()) -> ColumnIndex:
        """The columns by their plain name."""
        key = (prefixes, exclude)
        if key not in self._indices:
            self._indices[key] = ColumnIndex(self.names, prefixes, exclude)
        return self._indices[key]

    def numbers(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Numbers and mask of a column, see `numbers_and_mask`."""
        if name not in self._numbers:
            self._numbers[name] = numbers_and_mask(self.table[name], name)
        return self._numbers[name]

    def unit(self, name: str) -> Any:
        """Unit of a column or None."""
        return column_unit(self.table[name])

    def width(self, name: str) -> int:
        """How many numbers a row of the column holds (0: the column holds no numbers)."""
        if name not in self._widths:
            self._widths[name] = self._width(name)
        return self._widths[name]

    def _width(self, name: str) -> int:
        column = self.table[name]
        dtype = getattr(column, "dtype", None)
        if dtype is not None and dtype.kind in "biuf":
            size = int(np.prod(column.shape[1:]))
            return size if column.ndim <= 2 else 0
        try:
            values, _ = self.numbers(name)
        except InputError:
            return 0
        return 1 if values.ndim == 1 else values.shape[1]


@dataclass(frozen=True)
class Match:
    """One band found in a table.

    Attributes
    ----------
    rule : ColumnRule
    index : int
        Position of the band in ``rule.bands``.
    value, error : str
        The table's columns.
    error_kind : {"error", "ivar", "relative_error"}
    element : int or None
        Position within an array column.
    """

    rule: ColumnRule
    index: int
    value: str
    error: str
    error_kind: str
    element: int | None = None

    @property
    def band(self) -> str:
        """Name of the band."""
        return self.rule.bands[self.index][1]

    @property
    def label(self) -> str:
        """Label of the band in column names, lower case."""
        return self.rule.bands[self.index][0].lower()


@dataclass(frozen=True)
class MatchResult:
    """Bands found, the flux columns that have no error column, and what was left out.

    `passed_over` are the columns of families that others were preferred to, with their errors.
    """

    matches: tuple[Match, ...]
    without_error: tuple[str, ...]
    messages: tuple[str, ...]
    passed_over: tuple[str, ...] = ()


@lru_cache(maxsize=512)
def _compile(pattern: str, labels: tuple[str, ...]) -> re.Pattern[str]:
    ordered = sorted(labels, key=len, reverse=True)
    text = re.escape(pattern.lower())
    text = text.replace(r"\{band\}", "(?P<band>" + "|".join(map(re.escape, ordered)) + ")")
    # Lazy: "x_jplus_j0660" is band jplus_J0660 with "x" before it, not J0660 with "x_jplus".
    return re.compile(text.replace(r"\{any\}", "(?P<any>.+?)"))


def fill_pattern(pattern: str, label: str, anything: str) -> str:
    """Lower-case column name of a pattern for one band."""
    return pattern.lower().replace("{band}", label).replace("{any}", anything)


def _find_error(
    rule: ColumnRule, index: ColumnIndex, label: str, anything: str, value: str
) -> tuple[str, str] | None:
    for kind in ERROR_KINDS:
        for pattern in getattr(rule, kind):
            name = fill_pattern(pattern, label, anything)
            if name in index and name != value:
                if len(index.names_of(value)) == 1:
                    return index.actual(name), kind
                # Say that the flux column is there twice rather than its error column.
                return index.actual(value), kind
    return None


def _exact_column(name: str, reader: TableReader, rule: ColumnRule) -> str:
    if name in reader.names:
        return name
    same = [column for column in reader.names if column.lower() == name.lower()]
    if len(same) == 1:
        return same[0]
    error = UnknownNameError("column", name, reader.names)
    raise InputError(f"map {rule.survey!r}, band {rule.bands[0][1]}: {error}")


def _match_exact(rule: ColumnRule, reader: TableReader) -> list[Match]:
    kind = next(k for k in ERROR_KINDS if getattr(rule, k))
    value = _exact_column(rule.value[0], reader, rule)
    error = _exact_column(getattr(rule, kind)[0], reader, rule)
    for name in (value, error):
        if reader.width(name) != 1:
            raise InputError(
                f"map {rule.survey!r}, band {rule.bands[0][1]}: column {name!r} does not hold "
                "one number per row; use 'photometry' with 'layout: array' for array columns"
            )
    return [Match(rule, 0, value, error, kind)]


def _match_array(
    rule: ColumnRule, reader: TableReader, index: ColumnIndex
) -> tuple[list[list[Match]], list[str]]:
    """One list of matches for each array column that fits, most wanted first."""
    families: list[tuple[int, int, list[Match]]] = []
    without = []
    n_bands = len(rule.bands)
    own_errors = [p for kind in ERROR_KINDS for p in getattr(rule, kind)]
    for rank, pattern in enumerate(rule.value):
        for plain in index:
            found = _compile(pattern, ()).fullmatch(plain)
            if not found or any(_compile(p, ()).fullmatch(plain) for p in own_errors):
                continue
            anything = found.groupdict().get("any", "")
            fits = [name for name in index.names_of(plain) if reader.width(name) == n_bands]
            if not fits or not _allowed(rule, anything):
                continue
            name = fits[0] if len(fits) == 1 else index.actual(plain)
            pair = _find_error(rule, index, "", anything, plain)
            if pair is None or reader.width(pair[0]) != n_bands:
                without.append(name)
                continue
            if any(name == members[0].value for _, _, members in families):
                continue
            matches = [Match(rule, k, name, *pair, element=k) for k in range(n_bands)]
            families.append((rank, _preference(rule, anything), matches))
    families.sort(key=lambda family: family[:2])
    _refuse_ties(families)
    return [members for _, _, members in families], without


def _preference(rule: ColumnRule, anything: str) -> int:
    wanted = [text.lower() for text in rule.prefer]
    return wanted.index(anything) if anything in wanted else len(wanted)


def _allowed(rule: ColumnRule, anything: str) -> bool:
    return not (rule.closed and anything) or anything in (text.lower() for text in rule.prefer)


def _refuse_ties(families: Sequence[tuple[int, int, list[Match]]]) -> None:
    if len(families) > 1 and families[0][:2] == families[1][:2]:
        first, second = families[0][2], families[1][2]
        common = {m.band: m.value for m in first}
        for match in second:
            if match.band in common:
                raise _duplicate(match.band, common[match.band], match.value)


def _duplicate(band: str, first: str, second: str) -> InputError:
    return InputError(
        f"columns {first!r} and {second!r} both give band {band}; remove one of them from the "
        "table, or say in a map (--map FILE) which one to use"
    )


def _match_columns(
    rule: ColumnRule, reader: TableReader, index: ColumnIndex, used: set[str]
) -> tuple[list[list[Match]], list[str]]:
    """One list of matches for each family of columns (pattern and text for ``{any}``)."""
    labels = tuple(label.lower() for label, _ in rule.bands)
    position = {label: k for k, label in enumerate(labels)}
    found: dict[tuple[int, str], list[Match]] = {}
    without: list[str] = []
    for rank, pattern in enumerate(rule.value):
        expression = _compile(pattern, labels)
        for plain in index:
            hit = expression.fullmatch(plain)
            if not hit:
                continue
            anything = hit.groupdict().get("any", "")
            if anything and any(name in used for name in index.names_of(plain)):
                continue
            if not _allowed(rule, anything):
                continue
            pair = _find_error(rule, index, hit["band"], anything, plain)
            if pair is None:
                if not anything:
                    without += index.names_of(plain)
                continue
            name = index.actual(plain)
            if reader.width(name) != 1 or reader.width(pair[0]) != 1:
                if not anything:
                    _refuse_text(reader, (name, pair[0]))
                continue
            found.setdefault((rank, anything), []).append(
                Match(rule, position[hit["band"]], name, *pair)
            )
    if not found:
        return [], without
    most = max(len(members) for members in found.values())
    families = [
        (0 if len(members) >= NEARLY_ALL * most else 1, rank, _preference(rule, anything), members)
        for (rank, anything), members in found.items()
    ]
    families.sort(key=lambda family: family[:3])
    full = [(rank, wish, members) for few, rank, wish, members in families if not few]
    _refuse_ties(full)
    return [members for *_, members in families], without


def _refuse_text(reader: TableReader, names: Sequence[str]) -> None:
    """One word in a column of numbers makes all of it text: say so, do not lose the band."""
    for name in names:
        if reader.width(name) == 0:
            reader.numbers(name)


def _applies(rule: ColumnRule, index: ColumnIndex) -> bool:
    if not rule.where:
        return True
    present = any(selection.column.lower() in index for selection in rule.where)
    return present or any(selection.otherwise for selection in rule.where)


def match_rules(rules: Sequence[ColumnRule], reader: TableReader) -> MatchResult:
    """Try rules on a table.

    Parameters
    ----------
    rules : sequence of ColumnRule
        In the order in which they are tried.
    reader : TableReader

    Returns
    -------
    MatchResult
        At most one column for each band.

    Raises
    ------
    InputError
        If two columns that are not ranked by a rule give the same band.
    """
    matches: list[Match] = []
    without: list[str] = []
    messages: list[str] = []
    used: set[str] = set()
    for rule in rules:
        if rule.exact:
            families, bare = [_match_exact(rule, reader)], list[str]()
        else:
            index = reader.index(rule.prefixes, rule.exclude)
            if not _applies(rule, index):
                continue
            if rule.layout == "array":
                families, bare = _match_array(rule, reader, index)
            else:
                families, bare = _match_columns(rule, reader, index, used)
        without += bare
        for family in families:
            used.update(name for match in family for name in (match.value, match.error))
        if families:
            matches += families[0]
        if len(families) > 1:
            kept, others = families[0][0].value, [family[0].value for family in families[1:]]
            messages.append(
                f"{rule.survey}: using {kept!r} and its like, not {', '.join(map(repr, others))}"
            )
    kept_matches = _one_per_band(matches, messages)
    left = tuple(name for name in dict.fromkeys(without) if name not in used)
    kept_names = {name for match in kept_matches for name in (match.value, match.error)}
    passed = tuple(sorted(used - kept_names))
    return MatchResult(tuple(kept_matches), left, tuple(messages), passed)


def _one_per_band(matches: list[Match], messages: list[str]) -> list[Match]:
    """The match of the highest priority for each band; equal ones are an error."""
    chosen: dict[str, Match] = {}
    for match in matches:
        other = chosen.get(match.band)
        if other is None:
            chosen[match.band] = match
            continue
        if match.value != other.value and match.rule.priority == other.rule.priority:
            raise _duplicate(match.band, other.value, match.value)
        winner = match if match.rule.priority > other.rule.priority else other
        loser = other if winner is match else match
        chosen[match.band] = winner
        if loser.value != winner.value:
            messages.append(f"{match.band}: using column {winner.value!r}, not {loser.value!r}")
    return list(chosen.values())
