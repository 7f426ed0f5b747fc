"""A network with rows for kinds that it never saw, set by least squares from a few objects."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jpassed.adaptation.rows import OwnRows
from jpassed.exceptions import ModelError
from jpassed.nn.heads import FlowHead, GaussianHead, MixtureHead, StudentTHead
from jpassed.nn.model import SEDModel
from jpassed.tokens.build import build_context, build_requests
from jpassed.tokens.scaling import LabelScaling
from jpassed.vocabulary import Vocabulary

__all__ = ["KIND_ROWS", "grown", "ridge", "set_rows", "widen"]

logger = logging.getLogger(__name__)

KIND_ROWS = ("label.kind.weight", "request_kind.weight", "head.linear.weight", "head.linear.bias")
"""Weights with a row for every kind of the vocabulary."""

PENALTIES = np.geomspace(1e-3, 1e4, 29)
NEAREST = 4
"""Known kinds, by rank correlation, that a new kind may start from."""

SHARES = (0.0, 0.5, 1.0)
"""How much of the nearest kind's own dependence of the width on the object is taken over."""


def grown(network: SEDModel, vocabulary: Vocabulary) -> SEDModel:
    """The same network with rows for the kinds that `vocabulary` has at its end.

    New rows are the mean of those of the scalar kinds until `set_rows` sets them.
    """
    larger = SEDModel(network.config, vocabulary).eval()
    state = dict(network.state_dict())
    count = len(vocabulary) - state["head.linear.weight"].shape[0]
    for name in KIND_ROWS:
        rows = state[name]
        mean = rows.mean(0, keepdim=True).expand(count, *rows.shape[1:])
        state[name] = torch.cat((rows, mean))
    larger.load_state_dict(state)
    return larger


