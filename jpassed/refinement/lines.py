"""Luminosities of all lines from the equivalent widths that are labels."""

from __future__ import annotations

import torch
from torch import Tensor

from jpassed.refinement.coordinates import EW_SOFTENING, NAMES
from jpassed.simulator.lines import LABEL_LINES

__all__ = ["REFERENCES", "reference_luminosity", "reference_of_lines"]

REFERENCES = tuple(LABEL_LINES)
"""Labels against which lines are measured: ``ew_oii`` and so on."""

CONTINUUM = {"ew_oii": ("c_hbeta", "c_oii"), "ew_hbeta": ("c_hbeta",),
             "ew_oiii": ("c_hbeta", "c_oiii")}  # fmt: skip
"""Coordinates that add to the log continuum at the line over that at Halpha."""


def reference_luminosity(theta: Tensor) -> Tensor:
    """Luminosity (N, R) of the labelled lines over the continuum at Halpha, Å, from coordinates."""
    columns = []
    for key in REFERENCES:
        width = (torch.exp(theta[:, NAMES.index(key)]) - EW_SOFTENING).clamp(min=1e-3)
        level = torch.zeros_like(width)
        for name in CONTINUUM.get(key, ()):
            level = level + theta[:, NAMES.index(name)]
        columns.append(width * 10.0**level)
    return torch.stack(columns, dim=1)


def reference_of_lines(log_lines: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """For each line the label that fixes it best, and ln of its ratio to that label's lines.

    Parameters
    ----------
    log_lines : Tensor (N, L)
        ln of the luminosity over that of Halpha.
    theta : Tensor (N, D)
        Coordinates.

    Returns
    -------
    index : Tensor (L,)
        Into `REFERENCES`.
    log_ratio : Tensor (N, L)
    """
    halpha = REFERENCES.index("ew_halpha")
    reference = reference_luminosity(theta).log()
    relative = log_lines[:, :, None] + (reference[:, halpha, None] - reference)[:, None, :]
    strong = reference[:, halpha] > 0.7  # EW(Halpha) > 2 Å: below it the labels are rounded
    spread = relative[strong].std(0)
    index = spread.argmin(1)
    chosen = relative.gather(2, index[None, :, None].expand(len(relative), -1, 1))[..., 0]
    return index, chosen.clamp(-12.0, 6.0)
