"""One piece of a table as a file: arrays by number, and what is said of them as text."""

from __future__ import annotations

import copy
import json
import os
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from jpassed.exceptions import FileError
from jpassed.io.atomic import atomic_output
from jpassed.io.texts import one_line

__all__ = ["load_piece", "read_note", "save_piece"]


def save_piece(table: Any, path: Path, after: tuple[Any, ...] = ()) -> None:
    """Write a plain table as a piece, whole or not at all; `table` loses its meta."""
    with atomic_output(path, overwrite=True) as temporary, open(temporary, "wb") as target:
        _save(table, after, target)


def _save(table: Any, after: tuple[Any, ...], target: BinaryIO) -> None:
    from astropy.table import Table
    from astropy.table import meta as table_meta

    def described(part: Any) -> str:
        return "\n".join(table_meta.get_yaml_from_table(part))

    # Apart from each other: the columns are the same in all pieces, and slow to parse.
    texts = {
        "note": json.dumps({"rows": len(table), "after": after}),
        "meta": described(Table(meta=table.meta)),
    }
    table.meta = {}
    texts["columns"] = described(table)
    arrays: dict[str, Any] = {key: np.array(text) for key, text in texts.items()}
    for k, name in enumerate(table.colnames):
        column = table[name]
        mask = getattr(column, "mask", None)
        if column.dtype.kind == "O":
            arrays[f"unknown{k}"] = np.zeros(len(column), bool)
            continue
        arrays[f"values{k}"] = np.asarray(column.data if mask is None else column.data.data)
        if mask is not None:
            arrays[f"mask{k}"] = np.asarray(mask)
    np.savez(target, allow_pickle=False, **arrays)
    target.flush()
    os.fsync(target.fileno())


def read_note(path: Path) -> dict[str, Any]:
    """Rows of a piece, and what comes after them; raises `FileError` if it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(json.loads(str(stored["note"])))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as exc:
        raise FileError(f"{path} is damaged ({one_line(exc)}); remove it and go on") from exc


@lru_cache(maxsize=4)
def _columns(text: str) -> list[dict[str, Any]]:
    """What is said of the columns: name, unit, description and so on of each."""
    return list(_described(text)["datatype"])


def _described(text: str) -> dict[str, Any]:
    from astropy.table import meta as table_meta

    return dict(table_meta.get_header_from_yaml(text.split("\n")))


def load_piece(path: Path) -> Any:
    """The plain table of a piece; raises `FileError` if it is damaged."""
    from astropy.table import Column, MaskedColumn, Table

    try:
        with np.load(path, allow_pickle=False) as stored:
            table = Table(meta=_described(str(stored["meta"])).get("meta", {}))
            for k, item in enumerate(_columns(str(stored["columns"]))):
                about = {key: item.get(key) for key in ("name", "unit", "description", "format")}
                about["meta"] = copy.deepcopy(item.get("meta", {}))
                if f"unknown{k}" in stored:
                    values = np.full(len(stored[f"unknown{k}"]), None, dtype=object)
                    table.add_column(MaskedColumn(values, mask=True, **about))
                elif f"mask{k}" in stored:
                    column = MaskedColumn(stored[f"values{k}"], mask=stored[f"mask{k}"], **about)
                    table.add_column(column, copy=False)
                else:
                    table.add_column(Column(stored[f"values{k}"], **about), copy=False)
            return table
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as exc:
        raise FileError(f"{path} is damaged ({one_line(exc)}); remove it and go on") from exc
