"""Rest-frame spectra on one log-wavelength grid, and their bandfluxes at any redshift."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from jpassed.exceptions import InputError
from jpassed.simulator.bands import (
    LINE_STEP,
    WEIGHT_SCALE,
    Passband,
    Segment,
    band_weights,
    line_weights,
)
from jpassed.simulator.dust import igm_transmission
from jpassed.simulator.galaxies import LOG_LSUN, LOG_LSUN_10PC

__all__ = ["REST_STEP", "Bandfluxes", "rest_grid"]

REST_STEP = 0.004
"""Pixel in ln(wavelength): 20 Å at 5000 Å, a seventh of a narrow band."""

REST_LOWER, REST_UPPER = 912.0, 60000.0
ONE_PLUS_Z = 2.25
IGM_STEP = 0.005


def rest_grid() -> np.ndarray:
    """Vacuum wavelengths (Å) of the pixels of rest-frame spectra."""
    size = int(np.log(REST_UPPER / REST_LOWER) / REST_STEP) + 1
    return REST_LOWER * np.exp(REST_STEP * np.arange(size))


class Bandfluxes:
    """Bandfluxes in microjansky of rest-frame spectra and lines, for a set of passbands.

    Parameters
    ----------
    passbands : sequence of (name, wave, throughput)
        Vacuum Å, photon-counting.
    line_wave : array (L,)
        Vacuum wavelengths of the lines.
    """

    def __init__(self, passbands: Sequence[Passband], line_wave: np.ndarray) -> None:
        if not passbands:
            raise InputError("no passband to predict: expected at least one")
        self.names = tuple(name for name, _, _ in passbands)
        curves = [(np.asarray(w)[np.asarray(t) > 1e-4 * np.max(t)]) for _, w, t in passbands]
        lower = min(c[0] for c in curves) * 0.995
        upper = max(c[-1] for c in curves) * 1.005
        segment = Segment("observed", float(lower), float(upper), REST_STEP)
        rest = rest_grid()
        self.observed = segment.pixels()
        start = np.log(lower)
        first = start - np.ceil(np.log(ONE_PLUS_Z) / REST_STEP) * REST_STEP
        self.shift0 = (start - first) / REST_STEP
        size = self.observed + int(np.ceil(np.log(ONE_PLUS_Z) / REST_STEP)) + 1
        wave = np.exp(first + REST_STEP * np.arange(size))
        self.wave, self._rest = wave, rest
        weights = np.stack(
            [band_weights(start, REST_STEP, self.observed, p) for p in passbands], axis=1
        )
        both = np.zeros((self.observed + 1, 2 * len(passbands)))
        both[:-1, : len(passbands)] = weights
        both[1:, len(passbands) :] = weights
        self.weights = torch.tensor(both, dtype=torch.float32)
        self.norm = torch.tensor(weights.sum(axis=0), dtype=torch.float32)
        self.line_table = torch.tensor(
            np.stack([line_weights(segment, p) for p in passbands], axis=1), dtype=torch.float32
        )
        self.line_log = torch.tensor(np.log(line_wave / lower), dtype=torch.float64)
        grid = np.exp(start + REST_STEP * np.arange(self.observed + 1))
        blue = grid < 1216.0 * ONE_PLUS_Z
        self.igm: Tensor | None = None
        if blue.any():
            z = np.arange(0.0, ONE_PLUS_Z - 1.0, IGM_STEP)
            self.igm = torch.tensor(igm_transmission(grid[blue], z), dtype=torch.float32)

    def resampled(self, spectra: Tensor, fill: float) -> Tensor:
        """Rows of `rest_grid` values (K, P) on this object's own pixels, by interpolation."""
        where = np.log(self.wave)
        own = np.log(self._rest)
        rows = [
            np.interp(where, own, row, left=fill, right=float(row[-1]))
            for row in spectra.double().cpu().numpy()
        ]
        return torch.tensor(np.stack(rows), dtype=torch.float32)

    def continuum(self, spectrum: Tensor, zeta: Tensor) -> Tensor:
        """Bandfluxes (N, B) of spectra (N, P) on `wave`, without distance, see `to_microjansky`."""
        position = self.shift0 - zeta.double() / REST_STEP
        whole = torch.floor(position)
        part = (position - whole).float()[:, None]
        windows = spectrum.unfold(1, self.observed + 1, 1)
        seen = windows[torch.arange(len(zeta)), whole.long().clamp(0, windows.shape[1] - 1)]
        if self.igm is not None:
            index = (torch.expm1(zeta.double()) / IGM_STEP + 0.5).long()
            blue = self.igm.shape[1]
            seen[:, :blue] *= self.igm[index.clamp(0, len(self.igm) - 1)]
        both = seen @ self.weights
        half = both.shape[1] // 2
        return both[:, :half] * (1.0 - part) + both[:, half:] * part

    def mean(self, function: Tensor, zeta: Tensor) -> Tensor:
        """Mean over each passband (N, B) of functions (N, P) on `wave`, no IGM."""
        position = self.shift0 - zeta.double() / REST_STEP
        whole = torch.floor(position)
        part = (position - whole).float()[:, None]
        windows = function.unfold(1, self.observed + 1, 1)
        seen = windows[torch.arange(len(zeta)), whole.long().clamp(0, windows.shape[1] - 1)]
        both = seen @ self.weights
        half = both.shape[1] // 2
        return (both[:, :half] * (1.0 - part) + both[:, half:] * part) / self.norm

    def lines(self, luminosity: Tensor, zeta: Tensor) -> Tensor:
        """Bandfluxes (N, B) of lines (N, L), in the units of `continuum` times Å."""
        index = ((self.line_log + zeta.double()[:, None]) / LINE_STEP + 0.5).long()
        inside = (index >= 0) & (index < len(self.line_table))
        index = torch.where(inside, index, 0)  # the table is 0 at both ends
        flux = luminosity * torch.exp(zeta)[:, None]
        return torch.nn.functional.embedding_bag(
            index, self.line_table, per_sample_weights=flux, mode="sum"
        )

    @staticmethod
    def to_microjansky(log_level: Tensor, modulus: Tensor, zeta: Tensor) -> Tensor:
        """Factor (N,) to microjansky of spectra in units of 10**log_level erg/s/Å."""
        exponent = log_level - LOG_LSUN + LOG_LSUN_10PC - 0.4 * modulus
        scale = 10.0 ** (exponent.double() - np.log10(WEIGHT_SCALE))
        return (scale * torch.exp(-zeta.double())).float()
