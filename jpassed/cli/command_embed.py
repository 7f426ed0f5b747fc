"""``jpassed embed``: a vector for each object, and the objects that are most like one."""

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
from jpassed.cli.arguments import check_target, input_path, output_option
from jpassed.cli.reporting import progress_bar, reporting_options


@click.command(
    "embed",
    short_help="Add a vector to each object; find similar ones.",
    epilog="\b\nExample: jpassed embed catalogue.fits -o embedded.fits --similar 7 --n 5",
)
@click.argument("source", metavar="IN", type=input_path())
@output_option(
    required=False,
    said="The table with its vectors. Default: IN_jpassed.ext beside IN; none with --similar.",
)
@click.option(
    "--similar",
    metavar="ROW",
    type=click.IntRange(min=1),
    help="List the rows whose vectors are nearest to that of row ROW, counted from 1.",
)
@click.option(
    "--n", metavar="N", type=click.IntRange(min=1), default=10, show_default=True,
    help="Rows to list.",
)  # fmt: skip
@annotate_options(without=options_besides(*READING, "replace_columns"))
@reporting_options
def command(
    source: Path,
    output: Path | None,
    overwrite: bool,
    similar: int | None,
    n: int,
    predictions: dict[str, Any],
) -> None:
    """
    Add the column jp_embedding to the catalogue IN: 32 numbers that place each object among others.

    Objects that look alike have vectors near each other, whatever bands they were seen in. Where
    IN has such a column already, --similar uses it. A list has the row, counted from 1, its
    distance, and the first column of IN.
    """
    from jpassed.annotation.embedding import COLUMN, embed
    from jpassed.annotation.embedding import similar as nearest
    from jpassed.annotation.streaming import few_messages
    from jpassed.exceptions import InputError
    from jpassed.io.catalogs import default_output, read_catalog, write_catalog

    keywords = annotate_keywords({**predictions, "outputs": ()})
    keywords.pop("outputs")
    target = output
    if target is None and similar is None:
        target = default_output(source)
    if target is not None:
        check_target(target, overwrite)
    table = read_catalog(source)
    if similar is not None and similar > len(table):
        raise InputError(f"--similar: expected a row from 1 to {len(table)}, got {similar}")
    ready = similar is not None and target is None and COLUMN in table.colnames
    if not ready:
        with few_messages(), progress_bar("objects") as progress:
            table = embed(table, **keywords, progress=progress)
    if target is not None:
        write_catalog(table, target, overwrite=overwrite)
        click.echo(f"{target}: {len(table)} rows")
    if similar is None:
        return
    rows, distances = nearest(table[COLUMN], similar - 1, n)
    first = table.colnames[0]
    click.echo(f"row\tdistance\t{first}")
    for row, distance in zip(rows, distances, strict=True):
        click.echo(f"{row + 1}\t{distance:.3f}\t{table[first][row]}")
