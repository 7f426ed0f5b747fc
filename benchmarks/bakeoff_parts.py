"""Parts of the bake-off that no configuration has: other tokens, other inputs, other hiding."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

import jpassed.nn.embedding
import jpassed.training.steps
from jpassed.nn import ModelConfig, SEDModel
from jpassed.nn.blocks import CrossBlock, ResidualBlock
from jpassed.nn.embedding import BandEmbedding
from jpassed.tokens import TokenBatch
from jpassed.tokens.masking import hide_bands


class OtherTokens(nn.Module):
    """Tokens that bands become in another way, in the place of `PatchEmbedding`.

    Without a dense readout the tokens go to the trunk as they are. With one they are laid side by
    side, and residual blocks make the heads' vector (and from it the trunk's tokens) of them.
    """

    def __init__(self, config: ModelConfig, count: int) -> None:
        super().__init__()
        self.shape = (count, config.width)
        self.to_heads = config.dense_readout
        if self.to_heads:
            self.blocks = nn.Sequential(
                nn.Linear(count * config.width, config.patch_width),
                *(ResidualBlock(config.patch_width) for _ in range(config.patch_blocks)),
                nn.LayerNorm(config.patch_width),
            )
            self.last = nn.Linear(config.patch_width, config.patch_tokens * config.width)

    def embed(self, tokens: TokenBatch, log_scale: Tensor) -> Tensor:
        """(B, 1, P) values -> (B, count, width)."""
        raise NotImplementedError

    def vector(self, tokens: TokenBatch, log_scale: Tensor) -> Tensor:
        """What the heads read of (B, 1, P) values, or the tokens themselves, side by side."""
        flat = self.embed(tokens, log_scale).flatten(1)
        return self.blocks(flat) if self.to_heads else flat

    def tokens(self, vector: Tensor) -> Tensor:
        """What `vector` gave, as tokens of the trunk."""
        if self.to_heads:
            return self.last(vector).unflatten(-1, (-1, self.shape[1]))
        return vector.unflatten(-1, self.shape)


class NeighbourPatches(OtherTokens):
    """Patches of `size` neighbouring bands, a token each; the broad bands share the last one."""

    def __init__(self, config: ModelConfig, size: int = 7) -> None:
        super().__init__(config, math.ceil(config.contrast_bands / size) + 1)
        self.narrow, self.size = config.contrast_bands, size
        bands = len(config.patch_bands)
        self.patches = math.ceil(self.narrow / size)
        self.first = nn.Parameter(torch.randn(self.patches, 6 * size + 2, 2 * config.width))
        with torch.no_grad():
            self.first /= math.sqrt(6 * size + 2)
        self.bias = nn.Parameter(torch.zeros(self.patches, 1, 2 * config.width))
        self.broad = nn.Linear(4 * (bands - self.narrow) + 2, 2 * config.width)
        self.place = nn.Parameter(torch.zeros(self.patches + 1, config.width))
        self.down = nn.Linear(2 * config.width, config.width)

    def embed(self, tokens: TokenBatch, log_scale: Tensor) -> Tensor:
        """(B, 1, P) values, (B,) scales -> (B, patches, width)."""
        embedding = jpassed.nn.embedding
        parts = (tokens.value[:, 0], tokens.error[:, 0], tokens.observed[:, 0])
        inner = tuple(t[:, : self.narrow] for t in parts)
        channels = embedding._channels(*(t.unsqueeze(-1) for t in inner))
        contrast = [embedding._contrast(*inner, reach) for reach in embedding.CONTRAST_REACH]
        x = torch.cat((channels, torch.stack(contrast, -1)), -1)
        x = nn.functional.pad(x, (0, 0, 0, self.patches * self.size - self.narrow))
        x = x.unflatten(1, (self.patches, self.size)).flatten(2)
        whole = torch.stack((0.2 * log_scale, parts[2].float().mean(-1)), -1)
        x = torch.cat((x, whole.unsqueeze(1).expand(-1, self.patches, -1)), -1)
        outer = embedding._channels(*(t[:, self.narrow :] for t in parts))
        with torch.autocast(x.device.type, enabled=False):
            h = torch.bmm(x.float().transpose(0, 1), self.first) + self.bias
            rest = self.broad(torch.cat((outer, whole), -1).float())
        h = torch.cat((h.transpose(0, 1), rest.unsqueeze(1)), 1)
        return self.down(nn.functional.gelu(h)) + self.place


class LatentBands(OtherTokens):
    """One token a band, read by a few latents in one cross-attention (Jaegle+2021, Perceiver)."""

    def __init__(self, config: ModelConfig, latents: int = 8) -> None:
        super().__init__(config, latents)
        self.band = BandEmbedding(config)
        self.latents = nn.Parameter(0.5 * torch.randn(1, latents, config.width))
        self.read = CrossBlock(config.width, config.heads, config.expansion)

    def embed(self, tokens: TokenBatch, log_scale: Tensor) -> Tensor:
        """(B, 1, P) values, (B,) scales -> (B, latents, width)."""
        fields = ("wavelength", "width", "value", "error", "observed")
        columns = {name: getattr(tokens, name)[:, 0].unsqueeze(-1) for name in fields}
        single = TokenBatch(kind=tokens.kind, survey=tokens.survey, **columns)
        bias = torch.zeros(single.observed.shape[:2]).masked_fill(~single.present, -1e9)
        return self.read(self.latents, self.band(single), bias[:, None, None, :])


def build_model(config: ModelConfig, vocabulary: Any, tokens: str) -> SEDModel:
    """The package's model, or the same with another module that makes tokens of the bands."""
    model = SEDModel(config, vocabulary)
    if tokens == "neighbours":
        model.patch = NeighbourPatches(config)  # type: ignore[assignment]
    elif tokens == "latents":
        model.patch = LatentBands(config)  # type: ignore[assignment]
    return model


