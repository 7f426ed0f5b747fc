"""The loop of a fine-tuning: the user's rows and replayed galaxies in, the best weights out."""

from __future__ import annotations

import copy
import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jpassed.adaptation.heldout import BANDS, HeldOut, Verdict, compare
from jpassed.adaptation.new_rows import KIND_ROWS
from jpassed.adaptation.replay import Replay, weights_of
from jpassed.adaptation.rows import OwnRows
from jpassed.adaptation.settings import FinetuneSettings
from jpassed.exceptions import InputError, TrainingError
from jpassed.nn.model import SEDModel
from jpassed.objectives import request_nll
from jpassed.training.muon import make_optimiser
from jpassed.training.state import STATE, read_state, write_state
from jpassed.training.steps import Question
from jpassed.vocabulary import Vocabulary
from jpassed.vocabulary.vocabulary import BANDFLUX

__all__ = ["Baseline", "Tuner", "tuned_weights"]

logger = logging.getLogger(__name__)

LABEL_WEIGHT, REDSHIFT_WEIGHT, BAND_WEIGHT = 4.0, 8.0, 0.5
"""Weights of the requests about the user's rows in the loss."""

NEW_ROWS_RATE = 0.3
"""Learning rate where new rows alone are trained, over the usual one."""

FLUX_ROWS = (
    "request_kind.weight", "head.linear.weight", "head.linear.bias",
    "request_band.weight", "request_band.bias",
)  # fmt: skip
"""Weights that requests of bandfluxes alone read; of the first three only the bandflux's row."""

WITHOUT_HEADS = re.compile(r"^(?!head|redshift_head)")
PATCH = re.compile(r"^(patch|dense)\b")


def tuned_weights(
    network: SEDModel, rows: OwnRows, new: Sequence[str], heads: bool = False
) -> set[str]:
    """Names of the weights that are trained.

    All but the heads, which a few rows turn into combs (measured, see the page), and but the
    patch where the rows have none of its bands. Where only new kinds are learned, their own rows
    alone, and without labels what bandfluxes alone are asked with: the posteriors of all (other)
    labels stay as they are then. Trained on hidden bands, the trunk loses redshifts (measured).
    """
    if not rows.labelled:
        return set(FLUX_ROWS)
    if set(rows.labelled) == set(new):
        return set(KIND_ROWS)
    patch = bool((rows.layout.patch >= 0).any())
    names = {n for n, _ in network.named_parameters() if heads or WITHOUT_HEADS.match(n)}
    if not patch:
        names -= {n for n in names if PATCH.match(n) and n != "dense.lift.weight"}
    return names | (set(KIND_ROWS) if new else set())


@dataclass(frozen=True)
class Baseline:
    """What a fine-tuning has to surpass, object by object (N,) on held-out rows.

    Attributes
    ----------
    start : dict
        Log scores of the start: of the bandfluxes, and of labels that it knows.
    uninformed : dict
        Log scores of the labels' own distribution.
    """

    start: dict[str, NDArray[np.float64]]
    uninformed: dict[str, NDArray[np.float64]]

    def gains(self, scores: dict[str, NDArray[np.float64]], sigmas: float) -> dict[str, Verdict]:
        """Gains over the start; new kinds have to surpass their own distribution."""
        # New kinds have no start.
        old = {**self.uninformed, **self.start}
        return {name: compare(score, old[name], sigmas=sigmas) for name, score in scores.items()}


