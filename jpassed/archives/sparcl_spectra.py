"""Spectra from SPARCL, NOIRLab's service of SDSS, BOSS and DESI spectra (an optional package)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.archives.checksums import sha256_of
from jpassed.archives.description import SpectrumSource
from jpassed.exceptions import InputError, MissingDependencyError, ServiceError
from jpassed.io.atomic import atomic_output
from jpassed.io.spectrum_record import FLUX_SCALE

if TYPE_CHECKING:
    from jpassed.archives.spectrum_store import SpectrumStore, Wanted

__all__ = ["fetch_sparcl", "write_record"]

logger = logging.getLogger(__name__)

BATCH = 100
"""Spectra in one request, 1 to 5 MB."""
FIELDS = ("specid", "ra", "dec", "wavelength", "flux", "ivar")
MISSING = "not at SPARCL"


def open_client(url: str) -> Any:
    """A client of SPARCL.

    Raises
    ------
    MissingDependencyError
        If ``sparclclient`` is not installed.
    ServiceError
        If SPARCL cannot be reached.
    """
    try:
        client = import_module("sparcl.client").SparclClient
    except ImportError as exc:
        raise MissingDependencyError(
            'Spectra from SPARCL need sparclclient: python -m pip install "sparclclient==1.2.2" '
            "(1.3.1 asks for pandas 2.1, which excludes numpy 2); or name another source of "
            "spectra in the plan (spectra: ...)"
        ) from exc
    try:
        return client(**({"url": url} if url else {}))
    except Exception as exc:  # its own classes, requests' and plain Exception
        raise _unreachable(exc) from exc


def fetch_sparcl(
    store: SpectrumStore, source: SpectrumSource, wanted: Sequence[Wanted]
) -> dict[str, str]:
    """Fetch spectra in batches and put them into a store.

    Parameters
    ----------
    store : SpectrumStore
    source : SpectrumSource
        Its column holds SPARCL's ``specid``.
    wanted : sequence of Wanted

    Returns
    -------
    dict
        Key to the reason why there is no spectrum.
    """
    numbers: dict[int, Wanted] = {}
    for want in wanted:
        value = want.row.get(source.column)
        if value is None:
            raise InputError(
                f"spectra from SPARCL: column {source.column!r} is empty for {want.key}"
            )
        numbers[int(value)] = want
    # Files that are here already, of a run that was killed before its journal.
    for number, want in numbers.items():
        if _file(store, source, number).is_file():
            _record(store, source, number, want)
    left = [n for n, want in numbers.items() if store.path(want.key) is None]
    if left:
        client = open_client(source.url)
        for first in range(0, len(left), BATCH):
            batch = left[first : first + BATCH]
            for record in _ask(client, batch, source.release):
                number = int(record["specid"])
                if number in numbers and store.path(numbers[number].key) is None:
                    write_record(record, _file(store, source, number))
                    _record(store, source, number, numbers[number])
                    store.fetched += 1
    return {w.key: MISSING for w in numbers.values() if store.path(w.key) is None}


def write_record(record: Any, path: Path) -> None:
    """Write a record of SPARCL as a FITS file that `jpassed.io.read_spectrum` reads.

    Parameters
    ----------
    record : mapping
        ``specid``, ``ra``, ``dec``, ``wavelength`` (vacuum Å), ``flux`` and ``ivar`` (of
        1e-17 erg/s/cm2/Å).
    path : Path
    """
    from astropy.io import fits

    hdus = [fits.PrimaryHDU()]
    # One arm of a DESI file is any spectrum: wavelengths in Å, flux and inverse variance.
    for name in ("wavelength", "flux", "ivar"):
        values = np.asarray(record[name], dtype=np.float64)
        rows = values if name == "wavelength" else values[None, :]
        hdus.append(fits.ImageHDU(rows, name=f"B_{name.upper()}"))
    hdus[2].header["BUNIT"] = f"{FLUX_SCALE:g} erg / (s cm2 Angstrom)"
    columns = [
        fits.Column("TARGETID", "K", array=np.array([int(record["specid"])])),
        fits.Column("TARGET_RA", "D", array=np.array([float(record["ra"])])),
        fits.Column("TARGET_DEC", "D", array=np.array([float(record["dec"])])),
    ]
    hdus.append(fits.BinTableHDU.from_columns(columns, name="FIBERMAP"))
    with atomic_output(path, overwrite=True) as temporary:
        fits.HDUList(hdus).writeto(temporary)


def _ask(client: Any, numbers: list[int], release: tuple[str, ...]) -> list[Any]:
    """Records of some identifiers; those that SPARCL does not have are not among them."""
    try:
        found = client.retrieve_by_specid(
            specid_list=numbers,
            include=list(FIELDS),
            dataset_list=list(release) or None,
            limit=4 * len(numbers),  # of some targets there are several
        )
    except Exception as exc:  # its own classes and requests'
        raise _unreachable(exc) from exc
    return list(found.records)


def _unreachable(exc: Exception) -> ServiceError:
    said = " ".join(str(exc).split())
    return ServiceError(
        f"SPARCL does not answer as expected: {said}. Check the network and run the same command "
        "again, it goes on where it stopped; or name another source of spectra in the plan "
        "(spectra: ...)"
    )


def _address(source: SpectrumSource, number: int) -> str:
    return f"sparcl:{'+'.join(source.release)}:{number}"


def _file(store: SpectrumStore, source: SpectrumSource, number: int) -> Path:
    return store.file_of(_address(source, number))


def _record(store: SpectrumStore, source: SpectrumSource, number: int, want: Wanted) -> None:
    path = _file(store, source, number)
    store.record(
        {
            "key": want.key,
            "url": _address(source, number),
            "file": str(path.relative_to(store.folder)),
            "bytes": path.stat().st_size,
            "sha256": sha256_of(path),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )
