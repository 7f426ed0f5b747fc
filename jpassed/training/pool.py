"""A pool of simulated galaxies, refreshed for ever, the same for the same seed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from jpassed.exceptions import InputError
from jpassed.simulator.galaxies import GalaxySimulator
from jpassed.training.ranks import Ranks
from jpassed.training.weighting import DensityWeights, density_weights

__all__ = ["Galaxies", "GalaxyPool", "GalaxyStore"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Galaxies:
    """Noise-free galaxies.

    Attributes
    ----------
    bandflux : Tensor
        (N, B) true bandfluxes, microjansky.
    labels : Tensor
        (N, L) physical values, in the order of the vocabulary's scalar kinds.
    observable : Tensor
        (N, L) bool: labels that are targets.
    mag_r : Tensor
        (N,) true magnitude that the selection refers to.
    log_weight : Tensor
        (N,) ln of the density with which the simulator drew it over the declared prior.
    """

    bandflux: Tensor
    labels: Tensor
    observable: Tensor
    mag_r: Tensor
    log_weight: Tensor


class GalaxyStore:
    """Noise-free galaxies to draw from.

    Parameters
    ----------
    names : tuple of str
        Label columns.
    device : torch.device
    density, clip : float
        See `density_weights`.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        device: torch.device,
        *,
        density: float = 0.0,
        clip: float = 5.0,
    ) -> None:
        self.names, self.device = names, device
        self.density, self.clip = density, clip
        self.galaxies: Galaxies | None = None
        self.weights: DensityWeights | None = None
        self._shares: dict[float, float] = {}

    def hold(self, galaxies: Galaxies) -> None:
        """Take these galaxies, and weigh them."""
        self.galaxies = galaxies
        self._shares = {}
        self.weights = density_weights(galaxies, self.names, exponent=self.density, clip=self.clip)

    def share_brighter(self, magnitude: float) -> float:
        """Share of what is drawn that is brighter than a true magnitude.

        Raises
        ------
        InputError
            If nothing is.
        """
        galaxies, weights = self._filled(), self.weights
        if weights is None:
            raise RuntimeError("the pool has no weights")
        if magnitude not in self._shares:
            bright = weights.drawing * (galaxies.mag_r < magnitude)
            self._shares[magnitude] = float(bright.sum() / weights.drawing.sum())
        if not self._shares[magnitude] > 0:
            raise InputError(f"none of the simulated galaxies is brighter than r = {magnitude:g}")
        return self._shares[magnitude]

    def draw(self, n: int, generator: torch.Generator) -> tuple[Galaxies, Tensor, Tensor]:
        """Draw n galaxies, rare ones more often.

        Returns
        -------
        galaxies : Galaxies
        weight, weight_at_magnitude : Tensor
            (n,) factors of the loss that give the declared prior back, see `DensityWeights`.
        """
        galaxies, weights = self._filled(), self.weights
        if weights is None:
            raise RuntimeError("the pool has no weights")
        cumulative = weights.drawing.double().cumsum(0)
        u = torch.rand((n,), generator=generator, device=cumulative.device, dtype=torch.float64)
        rows = torch.searchsorted(cumulative, u * cumulative[-1]).clamp(max=len(cumulative) - 1)
        picked = Galaxies(*(getattr(galaxies, f)[rows] for f in Galaxies.__annotations__))
        return picked, weights.loss[rows], weights.loss_at_magnitude[rows]

    def _filled(self) -> Galaxies:
        if self.galaxies is None:
            raise RuntimeError("the pool is empty")
        return self.galaxies


