"""What tables that follow each other have in common: one type for each column of all of them."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from jpassed.exceptions import InputError
from jpassed.io.native_columns import extremes, plain_table, type_with_null

__all__ = ["ColumnLayout", "TableLayout", "join_tables"]


@dataclass(frozen=True)
class ColumnLayout:
    """Type of a column.

    Attributes
    ----------
    dtype : numpy.dtype
    shape : tuple of int
        Of one row.
    masked : bool
        Whether it is a masked column.
    missing, given : bool
        Whether some value is masked, and whether some is not.
    unknown : bool
        Every row is an empty object: what its values would be is not known.
    longest : str
        Of a column of texts, that with most bytes in UTF-8.
    beyond_ascii : bool
        Whether some text has characters beyond ASCII.
    extremes : tuple of int or None
        The smallest and largest integer that is not masked.
    about : dict
        Unit, description, format and meta.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    masked: bool
    missing: bool
    given: bool
    unknown: bool = False
    longest: str = ""
    beyond_ascii: bool = False
    extremes: tuple[int, int] | None = None
    about: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, column: Any) -> ColumnLayout:
        """The layout of a plain column.

        Raises
        ------
        InputError
            For objects of different kinds or lengths, or columns that are more than values.
        """
        from astropy.table import Column

        if not isinstance(column, Column):
            raise InputError(
                f"column {column.info.name!r} is a {type(column).__name__}; pages hold columns of "
                "numbers and texts"
            )
        about = {
            "unit": column.unit,
            "description": column.description,
            "format": column.format,
            "meta": dict(column.meta),
        }
        mask = getattr(column, "mask", None)
        if column.dtype.kind == "O":
            if not _all_empty(column):
                raise InputError(
                    f"column {column.name!r} holds arrays of different lengths, or objects; leave "
                    "it out"
                )
            return cls(np.dtype("U1"), (), True, len(column) > 0, False, True, about=about)
        missing = mask is not None and bool(np.any(mask))
        given = bool(column.size) and (mask is None or not bool(np.all(mask)))
        return cls(
            column.dtype.newbyteorder("="),
            column.shape[1:],
            mask is not None,
            missing,
            given,
            False,
            *_bytes_of(np.asarray(np.ma.getdata(column))),
            extremes=extremes(np.asarray(np.ma.getdata(column)), mask),
            about=about,
        )

    def joined(self, other: ColumnLayout, name: str) -> ColumnLayout:
        """The layout that holds both.

        Raises
        ------
        InputError
            If there is none.
        """
        same_kind = (self.dtype.kind == "U") == (other.dtype.kind == "U")
        if self.unknown != other.unknown or self.shape != other.shape or not same_kind:
            # Of a page without a single value the service does not always say the type.
            for blank, known in ((self, other), (other, self)):
                if blank.masked and not blank.given:
                    return replace(known, masked=True, missing=True, about=self.about)
            raise InputError(
                f"column {name!r} changes from {_named(self)} to {_named(other)} between pages"
            )
        if str(self.about.get("unit")) != str(other.about.get("unit")):
            raise InputError(
                f"column {name!r} changes its unit from {self.about.get('unit')} to "
                f"{other.about.get('unit')} between pages"
            )
        if self.dtype.kind != other.dtype.kind:
            # An empty column of a text file is one of numbers, whatever stands in other pages.
            for blank, known in ((self, other), (other, self)):
                if blank.masked and not blank.given:
                    return replace(known, masked=True, missing=True, about=self.about)
        return replace(
            self,
            dtype=np.promote_types(self.dtype, other.dtype),
            masked=self.masked or other.masked,
            missing=self.missing or other.missing,
            given=self.given or other.given,
            longest=max(self.longest, other.longest, key=_size),
            beyond_ascii=self.beyond_ascii or other.beyond_ascii,
            extremes=_both(self.extremes, other.extremes),
        )

    def with_null(self, name: str) -> ColumnLayout:
        """The layout whose null is none of the values, where some are null.

        Raises
        ------
        InputError
            If there is none.
        """
        if not self.missing:
            return self
        try:
            return replace(self, dtype=type_with_null(self.dtype, self.extremes))
        except InputError as exc:
            raise InputError(f"column {name!r}: {exc}") from None

    def column(self, name: str, values: Any, mask: Any) -> Any:
        """A column of this layout."""
        from astropy.table import Column, MaskedColumn

        about = copy.deepcopy(self.about)
        if self.masked:
            return MaskedColumn(values, mask=mask, name=name, copy=False, **about)
        return Column(values, name=name, copy=False, **about)

    def cast(self, column: Any) -> tuple[Any, Any]:
        """Values and mask (None for a column without) of a plain column in this layout."""
        shape = (len(column), *self.shape)
        same_kind = (column.dtype.kind == "U") == (self.dtype.kind == "U")
        if column.dtype.kind == "O" or column.shape != shape or not same_kind:
            return np.zeros(shape, self.dtype), np.ones(shape, bool)  # a page without a value
        mask = getattr(column, "mask", None)
        values = np.asarray(column.data if mask is None else column.data.data)
        if not self.masked:
            return values.astype(self.dtype, copy=False), None
        mask = np.zeros(shape, bool) if mask is None else np.asarray(mask)
        if not np.can_cast(values.dtype, self.dtype) and np.all(mask):
            values = np.zeros(shape, self.dtype)
        return values.astype(self.dtype, copy=False), mask

    def example(self) -> tuple[Any, Any]:
        """Values and mask of one row, masked where the whole has masked values."""
        shape = (1, *self.shape)
        text = self.longest
        if self.beyond_ascii and text.isascii():
            text = "é" + text[2:]  # as many bytes
        values = np.full(shape, text) if self.beyond_ascii else np.zeros(shape, self.dtype)
        mask = np.full(shape, self.missing) if self.masked else None
        return values.astype(self.dtype), mask


