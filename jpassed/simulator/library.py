"""An SSP grid prepared for batched synthesis: tensors on pixels, and the numbers labels need."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jpassed.simulator.bands import Segment, band_weights, rest_pixels, sdss_ur
from jpassed.simulator.ssp import AGE_EDGES, SSPGrid

__all__ = ["COLUMNS", "CONTINUUM", "YOUNG_BINS", "Library", "rest_start"]

FloatArray = NDArray[np.float64]

YOUNG_BINS = 2
"""Age bins younger than 10 Myr: they carry the birth clouds' attenuation."""

CONTINUUM: dict[str, tuple[tuple[float, float], ...]] = {
    "ew_oii": ((3690.0, 3718.0), (3742.0, 3770.0)),
    "ew_hbeta": ((4800.0, 4835.0), (4890.0, 4930.0)),
    "ew_oiii": ((4972.0, 4995.0), (5020.0, 5060.0)),
    "ew_halpha": ((6500.0, 6535.0), (6595.0, 6640.0)),
    "ew_nii": ((6500.0, 6535.0), (6595.0, 6640.0)),
    "ew_sii": ((6680.0, 6708.0), (6745.0, 6780.0)),
}
"""Rest-frame vacuum windows (Å) on either side of each line and outside stellar absorption whose
mean is the stellar continuum of its equivalent width."""

COLUMNS = (*CONTINUUM, "f5635", "u", "r", "q_young", "q_old", "remaining")
"""Columns of `Library.small`."""

OLD_PHOTONS = 3e7
"""Age (yr) beyond which ionising photons come from hot evolved stars."""

MAXIMUM_ONE_PLUS_Z = 2.25


def rest_start(segment: Segment) -> tuple[float, int]:
    """ln(Å) of the first rest-frame pixel of a segment and the number of pixels."""
    shift = int(np.ceil(np.log(MAXIMUM_ONE_PLUS_Z) / segment.step))
    return float(np.log(segment.lower) - shift * segment.step), segment.pixels() + shift + 1


class Library:
    """One SSP grid on the rest-frame pixels of the segments in use.

    Parameters
    ----------
    grid : SSPGrid
        The grid.
    segments : list of Segment
        Parts of the spectrum needed.
    device : torch.device or str
        Where the tensors live.

    Attributes
    ----------
    logz : Tensor (Z,)
        log10 metal mass fraction.
    old : list of Tensor (Z, A - 2, P)
        Spectra of stars older than 10 Myr on each segment, L_sun/Å per M_sun formed.
    young : list of Tensor (Z, 2, P)
        The same for younger stars.
    small : Tensor (Z, A, C)
        `COLUMNS` per M_sun formed.
    """

    def __init__(self, grid: SSPGrid, segments: list[Segment], device: torch.device | str) -> None:
        self.name = grid.name
        self.zsun = grid.zsun
        self.source = grid.source

        def tensor(values: FloatArray) -> Tensor:
            return torch.tensor(values, dtype=torch.float32, device=device)

        self.logz = tensor(grid.logz)
        self.old: list[Tensor] = []
        self.young: list[Tensor] = []
        for segment in segments:
            start, size = rest_start(segment)
            pixels = np.exp(start + segment.step * np.arange(size))
            binned = tensor(rest_pixels(grid.wave, grid.flux, pixels, segment.step))
            self.old.append(binned[:, YOUNG_BINS:].contiguous())
            self.young.append(binned[:, :YOUNG_BINS].contiguous())
        self.small = tensor(self._small(grid))

    @staticmethod
    def _small(grid: SSPGrid) -> FloatArray:
        columns = []
        for windows in CONTINUUM.values():
            columns.append(np.mean([_mean(grid, *w) for w in windows], axis=0))
        columns.append(_mean(grid, 5590.0, 5680.0))
        for passband in sdss_ur():
            step = 1e-3
            start = float(np.log(passband[1][0])) - step
            size = int(np.log(passband[1][-1] / passband[1][0]) / step) + 4
            pixels = np.exp(start + step * np.arange(size))
            weights = band_weights(start, step, size, passband)
            columns.append(rest_pixels(grid.wave, grid.flux, pixels, step) @ weights)
        old = AGE_EDGES[:-1] >= OLD_PHOTONS
        columns.append(np.where(old, 0.0, grid.ionising))
        columns.append(np.where(old, grid.ionising, 0.0))
        columns.append(grid.remaining)
        return np.stack(columns, axis=-1)


def _mean(grid: SSPGrid, lower: float, upper: float) -> FloatArray:
    """Mean flux (Z, A) over a window narrower than some grids' pixels."""
    x = np.linspace(lower, upper, 41)
    out = np.empty(grid.flux.shape[:2])
    for i, j in np.ndindex(*out.shape):
        out[i, j] = np.interp(x, grid.wave, grid.flux[i, j]).mean()
    return out
