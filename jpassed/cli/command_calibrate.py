"""``jpassed calibrate``: intervals that hold, from objects of known truth."""

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
    "calibrate",
    short_help="Recalibrate a model with objects of known truth.",
    epilog="\b\nExample: jpassed calibrate spectroscopic.fits --truth z=z_spec -o calibrated\n"
    "         jpassed annotate catalogue.fits --model calibrated",
)
@click.argument("source", metavar="TABLE", type=input_path(), required=False)
@output_option(required=False, said="Folder of the new model.")
@click.option(
    "--truth",
    metavar="Q=COLUMN[,ERROR]",
    multiple=True,
    help="A known quantity and the column (and error column) that holds it; may be repeated.",
)
@click.option(
    "--in-place", is_flag=True, help="Change the folder that --model names; no embedded model."
)
@click.option("--group", metavar="COLUMN", help="Names the object of each row.")
@click.option(
    "--folds",
    metavar="K",
    type=click.IntRange(2, 20),
    default=5,
    show_default=True,
    help="Parts of the sample that are held out in turn to judge the result.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Take recalibrations that do not help on held-out rows, or of truths that look wrong.",
)
@click.option(
    "--remove",
    metavar="MODEL",
    type=click.Path(path_type=Path),
    help="Take the last calibration of the folder MODEL back; no TABLE is needed.",
)
@annotate_options(without=options_besides(*READING))
@reporting_options
def command(
    source: Path | None,
    output: Path | None,
    overwrite: bool,
    truth: tuple[str, ...],
    in_place: bool,
    group: str | None,
    folds: int,
    force: bool,
    remove: Path | None,
    predictions: dict[str, Any],
) -> None:
    """
    Recalibrate a model's posteriors with the objects of TABLE, whose truth is known.

    The new model predicts as the old one, with intervals that hold as often as they say for
    objects like these. What it is worth is told on objects held out.
    """
    if remove is not None:
        if source is not None or output is not None or truth:
            raise click.UsageError("--remove MODEL stands alone.")
        from jpassed.adaptation import uncalibrate

        names = uncalibrate(remove)
        click.echo(f"{remove}: last calibration taken back ({', '.join(names) or 'no change'})")
        return
    if source is None or not truth:
        raise click.UsageError("TABLE and --truth Q=COLUMN are needed (or --remove MODEL).")
    if output is None and not in_place:
        raise click.UsageError("-o FOLDER for the new model, or --in-place, is needed.")
    known = pairs(truth, "--truth")
    keywords = annotate_keywords({**predictions, "outputs": ()})
    del keywords["outputs"]

    from jpassed.adaptation import calibrate
    from jpassed.adaptation.calibration import SCOPE
    from jpassed.annotation.streaming import few_messages
    from jpassed.io.catalogs import read_catalog

    table = read_catalog(source)
    with few_messages(), progress_bar("objects") as progress:
        found = calibrate(
            table,
            known,
            output,
            groups=group,
            folds=folds,
            force=force,
            overwrite=overwrite,
            in_place=in_place,
            table_name=source.name,
            progress=progress,
            **keywords,
        )
    for row in found.table:
        click.echo(_line(row))
    click.echo(SCOPE)
    click.echo(f"{found.folder}: a model for jpassed annotate --model {found.folder}")


def _line(row: Any) -> str:
    """What became of one quantity."""
    left_out = row["without_truth"] + row["truth_outside"] + row["not_predicted"]
    return (
        f"{row['quantity']}: {row['n']} objects ({left_out} left out); "
        f"PIT distance {row['pit_distance_before']:.3f} -> {row['pit_distance_after']:.3f}, "
        f"68 % intervals hold {100 * row['coverage_68_before']:.1f} -> "
        f"{100 * row['coverage_68_after']:.1f} % (held-out objects), log score "
        f"{row['log_score_gain']:+.3f} +- {row['log_score_gain_error']:.3f}; "
        + ("recalibrated" if row["taken"] else "left as it was")
    )
