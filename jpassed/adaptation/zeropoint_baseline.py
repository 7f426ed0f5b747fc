"""Residuals that a model has of its own, where no band has an offset."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jpassed.adaptation.zeropoint_solution import Residuals
from jpassed.annotation.task import Task, check_table, prepare
from jpassed.exceptions import InputError
from jpassed.io.catalogs import read_catalog

__all__ = ["Baseline", "find_baseline"]

OWN = "zeropoint_baseline.ecsv"
NONE = "none"
LEAST_SHARE = 0.6
"""Of the bands that a baseline was measured with: predictions from fewer are others."""

UNKNOWN = 0.04
"""Relative residual of a model that nobody measured, one standard deviation: about what the
default model has in broad bands of real galaxies."""

TEMPLATES = 0.005
"""Relative residual that real galaxies have in any band because the simulated ones, on which a
baseline is measured, are not quite like them: about that of the SEDs of Brown et al. (2014)."""

DOUBTS = (0.25, 0.5, 1.0, 2.0)
"""Of either: how large it is for the galaxies at hand is a part of what is not known. These are
equally probable before, and the catalogue has its say."""

LEAST = 0.02
"""Magnitudes; without a baseline, offsets cannot be known to scatter by less: the model may hide
them as well as feign them."""


@dataclass(frozen=True)
class Baseline:
    """Mean relative residuals of B bands, observed over predicted flux less 1.

    Attributes
    ----------
    residual : ndarray (B,)
    error : ndarray (F, B)
        Standard errors, F equally probable ones.
    name : str
        Where it comes from.
    """

    residual: NDArray[np.float64]
    error: NDArray[np.float64]
    name: str

    @property
    def known(self) -> bool:
        """Whether it was measured."""
        return self.name != NONE

    @property
    def least(self) -> float:
        """Scatter of the offsets, magnitude, below which it cannot be known to lie."""
        return 0.0 if self.known else LEAST


def find_baseline(wanted: Any, task: Task, measure: Callable[[Task], Residuals]) -> Baseline:
    """The baseline that was asked for.

    Parameters
    ----------
    wanted : "auto", "none", Table or path
        See `jpassed.adaptation.fit_zeropoints`.
    task : Task
        Bands and model.
    measure : callable
        Residuals of a task whose objects have no offsets.

    Raises
    ------
    InputError
        If the table shares too few bands.
    FileError
        If a file cannot be read.
    """
    if isinstance(wanted, str) and wanted in ("auto", "none"):
        found = _own(task) if wanted == "auto" else None
        if found is not None:
            return found
        n = len(task.photometry.bands)
        return Baseline(np.zeros(n), np.outer(DOUBTS, np.full(n, UNKNOWN)), NONE)
    named = "a table"
    if isinstance(wanted, (str, os.PathLike)):
        named = os.path.basename(os.fspath(wanted))
        wanted = read_catalog(os.fspath(wanted))
    check_table(wanted)
    context = {k: v.column for k, v in task.labels.items() if v.column in wanted.colnames}
    other = prepare(
        wanted, model=task.model, outputs=("z",), context=context or None, survey="auto",
        device=task.device, batch_size=task.batch_size,
    )  # fmt: skip
    common = [band for band in task.photometry.bands if band in other.photometry.bands]
    if len(common) < LEAST_SHARE * len(task.photometry.bands):
        raise InputError(
            f"baseline: it has {len(common)} of the {len(task.photometry.bands)} bands of the "
            "catalogue; expected objects without offsets in the same bands"
        )
    mean, error = measure(replace(other, photometry=other.photometry.select(common))).mean()
    return _aligned(task, common, mean, error, named)


def _own(task: Task) -> Baseline | None:
    """The baseline that comes with the model, if it is for these bands."""
    from astropy.table import Table

    with as_file(files("jpassed.adaptation").joinpath("data", OWN)) as path:
        if not path.is_file():
            return None
        table = Table.read(path, format="ascii.ecsv")
    p = task.photometry
    here = {p.bands[i] for i in np.flatnonzero(p.observed.any(axis=0))}
    bands = [str(band) for band in table["band"]]
    if str(table.meta["weights"]) != task.model.digest:
        return None
    if len(here & set(bands)) < LEAST_SHARE * len(bands):
        return None
    mean, error = (np.asarray(table[name], dtype=np.float64) for name in ("residual", "error"))
    return _aligned(task, bands, mean, error, f"of model {task.model.name}")


def _aligned(
    task: Task,
    bands: list[str],
    mean: NDArray[np.float64],
    error: NDArray[np.float64],
    name: str,
) -> Baseline:
    residual = np.zeros(len(task.photometry.bands))
    spread = np.outer(DOUBTS, np.full(len(residual), UNKNOWN))
    for i, band in enumerate(task.photometry.bands):
        if band in bands and np.isfinite(mean[bands.index(band)]):
            residual[i] = mean[bands.index(band)]
            spread[:, i] = np.hypot(error[bands.index(band)], np.multiply(DOUBTS, TEMPLATES))
    return Baseline(residual, spread, name)
