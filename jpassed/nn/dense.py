"""The whole patch, past the trunk: what requests start from and what the heads read.

A trunk hands a survey's bands on in a few tokens, a bottleneck for redshift (see the bake-off in
the docs). Here every head reads the patch's own vector, of hundreds of numbers, and what the
decoder made of the request, from all of the context, is added to it. The vector costs nothing per
request, so that a training can ask it alone for every quantity at once (`SEDModel.from_patch`).
"""

from __future__ import annotations

from torch import Tensor, nn

from jpassed.nn.blocks import matched
from jpassed.nn.config import ModelConfig

__all__ = ["DenseReadout"]


class DenseReadout(nn.Module):
    """From the vector of the patch to requests, and from decoded requests to the heads.

    Parameters
    ----------
    config : ModelConfig
        `patch_width` numbers of the patch, requests of `width`.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.query = nn.Linear(config.patch_width, config.width)
        self.lift = nn.Linear(config.width, config.patch_width)
        # At first the heads see the patch alone: a vector that was trained so goes on as it was.
        nn.init.zeros_(self.lift.weight)
        nn.init.zeros_(self.lift.bias)

    def start(self, dense: Tensor) -> Tensor:
        """What a request starts from: (B, W) -> (B, 1, D)."""
        return self.query(matched(dense, self.query)).unsqueeze(1)

    def forward(self, decoded: Tensor, dense: Tensor) -> Tensor:
        """What the heads read of one request: (B, D) and (B, W) -> (B, W).

        Of many requests it is never made: see `jpassed.nn.kind_linear.KindLinear.folded`.
        """
        return self.lift(matched(decoded, self.lift)) + dense
