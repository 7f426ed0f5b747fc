"""Passbands on a log-wavelength grid: bandfluxes of redshifted spectra as one matrix product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from jpassed.exceptions import CoverageError, InputError
from jpassed.units import SPEED_OF_LIGHT

__all__ = [
    "LINE_STEP",
    "SEGMENTS",
    "Segment",
    "band_weights",
    "build_segments",
    "line_weights",
    "rest_pixels",
    "sdss_ur",
]

FloatArray = NDArray[np.float64]
Passband = tuple[str, FloatArray, FloatArray]

WEIGHT_SCALE = 1e12
"""Bandflux weights are multiplied by this: lambda^2 / c is about 1e-11 s."""

LINE_STEP = 5e-5
LINE_SIGMA = 120.0 / 299792.458
"""Velocity dispersion of 120 km/s: galaxies have 50 to 300, all far below the passbands."""


@dataclass(frozen=True)
class Segment:
    """A part of the spectrum with its own step in ln(wavelength).

    Parameters
    ----------
    name : str
        ``uv``, ``optical`` or ``ir``.
    lower, upper : float
        Observed wavelengths covered, Å.
    step : float
        Pixel in ln(wavelength).
    """

    name: str
    lower: float
    upper: float
    step: float

    def pixels(self) -> int:
        """Number of observed-frame pixels."""
        return int(np.ceil(np.log(self.upper / self.lower) / self.step)) + 1


# BC03 has 10-20 Å pixels in the ultraviolet and optical, E-MILES 1.8 Å; narrow bands are 145 Å
# wide with edges of about 25 Å.
SEGMENTS = (
    Segment("optical", 2900.0, 11300.0, 1.0e-3),
    Segment("uv", 1250.0, 3300.0, 4.0e-3),
    Segment("ir", 7500.0, 60000.0, 4.0e-3),
)


def build_segments(passbands: Sequence[Passband]) -> list[tuple[Segment, list[int]]]:
    """Assign each passband to the first segment that holds 99.98 % of its transmission.

    Raises
    ------
    InputError
        Two passbands of one name, or arrays that are no curve.
    CoverageError
        A passband that no segment covers.
    """
    chosen: dict[str, list[int]] = {}
    seen: set[str] = set()
    for i, (name, wave, throughput) in enumerate(passbands):
        if name in seen:
            raise InputError(f"passband {name!r} was given twice")
        seen.add(name)
        wave, throughput = np.asarray(wave, dtype=float), np.asarray(throughput, dtype=float)
        if wave.ndim != 1 or wave.shape != throughput.shape or wave.size < 3:
            raise InputError(
                f"passband {name!r}: wave {wave.shape} and throughput {throughput.shape} must be "
                "1-D, of one length, with at least 3 points"
            )
        if not (np.diff(wave) > 0).all() or not (throughput.max() > 0):
            raise InputError(f"passband {name!r}: wavelengths must rise and transmission exceed 0")
        steps = np.diff(wave) * (throughput[1:] + throughput[:-1])
        area = np.concatenate([[0.0], np.cumsum(steps)])
        lower, upper = np.interp([1e-4, 1 - 1e-4], area / area[-1], wave)
        for segment in SEGMENTS:
            if lower >= segment.lower and upper <= segment.upper:
                chosen.setdefault(segment.name, []).append(i)
                break
        else:
            parts = ", ".join(f"{s.lower:.0f}-{s.upper:.0f}" for s in SEGMENTS)
            raise CoverageError(
                f"passband {name!r} transmits over {lower:.0f}-{upper:.0f} Å, which lies in none "
                f"of the simulated ranges {parts} Å"
            )
    return [(s, chosen[s.name]) for s in SEGMENTS if s.name in chosen]


def band_weights(grid_start: float, step: float, size: int, passband: Passband) -> FloatArray:
    """Weights (size,) that turn L_lambda at the pixels into the AB bandflux.

    The spectrum is taken as linear in ln(wavelength) between pixels and integrated exactly
    (3-point Gauss-Legendre on every interval between nodes of curve and grid):
    ``f_nu = int f_lambda T lambda dlambda / (c int T / lambda dlambda)``, times `WEIGHT_SCALE`.
    """
    _, wave, throughput = passband
    wave = np.asarray(wave, dtype=np.float64)
    throughput = np.clip(np.asarray(throughput, dtype=np.float64), 0.0, None)
    pixels = np.exp(grid_start + step * np.arange(size))
    nodes = np.unique(np.concatenate([wave, pixels[(pixels > wave[0]) & (pixels < wave[-1])]]))
    nodes = nodes[(nodes >= pixels[0]) & (nodes <= pixels[-1])]
    points, gauss = np.polynomial.legendre.leggauss(3)
    half = 0.5 * np.diff(nodes)
    x = (0.5 * (nodes[1:] + nodes[:-1]))[:, None] + half[:, None] * points
    weight = half[:, None] * gauss
    curve = np.interp(x, wave, throughput)
    position = (np.log(x) - grid_start) / step
    index = np.clip(np.floor(position).astype(int), 0, size - 2)
    part = position - index
    value = weight * curve * x
    out = np.bincount(index.ravel(), (value * (1 - part)).ravel(), minlength=size)
    out += np.bincount(index.ravel() + 1, (value * part).ravel(), minlength=size)
    norm = (weight * curve / x).sum() * SPEED_OF_LIGHT
    return out / norm * WEIGHT_SCALE


def line_weights(segment: Segment, passband: Passband) -> FloatArray:
    """Bandflux (M,) of a line of unit flux at each of M finely spaced observed wavelengths.

    ``T lambda / (c int T / lambda dlambda)``, times `WEIGHT_SCALE`, every `LINE_STEP` in
    ln(wavelength) over the segment, smoothed by a Gaussian of `LINE_SIGMA`; 0 at both ends.
    """
    _, wave, throughput = passband
    wave = np.asarray(wave, dtype=np.float64)
    throughput = np.clip(np.asarray(throughput, dtype=np.float64), 0.0, None)
    size = int(np.log(segment.upper / segment.lower) / LINE_STEP) + 2
    grid = segment.lower * np.exp(LINE_STEP * np.arange(size))
    curve = np.interp(grid, wave, throughput, left=0.0, right=0.0)
    half = int(4 * LINE_SIGMA / LINE_STEP)
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) * LINE_STEP / LINE_SIGMA) ** 2)
    curve = np.convolve(curve, kernel / kernel.sum(), mode="same")
    curve[[0, -1]] = 0.0
    fine = np.unique(np.concatenate([wave, 0.5 * (wave[1:] + wave[:-1])]))
    value = np.interp(fine, wave, throughput) / fine
    norm = np.trapezoid(value, fine) * SPEED_OF_LIGHT
    return curve * grid / norm * WEIGHT_SCALE


def rest_pixels(wave: FloatArray, flux: FloatArray, pixels: FloatArray, step: float) -> FloatArray:
    """Mean of spectra (..., W) over log-wavelength pixels, linear between their own points.

    Outside the spectra, and below 912 Å (ionising photons do not leave the galaxy), it is 0.
    """
    edges = np.concatenate([pixels * np.exp(-0.5 * step), [pixels[-1] * np.exp(0.5 * step)]])
    nodes = np.unique(np.concatenate([wave, edges]))
    nodes = nodes[(nodes >= edges[0]) & (nodes <= edges[-1])]
    where = np.searchsorted(nodes, edges)
    shape = flux.shape[:-1]
    out = np.empty((int(np.prod(shape)), pixels.size))
    for i, spectrum in enumerate(flux.reshape(-1, wave.size)):
        value = np.interp(nodes, wave, spectrum, left=0.0, right=0.0)
        area = np.concatenate([[0.0], np.cumsum(0.5 * np.diff(nodes) * (value[1:] + value[:-1]))])
        out[i] = np.diff(area[where]) / np.diff(edges)
    out[:, pixels < 912.0] = 0.0
    return out.reshape(*shape, pixels.size)


def sdss_ur() -> tuple[Passband, Passband]:
    """The SDSS u and r passbands of the rest-frame colours (Doi et al. 2010)."""
    resource = files("jpassed.simulator") / "data" / "sdss_ur.csv"
    rows = [r.split(",") for r in resource.read_text().splitlines() if r and r[0] != "#"][1:]
    curves = []
    for band in "ur":
        own = np.array([r[1:] for r in rows if r[0] == band], dtype=np.float64)
        curves.append((f"sdss_{band}", own[:, 0], own[:, 1]))
    return curves[0], curves[1]
