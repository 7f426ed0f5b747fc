"""Autoregressive mixtures: densities of a galaxy's coordinates, one after the other."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["AutoregressiveMixture", "ReadOut"]

LOG_2PI = math.log(2.0 * math.pi)
LOG_SIGMA_FLOOR = -5.5
HALVINGS, NEWTON_STEPS = 16, 4
LARGEST_NORMAL = 5.0
REDSHIFT_WAVES = 6
"""Sines and cosines of redshift, from a period of 0.6 in ln(1+z) down to 0.02: a line crosses the
edge of a narrow band within 0.006."""


class AutoregressiveMixture(nn.Module):
    """Density of coordinates D: each a Gaussian mixture given those before it and a context.

    A small network for every coordinate (all in one batched product) gives the mixture. Inside,
    the coordinates are whitened by the Cholesky factor of their covariance, which leaves their
    order as it is: what one owes to those before it linearly (and many labels nearly are their
    neighbours) needs no learning.

    Parameters
    ----------
    first, last : int
        The coordinates `first` to `last` - 1 have densities; those before `first` are given.
    size : int
        Number of coordinates D.
    context : int
        Numbers that describe the object; 0 for none (a prior).
    width, components : int
        Hidden width and Gaussians of each coordinate's network.
    """

    loc: Tensor
    root: Tensor
    mask: Tensor

    def __init__(
        self,
        first: int,
        last: int,
        size: int,
        *,
        context: int = 0,
        width: int = 64,
        components: int = 8,
    ) -> None:
        super().__init__()
        self.sizes = {
            "first": first, "last": last, "size": size, "context": context, "width": width,
            "components": components,
        }  # fmt: skip
        self.first, self.last, self.components = first, last, components
        count, inputs = last - first, size + 2 * REDSHIFT_WAVES

        def weights(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(shape) * shape[-2] ** -0.5)

        self.from_before = weights(count, inputs, width)
        self.from_context = weights(count, context, width) if context else None
        self.bias = nn.Parameter(torch.zeros(count, width))
        self.hidden = weights(count, width, width)
        self.hidden_bias = nn.Parameter(torch.zeros(count, width))
        self.out = nn.Parameter(0.3 * torch.randn(count, width, 3 * components) * width**-0.5)
        start = torch.zeros(count, 3, components)
        start[:, 1] = torch.linspace(-1.5, 1.5, components)
        self.out_bias = nn.Parameter(start.flatten(1))
        self.register_buffer("loc", torch.zeros(size))
        self.register_buffer("root", torch.eye(size))
        order = torch.arange(size)[None, :] < torch.arange(first, last)[:, None]
        waves = torch.ones(count, 2 * REDSHIFT_WAVES, dtype=torch.bool)
        mask = torch.cat([order, waves], dim=1).float()[:, :, None]
        self.register_buffer("mask", mask, persistent=False)

    def standardise(self, theta: Tensor) -> None:
        """Take mean and covariance of coordinates (N, D)."""
        covariance = torch.cov(theta.double().T)
        covariance.diagonal().mul_(1.0 + 1e-6)
        self.get_buffer("loc").copy_(theta.mean(0))
        self.get_buffer("root").copy_(torch.linalg.cholesky(covariance))

    @property
    def scale(self) -> Tensor:
        """Standard deviation (D,) of each coordinate about the linear prediction from those before:
        a density in whitened units over it is one in the coordinates' own."""
        return self.get_buffer("root").diagonal()

    def standard(self, theta: Tensor) -> Tensor:
        """Whitened coordinates."""
        centred = theta - self.get_buffer("loc")
        root = self.get_buffer("root")
        return torch.linalg.solve_triangular(root, centred.T, upper=False).T

    def _waves(self, zeta: Tensor) -> Tensor:
        period = 0.6 * 0.5 ** torch.arange(REDSHIFT_WAVES, device=zeta.device)
        angle = 2.0 * math.pi * zeta[..., None] / period
        return torch.cat([angle.sin(), angle.cos()], -1)

    def _inputs(self, theta: Tensor) -> Tensor:
        known = self.standard(theta).clamp(-8.0, 8.0)
        return torch.cat([known, self._waves(theta[..., 0])], -1)

    def described(self, context: Tensor | None) -> Tensor:
        """What a context (B, C) adds in the first layer: (D', B, W), once an object."""
        if self.from_context is None or context is None:
            return self.bias[:, None, :]
        return torch.einsum("bc,dcw->dbw", context, self.from_context) + self.bias[:, None, :]

    def _mixture(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        log_weight, mean, log_sigma = h.unflatten(-1, (3, self.components)).unbind(-2)
        return log_weight.log_softmax(-1), mean, (log_sigma - 0.7).clamp(LOG_SIGMA_FLOOR, 3.0)

    @staticmethod
    def _log_mixture(y: Tensor, log_weight: Tensor, mean: Tensor, log_sigma: Tensor) -> Tensor:
        deviate = (y[..., None] - mean) * torch.exp(-log_sigma)
        return torch.logsumexp(
            log_weight - log_sigma - 0.5 * deviate.square() - 0.5 * LOG_2PI, dim=-1
        )

    def log_density(self, theta: Tensor, described: Tensor, rows: Tensor | None = None) -> Tensor:
        """Log densities (D', N) of each coordinate of theta (N, D), in whitened units.

        `described` is (D', B, W) with B = N, or B = 1, or any B with `rows` (N,) naming the
        object of each theta.
        """
        x = self._inputs(theta)
        h = torch.matmul(x.unsqueeze(0), self.from_before * self.get_buffer("mask"))
        h = nn.functional.silu(h + (described if rows is None else described[:, rows]))
        h = h + nn.functional.silu(torch.baddbmm(self.hidden_bias[:, None], h, self.hidden))
        mixture = self._mixture(torch.baddbmm(self.out_bias[:, None], h, self.out))
        own = self.standard(theta)[:, self.first : self.last].T
        return self._log_mixture(own, *mixture)

    @torch.no_grad()
    def draw(
        self,
        theta: Tensor,
        described: Tensor,
        rows: Tensor,
        generator: torch.Generator,
        start: int | None = None,
        normal: Tensor | None = None,
    ) -> Tensor:
        """Fill the coordinates from `first` (or `start`) on of theta (N, D) in place.

        With `normal` (N, C) the first C of them are not drawn: they stand where each standard
        normal number stands in its distribution.

        Returns
        -------
        Tensor (D', N)
            Their log densities, in whitened units.
        """
        loc, root = self.get_buffer("loc"), self.get_buffer("root")
        waves = self._waves(theta[:, 0])
        start = self.first if start is None else start
        size, densities = theta.shape[1], []
        white = self.standard(theta)  # the first columns do not depend on the later ones
        known = white.clamp(-8.0, 8.0)
        for column in range(start, self.last):
            i = column - self.first
            before = self.from_before[i]
            h = known[:, :column] @ before[:column] + waves @ before[size:]
            h = nn.functional.silu(h + described[i][rows])
            h = h + nn.functional.silu(h @ self.hidden[i] + self.hidden_bias[i])
            log_weight, mean, log_sigma = self._mixture(h @ self.out[i] + self.out_bias[i])
            if normal is not None and column - start < normal.shape[1]:
                y = mixture_quantile(normal[:, column - start], log_weight, mean, log_sigma)
            else:
                u = torch.rand(len(theta), 1, generator=generator)
                pick = (log_weight.exp().cumsum(-1) < u).sum(-1, keepdim=True)
                pick = pick.clamp(max=self.components - 1)
                noise = torch.randn(len(theta), 1, generator=generator)
                y = (mean.gather(1, pick) + log_sigma.gather(1, pick).exp() * noise)[:, 0]
            densities.append(self._log_mixture(y, log_weight, mean, log_sigma))
            white[:, column] = y
            known[:, column] = y.clamp(-8.0, 8.0)
            theta[:, column] = white[:, : column + 1] @ root[column, : column + 1] + loc[column]
        return torch.stack(densities)


def mixture_quantile(
    normal: Tensor, log_weight: Tensor, mean: Tensor, log_sigma: Tensor
) -> Tensor:
    """Where standard normal numbers (N,) stand in Gaussian mixtures (N, K): (N,).

    ``F^-1(Phi(u))`` by halving an interval, then by Newton steps.
    """
    u = normal.clamp(-LARGEST_NORMAL, LARGEST_NORMAL)[:, None]
    weight, sigma = log_weight.softmax(-1), log_sigma.exp()
    low = (mean - 7.0 * sigma).amin(1, keepdim=True)
    high = (mean + 7.0 * sigma).amax(1, keepdim=True)
    level = torch.special.ndtr(u)
    for _ in range(HALVINGS):
        y = 0.5 * (low + high)
        below = (weight * torch.special.ndtr((y - mean) / sigma)).sum(1, keepdim=True) < level
        low, high = torch.where(below, y, low), torch.where(below, high, y)
    y, mean, sigma = 0.5 * (low + high).double(), mean.double(), sigma.double()
    weight, level = log_weight.double().softmax(-1), torch.special.ndtr(u.double())
    reach = 2.0 * (high - low).double()
    for _ in range(NEWTON_STEPS):
        deviate = (y - mean) / sigma
        above = (weight * torch.special.ndtr(deviate)).sum(1, keepdim=True) - level
        slope = (weight / sigma * torch.exp(-0.5 * deviate.square())).sum(1, keepdim=True)
        step = above * math.sqrt(2.0 * math.pi) / slope.clamp(min=1e-30)
        y = y - torch.maximum(torch.minimum(step, reach), -reach)
    return y[:, 0].to(normal.dtype)


class ReadOut(nn.Module):
    """The encoded context of an object as a few numbers: attention of learned queries.

    The vector of a dense readout, where the network has one, is added through a narrow layer.

    Parameters
    ----------
    width : int
        Of the context tokens.
    size : int
        Numbers given.
    queries, heads : int
        Of the attention.
    dense : int
        Length of the dense vector, 0 for none.
    narrow : int
        Width of the layer that it comes through.
    """

    def __init__(
        self, width: int, size: int = 160, queries: int = 2, heads: int = 6,
        dense: int = 0, narrow: int = 80,
    ) -> None:  # fmt: skip
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query = nn.Parameter(torch.randn(queries, heads, width // heads) * 0.5)
        self.key_value = nn.Linear(width, 2 * (width // heads) * heads)
        self.up = nn.Linear(queries * (width // heads) * heads, size)
        self.down = nn.Linear(size, size)
        self.dense = (
            nn.Sequential(nn.Linear(dense, narrow), nn.Linear(narrow, size)) if dense else None
        )

    def forward(self, tokens: Tensor, bias: Tensor | None, dense: Tensor | None = None) -> Tensor:
        """Context tokens, their key bias and the dense vector, see `Encoded` -> (B, size)."""
        both = self.key_value(self.norm(tokens.float())).unflatten(-1, (2, self.heads, -1))
        key, value = both.unbind(2)  # (B, T, H, d)
        score = torch.einsum("qhd,bthd->bhqt", self.query, key) * key.shape[-1] ** -0.5
        if bias is not None:
            score = score + bias.float()
        seen = torch.einsum("bhqt,bthd->bqhd", score.softmax(-1), value).flatten(1)
        h = self.up(seen)
        if self.dense is not None and dense is not None:
            h = h + self.dense(dense.float())
        return h + self.down(nn.functional.silu(h))
