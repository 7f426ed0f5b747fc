"""Every band of a galaxy predicted from its other bands, and how that follows their offsets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jpassed.annotation.inference import DEFAULT_BATCH, Predictor
from jpassed.annotation.task import Task
from jpassed.exceptions import ModelError
from jpassed.nn.flow_head import FlowHead, unbend
from jpassed.nn.heads import (
    LOG_SIGMA_FLOOR,
    GaussianHead,
    MixtureHead,
    ScalarHead,
    StudentTHead,
)
from jpassed.nn.model import Prediction
from jpassed.surveys import LabelColumn, Photometry
from jpassed.tokens import BandLayout, build_context, build_requests
from jpassed.tokens.scaling import FLUX_LOC, FLUX_SOFTENING, FLUX_WIDTH

__all__ = ["Predictions", "flux_moments", "fold_of", "jacobian", "predict_bands"]

FOLDS = 4
"""Each band is predicted from three quarters of the bands, its neighbours among them."""

NODES = 9
"""Of the Gauss-Hermite quadrature over a predicted flux: moments to 1e-4 of its width."""

Progress = Callable[[int, int], None]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """Bandfluxes of N objects in B bands as the other bands have them, microjansky.

    Attributes
    ----------
    mean, sigma : ndarray (N, B)
        Of the true bandflux; NaN where nothing else was observed.
    """

    mean: Array
    sigma: Array


def fold_of(pivot: Array, folds: int = FOLDS) -> NDArray[np.int64]:
    """Fold of each band (B,), interleaved in wavelength; no more folds than bands.

    By rank among the bands of this table, unlike those of `jpassed.annotation.reconstruction`:
    whatever bands there are, each is predicted from as many as can be.
    """
    rank = np.argsort(np.argsort(pivot, kind="stable"), kind="stable")
    return rank % min(folds, len(pivot))


def flux_moments(head: ScalarHead, parameters: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of bandfluxes in units of each object's flux scale.

    Parameters
    ----------
    head : GaussianHead, StudentTHead, MixtureHead or FlowHead
    parameters : Tensor
        (..., P) as the head gives them, for requests of bandfluxes.

    Returns
    -------
    mean, sigma : Tensor (...)
        Differentiable. A Student-t distribution, whose fluxes have no mean, counts as a Gaussian.

    Raises
    ------
    ModelError
        For a head that another package brings.
    """
    node, weight = np.polynomial.hermite_e.hermegauss(NODES)
    x = torch.as_tensor(node, dtype=torch.float64)
    w = torch.as_tensor(weight / weight.sum(), dtype=torch.float64)
    raw = parameters.double().cpu()
    if isinstance(head, FlowHead):
        loc, log_scale, knots = head.split(raw)
        shape = (*loc.shape, len(node))
        wide = [k.unsqueeze(-2).expand(*shape, k.shape[-1]) for k in knots]
        bent = unbend(x.expand(shape), (wide[0], wide[1], wide[2]))[0]
        y = loc.unsqueeze(-1) + log_scale.exp().unsqueeze(-1) * bent
    elif isinstance(head, MixtureHead):
        log_weight, mean, log_sigma = head.split(raw)
        y = (mean.unsqueeze(-1) + log_sigma.exp().unsqueeze(-1) * x).flatten(-2)
        w = (log_weight.exp().unsqueeze(-1) * w).flatten(-2)
    else:
        if isinstance(head, StudentTHead):
            mean, log_width, _ = head.split(raw)
        elif isinstance(head, GaussianHead):
            mean, log_variance = raw.unbind(-1)
            log_width = 0.5 * log_variance.clamp(min=2 * LOG_SIGMA_FLOOR)
        else:
            raise ModelError(f"zero points: the head {head.form!r} is not known here")
        y = mean.unsqueeze(-1) + log_width.exp().unsqueeze(-1) * x
    flux = FLUX_SOFTENING * torch.sinh(y * FLUX_WIDTH + FLUX_LOC)
    first = (w * flux).sum(-1)
    second = (w * (flux - first.unsqueeze(-1)).square()).sum(-1)
    return first, second.clamp(min=1e-30).sqrt()


