"""The processes of one training: ranks that `torchrun` starts, or a single one.

Every rank draws the same questions, answers its own rows of them, and adds its gradient to that of
the others (`torch.nn.parallel.DistributedDataParallel`): the ranks together take the steps that one
process would take. The first rank alone writes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from jpassed.exceptions import InputError, TrainingError
from jpassed.training.config import TrainingConfig

__all__ = ["Ranks", "join_ranks"]

logger = logging.getLogger(__name__)

PLACE = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What `torchrun` tells every process in its environment."""


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those of a training.

    Attributes
    ----------
    rank, count : int
        Number of this process, from 0, and of all.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes."""
        return self.rank == 0

    def rows(self, objects: int) -> slice:
        """Rows of a batch that are this rank's: shares differ by one at most."""
        return slice(objects * self.rank // self.count, objects * (self.rank + 1) // self.count)

    def check_shares(self, config: TrainingConfig) -> None:
        """Check that every rank gets an object of every question.

        Raises
        ------
        InputError
            If there are more ranks than objects.
        """
        for name, objects in (
            ("optimiser: batch", config.optimiser.batch),
            ("mix: dense", config.mix.dense),
            ("mix: broad", config.mix.broad),
        ):
            if 0 < objects < self.count:
                raise InputError(
                    f"{name}: {objects} objects cannot be shared by {self.count} ranks: start fewer"
                )

    def add(self, values: Tensor) -> None:
        """Put the sum over all ranks into `values`."""
        if self.count > 1:
            distributed.all_reduce(values)

    def hand_out(self, values: Tensor, owner: int) -> None:
        """Put the values that rank `owner` has into `values` of all ranks."""
        if self.count > 1:
            distributed.broadcast(values, owner)

    def agree(self, number: int, what: str, device: torch.device) -> None:
        """Check that all ranks have the same number.

        Raises
        ------
        TrainingError
            If they do not.
        """
        if self.count == 1:
            return
        own = torch.tensor([number, -number], dtype=torch.int64, device=device)
        distributed.all_reduce(own, distributed.ReduceOp.MAX)
        most, least = int(own[0]), -int(own[1])
        if most != least:
            raise TrainingError(
                f"the ranks disagree on {what}: {least} to {most}, {number} on rank {self.rank}. "
                "All need the same configuration, and an output folder that they share"
            )


@contextmanager
def join_ranks(device: str) -> Iterator[tuple[Ranks, torch.device]]:
    """Join the other processes of a training, if there are any.

    Parameters
    ----------
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or another name of torch. Of several ranks each takes the
        GPU of its ``LOCAL_RANK``.

    Yields
    ------
    ranks : Ranks
        From the environment that `torchrun` sets, or of a process group that the caller made; a
        single one without either.
    device : torch.device
        Of this rank. GPUs talk through NCCL, CPUs through Gloo.

    Raises
    ------
    InputError
        For a device that does not exist, an environment that is not whole, or ranks that do not
        answer.
    """
    joined = distributed.is_available() and distributed.is_initialized()
    count = distributed.get_world_size() if joined else _number("WORLD_SIZE", 1)
    if count == 1:
        yield Ranks(), _device(device)
        return
    if not joined:
        missing = [name for name in PLACE if name not in os.environ]
        if missing:
            raise InputError(
                f"WORLD_SIZE is {count}, but {', '.join(missing)} is not set: start the ranks with "
                "torchrun, or unset WORLD_SIZE to train with one process"
            )
    place = _device(device, own=_number("LOCAL_RANK", _number("RANK", 0)))
    if not joined:
        try:
            distributed.init_process_group("nccl" if place.type == "cuda" else "gloo")
        except (RuntimeError, ValueError) as exc:
            raise InputError(
                f"cannot join the {count} ranks at {os.environ['MASTER_ADDR']}:"
                f"{os.environ['MASTER_PORT']}: {exc}"
            ) from exc
    ranks = Ranks(distributed.get_rank(), count)
    logger.info("rank %d of %d on %s", ranks.rank, ranks.count, place)
    try:
        yield ranks, place
    finally:
        if not joined:
            distributed.destroy_process_group()


def _number(name: str, otherwise: int) -> int:
    """A whole number in the environment."""
    text = os.environ.get(name, "")
    if not text:
        return otherwise
    try:
        return int(text)
    except ValueError:
        raise InputError(f"{name} in the environment: expected a number, got {text!r}") from None


def _device(name: str, own: int | None = None) -> torch.device:
    """A device by name; of several GPUs number `own`."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as exc:
        raise InputError(f"unknown device {name!r}; use 'auto', 'cpu' or 'cuda'") from exc
    if own is None or device.type != "cuda":
        return device
    if device.index is not None:
        raise InputError(f"each rank has a GPU of its own: name 'cuda', not {name!r}")
    there = torch.cuda.device_count()
    if own >= there:
        raise InputError(f"rank {own} of this machine has no GPU: it has {there}; start fewer")
    torch.cuda.set_device(own)
    return torch.device("cuda", own)
