"""FITS tables: choosing the HDU, and header cards that other programs read.

astropy keeps descriptions and UCDs in a comment of its own. STILTS and TOPCAT read ``TCOMMn`` and
``TUCDn``, which astropy in turn leaves in the table's meta under numbers that no longer fit once
a column has moved. Here they are written as cards, and moved back to the columns on reading.
"""

from __future__ import annotations

import json
import logging
import re
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from jpassed.exceptions import FileError, InputError
from jpassed.io.native_columns import (
    extremes,
    null_value,
    quantity_table,
    refuse_duplicates,
    type_with_null,
    widen,
)
from jpassed.io.texts import META_CARD, as_json, one_line, unpack_meta

__all__ = ["META_CARD", "choose_table", "read_fits", "write_fits"]

logger = logging.getLogger(__name__)

_CARDS = {
    "TCOMM": "description",
    "TUCD": "ucd",
    "TUTYP": "utype",
    # time coordinates; kept under their own name
    "TCTYP": "TCTYP",
    "TCUNI": "TCUNI",
    "TRPOS": "TRPOS",
    # ranges, and coordinates of binned columns
    **{
        key: key for key in ("TDMIN", "TDMAX", "TLMIN", "TLMAX", "TCRVL", "TCRPX", "TCDLT", "TCNAM")
    },
}
"""Numbered cards to what they are called in a column's info or ``info.meta``."""

_STALE = re.compile(rf"^({'|'.join(_CARDS)})\d+$")
_OF_THE_FILE = ("CHECKSUM", "DATASUM", "DATE-HDU", "STILVERS", "STILCLAS")
"""Cards that tell of the file that was read, not of the table."""
_NATIVE_KEY = re.compile(r"^[A-Z0-9_-]{1,8}$")


def read_fits(content: bytes, path: Path, part: str | None) -> Any:
    """Read one table of a FITS file.

    Parameters
    ----------
    content : bytes
        The file, unpacked.
    path : Path
        For messages.
    part : str or None
        EXTNAME or number of the HDU; needed only where several hold a table.

    Returns
    -------
    astropy.table.Table
        With descriptions and UCDs (``info.meta["ucd"]``) on the columns.

    Raises
    ------
    FileError
        If it is not FITS, truncated, or has no table or several.
    InputError
        If column names occur twice.
    """
    from astropy.io import fits
    from astropy.table import Table

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with fits.open(BytesIO(content), memmap=False) as hdus:
                # FITS is written in blocks of 2880 bytes.
                hdu = choose_table(list(hdus), path, part, cut=len(content) % 2880 != 0)
                if hdus[0].header.get("COLFITS") is True:
                    raise FileError(
                        f"{path} is TOPCAT's column-oriented FITS (colfits), a single row of whole "
                        "columns; save it as FITS"
                    )
                names = [str(name) for name in hdu.columns.names]
                refuse_duplicates(names, path)
                if any("truncated" in str(w.message) for w in caught):
                    raise FileError(
                        f"{path} is truncated: shorter than its header says; copy it again"
                    )
                cards = {
                    (key, k): hdu.header.get(f"{prefix}{k}")
                    for prefix, key in _CARDS.items()
                    for k in range(1, len(names) + 1)
                }
                table = Table.read(hdu)
                packed = hdu.header.get(META_CARD)
                _mask_logicals(table, hdu)
                extra = _votable_meta(hdus, hdu)
    except (FileError, InputError):
        raise
    except (OSError, ValueError, TypeError, KeyError, IndexError, fits.VerifyError) as exc:
        raise FileError(f"{path} is not a FITS table, or it is damaged: {one_line(exc)}") from exc
    for key in [key for key in table.meta if _STALE.match(str(key)) or key in _OF_THE_FILE]:
        del table.meta[key]
    if packed is not None:
        table.meta[META_CARD] = packed
    unpack_meta(table.meta)
    for (key, k), text in cards.items():
        if text not in (None, "") and names[k - 1] in table.colnames:
            info = table[names[k - 1]].info
            if key == "description":
                info.description = info.description or str(text)
            else:
                info.meta = {**(info.meta or {}), key: text}
    if extra is not None:
        _add_votable_meta(table, *extra)
    return table


