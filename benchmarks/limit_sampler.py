"""Tempered sequential Monte Carlo of the simulator's latents, many objects at once.

A population a object is moved by Metropolis steps at rising powers of the likelihood: differences
of other particles (ter Braak 2006, Stat. Comput. 16, 239) on random sets of coordinates,
preconditioned Crank-Nicolson steps (Cotter et al. 2013, Stat. Sci. 28, 424), and fresh draws of
latents that decide between kinds of galaxies. One half of a population moves by the other half
(Foreman-Mackey et al. 2013, PASP 125, 306), which keeps the target exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from limit_library import effective
from limit_likelihood import Forward, Particles, Photometry
from torch import Tensor

from jpassed.simulator.latents import CHOICES

MASS_SCATTER = 0.1
MOVES = ("differences", "constrained", "whole", "crank-nicolson", "choice", "colour")
SHARES = (0.12, 0.33, 0.25, 0.20, 0.08, 0.02)


@dataclass
class Population:
    """P particles for each of O objects, flattened object by object.

    Parameters
    ----------
    particles : Particles (O P)
    log_like : Tensor (O P,)
    photometry : Photometry (O)
    size : int
        P.
    """

    particles: Particles
    log_like: Tensor
    photometry: Photometry
    size: int

    @property
    def objects(self) -> int:
        return len(self.log_like) // self.size


class Sampler:
    """Metropolis steps of populations.

    Parameters
    ----------
    forward : Forward
    generator : torch.Generator
    """

    def __init__(self, forward: Forward, generator: torch.Generator) -> None:
        self.forward, self.generator = forward, generator
        self.choices = torch.tensor([forward.column(name) for name in CHOICES])
        self.tried = torch.zeros(len(MOVES))
        self.accepted = torch.zeros(len(MOVES))

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator)

    def coordinates(self, p: Particles) -> Tensor:
        """(N, E + 2): ln(1+z), magnitude, and latents with log mass in place of its deviate."""
        x = p.x.clone()
        mean = self.forward.mean_log_mass(p.zeta, p.mag, p.red)
        x[:, self.forward.log_mass] += mean / MASS_SCATTER
        return torch.cat([p.zeta[:, None], p.mag[:, None], x], dim=1)

    def particles(self, y: Tensor, red: Tensor) -> Particles:
        """Back from `coordinates`."""
        zeta, mag, x = y[:, 0], y[:, 1], y[:, 2:].clone()
        safe = torch.log1p(torch.expm1(zeta).clamp(0.001, 1.2))
        mean = self.forward.mean_log_mass(safe, mag, red)
        x[:, self.forward.log_mass] -= mean / MASS_SCATTER
        return Particles(zeta, mag, red, x)

    def sweep(
        self, population: Population, beta: Tensor, archive: Particles | None = None
    ) -> None:
        """One step of every particle, in place, at powers `beta` (O,).

        `archive` (O A particles) gives the differences instead of the population's other half.
        """
        n_objects, size = population.objects, population.size
        order = torch.argsort(self._uniform(n_objects, size), dim=1)
        base = torch.arange(n_objects)[:, None] * size
        halves = order[:, : size // 2] + base, order[:, size // 2 :] + base
        for moved, others in (halves, halves[::-1]):
            if archive is None:
                pool = self.coordinates(population.particles[others.reshape(-1)])
                pool = pool.reshape(n_objects, others.shape[1], -1)
            else:
                pool = self.coordinates(archive).reshape(n_objects, -1, pool_width(archive))
            self._step(population, moved, pool, beta)

    def _step(self, population: Population, moved: Tensor, pool: Tensor, beta: Tensor) -> None:
        n_objects, m = moved.shape
        rows = moved.reshape(-1)
        n = len(rows)
        current = population.particles[rows]
        y = self.coordinates(current)
        width = y.shape[1]
        kind = torch.multinomial(
            torch.tensor(SHARES), n, replacement=True, generator=self.generator
        )
        first = (self._uniform(n) * pool.shape[1]).long()
        second = (first + 1 + (self._uniform(n) * (pool.shape[1] - 1)).long()) % pool.shape[1]
        owner = torch.arange(n_objects).repeat_interleave(m)
        difference = pool[owner, first] - pool[owner, second]
        mask = self._masks(kind, owner, pool, width)
        number = mask.sum(1).clamp(min=1)
        scale = 2.38 / torch.sqrt(2.0 * number) * (0.2 + 1.3 * self._uniform(n))
        leap = self._uniform(n) < 0.05
        scale = torch.where((kind == 2) & leap, torch.ones_like(scale), scale)
        by_difference = (kind <= 2).float()[:, None] * mask
        new = y + by_difference * scale[:, None] * difference
        proposal = self.particles(new, current.red)
        # latents drawn anew, or turned towards fresh draws: reversible for the prior
        turn = ((kind == 3) | (kind == 4))[:, None] & mask[:, 2:].bool()
        rho = torch.exp(np.log(0.03) * self._uniform(n))[:, None]
        rho = torch.where((kind == 4)[:, None], torch.ones_like(rho), rho)
        fresh = torch.randn(n, width - 2, generator=self.generator)
        x = torch.where(
            turn, torch.sqrt(1.0 - rho**2) * current.x + rho * fresh, proposal.x
        )
        correction = 0.5 * torch.where(turn, x**2 - current.x**2, 0.0).sum(1)
        proposal = Particles(proposal.zeta, proposal.mag, current.red, x)
        flip = kind == 5
        if flip.any():
            red = current.red ^ flip
            flipped = self.particles(y[flip], red[flip])
            x = proposal.x
            x[flip] = flipped.x
            proposal = Particles(proposal.zeta, proposal.mag, red, x)
        own = population.photometry[owner]
        log_like = self.forward.log_likelihood(proposal, own)
        power = beta[owner]
        gain = self.forward.log_prior(proposal) - self.forward.log_prior(current) + correction
        gain = gain + power * (log_like - population.log_like[rows])
        accept = torch.log(self._uniform(n).clamp(min=1e-30)) < gain
        self.tried += torch.bincount(kind, minlength=len(MOVES))
        self.accepted += torch.bincount(kind[accept], minlength=len(MOVES))
        chosen = rows[accept]
        p = population.particles
        p.zeta[chosen], p.mag[chosen] = proposal.zeta[accept], proposal.mag[accept]
        p.red[chosen], p.x[chosen] = proposal.red[accept], proposal.x[accept]
        population.log_like[chosen] = log_like[accept]

    def _masks(self, kind: Tensor, owner: Tensor, pool: Tensor, width: int) -> Tensor:
        """Coordinates that move, (N, width)."""
        n = len(kind)
        share = torch.tensor([0.03, 0.08, 0.2, 0.5])[(4 * self._uniform(n)).long()]
        mask = self._uniform(n, width) < share[:, None]
        mask[torch.arange(n), (self._uniform(n) * width).long()] = True
        # the coordinates that the object's photometry fixes best
        spread = pool.std(dim=1)
        spread[:, 0] = spread[:, 1] = 0.0
        rank = torch.argsort(torch.argsort(spread, dim=1), dim=1)
        top = torch.tensor([4.0, 8.0, 16.0, 32.0])[(4 * self._uniform(n)).long()]
        best = rank[owner].float() + 4.0 * self._uniform(n, width) < top[:, None]
        best[:, 0] |= self._uniform(n) < 0.5
        mask = torch.where((kind == 1)[:, None], best, mask)
        mask = mask | (kind == 2)[:, None]
        if (kind == 4).any():
            one = torch.zeros(n, width, dtype=torch.bool)
            chosen = self.choices[(self._uniform(n) * len(self.choices)).long()]
            one[torch.arange(n), chosen + 2] = True
            mask = torch.where((kind == 4)[:, None], one, mask)
        return mask.float()

    def resample(self, population: Population, log_weight: Tensor) -> None:
        """Systematic resampling of each object's particles by weights (O, P), in place."""
        size = population.size
        rows = systematic(log_weight, size, self.generator)
        rows = (rows + torch.arange(population.objects)[:, None] * size).reshape(-1)
        population.particles = population.particles[rows]
        population.log_like = population.log_like[rows]

    def temper(
        self,
        population: Population,
        beta: Tensor,
        *,
        sweeps: int,
        share: float = 0.5,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        """Raise the powers (O,) to 1, each step keeping a `share` of the particles effective."""
        beta = beta.clone()
        step = 0
        while bool((beta < 1.0).any()):
            log_like = population.log_like.reshape(population.objects, -1)
            new = torch.ones_like(beta)
            for o in range(len(beta)):
                new[o] = next_power(log_like[o], float(beta[o]), share)
            rise = (new - beta)[:, None]
            weight = torch.where(rise > 0, rise * log_like, torch.zeros_like(log_like))
            self.resample(population, weight)
            beta = new
            for _ in range(sweeps):
                self.sweep(population, beta)
            step += 1
            if progress is not None:
                progress(f"step {step}: powers {beta.min():.3f} to {beta.max():.3f}")


def pool_width(p: Particles) -> int:
    """Number of coordinates."""
    return p.x.shape[1] + 2


def next_power(log_like: Tensor, beta: float, share: float) -> float:
    """Next power of the likelihood by bisection on the effective share of the particles."""
    if effective((1.0 - beta) * log_like) >= share * len(log_like):
        return 1.0
    low, high = 0.0, 1.0 - beta
    for _ in range(30):
        middle = 0.5 * (low + high)
        if effective(middle * log_like) >= share * len(log_like):
            low = middle
        else:
            high = middle
    return min(1.0, beta + max(low, 1e-4))


def systematic(log_weight: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Indices (O, n) drawn by weights (O, P), with the least variance."""
    w = torch.softmax(log_weight.double(), dim=1)
    edges = torch.cumsum(w, dim=1)
    edges[:, -1] = 1.0
    start = torch.rand(len(w), 1, generator=generator, dtype=torch.float64)
    points = (start + torch.arange(n, dtype=torch.float64)[None, :]) / n
    return torch.searchsorted(edges, points).clamp(max=w.shape[1] - 1)
