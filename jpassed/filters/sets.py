"""The filter sets known by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jpassed.exceptions import MissingDependencyError, UnknownNameError
from jpassed.filters.edges import EDGE_COLUMNS, EdgeModel
from jpassed.filters.filterset import FilterSet
from jpassed.filters.known import filter_set_names, known_bands, read_embedded, set_of_band
from jpassed.filters.passband import Passband

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["find_band", "load_filters"]

_EMBEDDED = ("jpas", "jplus")

_SVO = "svo:"


def load_filters(name: str) -> FilterSet:
    """A filter set by name.

    Parameters
    ----------
    name : str
        ``"jpas"`` (60 bands in the order of the miniJPAS array columns), ``"jplus"``,
        ``"galex"``, ``"sdss"``, ``"ps1"``, ``"2mass"``, ``"wise"``, ``"decam"``, ``"bass"``
        or ``"mzls"``. Bands of all sets but ``"jpas"`` are named ``<set>_<band>``. Or
        ``"svo:FACILITY"``, ``"svo:FACILITY/INSTRUMENT"``: see `FilterSet.from_svo`, whose
        defaults are taken (wavelengths in air).

    Returns
    -------
    FilterSet

    Raises
    ------
    UnknownNameError
        If there is no such set.
    FileError
        If the SVO service is needed and cannot be reached.

    Notes
    -----
    ``"jpas"`` and ``"jplus"`` are nominal: two error-function edges and a slope fitted to the
    measured curves (see the headers of the embedded tables). The others are the measured curves
    that speclite carries. Ground-based curves are taken to be in air, those of GALEX and WISE in
    vacuum; all come out in vacuum.

    Examples
    --------
    >>> from jpassed import load_filters
    >>> filters = load_filters("jpas")
    >>> len(filters), filters.names[0], filters.names[-1]
    (60, 'uJAVA', 'iSDSS')
    """
    if name.startswith(_SVO):
        facility, _, instrument = name.removeprefix(_SVO).partition("/")
        return FilterSet.from_svo(facility=facility, instrument=instrument or None)
    if name not in filter_set_names():
        raise UnknownNameError("filter set", name, filter_set_names())
    if name in _EMBEDDED:
        return FilterSet(_embedded(name), name=name)
    return FilterSet([_from_speclite(row) for row in _source_rows(name)], name=name)


def find_band(name: str) -> Passband:
    """A passband of any known set by its band name.

    Parameters
    ----------
    name : str
        One of `known_bands`, e.g. ``"J0660"``, ``"galex_nuv"``, ``"jplus_J0861"``.

    Returns
    -------
    Passband

    Raises
    ------
    UnknownNameError
        If no set has such a band.
    """
    group = set_of_band(name)
    if group is None:
        raise UnknownNameError("band", name, known_bands())
    if group in _EMBEDDED:
        return _embedded(group, only=name)[0]
    return next(_from_speclite(row) for row in _source_rows(group) if row["name"] == name)


def _embedded(name: str, only: str | None = None) -> list[Passband]:
    table: Any = read_embedded(f"{name}.ecsv")
    members = []
    for row in table:
        band = str(row["name"])
        if only is not None and band != only:
            continue
        wave, curve = EdgeModel(*(float(row[c]) for c in EDGE_COLUMNS)).sample()
        reference = str(table.meta["reference"])
        members.append(Passband.from_arrays(band, wave, curve, meta={"reference": reference}))
    return members


def _source_rows(name: str) -> list[Table.Row]:
    table: Any = read_embedded("sets.ecsv")
    return [row for row in table if row["set"] == name]


def _from_speclite(row: Any) -> Passband:
    try:
        from speclite.filters import load_filter
    except ImportError as exc:
        raise MissingDependencyError(
            f"the passband {row['name']} comes with speclite, which is not installed; "
            "run: pip install speclite"
        ) from exc
    try:
        response = load_filter(str(row["speclite"]))
    except ValueError as exc:
        raise MissingDependencyError(
            f"this speclite does not have the passband {row['name']} ({exc}); "
            "run: pip install 'speclite>=1.0'"
        ) from exc
    # speclite has converted each file's own unit (Å, nm, micron) to Å.
    return Passband.from_arrays(
        str(row["name"]),
        response.wavelength,
        response.response,
        medium=str(row["medium"]),
        counting=str(row["counting"]),
        meta={"reference": str(row["reference"]), "origin": f"speclite {row['speclite']}"},
    )
