"""Extinction by the dust of the Milky Way."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from jpassed.exceptions import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

__all__ = ["dereddening_factor", "extinction_coefficient"]

_CURVE = "data/extinction_f99.ecsv"


@cache
def _curve() -> tuple[Array, Array]:
    """Inverse wavelength in 1/µm and A / E(B-V), from the data file."""
    text = files("jpassed.jspectrum").joinpath(_CURVE).read_text(encoding="utf-8")
    rows = [line.split() for line in text.splitlines() if line and line[0].isdigit()]
    table = np.array(rows, dtype=np.float64)
    return table[:, 0], table[:, 1]


def extinction_coefficient(wavelength: ArrayLike) -> Array:
    """A(lambda) / E(B-V) of the Milky Way, R_V = 3.1.

    Parameters
    ----------
    wavelength : array_like
        Vacuum Å, from 1000 Å to 3.33 µm; any shape.

    Returns
    -------
    ndarray
        Magnitudes of extinction per magnitude of E(B-V) (Fitzpatrick 1999, PASP 111, 63). The
        coefficients of ``minijpas.Filter`` (``kx``), which survey tables use, agree with it to
        2.5 % for every band but J1007, whose tabulated wavelength is off by 700 Å.

    Raises
    ------
    InputError
        If a wavelength lies outside the curve.
    """
    wave = np.asarray(wavelength, dtype=np.float64)
    x, k = _curve()
    inverse = 1e4 / wave
    if np.any(~(inverse >= x[0] * (1 - 1e-9)) | ~(inverse <= x[-1] * (1 + 1e-9))):
        raise InputError(
            "the Galactic extinction curve covers 1000 to 33333 Å (vacuum), got "
            f"{np.min(wave):.0f} to {np.max(wave):.0f} Å"
        )
    return np.interp(inverse, x, k)


def dereddening_factor(wavelength: ArrayLike, ebv: float) -> Array:
    """Factor that removes Galactic extinction from a spectrum, 10^(0.4 k E(B-V)).

    k is the curve of Fitzpatrick 1999, PASP 111, 63, for R_V = 3.1.

    Parameters
    ----------
    wavelength : array_like
        Vacuum Å, observed frame, any shape.
    ebv : float
        Colour excess E(B-V) in magnitudes; a negative one reddens.

    Returns
    -------
    ndarray
        Same shape as `wavelength`.
    """
    return 10.0 ** (0.4 * float(ebv) * extinction_coefficient(wavelength))
