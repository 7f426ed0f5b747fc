"""Importance weights of the objects of a training step, given what each of them shows.

Galaxies are drawn with a density d that is flatter in magnitude than the declared prior p.
A loss weighted with (p / d)(x) g(C), where g depends on nothing but the context C, is least for
the posterior p(y | C), whatever g is: g only says how much a context counts. The full weight
(g = 1) lets faint galaxies rule the loss; dividing by p / d at the *true* magnitude does not, but
is no function of the context, and wrong where the context does not fix the magnitude. Here g is
d / p at the magnitude that the context itself suggests: where that is the true one the weight is
the same at every magnitude, where it is a guess the weight undoes the guess.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["context_weights", "effective_sample", "effective_share", "suggested_log_flux"]

LEAST_SCATTER = 0.05
"""Least scatter of a colour, in ln(flux): no band shall rule alone."""


def suggested_log_flux(
    flux: Tensor, error: Tensor, observed: Tensor, truth: Tensor, reference: int
) -> Tensor:
    """ln of the reference band's flux that the observed bands of each object suggest.

    Parameters
    ----------
    flux, error : Tensor
        (N, B) as shown to the network.
    observed : Tensor
        (N, B) bool, what is shown.
    truth : Tensor
        (M, B) true bandfluxes of some galaxies. Nothing but their median colours, the scatter of
        these and the spread of their magnitudes is used: nothing of a single object.
    reference : int
        Column of the band in which the magnitude is wanted.

    Returns
    -------
    Tensor
        (N,) ln(flux): the mean of the bands, each scaled by its median colour and weighted by its
        error and the scatter of the colour, drawn towards the galaxies' mean by as much as it is
        uncertain. That mean where nothing is observed.
    """
    log_truth = truth.clamp(min=1e-30).log()
    wanted = log_truth[:, reference]
    colour = log_truth - wanted.unsqueeze(-1)
    typical = colour.median(0).values
    scatter = 1.4826 * (colour - typical).abs().median(0).values.clamp(min=LEAST_SCATTER)
    value = torch.where(observed, flux, 0.0) * (-typical).exp()
    sigma = torch.where(observed, error, 1.0) * (-typical).exp()
    # A first mean, of the bands as they are, sets the level that the scatter is relative to.
    share = observed / scatter.square()
    level = ((share * value).sum(-1) / share.sum(-1).clamp(min=1e-30)).abs()
    variance = sigma.square() + (scatter * level.unsqueeze(-1)).square()
    weight = torch.where(observed, 1.0 / variance.clamp(min=1e-30), 0.0)
    total = weight.sum(-1)
    mean = (weight * value).sum(-1) / total.clamp(min=1e-30)
    mean = mean.clamp(min=0.0)
    centre, spread = wanted.mean(), wanted.var(unbiased=False)
    # (mean / noise)^2 against (1 / spread): what is lost in the noise says nothing.
    known = spread * mean.square() * total
    reliable = torch.where(total > 0, known / (known + 1.0), 0.0)
    return torch.lerp(centre, mean.clamp(min=1e-30).log(), reliable)


def context_weights(
    full: Tensor,
    at_magnitude: Tensor,
    true_log_flux: Tensor,
    suggested: Tensor,
    anything: Tensor,
    *,
    clip: float,
) -> Tensor:
    """Weights that refer posteriors to the declared prior, whatever the context shows.

    Parameters
    ----------
    full, at_magnitude : Tensor
        (N,) `DensityWeights.loss` and `DensityWeights.loss_at_magnitude` of the objects; their
        ratio is p / d as a function of magnitude.
    true_log_flux : Tensor
        (N,) ln of the true reference flux, which that function is read from.
    suggested : Tensor
        (N,) what the context suggests for it, see `suggested_log_flux`.
    anything : Tensor
        (N,) bool, objects with a band in the context; the others get the full weight.
    clip : float
        Largest weight over the mean of the batch, so that no object dominates a step.

    Returns
    -------
    Tensor
        (N,) of mean 1, none above `clip`.
    """
    if not len(full):
        return full
    order = true_log_flux.argsort()
    known = true_log_flux[order]
    log_ratio = (full / at_magnitude.clamp(min=1e-30)).clamp(min=1e-30).log()[order]
    place = torch.searchsorted(known, suggested.contiguous()).clamp(1, max(1, len(known) - 1))
    above = place.clamp(max=len(known) - 1)
    below = place - 1
    gap = (known[above] - known[below]).clamp(min=1e-12)
    share = ((suggested - known[below]) / gap).clamp(0.0, 1.0)
    there = torch.lerp(log_ratio[below], log_ratio[above], share)
    weight = torch.where(anything, full * (-there).exp(), full)
    return _clipped(weight, clip)


def _clipped(weight: Tensor, clip: float) -> Tensor:
    """Weights of mean 1, of which none is above `clip`."""
    # Always four times: to ask whether once was enough is dearer on a GPU.
    for _ in range(4):
        weight = (weight / weight.mean().clamp(min=1e-30)).clamp(max=clip)
    return (weight / weight.mean().clamp(min=1e-30)).clamp(max=clip)


def effective_share(weight: Tensor) -> float:
    """Effective sample size of weights over their number: (sum w)^2 / (N sum w^2) (Kish 1965).

    1 for equal weights, 1 / N where one object has all the weight.
    """
    return float(effective_sample(weight))


def effective_sample(weight: Tensor) -> Tensor:
    """`effective_share` as a tensor on the weights' device."""
    wide = weight.double()
    total = wide.square().sum()
    share = wide.sum().square() / (max(1, len(weight)) * total)
    return torch.where(torch.isfinite(total) & (total > 0), share, 0.0)