def predict_bands(
    task: Task, photometry: Photometry, *, progress: Progress | None = None
) -> Predictions:
    """Predict every band from the bands of the other folds, and the labels of the context.

    Parameters
    ----------
    task : Task
        Model, labels and device.
    photometry : Photometry
        N objects, the rows of `task` in their order.
    progress : callable, optional
        Called with (folds done, folds).
    """
    mean, sigma = np.full((2, *photometry.flux.shape), np.nan)
    fold = fold_of(photometry.pivot)
    for k in range(fold.max() + 1):
        own = np.flatnonzero(fold == k)
        asked = _Asked(task, photometry, own)
        rest = photometry.observed & (fold != k)
        usable = rest.any(axis=1)
        for rows in asked.batches():
            with torch.inference_mode():
                prediction, scale = asked.answer(rows, rest[rows])
                first, second = flux_moments(asked.network.head, prediction.parameters)
            good = usable[rows, None]
            mean[rows, own] = np.where(good, first.numpy() * scale.numpy()[:, None], np.nan)
            sigma[rows, own] = np.where(good, second.numpy() * scale.numpy()[:, None], np.nan)
        if progress is not None:
            progress(k + 1, int(fold.max()) + 1)
    return Predictions(mean, sigma)


def jacobian(
    task: Task, photometry: Photometry, *, progress: Progress | None = None
) -> NDArray[np.float32]:
    """How each predicted band follows an offset of every other band.

    Parameters
    ----------
    task, photometry
        As in `predict_bands`.
    progress : callable, optional
        Called with (bands done, B).

    Returns
    -------
    ndarray (N, B, B) of float32
        ``d ln(predicted flux of band i) / d ln(flux and error of band j)``; 0 on the diagonal and
        within a fold. Rows sum to about 1: a grey offset moves the prediction along.
    """
    n, n_bands = photometry.flux.shape
    out = np.zeros((n, n_bands, n_bands), dtype=np.float32)
    fold = fold_of(photometry.pivot)
    for j in range(n_bands):
        asked = _Asked(task, photometry, np.array([j]))
        rest = photometry.observed & (fold != fold[j])
        for rows in asked.batches():
            log_gain = torch.zeros((rows.stop - rows.start, n_bands), requires_grad=True)
            prediction, scale = asked.answer(rows, rest[rows], log_gain)
            mean = flux_moments(asked.network.head, prediction.parameters)[0][:, 0] * scale
            # A flux near zero has no logarithm; its weight is nothing in any case.
            safe = mean.abs() > 1e-6 * scale.detach()
            total = torch.where(safe, mean.abs(), 1.0).log().sum()
            (gradient,) = torch.autograd.grad(total, log_gain)
            out[rows, j] = torch.nan_to_num(gradient).numpy()
        if progress is not None:
            progress(j + 1, n_bands)
    return out


class _Asked:
    """A model that is asked some of the bands, of rows with some of the bands."""

    def __init__(self, task: Task, photometry: Photometry, own: NDArray[np.int64]) -> None:
        names = [f"flux:{photometry.bands[j]}" for j in own]
        self._predictor = Predictor(task.model, (), task.passbands, task.device)
        self.network = self._predictor.network
        device = self._predictor.device
        self._requests = build_requests(
            names, self._predictor.vocabulary, self._predictor.passbands
        ).to(device)
        self._photometry = photometry
        self._labels: Mapping[str, LabelColumn] = task.labels
        self._layout = BandLayout.make(
            photometry.bands, photometry.pivot, photometry.width, self.network.config.patch_bands
        )
        self._size = task.batch_size or min(512, DEFAULT_BATCH.get(device.type, 512))

    def batches(self) -> Iterator[slice]:
        n = len(self._photometry)
        for start in range(0, n, self._size):
            yield slice(start, min(start + self._size, n))

    def answer(
        self, rows: slice, observed: NDArray[np.bool_], log_gain: Tensor | None = None
    ) -> tuple[Prediction, Tensor]:
        """The network's answer, and the flux scale of each object, microjansky, float64."""
        p = self._photometry
        part = replace(
            p, flux=p.flux[rows], error=p.error[rows], observed=observed,
            bad_errors=p.bad_errors[rows],
        )  # fmt: skip
        labels = {name: _rows_of(column, rows) for name, column in self._labels.items()}
        context = self._predictor.context(part, labels, slice(0, len(part)), self._layout)
        if log_gain is not None:
            gain = log_gain.exp()
            moved = build_context(
                torch.from_numpy(part.flux.astype(np.float32)) * gain,
                torch.from_numpy(part.error.astype(np.float32)) * gain,
                torch.from_numpy(np.ascontiguousarray(observed)),
                self._layout,
                vocabulary=self._predictor.vocabulary,
                scaling=self._predictor.scaling,
            )
            context = replace(moved, labels=context.labels)
        prediction = self.network(context.to(self._predictor.device), self._requests)
        return prediction, context.log_scale.double().exp()


def _rows_of(column: LabelColumn, rows: slice) -> LabelColumn:
    return replace(
        column,
        value=column.value[rows],
        error=column.error[rows],
        observed=column.observed[rows],
    )
