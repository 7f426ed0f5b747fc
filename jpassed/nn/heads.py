"""Heads: from a request's vector to the parameters of its posterior, and its log score.

Every head works in scaled units (see `jpassed.tokens.scaling`), takes the label's own error into
account, and runs in float32. Student-t and flow are in files of their own.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from jpassed.extensions import load_extension
from jpassed.nn.blocks import matched
from jpassed.nn.config import ModelConfig
from jpassed.nn.flow_head import FlowHead
from jpassed.nn.kind_linear import LOG_SIGMA_FLOOR, KindLinear
from jpassed.nn.student_head import StudentTHead

__all__ = [
    "LOG_SIGMA_FLOOR",
    "BinnedHead",
    "FlowHead",
    "GaussianHead",
    "MixtureHead",
    "ScalarHead",
    "StudentTHead",
    "make_head",
]


WINDOW = 6.0
"""Standard deviations of a softened target beyond which bins have no share."""


class GaussianHead(nn.Module):
    """The published form: mean and log variance (Leung & Bovy 2024, MNRAS 527, 1494).

    L = (y - mu)^2 / (2 s^2) + 1/2 log s^2, s^2 = s_pred^2 + s_true^2.
    """

    form = "gaussian"

    def __init__(self, config: ModelConfig, kinds: int) -> None:
        super().__init__()
        self.linear = KindLinear(kinds, config.head_width, 2)

    def forward(self, x: Tensor, kind: Tensor) -> Tensor:
        """(B, R, D), (R,) -> (B, R, 2): mean and log variance."""
        return self.linear(x, kind)

    @staticmethod
    def loss(parameters: Tensor, target: Tensor, error: Tensor) -> Tensor:
        """The published loss, without its constant 1/2 log(2 pi). (B, R)."""
        mean, log_variance = parameters.unbind(-1)
        variance = log_variance.clamp(min=2 * LOG_SIGMA_FLOOR).exp() + error.square()
        return (target - mean).square() / (2 * variance) + 0.5 * variance.log()


class MixtureHead(nn.Module):
    """A mixture of K Gaussians; the label's error adds to every component's variance."""

    form = "mixture"

    def __init__(self, config: ModelConfig, kinds: int) -> None:
        super().__init__()
        self.components = config.components
        self.linear = KindLinear(kinds, config.head_width, 3 * config.components)
        with torch.no_grad():
            spread = torch.linspace(-1.5, 1.5, config.components)
            self.linear.bias[:, config.components : 2 * config.components] = spread

    def forward(self, x: Tensor, kind: Tensor) -> Tensor:
        """(B, R, D), (R,) -> (B, R, 3 K): logits, means, log sigmas."""
        return self.linear(x, kind)

    @staticmethod
    def split(parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log weights, means and log sigmas, each (..., K)."""
        # At least float32: half precision is too coarse, double is kept.
        precise = parameters.to(torch.promote_types(parameters.dtype, torch.float32))
        logit, mean, log_sigma = precise.chunk(3, -1)
        return logit.log_softmax(-1), mean, log_sigma.clamp(min=LOG_SIGMA_FLOOR)

    @classmethod
    def loss(cls, parameters: Tensor, target: Tensor, error: Tensor) -> Tensor:
        """Negative log density less its constant 1/2 log(2 pi), as the published loss. (B, R)."""
        log_weight, mean, log_sigma = cls.split(parameters)
        variance = (2 * log_sigma).exp() + error.square().unsqueeze(-1)
        chi2 = (target.unsqueeze(-1) - mean).square() / variance
        return -torch.logsumexp(log_weight - 0.5 * chi2 - 0.5 * variance.log(), -1)


class BinnedHead(nn.Module):
    """Probabilities of fine bins in ln(1+z), trained on a softened target.

    The target is a Gaussian of half a bin (and the label's own error) integrated over the bins:
    neighbouring bins learn from each other, and the mean is finer than a bin.
    """

    form = "binned"
    edges: Tensor

    def __init__(self, config: ModelConfig, loc: float, width: float) -> None:
        super().__init__()
        top = math.log1p(config.redshift_max)
        bins = math.ceil(top / config.redshift_bin)
        edges = torch.arange(bins + 1, dtype=torch.float64) * config.redshift_bin
        self.register_buffer("edges", edges.float(), persistent=False)
        self.loc, self.scale, self.step = loc, width, config.redshift_bin
        if config.dense_readout:
            self.up = None
            self.last = nn.Linear(config.head_width, bins)
        else:
            self.up = nn.Linear(config.width, 2 * config.width)
            self.last = nn.Linear(2 * config.width, bins)

    def forward(self, x: Tensor) -> Tensor:
        """(B, D) -> (B, bins) logits in float32."""
        # Behind a dense readout there are hidden layers enough.
        h = x if self.up is None else nn.functional.gelu(self.up(matched(x, self.up)))
        return self.last(matched(h, self.last)).float()

    def loss(self, logits: Tensor, target: Tensor, error: Tensor) -> Tensor:
        """Cross entropy with the softened target, in nats relative to a density in scaled units.

        (B, bins), (B,), (B,) -> (B,). Constant offsets make it comparable to the other heads:
        the log density of a bin is log(p / bin width).
        """
        x = (target * self.scale + self.loc).unsqueeze(-1)
        soft = torch.hypot(error * self.scale, torch.full_like(error, 0.5 * self.step))
        # Most targets are exact: no bin further off than six of the widest Gaussian has a share.
        bins = logits.shape[-1]
        reach = torch.nan_to_num(WINDOW * soft.max() / self.step, nan=bins, posinf=bins)
        wide = 2 * math.ceil(float(reach.clamp(max=bins))) + 1
        nearest = ((x - self.edges[0]) / self.step).long() - wide // 2
        first = nearest.clamp(min=0, max=max(0, bins - wide))
        near = first + torch.arange(min(wide, bins) + 1, device=x.device)
        z = (self.edges[near] - x) / soft.unsqueeze(-1)
        share = (0.5 * torch.erf(z / math.sqrt(2.0))).diff(dim=-1)
        share = share / share.sum(-1, keepdim=True).clamp(min=1e-12)
        here = logits.gather(-1, near[..., :-1])
        entropy = share.sum(-1) * logits.logsumexp(-1) - (share * here).sum(-1)
        return entropy + math.log(self.step / self.scale) - 0.5 * math.log(2 * math.pi)


ScalarHead = GaussianHead | StudentTHead | MixtureHead | FlowHead

SCALAR_HEADS: dict[str, type[GaussianHead | StudentTHead | MixtureHead | FlowHead]] = {
    head.form: head for head in (GaussianHead, StudentTHead, MixtureHead, FlowHead)
}


def make_head(form: str, config: ModelConfig, kinds: int) -> ScalarHead:
    """The head for scalar supports.

    Parameters
    ----------
    form : str
        One of `SCALAR_HEADS`, or of those that were added (`jpassed.extensions`).
    config : ModelConfig
    kinds : int
        Number of kinds, each with parameters of its own.

    Returns
    -------
    ScalarHead

    Raises
    ------
    UnknownNameError
        If no scalar head has this form.
    """
    if form not in SCALAR_HEADS:
        head: type[GaussianHead] = load_extension("head", form, tuple(SCALAR_HEADS))
        return head(config, kinds)
    return SCALAR_HEADS[form](config, kinds)
