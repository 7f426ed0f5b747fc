"""Known values that predictions are compared with, and which of them can be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jpassed.exceptions import InputError
from jpassed.surveys import read_labels
from jpassed.vocabulary import Vocabulary, load_vocabulary

__all__ = ["Truth", "read_truth"]


@dataclass(frozen=True)
class Truth:
    """The known values of one quantity of N objects.

    Attributes
    ----------
    quantity, column : str
    error_column : str or None
    value, error : ndarray (N,)
        In the vocabulary's unit; the value NaN where `use` is false, the error 0 where none is
        given.
    missing, outside : ndarray (N,) of bool
        Rows without a usable value, and rows whose value lies outside the range of the quantity
        (and so of the prior of a model): a posterior cannot reach it.
    """

    quantity: str
    column: str
    error_column: str | None
    value: NDArray[np.float64]
    error: NDArray[np.float64]
    missing: NDArray[np.bool_]
    outside: NDArray[np.bool_]

    @property
    def use(self) -> NDArray[np.bool_]:
        """Rows whose value can be compared with a prediction, (N,)."""
        return ~(self.missing | self.outside)

    @property
    def has_errors(self) -> bool:
        """Whether any row has an error."""
        return bool(np.any(self.error[self.use] > 0))


def read_truth(
    table: Any, truth: Mapping[str, str], vocabulary: Vocabulary | None = None
) -> dict[str, Truth]:
    """Read known values from columns that the user names.

    Parameters
    ----------
    table : astropy.table.Table
        N rows.
    truth : dict
        Quantity of the vocabulary to column, ``{"z": "z_spec"}``, as in the context of
        `jpassed.annotate`; the error column may follow after a comma.
    vocabulary : Vocabulary, optional
        Kinds that there are; the common ones by default.

    Returns
    -------
    dict
        Quantity to `Truth`.

    Raises
    ------
    InputError
        If nothing is named, or no row has a usable value.
    UnknownNameError
        For an unknown quantity or column.
    """
    if not isinstance(truth, Mapping) or not truth:
        raise InputError(f"truth: expected {{'z': 'z_spec'}} or the like, got {truth!r}")
    words = load_vocabulary() if vocabulary is None else vocabulary
    found = {}
    for name, label in read_labels(table, truth, words, what="truth").items():
        kind = words[name]
        outside = label.observed & ((label.value < kind.lower) | (label.value > kind.upper))
        use = label.observed & ~outside
        if not use.any():
            raise InputError(
                f"truth of {name!r}: column {label.column!r} has no usable value in {len(use)} "
                f"rows ({int((~label.observed).sum())} missing, {int(outside.sum())} outside "
                f"{kind.lower:g} to {kind.upper:g})"
            )
        found[name] = Truth(
            name,
            label.column,
            label.error_column,
            np.where(use, label.value, np.nan),
            np.where(use, label.error, 0.0),
            ~label.observed,
            outside,
        )
    return found
