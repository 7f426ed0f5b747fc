"""``jpassed plot``: one object of a catalogue, or the catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from jpassed.cli.annotating import (
    READING,
    annotate_keywords,
    annotate_options,
    options_besides,
)
from jpassed.cli.arguments import comma_list, input_path, output_option, pairs
from jpassed.cli.reporting import progress_bar, reporting_options

OF_A_ROW = ("sed", "pdf", "corner")
OF_A_CATALOGUE = ("truth", "histogram", "magnitude", "colours", "sky")


@click.command(
    "plot",
    short_help="Plot one object of a catalogue, or the catalogue.",
    epilog="\b\nExample: jpassed plot catalogue_jpassed.fits --row 1 --truth z=z_spec",
)
@click.argument("source", metavar="CATALOG", type=input_path())
@output_option(
    required=False,
    said="PNG, PDF or SVG. Default: CATALOG_rowN.png, or CATALOG_plot.png, in this folder.",
)
@click.option("--row", metavar="N", type=click.IntRange(min=1), help="Plot row N, counted from 1.")
@click.option(
    "--kind",
    "kinds",
    metavar="KIND,...",
    multiple=True,
    help=f"What to plot; of a row: {', '.join(OF_A_ROW)} (default: sed,pdf), of a catalogue: "
    f"{', '.join(OF_A_CATALOGUE)} (default: all that it has the columns of).",
)
@click.option(
    "--quantities",
    metavar="NAMES",
    multiple=True,
    help="Whose posteriors, comma-separated. Default: z; corner: z,logmstar,logsfr,av.",
)
@click.option(
    "--truth",
    metavar="Q=COLUMN",
    multiple=True,
    help="A known quantity and the column that holds it; may be repeated.",
)
@click.option(
    "--draws", metavar="N", type=click.IntRange(min=20), default=1000, show_default=True,
    help="Joint draws of a corner plot.",
)  # fmt: skip
@click.option("--style", type=click.Choice(["light", "dark"]), default="light", show_default=True)
@click.option(
    "--dpi", metavar="N", type=click.IntRange(30, 2400), default=150, show_default=True,
    help="Dots an inch of a PNG.",
)  # fmt: skip
@click.option(
    "--model",
    metavar="NAME|FOLDER",
    help="Ask this model. Default: what the columns jp_ of CATALOG hold, and the default model for "
    "what they lack.",
)
@annotate_options(without=options_besides(*(name for name in READING if name != "model")))
@reporting_options
def command(
    source: Path,
    output: Path | None,
    overwrite: bool,
    row: int | None,
    kinds: tuple[str, ...],
    quantities: tuple[str, ...],
    truth: tuple[str, ...],
    draws: int,
    style: str,
    dpi: int,
    model: str | None,
    predictions: dict[str, Any],
) -> None:
    """
    Plot one row of CATALOG: its bandfluxes with what the model predicts of them, and p(z).

    Without --row, plot the catalogue: photometric against known redshifts (with --truth),
    their distribution, colours, the sky. CATALOG may be annotated or not.
    """
    names = comma_list(quantities) or None
    wanted = comma_list(kinds)
    known = pairs(truth, "--truth")
    _check_kinds(wanted, row)
    if row is None and names:
        raise click.UsageError("--quantities: of a row, with --row N.")
    keywords = annotate_keywords({**predictions, "outputs": ()})
    del keywords["outputs"]

    from jpassed.io.atomic import atomic_output, check_output
    from jpassed.io.formats import table_file

    file = table_file(source)
    stem = file.path.name[: -len(file.ending)]
    target = output or Path(f"{stem}_plot.png" if row is None else f"{stem}_row{row}.png")
    _check_ending(target)
    check_output(target, overwrite)

    table, place = _read(source, row)

    from jpassed.annotation.streaming import few_messages
    from jpassed.plotting.asking import draw_catalogue, draw_object
    from jpassed.plotting.style import figures_apart

    with few_messages(), figures_apart(), progress_bar("objects") as progress:
        if row is not None:
            figure = draw_object(
                table, place, wanted or OF_A_ROW[:2], quantities=names, truth=known,
                draws=draws, model=model, title=f"{source.name}, row {row}", style=style,
                number=row, **keywords,
            )  # fmt: skip
        else:
            figure = draw_catalogue(
                table, wanted or None, truth=known, model=model, style=style,
                title=f"{source.name}, {len(table)} rows", progress=progress, **keywords,
            )  # fmt: skip
    with atomic_output(target, overwrite) as path:
        figure.savefig(path, dpi=dpi, format=target.suffix.lower().removeprefix("."))
    click.echo(f"{target}")


def _read(source: Path, row: int | None) -> tuple[Any, int]:
    """The catalogue, and where in it the row is; of a file of rows that can be sought, it alone."""
    from jpassed.exceptions import InputError
    from jpassed.io.catalogs import read_catalog
    from jpassed.io.chunks import open_chunks

    if row is None:
        return read_catalog(source), 0
    with open_chunks(source) as chunks:
        table = None if chunks.rereadable else read_catalog(source)
        rows = len(table) if table is not None else chunks.n_rows or 0
        if row > rows:
            raise InputError(f"--row: expected a row from 1 to {rows}, got {row}")
        return (chunks.read(row - 1, row), 0) if table is None else (table, row - 1)


def _check_kinds(wanted: list[str], row: int | None) -> None:
    """Refuse kinds that there are not, or not of this."""
    from jpassed.exceptions import UnknownNameError

    choices: tuple[str, ...] = OF_A_CATALOGUE if row is None else OF_A_ROW
    others: tuple[str, ...] = OF_A_ROW if row is None else OF_A_CATALOGUE
    for kind in wanted:
        if kind in others:
            how = "with" if row is None else "without"
            raise click.UsageError(f"--kind {kind}: only {how} --row.")
        if kind not in choices:
            raise UnknownNameError("kind of plot", kind, choices)


def _check_ending(target: Path) -> None:
    from jpassed.exceptions import UnknownNameError

    endings = (".png", ".pdf", ".svg")
    if target.suffix.lower() not in endings:
        raise UnknownNameError("ending of a plot", target.suffix or str(target), endings)
