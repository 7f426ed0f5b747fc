"""``jpassed simulate``: galaxies with noise and truth."""

from __future__ import annotations

from pathlib import Path

import click

from jpassed.cli.arguments import check_target, device_option, input_path, output_option
from jpassed.cli.reporting import progress_bar, reporting_options


@click.command(
    "simulate",
    short_help="Simulate a catalogue of galaxies.",
    epilog="\b\nExample: jpassed simulate -n 1000 --ssp bc03_chabrier.npz --seed 1 -o mock.fits",
)
@click.option("-n", "count", metavar="N", type=click.IntRange(min=1), required=True)
@click.option(
    "--ssp",
    metavar="FILE",
    type=input_path(),
    required=True,
    multiple=True,
    help="Grid of stellar populations; with several, every galaxy draws one.",
)
@click.option(
    "--lines",
    metavar="FILE",
    type=input_path(),
    help="CloudyFSPS line table. Default: embedded line ratios.",
)
@click.option(
    "--noise",
    metavar="NAME|FILE",
    default="minijpas-v1",
    show_default=True,
    help="Error model of the J-PAS bands.",
)
@click.option(
    "--galex",
    type=click.Choice(["ais", "mis", "dis", "none"], case_sensitive=False),
    default="ais",
    show_default=True,
    help="Depth of the GALEX bands, or none of them.",
)
@click.option(
    "--seed", metavar="N", type=click.IntRange(min=0), help="For the same galaxies again."
)
@device_option(default="cpu")
@output_option(required=True, said="The ending chooses the format.")
@reporting_options
def command(
    count: int,
    ssp: tuple[Path, ...],
    lines: Path | None,
    noise: str,
    galex: str,
    device: str,
    seed: int | None,
    output: Path,
    overwrite: bool,
) -> None:
    """
    Simulate N galaxies with noise and truth.

    OUT has bandfluxes <band> with <band>_err in microjansky and the truth as true_<quantity>, so
    that jpassed annotate reads it as it is.
    """
    check_target(output, overwrite)

    from jpassed.io.catalogs import write_catalog
    from jpassed.simulation import simulate

    with progress_bar("galaxies") as progress:
        table = simulate(
            count,
            seed=seed,
            ssp=list(ssp),
            lines=lines,
            noise=noise,
            galex=None if galex.lower() == "none" else galex.lower(),
            device=device,
            progress=progress,
        )
    write_catalog(table, output, overwrite=overwrite)
    click.echo(f"{output}: {len(table)} simulated galaxies")
