"""``jpassed identify``: what jpassed makes of the columns of a catalogue."""

from __future__ import annotations

from pathlib import Path

import click

from jpassed.cli.arguments import input_path
from jpassed.cli.reporting import reporting_options


@click.command(
    "identify",
    short_help="Say which column of a catalogue is which band.",
    epilog="\b\nExample: jpassed identify catalogue.fits --as-map > mine.yaml",
)
@click.argument("source", metavar="CATALOG", type=input_path())
@click.option(
    "--survey", metavar="NAME", help="Which survey's columns to look for. Default: found out."
)
@click.option(
    "--map", "column_map", metavar="FILE", type=input_path(), help="A YAML map of the columns."
)
@click.option("--as-map", is_flag=True, help="Print a YAML map of the columns to edit instead.")
@reporting_options
def command(source: Path, survey: str | None, column_map: Path | None, as_map: bool) -> None:
    """
    Say which surveys and bands are recognised in CATALOG, and what is left out and why.

    Nothing is predicted or written. Of a table that is not recognised it says what comes near.
    """
    if survey is not None and column_map is not None:
        raise click.UsageError("--survey and --map exclude each other: a map describes a survey.")

    from jpassed.io.catalogs import read_catalog
    from jpassed.surveys import identify
    from jpassed.surveys.map_text import UNSURE

    found = identify(
        read_catalog(source), column_map if column_map is not None else survey or "auto"
    )
    text = found.as_map() if as_map else str(found)
    click.echo(text, nl=not as_map)
    if as_map:
        unsure = f"Write the unit for each {UNSURE!r} of it, then: " if UNSURE in text else ""
        click.echo(f"{unsure}jpassed annotate {source} --map FILE", err=True)
