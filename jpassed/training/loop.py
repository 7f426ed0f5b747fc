"""The training loop: simulated and real objects in, a model folder out; resumable."""

from __future__ import annotations

import logging
import math
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import jpassed
from jpassed.exceptions import FileError, InputError, TrainingError
from jpassed.nn.checkpoint import write_model
from jpassed.nn.model import SEDModel
from jpassed.objectives import request_nll
from jpassed.training.config import OptimiserConfig, TrainingConfig
from jpassed.training.guard import Guard
from jpassed.training.importance import effective_share
from jpassed.training.journal import Journal, loss_groups
from jpassed.training.muon import make_optimiser
from jpassed.training.presets import find_config
from jpassed.training.setup import Setup, prepare
from jpassed.training.sources import Observation, join
from jpassed.training.state import STATE, read_state, write_state
from jpassed.training.steps import Question
from jpassed.training.validation import validate
from jpassed.training.warm import start_from as start_from_weights
from jpassed.vocabulary import load_vocabulary

__all__ = ["learning_rate", "train"]

logger = logging.getLogger(__name__)


def learning_rate(step: int, config: OptimiserConfig) -> float:
    """Warm-up, plateau, and a decay to zero over the last `decay` steps (Hu+2024, MiniCPM).

    A plateau lets a training be extended: resume with more steps.
    """
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    left = config.steps - step
    if left >= config.decay:
        return config.learning_rate
    return config.learning_rate * (1.0 - math.sqrt(1.0 - left / config.decay))


