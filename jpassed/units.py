"""Flux units and wavelength conventions: the one place where they are converted."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from jpassed.exceptions import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "AB_ZEROPOINT_MICROJANSKY",
    "SPEED_OF_LIGHT",
    "ab_magnitude",
    "air_to_vacuum",
    "from_ab_magnitude",
    "parse_unit",
    "to_microjansky",
    "vacuum_to_air",
]

AB_ZEROPOINT_MICROJANSKY = 3631.0e6
"""Flux density of AB magnitude 0 in microjansky (Oke & Gunn 1983; rounded as in SVO and SDSS)."""

SPEED_OF_LIGHT = 2.99792458e18
"""Speed of light in Å/s."""

NANOMAGGY = AB_ZEROPOINT_MICROJANSKY * 1e-9
"""One nanomaggy in microjansky."""

_NANOMAGGY_NAMES = {"nanomaggy", "nanomaggies", "nmgy", "nmaggy", "nanomaggie"}
_MAGNITUDE_NAMES = {"mag", "mag(ab)", "abmag", "ab", "mag ab", "ab mag"}


def ab_magnitude(flux: ArrayLike) -> NDArray[np.float64]:
    """AB magnitude of a bandflux (Oke & Gunn 1983, ApJ 266, 713).

    Parameters
    ----------
    flux : array_like
        Bandflux in microjansky, any shape.

    Returns
    -------
    ndarray
        AB magnitude, NaN where the flux is not positive.
    """
    flux = np.asarray(flux, dtype=np.float64)
    positive = np.where(flux > 0, flux, np.nan)
    return -2.5 * np.log10(positive / AB_ZEROPOINT_MICROJANSKY)


def from_ab_magnitude(magnitude: ArrayLike) -> NDArray[np.float64]:
    """Bandflux in microjansky of an AB magnitude (Oke & Gunn 1983, ApJ 266, 713).

    Parameters
    ----------
    magnitude : array_like
        AB magnitudes, any shape; NaN gives NaN.

    Returns
    -------
    ndarray
        Microjansky, the same shape.
    """
    return AB_ZEROPOINT_MICROJANSKY * 10.0 ** (-0.4 * np.asarray(magnitude, dtype=np.float64))


def parse_unit(unit: Any) -> Any:
    """Read a flux unit as tables spell it.

    Parameters
    ----------
    unit : str or astropy unit
        For example ``"uJy"``, ``"nanomaggy"``, ``"mag(AB)"``, ``"erg/s/cm2/Hz"``,
        ``"1e-19 erg/s/cm2/A"``.

    Returns
    -------
    astropy unit, or one of the strings ``"abmag"`` and ``"nanomaggy"``.

    Raises
    ------
    InputError
        If it is not a unit, or one of magnitudes other than AB.
    """
    from astropy import units as u

    if isinstance(unit, str):
        plain = unit.strip().lower()
        if plain in _NANOMAGGY_NAMES:
            return "nanomaggy"
        if plain in _MAGNITUDE_NAMES:
            return "abmag"
        try:
            with warnings.catch_warnings():
                # "erg/s/cm2/Hz" is read as it is meant; its slashes are no concern of ours.
                warnings.simplefilter("ignore", u.UnitsWarning)
                unit = u.Unit(unit)
        except (ValueError, TypeError) as exc:
            raise InputError(
                f"cannot read {unit!r} as a flux unit; expected for example 'uJy', 'nanomaggy', "
                "'mag(AB)', 'erg / (s cm2 Hz)' or 'erg / (s cm2 Angstrom)'"
            ) from exc
    if isinstance(unit, u.Quantity) and unit.isscalar:  # 1e-19 * erg / (s cm2 Angstrom)
        unit = u.Unit(unit)
    if not isinstance(unit, (u.UnitBase, u.function.FunctionUnitBase)):
        _refuse(unit)
    if isinstance(unit, u.UnrecognizedUnit):
        name = str(unit).lower()
        return parse_unit(name) if name in _NANOMAGGY_NAMES | _MAGNITUDE_NAMES else _refuse(unit)
    if isinstance(unit, u.MagUnit):
        # mag(ST) and instrumental mag(ct/s) are no AB magnitudes; a bare mag is taken to be one.
        ab = unit.physical_unit in (u.AB, u.dimensionless_unscaled)
        return "abmag" if ab else _refuse(unit)
    if isinstance(unit, u.function.FunctionUnitBase):
        _refuse(unit)
    if unit == u.mag:
        return "abmag"
    if str(unit).lower() in _NANOMAGGY_NAMES:
        return "nanomaggy"
    if unit.is_equivalent(u.erg / u.s / u.cm**2 / u.A):
        # Tables write A for Å, which astropy reads as ampere; there is no such flux.
        return unit * u.A / u.AA
    return unit


def _refuse(unit: object) -> NoReturn:
    raise InputError(
        f"cannot use {str(unit)!r} as a flux unit; expected AB magnitudes, nanomaggy, or a unit "
        "of flux density such as 'uJy', 'erg / (s cm2 Hz)' or 'erg / (s cm2 Angstrom)'"
    )


def to_microjansky(
    value: ArrayLike,
    unit: Any,
    error: ArrayLike | None = None,
    pivot: ArrayLike | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Convert bandfluxes or AB magnitudes, with errors, to microjansky.

    Parameters
    ----------
    value : array_like
        Bandfluxes or magnitudes, any shape.
    unit : str or astropy unit
        See `parse_unit`.
    error : array_like, optional
        Standard errors in the same unit and shape; of magnitudes to first order,
        sigma_f = 0.921 f sigma_m.
    pivot : array_like, optional
        Pivot wavelength in Å, any shape broadcastable to `value`; needed for flux per wavelength.

    Returns
    -------
    flux, error : ndarray of float64
        In microjansky; `error` is None if none was given.

    Raises
    ------
    InputError
        If the unit is not one of a flux density, or a wavelength is needed and missing.
    """
    from astropy import units as u

    flux = np.asarray(value, dtype=np.float64)
    sigma = None if error is None else np.asarray(error, dtype=np.float64)
    parsed = parse_unit(unit)
    if isinstance(parsed, str) and parsed == "abmag":
        converted = from_ab_magnitude(flux)
        factor: Any = np.log(10.0) / 2.5 * converted
        return converted, None if sigma is None else factor * sigma
    if isinstance(parsed, str):
        factor = NANOMAGGY
    elif parsed.is_equivalent(u.uJy):
        factor = parsed.to(u.uJy)
    elif parsed.is_equivalent(u.erg / u.s / u.cm**2 / u.AA):
        if pivot is None:
            raise InputError(
                f"a bandflux in {parsed} needs the passband's pivot wavelength; give `pivot` in Å"
            )
        per_angstrom = parsed.to(u.erg / u.s / u.cm**2 / u.AA)
        # f_nu = f_lambda * pivot**2 / c, exact by the definition of the pivot wavelength.
        factor = per_angstrom * np.asarray(pivot, dtype=np.float64) ** 2 / SPEED_OF_LIGHT * 1e29
    else:
        _refuse(parsed)
    return flux * factor, None if sigma is None else sigma * factor


