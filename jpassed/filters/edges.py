"""Passbands as two error-function edges with a sloping, optionally curved, top.

    T(w) = A (1 + s x + q x^2) [1 + erf((w - b) / sqrt2 sb)] [1 - erf((w - r) / sqrt2 sr)] / 4
    x = (w - (b + r) / 2) / ((r - b) / 2)

with b, r the half-transmission wavelengths of the blue and the red edge, sb, sr their softness,
A the transmission at mid-band and s, q the slope and curvature of the top from mid-band to edge.
Interference filters of 100 Å have steep, nearly Gaussian-integral edges, and everything else in
the light path (detector, mirrors, atmosphere) varies slowly over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["EDGE_COLUMNS", "EdgeModel"]

EDGE_COLUMNS = ("amplitude", "slope", "curvature", "blue", "blue_soft", "red", "red_soft")
"""Columns of the embedded tables, in the order of `EdgeModel`."""

# The curve is sampled out to this many softnesses from the half-transmission wavelengths, where
# an edge has fallen to 3e-7 of the top.
_REACH = 5.0


@dataclass(frozen=True)
class EdgeModel:
    """The seven numbers of one passband (vacuum Å for wavelengths)."""

    amplitude: float
    slope: float
    curvature: float
    blue: float
    blue_soft: float
    red: float
    red_soft: float

    def __call__(self, wavelength: ArrayLike) -> NDArray[np.float64]:
        """Transmission at `wavelength` (vacuum Å, any shape); never negative."""
        from scipy.special import erf

        wave = np.asarray(wavelength, dtype=np.float64)
        x = (wave - 0.5 * (self.blue + self.red)) / (0.5 * (self.red - self.blue))
        top = 1.0 + self.slope * x + self.curvature * x**2
        blue = 1.0 + erf((wave - self.blue) / (np.sqrt(2.0) * self.blue_soft))
        red = 1.0 - erf((wave - self.red) / (np.sqrt(2.0) * self.red_soft))
        return self.amplitude * np.clip(top, 0.0, None) * 0.25 * blue * red

    def grid(self) -> NDArray[np.float64]:
        """Wavelengths (vacuum Å) that resolve the edges: 1 Å, 2 Å for broad bands."""
        step = 1.0 if self.red - self.blue < 300.0 else 2.0
        first = np.floor(self.blue - _REACH * self.blue_soft)
        last = np.ceil(self.red + _REACH * self.red_soft)
        return np.arange(first, last + step, step)

    def sample(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Wavelength (vacuum Å) and transmission on `grid`, zero at both ends."""
        wave = self.grid()
        throughput = self(wave)
        throughput[0] = throughput[-1] = 0.0
        return wave, throughput
