"""``jpassed example``: a small catalogue to try things on."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

import click

from jpassed.cli.arguments import check_target
from jpassed.cli.reporting import reporting_options

EMBEDDED = "data/example.fits"


@click.command(
    "example",
    short_help="Write a catalogue of simulated galaxies to try things on.",
    epilog="Example: jpassed example example.fits && jpassed annotate example.fits",
)
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace OUT where it exists.")
@reporting_options
def command(output: Path, overwrite: bool) -> None:
    """
    Write simulated galaxies at miniJPAS depth to OUT.

    The ending of OUT chooses the format: FITS, VOTable (.vot, .xml), ECSV, Parquet or CSV, also
    with .gz. The truth behind each galaxy is in the columns true_*.
    """
    check_target(output, overwrite)

    from jpassed.io.catalogs import read_catalog, write_catalog

    with as_file(files("jpassed.cli") / EMBEDDED) as path:
        table = read_catalog(path)
    write_catalog(table, output, overwrite=overwrite)
    click.echo(f"{output}: {len(table)} simulated galaxies")
