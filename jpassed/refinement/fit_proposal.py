"""Fit the proposal: a flow over a galaxy's coordinates, on the encoded context of a network."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from jpassed.jspectrum.error_model import load_noise
from jpassed.nn.model import SEDModel
from jpassed.refinement.coordinates import NAMES
from jpassed.refinement.fit_emulator import descend
from jpassed.refinement.flow import AutoregressiveMixture, ReadOut
from jpassed.simulator.noise import NoiseModel
from jpassed.tokens.build import BandLayout, build_context
from jpassed.tokens.masking import hide_bands
from jpassed.tokens.scaling import LabelScaling
from jpassed.vocabulary import load_vocabulary

if TYPE_CHECKING:
    from jpassed.filters import FilterSet

__all__ = ["ContextSource", "ProposalNets", "fit_proposal"]

logger = logging.getLogger(__name__)

SELECTION_BAND, SELECTION_LIMIT = "rSDSS", 22.7
KEEP_EVERY = 250
GALEX = ("galex-ais", "galex-mis", "galex-dis")


@dataclass(frozen=True)
class Encoded:
    """Context tokens of a batch, in half precision, and the truth."""

    tokens: Tensor
    bias: Tensor | None
    dense: Tensor | None
    theta: Tensor


class ProposalNets(nn.Module):
    """Read-out and flow.

    Parameters
    ----------
    width : int
        Of the network's context tokens.
    size, hidden, components : int
        Numbers read out; width and Gaussians of the flow's networks.
    dense : int
        Length of the network's dense vector, 0 for none.
    """

    def __init__(
        self, width: int, size: int = 128, hidden: int = 56, components: int = 6, dense: int = 0
    ) -> None:
        super().__init__()
        self.sizes = {
            "width": width, "size": size, "hidden": hidden, "components": components,
            "dense": dense,
        }  # fmt: skip
        self.read_out = ReadOut(width, size, dense=dense)
        self.flow = AutoregressiveMixture(
            1, len(NAMES), len(NAMES), context=size, width=hidden, components=components
        )


class ContextSource:
    """Simulated galaxies with fresh noise, some of their bands hidden, as context tokens.

    Parameters
    ----------
    network : SEDModel
        Encodes; it is not changed.
    filters : FilterSet
        Passbands of the columns of `bandflux`.
    bandflux, theta : Tensor (M, B) and (M, D)
        Galaxies.
    noise : sequence of str
        Noise presets of the bands; GALEX bands draw one of theirs for every batch.
    seed : int
    """

    def __init__(
        self,
        network: SEDModel,
        filters: FilterSet,
        bandflux: Tensor,
        theta: Tensor,
        noise: Sequence[str],
        seed: int,
    ) -> None:
        self.network, self.bandflux, self.theta = network, bandflux, theta
        self.vocabulary = load_vocabulary()
        self.scaling = LabelScaling.from_vocabulary(self.vocabulary, self.vocabulary.scalars)
        self.names = tuple(filters.names)
        self.layout = BandLayout.make(
            self.names,
            [b.pivot_wavelength for b in filters],
            [b.equivalent_width for b in filters],
            network.config.patch_bands,
        )
        self.selection = self.names.index(SELECTION_BAND)
        self.groups = [[self._group(name)] for name in noise]
        if "galex_nuv" in self.names:
            self.groups.append([self._group(name) for name in GALEX])
        self.generator = torch.Generator().manual_seed(seed)

    def _group(self, preset: str) -> tuple[list[int], NoiseModel]:
        model = load_noise(preset)
        kept = [band for band in model.bands if band in self.names]
        columns = [self.names.index(band) for band in kept]
        return columns, NoiseModel(model.select(kept).arrays())

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator)

    @torch.no_grad()
    def photometry(self, n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Noisy bandfluxes, errors, presence (N, B), and coordinates (N, D), N about n."""
        rows = torch.randint(len(self.theta), (int(1.4 * n),), generator=self.generator)
        true = self.bandflux[rows]
        noisy, error = torch.zeros_like(true), torch.ones_like(true)
        observed = torch.zeros_like(true, dtype=torch.bool)
        for presets in self.groups:
            columns, model = presets[int(self._uniform(1) * len(presets))]
            value, sigma = model.apply(true[:, columns], generator=self.generator)
            noisy[:, columns], error[:, columns] = value, sigma
            observed[:, columns] = True
        limit = 3631e6 * 10 ** (-0.4 * SELECTION_LIMIT)
        chosen = torch.nonzero(noisy[:, self.selection] > limit)[:n, 0]
        return noisy[chosen], error[chosen], observed[chosen], self.theta[rows[chosen]]

    def _layout(self) -> BandLayout:
        """The survey's bands alone, with GALEX, with another survey's, or those alone."""
        way = float(self._uniform(1))
        galex = [i for i, name in enumerate(self.names) if name.startswith("galex")]
        single = set(self.layout.single.tolist())
        others = sorted(single - set(galex))
        chosen: list[int] = []
        if way > 0.4 or not len(self.layout.patch):
            chosen = galex
        if way > 0.85 and others:
            own = self.names[others[int(self._uniform(1) * len(others))]].partition("_")[0]
            chosen = galex + [i for i in others if self.names[i].startswith(own)]
        if not len(self.layout.patch):
            return self.layout
        columns = torch.tensor(sorted(chosen), dtype=torch.int64)
        layout = self.layout.with_single(columns)
        return layout.without_patch() if way > 0.95 and chosen else layout

    @torch.no_grad()
    def encoded(self, n: int) -> Encoded:
        """One batch of contexts: all of the survey's bands in most, a part of them in others."""
        flux, error, observed, theta = self.photometry(n)
        layout = self._layout()
        used = torch.zeros(len(self.names), dtype=torch.bool)
        used[layout.single] = True
        used[layout.patch[layout.patch >= 0]] = True
        keep_all = 1.0 if float(self._uniform(1)) < 0.65 else 0.1
        shown = hide_bands(observed & used, layout.pivot, self.generator, keep_all=keep_all)
        context = build_context(
            flux, error, shown, layout, vocabulary=self.vocabulary, scaling=self.scaling
        )
        with torch.autocast("cpu", torch.bfloat16):
            tokens, bias, dense = self.network.encode(context)
        half = None if dense is None else dense.to(torch.bfloat16)
        return Encoded(tokens.to(torch.bfloat16), bias, half, theta)