def _mask_logicals(table: Any, hdu: Any) -> None:
    """Logical values that are neither T nor F are null; astropy reads them as False."""
    from astropy.table import MaskedColumn

    if hdu.data is None:
        return
    raw = hdu.data.view(np.ndarray)
    for column in hdu.columns:
        name = column.name
        if name not in table.colnames or table[name].dtype.kind != "b":
            continue
        letters = raw[name]
        if letters.dtype.kind != "i" or letters.shape != table[name].shape:
            continue
        null = letters == 0
        if null.any():
            about = {"description": table[name].description, "meta": table[name].meta}
            table[name] = MaskedColumn(table[name].data, mask=null, name=name, **about)


def _votable_meta(hdus: Any, hdu: Any) -> Any:
    """What the VOTable says that TOPCAT puts before the tables of its files ("fits-plus").

    FITS cards hold 68 letters of a description, and no table parameters.
    """
    first = hdus[0]
    if first.header.get("VOTMETA") is not True or first.data is None:
        return None
    from jpassed.io.votables import read_votable_meta

    number = [k for k, other in enumerate(hdus) if other is hdu][0] - 1
    return read_votable_meta(first.data.tobytes(), number)


def _add_votable_meta(table: Any, meta: dict[str, Any], columns: dict[str, dict[str, str]]) -> None:
    table.meta.update({key: value for key, value in meta.items() if key not in table.meta})
    unpack_meta(table.meta)
    for name, about in columns.items():
        if name not in table.colnames:
            continue
        info = table[name].info
        further = dict(about)
        info.description = further.pop("description", None) or info.description
        info.meta = {**(info.meta or {}), **further}


def choose_table(hdus: list[Any], path: Path, part: str | None, cut: bool = False) -> Any:
    """The HDU that `part` names, or the only one with a table; raises `FileError` for others.

    With `cut` the file ends within a block, which is why it may have none.
    """
    from astropy.io import fits

    tables = [k for k, hdu in enumerate(hdus) if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)]
    listed = ", ".join(f"{k} {hdus[k].name!r} ({len(hdus[k].columns)} columns)" for k in tables)
    if not tables:
        if cut:
            raise FileError(f"{path} is truncated: it ends before its table; copy it again")
        kinds = ", ".join(type(hdu).__name__ for hdu in hdus) or "nothing"
        raise FileError(f"{path} has no table; it holds {kinds}")
    if part is None:
        if len(tables) > 1:
            raise FileError(
                f"{path} has {len(tables)} tables: HDU {listed}; choose one as "
                f"{path.name}#{tables[0]} or by its name"
            )
        return hdus[tables[0]]
    for k in tables:
        if part == str(k) or part.lower() == hdus[k].name.lower():
            return hdus[k]
    raise FileError(f"{path} has no table {part!r}; its tables are HDU {listed}")


def write_fits(table: Any, path: Path | BinaryIO) -> None:
    """Write a plain table (see `plain_table`) as FITS.

    Parameters
    ----------
    table : astropy.table.Table
        Changed in small ways (null values); hand over a copy.
    path : Path or file
        Not existing, or open for writing.
    """
    from astropy.io import fits

    table.meta, packed = _split_meta(table.meta)
    # astropy takes int8 for logical values.
    widen(table, {"int8": "int16", "float16": "float32", "float128": "float64"})
    null_logicals = _prepare_nulls(table)
    table = _keep_odd_units(table)
    _encode_text(table)
    cards = {
        (name, prefix): _ascii(
            table[name].info.description
            if key == "description"
            else (table[name].info.meta or {}).get(key)
        )
        for name in table.colnames
        for prefix, key in _CARDS.items()
    }
    buffer = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table.write(buffer, format="fits")
        buffer.seek(0)
        with fits.open(buffer, memmap=False) as hdus:
            header = hdus[1].header
            for name, mask in null_logicals.items():
                hdus[1].data.view(np.ndarray)[name][mask] = 0
            for k, name in enumerate(hdus[1].columns.names, start=1):
                for prefix in _CARDS:
                    if cards.get((name, prefix)) not in (None, ""):
                        header[f"{prefix}{k}"] = cards[name, prefix]
            if packed:
                header[META_CARD] = json.dumps(packed, default=as_json)
                _show(packed, header)
            hdus.writeto(path)


