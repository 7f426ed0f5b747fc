"""Arguments that several commands share, and how their text is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Device(click.ParamType):
    """Where torch computes: ``auto``, ``cpu``, ``mps``, ``cuda`` or one GPU as ``cuda:1``."""

    name = "device"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", str(value)):
            self.fail(f"{value!r} is none of auto, cpu, mps, cuda, cuda:N", param, ctx)
        return str(value)


def device_option(default: str = "auto") -> Decorator:
    """``--device``."""
    return click.option(
        "--device", metavar="auto|cpu|cuda", type=Device(), default=default, show_default=True
    )


def input_path() -> click.Path:
    """A path to read; the reader itself says what is wrong with a missing or damaged file."""
    return click.Path(path_type=Path)


def output_option(*, required: bool, said: str) -> Decorator:
    """``-o/--output PATH`` and ``--overwrite``."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        function = click.option("--overwrite", is_flag=True, help="Replace OUT where it exists.")(
            function
        )
        return click.option(
            "-o",
            "--output",
            metavar="OUT",
            type=click.Path(path_type=Path),
            required=required,
            help=said,
        )(function)

    return decorate


def comma_list(texts: Iterable[str]) -> list[str]:
    """
    Names given as ``a,b`` or in several options, without blanks or repeats.

    Examples
    --------
    >>> comma_list(["z,flux:J0660", "z, logmstar"])
    ['z', 'flux:J0660', 'logmstar']
    """
    names = [name.strip() for text in texts for name in text.split(",")]
    return list(dict.fromkeys(name for name in names if name))


def pairs(
    texts: Iterable[str], option: str, form: str = "QUANTITY=COLUMN, e.g. z=z_spec"
) -> dict[str, str]:
    """
    ``quantity=column`` or ``quantity=column,error_column``, or of another `form`, as a dictionary.

    Raises
    ------
    click.BadParameter
        A text without ``=``, with an empty side, or a quantity given twice.

    Examples
    --------
    >>> pairs(["z=z_spec", "logmstar=mass,mass_err"], "--context")
    {'z': 'z_spec', 'logmstar': 'mass,mass_err'}
    """
    found: dict[str, str] = {}
    for text in texts:
        left, equals, right = (part.strip() for part in text.partition("="))
        if not (equals and left and right):
            raise click.BadParameter(f"expected {form}, got {text!r}", param_hint=option)
        if left in found:
            raise click.BadParameter(f"{left!r} is given twice", param_hint=option)
        found[left] = right
    return found


def on_command_line(ctx: click.Context, names: Iterable[str]) -> list[str]:
    """Options among `names` that were given, as they are written there."""
    from click.core import ParameterSource

    return [
        parameter.opts[0]
        for parameter in ctx.command.params
        if parameter.name in set(names)
        and ctx.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    ]


def check_target(path: Path, overwrite: bool) -> None:
    """
    Refuse a catalogue that cannot be written, before any work is done for it.

    Raises
    ------
    UnknownNameError
        The ending is not one of a table.
    FileError
        The file exists and may not be overwritten, or its folder cannot be written to.
    """
    from jpassed.io.atomic import check_output
    from jpassed.io.formats import table_file

    check_output(table_file(path).path, overwrite)
