"""From the parameters that heads give to distributions in physical units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jpassed.exceptions import InputError
from jpassed.nn.heads import LOG_SIGMA_FLOOR, MixtureHead
from jpassed.nn.model import Prediction, SEDModel
from jpassed.posteriors import Binned, Distribution, Gaussian, GaussianMixture, Transform
from jpassed.tokens.scaling import FLUX_LOC, FLUX_SOFTENING, FLUX_WIDTH
from jpassed.vocabulary import Kind

__all__ = ["distribution_of", "transform_of"]


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
        probability = logits.double().softmax(-1).cpu().numpy()
        return Binned(edges, probability, transform, *bounds)
    parameters = prediction.parameters[:, request].double()
    if isinstance(network.head, MixtureHead):
        log_weight, mean, log_sigma = (t.cpu().numpy() for t in MixtureHead.split(parameters))
        return GaussianMixture(np.exp(log_weight), mean, np.exp(log_sigma), transform, *bounds)
    mean, log_variance = (t.cpu().numpy() for t in parameters.unbind(-1))
    sigma = np.exp(0.5 * np.maximum(log_variance, 2 * LOG_SIGMA_FLOOR))
    return Gaussian(mean, sigma, transform, *bounds)
