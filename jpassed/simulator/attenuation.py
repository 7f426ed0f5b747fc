"""Factors on the spectra that are exponentials of a few smooth functions of wavelength."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jpassed.simulator.dust import calzetti, drude_2175
from jpassed.simulator.priors import Randoms

__all__ = ["DustTerms", "TemplateError"]

FloatArray = NDArray[np.float64]

MAGNITUDE = -0.4 * np.log(10.0)
V_BAND = 5500.0


class DustTerms:
    """Attenuation of slope-modified Calzetti curves as a sum of terms.

    ``A(lambda)/A_V = [k(lambda)/R_V + bump D(lambda)] (lambda/5500)^slope`` (Noll et al. 2009,
    A&A 507, 1793), the power law expanded to fourth order in ``slope ln(lambda/5500)`` (better
    than 0.5 % of A for the slopes drawn), so that a batch is one matrix product.
    """

    ORDER = 4

    @classmethod
    def functions(cls, wave: FloatArray) -> FloatArray:
        """(2 ORDER + 2, P): ln of the transmission of each term."""
        log = np.log(np.asarray(wave) / V_BAND)
        powers = np.stack([log**i for i in range(cls.ORDER + 1)])
        return MAGNITUDE * np.concatenate(
            [powers * calzetti(wave), drude_2175(wave)[None, :]], axis=0
        )

    @classmethod
    def coefficients(cls, a_v: Tensor, slope: Tensor, bump: Tensor) -> Tensor:
        """(N, ORDER + 2), of A_V (mag), slope and bump strength (N,)."""
        terms, factor = [], torch.ones_like(slope)
        for i in range(cls.ORDER + 1):
            terms.append(a_v * factor)
            factor = factor * slope / (i + 1)
        terms.append(a_v * bump)
        return torch.stack(terms, dim=1)


class TemplateError:
    """Smooth random factors exp(g) on the stellar spectra.

    A Gaussian process in ln(wavelength) with two lengths, as a sum of Gaussian bumps one length
    apart, normalised to unit variance; it stands for what the libraries and histories lack.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        short, long = settings["short"]["length"], settings["long"]["length"]
        # Narrow structure only where bands are narrow, in the rest frame.
        self._short = np.arange(np.log(1800.0), np.log(11000.0), short)
        self._long = np.arange(np.log(600.0), np.log(60000.0), long)

    @property
    def size(self) -> int:
        """Number of modes."""
        return len(self._short) + len(self._long)

    def functions(self, wave: FloatArray) -> FloatArray:
        """(modes, P): unit-variance modes times the wavelength-dependent amplitude."""
        wave = np.asarray(wave, dtype=np.float64)
        log = np.log(wave)
        # amplitude against wavelength: log-linear from 2000 Å to 4000 Å and 9000 Å to 2 micron
        blue = np.interp(log, np.log([2000.0, 4000.0]), [1.0, 0.0])
        red = np.interp(log, np.log([9000.0, 20000.0]), [0.0, 1.0])
        grow = self.settings["ultraviolet"] ** blue * self.settings["infrared"] ** red
        parts = []
        for knots, key in ((self._short, "short"), (self._long, "long")):
            own = self.settings[key]
            bumps = np.exp(-0.5 * ((log[None, :] - knots[:, None]) / own["length"]) ** 2)
            # sqrt(pi) is the summed square of bumps one length apart, away from the ends
            parts.append(own["rms"] * bumps / np.pi**0.25)
        return np.concatenate(parts, axis=0) * grow

    def coefficients(self, random: Randoms) -> Tensor:
        """(N, modes) normal deviates times an amplitude of each galaxy."""
        amplitude = torch.exp(self.settings["spread"] * random.normal())
        return amplitude[:, None] * random.normal(self.size)
