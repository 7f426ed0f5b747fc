"""Each band of a catalogue, predicted from the object's other bands."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jpassed.annotation.task import Task, check_table, prepare
from jpassed.exceptions import InputError
from jpassed.filters import known_bands
from jpassed.filters.known import set_of_band
from jpassed.jspectrum.error_model import list_noise, load_noise
from jpassed.surveys import LabelColumn

if TYPE_CHECKING:
    from jpassed.annotation.inference import Predictor
    from jpassed.nn.checkpoint import LoadedModel
    from jpassed.surveys import Survey
    from jpassed.surveys.zeropoints import ZeroPoints

__all__ = [
    "FOLDS",
    "Reconstruction",
    "Reconstructor",
    "band_folds",
    "reconstruct",
    "reconstruct_table",
    "zero_point_scatter",
]

FOLDS = 4
BATCH = {"cpu": 1024, "cuda": 4096}
"""Objects at a time."""

UNKNOWN_STEP = 100.0

DEFAULT_SCATTER = 0.02
"""mag, of the zero points of bands that no noise preset knows."""

INTERVAL = (0.15865525393145707, 0.5, 0.8413447460685429)


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Bandfluxes of N objects in B bands as the rest of each object predicts them.

    Attributes
    ----------
    bands : tuple of str
    flux : ndarray (N, B)
        Median of the predicted bandflux, microjansky, in the system of the photometry; NaN where
        nothing could be predicted.
    error : ndarray (N, B)
        Half the 16-84 % interval of the prediction, microjansky: the standard error of the true
        bandflux, without the measurement's.
    observed : ndarray (N, B) of bool
        Bands with a measurement and a prediction.
    """

    bands: tuple[str, ...]
    flux: NDArray[np.float64]
    error: NDArray[np.float64]
    observed: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.flux)


def zero_point_scatter(bands: Sequence[str]) -> NDArray[np.float64]:
    """Scatter of the zero points per tile and band (B,) in magnitudes, which no error holds.

    That of the noise presets, in their order of names; `DEFAULT_SCATTER` for other bands.
    """
    found: dict[str, float] = {}
    for preset in list_noise():
        model = load_noise(preset)
        for name, scatter in zip(model.bands, model.zp_scatter, strict=True):
            found.setdefault(name, float(scatter))
    return np.array([found.get(name, DEFAULT_SCATTER) for name in bands], dtype=np.float64)


def band_folds(bands: Sequence[str], pivot: NDArray[np.float64], folds: int) -> NDArray[np.int64]:
    """The fold of each band: neighbours in wavelength are in different ones.

    The fold is the band's number by wavelength in its own filter set, modulo `folds`; for a band
    of no known set its pivot in steps of 100 Å. It does not depend on which other bands there
    are, so that an object's bands are dealt alike in every table.

    Parameters
    ----------
    bands : sequence of str
        Names (B,).
    pivot : ndarray (B,)
        Å.
    folds : int

    Returns
    -------
    ndarray (B,)
        0 to `folds` - 1.

    Raises
    ------
    InputError
        For less than one fold.
    """
    if isinstance(folds, bool) or not isinstance(folds, (int, np.integer)) or folds < 1:
        raise InputError(f"folds: expected a positive whole number, got {folds!r}")
    ranks = _ranks()
    number = [
        ranks.get(name, int(round(float(where) / UNKNOWN_STEP)))
        for name, where in zip(bands, pivot, strict=True)
    ]
    return np.asarray(number, dtype=np.int64) % folds


@cache
def _ranks() -> dict[str, int]:
    """Number of each known band by wavelength in its filter set."""
    members: dict[str | None, list[tuple[float, str]]] = {}
    for name, (pivot, _) in known_bands().items():
        members.setdefault(set_of_band(name), []).append((pivot, name))
    return {name: i for own in members.values() for i, (_, name) in enumerate(sorted(own))}


def reconstruct(
    task: Task, *, folds: int = FOLDS, batch_size: int | None = None
) -> Iterator[tuple[slice, Reconstruction]]:
    """Predict every observed band from the bands of the other folds and the known labels.

    Parameters
    ----------
    task : Task
        Photometry, labels and model: see `jpassed.annotation.task.prepare`.
    folds : int
        Parts that the bands are dealt into by wavelength: the bands of a part are predicted while
        all of it is hidden, so that a measurement never enters its own prediction. With 1, all
        bands are given: a denoised flux, which leans on the measurement itself.
    batch_size : int, optional
        Objects at a time; it has no influence on the result.

    Yields
    ------
    tuple of slice and Reconstruction
        Rows, and the bandfluxes of these rows.

    Raises
    ------
    InputError
        If the task has no bands, or an argument makes no sense.
    """
    if not task.photometry.bands:
        raise InputError("there is no bandflux to reconstruct: the context is labels alone")
    reconstructor = Reconstructor(task, folds)
    size = batch_size or task.batch_size or reconstructor.batch
    for start in range(0, len(task), size):
        rows = slice(start, min(start + size, len(task)))
        low, middle, high = np.moveaxis(reconstructor.quantiles(rows, INTERVAL), -1, 0)
        error = 0.5 * (high - low)
        seen = task.photometry.observed[rows] & np.isfinite(middle) & np.isfinite(error)
        yield rows, Reconstruction(task.photometry.bands, middle, error, seen)


