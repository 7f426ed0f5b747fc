"""Likelihood of photometry under the emulator: bandfluxes of labels, with their covariance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from jpassed.refinement.coordinates import Cosmology
from jpassed.refinement.emulator import SMOOTHING, EmulatorNet
from jpassed.refinement.fit_emulator import emulator_inputs
from jpassed.refinement.lines import reference_luminosity
from jpassed.refinement.rest_frame import Bandfluxes
from jpassed.simulator.bands import Passband

__all__ = ["Likelihood", "PredictedBands"]

MAGNITUDE = 0.4 * float(np.log(10.0))
COVARIANCE_STEP = 0.004
MOST_SCATTER = 1.0
"""Cap on the variance of ln flux: beyond it a Gaussian says nothing."""


class PredictedBands:
    """The emulator through a set of passbands.

    Parameters
    ----------
    net : EmulatorNet
    passbands : sequence of (name, wave, throughput)
        Vacuum Å, photon-counting.
    line_wave : array (L,)
        Vacuum wavelengths of the emulator's lines.
    """

    def __init__(
        self, net: EmulatorNet, passbands: Sequence[Passband], line_wave: np.ndarray
    ) -> None:
        self.net, self.cosmology = net, Cosmology()
        self.bands = Bandfluxes(passbands, line_wave)
        self.names = self.bands.names
        self.mean = self.bands.resampled(net.get_buffer("mean")[None], 0.0)[0]
        self.basis = self.bands.resampled(net.get_buffer("basis"), 0.0)
        self.dark = torch.tensor(self.bands.wave < 912.0)
        residual = self.bands.resampled(net.get_buffer("residual"), 0.0)
        widths = self._log_widths(passbands)
        # How far the residual of the basis averages out inside each band.
        place = np.interp(widths, np.log(SMOOTHING), np.arange(len(SMOOTHING)))
        zeta = torch.arange(0.0, 0.812, COVARIANCE_STEP)
        basis, scatter = [], []
        for value in zeta.split(1):
            basis.append(self.bands.mean(self.basis, value.expand(len(self.basis))).T)
            own = self.bands.mean(residual, value.expand(len(residual)))
            low = np.clip(np.floor(place).astype(int), 0, len(SMOOTHING) - 2)
            part = torch.tensor(place - low, dtype=torch.float32)
            column = torch.arange(len(self.names))
            scatter.append(own[low, column] * (1 - part) + own[low + 1, column] * part)
        self.band_basis = torch.stack(basis)  # (Z, B, K)
        self.band_residual = torch.stack(scatter)  # (Z, B)
        self.line_squares = self.bands.line_table.square()

    @staticmethod
    def _log_widths(passbands: Sequence[Passband]) -> np.ndarray:
        out = []
        for _, wave, throughput in passbands:
            wave, throughput = np.asarray(wave), np.asarray(throughput)
            area = np.trapezoid(throughput / wave, wave)
            out.append(np.log(area / throughput.max()))
        return np.array(out)

    @torch.no_grad()
    def predict(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Noise-free bandfluxes of coordinates (N, D).

        Parameters
        ----------
        theta : Tensor (N, D)

        Returns
        -------
        flux : Tensor (N, B)
            Mean, microjansky.
        modes : Tensor (N, B, K)
            Microjansky for one standard deviation each of K independent deviates.
        variance : Tensor (N, B)
            Of what is left, independent from band to band.
        """
        zeta = theta[:, 0]
        mean, log_s, line, log_line = self.net(emulator_inputs(theta, self.cosmology))
        spectrum = torch.addmm(self.mean, mean, self.basis).exp_()
        spectrum[:, self.dark] = 0.0
        absolute = theta[:, 2] + theta[:, 1] - self.cosmology.modulus(torch.expm1(zeta))
        level = (theta[:, 3] - absolute) / 2.5
        factor = self.bands.to_microjansky(
            level, self.cosmology.modulus(torch.expm1(zeta)), zeta
        )[:, None]
        continuum = self.bands.continuum(spectrum, zeta) * factor
        reference = reference_luminosity(theta)[:, self.net.get_buffer("line_reference")]
        luminosity = reference * line.exp()
        lines = self.bands.lines(luminosity, zeta) * factor
        index = (zeta / COVARIANCE_STEP + 0.5).long().clamp(0, len(self.band_basis) - 1)
        modes = self.band_basis[index] * log_s.exp()[:, None, :]
        # The scatter is of ln flux: mean and modes of the log-normal.
        total = modes.square().sum(-1).clamp(max=MOST_SCATTER)
        grown = torch.expm1(total)
        continuum = continuum * torch.exp(0.5 * total)
        shrink = torch.sqrt(grown / total.clamp(min=1e-9))
        modes = modes * (continuum * shrink)[:, :, None]
        variance = (self.band_residual[index] * continuum).square()
        spread = (luminosity * log_line.exp().clamp(max=1.0)).square() * factor.square()
        variance = variance + self._line_variance(spread, zeta)
        return continuum + lines, modes, variance

    def _line_variance(self, spread: Tensor, zeta: Tensor) -> Tensor:
        """Variance (N, B) of lines with independent variances (N, L)."""
        table = self.bands.line_table
        self.bands.line_table = self.line_squares
        try:
            return self.bands.lines(spread * torch.exp(zeta)[:, None], zeta)
        finally:
            self.bands.line_table = table


