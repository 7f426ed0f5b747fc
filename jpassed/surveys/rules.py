"""What a survey may say: rules that tie columns to bands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["ColumnRule", "Extinction", "FlagRule", "Limit", "RowSelection", "Sentinels"]

MAGNITUDE_SENTINELS = (-99.0, -99.9, 99.0, 99.9, 99.99, 999.0, -999.0, 9999.0, -9999.0)
FLUX_SENTINELS = (-99.0, -99.9, -999.0, -9999.0)


@dataclass(frozen=True)
class Sentinels:
    """Numbers that stand for "not observed" in columns of fluxes and of magnitudes."""

    flux: tuple[float, ...] = FLUX_SENTINELS
    mag: tuple[float, ...] = MAGNITUDE_SENTINELS


@dataclass(frozen=True)
class Limit:
    """Convention for a non-detection in magnitudes.

    A magnitude equal to `value` whose error lies in 10-40 is a non-detection, and its "error" is
    the limiting magnitude at `nsigma` (Benitez 2000, ApJ 536, 571: the convention of BPZ). It
    becomes a flux of 0 with the error flux(limit) / nsigma.
    """

    value: float = 99.0
    nsigma: float = 1.0


@dataclass(frozen=True)
class FlagRule:
    """A column of flags: bands with one of `bits` set (None: any value but 0) are not observed."""

    column: str
    bits: int | None = None


@dataclass(frozen=True)
class RowSelection:
    """Rows to which a rule applies: those whose `column` holds one of `values`.

    Where the table has none of the columns named by the selections of a rule, the rule applies
    to every row if `otherwise` is true, else to none.
    """

    column: str
    values: tuple[Any, ...]
    otherwise: bool = False


@dataclass(frozen=True)
class Extinction:
    """How to correct for the Milky Way; all empty means that the fluxes are corrected already.

    Attributes
    ----------
    ebv : tuple of (column, element or None, divide_by)
        Columns of E(B-V), the first one present is used; A_b = k_b E(B-V) / divide_by.
    magnitudes : tuple of str
        Patterns of columns of A_b in magnitudes.
    transmission : tuple of str
        Patterns of columns of 10**(-0.4 A_b).
    """

    ebv: tuple[tuple[str, int | None, float], ...] = ()
    magnitudes: tuple[str, ...] = ()
    transmission: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.ebv or self.magnitudes or self.transmission)


@dataclass(frozen=True)
class ColumnRule:
    """One way in which a table holds bandfluxes.

    Attributes
    ----------
    survey : str
        Name of the survey that the rule belongs to.
    layout : {"columns", "array"}
        One column per band, or one column with all bands side by side.
    bands : tuple of (label, band)
        Label in the column name and the band it stands for; for an array, in its order.
    value, error, ivar, relative_error : tuple of str
        Patterns, most wanted first. ``{band}`` stands for a label, ``{any}`` for any text.
        `relative_error` is a fraction of the flux.
    unit : str or None
        Unit of a column that states none.
    zero_point : float or None
        AB magnitude of one count, for fluxes in counts.
    ab_offset : tuple of float
        Added to the magnitude to make it AB, one per band (or empty).
    asinh_softening : tuple of float
        Softening b of asinh magnitudes (Lupton, Gunn & Szalay 1999, AJ 118, 1406), one per band.
    prefer : tuple of str
        Texts for ``{any}``, most wanted first.
    closed : bool
        Whether ``{any}`` stands for these texts only.
    exact : bool
        Columns are named one by one (a map): a missing one is an error.
    priority : int
        The rule with the higher one wins where two give the same band.
    passband : tuple of (pivot, width) or None
        Of a band that jpassed does not know, in Å.
    """

    survey: str
    layout: str
    bands: tuple[tuple[str, str], ...]
    value: tuple[str, ...]
    error: tuple[str, ...] = ()
    ivar: tuple[str, ...] = ()
    relative_error: tuple[str, ...] = ()
    unit: str | None = None
    zero_point: float | None = None
    ab_offset: tuple[float, ...] = ()
    asinh_softening: tuple[float, ...] = ()
    prefer: tuple[str, ...] = ()
    closed: bool = False
    exact: bool = False
    passband: tuple[float, float] | None = None
    sentinels: Sentinels = field(default_factory=Sentinels)
    limit: Limit | None = None
    flags: tuple[FlagRule, ...] = ()
    extinction: Extinction = field(default_factory=Extinction)
    where: tuple[RowSelection, ...] = ()
    priority: int = 0
    exclude: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
