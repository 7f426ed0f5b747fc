"""The table that comes out: the input's own columns as they are, and new ones filled by batches."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jpassed.posteriors.columns import ColumnText, column_name

__all__ = ["PREFIX", "OutputColumns", "in_order", "written_before"]

PREFIX = "jp_"
ROW_COLUMNS = (f"{PREFIX}intruder", f"{PREFIX}chi2", f"{PREFIX}flag", f"{PREFIX}nbands")
SUFFIXES = ("err", "lo", "hi", "defined", "pdf", "samples")


class OutputColumns:
    """Columns of N rows that are filled a batch at a time: the memory of the result, once.

    Parameters
    ----------
    n : int
        Number of rows N.
    texts : iterable of ColumnText
        What is said of the columns whose values come as arrays.
    """

    def __init__(self, n: int, texts: Iterable[ColumnText] = ()) -> None:
        self._n = n
        self._texts = {text.name: text for text in texts}
        self._first: dict[str, Any] = {}
        self._values: dict[str, NDArray[Any]] = {}
        self._masks: dict[str, NDArray[np.bool_]] = {}

    def put(self, rows: slice, columns: Iterable[Any]) -> None:
        """Store the columns of some rows; every batch has the same columns."""
        for column in columns:
            name = column.name
            if name not in self._first:
                self._first[name] = column
                self._values[name] = np.zeros((self._n, *column.shape[1:]), dtype=column.dtype)
            mask = getattr(column, "mask", None)
            if mask is None:
                self._values[name][rows] = column
                continue
            self._values[name][rows] = column.data.data
            if name not in self._masks:
                self._masks[name] = np.zeros(self._values[name].shape, dtype=bool)
            self._masks[name][rows] = mask

    def put_values(self, rows: slice, values: Mapping[str, NDArray[np.float32]]) -> None:
        """Store the values of some rows, NaN where they are masked, by names of columns."""
        for name, part in values.items():
            if name not in self._values:
                self._values[name] = np.zeros((self._n, *part.shape[1:]), dtype=np.float32)
            self._values[name][rows] = part

    def finish(self) -> list[Any]:
        """The columns: masked ones where some value is masked."""
        from astropy.table import Column, MaskedColumn

        result = [text.column(self._values[name]) for name, text in self._texts.items()]
        for name, first in self._first.items():
            about = {
                "name": name,
                "unit": first.unit,
                "description": first.description,
                "format": first.format,
                "meta": copy.deepcopy(first.info.meta),
            }
            values, mask = self._values[name], self._masks.get(name)
            if mask is None:
                result.append(Column(values, copy=False, **about))
            else:
                result.append(MaskedColumn(values, mask=mask, copy=False, **about))
        return result


def in_order(columns: Iterable[Any], outputs: Sequence[str]) -> list[Any]:
    """Columns in the order of the quantities, those of each in the order of `SUFFIXES`."""
    named = {column.name: column for column in columns}
    wanted = [column_name(q, suffix, PREFIX) for q in outputs for suffix in ("", *SUFFIXES)]
    return [named[name] for name in wanted if name in named]


def written_before(names: Sequence[str], outputs: Sequence[str]) -> list[str]:
    """Columns of a table that annotating it would write, in any case (FITS knows no case)."""
    stems = {column_name(quantity, prefix=PREFIX).lower() for quantity in outputs}
    found = []
    for name in names:
        lower = name.lower()
        stem, _, suffix = lower.rpartition("_")
        if lower in stems or lower in ROW_COLUMNS:
            found.append(name)
        elif stem in stems and suffix in SUFFIXES:
            found.append(name)
    return found