class Likelihood:
    """Gaussian log likelihood of measured bandfluxes.

    Parameters
    ----------
    predicted : PredictedBands
    zero_point : Tensor (B,)
        Scatter of the zero points in magnitudes, not in the quoted errors.
    """

    def __init__(self, predicted: PredictedBands, zero_point: Tensor) -> None:
        self.predicted = predicted
        self.zero_point = zero_point * MAGNITUDE

    @torch.no_grad()
    def residuals(
        self, theta: Tensor, flux: Tensor, error: Tensor, observed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Bandfluxes predicted less measured, in units of the errors, for one object.

        Parameters
        ----------
        theta : Tensor (N, D)
        flux, error, observed : Tensor (1, B)

        Returns
        -------
        residual : Tensor (N, b)
            Of the observed bands, float64.
        covariance : Tensor (b, b)
            Of errors, zero points and emulator, its mean over the N coordinates.
        """
        seen = observed[0]
        model, modes, variance = self.predicted.predict(theta)
        own = error[0, seen]
        model, modes = model[:, seen] / own, modes[:, seen] / own[:, None]
        variance = variance[:, seen]
        diagonal = (variance / own.square() + (self.zero_point[seen] * model).square()).mean(0)
        covariance = torch.einsum("nbk,nck->bc", modes, modes).double() / len(theta)
        covariance.diagonal().add_(1.0 + diagonal.double())
        return (model - flux[0, seen] / own).double(), covariance

    @torch.no_grad()
    def __call__(
        self, theta: Tensor, flux: Tensor, error: Tensor, observed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Log density of the photometry in units of its errors, and chi2; both (N,).

        Parameters
        ----------
        theta : Tensor (N, D)
            Coordinates.
        flux, error : Tensor (N, B)
            Microjansky.
        observed : Tensor (N, B)
            bool; other bands do not count.
        """
        model, modes, variance = self.predicted.predict(theta)
        own = torch.where(observed, error, 1.0)
        seen = observed.to(model.dtype)
        # Coordinates far from all galaxies overflow: they have no likelihood.
        broken = ~torch.isfinite(model + variance).all(1) | ~torch.isfinite(modes).all(2).all(1)
        if bool(broken.any()):
            model, modes, variance = (
                torch.nan_to_num(v, 0.0, 0.0, 0.0) for v in (model, modes, variance)
            )
        # In units of the errors everything is of order one, whatever the brightness.
        residual = (flux - model) / own * seen
        modes = modes / own[..., None] * seen[..., None]
        diagonal = 1.0 + (variance + (self.zero_point * model).square()) / own.square() * seen
        scaled = modes / diagonal[..., None]
        inner = modes.transpose(1, 2) @ scaled
        inner.diagonal(dim1=1, dim2=2).add_(1.0)
        root, failed = torch.linalg.cholesky_ex(inner)
        broken = broken | (failed > 0)
        right = (scaled * residual[..., None]).sum(1)
        white = torch.linalg.solve_triangular(root, right[..., None], upper=False)[..., 0]
        chi2 = (residual.square() / diagonal).sum(-1) - white.square().sum(-1)
        half_log = 0.5 * diagonal.log().sum(-1)
        half_log = half_log + root.diagonal(dim1=1, dim2=2).log().sum(-1)
        count = seen.sum(-1)
        log_l = -0.5 * chi2 - half_log - 0.5 * count * float(np.log(2 * np.pi))
        return torch.where(broken, -torch.inf, log_l), chi2
