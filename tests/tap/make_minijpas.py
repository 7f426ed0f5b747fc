"""Tables in the shape of miniJPAS's, of 2,000 made-up objects in four tiles."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pgcopy
import seds

TILES = {2241: (214.25, 52.55), 2243: (214.85, 52.85), 2406: (215.40, 53.15), 2470: (213.70, 52.35)}
PER_TILE = 500


@lru_cache(maxsize=1)
def catalogue() -> dict[str, np.ndarray]:
    """What all tables share: identifiers, positions, redshifts, true and observed fluxes."""
    rng = np.random.default_rng(20191201)
    n = PER_TILE * len(TILES)
    tile = np.repeat(np.array(list(TILES), "i4"), PER_TILE)
    centre = np.repeat(np.array(list(TILES.values())), PER_TILE, axis=0)
    found = seds.galaxies(rng, n)
    flux, error = seds.observed(rng, found["flux"])
    stars = rng.random(n) < 0.15
    return {
        "tile_id": tile,
        "number": np.tile(np.arange(1, PER_TILE + 1, dtype="i4"), len(TILES)),
        "ra": centre[:, 0] + rng.uniform(-0.3, 0.3, n) / np.cos(np.radians(52.7)),
        "dec": centre[:, 1] + rng.uniform(-0.15, 0.15, n),
        "star": stars,
        "class_star": np.where(stars, rng.uniform(0.85, 1, n), rng.uniform(0, 0.3, n)),
        "flags": (rng.random((n, 60)) < 0.02) * 4,
        "mask_flags": np.repeat((rng.random((n, 1)) < 0.03) * 1, 60, axis=1),
        "flux": flux,
        "error": error,
        "ebv": rng.uniform(0.005, 0.02, n),
        "draw": rng.random(n),
        "noise": rng.standard_normal(n),
        **{k: found[k] for k in ("z", "r", "old")},
    }


def _shared() -> dict[str, np.ndarray]:
    c = catalogue()
    return {
        "tile_id": c["tile_id"],
        "number": c["number"],
        "alpha_j2000": c["ra"],
        "delta_j2000": c["dec"],
        "flags": c["flags"].astype("i2"),
        "mask_flags": c["mask_flags"].astype("i2"),
        "class_star": c["class_star"].astype("f4"),
    }


def magabdualobj() -> dict[str, np.ndarray]:
    c = catalogue()
    mag, err = seds.magnitudes(c["flux"], c["error"])
    return {**_shared(), "mag_auto": mag.astype("f4"), "mag_err_auto": err.astype("f4")}


def flambdadualobj() -> dict[str, np.ndarray]:
    c = catalogue()
    return {
        **_shared(),
        "flux_auto": c["flux"].astype("f4"),
        "flux_relerr_auto": (c["error"] / c["flux"]).astype("f4"),
    }


def photozlephare() -> dict[str, np.ndarray]:
    c = catalogue()
    width = 0.003 * 10 ** (0.25 * (c["r"] - 19).clip(0))
    photoz = np.ma.masked_array(c["z"] + width * (1 + c["z"]) * c["noise"], c["draw"] > 0.97)
    return {
        "tile_id": c["tile_id"],
        "number": c["number"],
        "photoz": photoz.astype("f4"),
        "photoz_err": np.ma.masked_array(width * (1 + c["z"]), photoz.mask).astype("f4"),
        "odds": np.exp(-width * 10).astype("f4"),
    }


def xmatch_sdss_dr12() -> dict[str, np.ndarray]:
    c = catalogue()
    known = (c["r"] < 21.0) & (c["draw"] < 0.6) & ~c["star"]
    return {
        "tile_id": c["tile_id"][known],
        "number": c["number"][known],
        "zsp": c["z"][known].astype("f4"),
        "e_zsp": np.full(known.sum(), 3e-5, "f4"),
        "spcl": np.full(known.sum(), "GALAXY"),
    }


def mwextinction() -> dict[str, np.ndarray]:
    c = catalogue()
    # Near enough to an extinction law for a table that is only served: 1/wavelength.
    ax = 3.1 * c["ebv"][:, None] * (5500.0 / seds.bands()["wavelength"])
    return {
        "tile_id": c["tile_id"],
        "number": c["number"],
        "ebv": c["ebv"].astype("f4"),
        "ax": ax.astype("f4"),
    }


def filter_table() -> dict[str, np.ndarray]:
    bands = seds.bands()
    return {
        "filter_id": np.arange(1, 61, dtype="i4"),
        "name": bands["name"],
        "wavelength": bands["wavelength"].astype("f4"),
        "width": bands["width"].astype("f4"),
    }


def fill(table: object) -> None:
    """Fill the table of DaCHS with the rows of the function of its name."""
    name = table.tableDef.id
    maker = filter_table if name == "filter" else globals()[name]
    pgcopy.fill(table, maker())
