"""Memory of a worker: kept for the next batch, instead of given back after each."""

from __future__ import annotations

import ctypes
import logging
import os

__all__ = ["keep_memory"]

logger = logging.getLogger(__name__)

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of `mallopt`, from malloc.h of the GNU C library."""
_KEPT = 32 << 20
"""Bytes: where the GNU C library ends by itself when it sees blocks of some MB come and go."""


def keep_memory() -> bool:
    """Undo what Dask's nannies set for a process with `MALLOC_TRIM_THRESHOLD_`.

    They make the C library give memory back to the system as soon as it is free. A network asks
    for the same few MB again with every batch: each time the system then clears them anew, which
    takes as long as the network.

    Returns
    -------
    bool
        Whether anything was changed.
    """
    if "MALLOC_TRIM_THRESHOLD_" not in os.environ:
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # another C library
        return False
    changed = bool(mallopt(_MMAP_THRESHOLD, _KEPT)) and bool(mallopt(_TRIM_THRESHOLD, 2 * _KEPT))
    logger.debug("memory of this process is kept: %s", changed)
    return changed
