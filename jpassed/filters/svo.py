"""Transmission curves from the SVO Filter Profile Service, kept in a cache."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.filters.curves import to_angstrom
from jpassed.filters.svo_answers import SVO_URL, SvoService, first_table, status_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SVO_URL", "SvoCurve", "UnknownSvoIdError", "curve_of", "fetch_curve"]

# PARAM DetectorType of the service. It is 0 too where nobody has set it (SDSS for one, see
# https://github.com/mfouesneau/pyphot/issues/14), so callers decide whether to believe it.
_COUNTING = {"0": "energy", "1": "photon"}


class UnknownSvoIdError(UnknownNameError):
    """An id for which the service has no curve."""

    def __init__(self, identifier: str, address: str, said: str) -> None:
        super().__init__("SVO filter id", identifier, ())
        self.message = (
            f"unknown SVO filter id {identifier!r}: {address} answers {said!r}. Ids look like "
            "'OAJ/JPAS.J0378' and are case-sensitive; `jpassed filters --svo OAJ` lists those of "
            "a facility"
        )
        self.args = (self.message,)


@dataclass(frozen=True)
class SvoCurve:
    """One curve as the service gives it.

    Attributes
    ----------
    wavelength : ndarray, shape (n,)
        Å; the service does not say whether in air or in vacuum.
    throughput : ndarray, shape (n,)
    counting : str
        ``"photon"`` or ``"energy"``: the service's statement, often a mere default.
    origin : str
        Address it came from.
    """

    wavelength: NDArray[np.float64]
    throughput: NDArray[np.float64]
    counting: str
    origin: str


def fetch_curve(
    identifier: str,
    *,
    cache: bool | str | os.PathLike[str] = True,
    base_url: str | None = None,
    timeout: float = 30.0,
) -> SvoCurve:
    """One transmission curve, from the cache if it is there, else from the service.

    Parameters
    ----------
    identifier : str
        SVO id, e.g. ``"OAJ/JPAS.J0378"``.
    cache : bool or path
        True: ``jpassed/svo`` in astropy's cache. A path: that folder. False: no cache.
    base_url : str, optional
        Address of the service; by default that in the environment variable ``JPASSED_SVO_URL``,
        else `SVO_URL`.
    timeout : float
        Seconds to wait.

    Raises
    ------
    InputError
        If the id is empty or holds characters that no id has.
    UnknownSvoIdError
        If the service does not know the id.
    FileError
        If the service cannot be reached or answers with no curve.
    """
    return curve_of(identifier, SvoService(base_url, cache, timeout))


def curve_of(identifier: str, service: SvoService) -> SvoCurve:
    """`fetch_curve` from a service that is there already."""
    if not identifier.strip() or not identifier.isprintable():
        raise InputError(f"an SVO id looks like 'OAJ/JPAS.J0378'; got {identifier!r}")

    def parse(content: bytes, address: str) -> SvoCurve:
        return _parse(content, identifier, address)

    return service.answer({"ID": identifier}, identifier, f"the curve {identifier!r}", parse)


def _parse(content: bytes, identifier: str, address: str) -> SvoCurve:
    document, table = first_table(content, address)
    if table is None:
        raise UnknownSvoIdError(identifier, address, status_of(document))
    names = [field.name for field in table.fields]
    if len(names) < 2:
        raise FileError(f"the answer of {address} has no wavelength and transmission: {names}")
    first, second = (_column(table, names, k) for k in (0, 1))
    unit = table.fields[0].unit or "Angstrom"
    detector = next((str(p.value) for p in table.params if p.name == "DetectorType"), "")
    return SvoCurve(
        first * to_angstrom(unit, address), second, _COUNTING.get(detector, "photon"), address
    )


def _column(table: Any, names: list[str], position: int) -> NDArray[np.float64]:
    values = np.ma.filled(np.ma.asarray(table.array[names[position]], dtype=np.float64), np.nan)
    return np.asarray(values, dtype=np.float64)
