"""Ready-made queries: what a survey's archive is asked for, as data, one YAML file a query."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.surveys.survey_file import as_texts, check_keys, read_yaml
from jpassed.vo.adql import beyond
from jpassed.vo.conditions import check_condition, read_cone, read_tiles
from jpassed.vo.dialects import Dialect, load_dialect, number

__all__ = ["ReadyMade", "SurveyQuery", "list_queries", "load_query"]

_KEYS = (
    "name", "description", "reference", "service", "filters", "from", "joins", "where", "main",
    "keys", "tile", "position", "columns", "bands", "elements",
    "ucds",
)  # fmt: skip
_REQUIRED = ("name", "from", "main", "keys", "position", "columns")
_PLAIN = re.compile(r"(?:[A-Za-z_]\w*\.)?(?:[A-Za-z_]\w*|\"[^\"]+\")")
_ELEMENT = re.compile(r"([A-Za-z_]\w*)\[([A-Za-z]\w*)\]")


@dataclass(frozen=True)
class ReadyMade:
    """What one survey's archive is asked for, see ``data/queries``.

    Attributes
    ----------
    name, description, reference : str
    service : str
        Name of the service that has the tables.
    filters : str
        The set of filters by whose names the service picks elements out of arrays.
    source : str
        What follows FROM, without joins.
    main : str
        Alias of the main table, whose columns may be named without it.
    joins : dict
        Alias of a further table to the join that brings it in, where a column or condition
        needs it.
    keys : tuple of str
        Output columns that together identify a row, by which it is paged.
    position : tuple of str
        Expressions of right ascension and declination.
    columns : dict
        Output column to expression.
    elements : dict
        Output column to array and band: elements of arrays, written as the dialect has it.
    tile : str
        Expression of the tile's number, empty if there are no tiles.
    where : str
        Condition that always holds.
    ucds : dict
        Output column to UCD, where that of the expression is none or another: a service gives
        ``MIN(z)`` the UCD ``stat.min;src.redshift``.
    """

    name: str
    source: str
    main: str
    keys: tuple[str, ...]
    position: tuple[str, str]
    columns: Mapping[str, str]
    joins: Mapping[str, str] = field(default_factory=dict)
    elements: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    description: str = ""
    reference: str = ""
    service: str = ""
    filters: str = ""
    tile: str = ""
    where: str = ""
    ucds: Mapping[str, str] = field(default_factory=dict)

    def select(
        self,
        dialect: Dialect | str = "adql",
        *,
        cone: Any = None,
        tile: Any = None,
        where: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> SurveyQuery:
        """The query of some part of the sky.

        Parameters
        ----------
        dialect : Dialect or str
            That of the service which will be asked.
        cone : sequence, optional
            (RA, Dec, radius), see `jpassed.vo.conditions.read_cone`.
        tile : int or sequence of int, optional
            Numbers of tiles.
        where : str, optional
            A condition in ADQL; the main table's columns as ``o.class_star``.
        columns : sequence of str, optional
            Names of output columns, ``"*"`` for all of them, columns of the main table, and
            elements of its arrays as ``"mag_auto[J0660]"``. The keys always come along.

        Raises
        ------
        InputError
            If one of these makes no sense, or nothing limits the query.
        """
        how = load_dialect(dialect) if isinstance(dialect, str) else dialect
        conditions = [self.where] if self.where else []
        if cone is None and tile is None and where is None:
            raise InputError(
                f"the query {self.name!r} would ask for all of the survey: give a cone (--cone RA "
                "DEC RADIUS), a tile (--tile) or a condition (--where)"
            )
        if cone is not None:
            conditions.append(how.circle(*self.position, *read_cone(cone)))
        if tile is not None:
            conditions.append(self._tiles(tile))
        if where is not None:
            conditions.append(f"({check_condition(where)})")
        chosen = self._columns(how, columns)
        keys = {key: chosen[key] for key in self.keys}
        return SurveyQuery(
            chosen,
            self._joined([*chosen.values(), *conditions]),
            tuple(conditions),
            keys,
            {name: ucd for name, ucd in self.ucds.items() if name in chosen},
        )

    def _joined(self, parts: Sequence[str]) -> str:
        """What follows FROM, with the joins that some part of the query needs."""
        text = " ".join(parts)
        needed = [
            join
            for alias, join in self.joins.items()
            if re.search(rf"(?<![\w.\"]){re.escape(alias)}\.", text, re.IGNORECASE)
        ]
        return " ".join([self.source, *needed])

    def _tiles(self, tile: Any) -> str:
        if not self.tile:
            raise InputError(f"the query {self.name!r} has no tiles; give a cone")
        numbers = [number(n) for n in read_tiles(tile)]
        if len(numbers) == 1:
            return f"{self.tile} = {numbers[0]}"
        return f"{self.tile} IN ({', '.join(numbers)})"

    def _columns(self, dialect: Dialect, wanted: Sequence[str] | None) -> dict[str, str]:
        """Output columns with their expressions, the keys first."""
        plain = dict(self.columns)
        elements = {
            name: dialect.band(array, self.filters, band)
            for name, (array, band) in (self.elements.items() if self._needs(wanted) else ())
        }
        own = {**plain, **elements}
        chosen = {key: plain[key] for key in self.keys}
        for name in ["*"] if wanted is None else wanted:
            if name == "*":
                chosen.update(own)
            elif name in own:
                chosen[name] = own[name]
            else:
                chosen.update([self._other(name, dialect)])
        return chosen

    def _needs(self, wanted: Sequence[str] | None) -> bool:
        return wanted is None or "*" in wanted or any(name in self.elements for name in wanted)

    def _other(self, name: str, dialect: Dialect) -> tuple[str, str]:
        """A column that the query has not by itself: name and expression."""
        element = _ELEMENT.fullmatch(name)
        if element:
            array, band = element.groups()
            return f"{array}_{band}", dialect.band(f"{self.main}.{array}", self.filters, band)
        if not _PLAIN.fullmatch(name):
            raise InputError(
                f"columns: expected names such as class_star or mag_auto[J0660], got {name!r}; "
                f"the columns of {self.name!r} are {', '.join(self.columns)}"
            )
        last = name[name.index('"') :] if '"' in name else name.rpartition(".")[2]
        return last, name if "." in name.split('"')[0] else f"{self.main}.{name}"


@dataclass(frozen=True)
class SurveyQuery:
    """A query that pages by conditions of its own; it is a `jpassed.vo.adql.PagedQuery`.

    Attributes
    ----------
    columns : dict
        Output column to expression.
    source : str
        What follows FROM.
    conditions : tuple of str
        Joined by AND.
    keys : dict
        Output columns that identify a row, with their expressions.
    ucds : dict
        Output column to the UCD that it has, whatever the service says.
    """

    columns: Mapping[str, str]
    source: str
    conditions: tuple[str, ...]
    keys: Mapping[str, str]
    ucds: Mapping[str, str] = field(default_factory=dict)

    def whole(self) -> str:
        """All of it."""
        return self._query(", ".join(self._selected()), self.conditions)

    def count(self) -> str:
        """How many rows `whole` has."""
        return self._query("COUNT(*) AS n", self.conditions)

    def page(self, keys: Sequence[str], after: Sequence[Any] | None, top: int) -> str:
        """The first `top` rows after those with the keys `after`, in the order of the keys.

        Raises
        ------
        UnknownNameError
            If a key is not among the columns.
        InputError
            If a value of `after` is neither text nor number.
        """
        expressions = []
        for key in keys:
            if key not in self.columns:
                raise UnknownNameError("key of the query", key, self.columns)
            expressions.append(self.columns[key])
        conditions = self.conditions
        if after is not None:
            conditions = (*conditions, beyond(expressions, after))
        selected = f"TOP {number(int(top))} {', '.join(self._selected())}"
        return f"{self._query(selected, conditions)} ORDER BY {', '.join(keys)}"

    def _selected(self) -> list[str]:
        return [
            expression if name.startswith('"') else f"{expression} AS {name}"
            for name, expression in self.columns.items()
        ]

    def _query(self, selected: str, conditions: Sequence[str]) -> str:
        limits = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return f"SELECT {selected} FROM {self.source}{limits}"


@cache
def _shipped() -> dict[str, ReadyMade]:
    folder = files("jpassed.vo") / "data" / "queries"
    named = sorted((p.name, p) for p in folder.iterdir() if p.name.endswith(".yaml"))
    found = [_parse(path.read_text(encoding="utf-8"), name) for name, path in named]
    return {query.name: query for query in found}


def list_queries() -> dict[str, ReadyMade]:
    """The ready-made queries by name.

    Returns
    -------
    dict
        Name to `ReadyMade`.
    """
    return dict(_shipped())


def load_query(name: str | Path) -> ReadyMade:
    """A ready-made query by its name, or from a YAML file of the same form.

    Parameters
    ----------
    name : str or Path
        A name of `list_queries`, or the path of a YAML file.

    Returns
    -------
    ReadyMade

    Raises
    ------
    UnknownNameError
        If there is none of that name.
    FileError
        If the file cannot be read.
    InputError
        If the file is not such a query.
    """
    known = _shipped()
    if str(name) in known:
        return known[str(name)]
    path = Path(name)
    if path.suffix.lower() not in (".yaml", ".yml"):
        raise UnknownNameError("ready-made query", name, known)
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise FileError(f"cannot read the query {path}: {exc}") from None
    return _parse(content, str(path))


def _parse(content: str, where: str) -> ReadyMade:
    found = check_keys(read_yaml(content, where), _KEYS, where)
    missing = [key for key in _REQUIRED if not found.get(key)]
    if missing:
        raise InputError(f"{where}: {', '.join(missing)} missing")
    columns = _texts(found["columns"], f"{where}, columns")
    keys = as_texts(found["keys"], f"{where}, keys")
    unknown = [key for key in keys if key not in columns]
    if unknown:
        raise InputError(f"{where}, keys: {UnknownNameError('column', unknown[0], columns)}")
    position = as_texts(found["position"], f"{where}, position")
    if len(position) != 2:
        raise InputError(f"{where}, position: expected [RA, DEC], got {found['position']!r}")
    patterns = _texts(found.get("elements", {}), f"{where}, elements")
    bands = as_texts(found.get("bands"), f"{where}, bands")
    elements = {
        pattern.format(band=band): (array, band)
        for band in bands
        for pattern, array in patterns.items()
    }
    simple = ("name", "description", "reference", "service", "filters", "tile", "where")
    return ReadyMade(
        source=" ".join(str(found["from"]).split()),
        main=str(found["main"]),
        keys=keys,
        position=(position[0], position[1]),
        columns=columns,
        joins=_texts(found.get("joins", {}), f"{where}, joins"),
        elements=elements,
        ucds=_ucds(found.get("ucds", {}), columns, where),
        **{key: str(found[key]) for key in simple if key in found},
    )


def _texts(block: Any, where: str) -> dict[str, str]:
    if not isinstance(block, dict) or not all(isinstance(v, str) for v in block.values()):
        raise InputError(f"{where}: expected 'name: expression' lines, got {block!r}")
    return {str(name): value for name, value in block.items()}


def _ucds(block: Any, columns: Mapping[str, str], where: str) -> dict[str, str]:
    found = _texts(block, f"{where}, ucds")
    for name in found:
        if name not in columns:
            raise InputError(f"{where}, ucds: {UnknownNameError('column', name, columns)}")
    return found
