"""Quick figures during a training, on objects that are never trained on."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jpassed.nn.heads import MixtureHead
from jpassed.nn.model import Prediction, SEDModel
from jpassed.tokens.build import build_context, build_requests
from jpassed.tokens.scaling import LabelScaling
from jpassed.training.config import OptimiserConfig
from jpassed.training.setup import Setup
from jpassed.vocabulary import load_vocabulary

__all__ = ["FIGURES", "MAGNITUDE_EDGES", "validate"]

MAGNITUDE_EDGES = (0.0, 20.0, 21.0, 22.0, 22.7)

FIGURES = (
    "log score",
    *(f"nmad {a:g}-{b:g}" for a, b in zip(MAGNITUDE_EDGES[:-1], MAGNITUDE_EDGES[1:], strict=True)),
)
"""Names of what `validate` measures."""


@torch.no_grad()
def validate(
    network: SEDModel, average: dict[str, Tensor], setup: Setup, options: OptimiserConfig
) -> dict[str, float]:
    """sigma_NMAD of redshift by magnitude with all patch bands, and the redshift's log score.

    Parameters
    ----------
    network : SEDModel
        Its weights are exchanged for `average` meanwhile.
    average : dict
        Averaged weights.
    setup : Setup
    options : OptimiserConfig

    Returns
    -------
    dict
        ``"nmad 0-20"`` and so on, and ``"log score"`` (mean log density in ln(1+z)).
    """
    vocabulary = load_vocabulary()
    scaling = LabelScaling.from_vocabulary(vocabulary, vocabulary.scalars)
    seen = setup.validation
    layout = setup.layout.with_single(setup.questioner.loose)
    device = seen.flux.device
    requests = build_requests(["z"], vocabulary, {}).to(device)
    own = {k: v.clone() for k, v in network.state_dict().items()}
    network.load_state_dict(average)
    network.eval()
    means, scores = [], []
    column = scaling.names.index("z")
    truth, _ = scaling.to_scaled(seen.labels)
    try:
        for rows in torch.arange(seen.flux.shape[0], device=device).split(1024):
            context = build_context(
                seen.flux[rows], seen.error[rows], seen.observed[rows], layout,
                vocabulary=vocabulary, scaling=scaling,
            )  # fmt: skip
            low = options.precision == "bfloat16"
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=low):
                prediction = network(context, requests)
            mean, score = _point(network, prediction, truth[rows, column])
            means.append(mean)
            scores.append(score)
    finally:
        network.load_state_dict(own)
        network.train()
    kind = vocabulary["z"]
    z = torch.expm1(torch.cat(means) * kind.width + kind.loc)
    true = seen.labels[:, column]
    dz = (z - true) / (1 + true)
    flux = seen.flux[:, setup.simulated.selection].clamp(min=1e-9)
    magnitude = -2.5 * torch.log10(flux / 3631e6)
    # From the objective (scaled units, without 1/2 log(2 pi)) to a density in ln(1+z).
    constant = 0.5 * math.log(2 * math.pi) + math.log(kind.width)
    figures = {"log score": float(torch.cat(scores).mean()) - constant}
    for low_edge, high in zip(MAGNITUDE_EDGES[:-1], MAGNITUDE_EDGES[1:], strict=True):
        inside = dz[(magnitude >= low_edge) & (magnitude < high)]
        if len(inside):
            nmad = 1.4826 * (inside - inside.median()).abs().median()
            figures[f"nmad {low_edge:g}-{high:g}"] = float(nmad)
    return figures


def _point(network: SEDModel, prediction: Prediction, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Median (binned) or mean of the redshift in scaled units, and its log density at the truth."""
    head = network.redshift_head
    zero = torch.zeros_like(truth)
    if head is not None and prediction.redshift_logits is not None:
        probability = prediction.redshift_logits.softmax(-1)
        cumulative = probability.cumsum(-1)
        index = (cumulative < 0.5).sum(-1, keepdim=True).clamp(max=probability.shape[-1] - 1)
        inside = probability.gather(1, index).clamp(min=1e-9)
        below = cumulative.gather(1, index) - inside
        share = ((0.5 - below) / inside).clamp(0, 1).squeeze(1)
        median = head.edges[index.squeeze(1)] + head.step * share
        return (median - head.loc) / head.scale, -head.loss(prediction.redshift_logits, truth, zero)
    parameters = prediction.parameters[:, 0]
    score = -network.head.loss(parameters, truth, zero)
    if isinstance(network.head, MixtureHead):
        log_weight, mean, _ = network.head.split(parameters)
        return (log_weight.exp() * mean).sum(-1), score
    return parameters[..., 0], score
