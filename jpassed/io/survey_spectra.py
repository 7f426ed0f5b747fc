"""Readers of the spectrum files of SDSS, BOSS and DESI."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import FileError
from jpassed.io.spectrum_record import SpectrumRecord, native
from jpassed.units import air_to_vacuum

if TYPE_CHECKING:
    from pathlib import Path

    from astropy.io.fits import HDUList
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["join_arms", "read_survey_spectra"]


def read_survey_spectra(hdus: HDUList, path: Path) -> list[SpectrumRecord] | None:
    """Read an open FITS file of SDSS, BOSS or DESI; None if it is neither.

    Parameters
    ----------
    hdus : astropy.io.fits.HDUList
    path : Path
        For names and messages.

    Returns
    -------
    list of SpectrumRecord, or None

    Raises
    ------
    FileError
        If a part of the format is missing.
    """
    names = {hdu.name.upper() for hdu in hdus}
    if "COADD" in names or _has_columns(hdus, 1, ("FLUX", "LOGLAM", "IVAR")):
        return [_read_sdss(hdus, path)]
    if any(f"{arm}_WAVELENGTH" in names for arm in "BRZ"):
        return _read_desi(hdus, path)
    if {"FLUX", "IVAR", "WAVE"} <= names:
        return _read_stack(hdus, path)
    return None


def _has_columns(hdus: HDUList, index: int, names: Iterable[str]) -> bool:
    columns = getattr(hdus[index], "columns", None) if len(hdus) > index else None
    return columns is not None and set(names) <= {c.upper() for c in columns.names}


def _read_sdss(hdus: HDUList, path: Path) -> SpectrumRecord:
    """Read an SDSS or BOSS ``spec`` file.

    Read with astropy and not specutils, whose loader keeps ivar but sets its mask wherever
    `and_mask` has any bit, the harmless BRIGHTSKY included (20-60 % of a spectrum's pixels).
    """
    table = hdus["COADD" if "COADD" in hdus else 1]
    if not _has_columns(hdus, hdus.index_of(table.name), ("FLUX", "LOGLAM", "IVAR")):
        raise FileError(f"{path}: the COADD table lacks flux, loglam or ivar")
    loglam = native(table.data["loglam"])
    header = hdus[0].header
    # loglam is float32 on a lattice of 1e-4 dex: put it back there. It moves no pixel by more
    # than 0.5 % of its width, and lets spectra of any range share one weight matrix.
    index = np.round(loglam * 1e4)
    if np.max(np.abs(loglam * 1e4 - index)) < 0.02:
        loglam = index * 1e-4
    wave = 10.0**loglam
    if header.get("VACUUM") is False:
        wave = air_to_vacuum(wave)
    metadata: dict[str, Any] = {"survey": "SDSS", "file": str(path), "frame": "observed"}
    for hdu in hdus[2:]:
        if hdu.name.upper() in ("SPECOBJ", "SPALL", "SPECTRUM") or _has_columns(
            hdus, hdus.index_of(hdu), ("ZWARNING", "CLASS")
        ):
            metadata |= _sdss_object(hdu.data)
            break
    for key, card in (("ra", "PLUG_RA"), ("dec", "PLUG_DEC")):
        if key not in metadata and card in header:
            metadata[key] = float(header[card])
    return SpectrumRecord(
        wave, table.data["flux"], table.data["ivar"], metadata.pop("name", path.stem), metadata
    )


def _sdss_object(table: Any) -> dict[str, Any]:
    """What the one-row SPECOBJ or SPALL table says."""
    columns = {name.upper(): name for name in table.names}

    def get(name: str) -> Any:
        return table[columns[name]][0] if name in columns else None

    def text(name: str) -> str:
        value = get(name)
        return "" if value is None else str(value).strip()

    known: dict[str, Any] = {}
    readers: tuple[tuple[str, tuple[str, ...], Callable[[Any], Any]], ...] = (
        ("z", ("Z",), float),
        ("z_err", ("Z_ERR",), float),
        ("zwarning", ("ZWARNING",), int),
        ("ra", ("PLUG_RA", "RA"), float),
        ("dec", ("PLUG_DEC", "DEC"), float),
        ("spectroflux", ("SPECTROFLUX",), native),
        ("cmodelmag", ("CMODELMAG",), native),
        ("cmodelflux", ("CMODELFLUX",), native),
        ("extinction", ("EXTINCTION",), native),
    )
    for key, names, convert in readers:
        value = next((v for v in map(get, names) if v is not None), None)
        if value is not None:
            known[key] = convert(value)
    known["class"], known["subclass"] = text("CLASS"), text("SUBCLASS")
    numbers = [get(name) for name in ("PLATE", "MJD", "FIBERID")]
    if all(number is not None for number in numbers):
        known["name"] = "{:04d}-{:05d}-{:04d}".format(*(int(number) for number in numbers))
    extinction = known.get("extinction")
    if extinction is not None and extinction.size == 5 and extinction[2] > 0:
        # SDSS tabulates A_r of Schlegel, Finkbeiner & Davis (1998) with A_r = 2.751 E(B-V)
        # (Stoughton et al. 2002, sect. 4.6).
        known["ebv"] = float(extinction[2] / 2.751)
    return known


def _read_desi(hdus: HDUList, path: Path) -> list[SpectrumRecord]:
    """Read every fibre of a DESI coadd or spectra file. specutils has no loader for them."""
    names = {hdu.name.upper() for hdu in hdus}
    arms = [arm for arm in "BRZ" if f"{arm}_WAVELENGTH" in names]
    incomplete = [
        f"{arm}_{part}" for arm in arms for part in ("FLUX", "IVAR") if f"{arm}_{part}" not in names
    ]
    if incomplete:
        raise FileError(f"{path}: a DESI coadd without {', '.join(incomplete)}; is it truncated?")
    pieces = [
        (
            native(hdus[f"{arm}_WAVELENGTH"].data),
            np.atleast_2d(native(hdus[f"{arm}_FLUX"].data)),
            np.atleast_2d(native(hdus[f"{arm}_IVAR"].data)),
        )
        for arm in arms
    ]
    wave, flux, ivar = join_arms(pieces)
    fibres: dict[str, Any] = {}
    for extension in ("FIBERMAP", "COADD_FIBERMAP", "EXP_FIBERMAP"):
        if extension in names and len(hdus[extension].data) == flux.shape[0]:
            fibres |= {
                n.upper(): hdus[extension].data[n]
                for n in hdus[extension].columns.names
                if n.upper() not in fibres
            }
    records = []
    for i in range(flux.shape[0]):
        metadata: dict[str, Any] = {"survey": "DESI", "file": str(path), "frame": "observed"}
        for key, column in (("ra", "TARGET_RA"), ("dec", "TARGET_DEC"), ("ebv", "EBV")):
            if column in fibres and np.isfinite(fibres[column][i]):
                metadata[key] = float(fibres[column][i])
        target = str(fibres["TARGETID"][i]) if "TARGETID" in fibres else f"{path.stem}[{i}]"
        records.append(SpectrumRecord(wave, flux[i], ivar[i], target, metadata))
    return records


def join_arms(pieces: Iterable[tuple[Array, Array, Array]]) -> tuple[Array, Array, Array]:
    """Join the arms of a spectrograph, averaging by inverse variance where they overlap.

    Parameters
    ----------
    pieces : iterable of (wave (P,), flux (N, P), ivar (N, P))
        One item an arm. Where two arms overlap on one lattice of wavelengths (as DESI's do), they
        are averaged pixel by pixel; otherwise the overlap is cut in its middle.

    Returns
    -------
    wave (P,), flux (N, P), ivar (N, P) : ndarray
    """
    ordered = sorted(pieces, key=lambda piece: piece[0][0])
    wave, flux, ivar = (np.array(x) for x in ordered[0])
    flux = np.where(ivar > 0, flux, 0.0)  # a NaN of no weight stays out of the average
    for new_wave, new_flux, new_ivar in ordered[1:]:
        new_flux = np.where(new_ivar > 0, new_flux, 0.0)
        start = np.searchsorted(wave, new_wave[0] - 1e-3)
        shared = wave.size - start
        aligned = 0 < shared <= new_wave.size and np.allclose(
            wave[start:], new_wave[:shared], rtol=0, atol=1e-3
        )
        if aligned:
            total = ivar[:, start:] + new_ivar[:, :shared]
            weighted = (
                flux[:, start:] * ivar[:, start:] + new_flux[:, :shared] * new_ivar[:, :shared]
            )
            flux[:, start:] = np.divide(weighted, total, out=np.zeros_like(total), where=total > 0)
            ivar[:, start:] = total
            keep_old, keep_new = slice(None), slice(shared, None)
        else:
            middle = 0.5 * (wave[-1] + new_wave[0]) if shared else wave[-1]
            keep_old = slice(0, int(np.searchsorted(wave, middle, side="right")))
            keep_new = slice(int(np.searchsorted(new_wave, middle, side="right")), None)
        wave = np.concatenate([wave[keep_old], new_wave[keep_new]])
        flux = np.concatenate([flux[:, keep_old], new_flux[:, keep_new]], axis=1)
        ivar = np.concatenate([ivar[:, keep_old], new_ivar[:, keep_new]], axis=1)
    return wave, flux, ivar


def _read_stack(hdus: HDUList, path: Path) -> list[SpectrumRecord]:
    """Read a stack of DESI spectra: rest frame (z = 0), flux in arbitrary units."""
    wave = native(hdus["WAVE"].data)
    if str(hdus["WAVE"].header.get("AIRORVAC", "vac")).strip().lower() == "air":
        wave = air_to_vacuum(wave)
    flux = np.atleast_2d(native(hdus["FLUX"].data))
    ivar = np.atleast_2d(native(hdus["IVAR"].data))
    info = hdus["STACKINFO"].data if "STACKINFO" in hdus else None
    records = []
    for i in range(flux.shape[0]):
        metadata: dict[str, Any] = {"survey": "DESI", "file": str(path), "frame": "rest"}
        metadata["flux_unit"] = "arbitrary"
        if info is not None and "Z" in info.names:
            metadata["z"] = float(info["Z"][i])
        name = path.stem if flux.shape[0] == 1 else f"{path.stem}[{i}]"
        records.append(SpectrumRecord(wave, flux[i], ivar[i], name, metadata))
    return records
