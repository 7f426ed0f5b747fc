"""``jpassed models``: which models there are."""

from __future__ import annotations

import click

from jpassed.cli.reporting import reporting_options


@click.command(
    "models",
    short_help="List the models at hand.",
    epilog="Example: jpassed models",
)
@reporting_options
def command() -> None:
    """List the embedded and cached models, each with a summary of its card."""
    from jpassed.weights import list_models

    for entry in list_models():
        click.echo(str(entry))
