"""Simulated galaxies with the rest-frame spectra and lines that the simulator makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jpassed.refinement.coordinates import Cosmology, to_coordinates
from jpassed.refinement.rest_frame import REST_STEP, rest_grid
from jpassed.simulator import GalaxySimulator
from jpassed.simulator.galaxies import LOG_LSUN
from jpassed.simulator.library import rest_start

__all__ = ["Spectra", "draw_spectra"]


@dataclass(frozen=True)
class Spectra:
    """N galaxies with their rest-frame spectra.

    Attributes
    ----------
    theta : Tensor (N, D)
        Coordinates.
    log_spectrum : Tensor (M, P)
        Of the first M galaxies: ln of stars and nebular continuum behind dust over the stellar
        continuum at Halpha, on `rest_grid`.
    log_lines : Tensor (M, L)
        Of the same: ln of the lines' luminosity over that of Halpha.
    bandflux : Tensor (N, B)
        The simulator's own, microjansky.
    log_weight : Tensor (N,)
        See `GalaxySample`.
    """

    theta: Tensor
    log_spectrum: Tensor
    log_lines: Tensor
    bandflux: Tensor
    log_weight: Tensor


class _Recorder:
    """Keeps what passes through the simulator's synthesis."""

    def __init__(self, simulator: GalaxySimulator) -> None:
        self.synthesis: Any = simulator.synthesis
        self.seds: dict[str, Tensor] = {}
        self.lines = torch.zeros(0)
        self.z = torch.zeros(0)

    def __enter__(self) -> _Recorder:
        own, synthesis = self, self.synthesis
        observe, add = type(synthesis)._observe, type(synthesis)._lines

        def recorded(sed: Tensor, pixels: Any, z: Tensor, offset: Tensor, part: Tensor) -> Tensor:
            # The synthesis leaves out the pixels that no galaxy of the batch shows.
            first = int(pixels.shift(torch.log1p(z.double()))[0][0] - offset[0])
            full = torch.zeros(len(sed), pixels.size, device=sed.device)
            full[:, first : first + sed.shape[1]] = sed
            own.seds[pixels.segment.name] = full
            own.z = z.clone()
            seen: Tensor = observe(synthesis, sed, pixels, z, offset, part)
            return seen

        def recorded_lines(lines: Tensor, pixels: Any, log_shift: Tensor) -> Tensor:
            own.lines = lines.clone()
            seen: Tensor = add(lines, pixels, log_shift)
            return seen

        synthesis._observe, synthesis._lines = recorded, recorded_lines
        return self

    def __exit__(self, *_: object) -> None:
        del self.synthesis._observe, self.synthesis._lines

    def on_grid(self) -> Tensor:
        """Spectra (N, P) on `rest_grid`, L_sun/Å per M_sun formed: the finest segment first."""
        wave = rest_grid()
        out = torch.zeros(len(self.z), len(wave))
        done = np.zeros(len(wave), dtype=bool)
        for pixels in self.synthesis.pixels:
            segment = pixels.segment
            sed = self.seds[segment.name]
            start, size = rest_start(segment)
            own = start + segment.step * np.arange(size)
            edges = np.log(wave)[:, None] + REST_STEP * np.array([-0.5, 0.5])
            inside = (edges[:, 0] >= own[0]) & (edges[:, 1] <= own[-1]) & ~done
            matrix = _averaging(own, edges[inside])
            out[:, inside] = sed @ torch.tensor(matrix, dtype=torch.float32)
            done |= inside
        # beyond the last pixel that any segment holds the last one stands
        last = int(np.flatnonzero(done)[-1])
        out[:, last + 1 :] = out[:, last : last + 1]
        return out


def _averaging(own: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Weights (pixels, bins) of the mean of a piecewise linear function over each bin."""
    step = own[1] - own[0]
    points, gauss = np.polynomial.legendre.leggauss(8)
    x = 0.5 * edges.sum(1)[:, None] + 0.5 * (edges[:, 1] - edges[:, 0])[:, None] * points
    position = (x - own[0]) / step
    index = np.clip(np.floor(position).astype(int), 0, len(own) - 2)
    part = position - index
    out = np.zeros((len(own), len(edges)))
    column = np.broadcast_to(np.arange(len(edges))[:, None], index.shape)
    np.add.at(out, (index, column), 0.5 * gauss * (1 - part))
    np.add.at(out, (index + 1, column), 0.5 * gauss * part)
    return out


def draw_spectra(
    simulator: GalaxySimulator,
    n: int,
    generator: torch.Generator,
    *,
    spectra: int | None = None,
    faintest: float = 23.6,
) -> Spectra:
    """Draw at least n galaxies brighter than `faintest`, and keep the spectra of `spectra`."""
    cosmology = Cosmology()
    wanted = n if spectra is None else spectra
    parts: list[list[Tensor]] = [[] for _ in range(5)]
    count = 0
    halpha = simulator.lines.index("Halpha")
    with _Recorder(simulator) as recorder:
        while count < n:
            sample = simulator.sample(simulator.chunk, generator)
            # The synthesis works in an order of its own: redshifts tell which galaxy is which.
            ours, theirs = sample.labels["z"].argsort(), recorder.z.argsort()
            where = torch.empty_like(theirs)
            where[ours] = theirs
            z = sample.labels["z"]
            ranked = z[ours]
            twin = torch.zeros(len(z), dtype=torch.bool)
            twin[ours[1:]] |= ranked[1:] == ranked[:-1]
            twin[ours[:-1]] |= ranked[1:] == ranked[:-1]
            keep = (sample.mag_r < faintest) & ~twin & torch.isfinite(sample.bandflux).all(-1)
            theta = to_coordinates(sample.labels, sample.mag_r, cosmology)
            own = [theta, None, None, sample.bandflux, sample.log_weight]
            if count < wanted:
                level = sample.labels["logc_halpha"] - LOG_LSUN - sample.labels["logmformed"]
                spectrum = torch.log(recorder.on_grid()[where].clamp(min=1e-30))
                own[1] = spectrum - float(np.log(10.0)) * level[:, None]
                lines = torch.log(recorder.lines[where].clamp(min=1e-30))
                own[2] = (lines - lines[:, halpha : halpha + 1]).clamp(min=-9.0)
            for part, value in zip(parts, own, strict=True):
                if value is not None:
                    part.append(value[keep].float())
            count += int(keep.sum())
    return Spectra(*(torch.cat(part) for part in parts))
