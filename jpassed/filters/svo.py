"""Transmission curves from the SVO Filter Profile Service, kept in a cache."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.parse import quote, urlencode
from urllib.request import urlopen

import numpy as np

from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.filters.curves import to_angstrom

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SVO_URL", "SvoCurve", "UnknownSvoIdError", "fetch_curve"]

logger = logging.getLogger(__name__)

SVO_URL = "https://svo2.cab.inta-csic.es/theory/fps/fps.php"
"""Address of the service (Rodrigo & Solano 2020)."""

# PARAM DetectorType of the service. It is 0 too where nobody has set it (SDSS for one, see
# https://github.com/mfouesneau/pyphot/issues/14), so callers decide whether to believe it.
_COUNTING = {"0": "energy", "1": "photon"}


class UnknownSvoIdError(UnknownNameError):
    """An id for which the service has no curve."""

    def __init__(self, identifier: str, address: str, said: str) -> None:
        super().__init__("SVO filter id", identifier, ())
        self.message = (
            f"unknown SVO filter id {identifier!r}: {address} answers {said!r}. Ids look like "
            "'OAJ/JPAS.J0378' and are case-sensitive; look them up on the service's web page"
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
        Address of the service, default `SVO_URL`.
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
    if not identifier.strip() or not identifier.isprintable():
        raise InputError(f"an SVO id looks like 'OAJ/JPAS.J0378'; got {identifier!r}")
    base = base_url or SVO_URL
    address = f"{base}?{urlencode({'ID': identifier})}"
    kept = None if cache is False else _cache_path(identifier, base, cache)
    if kept is not None and kept.is_file():
        try:
            return _parse(kept.read_bytes(), identifier, address)
        except (FileError, UnknownNameError, OSError) as exc:
            logger.warning("ignoring the damaged cached curve %s: %s", kept, exc)
    content = _download(address, identifier, timeout)
    curve = _parse(content, identifier, address)
    if kept is not None:
        _keep(kept, content)
    return curve


def _cache_path(identifier: str, base: str, cache: bool | str | os.PathLike[str]) -> Path:
    if cache is True:
        from astropy.config.paths import get_cache_dir

        folder = Path(get_cache_dir()) / "jpassed" / "svo"
    else:
        folder = Path(os.fspath(cache))  # type: ignore[arg-type]
    # The service is part of the name: the same id may mean another curve elsewhere. Quoting
    # leaves no separator, so that no id reaches outside the folder.
    service = hashlib.sha256(base.encode()).hexdigest()[:8]
    return folder / f"{quote(identifier, safe='')}-{service}.xml"


def _download(address: str, identifier: str, timeout: float) -> bytes:
    try:
        with urlopen(address, timeout=timeout) as answer:
            content: bytes = answer.read()
    except (URLError, OSError, ValueError) as exc:
        reason = getattr(exc, "reason", None) or exc
        raise FileError(
            f"cannot fetch the curve {identifier!r} from {address}: {reason}. Check the network "
            "or the address (base_url=...); or save the curve from the service's web page and "
            "read it with FilterSet.from_files"
        ) from exc
    return content


def _parse(content: bytes, identifier: str, address: str) -> SvoCurve:
    from astropy.io.votable import parse

    try:
        document = parse(BytesIO(content), verify="ignore")
    except Exception as exc:
        # astropy's VOTable reader raises many kinds for damaged XML.
        raise FileError(
            f"the answer of {address} is no VOTable ({type(exc).__name__}: {exc}); is base_url "
            "the address of an SVO Filter Profile Service?"
        ) from exc
    tables = [table for table in document.iter_tables() if len(table.array) > 0]
    if not tables:
        raise UnknownSvoIdError(identifier, address, _status(document))
    table = tables[0]
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


def _status(document: Any) -> str:
    """What the service says about itself where it gives no curve."""
    infos = [*document.infos, *(info for resource in document.resources for info in resource.infos)]
    said = [str(i.content or i.value) for i in infos if i.name == "QUERY_STATUS"]
    return said[0] if said else "a table without rows"


def _keep(path: Path, content: bytes) -> None:
    """Write to the cache atomically; a cache that cannot be written is not an error."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.replace(temporary, path)
    except OSError as exc:
        logger.warning("cannot keep the curve in %s: %s", path, exc)
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
