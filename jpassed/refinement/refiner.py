"""Refinement: draws of the network's posterior, weighted by likelihood and prior."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jpassed.exceptions import ModelError
from jpassed.nn.model import SEDModel
from jpassed.refinement.coordinates import CORE, NAMES, Cosmology
from jpassed.refinement.flow import AutoregressiveMixture, ReadOut
from jpassed.refinement.likelihood import Likelihood
from jpassed.refinement.prior import SkyPrior
from jpassed.tokens.batch import Context, Requests

__all__ = ["Proposal", "Refined", "Refiner"]

ROWS_AT_ONCE = 16000
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
        vectors = network.decode(tokens, bias, redshift)
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
        self.sky, self.cosmology = SkyPrior(), Cosmology()

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
        """
        parts: list[tuple[Tensor, ...]] = []
        step = max(1, ROWS_AT_ONCE // n)
        for start in range(0, len(flux), step):
            own = slice(start, start + step)
            known = None if known_zeta is None else (known_zeta[0][own], known_zeta[1][own])
            parts.append(self._some(proposal, own, flux, error, observed, n, generator, known))
        return Refined(*(torch.cat(p) for p in zip(*parts, strict=True)))

    def _redshifts(
        self,
        proposal: Proposal,
        own: slice,
        n: int,
        generator: torch.Generator,
        known: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draws of ln(1+z), their log density, and the log likelihood of a known redshift."""
        probability = proposal.probability[own]
        cumulative = probability.cumsum(1)
        count = len(probability)
        # One draw from each of n equal shares of the probability.
        u = torch.rand(count, n, generator=generator, dtype=torch.float64)
        u = (torch.arange(n) + u) / n * cumulative[:, -1:]
        bins = torch.searchsorted(cumulative, u).clamp(max=probability.shape[1] - 1)
        width = proposal.edges.diff()
        place = torch.rand(count, n, generator=generator, dtype=torch.float64)
        zeta = proposal.edges[bins] + place * width[bins]
        log_q = (probability.gather(1, bins) / width[bins]).log()
        log_known = torch.zeros_like(log_q)
        if known is not None:
            value, sigma = known[0].double()[:, None], known[1].double()[:, None].clamp(min=1e-5)
            given = torch.isfinite(value)
            value, sigma = torch.where(given, value, 0.0), torch.where(given, sigma, 1.0)
            deviate = torch.randn(count, n, generator=generator, dtype=torch.float64)
            zeta = torch.where(given, (value + sigma * deviate).clamp(min=1e-4), zeta)
            density = -0.5 * ((zeta - value) / sigma).square() - sigma.log()
            log_q = torch.where(given, density, log_q)
            log_known = torch.where(given, density, log_known)
        return zeta, log_q, log_known

    def _some(
        self,
        proposal: Proposal,
        own: slice,
        flux: Tensor,
        error: Tensor,
        observed: Tensor,
        n: int,
        generator: torch.Generator,
        known: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, ...]:
        zeta, log_q, log_known = self._redshifts(proposal, own, n, generator, known)
        count = len(zeta)
        rows = torch.arange(count).repeat_interleave(n)
        theta = torch.zeros(count * n, len(NAMES))
        theta[:, 0] = zeta.flatten().float()
        drawn = self.flow.draw(theta, proposal.described[:, own], rows, generator)
        core = CORE - self.flow.first
        scale = self.flow.get_buffer("scale")[self.flow.first : CORE].log().sum()
        log_q = log_q + (drawn[:core].double().sum(0) - scale).reshape(count, n)
        log_p = self.prior.log_density(theta, self.prior.described(None)).double().sum(0)
        log_p = log_p - self.prior.get_buffer("scale")[self.prior.first : CORE].log().sum()
        log_p = (log_p + self.sky.log_density(theta[:, 0], theta[:, 1])).reshape(count, n)
        log_l, chi2 = self.likelihood(
            theta, flux[own][rows], error[own][rows], observed[own][rows]
        )
        log_l = log_l.double().reshape(count, n) + log_known
        log_l = torch.nan_to_num(log_l, nan=-torch.inf)
        weight = torch.nan_to_num(log_l + log_p - log_q, nan=-torch.inf)
        return (
            theta.reshape(count, n, -1), weight, log_p, log_l, log_q, chi2.reshape(count, n)
        )  # fmt: skip
