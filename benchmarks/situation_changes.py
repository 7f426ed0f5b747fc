"""What goes wrong with a catalogue: bands that are missing, zero points that are off."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Seen = tuple[Array, Array, Mask]
Change = Callable[[Array, Array, Mask, Array], Seen]
"""(flux, error, observed, pivots) to the changed ones; arrays (N, B), pivots (B,) in Å."""

SHARES = (0.50, 0.75, 0.90, 0.95, 0.98, 1.00)
TILES = 20
"""Tiles that the objects of a sample lie on: objects of one tile share their zero points."""

BAD_BANDS, BAD_OFFSET = 3, 0.5


def left(share: float, bands: int) -> int:
    """Bands that are left when a share is missing."""
    return int(round((1.0 - share) * bands))


def hidden_at_random(share: float, seed: int) -> Change:
    """Hide a share of the bands, others in every object."""

    def change(
        flux: Array, error: Array, observed: Mask, pivot: Array
    ) -> tuple[Array, Array, Mask]:
        order = np.random.default_rng(seed).random(flux.shape).argsort(axis=1).argsort(axis=1)
        return flux, error, observed & (order < left(share, flux.shape[1]))

    return change


def hidden_block(share: float, seed: int) -> Change:
    """Hide a share of the bands that is contiguous in wavelength, its place at random."""

    def change(
        flux: Array, error: Array, observed: Mask, pivot: Array
    ) -> tuple[Array, Array, Mask]:
        n, bands = flux.shape
        kept = left(share, bands)
        first = np.random.default_rng(seed).integers(0, kept + 1, n)[:, None]
        rank = np.argsort(np.argsort(pivot))[None, :]
        return flux, error, observed & ((rank < first) | (rank >= first + bands - kept))

    return change


def shifted(offset: Callable[[np.random.Generator, Array], Array], seed: int) -> Change:
    """Make every object of a tile fainter by the same magnitudes, errors in proportion.

    `offset` gives the magnitudes (B,) of a tile; the stated errors do not hold them.
    """

    def change(
        flux: Array, error: Array, observed: Mask, pivot: Array
    ) -> tuple[Array, Array, Mask]:
        rng = np.random.default_rng(seed)
        tiles = np.stack([offset(rng, pivot) for _ in range(TILES)])
        factor = 10.0 ** (-0.4 * tiles[np.arange(len(flux)) % TILES])
        return flux * factor, error * factor, observed

    return change


def scatter(sigma: float) -> Callable[[np.random.Generator, Array], Array]:
    """Independent offsets of all bands, magnitudes."""
    return lambda rng, pivot: sigma * rng.standard_normal(len(pivot))


def grey(offset: float) -> Callable[[np.random.Generator, Array], Array]:
    """The same offset in all bands."""
    return lambda rng, pivot: np.full(len(pivot), offset)


def slope(total: float) -> Callable[[np.random.Generator, Array], Array]:
    """Linear in ln(wavelength), `total` magnitudes from the bluest to the reddest band."""

    def offset(rng: np.random.Generator, pivot: Array) -> Array:
        x = np.log(pivot)
        return np.asarray(total * ((x - x.min()) / np.ptp(x) - 0.5))

    return offset


def bad_tile(rng: np.random.Generator, pivot: Array) -> Array:
    """Three bands fail by half a magnitude, fainter or brighter."""
    out = np.zeros(len(pivot))
    out[rng.choice(len(pivot), BAD_BANDS, replace=False)] = BAD_OFFSET * rng.choice([-1, 1])
    return out


def unchanged(flux: Array, error: Array, observed: Mask, pivot: Array) -> Seen:
    """In distribution."""
    return flux, error, observed


def situations(seed: int = 5) -> dict[str, tuple[str, Change]]:
    """(situation, change) by name, for samples of galaxies."""
    out: dict[str, tuple[str, Change]] = {"all bands": ("in distribution", unchanged)}
    for share in SHARES:
        name = f"{100 * share:.0f} %"
        out[f"{name} missing, at random"] = ("bands missing", hidden_at_random(share, seed))
        if share < 1:
            out[f"{name} missing, one block"] = ("bands missing", hidden_block(share, seed))
    for sigma in (0.02, 0.05, 0.10):
        out[f"{sigma:.2f} mag a band"] = ("zero points", shifted(scatter(sigma), seed))
    out["grey, 0.10 mag"] = ("zero points", shifted(grey(0.1), seed))
    out["slope, 0.10 mag from blue to red"] = ("zero points", shifted(slope(0.1), seed))
    out["bad tile: 3 bands by 0.5 mag"] = ("zero points", shifted(bad_tile, seed))
    return out
