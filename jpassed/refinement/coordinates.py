"""Coordinates of a galaxy in which the refinement works: labels, made regular."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from jpassed.simulator.cosmology import FlatUniverse

__all__ = ["CORE", "NAMES", "SHAPE", "Cosmology", "from_coordinates", "to_coordinates"]

NAMES = (
    "zeta", "mag", "k_r", "c_halpha", "c_hbeta", "c_oiii", "c_oii", "ur_rest", "ew_halpha",
    "ew_oiii", "ew_oii", "ew_hbeta", "ew_nii", "ew_sii", "av", "ur_int", "logage_l", "logzstar",
    "logmstar", "logmformed", "logage_m", "logsfr", "t0", "tau", "av_young",
)  # fmt: skip
"""Coordinates in the order in which they are drawn.

``zeta`` ln(1+z); ``mag`` true r magnitude of the survey's band; ``k_r`` rest-frame r magnitude at
the galaxy's distance less ``mag``; ``c_halpha`` 2.5 log continuum at Halpha plus the absolute
magnitude; ``c_*`` log continuum against the line before; logarithms of the equivalent widths (plus
0.3 Å), of A_V (plus 0.03), of tau; masses against light; log SFR against mass; t0 over the age of
the universe. Every step is invertible, and linear in what is not redshift or a single label.
"""

CORE = 18
"""The first so many coordinates decide the spectrum: they enter the likelihood and the weights.
The others follow from them by the proposal alone."""

SHAPE = slice(3, CORE)
"""Coordinates that the emulator of the rest-frame spectrum reads, with the luminosity."""

EW_SOFTENING, AV_SOFTENING = 0.3, 0.03
LINES = ("halpha", "oiii", "oii", "hbeta", "nii", "sii")


class Cosmology:
    """Distance modulus and age of the universe by interpolation, on tensors."""

    def __init__(self) -> None:
        universe = FlatUniverse()
        z = np.linspace(0.0, 1.3, 5201)
        positive = np.maximum(z, 1e-5)
        # the modulus less 5 log10 z is smooth down to z = 0
        smooth = universe.distance_modulus(positive) - 5.0 * np.log10(positive)
        self.step = float(z[1])
        self._modulus = torch.tensor(smooth, dtype=torch.float64)
        self._age = torch.tensor(universe.age(z), dtype=torch.float64)

    def _at(self, grid: Tensor, z: Tensor) -> Tensor:
        x = z.double() / self.step
        i = x.long().clamp(0, len(grid) - 2)
        own = grid.to(z.device)
        return (own[i] + (x - i) * (own[i + 1] - own[i])).to(z.dtype)

    def modulus(self, z: Tensor) -> Tensor:
        """Distance modulus, mag."""
        return self._at(self._modulus, z) + 5.0 * torch.log10(z.clamp(min=1e-5))

    def age(self, z: Tensor) -> Tensor:
        """Age of the universe, Gyr."""
        return self._at(self._age, z)


def to_coordinates(labels: Mapping[str, Tensor], mag: Tensor, cosmology: Cosmology) -> Tensor:
    """Coordinates (N, D) of galaxies, not standardised.

    Parameters
    ----------
    labels : mapping of str to Tensor (N,)
        All scalar kinds of the vocabulary, in its units.
    mag : Tensor (N,)
        True AB magnitude in the selection band.
    cosmology : Cosmology

    Returns
    -------
    Tensor (N, D)
        In the order of `NAMES`.
    """
    z, absolute = labels["z"], labels["mabs_r"]
    level = labels["logc_halpha"]
    columns = [
        torch.log1p(z),
        mag,
        absolute + cosmology.modulus(z) - mag,
        2.5 * level + absolute,
        labels["logc_hbeta"] - level,
        labels["logc_oiii"] - labels["logc_hbeta"],
        labels["logc_oii"] - labels["logc_hbeta"],
        labels["ur_rest"],
        *(torch.log(labels[f"ew_{k}"].clamp(min=0.0) + EW_SOFTENING) for k in LINES),
        torch.log(labels["av"].clamp(min=0.0) + AV_SOFTENING),
        labels["ur_int"],
        labels["logage_l"],
        labels["logzstar"],
        labels["logmstar"] - level,
        labels["logmformed"] - labels["logmstar"],
        labels["logage_m"],
        labels["logsfr"] - labels["logmstar"],
        labels["t0"] / cosmology.age(z),
        torch.log(labels["tau"].clamp(min=1e-3)),
        torch.log(labels["av_young"].clamp(min=0.0) + AV_SOFTENING),
    ]
    return torch.stack([c.to(torch.float32) for c in columns], dim=-1)


def from_coordinates(theta: Tensor, cosmology: Cosmology) -> dict[str, Tensor]:
    """Labels of coordinates (..., D); also ``mag``. See `to_coordinates`."""
    t = dict(zip(NAMES, theta.unbind(-1), strict=True))
    z = torch.expm1(t["zeta"]).clamp(min=1e-4)
    labels = {"z": z, "mag": t["mag"]}
    labels["mabs_r"] = t["k_r"] + t["mag"] - cosmology.modulus(z)
    level = (t["c_halpha"] - labels["mabs_r"]) / 2.5
    labels["logc_halpha"] = level
    labels["logc_hbeta"] = level + t["c_hbeta"]
    labels["logc_oiii"] = labels["logc_hbeta"] + t["c_oiii"]
    labels["logc_oii"] = labels["logc_hbeta"] + t["c_oii"]
    for key in LINES:
        labels[f"ew_{key}"] = (torch.exp(t[f"ew_{key}"]) - EW_SOFTENING).clamp(min=0.0)
    for key in ("av", "av_young"):
        labels[key] = (torch.exp(t[key]) - AV_SOFTENING).clamp(min=0.0)
    for key in ("ur_rest", "ur_int", "logage_l", "logage_m", "logzstar"):
        labels[key] = t[key]
    labels["logmstar"] = t["logmstar"] + level
    labels["logmformed"] = t["logmformed"] + labels["logmstar"]
    labels["logsfr"] = t["logsfr"] + labels["logmstar"]
    labels["t0"] = (t["t0"].clamp(0.0, 1.0)) * cosmology.age(z)
    labels["tau"] = torch.exp(t["tau"])
    return labels
