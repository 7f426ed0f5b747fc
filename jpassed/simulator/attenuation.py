"""Factors on the spectra that are exponentials of a few smooth functions of wavelength."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jpassed.exceptions import InputError
from jpassed.simulator.dust import calzetti, drude_2175
from jpassed.simulator.priors import KINDS, Randoms

__all__ = ["DustTerms", "TemplateError"]

FloatArray = NDArray[np.float64]

MAGNITUDE = -0.4 * np.log(10.0)
V_BAND = 5500.0


class DustTerms:
    """Attenuation of slope-modified Calzetti curves as a sum of terms.

    ``A(lambda)/A_V = k(lambda)/R_V (lambda/5500)^slope + bump D(lambda)`` (after Noll et al. 2009,
    A&A 507, 1793, who multiply the bump by the power law, too), the power law expanded to fourth
    order in ``slope ln(lambda/5500)`` (better than 0.5 % of A for the slopes drawn), so that a
    batch is one matrix product.
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
    """Random factors exp(g) on the stellar spectra, for what libraries and histories lack.

    A Gaussian process in ln(wavelength) with two lengths, as a sum of Gaussian bumps one length
    apart, normalised to unit variance, and the named modes of ``abundance_modes.csv``, whose mean
    and scatter depend on the kind of galaxy.

    Parameters
    ----------
    settings : dict
        Section ``template_error`` of the priors.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        short, long = settings["short"]["length"], settings["long"]["length"]
        # Narrow structure only where bands are narrow, in the rest frame.
        self._short = np.arange(np.log(1800.0), np.log(11000.0), short)
        self._long = np.arange(np.log(600.0), np.log(60000.0), long)
        resource = files("jpassed.simulator") / "data" / "abundance_modes.csv"
        rows = [r.split(",") for r in resource.read_text().splitlines() if r and r[0] != "#"][1:]
        self.modes: dict[str, list[list[float]]] = {}
        for mode, *values in rows:
            self.modes.setdefault(mode, []).append([float(v) for v in values])
        unknown = set(settings["modes"]) - set(self.modes)
        if unknown or not settings["modes"]:
            raise InputError(
                f"the priors' template_error.modes are {sorted(settings['modes'])}; expected "
                f"some of {sorted(self.modes)}"
            )
        # the order of the file, so that the same modes draw the same random numbers
        self.modes = {name: own for name, own in self.modes.items() if name in settings["modes"]}

    @property
    def size(self) -> int:
        """Number of functions."""
        return len(self._short) + len(self._long) + len(self.modes)

    def functions(self, wave: FloatArray) -> FloatArray:
        """(size, P): ln of the factor of each function at unit deviate."""
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
            parts.append(own["rms"] * bumps / np.pi**0.25 * grow)
        for bumps_of_mode in self.modes.values():
            total = np.zeros_like(wave)
            for centre, sigma, amplitude in bumps_of_mode:
                total += amplitude * np.exp(-0.5 * ((wave - centre) / sigma) ** 2)
            parts.append(total[None, :])
        return np.concatenate(parts, axis=0)

    def coefficients(self, random: Randoms, kind: Tensor) -> Tensor:
        """(N, size): deviates times an amplitude of each galaxy, and the modes by kind (N,)."""
        amplitude = torch.exp(self.settings["spread"] * random.normal())
        smooth = amplitude[:, None] * random.normal(self.size - len(self.modes))
        named = []
        for mode in self.modes:
            table = torch.tensor(
                [self.settings["modes"][mode][name] for name in KINDS], device=kind.device
            )
            named.append(table[kind, 0] + table[kind, 1] * random.normal())
        return torch.cat([smooth, torch.stack(named, dim=1)], dim=1)
