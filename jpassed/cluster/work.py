"""What workers have to do: kept in the folder of the output, where all of them find it.

Nothing but the name of that folder travels with a task: a schema with its descriptions is larger
than the tasks of a whole survey should be.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jpassed
from jpassed.annotation.output import written_before
from jpassed.annotation.refined import ROW_COLUMNS
from jpassed.annotation.streaming import PageAnnotator
from jpassed.annotation.table import annotate
from jpassed.annotation.task import read_outputs
from jpassed.cluster.described import COLUMN_LIST, list_columns, said_of, votable_metadata
from jpassed.exceptions import FileError, InputError
from jpassed.io.atomic import atomic_output
from jpassed.io.folders import check_folder
from jpassed.io.native_columns import plain_table, quantity_table
from jpassed.io.parquet_tables import META_KEY, arrow_table, table_from_arrow
from jpassed.io.texts import as_json
from jpassed.surveys import load_survey
from jpassed.weights import find_model, model_vocabulary

__all__ = [
    "HIDDEN",
    "Work",
    "all_options",
    "open_work",
    "read_work",
    "remove_traces",
    "survey_of",
    "unfinished_folder",
]

logger = logging.getLogger(__name__)

HIDDEN = ".jpassed"
"""Folder within the output that is there as long as it is worked on."""

_TASK, _EXAMPLE, _SCHEMA = "task.json", "example.parquet", "schema.parquet"

_NOT_OPTIONS = ("table", "progress")

EXAMPLE_ROWS = 256
"""Rows that are annotated before any worker starts: they show what the columns will be."""


def unfinished_folder(output: str | Path) -> Path:
    """Where an output is until it is whole: beside its place."""
    path = Path(os.path.abspath(output))
    return path.with_name(f"{path.name}.jpassed-unfinished")


@dataclass(frozen=True)
class Work:
    """A catalogue to be annotated part by part.

    Attributes
    ----------
    folder : Path
        The unfinished output.
    task : dict
        What decides on the result, in plain values.
    schema : pyarrow.Schema
        Of every file of the output.
    """

    folder: Path
    task: dict[str, Any]
    schema: Any

    @property
    def token(self) -> str:
        """Tells this work from all other."""
        return hashlib.sha256(_text(self.task).encode()).hexdigest()[:16]

    @property
    def scratch(self) -> Path:
        """Where parts are until they are whole. A task of other work does not find its own."""
        return self.folder / HIDDEN / self.token

    @property
    def example(self) -> Any:
        """The first rows, with all that is known of the columns in the schema."""
        import pyarrow.parquet

        return pyarrow.parquet.read_table(self.folder / HIDDEN / _EXAMPLE)

    @property
    def new(self) -> list[str]:
        """Columns that are added."""
        return list(self.task["new"])

    def schema_meta(self) -> dict[str, Any]:
        """The table's meta: model, version and so on."""
        return dict(_described(self.schema).meta)

    @contextmanager
    def kept_if_begun(self) -> Iterator[None]:
        """On an error keep the folder if a part is done, and say so; otherwise leave nothing."""
        try:
            yield
        except BaseException:
            files = self.folder.rglob("*.parquet")
            if any(HIDDEN not in path.parts for path in files):
                logger.warning("what is done stays in %s: --resume goes on with it", self.folder)
            else:
                shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def finish(self, output: str | Path, overwrite: bool) -> None:
        """Give the folder its name, in place of an earlier output if that is allowed."""
        target = Path(os.path.abspath(output))
        list_columns(_described(self.schema), self.folder)
        check_folder(target, overwrite, marks=(COLUMN_LIST,))
        old = target.with_name(f".{target.name}.{self.token}.old")
        try:
            if target.exists():
                target.rename(old)
            self.folder.rename(target)
        except OSError as exc:
            raise FileError(f"cannot rename {self.folder} to {target}: {exc}") from exc
        remove_traces(target)


def remove_traces(output: str | Path) -> int | None:
    """Remove from an output that is whole what only the work needed.

    Returns
    -------
    int or None
        Its rows; None if nothing of the kind is there, as of an output that was finished or never
        begun.
    """
    target = Path(os.path.abspath(output))
    if not (target / HIDDEN / _TASK).is_file():
        return None
    work = read_work(target)
    for old in target.parent.glob(f".{target.name}.{work.token}.old"):
        shutil.rmtree(old)
    shutil.rmtree(target / HIDDEN)
    return int(work.task["source"]["rows"])


