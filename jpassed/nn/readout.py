"""What the context's bands say right where a requested band lies, past the trunk's few tokens."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from jpassed.nn.config import ModelConfig
from jpassed.tokens.batch import Context, Requests, TokenBatch
from jpassed.tokens.scaling import FLUX_SOFTENING

__all__ = ["LocalReadout"]

NARROWEST, WIDEST = 0.004, 0.2
"""First kernel widths in ln(wavelength): from one narrow band to a good part of the optical."""

CHANNELS = 5
"""Presence, value, log error, value / error and logarithmic value."""


class LocalReadout(nn.Module):
    """Weighted means of the observed bands around each requested passband.

    The trunk hands a whole survey's bands on in a few tokens, in which a strong line in one band is
    smoothed. Here every request of a bandflux sees the values themselves: means under Gaussian
    kernels in ln(wavelength), of learned widths, weighted by presence. A request without a
    wavelength gets zeros.

    Parameters
    ----------
    config : ModelConfig
        `readout_kernels` kernels, vectors of `width`.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        kernels = config.readout_kernels
        steps = torch.linspace(math.log(NARROWEST), math.log(WIDEST), kernels)
        self.log_width = nn.Parameter(steps)
        self.first = nn.Linear(kernels * (CHANNELS + 1), config.width)
        self.last = nn.Linear(config.width, config.width)
        # Nothing at first: a trained model may be given a readout and goes on from where it was.
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, context: Context, requests: Requests) -> Tensor:
        """(B, R, width)."""
        batch, size = len(context), self.last.out_features
        rows = (requests.wavelength > 0).nonzero().squeeze(1)
        out = context.log_scale.new_zeros(batch, len(requests), size)
        groups = [t for t in (context.patch, context.bands) if t is not None and t.value.shape[1]]
        if not len(rows) or not groups:
            return out
        with torch.autocast(out.device.type, enabled=False):
            means = self._means(groups, requests.wavelength[rows])
            h = self.last(nn.functional.gelu(self.first(means)))
        return out.index_copy(1, rows, h)

    def _means(self, groups: list[TokenBatch], wavelength: Tensor) -> Tensor:
        """(B, R', kernels (CHANNELS + 1)): means of the channels, and how much there was."""
        width = self.log_width.exp()
        at = wavelength.log()
        total: Tensor | None = None
        for tokens in groups:
            seen = tokens.observed.flatten(1)
            # Columns are the same passbands for every object: one kernel matrix serves all.
            where = tokens.wavelength.flatten(1)[0].clamp(min=1.0).log()
            offset = (where[None, :] - at[:, None]) / width[:, None, None]
            kernel = torch.exp(-0.5 * offset.square())
            value, error = tokens.value.flatten(1), tokens.error.flatten(1)
            safe = torch.where(seen, error, 1.0).clamp(min=1e-8)
            one = seen.to(value.dtype)
            log_value = torch.asinh(value / FLUX_SOFTENING) / 4.0 * one
            channels = torch.stack(
                (
                    one,
                    torch.asinh(value) * one,
                    (safe.log() + 3.0) / 2.0 * one,
                    torch.asinh(value / safe) / 4.0 * one,
                    log_value,
                ),
                -1,
            )
            part = torch.einsum("krp,bpc->brkc", kernel, channels)
            slope = torch.einsum("krp,bp->brk", kernel * offset, log_value)
            part = torch.cat((part, slope.unsqueeze(-1)), -1)
            total = part if total is None else total + part
        if total is None:
            raise RuntimeError("no bands")
        weight = total[..., :1]
        means = total[..., 1:] / (weight + 1e-3)
        return torch.cat((torch.log(weight + 1e-3) / 7.0, means), -1).flatten(2)
