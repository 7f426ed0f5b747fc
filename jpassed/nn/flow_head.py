"""Flow head: a Gaussian bent by a monotone spline, so that any shape with one formula.

Rational-quadratic splines: Gregory & Delbourgo 1982, IMA J. Numer. Anal. 2, 123; as a flow Durkan
et al. 2019, arXiv:1906.04032. Written out here, in torch for training and in numpy for the
posterior (`jpassed.posteriors.SplineFlow`), and tested against zuko.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from jpassed.nn.config import ModelConfig
from jpassed.nn.kind_linear import LOG_SIGMA_FLOOR, KindLinear

__all__ = ["FlowHead", "Knots", "bend", "unbend"]

BOUND = 5.0
"""The spline acts on (-5, 5); outside it is the identity: Gaussian tails."""

LEAST_BIN = 1e-3
"""Least share of a bin in the spline's range."""

LEAST_SLOPE = 1e-3

NODES = 81
REACH = 4.0

Knots = tuple[Tensor, Tensor, Tensor]
"""Abscissae, ordinates and slopes at the K + 1 knots, each (..., K + 1)."""


class FlowHead(nn.Module):
    """Location, scale, and a spline f: f((y - loc) / scale) is a standard normal number.

    The label's own error enters through a mixture: the standard normal is a sum of 81 narrow
    Gaussians, each of which the inverse spline turns into a Gaussian of its local slope, and the
    error adds to its variance. Without an error the density is exact.
    """

    form = "flow"

    def __init__(self, config: ModelConfig, kinds: int) -> None:
        super().__init__()
        self.linear = KindLinear(kinds, config.head_width, 3 * config.flow_bins + 1)

    def forward(self, x: Tensor, kind: Tensor) -> Tensor:
        """(B, R, D), (R,) -> (B, R, 3 K + 1): location, log scale, and the raw spline."""
        return self.linear(x, kind)

    @staticmethod
    def split(parameters: Tensor) -> tuple[Tensor, Tensor, Knots]:
        """Location (...), log scale (...), and the knots of the spline."""
        # At least float32: half precision is too coarse, double is kept.
        precise = parameters.to(torch.promote_types(parameters.dtype, torch.float32))
        loc, log_scale = precise[..., 0], precise[..., 1].clamp(min=LOG_SIGMA_FLOOR)
        return loc, log_scale, make_knots(precise[..., 2:])

    @classmethod
    def loss(cls, parameters: Tensor, target: Tensor, error: Tensor) -> Tensor:
        """Negative log density less its constant 1/2 log(2 pi), as the published loss. (B, R)."""
        loc, log_scale, knots = cls.split(parameters)
        scale = log_scale.exp()
        normal, log_slope = bend((target - loc) / scale, knots)
        exact = 0.5 * normal.square() - log_slope + log_scale
        if not bool((error > 0).any()):
            return exact
        log_weight, node, width = normal_mixture(NODES, loc)
        node = node.expand(*loc.shape, NODES)
        wide = tuple(k.unsqueeze(-2).expand(*loc.shape, NODES, -1) for k in knots)
        u, steep = unbend(node, (wide[0], wide[1], wide[2]))
        mean = loc.unsqueeze(-1) + scale.unsqueeze(-1) * u
        own = scale.unsqueeze(-1) * width * (-steep).exp()
        variance = own.square() + error.square().unsqueeze(-1)
        chi2 = (target.unsqueeze(-1) - mean).square() / variance
        noisy = -torch.logsumexp(log_weight - 0.5 * chi2 - 0.5 * variance.log(), -1)
        return torch.where(error > 0, noisy, exact)


