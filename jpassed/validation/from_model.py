"""Predictions of a model, compared with what is known, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jpassed.evaluation import ObjectScores, Truth, odds, score_objects
from jpassed.posteriors.grids import PdfGrid
from jpassed.validation.compared import Compared, Densities
from jpassed.vocabulary import load_vocabulary

if TYPE_CHECKING:
    from jpassed.annotation.inference import Batch
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
    parts: dict[str, list[Any]] = {name: [] for name in truths}
    flags = _Flags(task)
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
            if densities and name == "z":
                table = PdfGrid.of(load_vocabulary()[name]).densities(distribution)
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
            _densities(name, [part[2] for part in found]),
        )
        for name, found in parts.items()
    }, flag


class _Flags:
    """``jp_flag`` as `jpassed.annotate` writes it."""

    def __init__(self, task: Task) -> None:
        from jpassed.annotation.intruders import TaskIntruders
        from jpassed.annotation.predictive import TaskChi2

        self._task = task
        self._intruders, self._fit = TaskIntruders(task), TaskChi2(task)

    def of(self, batch: Batch) -> NDArray[np.int32]:
        """Bits of the rows of a batch."""
        from jpassed.annotation.flags import prior_dominated

        rows = batch.rows
        flag = self._task.flags(rows, batch.log_scale)
        flag |= self._intruders.flags(rows, batch.vector)
        flag |= self._fit.flags(rows)
        if "z" in batch.posterior:
            low, high = batch.posterior["z"].quantile([0.15865525, 0.84134475]).T
            flag |= prior_dominated(
                0.5 * (high - low), batch.log_scale, self._task.redshift_settled(rows)
            )
        return flag


def _masked(task: Task, posterior: Posterior, rows: slice) -> dict[str, NDArray[np.bool_]]:
    """Objects whose column would be masked, by quantity; as in `jpassed.annotate`."""
    from jpassed.annotation.targets import line_out_of_range, redshifts

    z = redshifts(posterior, task.labels, rows)
    return {
        name: task.nothing_known(rows, name) | line_out_of_range(name, z)
        for name in task.quantities
    }


def _densities(name: str, tables: list[NDArray[np.float64] | None]) -> Densities | None:
    known = [table for table in tables if table is not None]
    if not known:
        return None
    return Densities(PdfGrid.of(load_vocabulary()[name]).edges, np.concatenate(known))