def all_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `annotate`, those that are not given as it takes them.

    What it does not know is refused, and what cannot be sent to other machines.

    Raises
    ------
    InputError, UnknownNameError
    """
    signature = inspect.signature(annotate).parameters
    known = {name: p.default for name, p in signature.items() if name not in _NOT_OPTIONS}
    if stray := sorted(set(options) - set(known)):
        raise InputError(
            f"unknown options: {', '.join(stray)}; known are {', '.join(sorted(known))}"
        )
    for name in ("model", "survey", "zeropoints"):
        value = options.get(name)
        if value is not None and not isinstance(value, (str, os.PathLike)):
            raise InputError(
                f"{name}: expected a name or a path, which workers can read, got "
                f"{type(value).__name__}"
            )
    found = {**known, **options}
    found["outputs"] = read_outputs(found["outputs"], model_vocabulary(found["model"]))
    return found


def open_work(
    output: str | Path,
    source: Mapping[str, Any],
    example: Any,
    options: Mapping[str, Any],
    *,
    resume: bool,
    overwrite: bool = False,
) -> Work:
    """Begin with an output, or go on with it.

    Parameters
    ----------
    output : str or Path
    source : mapping
        What is annotated, in plain values: another source is other work.
    example : pyarrow.Table
        Its first rows, with a schema of `describe_schema`.
    options : mapping
        Of `all_options`.
    resume : bool
        Go on with what an earlier run left, if there is something; otherwise that is in the way.
    overwrite : bool
        Remove it, unless it is gone on with.

    Raises
    ------
    FileError
        If an unfinished output is in the way, or is one of other work.
    InputError
        See `jpassed.annotate`.
    """
    import pyarrow.parquet

    folder = unfinished_folder(output)
    told = json.loads(json.dumps(PageAnnotator(**options).task, default=as_json))
    work, result = _begin(folder, example, options)
    told.pop("batch_size", None)
    # Its values, not its buffers: those hold whatever was in memory where a row has no value.
    first = hashlib.sha256(repr(example.to_pylist()).encode()).hexdigest()[:16]
    work.task.update(source={**source, "first": first}, decides=told)
    if folder.exists():
        if not _is_lost(folder):
            if resume or not overwrite:
                return _go_on(work, resume)
            read_work(folder)  # nothing else is removed
        _remove(folder)
    hidden = folder / HIDDEN
    try:
        hidden.mkdir(parents=True)
        for name in ("survey", "zeropoints"):  # workers may not see where they are
            path = Path(str(work.task["options"].get(name) or ""))
            if path.is_file():
                kept = hidden / f"{name}{path.suffix}"
                shutil.copyfile(path, kept)
                work.task["options"][name] = kept.name
        pyarrow.parquet.write_table(example, hidden / _EXAMPLE)
        pyarrow.parquet.write_metadata(work.schema, hidden / _SCHEMA)
        work.scratch.mkdir()
        with atomic_output(hidden / _TASK) as temporary:
            temporary.write_text(_text(work.task), encoding="utf-8")
    except OSError as exc:
        if isinstance(exc, FileError):
            raise
        raise FileError(f"cannot write {folder}: {exc}") from exc
    logger.info("%s: %d new columns", folder, len(work.new))
    return work


def read_work(folder: Path) -> Work:
    """The work that an unfinished output belongs to.

    Raises
    ------
    FileError
        If the folder is not there, or damaged.
    """
    import pyarrow.parquet

    hidden = folder / HIDDEN
    try:
        task = json.loads((hidden / _TASK).read_text(encoding="utf-8"))
        schema = pyarrow.parquet.read_schema(hidden / _SCHEMA)
    except (OSError, ValueError) as exc:
        raise FileError(
            f"{folder} cannot be read ({exc}): OUT must lie on storage that all workers share"
        ) from exc
    return Work(folder, task, schema)


def survey_of(work: Work) -> Any:
    """The survey whose columns are read: the one asked for, or found in the example."""
    from jpassed.exceptions import UnrecognisedTableError
    from jpassed.surveys import detect_survey

    asked = work.task["options"].get("survey", "auto")
    if asked != "auto":
        path = work.folder / HIDDEN / asked
        return load_survey(path if path.is_file() else asked)
    try:
        return detect_survey(quantity_table(table_from_arrow(work.example, work.folder)))
    except UnrecognisedTableError:
        return "auto"


def _begin(folder: Path, example: Any, options: Mapping[str, Any]) -> tuple[Work, Any]:
    """Annotate the example; everything that may be wrong with options and columns is told here."""
    table = quantity_table(table_from_arrow(example, folder))
    result = annotate(table, **options)
    replaced = set(written_before(table.colnames, options["outputs"]))
    replaced |= {name for name in table.colnames if name.lower() in ROW_COLUMNS}
    if not options["replace_columns"]:
        replaced = set()
    kept = [name for name in example.schema.names if name not in replaced]
    new = result.colnames[len([name for name in table.colnames if name not in replaced]) :]
    plain = {str(key): _plain(value) for key, value in options.items()}
    plain["model"] = _model_place(options["model"])
    precision = result.meta.get("jp_precision")
    if precision and "precision" in plain:
        plain["precision"] = str(
            precision
        )  # that of this machine: workers may have other processors
    task = {"options": plain, "kept": kept, "new": new, "jpassed": jpassed.__version__}
    task["weights"] = str(result.meta["jp_weights"])
    task["described"] = hashlib.sha256(example.schema.metadata[META_KEY]).hexdigest()[:16]
    task["begun"] = secrets.token_hex(8)  # workers may live on, and know the work before
    return Work(folder, task, _output_schema(example, result, kept, new)), result


def _output_schema(example: Any, result: Any, kept: list[str], new: list[str]) -> Any:
    import pyarrow

    plain = plain_table(result)
    added = arrow_table(plain[new])
    fields = [example.schema.field(name) for name in kept]
    fields += [pyarrow.field(field.name, field.type) for field in added.schema]
    metadata = {META_KEY: said_of(plain), **votable_metadata(plain.copy())}
    return pyarrow.schema(fields, metadata=metadata)


def _go_on(work: Work, resume: bool) -> Work:
    if not resume:
        raise FileError(
            f"{work.folder} holds what a run that did not end has left: resume it (--resume), or "
            "begin anew (--overwrite, or remove the folder)"
        )
    old = read_work(work.folder)
    given = ("source", "decides", "kept", "new", "weights", "jpassed", "described")
    differ = [name for name in given if old.task.get(name) != work.task.get(name)]
    if differ:
        raise FileError(
            f"{work.folder} is what an earlier run with other {', '.join(differ)} left"
            f"{' (the catalogue has changed)' if 'source' in differ else ''}; run that again, "
            "choose another output, or remove the folder"
        )
    try:
        old.scratch.mkdir(exist_ok=True)
    except OSError as exc:
        raise FileError(f"cannot write {work.folder}: {exc}") from exc
    return old


def _is_lost(folder: Path) -> bool:
    """Whether all that a folder has are parts of which nobody can tell what work they are of.

    Such a folder is what the removal of an unfinished output leaves when it is itself cut short.
    """
    if (folder / HIDDEN / _TASK).exists() or not folder.is_dir():
        return False
    files = (path for path in folder.rglob("*") if not path.is_dir())
    alien = [p for p in files if p.suffix != ".parquet" and HIDDEN not in p.parts]
    if alien:
        raise FileError(
            f"{folder} is no unfinished output of jpassed (it holds {alien[0].name}): it is left "
            "alone; choose another output"
        )
    return True


def _remove(folder: Path) -> None:
    """Remove an unfinished output: first that without which a task that lives on writes nothing."""
    try:
        if (folder / HIDDEN).exists():
            shutil.rmtree(folder / HIDDEN)
        shutil.rmtree(folder)
    except OSError as exc:
        raise FileError(f"cannot remove {folder}: {exc}; try again, or remove it") from exc


def _described(schema: Any) -> Any:
    """A table without rows, with all that a schema says of its columns."""
    return table_from_arrow(schema.empty_table(), Path("."))


def _model_place(model: Any) -> str:
    text = os.fspath(model)
    embedded = find_model(model).parent.samefile(find_model("default").parent)
    return text if embedded else os.path.abspath(text)


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.path.abspath(value)
    if isinstance(value, Mapping):
        return {str(k): str(v) for k, v in value.items()}
    return list(value) if isinstance(value, (list, tuple)) else value


def _text(task: Mapping[str, Any]) -> str:
    return json.dumps(task, indent=1, sort_keys=True, default=as_json)
