"""From physical values to numbers of order one, and the errors with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jpassed.vocabulary import Vocabulary

__all__ = [
    "FLUX_LOC",
    "FLUX_SOFTENING",
    "FLUX_WIDTH",
    "LabelScaling",
    "flux_scale",
    "flux_to_scaled",
]

FLUX_SOFTENING = 0.02
"""A requested bandflux v, in units of the object's scale, is predicted as
y = (asinh(v / b) - loc) / width, with this b.

Logarithmic above b, linear below: relative errors are alike from the FUV to the near infrared,
and zero or negative flux is no special case.
"""
FLUX_LOC = 4.6
FLUX_WIDTH = 1.5


def flux_scale(flux: Tensor, error: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
    """The flux scale of every object: a weighted mean of its own bandfluxes.

    Parameters
    ----------
    flux, error : Tensor
        (N, B) microjansky.
    observed : Tensor
        (N, B) bool.

    Returns
    -------
    scale : Tensor
        (N,) microjansky, positive; 1 where nothing is observed. Weights are 1 / error**2 with an
        error floor of a fifth of the object's mean absolute flux, so that no band rules alone.
    observed_any : Tensor
        (N,) bool.
    """
    seen = observed.to(flux.dtype)
    count = seen.sum(-1).clamp(min=1.0)
    flux = torch.where(observed, flux, 0.0)
    error = torch.where(observed, error, 1.0)
    floor = 0.2 * (flux.abs().sum(-1) / count).unsqueeze(-1)
    weight = seen / (error.square() + floor.square())
    total = weight.sum(-1)
    mean = (weight * flux).sum(-1) / total.clamp(min=1e-30)
    # An object lost in the noise is scaled by the noise of its mean: positive, and honest.
    noise = total.clamp(min=1e-30).rsqrt()
    anything = observed.any(-1)
    scale = torch.where(anything, torch.maximum(mean, noise), 1.0)
    return scale, anything


def flux_to_scaled(
    flux: Tensor, scale: Tensor, error: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Scaled value of a requested bandflux.

    Parameters
    ----------
    flux : Tensor
        (N, B) microjansky.
    scale : Tensor
        (N,) microjansky.
    error : Tensor, optional
        (N, B) standard errors; zero if not given.

    Returns
    -------
    value, sigma : Tensor
        (N, B); sigma to first order.
    """
    relative = flux / scale.unsqueeze(-1)
    value = (torch.asinh(relative / FLUX_SOFTENING) - FLUX_LOC) / FLUX_WIDTH
    if error is None:
        return value, torch.zeros_like(value)
    slope = torch.hypot(relative, torch.full_like(relative, FLUX_SOFTENING)) * FLUX_WIDTH
    return value, error / scale.unsqueeze(-1) / slope


@dataclass(frozen=True)
class LabelScaling:
    """The vocabulary's scalings of scalar kinds as tensors.

    Attributes
    ----------
    names : tuple of str
        Scalar kinds, in the order of the columns of every label tensor.
    kind : Tensor
        (L,) index of each into the vocabulary.
    scale : tuple of str
    loc, width, softening : Tensor
        (L,) float32.
    """

    names: tuple[str, ...]
    kind: Tensor
    scale: tuple[str, ...]
    loc: Tensor
    width: Tensor
    softening: Tensor

    @classmethod
    def from_vocabulary(cls, vocabulary: Vocabulary, names: Sequence[str]) -> LabelScaling:
        """The scalings of `names`, in that order.

        Parameters
        ----------
        vocabulary : Vocabulary
        names : sequence of str
            Scalar kinds.

        Returns
        -------
        LabelScaling
        """
        kinds = [vocabulary[name] for name in names]
        return cls(
            tuple(names),
            torch.tensor([vocabulary.index(n) for n in names], dtype=torch.int64),
            tuple(k.scale for k in kinds),
            torch.tensor([k.loc for k in kinds], dtype=torch.float32),
            torch.tensor([k.width for k in kinds], dtype=torch.float32),
            torch.tensor([k.softening for k in kinds], dtype=torch.float32),
        )

    def to_scaled(self, value: Tensor, error: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Scaled values and errors of physical values (N, L): see `Kind.to_scaled`.

        Parameters
        ----------
        value : Tensor
            (N, L) physical values, in the units of the vocabulary.
        error : Tensor, optional
            (N, L) standard errors in the same units; 0 if not given.

        Returns
        -------
        value, error : Tensor
            (N, L) in scaled units.
        """
        asinh = torch.tensor([s == "asinh" for s in self.scale], device=value.device)
        log1p = torch.tensor([s == "log1p" for s in self.scale], device=value.device)
        soft = self.softening.to(value)
        width = self.width.to(value)
        x = torch.where(asinh, torch.asinh(value / soft), value)
        x = torch.where(log1p, torch.log1p(value.clamp(min=-0.99)), x)
        scaled = (x - self.loc.to(value)) / width
        if error is None:
            return scaled, torch.zeros_like(scaled)
        slope = torch.where(asinh, torch.hypot(value, soft.expand_as(value)), 1.0)
        slope = torch.where(log1p, 1.0 + value.clamp(min=-0.99), slope)
        return scaled, error / width / slope
