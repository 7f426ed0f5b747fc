"""Table columns as plain arrays: masks, units, big-endian numbers, text and object columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ColumnIndex", "column_unit", "numbers_and_mask", "says_magnitude"]

_MAGNITUDE_NAME = re.compile(
    r"mag(?!n|e(?!rr))|(?:^|\.)m_(?!star|stellar|halo|dust|bh|gas|dyn|vir|h\d?i?(?:_|$)|\d{3}(?:_|$))"
)
_NULL_WORDS = {"", "null", "none", "na", "n/a", "--", "masked"}


class ColumnIndex:
    """Columns of a table by their plain lower-case name.

    Archives put the schema or table before a name (``minijpas.FLambdaDualObj.flux_auto``):
    what stands before the last dot is dropped, and so are the given prefixes.

    Parameters
    ----------
    names : list of str
        Column names as the table has them.
    prefixes : tuple of str
        Further texts that may stand before a name, in lower case.
    exclude : tuple of str
        Beginnings of names, in lower case, that are left out.
    """

    def __init__(
        self, names: list[str], prefixes: tuple[str, ...] = (), exclude: tuple[str, ...] = ()
    ) -> None:
        found: dict[str, list[str]] = {}
        for name in names:
            # "E(B-V)" and "flux.1" keep their dots only where something readable is left.
            plain = name.lower()
            tail = plain.rsplit(".", 1)[-1]
            plain = tail if tail and not tail[0].isdigit() else plain
            for prefix in prefixes:
                if plain.startswith(prefix) and len(plain) > len(prefix):
                    plain = plain[len(prefix) :]
                    break
            if not plain.startswith(exclude or ("\0",)):
                found.setdefault(plain, []).append(name)
        self._found: Mapping[str, list[str]] = found

    def __iter__(self) -> Any:
        return iter(self._found)

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def names_of(self, plain: str) -> list[str]:
        """The table's own names that share a plain name."""
        return list(self._found[plain])

    def actual(self, plain: str) -> str:
        """The table's own name of a column; `InputError` if two columns share the plain name."""
        names = self._found[plain]
        if len(names) > 1:
            shown = " and ".join(repr(name) for name in names)
            raise InputError(
                f"columns {shown} both mean {plain!r}; remove one of them from the table"
            )
        return names[0]


def column_unit(column: Any) -> Any:
    """Unit of a column as an astropy unit, or None where it states none.

    ``erg/s/cm2/A`` is read as per Angstrom: taken literally it is per ampere, which no table
    of fluxes means.
    """
    unit = getattr(column, "unit", None)
    if unit is None or str(unit).strip() == "":
        return None
    from astropy import units as u

    if isinstance(unit, str):
        unit = u.Unit(unit, parse_strict="silent")
    bases = getattr(unit, "bases", None)
    if bases is not None and u.A in bases:
        powers = dict(zip(bases, unit.powers, strict=True))
        rest = unit / u.A ** powers[u.A]
        return rest * u.AA ** powers[u.A]
    return unit


def says_magnitude(name: str) -> bool:
    """Whether the name of a column says that it holds magnitudes.

    Examples
    --------
    >>> from jpassed.surveys.columns import says_magnitude
    >>> [says_magnitude(name) for name in ("m_rSDSS", "gSDSSmag", "rSDSS", "flux_m_r")]
    [True, True, False, False]
    """
    return "flux" not in name.lower() and bool(_MAGNITUDE_NAME.search(name.lower()))


