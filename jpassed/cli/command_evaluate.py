"""``jpassed evaluate``: what predictions are worth where the truth is known."""

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
from jpassed.cli.arguments import input_path, output_option, pairs
from jpassed.cli.reporting import progress_bar, reporting_options


@click.command(
    "evaluate",
    short_help="Compare predictions with known values.",
    epilog="\b\nExample: jpassed evaluate catalogue.fits --truth z=z_spec -o report",
)
@click.argument("source", metavar="TABLE", type=input_path())
@output_option(required=False, said="Folder for the report. Default: TABLE_evaluation beside it.")
@click.option(
    "--truth",
    metavar="Q=COLUMN[,ERROR]",
    multiple=True,
    required=True,
    help="A known quantity and the column (and error column) that holds it; may be repeated.",
)
@click.option(
    "--model",
    metavar="NAME|FOLDER",
    help="Predict with this model. Default: the columns jp_ of TABLE if it has them, else the "
    "default model.",
)
@click.option(
    "--predictions",
    "columns",
    metavar="Q=COLUMN[,ERROR|,LOW,HIGH]",
    multiple=True,
    help="Evaluate these columns instead, of any code; LOW and HIGH are the 16 and 84 % quantiles.",
)
@click.option(
    "--by",
    metavar="BAND|COLUMN[=E1,E2,...]",
    multiple=True,
    help="Bins of a band's AB magnitude or of a column, with their edges; may be repeated. "
    "Default: magnitude in r.",
)
@click.option("--group", metavar="COLUMN", help="Names the object of each row.")
@click.option(
    "--bootstrap",
    metavar="N",
    type=click.IntRange(min=0),
    default=200,
    show_default=True,
    help="Resamplings for the intervals of the figures.",
)
@click.option("--qp", is_flag=True, help="Write p(z) of all rows for qp, as pz.hdf5.")
@annotate_options(without=options_besides(*(name for name in READING if name != "model")))
@reporting_options
def command(
    source: Path,
    output: Path | None,
    overwrite: bool,
    truth: tuple[str, ...],
    model: str | None,
    columns: tuple[str, ...],
    by: tuple[str, ...],
    group: str | None,
    bootstrap: int,
    qp: bool,
    predictions: dict[str, Any],
) -> None:
    """
    Compare predictions for TABLE with known values in its columns.

    TABLE is a catalogue as for jpassed annotate, or one that was annotated, or holds another
    code's predictions. The folder gets report.html (for any browser, no network), figures.ecsv
    (every figure with its definition), objects.ecsv and the plots.
    """
    known = pairs(truth, "--truth")
    named = pairs(columns, "--predictions", "QUANTITY=COLUMN, e.g. z=z_phot") or None
    if named is not None and model is not None:
        raise click.UsageError("--predictions and --model exclude each other.")
    keywords = annotate_keywords({**predictions, "outputs": ()})
    del keywords["outputs"]

    from jpassed.annotation.streaming import few_messages
    from jpassed.io.catalogs import default_output, read_catalog
    from jpassed.io.folders import check_folder
    from jpassed.validation import evaluate
    from jpassed.validation.writing import MARKS

    target = output if output is not None else _beside(default_output(source, "_evaluation"))
    check_folder(target, overwrite, marks=MARKS)
    if qp:
        if "z" not in known:
            raise click.UsageError(
                "--qp writes p(z): the known redshift is needed, --truth z=COLUMN."
            )
        from jpassed.validation.ensembles import require_qp

        require_qp()
    table = read_catalog(source)
    with few_messages(), progress_bar("objects") as progress:
        found = evaluate(
            table,
            known,
            model=model,
            predictions=named,
            by=_edges(by),
            groups=group,
            n_bootstrap=bootstrap,
            densities=qp,
            table_name=source.name,
            progress=progress,
            **keywords,
        )
    found.write(target, overwrite=overwrite)
    if qp and found.compared["z"].densities is None:
        click.echo(
            "No pz.hdf5: these columns hold no p(z). Annotate with --pdf, or name the --model.",
            err=True,
        )
    for line in found.summary():
        click.echo(line)
    click.echo(
        f"{target / 'report.html'}: tables and plots for a browser "
        f"({len(found.figures)} numbers in figures.ecsv)"
    )


def _beside(path: Path) -> Path:
    """The folder of that name, without the ending of a table."""
    return path.with_name(path.name.split(".")[0])


def _edges(texts: tuple[str, ...]) -> dict[str, list[float] | None] | None:
    """Bands and columns with the edges of their bins."""
    found: dict[str, list[float] | None] = {}
    for text in texts:
        name, equals, numbers = (part.strip() for part in text.partition("="))
        try:
            found[name] = [float(part) for part in numbers.split(",")] if equals else None
        except ValueError:
            raise click.BadParameter(
                f"expected BAND=E1,E2,... with numbers, got {text!r}", param_hint="--by"
            ) from None
    return found or None
