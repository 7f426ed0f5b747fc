"""What a training decides on the host, and how it reaches the device without waiting.

A read of a GPU's numbers by the host waits for all work that the GPU was given, a hundred times a
step if one does not look out. So what decides the shape of a step (which bands, which requests)
comes from a generator on the host, and goes to the device through pinned memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from jpassed.tokens.build import BandLayout
from jpassed.training.config import MixConfig

__all__ = ["host_plan", "on_device", "picked", "roll", "shuffled", "used_columns", "weighted_order"]


def host_plan(generator: torch.Generator) -> torch.Generator:
    """A generator on the host with the seed of another one, which serves itself on a CPU."""
    if generator.device.type == "cpu":
        return generator
    return torch.Generator().manual_seed(generator.initial_seed())


def on_device(
    values: Sequence[float] | Tensor, device: torch.device, dtype: torch.dtype | None = None
) -> Tensor:
    """Numbers of the host as a tensor on the device, without waiting for it.

    Parameters
    ----------
    values : sequence of numbers, or Tensor
    device : torch.device
    dtype : torch.dtype, optional
    """
    own = torch.as_tensor(values, dtype=dtype)
    if device.type != "cuda" or own.device.type != "cpu":
        return own.to(device)
    return own.pin_memory().to(device, non_blocking=True)


def picked(count: int, plan: torch.Generator) -> int:
    """One of the numbers below `count`."""
    return int(torch.randint(0, max(1, count), (1,), generator=plan))


def shuffled(count: int, plan: torch.Generator) -> list[int]:
    """The numbers below `count` in random order."""
    return torch.randperm(count, generator=plan).tolist()


def weighted_order(weights: Tensor, plan: torch.Generator) -> list[int]:
    """The numbers below that of the weights in random order, those of large weight first."""
    score = torch.rand(weights.shape, generator=plan)
    return (score.log() / weights).argsort(descending=True).tolist()


def roll(mix: MixConfig, plan: torch.Generator) -> tuple[list[float], int]:
    """Six random numbers of a step, and the way of its contexts that the first decides."""
    numbers = torch.rand((6,), generator=plan).tolist()
    shares = torch.tensor([mix.full, mix.partial, mix.surveys, mix.joined])
    edges = shares.cumsum(0) / shares.sum()
    return numbers, int(torch.bucketize(torch.tensor(numbers[0]), edges[:-1], right=True))


def used_columns(layout: BandLayout) -> Tensor:
    """(B,) bool: columns that are a token, or in the patch."""
    used = torch.zeros(len(layout.bands), dtype=torch.bool)
    used[layout.single] = True
    used[layout.patch[layout.patch >= 0]] = True
    return used