def numbers_and_mask(column: Any, name: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """A column as native float64 numbers and a mask.

    Parameters
    ----------
    column : Column, MaskedColumn, Quantity or array
        Shape (N,) or (N, P). Text such as ``"1.5"``, ``"1 2 3"`` or ``"[1, 2, 3]"`` and objects
        (arrays, lists, None) are read as numbers; (N, 1) comes back as (N,).
    name : str
        For messages.

    Returns
    -------
    numbers : ndarray of float64
        NaN where masked.
    missing : ndarray of bool
        True where masked or not finite.

    Raises
    ------
    InputError
        If the column does not hold numbers, or rows of different lengths.
    """
    mask = getattr(column, "mask", None)
    bare = getattr(column, "unmasked", column)
    raw = np.asarray(getattr(bare, "value", bare))
    if isinstance(raw, np.ma.MaskedArray):
        raw = raw.data
    if raw.dtype.kind in "OSU":
        raw = _from_objects(raw, name)
        if mask is not None and np.shape(mask) != raw.shape:
            flat = np.asarray(mask)
            mask = flat.reshape(len(raw), *([1] * (raw.ndim - 1))) if flat.ndim == 1 else None
    elif raw.dtype.kind not in "biuf":
        raise InputError(f"column {name!r} holds {raw.dtype}, expected numbers")
    numbers = np.array(raw, dtype=np.float64)
    if mask is not None:
        numbers[np.broadcast_to(np.asarray(mask), numbers.shape)] = np.nan
    if numbers.ndim == 2 and numbers.shape[1] == 1:
        numbers = numbers[:, 0]
    if numbers.ndim > 2:
        raise InputError(
            f"column {name!r} has {numbers.ndim - 1} axes per row {numbers.shape[1:]}; expected "
            "one number or one list of numbers"
        )
    return numbers, ~np.isfinite(numbers)


def _from_objects(raw: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Numbers of a column of text or of Python objects, shape (N,) or (N, P)."""
    if raw.dtype.kind == "S":
        raw = np.char.decode(raw, "ascii", "replace")
    if raw.ndim == 1 and raw.dtype.kind == "U":
        return _from_text(raw, name)
    rows = [_row(item, name, k) for k, item in enumerate(raw)]
    lengths = {row.size for row in rows if row.size}
    if not lengths:
        return np.full(len(rows), np.nan)
    if len(lengths) > 1:
        raise InputError(
            f"column {name!r} has rows of different lengths ({min(lengths)} to {max(lengths)}); "
            "expected the same number of values in every row"
        )
    width = lengths.pop()
    blank = np.full(width, np.nan)
    stacked = np.stack([row if row.size else blank for row in rows])
    return stacked[:, 0] if width == 1 else stacked


def _row(item: Any, name: str, k: int) -> NDArray[np.float64]:
    if item is None or item is np.ma.masked:
        return np.empty(0)
    if isinstance(item, bytes):
        item = item.decode("ascii", "replace")
    try:
        numbers = _words(item) if isinstance(item, str) else item
        return np.ma.filled(np.ma.asarray(numbers, dtype=np.float64), np.nan).ravel()
    except (TypeError, ValueError):
        raise InputError(
            f"column {name!r}, row {k}: expected numbers, got {str(item)[:60]!r}; "
            "leave it empty where nothing was measured"
        ) from None


def _words(text: str) -> list[float | str]:
    for bracket in "[](){}":
        text = text.replace(bracket, " ")
    words = text.replace(",", " ").replace(";", " ").split()
    return [np.nan if word.lower() in _NULL_WORDS else word for word in words]


def _from_text(raw: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Numbers of a text column, in one pass where every row has the same number of words."""
    lower = np.char.lower(np.char.strip(raw))
    blank = np.isin(lower, list(_NULL_WORDS))
    filled = raw[~blank]
    if filled.size == 0:
        return np.full(raw.shape, np.nan)
    words = _words(" ".join(filled.tolist()))
    first = len(_words(str(filled[0])))
    if first and len(words) == first * filled.size:
        try:
            numbers = np.array(words, dtype=np.float64).reshape(filled.size, first)
        except ValueError:
            numbers = np.empty((0, 0))
        # The total can fit by chance although single rows differ: count the separators too.
        counts = np.char.count(np.char.strip(filled), " ") + np.char.count(filled, ",")
        if numbers.size and (first == 1 or np.all(counts == counts[0])):
            out = np.full((raw.size, first), np.nan)
            out[~blank] = numbers
            return out[:, 0] if first == 1 else out
    return _from_objects(
        np.array([None if b else t for b, t in zip(blank, raw, strict=True)], dtype=object), name
    )
