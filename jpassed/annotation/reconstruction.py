"""Each band of a catalogue, predicted from the object's other bands."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jpassed.annotation.task import Task, check_table, prepare
from jpassed.exceptions import InputError

if TYPE_CHECKING:
    from jpassed.nn.checkpoint import LoadedModel
    from jpassed.surveys import Survey
    from jpassed.surveys.zeropoints import ZeroPoints

__all__ = ["FOLDS", "Reconstruction", "band_folds", "reconstruct", "reconstruct_table"]

FOLDS = 4
BATCH = 1024
"""Objects at a time; each has up to 60 requests."""

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


def band_folds(pivot: NDArray[np.float64], folds: int) -> NDArray[np.int64]:
    """The fold of each band: bands next to each other in wavelength are in different ones.

    Parameters
    ----------
    pivot : ndarray (B,)
        Å.
    folds : int

    Returns
    -------
    ndarray (B,)
        0 to `folds` - 1, whatever the order of the bands.

    Raises
    ------
    InputError
        For less than one fold.
    """
    if isinstance(folds, bool) or not isinstance(folds, (int, np.integer)) or folds < 1:
        raise InputError(f"folds: expected a positive whole number, got {folds!r}")
    rank = np.argsort(np.argsort(pivot, kind="stable"), kind="stable")
    return np.asarray(rank % folds, dtype=np.int64)


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
    size = batch_size or task.batch_size or BATCH
    reconstructor = Reconstructor(task, folds)
    for start in range(0, len(task), size):
        rows = slice(start, min(start + size, len(task)))
        yield rows, reconstructor(rows)


class Reconstructor:
    """`reconstruct` for any rows of a task, in any order.

    Parameters
    ----------
    task : Task
    folds : int
    """

    def __init__(self, task: Task, folds: int = FOLDS) -> None:
        from jpassed.annotation.inference import Predictor
        from jpassed.tokens import BandLayout

        p = task.photometry
        self._task = task
        fold = band_folds(p.pivot, folds)
        self._parts = [np.flatnonzero(fold == k) for k in range(folds) if (fold == k).any()]
        self._hide = folds > 1
        passbands = dict(zip(p.bands, zip(p.pivot, p.width, strict=True), strict=True))
        places = {name: (float(pivot), float(width)) for name, (pivot, width) in passbands.items()}
        # Each asks for the bands of its own part.
        self._predictors = [
            Predictor(task.model, [f"flux:{p.bands[i]}" for i in part], places, task.device)
            for part in self._parts
        ]
        config = task.model.network.config
        self._layout = BandLayout.make(p.bands, p.pivot, p.width, config.patch_bands)

    def __call__(self, rows: slice) -> Reconstruction:
        """The bandfluxes of some rows."""
        import torch

        p, labels = self._task.photometry, self._task.labels
        own = rows.stop - rows.start
        flux, error = np.full((2, own, len(p.bands)), np.nan)
        for part, predictor in zip(self._parts, self._predictors, strict=True):
            shown = p
            if self._hide:
                hidden = p.observed.copy()
                hidden[:, part] = False
                shown = replace(p, observed=hidden)
            context = predictor.context(shown, labels, rows, self._layout)
            with torch.inference_mode():
                answer = predictor.network(context.to(predictor.device), predictor.requests)
            log_scale = context.log_scale.numpy().astype(np.float64)
            low, middle, high = _quantiles(predictor, answer.parameters, log_scale)
            flux[:, part], error[:, part] = middle, 0.5 * (high - low)
        seen = p.observed[rows]
        return Reconstruction(p.bands, flux, error, seen & np.isfinite(flux) & np.isfinite(error))


def _quantiles(
    predictor: Any, parameters: Any, log_scale: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """16, 50 and 84 % quantiles (N, R), microjansky, of the answers (N, R, P) to bandfluxes."""
    from jpassed.annotation.distributions import scaled_distribution, transform_of

    n, r, width = parameters.shape
    transform, _ = transform_of(predictor.vocabulary["flux"], np.repeat(log_scale, r))
    distribution = scaled_distribution(
        predictor.network.head, parameters.reshape(n * r, width), transform
    )
    found = distribution.quantile(np.array(INTERVAL)).reshape(n, r, 3)
    return found[..., 0], found[..., 1], found[..., 2]


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