@torch.no_grad()
def set_rows(
    network: SEDModel, vocabulary: Vocabulary, rows: OwnRows, names: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Set the rows of new kinds: those of the nearest known kind, then a ridge regression.

    The location of the posterior is linear in the vector that the decoder hands to the heads: a
    ridge regression of the scaled labels on that vector gives it, with the penalty of the least
    leave-one-out error. The width follows from the leave-one-out residuals.

    Parameters
    ----------
    network : SEDModel
        Changed in place.
    vocabulary : Vocabulary
    rows : OwnRows
        Objects to learn from.
    names : iterable of str

    Returns
    -------
    dict
        For each kind the one it started from (``like``), its rank correlation with the labels,
        and the penalty.
    """
    told = {}
    for name in names:
        column = rows.names.index(name)
        known = rows.seen.label_known[:, column].nonzero().squeeze(1)
        scaling = LabelScaling.from_vocabulary(vocabulary, rows.names)
        target, error = scaling.to_scaled(rows.seen.labels[known], rows.seen.label_error[known])
        y, sigma = (t[:, column].double().numpy() for t in (target, error))
        # The least leave-one-out error decides among the nearest kinds.
        chosen: dict[str, Any] = {}
        for like, correlation, vector in _nearest(network, vocabulary, rows, known, y):
            fit = ridge(vector.double().numpy(), y)
            error_left = float(np.mean(np.abs(fit[2])))
            if not chosen or error_left < chosen["error"]:
                chosen = {"like": like, "rho": correlation, "vector": vector, "fit": fit,
                          "error": error_left}  # fmt: skip
        like, correlation, vector = chosen["like"], chosen["rho"], chosen["vector"]
        weight, intercept, residual, penalty = chosen["fit"]
        new, old = vocabulary.index(name), vocabulary.index(like)
        for table in (network.label.kind.weight, network.request_kind.weight):
            table[new] = table[old]
        head = network.head.linear
        head.weight[new], head.bias[new] = head.weight[old], head.bias[old]
        _, width = _place(network, vector, old)
        shape, level = _width(residual, sigma, width)
        _write(network, new, weight, intercept, shape, level, width)
        told[name] = {"like": like, "rank_correlation": round(correlation, 3), "penalty": penalty}
        logger.info("new kind %s starts from %s (rank correlation %.2f)", name, like, correlation)
    return told


def _decoded(
    network: SEDModel, vocabulary: Vocabulary, rows: OwnRows, known: Tensor, name: str
) -> Tensor:
    """What the head reads for one request: (N, W)."""
    parts = []
    for chosen in known.split(512):
        context = build_context(
            rows.seen.flux[chosen], rows.seen.error[chosen], rows.seen.observed[chosen],
            rows.layout, vocabulary=vocabulary,
            scaling=LabelScaling.from_vocabulary(vocabulary, rows.names),
        )  # fmt: skip
        requests = build_requests([name], vocabulary, {})
        encoded = network.encode(context)
        vector = network.decode(encoded, requests, context)[:, 0]
        if network.dense is not None and encoded.dense is not None:
            vector = network.dense(vector, encoded.dense)
        parts.append(vector.float())
    return torch.cat(parts)


def _place(network: SEDModel, vector: Tensor, kind: int) -> tuple[Tensor, NDArray[np.float64]]:
    """Location and log width of a kind's posterior (N,), in scaled units."""
    head = network.head
    parameters = head(vector.unsqueeze(1), torch.tensor([kind]))[:, 0]
    if isinstance(head, MixtureHead):
        log_weight, mean, log_sigma = head.split(parameters)
        weight = log_weight.exp()
        return (weight * mean).sum(-1), (weight * log_sigma).sum(-1).double().numpy()
    if isinstance(head, GaussianHead):
        return parameters[:, 0], 0.5 * parameters[:, 1].double().numpy()
    return parameters[:, 0], parameters[:, 1].double().numpy()


def _nearest(
    network: SEDModel, vocabulary: Vocabulary, rows: OwnRows, known: Tensor, y: NDArray[np.float64]
) -> list[tuple[str, float, Tensor]]:
    """The known kinds whose predictions go most with the labels.

    Their names, rank correlations, and what the head reads when they are asked.
    """
    from scipy.stats import spearmanr

    found = []
    binned = network.redshift_head is not None
    old = [name for name in vocabulary.scalars if name not in rows.names]
    for name in old or [n for n in vocabulary.scalars if not (binned and n == "z")]:
        vector = _decoded(network, vocabulary, rows, known, name)
        location, _ = _place(network, vector, vocabulary.index(name))
        correlation = float(np.nan_to_num(spearmanr(location.numpy(), y).statistic))
        found.append((name, correlation, vector))
    found.sort(key=lambda entry: -abs(entry[1]))
    return [entry for entry in found[:NEAREST] if abs(entry[1]) >= 0.9 * abs(found[0][1])]


def ridge(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float, NDArray[np.float64], float]:
    """Ridge regression with the penalty of the least leave-one-out error.

    Parameters
    ----------
    x, y : ndarray (N, D), (N,)

    Returns
    -------
    weight : ndarray (D,)
    intercept : float
    residual : ndarray (N,)
        Leave-one-out residuals y - y_predicted (Golub, Heath & Wahba 1979, Technometrics 21, 215).
    penalty : float
        In units of the mean squared singular value.
    """
    mean, middle = x.mean(0), float(y.mean())
    u, s, vt = np.linalg.svd(x - mean, full_matrices=False)
    keep = s > 1e-8 * max(float(s[0]), 1e-300)
    u, s, vt = u[:, keep], s[keep], vt[keep]
    projected = u.T @ (y - middle)
    unit = float((s**2).mean())
    tried = []
    for penalty in PENALTIES:
        shrink = s**2 / (s**2 + penalty * unit)
        fitted = u @ (shrink * projected)
        left = np.maximum(1.0 - (u**2) @ shrink - 1.0 / len(y), 1e-9)
        residual = (y - middle - fitted) / left
        # Held within 5: labels of a few rows may be wrong.
        tried.append((float(penalty), residual, np.minimum(np.abs(residual), 5.0)))
    least = min((held for _, _, held in tried), key=lambda held: float(held.mean()))
    # The largest penalty that is as good within half a standard error: few rows choose badly.
    limit = float(least.mean() + 0.5 * least.std(ddof=1) / np.sqrt(len(y)))
    penalty, residual, _ = [entry for entry in tried if entry[2].mean() <= limit][-1]
    shrink = s / (s**2 + penalty * unit)
    weight = vt.T @ (shrink * projected)
    return weight, middle - float(mean @ weight), residual, penalty


def _width(
    residual: NDArray[np.float64], sigma: NDArray[np.float64], width: NDArray[np.float64]
) -> tuple[float, float]:
    """Share of the nearest kind's log width, and what is added, of the greatest likelihood."""
    best = (-np.inf, 0.0, 0.0)
    spread = 1.4826 * np.median(np.abs(residual)) + 1e-6
    for share in SHARES:
        for level in np.log(spread) + np.linspace(-1.5, 1.5, 61):
            log_width = level + share * (width - width.mean())
            variance = np.exp(2.0 * log_width) + sigma**2
            # Student-t of 5 degrees of freedom: a few bad labels do not widen the rest.
            score = -0.5 * np.log(variance) - 3.0 * np.log1p(residual**2 / variance / 5.0)
            if score.mean() > best[0] + 1e-9:
                best = (float(score.mean()), share, float(level))
    return best[1], best[2] - best[1] * float(width.mean())


def _write(
    network: SEDModel,
    kind: int,
    weight: NDArray[np.float64],
    intercept: float,
    share: float,
    level: float,
    width: NDArray[np.float64],
) -> None:
    """Put location and width into the head's rows of a kind."""
    head, linear = network.head, network.head.linear
    location = torch.from_numpy(weight).to(linear.weight)
    w, b = linear.weight[kind], linear.bias[kind]
    if isinstance(head, MixtureHead):
        k = head.components
        # One Gaussian, a little spread so that the components can part.
        w[:, :k], b[:k] = 0.0, 0.0
        w[:, k : 2 * k] = location.unsqueeze(1)
        b[k : 2 * k] = intercept + np.exp(level) * torch.linspace(-0.5, 0.5, k)
        w[:, 2 * k :], b[2 * k :] = 0.0, level + share * float(width.mean())
        return
    double = 2.0 if isinstance(head, GaussianHead) else 1.0
    w[:, 0], b[0] = location, intercept
    w[:, 1] = share * w[:, 1]
    b[1] = share * b[1] + double * level
    if isinstance(head, FlowHead):
        w[:, 2:], b[2:] = 0.0, 0.0
    elif isinstance(head, StudentTHead):
        w[:, 2], b[2] = 0.0, 2.0
    elif not isinstance(head, GaussianHead):
        raise ModelError(f"new kinds: the head {head.form!r} is not known here")


@torch.no_grad()
def widen(network: SEDModel, kind: int, log_factor: float) -> None:
    """Multiply the widths of a kind's posteriors by exp(log_factor), in place."""
    head, bias = network.head, network.head.linear.bias[kind]
    if isinstance(head, MixtureHead):
        bias[2 * head.components :] += log_factor
    else:
        bias[1] += (2.0 if isinstance(head, GaussianHead) else 1.0) * log_factor
