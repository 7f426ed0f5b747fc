"""Fit the emulator and the prior: what depends on the simulator alone, not on the network."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from jpassed.refinement.coordinates import CORE, SHAPE, Cosmology
from jpassed.refinement.emulator import SMOOTHING, EmulatorNet
from jpassed.refinement.flow import AutoregressiveMixture
from jpassed.refinement.lines import REFERENCES, reference_luminosity, reference_of_lines
from jpassed.refinement.rest_frame import REST_STEP, rest_grid
from jpassed.refinement.spectra import Spectra

__all__ = ["descend", "emulator_inputs", "fit_emulator", "fit_prior"]

logger = logging.getLogger(__name__)

BASIS_GALAXIES = 8000
RIDGE = 1e-5


def emulator_inputs(theta: Tensor, cosmology: Cosmology) -> Tensor:
    """What the emulator reads of coordinates (N, D): shape labels and the luminosity."""
    z = torch.expm1(theta[..., 0])
    absolute = theta[..., 2] + theta[..., 1] - cosmology.modulus(z)
    return torch.cat([theta[..., SHAPE], absolute[..., None]], dim=-1)


def descend(
    module: nn.Module,
    loss_of: Callable[[int], Tensor],
    steps: int,
    *,
    what: str,
    rate: float = 2e-3,
    warm: int = 100,
    start: int = 0,
    optimiser: torch.optim.Optimizer | None = None,
    after: Callable[[int, torch.optim.Optimizer], None] | None = None,
) -> None:
    """Steps `start` to `steps` of AdamW with a cosine to zero; `after` may keep checkpoints."""
    own = optimiser or torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=1e-4)
    recent: list[float] = []
    for step in range(start, steps):
        for group in own.param_groups:
            shape = 0.5 * (1.0 + math.cos(math.pi * step / steps))
            group["lr"] = rate * min(1.0, (step + 1) / warm) * shape
        loss = loss_of(step)
        own.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(module.parameters(), 10.0)
        if bool(torch.isfinite(norm)):
            own.step()
            recent.append(loss.item())
        if (step + 1) % 250 == 0:
            mean = float(np.mean(recent[-250:]))
            logger.info("%s: step %d of %d, loss %.3f", what, step + 1, steps, mean)
        if after is not None:
            after(step + 1, own)


def _emphasis(wave: np.ndarray) -> np.ndarray:
    """Weight of each pixel in the basis: where the bands of surveys are, in the rest frame."""
    knots = [900.0, 1400.0, 2000.0, 3000.0, 9500.0, 12000.0, 25000.0, 60000.0]
    weight = [0.08, 0.15, 0.4, 1.0, 1.0, 0.5, 0.2, 0.05]
    return np.interp(np.log(wave), np.log(knots), weight)


def _fit_basis(net: EmulatorNet, log_spectrum: Tensor) -> None:
    """Principal components of ln spectra, and what they leave."""
    log_s = log_spectrum[:BASIS_GALAXIES].double()
    mean = log_s.mean(0)
    weight = torch.tensor(_emphasis(rest_grid()))
    centred = (log_s - mean) * weight
    _, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    basis = vectors[:, -net.size :].flip(1).T  # (K, P), orthonormal in weighted pixels
    coefficients = centred @ basis.T
    spread = coefficients.std(0)
    residual = log_s - mean - (coefficients @ basis) / weight
    net.mean.copy_(mean)
    net.basis.copy_(basis / weight * spread[:, None])
    for i, width in enumerate(SMOOTHING):
        size = max(1, round(width / REST_STEP))
        kernel = torch.ones(1, 1, size, dtype=torch.float64) / size
        padded = nn.functional.pad(residual[:, None], (size // 2, size - 1 - size // 2))
        smooth = nn.functional.conv1d(padded, kernel)[:, 0]
        net.residual[i] = smooth.square().mean(0).sqrt()


def coefficients_of(net: EmulatorNet, log_spectrum: Tensor) -> Tensor:
    """Coefficients (N, K) of ln spectra: least squares with the weights of the basis."""
    weight = torch.tensor(_emphasis(rest_grid()), dtype=torch.float32)
    weighted = net.get_buffer("basis") * weight
    gram = weighted @ weighted.T
    right = ((log_spectrum - net.get_buffer("mean")) * weight) @ weighted.T
    return torch.linalg.solve(gram.double(), right.double().T).T.float()


def _regress(features: Tensor, target: Tensor, ridge: float) -> Tensor:
    """Ridge regression in float64, (F, T)."""
    x, y = features.double(), target.double()
    gram = x.T @ x
    gram.diagonal().add_(ridge * len(x))
    return torch.linalg.solve(gram, x.T @ y)


def fit_emulator(
    drawn: Spectra, *, size: int = 32, units: int = 512, seed: int = 11
) -> EmulatorNet:
    """Fit an emulator to spectra of the simulator, by least squares.

    Parameters
    ----------
    drawn : Spectra
        The last twentieth is kept apart for the report.
    size : int
        Basis spectra.
    units : int
        Hidden units.
    seed : int

    Returns
    -------
    EmulatorNet
        In evaluation mode.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = emulator_inputs(drawn.theta, Cosmology())[: len(drawn.log_spectrum)]
    theta = drawn.theta[: len(labels)]
    reference, log_ratio = reference_of_lines(drawn.log_lines, theta)
    n_lines = log_ratio.shape[1]
    net = EmulatorNet(labels.shape[1], size, n_lines, drawn.log_spectrum.shape[1], units)
    net.loc.copy_(labels.mean(0))
    net.scale.copy_(labels.std(0))
    net.line_reference.copy_(reference)
    hidden = torch.randn(net.hidden.shape, generator=generator)
    net.hidden.copy_(hidden * 1.6 * labels.shape[1] ** -0.5)
    _fit_basis(net, drawn.log_spectrum)
    target = coefficients_of(net, drawn.log_spectrum)
    fitted = len(labels) - len(labels) // 20
    h = net.units(labels)
    # Weak lines are rounded in the labels, and no band sees them.
    strong = reference_luminosity(theta)[:, REFERENCES.index("ew_halpha")] > 2.0
    strong[fitted:] = False
    lines_out = _regress(h[strong], log_ratio[strong], RIDGE)
    own = slice(0, fitted)
    coefficients_out = _regress(h[own], target[own], RIDGE)
    # Turn the basis to the principal axes of the scatter about the fit.
    left = target[own].double() - h[own].double() @ coefficients_out
    variance, axes = torch.linalg.eigh(left.T @ left / fitted)
    spread = variance.flip(0).clamp(min=1e-12).sqrt()
    axes = axes.flip(1)
    net.basis.copy_((axes * spread).T @ net.basis.double())
    white = left @ axes / spread
    coefficients_out = coefficients_out @ axes / spread
    net.mean_out.copy_(torch.cat([coefficients_out, lines_out], dim=1))
    net.scatter_out[:, :size] = _log_scatter(h[own], white)
    left_lines = log_ratio[strong].double() - h[strong].double() @ lines_out
    net.scatter_out[:, size:] = _log_scatter(h[strong], left_lines)
    return net.eval()


