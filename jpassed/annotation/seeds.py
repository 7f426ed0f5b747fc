"""Random numbers that belong to a seed, a quantity and a row, however rows are batched."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np

from jpassed.exceptions import InputError
from jpassed.posteriors.joint import Seed

__all__ = ["generators", "skip"]

_AT_ONCE = 1_000_000


def generators(names: Iterable[str], seed: Seed) -> dict[str, np.random.Generator]:
    """One source of random numbers for each quantity, the same whatever else is asked.

    Parameters
    ----------
    names : iterable of str
    seed : int, Generator or None
        A Generator gives the seed; None a new one at each call.

    Raises
    ------
    InputError
        For what is no seed.
    """
    if isinstance(seed, np.random.Generator):
        seed = int(seed.integers(2**63))
    try:
        own = np.random.SeedSequence(seed).generate_state(4).tolist()
    except (TypeError, ValueError):
        raise InputError(f"seed: expected a whole number or None, got {seed!r}") from None
    return {q: np.random.default_rng([*own, zlib.crc32(q.encode())]) for q in names}


def skip(rng: np.random.Generator, count: int) -> None:
    """Leave `count` uniform numbers out, as if they had been drawn."""
    while count > 0:
        rng.random(min(count, _AT_ONCE))
        count -= _AT_ONCE
