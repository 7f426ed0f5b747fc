"""``jpassed fetch``: a training set out of the archives of spectroscopic surveys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from jpassed.cli.reporting import progress_bar, reporting_options


@click.command(
    "fetch",
    short_help="Make a training set out of SDSS and DESI.",
    epilog="\b\nExample: jpassed fetch galaxies -o training-set --limit 1000 --dry-run\n"
    "         jpassed fetch galaxies -o training-set --limit 1000",
)
@click.argument("config", metavar="CONFIG")
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the training set.",
)
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    help="Take the first N objects of every archive.",
)
@click.option("--dry-run", is_flag=True, help="Show the queries and how many rows they give.")
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(1, 16),
    default=4,
    show_default=True,
    help="Spectra fetched at a time.",
)
@click.option(
    "--overwrite", is_flag=True, help="Replace a training set of another CONFIG; spectra stay."
)
@reporting_options
def command(
    config: str,
    output: Path,
    limit: int | None,
    dry_run: bool,
    workers: int,
    overwrite: bool,
) -> None:
    """
    Spectra, redshifts, lines and other labels of the archives, as a training set in DIR.

    CONFIG is a YAML file or a preset: galaxies.

    A run that was stopped goes on where it was; nothing is fetched twice. `jpassed train` reads DIR
    as one of its tables.
    """
    from jpassed.archives.building import fetch, planned_queries

    if dry_run:
        for query in planned_queries(config, limit=limit):
            of_objects = query.limit is None or query.table == "objects"
            more = "" if of_objects else f" in all; those of {query.limit} objects will be fetched"
            click.echo(f"{query.archive}.{query.table} at {query.service}: {query.rows} rows{more}")
            click.echo(f"    {query.query}")
        return
    with progress_bar("objects") as progress:
        found = fetch(
            config,
            output,
            limit=limit,
            overwrite=overwrite,
            workers=workers,
            progress=progress,
        )
    click.echo(
        f"{found.folder}: {found.rows} objects, {found.with_spectrum} with a spectrum "
        f"({found.fetched} fetched now)"
    )
    _show("labels", found.labels)
    _show("left out", found.left_out)


def _show(title: str, counts: Mapping[str, Any]) -> None:
    if counts:
        click.echo(f"{title}:")
        for name, number in counts.items():
            click.echo(f"  {number:>7}  {name}")
