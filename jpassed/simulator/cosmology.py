"""Distances, ages and volumes of a flat universe of matter and a cosmological constant."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["FlatUniverse"]

FloatArray = NDArray[np.float64]

SPEED_OF_LIGHT_KM_S = 299792.458
GYR_PER_HUBBLE = 977.792221  # (km/s/Mpc)**-1 in Gyr (Julian year)


class FlatUniverse:
    """FlatLambdaCDM without radiation.

    Parameters
    ----------
    h0 : float
        Hubble constant, km/s/Mpc.
    om0 : float
        Matter density parameter.
    """

    def __init__(self, h0: float = 70.0, om0: float = 0.3) -> None:
        self.h0, self.om0 = float(h0), float(om0)
        # Simpson's rule in ln(1+z) on a grid fine enough for 1e-8.
        self._x = np.linspace(0.0, np.log(1.0 + 3.0), 4001)
        a = np.exp(self._x)
        step = self._x[1] - self._x[0]
        mid = np.exp(self._x[:-1] + 0.5 * step)
        values = a / self._e(a)
        parts = step / 6.0 * (values[:-1] + 4.0 * mid / self._e(mid) + values[1:])
        self._comoving = np.concatenate([[0.0], np.cumsum(parts)])

    def _e(self, one_z: FloatArray) -> FloatArray:
        return np.sqrt(self.om0 * one_z**3 + 1.0 - self.om0)

    def comoving_distance(self, z: FloatArray) -> FloatArray:
        """Line-of-sight comoving distance, Mpc (0 <= z <= 3)."""
        x = np.log1p(np.asarray(z, dtype=np.float64))
        return np.interp(x, self._x, self._comoving) * SPEED_OF_LIGHT_KM_S / self.h0

    def distance_modulus(self, z: FloatArray) -> FloatArray:
        """5 log10(luminosity distance / 10 pc)."""
        distance = self.comoving_distance(z) * (1.0 + np.asarray(z, dtype=np.float64))
        return 5.0 * np.log10(distance * 1e5)

    def volume_element(self, z: FloatArray) -> FloatArray:
        """Comoving volume per steradian and unit redshift, Mpc^3."""
        hubble = SPEED_OF_LIGHT_KM_S / self.h0 / self._e(1.0 + np.asarray(z, dtype=np.float64))
        return self.comoving_distance(z) ** 2 * hubble

    def age(self, z: FloatArray) -> FloatArray:
        """Age of the universe, Gyr (closed form)."""
        ratio = (1.0 - self.om0) / self.om0 / (1.0 + np.asarray(z, dtype=np.float64)) ** 3
        factor = 2.0 / 3.0 / np.sqrt(1.0 - self.om0) * GYR_PER_HUBBLE / self.h0
        return factor * np.arcsinh(np.sqrt(ratio))
