"""One passband: a synphot `SpectralElement` that knows its name."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from synphot import Empirical1D, SpectralElement

from jpassed.exceptions import InputError
from jpassed.units import air_to_vacuum

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["COUNTINGS", "MEDIA", "Passband"]

MEDIA = ("air", "vacuum")
"""What the wavelengths of a curve may refer to."""

COUNTINGS = ("photon", "energy")
"""What a curve may be the response to: photons (as synphot, speclite) or energy."""


class Passband(SpectralElement):
    """Throughput of a whole system against vacuum wavelength, with a name.

    A passband is the photon-counting throughput T: a bandflux is
    ``integral(f_nu T dlam / lam) / integral(T dlam / lam)``. Only its shape matters.

    Build one with `from_arrays`; the constructor is synphot's, so that arithmetic between
    spectral elements works (its results carry no name).

    Parameters
    ----------
    modelclass, clean_meta, **kwargs
        See `synphot.SpectralElement`.
    name : str
        Name of the band, e.g. ``"J0660"`` or ``"sdss_u"``.

    Attributes
    ----------
    name : str
    """

    def __init__(
        self, modelclass: Any, clean_meta: bool = False, *, name: str = "", **kwargs: Any
    ) -> None:
        super().__init__(modelclass, clean_meta=clean_meta, **kwargs)
        self.name = name

    @classmethod
    def from_arrays(
        cls,
        name: str,
        wavelength: ArrayLike,
        throughput: ArrayLike,
        *,
        medium: str = "vacuum",
        counting: str = "photon",
        meta: dict[str, Any] | None = None,
    ) -> Passband:
        """Passband of a tabulated curve, linear between its points and zero outside.

        Parameters
        ----------
        name : str
            Name of the band.
        wavelength : array_like or Quantity, shape (n,)
            Å (or any length unit, as a Quantity), increasing or decreasing.
        throughput : array_like, shape (n,)
            Response in any normalisation. Negative values, which measurements have outside the
            band, become zero.
        medium : {"vacuum", "air"}
            What `wavelength` refers to; air is converted.
        counting : {"photon", "energy"}
            An energy response R is turned into the photon throughput R / wavelength.
        meta : dict, optional
            Kept as ``passband.meta``, e.g. reference and origin.

        Raises
        ------
        InputError
            If the arrays do not match, repeat a wavelength, are not finite, or are nowhere
            positive; or if `medium` or `counting` is none of those above.
        """
        if medium not in MEDIA:
            raise InputError(f"medium must be one of {', '.join(MEDIA)}; got {medium!r}")
        if counting not in COUNTINGS:
            raise InputError(f"counting must be one of {', '.join(COUNTINGS)}; got {counting!r}")
        wave, curve = _checked(name, wavelength, throughput)
        if medium == "air":
            wave = air_to_vacuum(wave)
        if counting == "energy":
            curve = curve / wave * wave[np.argmax(curve)]
        wave, curve = _closed(wave, curve)
        passband = cls(
            Empirical1D,
            points=wave,
            lookup_table=curve,
            keep_neg=True,
            fill_value=0.0,
            name=name,
        )
        passband.meta.update(meta or {})
        return passband

    @cached_property
    def wave(self) -> NDArray[np.float64]:
        """Wavelengths of the curve: vacuum Å, increasing, shape (n,), read-only."""
        waveset = self.waveset
        if waveset is None:
            raise InputError(f"passband {self.name!r} has no sampling: it is a constant")
        wave = np.array(waveset.value, dtype=np.float64)
        wave.flags.writeable = False
        return wave

    @cached_property
    def throughput(self) -> NDArray[np.float64]:
        """Throughput at `wave`, dimensionless, shape (n,), read-only."""
        curve = np.array(self(self.wave).value, dtype=np.float64)
        curve.flags.writeable = False
        return curve

    @cached_property
    def pivot_wavelength(self) -> float:
        """Pivot in Å, sqrt(int T lam dlam / int T dlam / lam) (Tokunaga & Vacca 2005)."""
        wave, curve = self.wave, self.throughput
        return float(np.sqrt(np.trapezoid(curve * wave, wave) / np.trapezoid(curve / wave, wave)))

    @cached_property
    def equivalent_width(self) -> float:
        """Width in Å of the box of the same peak and area, int T dlam / max T."""
        return float(np.trapezoid(self.throughput, self.wave) / self.throughput.max())

    def coverage(self, wmin: Any, wmax: Any) -> float:
        """Fraction of the transmission, int T dlam, between two wavelengths.

        Parameters
        ----------
        wmin, wmax : float or Quantity
            Range in vacuum Å (or any length unit, as a Quantity).

        Returns
        -------
        float
            From 0 to 1.

        Raises
        ------
        InputError
            If `wmin` is not below `wmax`, or either is not a number.
        """
        low, high = _angstrom(wmin), _angstrom(wmax)
        if not low < high:
            raise InputError(f"coverage needs wmin < wmax in Å; got {low} and {high}")
        steps = np.diff(self.wave) * 0.5 * (self.throughput[1:] + self.throughput[:-1])
        below = np.concatenate([[0.0], np.cumsum(steps)])
        return float((self._integral_to(high, below) - self._integral_to(low, below)) / below[-1])

    def _integral_to(self, limit: float, below: NDArray[np.float64]) -> float:
        # Exact for a curve that is linear between its points.
        wave, curve = self.wave, self.throughput
        limit = float(np.clip(limit, wave[0], wave[-1]))
        left = int(np.clip(np.searchsorted(wave, limit, side="right") - 1, 0, wave.size - 2))
        at_limit = np.interp(limit, wave, curve)
        return float(below[left] + 0.5 * (limit - wave[left]) * (curve[left] + at_limit))

    def __str__(self) -> str:
        return repr(self)

    def __repr__(self) -> str:
        if self.waveset is None:
            return f"<{type(self).__name__} {self.name!r}>"
        return (
            f"<{type(self).__name__} {self.name!r} pivot {self.pivot_wavelength:.1f} Å, "
            f"width {self.equivalent_width:.1f} Å>"
        )


def _angstrom(value: Any) -> float:
    if hasattr(value, "to_value"):
        return float(value.to_value("Angstrom"))
    return float(value)


def _checked(
    name: str, wavelength: Any, throughput: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sorted float64 copies in Å, or an error that names the passband."""
    if hasattr(wavelength, "to_value"):
        wavelength = wavelength.to_value("Angstrom")
    wave = np.array(wavelength, dtype=np.float64)
    curve = np.array(throughput, dtype=np.float64)
    where = f"passband {name!r}"
    if wave.ndim != 1 or wave.shape != curve.shape or wave.size < 2:
        raise InputError(
            f"{where} needs wavelength and throughput of the same length, at least 2 points; "
            f"got shapes {wave.shape} and {curve.shape}"
        )
    if not (np.all(np.isfinite(wave)) and np.all(np.isfinite(curve)) and np.all(wave > 0)):
        raise InputError(f"{where} has wavelengths or throughputs that are not finite numbers > 0")
    order = np.argsort(wave, kind="stable")
    wave, curve = wave[order], np.clip(curve[order], 0.0, None)
    if np.any(np.diff(wave) <= 0):
        raise InputError(f"{where} repeats the wavelength {wave[:-1][np.diff(wave) <= 0][0]} Å")
    if not curve.max() > 0:
        raise InputError(f"{where} has no throughput above zero")
    return wave, curve


def _closed(
    wave: NDArray[np.float64], curve: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Trim to one zero on either side of the band, adding a zero point where a curve is cut."""
    band = np.flatnonzero(curve > 0)
    first, last = max(band[0] - 1, 0), min(band[-1] + 1, wave.size - 1)
    wave, curve = wave[first : last + 1], curve[first : last + 1]
    if curve[0] > 0:
        wave, curve = np.insert(wave, 0, wave[0] - 1e-3), np.insert(curve, 0, 0.0)
    if curve[-1] > 0:
        wave, curve = np.append(wave, wave[-1] + 1e-3), np.append(curve, 0.0)
    return wave, curve
