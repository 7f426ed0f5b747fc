"""Random contexts: which bands and labels an object shows in a training step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from jpassed.tokens.scaling import LabelScaling

__all__ = ["GivenLabels", "give_labels", "hide_bands", "noisy_labels"]


@dataclass(frozen=True)
class GivenLabels:
    """Labels in the context of a training step.

    Attributes
    ----------
    value, error : Tensor
        (N, L) physical values as given (with noise, if any), and their stated errors.
    given : Tensor
        (N, L) bool.
    """

    value: Tensor
    error: Tensor
    given: Tensor


def hide_bands(
    observed: Tensor, pivot: Tensor, generator: torch.Generator, *, keep_all: float
) -> Tensor:
    """Hide a random part of the bands of every object.

    Parameters
    ----------
    observed : Tensor
        (N, B) bool.
    pivot : Tensor
        (B,) Å.
    generator : torch.Generator
    keep_all : float
        Share of the objects that keep all they have.

    Returns
    -------
    Tensor
        (N, B) bool. The others lose, each with probability 1/3: a random fraction from 0 to 1 of
        their bands; all bands outside a random wavelength window (a spectrograph's range), or
        all inside it (a gap); or both. At least one observed band is left to every object that
        had one.
    """
    n, b = observed.shape
    device = observed.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    way = (uniform(n) * 3).long()
    random = uniform(n, b) >= uniform(n, 1)
    log_pivot = pivot.to(device).log()
    # The window lies in what anybody shows: not in the wavelengths of surveys that take no part.
    # Masked, not picked: to pick is to read the device.
    reach = observed.any(0)
    reach = reach | ~reach.any()
    low = torch.where(reach, log_pivot, math.inf).min()
    high = torch.where(reach, log_pivot, -math.inf).max()
    edges = (low + (high - low) * uniform(n, 2)).sort(-1).values
    # Half of the windows are what survey spectrographs cover: all but a few bands at the ends.
    narrow = uniform(n, 1) < 0.5
    margin = torch.stack((low + 0.12 * uniform(n), high - 0.10 * uniform(n)), -1)
    edges = torch.where(narrow, margin, edges)
    window = (log_pivot >= edges[:, :1]) & (log_pivot <= edges[:, 1:])
    # Some of the others are gaps: what is left lies on both sides.
    window ^= ~narrow & (uniform(n, 1) < 0.4)
    shown = torch.where((way == 0).unsqueeze(1), random, window)
    shown = torch.where((way == 2).unsqueeze(1), random & window, shown)
    shown = observed & (shown | (uniform(n, 1) < keep_all))
    # A random survivor for those that lost everything.
    lost = ~shown.any(-1) & observed.any(-1)
    pick = (observed * uniform(n, b)).argmax(-1)
    rescue = torch.zeros_like(observed)
    rescue[torch.arange(n, device=device), pick] = True
    return shown | (rescue & lost.unsqueeze(1) & observed)


def give_labels(
    available: Tensor, most: int, generator: torch.Generator, *, favoured: int, favour: float
) -> Tensor:
    """Choose labels for the context of every object.

    Parameters
    ----------
    available : Tensor
        (N, L) bool.
    most : int
        Largest number of labels given; every object draws its own number from 0 to `most`.
    generator : torch.Generator
    favoured : int
        Column that is given more often (redshift).
    favour : float
        Probability that it is among the first.

    Returns
    -------
    Tensor
        (N, L) bool.
    """
    n = available.shape[0]
    device = available.device
    score = torch.rand(available.shape, generator=generator, device=device)
    boost = torch.rand((n,), generator=generator, device=device) < favour
    score[:, favoured] += boost.to(score.dtype)
    score = torch.where(available, score, -1.0)
    rank = score.argsort(-1, descending=True).argsort(-1)
    count = torch.randint(0, most + 1, (n, 1), generator=generator, device=device)
    return available & (rank < count)


def noisy_labels(
    value: Tensor, given: Tensor, scaling: LabelScaling, generator: torch.Generator, share: float
) -> GivenLabels:
    """Give a share of the context labels with an error, and scatter them by it.

    Errors are log-uniform between 0.002 and 0.5 of a label's typical spread (its vocabulary
    width), per object and label; asinh-scaled labels (EWs) have errors that grow with their value.
    """
    device = value.device
    blurred = torch.rand(given.shape, generator=generator, device=device) < share
    level = torch.rand(given.shape, generator=generator, device=device)
    relative = torch.exp(-6.2 + 5.5 * level)
    slope = torch.ones_like(value) * scaling.width.to(value)
    for i, scale in enumerate(scaling.scale):
        if scale == "asinh":
            slope[:, i] *= torch.hypot(value[:, i], scaling.softening[i].to(value))
        elif scale == "log1p":
            slope[:, i] *= 1.0 + value[:, i]
    error = torch.where(blurred & given, relative * slope, 0.0)
    noise = torch.randn(value.shape, generator=generator, device=device)
    return GivenLabels(value + error * noise, error, given)
