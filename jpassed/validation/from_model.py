"""Predictions of a model, compared with what is known, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jpassed.evaluation import ObjectScores, Truth, odds, score_objects
from jpassed.posteriors.grids import PdfGrid
from jpassed.validation.compared import Compared, Densities

if TYPE_CHECKING:
    from jpassed.annotation.task import Task
    from jpassed.posteriors import Posterior

__all__ = ["compare_model"]


def compare_model(
    task: Task,
    truths: Mapping[str, Truth],
    *,
    densities: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Compared], NDArray[np.int32]]:
    """Ask a model, and compare.

    Parameters
    ----------
    task : Task
        Asks the quantities of `truths`.
    truths : dict of str to Truth
    densities : bool
        Whether to keep the tabulated posteriors.
    progress : callable, optional
        Called with (objects done, N).

    Returns
    -------
    dict of str to Compared
    flag : ndarray (N,)
        ``jp_flag`` of the objects.
    """
    from jpassed.annotation.row_flags import RowFlags

    parts: dict[str, list[Any]] = {name: [] for name in truths}
    grids = {name: PdfGrid.of(task.model.vocabulary[name]) for name in truths if name == "z"}
    flags = RowFlags(task)
    flag = np.zeros(len(task), dtype=np.int32)
    for batch in task.batches(task.outputs_and_redshift):
        rows = batch.rows
        masked = _masked(task, batch.posterior, rows)
        for name, true in truths.items():
            distribution = batch.posterior[name]
            value = np.where(masked[name], np.nan, true.value[rows])
            scores = score_objects(distribution, value, true.error[rows])
            probable = np.full(len(value), np.nan)
            if name == "z":
                probable = np.asarray(odds(distribution, scores.median))
            table = None
            if densities and name in grids:
                table = grids[name].densities(distribution)
            for array in (scores.median, scores.low, scores.high, probable):
                array[masked[name]] = np.nan
            parts[name].append((scores, probable, table))
        flag[rows] = flags.of(batch)
        if progress is not None:
            progress(rows.stop, len(task))
    source = f"model {task.model.name} {task.model.version} (weights {task.model.digest})"
    return {
        name: Compared(
            truths[name],
            ObjectScores.concatenate([part[0] for part in found]),
            np.concatenate([part[1] for part in found]),
            source,
            _densities(grids.get(name), [part[2] for part in found]),
        )
        for name, found in parts.items()
    }, flag


def _masked(task: Task, posterior: Posterior, rows: slice) -> dict[str, NDArray[np.bool_]]:
    """Objects whose column would be masked, by quantity; as in `jpassed.annotate`."""
    from jpassed.annotation.targets import line_out_of_range, redshifts

    z = redshifts(posterior, task.labels, rows)
    return {
        name: task.nothing_known(rows, name) | line_out_of_range(name, z)
        for name in task.quantities
    }


def _densities(grid: PdfGrid | None, tables: list[NDArray[np.float64] | None]) -> Densities | None:
    known = [table for table in tables if table is not None]
    if grid is None or not known:
        return None
    return Densities(grid.edges, np.concatenate(known))
