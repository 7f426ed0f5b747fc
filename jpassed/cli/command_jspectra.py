"""``jpassed jspectra``: spectra in, synthetic bandfluxes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from jpassed.cli.arguments import check_target, comma_list, input_path, output_option
from jpassed.cli.reporting import reporting_options


class Magnitude(click.ParamType):
    """``19.2`` in the reference band, or ``sdss_r=19.2``."""

    name = "magnitude"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | dict[str, float]:
        band, equals, number = str(value).rpartition("=")
        magnitude: float = click.FLOAT(number.strip(), param, ctx)
        return {band.strip(): magnitude} if equals else magnitude


class Excess(click.ParamType):
    """``0.03``, or ``metadata`` for what each file says."""

    name = "excess"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str:
        if value == "metadata":
            return "metadata"
        excess: float = click.FLOAT(value, param, ctx)
        return excess


@click.command(
    "jspectra",
    short_help="Turn spectra into synthetic bandfluxes.",
    epilog="\b\nExample: jpassed jspectra spec-0266-51602-0001.fits -o jspectra.fits\n"
    "         jpassed annotate jspectra.fits",
)
@click.argument("spectra", metavar="SPEC...", nargs=-1, required=True, type=input_path())
@click.option(
    "--filters",
    metavar="NAMES",
    multiple=True,
    help="Filter sets, comma-separated; svo:OAJ/JPLUS is one of the SVO. Default: jpas.",
)
@click.option(
    "--total-mag",
    metavar="[BAND=]MAG",
    type=Magnitude(),
    help="Scale each spectrum to this total AB magnitude, in rSDSS unless a band is named.",
)
@click.option(
    "--ebv",
    metavar="MAG|metadata",
    type=Excess(),
    help="Galactic E(B-V) to correct for, or what the files say. Default: no correction.",
)
@click.option(
    "--medium",
    type=click.Choice(["vacuum", "air"]),
    default="vacuum",
    show_default=True,
    help="Of wavelengths in files other than those of SDSS, BOSS and DESI.",
)
@output_option(required=True, said="The ending chooses the format.")
@reporting_options
def command(
    spectra: tuple[Path, ...],
    filters: tuple[str, ...],
    total_mag: float | dict[str, float] | None,
    ebv: float | str | None,
    medium: str,
    output: Path,
    overwrite: bool,
) -> None:
    """
    Synthetic bandfluxes of SDSS, BOSS and DESI spectra.

    OUT has a row for each spectrum, with <band> and <band>_err in microjansky; a band is given only
    where the spectrum covers 99 % of it. Files that cannot be read are left out, and named.
    """
    check_target(output, overwrite)

    from jpassed.io.catalogs import write_catalog
    from jpassed.jspectrum import jspectra

    table = jspectra(
        list(spectra),
        filters=comma_list(filters) or "jpas",
        total_mag=total_mag,
        ebv=ebv,
        medium=medium,
        skip_unreadable=True,
    )
    write_catalog(table, output, overwrite=overwrite)
    click.echo(f"{output}: {len(table)} spectra")
