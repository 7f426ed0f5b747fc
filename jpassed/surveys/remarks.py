"""What is said of some rows of a table's bands: the same of several bands in one line."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Remark", "in_few_lines"]

logger = logging.getLogger(__name__)

ROWS_SHOWN, NAMES_SHOWN = 5, 3


@dataclass(frozen=True)
class Remark:
    """What is said of some rows of one band.

    Attributes
    ----------
    band : str
    rows : ndarray of int
        One at least.
    what : str
        With ``{}`` for the column.
    column : str
    """

    band: str
    rows: NDArray[np.int64]
    what: str
    column: str = ""

    @property
    def text(self) -> str:
        """In words."""
        shown = ", ".join(str(k) for k in self.rows[:ROWS_SHOWN])
        more = ", ..." if self.rows.size > ROWS_SHOWN else ""
        plural = "row" if self.rows.size == 1 else "rows"
        said = self.what.format(f"column {self.column!r}")
        return f"{self.band}: {self.rows.size} {plural} ({shown}{more}) {said}"


def in_few_lines(remarks: Iterable[Remark]) -> list[str]:
    """One text for what is the same in several bands; the log has those of single bands.

    Bands that share a column are told together, and those with columns of their own where they
    are more than a few.
    """
    shared: dict[tuple[str, str], list[Remark]] = {}
    for remark in remarks:
        shared.setdefault((remark.what, remark.column), []).append(remark)
    single: dict[str, list[Remark]] = {}
    for (what, _), same in shared.items():
        if len(same) == 1:
            single.setdefault(what, []).extend(same)
    many = {what: alone for what, alone in single.items() if len(alone) > NAMES_SHOWN}
    found = []
    for (what, _), same in shared.items():
        if len(same) > 1 or what not in many:
            found.append(_together(same))
        elif same[0] is many[what][0]:
            found.append(_together(many[what]))
    return found


def _together(remarks: list[Remark]) -> str:
    if len(remarks) == 1:
        return remarks[0].text
    for remark in remarks:
        logger.info(remark.text)
    bands = _few([remark.band for remark in remarks])
    columns = list(dict.fromkeys(repr(remark.column) for remark in remarks))
    where = f"column{'s' if len(columns) > 1 else ''} {_few(columns)}"
    number = sum(remark.rows.size for remark in remarks)
    return f"{len(remarks)} bands ({bands}): {number} values {remarks[0].what.format(where)}"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")
