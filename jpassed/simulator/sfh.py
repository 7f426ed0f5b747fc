"""Star-formation histories: a delayed-tau component, modulated, quenched or with a burst."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["add_burst", "age_moments", "delayed_tau", "modulate", "recent_sfr"]


def delayed_tau(t0: Tensor, tau: Tensor, edges: Tensor) -> Tensor:
    """Mass formed in each age bin by ``psi(t) ~ (t0 - t)/tau exp[-(t0 - t)/tau]``.

    t is look-back time (design, section 4). The integral from t to t0 is ``1 - (1 + x) exp(-x)``
    with ``x = (t0 - t)/tau``; differences of ``(1 + x) exp(-x)`` keep the young tail of quenched
    galaxies exact.

    Parameters
    ----------
    t0, tau : Tensor (N,)
        Start of star formation and e-folding time, Gyr.
    edges : Tensor (A + 1,)
        Age-bin edges, yr, from 0.

    Returns
    -------
    Tensor (N, A), float64
        Fractions that sum to 1.
    """
    t0, tau = t0.double()[:, None], tau.double()[:, None]
    x = (t0 - edges.double()[None, :] * 1e-9).clamp(min=0.0) / tau
    # 1 - (1+x) exp(-x) loses digits below x ~ 1e-3: its series x^2/2 - x^3/3 + x^4/8 there.
    tail = (1.0 + x) * torch.exp(-x)
    series = x**2 * (0.5 - x / 3.0 + x**2 / 8.0)
    formed = torch.where(x < 1e-2, series, 1.0 - tail)
    weights = torch.where(
        x[:, 1:] < 1e-2, formed[:, :-1] - formed[:, 1:], tail[:, 1:] - tail[:, :-1]
    )
    return weights / weights.sum(dim=1, keepdim=True)


def modulate(weights: Tensor, factors: Tensor, knots: Tensor, edges: Tensor) -> Tensor:
    """Multiply the history by a piecewise constant factor of look-back time.

    Parameters
    ----------
    weights : Tensor (N, A)
        Mass formed in each age bin.
    factors : Tensor (N, K)
        Factor below each knot; beyond the last knot it is 1.
    knots : Tensor (K,)
        Upper look-back times of the pieces, yr, increasing.
    edges : Tensor (A + 1,)
        Age-bin edges, yr; each bin belongs to the piece of its centre.
    """
    centre = 0.5 * (edges[1:] + edges[:-1])
    piece = torch.bucketize(centre.double(), knots.double())
    padded = torch.cat([factors, torch.ones_like(factors[:, :1])], dim=1)
    return weights * padded[:, piece].to(weights.dtype)


def add_burst(
    weights: Tensor, fraction: Tensor, start: Tensor, stop: Tensor, edges: Tensor
) -> Tensor:
    """Add a burst of constant SFR.

    Parameters
    ----------
    weights : Tensor (N, A)
        Mass formed in each age bin, any scale.
    fraction : Tensor (N,)
        Share of all mass formed in the burst, 0 <= fraction < 1.
    start, stop : Tensor (N,)
        Look-back times of its beginning and end, yr, ``start > stop``.

    Returns
    -------
    Tensor (N, A)
        Fractions that sum to 1.
    """
    lower = torch.maximum(edges[None, :-1].double(), stop.double()[:, None])
    upper = torch.minimum(edges[None, 1:].double(), start.double()[:, None])
    burst = (upper - lower).clamp(min=0.0)
    burst = burst / burst.sum(dim=1, keepdim=True).clamp(min=1e-30)
    share = fraction.double()[:, None]
    base = weights / weights.sum(dim=1, keepdim=True)
    return (1.0 - share) * base + share * burst


def recent_sfr(weights: Tensor, edges: Tensor, span: float = 1e8) -> Tensor:
    """Mean SFR over the last `span` yr per mass formed, 1/yr, (N,). Bins must meet `span`."""
    young = edges[1:] <= span * (1.0 + 1e-6)
    return (weights * young).sum(dim=1) / span


def age_moments(weights: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Mean log10 age of each bin (A,) and its mean over the mass formed (N,).

    Inside a bin the mean of log10 t over time is ``[t (log10 t - log10 e)]``, exact at t = 0.
    """
    e = edges.double()
    log10e = 0.4342944819032518
    primitive = torch.where(e > 0, e * (torch.log10(e.clamp(min=1.0)) - log10e), e * 0.0)
    mean = (primitive[1:] - primitive[:-1]) / (e[1:] - e[:-1])
    return mean, (weights.double() * mean).sum(dim=1)
