"""From the parameters that heads give to distributions in physical units."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from jpassed.exceptions import InputError
from jpassed.nn.flow_head import BOUND, LEAST_BIN, LEAST_SLOPE
from jpassed.nn.heads import LOG_SIGMA_FLOOR, FlowHead, MixtureHead, ScalarHead, StudentTHead
from jpassed.nn.model import Prediction, SEDModel
from jpassed.posteriors import Binned, Distribution, Gaussian, GaussianMixture, Transform
from jpassed.posteriors.bin_shares import BinShares
from jpassed.posteriors.flow import SplineFlow
from jpassed.posteriors.student_t import StudentT
from jpassed.tokens.scaling import FLUX_LOC, FLUX_SOFTENING, FLUX_WIDTH
from jpassed.vocabulary import Kind

__all__ = ["distribution_of", "scaled_distribution", "spline_knots", "transform_of"]


def transform_of(
    kind: Kind, log_scale: NDArray[np.float64]
) -> tuple[Transform, tuple[float, float]]:
    """The transform of a kind's scaled values, and its physical bounds.

    Parameters
    ----------
    kind : Kind
    log_scale : ndarray
        (N,) natural logarithm of each object's flux scale in microjansky; bandfluxes need it.
    """
    if kind.scale == "object":
        softening = FLUX_SOFTENING * np.exp(log_scale)
        return Transform("asinh", FLUX_LOC, FLUX_WIDTH, softening), (-np.inf, np.inf)
    return Transform.of(kind), (kind.lower, kind.upper)


def distribution_of(
    network: SEDModel,
    prediction: Prediction,
    request: int,
    kind: Kind,
    log_scale: NDArray[np.float64],
) -> Distribution:
    """Distribution of one request in physical units.

    Parameters
    ----------
    network : SEDModel
        Whose heads gave the parameters.
    prediction : Prediction
    request : int
        Its number among ``prediction.names``.
    kind : Kind
        Its kind in the vocabulary.
    log_scale : ndarray
        (N,), see `transform_of`.

    Raises
    ------
    InputError
        If the model has bins of redshift, and the prediction has none.
    """
    transform, bounds = transform_of(kind, log_scale)
    if prediction.names[request] == "z" and network.redshift_head is not None:
        head, logits = network.redshift_head, prediction.redshift_logits
        if logits is None:
            raise InputError("the model gave no redshift")
        edges = (head.edges.double().cpu().numpy() - head.loc) / head.scale
        shares = BinShares(logits.float().cpu().numpy(), logarithms=True)
        return Binned(edges, shares, transform, *bounds, interpolation="cubic")
    return scaled_distribution(network.head, prediction.parameters[:, request], transform, bounds)


def scaled_distribution(
    head: ScalarHead,
    parameters: Tensor,
    transform: Transform | None = None,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Distribution:
    """The distribution of a scalar head's parameters.

    Parameters
    ----------
    head : GaussianHead, StudentTHead, MixtureHead or FlowHead
    parameters : Tensor
        (N, P) as the head gives them for one request; computed in double precision.
    transform : Transform, optional
        From physical to scaled values; identity by default.
    bounds : tuple of float
        Physical bounds.

    Returns
    -------
    Distribution
        For a head of another package, what its own ``distribution`` makes of the same three.
    """
    parameters = parameters.double()
    added: Callable[..., Distribution] | None = getattr(head, "distribution", None)
    if added is not None:
        return added(parameters, Transform() if transform is None else transform, bounds)

    def arrays(*tensors: Tensor) -> list[NDArray[np.float64]]:
        return [t.cpu().numpy() for t in tensors]

    if isinstance(head, MixtureHead):
        log_weight, mean, log_sigma = arrays(*head.split(parameters))
        return GaussianMixture(np.exp(log_weight), mean, np.exp(log_sigma), transform, *bounds)
    if isinstance(head, StudentTHead):
        place, log_width, dof = arrays(*head.split(parameters))
        return StudentT(place, np.exp(log_width), dof, transform, *bounds)
    if isinstance(head, FlowHead):
        columns = np.ascontiguousarray(parameters.cpu().numpy().T)
        width = np.exp(np.maximum(columns[1], LOG_SIGMA_FLOOR))
        return SplineFlow(columns[0], width, *spline_knots(columns[2:]), transform, *bounds)
    mean, log_variance = arrays(*parameters.unbind(-1))
    sigma = np.exp(0.5 * np.maximum(log_variance, 2 * LOG_SIGMA_FLOOR))
    return Gaussian(mean, sigma, transform, *bounds)


def spline_knots(
    raw: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """What `jpassed.nn.flow_head.make_knots` says, for many objects in a fifth of the time.

    Parameters
    ----------
    raw : ndarray (3 K - 1, N)
        Free numbers of the splines of N objects.

    Returns
    -------
    tuple of ndarray (N, K + 1)
        Abscissae, ordinates and slopes at the knots; column by column in memory.
    """
    bins, n = (len(raw) + 1) // 3, raw.shape[1]
    ends = []
    for part in (raw[:bins], raw[bins : 2 * bins]):
        share = np.exp(part - part.max(axis=0))
        # Row by row: `sum` adds in another order where there is one object alone.
        total = np.zeros(n)
        for row in share:
            total += row
        share *= (1.0 - LEAST_BIN * bins) / total
        share += LEAST_BIN
        knots = np.empty((bins + 1, n))
        np.cumsum(share[:-1], axis=0, out=knots[1:-1])
        knots[1:-1] *= 2.0 * BOUND
        knots[1:-1] -= BOUND
        knots[0], knots[-1] = -BOUND, BOUND
        ends.append(knots.T)
    inner = raw[2 * bins :] + math.log(math.e - 1.0)
    slope = np.ones((bins + 1, n))
    slope[1:-1] = LEAST_SLOPE + np.maximum(inner, 0.0) + np.log1p(np.exp(-np.abs(inner)))
    return ends[0], ends[1], slope.T
