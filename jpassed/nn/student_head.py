"""Student-t head: one peak with tails as heavy as the labels ask for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jpassed.nn.config import ModelConfig
from jpassed.nn.kind_linear import LOG_SIGMA_FLOOR, KindLinear

__all__ = ["StudentTHead"]

LEAST_DOF = 2.0
"""Above it the variance in scaled units exists: mean and sigma are part of every posterior."""

LOG_DOF_CEILING = 6.0
"""405 degrees of freedom, Gaussian to 1e-5 nat; beyond, differences of lgamma are noise."""

NODES = 64


class StudentTHead(nn.Module):
    """Location, scale and degrees of freedom.

    A Student-t is a scale mixture of Gaussians, ``y | w ~ N(loc, scale^2 / w)`` with w from a
    Gamma distribution of shape and rate dof / 2 (Lange, Little & Taylor 1989, J. Am. Stat. Assoc.
    84, 881). The label's own error adds to the variance of each of them: exact, but for the
    integral over ln w, which is a sum over 64 nodes (to 1e-3 nat). Without an error the density
    is the closed form.
    """

    form = "student-t"

    def __init__(self, config: ModelConfig, kinds: int) -> None:
        super().__init__()
        self.linear = KindLinear(kinds, config.head_width, 3)
        with torch.no_grad():
            self.linear.bias[:, 2] = 2.0  # 9 degrees of freedom

    def forward(self, x: Tensor, kind: Tensor) -> Tensor:
        """(B, R, D), (R,) -> (B, R, 3): location, log scale, log(dof - 2)."""
        return self.linear(x, kind)

    @staticmethod
    def split(parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Location, log scale and degrees of freedom, each (...)."""
        # At least float32: half precision is too coarse, double is kept.
        precise = parameters.to(torch.promote_types(parameters.dtype, torch.float32))
        loc, log_scale, log_dof = precise.unbind(-1)
        dof = LEAST_DOF + log_dof.clamp(max=LOG_DOF_CEILING).exp()
        return loc, log_scale.clamp(min=LOG_SIGMA_FLOOR), dof

    @classmethod
    def loss(cls, parameters: Tensor, target: Tensor, error: Tensor) -> Tensor:
        """Negative log density less its constant 1/2 log(2 pi), as the published loss. (B, R)."""
        loc, log_scale, dof = cls.split(parameters)
        t2 = ((target - loc) / log_scale.exp()).square()
        norm = torch.lgamma(0.5 * (dof + 1)) - torch.lgamma(0.5 * dof) - 0.5 * (0.5 * dof).log()
        exact = log_scale - norm + 0.5 * (dof + 1) * torch.log1p(t2 / dof)
        if not bool((error > 0).any()):
            return exact
        log_weight, ratio = scale_mixture(dof)
        variance = (2 * log_scale).exp().unsqueeze(-1) * ratio + error.square().unsqueeze(-1)
        chi2 = (target - loc).square().unsqueeze(-1) / variance
        noisy = -torch.logsumexp(log_weight - 0.5 * chi2 - 0.5 * variance.log(), -1)
        return torch.where(error > 0, noisy, exact)


def scale_mixture(dof: Tensor, nodes: int = NODES) -> tuple[Tensor, Tensor]:
    """A Student-t as Gaussians: log weights and variances over scale^2, each (..., nodes).

    The trapezoidal rule in s = ln w, whose density is proportional to exp(dof / 2 (s - e^s)),
    between the points where it has fallen by e^-14.
    """
    low = -(28.0 / dof + 6.0 * (2.0 / dof).sqrt())
    high = torch.log1p((56.0 / dof).sqrt() + 28.0 / dof)
    step = torch.linspace(0.0, 1.0, nodes, dtype=dof.dtype, device=dof.device)
    s = low.unsqueeze(-1) + (high - low).unsqueeze(-1) * step
    log_density = 0.5 * dof.unsqueeze(-1) * (s - s.exp() + 1.0)
    return log_density.log_softmax(-1), (-s).exp()
