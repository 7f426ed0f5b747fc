"""Copies of objects while joint draws are made: what each knows, and which ask the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jpassed.posteriors import Distribution
from jpassed.posteriors.conditioning import draw_given
from jpassed.surveys import LabelColumn

__all__ = ["Copies", "log_density", "measured_draws", "questions", "redshift_of"]

FloatArray = NDArray[np.float64]


@dataclass
class Copies:
    """Some objects, each n times: what is known of each copy so far.

    Attributes
    ----------
    value, error : ndarray (M, L)
        Labels of the context, physical values; drawn ones take the place of the user's.
    given : ndarray (M, L) of bool
    own_value, own_error, own_given : ndarray (M, L)
        The user's labels as they were.
    """

    value: NDArray[np.float32]
    error: NDArray[np.float32]
    given: NDArray[np.bool_]
    own_value: NDArray[np.float32]
    own_error: NDArray[np.float32]
    own_given: NDArray[np.bool_]

    def exact(self, column: int | None) -> FloatArray | None:
        """The user's own values of a label that is known without error of every object."""
        if column is None or not self.own_given[:, column].all():
            return None
        if (self.own_error[:, column] > 0).any():
            return None
        return self.own_value[:, column].astype(np.float64)

    @classmethod
    def of(
        cls,
        labels: Mapping[str, LabelColumn],
        columns: Mapping[str, int],
        rows: NDArray[np.intp],
        n: int,
    ) -> Copies:
        """n copies of some rows with the user's labels; `columns` places each quantity."""
        shape = (len(rows), len(columns))
        value, error = np.zeros((2, *shape), dtype=np.float32)
        given = np.zeros(shape, dtype=bool)
        for name, label in labels.items():
            i = columns[name]
            given[:, i] = label.observed[rows]
            value[:, i] = np.where(given[:, i], label.value[rows], 0.0)
            error[:, i] = np.where(given[:, i], np.nan_to_num(label.error[rows]), 0.0)
        many = [np.repeat(a, n, axis=0) for a in (value, error, given)]
        return cls(*many, *(a.copy() for a in many))


def questions(objects: int, n: int, distinct: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Copies (of objects x n) that ask, and whose answer each copy takes."""
    copies = np.arange(objects)[:, None] * n + np.arange(distinct)
    spread = np.arange(objects)[:, None] * distinct + np.arange(n) % distinct
    return copies.ravel(), spread.ravel()


def redshift_of(values: Mapping[str, FloatArray], state: Copies, column: int) -> FloatArray:
    """Redshift of every copy: drawn, else known, else NaN."""
    if "z" in values:
        return values["z"]
    return np.where(state.given[:, column], state.value[:, column], np.nan)


def log_density(
    answer: Distribution, x: FloatArray, state: Copies, column: int | None
) -> FloatArray:
    """Log density of the draws of every copy; NaN where a measurement took part."""
    part = answer.logpdf(x.reshape(len(answer), -1)).ravel()
    part = np.where(np.isnan(x), 0.0, part)
    if column is None:
        return part
    known = state.own_given[:, column]
    exact = known & (state.own_error[:, column] <= 0)
    return np.where(exact, 0.0, np.where(known, np.nan, part))


def measured_draws(
    answer: Distribution,
    x: FloatArray,
    uniform: FloatArray,
    state: Copies,
    column: int,
    at: NDArray[np.intp],
) -> FloatArray:
    """Draws (M, n) that respect the context's own value of the quantity, where there is one."""
    known, value, error = (
        a[at, column] for a in (state.own_given, state.own_value, state.own_error)
    )
    x = np.where((known & (error <= 0))[:, None], value[:, None].astype(np.float64), x)
    blurred = np.flatnonzero(known & (error > 0))
    if len(blurred):
        x[blurred] = draw_given(answer[blurred], value[blurred], error[blurred], uniform[blurred])
    return x
