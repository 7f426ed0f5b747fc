"""``jpassed query``: a TAP service's answer in a file, with predictions if asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from jpassed.cli.annotating import annotate_keywords, annotate_options, given_options
from jpassed.cli.arguments import check_target, comma_list, output_option
from jpassed.cli.querying import (
    ask_and_save,
    list_known,
    paging_options,
    question,
    ready_made_options,
    show_tables,
    upload_option,
)
from jpassed.cli.reporting import reporting_options


@click.command(
    "query",
    short_help="Ask a TAP service, and annotate the answer.",
    epilog="\b\nExample: jpassed query cefca-minijpas --survey minijpas --cone 214.2 52.5 0.1 "
    "--annotate -o cone.fits\n"
    '         jpassed query gaia "SELECT TOP 10 * FROM gaiadr3.gaia_source" -o ten.vot',
)
@click.argument("service", metavar="SERVICE")
@click.argument("adql", metavar="[ADQL]", required=False)
@output_option(required=False, said="Needed but for --tables. The ending chooses the format.")
@click.option(
    "--survey",
    metavar="NAME|FILE",
    help="A ready-made query instead of ADQL (see --list). Beside ADQL: which survey's columns "
    "to annotate.",
)
@ready_made_options
@paging_options
@click.option("--sync", "mode", flag_value="sync", help="One request, whatever its size.")
@click.option("--async", "mode", flag_value="async", help="A job of the service.")
@click.option("--resume", metavar="JOB_URL", help="Fetch the answer of a job started before.")
@upload_option
@click.option("--annotate", "annotated", is_flag=True, help="Add predictions to the answer.")
@annotate_options(without=("survey",))
@click.option(
    "--list",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=list_known,
    help="Show the services and ready-made queries known by name.",
)
@click.option(
    "--tables",
    metavar="[NAME]",
    is_flag=False,
    flag_value="",
    help="Show the tables of SERVICE, those with NAME in theirs, or the columns of the one NAME.",
)
@reporting_options
@click.pass_context
def command(
    ctx: click.Context,
    service: str,
    adql: str | None,
    output: Path | None,
    overwrite: bool,
    survey: str | None,
    annotated: bool,
    mode: str | None,
    cone: tuple[str, str, str] | None,
    tile: tuple[str, ...],
    columns: tuple[str, ...],
    tables: str | None,
    predictions: dict[str, Any],
    **given: Any,
) -> None:
    """
    Write the whole answer of a TAP service to OUT.

    SERVICE is a name (see --list) or the URL of a TAP service; ADQL is a query, @FILE of one, or -
    for stdin. Instead of ADQL, --survey with --cone, --tile or --where asks for a part of a survey.
    An answer in pages goes through a folder beside OUT: the same command goes on after a crash.
    """
    if tables is not None:
        if adql is not None or output is not None:
            raise click.UsageError("--tables only shows: leave ADQL and -o out.")
        show_tables(service, tables, given)
        return
    if output is None:
        (option,) = (item for item in ctx.command.params if item.name == "output")
        raise click.MissingParameter(ctx=ctx, param=option)
    if not annotated and (stray := given_options(ctx)):
        raise click.UsageError(f"{', '.join(stray)}: only with --annotate.")
    if adql is not None and survey is not None and not annotated:
        raise click.UsageError("Give ADQL or --survey, not both.")
    own = survey if adql is not None or given["resume"] else None
    keywords = annotate_keywords({**predictions, "survey": own})
    check_target(output, overwrite)
    asked = question(
        service,
        adql,
        {
            **given,
            "survey": survey if own is None else None,
            "cone": cone,
            "tile": list(tile) or None,
            "columns": comma_list(columns) or None,
            "mode": mode or "auto",
        },
    )
    ask_and_save(asked, output, overwrite, keywords if annotated else None)
