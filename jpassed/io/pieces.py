"""A table that comes in pieces: kept in a folder as they come, put together at the end.

What is in the folder is done: after a crash the work goes on behind the last piece.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

from jpassed.exceptions import FileError
from jpassed.io.atomic import atomic_output
from jpassed.io.catalogs import compress, write_whole
from jpassed.io.formats import table_file
from jpassed.io.layout import TableLayout, join_tables, joined_meta
from jpassed.io.native_columns import plain_table
from jpassed.io.piece_files import load_piece, read_note, save_piece
from jpassed.io.texts import as_json

__all__ = ["Piece", "Pieces", "finished_run", "other_work", "pieces_folder"]

logger = logging.getLogger(__name__)

_TASK = "task.json"
_NOTE = "README.txt"
_WRITING = "writing.txt"
"""Names the temporary file of an output that is being put together."""
_FINISHED = "finished.json"
"""Tells which file is the output, written just before it gets its name."""
_ABOUT = """\
jpassed keeps here what is done of {name} while it works on it, and removes the folder at the end.
Run the same command again to go on; remove the folder to begin anew.
"""


def pieces_folder(output: str | Path) -> Path:
    """The folder of the pieces of a file, beside it."""
    path = table_file(output).path
    return path.with_name(f"{path.name}.jpassed-pieces")


def finished_run(output: str | Path) -> tuple[int, dict[str, Any]] | None:
    """Rows and task of an output that a run which was killed had put in place; None without it."""
    path = table_file(output).path
    try:
        noted = json.loads((pieces_folder(output) / _FINISHED).read_text(encoding="utf-8"))
        rows, task = int(noted.pop("rows")), dict(noted.pop("task"))
        return (rows, task) if noted == _identity(path) else None
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None


def other_work(old: Any, task: Mapping[str, Any]) -> str:
    """In what a noted task is not the other, in words; empty if they are the same work."""
    new = _plain(task)
    return "" if old == new else _differences(old, new)


def _plain(task: Mapping[str, Any]) -> dict[str, Any]:
    """A task as it is read back."""
    return dict(json.loads(json.dumps(dict(task), default=as_json, sort_keys=True)))


def _identity(path: Path) -> dict[str, int]:
    found = path.stat()
    return {"device": found.st_dev, "inode": found.st_ino, "bytes": found.st_size}


@dataclass(frozen=True)
class Piece:
    """One piece that is done.

    Attributes
    ----------
    path : Path
    rows : int
        May be 0.
    after : tuple
        What the caller needs to know to go on behind it.
    """

    path: Path
    rows: int
    after: tuple[Any, ...]


class Pieces:
    """The pieces of one output file, in a folder beside it.

    Parameters
    ----------
    output : str or Path
        The file that they become.
    task : mapping
        What makes it the same work: pieces of another are not used. Plain values.

    Raises
    ------
    FileError
        If the folder holds pieces of other work, is damaged, or is in use.
    """

    def __init__(self, output: str | Path, task: Mapping[str, Any]) -> None:
        self.output = Path(output)
        self.folder = pieces_folder(output)
        self._task = _plain(task)
        self._lock: BinaryIO | None = None
        try:
            self.folder.mkdir(exist_ok=True)
            self._lock = _locked(self.folder)
            self._check_task()
        except OSError as exc:
            self.close()
            if isinstance(exc, FileError):
                raise
            raise FileError(f"cannot keep pieces in {self.folder}: {exc}") from exc
        self.done = self._found()
        if self.done:
            logger.info("%s: going on behind %d rows", self.folder, self.rows)

    @property
    def task(self) -> dict[str, Any]:
        """What makes it the same work, as it is noted."""
        return dict(self._task)

    @property
    def rows(self) -> int:
        """Rows that are done."""
        return sum(piece.rows for piece in self.done)

    @property
    def after(self) -> tuple[Any, ...] | None:
        """Where the last piece ends; None if there is none."""
        return self.done[-1].after if self.done else None

    def add(self, table: Any, after: Sequence[Any]) -> Piece:
        """Keep a piece; it is there whole or not at all.

        Parameters
        ----------
        table : Table or QTable
        after : sequence
            Numbers or texts to go on with.

        Raises
        ------
        InputError
            If a column cannot be kept in pieces.
        FileError
            If it cannot be written.
        """
        path = self.folder / f"{len(self.done) + 1:06d}.npz"
        keys = tuple(item.item() if hasattr(item, "item") else item for item in after)
        plain = plain_table(table)
        TableLayout.of(plain)  # raises for what a piece cannot hold
        save_piece(plain, path, keys)
        self.done.append(Piece(path, len(plain), keys))
        return self.done[-1]

    def tables(self) -> Iterator[Any]:
        """The pieces as plain tables, one in memory at a time."""
        for piece in self.done:
            yield load_piece(piece.path)

    def merge(self, *, meta: Mapping[str, Any] | None = None, overwrite: bool = False) -> int:
        """Write the output file, the one that `write_catalog` writes of all rows in one table.

        FITS, Parquet, ECSV and CSV are written piece by piece, VOTable with all rows in memory.

        Parameters
        ----------
        meta : mapping, optional
            Entries to replace in the table's meta.
        overwrite : bool

        Returns
        -------
        int
            Number of rows.

        Raises
        ------
        FileError
            If it cannot be written, or there is no piece.
        InputError
            If the pieces have different columns.
        """
        if not self.done:
            raise FileError(f"{self.folder} has no pieces")
        file = table_file(self.output)
        changed = dict(meta or {})
        if file.format == "votable":
            logger.info("%s: %s is put together in memory", self.output, file.format)
            table = join_tables(self.tables())
            table.meta.update(changed)
            return self.write(table, overwrite=overwrite)
        layout, joined = self._layout()
        joined.update(changed)
        if file.format == "csv" and any(c.about.get("unit") for c in layout.columns.values()):
            logger.warning("%s: CSV keeps no units and no descriptions of columns", self.output)
        with self._output(self.rows, overwrite) as temporary:
            self._write(file.format, layout, joined, temporary)
            if file.gzipped:
                compress(temporary)
        return self.rows

    def write(self, table: Any, *, overwrite: bool = False) -> int:
        """Write the output file of a table in memory, and return its number of rows."""
        with self._output(len(table), overwrite) as temporary:
            write_whole(table, table_file(self.output), temporary)
        return len(table)

    @contextmanager
    def _output(self, rows: int, overwrite: bool) -> Iterator[Path]:
        """Where to write the output: what is left of it by a kill is known, and so is its end."""
        with atomic_output(table_file(self.output).path, overwrite) as temporary:
            (self.folder / _WRITING).write_text(str(temporary), encoding="utf-8")
            yield temporary
            # Whoever comes after a kill knows by this whether the file got its name.
            told = {"rows": rows, "task": self._task, **_identity(temporary)}
            with atomic_output(self.folder / _FINISHED, overwrite=True) as note:
                note.write_text(json.dumps(told), encoding="utf-8")

    def _write(self, kind: str, layout: TableLayout, meta: dict[Any, Any], path: Path) -> None:
        if kind == "fits":
            from jpassed.io.streamed_fits import write_fits_pieces

            write_fits_pieces(self.tables(), layout, meta, self.rows, path)
        elif kind == "parquet":
            from jpassed.io.parquet_tables import write_parquet_pieces

            write_parquet_pieces(self.tables(), layout, meta, self.rows, path)
        else:
            from jpassed.io.streamed_text import write_text_pieces

            write_text_pieces(self.tables(), layout, meta, self.rows, path, kind)

    def _layout(self) -> tuple[TableLayout, dict[Any, Any]]:
        layout: TableLayout | None = None
        meta: dict[Any, Any] = {}
        for table in self.tables():
            own = TableLayout.of(table)
            layout = own if layout is None else layout.joined(own)
            meta = joined_meta((meta, table.meta))
        if layout is None:
            raise FileError(f"{self.folder} has no pieces")
        return layout, meta

    def remove(self) -> None:
        """Remove the folder and all in it."""
        # From the last piece to the first, and the task behind them: what is left when this is
        # killed on the way is the beginning of the same work.
        for piece in reversed(self.done):
            piece.path.unlink(missing_ok=True)
        self.done = []
        # The note that all is done goes last: until then a kill is understood.
        for name in (_TASK, _NOTE, _WRITING, _FINISHED):
            (self.folder / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.close()

    def close(self) -> None:
        """Let go of the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _check_task(self) -> None:
        path = self.folder / _TASK
        # Without a piece there is nothing to mix up: another query takes its place.
        if any(self.folder.glob("[0-9]*.npz")):
            try:
                old = json.loads(path.read_text(encoding="utf-8"))
            except (FileNotFoundError, ValueError):
                old = None
            if old != self._task:
                differ = _differences(old, self._task)
                raise FileError(
                    f"{self.folder} holds pieces of other work ({differ}); run that command "
                    "again, choose another output, or remove the folder to begin anew"
                )
            return
        with atomic_output(self.folder / _NOTE, overwrite=True) as temporary:
            temporary.write_text(_ABOUT.format(name=self.output.name), encoding="utf-8")
        with atomic_output(path, overwrite=True) as temporary:
            temporary.write_text(json.dumps(self._task, indent=1), encoding="utf-8")

    def _clean(self) -> None:
        """Remove what a process that was killed had not finished."""
        for left in self.folder.glob(".*.part"):
            left.unlink(missing_ok=True)
        note = self.folder / _WRITING
        if not note.exists():
            return
        left = Path(note.read_text(encoding="utf-8", errors="replace"))
        target = os.path.realpath(table_file(self.output).path)
        # Only what `atomic_output` makes: a torn note names something else.
        if left.name.startswith(f".{os.path.basename(target)}.") and left.suffix == ".part":
            left.unlink(missing_ok=True)
            left.with_name(left.name + ".gz").unlink(missing_ok=True)
        note.unlink()

    def _found(self) -> list[Piece]:
        self._clean()
        found: list[Piece] = []
        for path in sorted(self.folder.glob("[0-9]*.npz")):
            if path.name != f"{len(found) + 1:06d}.npz":
                raise FileError(f"{self.folder} lacks piece {len(found) + 1}; remove the folder")
            note = read_note(path)
            found.append(Piece(path, int(note["rows"]), tuple(note["after"])))
        return found


def _differences(old: Any, new: Mapping[str, Any]) -> str:
    if not isinstance(old, dict):
        return "its task.json is missing or damaged"
    differ = sorted(k for k in {*old, *new} if old.get(k) != new.get(k))
    return f"not the same: {', '.join(differ)}"


def _locked(folder: Path) -> BinaryIO | None:
    """An open file that nobody else has locked; the system lets go of it when a process ends."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        return None
    held = open(folder / "lock", "wb")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Another process may have removed the folder meanwhile, and this file with it.
        if not os.path.samestat(os.fstat(held.fileno()), os.stat(folder / "lock")):
            raise FileNotFoundError
    except OSError:
        held.close()
        raise FileError(f"{folder} is in use by another jpassed (process lock)") from None
    return held
