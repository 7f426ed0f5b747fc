"""What the context's bands say right where a requested band lies, past the trunk's few tokens."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from jpassed.nn.blocks import added, products
from jpassed.nn.config import ModelConfig
from jpassed.nn.rest_frame import given_redshift
from jpassed.tokens.batch import Context, Requests, TokenBatch
from jpassed.tokens.scaling import FLUX_SOFTENING
from jpassed.vocabulary import Vocabulary
from jpassed.vocabulary.lines import rest_wavelength

__all__ = ["LocalReadout"]

NARROWEST, WIDEST = 0.004, 0.2
"""First kernel widths in ln(wavelength): from one narrow band to a good part of the optical."""

CHANNELS = 5
"""Presence, value, log error, value / error and logarithmic value."""


class LocalReadout(nn.Module):
    """Weighted means of the observed bands around each requested passband.

    The trunk hands a whole survey's bands on in a few tokens, in which a strong line in one band is
    smoothed. Here every request of a bandflux sees the values themselves: means under Gaussian
    kernels in ln(wavelength), of learned widths, weighted by presence. With `rest_frame`, requests
    of lines see the values where the line is observed, if the context tells the redshift. Other
    requests get zeros.

    Parameters
    ----------
    config : ModelConfig
        `readout_kernels` kernels, vectors of `width`.
    vocabulary : Vocabulary
        Tells which kinds are lines.
    """

    line: Tensor

    def __init__(self, config: ModelConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.vocabulary = vocabulary if config.rest_frame else None
        where = torch.tensor([rest_wavelength(name) for name in vocabulary.names])
        self.register_buffer("line", where, persistent=False)
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
        out = context.log_scale.new_zeros(len(context), len(requests), self.last.out_features)
        return added(out, self.parts(context, requests))

    def parts(self, context: Context, requests: Requests) -> list[tuple[Tensor, Tensor]]:
        """Requests (R',) that see something, and their vectors (B, R', width)."""
        groups = [t for t in (context.patch, context.bands) if t is not None and t.value.shape[1]]
        found: list[tuple[Tensor, Tensor]] = []
        if not groups:
            return found
        rows = (requests.wavelength > 0).nonzero().squeeze(1)
        with torch.autocast(context.log_scale.device.type, enabled=False):
            if len(rows):
                h = self._read(groups, requests.wavelength[rows].unsqueeze(0))
                found.append((rows, h))
            lines = (self.line[requests.kind] > 0).nonzero().squeeze(1)
            if self.vocabulary is not None and len(lines) and context.labels.value.shape[1]:
                given = given_redshift(context.labels, self.vocabulary)
                stretch = (1.0 + given.redshift).unsqueeze(1)
                h = self._read(groups, self.line[requests.kind[lines]] * stretch)
                # Off by more than the narrowest kernel, a line would be read from its neighbours.
                sure = given.known / (1.0 + (given.blur / NARROWEST).square())
                found.append((lines, h * sure[:, None, None]))
        return found

    def _read(self, groups: list[TokenBatch], wavelength: Tensor) -> Tensor:
        """(B or 1, R') Å -> (B, R', width)."""
        return self.last(nn.functional.gelu(self.first(self._means(groups, wavelength))))

    def _means(self, groups: list[TokenBatch], wavelength: Tensor) -> Tensor:
        """(B, R', kernels (CHANNELS + 1)): means of the channels, and how much there was."""
        width = self.log_width.exp()
        at = wavelength.log()
        total: Tensor | None = None
        for tokens in groups:
            seen = tokens.observed.flatten(1)
            # Columns are the same passbands for every object: one kernel matrix serves all.
            where = tokens.wavelength.flatten(1)[0].clamp(min=1.0).log()
            offset = (where - at.unsqueeze(-1)).unsqueeze(1) / width[:, None, None]
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
            tilted = kernel * offset
            if len(kernel) == 1:
                part = torch.einsum("krp,bpc->brkc", kernel[0], channels)
                slope = torch.einsum("krp,bp->brk", tilted[0], log_value)
            else:
                part = _own_means(kernel, channels)
                slope = _own_means(tilted, log_value.unsqueeze(-1)).squeeze(-1)
            part = torch.cat((part, slope.unsqueeze(-1)), -1)
            total = part if total is None else total + part
        if total is None:
            raise RuntimeError("no bands")
        weight = total[..., :1]
        means = total[..., 1:] / (weight + 1e-3)
        return torch.cat((torch.log(weight + 1e-3) / 7.0, means), -1).flatten(2)


def _own_means(kernel: Tensor, channels: Tensor) -> Tensor:
    """Sums over the bands with kernels of each object: (B, K, R, P), (B, P, C) -> (B, R, K, C)."""
    found = products(kernel.flatten(1, 2), channels)
    return found.unflatten(1, kernel.shape[1:3]).transpose(1, 2)
