"""A few numbers that tell rows of a table again: which were a model's to learn from."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["LARGEST_SKETCH", "row_sketch", "share_of_rows"]

LARGEST_SKETCH = 64
"""Rows that are kept of any number of them: a share is told to 6 %."""


def row_sketch(
    value: ArrayLike, flux: ArrayLike, observed: ArrayLike, size: int = LARGEST_SKETCH
) -> list[str]:
    """The smallest hashes of the rows (Broder 1997, SEQUENCES '97, 21), in hexadecimal.

    A row is its known value and its largest bandflux, in single precision: other columns and
    another order of rows change nothing, zero points or another table format may.

    Parameters
    ----------
    value : array (N,)
        Known value; NaN where there is none, which is no row.
    flux, observed : array (N, B)
        Bandfluxes, and which there are.
    size : int
        How many are kept at most.
    """
    return [f"{number:016x}" for number in np.unique(_hashes(value, flux, observed))[:size]]


def share_of_rows(
    sketch: Collection[str], value: ArrayLike, flux: ArrayLike, observed: ArrayLike
) -> float:
    """Share of the rows of a sketch that are among these rows; 0 for an empty sketch."""
    own = {f"{number:016x}" for number in _hashes(value, flux, observed)}
    return sum(entry in own for entry in sketch) / len(sketch) if sketch else 0.0


def _hashes(value: ArrayLike, flux: ArrayLike, observed: ArrayLike) -> NDArray[np.uint64]:
    known = np.asarray(value, dtype=np.float64).astype(np.float32)
    shown = np.where(observed, np.asarray(flux, dtype=np.float64), -np.inf)
    brightest = shown.max(axis=1, initial=-np.inf).astype(np.float32)
    rows = np.isfinite(known)
    bits = [array[rows].view(np.uint32).astype(np.uint64) for array in (known, brightest)]
    x = (bits[0] << np.uint64(32)) | bits[1]
    # The mixing of splitmix64 (Steele, Lea & Flood 2014, OOPSLA, 453); it wraps around.
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return x ^ (x >> np.uint64(31))
