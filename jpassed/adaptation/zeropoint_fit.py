"""Zero points of a catalogue from its own galaxies, without spectra."""

from __future__ import annotations

import datetime
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import jpassed
from jpassed.adaptation.zeropoint_baseline import Baseline, find_baseline
from jpassed.adaptation.zeropoint_predictions import jacobian, predict_bands
from jpassed.adaptation.zeropoint_solution import (
    Equations,
    Residuals,
    Solution,
    grey_and_slope,
    joined,
    scatter_of_tiles,
    solve,
)
from jpassed.adaptation.zeropoint_verdict import verdict_of
from jpassed.annotation.flags import significance
from jpassed.annotation.task import Task, check_table, prepare
from jpassed.exceptions import InputError
from jpassed.surveys import LabelColumn, Photometry
from jpassed.surveys.zeropoints import WHOLE, ZeroPoints, tile_names

if TYPE_CHECKING:
    from jpassed.nn.checkpoint import LoadedModel
    from jpassed.surveys import Survey

__all__ = ["fit_zeropoints"]

logger = logging.getLogger(__name__)

LEAST_BANDS = 4
"""Observed bands of a galaxy that can tell anything of one of them."""

LEAST_GALAXIES = 20
LEAST_ON_TILE = 30
"""Below, a tile has the zero points of the whole catalogue."""

DETECTED = 5.0
FOLLOWED = (50, 100)
"""Galaxies whose Jacobians are computed in the first passes: their mean stands for all. Where the
passes end does not depend on it, only how fast."""

PASSES = 3
MOST = 3000

Progress = Callable[[int, int], None]
Array = NDArray[np.float64]