@contextlib.contextmanager
def changed_inputs(inputs: str, hide: str) -> Iterator[None]:
    """Leave channels of the bands out (set to zero), or hide bands in another way."""
    embedding, steps = jpassed.nn.embedding, jpassed.training.steps
    channels, hiding = embedding._channels, steps.hide_bands

    def fewer(value: Tensor, error: Tensor, observed: Tensor) -> Tensor:
        x = channels(value, error, observed).unflatten(-1, (4, -1)).clone()
        x[..., 2, :] = 0
        if inputs == "value":
            x[..., 1, :] = 0
        return x.flatten(-2)

    def other(observed: Tensor, pivot: Tensor, generator: Any, *, keep_all: float) -> Tensor:
        if hide == "none":
            return observed
        if hide == "default":
            return hiding(observed, pivot, generator, keep_all=keep_all)
        return hide_one_way(observed, pivot, generator, keep_all, windows=hide == "windows")

    if inputs != "all":
        embedding._channels = fewer
    steps.hide_bands = other
    try:
        yield
    finally:
        embedding._channels, steps.hide_bands = channels, hiding


def hide_one_way(
    observed: Tensor, pivot: Tensor, generator: torch.Generator, keep_all: float, *, windows: bool
) -> Tensor:
    """Either a random fraction of the bands is hidden, or all outside a wavelength window."""
    n, b = observed.shape
    kept = torch.rand((n, 1), generator=generator) < keep_all
    if windows:
        log_pivot = pivot.log()
        low, high = log_pivot.min(), log_pivot.max()
        edges = (low + (high - low) * torch.rand((n, 2), generator=generator)).sort(-1).values
        shown = (log_pivot >= edges[:, :1]) & (log_pivot <= edges[:, 1:])
    else:
        shown = torch.rand((n, b), generator=generator) >= torch.rand((n, 1), generator=generator)
    shown = observed & (shown | kept)
    # The package's own function rescues a band of those that lost all.
    empty = ~shown.any(-1, keepdim=True)
    return shown | (hide_bands(observed, pivot, generator, keep_all=0.0) & empty)