class GalaxyPool(GalaxyStore):
    """M galaxies in segments; one segment at a time is simulated anew.

    The content after `refreshes` refreshes is a function of the seed alone, so that a training
    that is resumed sees the same galaxies.

    Parameters
    ----------
    simulator : GalaxySimulator
    names : tuple of str
        Label columns.
    seed : int
    size, segment : int
    faintest : float
        Galaxies fainter than this true magnitude are dropped at once: noise cannot bring them
        over the selection's limit. The pool keeps the simulator's own prior among the rest.
    density, clip : float
        See `density_weights`.
    ranks : Ranks, optional
        Processes that share the simulation: each makes some of the segments for all.
    """

    def __init__(
        self,
        simulator: GalaxySimulator,
        names: tuple[str, ...],
        *,
        seed: int,
        size: int,
        segment: int,
        faintest: float,
        density: float = 0.0,
        clip: float = 5.0,
        ranks: Ranks | None = None,
    ) -> None:
        super().__init__(names, simulator.device, density=density, clip=clip)
        self.simulator, self.seed = simulator, seed
        self.ranks = Ranks() if ranks is None else ranks
        # Segments that are made and not yet in the pool: every rank makes one for all.
        self._ahead: dict[int, Galaxies] = {}
        self.segments = max(1, size // segment)
        self.segment, self.faintest = segment, faintest
        self.refreshes = 0

    def fill(self, refreshes: int = 0, progress: Callable[[int, int], None] | None = None) -> None:
        """Simulate the content as it is after `refreshes` refreshes."""
        newest = [0] * self.segments
        for r in range(refreshes + self.segments):
            newest[r % self.segments] = r
        parts: list[Galaxies] = []
        step = self.ranks.count
        for first in range(0, self.segments, step):
            parts += self._simulate_each(newest[first : first + step])
            if progress is not None:
                progress(len(parts), self.segments)
        self.refreshes = refreshes
        self._ahead.clear()
        self.hold(
            Galaxies(*(torch.cat([getattr(p, f) for p in parts]) for f in Galaxies.__annotations__))
        )

    def refresh(self) -> None:
        """Replace the oldest segment."""
        if self.galaxies is None:
            self.fill()
            return
        index = self.refreshes + self.segments
        if index not in self._ahead:
            coming = list(range(index, index + self.ranks.count))
            self._ahead.update(zip(coming, self._simulate_each(coming), strict=True))
        new = self._ahead.pop(index)
        start = (index % self.segments) * self.segment
        for name in Galaxies.__annotations__:
            getattr(self.galaxies, name)[start : start + self.segment] = getattr(new, name)
        self.refreshes += 1
        self.hold(self.galaxies)

    def _simulate_each(self, indices: list[int]) -> list[Galaxies]:
        """Segments by number, not more than there are ranks: each makes one, and all get all."""
        ranks = self.ranks
        if ranks.count == 1:
            return [self._simulate(index) for index in indices]
        widths = (len(self.simulator.bands), len(self.names), len(self.names), 1, 1)
        own = None
        if ranks.rank < len(indices):
            made = self._simulate(indices[ranks.rank])
            columns = (getattr(made, f).float() for f in Galaxies.__annotations__)
            own = torch.cat([c.reshape(self.segment, -1) for c in columns], 1)
        found = []
        for owner in range(len(indices)):
            table = torch.empty(self.segment, sum(widths), device=self.device)
            if own is not None and owner == ranks.rank:
                table = own
            ranks.hand_out(table, owner)
            flux, labels, observable, mag, weight = table.split(widths, 1)
            found.append(Galaxies(flux, labels, observable > 0.5, mag[:, 0], weight[:, 0]))
        return found

    def _simulate(self, index: int) -> Galaxies:
        generator = torch.Generator(device=self.simulator.device)
        generator.manual_seed((self.seed * 1_000_003 + index) % 2**63)
        kept: list[Galaxies] = []
        count = 0
        while count < self.segment:
            sample = self.simulator.sample(self.segment, generator)
            labels = torch.stack([sample.labels[n].float() for n in self.names], 1)
            observable = torch.stack([sample.observable[n] for n in self.names], 1)
            observable &= torch.isfinite(labels)
            bright = sample.mag_r < self.faintest
            bright &= torch.isfinite(sample.bandflux).all(-1)
            kept.append(
                Galaxies(
                    sample.bandflux[bright].float(),
                    torch.where(observable, labels, 0.0)[bright],
                    observable[bright],
                    sample.mag_r[bright].float(),
                    sample.log_weight[bright].float(),
                )
            )
            count += int(bright.sum())
        return Galaxies(
            *(
                torch.cat([getattr(p, f) for p in kept])[: self.segment]
                for f in Galaxies.__annotations__
            )
        )

    def _filled(self) -> Galaxies:
        if self.galaxies is None:
            self.fill()
        return super()._filled()
