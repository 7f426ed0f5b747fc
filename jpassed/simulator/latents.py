"""The simulator as a function of latent variables with a standard normal prior.

All random numbers of a galaxy are drawn in a fixed order. `LatentRandoms` hands out given numbers
in that order instead (uniform ones through the normal cumulative distribution), so that a galaxy
is a deterministic function of redshift, magnitude, colour class and a vector of latents whose
prior is N(0, 1): what samplers of its posterior need.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from jpassed.exceptions import InputError
from jpassed.simulator.priors import Randoms

if TYPE_CHECKING:
    from jpassed.simulator.galaxies import GalaxySimulator
    from jpassed.simulator.population import PopulationTable

__all__ = ["LatentLayout", "LatentRandoms", "NaturalDensity", "latent_layout"]

FIRST = (
    "log_mass", "kind", "t0", "t0_over_tau", "modulation_amplitude", "modulation", "look_back",
    "depth", "quench", "burst", "burst_share", "burst_start", "burst_length", "metallicity",
    "starburst_shift", "gas", "ionisation", "dust", "dusty", "dusty_av", "little", "reddened",
    "young_ratio", "young_floor", "slope", "bump", "with_bump", "hii_share", "rich", "old_share",
    "agn", "agn_ew", "lines", "library", "amplitude", "template",
)  # fmt: skip
"""Blocks of latents in the order in which they are drawn; then one for each abundance mode, and
``excitation``."""

CHOICES = ("kind", "quench", "burst", "dusty", "with_bump", "rich", "agn", "library")
"""Latents that decide between kinds of galaxies: the flux jumps where they cross a threshold."""


class LatentRandoms(Randoms):
    """`Randoms` that hands out the columns of a matrix.

    Parameters
    ----------
    latents : Tensor (n, D)
        Standard normal numbers, on the device where they are wanted.

    Attributes
    ----------
    used : int
        Columns handed out so far.
    blocks : list of int
        Number of columns of each draw.
    """

    def __init__(self, latents: Tensor) -> None:
        if latents.ndim != 2:
            raise InputError(f"latents must be of shape (n, D), not {tuple(latents.shape)}")
        super().__init__(len(latents), None, latents.device)
        self.latents, self.used = latents, 0
        self.blocks: list[int] = []

    def _next(self, columns: int) -> Tensor:
        stop = self.used + columns
        if stop > self.latents.shape[1]:
            raise InputError(
                f"the simulator asks for more than the {self.latents.shape[1]} latents given; "
                "latent_layout(simulator).size says how many it needs"
            )
        out = self.latents[:, self.used : stop]
        self.used = stop
        self.blocks.append(columns)
        return out

    def uniform(self, lower: float | Tensor = 0.0, upper: float | Tensor = 1.0) -> Tensor:
        """Uniform numbers (n,)."""
        u = torch.special.ndtr(self._next(1)[:, 0]).clamp(1e-7, 1.0 - 1e-7)
        return lower + (upper - lower) * u

    def normal(self, *columns: int) -> Tensor:
        """Standard normal numbers (n, *columns)."""
        number = int(np.prod(columns)) if columns else 1
        return self._next(number).reshape(self.n, *columns)

    def double(self) -> Tensor:
        """Uniform float64 numbers (n,)."""
        return torch.special.ndtr(self._next(1)[:, 0].double())


@dataclass(frozen=True)
class LatentLayout:
    """Which column of the latents is what.

    Parameters
    ----------
    slices : dict of slice
        Columns of each block, in order.
    size : int
        Number of columns.
    """

    slices: dict[str, slice]
    size: int

    def columns(self, *names: str) -> list[int]:
        """Numbers of the columns of some blocks."""
        return [i for n in names for i in range(self.slices[n].start, self.slices[n].stop)]


def latent_layout(simulator: GalaxySimulator) -> LatentLayout:
    """The latents of a simulator, found by drawing one galaxy.

    Raises
    ------
    InputError
        The order of the simulator's draws is not the one described here.
    """
    device = simulator.device
    random = LatentRandoms(torch.zeros(1, 1024, device=device))
    half = torch.full((1,), 0.5, device=device)
    simulator.render_from(random, half, 40.0 * half, half > 1.0)
    template = simulator.template
    expected = {name: 1 for name in FIRST}
    expected["modulation"] = len(simulator.priors["modulation"]["knots"])
    expected["lines"] = 3 * len(simulator.lines.groups)
    expected["template"] = template.size - len(template.modes)
    expected |= {name: 1 for name in template.modes}
    expected["excitation"] = 1
    if random.blocks != list(expected.values()):
        raise InputError(
            f"the simulator draws blocks of {random.blocks}, described are "
            f"{list(expected.values())}: latents.FIRST is out of step with the priors"
        )
    slices, start = {}, 0
    for name, number in expected.items():
        slices[name] = slice(start, start + number)
        start += number
    return LatentLayout(slices, start)


class NaturalDensity:
    """Natural density of redshift, r magnitude and colour class, on tensors.

    Parameters
    ----------
    table : PopulationTable
        Its `natural` cells, the density being constant inside each.
    device : torch.device or str
        Where the numbers live.
    """

    def __init__(self, table: PopulationTable, device: torch.device | str = "cpu") -> None:
        area = np.diff(table.z_edges)[:, None] * np.diff(table.m_edges)[None, :]
        with np.errstate(divide="ignore"):
            log = np.log(table.natural / area)
        self.log_density = torch.tensor(log, dtype=torch.float32, device=device)
        self.z_edges = torch.tensor(table.z_edges, dtype=torch.float32, device=device)
        self.m_edges = torch.tensor(table.m_edges, dtype=torch.float32, device=device)
        self._cells = np.asarray(table.natural)

    def log(self, z: Tensor, mag: Tensor, red: Tensor) -> Tensor:
        """ln of the density per unit redshift and magnitude (n,); -inf outside the prior."""
        i = torch.searchsorted(self.z_edges, z.contiguous(), right=True) - 1
        j = torch.searchsorted(self.m_edges, mag.contiguous(), right=True) - 1
        n_z, n_m = self.log_density.shape[1:]
        inside = (i >= 0) & (i < n_z) & (j >= 0) & (j < n_m)
        value = self.log_density[red.long(), i.clamp(0, n_z - 1), j.clamp(0, n_m - 1)]
        return torch.where(inside, value, torch.full_like(value, -torch.inf))

    def draw(
        self, n: int, generator: torch.Generator, faintest: float, brightest: float = -np.inf
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Redshift, magnitude and colour class of n galaxies between two magnitudes.

        Raises
        ------
        InputError
            No galaxy of the prior lies between them.
        """
        m = self.m_edges.cpu().numpy().astype(float)
        share = np.clip(np.minimum(m[1:], faintest) - np.maximum(m[:-1], brightest), 0, None)
        cells = self._cells * (share / np.diff(m))
        if not cells.sum() > 0:
            raise InputError(f"no galaxies between r = {brightest:g} and {faintest:g}")
        cumulative = torch.tensor(np.cumsum(cells.ravel()) / cells.sum())
        device = self.m_edges.device
        u = torch.rand(n, 3, generator=generator, dtype=torch.float64, device=generator.device)
        cell = torch.searchsorted(cumulative, u[:, 0].cpu().contiguous())
        cell = cell.clamp(max=len(cumulative) - 1)
        cell, u = cell.to(device), u.to(device)
        n_z, n_m = self.log_density.shape[1:]
        i, j = torch.div(cell, n_m, rounding_mode="floor") % n_z, cell % n_m
        red = torch.div(cell, n_m * n_z, rounding_mode="floor") == 1
        low = self.m_edges[j].clamp(min=brightest)
        top = self.m_edges[j + 1].clamp(max=faintest)
        z = self.z_edges[i] + u[:, 1] * (self.z_edges[i + 1] - self.z_edges[i])
        return z.float(), (low + u[:, 2] * (top - low)).float(), red
