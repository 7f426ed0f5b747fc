"""The last layer of the heads: every kind has its own."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from jpassed.nn.blocks import products

__all__ = ["LOG_SIGMA_FLOOR", "Folded", "KindLinear"]

LOG_SIGMA_FLOOR = -10.0
"""Guards exp() against underflow only: 4.5e-5 in scaled units, far below any precision reached."""


class Folded(NamedTuple):
    """Layers of R kinds together with the linear layer before them, multiplied out.

    Attributes
    ----------
    inner : Tensor
        (R, D, P): each kind's layer times the layer before it.
    outer : Tensor
        (W, R P): the kinds' layers alone, for what is added between the two.
    bias : Tensor
        (R, P).
    """

    inner: Tensor
    outer: Tensor
    bias: Tensor

    def __call__(self, x: Tensor, added: Tensor) -> Tensor:
        """(B, R, D) and (B, W) -> (B, R, P)."""
        y = products(x.float().transpose(0, 1), self.inner).transpose(0, 1)
        return y + (added.float() @ self.outer).unflatten(1, self.bias.shape) + self.bias


class KindLinear(nn.Module):
    """One linear layer per kind: (B, R or 1, W) with kinds (R,) -> (B, R, out)."""

    def __init__(self, kinds: int, width: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(kinds, width, out) * (0.5 / math.sqrt(width)))
        self.bias = nn.Parameter(torch.zeros(kinds, out))

    def forward(self, x: Tensor, kind: Tensor) -> Tensor:
        """Apply each request's own layer; a single vector serves all requests."""
        if x.shape[1] == 1 and len(kind) > 1:
            y = x[:, 0].float() @ self.weight[kind].permute(1, 0, 2).flatten(1)
            return y.unflatten(1, (len(kind), -1)) + self.bias[kind]
        y = products(x.float().transpose(0, 1), self.weight[kind])
        return y.transpose(0, 1) + self.bias[kind]

    def folded(self, before: nn.Linear, kind: Tensor) -> Folded:
        """The layers of some kinds behind another: ``K (L x + l + added) + k`` for each request.

        Exact algebra, ``(K L) x + K added + (K l + k)``: the wide vector between the two layers is
        never made for each request.
        """
        outer = self.weight[kind].permute(1, 0, 2).flatten(1)
        lift, shift = before.weight.float(), before.bias.float()
        inner = (lift.t() @ outer).unflatten(1, self.bias[kind].shape).transpose(0, 1).contiguous()
        bias = (shift @ outer).view(self.bias[kind].shape) + self.bias[kind]
        return Folded(inner, outer, bias)
