"""A proposal around the best draws so far: kernels with their covariance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["INFLATIONS", "Kernels", "kalman_step"]

INFLATIONS = (16.0, 8.0, 4.0, 16.0 / 9.0)
"""Factors on the covariance of the data in successive Kalman steps; their inverses add to one."""

CENTRES = 256
LEAST_SHARE = 0.06
"""Weights are tempered until so large a share of the draws is effective: a covariance in 18
dimensions needs more than a handful of draws."""

WIDTH = 0.6
"""Width of the kernels in standard deviations; their centres are drawn towards the mean such that
the covariance of all is that of the draws (West 1993, J. R. Stat. Soc. B 55, 409)."""

FREEDOM = 8.0
RIDGE = 1e-4


@dataclass(frozen=True)
class Kernels:
    """Student-t kernels of one covariance.

    Attributes
    ----------
    centre : Tensor (M, D)
    root : Tensor (D, D)
        Lower Cholesky factor of the scale matrix, float64.
    """

    centre: Tensor
    root: Tensor

    @classmethod
    def around(cls, x: Tensor, log_weight: Tensor) -> Kernels:
        """Kernels that cover weighted draws (n, D), whose weights are tempered if few count."""
        x = x.double()
        weight = _tempered(log_weight, max(2.0, LEAST_SHARE * len(x)))
        mean = weight @ x
        centred = x - mean
        covariance = (centred * weight[:, None]).T @ centred
        covariance.diagonal().mul_(1.0 + RIDGE).add_(1e-8)
        level = (torch.arange(CENTRES, dtype=torch.float64) + 0.5) / CENTRES
        pick = torch.searchsorted(weight.cumsum(0), level).clamp(max=len(x) - 1)
        centre = mean + math.sqrt(1.0 - WIDTH**2) * centred[pick]
        # the variance of a Student-t is wider than its scale
        spread = WIDTH * math.sqrt((FREEDOM - 2.0) / FREEDOM)
        return cls(centre, torch.linalg.cholesky(covariance) * spread)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """n draws (n, D), float64."""
        pick = torch.randint(len(self.centre), (n,), generator=generator)
        d = self.centre.shape[1]
        normal = torch.randn(n, d, generator=generator, dtype=torch.float64)
        degrees = torch.randn(n, int(FREEDOM), generator=generator, dtype=torch.float64)
        stretch = torch.sqrt(FREEDOM / degrees.square().sum(1, keepdim=True))
        return self.centre[pick] + stretch * (normal @ self.root.T)

    def log_density(self, x: Tensor) -> Tensor:
        """ln density (n,) at x (n, D), float64."""
        d = self.centre.shape[1]
        white = torch.linalg.solve_triangular(self.root, x.double().T, upper=False).T
        centre = torch.linalg.solve_triangular(self.root, self.centre.T, upper=False).T
        square = torch.cdist(white, centre).square()
        constant = (
            math.lgamma((FREEDOM + d) / 2) - math.lgamma(FREEDOM / 2)
            - 0.5 * d * math.log(FREEDOM * math.pi)
        )  # fmt: skip
        own = -0.5 * (FREEDOM + d) * torch.log1p(square / FREEDOM)
        out = torch.logsumexp(own, dim=1) - math.log(len(self.centre)) + constant
        return out - self.root.diagonal().log().sum()


def _tempered(log_weight: Tensor, wanted: float) -> Tensor:
    """Normalised weights w^b with the largest b <= 1 that leaves `wanted` effective draws."""
    finite = torch.nan_to_num(log_weight.double(), nan=-torch.inf, neginf=-1e30)
    relative = (finite - finite.max()).clamp(min=-1e5)
    low, high = 0.0, 1.0
    weight = torch.softmax(relative, 0)
    if 1.0 / weight.square().sum() >= wanted:
        return weight
    for _ in range(30):
        middle = 0.5 * (low + high)
        weight = torch.softmax(middle * relative, 0)
        if 1.0 / weight.square().sum() >= wanted:
            low = middle
        else:
            high = middle
    return torch.softmax(low * relative, 0)


def kalman_step(
    x: Tensor, residual: Tensor, covariance: Tensor, inflation: float, generator: torch.Generator
) -> Tensor:
    """Move an ensemble towards the data, by the regression of what it predicts on what it is.

    One step of the ensemble smoother with multiple data assimilation (Emerick & Reynolds 2013,
    Computers & Geosciences 55, 3): no derivative is asked of the model.

    Parameters
    ----------
    x : Tensor (N, D)
        Ensemble, float64.
    residual : Tensor (N, B)
        Predicted less measured.
    covariance : Tensor (B, B)
        Of the measurements.
    inflation : float
        Factor on `covariance`; the inverses of those of all steps add to one.
    generator : torch.Generator

    Returns
    -------
    Tensor (N, D)
    """
    centred, predicted = x - x.mean(0), residual - residual.mean(0)
    count = len(x) - 1
    cross = centred.T @ predicted / count
    noise = inflation * covariance
    total = predicted.T @ predicted / count + noise
    normal = torch.randn(residual.shape, generator=generator, dtype=torch.float64)
    shaken = residual + normal @ torch.linalg.cholesky(noise).T
    gain = torch.linalg.solve(total, cross.T)
    return x - shaken @ gain
