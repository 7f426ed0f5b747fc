"""One spectrum with its errors: the form in which every reader hands spectra over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

__all__ = ["FLUX_SCALE", "SpectrumRecord", "native"]

FLUX_SCALE = 1e-17
"""Unit of `SpectrumRecord.flux` in erg/s/cm2/Å."""


def native(values: ArrayLike) -> Array:
    """Float64 in the byte order of this machine (FITS arrays arrive big-endian)."""
    return np.ascontiguousarray(values, dtype=np.float64)


@dataclass(frozen=True)
class SpectrumRecord:
    """One spectrum.

    Parameters
    ----------
    wave : ndarray
        Vacuum wavelengths in Å, shape (P,), increasing.
    flux : ndarray
        Flux per wavelength in 1e-17 erg/s/cm2/Å, shape (P,). Negative values are kept.
    ivar : ndarray, optional
        Inverse variance of `flux`, shape (P,). 0 marks a pixel that was not measured. Without
        it the spectrum is taken to be good wherever it is finite, with unknown error.
    name : str
        Name of the object.
    metadata : dict
        What the file says: `z`, `zwarning`, `class`, `subclass`, `ra`, `dec` (degrees),
        `spectroflux` (pipeline synthetic ugriz, nanomaggy), `ebv` (of the map of
        Schlegel, Finkbeiner & Davis 1998), `survey`, `file`, `frame`.
        Keys are absent where the file does not say.

    Raises
    ------
    InputError
        If shapes differ, there are fewer than two pixels, or wavelengths do not increase.
    """

    wave: Array
    flux: Array
    ivar: Array | None = None
    name: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wave, flux = native(self.wave), native(self.flux)
        if wave.ndim != 1 or wave.size < 2 or flux.shape != wave.shape:
            raise InputError(
                f"spectrum {self.name!r}: expected wave and flux of one shape (P,) with P >= 2, "
                f"got {wave.shape} and {flux.shape}"
            )
        if not np.all(np.isfinite(wave)) or wave[0] <= 0 or np.any(np.diff(wave) <= 0):
            raise InputError(
                f"spectrum {self.name!r}: wavelengths must be finite, positive and increasing (Å)"
            )
        object.__setattr__(self, "wave", wave)
        object.__setattr__(self, "flux", flux)
        if self.ivar is not None:
            ivar = native(self.ivar)
            if ivar.shape != wave.shape:
                raise InputError(
                    f"spectrum {self.name!r}: expected ivar of shape {wave.shape}, got {ivar.shape}"
                )
            # Whatever cannot weigh a pixel marks it as bad: infinite, negative, NaN.
            usable = np.isfinite(ivar) & (ivar > 0) & np.isfinite(flux)
            object.__setattr__(self, "ivar", np.where(usable, ivar, 0.0))

    @property
    def good(self) -> NDArray[np.bool_]:
        """Pixels that were measured, shape (P,)."""
        return np.isfinite(self.flux) if self.ivar is None else self.ivar > 0

    @property
    def median_sn(self) -> float:
        """Median signal-to-noise ratio per good pixel; NaN without errors."""
        if self.ivar is None or not self.good.any():
            return float("nan")
        good = self.good
        return float(np.median(self.flux[good] * np.sqrt(self.ivar[good])))

    def __len__(self) -> int:
        return self.wave.size

    def __repr__(self) -> str:
        return (
            f"SpectrumRecord({self.name!r}, {self.wave[0]:.0f}-{self.wave[-1]:.0f} Å, "
            f"{self.wave.size} pixels)"
        )
