"""The last layer of the heads: every kind has its own."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["LOG_SIGMA_FLOOR", "KindLinear"]

LOG_SIGMA_FLOOR = -10.0
"""Guards exp() against underflow only: 4.5e-5 in scaled units, far below any precision reached."""


class KindLinear(nn.Module):
    """One linear layer per kind: (B, R or 1, D) with kinds (R,) -> (B, R, out)."""

    def __init__(self, kinds: int, width: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(kinds, width, out) * (0.5 / math.sqrt(width)))
        self.bias = nn.Parameter(torch.zeros(kinds, out))

    def forward(self, x: Tensor, kind: Tensor) -> Tensor:
        """Apply each request's own layer; a single vector serves all requests."""
        if x.shape[1] == 1 and len(kind) > 1:
            y = x[:, 0].float() @ self.weight[kind].permute(1, 0, 2).flatten(1)
            return y.unflatten(1, (len(kind), -1)) + self.bias[kind]
        y = torch.bmm(x.float().transpose(0, 1), self.weight[kind])
        return y.transpose(0, 1) + self.bias[kind]