class Reconstructor:
    """Quantiles of the bands that are hidden from the model, for any rows of a task.

    Parameters
    ----------
    task : Task
    folds : int
        See `reconstruct`.
    asked : ndarray (B,) of bool, optional
        Bands to predict; all otherwise. Folds without any of them cost nothing.
    """

    def __init__(
        self, task: Task, folds: int = FOLDS, asked: NDArray[np.bool_] | None = None
    ) -> None:
        from jpassed.annotation.inference import Predictor
        from jpassed.tokens import BandLayout

        p = task.photometry
        self._task = task
        wanted = np.ones(len(p.bands), dtype=bool) if asked is None else asked
        fold = band_folds(p.bands, p.pivot, folds)
        used = [k for k in range(folds) if (wanted & (fold == k)).any()]
        self._parts = [np.flatnonzero(wanted & (fold == k)) for k in used]
        self._hidden = [(fold == k) if folds > 1 else np.zeros_like(wanted) for k in used]
        places = {
            name: (float(pivot), float(width))
            for name, pivot, width in zip(p.bands, p.pivot, p.width, strict=True)
        }
        self._predictors = [
            Predictor(
                task.model, [f"flux:{p.bands[i]}" for i in part], places, task.device,
                task.precision,
            )
            for part in self._parts
        ]  # fmt: skip
        config = task.model.network.config
        self._layout = BandLayout.make(p.bands, p.pivot, p.width, config.patch_bands)
        device = self._predictors[0].device.type if used else "cpu"
        self.batch = BATCH.get(device, BATCH["cpu"])

    def quantiles(self, rows: slice, levels: Sequence[float]) -> NDArray[np.float64]:
        """Quantiles (rows, B, levels) of the true bandfluxes, microjansky; NaN if not asked."""
        shape = (rows.stop - rows.start, len(self._task.photometry.bands), len(levels))
        out = np.full(shape, np.nan)
        for part, found in self._answers(rows, levels):
            out[:, part] = found
        return out

    def asked_quantiles(self, rows: slice, levels: Sequence[float]) -> NDArray[np.float64]:
        """Quantiles (rows, A, levels) of the A bands that were asked, in their order."""
        if len(self._parts) == 1:
            return next(self._answers(rows, levels))[1]
        asked = np.sort(np.concatenate([np.zeros(0, dtype=np.intp), *self._parts]))
        out = np.empty((len(levels), rows.stop - rows.start, len(asked)))
        for part, found in self._answers(rows, levels):
            out[:, :, np.searchsorted(asked, part)] = np.moveaxis(found, -1, 0)
        return np.moveaxis(out, 0, -1)

    def _answers(
        self, rows: slice, levels: Sequence[float]
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float64]]]:
        """Bands of each fold, and their quantiles (rows, bands, levels)."""
        p, labels = self._task.photometry, self._task.labels
        at = np.asarray(levels, dtype=np.float64)
        # Of these rows alone: the mask of all of a long table would be copied for each batch.
        some = slice(0, rows.stop - rows.start)
        own = {name: _of_rows(column, rows) for name, column in labels.items()}
        for part, hidden, predictor in zip(
            self._parts, self._hidden, self._predictors, strict=True
        ):
            shown = replace(
                p,
                flux=p.flux[rows],
                error=p.error[rows],
                observed=p.observed[rows] & ~hidden,
                bad_errors=p.bad_errors[rows],
            )
            context = predictor.context(shown, own, some, self._layout)
            answer = predictor.ask(context.to(predictor.device)).prediction
            log_scale = context.log_scale.numpy().astype(np.float64)
            yield part, _quantiles(predictor, answer.parameters, log_scale, at)


def _of_rows(column: LabelColumn, rows: slice) -> LabelColumn:
    return replace(
        column,
        value=column.value[rows],
        error=column.error[rows],
        observed=column.observed[rows],
    )


def _quantiles(
    predictor: Predictor,
    parameters: Any,
    log_scale: NDArray[np.float64],
    levels: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Quantiles (N, R, levels), microjansky, of the answers (N, R, P) to bandfluxes."""
    from jpassed.annotation.distributions import scaled_distribution, transform_of

    n, r, width = parameters.shape
    transform, _ = transform_of(predictor.vocabulary["flux"], np.repeat(log_scale, r))
    distribution = scaled_distribution(
        predictor.network.head, parameters.reshape(n * r, width), transform
    )
    # Level by level in memory, as quantiles come.
    return np.moveaxis(distribution.quantile(levels).T.reshape(len(levels), n, r), 0, -1)


def reconstruct_table(
    table: Any,
    *,
    model: str | os.PathLike[str] | LoadedModel = "default",
    context: Mapping[str, str] | None = None,
    survey: str | os.PathLike[str] | Survey = "auto",
    device: str = "auto",
    zeropoints: str | os.PathLike[str] | ZeroPoints | None = None,
    folds: int = FOLDS,
) -> tuple[Reconstruction, Task]:
    """`reconstruct` for a table; arguments as in `jpassed.annotate`.

    Returns
    -------
    Reconstruction
        Of all rows.
    Task
        What was read from the table: ``task.photometry`` has the measurements that the
        reconstruction belongs to.
    """
    check_table(table)
    task = prepare(
        table,
        model=model,
        outputs=("z",),
        context=context,
        survey=survey,
        device=device,
        batch_size=None,
        zeropoints=zeropoints,
    )
    parts = [part for _, part in reconstruct(task, folds=folds)]
    whole = [np.concatenate([getattr(p, key) for p in parts]) for key in ("flux", "error")]
    observed = np.concatenate([p.observed for p in parts])
    return Reconstruction(task.photometry.bands, whole[0], whole[1], observed), task
