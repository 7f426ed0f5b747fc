"""From photometry and labels to posteriors, with the tokens and the model of the training."""

from __future__ import annotations

import copy
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from jpassed.annotation import blocks
from jpassed.annotation.devices import choose_device, choose_precision
from jpassed.annotation.distributions import distribution_of
from jpassed.exceptions import InputError, JpassedError, ModelError
from jpassed.nn.checkpoint import LoadedModel
from jpassed.nn.lowered import lowered
from jpassed.nn.model import Observed, Prediction
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
"""Objects at a time; the network takes them in blocks (`jpassed.annotation.blocks`)."""


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
    precision : {"float32", "bfloat16", "auto"}
        Of the large matrix products, see `choose_precision`.

    Attributes
    ----------
    network : SEDModel
        On `device`, in `precision`.
    precision : str
        ``"float32"`` or ``"bfloat16"``.

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
        precision: str = "float32",
    ) -> None:
        self.model = model
        self.outputs = tuple(outputs)
        self.vocabulary = model.vocabulary
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        self.network = model.network
        if next(self.network.parameters()).device.type != self.device.type:
            self.network = copy.deepcopy(self.network).to(self.device)
        if self.precision == "bfloat16":
            self.network = lowered(self.network)
        self.scaling = LabelScaling.from_vocabulary(self.vocabulary, self.vocabulary.scalars)
        self.passbands = dict(passbands)
        self.requests = self._ask(self.outputs)
        with torch.inference_mode():
            self._questions = self.network.prepare(self.requests)
        self.recalibrations = _recalibrations(model)

    def _ask(self, names: Sequence[str]) -> Requests:
        return build_requests(names, self.vocabulary, self.passbands).to(self.device)

    def batches(
        self,
        photometry: Photometry,
        labels: Mapping[str, LabelColumn] | None = None,
        batch_size: int | None = None,
        *,
        unread: Container[str] = (),
    ) -> Iterator[Batch]:
        """Posteriors of all rows, a batch at a time.

        Parameters
        ----------
        photometry : Photometry
        labels : mapping, optional
            Context labels by quantity. A quantity that is asked as well is predicted from
            everything else: in training no label was asked while it was given.
        batch_size : int, optional
        unread : container of str
            Quantities whose posterior nobody reads in rows where they are in the context: it means
            nothing there, and saves a pass.

        Yields
        ------
        Batch

        Raises
        ------
        InputError
            If `batch_size` is not positive.
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
            context = self.context(photometry, labels, rows, layout)
            answer = self.ask(context.to(self.device))
            prediction = answer.prediction
            for i, name in enumerate(self.outputs):
                if name in unread or name not in labels:
                    continue
                if (own := labels[name].observed[rows]).any():
                    others = {key: value for key, value in labels.items() if key != name}
                    given = torch.from_numpy(np.flatnonzero(own))
                    known = self.context(photometry, others, rows, layout)[given].to(self.device)
                    _put(prediction, i, given, self.ask(known, self._ask([name])).prediction)
            log_scale = context.log_scale.numpy().astype(np.float64)
            vector = None if answer.vector is None else answer.vector.cpu().numpy()
            entries = self.distributions(prediction, log_scale)
            yield Batch(rows, Posterior(entries, units), log_scale, vector)

    def ask(
        self, context: Context, requests: Requests | None = None, observed: Observed | None = None
    ) -> blocks.Answer:
        """What the network says of some objects, the same to the last bit beside any others.

        Parameters
        ----------
        context : Context
            On `device`.
        requests : Requests, optional
            On `device`; those for `outputs` otherwise.
        observed : Observed, optional
            What `embed` gave for the same objects.
        """
        with torch.inference_mode():
            if requests is None:
                return blocks.ask(self.network, context, self.requests, observed, self._questions)
            return blocks.ask(self.network, context, requests, observed)

    def embed(self, context: Context) -> Observed:
        """Tokens of some objects without their labels, for several calls of `ask`.

        Parameters
        ----------
        context : Context

        Returns
        -------
        Observed
        """
        with torch.inference_mode():
            return blocks.embed(self.network, context)

    def context(
        self,
        photometry: Photometry,
        labels: Mapping[str, LabelColumn],
        rows: slice,
        layout: BandLayout,
    ) -> Context:
        """Context tokens of some rows.

        Parameters
        ----------
        photometry : Photometry
        labels : mapping
            Quantity to `LabelColumn`.
        rows : slice
        layout : BandLayout

        Returns
        -------
        Context
        """
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
        """Distributions in physical units from the network's answer, by quantity.

        Parameters
        ----------
        prediction : Prediction
            Of N objects.
        log_scale : ndarray (N,)
            Logarithm of each object's flux scale, microjansky.
        recalibrate : bool
            Whether the recalibrations of the model's card apply.

        Returns
        -------
        dict
            Quantity to `Distribution`.
        """
        found: dict[str, Distribution] = {}
        for i, name in enumerate(prediction.names):
            kind = self.vocabulary[name]
            distribution = distribution_of(self.network, prediction, i, kind, log_scale)
            recalibration = self.recalibrations.get(name)
            if recalibrate and recalibration is not None:
                distribution = Recalibrated(distribution, recalibration)
            found[name] = distribution
        return found


def _put(prediction: Prediction, request: int, rows: torch.Tensor, own: Prediction) -> None:
    """Put an answer of its own in the place of some objects' answers to one request."""
    at = rows.to(prediction.parameters.device)
    with torch.inference_mode():
        prediction.parameters[at, request] = own.parameters[:, 0]
        if prediction.redshift_logits is not None and own.redshift_logits is not None:
            prediction.redshift_logits[at] = own.redshift_logits


def _recalibrations(model: LoadedModel) -> dict[str, Recalibration]:
    stored = model.card.get("recalibration") or {}
    try:
        return {str(name): Recalibration.from_dict(entry) for name, entry in stored.items()}
    except (AttributeError, KeyError, TypeError, JpassedError) as exc:
        raise ModelError(
            f"the recalibrations of model {model.name!r} are damaged: {exc}. Install it again"
        ) from exc
