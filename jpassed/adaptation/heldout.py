"""Log scores of objects that a fine-tuning does not see: what it is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jpassed.adaptation.rows import OwnRows
from jpassed.nn.model import SEDModel
from jpassed.objectives.request_nll import row_nll
from jpassed.tokens.batch import Context, Requests
from jpassed.tokens.build import build_context, build_requests
from jpassed.tokens.scaling import LabelScaling, flux_to_scaled
from jpassed.vocabulary import Vocabulary

__all__ = ["BANDS", "HeldOut", "Verdict", "compare", "uninformed"]

BANDS = "bandfluxes"
"""Name of the score of the hidden bandfluxes."""

FOLDS = 4
CLIP = 4.0
"""nat: no single object decides."""

AT_ONCE = 512


@dataclass(frozen=True)
class _Asked:
    """A context, what is asked of it, and the answers."""

    context: Context
    requests: Requests
    target: Tensor
    error: Tensor
    known: Tensor
    rows: Tensor


class HeldOut:
    """Objects with fixed questions.

    Labels are asked given all bands; bandfluxes are asked a quarter at a time, interleaved in
    wavelength, given the others, and scored with the errors of the measurements.

    Parameters
    ----------
    rows : OwnRows
    vocabulary : Vocabulary
    labels : sequence of str
        Labels that are asked.
    bands : bool
        Whether bandfluxes are asked.
    """

    def __init__(
        self, rows: OwnRows, vocabulary: Vocabulary, labels: Sequence[str], *, bands: bool = True
    ) -> None:
        self.count, self.labels = len(rows), tuple(labels)
        self.asked_bands = bands and len(rows.bands) > 1
        scaling = LabelScaling.from_vocabulary(vocabulary, rows.names)
        self._questions: list[_Asked] = []
        for chosen in torch.arange(self.count).split(AT_ONCE):
            if self.labels:
                self._questions.append(_label_question(rows, chosen, vocabulary, scaling, labels))
            if self.asked_bands:
                self._questions += _band_questions(rows, chosen, vocabulary, scaling)

    @torch.no_grad()
    def scores(self, network: SEDModel) -> dict[str, NDArray[np.float64]]:
        """Log score of each object (N,), NaN where there is nothing to score, by quantity.

        Up to a constant, the log density in scaled units. ``"bandfluxes"`` is the mean over the
        bands that an object has.
        """
        found = {name: np.full(self.count, np.nan) for name in self.labels}
        total, number = np.zeros((2, self.count))
        for asked in self._questions:
            score = -row_nll(
                network, network(asked.context, asked.requests), asked.target, asked.error,
                asked.known,
            ).double().numpy()  # fmt: skip
            known, rows = asked.known.numpy(), asked.rows.numpy()
            if asked.requests.names[0].startswith("flux:"):
                total[rows] += np.where(known, score, 0.0).sum(1)
                number[rows] += known.sum(1)
                continue
            for i, name in enumerate(asked.requests.names):
                found[name][rows] = np.where(known[:, i], score[:, i], np.nan)
        if self.asked_bands:
            found[BANDS] = np.where(number > 0, total / np.maximum(number, 1), np.nan)
        return found


def _context(
    rows: OwnRows, chosen: Tensor, shown: Tensor, vocabulary: Vocabulary, scaling: LabelScaling
) -> Context:
    return build_context(
        rows.seen.flux[chosen], rows.seen.error[chosen], shown, rows.layout,
        vocabulary=vocabulary, scaling=scaling,
    )  # fmt: skip


def _label_question(
    rows: OwnRows,
    chosen: Tensor,
    vocabulary: Vocabulary,
    scaling: LabelScaling,
    labels: Sequence[str],
) -> _Asked:
    columns = [rows.names.index(name) for name in labels]
    target, error = scaling.to_scaled(rows.seen.labels[chosen], rows.seen.label_error[chosen])
    return _Asked(
        _context(rows, chosen, rows.seen.observed[chosen], vocabulary, scaling),
        build_requests(tuple(labels), vocabulary, {}),
        target[:, columns],
        error[:, columns],
        rows.seen.label_known[chosen][:, columns],
        chosen,
    )


def _band_questions(
    rows: OwnRows, chosen: Tensor, vocabulary: Vocabulary, scaling: LabelScaling
) -> list[_Asked]:
    found = []
    order = rows.layout.pivot.argsort()
    observed = rows.seen.observed[chosen]
    passbands = {
        name: (float(rows.layout.pivot[i]), float(rows.layout.width[i]))
        for i, name in enumerate(rows.bands)
    }
    for fold in range(min(FOLDS, len(rows.bands))):
        hidden = order[fold::FOLDS]
        shown = observed.clone()
        shown[:, hidden] = False
        context = _context(rows, chosen, shown, vocabulary, scaling)
        target, error = flux_to_scaled(
            rows.seen.flux[chosen][:, hidden], context.log_scale.exp(),
            rows.seen.error[chosen][:, hidden],
        )  # fmt: skip
        names = [f"flux:{rows.bands[int(i)]}" for i in hidden]
        # Without any band left there is nothing to tell from.
        known = observed[:, hidden] & shown.any(1, keepdim=True)
        requests = build_requests(names, vocabulary, passbands)
        found.append(_Asked(context, requests, target, error, known, chosen))
    return found


@dataclass(frozen=True)
class Verdict:
    """Mean gain of one log score over another, in nat, with its standard error.

    Attributes
    ----------
    gain, error : float
    better : bool
        Whether the gain is significant.
    """

    gain: float
    error: float
    better: bool


def compare(new: NDArray[np.float64], old: NDArray[np.float64], *, sigmas: float = 2.0) -> Verdict:
    """Whether scores (N,) of the same objects are better than others, pair by pair.

    Both the mean difference must be positive and the mean of the differences, each held within
    4 nat, lie `sigmas` standard errors above 0: a lucky object proves nothing.
    """
    gain = new - old
    gain = gain[np.isfinite(gain)]
    if len(gain) < 2:
        return Verdict(0.0, np.inf, False)
    held = np.clip(gain, -CLIP, CLIP)
    error = float(held.std(ddof=1) / np.sqrt(len(held)))
    better = bool(gain.mean() > 0 and held.mean() > sigmas * error)
    return Verdict(float(gain.mean()), error, better)


def uninformed(
    train: NDArray[np.float64], target: NDArray[np.float64], *, width_factor: float = 1.0
) -> NDArray[np.float64]:
    """Log score of the distribution of the labels themselves, which knows nothing of an object.

    Parameters
    ----------
    train, target : ndarray (M,), (N,)
        Scaled labels to learn from and to judge, NaN where there is none.
    width_factor : float
        Of Silverman's width, which is too wide where labels pile up.

    Returns
    -------
    ndarray (N,)
        In the units of `HeldOut.scores`. A kernel density estimate with Silverman's width.
    """
    x = train[np.isfinite(train)]
    spread = min(x.std(ddof=1), (np.percentile(x, 75) - np.percentile(x, 25)) / 1.349) or 1e-6
    width = max(width_factor * 0.9 * spread * len(x) ** -0.2, 1e-6)
    found = np.full(len(target), np.nan)
    known = np.isfinite(target)
    y = target[known]
    chi = (y[:, None] - x[None, :]) / width
    # A little of a wide Gaussian: no label is impossible.
    wide = 3.0 * max(float(x.std(ddof=1)), width)
    log_wide = -0.5 * ((y - x.mean()) / wide) ** 2 - np.log(wide) + np.log(0.05)
    log_kernel = np.logaddexp.reduce(-0.5 * chi**2, axis=1) - np.log(len(x) * width)
    found[known] = np.logaddexp(log_kernel + np.log(0.95), log_wide)
    return found
