"""Containers of tokens. Presence is always a mask, never a value."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

__all__ = ["Context", "Requests", "TokenBatch"]


@dataclass(frozen=True)
class TokenBatch:
    """Tokens of one form: B objects, T tokens each, P values in a token.

    Attributes
    ----------
    kind : Tensor
        (B, T) int64, index into the vocabulary.
    survey : Tensor
        (B, T) int64; 0 for a token that belongs to no patch.
    wavelength, width : Tensor
        (B, T, P) float32 Å, pivot wavelength and equivalent width; 0 where a kind has none.
    value, error : Tensor
        (B, T, P) float32, scaled (see `jpassed.tokens.scaling`); 0 where not observed.
    observed : Tensor
        (B, T, P) bool.
    """

    kind: Tensor
    survey: Tensor
    wavelength: Tensor
    width: Tensor
    value: Tensor
    error: Tensor
    observed: Tensor

    @property
    def present(self) -> Tensor:
        """(B, T) bool: tokens that hold at least one value."""
        return self.observed.any(-1)

    def to(self, device: torch.device | str) -> TokenBatch:
        """The same tokens on another device."""
        if self.value.device == torch.device(device):
            return self
        moved = {f.name: getattr(self, f.name).to(device) for f in fields(self)}
        return replace(self, **moved)

    def __getitem__(self, rows: Tensor | slice) -> TokenBatch:
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def packed(self, count: int) -> TokenBatch:
        """The first `count` of each object's present tokens, in their order; then absent ones."""
        if count >= self.kind.shape[1]:
            return self
        order = self.present.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :count]
        rows = torch.arange(len(order), device=order.device).unsqueeze(1)
        return replace(self, **{f.name: getattr(self, f.name)[rows, order] for f in fields(self)})


@dataclass(frozen=True)
class Context:
    """All that is known of B objects.

    Attributes
    ----------
    patch : TokenBatch or None
        (B, 1) tokens that hold all bands of one survey (P values), None if no object has any.
    bands : TokenBatch
        (B, T) tokens of one band each; T may be 0.
    labels : TokenBatch
        (B, L) tokens of one scalar kind each; L may be 0.
    log_scale : Tensor
        (B,) natural logarithm of the flux scale in microjansky.
    has_scale : Tensor
        (B,) bool, False where an object has no band at all.
    """

    patch: TokenBatch | None
    bands: TokenBatch
    labels: TokenBatch
    log_scale: Tensor
    has_scale: Tensor

    def __len__(self) -> int:
        return int(self.log_scale.shape[0])

    def to(self, device: torch.device | str) -> Context:
        """The same context on another device."""
        return Context(
            None if self.patch is None else self.patch.to(device),
            self.bands.to(device),
            self.labels.to(device),
            self.log_scale.to(device),
            self.has_scale.to(device),
        )

    def __getitem__(self, rows: Tensor | slice) -> Context:
        return Context(
            None if self.patch is None else self.patch[rows],
            self.bands[rows],
            self.labels[rows],
            self.log_scale[rows],
            self.has_scale[rows],
        )


@dataclass(frozen=True)
class Requests:
    """R quantities asked of every object of a batch.

    Attributes
    ----------
    kind : Tensor
        (R,) int64, index into the vocabulary.
    wavelength, width : Tensor
        (R,) float32 Å, 0 for kinds without a passband.
    names : tuple of str
        Quantity names, e.g. ``("z", "flux:J0660")``.
    """

    kind: Tensor
    wavelength: Tensor
    width: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def to(self, device: torch.device | str) -> Requests:
        """The same requests on another device."""
        return replace(
            self,
            kind=self.kind.to(device),
            wavelength=self.wavelength.to(device),
            width=self.width.to(device),
        )