def _show(packed: dict[str, Any], header: Any) -> None:
    """Cards of their own for short entries, for those who read headers and not JSON."""
    for key, value in packed.items():
        short = isinstance(value, bool | int | float | str) and str(value).isascii()
        if short and len(str(value)) <= 40 and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,20}", key):
            if key.upper() not in header and not (isinstance(value, float) and value != value):
                header[f"HIERARCH {key}"] = value


def _ascii(text: Any) -> Any:
    """Text for a card: FITS headers hold ASCII only. Numbers stay."""
    if isinstance(text, bool | int | float):
        return text
    plain = str(text or "").replace("Å", "Angstrom").replace("µ", "u").replace("μ", "u")
    return " ".join(plain.encode("ascii", "replace").decode("ascii").split())


def _split_meta(meta: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What has a FITS card of its own, and the rest."""
    native: dict[str, Any] = {}
    packed: dict[str, Any] = {}
    for key, value in dict(meta).items():
        if key == "comments" or str(key).startswith("__"):
            native[key] = value
        elif (
            isinstance(key, str)
            and _NATIVE_KEY.match(key)
            and isinstance(value, str | int | float | bool)
            and (not isinstance(value, str) or (value.isascii() and value.isprintable()))
            and not (isinstance(value, float) and not np.isfinite(value))
        ):
            native[key] = value
        elif key in ("HISTORY", "COMMENT"):
            native[key] = value
        else:
            packed[str(key)] = value
    return native, packed


def _prepare_nulls(table: Any) -> dict[str, Any]:
    """Null values that no measurement has; of logical columns, where they are null.

    A null logical is a zero byte, which astropy does not write.
    """
    from astropy.table import Column, MaskedColumn

    logicals: dict[str, Any] = {}
    for name in table.colnames:
        column = table[name]
        if not isinstance(column, MaskedColumn):
            continue
        if column.dtype.kind == "b":
            logicals[name] = np.array(column.mask)
            about = {"description": column.description, "meta": column.meta, "name": name}
            table[name] = Column(column.filled(False), **about)
        if column.dtype.kind in "iu":
            table[name] = _with_null(column)
    return logicals


def _with_null(column: Any) -> Any:
    """Integers with a null that none of them is; plain ones if none is masked."""
    from astropy.table import Column, MaskedColumn

    values, mask = column.data.data, np.array(column.mask)
    keys = ("name", "unit", "description", "format", "meta")
    about = {key: getattr(column, key) for key in keys}
    if not mask.any():
        return Column(values, **about)
    try:
        dtype = type_with_null(values.dtype, extremes(values, mask))
    except InputError as exc:
        raise InputError(f"column {column.name!r}: {exc}") from None
    return MaskedColumn(values.astype(dtype), mask=mask, fill_value=null_value(dtype), **about)


def _encode_text(table: Any) -> None:
    """Text beyond ASCII, which the standard leaves out, as UTF-8: most readers take it."""
    from astropy.table import MaskedColumn

    for name in table.colnames:
        column = table[name]
        if getattr(column, "dtype", None) is None or column.dtype.kind != "U":
            continue
        values = np.asarray(np.ma.getdata(column))
        encoded = np.char.encode(values, "utf-8")
        if encoded.size and np.any(np.char.str_len(encoded) > np.char.str_len(values)):
            logger.warning("%s: FITS holds ASCII text only; written as UTF-8", name)
            new = MaskedColumn if isinstance(column, MaskedColumn) else type(column)
            mask = {"mask": column.mask} if isinstance(column, MaskedColumn) else {}
            about = {"name": name, "description": column.description, "meta": column.meta}
            table[name] = new(encoded, **mask, **about)


def _keep_odd_units(table: Any) -> Any:
    """The table, as a `QTable` where a unit (``mag(AB)``) has no FITS spelling.

    astropy describes the columns of a QTable in a comment, from which it restores such units.
    """
    from astropy.table import Column

    for name in table.colnames:
        column = table[name]
        if not isinstance(column, Column) or column.unit is None:
            continue
        try:
            column.unit.to_string("fits")
        except (ValueError, TypeError, AttributeError):
            return quantity_table(table)
    return table
