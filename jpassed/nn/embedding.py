"""From scaled values to vectors of the trunk's width.

First layers run in float32: bfloat16 keeps three digits, and a bandflux has more to say.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jpassed.nn.blocks import ResidualBlock, matched
from jpassed.nn.config import ModelConfig
from jpassed.nn.encodings import FourierEncoding, WavelengthEncoding
from jpassed.tokens.batch import Context, TokenBatch

__all__ = ["BandEmbedding", "LabelEmbedding", "ObjectEmbedding", "PatchEmbedding"]

CONTRAST_REACH = (1, 4)
"""Neighbours, in bands to either side, against which a band's contrast is measured."""


def _channels(value: Tensor, error: Tensor, observed: Tensor) -> Tensor:
    """Value, log error, value / error and presence of each band: (..., P) -> (..., 4 P).

    The ratio tells the network at once what is significant; measured to matter (see docs).
    """
    seen = observed.to(value.dtype)
    safe = torch.where(observed, error, 1.0).clamp(min=1e-8)
    squeezed = torch.asinh(value)
    log_error = (safe.log() + 3.0) / 2.0
    ratio = torch.asinh(value / safe) / 4.0
    return torch.cat((squeezed * seen, log_error * seen, ratio * seen, seen), -1)


def _lowered(h: Tensor, layer: nn.Linear) -> Tensor:
    """The vectors behind a first layer in autocast's precision if it is on, or in the next's."""
    if torch.is_autocast_enabled(h.device.type):
        return h.to(torch.get_autocast_dtype(h.device.type))
    return h.to(layer.weight.dtype)


def _contrast(value: Tensor, error: Tensor, observed: Tensor, reach: int) -> Tensor:
    """Significance of each band against the weighted mean of its observed neighbours.

    (B, P) values of bands in the order of wavelength -> (B, P), 0 where a band or all of its
    neighbours up to `reach` bands away are missing. Lines and breaks stand out in it at once.
    """
    seen = observed.to(value.dtype)
    weight = seen / torch.where(observed, error, 1.0).clamp(min=1e-8).square().add(1e-4)
    count = value.shape[-1]
    stack = nn.functional.pad(torch.stack((weight * value, weight), 1), (reach, reach))
    # Neighbours alone are added: a sum less the band itself leaves rounding where there are none.
    shifts = [k for k in range(2 * reach + 1) if k != reach]
    around = torch.stack([stack[..., k : k + count] for k in shifts]).sum(0)
    total = around[:, 1]
    known = observed & (total > 0)
    mean = around[:, 0] / torch.where(known, total, 1.0)
    variance = torch.where(known, error.square() + 1e-4 + 1.0 / total.clamp(min=1e-8), 1.0)
    return torch.where(known, torch.asinh((value - mean) * variance.rsqrt()), 0.0) / 2.0


def _filled(channels: Tensor, observed: Tensor, kernel: Tensor) -> Tensor:
    """Put means of the observed bands nearby in the place of missing ones.

    (B, C, P) channels, zero where not observed, presence (B, P), kernel (P, P) -> (B, C, P). A
    network that reads zeros there must learn every pattern of missing bands; one that reads an
    interpolated spectrum, with presence told apart, hardly notices.
    """
    seen = observed.to(channels.dtype)
    around = (channels @ kernel) / (seen @ kernel).clamp(min=1e-12).unsqueeze(1)
    return torch.where(observed.unsqueeze(1), channels, around)


def _neighbourhood(pivot: Tensor) -> Tensor:
    """(P, P) weights of observed bands in the place of missing ones, by distance in ln(lambda).

    Near bands rule wherever there is one: each scale counts where the shorter ones find nothing.
    """
    apart = (pivot.log()[:, None] - pivot.log()[None, :]).square()
    weight = torch.zeros_like(apart)
    for scale, share in ((0.02, 1.0), (0.08, 1e-3), (0.4, 1e-6), (3.0, 1e-9)):
        weight += share * torch.exp(-0.5 * apart / scale**2)
    return weight


