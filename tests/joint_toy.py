"""A model whose joint posterior is a known Gaussian, for tests of joint draws."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from jpassed.annotation.inference import Predictor
from jpassed.annotation.joint import JointSampler
from jpassed.nn import Observed
from jpassed.posteriors import Gaussian, Transform
from jpassed.surveys import LabelColumn, Photometry
from jpassed.tokens import LabelScaling
from jpassed.vocabulary import load_vocabulary

VOCABULARY = load_vocabulary()
NAMES = ("z", "logmstar", "ur_rest", "logage_l")
MEAN = np.array([-0.2, 0.3, 0.1, -0.1])
SIGMA = np.array([0.2, 0.5, 0.4, 0.3])
CORRELATION = np.array(
    [[1.0, 0.8, 0.3, 0.0], [0.8, 1.0, 0.5, -0.4], [0.3, 0.5, 1.0, 0.2], [0.0, -0.4, 0.2, 1.0]]
)
COVARIANCE = CORRELATION * SIGMA * SIGMA[:, None]
"""Of the scaled values, far from the bounds of the quantities."""


def conditional(name, given):
    """Mean and standard deviation of one scaled value: {name: (value, error)} -> two numbers."""
    i = NAMES.index(name)
    at = [NAMES.index(q) for q in given]
    if not at:
        return MEAN[i], SIGMA[i]
    noise = np.diag([given[q][1] ** 2 for q in given])
    gain = np.linalg.solve(COVARIANCE[np.ix_(at, at)] + noise, COVARIANCE[at, i])
    off = sum(
        gain[k] * (given[q][0] - MEAN[j]) for k, (q, j) in enumerate(zip(given, at, strict=True))
    )
    return MEAN[i] + off, np.sqrt(COVARIANCE[i, i] - gain @ COVARIANCE[at, i])


class ToyNetwork:
    """Hands the context on; counts how many contexts it was asked about."""

    config = SimpleNamespace(patch_bands=())

    def __init__(self):
        self.contexts = []

    def embed_observed(self, context):
        n = len(context)
        return Observed(torch.zeros(n, 1, 2), torch.ones(n, 1, dtype=torch.bool), None)

    def __call__(self, context, requests, observed):
        self.contexts.append(len(context))
        return SimpleNamespace(context=context, names=requests.names)


class ToyPredictor:
    """Answers with the conditional distributions of the Gaussian."""

    def __init__(self, most_labels=8):
        self.model = SimpleNamespace(
            card={"training": {"mix": {"most_labels": most_labels}}}, name="toy"
        )
        self.network = ToyNetwork()
        self.vocabulary, self.device, self.passbands = VOCABULARY, torch.device("cpu"), {}
        self.scaling = LabelScaling.from_vocabulary(VOCABULARY, VOCABULARY.scalars)

    context = Predictor.context

    def embed(self, context):
        return self.network.embed_observed(context)

    def ask(self, context, requests, observed):
        return SimpleNamespace(prediction=self.network(context, requests, observed))

    def distributions(self, prediction, log_scale, *, recalibrate=True):
        labels = prediction.context.labels
        (name,) = prediction.names
        value, error, seen = (
            getattr(labels, item)[..., 0].numpy() for item in ("value", "error", "observed")
        )
        kinds = np.where(seen, labels.kind.numpy(), -1)
        mean, sigma = np.empty((2, len(prediction.context)))
        # Rows that know the same quantities with the same errors are answered together.
        keys = np.concatenate((kinds, np.where(seen, error, 0.0)), axis=1)
        _, group = np.unique(keys, axis=0, return_inverse=True)
        for one in range(group.max() + 1 if len(group) else 0):
            rows = np.flatnonzero(group.ravel() == one)
            at = [t for t in range(kinds.shape[1]) if kinds[rows[0], t] >= 0]
            given = {
                VOCABULARY.names[kinds[rows[0], t]]: (value[rows, t], error[rows[0], t]) for t in at
            }
            mean[rows], sigma[rows] = conditional(name, given)
        kind = VOCABULARY[name]
        return {name: Gaussian(mean, sigma, Transform.of(kind), kind.lower, kind.upper)}


def toy_sampler(objects=3, labels=None, **options):
    """A sampler of objects without bands."""
    empty = np.zeros((objects, 0))
    none = np.zeros(0)
    photometry = Photometry(
        (), none, none, empty, empty, empty.astype(bool), np.zeros(objects, dtype=bool)
    )
    most = options.pop("most_labels", 8)
    return JointSampler(ToyPredictor(most), photometry, labels, **options)


def label(value, error=0.0, observed=None):
    """A label of the context, (N,)."""
    value = np.asarray(value, dtype=float)
    seen = np.ones(len(value), bool) if observed is None else np.asarray(observed)
    return LabelColumn(value, np.broadcast_to(np.asarray(error, float), value.shape), seen)


def scaled(draws, names=NAMES):
    """Scaled values of draws, (N n, Q)."""
    return np.stack([VOCABULARY[q].to_scaled(draws[q]).ravel() for q in names], -1)
