"""What a network achieves on labelled objects: figures before and after a fine-tuning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from jpassed.adaptation.replay import Replay
from jpassed.adaptation.rows import OwnRows
from jpassed.annotation.distributions import distribution_of
from jpassed.evaluation import (
    bias,
    coverage,
    crps,
    log_score,
    mad_scatter,
    outlier_fraction,
    pit,
    sigma_nmad,
)  # fmt: skip
from jpassed.nn.model import SEDModel
from jpassed.posteriors import Distribution, Recalibrated, Recalibration
from jpassed.tokens.build import build_context, build_requests
from jpassed.tokens.scaling import LabelScaling
from jpassed.vocabulary import Vocabulary

__all__ = ["figures_of", "label_figures", "own_rows_of_replay", "posteriors", "posterior_widths"]

AT_ONCE = 1024


@torch.no_grad()
def posteriors(network: SEDModel, vocabulary: Vocabulary, rows: OwnRows, name: str) -> Distribution:
    """Posterior of a label of all objects, given their bands, not recalibrated."""
    scaling = LabelScaling.from_vocabulary(vocabulary, rows.names)
    requests = build_requests([name], vocabulary, {})
    parts = []
    for chosen in torch.arange(len(rows)).split(AT_ONCE):
        context = build_context(
            rows.seen.flux[chosen], rows.seen.error[chosen], rows.seen.observed[chosen],
            rows.layout, vocabulary=vocabulary, scaling=scaling,
        )  # fmt: skip
        prediction = network(context, requests)
        log_scale = context.log_scale.numpy().astype(np.float64)
        parts.append(distribution_of(network, prediction, 0, vocabulary[name], log_scale))
    return type(parts[0]).concatenate(parts) if len(parts) > 1 else parts[0]


def known_labels(rows: OwnRows, name: str) -> tuple[OwnRows, NDArray[np.float64]]:
    """The objects that have a label, and its values."""
    column = rows.names.index(name)
    chosen = rows.seen.label_known[:, column].nonzero()[:, 0].numpy()
    some = rows.rows(chosen)
    return some, some.seen.labels[:, column].double().numpy()


def figures_of(distribution: Distribution, truth: NDArray[np.float64], name: str) -> dict[str, Any]:
    """Figures of the posterior of a label; of redshift those of (z - z_true) / (1 + z_true)."""
    middle = distribution.quantile([0.5])[:, 0]
    found: dict[str, Any] = {"n": len(truth)}
    if name == "z":
        found["bias"] = bias(middle, truth)
        found["scatter"] = sigma_nmad(middle, truth)
        found["outliers"] = outlier_fraction(middle, truth)
    else:
        found["bias"] = float(np.median(middle - truth))
        found["scatter"] = mad_scatter(middle - truth)
    found["coverage_68"] = float(coverage(pit(distribution, truth), 0.68))
    found["log_score"] = float(np.mean(log_score(distribution, truth)))
    found["crps"] = float(np.mean(crps(distribution, truth)))
    return {k: v if isinstance(v, int) else round(float(v), 5) for k, v in found.items()}


def label_figures(
    network: SEDModel,
    vocabulary: Vocabulary,
    rows: OwnRows,
    names: Iterable[str],
    recalibrations: Mapping[str, Recalibration] | None = None,
) -> dict[str, dict[str, Any]]:
    """Figures of several labels of the objects that have them."""
    found = {}
    for name in names:
        some, truth = known_labels(rows, name)
        distribution = posteriors(network, vocabulary, some, name)
        if recalibrations and name in recalibrations:
            distribution = Recalibrated(distribution, recalibrations[name])
        found[name] = figures_of(distribution, truth, name)
    return found


def posterior_widths(
    network: SEDModel, vocabulary: Vocabulary, rows: OwnRows, names: Iterable[str]
) -> NDArray[np.float64]:
    """Half the 16-84 % interval in scaled units (N, L); 0 for labels that are not named."""
    widths = np.zeros((len(rows), len(rows.names)))
    for name in names:
        low, high = posteriors(network, vocabulary, rows, name).quantile([0.16, 0.84]).T
        kind = vocabulary[name]
        widths[:, rows.names.index(name)] = 0.5 * (kind.to_scaled(high) - kind.to_scaled(low))
    return np.nan_to_num(widths)


def own_rows_of_replay(replay: Replay, n: int, seed: int) -> OwnRows:
    """Simulated galaxies that are never trained on, in the survey's own bands, as labelled rows."""
    questioner = replay.questioner
    layout = questioner.layout.with_single(questioner.loose)
    seen = replay.unseen(n, seed)
    return OwnRows(
        seen, np.arange(n), layout.bands, layout, questioner.scaling.names,
        questioner.scaling.names,
    )  # fmt: skip
