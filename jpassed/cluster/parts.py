"""One part of a catalogue, annotated by a worker and written as one file."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import jpassed
from jpassed.annotation.streaming import SHOWN
from jpassed.annotation.table import annotate
from jpassed.cluster.allocator import keep_memory
from jpassed.cluster.described import describe_like
from jpassed.cluster.slices import conformed, even_slices
from jpassed.cluster.work import HIDDEN, Work, read_work, survey_of
from jpassed.exceptions import FileError, InputError, ModelError
from jpassed.io.atomic import replaced
from jpassed.io.native_columns import plain_table, quantity_table
from jpassed.io.parquet_tables import arrow_table, table_from_arrow
from jpassed.surveys import Survey
from jpassed.weights import load_model

__all__ = ["ROWS_AT_ONCE", "PartAnnotator", "part_annotator", "rows_of", "write_part"]

ROWS_AT_ONCE = 16_384
"""Rows that are annotated at a time."""

ROWS_A_GROUP, BYTES_A_GROUP = 131_072, 1 << 27
"""A row group of the output is full with so many rows, or bytes in memory.

Each has some 20 kB of footer, and readers like row groups of a hundred MB.
"""

_MESSAGES = "jpassed.annotation.task"


class PartAnnotator:
    """`annotate` for the parts of a catalogue, with columns as `Work` says.

    Parameters
    ----------
    work : Work

    Attributes
    ----------
    schema : pyarrow.Schema
        Of the rows that are annotated.

    Raises
    ------
    ModelError
        If this machine has another version of jpassed, or other weights.
    """

    def __init__(self, work: Work) -> None:
        import torch

        if work.task["jpassed"] != jpassed.__version__:
            raise ModelError(
                f"this worker has jpassed {jpassed.__version__}, the work was begun with "
                f"{work.task['jpassed']}"
            )
        # Dask runs a task a thread: more threads in each only get in each other's way.
        torch.set_num_threads(1)
        keep_memory()
        self.work = work
        options = dict(work.task["options"])
        loaded = load_model(options["model"])
        if loaded.digest != work.task["weights"]:
            raise ModelError(
                f"model {options['model']}: this worker has the weights {loaded.digest}, the work "
                f"was begun with {work.task['weights']}"
            )
        if not options.get("refine"):  # which finds its own files beside the model's
            options["model"] = loaded
        if options.get("zeropoints") is not None:
            options["zeropoints"] = work.folder / HIDDEN / options["zeropoints"]
        survey = survey_of(work)
        # The first rows of the catalogue were looked at when the work was begun.
        options["survey"] = replace(survey, judged=True) if isinstance(survey, Survey) else survey
        self._options = options
        self.schema = work.example.schema.remove_metadata()
        # Once: the description of a hundred columns takes a tenth of a second to parse.
        self._described = table_from_arrow(work.example.slice(0, 0), work.folder)

    def __call__(self, rows: Any, key: Sequence[int]) -> Any:
        """Annotate some rows.

        Parameters
        ----------
        rows : pyarrow.Table
            With the columns of the example.
        key : sequence of int
            Tells these rows from all others: what is drawn at random depends on it.

        Returns
        -------
        pyarrow.Table
            Of the schema of the work: the columns as they were, and the new ones.

        Raises
        ------
        InputError
            See `jpassed.annotate`; also if new columns come out otherwise than the example's.
        """
        import pyarrow

        work = self.work
        options = dict(self._options)
        seed = options.get("seed", 0)
        if seed is not None:
            mixed = np.random.SeedSequence([int(seed), *key])
            options["seed"] = int(mixed.generate_state(1)[0])
        plain = table_from_arrow(rows.replace_schema_metadata(None), work.folder)
        describe_like(plain, self._described)
        table = quantity_table(plain)
        if len(table) == 0:
            return work.schema.empty_table()
        result = annotate(table, **options)
        if missing := [name for name in work.new if name not in result.colnames]:
            raise InputError(f"{', '.join(missing)}: in the first rows, but not in these")
        added = arrow_table(plain_table(result[work.new]))
        kept = [rows[name] for name in work.task["kept"]]
        arrays = [
            column if column.type == field.type else column.cast(field.type)
            for column, field in zip([*kept, *added.columns], work.schema, strict=True)
        ]
        return pyarrow.Table.from_arrays(arrays, schema=work.schema)


@lru_cache(maxsize=2)
def part_annotator(folder: str, token: str) -> PartAnnotator:
    """The annotator of an unfinished output: made once in a process, whatever it is asked for."""
    work = read_work(Path(folder))
    if work.token != token:
        raise FileError(f"{folder} belongs to other work by now")
    return PartAnnotator(work)


def write_part(
    folder: str,
    token: str,
    path: str,
    batches: Iterable[Any],
    key: Sequence[int],
    expected: int | None = None,
) -> tuple[int, list[str]]:
    """Annotate the rows of one file of the output; it is there whole or not at all.

    Parameters
    ----------
    folder, token : str
        See `part_annotator`.
    path : str
        Of the file, in `folder`.
    batches : iterable of pyarrow.Table
        Its rows.
    key : sequence of int
        Tells the part from all others.
    expected : int, optional
        Its rows: a file of others is not written.

    Returns
    -------
    rows : int
    messages : list of str
        What was said of the values, a few of it.

    Raises
    ------
    JpassedError
    """
    import pyarrow.parquet

    target = Path(folder) / path
    if target.exists():  # the worker that wrote it was lost before it could say so
        return rows_of(target), []
    annotator = part_annotator(folder, token)
    _make_folders(annotator.work, path)
    rows = 0
    # Apart from those that are done, and where other work does not look.
    temporary = annotator.work.scratch / f"{target.name}.{secrets.token_hex(4)}.part"
    with _caught() as messages, replaced(temporary, target):
        with pyarrow.parquet.ParquetWriter(
            temporary, annotator.work.schema, compression="zstd"
        ) as writer:
            group: list[Any] = []
            alike = (conformed(batch, annotator.schema) for batch in batches)
            for chunk in even_slices(alike, ROWS_AT_ONCE):
                group.append(annotator(chunk, [*key, rows]))
                rows += chunk.num_rows
                if _is_full(group):
                    _write_group(writer, group)
            _write_group(writer, group)
        if expected is not None and rows != expected:
            raise FileError(
                f"{rows} rows were read where {expected} are said to be: the catalogue is damaged, "
                "or is being changed"
            )
    return rows, messages


def _is_full(group: list[Any]) -> bool:
    rows = sum(table.num_rows for table in group)
    return rows >= ROWS_A_GROUP or sum(table.nbytes for table in group) >= BYTES_A_GROUP


def _write_group(writer: Any, group: list[Any]) -> None:
    """Write tables as one row group, and forget them."""
    import pyarrow

    if group:
        table = pyarrow.concat_tables(group)
        writer.write_table(table, row_group_size=max(1, table.num_rows))
        group.clear()


def rows_of(path: Path) -> int:
    """Rows of a Parquet file."""
    import pyarrow.parquet

    return int(pyarrow.parquet.read_metadata(path).num_rows)


def _make_folders(work: Work, path: str) -> None:
    """The folders of a part, but never that of the output, nor where other work is done by now."""
    if not work.scratch.is_dir():
        raise FileError(f"{work.folder} is not there any more, or belongs to other work")
    place = work.folder
    try:
        for name in Path(path).parts[:-1]:
            place = place / name
            place.mkdir(exist_ok=True)
    except OSError as exc:
        raise FileError(f"cannot write {work.folder / path}: {exc}") from exc


@contextmanager
def _caught() -> Iterator[list[str]]:
    """Messages on the values of a table; they are not shown where nobody looks."""
    found: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if len(found) < SHOWN and text not in found:
            found.append(text)
        return False

    source = logging.getLogger(_MESSAGES)
    source.addFilter(keep)
    try:
        yield found
    finally:
        source.removeFilter(keep)
