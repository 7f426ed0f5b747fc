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
from jpassed.refinement.kernels import Kernels
from jpassed.refinement.likelihood import Likelihood
from jpassed.refinement.prior import SkyPrior
from jpassed.tokens.batch import Context, Requests

__all__ = ["Proposal", "Refined", "Refiner"]

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

        Raises
        ------
        ModelError
            If the network's redshift is not binned.
        """
        if network.redshift_head is None:
            raise ModelError("refinement needs a model with a binned redshift head")
        tokens, bias = network.encode(context)
        vectors = network.decode(tokens, bias, redshift, context)
        probability = network.redshift_head(vectors[:, 0]).double().softmax(-1)
        upper = torch.log1p(torch.tensor(1.2))
        edges = network.redshift_head.edges.double().cpu()
        inside = (edges[1:] <= upper + 1e-6) & (edges[:-1] >= -1e-9)
        probability = probability.cpu() * inside
        spread = running_mean(probability)
        probability = (1 - DEFENSIVE) * spread + DEFENSIVE * running_mean(spread.sqrt(), 9) * inside
        probability = probability * inside
        described = flow.described(read_out(tokens, bias).cpu())
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
        rounds: int = 2,
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
        self._kernels: list[Kernels] = []

    def run(self, n: int, rounds: int) -> tuple[Tensor, ...]:
        """n draws: coordinates, log weight and its parts, chi2."""
        share = n // (rounds + 1)
        theta = self._from_network(n - rounds * share)
        log_p, log_l, chi2 = self._target(theta)
        log_q = self._network_density(theta)[None]
        counts = [len(theta)]
        total = log_q[0]
        for _ in range(rounds):
            kernels = Kernels.around(theta[:, :CORE], log_p + log_l - total, self._scale())
            new = torch.zeros(share, len(NAMES))
            new[:, :CORE] = kernels.draw(share, self.generator)
            flow = self.refiner.flow
            rows = torch.zeros(share, dtype=torch.int64)
            flow.draw(new, self.described, rows, self.generator, start=CORE)
            p, likelihood, chi = self._target(new)
            theta, chi2 = torch.cat([theta, new]), torch.cat([chi2, chi])
            log_p, log_l = torch.cat([log_p, p]), torch.cat([log_l, likelihood])
            old = torch.cat([log_q, self._again(new, log_q)], dim=1)
            self._kernels.append(kernels)
            log_q = torch.cat([old, kernels.log_density(theta[:, :CORE])[None]])
            counts.append(share)
            mix = torch.tensor(counts, dtype=torch.float64).log()[:, None]
            total = torch.logsumexp(log_q + mix, dim=0) - float(np.log(len(theta)))
        weight = torch.nan_to_num(log_p + log_l - total, nan=-torch.inf)
        return theta, weight, log_p, log_l, total, chi2

    def _scale(self) -> Tensor:
        return self.refiner.prior.scale[:CORE]

    def _again(self, new: Tensor, log_q: Tensor) -> Tensor:
        """Densities of new draws under all proposals so far."""
        rows = [self._network_density(new)]
        rows += [kernels.log_density(new[:, :CORE]) for kernels in self._kernels]
        return torch.stack(rows)

    def _from_network(self, n: int) -> Tensor:
        theta = torch.zeros(n, len(NAMES))
        if self.known is not None:
            deviate = torch.randn(n, generator=self.generator)
            theta[:, 0] = (self.known[0] + self.known[1] * deviate).clamp(min=1e-4)
        else:
            cumulative = self.probability.cumsum(0)
            # One draw from each of n equal shares of the probability.
            u = torch.rand(n, generator=self.generator, dtype=torch.float64)
            u = (torch.arange(n) + u) / n * cumulative[-1]
            bins = torch.searchsorted(cumulative, u).clamp(max=len(cumulative) - 1)
            place = torch.rand(n, generator=self.generator, dtype=torch.float64)
            theta[:, 0] = (self.edges[bins] + place * self.edges.diff()[bins]).float()
        rows = torch.zeros(n, dtype=torch.int64)
        self.refiner.flow.draw(theta, self.described, rows, self.generator)
        return theta

    def _log_known(self, zeta: Tensor) -> Tensor:
        if self.known is None:
            return torch.zeros_like(zeta, dtype=torch.float64)
        value, sigma = self.known
        deviate = (zeta.double() - value) / sigma
        return -0.5 * deviate.square() - float(np.log(sigma * np.sqrt(2 * np.pi)))

    def _network_density(self, theta: Tensor) -> Tensor:
        """ln of the network's proposal in the core coordinates (n,), float64."""
        flow, core = self.refiner.flow, CORE - self.refiner.flow.first
        rows = torch.zeros(len(theta), dtype=torch.int64)
        density = flow.log_density(theta, self.described, rows)[:core].double().sum(0)
        density = density - flow.scale[flow.first : CORE].log().sum()
        if self.known is not None:
            return density + self._log_known(theta[:, 0])
        zeta = theta[:, 0].double()
        index = torch.bucketize(zeta, self.edges) - 1
        inside = (index >= 0) & (index < len(self.log_bin))
        own = self.log_bin[index.clamp(0, len(self.log_bin) - 1)]
        return density + torch.where(inside, own, -torch.inf)

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
