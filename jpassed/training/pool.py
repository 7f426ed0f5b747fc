"""A pool of simulated galaxies, refreshed for ever, the same for the same seed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from jpassed.simulator.galaxies import GalaxySimulator
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

    def hold(self, galaxies: Galaxies) -> None:
        """Take these galaxies, and weigh them."""
        self.galaxies = galaxies
        self.weights = density_weights(galaxies, self.names, exponent=self.density, clip=self.clip)

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
    ) -> None:
        super().__init__(names, simulator.device, density=density, clip=clip)
        self.simulator, self.seed = simulator, seed
        self.segments = max(1, size // segment)
        self.segment, self.faintest = segment, faintest
        self.refreshes = 0

    def fill(self, refreshes: int = 0, progress: Callable[[int, int], None] | None = None) -> None:
        """Simulate the content as it is after `refreshes` refreshes."""
        newest = [0] * self.segments
        for r in range(refreshes + self.segments):
            newest[r % self.segments] = r
        parts = []
        for done, index in enumerate(newest):
            parts.append(self._simulate(index))
            if progress is not None:
                progress(done + 1, self.segments)
        self.refreshes = refreshes
        self.hold(
            Galaxies(*(torch.cat([getattr(p, f) for p in parts]) for f in Galaxies.__annotations__))
        )

    def refresh(self) -> None:
        """Replace the oldest segment."""
        if self.galaxies is None:
            self.fill()
            return
        index = self.refreshes + self.segments
        new = self._simulate(index)
        start = (index % self.segments) * self.segment
        for name in Galaxies.__annotations__:
            getattr(self.galaxies, name)[start : start + self.segment] = getattr(new, name)
        self.refreshes += 1
        self.hold(self.galaxies)

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
