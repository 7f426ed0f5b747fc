"""Embedded tables about passbands that need neither synphot nor speclite to read."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["filter_set_names", "known_bands", "read_embedded"]


def read_embedded(name: str) -> Table:
    """The embedded ECSV table `name` of this subpackage, e.g. ``"jpas.ecsv"``."""
    from astropy.table import Table

    text = files("jpassed.filters").joinpath("data", name).read_text(encoding="utf-8")
    return Table.read(text.splitlines(), format="ascii.ecsv")


@cache
def _band_rows() -> tuple[tuple[str, str, float, float], ...]:
    table: Any = read_embedded("bands.ecsv")
    return tuple(
        (str(row["name"]), str(row["set"]), float(row["pivot"]), float(row["width"]))
        for row in table
    )


def known_bands() -> dict[str, tuple[float, float]]:
    """Pivot wavelength and width of every band that `find_band` can give.

    Returns
    -------
    dict
        Band name (``"J0660"``, ``"sdss_u"``...) to (pivot, equivalent width), both vacuum Å,
        in the order of the sets. A fresh dictionary each time.
    """
    return {name: (pivot, width) for name, _, pivot, width in _band_rows()}


def filter_set_names() -> tuple[str, ...]:
    """Names that `load_filters` knows.

    Returns
    -------
    tuple of str
    """
    return tuple(dict.fromkeys(group for _, group, _, _ in _band_rows()))


def set_of_band(name: str) -> str | None:
    """Name of the set that the band belongs to, None for an unknown band."""
    return next((group for band, group, _, _ in _band_rows() if band == name), None)