def air_to_vacuum(wavelength: ArrayLike) -> NDArray[np.float64]:
    """Vacuum wavelength of a wavelength in air.

    Parameters
    ----------
    wavelength : array_like
        Å, in air, any shape. Below 2000 Å wavelengths are taken to be vacuum already.

    Returns
    -------
    ndarray
        Å, in vacuum, the same shape; inverse of Ciddor (1996, Appl. Opt. 35, 1566) by the series of
        N. Piskunov (VALD; also SDSS DR9 and later), good to 1e-5 Å in the optical.
    """
    air = np.asarray(wavelength, dtype=np.float64)
    s2 = (1e4 / np.where(air > 0, air, np.nan)) ** 2
    n = (
        1.0
        + 8.336624212083e-5
        + 2.408926869968e-2 / (130.1065924522 - s2)
        + 1.599740894897e-4 / (38.92568793293 - s2)
    )
    return np.where(air > 2000.0, air * n, air)


def vacuum_to_air(wavelength: ArrayLike) -> NDArray[np.float64]:
    """Air wavelength (Å) of a vacuum wavelength (Å); Ciddor (1996) as in VALD, above 2000 Å.

    Parameters
    ----------
    wavelength : array_like
        Vacuum wavelengths, Å, any shape.

    Returns
    -------
    ndarray
        Å in air, the same shape.
    """
    vacuum = np.asarray(wavelength, dtype=np.float64)
    s2 = (1e4 / np.where(vacuum > 0, vacuum, np.nan)) ** 2
    n = 1.0 + 8.34254e-5 + 2.406147e-2 / (130.0 - s2) + 1.5998e-4 / (38.9 - s2)
    return np.where(vacuum > 2000.0, vacuum / n, vacuum)
