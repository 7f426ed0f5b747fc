"""Refinement: draws of the network's posterior, weighted by likelihood and prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jpassed.exceptions import ModelError
from jpassed.nn.model import SEDModel
from jpassed.refinement.coordinates import CORE, NAMES
from jpassed.refinement.flow import AutoregressiveMixture, ReadOut
from jpassed.refinement.importance import effective_number
from jpassed.refinement.kernels import INFLATIONS, Kernels, kalman_step
from jpassed.refinement.likelihood import Likelihood
from jpassed.refinement.prior import SkyPrior
from jpassed.tokens.batch import Context, Requests

__all__ = ["Proposal", "Refined", "Refiner"]

GOOD_SHARE = 0.025
"""Effective share of the network's draws from which on nothing else is needed."""

ENSEMBLE = 300
"""Draws that are moved towards the data."""

LARGEST_NORMAL = 5.0

LEAST_ERROR = 1e-5
"""Of a known ln(1+z): a smaller one is a point."""

DEFENSIVE = 0.05
"""Share of the redshift proposal that is spread over all bins."""


@dataclass(frozen=True)
class Refined:
    """n weighted draws for each of N objects.

    Attributes
    ----------
    theta : Tensor (N, n, D)
        Coordinates.
    log_weight : Tensor (N, n), float64
        ln of likelihood times prior over proposal: their mean is the evidence.
    log_prior, log_likelihood, log_proposal : Tensor (N, n), float64
        Its parts.
    chi2 : Tensor (N, n)
        Of the photometry.
    """

    theta: Tensor
    log_weight: Tensor
    log_prior: Tensor
    log_likelihood: Tensor
    log_proposal: Tensor
    chi2: Tensor


@dataclass(frozen=True)
class Proposal:
    """What a network says of objects, ready for draws.

    Attributes
    ----------
    described : Tensor (D', N, W)
        See `AutoregressiveMixture.described`.
    probability : Tensor (N, M)
        Of the bins of ln(1+z).
    edges : Tensor (M + 1,)
    """

    described: Tensor
    probability: Tensor
    edges: Tensor

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        network: SEDModel,
        read_out: ReadOut,
        flow: AutoregressiveMixture,
        context: Context,
        redshift: Requests,
    ) -> Proposal:
        """Ask a network; `redshift` is a request of redshift alone.

        Parameters
        ----------
        network : SEDModel
        read_out : ReadOut
        flow : AutoregressiveMixture
        context : Context
            N objects.
        redshift : Requests

        Returns
        -------
        Proposal

        Raises
        ------
        ModelError
            If the network's redshift is not binned.
        """
        if network.redshift_head is None:
            raise ModelError("refinement needs a model with a binned redshift head")
        encoded = network.encode(context)
        vector = network.decode(encoded, redshift, context)[:, 0]
        if network.dense is not None and encoded.dense is not None:
            vector = network.dense(vector, encoded.dense)
        probability = network.redshift_head(vector).double().softmax(-1)
        upper = torch.log1p(torch.tensor(1.2))
        edges = network.redshift_head.edges.double().cpu()
        inside = (edges[1:] <= upper + 1e-6) & (edges[:-1] >= -1e-9)
        probability = probability.cpu() * inside
        spread = running_mean(probability)
        probability = (1 - DEFENSIVE) * spread + DEFENSIVE * running_mean(spread.sqrt(), 9) * inside
        probability = probability * inside
        described = flow.described(read_out(*(None if t is None else t.cpu() for t in encoded)))
        return cls(described, probability / probability.sum(1, keepdim=True), edges)


def running_mean(probability: Tensor, bins: int = 3) -> Tensor:
    """Running mean over an odd number of bins, normalised."""
    half = bins // 2
    padded = torch.nn.functional.pad(probability[:, None], (half, half))
    mean = torch.nn.functional.avg_pool1d(padded, bins, stride=1)[:, 0]
    return mean / mean.sum(1, keepdim=True).clamp(min=1e-300)


