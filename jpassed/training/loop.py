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
from torch.nn.parallel import DistributedDataParallel

import jpassed
from jpassed.exceptions import FileError, TrainingError
from jpassed.nn.checkpoint import write_model
from jpassed.nn.model import SEDModel
from jpassed.training.config import OptimiserConfig, TrainingConfig
from jpassed.training.guard import Guard
from jpassed.training.host import host_plan
from jpassed.training.importance import effective_sample
from jpassed.training.journal import Journal
from jpassed.training.muon import make_optimiser
from jpassed.training.presets import find_config
from jpassed.training.ranks import Ranks, join_ranks
from jpassed.training.setup import Setup, prepare
from jpassed.training.sources import Observation, join
from jpassed.training.state import (
    STATE,
    changed_settings,
    clear_leftovers,
    is_model,
    read_state,
    write_state,
)  # fmt: skip
from jpassed.training.step_loss import Questions, StepLoss, loss_figures
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
    """Train a model, in this process or together with the others that `torchrun` started.

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
        ``"auto"`` takes a GPU if there is one; of several ranks each takes its own.
    progress : callable, optional
        Called with (steps done, steps in all), on the first rank.
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
        If it diverges, or a rank is lost; its last checkpoint is kept.
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
    if config.optimiser.threads:
        torch.set_num_threads(config.optimiser.threads)
    with join_ranks(device) as (ranks, place):
        ranks.check_shares(config)
        try:
            setup = prepare(config, place, ssp=ssp, lines=lines, ranks=ranks)
            trainer = _Trainer(config, setup, folder, place, ranks)
            start = 0
            if resume and (folder / STATE).exists():
                start = trainer.restore()
            elif config.start_from:
                trainer.warm_start(config.start_from)
            if ranks.first:
                # Of a training that was killed before its first checkpoint, too.
                trainer.journal.cut(start)
                clear_leftovers(folder)
                trainer.mend(start)
            ranks.agree(start, "the step to begin with", place)
            trainer.run(start, progress, stop_after)
        except RuntimeError as exc:
            if ranks.count == 1 or isinstance(exc, TrainingError):
                raise
            raise TrainingError(
                f"rank {ranks.rank} of {ranks.count} cannot go on: {exc}. Another rank may have "
                f"told why; resume from the last checkpoint in {folder}, with any number of ranks"
            ) from exc
    return folder


class _Trainer:
    def __init__(
        self,
        config: TrainingConfig,
        setup: Setup,
        folder: Path,
        device: torch.device,
        ranks: Ranks | None = None,
    ) -> None:
        self.config, self.setup, self.folder, self.device = config, setup, folder, device
        self.ranks = Ranks() if ranks is None else ranks
        torch.manual_seed(config.seed)
        self.vocabulary = load_vocabulary()
        self.network = SEDModel(setup.model_config, self.vocabulary).to(device)
        self.loss: torch.nn.Module = StepLoss(self.network, config)
        if self.ranks.count > 1:
            # Not every step uses every weight: labels, for one, are not always given.
            self.loss = DistributedDataParallel(
                self.loss, broadcast_buffers=False, find_unused_parameters=True
            )
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
        changes = changed_settings(record.get("training", {}), self._settings())
        if changes:
            logger.warning(
                "resumed at step %d with other settings, which the card will tell: %s",
                step, "; ".join(f"{k} {old} -> {new}" for k, (old, new) in changes.items()),
            )  # fmt: skip
            self.history.append({"step": step, "changes": changes})
        self.rollbacks = int(record.get("rollbacks", 0))
        self.guard.skipped = int(record.get("skipped", 0))
        # With other settings other losses are ordinary, and so they are after a divergence.
        self.guard.remember({} if changes else record.get("guard", {}))
        logger.info("resumed at step %d", step)
        return step

    def mend(self, step: int) -> None:
        """Write the model again where a kill fell between its two files."""
        if step and not is_model(self.folder):
            self._save(step, {})

    def questions(self, step: int) -> Questions:
        """The questions of a step: functions of the seed, the step and the rollbacks so far."""
        generator = torch.Generator(device=self.device)
        # On a CPU the lower 32 bits alone count: seed and step share them, apart from the pool's.
        salt = 2**31 + self.rollbacks * 7_368_787
        generator.manual_seed((self.config.seed * 1_000_003 + salt + step) % 2**63)
        plan, ask, mix = host_plan(generator), self.setup.questioner, self.config.mix

        def drawn(batch: int) -> tuple[Observation, int]:
            return self._objects(batch, generator, plan)

        seen, count = drawn(self.config.optimiser.batch)
        usual = ask.ask(seen, generator, plan=plan, simulated=count)
        dense, broad = None, None
        if mix.dense:
            seen, count = drawn(mix.dense)
            dense = ask.ask_patch(seen, generator, simulated=count)
        if mix.broad:
            seen, count = drawn(mix.broad)
            broad = ask.ask_broad(seen, generator, plan=plan, simulated=count)
        return Questions(usual, dense, broad)

    def _objects(
        self, batch: int, generator: torch.Generator, plan: torch.Generator
    ) -> tuple[Observation, int]:
        """Objects of a question, and how many of them, the first ones, are simulated."""
        parts = []
        left = batch
        for source, table in zip(self.setup.tables, self.config.tables, strict=True):
            count = round(batch * table.share)
            parts.append(source.draw(count, generator, plan))
            left -= count
        parts.insert(0, self.setup.simulated.draw(left, generator, plan))
        return join(parts), left

    def step(self, step: int) -> dict[str, Any]:
        """Take one step, or skip it where it would do harm; what the log says of it."""
        options = self.config.optimiser
        rate = learning_rate(step, options) * 0.5**self.rollbacks
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        questions = Questions(*self.questions(step))
        total, figures = self.loss(*questions.share(self.ranks))
        self.optimiser.zero_grad(set_to_none=True)
        # The ranks' gradients are averaged, and their losses are parts of a sum.
        (self.ranks.count * total).backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), options.clip_norm)
        *each, size, ess = self._gather(figures, norm, effective_sample(questions.usual.weight))
        found = loss_figures(questions, each)
        if self.guard.usable(step + 1, found["loss"], size):
            self.optimiser.step()
            self._smooth(step)
        self.objects += self.config.objects_per_step
        return {
            "step": step + 1, "objects": self.objects,
            "learning_rate": rate, **found, "gradient_norm": size,
            "weight_ess": round(ess, 4), "skipped": self.guard.skipped,
        }  # fmt: skip

    def _gather(self, figures: Tensor, *common: Tensor) -> list[float]:
        """Sums of the figures over the ranks, and what all have in common: read at once."""
        same = torch.stack([value.double() for value in common])
        if not self.ranks.first:
            same.zero_()
        values = torch.cat((figures.double(), same))
        self.ranks.add(values)
        return values.tolist()

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
            if not self.ranks.first:
                continue
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
            if self.ranks.first:
                self.journal.cut(back)
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
                "guard": self.guard.remembered(), "optimiser": self.config.optimiser.name,
            },
        )  # fmt: skip
