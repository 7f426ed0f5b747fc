"""What the SVO Filter Profile Service has of a facility, and all of its curves."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.filters.svo import SvoCurve, curve_of
from jpassed.filters.svo_answers import SvoService, first_table, status_of

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["UnknownFacilityError", "fetch_curves", "list_svo"]

# Column here, FIELD of the service, unit (None: text).
_COLUMNS = (
    ("id", "filterID", None),
    ("facility", "Facility", None),
    ("instrument", "Instrument", None),
    ("band", "Band", None),
    ("pivot", "WavelengthPivot", "Angstrom"),
    ("width", "WidthEff", "Angstrom"),
    ("wmin", "WavelengthMin", "Angstrom"),
    ("wmax", "WavelengthMax", "Angstrom"),
    ("description", "Description", None),
    ("reference", "ProfileReference", None),
)

_MISSING_SHOWN = 8


class UnknownFacilityError(UnknownNameError):
    """A facility or instrument of which the service has no filters."""

    def __init__(self, what: str, name: str, choices: Sequence[str], address: str, said: str):
        super().__init__(what, name, choices)
        listed = self.message if choices else f"unknown {what} {name!r}"
        self.message = (
            f"{listed}: {address} answers {said!r}. Names are case-sensitive, for example OAJ, "
            "SLOAN, GALEX, Euclid; the service's web page lists them"
        )
        self.args = (self.message,)


def list_svo(
    facility: str,
    instrument: str | None = None,
    *,
    cache: bool | str | os.PathLike[str] = True,
    refresh: bool = False,
    base_url: str | None = None,
    timeout: float = 60.0,
) -> QTable:
    """The filters that the SVO Filter Profile Service has of a facility.

    Parameters
    ----------
    facility : str
        For example ``"OAJ"``.
    instrument : str, optional
        For example ``"JPAS"``; all of the facility otherwise.
    cache : bool or path
        True: ``jpassed/svo`` in astropy's cache. A path: that folder. False: no cache.
    refresh : bool
        Ask the service even where the cache has the list.
    base_url : str, optional
        Address of the service; by default that in the environment variable ``JPASSED_SVO_URL``,
        else `jpassed.filters.svo.SVO_URL`.
    timeout : float
        Seconds to wait.

    Returns
    -------
    QTable
        One row a filter, by increasing pivot: ``id`` (for `FilterSet.from_svo`), ``facility``,
        ``instrument``, ``band``, ``pivot``, ``width`` (effective), ``wmin``, ``wmax`` (Å, masked
        where the service has none), ``description``, ``reference``. Wavelengths are the
        service's own; it does not say whether in air or vacuum.

    Raises
    ------
    InputError
        If a name is empty.
    UnknownNameError
        If the service has no such facility or instrument.
    FileError
        If the service cannot be reached, or answers with something else.
    """
    return _index(facility, instrument, SvoService(base_url, cache, timeout), refresh)


def fetch_curves(
    facility: str,
    instrument: str | None,
    service: SvoService,
    *,
    refresh: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, SvoCurve]:
    """All curves of a facility or of one of its instruments, by id.

    What has arrived is in the cache, so that a second call goes on where one was cut.

    Parameters
    ----------
    facility, instrument : str
        See `list_svo`.
    service : SvoService
    refresh : bool
        Ask for the list again (not for curves that are there).
    progress : callable, optional
        Called with (curves there, curves in all).

    Raises
    ------
    FileError
        If the service cannot be reached; the message names what is missing.
    """
    ids = [str(identifier) for identifier in _index(facility, instrument, service, refresh)["id"]]
    curves: dict[str, SvoCurve] = {}
    for identifier in ids:
        try:
            curves[identifier] = curve_of(identifier, service)
        except FileError as exc:
            missing = [i for i in ids if i not in curves and not service.has(i)]
            shown = ", ".join(missing[:_MISSING_SHOWN])
            more = ", ..." if len(missing) > _MISSING_SHOWN else ""
            raise FileError(
                f"{len(missing)} of {len(ids)} curves of {_name(facility, instrument)} are "
                f"missing ({shown}{more}): {exc}"
            ) from exc
        if progress is not None:
            progress(len(curves), len(ids))
    return curves


def _name(facility: str, instrument: str | None) -> str:
    return facility if instrument is None else f"{facility}/{instrument}"


def _index(facility: str, instrument: str | None, service: SvoService, refresh: bool) -> QTable:
    for name in (facility, instrument):
        if name is not None and (not name.strip() or not name.isprintable()):
            raise InputError(
                f"a facility looks like 'OAJ', an instrument like 'JPAS'; got {name!r}"
            )
    query = {"Facility": facility}
    # The list of the whole facility serves each of its instruments.
    if instrument is not None and (refresh or not service.has(_cache_name(query))):
        query["Instrument"] = instrument
    table = service.answer(
        query,
        _cache_name(query),
        f"the list of filters of {_name(facility, instrument)!r}",
        lambda content, address: _parse(content, address, facility, query.get("Instrument")),
        refresh=refresh,
    )
    if instrument is None:
        return table
    chosen = table[table["instrument"] == instrument]
    if len(chosen) == 0:
        known = sorted({str(name) for name in table["instrument"]})
        raise UnknownFacilityError(
            f"instrument of the SVO facility {facility!r}",
            instrument,
            known,
            service.address(query),
            "other instruments",
        )
    return chosen


def _cache_name(query: dict[str, str]) -> str:
    return "&".join(f"{key}={value}" for key, value in query.items())


def _parse(content: bytes, address: str, facility: str, instrument: str | None) -> QTable:
    from astropy import units as u
    from astropy.table import MaskedColumn, QTable
    from astropy.utils.masked import Masked

    document, found = first_table(content, address)
    if found is None:
        what = "SVO facility" if instrument is None else "SVO facility and instrument"
        raise UnknownFacilityError(
            what, _name(facility, instrument), (), address, status_of(document)
        )
    names = [field.name for field in found.fields]
    if "filterID" not in names:
        raise FileError(
            f"the answer of {address} is no list of filters: it has the columns {names}, and not "
            "filterID"
        )
    table = QTable()
    for name, field, unit in _COLUMNS:
        raw = found.array[field] if field in names else None
        if unit is None:
            table[name] = np.array(_texts(raw, len(found.array)), dtype=str)
            continue
        values, missing = _numbers(raw, len(found.array))
        stated = found.fields[names.index(field)].unit if field in names else None
        factor = u.Unit(stated or unit).to(u.Unit(unit))
        table[name] = Masked(values * factor, mask=missing) * u.Unit(unit)
        table[name].info.description = f"{field} of the service"
    # A filter has a row for each of its photometric calibrations.
    _, first = np.unique(table["id"], return_index=True)
    table = table[np.sort(first)]
    order = np.argsort(MaskedColumn(table["pivot"].unmasked.value, mask=table["pivot"].mask))
    return table[order]


def _texts(raw: Any, n_rows: int) -> list[str]:
    if raw is None:
        return [""] * n_rows
    filled = np.ma.filled(np.ma.asarray(raw), "")
    return [
        (item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)).strip()
        for item in filled
    ]


def _numbers(raw: Any, n_rows: int) -> tuple[Any, Any]:
    if raw is None:
        return np.zeros(n_rows), np.ones(n_rows, dtype=bool)
    column = np.ma.asarray(raw, dtype=np.float64)
    missing = np.ma.getmaskarray(column) | ~np.isfinite(column.filled(np.nan))
    return np.where(missing, 0.0, column.filled(0.0)), missing
