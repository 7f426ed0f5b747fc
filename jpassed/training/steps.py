"""One training step's question: what is shown, what is asked, and what the answer should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from jpassed.tokens.batch import Context, Requests
from jpassed.tokens.build import BandLayout, build_context, build_requests
from jpassed.tokens.masking import GivenLabels, give_labels, hide_bands, noisy_labels
from jpassed.tokens.scaling import LabelScaling, flux_to_scaled
from jpassed.training.config import MixConfig
from jpassed.training.host import (
    host_plan,
    on_device,
    roll,
    shuffled,
    used_columns,
    weighted_order,
)  # fmt: skip
from jpassed.training.importance import context_weights, suggested_log_flux
from jpassed.training.sources import SELECTION_BAND, Observation
from jpassed.vocabulary import Vocabulary

__all__ = ["Question", "Questioner"]

KEEP_ALL = (0.97, 0.15, 0.6, 0.5)
"""Share of the objects that show all bands, for each way of a step: see `MixConfig`."""


@dataclass(frozen=True)
class Question:
    """Context, requests and answers of one step.

    Attributes
    ----------
    context : Context
    requests : Requests
    target, error : Tensor
        (N, R) scaled truths and their errors.
    asked : Tensor
        (N, R) bool: counts in the loss.
    weight : Tensor
        (N,) importance weights, mean 1: with them, posteriors refer to the declared prior
        whatever the context shows (see `jpassed.training.importance`).
    whole : Question or None
        The question that this one is a part of.
    """

    context: Context
    requests: Requests
    target: Tensor
    error: Tensor
    asked: Tensor
    weight: Tensor
    whole: Question | None = None

    @property
    def objects(self) -> int:
        """Objects of the whole question."""
        return len(self.weight if self.whole is None else self.whole.weight)

    def take(self, rows: slice) -> Question:
        """The same question about some of the objects."""
        return Question(
            self.context[rows], self.requests, self.target[rows], self.error[rows],
            self.asked[rows], self.weight[rows], whole=self.whole or self,
        )  # fmt: skip


class Questioner:
    """Draws questions about observed objects.

    Parameters
    ----------
    layout : BandLayout
        Columns of every `Observation`.
    main : sequence of int
        Columns of the survey's own filter set: the patch, or single bands where there is none.
    sets : sequence of sequence of int
        Columns of each other filter set.
    vocabulary : Vocabulary
    scaling : LabelScaling
    mix : MixConfig
    """

    def __init__(
        self,
        layout: BandLayout,
        main: Sequence[int],
        sets: Sequence[Sequence[int]],
        vocabulary: Vocabulary,
        scaling: LabelScaling,
        mix: MixConfig,
    ) -> None:
        self.layout, self.vocabulary, self.scaling, self.mix = layout, vocabulary, scaling, mix
        self.sets = [torch.tensor(list(s), dtype=torch.int64) for s in sets]
        self.main = torch.tensor(list(main), dtype=torch.int64)
        shared = set(layout.patch.tolist())
        self.loose = torch.tensor([i for i in main if i not in shared], dtype=torch.int64)
        self.bands = {
            name: (float(layout.pivot[i]), float(layout.width[i]))
            for i, name in enumerate(layout.bands)
        }
        self.redshift = scaling.names.index("z")
        # How often each band is asked: the survey's own, and GALEX, more often than others.
        self.emphasis = torch.full((len(layout.bands),), 0.4)
        self.emphasis[self.main] = 1.0
        if self.sets:
            self.emphasis[self.sets[0]] = 4.0
        # Real objects need no weights, and their tables may lack the band of the selection.
        self.reference = (
            layout.bands.index(SELECTION_BAND) if SELECTION_BAND in layout.bands else None
        )

    def ask_broad(
        self,
        seen: Observation,
        generator: torch.Generator,
        *,
        plan: torch.Generator | None = None,
        simulated: int | None = None,
    ) -> Question:
        """Draw a question about N objects that show the other filter sets alone."""
        mix = replace(
            self.mix, full=0.0, partial=0.0, surveys=1.0, joined=0.0, only_labels=0.0,
            requests=self.mix.broad_requests, bands=self.mix.broad_bands,
        )  # fmt: skip
        return self.ask(seen, generator, mix, plan=plan, simulated=simulated)

    def ask(
        self,
        seen: Observation,
        generator: torch.Generator,
        mix: MixConfig | None = None,
        *,
        plan: torch.Generator | None = None,
        simulated: int | None = None,
    ) -> Question:
        """Draw a question about N objects.

        Parameters
        ----------
        seen : Observation
        generator : torch.Generator
            Of all random numbers of single objects.
        mix : MixConfig, optional
            Another one than the questioner's.
        plan : torch.Generator, optional
            On the host: which bands take part, what is asked. See `jpassed.training.host`.
        simulated : int, optional
            The first so many of the objects are simulated, the others real; where it is not given
            the objects are asked.
        """
        mix = self.mix if mix is None else mix
        plan = host_plan(generator) if plan is None else plan
        device = seen.flux.device
        rolled, way = roll(mix, plan)
        only_labels = rolled[1] < mix.only_labels
        layout = self._layout(way, rolled, plan)
        observed = seen.observed & on_device(used_columns(layout), device)
        observed = self._drop_sets(observed, generator)
        if only_labels:
            few = torch.rand(observed.shape, generator=generator, device=device) < 0.03
            observed &= few
        else:
            keep_all = KEEP_ALL[way]
            observed = hide_bands(observed, layout.pivot, generator, keep_all=keep_all)
        given = self._labels(seen, only_labels, rolled[2] < mix.labels, generator)
        context = build_context(
            seen.flux,
            seen.error,
            observed,
            layout,
            vocabulary=self.vocabulary,
            scaling=self.scaling,
            label_value=None if given is None else given.value,
            label_error=None if given is None else given.error,
            label_given=None if given is None else given.given,
        )
        requests, target, error, asked = self._requests(seen, observed, context, given, plan, mix)
        weight = self._weight(seen, observed, simulated)
        return Question(context, requests, target, error, asked, weight / weight.mean())

    def ask_patch(
        self, seen: Observation, generator: torch.Generator, *, simulated: int | None = None
    ) -> Question:
        """Ask for every label of N objects, given some or all of their patch bands."""
        mix, layout = self.mix, self.layout.with_single(self.layout.single[:0])
        device = seen.flux.device
        used = on_device(used_columns(layout), device)
        shares = mix.full + mix.partial
        keep_all = (KEEP_ALL[0] * mix.full + KEEP_ALL[1] * mix.partial) / shares if shares else 1.0
        observed = hide_bands(seen.observed & used, layout.pivot, generator, keep_all=keep_all)
        context = build_context(
            seen.flux, seen.error, observed, layout,
            vocabulary=self.vocabulary, scaling=self.scaling,
        )  # fmt: skip
        requests = _placed(build_requests(self.scaling.names, self.vocabulary, {}), device)
        target, error = self.scaling.to_scaled(seen.labels, seen.label_error)
        weight = self._weight(seen, observed, simulated)
        # Without a band of the patch there is nothing to read.
        asked = seen.label_known & observed.any(-1, keepdim=True)
        return Question(context, requests, target, error, asked, weight / weight.mean())

    def _weight(self, seen: Observation, observed: Tensor, simulated: int | None) -> Tensor:
        """Weights of the objects, given the bands that each of them shows; 1 for real ones."""
        weight = torch.ones_like(seen.weight)
        rows: Tensor | slice = slice(simulated)
        if simulated is None:
            rows = seen.simulated.nonzero().squeeze(1)
            simulated = len(rows)
        if self.mix.prior != "declared" or self.reference is None or not simulated:
            return weight
        truth, shown = seen.target[rows], observed[rows]
        suggested = suggested_log_flux(
            seen.flux[rows], seen.error[rows], shown, truth, self.reference
        )
        weight[rows] = context_weights(
            seen.weight[rows], seen.weight_at_magnitude[rows],
            truth[:, self.reference].clamp(min=1e-30).log(), suggested, shown.any(-1),
            clip=self.mix.heaviest,
        )  # fmt: skip
        return weight

    def _layout(self, way: int, rolled: list[float], plan: torch.Generator) -> BandLayout:
        """Which filter sets take part in this step."""
        galex = self.sets[0] if self.sets else torch.zeros(0, dtype=torch.int64)
        single = galex
        others = self.sets[1:]
        if way >= 2 and others:
            count = 1 if way == 3 or rolled[3] < 0.5 else min(2 + int(rolled[4] < 0.3), len(others))
            chosen = [others[i] for i in shuffled(len(others), plan)[:count]]
            # GALEX stays possible beside any optical survey.
            single = torch.cat([galex, *chosen]) if rolled[5] < 0.5 else torch.cat(chosen)
        elif rolled[5] < 0.3:
            single = single[:0]
        if way == 2 and others:
            return self.layout.with_single(single).without_patch()
        return self.layout.with_single(torch.cat([self.loose, single]))

    def _drop_sets(self, observed: Tensor, generator: torch.Generator) -> Tensor:
        """Leave each set out as a whole for some objects: not every survey covers every field."""
        for columns in self.sets:
            shown = torch.rand((observed.shape[0], 1), generator=generator, device=observed.device)
            observed[:, on_device(columns, observed.device)] &= shown < 0.65
        return observed

    def _labels(
        self, seen: Observation, only: bool, usual: bool, generator: torch.Generator
    ) -> GivenLabels | None:
        if not (only or usual):
            return None
        most = seen.label_known.shape[1] if only else self.mix.most_labels
        given = give_labels(
            seen.label_known, most, generator, favoured=self.redshift, favour=0.9 if only else 0.4
        )
        labels = noisy_labels(
            seen.labels, given & seen.simulated.unsqueeze(1), self.scaling, generator,
            self.mix.noisy,
        )  # fmt: skip
        # Real labels come with the errors they have.
        error = torch.where(seen.simulated.unsqueeze(1), labels.error, seen.label_error)
        return GivenLabels(labels.value, error, given)

    def _requests(
        self,
        seen: Observation,
        observed: Tensor,
        context: Context,
        given: GivenLabels | None,
        plan: torch.Generator,
        mix: MixConfig,
    ) -> tuple[Requests, Tensor, Tensor, Tensor]:
        device = seen.flux.device
        names = self.scaling.names
        count = max(1, min(mix.requests - mix.bands, len(names)))
        order = shuffled(len(names), plan)
        labels = [self.redshift] + [i for i in order if i != self.redshift][: count - 1]
        columns = weighted_order(self.emphasis, plan)[: mix.bands]
        requests = build_requests(
            [names[i] for i in labels] + [f"flux:{self.layout.bands[b]}" for b in columns],
            self.vocabulary,
            self.bands,
        )
        chosen, bands = (on_device(c, device, torch.int64) for c in (labels, columns))
        scaled, sigma = self.scaling.to_scaled(seen.labels, seen.label_error)
        asked = seen.label_known.clone()
        if given is not None:
            asked &= ~given.given
        scale = context.log_scale.exp()
        flux, flux_sigma = flux_to_scaled(seen.target[:, bands], scale, seen.target_error[:, bands])
        # A measured bandflux is never asked while the same noise draw is in the context.
        flux_asked = seen.target_known[:, bands] & (
            seen.simulated.unsqueeze(1) | ~observed[:, bands]
        )
        return (
            _placed(requests, device),
            torch.cat((scaled[:, chosen], flux), 1),
            torch.cat((sigma[:, chosen], flux_sigma), 1),
            torch.cat((asked[:, chosen], flux_asked), 1),
        )


def _placed(requests: Requests, device: torch.device) -> Requests:
    """Requests on the device."""
    return replace(
        requests,
        kind=on_device(requests.kind, device),
        wavelength=on_device(requests.wavelength, device),
        width=on_device(requests.width, device),
    )
