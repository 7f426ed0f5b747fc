"""The columns of a shard: names, units, masks and descriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.vocabulary import load_vocabulary

if TYPE_CHECKING:
    from astropy.table import Table
    from numpy.typing import NDArray

    from jpassed.archives.assembly import Part
    from jpassed.archives.objects import Objects

    Array = NDArray[np.float64]

__all__ = ["LABEL_PREFIX", "row_table"]

LABEL_PREFIX = "label_"
"""Before the name of a quantity; ``_err`` and ``_from`` follow it for error and provenance."""


def row_table(
    objects: Objects,
    chosen: NDArray[np.int64],
    signal: Array,
    ebv: Array,
    scale: Array,
    bands: Part,
    labels: dict[str, tuple[Array, Array, NDArray[np.bool_], list[str]]],
) -> Table:
    """Rows of a training set as a table.

    Parameters
    ----------
    objects : Objects
    chosen : ndarray of int, shape (N,)
    signal, ebv, scale : ndarray of shape (N,)
        S/N of the spectrum, E(B-V), and the factor to total flux; NaN where not known.
    bands : Part
    labels : dict
        Quantity to value, error, observed and provenance.

    Returns
    -------
    Table
    """
    from astropy.table import Table

    table = Table(masked=True)
    table["archive"] = np.full(len(chosen), objects.archive.name)
    table["key"] = np.array([objects.key[n] for n in chosen], dtype=str)
    table["spec_class"] = np.array([objects.kind[n] for n in chosen], dtype=str)
    for name, values, unit, said in (
        ("ra", objects.ra[chosen], "deg", "right ascension"),
        ("dec", objects.dec[chosen], "deg", "declination"),
        ("spec_sn", signal, None, "median signal-to-noise ratio per pixel of the spectrum"),
        ("ebv", ebv, "mag", "Galactic E(B-V) that was corrected for"),
        ("aperture_scale", scale, None, "factor from the spectrum to the total flux"),
    ):
        _add(table, name, values, ~np.isfinite(values), unit, said)
    for name in bands.flux:
        mask = ~bands.observed[name]
        _add(table, name, bands.flux[name], mask, "uJy", f"AB bandflux in {name}")
        said = f"random error of the bandflux in {name}"
        _add(table, f"{name}_err", bands.error[name], mask, "uJy", said)
    vocabulary = load_vocabulary()
    for quantity in sorted(labels, key=vocabulary.index):
        value, error, observed, sources = labels[quantity]
        unit, said = vocabulary[quantity].unit or None, vocabulary[quantity].description
        column = f"{LABEL_PREFIX}{quantity}"
        _add(table, column, value, ~observed, unit, said)
        _add(table, f"{column}_err", error, ~observed, unit, f"1-sigma error of {quantity}")
        table[f"{column}_from"] = np.array(sources, dtype=str)
        table[f"{column}_from"].description = f"archive and table of {quantity}"
    return table


def _add(table: Any, name: str, values: Array, mask: Any, unit: str | None, said: str) -> None:
    from astropy.table import MaskedColumn

    table[name] = MaskedColumn(
        np.where(mask, 0.0, values), mask=mask, unit=unit, description=said, name=name
    )
