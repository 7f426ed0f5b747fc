"""The loss of a training step: all its questions in one module, which ranks can share."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn

from jpassed.nn.model import SEDModel
from jpassed.objectives import load_objective, mean_of_requests
from jpassed.training.config import TrainingConfig
from jpassed.training.host import on_device
from jpassed.training.journal import loss_groups
from jpassed.training.ranks import Ranks
from jpassed.training.steps import Question

__all__ = ["Questions", "StepLoss", "loss_figures"]


class Questions(NamedTuple):
    """The questions of a step.

    Attributes
    ----------
    usual : Question
        Requests of objects that show whatever.
    dense : Question or None
        All labels asked of the dense readout.
    broad : Question or None
        Requests of objects without the patch.
    """

    usual: Question
    dense: Question | None
    broad: Question | None

    def share(self, ranks: Ranks) -> Questions:
        """The rows of one rank; all of them where there is no other."""
        if ranks.count == 1:
            return self

        def own(question: Question) -> Question:
            return question.take(ranks.rows(question.objects))

        return Questions(
            own(self.usual),
            None if self.dense is None else own(self.dense),
            None if self.broad is None else own(self.broad),
        )


class StepLoss(nn.Module):
    """Loss of the questions of a step.

    One module for all of them, as `DistributedDataParallel` adds up the gradients of one forward
    and one backward pass. Of a share of the questions it gives the part that adds up, over all
    shares, to the loss of the whole.

    Parameters
    ----------
    network : SEDModel
    config : TrainingConfig
        Its objective and mix, and the precision.
    """

    def __init__(self, network: SEDModel, config: TrainingConfig) -> None:
        super().__init__()
        self.network = network
        self.mix = config.mix
        self.objective = load_objective(config.objective)
        self.low = config.optimiser.precision == "bfloat16"

    def forward(
        self, usual: Question, dense: Question | None, broad: Question | None
    ) -> tuple[Tensor, Tensor]:
        """The loss, and the figures of the log in the order of `loss_figures`, detached."""
        total, each = self._ask(usual)
        figures = [each]
        if dense is not None:
            other, _ = self._ask(dense, dense=True)
            figures.append(other.detach().unsqueeze(0))
            total = total + self.mix.dense_weight * other
        if broad is not None:
            other, each = self._ask(broad)
            figures += [other.detach().unsqueeze(0), each]
            total = total + self.mix.broad_weight * other
        return total, torch.cat([total.detach().unsqueeze(0), *figures])

    def _ask(self, question: Question, *, dense: bool = False) -> tuple[Tensor, Tensor]:
        """Weighted mean of the losses of the requests, and each of them, NaN if not asked."""
        answer = self.network.from_patch if dense else self.network
        device = question.weight.device
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.low):
            prediction = answer(question.context, question.requests)
        rows = self.objective(
            self.network, prediction, question.target, question.error, question.asked
        )
        each, counts = mean_of_requests(rows, question.asked, question.weight)
        whole = question.whole
        if whole is not None:
            own, counts = counts, (whole.asked * whole.weight.unsqueeze(-1)).sum(0)
            each = each * (own / counts.clamp(min=1e-6))
        given = [self.mix.weights.get(n.partition(":")[0], 1.0) for n in prediction.names]
        weights = on_device(given, device, torch.float32)
        share = (counts / question.objects).clamp(max=1.0)
        total = (each * weights * share).sum() / weights.sum()
        # A request that nobody was asked has no loss.
        return total, torch.where(counts > 0, each.detach(), math.nan)


def loss_figures(questions: Questions, figures: list[float]) -> dict[str, float]:
    """What the log says of the figures that `StepLoss` gave, added up over the ranks."""
    values = iter(figures)
    loss = next(values)
    found = {"loss": loss, **_groups(questions.usual, values)}
    if questions.dense is not None:
        found["loss_dense"] = next(values)
    if questions.broad is not None:
        other = next(values)
        found["loss_broad"] = _groups(questions.broad, values).get("loss_z", other)
    return found


def _groups(question: Question, values: Iterator[float]) -> dict[str, float]:
    names = question.requests.names
    pairs = zip(names, islice(values, len(names)), strict=True)
    asked = {n: v for n, v in pairs if not math.isnan(v)}
    return loss_groups(asked.keys(), asked.values())
