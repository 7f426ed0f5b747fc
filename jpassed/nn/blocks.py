"""Building blocks, all pre-norm and residual."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = [
    "CrossBlock",
    "ResidualBlock",
    "SelfBlock",
    "added",
    "attention",
    "cheaper_merged",
    "key_bias",
    "matched",
    "products",
]


def matched(x: Tensor, layer: nn.Linear) -> Tensor:
    """`x` in the precision of a layer that it goes into; autocast sees to that itself."""
    return x if torch.is_autocast_enabled(x.device.type) else x.to(layer.weight.dtype)


def attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """Scaled dot-product attention over few tokens.

    (B, H, R, d), (B, H, T, d), (B, H, T, d), additive bias (B, 1, 1, T) -> (B, H, R, d).
    On a CPU plain matrix products beat the fused kernel, which is made for long sequences
    (forward and backward, 11 tokens, bfloat16: 16 against 43 ms for 1024 objects).
    """
    if query.device.type != "cpu":
        mask = None if bias is None else bias.to(query.dtype)
        return nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    score = products(query, key.transpose(-1, -2)) * query.shape[-1] ** -0.5
    if bias is not None:
        score = score + bias.to(score.dtype)
    return score.softmax(-1).to(value.dtype) @ value


def added(x: Tensor, parts: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """(B, R, D) with vectors (B, R', D) added to some of its requests (R',), each named once."""
    for rows, values in parts:
        x = x.index_add(1, rows, values.to(x.dtype))
    return x


def products(rows: Tensor, columns: Tensor) -> Tensor:
    """Small matrix products (..., M, K) @ (..., K, N), alike wherever in a batch they stand.

    Single-precision libraries round products with few columns differently at different places of
    a batch, unless these are a multiple of four (measured: MKL, M to 75, N below 12): columns of
    zeros are added and left out again.
    """
    count = columns.shape[-1]
    if count % 4 == 0:
        return rows @ columns
    return (rows @ nn.functional.pad(columns, (0, -count % 4)))[..., :count]


class ResidualBlock(nn.Module):
    """x + W2 gelu(W1 norm(x)), last axis of `width`."""

    def __init__(self, width: int, expansion: float = 1.0) -> None:
        super().__init__()
        hidden = int(width * expansion)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> (..., width)."""
        h = self.up(matched(self.norm(x), self.up))
        return x + self.down(nn.functional.gelu(h))


class SelfBlock(nn.Module):
    """Self-attention over context tokens, then a feed-forward layer."""

    def __init__(self, width: int, heads: int, expansion: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed = ResidualBlock(width, expansion)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """(B, T, D), additive key bias (B, 1, 1, T) or None -> (B, T, D)."""
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = attention(q, k, v, bias)
        return self.feed(x + self.out(y.transpose(1, 2).flatten(2)))


class CrossBlock(nn.Module):
    """Requests look at the context once, then a feed-forward layer.

    Keys and values are computed once per object, however many requests there are. Where these are
    more than the tokens, so are the products with the layers of the query and of the result: exact
    algebra, see `_merged`.
    """

    def __init__(self, width: int, heads: int, expansion: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_q = nn.LayerNorm(width)
        self.norm_kv = nn.LayerNorm(width)
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.feed = ResidualBlock(width, expansion)

    def forward(self, query: Tensor, context: Tensor, bias: Tensor | None) -> Tensor:
        """(B or 1, R, D), (B, T, D), additive key bias (B, 1, 1, T) -> (B, R, D)."""
        asked, tokens, width = query.shape[1], context.shape[1], context.shape[2]
        x, given = matched(self.norm_q(query), self.q), matched(self.norm_kv(context), self.kv)
        if cheaper_merged(asked, tokens, width, self.heads):
            return self.feed(query + self._merged(x, given, bias))
        n = context.shape[0]
        q = self.q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.kv(given).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = attention(q.to(k.dtype).expand(n, -1, -1, -1), k, v, bias)
        return self.feed(query + self.out(y.transpose(1, 2).flatten(2)))

    def _merged(self, x: Tensor, given: Tensor, bias: Tensor | None) -> Tensor:
        """The same attention without a matrix product of the layers' size for each request.

        A score is ``k . (Q x + q) = (Q' k) . x + k . q``, and the result ``O (sum of p v) + o`` is
        the sum of ``p (O v)``: the tokens' keys and values go through the layers instead, head by
        head. The shares p of a head are one together and do not change if all of its scores
        change alike: the first token's score is set to 0, and the others are represented by what
        they differ from it, in keys and in values. Tokens stand before heads, so that the softmax
        runs over the slow axis.
        """
        n, others, width = given.shape[0], given.shape[1] - 1, given.shape[2]
        heads, size, asked = self.heads, width // self.heads, x.shape[1]
        first = given[:, 0]
        apart = nn.functional.linear(given[:, 1:] - first.unsqueeze(1), self.kv.weight)
        k, v = apart.view(n * others, 2, heads, size).permute(1, 2, 0, 3)
        ahead = self.q.weight.unflatten(0, (heads, size))
        behind = self.out.weight.t().unflatten(0, (heads, size))
        keys, values = (
            torch.bmm(t, w).transpose(0, 1).reshape(n, others * heads, width)
            for t, w in ((k, ahead), (v, behind))
        )
        alone = torch.bmm(k, self.q.bias.view(heads, size, 1)).transpose(0, 1)
        score = (keys @ x.transpose(1, 2) + alone.reshape(n, others * heads, 1)) * size**-0.5
        score = nn.functional.pad(score.unflatten(1, (others, heads)).flatten(2), (0, 0, 1, 0))
        if bias is not None:
            score = score + bias.view(n, others + 1, 1).to(score.dtype)
        share = score.softmax(1)[:, 1:].to(values.dtype).reshape(n, others * heads, asked)
        value, shift = self.kv.weight[width:], self.kv.bias[width:]
        start = self.out(nn.functional.linear(first, value, shift)).unsqueeze(1)
        return start + share.transpose(1, 2) @ values


def cheaper_merged(asked: int, tokens: int, width: int, heads: int) -> bool:
    """Whether a cross-attention costs fewer multiplications with the heads merged into the tokens.

    Parameters
    ----------
    asked, tokens : int
        Requests and tokens of an object.
    width, heads : int
        Of the block.
    """
    plain = (tokens + asked) * width + asked * tokens
    return (2 * tokens - 1) * width + (tokens - 1) * asked * heads < plain


def key_bias(present: Tensor) -> Tensor | None:
    """Additive attention bias (B, 1, 1, T) that hides absent tokens; None if none is absent."""
    if bool(present.all()):
        return None
    bias = torch.zeros(present.shape, dtype=torch.float32, device=present.device)
    return bias.masked_fill(~present, -1e9)[:, None, None, :]
