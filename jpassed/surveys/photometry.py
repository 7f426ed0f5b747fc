"""Bandfluxes of a table in one shape and one unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from jpassed.exceptions import InputError, UnknownNameError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Photometry"]


@dataclass(frozen=True, eq=False)
class Photometry:
    """Bandfluxes of N objects in B bands, in microjansky, corrected for the Milky Way.

    "Observed, not detected" (a flux about 0 with its error, negative allowed) and "not observed"
    are different things: presence is `observed`, never a value.

    Attributes
    ----------
    bands : tuple of str
        Band names.
    pivot, width : ndarray of shape (B,)
        Pivot wavelength and equivalent width of each band, vacuum Å.
    flux, error : ndarray of shape (N, B)
        Total AB bandflux and its random error, microjansky; 0 where not observed.
    observed : ndarray of bool, shape (N, B)
        Where there is a measurement with a positive error.
    bad_errors : ndarray of bool, shape (N,)
        Rows in which a flux was left out because its error is zero or negative.
    surveys, columns : tuple of str
        Survey and column (of the table) of each band.
    messages : tuple of str
        What was left out, and why, one line each.
    """

    bands: tuple[str, ...]
    pivot: NDArray[np.float64]
    width: NDArray[np.float64]
    flux: NDArray[np.float64]
    error: NDArray[np.float64]
    observed: NDArray[np.bool_]
    bad_errors: NDArray[np.bool_]
    surveys: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    messages: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        n_bands = len(self.bands)
        shape = (len(self.flux), n_bands)
        for name in ("flux", "error", "observed"):
            if getattr(self, name).shape != shape:
                raise InputError(
                    f"{name} has shape {getattr(self, name).shape}, expected {shape} "
                    f"(rows, bands) with {n_bands} bands"
                )
        for name in ("pivot", "width"):
            if getattr(self, name).shape != (n_bands,):
                raise InputError(
                    f"{name} has shape {getattr(self, name).shape}, expected ({n_bands},)"
                )
        if len(set(self.bands)) != n_bands:
            raise InputError(f"bands are named twice: {', '.join(self.bands)}")

    def __len__(self) -> int:
        return len(self.flux)

    @property
    def bad_rows(self) -> NDArray[np.bool_]:
        """Rows without any observed band, shape (N,)."""
        return np.asarray(~self.observed.any(axis=1))

    @property
    def n_observed(self) -> NDArray[np.int64]:
        """Number of observed bands of each row, shape (N,)."""
        return self.observed.sum(axis=1)

    def select(self, bands: Sequence[str]) -> Photometry:
        """The same objects with some of the bands, in the order given.

        Raises
        ------
        UnknownNameError
            If a band is not in `bands`.
        """
        for band in bands:
            if band not in self.bands:
                raise UnknownNameError("band", band, self.bands)
        where = [self.bands.index(band) for band in bands]
        return Photometry(
            tuple(bands),
            self.pivot[where],
            self.width[where],
            self.flux[:, where],
            self.error[:, where],
            self.observed[:, where],
            self.bad_errors,
            tuple(self.surveys[k] for k in where) if self.surveys else (),
            tuple(self.columns[k] for k in where) if self.columns else (),
            self.messages,
        )
