"""The user's own objects: photometry and labels as a training sees them, split for judging."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from jpassed.exceptions import InputError
from jpassed.tokens.build import BandLayout
from jpassed.tokens.scaling import LabelScaling
from jpassed.training.config import MixConfig
from jpassed.training.sources import Observation
from jpassed.training.steps import Question, Questioner
from jpassed.vocabulary import Vocabulary

if TYPE_CHECKING:
    from jpassed.annotation.task import Task
    from jpassed.surveys import LabelColumn, Photometry

__all__ = ["LEAST_NEW", "LEAST_ROWS", "OwnRows", "own_rows", "split_rows", "take"]

logger = logging.getLogger(__name__)

LEAST_ROWS = 50
"""Fewest objects to adapt to."""

LEAST_NEW = 100
"""Fewest objects with a label that the model never saw."""

OWN_MIX = MixConfig(
    full=0.5, partial=0.5, surveys=0.0, joined=0.0, labels=0.2, only_labels=0.0,
    most_labels=2, noisy=0.0, prior="balanced",
)  # fmt: skip
"""Half of the steps show the user's rows as they are, half hide bands of them."""


@dataclass(frozen=True)
class OwnRows:
    """Objects of the user's table that can teach something.

    Attributes
    ----------
    seen : Observation
        N objects; columns are `bands` and `names`.
    index : ndarray (N,)
        Their rows in the table.
    bands : tuple of str
    layout : BandLayout
    names : tuple of str
        Label columns: redshift, then the other quantities that some object has.
    labelled : tuple of str
        Those of them that some object has.
    """

    seen: Observation
    index: NDArray[np.int64]
    bands: tuple[str, ...]
    layout: BandLayout
    names: tuple[str, ...]
    labelled: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.index)

    def rows(self, chosen: NDArray[np.int64]) -> OwnRows:
        """Some of the objects."""
        return OwnRows(
            take(self.seen, torch.from_numpy(chosen)), self.index[chosen], self.bands,
            self.layout, self.names, self.labelled,
        )  # fmt: skip

    def questioner(self, vocabulary: Vocabulary) -> Questioner:
        """What draws questions about them, with the tokens of the training."""
        scaling = LabelScaling.from_vocabulary(vocabulary, self.names)
        columns = range(len(self.bands))
        return Questioner(self.layout, columns, [], vocabulary, scaling, OWN_MIX)

    def ask(
        self, n: int, questioner: Questioner, generator: torch.Generator
    ) -> tuple[Question, torch.Tensor]:
        """A question about n of the objects, drawn with replacement, and which they are.

        Where some have labels and some have none, half of each are drawn.
        """
        labelled = self.seen.label_known.any(1)
        groups = [g for g in (labelled.nonzero()[:, 0], (~labelled).nonzero()[:, 0]) if len(g)]
        parts = []
        for i, group in enumerate(groups):
            count = n // len(groups) + (i < n % len(groups))
            parts.append(group[torch.randint(0, len(group), (count,), generator=generator)])
        rows = torch.cat(parts)
        return questioner.ask(take(self.seen, rows), generator), rows


def take(seen: Observation, rows: torch.Tensor) -> Observation:
    """Some of the objects of an observation."""
    return Observation(*(getattr(seen, f.name)[rows] for f in fields(Observation)))


def own_rows(task: Task, vocabulary: Vocabulary, new: Sequence[str] = ()) -> OwnRows:
    """The usable objects of a table that was read for an annotation.

    Raises
    ------
    InputError
        If there are fewer than `LEAST_ROWS`, or fewer with one of the labels; of `new` kinds
        fewer than `LEAST_NEW`.
    """
    photometry = task.photometry
    labels = {name: _inside(column, name, vocabulary) for name, column in task.labels.items()}
    names = ("z", *(name for name in labels if name != "z"))
    usable = photometry.observed.any(axis=1) & ~photometry.bad_rows
    index = np.flatnonzero(usable)
    if len(index) < LEAST_ROWS:
        raise InputError(
            f"expected at least {LEAST_ROWS} rows with bandfluxes to adapt to, got {len(index)} "
            f"of {len(photometry)}"
        )
    for name, column in labels.items():
        count = int(column.observed[index].sum())
        least = LEAST_NEW if name in new else LEAST_ROWS
        if count < least:
            raise InputError(
                f"label {name!r}: expected at least {least} rows with bandfluxes and a value "
                f"in column {column.column!r} within its range, got {count}; leave the label out, "
                "or add rows"
            )
    seen = _observation(photometry, labels, names, index)
    layout = BandLayout.make(
        photometry.bands, photometry.pivot, photometry.width,
        task.model.network.config.patch_bands,
    )  # fmt: skip
    return OwnRows(seen, index, tuple(photometry.bands), layout, names, tuple(labels))


def _inside(column: LabelColumn, name: str, vocabulary: Vocabulary) -> LabelColumn:
    """A label column without values that its kind cannot have."""
    kind = vocabulary[name]
    outside = column.observed & ((column.value < kind.lower) | (column.value > kind.upper))
    if outside.any():
        logger.warning(
            "%s: %d labels outside %g to %g are not used", name, outside.sum(), kind.lower,
            kind.upper,
        )  # fmt: skip
    return replace(column, observed=column.observed & ~outside)


def _observation(
    photometry: Photometry,
    labels: Mapping[str, LabelColumn],
    names: tuple[str, ...],
    index: NDArray[np.int64],
) -> Observation:
    def tensor(array: Any, kind: Any = np.float32) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=kind))

    n = len(index)
    value, error = np.zeros((2, n, len(names)))
    known = np.zeros((n, len(names)), dtype=bool)
    for name, column in labels.items():
        i = names.index(name)
        known[:, i] = column.observed[index]
        value[:, i] = np.where(known[:, i], column.value[index], 0.0)
        error[:, i] = np.where(known[:, i], np.nan_to_num(column.error[index]), 0.0)
    observed = tensor(photometry.observed[index], bool)
    flux = torch.where(observed, tensor(photometry.flux[index]), 0.0)
    sigma = torch.where(observed, tensor(photometry.error[index]), 1.0)
    return Observation(
        flux, sigma, observed, flux, sigma, observed,
        tensor(value), tensor(error), tensor(known, bool),
        torch.ones(n), torch.ones(n), torch.zeros(n, dtype=torch.bool),
    )  # fmt: skip


def split_rows(rows: OwnRows, seed: int) -> tuple[OwnRows, OwnRows]:
    """Objects to learn from and objects to judge by: functions of the seed alone.

    Three of ten are held out, at most 500; labelled and unlabelled ones in the same share.
    """
    rng = np.random.default_rng([seed, 5])
    labelled = rows.seen.label_known.any(1).numpy()
    kept, held = [], []
    for group in (np.flatnonzero(labelled), np.flatnonzero(~labelled)):
        order = rng.permutation(group)
        count = min(round(0.3 * len(group)), 500)
        held.append(order[:count])
        kept.append(order[count:])
    return rows.rows(np.sort(np.concatenate(kept))), rows.rows(np.sort(np.concatenate(held)))
