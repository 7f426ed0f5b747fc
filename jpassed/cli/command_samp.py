"""``jpassed samp``: annotate the tables that TOPCAT, Aladin and their like send."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import click

from jpassed.cli.arguments import comma_list, pairs
from jpassed.cli.command_annotate import command as annotate_command
from jpassed.cli.reporting import reporting_options

# What a table is annotated with is said as for `jpassed annotate`, word by word.
SHARED = (
    "outputs",
    "context",
    "survey",
    "column_map",
    "model",
    "device",
    "batch_size",
    "pdf",
    "samples",
    "joint",
    "refine",
    "replace_columns",
)


@click.command(
    "samp",
    short_help="Annotate tables that TOPCAT or Aladin send.",
    epilog="\b\nExample: jpassed samp --outputs z,logmstar",
)
@click.option("--wait", is_flag=True, help="Wait for a hub, and for the next one when it goes.")
@click.option(
    "--on-selection", is_flag=True, help="Annotate only the rows that are selected and sent."
)
@click.option(
    "--to-all", is_flag=True, help="Send results to every program, not only back to the sender."
)
@click.option(
    "--allow-remote", is_flag=True, help="Fetch tables of other machines as well (not safe)."
)
@click.option(
    "--max-size",
    metavar="MB",
    type=click.FloatRange(min=0, min_open=True),
    default=2000.0,
    show_default=True,
    help="Largest file that is read.",
)
@reporting_options
def command(
    wait: bool,
    on_selection: bool,
    to_all: bool,
    allow_remote: bool,
    max_size: float,
    **options: Any,
) -> None:
    """
    Serve the SAMP hub that is running, until it goes away or Ctrl-C is pressed.

    A table that is sent to jpassed (in TOPCAT: Interop > Send table to > jpassed) comes back with
    predictions; of a row subset that is sent, these rows are done. No hub is started: TOPCAT and
    Aladin bring one along.
    """
    asked = _annotation_options(options)

    from jpassed.samp import AnnotationService

    service = AnnotationService(
        asked,
        wait=wait,
        on_selection=on_selection,
        to_all=to_all,
        allow_remote=allow_remote,
        max_bytes=int(max_size * 1e6),
        tell=_tell,
    )
    # `kill` should leave the hub and remove the temporary files as Ctrl-C does.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        service.run()
    except KeyboardInterrupt:
        _tell("left the SAMP hub")
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell(line: str) -> None:
    click.echo(line)


def _annotation_options(options: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `jpassed.annotate` from those of the command line."""
    column_map: Path | None = options.pop("column_map")
    survey: str | None = options.pop("survey")
    if survey is not None and column_map is not None:
        raise click.UsageError("--survey and --map exclude each other: a map describes a survey.")
    outputs = options.pop("outputs")
    wanted = comma_list(outputs)
    if outputs and not wanted:
        raise click.UsageError("--outputs names no quantity; leave it out for the default ones.")
    known = pairs(options.pop("context"), "--context")
    return {
        **options,
        "survey": column_map if column_map is not None else survey or "auto",
        "outputs": wanted or None,
        "context": known or None,
    }


command.params[:0] = [option for option in annotate_command.params if option.name in SHARED]
