"""Which quantities make sense for which object, and which passbands for which model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jpassed.filters import known_bands
from jpassed.filters.known import set_of_band
from jpassed.posteriors import Posterior
from jpassed.surveys import LabelColumn
from jpassed.vocabulary.lines import LINE_LIMITS

if TYPE_CHECKING:
    from jpassed.annotation.task import Task

__all__ = [
    "OBSERVED_RANGE",
    "line_out_of_range",
    "redshifts",
    "trained_bands",
    "trained_range",
    "without_result",
]

OBSERVED_RANGE = (3500.0, 9600.0)
"""Observed wavelengths (Å) in which lines were targets of the training."""

MARGIN = 1.1
"""A passband may lie this factor beyond the wavelengths of the training."""


def redshifts(
    posterior: Posterior,
    labels: Mapping[str, LabelColumn],
    rows: slice,
    median: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """The redshift of each object: the known one, else the posterior's median, else NaN; (N,).

    `median` (N,) is that of the posterior, where it is known already.
    """
    if median is None:
        median = posterior.median("z") if "z" in posterior else np.full(len(posterior), np.nan)
    z = median
    if "z" in labels:
        known = labels["z"]
        z = np.where(known.observed[rows], known.value[rows], z)
    return z


def line_out_of_range(name: str, z: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Objects whose line `name` lies outside the observed bands, shape (N,).

    False for other quantities, and where the redshift is NaN.
    """
    if name not in LINE_LIMITS:
        return np.zeros(len(z), dtype=bool)
    first, last = LINE_LIMITS[name]
    with np.errstate(invalid="ignore"):
        return (first * (1.0 + z) < OBSERVED_RANGE[0]) | (last * (1.0 + z) > OBSERVED_RANGE[1])


def without_result(
    task: Task, names: Sequence[str], rows: slice, z: NDArray[np.float64]
) -> dict[str, NDArray[np.bool_]]:
    """Objects whose column of a quantity is masked, by quantity; their redshifts are z (N,).

    Neither a band nor a label other than the quantity itself is known, or its line is out of
    range.
    """
    blind = ~task.photometry.observed[rows].any(axis=1)
    n_labels = task.n_labels(rows)
    found = {}
    for name in names:
        own = task.labels.get(name)
        others = n_labels if own is None else n_labels - own.observed[rows]
        found[name] = (blind & (others == 0)) | line_out_of_range(name, z)
    return found


def trained_bands(card: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the passbands that a model was trained on, from its card; empty if it is silent.

    Those that it was fine-tuned to are among them.
    """
    try:
        entries = [str(entry) for entry in card["training"]["simulation"]["bands"]]
    except (KeyError, TypeError):
        return ()
    groups = {name: set_of_band(name) for name in known_bands()}
    names: list[str] = []
    for entry in entries:
        group, _, chosen = entry.partition(":")
        members = [name for name, own in groups.items() if own == group.strip()]
        names += chosen.split() or members
    for record in card.get("finetuning") or ():
        names += record["bands"] if record.get("accepted") else []
    return tuple(dict.fromkeys(names))


def trained_range(card: Mapping[str, Any]) -> tuple[float, float] | None:
    """Wavelengths (Å) of the passbands that a model can place, None if its card is silent."""
    known = known_bands()
    pivots = [known[name][0] for name in trained_bands(card) if name in known]
    return (min(pivots) / MARGIN, max(pivots) * MARGIN) if pivots else None
