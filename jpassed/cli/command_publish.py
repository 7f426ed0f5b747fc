"""``jpassed publish``: an annotated catalogue, ready for a data centre."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from jpassed.cli.arguments import input_path, output_option
from jpassed.cli.reporting import reporting_options


@click.command(
    "publish",
    short_help="Prepare a catalogue for a data centre.",
    epilog="\b\nExample: jpassed publish catalogue_jpassed.fits -o mysurvey_jp/",
)
@click.argument("catalog", metavar="CATALOG", type=input_path())
@output_option(required=True, said="Folder for q.rd, README.md and data/.")
@click.option("--schema", metavar="NAME", help="Schema of the database. Default: OUT's name.")
@click.option(
    "--table", "name", metavar="NAME", default="main", show_default=True, help="Its table there."
)
@click.option("--title", metavar="TEXT", help="Of the catalogue, for readers of the service.")
@click.option("--description", metavar="TEXT", help="A paragraph on the catalogue.")
@click.option("--creator", metavar="NAMES", help='As "Doe, J.; Roe, R."')
@click.option("--license", metavar="NAME", help="Such as CC-BY-4.0, a URL, or words.")
@click.option(
    "--source", metavar="BIBCODE", help="Bibcode or DOI of the paper that describes the catalogue."
)
@click.option(
    "--key", metavar="COLUMN[,COLUMN]", help="Columns that identify a row. Default: found."
)
@click.option(
    "--position",
    metavar="RA,DEC",
    help="Columns of the positions. Default: found.",
)
@reporting_options
def command(catalog: Path, output: Path, overwrite: bool, **options: Any) -> None:
    """
    Write what GAVO DaCHS needs to serve CATALOG by TAP and cone search.

    OUT/q.rd describes the columns with units, UCDs and descriptions and says who made the
    predictions, OUT/data/ holds the rows, OUT/README.md says how a data centre imports them.
    """
    from jpassed.publishing import publish

    done = publish(catalog, output, overwrite=overwrite, **options)
    click.echo(f"{done.folder}: {done.table}, {done.rows} rows")
    for old, new in done.renamed.items():
        click.echo(f"renamed: {old} is {new}")
    if done.quoted:
        click.echo(f"to be quoted in queries: {', '.join(done.quoted)}")
    if not done.positions:
        click.echo("no positions: TAP only, no cone search")
