"""Density weighting: rare galaxies are drawn more often, and corrected for it.

An object of density p is drawn with probability proportional to w p, with w = p**-exponent
clipped; the loss is multiplied by 1 / w, so that posteriors refer to the prior p.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jpassed.training.pool import Galaxies

__all__ = ["DensityWeights", "density_weights"]

REDSHIFT_EDGES = (0.02, 0.06, 0.12, 0.25, 0.4, 0.6, 0.8, 1.0)
"""Lines leave the bands above z = 0.4: the two sides are weighted separately."""

MAGNITUDE_EDGES = (16.0, 17.5, 18.5, 19.5, 20.5, 21.5, 22.2)
EW_EDGES = (3.0, 15.0, 50.0, 150.0, 400.0)
COLOUR_EDGES = (1.0, 1.6, 2.2)


@dataclass(frozen=True)
class DensityWeights:
    """How often the galaxies of a pool are drawn, and how the loss makes up for it.

    Attributes
    ----------
    drawing : Tensor
        (N,) w: probability of being drawn, up to a factor.
    loss : Tensor
        (N,) p / (w q), q the density of the pool and p the declared prior: posteriors refer to p.
    loss_at_magnitude : Tensor
        (N,) the same, normalised at every magnitude, so that faint galaxies need not rule the
        loss. By itself it refers posteriors to p at a given magnitude, with magnitudes as they
        are drawn; `jpassed.training.importance` makes the weights of a step from the two, which
        refer to p whatever the bands in the context.
    """

    drawing: Tensor
    loss: Tensor
    loss_at_magnitude: Tensor


def density_weights(
    galaxies: Galaxies, names: tuple[str, ...], *, exponent: float, clip: float
) -> DensityWeights:
    """Weights of a pool of galaxies.

    Densities are counts in cells of redshift, magnitude, EW([OII] or Halpha) and rest colour.

    Parameters
    ----------
    galaxies : Galaxies
        N galaxies.
    names : tuple of str
        Label columns.
    exponent : float
        0 gives equal weights.
    clip : float
        w lies between 1 / clip and clip before it is normalised.

    Returns
    -------
    DensityWeights
        Each of mean 1 over what is drawn.
    """
    count = galaxies.mag_r.shape[0]
    z = galaxies.labels[:, names.index("z")]
    oii = galaxies.labels[:, names.index("ew_oii")]
    halpha = galaxies.labels[:, names.index("ew_halpha")]
    seen = galaxies.observable[:, names.index("ew_halpha")]
    ew = torch.where(seen & (z < 0.4), halpha, oii)
    axes = (
        (z, REDSHIFT_EDGES),
        (galaxies.mag_r, MAGNITUDE_EDGES),
        (ew, EW_EDGES),
        (galaxies.labels[:, names.index("ur_rest")], COLOUR_EDGES),
    )
    cell = torch.zeros(count, dtype=torch.int64, device=z.device)
    cells = 1
    for value, edges in axes:
        edge = torch.tensor(edges, device=z.device, dtype=value.dtype)
        cell = cell * (len(edges) + 1) + torch.bucketize(value.contiguous(), edge)
        cells *= len(edges) + 1
    counts = torch.bincount(cell, minlength=cells).to(torch.float64)
    filled = int((counts > 0).sum())
    density = counts[cell] * filled / count
    drawing = density.pow(-exponent).clamp(1.0 / clip, clip)
    # exp(-log_weight) may be very large for a cell that the simulator hardly drew.
    natural = (-galaxies.log_weight.double()).exp()
    natural = natural.clamp(max=float(natural.median()) * 1e3)
    loss = natural / drawing
    fine = torch.arange(12.0, 24.0, 0.25, device=z.device, dtype=galaxies.mag_r.dtype)
    at = torch.bucketize(galaxies.mag_r.contiguous(), fine)
    drawn = torch.bincount(at, weights=drawing, minlength=len(fine) + 1)
    wanted = torch.bincount(at, weights=natural, minlength=len(fine) + 1)
    return DensityWeights(
        (drawing / drawing.mean()).float(),
        (loss * drawing.sum() / natural.sum()).float(),
        (loss * (drawn / wanted.clamp(min=1e-300))[at]).float(),
    )