def _both(one: tuple[int, int] | None, other: tuple[int, int] | None) -> tuple[int, int] | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one[0], other[0]), max(one[1], other[1])


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _bytes_of(values: Any) -> tuple[str, bool]:
    """The text with most bytes in UTF-8, and whether any is beyond ASCII."""
    if values.dtype.kind != "U" or values.size == 0:
        return "", False
    sizes = np.char.str_len(np.char.encode(values, "utf-8", "replace"))
    longest = str(values.ravel()[int(np.argmax(sizes))])
    return longest, bool(np.any(sizes > np.char.str_len(values)))


def _named(layout: ColumnLayout) -> str:
    kind = "text" if layout.dtype.kind == "U" else str(layout.dtype)
    return f"{kind}{list(layout.shape)}" if layout.shape else kind


def _all_empty(column: Any) -> bool:
    mask = getattr(column, "mask", None)
    if mask is not None and np.shape(mask) == column.shape and np.all(mask):
        return True
    values = np.asarray(column.data if mask is None else column.data.data)
    return all(item is None or item is np.ma.masked for item in values.ravel())


@dataclass(frozen=True)
class TableLayout:
    """Types of the columns of a table that comes in pieces.

    Attributes
    ----------
    columns : dict
        `ColumnLayout` by name, in order.
    """

    columns: dict[str, ColumnLayout]

    @classmethod
    def of(cls, table: Any) -> TableLayout:
        """The layout of one plain table (see `jpassed.io.native_columns.plain_table`)."""
        return cls({name: ColumnLayout.of(table[name]) for name in table.colnames})

    def joined(self, other: TableLayout) -> TableLayout:
        """The layout that holds both.

        Raises
        ------
        InputError
            If the columns differ in name or kind.
        """
        if list(self.columns) != list(other.columns):
            new = [name for name in other.columns if name not in self.columns]
            gone = [name for name in self.columns if name not in other.columns]
            raise InputError(
                f"the columns change between pages: {', '.join(new) or 'none'} new, "
                f"{', '.join(gone) or 'none'} gone"
            )
        return TableLayout(
            {name: own.joined(other.columns[name], name) for name, own in self.columns.items()}
        )

    def with_nulls(self) -> TableLayout:
        """The layout in which no value is taken for null by formats that have one for it.

        Raises
        ------
        InputError
            If there is none.
        """
        return TableLayout({name: own.with_null(name) for name, own in self.columns.items()})

    def cast(self, table: Any, meta: Any, *, example: bool = False) -> Any:
        """A plain table in this layout.

        Parameters
        ----------
        table : astropy.table.Table
        meta : mapping
            Of the new table.
        example : bool
            Append the row of `example`.
        """
        from astropy.table import Table

        out = Table(meta=copy.deepcopy(dict(meta)))
        for name, layout in self.columns.items():
            values, mask = layout.cast(table[name])
            if example:
                last, last_mask = layout.example()
                values = np.concatenate([values, last])
                mask = None if mask is None else np.concatenate([mask, last_mask])
            out[name] = layout.column(name, values, mask)
        return out

    def example(self) -> Any:
        """A table of one row that has every property of the whole: types, masks, nulls."""
        from astropy.table import Table

        return Table(
            [layout.column(name, *layout.example()) for name, layout in self.columns.items()]
        )


def join_tables(tables: Iterable[Any]) -> Any:
    """Tables one after the other in one; the meta of later ones completes that of earlier ones.

    Parameters
    ----------
    tables : iterable of Table or QTable
        With the same columns.

    Returns
    -------
    astropy.table.Table
        Plain columns, as `astropy.table.vstack` makes them: texts as wide as the widest, masked
        columns where one of the tables has a masked one.

    Raises
    ------
    InputError
        If there is no table, or the columns differ.
    """
    from astropy.table import Table

    plain = [plain_table(table) for table in tables]
    if not plain:
        raise InputError("there is no table to join")
    layout = TableLayout.of(plain[0])
    for table in plain[1:]:
        layout = layout.joined(TableLayout.of(table))
    out = Table(meta=joined_meta(table.meta for table in plain))
    for name, column in layout.columns.items():
        values, masks = zip(*(column.cast(table[name]) for table in plain), strict=True)
        mask = np.concatenate(masks) if column.masked else None
        out[name] = column.column(name, np.concatenate(values), mask)
    return out


def joined_meta(metas: Iterable[Any]) -> dict[Any, Any]:
    """The entries of all, the last word of each."""
    out: dict[Any, Any] = {}
    for meta in metas:
        out.update(copy.deepcopy(dict(meta)))
    return out
