"""Options of `jpassed annotate` for whole surveys, and the way from them to a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from jpassed.cli.arguments import Decorator, input_path, on_command_line
from jpassed.cli.reporting import progress_bar

SURVEY_OPTIONS = ("hats", "scheduler", "columns")

_OPTIONS: tuple[Decorator, ...] = (
    click.option(
        "--hats",
        metavar="CATALOG",
        help="Annotate a HATS catalogue, its folder or URL, on a Dask cluster; OUT is another.",
    ),
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="The Dask cluster for a HATS catalogue or a folder IN, e.g. tcp://HOST:8786, or its "
        "scheduler file. Default: --workers processes on this machine.",
    ),
    click.option(
        "--columns",
        metavar="FILE",
        type=input_path(),
        help="Units, descriptions and UCDs that a HATS catalogue or folder lost: a list of its "
        "columns, or a table that has them.",
    ),
)


def survey_options(function: Any) -> Any:
    """``--hats``, ``--scheduler`` and ``--columns``."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def on_cluster(source: Path | None, survey: dict[str, Any]) -> bool:
    """Whether a catalogue is one for a cluster.

    Raises
    ------
    click.UsageError
        If options of a cluster stand beside a single file.
    """
    if survey["hats"] is not None or (source is not None and source.is_dir()):
        return True
    stray = [f"--{name}" for name in ("scheduler", "columns") if survey[name] is not None]
    if stray:
        raise click.UsageError(f"{', '.join(stray)}: only with --hats, or where IN is a folder.")
    return False


def annotate_survey(
    ctx: click.Context,
    source: Path | None,
    output: Path | None,
    survey: dict[str, Any],
    keywords: dict[str, Any],
    *,
    workers: int,
    resume: bool,
    overwrite: bool,
) -> None:
    """Annotate a HATS catalogue or a folder of Parquet files.

    Raises
    ------
    click.UsageError
        For options that do not go together.
    """
    catalog, scheduler = survey["hats"], survey["scheduler"]
    if catalog is not None and source is not None:
        raise click.UsageError("--hats CATALOG takes the place of IN.")
    if output is None:
        raise click.UsageError("--hats and folders want -o OUT, a folder.")
    alone = ("samp", "tap", "adql", *(("workers",) if scheduler is not None else ()))
    if stray := on_command_line(ctx, alone):
        kind = "of a cluster's own workers" if stray == ["--workers"] else "not of whole surveys"
        raise click.UsageError(f"{', '.join(stray)}: {kind}.")
    import jpassed.cluster

    found: Any = source if catalog is None else catalog
    annotate: Any = jpassed.cluster.annotate_parquet_folder
    if catalog is not None or any((found / name).is_file() for name in _HATS_FILES):
        annotate = jpassed.cluster.annotate_hats
    from jpassed.annotation.streaming import few_messages

    with few_messages(), progress_bar("objects") as progress:
        rows = annotate(
            found,
            output,
            scheduler=scheduler,
            workers=None if scheduler is not None else workers,
            columns=survey["columns"],
            overwrite=overwrite,
            resume=resume,
            progress=progress,
            **keywords,
        )
    click.echo(f"{output}: {rows} rows")


_HATS_FILES = ("hats.properties", "properties", "collection.properties")
"""Any of them makes a folder a HATS catalogue or a collection of some."""
