"""The folder of an evaluation: report, figures, plots."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jpassed.io.catalogs import write_catalog
from jpassed.io.folders import atomic_folder
from jpassed.validation.page import report_page

if TYPE_CHECKING:
    from astropy.table import Table

    from jpassed.validation.assessment import Evaluation

__all__ = ["MARKS", "objects_table", "write_evaluation"]

MARKS = ("report.html", "figures.ecsv")
"""Files that tell the folder of an evaluation."""

DPI = 110


def write_evaluation(
    evaluation: Evaluation, folder: str | os.PathLike[str], *, overwrite: bool = False
) -> Path:
    """See `jpassed.validation.Evaluation.write`."""
    target = Path(folder)
    with atomic_folder(target, overwrite, marks=MARKS) as temporary:
        plots = {}
        for name, (figure, said) in evaluation.plots().items():
            path = temporary / f"{name}.png"
            figure.savefig(path, dpi=DPI)
            plots[name] = (path.read_bytes(), said)
        write_catalog(evaluation.figures, temporary / "figures.ecsv")
        write_catalog(objects_table(evaluation), temporary / "objects.ecsv")
        (temporary / "report.html").write_text(report_page(evaluation, plots), "utf-8")
        redshift = evaluation.compared.get("z")
        if redshift is not None and redshift.densities is not None:
            from jpassed.validation.ensembles import qp_ensemble

            qp_ensemble(evaluation).write_to(str(temporary / "pz.hdf5"))
    return target


def objects_table(evaluation: Evaluation) -> Table:
    """What is compared, an object a row, in the order of the table that was evaluated."""
    from astropy.table import MaskedColumn, Table

    table = Table()
    for name, one in evaluation.compared.items():
        values = {
            "truth": one.truth.value, "predicted": one.scores.median, "lo": one.scores.low,
            "hi": one.scores.high, "odds": one.odds, "pit": one.scores.pit,
            "crps": one.scores.crps, "log_score": one.scores.log_score,
        }  # fmt: skip
        for what, array in values.items():
            if not np.isfinite(array).any():
                continue
            column = MaskedColumn(array, mask=~np.isfinite(array))
            column.format = "%.6g"
            table[f"{name.replace(':', '_')}_{what}"] = column
    return table
