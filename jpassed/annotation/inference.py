"""From photometry and labels to posteriors, with the tokens and the model of the training."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from jpassed.annotation.distributions import distribution_of
from jpassed.exceptions import InputError, JpassedError, ModelError
from jpassed.nn.checkpoint import LoadedModel
from jpassed.nn.model import Prediction
from jpassed.posteriors import Distribution, Posterior, Recalibrated, Recalibration
from jpassed.surveys import LabelColumn, Photometry
from jpassed.tokens import (
    BandLayout,
    Context,
    LabelScaling,
    Requests,
    build_context,
    build_requests,
)

__all__ = ["DEFAULT_BATCH", "Batch", "Predictor"]

DEFAULT_BATCH = {"cpu": 1024, "cuda": 8192}
"""Objects at a time: what stays in a processor's cache, and what fills a GPU."""


@dataclass(frozen=True)
class Batch:
    """Posteriors of some rows.

    Attributes
    ----------
    rows : slice
    posterior : Posterior
    log_scale : ndarray
        Natural logarithm of each object's flux scale in microjansky.
    vector : ndarray or None
        (rows, W) float32, what the network makes of the bands of its patch, whatever the labels
        and requests; None for a model without a dense readout.
    """

    rows: slice
    posterior: Posterior
    log_scale: NDArray[np.float64]
    vector: NDArray[np.float32] | None = None


class Predictor:
    """A model, asked the same quantities of many objects.

    Parameters
    ----------
    model : LoadedModel
        Stays where it is; a copy goes to another device if need be.
    outputs : sequence of str
        Quantities.
    passbands : mapping
        (pivot, width) in Å of every passband that `outputs` may name.
    device : str
        ``"auto"`` takes a GPU if there is one.

    Raises
    ------
    UnknownNameError
        For an unknown quantity or passband.
    ModelError
        If the model's card holds recalibrations that cannot be read.

    Notes
    -----
    Where the model's card has ``"recalibration"`` (quantity to `Recalibration.to_dict`), the
    posteriors of those quantities are recalibrated.
    """

    def __init__(
        self,
        model: LoadedModel,
        outputs: Sequence[str],
        passbands: Mapping[str, tuple[float, float]],
        device: str = "auto",
    ) -> None:
        self.model = model
        self.outputs = tuple(outputs)
        self.vocabulary = model.vocabulary
        self.device = choose_device(device)
        self.network = model.network
        if next(self.network.parameters()).device.type != self.device.type:
            self.network = copy.deepcopy(self.network).to(self.device)
        self.scaling = LabelScaling.from_vocabulary(self.vocabulary, self.vocabulary.scalars)
        self.passbands = dict(passbands)
        self.requests = self._ask(self.outputs)
        self.recalibrations = _recalibrations(model)

    def _ask(self, names: Sequence[str]) -> Requests:
        return build_requests(names, self.vocabulary, self.passbands).to(self.device)

    def batches(
        self,
        photometry: Photometry,
        labels: Mapping[str, LabelColumn] | None = None,
        batch_size: int | None = None,
    ) -> Iterator[Batch]:
        """Posteriors of all rows, a batch at a time.

        Parameters
        ----------
        photometry : Photometry
        labels : mapping, optional
            Context labels by quantity. A quantity that is asked as well is predicted from
            everything else: in training no label was asked while it was given.
        batch_size : int, optional

        Yields
        ------
        Batch
        """
        labels = labels or {}
        size = DEFAULT_BATCH.get(self.device.type, 1024) if batch_size is None else batch_size
        if size < 1:
            raise InputError(f"batch_size: expected a positive number, got {batch_size}")
        layout = BandLayout.make(
            photometry.bands, photometry.pivot, photometry.width,
            self.network.config.patch_bands,
        )  # fmt: skip
        units = {name: self.vocabulary[name].unit for name in self.outputs}
        for start in range(0, len(photometry), size):
            rows = slice(start, min(start + size, len(photometry)))
            entries, log_scale, vector = self._answer(
                photometry, labels, rows, layout, self.requests
            )
            for name in self.outputs:
                if name in labels and labels[name].observed[rows].any():
                    others = {key: value for key, value in labels.items() if key != name}
                    request = self._ask([name])
                    entries |= self._answer(photometry, others, rows, layout, request)[0]
            yield Batch(rows, Posterior(entries, units), log_scale, vector)

    def _answer(
        self,
        photometry: Photometry,
        labels: Mapping[str, LabelColumn],
        rows: slice,
        layout: BandLayout,
        requests: Requests,
    ) -> tuple[dict[str, Distribution], NDArray[np.float64], NDArray[np.float32] | None]:
        context = self.context(photometry, labels, rows, layout)
        there = context.to(self.device)
        with torch.inference_mode():
            observed = self.network.embed_observed(there)
            prediction = self.network(there, requests, observed)
        log_scale = context.log_scale.numpy().astype(np.float64)
        vector = None if observed.dense is None else observed.dense.float().cpu().numpy()
        return self.distributions(prediction, log_scale), log_scale, vector

    def context(
        self,
        photometry: Photometry,
        labels: Mapping[str, LabelColumn],
        rows: slice,
        layout: BandLayout,
    ) -> Context:
        """Context tokens of some rows."""
        n = rows.stop - rows.start
        shape = (n, len(self.scaling.names))
        value, error = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        given = np.zeros(shape, dtype=bool)
        for name, column in labels.items():
            i = self.scaling.names.index(name)
            seen = np.asarray(column.observed[rows])
            given[:, i] = seen
            value[:, i] = np.where(seen, column.value[rows], 0.0)
            error[:, i] = np.where(seen, np.nan_to_num(column.error[rows]), 0.0)
        return build_context(
            torch.from_numpy(photometry.flux[rows].astype(np.float32)),
            torch.from_numpy(photometry.error[rows].astype(np.float32)),
            torch.from_numpy(np.ascontiguousarray(photometry.observed[rows])),
            layout,
            vocabulary=self.vocabulary,
            scaling=self.scaling,
            label_value=torch.from_numpy(value),
            label_error=torch.from_numpy(error),
            label_given=torch.from_numpy(given),
        )

    def distributions(
        self,
        prediction: Prediction,
        log_scale: NDArray[np.float64],
        *,
        recalibrate: bool = True,
    ) -> dict[str, Distribution]:
        """Distributions in physical units from the network's answer, by quantity."""
        found: dict[str, Distribution] = {}
        for i, name in enumerate(prediction.names):
            kind = self.vocabulary[name]
            distribution = distribution_of(self.network, prediction, i, kind, log_scale)
            recalibration = self.recalibrations.get(name)
            if recalibrate and recalibration is not None:
                distribution = Recalibrated(distribution, recalibration)
            found[name] = distribution
        return found


def _recalibrations(model: LoadedModel) -> dict[str, Recalibration]:
    stored = model.card.get("recalibration") or {}
    try:
        return {str(name): Recalibration.from_dict(entry) for name, entry in stored.items()}
    except (AttributeError, KeyError, TypeError, JpassedError) as exc:
        raise ModelError(
            f"the recalibrations of model {model.name!r} are damaged: {exc}. Install it again"
        ) from exc


def choose_device(name: str) -> torch.device:
    """Device by name; ``"auto"`` takes a GPU if there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as exc:
        raise InputError(f"unknown device {name!r}; use 'auto', 'cpu' or 'cuda'") from exc
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device {name!r} was asked for, but torch sees no GPU; use 'cpu'")
    return device