def make_knots(raw: Tensor) -> Knots:
    """Knots from 3 K - 1 free numbers (..., 3 K - 1): widths, heights, inner slopes; 0 is f(u) = u.

    End slopes are 1: the tails go on without a kink.
    """
    bins = (raw.shape[-1] + 1) // 3
    widths, heights, inner = raw.split((bins, bins, bins - 1), -1)
    ends = []
    for part in (widths, heights):
        share = LEAST_BIN + (1.0 - LEAST_BIN * bins) * part.softmax(-1)
        inside = 2.0 * BOUND * share.cumsum(-1)[..., :-1] - BOUND
        edge = torch.full_like(inside[..., :1], BOUND)
        ends.append(torch.cat((-edge, inside, edge), -1))
    # softplus(0.54) = 1
    slope = LEAST_SLOPE + nn.functional.softplus(inner + math.log(math.e - 1.0))
    one = torch.ones_like(slope[..., :1])
    return ends[0], ends[1], torch.cat((one, slope, one), -1)


def _local(where: Tensor, along: Tensor, knots: Knots) -> tuple[Tensor, ...]:
    """The knots around `where` on the axis `along`: x0, width, y0, height, slopes, and inside."""
    x, y, slope = knots
    inside = (where > -BOUND) & (where < BOUND)
    left = (along[..., 1:-1] <= where.unsqueeze(-1)).sum(-1, keepdim=True)

    def at(values: Tensor, index: Tensor) -> Tensor:
        return values.gather(-1, index).squeeze(-1)

    x0, y0 = at(x, left), at(y, left)
    width, height = at(x, left + 1) - x0, at(y, left + 1) - y0
    return x0, width, y0, height, at(slope, left), at(slope, left + 1), inside


def bend(u: Tensor, knots: Knots) -> tuple[Tensor, Tensor]:
    """f(u) and ln f'(u), each (...): Durkan et al. 2019, eqs. 4 and 5."""
    x0, width, y0, height, d0, d1, inside = _local(u, knots[0], knots)
    s = height / width
    # Outside, the formula is fed a harmless number: its gradient must stay finite.
    xi = torch.where(inside, (u - x0) / width, 0.5).clamp(0.0, 1.0)
    cross = xi * (1.0 - xi)
    below = s + (d0 + d1 - 2.0 * s) * cross
    v = y0 + height * (s * xi.square() + d0 * cross) / below
    top = d1 * xi.square() + 2.0 * s * cross + d0 * (1.0 - xi).square()
    log_slope = 2.0 * s.log() + top.log() - 2.0 * below.log()
    return torch.where(inside, v, u), torch.where(inside, log_slope, 0.0)


def unbend(v: Tensor, knots: Knots) -> tuple[Tensor, Tensor]:
    """The u with f(u) = v, and ln f'(u), each (...): Durkan et al. 2019, eqs. 6 to 8."""
    x0, width, y0, height, d0, d1, inside = _local(v, knots[1], knots)
    s = height / width
    rise = torch.where(inside, v - y0, 0.5 * height)
    bent = rise * (d0 + d1 - 2.0 * s)
    a = height * (s - d0) + bent
    b = height * d0 - bent
    root = (b.square() + 4.0 * a * s * rise).clamp(min=0.0).sqrt()
    xi = (2.0 * s * rise / (b + root)).clamp(0.0, 1.0)
    cross = xi * (1.0 - xi)
    below = s + (d0 + d1 - 2.0 * s) * cross
    top = d1 * xi.square() + 2.0 * s * cross + d0 * (1.0 - xi).square()
    log_slope = 2.0 * s.log() + top.log() - 2.0 * below.log()
    return torch.where(inside, x0 + xi * width, v), torch.where(inside, log_slope, 0.0)


def normal_mixture(nodes: int, like: Tensor) -> tuple[Tensor, Tensor, float]:
    """A standard normal as Gaussians of one width: log weights, means, each (nodes,), the width."""
    node = torch.linspace(-REACH, REACH, nodes, dtype=like.dtype, device=like.device)
    width = 2.0 * REACH / (nodes - 1)
    log_weight = (-0.5 * node.square() / (1.0 - width**2)).log_softmax(-1)
    return log_weight, node, width
