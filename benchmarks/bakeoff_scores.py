"""Figures of the bake-off: every variant answers the same questions about the same objects."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from jpassed.nn import SEDModel
from jpassed.nn.heads import MixtureHead
from jpassed.tokens import BandLayout, LabelScaling, build_context, build_requests
from jpassed.tokens.scaling import flux_to_scaled
from jpassed.training.sources import Observation
from jpassed.vocabulary import load_vocabulary

EDGES = (0.0, 20.0, 21.0, 22.0, 22.7)
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
ROWS = 1024


def half_hidden(observed: Tensor) -> Tensor:
    """Every object keeps a random half of its bands: the same ones for every variant."""
    generator = torch.Generator().manual_seed(7)
    score = torch.rand(observed.shape, generator=generator)
    score = torch.where(observed, score, -1.0)
    rank = score.argsort(-1, descending=True).argsort(-1)
    return observed & (rank < (observed.sum(-1, keepdim=True) + 1) // 2)


@torch.no_grad()
def scores(
    model: SEDModel, seen: Observation, layout: BandLayout, selection: int, *, full: bool = True
) -> dict[str, Any]:
    """Figures with all bands and with a random half of them.

    Parameters
    ----------
    model : SEDModel
    seen : Observation
        Objects that were never trained on.
    layout : BandLayout
    selection : int
        Column of the band that magnitudes refer to.
    full : bool
        Also the half, the labels and the bandfluxes.

    Returns
    -------
    dict
        ``nmad`` by magnitude, ``outliers`` (0.05), ``log_z`` (mean log density in ln(1+z), nat),
        ``log_z_bins``; ``labels`` (mean log density of every label, scaled units),
        ``labels_mean``; the same with prefix ``half_``; ``half_flux``: mean log density of the
        true bandfluxes of hidden bands, scaled units.
    """
    vocabulary = load_vocabulary()
    scaling = LabelScaling.from_vocabulary(vocabulary, vocabulary.scalars)
    model.eval()
    half = half_hidden(seen.observed)
    bands = {
        n: (float(layout.pivot[i]), float(layout.width[i])) for i, n in enumerate(layout.bands)
    }
    every = [n for n in scaling.names if n != "z"] if full else []
    chosen = list(range(0, len(layout.bands), 6))
    truth, _ = scaling.to_scaled(seen.labels)
    known = seen.label_known.clone()
    result: dict[str, Any] = {}
    for prefix, observed in (("", seen.observed), ("half_", half))[: 2 if full else 1]:
        medians, z_score, label_score, flux_score, flux_known = [], [], [], [], []
        fluxes = [f"flux:{layout.bands[i]}" for i in chosen] if prefix else []
        requests = build_requests(["z", *every, *fluxes], vocabulary, bands)
        column = [scaling.names.index(n) for n in ["z", *every]]
        for rows in torch.arange(len(seen.flux)).split(ROWS):
            context = build_context(
                seen.flux[rows], seen.error[rows], observed[rows], layout,
                vocabulary=vocabulary, scaling=scaling,
            )  # fmt: skip
            with torch.autocast("cpu", dtype=torch.bfloat16):
                answer = model(context, requests)
            target = truth[rows][:, column]
            if fluxes:
                scaled, _ = flux_to_scaled(
                    seen.target[rows][:, chosen], context.log_scale.exp()
                )
                target = torch.cat((target, scaled), 1)
                flux_known.append(~observed[rows][:, chosen])
            loss = -model.head.loss(answer.parameters, target, torch.zeros_like(target))
            loss = loss - HALF_LOG_2PI
            median, score = redshift(model, answer.redshift_logits, answer.parameters, target)
            medians.append(median)
            z_score.append(score)
            label_score.append(loss[:, 1 : len(column)])
            flux_score.append(loss[:, len(column) :])
        z, true = torch.cat(medians), seen.labels[:, scaling.names.index("z")]
        score = torch.cat(z_score)
        dz = (z - true) / (1 + true)
        magnitude = -2.5 * torch.log10(seen.flux[:, selection].clamp(min=1e-9) / 3631e6)
        inside = [
            (magnitude >= a) & (magnitude < b) for a, b in zip(EDGES[:-1], EDGES[1:], strict=True)
        ]
        result[f"{prefix}log_z"] = float(score.mean())
        result[f"{prefix}log_z_bins"] = [float(score[i].mean()) for i in inside]
        result[f"{prefix}nmad"] = [
            float(1.4826 * (dz[i] - dz[i].median()).abs().median()) for i in inside
        ]
        result[f"{prefix}outliers"] = [float((dz[i].abs() > 0.05).float().mean()) for i in inside]
        if full:
            here = known[:, column[1:]]
            total = (torch.cat(label_score) * here).sum(0) / here.sum(0).clamp(min=1)
            result[f"{prefix}labels"] = dict(zip(every, total.tolist(), strict=True))
            result[f"{prefix}labels_mean"] = float(total.mean())
        if fluxes:
            hidden = torch.cat(flux_known)
            result["half_flux"] = float(torch.cat(flux_score)[hidden].mean())
    model.train()
    return result


def redshift(
    model: SEDModel, logits: Tensor | None, parameters: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    """Median redshift (the mean, without bins) and log density in ln(1+z) at the truth."""
    kind = load_vocabulary()["z"]
    head = model.redshift_head
    if head is None or logits is None:
        score = -model.head.loss(parameters, target, torch.zeros_like(target))[:, 0]
        if isinstance(model.head, MixtureHead):
            log_weight, mean, _ = model.head.split(parameters[:, 0])
            middle = (log_weight.exp() * mean).sum(-1)
        else:
            middle = parameters[:, 0, 0]
        return torch.expm1(middle * kind.width + kind.loc), (
            score - HALF_LOG_2PI - math.log(kind.width)
        )
    p = logits.float().softmax(-1)
    cumulative = p.cumsum(-1)
    index = (cumulative < 0.5).sum(-1, keepdim=True).clamp(max=p.shape[-1] - 1)
    share = (0.5 - (cumulative - p).gather(1, index)) / p.gather(1, index).clamp(min=1e-9)
    middle = head.edges[index] + head.step * share.clamp(0, 1)
    x = target[:, :1] * kind.width + kind.loc
    cell = (x / head.step).long().clamp(0, p.shape[-1] - 1)
    density = logits.float().log_softmax(-1).gather(1, cell) - math.log(head.step)
    return torch.expm1(middle).squeeze(1), density.squeeze(1)
