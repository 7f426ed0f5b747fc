"""Labels that a catalogue gives and a prediction should not lean on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jpassed.surveys import LabelColumn
from jpassed.surveys.columns import numbers_and_mask
from jpassed.surveys.labels import SENTINELS
from jpassed.vocabulary import Vocabulary

__all__ = ["doubtful_labels"]


def doubtful_labels(
    table: Any, labels: Mapping[str, LabelColumn], vocabulary: Vocabulary
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Rows with a label that has a value but was left out, and rows with one out of range."""
    bad, outside = np.zeros((2, len(table)), dtype=bool)
    for name, column in labels.items():
        raw, missing = numbers_and_mask(table[column.column], column.column)
        given = ~missing.reshape(len(table), -1).all(axis=1)
        given &= ~np.isin(raw, SENTINELS).reshape(len(table), -1).all(axis=1)
        bad |= given & ~column.observed
        kind = vocabulary[name]
        beyond = (column.value < kind.lower) | (column.value > kind.upper)
        outside |= column.observed & beyond
    return bad, outside
