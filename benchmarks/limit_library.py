"""Objects of a magnitude bin, and importance sampling from a library of prior draws.

The library holds draws of the prior in a window of magnitude around the bin. The simulator's
spectra depend on the magnitude only through the rough mass: a draw keeps its shape and is given
any magnitude, its weight being the prior at the new magnitude over the density (window averaged)
with which the shape was drawn. Every object so uses the whole library.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from limit_likelihood import AB, Forward, Particles, Photometry
from torch import Tensor

from jpassed.simulator.noise import NoiseModel

OBJECT_SEED = 7_000_000
LIBRARY_SEED = 8_000_000
MASS_SCATTER = 0.1
MAGNITUDE_MARGIN = 0.6
POWERS = (0.7, 0.5, 0.35, 0.25, 0.18, 0.12, 0.08, 0.05, 0.03, 0.02)


@dataclass(frozen=True)
class Objects:
    """Simulated galaxies of a magnitude bin as a survey sees them.

    Parameters
    ----------
    photometry : Photometry
    truth : Particles
        Explicit latents.
    template : Tensor (O, K)
        The template's deviates.
    labels, observable : dict of Tensor (O,)
    """

    photometry: Photometry
    truth: Particles
    template: Tensor
    labels: dict[str, Tensor]
    observable: dict[str, Tensor]


def draw_objects(
    forward: Forward, noise: NoiseModel, low: float, high: float, n: int, index: int
) -> Objects:
    """The first n objects of the natural prior with noisy r between two magnitudes.

    Bin `index` has the seed ``OBJECT_SEED + index``; more objects begin with fewer ones.
    """
    generator = torch.Generator().manual_seed(OBJECT_SEED + index)
    parts: list[tuple[Tensor, ...]] = []
    names: list[dict[str, Tensor]] = []
    count, size = 0, 256
    while count < n:
        z, mag, red = forward.density.draw(size, generator, min(high + 0.8, 24.0), low - 0.5)
        latents = torch.randn(size, forward.layout.size, generator=generator)
        sample, _ = forward.simulator.render(z, mag, red, latents)
        flux, error = noise.apply(sample.bandflux, generator=generator)
        magnitude = -2.5 * torch.log10(flux[:, forward.r].clamp(min=1e-6) / AB)
        keep = (magnitude >= low) & (magnitude < high)
        template = latents[:, forward.smooth + forward.modes]
        x = latents[:, forward.columns]
        values = (flux, error, torch.log1p(z), mag, red, x, template)
        parts.append(tuple(v[keep] for v in values))
        names.append(
            {k: v[keep] for k, v in sample.labels.items()}
            | {f"target {k}": v[keep] for k, v in sample.observable.items()}
        )
        count += int(keep.sum())
    flux, error, zeta, mag, red, x, template = (torch.cat(v)[:n] for v in zip(*parts, strict=True))
    joined = {k: torch.cat([part[k] for part in names])[:n] for k in names[0]}
    return Objects(
        Photometry(flux, error, torch.ones_like(flux, dtype=torch.bool)),
        Particles(zeta, mag, red, x),
        template,
        {k: v for k, v in joined.items() if not k.startswith("target ")},
        {k[7:]: v for k, v in joined.items() if k.startswith("target ")},
    )


class Library:
    """Prior draws around a magnitude bin, rendered once, the template factor left out.

    Parameters
    ----------
    forward : Forward
    low, high : float
        Limits of the bin.
    size : int
        Number of draws.
    """

    def __init__(self, forward: Forward, low: float, high: float, size: int) -> None:
        self.forward = forward
        self.low, self.high = low - MAGNITUDE_MARGIN, min(high + MAGNITUDE_MARGIN, 24.0)
        generator = torch.Generator().manual_seed(LIBRARY_SEED + int(10 * low))
        z, mag, red = forward.density.draw(size, generator, self.high, self.low)
        order = torch.argsort(z)
        z, mag, self.red = z[order], mag[order], red[order]
        self.zeta = torch.log1p(z)
        self.x = torch.randn(size, len(forward.columns), generator=generator)
        bands = len(forward.simulator.bands)
        self.shape = torch.empty(size, bands)
        self.lines = torch.empty(size, bands, dtype=torch.float16)
        self.kind = torch.empty(size, dtype=torch.uint8)
        for start in range(0, size, forward.chunk):
            rows = slice(start, start + forward.chunk)
            sample, lines = forward.simulator.render(
                z[rows], mag[rows], self.red[rows], forward.latents(self.x[rows])
            )
            flux = sample.bandflux
            self.shape[rows] = flux / flux[:, [forward.r]]
            self.lines[rows], self.kind[rows] = lines.half(), sample.kind.to(torch.uint8)
        self.bad = ~torch.isfinite(self.shape).all(1)
        self.shape[self.bad] = 0.0
        mean = forward.mean_log_mass(self.zeta, mag, self.red)
        self.log_mass = mean + MASS_SCATTER * self.x[:, forward.log_mass]
        self.log_drawn = self._log_drawn(z)

    def _log_drawn(self, z: Tensor) -> Tensor:
        """ln density of (z, red, log mass) of the draws: the window's magnitudes summed."""
        cells = torch.arange(self.low, self.high, 0.05) + 0.025
        total = torch.full_like(z, -torch.inf)
        for cell in cells:
            mag = torch.full_like(z, float(cell))
            total = torch.logaddexp(total, self.log_weight(self.zeta, mag, self.red, self.log_mass))
        return total + float(np.log(0.05))

    def log_weight(self, zeta: Tensor, mag: Tensor, red: Tensor, log_mass: Tensor) -> Tensor:
        """ln prior density of (z, magnitude, colour, log mass), up to a constant."""
        forward = self.forward
        inside = (mag > self.low) & (mag < self.high)
        off = (log_mass - forward.mean_log_mass(zeta, mag, red)) / MASS_SCATTER
        log = forward.density.log(torch.expm1(zeta), mag, red) - 0.5 * off**2
        return torch.where(inside, log, torch.full_like(log, -torch.inf))

    def screen(self, own: Photometry, step: float = 0.04) -> tuple[Tensor, Tensor, Tensor]:
        """Approximate ln weights of all draws for one object (1 row).

        The covariance is that of the object's own fluxes as the model's; it is renewed every
        `step` in ln(1+z).

        Returns
        -------
        log_weight, mag, width : Tensor (N,)
            With the best magnitude of each draw and its error.
        """
        forward = self.forward
        use = own.observed[0]
        flux, error = own.flux[0, use], own.error[0, use]
        model = torch.maximum(flux, 0.0 * flux)
        sigma = torch.sqrt(error**2 + (forward.zp[use] * model) ** 2)
        chi2, best = torch.empty_like(self.zeta), torch.empty_like(self.zeta)
        width = torch.empty_like(self.zeta)
        edges = torch.searchsorted(
            self.zeta, torch.arange(0.0, float(self.zeta[-1]) + step, step)
        ).tolist()
        edges[-1] = len(self.zeta)
        for b in range(len(edges) - 1):
            rows = slice(edges[b], edges[b + 1])
            if rows.start == rows.stop:
                continue
            g = int(forward.grid(torch.tensor(step * (b + 0.5))))
            lever = (model / sigma)[:, None]
            mode = forward.mode[g][:, use]
            kernel = forward.kernel[g][use][:, use] * 1.3 + 0.2 * mode.T @ mode
            matrix = kernel * lever * lever.T + torch.eye(len(sigma))
            white = torch.linalg.inv(torch.linalg.cholesky(matrix)) / sigma
            y = self.shape[rows][:, use] @ white.T if not use.all() else self.shape[rows] @ white.T
            target = white @ flux
            product, norm = y @ target, (y * y).sum(1).clamp(min=1e-12)
            best[rows] = (product / norm).clamp(min=1e-3)
            chi2[rows] = (target @ target) - 2 * best[rows] * product + best[rows] ** 2 * norm
            width[rows] = 1.0857 / (best[rows] * norm.sqrt())
        mag = -2.5 * torch.log10(best / AB)
        width = width.clamp(0.003, 0.5)
        prior = self.log_weight(self.zeta, mag, self.red, self.log_mass) - self.log_drawn
        log = -0.5 * chi2 + prior + torch.log(width)
        log[self.bad | ~torch.isfinite(log)] = -torch.inf
        return log, mag, width

    def propose(
        self, own: Photometry, size: int, generator: torch.Generator
    ) -> tuple[Particles, Tensor, Tensor]:
        """About `size` draws for one object, the best ones all, others by chance.

        Chances go as a power of the approximate weight: the largest power that leaves 1500
        effective draws.

        Returns
        -------
        particles : Particles
        log_prior : Tensor (n,)
            ln of prior over proposal density, up to a constant.
        log_like : Tensor (n,)
        """
        forward = self.forward
        log, mag, width = self.screen(own)
        log = log - log.max()
        power = next((p for p in POWERS if effective(p * log) >= 1500), POWERS[-1])
        weight = torch.exp(power * log.double())
        # inclusion probabilities min(1, c w) that sum to `size`
        ordered = torch.sort(weight, descending=True).values
        rest = ordered.sum() - torch.cumsum(ordered, 0) + ordered
        number = torch.arange(len(ordered), dtype=torch.float64)
        factor = (size - number).clamp(min=1e-9) / rest.clamp(min=1e-300)
        sure = int((factor * ordered < 1.0).double().argmax())
        included = (factor[sure] * weight).clamp(max=1.0)
        chance = torch.rand(len(weight), generator=generator, dtype=torch.float64)
        rows = torch.nonzero(chance < included)[:, 0]
        spread = 1.3 * width[rows]
        deviate = torch.randn(len(rows), generator=generator)
        new = mag[rows] + spread * deviate
        zeta, red, mass = self.zeta[rows], self.red[rows], self.log_mass[rows]
        log_prior = self.log_weight(zeta, new, red, mass) - self.log_drawn[rows]
        log_prior += torch.log(spread) + 0.5 * deviate**2 - torch.log(included[rows]).float()
        x = self.x[rows].clone()
        x[:, forward.log_mass] = (mass - forward.mean_log_mass(zeta, new, red)) / MASS_SCATTER
        flux = self.shape[rows] * (AB * 10.0 ** (-0.4 * new))[:, None]
        amplitude = torch.exp(forward.spread * x[:, forward.amplitude])
        log_like = torch.empty(len(rows))
        for start in range(0, len(rows), forward.chunk):
            part = slice(start, start + forward.chunk)
            k = len(flux[part])
            mine = Photometry(*(t.expand(k, -1) for t in (own.flux, own.error, own.observed)))
            log_like[part] = forward.given_flux(
                flux[part], self.lines[rows[part]].float(), amplitude[part],
                self.kind[rows[part]].long(), zeta[part], mine,
            )  # fmt: skip
        log_like[~torch.isfinite(log_like)] = -torch.inf
        return Particles(zeta, new, red, x), log_prior, log_like


