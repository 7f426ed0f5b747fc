"""From bandfluxes and labels to a `Context`, and from names to `Requests`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.tokens.batch import Context, Requests, TokenBatch
from jpassed.tokens.scaling import LabelScaling, flux_scale
from jpassed.vocabulary import Vocabulary, split_quantity
from jpassed.vocabulary.vocabulary import BANDFLUX

__all__ = ["BandLayout", "build_context", "build_requests"]

PATCH_SURVEY = 1
"""Survey index of the patch token; more patches take further numbers."""


@dataclass(frozen=True)
class BandLayout:
    """Which columns of a flux array enter the patch token, and which are tokens of their own.

    Attributes
    ----------
    bands : tuple of str
        Names of the columns of the flux array.
    pivot, width : Tensor
        (B,) float32 Å.
    patch : Tensor
        (P,) int64: the column of each band of the patch, -1 if the array has none.
    single : Tensor
        (S,) int64: columns that are single-band tokens.
    """

    bands: tuple[str, ...]
    pivot: Tensor
    width: Tensor
    patch: Tensor
    single: Tensor

    @classmethod
    def make(
        cls,
        bands: Sequence[str],
        pivot: Sequence[float] | np.ndarray,
        width: Sequence[float] | np.ndarray,
        patch_bands: Sequence[str],
    ) -> BandLayout:
        """Lay out `bands`; those in `patch_bands` share the patch token.

        Parameters
        ----------
        bands : sequence of str
            Names of the B columns.
        pivot, width : sequence of float
            (B,) vacuum Å.
        patch_bands : sequence of str
            Those of the model's patch, in its order; some may be missing.

        Raises
        ------
        InputError
            If a band is named twice.
        """
        position = {name: i for i, name in enumerate(bands)}
        if len(position) != len(bands):
            twice = sorted({b for b in bands if list(bands).count(b) > 1})
            raise InputError(f"expected every band once, got {', '.join(twice)} more than once")
        patch = [position.get(name, -1) for name in patch_bands]
        single = [i for i, name in enumerate(bands) if name not in set(patch_bands)]
        return cls(
            tuple(bands),
            torch.as_tensor(np.asarray(pivot, dtype=np.float32)),
            torch.as_tensor(np.asarray(width, dtype=np.float32)),
            torch.tensor(patch, dtype=torch.int64),
            torch.tensor(single, dtype=torch.int64),
        )

    def with_single(self, columns: Tensor) -> BandLayout:
        """The same layout with only some of the single-band columns."""
        return BandLayout(self.bands, self.pivot, self.width, self.patch, columns)

    def without_patch(self) -> BandLayout:
        """The same layout with the patch left out."""
        return BandLayout(
            self.bands, self.pivot, self.width, torch.full_like(self.patch, -1), self.single
        )


def build_context(
    flux: Tensor,
    error: Tensor,
    observed: Tensor,
    layout: BandLayout,
    *,
    vocabulary: Vocabulary,
    scaling: LabelScaling,
    label_value: Tensor | None = None,
    label_error: Tensor | None = None,
    label_given: Tensor | None = None,
) -> Context:
    """Tokens of N objects.

    Parameters
    ----------
    flux, error : Tensor
        (N, B) microjansky, errors positive where observed.
    observed : Tensor
        (N, B) bool. An observed non-detection has a flux near zero and its error.
    layout : BandLayout
        What the B columns are.
    vocabulary : Vocabulary
    scaling : LabelScaling
        Scalar kinds of the label columns.
    label_value, label_error : Tensor, optional
        (N, L) physical values and standard errors of the labels in the context.
    label_given : Tensor, optional
        (N, L) bool, which of them are in the context.

    Returns
    -------
    Context
    """
    used = torch.zeros(len(layout.bands), dtype=torch.bool, device=flux.device)
    used[layout.single.to(flux.device)] = True
    inside = layout.patch[layout.patch >= 0].to(flux.device)
    used[inside] = True
    observed = observed & used
    scale, has_scale = flux_scale(flux, error, observed)
    value = torch.where(observed, flux / scale.unsqueeze(-1), 0.0)
    sigma = torch.where(observed, error / scale.unsqueeze(-1), 0.0)

    bandflux = vocabulary.index(BANDFLUX)
    patch = None
    if len(inside):
        patch = _band_tokens(value, sigma, observed, layout, layout.patch, bandflux, as_patch=True)
    bands = _band_tokens(value, sigma, observed, layout, layout.single, bandflux, as_patch=False)
    labels = _label_tokens(flux, scaling, label_value, label_error, label_given)
    return Context(patch, bands, labels, scale.log(), has_scale)


def _band_tokens(
    value: Tensor,
    sigma: Tensor,
    observed: Tensor,
    layout: BandLayout,
    columns: Tensor,
    kind: int,
    *,
    as_patch: bool,
) -> TokenBatch:
    columns = columns.to(value.device)
    n = value.shape[0]
    missing = columns < 0
    take = columns.clamp(min=0)
    parts = [t[:, take] for t in (value, sigma)]
    seen = observed[:, take] & ~missing
    parts = [torch.where(missing, 0.0, t) for t in parts]
    wavelength = torch.where(missing, 0.0, layout.pivot.to(value.device)[take]).expand(n, -1)
    width = torch.where(missing, 0.0, layout.width.to(value.device)[take]).expand(n, -1)
    axis = 1 if as_patch else 2
    tokens = 1 if as_patch else int(columns.shape[0])
    index = torch.full((n, tokens), kind, dtype=torch.int64, device=value.device)
    survey = torch.full_like(index, PATCH_SURVEY if as_patch else 0)
    return TokenBatch(
        index,
        survey,
        *(t.unsqueeze(axis) for t in (wavelength, width, parts[0], parts[1], seen)),
    )


def _label_tokens(
    flux: Tensor,
    scaling: LabelScaling,
    value: Tensor | None,
    error: Tensor | None,
    given: Tensor | None,
) -> TokenBatch:
    n, device = flux.shape[0], flux.device
    if value is None or given is None or not bool(given.any()):
        empty = torch.zeros((n, 0), dtype=torch.int64, device=device)
        none = torch.zeros((n, 0, 1), dtype=torch.float32, device=device)
        return TokenBatch(empty, empty, none, none, none, none, none.bool())
    value = torch.where(given, value, 0.0)
    scaled, sigma = scaling.to_scaled(value, error)
    # Only as many tokens as the fullest object needs: given labels first, the rest is padding.
    count = int(given.sum(-1).max())
    order = torch.argsort(given.to(torch.int8), dim=-1, descending=True, stable=True)[:, :count]
    kind = scaling.kind.to(device)[order]
    seen = given.gather(1, order)
    scaled = torch.where(seen, scaled.gather(1, order), 0.0).unsqueeze(-1)
    sigma = torch.where(seen, sigma.gather(1, order), 0.0).unsqueeze(-1)
    nowhere = torch.zeros_like(scaled)
    return TokenBatch(
        kind, torch.zeros_like(kind), nowhere, nowhere, scaled, sigma, seen.unsqueeze(-1)
    )


def build_requests(
    names: Sequence[str],
    vocabulary: Vocabulary,
    bands: Mapping[str, tuple[float, float]],
) -> Requests:
    """Requests for quantities by name.

    Parameters
    ----------
    names : sequence of str
        Quantities: scalar kinds, or ``flux:<band>``.
    vocabulary : Vocabulary
    bands : mapping
        Band name to (pivot, width) in Å.

    Returns
    -------
    Requests
        In the order of the names.

    Raises
    ------
    UnknownNameError
        For an unknown quantity or passband, with the valid choices.
    """
    kind, pivot, width = [], [], []
    for name in names:
        base, band = split_quantity(name)
        if name not in vocabulary or name == BANDFLUX:
            raise UnknownNameError("quantity", name, [*vocabulary.scalars, "flux:<band>"])
        kind.append(vocabulary.index(base))
        where = (0.0, 0.0)
        if band is not None:
            if band not in bands:
                raise UnknownNameError("passband", band, bands)
            where = bands[band]
        pivot.append(where[0])
        width.append(where[1])
    return Requests(
        torch.tensor(kind, dtype=torch.int64),
        torch.tensor(pivot, dtype=torch.float32),
        torch.tensor(width, dtype=torch.float32),
        tuple(names),
    )
