"""From photometry and labels to posteriors, with the tokens and the model of the training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from jpassed.exceptions import InputError
from jpassed.nn.checkpoint import LoadedModel
from jpassed.nn.heads import MixtureHead
from jpassed.nn.model import Prediction
from jpassed.posteriors import (
    Binned,
    Distribution,
    Gaussian,
    GaussianMixture,
    Posterior,
    Transform,
)
from jpassed.surveys import LabelColumn, Photometry
from jpassed.tokens import BandLayout, Context, LabelScaling, build_context, build_requests
from jpassed.tokens.scaling import FLUX_LOC, FLUX_SOFTENING, FLUX_WIDTH
from jpassed.vocabulary import load_vocabulary

__all__ = ["DEFAULT_BATCH", "Predictor"]

DEFAULT_BATCH = 1024


class Predictor:
    """A model, asked the same quantities of many objects.

    Parameters
    ----------
    model : LoadedModel
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
    """

    def __init__(
        self,
        model: LoadedModel,
        outputs: Sequence[str],
        passbands: Mapping[str, tuple[float, float]],
        device: str = "auto",
    ) -> None:
        self.model = model
        self.vocabulary = load_vocabulary()
        self.device = choose_device(device)
        self.network = model.network.to(self.device)
        self.scaling = LabelScaling.from_vocabulary(self.vocabulary, self.vocabulary.scalars)
        self.requests = build_requests(outputs, self.vocabulary, passbands).to(self.device)

    def batches(
        self,
        photometry: Photometry,
        labels: Mapping[str, LabelColumn] | None = None,
        batch_size: int | None = None,
    ) -> Iterator[tuple[slice, Posterior, NDArray[np.float64]]]:
        """Posteriors of all rows, a batch at a time.

        Parameters
        ----------
        photometry : Photometry
        labels : mapping, optional
            Context labels by quantity.
        batch_size : int, optional

        Yields
        ------
        rows : slice
        posterior : Posterior
        log_scale : ndarray
            Natural logarithm of each object's flux scale in microjansky.
        """
        size = DEFAULT_BATCH if batch_size is None else batch_size
        if size < 1:
            raise InputError(f"batch_size: expected a positive number, got {batch_size}")
        layout = BandLayout.make(
            photometry.bands, photometry.pivot, photometry.width,
            self.network.config.patch_bands,
        )  # fmt: skip
        for start in range(0, len(photometry), size):
            rows = slice(start, min(start + size, len(photometry)))
            context = self.context(photometry, labels or {}, rows, layout)
            with torch.inference_mode():
                prediction = self.network(context.to(self.device), self.requests)
            log_scale = context.log_scale.numpy().astype(np.float64)
            yield rows, self.posterior(prediction, log_scale), log_scale

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

    def posterior(self, prediction: Prediction, log_scale: NDArray[np.float64]) -> Posterior:
        """Posteriors in physical units from the network's answer."""
        network = self.network
        scale = np.exp(log_scale)
        entries: dict[str, Distribution] = {}
        for i, name in enumerate(prediction.names):
            kind = self.vocabulary[name]
            if kind.scale == "object":
                transform = Transform("asinh", FLUX_LOC, FLUX_WIDTH, FLUX_SOFTENING * scale)
                bounds = (-np.inf, np.inf)
            else:
                transform = Transform.of(kind)
                bounds = (kind.lower, kind.upper)
            if name == "z" and network.redshift_head is not None:
                head = network.redshift_head
                logits = prediction.redshift_logits
                if logits is None:
                    raise InputError("the model gave no redshift")
                edges = (head.edges.double().cpu().numpy() - head.loc) / head.scale
                probability = logits.double().softmax(-1).cpu().numpy()
                entries[name] = Binned(edges, probability, transform, *bounds)
                continue
            parameters = prediction.parameters[:, i].double()
            if isinstance(network.head, MixtureHead):
                log_weight, mean, log_sigma = (
                    t.cpu().numpy().astype(np.float64) for t in MixtureHead.split(parameters)
                )
                entries[name] = GaussianMixture(
                    np.exp(log_weight), mean, np.exp(log_sigma), transform, *bounds
                )
            else:
                mean, log_variance = (t.cpu().numpy() for t in parameters.unbind(-1))
                entries[name] = Gaussian(mean, np.exp(0.5 * log_variance), transform, *bounds)
        return Posterior(entries)


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
