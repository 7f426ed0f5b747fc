"""Spectra in, a table of J-spectra out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import FileError, InputError
from jpassed.filters import find_band, load_filters
from jpassed.io.spectra import read_spectrum, spectrum_records
from jpassed.io.spectrum_record import SpectrumRecord
from jpassed.jspectrum.extinction import dereddening_factor
from jpassed.jspectrum.synthetic import SyntheticPhotometry
from jpassed.units import from_ab_magnitude, parse_unit

if TYPE_CHECKING:
    from astropy.table import QTable
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["gather_records", "jspectra"]

logger = logging.getLogger(__name__)

SFD_SCALE = 0.86
"""E(B-V) over that of Schlegel, Finkbeiner & Davis (1998) (Schlafly & Finkbeiner 2011, ApJ 737,
103), for the curve of Fitzpatrick (1999)."""

DEFAULT_SCALE_BAND = "rSDSS"
"""The band of a total magnitude that is given as a bare number."""


def jspectra(
    spectra: Any,
    *,
    filters: Any = "jpas",
    total_mag: Any = None,
    ebv: Any = None,
    medium: str = "vacuum",
    min_coverage: float = 0.99,
    max_gap: float = 0.05,
    skip_unreadable: bool = False,
) -> QTable:
    """Turn spectra into synthetic bandfluxes: J-spectra.

    Parameters
    ----------
    spectra : path, specutils.Spectrum, SpectrumRecord, or an iterable of these
        Files of SDSS, BOSS and DESI (see `jpassed.io.spectra.read_spectrum`); a file with several
        fibres gives several rows.
    filters : str, FilterSet, SyntheticPhotometry, or a sequence of str
        Names of filter sets, or a set.
    total_mag : number, array, or mapping from one band to these, optional
        Total AB magnitude of each object, by which its spectrum, errors included, is scaled: a
        fibre sees only part of a galaxy. A bare number or array is in rSDSS; otherwise
        ``{"sdss_r": magnitudes}``. Objects without one (NaN or masked) keep their flux. Scale
        before joining total fluxes, such as GALEX's. Magnitudes are taken as they would be
        measured on the spectrum that is used: dereddened if `ebv` is given.
    ebv : number, array or "metadata", optional
        Galactic E(B-V) of each object. The spectra of SDSS, BOSS and DESI are not corrected for
        Galactic extinction; jpassed's fluxes are. The curve is that of Fitzpatrick (1999),
        R_V = 3.1, applied pixel by pixel. ``"metadata"`` takes what the file says (BOSS: from
        EXTINCTION; DESI: EBV), which is the map of Schlegel, Finkbeiner & Davis (1998), times
        0.86 (Schlafly & Finkbeiner 2011). Objects without one (NaN) are not corrected.
    medium : {"vacuum", "air"}
        Of the wavelengths of `specutils.Spectrum` objects and of files read through specutils.
    min_coverage, max_gap : float
        When a band counts as observed; see `SyntheticPhotometry`.
    skip_unreadable : bool
        Leave files out that cannot be read, with a warning that names each, instead of raising for
        the first. `total_mag` and `ebv` have one number for each spectrum that is left: give bare
        numbers.

    Returns
    -------
    QTable
        One row per spectrum: `name`, `ra`, `dec`, `z_spec`, `zwarning`, `spec_class`, `spec_sn`
        (median S/N per pixel), `aperture_scale` (if `total_mag`), `ebv` (if `ebv`), and for
        every band `<band>` and `<band>_err`, AB bandflux in microjansky, masked where not
        observed. Negative fluxes are kept. No label here is used by a model unless named.
        The table's meta holds `MINCOVER`, `MAXGAP`, `MWCORR` (corrected for Galactic extinction)
        and `APSCALED` (scaled to total magnitudes).

    Raises
    ------
    InputError
        If there is no spectrum, lengths differ, or an argument is unusable.
    UnknownNameError
        If a filter set or band is not known.
    FileError
        If a file cannot be read, or with `skip_unreadable` none of them.

    Examples
    --------
    A flat spectrum of 50 microjansky:

    >>> import numpy as np
    >>> from astropy import units as u
    >>> from astropy.nddata import StdDevUncertainty
    >>> from specutils import Spectrum
    >>> import jpassed
    >>> wave = np.arange(3600.0, 9400.0, 1.5) * u.AA
    >>> flux = np.full(len(wave), 50.0) * u.uJy
    >>> error = StdDevUncertainty(np.full(len(wave), 5.0) * u.uJy)
    >>> spectrum = Spectrum(flux=flux, spectral_axis=wave, uncertainty=error)
    >>> table = jpassed.jspectra([spectrum])
    >>> table["J0660"].round(3)
    <MaskedQuantity [50.] uJy>
    >>> table["J1007"].mask.tolist()  # its range is not covered
    [True]
    """
    records = gather_records(spectra, medium=medium, skip_unreadable=skip_unreadable)
    photometry = _photometry(filters, min_coverage, max_gap)
    excess = _galactic_excess(ebv, records)
    factors = _dereddening(excess, records)
    measured = photometry.measure(records, factors)
    flux, error, observed = measured.flux, measured.error, measured.observed

    scale = None
    if total_mag is not None:
        scale = _aperture_scale(total_mag, records, factors, photometry)
        flux, error = flux * scale[:, None], error * scale[:, None]
        # A spectrum that shows nothing in the reference band cannot be scaled to a magnitude.
        observed = observed & np.isfinite(scale)[:, None]
    table = _object_columns(records)
    if scale is not None:
        table["aperture_scale"] = _masked(scale, np.isnan(scale))
        table["aperture_scale"].info.description = "factor from the spectrum to the total flux"
    if excess is not None:
        table["ebv"] = _masked(excess, np.isnan(excess), "mag")
        table["ebv"].info.description = "Galactic E(B-V) that was corrected for"
    for b, name in enumerate(photometry.names):
        _add_band(table, name, flux[:, b], error[:, b], observed[:, b])
    # Short names and plain values: they become header cards of a FITS file.
    table.meta["MINCOVER"] = photometry.min_coverage
    table.meta["MAXGAP"] = photometry.max_gap
    table.meta["MWCORR"] = excess is not None
    table.meta["APSCALED"] = scale is not None
    return table


def gather_records(
    spectra: Any, *, medium: str = "vacuum", skip_unreadable: bool = False
) -> list[SpectrumRecord]:
    """Records of whatever `jspectra` accepts.

    Parameters
    ----------
    spectra : path, specutils.Spectrum, SpectrumRecord, or an iterable of these
    medium : {"vacuum", "air"}
    skip_unreadable : bool
        Leave files out that cannot be read, and warn.

    Returns
    -------
    list of SpectrumRecord
        At least one.

    Raises
    ------
    InputError
        If there is none, or an item is none of these.
    FileError
        If a file cannot be read, or with `skip_unreadable` none of them.
    """
    if medium not in ("vacuum", "air"):
        raise InputError(f"medium must be 'vacuum' or 'air', got {medium!r}")
    unreadable: list[FileError] = []
    records = list(_records(spectra, medium, unreadable if skip_unreadable else None))
    if unreadable:
        for error in unreadable:
            logger.warning("left out: %s", error)
        if not records:
            raise FileError(
                f"none of {len(unreadable)} files can be read; of the first: {unreadable[0]}"
            )
    if not records:
        raise InputError("no spectrum was given: the list is empty")
    return records


def _records(
    spectra: Any, medium: str, unreadable: list[FileError] | None
) -> Iterator[SpectrumRecord]:
    """Records of all that is given; what is wrong with a file is kept in `unreadable` if it can."""
    if isinstance(spectra, SpectrumRecord):
        yield spectra
    elif isinstance(spectra, str | Path):
        try:
            yield from read_spectrum(spectra, medium=medium)
        except FileError as exc:
            if unreadable is None:
                raise
            unreadable.append(exc)
        except InputError as exc:  # a spectrum in units of another kind
            if unreadable is None:
                raise
            unreadable.append(FileError(f"{spectra}: {exc}"))
    # By its attributes: importing specutils takes seconds, and only its users have imported it.
    elif hasattr(spectra, "spectral_axis") and hasattr(spectra, "flux"):
        yield from spectrum_records(spectra, medium=medium)
    elif isinstance(spectra, Iterable) and not isinstance(spectra, Mapping | bytes | np.ndarray):
        for item in spectra:
            yield from _records(item, medium, unreadable)
    else:
        raise InputError(
            "expected the path of a spectrum file, a specutils.Spectrum, a SpectrumRecord, or a "
            f"list of these, got {type(spectra).__name__}"
        )


def _photometry(filters: Any, min_coverage: float, max_gap: float) -> SyntheticPhotometry:
    if isinstance(filters, SyntheticPhotometry):
        return filters
    if isinstance(filters, str):
        filters = load_filters(filters)
    elif isinstance(filters, Sequence) and filters and all(isinstance(f, str) for f in filters):
        filters = [band for name in filters for band in load_filters(name)]
    return SyntheticPhotometry(filters, min_coverage=min_coverage, max_gap=max_gap)


def _per_object(values: Any, count: int, what: str) -> Array:
    """One number per object, NaN where masked."""
    unit = getattr(values, "unit", None)
    if unit is not None and parse_unit(unit) != "abmag":
        raise InputError(f"{what}: expected magnitudes, got a quantity in {unit}")
    mask = getattr(values, "mask", None)
    plain = getattr(values, "unmasked", values)
    try:
        numbers = np.asarray(getattr(plain, "value", plain), dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise InputError(f"{what}: expected numbers, got {values!r}") from exc
    if mask is not None:
        numbers = np.where(mask, np.nan, numbers)
    if numbers.ndim > 1 or (numbers.ndim == 1 and numbers.size != count):
        raise InputError(
            f"{what}: expected one number or {count} (one per spectrum), got shape {numbers.shape}"
        )
    return np.array(np.broadcast_to(numbers, (count,)))


def _galactic_excess(ebv: Any, records: Sequence[SpectrumRecord]) -> Array | None:
    if ebv is None:
        return None
    if isinstance(ebv, str):
        if ebv != "metadata":
            raise InputError(f"ebv must be numbers or 'metadata', got {ebv!r}")
        listed = [record.metadata.get("ebv", np.nan) for record in records]
        values = SFD_SCALE * np.array(listed, dtype=np.float64)
    else:
        values = _per_object(ebv, len(records), "ebv")
    missing = int(np.isnan(values).sum())
    if missing:
        logger.warning(
            "%d of %d spectra have no E(B-V) and were not corrected for Galactic extinction",
            missing,
            len(records),
        )
    return values


def _dereddening(
    excess: Array | None, records: Sequence[SpectrumRecord]
) -> list[Array | None] | None:
    if excess is None:
        return None
    factors: list[Array | None] = []
    for record, value in zip(records, excess, strict=True):
        if np.isnan(value) or record.metadata.get("frame") == "rest":
            factors.append(None)
        else:
            factors.append(dereddening_factor(record.wave, value))
    return factors


def _aperture_scale(
    total_mag: Any,
    records: Sequence[SpectrumRecord],
    factors: Sequence[Array | None] | None,
    photometry: SyntheticPhotometry,
) -> Array:
    """Factor from a spectrum to the total flux: 1 without magnitude, NaN if there is no flux."""
    if isinstance(total_mag, Mapping):
        if len(total_mag) != 1:
            raise InputError(
                f"total_mag takes one band, e.g. {{'rSDSS': 19.2}}, got {len(total_mag)}: "
                f"{', '.join(map(str, total_mag)) or 'none'}"
            )
        ((band, values),) = total_mag.items()
    else:
        band, values = DEFAULT_SCALE_BAND, total_mag
    magnitude = _per_object(values, len(records), "total_mag")
    reference = SyntheticPhotometry(
        [find_band(band)], min_coverage=photometry.min_coverage, max_gap=photometry.max_gap
    )
    flux = reference.measure(records, factors).flux[:, 0]
    given = np.isfinite(magnitude)
    usable = flux > 0
    scale = np.ones(len(records))
    scale[given & usable] = (from_ab_magnitude(magnitude) / flux)[given & usable]
    scale[given & ~usable] = np.nan
    for n in map(int, np.flatnonzero(given & ~usable)):
        reason = "is not covered" if np.isnan(flux[n]) else "has no positive flux"
        logger.warning(
            "spectrum %r cannot be scaled: %s %s in it; its bands are masked",
            records[n].name,
            band,
            reason,
        )
    return scale


def _masked(values: Any, mask: Any, unit: str | None = None) -> Any:
    from astropy import units as u
    from astropy.table import MaskedColumn
    from astropy.utils.masked import Masked

    if unit is None:  # a Masked array without unit does not survive VOTable
        return MaskedColumn(np.array(values), mask=np.array(mask))
    return Masked(np.array(values) * u.Unit(unit), mask=np.array(mask))


def _object_columns(records: Sequence[SpectrumRecord]) -> QTable:
    from astropy.table import QTable

    def numbers(key: str) -> Array:
        return np.array([_number(record.metadata.get(key)) for record in records])

    table = QTable()
    table["name"] = [record.name for record in records]
    table["name"].info.meta = {"ucd": "meta.id"}
    for column, key, unit, ucd, description in (
        ("ra", "ra", "deg", "pos.eq.ra", "right ascension"),
        ("dec", "dec", "deg", "pos.eq.dec", "declination"),
        ("z_spec", "z", None, "src.redshift", "spectroscopic redshift of the pipeline"),
    ):
        values = numbers(key)
        table[column] = _masked(values, np.isnan(values), unit)
        table[column].info.description = description
        table[column].info.meta = {"ucd": ucd}
    warning = numbers("zwarning")
    table["zwarning"] = _masked(np.nan_to_num(warning).astype(np.int64), np.isnan(warning))
    table["zwarning"].info.description = "redshift warning of the pipeline, 0 is good"
    table["spec_class"] = [str(record.metadata.get("class", "")) for record in records]
    signal = np.array([record.median_sn for record in records])
    table["spec_sn"] = _masked(signal, np.isnan(signal))
    table["spec_sn"].info.description = "median signal-to-noise ratio per pixel of the spectrum"
    return table


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _add_band(
    table: QTable, name: str, flux: Array, error: Array, observed: NDArray[np.bool_]
) -> None:
    table[name] = _masked(np.where(observed, flux, np.nan), ~observed, "uJy")
    table[name].info.description = f"synthetic AB bandflux in {name}"
    table[name].info.meta = {"ucd": "phot.flux.density"}
    unknown = ~observed | ~np.isfinite(error)
    table[f"{name}_err"] = _masked(np.where(unknown, np.nan, error), unknown, "uJy")
    table[f"{name}_err"].info.description = f"random error of the bandflux in {name}"
    table[f"{name}_err"].info.meta = {"ucd": "stat.error;phot.flux.density"}
