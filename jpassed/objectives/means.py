"""From the losses of single requests to those of a batch."""

from __future__ import annotations

from torch import Tensor

__all__ = ["mean_of_requests"]


def mean_of_requests(
    loss: Tensor, asked: Tensor, weight: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Weighted mean over the objects, for each request.

    Parameters
    ----------
    loss : Tensor
        (B, R) losses, 0 where not asked.
    asked : Tensor
        (B, R) bool: requests that count.
    weight : Tensor, optional
        (B,) importance weights of the objects (density weighting).

    Returns
    -------
    mean, counts : Tensor
        (R,) weighted means, 0 where no object counts, and the (R,) sums of weights.
    """
    w = asked.to(loss.dtype)
    if weight is not None:
        w = w * weight.unsqueeze(-1)
    counts = w.sum(0)
    return (loss * w).sum(0) / counts.clamp(min=1e-6), counts
