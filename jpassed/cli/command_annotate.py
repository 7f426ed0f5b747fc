"""``jpassed annotate``: a catalogue in, the same catalogue with predictions out."""

from __future__ import annotations

from pathlib import Path

import click

from jpassed.cli.arguments import (
    check_target,
    comma_list,
    device_option,
    input_path,
    output_option,
    pairs,
)
from jpassed.cli.reporting import progress_bar, reporting_options
from jpassed.cli.samp_sending import check_hub, send_to_hub


@click.command(
    "annotate",
    short_help="Add predictions to a catalogue.",
    epilog="\b\nExample: jpassed annotate catalogue.fits --outputs z,lineflux_halpha,flux:J0660",
)
@click.argument("source", metavar="IN", type=input_path())
@output_option(required=False, said="Default: IN_jpassed.ext beside IN, in the same format.")
@click.option(
    "--outputs",
    metavar="NAMES",
    multiple=True,
    help="Quantities to predict, comma-separated; flux:BAND is a bandflux, lineflux_halpha one of "
    "those derived from joint draws. Default: the main labels and the GALEX bandfluxes.",
)
@click.option(
    "--context",
    metavar="Q=COLUMN[,ERROR]",
    multiple=True,
    help="A known quantity and the column (and error column) that holds it; may be repeated.",
)
@click.option(
    "--survey", metavar="NAME", help="Which survey's columns to look for. Default: found out."
)
@click.option(
    "--map", "column_map", metavar="FILE", type=input_path(), help="A YAML map of the columns."
)
@click.option("--model", metavar="NAME|FOLDER", default="default", show_default=True)
@device_option()
@click.option("--batch-size", metavar="N", type=click.IntRange(min=1), help="Objects at a time.")
@click.option("--pdf", is_flag=True, help="Add jp_<quantity>_pdf.")
@click.option(
    "--samples",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    help="Add jp_<quantity>_samples with N draws.",
)
@click.option(
    "--joint/--independent",
    default=True,
    show_default=True,
    help="Draw the quantities together, or each for itself (much faster).",
)
@click.option(
    "--refine",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    help="Weigh N draws an object (2000 is a good number) by the likelihood of its photometry.",
)
@click.option("--replace-columns", is_flag=True, help="Replace jp_ columns that IN already has.")
@click.option("--samp", is_flag=True, help="Send the result to TOPCAT and its like, over SAMP.")
@reporting_options
def command(
    source: Path,
    output: Path | None,
    overwrite: bool,
    outputs: tuple[str, ...],
    context: tuple[str, ...],
    survey: str | None,
    column_map: Path | None,
    model: str,
    device: str,
    batch_size: int | None,
    pdf: bool,
    samples: int,
    refine: int,
    joint: bool,
    replace_columns: bool,
    samp: bool,
) -> None:
    """
    Add predictions with errors to the catalogue IN.

    IN and OUT are FITS, VOTable (.vot, .xml), ECSV, Parquet or CSV, also with .gz; of several
    tables in a FITS or VOTable file IN#2 or IN#NAME picks one. Columns of IN are kept as they are;
    new ones begin with jp_.
    """
    if survey is not None and column_map is not None:
        raise click.UsageError("--survey and --map exclude each other: a map describes a survey.")
    known = pairs(context, "--context")
    wanted = comma_list(outputs)
    if outputs and not wanted:
        raise click.UsageError("--outputs names no quantity; leave it out for the default ones.")

    from jpassed.annotation import annotate
    from jpassed.io.catalogs import default_output, read_catalog, write_catalog

    target = output if output is not None else default_output(source)
    check_target(target, overwrite)
    if samp:
        check_hub()
    table = read_catalog(source)
    with progress_bar("objects") as progress:
        annotated = annotate(
            table,
            model=model,
            outputs=wanted or None,
            context=known or None,
            survey=column_map if column_map is not None else survey or "auto",
            device=device,
            batch_size=batch_size,
            samples=samples,
            refine=refine,
            joint=joint,
            pdf=pdf,
            replace_columns=replace_columns,
            progress=progress,
        )
    write_catalog(annotated, target, overwrite=overwrite)
    click.echo(f"{target}: {len(annotated)} rows")
    if samp:
        send_to_hub(target)
