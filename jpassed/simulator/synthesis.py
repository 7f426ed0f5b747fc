"""From histories, dust and lines to bandfluxes: the batched arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jpassed.simulator.attenuation import DustTerms, TemplateError
from jpassed.simulator.bands import (
    LINE_STEP,
    Passband,
    Segment,
    band_weights,
    build_segments,
    line_weights,
    rest_pixels,
    sdss_ur,
)
from jpassed.simulator.dust import igm_transmission
from jpassed.simulator.library import COLUMNS, CONTINUUM, YOUNG_BINS, Library, rest_start
from jpassed.simulator.lines import LABEL_LINES, LineModel, nebular_continuum
from jpassed.simulator.ssp import SSPGrid

__all__ = ["Synthesis"]

GROUPS_PER_LIBRARY = 100
NEBULAR_WAVE = np.arange(600.0, 70000.0, 2.0)


class Pixels:
    """Tensors of one segment: band weights and functions on its rest-frame pixels."""

    def __init__(
        self,
        segment: Segment,
        passbands: list[Passband],
        columns: list[int],
        template: TemplateError,
        lines: LineModel,
        device: torch.device,
    ) -> None:
        def tensor(values: NDArray[np.float64]) -> Tensor:
            return torch.tensor(values, dtype=torch.float32, device=device)

        self.segment, self.columns = segment, torch.tensor(columns, device=device)
        start, size = rest_start(segment)
        wave = np.exp(start + segment.step * np.arange(size))
        self.size, self.observed = size, segment.pixels()
        self.shift0 = (np.log(segment.lower) - start) / segment.step
        weights = np.stack(
            [
                band_weights(np.log(segment.lower), segment.step, self.observed, p)
                for p in passbands
            ],
            axis=1,
        )
        # A galaxy's shift is an integer and a fraction of a pixel: weights at both neighbours.
        both = np.zeros((self.observed + 1, 2 * len(passbands)))
        both[:-1, : len(passbands)] = weights
        both[1:, len(passbands) :] = weights
        self.weights = tensor(both)
        self.dust = tensor(DustTerms.functions(wave))
        self.stars = tensor(
            np.concatenate([DustTerms.functions(wave), template.functions(wave)], axis=0)
        )
        self.nebular = tensor(
            rest_pixels(NEBULAR_WAVE, nebular_continuum(NEBULAR_WAVE), wave, segment.step)
        )
        # Lines: the passband at the line, looked up on a fine grid.
        self.line_table = tensor(np.stack([line_weights(segment, p) for p in passbands], axis=1))
        self.line_log = torch.tensor(
            np.log(lines.wave / segment.lower), dtype=torch.float64, device=device
        )
        self.igm: Tensor | None = None
        if segment.lower < 1216.0 * 2.2:
            self.igm_step = 0.005
            number = np.arange(self.observed + 1, dtype=np.float64)
            waves = segment.lower * np.exp(segment.step * number)
            transmission = igm_transmission(waves, np.linspace(0.0, 250 * self.igm_step, 251))
            if transmission.min() < 0.999:
                self.igm = tensor(transmission)

    def shift(self, log_shift: Tensor) -> tuple[Tensor, Tensor]:
        """First rest-frame pixel (N,) that is observed, and the fraction of a pixel (N, 1)."""
        position = self.shift0 - log_shift / self.segment.step
        whole = torch.floor(position)
        return whole.long(), (position - whole).float()[:, None]


class Synthesis:
    """Spectra of batches of galaxies through a set of passbands.

    Parameters
    ----------
    grids : sequence of SSPGrid
        The libraries.
    passbands : sequence of (name, wave, throughput)
        Vacuum Å, photon-counting.
    lines : LineModel
        Nebular emission.
    template : TemplateError
        Random factors on the stellar spectra.
    device : torch.device
        Where to compute.
    """

    def __init__(
        self,
        grids: Sequence[SSPGrid],
        passbands: Sequence[Passband],
        lines: LineModel,
        template: TemplateError,
        device: torch.device,
    ) -> None:
        self.device, self.lines = device, lines
        self.size = len(passbands)
        assigned = build_segments(passbands)
        self.pixels = [
            Pixels(s, [passbands[i] for i in columns], columns, template, lines, device)
            for s, columns in assigned
        ]
        self.libraries = [Library(g, [s for s, _ in assigned], device) for g in grids]
        self._optical = [s.name for s, _ in assigned].index("optical")
        wave = lines.wave
        at = np.array([wave[lines.index(LABEL_LINES[k][-1])] for k in CONTINUUM])
        self._line_dust = self._tensor(DustTerms.functions(wave))
        self._label_dust = self._tensor(DustTerms.functions(at))
        self._label_stars = self._tensor(
            np.concatenate([DustTerms.functions(at), template.functions(at)])
        )
        self._prepare_ur(assigned[self._optical][0])

    def _tensor(self, values: NDArray[np.float64]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device)

    def _prepare_ur(self, optical: Segment) -> None:
        """Weights of the rest-frame colour, and the nebular continuum's share of it."""
        pair = sdss_ur()
        start, size = rest_start(optical)
        weights = np.stack([band_weights(start, optical.step, size, p) for p in pair], axis=1)
        self._ur = self._tensor(weights)
        inside = np.flatnonzero(weights.any(axis=1))
        self._ur_range = (int(inside[0]), int(inside[-1]) + 1)
        self._ur_nebular = self.pixels[self._optical].nebular @ self._ur
        pivots = np.array([3556.0, 6176.0])
        self._ur_dust = self._tensor(DustTerms.functions(pivots))

    def intervals(self, library: Tensor, logz: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Group of each galaxy (library and metallicity interval), place inside it, clamped Z."""
        group, fraction = torch.zeros_like(library), torch.zeros_like(logz)
        inside = logz
        for i, own in enumerate(self.libraries):
            x = logz.clamp(own.logz[0], own.logz[-1]).contiguous()
            j = (torch.searchsorted(own.logz, x) - 1).clamp(0, len(own.logz) - 2)
            f = (x - own.logz[j]) / (own.logz[j + 1] - own.logz[j])
            here = library == i
            group = torch.where(here, GROUPS_PER_LIBRARY * i + j, group)
            fraction = torch.where(here, f, fraction)
            inside = torch.where(here, x, inside)
        return group, fraction, inside

    def counts(self, group: Tensor) -> list[tuple[int, int, int, int]]:
        """(library, interval, first, last) of each group among galaxies sorted by group."""
        number = torch.bincount(group, minlength=GROUPS_PER_LIBRARY * len(self.libraries))
        out, first = [], 0
        for g, n in enumerate(number.tolist()):
            if n:
                out.append((*divmod(g, GROUPS_PER_LIBRARY), first, first + n))
                first += n
        return out

    def small(
        self, mixed: Tensor, groups: list[tuple[int, int, int, int]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`COLUMNS` of old and of young stars (N, C), and F_5635 by age bin (N, A).

        Parameters
        ----------
        mixed : Tensor (N, 2, A)
            Mass formed by age bin at the lower and the upper metallicity of the interval.
        groups : list
            See `counts`.
        """
        n, _, bins = mixed.shape
        width = self.libraries[0].small.shape[-1]
        old = torch.empty(n, width, device=self.device)
        young = torch.empty_like(old)
        light = torch.empty(n, bins, device=self.device)
        index = COLUMNS.index("f5635")
        for i, j, first, last in groups:
            table = self.libraries[i].small[j : j + 2]  # (2, A, C)
            own = mixed[first:last]
            young[first:last] = torch.einsum(
                "nza,zac->nc", own[:, :, :YOUNG_BINS], table[:, :YOUNG_BINS]
            )
            old[first:last] = torch.einsum(
                "nza,zac->nc", own[:, :, YOUNG_BINS:], table[:, YOUNG_BINS:]
            )
            light[first:last] = (own * table[:, :, index]).sum(dim=1)
        return old, young, light

    def continuum(
        self, old: Tensor, young: Tensor, stars: Tensor, cloud: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Stellar continuum at each labelled line (N, 6): attenuated, and free of dust."""
        k = len(CONTINUUM)
        birth = torch.exp(cloud @ self._label_dust)
        screen = torch.exp(stars @ self._label_stars)
        attenuated = (old[:, :k] + young[:, :k] * birth) * screen
        return attenuated, old[:, :k] + young[:, :k]

    def attenuate_lines(self, luminosity: Tensor, dust: Tensor, cloud: Tensor) -> Tensor:
        """Lines (N, L) behind the screen and the birth clouds."""
        return luminosity * torch.exp((dust + cloud) @ self._line_dust)

    def bandflux(
        self,
        z: Tensor,
        mixed: Tensor,
        groups: list[tuple[int, int, int, int]],
        stars: Tensor,
        cloud: Tensor,
        lines: Tensor,
        hbeta: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Bandfluxes per M_sun formed, and those of the stars in the rest frame.

        Parameters
        ----------
        z : Tensor (N,)
            Redshift.
        mixed, groups
            See `small`.
        stars, cloud : Tensor (N, terms)
            Coefficients of `Pixels.stars` and `Pixels.dust`.
        lines : Tensor (N, L)
            Attenuated lines, L_sun per M_sun formed.
        hbeta : Tensor (N,)
            Hbeta before dust: the scale of the nebular continuum.

        Returns
        -------
        flux, lineflux : Tensor (N, B)
            All light, and the part of the lines.
        ur : Tensor (N, 2)
            Stars in rest-frame SDSS u and r.
        """
        n = len(z)
        bins = mixed.shape[-1] - YOUNG_BINS
        old_weights = mixed[:, :, YOUNG_BINS:].reshape(n, 2 * bins)
        young_weights = torch.cat(
            [mixed[:, :, :YOUNG_BINS].reshape(n, 2 * YOUNG_BINS), hbeta[:, None]], dim=1
        )
        out = torch.zeros(n, self.size, device=self.device)
        lineflux = torch.zeros_like(out)
        log_shift = torch.log1p(z.double())
        ur = torch.zeros(n, 2, device=self.device)
        shifts = [pixels.shift(log_shift) for pixels in self.pixels]
        ends = [end for offset, _ in shifts for end in (offset.min(), offset.max())]
        # Read at once: on a GPU every read waits for all work that it was given.
        read = torch.cat((torch.stack(ends), stars.any(dim=0).long())).tolist()
        active = [i for i, there in enumerate(read[len(ends) :]) if there]
        some = len(active) < stars.shape[1]
        used = stars[:, active] if some else stars
        for s, pixels in enumerate(self.pixels):
            offset, part = shifts[s]
            first_pixel, last_pixel = read[2 * s], read[2 * s + 1] + pixels.observed + 1
            if s == self._optical:
                first_pixel = min(first_pixel, self._ur_range[0])
                last_pixel = max(last_pixel, self._ur_range[1])
            own = slice(first_pixel, last_pixel)
            sed = torch.empty(n, last_pixel - first_pixel, device=self.device)
            young = torch.empty_like(sed)
            for i, j, first, last in groups:
                library = self.libraries[i]
                old_basis = library.old[s][j : j + 2].reshape(2 * bins, -1)[:, own]
                young_basis = torch.cat(
                    [
                        library.young[s][j : j + 2].reshape(2 * YOUNG_BINS, -1)[:, own],
                        pixels.nebular[None, own],
                    ]
                )
                torch.mm(old_weights[first:last], old_basis, out=sed[first:last])
                torch.mm(young_weights[first:last], young_basis, out=young[first:last])
            factor = torch.mm(cloud, pixels.dust[:, own]).exp_()
            sed.addcmul_(young, factor)
            functions = pixels.stars[active] if some else pixels.stars
            torch.mm(used, functions[:, own], out=factor).exp_()
            sed.mul_(factor)
            if s == self._optical:
                screen = torch.exp((stars[:, : cloud.shape[1]] + cloud) @ self._ur_dust)
                ur = sed @ self._ur[own] - hbeta[:, None] * self._ur_nebular * screen
            seen = self._observe(sed, pixels, z, offset - first_pixel, part)
            lineflux[:, pixels.columns] = self._lines(lines, pixels, log_shift)
            out[:, pixels.columns] = seen
        out += lineflux
        return out, lineflux, ur

    @staticmethod
    def _lines(lines: Tensor, pixels: Pixels, log_shift: Tensor) -> Tensor:
        """Bandfluxes of the lines: a flux L at lambda is L (1+z) per observed Å, at lambda(1+z)."""
        index = ((pixels.line_log + log_shift[:, None]) / LINE_STEP + 0.5).long()
        index = index.clamp(0, len(pixels.line_table) - 1)
        flux = lines * torch.exp(log_shift).float()[:, None]
        return torch.nn.functional.embedding_bag(
            index, pixels.line_table, per_sample_weights=flux, mode="sum"
        )

    def _observe(
        self, sed: Tensor, pixels: Pixels, z: Tensor, offset: Tensor, part: Tensor
    ) -> Tensor:
        """Shift to the observed frame and integrate over the passbands of a segment."""
        windows = sed.unfold(1, pixels.observed + 1, 1)  # a view, (N, shifts, P + 1)
        seen = windows[torch.arange(len(z), device=self.device), offset]
        if pixels.igm is not None:
            seen = seen * pixels.igm[(z / pixels.igm_step + 0.5).long()]
        both = seen @ pixels.weights
        half = both.shape[1] // 2
        return both[:, :half] * (1.0 - part) + both[:, half:] * part
