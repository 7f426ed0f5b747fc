"""Spectra of SDSS, BOSS and DESI files, and of `specutils.Spectrum`, on one footing.

Every reader returns `SpectrumRecord`: vacuum wavelengths in Å, flux per wavelength in
1e-17 erg/s/cm2/Å, inverse variance (0 marks a bad pixel) and what the file says of the object.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import FileError, InputError
from jpassed.io.spectrum_record import FLUX_SCALE, SpectrumRecord
from jpassed.io.survey_spectra import read_survey_spectra
from jpassed.units import air_to_vacuum

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["FLUX_SCALE", "SpectrumRecord", "read_spectrum", "spectrum_records"]

_FORMATS = (
    "an SDSS or BOSS spec file (binary table COADD with flux, loglam and ivar), a DESI coadd "
    "(B_WAVELENGTH, B_FLUX, B_IVAR and the same for R and Z, FIBERMAP), a DESI stack (FLUX, IVAR, "
    "WAVE), or any format known to specutils.Spectrum.read"
)


def read_spectrum(path: str | Path, *, medium: str = "vacuum") -> list[SpectrumRecord]:
    """Read the spectra in a file.

    Parameters
    ----------
    path : str or Path
        An SDSS or BOSS ``spec-*.fits``, a DESI coadd (each fibre is one record, its arms joined
        by inverse variance), a DESI stack, or a file that `specutils.Spectrum.read` knows.
    medium : {"vacuum", "air"}
        Of the wavelengths in a file read through specutils; the surveys above say it themselves.

    Returns
    -------
    list of SpectrumRecord

    Raises
    ------
    FileError
        If the file is missing, empty, truncated, or of no known format.
    """
    from astropy.io import fits

    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FileError(f"{path} {what}; expected {_FORMATS}")
    if path.stat().st_size == 0:
        raise FileError(f"{path} is empty; expected {_FORMATS}")
    with path.open("rb") as stream:
        head = stream.read(9)
    if not (head.startswith(b"SIMPLE  =") or head.startswith(b"\x1f\x8b")):
        return _read_other(path, medium)
    try:
        # memmap off, and its warnings of damage errors: a truncated file must fail here,
        # by name, and not later or never.
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=r"(?s).*(truncated|corrupted)")
            with fits.open(path, memmap=False) as hdus:
                records = read_survey_spectra(hdus, path)
    except FileError:
        raise
    except (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, UserWarning) as exc:
        cause = " ".join(str(exc).split())  # astropy's messages have several lines
        raise FileError(
            f"cannot read {path}: it is truncated or damaged ({cause}); expected {_FORMATS}"
        ) from exc
    return _read_other(path, medium) if records is None else records


def spectrum_records(spectrum: Any, *, medium: str = "vacuum") -> list[SpectrumRecord]:
    """Convert a `specutils.Spectrum` (one, or several on one spectral axis).

    Parameters
    ----------
    spectrum : specutils.Spectrum
        Flux density per wavelength or per frequency, shape (P,) or (..., P); any spectral axis
        convertible to a wavelength; any of astropy's uncertainties. The mask is honoured here
        (True is bad), because the user made it; masks of SDSS files are not.
    medium : {"vacuum", "air"}
        Of the spectral axis.

    Returns
    -------
    list of SpectrumRecord

    Raises
    ------
    InputError
        If the flux is not a flux density or the axis not a wavelength.
    """
    from astropy import units as u

    if medium not in ("vacuum", "air"):
        raise InputError(f"medium must be 'vacuum' or 'air', got {medium!r}")
    meta = spectrum.meta if isinstance(getattr(spectrum, "meta", None), Mapping) else {}
    name = str(meta.get("name", meta.get("object", "")))
    try:
        axis = u.Quantity(spectrum.spectral_axis)
        wave = np.asarray(axis.to_value(u.AA, equivalencies=u.spectral()), dtype=np.float64)
    except u.UnitConversionError as exc:
        raise InputError(
            f"spectrum {name!r}: the spectral axis in {spectrum.spectral_axis.unit} is not a "
            "wavelength, frequency or energy; convert it first"
        ) from exc
    flux = np.atleast_2d(np.asarray(spectrum.flux.value, dtype=np.float64))
    flux = flux.reshape(-1, flux.shape[-1])
    target = FLUX_SCALE * u.erg / u.s / u.cm**2 / u.AA
    try:
        factor = (np.ones(wave.shape) * spectrum.flux.unit).to_value(
            target, equivalencies=u.spectral_density(wave * u.AA)
        )
    except u.UnitConversionError as exc:
        raise InputError(
            f"spectrum {name!r}: flux in {str(spectrum.flux.unit) or 'no unit'} is not a flux "
            "density; expected for example 1e-17 erg / (s cm2 Angstrom), Jy or erg / (s cm2 Hz)"
        ) from exc
    ivar = _spectrum_ivar(spectrum, flux.shape, name)
    if ivar is not None:
        ivar = ivar / factor**2
    flux = flux * factor
    mask = getattr(spectrum, "mask", None)
    if mask is not None:
        bad = np.broadcast_to(np.asarray(mask, dtype=bool), spectrum.flux.shape)
        flux = np.where(bad.reshape(flux.shape), np.nan, flux)
    order = np.argsort(wave)
    wave = air_to_vacuum(wave[order]) if medium == "air" else wave[order]
    known = _spectrum_metadata(meta)
    redshift = getattr(spectrum, "redshift", None)
    if "z" not in known and redshift is not None and np.size(redshift) == 1:
        value = float(np.asarray(redshift).reshape(-1)[0])
        if np.isfinite(value) and value != 0:  # specutils says 0 where nothing was given
            known["z"] = value
    several = flux.shape[0] > 1
    return [
        SpectrumRecord(
            wave,
            flux[i, order],
            None if ivar is None else ivar[i, order],
            f"{name}[{i}]" if several else name,
            known,
        )
        for i in range(flux.shape[0])
    ]


def _spectrum_metadata(meta: Mapping[str, Any]) -> dict[str, Any]:
    names = ("z", "zwarning", "class", "subclass", "ra", "dec", "ebv", "survey", "file")
    return {k: meta[k] for k in names if meta.get(k) is not None}


def _spectrum_ivar(spectrum: Any, shape: tuple[int, ...], name: str) -> Array | None:
    """Inverse variance in the flux unit of the spectrum, whatever uncertainty it holds."""
    from astropy import units as u
    from astropy.nddata import InverseVariance, StdDevUncertainty, VarianceUncertainty

    uncertainty = getattr(spectrum, "uncertainty", None)
    if uncertainty is None:
        return None
    powers = ((StdDevUncertainty, 1), (VarianceUncertainty, 2), (InverseVariance, -2))
    power = next((p for kind, p in powers if isinstance(uncertainty, kind)), None)
    if power is None:
        raise InputError(
            f"spectrum {name!r}: an uncertainty of type {type(uncertainty).__name__} has no "
            "defined meaning; use StdDevUncertainty, VarianceUncertainty or InverseVariance"
        )
    values = np.asarray(uncertainty.array, dtype=np.float64)
    unit = uncertainty.unit
    if unit is not None:
        flux_unit = u.Unit(spectrum.flux.unit)
        values = values * u.Unit(unit).to(flux_unit**power)
    with np.errstate(divide="ignore", invalid="ignore"):
        ivar = values if power == -2 else np.where(values > 0, values ** (-2.0 / power), 0.0)
    return np.broadcast_to(ivar, spectrum.flux.shape).reshape(shape)


def _read_other(path: Path, medium: str) -> list[SpectrumRecord]:
    try:
        from specutils import Spectrum

        spectrum = Spectrum.read(str(path))
    except Exception as exc:  # specutils' loaders raise whatever they meet in a foreign file
        raise FileError(f"{path} is not a spectrum that can be read; expected {_FORMATS}") from exc
    records = spectrum_records(spectrum, medium=medium)
    return [replace(r, name=r.name or path.stem) for r in records]
