"""From a column to bandfluxes in microjansky: units, zero points, sentinels, flags, extinction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import InputError
from jpassed.filters import known_bands
from jpassed.surveys.columns import says_magnitude
from jpassed.surveys.extinction import extinction_magnitudes
from jpassed.surveys.matching import Match, TableReader, fill_pattern
from jpassed.surveys.remarks import Remark
from jpassed.units import AB_ZEROPOINT_MICROJANSKY, from_ab_magnitude, parse_unit, to_microjansky

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["BandColumn", "flux_unit", "is_bandflux", "read_band"]

# "Errors" of a magnitude that can only be a limiting magnitude.
LIMIT_RANGE = (10.0, 40.0)


@dataclass
class BandColumn:
    """One band of a table: flux and error in microjansky, shape (N,), and what was left out."""

    flux: NDArray[np.float64]
    error: NDArray[np.float64]
    observed: NDArray[np.bool_]
    bad_error: NDArray[np.bool_]
    pivot: float
    width: float
    messages: list[str] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


def read_band(match: Match, reader: TableReader) -> BandColumn:
    """Bandfluxes of one match.

    Parameters
    ----------
    match : Match
    reader : TableReader

    Returns
    -------
    BandColumn

    Raises
    ------
    InputError
        If the unit of the column is missing or not one of a bandflux.
    """
    rule = match.rule
    pivot, width = rule.passband or known_bands()[match.band]
    value = _element(reader.numbers(match.value)[0], match.element)
    sigma = _element(reader.numbers(match.error)[0], match.element)
    unit = flux_unit(match, reader)
    magnitude = isinstance(unit, str) and unit == "abmag"
    sentinels = rule.sentinels.mag if magnitude else rule.sentinels.flux
    limits = _limits(match, value, sigma) if magnitude else np.zeros(value.shape, bool)
    missing = ~np.isfinite(value) | ~np.isfinite(sigma)
    missing |= (_is_sentinel(value, sentinels) | _is_sentinel(sigma, sentinels)) & ~limits
    missing |= (value == 0) & (sigma == 0)
    if match.error_kind == "ivar":
        missing |= sigma == 0
    bad = ~missing & (sigma < 0 if match.error_kind == "relative_error" else sigma <= 0)
    if match.error_kind == "relative_error":
        # miniJPAS gives the ratio error / flux, which is negative for a negative flux.
        bad = ~missing & (sigma == 0)
    with np.errstate(all="ignore"):
        sigma = _absolute_error(match.error_kind, value, sigma)
        flux, error = _convert(match, reader, value, sigma, unit, pivot)
    if limits.any() and rule.limit is not None:
        raw = _element(reader.numbers(match.error)[0], match.element)
        flux[limits] = 0.0
        error[limits] = from_ab_magnitude(raw[limits]) / rule.limit.nsigma
        bad &= ~limits
    band = BandColumn(flux, error, ~missing & ~bad, bad, pivot, width)
    _say(band, match, bad, "with zero or negative errors in {}; not observed there", match.error)
    _apply_flags(band, match, reader)
    _apply_rows(band, match, reader)
    _deredden(band, match, reader)
    band.observed &= np.isfinite(band.flux) & np.isfinite(band.error) & (band.error > 0)
    band.flux = np.where(band.observed, band.flux, 0.0)
    band.error = np.where(band.observed, band.error, 0.0)
    return band


def _element(values: NDArray[np.float64], element: int | None) -> NDArray[np.float64]:
    return values if element is None else values[:, element]


def _is_sentinel(values: NDArray[np.float64], sentinels: Sequence[float]) -> NDArray[np.bool_]:
    found = np.zeros(values.shape, bool)
    for sentinel in sentinels:
        # Catalogues keep 99.9 in float32; nothing else lies that close to it.
        found |= np.abs(values - sentinel) <= 1e-6 * max(abs(sentinel), 1.0)
    return found


def _limits(
    match: Match, value: NDArray[np.float64], sigma: NDArray[np.float64]
) -> NDArray[np.bool_]:
    limit = match.rule.limit
    if limit is None or match.error_kind != "error":
        return np.zeros(value.shape, bool)
    low, high = LIMIT_RANGE
    return _is_sentinel(value, (limit.value,)) & (sigma > low) & (sigma < high)


def _absolute_error(
    kind: str, value: NDArray[np.float64], sigma: NDArray[np.float64]
) -> NDArray[np.float64]:
    if kind == "ivar":
        return 1.0 / np.sqrt(sigma)
    if kind == "relative_error":
        return np.abs(sigma * value)
    return sigma


def flux_unit(match: Match, reader: TableReader) -> Any:
    """Unit of the value column: its own, else the one of the survey file.

    Returns
    -------
    str or astropy.units.UnitBase
        ``"abmag"`` for AB magnitudes.

    Raises
    ------
    InputError
        If there is none, or it is not one of a bandflux.
    """
    from astropy import units as u

    rule = match.rule
    if rule.zero_point is not None:
        return u.Unit(u.uJy * (AB_ZEROPOINT_MICROJANSKY * 10.0 ** (-0.4 * rule.zero_point)))
    own = reader.unit(match.value)
    if own is not None:
        if isinstance(own, u.MagUnit) and own.physical_unit not in (u.AB, u.dimensionless_unscaled):
            raise InputError(
                f"column {match.value!r} is in {own}; expected AB magnitudes (convert them, or "
                "give 'ab_offset' in a map)"
            )
        if is_bandflux(own):
            return parse_unit(own)
        # A unit that astropy cannot read leaves it to the survey file; one of something else is
        # a column of something else.
        if rule.unit is None or not isinstance(own, u.UnrecognizedUnit):
            raise InputError(f"column {match.value!r}: {_complaint(own)}")
    if rule.unit is None:
        errors = f"{match.error_kind}: {match.error}"
        line = f'{{flux: {match.value}, {errors}, unit: "???"}}'
        if says_magnitude(match.value):
            line = f"{{mag: {match.value}, {errors}}}"
        raise InputError(
            f"column {match.value!r} (band {match.band}) states no unit; give the column one "
            "(uJy, nanomaggy, mag(AB), erg / (s cm2 Hz), erg / (s cm2 Angstrom)), or name it in "
            "a map (--map FILE; identify --as-map writes one), with its unit for any '???':\n"
            f"bands:\n  {match.band}: {line}"
        )
    return parse_unit(rule.unit)


def _complaint(unit: Any) -> str:
    """Why a unit is not one of a bandflux; empty if it is."""
    try:
        to_microjansky(0.0, unit, pivot=5000.0)
    except InputError as exc:
        return str(exc)
    return ""


def is_bandflux(unit: Any) -> bool:
    """Whether a unit is one of a bandflux or of AB magnitudes."""
    return not _complaint(unit)


def _convert(
    match: Match,
    reader: TableReader,
    value: NDArray[np.float64],
    sigma: NDArray[np.float64],
    unit: Any,
    pivot: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rule = match.rule
    offset = rule.ab_offset[match.index] if rule.ab_offset else 0.0
    if rule.asinh_softening and isinstance(unit, str) and unit == "abmag":
        flux, error = _from_asinh(value, sigma, rule.asinh_softening[match.index])
    else:
        flux, error = to_microjansky(value, unit, sigma, pivot)  # type: ignore[assignment]
        if not isinstance(unit, str) and match.error_kind == "error":
            own, stated = reader.unit(match.error), reader.unit(match.value)
            # A value whose unit only the survey file knows has errors of the same sort.
            if own is not None and own != stated and stated is not None and is_bandflux(stated):
                error = _other_unit(match, sigma, own, error, pivot)
    factor = 10.0 ** (-0.4 * offset)
    return flux * factor, error * factor


def _other_unit(
    match: Match, sigma: NDArray[np.float64], unit: Any, error: NDArray[np.float64], pivot: float
) -> NDArray[np.float64]:
    """Errors that state a unit of their own; `error` has them in the unit of the value."""
    try:
        parsed = parse_unit(unit)
        if isinstance(parsed, str) and parsed == "abmag":
            raise InputError("expected the error of the flux, not of a magnitude")
        return to_microjansky(sigma, parsed, pivot=pivot)[0]
    except InputError as exc:
        raise InputError(
            f"column {match.error!r} is in {unit}, but {match.value!r} is a flux: {exc}"
        ) from None


def _from_asinh(
    value: NDArray[np.float64], sigma: NDArray[np.float64], softening: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Flux of an asinh magnitude (Lupton, Gunn & Szalay 1999, AJ 118, 1406, eq. 3)."""
    scale = 0.4 * np.log(10.0)
    argument = -scale * value - np.log(softening)
    flux = 2.0 * softening * np.sinh(argument) * AB_ZEROPOINT_MICROJANSKY
    error = 2.0 * softening * np.cosh(argument) * scale * sigma * AB_ZEROPOINT_MICROJANSKY
    return flux, error


