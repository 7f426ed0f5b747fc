"""Weights of pixels in passbands: the integral behind `SyntheticPhotometry`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import InputError
from jpassed.io.spectrum_record import FLUX_SCALE
from jpassed.units import SPEED_OF_LIGHT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["BandWeights", "band_weights", "sampled_curve"]

_TO_MICROJANSKY = FLUX_SCALE * 1e29 / SPEED_OF_LIGHT
"""From 1e-17 erg/s/cm2/Å times Å**2 / (Å/s) to microjansky."""


@dataclass(frozen=True)
class BandWeights:
    """Weights of the pixels of one wavelength grid in every band.

    Attributes
    ----------
    wave : ndarray
        Vacuum Å, shape (P,).
    matrix : ndarray
        Shape (P, B): bandflux in microjansky = (wave * flux) @ matrix, for flux in
        1e-17 erg/s/cm2/Å.
    share : ndarray
        Shape (P, B): fraction of a band's transmission, integral(T dlambda), that falls to a
        pixel.
    below : ndarray
        Shape (P, B): fraction of a band's transmission below the centre of a pixel.
    total : ndarray
        Shape (P + 1, B): sum of `matrix` over all earlier pixels.
    """

    wave: Array
    matrix: Array
    share: Array
    below: Array
    total: Array


def band_weights(wave: Array, curves: Sequence[tuple[Array, Array]]) -> BandWeights:
    """Weights of a wavelength grid (P,) in B passbands.

    Parameters
    ----------
    wave : ndarray
        Vacuum Å, shape (P,), increasing.
    curves : sequence of (wave, throughput)
        See `sampled_curve`.

    Returns
    -------
    BandWeights
    """
    parts = [_one_band(wave, *curve) for curve in curves]
    matrix, share, below = (np.stack(part, axis=1) for part in zip(*parts, strict=True))
    total = np.concatenate([np.zeros((1, len(parts))), np.cumsum(matrix, axis=0)])
    return BandWeights(wave, matrix, share, below, total)


def sampled_curve(band: Any, name: str) -> tuple[Array, Array]:
    """Wavelengths (vacuum Å) and throughputs of a passband."""
    waveset = getattr(band, "waveset", None)
    if waveset is None:
        raise InputError(f"passband {name!r} has no sampled wavelengths; give a tabulated one")
    wave = np.asarray(waveset.to_value("Angstrom"), dtype=np.float64)
    throughput = np.asarray(band(waveset).value, dtype=np.float64)
    order = np.argsort(wave)
    wave, throughput = wave[order], throughput[order]
    if not np.trapezoid(throughput, wave) > 0:
        raise InputError(f"passband {name!r} has no throughput")
    return wave, throughput


def _one_band(wave: Array, curve_wave: Array, throughput: Array) -> tuple[Array, Array, Array]:
    """Weight, share of the transmission, and transmission below, of every pixel in one band."""
    inside = wave[(wave > curve_wave[0]) & (wave < curve_wave[-1])]
    x = np.union1d(curve_wave, inside)
    transmission = np.interp(x, curve_wave, throughput)
    steps = np.diff(x)
    quadrature = np.zeros_like(x)
    quadrature[:-1] += 0.5 * steps
    quadrature[1:] += 0.5 * steps
    quadrature *= transmission
    # Node x lies between pixels i and i + 1; beyond the ends it belongs to the end pixel.
    i = np.clip(np.searchsorted(wave, x, side="right") - 1, 0, wave.size - 2)
    part = np.clip((x - wave[i]) / (wave[i + 1] - wave[i]), 0.0, 1.0)

    def to_pixels(node_weights: Array) -> Array:
        low = np.bincount(i, node_weights * (1.0 - part), wave.size)
        return np.asarray(low + np.bincount(i + 1, node_weights * part, wave.size), dtype=float)

    # The normalisation is synphot's, on the passband's own points: a coarse curve (steps of 50 Å
    # in the ultraviolet) is then off by 2e-4 mag for a flat f_nu, in both codes alike.
    normalisation = np.trapezoid(throughput / curve_wave, curve_wave)
    area = quadrature.sum()
    cumulative = np.concatenate(
        [[0.0], np.cumsum(0.5 * steps * (transmission[1:] + transmission[:-1]))]
    )
    below = np.interp(wave, x, cumulative / area, left=0.0, right=1.0)
    return (
        to_pixels(quadrature) * (_TO_MICROJANSKY / normalisation),
        to_pixels(quadrature) / area,
        below,
    )