def effective(log_weight: Tensor) -> float:
    """Kish's effective number of draws."""
    w = torch.exp((log_weight - log_weight.max()).double())
    return float(w.sum() ** 2 / (w**2).sum())


def pareto_k(log_weight: Tensor) -> float:
    """Shape of the generalised Pareto tail of the weights (Vehtari et al. 2024, JMLR 25, 72).

    The estimator of Zhang & Stephens (2009, Technometrics 51, 316) on the largest
    ``min(N/5, 3 sqrt(N))`` weights, N being the number of draws, with the weak prior of the
    former paper.
    """
    w = torch.sort(torch.exp((log_weight - log_weight.max()).double())).values.numpy()
    tail = int(min(len(w) / 5, 3 * np.sqrt(len(w))))
    if tail < 5:
        return float("inf")
    x = w[-tail:] - w[-tail - 1]
    x = x[x > 0]
    if len(x) < 5:
        return float("inf")
    n = len(x)
    m = 30 + int(np.sqrt(n))
    quarter = x[int(n / 4 + 0.5) - 1]
    grid = 1.0 / x[-1] + (1.0 - np.sqrt(m / (np.arange(1, m + 1) - 0.5))) / (3.0 * quarter)
    k = np.mean(np.log1p(-grid[:, None] * x[None, :]), axis=1)
    with np.errstate(all="ignore"):
        log = n * (np.log(-grid / k) - k - 1.0)
        weight = 1.0 / np.exp(log[None, :] - log[:, None]).sum(axis=1)
    best = float(np.nansum(grid * weight) / np.nansum(weight))
    shape = float(np.mean(np.log1p(-best * x)))
    return (n * shape + 5.0) / (n + 10.0)