def fit_proposal(
    nets: ProposalNets,
    source: ContextSource,
    *,
    steps: int = 2000,
    batch: int = 512,
    kept: int = 48,
    refresh: int = 3,
    seed: int = 13,
    rate: float = 3e-3,
    start: int = 0,
    keep: Callable[[int], None] | None = None,
) -> None:
    """Maximum likelihood of coordinates at given contexts; the network stays as it is.

    Parameters
    ----------
    nets : ProposalNets
        Standardised, see `AutoregressiveMixture.standardise`.
    source : ContextSource
    steps, batch : int
    kept, refresh : int
        Encoded batches kept, and steps after which the oldest is replaced: to encode costs more
        than a step.
    seed : int
    rate : float
        Largest learning rate.
    start : int
        Step to go on from.
    keep : callable, optional
        Called with the number of steps done every `KEEP_EVERY` steps and at the end.
    """
    torch.manual_seed(seed)
    held = [source.encoded(batch) for _ in range(2)]
    ring = [source.encoded(batch) for _ in range(min(kept, 4))]
    generator = torch.Generator().manual_seed(seed)

    def loss_of(one: Encoded) -> Tensor:
        numbers = nets.read_out(one.tokens, one.bias, one.dense)
        density = nets.flow.log_density(one.theta, nets.flow.described(numbers))
        return -density.clamp(min=-30.0).sum(0).mean()

    def loss(step: int) -> Tensor:
        if step % refresh == 0 or len(ring) < kept // 2:
            new = source.encoded(batch)
            if len(ring) < kept:
                ring.append(new)
            else:
                ring[(step // refresh) % kept] = new
        pick = int(torch.randint(len(ring), (1,), generator=generator))
        return loss_of(ring[pick])

    def after(step: int, _: torch.optim.Optimizer) -> None:
        if keep is not None and (step % KEEP_EVERY == 0 or step == steps):
            keep(step)

    descend(nets, loss, steps, what="proposal", rate=rate, start=start, after=after)
    with torch.no_grad():
        score = sum(loss_of(one).item() for one in held) / len(held)
    logger.info("proposal: held-out loss %.3f", score)
    nets.eval()
