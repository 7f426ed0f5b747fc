"""The group ``jpassed``: finds commands lazily, turns exceptions into one line and an exit code."""

from __future__ import annotations

import difflib
import importlib
from typing import IO, Any

import click

import jpassed
from jpassed.cli.reporting import Reporting, reporting_options
from jpassed.exceptions import JpassedError, UnknownNameError

# Command -> module with the click command of that name. Command files import click only; what a
# command needs is imported when it runs, so that --help stays far below half a second.
COMMANDS = {
    "annotate": "jpassed.cli.command_annotate",
    "calibrate": "jpassed.cli.command_calibrate",
    "crossmatch": "jpassed.cli.command_crossmatch",
    "embed": "jpassed.cli.command_embed",
    "evaluate": "jpassed.cli.command_evaluate",
    "example": "jpassed.cli.command_example",
    "filters": "jpassed.cli.command_filters",
    "finetune": "jpassed.cli.command_finetune",
    "fetch": "jpassed.cli.command_fetch",
    "identify": "jpassed.cli.command_identify",
    "jspectra": "jpassed.cli.command_jspectra",
    "models": "jpassed.cli.command_models",
    "plot": "jpassed.cli.command_plot",
    "publish": "jpassed.cli.command_publish",
    "query": "jpassed.cli.command_query",
    "samp": "jpassed.cli.command_samp",
    "simulate": "jpassed.cli.command_simulate",
    "train": "jpassed.cli.command_train",
    "zeropoints": "jpassed.cli.command_zeropoints",
}


class Failure(click.ClickException):
    """A command that could not do its work: ``Error: <message>``."""

    exit_code = 1


class UnusableArgument(Failure):
    """An argument that names none of the valid choices: click's own code for wrong usage."""

    exit_code = 2


class Interrupted(click.ClickException):
    """Ctrl-C: one line, and the exit code that shells give to it."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__("interrupted")

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.message, file=file, err=file is None)


class Application(click.Group):
    """A group that imports a command's file on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of these words; a slip of the finger is told the nearest names."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], COMMANDS, n=3)
            if near:
                known = " or ".join(repr(name) for name in near)
                text = f"{error.message} Did you mean {known}?"
                raise click.UsageError(text, error.ctx) from None
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """
        Run the command; an error becomes one line on stderr.

        The exit code is 2 for a name that is not among the valid choices, as click has it for
        every other unusable argument, 130 for Ctrl-C, and 1 for anything else. ``--debug`` lets
        the exception through with its traceback.
        """
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            raise Interrupted from None
        except Exception as error:
            if _is_interrupt(error):
                raise Interrupted from None
            if Reporting.of(ctx).debug:
                raise
            raise _failure(error) from error


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C is what caused an error: Python wraps one that comes while a class is made."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__
    return False


def _failure(error: Exception) -> Failure:
    if isinstance(error, UnknownNameError):
        return UnusableArgument(str(error))
    if isinstance(error, JpassedError):
        return Failure(str(error))
    said = " ".join(str(error).split()) or "no message"
    if isinstance(error, OSError):
        return Failure(said)
    kind = type(error).__name__
    return Failure(f"unexpected {kind}: {said} (--debug shows where)")


@click.group(
    cls=Application,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: jpassed example example.fits && jpassed annotate example.fits",
)
@click.version_option(jpassed.__version__, prog_name="jpassed")
@reporting_options
def main() -> None:
    """
    Predict what is not known of galaxies from what is.

    A catalogue of bandfluxes in, the same catalogue with new columns out. Each command has a --help
    of its own, with an example.
    """
