"""Labels given as context: named columns with their errors, in the vocabulary's units."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.surveys.columns import column_unit, numbers_and_mask
from jpassed.vocabulary import Kind, Vocabulary, load_vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LabelColumn", "error_column_of", "read_labels"]

logger = logging.getLogger(__name__)

# 99 and -1 are values that a label may have (an EW, a logarithm); they are not in this list.
SENTINELS = (-99.0, -999.0, -9999.0)

# Noise may carry a redshift a little below 0 (a star, a nearby galaxy).
SLACK = {"z": 0.01}

# What the logarithm is taken of, where a column states a unit instead of being log10.
LOGARITHM_OF = {
    "logmstar": "solMass",
    "logmformed": "solMass",
    "logsfr": "solMass / yr",
    "logage_m": "yr",
    "logage_l": "yr",
}
# No such logarithm is higher: formation of stars, masses and ages of galaxies end below 14.
HIGHEST_LOGARITHM = 20.0

ERROR_NAMES = ("{x}_err", "e_{x}", "{x}err", "{x}_error", "err_{x}", "{x}error", "sigma_{x}")


@dataclass(frozen=True, eq=False)
class LabelColumn:
    """One quantity of N objects.

    Attributes
    ----------
    value, error : ndarray of shape (N,)
        In the unit of the vocabulary; 0 where not observed. An error of 0 means that the table
        gives none: the value is taken as exact.
    observed : ndarray of bool, shape (N,)
    column : str
        The table's column.
    error_column : str or None
    messages : tuple of str
        What was left out, and why.
    """

    value: NDArray[np.float64]
    error: NDArray[np.float64]
    observed: NDArray[np.bool_]
    column: str = ""
    error_column: str | None = None
    messages: tuple[str, ...] = field(default=())


def read_labels(
    table: Any,
    mapping: Mapping[str, str],
    vocabulary: Vocabulary | None = None,
    *,
    what: str = "context",
) -> dict[str, LabelColumn]:
    """Read labels that the user names, as context by default.

    Parameters
    ----------
    table : astropy.table.Table
        N rows.
    mapping : dict
        Quantity of the vocabulary to column, ``{"z": "z_spec"}``; the column of the error may
        follow after a comma (``"z_spec,z_spec_unc"``), else ``z_spec_err``, ``e_z_spec``,
        ``z_specerr``, ``z_spec_error`` and their like are looked for, in any case.
    vocabulary : Vocabulary, optional
        Kinds that there are; the common ones by default.
    what : str
        What the labels are to the user, for messages: context, truth, label.

    Returns
    -------
    dict
        Quantity to `LabelColumn`. Masked values, NaN, -99, -999 and -9999, and values outside
        the support of the quantity (a redshift below -0.01) are not observed.

    Raises
    ------
    UnknownNameError
        If a quantity is not in the vocabulary or a column not in the table.
    InputError
        If values are given in place of a column's name, the unit of a column cannot be converted,
        a column does not hold one number a row, or one without a unit that should hold logarithms
        holds the quantity itself.

    Notes
    -----
    Logarithmic quantities (``logmstar``...) are log10 values in a column without a unit; a
    column in a linear unit, e.g. solMass, is converted to log10.

    Examples
    --------
    >>> from astropy.table import Table
    >>> from jpassed.surveys import read_labels
    >>> labels = read_labels(Table({"z_spec": [0.1, -99.0]}), {"z": "z_spec"})
    >>> labels["z"].observed
    array([ True, False])
    """
    vocabulary = load_vocabulary() if vocabulary is None else vocabulary
    labels = {}
    for quantity, text in mapping.items():
        if quantity.startswith("flux:") or quantity == "flux":
            raise InputError(
                f"{what} {quantity!r}: bandfluxes are recognised by their columns or named in a "
                "map (--map FILE), not as labels"
            )
        if quantity not in vocabulary.scalars:
            from jpassed.surveys.label_names import quantity_meant

            meant = quantity_meant(quantity)
            raise UnknownNameError(f"{what} quantity", quantity, vocabulary.scalars, meant=meant)
        if not isinstance(text, str):
            raise InputError(
                f"{what} {quantity!r}: expected the name of a column, got {type(text).__name__}; "
                f"put the values into one, e.g. table['my_{quantity}'] = ..., and give its name"
            )
        labels[quantity] = _read(table, vocabulary[quantity], text)
    return labels


def _read(table: Any, kind: Kind, text: str) -> LabelColumn:
    names = [str(name) for name in table.colnames]
    column, comma, error_column = (part.strip() for part in text.partition(","))
    column = _find(column, names)
    found = _find(error_column, names) if comma and error_column else error_column_of(column, names)
    value = _one_number(table, column)
    given = np.isfinite(value) & ~np.isin(value, SENTINELS)
    unit = column_unit(table[column])
    if unit is None and kind.name in LOGARITHM_OF and given.any():
        _refuse_linear(value[given], kind, column)
    value, error_factor = _to_unit(value, unit, kind, column)
    messages = []
    sigma = np.zeros_like(value)
    if found is not None:
        raw = _one_number(table, found)
        usable = np.isfinite(raw) & (raw >= 0)
        bad = given & ~usable
        own = column_unit(table[found])
        with np.errstate(all="ignore"):
            raw = raw * _error_scale(own, column_unit(table[column]), found, column)
            sigma = np.where(usable, np.abs(raw * error_factor), 0.0)
        given &= usable
        if bad.any():
            messages.append(_count(bad, kind, f"missing or negative errors in column {found!r}"))
    slack = SLACK.get(kind.name, 0.0)
    lower = -np.inf if kind.support == "real" else kind.lower - slack
    with np.errstate(invalid="ignore"):
        outside = given & ~(np.isfinite(value) & (value >= lower))
    if outside.any():
        what = f"values below {lower:g} or without a logarithm in column {column!r}"
        messages.append(_count(outside, kind, what))
    observed = given & ~outside
    for message in messages:
        logger.info(message)
    return LabelColumn(
        np.where(observed, value, 0.0),
        np.where(observed, sigma, 0.0),
        observed,
        column,
        found,
        tuple(messages),
    )


def _refuse_linear(value: NDArray[np.float64], kind: Kind, column: str) -> None:
    typical = float(np.median(value))
    if typical > HIGHEST_LOGARITHM:
        raise InputError(
            f"column {column!r}: {kind.name} is a logarithm to base 10, but half of the values are "
            f"above {typical:.2g}; give the column its unit ({LOGARITHM_OF[kind.name]}), or make a "
            "column of logarithms"
        )


def _find(name: str, names: list[str]) -> str:
    if name in names:
        return name
    same = [column for column in names if column.lower() == name.lower()]
    if len(same) == 1:
        return same[0]
    raise UnknownNameError("column", name, names)


def error_column_of(column: str, names: list[str]) -> str | None:
    """The column of the errors of a label, by its name; None where there is none."""
    for pattern in ERROR_NAMES:
        wanted = pattern.format(x=column)
        if wanted in names:
            return wanted
    lower = {name.lower(): name for name in names}
    for pattern in ERROR_NAMES:
        wanted = pattern.format(x=column.lower())
        if wanted in lower:
            return lower[wanted]
    return None


def _one_number(table: Any, name: str) -> NDArray[np.float64]:
    values, _ = numbers_and_mask(table[name], name)
    if values.ndim != 1:
        raise InputError(
            f"column {name!r} holds {values.shape[1]} numbers per row; a label needs one"
        )
    return values


def _to_unit(
    value: NDArray[np.float64], unit: Any, kind: Kind, column: str
) -> tuple[NDArray[np.float64], NDArray[np.float64] | float]:
    """Values in the vocabulary's unit, and the factor that brings their errors there."""
    from astropy import units as u

    if unit is None or unit == u.dimensionless_unscaled or unit == u.dex:
        return value, 1.0
    wanted = u.Unit(kind.unit)
    linear = u.Unit(LOGARITHM_OF[kind.name]) if kind.name in LOGARITHM_OF else None
    try:
        if linear is not None and isinstance(unit, u.DexUnit):
            return value + np.log10(unit.physical_unit.to(linear)), 1.0
        if linear is not None:
            scaled = value * unit.to(linear)
            with np.errstate(all="ignore"):
                positive = np.where(scaled > 0, scaled, np.nan)
                return np.log10(positive), 1.0 / (value * np.log(10.0))
        factor = float(unit.to(wanted))
    except (u.UnitConversionError, AttributeError, TypeError):
        expected = f"log10 without a unit, or {linear}" if linear else kind.unit or "no unit"
        raise InputError(f"column {column!r} is in {unit}; {kind.name} needs {expected}") from None
    return value * factor, factor


def _error_scale(own: Any, unit: Any, column: str, value_column: str) -> float:
    """Factor from the unit of the error column to the one of the value column."""
    from astropy import units as u

    if own is None or unit is None or own == unit or isinstance(unit, u.DexUnit) or own == u.dex:
        return 1.0
    try:
        return float(own.to(unit))
    except (u.UnitConversionError, AttributeError, TypeError):
        raise InputError(
            f"column {column!r} is in {own}, but {value_column!r} in {unit}; an error needs the "
            "unit of its value"
        ) from None


def _count(rows: NDArray[np.bool_], kind: Kind, what: str) -> str:
    n = int(rows.sum())
    plural = "row" if n == 1 else "rows"
    first = ", ".join(str(k) for k in np.flatnonzero(rows)[:5])
    return f"{kind.name}: {n} {plural} ({first}{', ...' if n > 5 else ''}) with {what}; not used"
