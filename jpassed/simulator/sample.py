"""What the simulator gives: noise-free bandfluxes and their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["LABELS", "GalaxySample", "join_samples"]

LABELS = (
    "z", "logmstar", "logmformed", "logsfr", "logzstar", "t0", "tau", "av", "av_young", "ur_rest",
    "ur_int", "logage_m", "logage_l", "ew_oii", "ew_hbeta", "ew_oiii", "ew_halpha", "ew_nii",
    "ew_sii", "logc_oii", "logc_hbeta", "logc_oiii", "logc_halpha", "mabs_r",
)  # fmt: skip
"""Labels of every sample: the scalar kinds of the vocabulary."""


@dataclass(frozen=True)
class GalaxySample:
    """Noise-free galaxies.

    Parameters
    ----------
    bands : tuple of str
        Names of the passbands.
    bandflux : Tensor (N, B)
        Total AB bandflux, microjansky.
    labels : dict of Tensor (N,)
        `LABELS`, in the units of the vocabulary.
    observable : dict of Tensor (N,), bool
        False where a label is no target: a line outside 3500-9600 Å, an SFR on its floor.
    mag_r : Tensor (N,)
        True AB magnitude in rSDSS (in SDSS r where the passbands hold no ``rSDSS``).
    log_weight : Tensor (N,)
        ln of the drawn over the natural density: 0 where the prior is drawn as it is. An
        importance weight of ``exp(-log_weight)`` gives the natural prior back.
    kind : Tensor (N,)
        Index into `jpassed.simulator.priors.KINDS`.
    """

    bands: tuple[str, ...]
    bandflux: Tensor
    labels: dict[str, Tensor]
    observable: dict[str, Tensor]
    mag_r: Tensor
    log_weight: Tensor
    kind: Tensor

    def __len__(self) -> int:
        return len(self.mag_r)


def join_samples(parts: Sequence[GalaxySample]) -> GalaxySample:
    """The galaxies of several samples of the same bands, one after the other."""
    if len(parts) == 1:
        return parts[0]
    return GalaxySample(
        bands=parts[0].bands,
        bandflux=torch.cat([p.bandflux for p in parts]),
        labels={k: torch.cat([p.labels[k] for p in parts]) for k in LABELS},
        observable={k: torch.cat([p.observable[k] for p in parts]) for k in LABELS},
        mag_r=torch.cat([p.mag_r for p in parts]),
        log_weight=torch.cat([p.log_weight for p in parts]),
        kind=torch.cat([p.kind for p in parts]),
    )
