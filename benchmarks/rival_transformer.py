"""A transformer of the shape that Leung & Bovy published, with random weights, for its speed.

Leung & Bovy (2024, MNRAS 527, 1494) give every observation a token of its own, width 128, and read
up to 64 of them with two encoder blocks; three decoder blocks and five dense layers answer one
requested quantity with a mean and a variance. Widths and heads are those of their training script;
this is written anew from the paper. They decode one request after the other, each time through the
keys and values of all tokens (``together=False``); as a transformer that asks all requests in one
call (``together=True``) it is faster than they publish it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["CONTEXT", "PublishedTransformer"]

WIDTH = 128
CONTEXT = 64
"""Tokens of the context; what is missing is padded, and masked."""

ENCODER = ((16, 1024), (8, 512))
DECODER = ((16, 3096), (8, 1548), (4, 774))
"""Heads and hidden width of the blocks."""

DENSE = (3096, 1548, 774, 387)


class Block(nn.Module):
    """Attention and two dense layers, each with its sum normalised after it."""

    def __init__(self, heads: int, hidden: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, heads, add_bias_kv=True, batch_first=True)
        self.rise, self.fall = nn.Linear(WIDTH, hidden), nn.Linear(hidden, WIDTH)
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)

    def forward(self, query: Tensor, keys: Tensor, hidden: Tensor) -> Tensor:
        """(B, R, D) queries over (B, T, D) keys, of which some are `hidden` (B, T)."""
        seen = self.attention(query, keys, keys, key_padding_mask=hidden, need_weights=False)[0]
        x = self.first(query + seen)
        return self.second(x + self.fall(functional.gelu(self.rise(x))))


class PublishedTransformer(nn.Module):
    """Values with a name each in, means and standard deviations of named quantities out.

    Parameters
    ----------
    kinds : int
        Number of names; 0 is the padding.
    """

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(kinds + 1, WIDTH) / WIDTH**0.5)
        self.offsets = nn.Parameter(torch.randn(kinds + 1, WIDTH) / WIDTH**0.5)
        self.encoder = nn.ModuleList(Block(*sizes) for sizes in ENCODER)
        self.decoder = nn.ModuleList(Block(*sizes) for sizes in DECODER)
        widths = (WIDTH, *DENSE)
        self.dense = nn.ModuleList(
            nn.Linear(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True)
        )
        self.mean, self.log_variance = nn.Linear(DENSE[-1], 1), nn.Linear(DENSE[-1], 1)

    def forward(
        self, value: Tensor, kind: Tensor, asked: Tensor, *, together: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of R quantities of B objects.

        Parameters
        ----------
        value : Tensor (B, T)
        kind : Tensor (T,)
            Names of the values, of 1 to `kinds`.
        asked : Tensor (R,)
            Names of the quantities.
        together : bool
            Decode all requests in one call, not one after the other.

        Returns
        -------
        mean, sigma : Tensor (B, R)
        """
        missing = CONTEXT - len(kind)
        kind = functional.pad(kind, (0, missing))
        value = functional.pad(value, (0, missing)).unsqueeze(-1)
        hidden = (kind == 0).expand(len(value), -1)
        x = functional.gelu(self.vectors[kind] * value + self.offsets[kind])
        for block in self.encoder:
            x = block(x, x, hidden)
        groups = [asked] if together else asked.split(1)
        answers = [self.decode(x, hidden, group) for group in groups]
        mean, log_variance = (torch.cat(parts, 1) for parts in zip(*answers, strict=True))
        return mean, torch.exp(0.5 * log_variance)

    def decode(self, x: Tensor, hidden: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of some requests, from the encoded context (B, T, D)."""
        h = self.vectors[asked].unsqueeze(0).expand(len(x), -1, -1)
        for block in self.decoder:
            h = block(h, x, hidden)
        for layer in self.dense:
            h = functional.gelu(layer(h))
        return self.mean(h)[..., 0], self.log_variance(h)[..., 0]
