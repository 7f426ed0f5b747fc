"""An emulator of the simulator: spectrum and lines of given labels, with their scatter."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["SMOOTHING", "EmulatorNet"]

SMOOTHING = (0.004, 0.03, 0.15)
"""Widths in ln(wavelength) over which the residual of the basis was averaged."""

CLIP = 5.0


class EmulatorNet(nn.Module):
    """From labels to the coefficients of basis spectra, line ratios, and the scatter of both.

    One hidden layer of fixed random units; what is read from it is a linear least-squares fit, so
    that an emulator is fitted in seconds. The basis is turned such that the scatter of its
    coefficients at given labels is independent from one to the next.

    Parameters
    ----------
    inputs : int
        Number of labels.
    size : int
        Basis spectra K.
    lines : int
        Lines L.
    pixels : int
        Pixels P of the rest-frame grid.
    units : int
        Hidden units, besides the labels themselves and a constant.
    """

    loc: Tensor
    scale: Tensor
    hidden: Tensor
    mean_out: Tensor
    scatter_out: Tensor
    mean: Tensor
    basis: Tensor
    residual: Tensor
    line_reference: Tensor

    def __init__(self, inputs: int, size: int, lines: int, pixels: int, units: int = 512) -> None:
        super().__init__()
        self.size, self.n_lines = size, lines
        self.sizes = {
            "inputs": inputs, "size": size, "lines": lines, "pixels": pixels, "units": units
        }  # fmt: skip
        wide = units + inputs + 1
        for name, shape in (
            ("loc", (inputs,)), ("scale", (inputs,)), ("hidden", (inputs + 1, units)),
            ("mean_out", (wide, size + lines)), ("scatter_out", (wide, size + lines)),
            ("mean", (pixels,)), ("basis", (size, pixels)), ("residual", (len(SMOOTHING), pixels)),
        ):  # fmt: skip
            self.register_buffer(name, torch.ones(shape))
        self.register_buffer("line_reference", torch.zeros(lines, dtype=torch.int64))

    def units(self, labels: Tensor) -> Tensor:
        """Hidden units of labels (N, inputs): (N, units + inputs + 1)."""
        x = ((labels - self.get_buffer("loc")) / self.get_buffer("scale")).clamp(-CLIP, CLIP)
        hidden = self.get_buffer("hidden")
        h = torch.tanh(torch.addmm(hidden[-1], x, hidden[:-1]))
        return torch.cat([h, x, torch.ones_like(x[:, :1])], dim=1)

    def forward(self, labels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Answer for labels (N, inputs).

        Returns
        -------
        coefficients, log_scatter : Tensor (N, K)
            Of the basis spectra, in ln(spectrum).
        line, log_line_scatter : Tensor (N, L)
            ln of the luminosity over that of the line's reference, and its scatter.
        """
        h = self.units(labels)
        mean, line = (h @ self.get_buffer("mean_out")).split([self.size, self.n_lines], 1)
        log_s = h @ self.get_buffer("scatter_out")
        log_s, log_line = log_s.split([self.size, self.n_lines], 1)
        return mean, log_s.clamp(-2.5, 2.0), line, log_line.clamp(-7.0, 1.0)