class Refiner:
    """Weighs draws of a proposal.

    Parameters
    ----------
    flow, prior : AutoregressiveMixture
        Proposal of the coordinates after redshift, and prior of those after magnitude.
    likelihood : Likelihood
    """

    def __init__(
        self, flow: AutoregressiveMixture, prior: AutoregressiveMixture, likelihood: Likelihood
    ) -> None:
        self.flow, self.prior, self.likelihood = flow, prior, likelihood
        self.sky = SkyPrior()

    @torch.no_grad()
    def refine(
        self,
        proposal: Proposal,
        flux: Tensor,
        error: Tensor,
        observed: Tensor,
        n: int,
        generator: torch.Generator,
        known_zeta: tuple[Tensor, Tensor] | None = None,
        rounds: int = 1,
    ) -> Refined:
        """Draw n galaxies for each object and weigh them.

        Parameters
        ----------
        proposal : Proposal
            Of N objects.
        flux, error, observed : Tensor (N, B)
            Of the likelihood's bands, microjansky.
        n : int
            Draws an object.
        generator : torch.Generator
        known_zeta : tuple of Tensor (N,), optional
            ln(1+z) and its error where redshift is measured otherwise; NaN where it is not.
        rounds : int
            Rounds that draw around the best draws so far; the n draws are shared among these and
            the network's proposal. All draws are weighed against the mixture of all proposals
            (Owen & Zhou 2000, J. Am. Stat. Assoc. 95, 135).
        """
        parts = []
        for i in range(len(flux)):
            own = slice(i, i + 1)
            known = None
            if known_zeta is not None and bool(torch.isfinite(known_zeta[0][i])):
                known = (float(known_zeta[0][i]), max(float(known_zeta[1][i]), LEAST_ERROR))
            one = _Object(
                self, proposal.described[:, own], proposal.probability[i], proposal.edges,
                (flux[own], error[own], observed[own]), known, generator,
            )  # fmt: skip
            parts.append(one.run(n, rounds))
        return Refined(*(torch.stack(p) for p in zip(*parts, strict=True)))


