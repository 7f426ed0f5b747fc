"""``jpassed finetune``: a model adapted to a survey by some of its objects."""

from __future__ import annotations

from pathlib import Path

import click

from jpassed.cli.arguments import input_path, pairs
from jpassed.cli.reporting import progress_bar, reporting_options


@click.command(
    "finetune",
    short_help="Adapt a model to a survey with some of its objects.",
    epilog="\b\nExample: jpassed finetune spectroscopic.fits --labels z=z_spec,z_err -o mine\n"
    "         jpassed annotate catalogue.fits --model mine",
)
@click.argument("source", metavar="TABLE", type=input_path())
@click.option(
    "-o",
    "--output",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the new model, and of the checkpoint meanwhile.",
)
@click.option(
    "--labels",
    metavar="Q=COLUMN[,ERROR]",
    multiple=True,
    help="A known quantity and the column (and error column) that holds it; may be repeated. "
    "Without labels the bandfluxes alone teach.",
)
@click.option(
    "--new-kind",
    "new_kinds",
    metavar="NAME[,UNIT[,SUPPORT[,SCALE]]]|FILE",
    multiple=True,
    help="A quantity that the model never saw, named in --labels as well; or a YAML or ECSV file "
    "of them. SUPPORT is real or positive, SCALE linear or asinh.",
)
@click.option(
    "--model", metavar="NAME|FOLDER", default="default", show_default=True, help="The start."
)
@click.option(
    "--survey", metavar="NAME", help="Which survey's columns to look for. Default: found out."
)
@click.option(
    "--map", "column_map", metavar="FILE", type=input_path(), help="A YAML map of the columns."
)
@click.option(
    "--steps",
    metavar="N",
    type=click.IntRange(min=1),
    help="Most steps; it stops earlier where held-out rows no longer improve. Default: 300.",
)
@click.option(
    "--minutes", metavar="T", type=click.FloatRange(min=0, min_open=True), help="Most time."
)
@click.option(
    "--seed",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the held-out rows and everything else that is drawn.",
)
@click.option(
    "--ssp",
    metavar="FILE",
    type=input_path(),
    multiple=True,
    help="Grid of stellar populations to simulate the replayed galaxies anew; may be repeated. "
    "Default: an embedded sample.",
)
@click.option(
    "--config",
    metavar="CONFIG",
    type=input_path(),
    help="Training configuration whose simulation is replayed; wants a grid.",
)
@click.option("--lines", metavar="FILE", type=input_path(), help="CloudyFSPS line table for --ssp.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in FOLDER.")
@click.option("--overwrite", is_flag=True, help="Replace the model in FOLDER.")
@reporting_options
def command(
    source: Path,
    output: Path,
    labels: tuple[str, ...],
    new_kinds: tuple[str, ...],
    model: str,
    survey: str | None,
    column_map: Path | None,
    steps: int | None,
    minutes: float | None,
    seed: int,
    ssp: tuple[Path, ...],
    config: Path | None,
    lines: Path | None,
    resume: bool,
    overwrite: bool,
) -> None:
    """
    Adapt a model to the survey of TABLE with the objects in it, 50 or more.

    Three of ten rows are held out to judge the result. If they gain nothing, the result is the
    model as it was.
    """
    if survey is not None and column_map is not None:
        raise click.UsageError("--survey and --map exclude each other: a map describes a survey.")
    known = pairs(labels, "--labels")

    from jpassed.adaptation import finetune
    from jpassed.io.catalogs import read_catalog

    table = read_catalog(source)
    with progress_bar("steps") as progress:
        found = finetune(
            table,
            output,
            known or None,
            model=model,
            new_kinds=new_kinds,
            survey=column_map if column_map is not None else survey or "auto",
            steps=steps,
            minutes=minutes,
            seed=seed,
            ssp=tuple(str(path) for path in ssp) or None,
            config=config,
            lines=None if lines is None else str(lines),
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    click.echo(str(found))
    click.echo(f"{output}: {'fine-tuned' if found.accepted else 'the start, unchanged'}")
