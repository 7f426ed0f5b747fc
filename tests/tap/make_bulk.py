"""100,000 galaxies with 60 bands each: for paging and for what memory a long answer takes."""

from __future__ import annotations

import numpy as np
import pgcopy
import seds

ROWS = 100_000
CHUNK = 20_000


def galaxies(first: int, n: int) -> dict[str, np.ndarray]:
    """Rows first to first + n - 1; the same ones however the table is cut into chunks."""
    rng = np.random.default_rng([2023, first])
    found = seds.galaxies(rng, n)
    flux, error = seds.observed(rng, found["flux"])
    return {
        "object_id": 1_000_000 + np.arange(first, first + n, dtype="i8"),
        "ra": rng.uniform(130.0, 140.0, n),
        "dec": rng.uniform(30.0, 40.0, n),
        "flux_auto": flux.astype("f4"),
        "flux_relerr_auto": (error / flux).astype("f4"),
        "z_spec": np.ma.masked_array(found["z"].astype("f4"), rng.random(n) > 0.3),
    }


def fill(table: object) -> None:
    """Fill bulk.galaxies, a chunk at a time."""
    for first in range(0, ROWS, CHUNK):
        pgcopy.fill(table, galaxies(first, CHUNK))