def _log_scatter(features: Tensor, residual: Tensor) -> Tensor:
    """Regression of ln |residual|, brought to the ln of a standard deviation."""
    small = residual.std(0).clamp(min=1e-3) * 1e-3
    out = _regress(features, residual.abs().clamp(min=small).log(), 30 * RIDGE)
    # the level such that the residuals over the scatter have unit variance
    scatter = (features.double() @ out).exp()
    out[-1] += (residual / scatter).square().mean(0).sqrt().clamp(min=1e-6).log()
    return out


def fit_prior(
    theta: Tensor, *, steps: int = 2000, batch: int = 640, seed: int = 12, width: int = 48
) -> AutoregressiveMixture:
    """Fit the density of the core coordinates at given redshift and magnitude.

    Parameters
    ----------
    theta : Tensor (N, D)
        Galaxies whose redshift and magnitude may be drawn from any density: they are given. The
        first twentieth is kept apart for the report.

    Returns
    -------
    AutoregressiveMixture
        In evaluation mode.
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    prior = AutoregressiveMixture(2, CORE, theta.shape[1], width=width, components=10)
    prior.standardise(theta)
    held = len(theta) // 20

    def loss(step: int) -> Tensor:
        rows = torch.randint(held, len(theta), (batch,), generator=generator)
        return -prior.log_density(theta[rows], prior.described(None)).sum(0).mean()

    descend(prior, loss, steps, what="prior")
    with torch.no_grad():
        score = prior.log_density(theta[:held], prior.described(None)).sum(0).mean().item()
    logger.info("prior: held-out log density %.3f", score)
    return prior.eval()
