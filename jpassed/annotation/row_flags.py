"""``jp_flag`` of the rows of a batch, from everything that can set a bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jpassed.annotation.flags import prior_dominated, uncertain_redshift
from jpassed.annotation.intruders import TaskIntruders
from jpassed.annotation.predictive import TaskChi2
from jpassed.annotation.task import Task
from jpassed.posteriors.columns import LEVELS

if TYPE_CHECKING:
    from jpassed.annotation.inference import Batch
    from jpassed.posteriors import Posterior

__all__ = ["CENTRAL", "RowFlags", "known_quantiles"]

CENTRAL = (0.15865525, 0.5, 0.84134475)
"""Probabilities below the quantiles of the redshift that its two flags look at."""


def known_quantiles(
    posterior: Posterior,
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64] | None]:
    """Quantiles of the redshift, asked once: those of its columns, and (N, 3) at `CENTRAL`."""
    if "z" not in posterior:
        return {}, None
    levels = sorted({*CENTRAL, *LEVELS})
    found = posterior.quantile("z", levels)
    at = {level: found[:, i] for i, level in enumerate(levels)}
    columns, central = (np.stack([at[level] for level in own]).T for own in (LEVELS, CENTRAL))
    return {"z": columns}, central


class RowFlags:
    """All bits but those of refinement.

    Parameters
    ----------
    task : Task
    chi2 : {"quick", "full", "none"}
        See `jpassed.annotate`.

    Attributes
    ----------
    intruders : TaskIntruders
    fit : TaskChi2
        Both have the columns of the rows that were flagged.
    """

    def __init__(self, task: Task, chi2: str = "quick") -> None:
        self._task = task
        self.intruders, self.fit = TaskIntruders(task), TaskChi2(task, chi2)

    def of(
        self,
        batch: Batch,
        posterior: Posterior | None = None,
        redshift: NDArray[np.float64] | None = None,
    ) -> NDArray[np.int32]:
        """Bits of the rows of a batch.

        `posterior` where it is not the batch's own, and quantiles of its redshift (N, 3) at
        `CENTRAL` where they are known already.
        """
        rows = batch.rows
        found = batch.posterior if posterior is None else posterior
        flag = self._task.flags(rows, batch.log_scale)
        flag |= self.intruders.flags(rows, batch.vector) | self.fit.flags(rows)
        if redshift is None and "z" in found:
            redshift = found["z"].quantile(CENTRAL)
        if redshift is not None:
            low, median, high = redshift.T
            width, settled = 0.5 * (high - low), self._task.redshift_settled(rows)
            flag |= prior_dominated(width, batch.log_scale, settled)
            flag |= uncertain_redshift(width, median, settled)
        return flag
