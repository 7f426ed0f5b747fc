"""Negative log likelihood of the requested values: the reference objective."""

from __future__ import annotations

import torch
from torch import Tensor

from jpassed.nn.model import Prediction, SEDModel
from jpassed.objectives.means import mean_of_requests

__all__ = ["request_nll", "row_nll"]


def request_nll(
    model: SEDModel,
    prediction: Prediction,
    target: Tensor,
    error: Tensor,
    asked: Tensor,
    weight: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Mean negative log likelihood of each request.

    With Gaussian heads this is the published loss, sum of (y - mu)^2 / (2 s^2) + 1/2 log s^2 with
    s^2 = s_pred^2 + s_true^2 (Leung & Bovy 2024, MNRAS 527, 1494, eq. 3), averaged over objects.

    Parameters
    ----------
    model : SEDModel
    prediction : Prediction
    target, error : Tensor
        (B, R) scaled truths and their own standard errors (0 if exact).
    asked : Tensor
        (B, R) bool: requests that count.
    weight : Tensor, optional
        (B,) importance weights of the objects (density weighting).

    Returns
    -------
    loss, counts : Tensor
        (R,) weighted means, 0 where no object counts, and the (R,) sums of weights.
    """
    return mean_of_requests(row_nll(model, prediction, target, error, asked), asked, weight)


def row_nll(
    model: SEDModel, prediction: Prediction, target: Tensor, error: Tensor, asked: Tensor
) -> Tensor:
    """Negative log likelihood of every request of every object.

    With a Gaussian head the loss of Leung & Bovy 2024, MNRAS 527, 1494, eq. 3.

    Parameters
    ----------
    model : SEDModel
    prediction : Prediction
    target, error : Tensor
        (B, R) scaled truths and their own standard errors (0 if exact).
    asked : Tensor
        (B, R) bool: requests that count.

    Returns
    -------
    Tensor
        (B, R) nats in scaled units, without the constant 1/2 log(2 pi); 0 where not asked.
    """
    # Both are cleaned, not only the loss: a gradient of 0 times NaN is NaN.
    target, error = torch.where(asked, target, 0.0), torch.where(asked, error, 0.0)
    loss = model.head.loss(prediction.parameters, target, error)
    if prediction.redshift_logits is not None and model.redshift_head is not None:
        i = prediction.names.index("z")
        binned = model.redshift_head.loss(prediction.redshift_logits, target[:, i], error[:, i])
        loss = torch.cat((loss[:, :i], binned.unsqueeze(1), loss[:, i + 1 :]), 1)
    return torch.where(asked, loss, 0.0)