def fit_zeropoints(
    table: Any,
    *,
    model: str | os.PathLike[str] | LoadedModel = "default",
    tile: str | None = None,
    context: Mapping[str, str] | None = None,
    survey: str | os.PathLike[str] | Survey = "auto",
    baseline: Any = "auto",
    most: int = MOST,
    scatter: float | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> ZeroPoints:
    """Measure the zero points of a catalogue on its own galaxies.

    Every band of every galaxy is compared with what the model makes of its other bands, and the
    offsets that all these comparisons have in common are solved for (the idea: Hernan-Caballero et
    al. 2023, A&A 671, A71). No redshift is needed; known ones help.

    Parameters
    ----------
    table : astropy.table.Table or QTable
        N objects, mostly galaxies; it is not changed.
    model : str, path or LoadedModel
        An embedded model, or the folder of one.
    tile : str, optional
        Column whose values have zero points of their own (field, night, exposure). Tiles with
        fewer than 30 usable galaxies get those of the whole catalogue.
    context : mapping, optional
        Known labels, e.g. ``{"z": "z_spec"}``, as in `jpassed.annotate`.
    survey : str, path or Survey
        As in `jpassed.annotate`.
    baseline : "auto", "none", Table or path
        What the model's own residuals are without any offset. "auto" takes those that come with
        the model, where it has some for these bands; a table (or its file) of objects that are
        known to have no offsets, such as simulated ones in the same bands, is measured first.
    most : int
        Galaxies that are used at most, drawn at random from the usable ones of each tile alike.
    scatter : float, optional
        Magnitudes: scatter of the offsets that is expected. By default it is averaged over what
        the catalogue makes probable, so that one without offsets gets next to none.
    device : str
    batch_size : int, optional
    seed : int
        Of the draws among the galaxies.
    progress : callable, optional
        Called with (steps done, steps).

    Returns
    -------
    ZeroPoints
        Magnitudes to add to the catalogue's, relative to their mean over the bands: an offset that
        all bands share cannot be told from a brighter galaxy. A slope in wavelength can hardly be
        told from a redder one: its error is in the errors of the bands, and stated in ``meta``.

    Raises
    ------
    InputError
        If fewer than 20 galaxies or 4 bands can be used, or an argument makes no sense.
    UnknownNameError, UnrecognisedTableError, FileError, ModelError
        See `jpassed.annotate`.
    """
    check_table(table)
    _check(most, scatter)
    task = prepare(
        table, model=model, outputs=("z",), context=context, survey=survey, device=device,
        batch_size=batch_size,
    )  # fmt: skip
    names = [WHOLE] * len(table) if tile is None else tile_names(table, tile)
    rng = np.random.default_rng(seed)
    rows = _usable(task)
    if len(rows) < LEAST_GALAXIES or len(task.photometry.bands) < LEAST_BANDS:
        raise InputError(
            f"{len(rows)} of {len(table)} objects can be used, in {len(task.photometry.bands)} "
            f"bands; expected at least {LEAST_GALAXIES} with {LEAST_BANDS} bands and a total flux "
            f"of {DETECTED:g} times its error"
        )
    rows = _chosen(rows, names, most, rng)
    known = find_baseline(baseline, task, measure_residuals)
    scatter = None if scatter is None else float(scatter)
    own = [names[i] for i in rows]
    whole, tiles, counts = _Fit(_rows_of(task, rows), own, known, scatter, rng, progress).run()
    return _as_zeropoints(task, whole, tiles, counts, tile or "", known, len(rows))


def _check(most: Any, scatter: Any) -> None:
    if isinstance(most, bool) or not isinstance(most, (int, np.integer)) or most < LEAST_GALAXIES:
        raise InputError(f"most: expected a number of at least {LEAST_GALAXIES}, got {most!r}")
    if scatter is not None and not (np.isfinite(scatter) and 0 < scatter <= 1):
        raise InputError(f"scatter: expected magnitudes above 0 and up to 1, got {scatter!r}")


def _usable(task: Task) -> NDArray[np.int64]:
    """Rows with bands enough that see the object."""
    p = task.photometry
    seen = significance(p.flux, p.error, p.observed) > DETECTED
    return np.flatnonzero((p.observed.sum(axis=1) >= LEAST_BANDS) & seen)


def _chosen(
    rows: NDArray[np.int64], names: list[str], most: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """At most so many rows, of each tile an equal number where it has them."""
    if len(rows) <= most:
        return rows
    order = rng.permutation(rows)
    turn: dict[str, int] = {}
    place = np.empty(len(order), dtype=np.int64)
    for k, i in enumerate(order):
        place[k] = turn[names[i]] = turn.get(names[i], -1) + 1
    return np.sort(order[np.argsort(place, kind="stable")[:most]])


def _rows_of(task: Task, rows: NDArray[np.int64]) -> Task:
    """The same task for some of its objects."""
    p = task.photometry
    labels = {
        name: LabelColumn(
            c.value[rows], c.error[rows], c.observed[rows], c.column, c.error_column, c.messages
        )
        for name, c in task.labels.items()
    }
    photometry = replace(
        p, flux=p.flux[rows], error=p.error[rows], observed=p.observed[rows],
        bad_errors=p.bad_errors[rows],
    )  # fmt: skip
    return replace(
        task, photometry=photometry, labels=labels, bad_labels=task.bad_labels[rows],
        outside=task.outside[rows],
    )  # fmt: skip


def corrected(photometry: Photometry, offset: Array) -> Photometry:
    """Bandfluxes with offsets (N, B) or (B,) added to their magnitudes; NaN adds nothing."""
    gain = 10.0 ** (-0.4 * np.nan_to_num(offset))
    return replace(photometry, flux=photometry.flux * gain, error=photometry.error * gain)


def measure_residuals(task: Task, most: int = MOST) -> Residuals:
    """Residuals of objects that have no offsets."""
    rows = _usable(task)
    if len(rows) < LEAST_GALAXIES:
        raise InputError(f"baseline: {len(rows)} objects can be used, expected {LEAST_GALAXIES}")
    part = _rows_of(task, _chosen(rows, [WHOLE] * len(task), most, np.random.default_rng(0)))
    return _residuals(part, part.photometry)


def _residuals(task: Task, photometry: Photometry, progress: Progress | None = None) -> Residuals:
    found = predict_bands(task, photometry, progress=progress)
    p = photometry
    return Residuals.make(p.flux, p.error, p.observed, found.mean, found.sigma)


@dataclass
class _Fit:
    """The passes of a fit: residuals of the galaxies as corrected so far, solved for the rest."""

    task: Task
    names: list[str]
    baseline: Baseline
    scatter: float | None
    rng: np.random.Generator
    progress: Progress | None

    def run(self) -> tuple[Solution, dict[str, Solution], dict[str, NDArray[np.int64]]]:
        """Offsets of the whole, and of the tiles with galaxies enough; galaxies by tile."""
        b = len(self.task.photometry.bands)
        self.of_tile = self._tiles()
        applied = {name: np.zeros(b) for name in (WHOLE, *self.of_tile)}
        followed = np.zeros((0, b, b), dtype=np.float32)
        for number in range(PASSES):
            now = self._corrected(applied)
            residuals = _residuals(self.task, now, self._part(2 * number))
            if number < len(FOLLOWED):
                part = self._part(2 * number + 1)
                followed = self._followed(now, residuals, FOLLOWED[number], part)
            usual = followed.mean(axis=0, dtype=np.float64)
            whole, tiles = self._solved(residuals, usual, applied)
            applied = {WHOLE: whole.offset, **{k: v.offset for k, v in tiles.items()}}
        counts = {WHOLE: (residuals.weight > 0).sum(axis=0)}
        for name, rows in self.of_tile.items():
            counts[name] = (residuals.weight[rows] > 0).sum(axis=0)
        return whole, tiles, counts

    def _tiles(self) -> dict[str, NDArray[np.int64]]:
        """Galaxies of each tile that has enough of them."""
        names = np.array(self.names, dtype=str)
        found = {str(name): np.flatnonzero(names == name) for name in np.unique(names)}
        found.pop(WHOLE, None)
        few = [name for name, rows in found.items() if len(rows) < LEAST_ON_TILE]
        if few:
            logger.warning(
                "%d of %d tiles have fewer than %d usable galaxies (%s): they get the zero points "
                "of the whole catalogue",
                len(few), len(found), LEAST_ON_TILE, ", ".join(few[:5]),
            )  # fmt: skip
        return {name: rows for name, rows in found.items() if name not in few}

    def _corrected(self, applied: Mapping[str, Array]) -> Photometry:
        p = self.task.photometry
        offset = np.tile(applied[WHOLE], (len(p), 1))
        for name, rows in self.of_tile.items():
            offset[rows] = applied[name]
        return corrected(p, offset)

    def _followed(
        self, photometry: Photometry, residuals: Residuals, most: int, progress: Progress | None
    ) -> NDArray[np.float32]:
        """Jacobians of some galaxies, drawn by how much they tell."""
        told = residuals.weight.sum(axis=1)
        count = min(most, int((told > 0).sum()))
        if count == 0:
            raise InputError("no band of any galaxy could be predicted from its other bands")
        rows = np.sort(self.rng.choice(len(told), count, replace=False, p=told / told.sum()))
        part = _rows_of(replace(self.task, photometry=photometry), rows)
        return jacobian(part, part.photometry, progress=progress)

    def _solved(
        self, residuals: Residuals, usual: Array, applied: Mapping[str, Array]
    ) -> tuple[Solution, dict[str, Solution]]:
        groups = self.of_tile
        left = np.setdiff1d(np.arange(len(residuals)), np.concatenate([[], *groups.values()]))
        parts = {
            name: Equations.make(residuals.of(rows), usual, self.baseline.residual).moved(
                applied[name]
            )
            for name, rows in (*groups.items(), (WHOLE, left))
            if len(rows)
        }
        together = joined(list(parts.values()))
        whole = solve(
            together, scatter=self.scatter, baseline_error=self.baseline.error,
            least=self.baseline.least,
        )  # fmt: skip
        own = {name: parts[name] for name in groups}
        if not own:
            return whole, {}
        common = scatter_of_tiles(list(own.values()), whole)
        return whole, {
            name: solve(part, centre=whole, scatter=common) for name, part in own.items()
        }

    def _part(self, number: int) -> Progress | None:
        """Progress of one of the parts of the work, which take about as long as each other."""
        if self.progress is None:
            return None
        tell, parts = self.progress, 2 * PASSES - 1

        def advance(done: int, total: int) -> None:
            tell(100 * number + 100 * done // max(total, 1), 100 * parts)

        return advance


def _as_zeropoints(
    task: Task,
    whole: Solution,
    tiles: Mapping[str, Solution],
    counts: Mapping[str, NDArray[np.int64]],
    column: str,
    baseline: Baseline,
    n: int,
) -> ZeroPoints:
    p = task.photometry
    names = (WHOLE, *sorted(tiles))
    solutions = [whole, *(tiles[name] for name in names[1:])]
    lost = [band for band, value in zip(p.bands, whole.offset, strict=True) if np.isnan(value)]
    if lost:
        logger.warning("%s: no zero point, hardly any galaxy is measured there", ", ".join(lost))
    slope, slope_error = slope_of(whole, p.pivot)
    meta: dict[str, Any] = {
        "jp_model": task.model.name,
        "jp_model_version": task.model.version,
        "jp_weights": task.model.digest,
        "jp_version": jpassed.__version__,
        "jp_date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "jp_survey": task.survey,
        "jp_context": ", ".join(f"{k}={v.column}" for k, v in task.labels.items()),
        "jp_zp_galaxies": n,
        "jp_zp_grey": "not measured: offsets are relative to their mean over the bands",
        "jp_zp_slope": round(slope, 5),
        "jp_zp_slope_err": round(slope_error, 5),
        "jp_zp_slope_is": "mag for each standard deviation of the bands in ln(wavelength)",
        "jp_zp_scatter": round(whole.scatter, 5),
        "jp_zp_baseline": baseline.name,
        **verdict_of(
            p.bands, whole.offset, whole.error, n=n, scatter=whole.scatter,
            baseline=baseline.known,
        ),
    }  # fmt: skip
    if tiles:
        meta["jp_zp_tile_scatter"] = round(solutions[1].scatter, 5)
    offset, error, own = _filled(
        np.array([s.offset for s in solutions]), np.array([s.error for s in solutions])
    )
    return ZeroPoints(
        p.bands,
        p.surveys or ("",) * len(p.bands),
        p.pivot,
        names,
        offset.round(5),
        error.round(5),
        np.stack([counts[name] for name in names]),
        own,
        column,
        meta,
    )


def _filled(offset: Array, error: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Bands that a tile has no galaxies in get those of the whole catalogue, the first row.

    Each row is relative to the mean of its own bands: what is taken over is the colour.
    """
    own = np.isfinite(offset)
    offset, error = offset.copy(), error.copy()
    for tile in range(1, len(offset)):
        gap, both = ~own[tile] & own[0], own[tile] & own[0]
        if gap.any() and both.any():
            offset[tile, gap] = offset[0, gap] + (offset[tile] - offset[0])[both].mean()
            error[tile, gap] = error[0, gap]
    return offset, error, own


def slope_of(solution: Solution, pivot: Array) -> tuple[float, float]:
    """Slope of the offsets in ln(wavelength) and its error, see `grey_and_slope`."""
    seen = np.isfinite(solution.offset)
    x = grey_and_slope(pivot[seen])[:, 1] / max(int(seen.sum()), 1)
    error = np.sqrt(max(x @ solution.covariance[np.ix_(seen, seen)] @ x, 0.0))
    return float(x @ solution.offset[seen]), float(error)
