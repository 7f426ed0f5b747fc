"""``jpassed jspectra``: spectra in, synthetic bandfluxes out."""

from __future__ import annotations

from pathlib import Path

import click

from jpassed.cli.arguments import check_writable, input_path, output_option
from jpassed.cli.reporting import reporting_options


@click.command(
    "jspectra",
    short_help="Turn spectra into synthetic bandfluxes.",
    epilog="\b\nExample: jpassed jspectra spec-0266-51602-0001.fits -o jspectra.fits\n"
    "         jpassed annotate jspectra.fits",
)
@click.argument("spectra", metavar="SPEC...", nargs=-1, required=True, type=input_path())
@click.option("--filters", metavar="NAME", default="jpas", show_default=True, help="Filter set.")
@click.option(
    "--total-mag",
    metavar="MAG",
    type=float,
    help="Scale each spectrum to this total AB magnitude in rSDSS.",
)
@click.option(
    "--ebv", metavar="MAG", type=float, help="Galactic E(B-V) to correct the spectra for."
)
@output_option(required=True, said="The ending chooses the format.")
@reporting_options
def command(
    spectra: tuple[Path, ...],
    filters: str,
    total_mag: float | None,
    ebv: float | None,
    output: Path,
    overwrite: bool,
) -> None:
    """
    Synthetic bandfluxes of SDSS, BOSS and DESI spectra.

    OUT has a row for each spectrum, with <band> and <band>_err in microjansky; a band is given only
    where the spectrum covers 99 % of it.
    """
    check_writable(output, overwrite)

    from jpassed.io.catalogs import write_catalog
    from jpassed.jspectrum import jspectra

    table = jspectra(list(spectra), filters=filters, total_mag=total_mag, ebv=ebv)
    write_catalog(table, output, overwrite=overwrite)
    click.echo(f"{output}: {len(table)} spectra")
