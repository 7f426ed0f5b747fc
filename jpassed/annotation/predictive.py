"""``jp_chi2``: does each band of an object fit what its other bands make the model expect?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from jpassed.annotation.flag_limits import load_flag_limits
from jpassed.annotation.flags import Flag
from jpassed.annotation.output import PREFIX
from jpassed.annotation.reconstruction import Reconstructor, band_folds, zero_point_scatter
from jpassed.annotation.targets import trained_bands
from jpassed.exceptions import UnknownNameError
from jpassed.filters.known import set_of_band

if TYPE_CHECKING:
    from astropy.table import QTable

    from jpassed.annotation.task import Task

__all__ = ["COLUMN", "FORMS", "TaskChi2", "predictive_chi2", "compared_bands"]

COLUMN = f"{PREFIX}chi2"

FORMS = ("quick", "full", "none")
"""Every fourth band (of many) in one pass; every band in four passes; no `jp_chi2`."""

FOLDS = {"quick": 2, "full": 4}
SPARSE = 4
SPARSE_SETS = ("jpas",)
"""Sets of so many bands that the quick form tests every fourth of them; of others it tests all."""

LEAST_TESTED = 3
"""Fewest tested bands of a reduced chi-square."""

NORMAL = np.arange(-4.0, 4.5)
LEVELS = tuple(float(level) for level in ndtr(NORMAL))


def compared_bands(
    bands: Sequence[str], pivot: NDArray[np.float64], form: str
) -> NDArray[np.bool_]:
    """The bands (B,) whose measurements are compared with their predictions.

    Raises
    ------
    UnknownNameError
        For an unknown form.
    """
    if form not in FORMS:
        raise UnknownNameError("form of chi2", str(form), FORMS)
    if form == "full":
        return np.ones(len(bands), dtype=bool)
    many = np.array([set_of_band(name) in SPARSE_SETS for name in bands], dtype=bool)
    # All of one of the two folds: a single pass hides them, and every other band between them.
    return ~many | (band_folds(bands, pivot, SPARSE) == 0)


def predictive_chi2(
    flux: NDArray[np.float64],
    error: NDArray[np.float64],
    scatter: NDArray[np.float64],
    expected: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Chi-square of measurements against predictions that need not be Gaussian.

    A prediction is F(v), the quantile function of the true bandflux with v a standard normal
    number. The measurement's chi-square is the least of v^2 + (flux - F(v))^2 / s^2, with s the
    error and the scatter of the zero point: (flux - m)^2 / (s^2 + t^2) for a Gaussian of mean m
    and width t, and less where the prediction has a long tail (a line that may be there).

    Parameters
    ----------
    flux, error : ndarray (N, B)
        Microjansky.
    scatter : ndarray (B,)
        Standard deviation of the zero points, magnitudes.
    expected : ndarray (N, B, 9)
        Quantiles of the true bandflux at `LEVELS`, microjansky.

    Returns
    -------
    ndarray (N, B)
        NaN where the prediction is.
    """
    middle = expected[..., len(NORMAL) // 2]
    variance = error**2 + (np.log(10.0) / 2.5 * scatter * middle) ** 2
    best = np.full(flux.shape, np.inf)
    last = len(NORMAL) - 2
    for k in range(last + 1):
        # F is straight between two levels, and goes on beyond the first and the last.
        slope = expected[..., k + 1] - expected[..., k]
        low = -np.inf if k == 0 else NORMAL[k]
        high = np.inf if k == last else NORMAL[k + 1]
        rest = flux - expected[..., k] + slope * NORMAL[k]
        v = np.clip(slope * rest / (variance + slope**2), low, high)
        best = np.fmin(best, v**2 + (rest - slope * v) ** 2 / variance)
    return np.where(np.isfinite(middle), best, np.nan)


@lru_cache(maxsize=16)
def _scatter(bands: tuple[str, ...]) -> NDArray[np.float64]:
    """`zero_point_scatter`, which reads files: once, not for every page of a table."""
    found = zero_point_scatter(bands)
    found.setflags(write=False)
    return found


class TaskChi2:
    """`jp_chi2` of a task's objects, a batch at a time.

    Parameters
    ----------
    task : Task
    form : {"quick", "full", "none"}

    Raises
    ------
    UnknownNameError
        For another form.
    """

    def __init__(self, task: Task, form: str = "quick") -> None:
        if form not in FORMS:
            raise UnknownNameError("form of chi2", str(form), FORMS)
        p = task.photometry
        self._task, self.form = task, form
        self._values = np.full(len(task), np.nan, dtype=np.float32)
        self._reconstructor: Reconstructor | None = None
        if form == "none" or len(p.bands) < LEAST_TESTED:
            return
        self._asked = compared_bands(p.bands, p.pivot, form)
        trained = set(trained_bands(task.model.card)) or set(p.bands)
        strange = np.array([band not in trained for band in p.bands], dtype=bool)
        more = np.where(strange, load_flag_limits().untrained, 0.0)
        self._scatter = np.hypot(_scatter(p.bands), more)[self._asked]
        # What a model knows by wavelength alone it predicts from more of the other bands.
        folds = FOLDS["full" if strange.any() else form]
        self._reconstructor = Reconstructor(task, folds, self._asked)

    def flags(self, rows: slice) -> NDArray[np.int32]:
        """Bits of ``jp_flag`` of some rows; their chi-squares are kept."""
        flag = np.zeros(rows.stop - rows.start, dtype=np.int32)
        if self._reconstructor is None:
            return flag
        step = self._reconstructor.batch
        for start in range(rows.start, rows.stop, step):
            part = slice(start, min(start + step, rows.stop))
            chi2, tested = self._of(part, self._reconstructor)
            limit = load_flag_limits().chi2_limit(self.form, tested)
            self._values[part] = chi2
            with np.errstate(invalid="ignore"):
                poor = chi2 > limit
            flag[part.start - rows.start : part.stop - rows.start][poor] = Flag.POOR_RECONSTRUCTION
        return flag

    def measure(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Reduced chi-squares (N,), NaN where there is none, and numbers of tested bands (N,)."""
        n = len(self._task)
        chi2, tested = np.full(n, np.nan), np.zeros(n, dtype=np.int64)
        if self._reconstructor is not None:
            step = self._reconstructor.batch
            for start in range(0, n, step):
                rows = slice(start, min(start + step, n))
                chi2[rows], tested[rows] = self._of(rows, self._reconstructor)
        return chi2, tested

    def _of(
        self, rows: slice, reconstructor: Reconstructor
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Reduced chi-square and number of tested bands of some rows."""
        p, asked = self._task.photometry, self._asked
        expected = reconstructor.asked_quantiles(rows, LEVELS)
        seen = p.observed[rows][:, asked] & np.isfinite(expected).all(axis=-1)
        parts = predictive_chi2(
            p.flux[rows][:, asked],
            np.where(seen, p.error[rows][:, asked], 1.0),
            self._scatter,
            expected,
        )
        tested = seen.sum(axis=1)
        total = np.where(seen, parts, 0.0).sum(axis=1)
        enough = (tested >= LEAST_TESTED) & (
            p.observed[rows].sum(axis=1) >= load_flag_limits().few_bands
        )
        return np.where(enough, total / np.maximum(tested, 1), np.nan), tested

    def add_column(self, table: QTable) -> None:
        """Add ``jp_chi2``, unless it was not asked for."""
        from astropy.table import MaskedColumn

        if self.form == "none":
            return
        which = "every band" if self._reconstructor is None or self._asked.all() else "some bands"
        table[COLUMN] = MaskedColumn(
            self._values,
            mask=np.isnan(self._values),
            description=f"Reduced chi-square of {which}, each against what bands at other "
            "wavelengths predict; about 1 for galaxies of the prior. Masked where an object has "
            f"fewer than {load_flag_limits().few_bands} bands, or {LEAST_TESTED} to compare",
            meta={"ucd": "stat.fit.chi2"},
            format=".3f",
        )
