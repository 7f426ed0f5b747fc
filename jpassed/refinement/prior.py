"""The declared prior of redshift and magnitude, as a density on its own cells."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from jpassed.simulator.population import PopulationTable
from jpassed.simulator.priors import load_priors

__all__ = ["SkyPrior"]


class SkyPrior:
    """Natural density of galaxies in ln(1+z) and r magnitude, from the luminosity functions.

    Parameters
    ----------
    r_limit : float
        Faintest true magnitude; there are no fainter galaxies.
    """

    def __init__(self, r_limit: float = 24.0) -> None:
        table = PopulationTable(load_priors(), r_limit, 0.0)
        area = np.diff(table.z_edges)[:, None] * np.diff(table.m_edges)[None, :]
        density = table.natural.sum(axis=0) / area
        self.z_edges = torch.tensor(table.z_edges, dtype=torch.float64)
        self.m_edges = torch.tensor(table.m_edges, dtype=torch.float64)
        self.log = torch.tensor(np.log(np.maximum(density, 1e-300)))

    def log_density(self, zeta: Tensor, mag: Tensor) -> Tensor:
        """ln p(ln(1+z), mag), (N,); -inf outside the prior."""
        z, m = torch.expm1(zeta.double()), mag.double()
        i = torch.bucketize(z, self.z_edges) - 1
        j = torch.bucketize(m, self.m_edges) - 1
        inside = (i >= 0) & (i < self.log.shape[0]) & (j >= 0) & (j < self.log.shape[1])
        value = self.log[i.clamp(0, self.log.shape[0] - 1), j.clamp(0, self.log.shape[1] - 1)]
        value = value + zeta.double()
        return torch.where(inside & (value > -600.0), value, -torch.inf)
