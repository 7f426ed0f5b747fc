"""Muon: momentum whose update of a matrix is orthogonalised, so that no direction rules.

K. Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"
(https://kellerjordan.github.io/posts/muon); the size of the update is that of J. Liu et al. 2025,
"Muon is scalable for LLM training" (arXiv:2502.16982), so that AdamW's learning rate and weight
decay serve both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from jpassed.exceptions import UnknownNameError
from jpassed.training.config import OPTIMISERS

__all__ = ["Muon", "Optimisers", "make_optimiser", "orthogonalised"]

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the Newton-Schulz iteration of fifth order (Jordan et al. 2024)."""

HIDDEN = ("blocks.", "trunk.", "decoder.", "patch.last", "redshift_head.up", "dense.")
"""Names of matrices between hidden layers: inputs, embeddings and outputs are AdamW's."""


def orthogonalised(matrices: Tensor, iterations: int = 5) -> Tensor:
    """U V^T of the singular value decomposition of each matrix, roughly.

    Parameters
    ----------
    matrices : Tensor
        (..., n, m).
    iterations : int
        After 5 the singular values lie between about 0.7 and 1.2, as near as an update needs.

    Returns
    -------
    Tensor
        (..., n, m) bfloat16, in which the iteration is stable.
    """
    a, b, c = COEFFICIENTS
    x = matrices.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised, for matrices; with decoupled weight decay.

    Parameters
    ----------
    params : iterable of Tensor
        Matrices.
    lr, weight_decay, momentum : float
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient; those of one shape together."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    shapes.setdefault(p.shape, []).append(p)
            for shape, params in shapes.items():
                updates = []
                for p in params:
                    state = self.state[p]
                    if "momentum" not in state:
                        state["momentum"] = torch.zeros_like(p)
                    gradient, momentum = p.grad, state["momentum"]
                    if gradient is not None:
                        momentum.lerp_(gradient, 1.0 - group["momentum"])
                        updates.append(torch.lerp(gradient, momentum, group["momentum"]))
                made = orthogonalised(torch.stack(updates)).to(updates[0].dtype)
                size = 0.2 * math.sqrt(max(shape))
                for p, update in zip(params, made, strict=True):
                    p.mul_(1.0 - group["lr"] * group["weight_decay"])
                    p.add_(update, alpha=-group["lr"] * size)


class Optimisers:
    """Several optimisers as one: the part of `torch.optim.Optimizer` that a training uses.

    Parameters
    ----------
    parts : sequence of torch.optim.Optimizer
        Of different parameters.
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = list(parts)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Groups of all parts."""
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=set_to_none)

    def step(self) -> None:
        """Let every part take its step."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """States of all parts, parameters numbered through."""
        state: dict[int, Any] = {}
        start = 0
        for part in self.parts:
            state |= {start + i: entry for i, entry in part.state_dict()["state"].items()}
            start += _count(part)
        return {"state": state}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take what `state_dict` gave."""
        start = 0
        for part in self.parts:
            end = start + _count(part)
            own = {i - start: entry for i, entry in saved["state"].items() if start <= i < end}
            part.load_state_dict({**part.state_dict(), "state": own})
            start = end


def _count(part: torch.optim.Optimizer) -> int:
    return sum(len(group["params"]) for group in part.param_groups)


def make_optimiser(
    network: nn.Module, name: str, learning_rate: float, weight_decay: float
) -> Optimisers:
    """AdamW, or Muon for the hidden matrices and AdamW for the rest.

    Parameters
    ----------
    network : nn.Module
    name : {"adamw", "muon"}
    learning_rate, weight_decay : float
        Vectors are not decayed.

    Raises
    ------
    UnknownNameError
        For another name.
    """
    if name not in OPTIMISERS:
        raise UnknownNameError("optimiser", name, OPTIMISERS)
    hidden: list[Tensor] = []
    matrices: list[Tensor] = []
    vectors: list[Tensor] = []
    for key, p in network.named_parameters():
        if name == "muon" and p.ndim == 2 and any(part in key for part in HIDDEN):
            hidden.append(p)
        else:
            (matrices if p.ndim >= 2 else vectors).append(p)
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    parts: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98), fused=True)
    ]
    if hidden:
        parts.append(Muon(hidden, learning_rate, weight_decay))
    return Optimisers(parts)
