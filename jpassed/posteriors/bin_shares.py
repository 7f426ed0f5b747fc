"""Probabilities of many bins, and their sums, without a pass over all bins for each question.

A redshift has some 1,600 bins: more than fits in a processor's cache for a thousand objects.
Sums of every 32 bins are kept; what lies between them is summed where it is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jpassed.exceptions import InputError
from jpassed.posteriors.transforms import FloatArray

__all__ = ["BinShares"]

IndexArray = NDArray[np.intp]

#: Bins of one sum.
_GROUP = 32
#: Objects whose bins are in the processor's cache together.
_ROWS = 32
#: Bins that are summed together where a value or a level falls among them.
_AT_ONCE = 65_536


class BinShares:
    """Probabilities of M bins for each of N objects.

    Parameters
    ----------
    values : array (N, M)
        Probabilities, or their logarithms; normalised here, and not copied. Objects with NaN
        give NaN.
    logarithms : bool
        Whether `values` are natural logarithms. They may be in single precision, which halves
        the memory; all sums are in double precision.

    Raises
    ------
    InputError
        Another shape, negative probabilities, or those of an object all zero.
    """

    def __init__(self, values: ArrayLike, logarithms: bool = False) -> None:
        given = np.asarray(values)
        kept = given if logarithms and given.dtype == np.float32 else given.astype(np.float64)
        if kept.ndim != 2 or kept.shape[1] == 0:
            raise InputError(f"probabilities must have shape (objects, K), got {kept.shape}")
        self.logarithms = logarithms
        self._values = kept
        self._peak = np.zeros((len(kept), 1))
        self._total = np.ones((len(kept), 1))
        self._sums: FloatArray | None = None
        if logarithms:
            return
        if np.any(kept < 0):
            raise InputError("probabilities must not be negative")
        total = kept.sum(axis=1, keepdims=True)
        if np.any(total == 0):
            raise InputError("the probabilities of an object are all zero")
        kept /= total

    @property
    def shape(self) -> tuple[int, int]:
        """(N, M)."""
        n, m = self._values.shape
        return n, m

    def all(self) -> FloatArray:
        """Probabilities (N, M); a new array if logarithms are kept."""
        if not self.logarithms:
            return self._values
        self._cumulative()
        out: FloatArray = np.exp(self._values - self._peak)
        out /= self._total
        return out

    def of(self, bins: IndexArray) -> FloatArray:
        """Probabilities of bins (N, Q)."""
        self._cumulative()
        return self._read(bins, slice(None))

    def below(self, bins: IndexArray) -> FloatArray:
        """Probability below the lower edge of bins (N, Q)."""
        out = np.empty(bins.shape)
        if bins.shape[1] > _GROUP:
            for rows in self._few():
                out[rows] = np.take_along_axis(self._every_sum(rows), bins[rows], axis=1)
            return out
        for rows in self._parts(bins.shape[1]):
            group = bins[rows] // _GROUP
            running = self._running(group, rows)
            place = (bins[rows] - group * _GROUP)[..., None]
            out[rows] = np.take_along_axis(running, place, axis=-1)[..., 0]
        return out

    def find(self, levels: FloatArray) -> tuple[IndexArray, FloatArray]:
        """The bin at whose upper edge the probability reaches a level (N, Q), and that below it."""
        sums, last = self._cumulative(), self.shape[1] - 1
        bins, below = np.empty(levels.shape, dtype=np.intp), np.empty(levels.shape)
        if levels.shape[1] > _GROUP:
            for rows in self._few():
                running = self._every_sum(rows)
                bins[rows] = np.minimum(_count_below(running[:, 1:], levels[rows]), last)
                below[rows] = np.take_along_axis(running, bins[rows], axis=1)
            return bins, below
        for rows in self._parts(levels.shape[1]):
            level = levels[rows]
            group = np.minimum(_count_below(sums[rows, 1:], level), sums.shape[1] - 2)
            running = self._running(group, rows)
            own = np.minimum(group * _GROUP + _GROUP, last + 1) - group * _GROUP - 1
            place = np.minimum((running[..., 1:] < level[..., None]).sum(axis=-1), own)
            bins[rows] = group * _GROUP + place
            below[rows] = np.take_along_axis(running, place[..., None], axis=-1)[..., 0]
        return bins, below

    def take(self, rows: Any) -> Self:
        """Those of some objects."""
        return type(self)(self._values[rows], self.logarithms)

    @classmethod
    def concatenate(cls, parts: Sequence[BinShares]) -> Self:
        """Those of several groups of objects."""
        logarithms = all(part.logarithms for part in parts)
        return cls(
            np.concatenate([part._values if logarithms else part.all() for part in parts]),
            logarithms,
        )

    def _few(self) -> list[slice]:
        n = self.shape[0]
        return [slice(start, min(start + _ROWS, n)) for start in range(0, n, _ROWS)]

    def _every_sum(self, rows: slice) -> FloatArray:
        """Probability below every edge (n, M + 1) of a few objects: pays for many questions."""
        n, m = rows.stop - rows.start, self.shape[1]
        running = np.zeros((n, m + 1))
        every = np.broadcast_to(np.arange(m), (n, m))
        np.cumsum(self._read(every, rows), axis=1, out=running[:, 1:])
        running /= running[:, -1:]
        return running

    def _parts(self, columns: int) -> list[slice]:
        n = self.shape[0]
        step = max(1, _AT_ONCE // (_GROUP * max(1, columns)))
        return [slice(start, start + step) for start in range(0, n, step)]

    def _read(self, bins: IndexArray, rows: slice) -> FloatArray:
        """Probabilities of bins (n, ...) of some objects."""
        values, shape = self._values[rows], (-1,) + (1,) * (bins.ndim - 1)
        start = np.arange(0, values.size, values.shape[1]).reshape(shape)
        found = np.ravel(values).take(bins + start)
        if not self.logarithms:
            return found
        own = np.exp(found - self._peak[rows].reshape(shape))
        own /= self._total[rows].reshape(shape)
        return np.asarray(own)

    def _running(self, group: IndexArray, rows: slice) -> FloatArray:
        """Probability below each bin of a group (n, Q), and below its end: (n, Q, 33)."""
        last = self.shape[1] - 1
        bins = group[..., None] * _GROUP + np.arange(_GROUP)
        running = np.empty((*group.shape, _GROUP + 1))
        running[..., 0] = np.take_along_axis(self._cumulative()[rows], group, axis=1)
        running[..., 1:] = self._read(np.minimum(bins, last), rows)
        return np.cumsum(running, axis=-1, out=running)

    def _cumulative(self) -> FloatArray:
        """Probability below every 32nd edge, (N, groups + 1), ending at exactly 1."""
        if self._sums is None:
            n, m = self.shape
            groups = -(-m // _GROUP)
            sums = np.zeros((n, groups + 1))
            padded = np.zeros((min(_ROWS, n), groups * _GROUP))
            for rows in self._few():
                own = padded[: rows.stop - rows.start]
                bins = own[:, :m]
                np.copyto(bins, self._values[rows])
                if self.logarithms:
                    self._peak[rows] = bins.max(axis=1, keepdims=True)
                    np.subtract(bins, self._peak[rows], out=bins)
                    np.exp(bins, out=bins)
                part = np.einsum("rgb->rg", own.reshape(len(own), groups, _GROUP))
                np.cumsum(part, axis=1, out=sums[rows, 1:])
            if self.logarithms:
                self._total = sums[:, -1:].copy()
            sums /= sums[:, -1:]
            self._sums = sums
        return self._sums


def _count_below(increasing: FloatArray, level: FloatArray) -> IndexArray:
    """How many of the increasing numbers of each row (n, K) are below levels (n, Q)."""
    n, k = increasing.shape
    flat = np.ravel(increasing)
    start = np.arange(0, n * k, k)[:, None] - 1
    count = np.zeros(level.shape, dtype=np.intp)
    step = 1 << (k.bit_length() - 1)
    while step:
        more = count + step
        fits = more <= k
        fits &= flat.take(start + np.minimum(more, k)) < level
        count[fits] += step
        step >>= 1
    return count
