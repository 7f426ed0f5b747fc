"""Fourier encodings of numbers: smooth in the value, and exact at many scales."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["FourierEncoding", "WavelengthEncoding"]


class FourierEncoding(nn.Module):
    """x -> sin and cos of x times frequencies spaced geometrically (Tancik+2020, Mildenhall+2020).

    Parameters
    ----------
    frequencies : int
        Number of frequencies F; the encoding has 2 F values.
    lowest, highest : float
        First and last frequency in cycles per unit of x.
    """

    frequency: Tensor

    def __init__(self, frequencies: int, lowest: float, highest: float) -> None:
        super().__init__()
        steps = torch.linspace(math.log(lowest), math.log(highest), frequencies)
        self.register_buffer("frequency", 2 * math.pi * steps.exp(), persistent=False)
        self.size = 2 * frequencies

    def forward(self, x: Tensor) -> Tensor:
        """(...,) -> (..., 2 F)."""
        phase = x.float().unsqueeze(-1) * self.frequency
        return torch.cat((phase.sin(), phase.cos()), -1)


class WavelengthEncoding(nn.Module):
    """Encoding of a passband by its pivot wavelength and width; zeros where there is none."""

    def __init__(self, frequencies: int) -> None:
        super().__init__()
        # ln(lambda / 5500 A) runs over -1.4 (FUV) to 2.1 (4.6 um); narrow bands are 0.015 apart.
        self.pivot = FourierEncoding(frequencies, 0.1, 30.0)
        self.width = FourierEncoding(6, 0.05, 1.0)
        self.size = self.pivot.size + self.width.size + 2

    def forward(self, wavelength: Tensor, width: Tensor) -> Tensor:
        """(...,), (...,) in Å -> (..., size)."""
        there = wavelength > 0
        x = torch.where(there, wavelength, 5500.0).div(5500.0).log()
        w = torch.where(there, width, 100.0).div(100.0).log()
        code = torch.cat(
            (self.pivot(x), self.width(w), x.unsqueeze(-1), 0.3 * w.unsqueeze(-1)), -1
        )
        return code * there.unsqueeze(-1)