def train(
    config: TrainingConfig | str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    ssp: tuple[str, ...] | None = None,
    lines: str | None = None,
    start_from: str | os.PathLike[str] | None = None,
    resume: bool = False,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    stop_after: int | None = None,
) -> Path:
    """Train a model.

    Parameters
    ----------
    config : TrainingConfig, str or path
        A preset's name (`jpassed.training.presets`), a YAML file, or the content of one.
    output : path
        Folder for the checkpoint, the log (`jpassed.training.journal`), and the model
        (``model.safetensors`` and ``model.json``), which is written at every checkpoint.
    ssp, lines : optional
        Replace the files named in the configuration.
    start_from : path, optional
        Weights to start from, as ``start_from`` of the configuration; a resumed training has its
        own.
    resume : bool
        Go on from the checkpoint in `output`, if there is one. The losses that follow are those
        of an uninterrupted training: galaxies and questions are functions of the seed and the
        step. Other settings than before are allowed, warned about, and kept in the card.
    device : str
        ``"auto"`` takes a GPU if there is one.
    progress : callable, optional
        Called with (steps done, steps in all).
    stop_after : int, optional
        Stop, with a checkpoint, after this step.

    Returns
    -------
    Path
        `output`.

    Raises
    ------
    FileError
        If `output` holds a training and `resume` is false, or cannot be written.
    UnknownNameError, InputError
        For settings that are not valid.
    TrainingError
        If it diverges; its last checkpoint is kept.
    """
    if not isinstance(config, TrainingConfig):
        config = TrainingConfig.from_yaml(find_config(config))
    if start_from is not None:
        config = replace(config, start_from=os.fspath(start_from))
    folder = Path(output)
    if (folder / STATE).exists() and not resume:
        raise FileError(f"{folder} holds a training already: resume it, or name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise FileError(f"cannot make the folder {folder}: {exc}") from exc
    place = _device(device)
    if config.optimiser.threads:
        torch.set_num_threads(config.optimiser.threads)
    setup = prepare(config, place, ssp=ssp, lines=lines)
    trainer = _Trainer(config, setup, folder, place)
    start = 0
    if resume and (folder / STATE).exists():
        start = trainer.restore()
    elif config.start_from:
        trainer.warm_start(config.start_from)
    trainer.run(start, progress, stop_after)
    return folder


class _Trainer:
    def __init__(
        self, config: TrainingConfig, setup: Setup, folder: Path, device: torch.device
    ) -> None:
        self.config, self.setup, self.folder, self.device = config, setup, folder, device
        torch.manual_seed(config.seed)
        self.vocabulary = load_vocabulary()
        self.network = SEDModel(setup.model_config, self.vocabulary).to(device)
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        options = config.optimiser
        self.optimiser = make_optimiser(
            self.network, options.name, options.learning_rate, options.weight_decay
        )
        self.seconds = 0.0
        self.objects = 0
        self.history: list[dict[str, Any]] = []
        self.started_from: dict[str, Any] | None = None
        self.rollbacks = 0
        self.guard = Guard(config.watch)
        self.journal = Journal(folder)

    def warm_start(self, path: str) -> None:
        self.started_from = start_from_weights(self.network, path, self.vocabulary)
        for name, value in self.network.state_dict().items():
            self.average[name].copy_(value)

    def restore(self) -> int:
        step, record = read_state(
            self.folder, self.network, self.average, self.optimiser, self.config.optimiser.name
        )
        self.seconds = float(record.get("seconds", 0.0))
        self.objects = int(record.get("objects", step * self.config.objects_per_step))
        self.history = list(record.get("history", []))
        self.started_from = record.get("started_from")
        changes = _changes(record.get("training", {}), self._settings())
        if changes:
            logger.warning(
                "resumed at step %d with other settings, which the card will tell: %s",
                step, "; ".join(f"{k} {old} -> {new}" for k, (old, new) in changes.items()),
            )  # fmt: skip
            self.history.append({"step": step, "changes": changes})
        self.rollbacks = int(record.get("rollbacks", 0))
        self.guard.skipped = int(record.get("skipped", 0))
        self.journal.cut(step)
        logger.info("resumed at step %d", step)
        return step

    def questions(self, step: int) -> tuple[Question, Question | None, Question | None]:
        """The questions of a step: functions of the seed, the step and the rollbacks so far.

        One of requests; where the mix has them, one of all labels to the dense readout, and one
        about objects without the patch.
        """
        generator = torch.Generator(device=self.device)
        # On a CPU the lower 32 bits alone count: seed and step share them, apart from the pool's.
        salt = 2**31 + self.rollbacks * 7_368_787
        generator.manual_seed((self.config.seed * 1_000_003 + salt + step) % 2**63)
        question = self.setup.questioner.ask(
            self._objects(self.config.optimiser.batch, generator), generator
        )
        dense, broad = None, None
        questioner, mix = self.setup.questioner, self.config.mix
        if mix.dense:
            dense = questioner.ask_patch(self._objects(mix.dense, generator), generator)
        if mix.broad:
            broad = questioner.ask_broad(self._objects(mix.broad, generator), generator)
        return question, dense, broad

    def _objects(self, batch: int, generator: torch.Generator) -> Observation:
        parts = []
        left = batch
        for source, table in zip(self.setup.tables, self.config.tables, strict=True):
            count = round(batch * table.share)
            parts.append(source.draw(count, generator))
            left -= count
        parts.insert(0, self.setup.simulated.draw(left, generator))
        return join(parts)

    def loss(self, question: Question, *, dense: bool = False) -> tuple[Tensor, dict[str, float]]:
        """Weighted sum of the request losses, and the losses of each group of requests."""
        low = self.config.optimiser.precision == "bfloat16"
        answer = self.network.from_patch if dense else self.network
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=low):
            prediction = answer(question.context, question.requests)
        each, counts = request_nll(
            self.network, prediction, question.target, question.error, question.asked,
            question.weight,
        )  # fmt: skip
        weights = torch.tensor(
            [self.config.mix.weights.get(n.partition(":")[0], 1.0) for n in prediction.names],
            device=self.device,
        )
        share = (counts / len(question.context)).clamp(max=1.0)
        total = (each * weights * share).sum() / weights.sum()
        # A request that nobody was asked has no loss.
        shown = torch.where(counts > 0, each.detach(), math.nan).tolist()
        asked = [(n, v) for n, v in zip(prediction.names, shown, strict=True) if not math.isnan(v)]
        return total, loss_groups((n for n, _ in asked), (v for _, v in asked))

    def step(self, step: int) -> dict[str, Any]:
        """Take one step, or skip it where it would do harm; what the log says of it."""
        options = self.config.optimiser
        rate = learning_rate(step, options) * 0.5**self.rollbacks
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        question, dense, broad = self.questions(step)
        total, groups = self.loss(question)
        if dense is not None:
            other, _ = self.loss(dense, dense=True)
            groups["loss_dense"] = other.item()
            total = total + self.config.mix.dense_weight * other
        if broad is not None:
            other, apart = self.loss(broad)
            groups["loss_broad"] = apart.get("loss_z", other.item())
            total = total + self.config.mix.broad_weight * other
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), options.clip_norm)
        loss, size = total.item(), float(norm)
        if self.guard.usable(step + 1, loss, size):
            self.optimiser.step()
            self._smooth(step)
        self.objects += self.config.objects_per_step
        return {
            "step": step + 1, "objects": self.objects,
            "learning_rate": rate, "loss": loss, **groups, "gradient_norm": size,
            "weight_ess": round(effective_share(question.weight), 4),
            "skipped": self.guard.skipped,
        }  # fmt: skip

    def run(
        self, start: int, progress: Callable[[int, int], None] | None, stop_after: int | None
    ) -> None:
        options = self.config.optimiser
        every = self.config.simulation.refresh_every
        pool = self.setup.pool
        began = time.monotonic() - self.seconds
        pool.fill(refreshes=start // every)
        last = min(options.steps, stop_after or options.steps)
        clock = deque([time.monotonic()], maxlen=21)
        self.network.train()
        step = start
        while step < last:
            if step % every == 0 and step // every > pool.refreshes:
                pool.refresh()
            record = self.step(step)
            if self.guard.reason:
                step = self._diverged(step)
                continue
            step += 1
            clock.append(time.monotonic())
            self.seconds = clock[-1] - began
            record["seconds"] = round(self.seconds, 1)
            rate = self.config.objects_per_step * (len(clock) - 1) / max(clock[-1] - clock[0], 1e-9)
            record["samples_per_second"] = round(rate, 1)
            if step % options.validate_every == 0 or step == last:
                record["validation"] = validate(self.network, self.average, self.setup, options)
                logger.info("step %d: %s", step, record)
            self.journal.add(record)
            if step % options.checkpoint_every == 0 or step == last:
                self._save(step, record)
            if progress is not None:
                progress(step, options.steps)

    def _diverged(self, step: int) -> int:
        """Go back to the last checkpoint with half the learning rate, or stop."""
        watch, reason = self.config.watch, self.guard.reason
        kept = (self.folder / STATE).exists()
        if watch.on_divergence == "rollback" and kept and self.rollbacks < watch.rollbacks:
            count = self.rollbacks + 1
            logger.warning("the training diverged at step %d: %s; rolling back", step + 1, reason)
            back = self.restore()
            self.rollbacks = count
            self.history.append({"step": back, "rollback": count, "from": step + 1, "why": reason})
            self.guard.forget()
            every = self.config.simulation.refresh_every
            if back // every != self.setup.pool.refreshes:
                self.setup.pool.fill(refreshes=back // every)
            return back
        where = "the last checkpoint is kept" if kept else "there was no checkpoint yet"
        raise TrainingError(
            f"the training in {self.folder} diverged at step {step + 1}: {reason}; {where}. "
            f"Lower the learning rate ({self.config.optimiser.learning_rate:g}) and resume, or "
            "set watch: {on_divergence: rollback}; if it happens at once, look at the tables it "
            "trains on"
        )

    def _smooth(self, step: int) -> None:
        """Exponential moving average of the weights, short at first."""
        keep = min(self.config.optimiser.ema, (1.0 + step) / (10.0 + step))
        state = self.network.state_dict()
        torch._foreach_lerp_(
            [v for v in self.average.values() if v.is_floating_point()],
            [state[k] for k, v in self.average.items() if v.is_floating_point()],
            1.0 - keep,
        )

    def _settings(self) -> dict[str, Any]:
        """The configuration for card and state: where files lay is nobody's business."""
        settings = self.config.as_dict()
        if self.config.start_from:
            settings["start_from"] = Path(self.config.start_from).name
        return settings

    def _save(self, step: int, record: dict[str, Any]) -> None:
        card = {
            "name": self.config.name,
            "version": jpassed.__version__,
            "package_version": jpassed.__version__,
            "kinds": list(self.vocabulary.names),
            "training": self._settings(),
            "started_from": self.started_from,
            "history": self.history,
            "provenance": self.setup.provenance,
            "steps": step,
            "objects": self.objects,
            "seconds": round(self.seconds, 1),
            "device": self.device.type,
            "torch": str(torch.__version__),
            "validation": record.get("validation"),
        }
        write_model(
            self.folder, self.average, self.setup.model_config, card, self.vocabulary
        )
        write_state(
            self.folder, step, self.network, self.average, self.optimiser,
            {
                "seconds": self.seconds, "objects": self.objects, "history": self.history,
                "training": self._settings(),
                "kinds": list(self.vocabulary.names), "started_from": self.started_from,
                "rollbacks": self.rollbacks, "skipped": self.guard.skipped,
                "optimiser": self.config.optimiser.name,
            },
        )  # fmt: skip


def _changes(old: Any, new: Any, name: str = "") -> dict[str, list[Any]]:
    """Settings that differ, by dotted name: [old, new]. Nothing where `old` was not recorded."""
    if isinstance(old, dict) and isinstance(new, dict):
        found: dict[str, list[Any]] = {}
        for key in old.keys() & new.keys():
            found.update(_changes(old[key], new[key], f"{name}.{key}" if name else key))
        return dict(sorted(found.items()))
    return {} if old == new else {name: [old, new]}


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError as exc:
        raise InputError(f"unknown device {name!r}; use 'auto', 'cpu' or 'cuda'") from exc