class PatchEmbedding(nn.Module):
    """A whole survey's bands to one vector, through residual blocks, and that to a few tokens."""

    neighbourhood: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        bands = len(config.patch_bands)
        self.narrow, self.fill = config.contrast_bands, config.fill_missing
        if self.fill:
            pivot = torch.tensor(config.patch_pivots, dtype=torch.float64)
            self.register_buffer("neighbourhood", _neighbourhood(pivot).float(), persistent=False)
        extra = 2 + len(CONTRAST_REACH) * self.narrow
        self.first = nn.Linear(4 * bands + extra, config.patch_width)
        self.blocks = nn.ModuleList(
            ResidualBlock(config.patch_width) for _ in range(config.patch_blocks)
        )
        self.norm = nn.LayerNorm(config.patch_width)
        self.last = nn.Linear(config.patch_width, config.patch_tokens * config.width)
        self.shape = (config.patch_tokens, config.width)

    def tokens(self, vector: Tensor) -> Tensor:
        """What `vector` gave, (B, patch_width), as (B, patch_tokens, width)."""
        return self.last(matched(vector, self.last)).unflatten(-1, self.shape)

    def vector(self, tokens: TokenBatch, log_scale: Tensor) -> Tensor:
        """(B, 1, P) values and (B,) scales -> (B, patch_width), zero where no band is observed."""
        x = _channels(tokens.value[:, 0], tokens.error[:, 0], tokens.observed[:, 0])
        if self.fill:
            x = self._interpolated(x, tokens.observed[:, 0])
        count = tokens.observed[:, 0].float().mean(-1)
        parts = [x, 0.2 * log_scale.unsqueeze(-1), count.unsqueeze(-1)]
        if self.narrow:
            value, error, observed = (
                t[:, 0, : self.narrow] for t in (tokens.value, tokens.error, tokens.observed)
            )
            parts += [_contrast(value, error, observed, reach) for reach in CONTRAST_REACH]
        x = torch.cat(parts, -1)
        with torch.autocast(x.device.type, enabled=False):
            h = self.first(x.float())
        for block in self.blocks:
            h = block(h)
        return self.norm(h) * tokens.present.to(h.dtype)

    def _interpolated(self, x: Tensor, observed: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            parts = x.unflatten(-1, (4, -1))
            filled = _filled(parts[:, :3], observed, self.neighbourhood)
        return torch.cat((filled, parts[:, 3:]), 1).flatten(1)


class BandEmbedding(nn.Module):
    """Single-band tokens, known by their pivot wavelength and width: (B, T, 1) -> (B, T, width)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.where = WavelengthEncoding(config.frequencies)
        self.first = nn.Linear(4 + self.where.size, 2 * config.width)
        self.last = nn.Linear(2 * config.width, config.width)

    def forward(self, tokens: TokenBatch) -> Tensor:
        """Embed (B, T, 1) tokens."""
        x = _channels(tokens.value, tokens.error, tokens.observed)
        code = self.where(tokens.wavelength[..., 0], tokens.width[..., 0])
        with torch.autocast(x.device.type, enabled=False):
            h = self.first(torch.cat((x, code), -1).float())
        return self.last(nn.functional.gelu(_lowered(h, self.last)))


class LabelEmbedding(nn.Module):
    """Scalar kinds with their errors: (B, L, 1) -> (B, L, width)."""

    def __init__(self, config: ModelConfig, kinds: int) -> None:
        super().__init__()
        # Scaled labels run over about -4 to 4; the highest frequency resolves 0.001 in ln(1+z).
        self.value = FourierEncoding(config.frequencies, 0.05, 40.0)
        self.kind = nn.Embedding(kinds, 2 * config.width)
        self.first = nn.Linear(self.value.size + 3, 2 * config.width)
        self.last = nn.Linear(2 * config.width, config.width)

    def forward(self, tokens: TokenBatch) -> Tensor:
        """Embed (B, L, 1) tokens."""
        value, error = tokens.value[..., 0], tokens.error[..., 0]
        known = (error > 0).to(value.dtype)
        log_error = torch.where(error > 0, error.clamp(min=1e-6).log() + 3.0, 0.0) / 3.0
        extra = torch.stack((value, log_error, known), -1)
        with torch.autocast(value.device.type, enabled=False):
            h = self.first(torch.cat((self.value(value), extra), -1)) + self.kind(tokens.kind)
        return self.last(nn.functional.gelu(_lowered(h, self.last)))


class ObjectEmbedding(nn.Module):
    """One token that every object has: its flux scale, and a place to gather. (B, 1, width)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.first = nn.Linear(3, config.width)
        self.last = nn.Linear(config.width, config.width)

    def forward(self, context: Context) -> Tensor:
        """Embed the (B,) scales."""
        seen = context.has_scale.float()
        x = torch.stack((0.2 * context.log_scale * seen, seen, torch.ones_like(seen)), -1)
        with torch.autocast(x.device.type, enabled=False):
            h = self.first(x.float())
        return self.last(nn.functional.gelu(matched(h, self.last))).unsqueeze(1)
