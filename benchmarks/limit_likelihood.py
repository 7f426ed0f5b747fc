"""Likelihood of bandfluxes given the latents, the smooth template factor integrated out.

The random factor exp(g) on the stars has about a hundred deviates of a few per cent. To first
order it adds ``F s g`` to the bandfluxes F (s: share of the light that is not lines), Gaussian
with a known covariance: bands x bands matrices replace a hundred latents. `Conditional` draws the
deviates back and weighs by the exact flux, which removes the linearisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jpassed.simulator import GalaxySimulator
from jpassed.simulator.latents import NaturalDensity, latent_layout
from jpassed.simulator.priors import KINDS

ZERO_POINT = 0.4 * np.log(10.0)
AB = 3631e6
SELECTION = 22.7
"""Faintest noisy r magnitude."""
GRID_STEP = 0.002
GRID_SIZE = 400


@dataclass(frozen=True)
class Particles:
    """Galaxies as points of the latent space.

    Parameters
    ----------
    zeta : Tensor (N,)
        ln(1 + z).
    mag : Tensor (N,)
        True r magnitude.
    red : Tensor (N,), bool
        Colour class.
    x : Tensor (N, E)
        Explicit latents, `Forward.columns` of the simulator's.
    """

    zeta: Tensor
    mag: Tensor
    red: Tensor
    x: Tensor

    def __len__(self) -> int:
        return len(self.zeta)

    def __getitem__(self, rows: Tensor | slice) -> Particles:
        return Particles(self.zeta[rows], self.mag[rows], self.red[rows], self.x[rows])


@dataclass(frozen=True)
class Photometry:
    """Bandfluxes (O, B) in microjansky, quoted errors, and which bands are observed."""

    flux: Tensor
    error: Tensor
    observed: Tensor

    def __getitem__(self, rows: Tensor | slice) -> Photometry:
        return Photometry(self.flux[rows], self.error[rows], self.observed[rows])


class Forward:
    """Simulator, priors and noise as functions of `Particles`.

    Parameters
    ----------
    simulator : GalaxySimulator
    noise : dict of array
        ``ErrorModel.arrays()`` of the simulator's bands.
    chunk : int
        Galaxies at a time: what stays in a processor's cache.
    """

    def __init__(
        self, simulator: GalaxySimulator, noise: dict[str, np.ndarray], chunk: int = 1024
    ) -> None:
        self.simulator, self.chunk = simulator, chunk
        self.layout = latent_layout(simulator)
        self.density = NaturalDensity(simulator.table)
        names = list(simulator.template.modes)
        hidden = set(self.layout.columns("template", *names))
        self.columns = [i for i in range(self.layout.size) if i not in hidden]
        self.smooth = self.layout.columns("template")
        self.modes = self.layout.columns(*names)
        self.r = simulator.bands.index("rSDSS")
        self.faintest_flux = AB * 10.0 ** (-0.4 * SELECTION)
        self.spread = float(simulator.template.settings["spread"])
        settings = simulator.template.settings["modes"]
        self.mode_sigma = torch.tensor(
            [[settings[mode][kind][1] for mode in names] for kind in KINDS], dtype=torch.float32
        )
        self.zp = torch.tensor(ZERO_POINT * np.asarray(noise["zp_scatter"])).float()
        self.poisson = torch.tensor(np.asarray(noise["poisson"])).float()
        self._aperture = [
            torch.tensor(np.asarray(noise[k])).float()
            for k in ("aperture_scale", "aperture_power", "aperture_max", "aperture_pivot")
        ]
        self._tabulate()
        light = simulator.priors["mass_to_light"]
        self._light = light
        self.log_mass = self.column("log_mass")
        self.amplitude = self.column("amplitude")

    def column(self, name: str) -> int:
        """Position among the explicit latents of a block's first column."""
        return self.columns.index(self.layout.slices[name].start)

    def _tabulate(self) -> None:
        """Template functions through the bands, relative to r, on a grid of ln(1+z)."""
        simulator = self.simulator
        bands = len(simulator.bands)
        size = simulator.template.size
        table = np.zeros((GRID_SIZE, size, bands), dtype=np.float32)
        for pixels in simulator.synthesis.pixels:
            own = pixels.weights[:-1].numpy()
            own = own[:, : own.shape[1] // 2].astype(float)
            own = own / own.sum(axis=0)
            columns = pixels.columns.numpy()
            keep = columns < bands
            wave = pixels.segment.lower * np.exp(pixels.segment.step * np.arange(len(own)))
            for g in range(GRID_SIZE):
                functions = simulator.template.functions(wave * np.exp(-GRID_STEP * g))
                table[g][:, columns[keep]] = (functions @ own)[:, keep]
        table -= table[:, :, [self.r]]
        functions = torch.from_numpy(table)
        smooth = len(self.smooth)
        self.template = functions  # (G, size, B)
        own = functions[:, :smooth]
        self.kernel = torch.einsum("gkb,gkc->gbc", own, own)
        self.mode = functions[:, smooth:].contiguous()

    def grid(self, zeta: Tensor) -> Tensor:
        """Nearest row of the tables."""
        return (zeta / GRID_STEP + 0.5).long().clamp(0, GRID_SIZE - 1)

    def mean_log_mass(self, zeta: Tensor, mag: Tensor, red: Tensor) -> Tensor:
        """Centre of the prior on the rough log mass; its scatter is 0.1 dex."""
        z = torch.expm1(zeta)
        absolute = self.simulator.absolute_magnitude(z, mag, red)
        light = self._light
        ratio = torch.where(red, light["red"], light["blue"]) + light["evolution"] * z
        return 0.4 * (light["solar"] - absolute) + ratio

    def log_prior(self, p: Particles) -> Tensor:
        """ln prior density of (zeta, mag, red, x), up to a constant."""
        z = torch.expm1(p.zeta)
        return self.density.log(z, p.mag, p.red) + p.zeta - 0.5 * (p.x**2).sum(1)

    def latents(self, x: Tensor, template: Tensor | None = None) -> Tensor:
        """All of the simulator's latents; `template` (N, smooth + modes) is 0 when not given."""
        out = torch.zeros(len(x), self.layout.size)
        out[:, self.columns] = x
        if template is not None:
            out[:, self.smooth + self.modes] = template
        return out

    def variance(self, flux: Tensor, own: Photometry) -> Tensor:
        """Independent variances before noise: quoted errors at the true flux, and zero points.

        The quoted error holds the photon noise of the noisy flux: the difference to that of the
        true one is put right with the mean aperture.
        """
        scale, power, largest, pivot = self._aperture
        reference = own.flux[:, self.r].clamp(min=0.0)[:, None] / pivot
        aperture = torch.minimum(1.0 + scale * reference**power, largest)
        shift = self.poisson * aperture * (flux.clamp(min=0.0) - own.flux.clamp(min=0.0))
        variance = torch.maximum(own.error**2 + shift, 0.1 * own.error**2)
        return variance + (self.zp * flux) ** 2

    def log_likelihood(self, p: Particles, own: Photometry) -> Tensor:
        """ln p(bandfluxes | particles), one photometry (a row) for each particle, (N,)."""
        # Neighbours in redshift share pixels and covariances.
        order = torch.argsort(p.zeta)
        p, own = p[order], own[order]
        value = torch.empty(len(p))
        z = torch.expm1(p.zeta)
        inside = (z > 0.0011) & (z < 1.1999) & torch.isfinite(p.x).all(1)
        z = torch.where(inside, z, torch.full_like(z, 0.5))
        for start in range(0, len(p), self.chunk):
            rows = slice(start, start + self.chunk)
            sample, lines = self.simulator.render(
                z[rows], p.mag[rows], p.red[rows], self.latents(p.x[rows])
            )
            amplitude = torch.exp(self.spread * p.x[rows, self.amplitude])
            value[rows] = self.given_flux(
                sample.bandflux, lines, amplitude, sample.kind, p.zeta[rows], own[rows]
            )
        value[~(inside & torch.isfinite(value))] = -torch.inf
        out = torch.empty_like(value)
        out[order] = value
        return out

    def given_flux(
        self,
        flux: Tensor,
        lines: Tensor,
        amplitude: Tensor,
        kind: Tensor,
        zeta: Tensor,
        own: Photometry,
    ) -> Tensor:
        """The same from rendered bandfluxes (N, B) and their line shares."""
        sigma = self.variance(flux, own).sqrt()
        use = own.observed.float()
        residual = (own.flux - flux) / sigma * use
        lever = flux * (1.0 - lines) / sigma * use
        g = self.grid(zeta)
        matrix = self.kernel[g]
        matrix.mul_((lever * amplitude[:, None])[:, :, None])
        matrix.mul_((lever * amplitude[:, None])[:, None, :])
        modes = self.mode[g] * self.mode_sigma[kind][:, :, None] * lever[:, None, :]
        matrix.baddbmm_(modes.transpose(1, 2), modes)
        matrix.diagonal(dim1=1, dim2=2).add_(1.0)
        factor, info = torch.linalg.cholesky_ex(matrix)
        white = torch.linalg.solve_triangular(factor, residual[:, :, None], upper=False)[:, :, 0]
        log_det = torch.log(factor.diagonal(dim1=1, dim2=2)).sum(1)
        log_det = log_det + (torch.log(sigma) * use).sum(1)
        value = -0.5 * (white**2).sum(1) - log_det
        if not bool(own.observed[:, self.r].all()):
            # An object whose r band is hidden was still selected on it.
            margin = (flux[:, self.r] - self.faintest_flux) / own.error[:, self.r]
            selected = torch.special.log_ndtr(margin)
            value = value + torch.where(own.observed[:, self.r], 0.0, selected)
        return torch.where(info == 0, value, torch.full_like(value, -torch.inf))

    def complete(
        self, p: Particles, own: Photometry, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
        """Draw the template's deviates given particle and photometry, and render exactly.

        Returns
        -------
        labels, observable : dict of Tensor (N,)
        log_weight : Tensor (N,)
            ln of the exact over the linearised likelihood of each draw.
        """
        labels: list[dict[str, Tensor]] = []
        observable: list[dict[str, Tensor]] = []
        weights = []
        for start in range(0, len(p), self.chunk):
            part, mine = p[start : start + self.chunk], own[start : start + self.chunk]
            z = torch.expm1(part.zeta)
            sample, lines = self.simulator.render(z, part.mag, part.red, self.latents(part.x))
            flux, use = sample.bandflux, mine.observed.float()
            amplitude = torch.exp(self.spread * part.x[:, self.amplitude])
            sigma = self.variance(flux, mine).sqrt()
            scale = torch.ones(len(part), self.template.shape[1])
            smooth = len(self.smooth)
            scale[:, :smooth] = amplitude[:, None]
            scale[:, smooth:] = self.mode_sigma[sample.kind]
            lever = (flux * (1.0 - lines) / sigma * use)[:, None, :]
            design = self.template[self.grid(part.zeta)] * scale[:, :, None] * lever  # (N, K, B)
            prior = torch.randn(scale.shape, generator=generator)
            noise = torch.randn(flux.shape, generator=generator) * use
            residual = (mine.flux - flux) / sigma * use
            # Matheron's rule: prior draw moved by what it misses
            miss = residual - (prior[:, :, None] * design).sum(1) - noise
            matrix = design.transpose(1, 2) @ design
            matrix.diagonal(dim1=1, dim2=2).add_(1.0)
            solved = torch.cholesky_solve(miss[:, :, None], torch.linalg.cholesky(matrix))
            draw = prior + (design @ solved)[:, :, 0]
            exact, _ = self.simulator.render(z, part.mag, part.red, self.latents(part.x, draw))
            linear = residual - (draw[:, :, None] * design).sum(1)
            log_linear = -0.5 * (linear**2).sum(1) - (torch.log(sigma) * use).sum(1)
            true = self.variance(exact.bandflux, mine).sqrt()
            off = (mine.flux - exact.bandflux) / true * use
            log_exact = -0.5 * (off**2).sum(1) - (torch.log(true) * use).sum(1)
            weights.append(log_exact - log_linear)
            labels.append(exact.labels)
            observable.append(exact.observable)
        return (
            {k: torch.cat([part[k] for part in labels]) for k in labels[0]},
            {k: torch.cat([part[k] for part in observable]) for k in labels[0]},
            torch.cat(weights),
        )
