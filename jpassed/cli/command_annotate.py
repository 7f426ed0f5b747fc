"""``jpassed annotate``: a catalogue in, the same catalogue with predictions out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from jpassed.cli.annotating import annotate_keywords, annotate_options
from jpassed.cli.arguments import check_target, input_path, on_command_line, output_option
from jpassed.cli.querying import ask_and_save, paging_options, question
from jpassed.cli.reporting import progress_bar, reporting_options
from jpassed.cli.samp_sending import check_hub, send_to_hub
from jpassed.cli.surveying import (
    SURVEY_OPTIONS,
    annotate_survey,
    on_cluster,
    survey_options,
)


@click.command(
    "annotate",
    short_help="Add predictions to a catalogue.",
    epilog="\b\nExample: jpassed annotate catalogue.fits --outputs z,lineflux_halpha,flux:J0660",
)
@click.argument("source", metavar="IN", type=input_path(), required=False)
@output_option(required=False, said="Default: IN_jpassed.ext beside IN, in the same format.")
@annotate_options()
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that share the rows, one thread (or GPU) each.",
)
@click.option(
    "--resume", is_flag=True, help="Go on where a run that was killed or interrupted had come."
)
@click.option("--samp", is_flag=True, help="Send the result to TOPCAT and its like, over SAMP.")
@click.option(
    "--tap", metavar="SERVICE", help="Annotate the answer of a TAP service, its name or URL."
)
@click.option("--adql", metavar="QUERY", help="What to ask it; also @FILE, or - for stdin.")
@paging_options
@survey_options
@reporting_options
@click.pass_context
def command(
    ctx: click.Context,
    source: Path | None,
    output: Path | None,
    overwrite: bool,
    predictions: dict[str, Any],
    samp: bool,
    tap: str | None,
    adql: str | None,
    workers: int,
    resume: bool,
    **given: Any,
) -> None:
    """
    Add predictions with errors to the catalogue IN.

    IN and OUT are FITS, VOTable (.vot, .xml), ECSV, Parquet or CSV, also with .gz; of several
    tables in a FITS or VOTable file IN#2 or IN#NAME picks one. Columns of IN are kept as they are;
    new ones begin with jp_. Instead of IN, --tap and --adql ask a service of the Virtual
    Observatory (jpassed query has more options for that). Of a HATS catalogue (--hats) or a folder
    of Parquet files IN, OUT is a folder, and a Dask cluster does the work.
    """
    keywords = annotate_keywords(predictions)
    survey = {name: given.pop(name) for name in SURVEY_OPTIONS}
    if on_cluster(source, survey):
        annotate_survey(
            ctx, source, output, survey, keywords,
            workers=workers, resume=resume, overwrite=overwrite,
        )  # fmt: skip
        return
    if tap is not None:
        if source is not None or adql is None or output is None:
            raise click.UsageError("--tap wants --adql and -o OUT, and no IN.")
        if workers > 1:
            raise click.UsageError("--workers: only of files, not with --tap.")
        check_target(output, overwrite)
        if samp:
            check_hub()
        ask_and_save(question(tap, adql, given), output, overwrite, keywords)
        if samp:
            send_to_hub(output)
        return
    if source is None:
        raise click.UsageError("Missing argument 'IN' (or --tap SERVICE, or --hats CATALOG).")
    if stray := _of_services(ctx):
        raise click.UsageError(f"{', '.join(stray)}: only with --tap.")

    from jpassed.annotation.files import annotate_file
    from jpassed.io.catalogs import default_output

    target = output if output is not None else default_output(source)
    if not resume:
        check_target(target, overwrite)
    if samp:
        check_hub()
    with progress_bar("objects") as progress:
        rows = annotate_file(
            source,
            target,
            workers=workers,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
            **keywords,
        )
    click.echo(f"{target}: {rows} rows")
    if samp:
        send_to_hub(target)


def _of_services(ctx: click.Context) -> list[str]:
    """Options on the command line that are for services only."""
    names = ("adql", "maxrec", "page_by", "page_rows", "login", "no_cache", "timeout")
    return on_command_line(ctx, names)