def _apply_flags(band: BandColumn, match: Match, reader: TableReader) -> None:
    index = reader.index(match.rule.prefixes)
    for flag in match.rule.flags:
        plain = fill_pattern(flag.column, match.label, "")
        if plain not in index:
            continue
        values, missing = reader.numbers(index.actual(plain))
        if values.ndim == 2:
            if values.shape[1] != len(match.rule.bands):
                continue
            values, missing = values[:, match.index], missing[:, match.index]
        whole = np.where(missing, 0, values).astype(np.int64)
        bad = (whole != 0) if flag.bits is None else (whole & flag.bits) != 0
        what = "flagged in {}; not observed there"
        _say(band, match, bad & band.observed, what, index.actual(plain))
        band.observed &= ~bad


def _apply_rows(band: BandColumn, match: Match, reader: TableReader) -> None:
    index = reader.index(match.rule.prefixes)
    for selection in match.rule.where:
        plain = selection.column.lower()
        if plain not in index:
            continue
        column = reader.table[index.actual(plain)]
        raw = np.ma.asarray(column)
        if raw.dtype.kind == "S":
            raw = np.ma.array(np.char.decode(raw.data, "ascii", "replace"), mask=raw.mask)
        if raw.dtype.kind in "UO":
            texts = np.char.strip(np.asarray(raw.filled(""), dtype=str))
            chosen = np.isin(texts, [str(value) for value in selection.values])
        else:
            chosen = np.isin(raw.filled(0), list(selection.values))
        band.observed &= chosen
        band.bad_error &= chosen
        return


def _deredden(band: BandColumn, match: Match, reader: TableReader) -> None:
    if not match.rule.extinction:
        return
    magnitudes = extinction_magnitudes(match, band.pivot, reader)
    if magnitudes is None:
        band.messages.append(
            f"{match.rule.survey}: no column of Galactic extinction; the fluxes are taken as "
            "corrected for the Milky Way"
        )
        return
    unknown = ~np.isfinite(magnitudes) | (magnitudes < -1.0)
    _say(band, match, unknown & band.observed, "without Galactic extinction, taken as 0")
    factor = 10.0 ** (0.4 * np.where(unknown, 0.0, magnitudes))
    band.flux *= factor
    band.error *= factor


def _say(
    band: BandColumn, match: Match, rows: NDArray[np.bool_], what: str, column: str = ""
) -> None:
    where = np.flatnonzero(rows)
    if where.size:
        band.remarks.append(Remark(match.band, where, what, column))
