"""The address of an object's spectrum: a pattern, a column, a datalink document, or SSAP."""

from __future__ import annotations

import math
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jpassed.archives.description import SpectrumSource, without_login
from jpassed.exceptions import InputError, ServiceError, UnknownNameError
from jpassed.vo.service import Service
from jpassed.vo.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GONE", "NoSpectrumError", "find_address", "fill_pattern", "transport_to"]

GONE = (404, 410)
SEMANTICS = "#this"
"""What datalink calls the thing itself."""


SAME_PLACE = 0.1
"""Arcsec: of spectra that lie so close none is the nearest."""


class NoSpectrumError(ServiceError):
    """The archive says that there is no spectrum; the reason is its message."""


def transport_to(url: str, *, retries: int = 5, timeout: float = 60.0) -> Transport:
    """Requests to the host of an address, with retries."""
    host = urlsplit(url).netloc.rpartition("@")[2]  # a login is for the requests only
    service = Service(name=host, url=f"{urlsplit(url).scheme}://{host}")
    return Transport(service, None, retries=retries, timeout=timeout, backoff=0.5)


def fill_pattern(pattern: str, row: Mapping[str, Any]) -> str:
    """``spec-{plate:04d}.fits`` with the values of a row.

    Raises
    ------
    UnknownNameError
        If the row lacks a column of the pattern.
    InputError
        If a value does not fit its format.
    """
    try:
        return pattern.format(**{k: v.strip() if isinstance(v, str) else v for k, v in row.items()})
    except KeyError as exc:
        raise UnknownNameError("column of the address of a spectrum", exc.args[0], row) from None
    except (ValueError, IndexError) as exc:
        raise InputError(f"the address {pattern!r} cannot be filled in: {exc}") from None


def find_address(
    source: SpectrumSource,
    key: str,
    row: Mapping[str, Any],
    position: tuple[float, float],
    *,
    transport: Callable[[str], Transport] = transport_to,
) -> str:
    """The address of one object's spectrum.

    Parameters
    ----------
    source : SpectrumSource
    key : str
        The object's identifier.
    row : mapping
        Columns of the object in the table of spectra.
    position : tuple of float
        Right ascension and declination in degrees.
    transport : callable
        Gives the `Transport` for an address.

    Raises
    ------
    NoSpectrumError
        If there is none.
    ServiceError
        If the service does not answer, or not with what was asked for.
    """
    if source.kind == "url":
        value = str(row.get(source.column, "")).strip()
        return fill_pattern(source.variants.get(value, source.url), row)
    if source.kind in ("column", "datalink"):
        url = str(row.get(source.column) or "").strip()
        if not url:
            raise NoSpectrumError(f"no address in column {source.column}")
        return url if source.kind == "column" else _datalink(url, transport(url))
    if source.kind == "ssap":
        return _ssap(source, key, position, transport)
    raise InputError(f"spectra of kind {source.kind!r} have no address")


def _datalink(url: str, transport: Transport) -> str:
    """The link ``#this`` of a datalink document."""
    from pyvo.dal.adhoc import DatalinkResults

    links = _answer(DatalinkResults, transport, url, "the datalink document")
    # Narrower terms would be looked up in a vocabulary on the network.
    for link in links.bysemantics(SEMANTICS, include_narrower=False):
        if link["error_message"]:
            raise NoSpectrumError(f"datalink: {' '.join(str(link['error_message']).split())}")
        if link.access_url:
            return str(link.access_url)
    raise NoSpectrumError(f"no link {SEMANTICS} in the datalink document")


def _ssap(
    source: SpectrumSource,
    key: str,
    position: tuple[float, float],
    transport: Callable[[str], Transport],
) -> str:
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from pyvo.dal.ssa import SSAQuery, SSAResults
    from requests import Request

    if not all(map(math.isfinite, position)):
        raise NoSpectrumError("no position to ask SSAP for")
    service = transport(source.url)
    center = SkyCoord(*position, unit="deg")
    query = SSAQuery(source.url, pos=center, diameter=2 * source.radius * u.arcsec)
    address = str(Request("GET", query.queryurl, params=query).prepare().url)
    found = _answer(SSAResults, service, address, "the spectra at a position")
    records = list(found)
    if source.match:
        if records and source.match not in found.fieldnames:
            raise UnknownNameError("column of the answer of SSAP", source.match, found.fieldnames)
        records = [r for r in records if str(r[source.match]).strip() == key]
    if not records:
        raise NoSpectrumError("SSAP has none at this position")
    if not source.match and len(records) > 1:
        places = SkyCoord([_place(r) for r in records], unit="deg")
        apart = center.separation(places).arcsec
        order = apart.argsort()
        if apart[order[1]] - apart[order[0]] < SAME_PLACE:
            raise NoSpectrumError("SSAP has several at this position, and no 'match' is stated")
        records = [records[int(order[0])]]
    url = str(records[0].getdataurl())
    if "datalink" in str(records[0].format or "").lower():
        return _datalink(url, service)
    return url


def _place(record: Any) -> Any:
    """Right ascension and declination of a row of SSAP, degrees."""
    for utype in ("ssa:Char.SpatialAxis.Coverage.Location.Value", "ssa:Target.Pos"):
        value = record.getbyutype(utype)
        if value is not None and len(value) == 2:
            return [float(x) for x in value]
    raise NoSpectrumError("SSAP has several, without positions; state 'match'")


def _answer(kind: Any, transport: Transport, url: str, what: str) -> Any:
    """An answer of a service as pyvo's class for it.

    It is fetched here and not by pyvo, which waits for ever where a service does not answer.
    """
    from astropy.io.votable import parse
    from pyvo.dal import DALQueryError, DALServiceError

    try:
        content = transport.read("GET", url, what)
    except ServiceError as exc:
        status = getattr(exc, "status", None)
        if status in GONE:
            raise NoSpectrumError(f"{what} is not at the archive (HTTP {status})") from None
        raise
    try:
        return kind(parse(BytesIO(content), verify="ignore"), url=url)
    except DALQueryError as exc:
        raise NoSpectrumError(f"refused: {' '.join(str(exc).split())}") from None
    except (ValueError, IndexError, KeyError, TypeError, DALServiceError) as exc:
        said = " ".join(content[:60].decode("utf-8", "replace").split())
        raise ServiceError(
            f"{without_login(url)} gives no VOTable ({said!r}); expected {what}"
        ) from exc
