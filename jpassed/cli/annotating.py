"""Options of `jpassed.annotate`, for every command that annotates."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from jpassed.cli.arguments import (
    Decorator,
    comma_list,
    device_option,
    input_path,
    on_command_line,
    pairs,
)

_OPTIONS: tuple[tuple[str, Decorator], ...] = (
    (
        "outputs",
        click.option(
            "--outputs",
            metavar="NAMES",
            multiple=True,
            help="Quantities to predict, comma-separated; flux:BAND is a bandflux, "
            "lineflux_halpha one of those derived from joint draws. Default: the main labels and "
            "the GALEX bandfluxes.",
        ),
    ),
    (
        "context",
        click.option(
            "--context",
            metavar="Q=COLUMN[,ERROR]",
            multiple=True,
            help="A known quantity and the column (and error column) that holds it; may be "
            "repeated.",
        ),
    ),
    (
        "survey",
        click.option(
            "--survey",
            metavar="NAME",
            help="Which survey's columns to look for. Default: found out.",
        ),
    ),
    (
        "column_map",
        click.option(
            "--map",
            "column_map",
            metavar="FILE",
            type=input_path(),
            help="A YAML map of the columns.",
        ),
    ),
    (
        "model",
        click.option("--model", metavar="NAME|FOLDER", default="default", show_default=True),
    ),
    ("device", device_option()),
    (
        "precision",
        click.option(
            "--precision",
            type=click.Choice(["auto", "float32", "bfloat16"]),
            default="auto",
            show_default=True,
            help="Of the network's matrix products; auto: bfloat16 where the processor or GPU has "
            "it.",
        ),
    ),
    (
        "batch_size",
        click.option(
            "--batch-size", metavar="N", type=click.IntRange(min=1), help="Objects at a time."
        ),
    ),
    (
        "zeropoints",
        click.option(
            "--zeropoints",
            metavar="FILE",
            type=input_path(),
            help="Add the offsets of jpassed zeropoints to the magnitudes first.",
        ),
    ),
    ("pdf", click.option("--pdf", is_flag=True, help="Add jp_<quantity>_pdf.")),
    (
        "samples",
        click.option(
            "--samples",
            metavar="N",
            type=click.IntRange(min=0),
            default=0,
            help="Add jp_<quantity>_samples with N draws.",
        ),
    ),
    (
        "joint",
        click.option(
            "--joint/--independent",
            default=True,
            show_default=True,
            help="Draw the quantities together, or each for itself (much faster).",
        ),
    ),
    (
        "refine",
        click.option(
            "--refine",
            metavar="N",
            type=click.IntRange(min=0),
            default=0,
            help="Weigh N draws an object (2000 is a good number) by the likelihood of its "
            "photometry.",
        ),
    ),
    (
        "chi2",
        click.option(
            "--chi2",
            type=click.Choice(["quick", "full", "none"]),
            default="quick",
            show_default=True,
            help="Compare every fourth band of many, every band, or none with what the others "
            "predict.",
        ),
    ),
    (
        "replace_columns",
        click.option(
            "--replace-columns", is_flag=True, help="Replace jp_ columns that IN already has."
        ),
    ),
)


READING = ("context", "survey", "column_map", "zeropoints", "model", "device", "batch_size")
"""Options of how a table is read and a model asked, without those of what is written."""


def options_besides(*kept: str) -> tuple[str, ...]:
    """Names of the options of `annotate_options` other than these."""
    return tuple(name for name, _ in _OPTIONS if name not in kept)


def annotate_options(*, without: tuple[str, ...] = ()) -> Decorator:
    """
    The options of `jpassed.annotate`; the command gets them as one dictionary ``predictions``.

    Parameters
    ----------
    without : tuple of str
        Options that the command has itself, or not.
    """
    chosen = [(name, option) for name, option in _OPTIONS if name not in without]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def command(**given: Any) -> Any:
            own = {name: given.pop(name) for name, _ in chosen}
            return function(predictions=own, **given)

        decorated: Callable[..., Any] = command
        for _, option in reversed(chosen):
            decorated = option(decorated)
        return decorated

    return decorate


def given_options(ctx: click.Context) -> list[str]:
    """Options of `jpassed.annotate` that stand on the command line."""
    return on_command_line(ctx, [name for name, _ in _OPTIONS if name != "survey"])


def annotate_keywords(predictions: dict[str, Any]) -> dict[str, Any]:
    """
    Keywords of `jpassed.annotate` from what was given.

    Raises
    ------
    click.UsageError
        Options that exclude each other, or say nothing.
    """
    found = dict(predictions)
    survey, column_map = found.pop("survey", None), found.pop("column_map", None)
    if survey is not None and column_map is not None:
        raise click.UsageError("--survey and --map exclude each other: a map describes a survey.")
    found["context"] = pairs(found["context"], "--context") or None
    wanted = comma_list(found["outputs"])
    if found["outputs"] and not wanted:
        raise click.UsageError("--outputs names no quantity; leave it out for the default ones.")
    found["outputs"] = wanted or None
    where: str | Path = column_map if column_map is not None else survey or "auto"
    return {**found, "survey": where}
