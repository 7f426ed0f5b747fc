"""A library of simulated galaxies as a likelihood for real ones: no network, no training.

Importance sampling of the simulator's own prior: every galaxy of the library is compared with
every real one, its flux scale integrated out, its weight that of the declared population.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from simulated_sample import LINES, SHARES, SSP
from torch import Tensor

from jpassed.filters import Passband
from jpassed.simulator import GalaxySimulator, read_ssp
from jpassed.simulator.priors import load_priors

Array = NDArray[np.float64]

SEED = 20261124
MAGNITUDE_KERNEL = 0.4
"""Galaxies of the library count for an object with a Gaussian in r magnitude of this width."""

COUNTS_SLOPE = 0.6
"""Of log10 of the number of bright galaxies against magnitude."""

REDSHIFT_KERNEL = 0.004
"""The same in ln(1+z), where the redshift is given."""

Z_STEP = 0.002
CHUNK = 32


@dataclass(frozen=True)
class Galaxies:
    """Photometry (N, B) in microjansky of galaxies of known redshift.

    `scale_band` is the column whose magnitude stands for r.
    """

    bands: tuple[str, ...]
    flux: Array
    error: Array
    observed: NDArray[np.bool_]
    z: Array
    scale_band: str

    def __len__(self) -> int:
        return len(self.z)

    def rows(self, rows: Any) -> Galaxies:
        """Some of them."""
        return Galaxies(
            self.bands, self.flux[rows], self.error[rows], self.observed[rows], self.z[rows],
            self.scale_band,
        )  # fmt: skip

    def only(self, bands: Sequence[str]) -> Galaxies:
        """With other bands unobserved."""
        own = np.isin(self.bands, list(bands))
        return Galaxies(
            self.bands, self.flux, self.error, self.observed & own, self.z, self.scale_band
        )

    @property
    def magnitude(self) -> Array:
        """AB magnitude in the scale band."""
        flux = self.flux[:, self.bands.index(self.scale_band)]
        return np.asarray(-2.5 * np.log10(np.maximum(flux, 1e-9) / 3631e6))


@dataclass(frozen=True)
class Variant:
    """What a library is drawn with.

    `shares` of BC03 and E-MILES; `priors` as for the simulator; `r_limit` the faintest magnitude;
    `redshift` (lowest, highest) where only some are wanted.
    """

    shares: tuple[float, float] = SHARES
    priors: dict[str, Any] | str | None = None
    r_limit: float = 18.5
    redshift: tuple[float, float] | None = None

    def settings(self) -> dict[str, Any]:
        """The priors with the redshifts wanted."""
        priors = load_priors(self.priors)
        if self.redshift is not None:
            priors["redshift"] = dict(zip(("lower", "upper"), self.redshift, strict=True))
        return priors

    def digest(self) -> str:
        """Of everything that decides the draws."""
        text = json.dumps([self.shares, self.settings(), self.r_limit], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


class GapLibrary:
    """Simulated galaxies in the bands of real ones.

    Parameters
    ----------
    folder : Path
        Of the shared data.
    passbands : sequence of Passband
    scale_band : str
        The band whose magnitude real galaxies are selected on.
    size : int
    variant : Variant
    cache : Path or None
    kernel : float
        See `MAGNITUDE_KERNEL`.
    """

    def __init__(
        self,
        folder: Path,
        passbands: Sequence[Passband],
        scale_band: str,
        size: int,
        variant: Variant = Variant(),
        cache: Path | None = None,
        kernel: float = MAGNITUDE_KERNEL,
    ) -> None:
        self.kernel = kernel
        self.passbands = tuple(passbands)
        self.bands = tuple(band.name for band in passbands)
        stored = self._stored(folder, size, variant, cache)
        order = np.argsort(stored["z"])
        flux = stored["flux"][order]
        level = flux[:, [self.bands.index(scale_band)]]
        self.shape = torch.from_numpy(flux / level).float()
        self.z = stored["z"][order]
        self.log = torch.from_numpy(np.log1p(self.z)).float()
        self.mag = torch.from_numpy(-2.5 * np.log10(level[:, 0] / 3631e6)).float()
        # natural over drawn density, less the steep rise of the counts with magnitude, which the
        # kernel in magnitude would turn into a preference for fainter galaxies
        self.weight = torch.from_numpy(-stored["log_weight"][order]).float()
        self.weight = self.weight - COUNTS_SLOPE * np.log(10.0) * self.mag
        self.kind = stored["kind"][order]
        self.edges = np.arange(0.0, float(self.log[-1]) + Z_STEP, Z_STEP)
        self.cell = torch.from_numpy(np.digitize(self.log.numpy(), self.edges) - 1)

    def _stored(
        self, folder: Path, size: int, variant: Variant, cache: Path | None
    ) -> dict[str, Array]:
        name = hashlib.sha256("".join(self.bands).encode()).hexdigest()[:6]
        path = None if cache is None else cache / f"gap-{name}-{size}-{variant.digest()}.npz"
        if path is not None and path.exists():
            with np.load(path) as found:
                return {key: found[key] for key in found.files}
        simulator = GalaxySimulator(
            [read_ssp(folder / one) for one in SSP],
            [(b.name, b.wave, b.throughput) for b in self.passbands],
            lines=folder / LINES,
            shares=variant.shares,
            priors=variant.settings(),
            balance=1.0,
            r_limit=variant.r_limit,
        )
        sample = simulator.sample(size, torch.Generator().manual_seed(SEED))
        good = torch.isfinite(sample.bandflux).all(1) & (sample.bandflux > 0).all(1)
        made = {
            "flux": sample.bandflux[good].numpy(),
            "z": sample.labels["z"][good].numpy(),
            "kind": sample.kind[good].numpy(),
            "log_weight": sample.log_weight[good].numpy(),
        }
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".tmp.npz")
            np.savez(temporary, **made)  # type: ignore[arg-type]
            temporary.replace(path)
        return made

    def _log_like(
        self, shape: Tensor, flux: Tensor, sigma: Tensor, use: Tensor
    ) -> tuple[Tensor, Tensor]:
        """ln likelihood (O, M) with the scale integrated over its logarithm, and best scales."""
        ivar = use / sigma**2
        cross = (flux * ivar) @ shape.T
        norm = (ivar @ (shape**2).T).clamp(min=1e-30)
        scale = (cross / norm).clamp(min=1e-12)
        total = (flux**2 * ivar).sum(1, keepdim=True)
        chi2 = (total - cross**2 / norm).clamp(min=0.0)
        constant = (torch.log(sigma) * use).sum(1, keepdim=True)
        return -0.5 * chi2 - torch.log(scale) - 0.5 * torch.log(norm) - constant, scale

    def _tensors(
        self, galaxies: Galaxies, floor: float, rows: slice
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        flux = torch.from_numpy(np.where(galaxies.observed, galaxies.flux, 0.0)[rows])
        error = torch.from_numpy(np.where(galaxies.observed, galaxies.error, 1.0)[rows])
        sigma = torch.sqrt(error**2 + (floor * flux) ** 2)
        mag = torch.from_numpy(galaxies.magnitude[rows])
        return flux, sigma, torch.from_numpy(galaxies.observed[rows]).double(), mag

    def redshifts(self, galaxies: Galaxies, floor: float = 0.02) -> dict[str, Array]:
        """Posterior redshifts from the photometry.

        Parameters
        ----------
        galaxies : Galaxies
            With the library's bands.
        floor : float
            Relative error added to every band in quadrature.

        Returns
        -------
        dict of ndarray (N,)
            ``median``, ``pit``, ``log`` (ln density at the truth, of z), ``evidence`` (ln
            probability of the colours among simulated galaxies of this magnitude), ``chi2`` (the
            smallest), ``draws`` (effective number).
        """
        names = ("median", "pit", "log", "evidence", "chi2", "draws")
        out = {name: np.empty(len(galaxies)) for name in names}
        centre = self.edges + 0.5 * Z_STEP
        for start in range(0, len(galaxies), CHUNK):
            rows = slice(start, start + CHUNK)
            flux, sigma, use, mag = self._tensors(galaxies, floor, rows)
            log, scale = self._log_like(self.shape, *(t.float() for t in (flux, sigma, use)))
            kernel = self.weight - 0.5 * ((mag.float()[:, None] - self.mag) / self.kernel) ** 2
            norm = torch.logsumexp(kernel, 1)
            best = (log + torch.log(scale)).max(1)
            out["chi2"][rows] = _chi2(self.shape[best.indices], flux, sigma, use)
            log = log + kernel
            out["evidence"][rows] = (torch.logsumexp(log, 1) - norm).numpy()
            weight = torch.softmax(log, 1)
            out["draws"][rows] = (1.0 / (weight**2).sum(1)).numpy()
            pdf = torch.zeros(len(flux), len(self.edges))
            pdf.index_add_(1, self.cell, weight)
            pdf = _smooth(pdf.numpy().astype(float))
            cdf = np.cumsum(pdf, axis=1)
            true = np.log1p(galaxies.z[rows])
            for i in range(len(flux)):
                at = start + i
                out["median"][at] = np.expm1(np.interp(0.5, cdf[i], self.edges + Z_STEP))
                out["pit"][at] = np.interp(true[i], self.edges + Z_STEP, cdf[i])
                density = np.interp(true[i], centre, pdf[i]) / Z_STEP
                out["log"][at] = np.log(max(density, 1e-12)) - true[i]
        return out

    def residuals(self, galaxies: Galaxies, floor: float = 0.02) -> tuple[Array, Array, Array]:
        """Every band predicted from the others and the redshift.

        Returns
        -------
        residual : ndarray (N, B)
            Observed less predicted, magnitudes; NaN where the band is not observed.
        width : ndarray (N, B)
            Standard deviation of the prediction, magnitudes.
        evidence : ndarray (N,)
            ln probability of the colours at this redshift and magnitude.
        """
        n, bands = galaxies.flux.shape
        residual, width = np.full((n, bands), np.nan), np.full((n, bands), np.nan)
        evidence = np.empty(n)
        for i in range(n):
            flux, sigma, use, mag = self._tensors(galaxies, floor, slice(i, i + 1))
            own = float(np.log1p(galaxies.z[i]))
            low, top = np.searchsorted(
                self.log.numpy(), [own - 3 * REDSHIFT_KERNEL, own + 3 * REDSHIFT_KERNEL]
            )
            part = slice(int(low), int(top))
            kernel = (
                self.weight[part]
                - 0.5 * ((mag.float() - self.mag[part]) / self.kernel) ** 2
                - 0.5 * ((self.log[part] - own) / REDSHIFT_KERNEL) ** 2
            )
            shape = self.shape[part]
            # row 0: all bands; then one of them left out
            seen = np.flatnonzero(galaxies.observed[i])
            masks = use.repeat(1 + len(seen), 1)
            masks[1 + np.arange(len(seen)), seen] = 0.0
            flat = [t.repeat(len(masks), 1).float() for t in (flux, sigma)]
            log, scale = self._log_like(shape, *flat, masks.float())
            evidence[i] = float(torch.logsumexp(log[0] + kernel, 0) - torch.logsumexp(kernel, 0))
            weight = torch.softmax(log[1:] + kernel, 1).double()
            predicted = -2.5 * torch.log10(scale[1:].double() * shape.T[seen].double() / 3631e6)
            mean = (weight * predicted).sum(1)
            spread = (weight * (predicted - mean[:, None]) ** 2).sum(1).sqrt()
            bright = np.maximum(galaxies.flux[i, seen], 1e-9)
            residual[i, seen] = -2.5 * np.log10(bright / 3631e6) - mean.numpy()
            width[i, seen] = spread.numpy()
        return residual, width, evidence


def _smooth(pdf: Array) -> Array:
    """A Gaussian of one cell, so that single draws leave no holes; normalised."""
    kernel = np.exp(-0.5 * np.arange(-4, 5) ** 2 / 1.5**2)
    kernel /= kernel.sum()
    out = np.apply_along_axis(lambda p: np.convolve(p, kernel, mode="same"), 1, pdf)
    return np.asarray(out / out.sum(axis=1, keepdims=True))


def _chi2(shape: Tensor, flux: Tensor, sigma: Tensor, use: Tensor) -> Array:
    """chi2 of each object with its own shape at the best scale, in double precision."""
    y, x = (flux / sigma * use), (shape.double() / sigma * use)
    scale = (x * y).sum(1) / (x * x).sum(1)
    return np.asarray(((y - scale[:, None] * x) ** 2).sum(1).numpy())
