"""Galaxies: bandfluxes and every label from one batched pass, on CPU or GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jpassed.exceptions import InputError
from jpassed.simulator import sfh
from jpassed.simulator.attenuation import DustTerms, TemplateError
from jpassed.simulator.bands import WEIGHT_SCALE, Passband, sdss_ur
from jpassed.simulator.latents import LatentRandoms
from jpassed.simulator.library import COLUMNS
from jpassed.simulator.lines import LABEL_LINES, LineModel
from jpassed.simulator.population import PopulationTable
from jpassed.simulator.priors import (
    Randoms,
    load_priors,
    physical_parameters,
)
from jpassed.simulator.sample import LABELS, GalaxySample, join_samples
from jpassed.simulator.ssp import AGE_EDGES, SSPGrid, read_ssp
from jpassed.simulator.synthesis import Synthesis
from jpassed.units import AB_ZEROPOINT_MICROJANSKY

__all__ = ["LABELS", "GalaxySample", "GalaxySimulator"]

LOG_SSFR_FLOOR = -14.0
LINE_RANGE = (3500.0, 9600.0)
"""Observed wavelengths (Å) between which a line is inside the J-PAS bands."""

CONTINUUM_LABELS = ("ew_oii", "ew_hbeta", "ew_oiii", "ew_halpha")
"""Lines whose continuum is a label of its own, ``logc_<line>``."""

LOG_LSUN = float(np.log10(3.828e33))
"""log10 of the solar luminosity, erg/s (IAU 2015 resolution B3)."""

LOG_LSUN_10PC = float(np.log10(3.828e33 / (4 * np.pi * (10 * 3.0856775814913673e18) ** 2) * 1e29))
"""log10 of 1 L_sun/Hz at 10 pc in microjansky."""


class GalaxySimulator:
    """Draw galaxies from the priors and compute their bandfluxes and labels.

    Parameters
    ----------
    ssp : path, SSPGrid, or sequence of them
        SSP grids; each galaxy takes one of them at random.
    passbands : sequence of (name, wave, throughput)
        Vacuum wavelengths (Å) and photon-counting throughput of any scale.
    lines : path or None
        CloudyFSPS line table; None for the embedded strong-line relations.
    priors : path, dict or None
        See `jpassed.simulator.priors.load_priors`.
    device : str
        Where to compute.
    r_limit : float
        Faintest true r magnitude.
    balance : float
        0 draws the natural density of redshift and magnitude, 1 (default) a flatter one with
        `GalaxySample.log_weight` to go back.
    chunk : int
        Galaxies computed at once; it decides which random numbers a galaxy gets.
    shares : sequence of float, optional
        Relative numbers of galaxies of each grid; equal when not given.
    """

    def __init__(
        self,
        ssp: str | Path | SSPGrid | Sequence[str | Path | SSPGrid],
        passbands: Sequence[Passband],
        *,
        lines: str | Path | None = None,
        priors: str | Path | dict[str, Any] | None = None,
        device: str | torch.device = "cpu",
        r_limit: float = 24.0,
        balance: float = 1.0,
        chunk: int = 2048,
        shares: Sequence[float] | None = None,
    ) -> None:
        if isinstance(ssp, str | Path | SSPGrid):
            ssp = [ssp]
        if not len(ssp):
            raise InputError("no SSP grid was given")
        if not len(passbands):
            raise InputError("no passbands were given: expected (name, wave, throughput) tuples")
        self.device = torch.device(device)
        self.chunk = int(chunk)
        self.priors = load_priors(priors)
        self.bands = tuple(name for name, _, _ in passbands)
        measured = list(passbands)
        if "rSDSS" not in self.bands:
            measured.append(("rSDSS", *sdss_ur()[1][1:]))
        self._r_column = [name for name, _, _ in measured].index("rSDSS")
        self.lines = LineModel(lines, device=str(self.device))
        self.template = TemplateError(self.priors["template_error"])
        grids = [g if isinstance(g, SSPGrid) else read_ssp(g) for g in ssp]
        weight = np.ones(len(grids)) if shares is None else np.asarray(shares, dtype=np.float64)
        if weight.shape != (len(grids),) or (weight < 0).any() or not weight.sum() > 0:
            raise InputError(f"shares must be {len(grids)} numbers >= 0, one a grid, not {shares}")
        self._library_bounds = self._tensor(np.cumsum(weight / weight.sum())[:-1])
        self.synthesis = Synthesis(grids, measured, self.lines, self.template, self.device)
        self.table = PopulationTable(self.priors, r_limit, balance)
        self._prepare()

    def _tensor(self, values: NDArray[np.float64], dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.tensor(values, dtype=dtype, device=self.device)

    def _prepare(self) -> None:
        table = self.table
        self._cumulative = self._tensor(table.cumulative, torch.float64)
        self._z_edges = self._tensor(table.z_edges)
        self._m_edges = self._tensor(table.m_edges)
        self._log_weight = self._tensor(table.log_weight)
        z = np.linspace(0.0, self.priors["redshift"]["upper"], 4001)
        self._z_step = float(z[1])
        # the modulus less 5 log10 z is smooth down to z = 0
        positive = np.maximum(z, 1e-5)
        smooth = table.universe.distance_modulus(positive) - 5.0 * np.log10(positive)
        self._modulus = self._tensor(smooth)
        self._age = self._tensor(table.universe.age(z))
        self._edges = self._tensor(AGE_EDGES, torch.float64)
        self._knots = self._tensor(np.array(self.priors["modulation"]["knots"]), torch.float64)
        mean_age, _ = sfh.age_moments(torch.zeros(1, len(AGE_EDGES) - 1), self._edges)
        self._mean_age = mean_age
        wave = self.lines.wave
        membership = np.zeros((len(wave), len(LABEL_LINES)))
        for j, names in enumerate(LABEL_LINES.values()):
            membership[[self.lines.index(name) for name in names], j] = 1.0
        self._membership = self._tensor(membership)
        self._hydrogen = torch.tensor([self.lines.groups.index("h")], device=self.device)
        self._line_limits = {
            key: (min(own), max(own))
            for key, own in (
                (key, [wave[self.lines.index(name)] for name in names])
                for key, names in LABEL_LINES.items()
            )
        }

    # ------------------------------------------------------------------ drawing

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> GalaxySample:
        """Draw `n` galaxies.

        Parameters
        ----------
        n : int
            How many, at least 1.
        generator : torch.Generator, optional
            Random numbers; the same seed gives the same galaxies. It may live on the CPU while
            the simulator computes on a GPU.

        Returns
        -------
        GalaxySample
            On the simulator's device.

        Raises
        ------
        InputError
            If `n` is not positive.
        """
        if n < 1:
            raise InputError(f"the number of galaxies must be at least 1, not {n}")
        parts = []
        for first in range(0, n, self.chunk):
            parts.append(self._chunk(min(self.chunk, n - first), generator))
        return join_samples(parts)

    def render(
        self, z: Tensor, mag: Tensor, red: Tensor, latents: Tensor
    ) -> tuple[GalaxySample, Tensor]:
        """Galaxies of given redshift, magnitude, colour class and latent variables.

        Parameters
        ----------
        z, mag : Tensor (n,)
            Redshift and true r magnitude.
        red : Tensor (n,), bool
            Drawn from the red luminosity function.
        latents : Tensor (n, latent_layout(self).size)
            Standard normal numbers: what `sample` would draw, see `jpassed.simulator.latents`.

        Returns
        -------
        sample : GalaxySample
            With ``log_weight`` 0.
        line_share : Tensor (n, B)
            Share of each bandflux that is line emission.
        """
        return self.render_from(LatentRandoms(latents), z, mag, red)

    @torch.no_grad()
    def render_from(
        self, random: Randoms, z: Tensor, mag: Tensor, red: Tensor
    ) -> tuple[GalaxySample, Tensor]:
        """As `render` of `z`, `mag` and `red` (n,), from any source of random numbers."""
        population = {"z": z, "m": mag, "red": red, "w": torch.zeros_like(z)}
        return self._render(random, population)

    def _population(self, random: Randoms) -> dict[str, Tensor]:
        cells_m, cells_z = len(self._m_edges) - 1, len(self._z_edges) - 1
        cell = torch.searchsorted(self._cumulative, random.double()).clamp(
            max=len(self._cumulative) - 1
        )
        m_cell, rest = cell % cells_m, torch.div(cell, cells_m, rounding_mode="floor")
        z_cell, colour = rest % cells_z, torch.div(rest, cells_z, rounding_mode="floor")
        u, v = random.uniform(), random.uniform()
        z = self._z_edges[z_cell] + u * (self._z_edges[z_cell + 1] - self._z_edges[z_cell])
        m = self._m_edges[m_cell] + v * (self._m_edges[m_cell + 1] - self._m_edges[m_cell])
        return {"z": z, "m": m, "red": colour == 1, "w": self._log_weight[z_cell, m_cell]}

    def _lookup(self, grid: Tensor, z: Tensor) -> Tensor:
        x = z / self._z_step
        i = x.long().clamp(0, len(grid) - 2)
        return grid[i] + (x - i) * (grid[i + 1] - grid[i])

    def _distance_modulus(self, z: Tensor) -> Tensor:
        return self._lookup(self._modulus, z) + 5.0 * torch.log10(z)

    def absolute_magnitude(self, z: Tensor, mag: Tensor, red: Tensor) -> Tensor:
        """Absolute r magnitude (n,) with the mean K correction of each colour class.

        Of redshifts `z` and magnitudes `mag`, both (n,), and classes `red` (n,), bool.
        """
        k = self.priors["k_correction"]
        a = torch.where(red, k["red"][0], k["blue"][0])
        b = torch.where(red, k["red"][1], k["blue"][1])
        return mag - self._distance_modulus(z) - a * z - b * z**2

    def _history(self, p: dict[str, Tensor]) -> Tensor:
        weights = sfh.delayed_tau(p["t0"], p["tau"], self._edges)
        weights = sfh.modulate(weights, p["modulation"], self._knots, self._edges)
        return sfh.add_burst(
            weights, p["burst_share"], p["burst_start"], p["burst_stop"], self._edges
        ).float()

    def _chunk(self, n: int, generator: torch.Generator | None) -> GalaxySample:
        random = Randoms(n, generator, self.device)
        return self._render(random, self._population(random))[0]

    def _render(
        self, random: Randoms, population: dict[str, Tensor]
    ) -> tuple[GalaxySample, Tensor]:
        z, mag = population["z"], population["m"]
        modulus, colour = self._distance_modulus(z), population["red"]
        absolute = self.absolute_magnitude(z, mag, colour)
        p = physical_parameters(
            self.priors, random, z, colour, absolute, self._lookup(self._age, z)
        )
        deviates = random.normal(3, len(self.lines.groups))
        library = torch.bucketize(random.uniform(), self._library_bounds)
        template = self.template.coefficients(random, p["kind"])
        excitation = random.normal()

        # Sort by library and metallicity interval: one matrix product for each group.
        group, fraction, p["logz"] = self.synthesis.intervals(library, p["logz"])
        order = torch.argsort(group, stable=True)
        groups = self.synthesis.counts(group)
        p = {key: value[order] for key, value in p.items()}
        p["z"], p["mag"], p["modulus"] = z[order], mag[order], modulus[order]
        fraction, deviates = fraction[order, None], deviates[order]
        template, excitation = template[order], excitation[order]

        history = self._history(p)
        mixed = torch.stack([history * (1.0 - fraction), history * fraction], dim=1)
        old, young, light = self.synthesis.small(mixed, groups)
        dust = DustTerms.coefficients(p["av"], p["slope"], p["bump"])
        cloud = DustTerms.coefficients(p["av_young"], p["slope"], p["bump"])
        stars = torch.cat([dust, template], dim=1)
        continuum, bare = self.synthesis.continuum(old, young, stars, cloud)
        intrinsic = self._emission(p, old, young, bare, deviates, excitation)
        hbeta = intrinsic[:, self.lines.index("Hbeta")]
        lines = self.synthesis.attenuate_lines(intrinsic, dust, cloud)
        flux, lineflux, ur = self.synthesis.bandflux(
            p["z"], mixed, groups, stars, cloud, lines, hbeta
        )

        labels = self._labels(p, history, old + young, light, flux[:, self._r_column], ur)
        widths = (lines @ self._membership) / continuum
        for key in CONTINUUM_LABELS:
            level = continuum[:, list(LABEL_LINES).index(key)]
            labels[key.replace("ew_", "logc_")] = (
                torch.log10(level) + LOG_LSUN + labels["logmformed"]
            )
        labels.update({key: widths[:, j] for j, key in enumerate(LABEL_LINES)})
        observable = self._observable(labels)
        scale = AB_ZEROPOINT_MICROJANSKY * 10.0 ** (-0.4 * p["mag"]) / flux[:, self._r_column]
        bandflux = (flux * scale[:, None])[:, : len(self.bands)]
        line_share = (lineflux / flux.clamp(min=1e-30))[:, : len(self.bands)]
        back = torch.argsort(order)
        sample = GalaxySample(
            bands=self.bands,
            bandflux=bandflux[back],
            labels={key: labels[key][back].float() for key in LABELS},
            observable={key: observable[key][back] for key in LABELS},
            mag_r=mag,
            log_weight=population["w"],
            kind=p["kind"][back],
        )
        return sample, line_share[back]

    def _emission(
        self,
        p: dict[str, Tensor],
        old: Tensor,
        young: Tensor,
        bare: Tensor,
        deviates: Tensor,
        excitation: Tensor,
    ) -> Tensor:
        """Luminosity of every line before dust (N, L), L_sun per M_sun formed."""
        scatter = self.priors["line_scatter"]
        limit = scatter["deviates_limit"]
        deviates = deviates.clamp(-limit, limit)

        def spread(source: int, dex: float) -> Tensor:
            own = deviates[:, source] * dex
            # Hydrogen lines keep their case-B ratios: the scatter is about Hbeta.
            own = own.index_fill(1, self._hydrogen, 0.0)
            return 10.0 ** self.lines.scatter(own)

        small = old + young
        q_young = small[:, COLUMNS.index("q_young")] * p["hii_share"]
        q_old = small[:, COLUMNS.index("q_old")] * p["old_share"]
        hii = self.lines.hii(p["gas_logz"], p["logu"], excitation) * spread(0, scatter["hii"])
        lier = self.lines.lier()[None, :] * spread(1, scatter["old"])
        agn = self.lines.agn_over_halpha()[None, :] * spread(2, scatter["agn"])
        halpha = p["agn_ew"] * bare[:, list(LABEL_LINES).index("ew_halpha")]
        return q_young[:, None] * hii + q_old[:, None] * lier + halpha[:, None] * agn

    def _labels(
        self,
        p: dict[str, Tensor],
        history: Tensor,
        small: Tensor,
        light: Tensor,
        flux_r: Tensor,
        ur: Tensor,
    ) -> dict[str, Tensor]:
        # flux_r is L_sun/Hz (times WEIGHT_SCALE) of 1 M_sun formed, with L_lambda at the emitted
        # wavelength: f_lambda = L_lambda / [4 pi d^2 (1+z)]
        log_flux = (
            torch.log10(flux_r)
            - np.log10(WEIGHT_SCALE)
            + LOG_LSUN_10PC
            - 0.4 * p["modulus"]
            - torch.log10(1.0 + p["z"])
        )
        log_zero = float(np.log10(AB_ZEROPOINT_MICROJANSKY))
        formed = log_zero - 0.4 * p["mag"] - log_flux
        mass = formed + torch.log10(small[:, COLUMNS.index("remaining")])
        sfr = torch.log10(sfh.recent_sfr(history.double(), self._edges).clamp(min=1e-30)) + formed
        weight = light.double()
        logage_l = (weight * self._mean_age).sum(dim=1) / weight.sum(dim=1)
        u, r = COLUMNS.index("u"), COLUMNS.index("r")
        return {
            "z": p["z"],
            "logmstar": mass,
            "logmformed": formed,
            "logsfr": torch.maximum(sfr, mass + LOG_SSFR_FLOOR),
            "logzstar": p["logz"],
            "t0": p["t0"],
            "tau": p["tau"],
            "av": p["av"],
            "av_young": p["av_young"],
            "ur_rest": -2.5 * torch.log10(ur[:, 0] / ur[:, 1]),
            "mabs_r": -2.5
            * (torch.log10(ur[:, 1]) - np.log10(WEIGHT_SCALE) + LOG_LSUN_10PC + formed - log_zero),
            "ur_int": -2.5 * torch.log10(small[:, u] / small[:, r]),
            "logage_m": (history.double() * self._mean_age).sum(dim=1),
            "logage_l": logage_l,
        }

    def _observable(self, labels: dict[str, Tensor]) -> dict[str, Tensor]:
        z = labels["z"]
        observable = {key: torch.ones_like(z, dtype=torch.bool) for key in LABELS}
        for key, (lower, upper) in self._line_limits.items():
            inside = (lower * (1.0 + z) > LINE_RANGE[0]) & (upper * (1.0 + z) < LINE_RANGE[1])
            observable[key] = inside
        on_floor = labels["logsfr"] <= labels["logmstar"] + LOG_SSFR_FLOOR + 1e-4
        observable["logsfr"] = ~on_floor
        return observable