class Tuner:
    """Fine-tunes a copy of a network.

    Parameters
    ----------
    network : SEDModel
        The start, with rows for new kinds. It stays as it is.
    vocabulary : Vocabulary
    rows : OwnRows
        Objects to learn from.
    soft : ndarray (N, L)
        Blur of their labels in scaled units.
    held_out : HeldOut
    baseline : Baseline
    new : sequence of str
        New kinds.
    replay : Replay or None
    settings : FinetuneSettings
    folder : Path
        For the checkpoint.
    identity : str
        Of start, rows and settings: a checkpoint of others is refused.
    """

    def __init__(
        self,
        network: SEDModel,
        vocabulary: Vocabulary,
        rows: OwnRows,
        soft: NDArray[np.float64],
        held_out: HeldOut,
        baseline: Baseline,
        new: Sequence[str],
        replay: Replay | None,
        settings: FinetuneSettings,
        folder: Path,
        identity: str,
    ) -> None:
        self.rows, self.settings, self.folder, self.identity = rows, settings, folder, identity
        self.held_out, self.baseline, self.replay = held_out, baseline, replay
        self.labels = held_out.labels
        self.network = copy.deepcopy(network).train()
        chosen = tuned_weights(network, rows, new, settings.heads)
        self.rate = settings.learning_rate
        if chosen == set(KIND_ROWS):
            self.replay, self.rate = None, NEW_ROWS_RATE * self.rate
        self.others_stay = chosen in (set(KIND_ROWS), set(FLUX_ROWS))
        kinds = torch.arange(len(vocabulary))
        learns = kinds >= len(vocabulary) - len(new)
        if not self.labels:
            learns = kinds == vocabulary.index(BANDFLUX)
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name in chosen)
            alone = self.others_stay or (new and not settings.heads)
            if name in KIND_ROWS and name in chosen and alone:
                # The rows of known kinds stay: their posteriors are not to be learned anew.
                parameter.register_hook(lambda gradient: _of_rows(gradient, learns))
        self.tuned = {n: p for n, p in self.network.named_parameters() if p.requires_grad}
        self.questioner = rows.questioner(vocabulary)
        self.soft = torch.from_numpy(soft).float()
        self.optimiser = make_optimiser(self.network, "adamw", settings.learning_rate, 0.0)
        with torch.no_grad():
            own = {n: p.detach().clone() for n, p in self.tuned.items()}
            self.average = {f"ema/{n}": v for n, v in own.items()}
            self.best = {f"best/{n}": v.clone() for n, v in own.items()}
        labelled = int(rows.seen.label_known.any(1).sum())
        self.share = 1.0 if self.others_stay else labelled / (labelled + settings.blend)
        self.judged = copy.deepcopy(network).eval()
        self.start = {k: v.clone() for k, v in network.state_dict().items()}
        self.record: dict[str, Any] = {
            "identity": identity, "optimiser": "adamw", "seconds": 0.0, "best": 0.0,
            "best_step": 0, "history": [],
        }  # fmt: skip

    # Questions and loss

    def loss(self, step: int) -> Tensor:
        """Loss of a step: a function of the seed and the step alone."""
        s = self.settings
        generator = torch.Generator().manual_seed((s.seed * 1_000_003 + 2**30 + step) % 2**63)
        count = min(s.batch, max(32, len(self.rows)))
        question, picked = self.rows.ask(count, self.questioner, generator)
        soft = self._blur(question, picked)
        total = self._mean(question, self._weights(question.requests.names), soft)
        if self.replay is not None and s.replay and s.replay_weight:
            again = self.replay.ask(s.replay, generator)
            weight = weights_of(self.replay.mix, again.requests.names)
            total = total + s.replay_weight * self._mean(again, weight, again.error)
        return total

    def _blur(self, question: Question, picked: Tensor) -> Tensor:
        """Errors of the answers with the labels' blur in them."""
        error = question.error.clone()
        for i, name in enumerate(question.requests.names):
            if name in self.rows.names:
                error[:, i] = torch.hypot(
                    error[:, i], self.soft[picked, self.rows.names.index(name)]
                )
        return error

    def _weights(self, names: Sequence[str]) -> Tensor:
        bands = BAND_WEIGHT if self.labels else 1.0
        return torch.tensor(
            [
                bands if n.startswith("flux:")
                else REDSHIFT_WEIGHT if n == "z"
                else LABEL_WEIGHT
                for n in names
            ]
        )  # fmt: skip

    def _mean(self, question: Question, weight: Tensor, error: Tensor) -> Tensor:
        low = self.settings.precision == "bfloat16"
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
            prediction = self.network(question.context, question.requests)
        each, counts = request_nll(
            self.network, prediction, question.target, error, question.asked, question.weight
        )
        share = (counts / len(question.context)).clamp(max=1.0)
        # What nobody was asked weighs nothing.
        weight = weight * (counts > 0)
        return (each * weight * share).sum() / weight.sum().clamp(min=1e-6)

    # Running

    def restore(self) -> int:
        """Go on from the checkpoint in the folder; the steps that are done."""
        kept = {**self.average, **self.best}
        step, record = read_state(self.folder, self.network, kept, self.optimiser)
        if record.get("identity") != self.identity:
            raise InputError(
                f"the fine-tuning in {self.folder} is of other rows, labels, settings or another "
                "start: resume it with the same, or name another folder"
            )
        self.record = record
        logger.info("resumed at step %d", step)
        return step

    def run(
        self,
        start: int = 0,
        progress: Callable[[int, int], None] | None = None,
        stop_after: int | None = None,
    ) -> bool:
        """Train until the held-out score no longer grows; False if `stop_after` came first."""
        s = self.settings
        if start == 0:
            self._judge(0)
        began = time.monotonic() - self.record["seconds"]
        saved = time.monotonic()
        step = start
        while step < s.steps and not self._finished():
            self._step(step)
            step += 1
            self.record["seconds"] = time.monotonic() - began
            if step % s.every == 0 or step == s.steps:
                self._judge(step)
                if time.monotonic() - saved >= s.checkpoint_seconds:
                    self._save(step)
                    saved = time.monotonic()
            if progress is not None:
                progress(step, s.steps)
            if stop_after is not None and step >= stop_after:
                self._save(step)
                return False
        if progress is not None:
            progress(s.steps, s.steps)
        return True

    def _finished(self) -> bool:
        s, history = self.settings, self.record["history"]
        if s.minutes is not None and self.record["seconds"] > 60.0 * s.minutes:
            return True
        since = [entry for entry in history if entry["step"] > self.record["best_step"]]
        return len(since) >= s.patience

    def _step(self, step: int) -> None:
        s = self.settings
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * min(1.0, (step + 1) / s.warmup)
        total = self.loss(step)
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(list(self.tuned.values()), 1.0)
        if not torch.isfinite(norm):
            raise TrainingError(
                f"the fine-tuning diverged at step {step + 1}; use a smaller learning rate than "
                f"{s.learning_rate:g}"
            )
        self.optimiser.step()
        keep = min(s.ema, (1.0 + step) / (10.0 + step))
        with torch.no_grad():
            own = [self.average[f"ema/{n}"] for n in self.tuned]
            torch._foreach_lerp_(own, [p.detach() for p in self.tuned.values()], 1.0 - keep)

    def _judge(self, step: int) -> None:
        """Score the blended weights on the held-out rows, and keep them if they are the best."""
        blended = {
            n: torch.lerp(self.start[n], self.average[f"ema/{n}"], self.share) for n in self.tuned
        }
        self.judged.load_state_dict({**self.start, **blended})
        gains = self.baseline.gains(self.held_out.scores(self.judged), self.settings.sigmas)
        asked = self.labels or (BANDS,)
        gain = float(np.mean([gains[name].gain for name in asked]))
        self.record["history"].append(
            {"step": step, "gain": gain, **{n: round(v.gain, 4) for n, v in gains.items()}}
        )
        logger.info("step %d: held-out gain %.3f nat", step, gain)
        if gain > self.record["best"]:
            self.record["best"], self.record["best_step"] = gain, step
            for name, value in blended.items():
                self.best[f"best/{name}"].copy_(value)

    def _save(self, step: int) -> None:
        kept = {**self.average, **self.best}
        write_state(self.folder, step, self.network, kept, self.optimiser, self.record)

    def best_state(self) -> dict[str, Tensor]:
        """All weights of the network that was best on the held-out rows."""
        return {**self.start, **{n: self.best[f"best/{n}"] for n in self.tuned}}

    def forget(self) -> None:
        """Remove the checkpoint."""
        (self.folder / STATE).unlink(missing_ok=True)


def _of_rows(gradient: Tensor, learns: Tensor) -> Tensor:
    """The gradient of some kinds' rows (K, ...), 0 in the others."""
    return torch.where(learns.view(-1, *[1] * (gradient.ndim - 1)), gradient, 0.0)