class _Object:
    """The draws of one object."""

    def __init__(
        self,
        refiner: Refiner,
        described: Tensor,
        probability: Tensor,
        edges: Tensor,
        photometry: tuple[Tensor, Tensor, Tensor],
        known: tuple[float, float] | None,
        generator: torch.Generator,
    ) -> None:
        self.refiner, self.described, self.edges = refiner, described, edges
        self.photometry, self.known, self.generator = photometry, known, generator
        self.probability = probability
        self.log_bin = (probability / edges.diff()).log()

    def run(self, n: int, rounds: int) -> tuple[Tensor, ...]:
        """n draws: coordinates, log weight and its parts, chi2."""
        # Draws live in the space of standard normal numbers that the proposal turns into galaxies.
        share = n // (rounds + 1)
        u = self._normal(n - rounds * share)
        theta, log_flow = self._galaxies(u)
        log_p, log_l, chi2 = self._target(theta)
        first = torch.nan_to_num(log_p + log_l - log_flow, nan=-torch.inf)[None]
        if rounds and effective_number(first.numpy())[0] >= GOOD_SHARE * len(u):
            more = self._normal(n - len(u))
            others, flow = self._galaxies(more)
            parts = self._target(others)
            u, theta = torch.cat([u, more]), torch.cat([theta, others])
            log_flow = torch.cat([log_flow, flow])
            log_p, log_l, chi2 = (
                torch.cat(pair) for pair in zip((log_p, log_l, chi2), parts, strict=True)
            )
            rounds = 0
        log_q = _standard_normal(u)[None]
        counts = [len(u)]
        total = log_q[0]
        kept: list[Kernels] = []
        for _ in range(rounds):
            ratio = log_p + log_l - log_flow + _standard_normal(u) - total
            kernels = self._towards_data() if not kept else Kernels.around(u, ratio)
            new = kernels.draw(share, self.generator)
            fresh, flow = self._galaxies(new)
            p, likelihood, chi = self._target(fresh)
            theta, chi2 = torch.cat([theta, fresh]), torch.cat([chi2, chi])
            log_p, log_l = torch.cat([log_p, p]), torch.cat([log_l, likelihood])
            log_flow = torch.cat([log_flow, flow])
            again = torch.stack([_standard_normal(new), *(k.log_density(new) for k in kept)])
            u = torch.cat([u, new])
            kept.append(kernels)
            log_q = torch.cat([log_q, again], dim=1)
            log_q = torch.cat([log_q, kernels.log_density(u)[None]])
            counts.append(share)
            mix = torch.tensor(counts, dtype=torch.float64).log()[:, None]
            total = torch.logsumexp(log_q + mix, dim=0) - float(np.log(len(u)))
        log_q = log_flow - _standard_normal(u) + total
        weight = torch.nan_to_num(log_p + log_l - log_q, nan=-torch.inf)
        return theta, weight, log_p, log_l, log_q, chi2

    def _towards_data(self) -> Kernels:
        """Kernels around an ensemble of the network's draws that Kalman steps moved to the data.

        The brighter an object, the narrower is its posterior in the space of fluxes, and the more
        this is worth: no network draws colours to a third of a per cent.
        """
        u = self._normal(ENSEMBLE)
        for inflation in INFLATIONS:
            theta, _ = self._galaxies(u)
            residual, covariance = self.refiner.likelihood.residuals(theta, *self.photometry)
            fine = torch.isfinite(residual).all(1)
            if int(fine.sum()) < 4 * CORE or not bool(torch.isfinite(covariance).all()):
                break
            u = kalman_step(u[fine], residual[fine], covariance, inflation, self.generator)
            u = u.clamp(-LARGEST_NORMAL, LARGEST_NORMAL)
        return Kernels.around(u, torch.zeros(len(u)))

    def _normal(self, n: int) -> Tensor:
        """Standard normal numbers (n, CORE), float64; those of redshift evenly spread."""
        u = torch.randn(n, CORE, generator=self.generator, dtype=torch.float64)
        level = torch.rand(n, generator=self.generator, dtype=torch.float64)
        level = ((torch.arange(n) + level) / n).clamp(1e-9, 1 - 1e-9)
        u[:, 0] = torch.special.ndtri(level)
        return u

    def _galaxies(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates (n, D) of standard normal numbers, and ln of the proposal's density there."""
        flow = self.refiner.flow
        theta = torch.zeros(len(u), len(NAMES))
        if self.known is not None:
            zeta = (self.known[0] + self.known[1] * u[:, 0]).clamp(min=1e-4)
            log_z = self._log_known(zeta)
        else:
            zeta, log_z = self._redshift(torch.special.ndtr(u[:, 0]))
        theta[:, 0] = zeta.float()
        rows = torch.zeros(len(u), dtype=torch.int64)
        normal = u[:, flow.first :].float()
        drawn = flow.draw(theta, self.described, rows, self.generator, normal=normal)
        core = CORE - flow.first
        density = drawn[:core].double().sum(0) - flow.scale[flow.first : CORE].log().sum()
        # Beyond these numbers the map ends: infinitely dense, without weight.
        beyond = (u.abs() > LARGEST_NORMAL).any(1)
        return theta, torch.where(beyond, torch.inf, density + log_z)

    def _redshift(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """ln(1+z) at levels of its cumulative distribution, and ln of its density."""
        cumulative = self.probability.cumsum(0)
        level = level * cumulative[-1]
        bins = torch.searchsorted(cumulative, level).clamp(max=len(cumulative) - 1)
        inside = self.probability[bins].clamp(min=1e-300)
        place = 1.0 - ((cumulative[bins] - level) / inside).clamp(0.0, 1.0)
        return self.edges[bins] + place * self.edges.diff()[bins], self.log_bin[bins]

    def _log_known(self, zeta: Tensor) -> Tensor:
        if self.known is None:
            return torch.zeros_like(zeta, dtype=torch.float64)
        value, sigma = self.known
        deviate = (zeta.double() - value) / sigma
        return -0.5 * deviate.square() - float(np.log(sigma * np.sqrt(2 * np.pi)))

    def _target(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """ln prior, ln likelihood (float64), chi2."""
        prior, sky = self.refiner.prior, self.refiner.sky
        log_p = prior.log_density(theta, prior.described(None)).double().sum(0)
        log_p = log_p - prior.scale[prior.first : CORE].log().sum()
        log_p = log_p + sky.log_density(theta[:, 0], theta[:, 1])
        flux, error, observed = (v.expand(len(theta), -1) for v in self.photometry)
        log_l, chi2 = self.refiner.likelihood(theta, flux, error, observed)
        log_l = log_l.double() + self._log_known(theta[:, 0])
        return log_p, torch.nan_to_num(log_l, nan=-torch.inf), chi2


def _standard_normal(u: Tensor) -> Tensor:
    """ln density (n,) of independent standard normal numbers (n, C)."""
    return -0.5 * u.square().sum(1) - 0.5 * u.shape[1] * float(np.log(2.0 * np.pi))
