"""Grids of tabulated probability densities, written so that every file format keeps them.

A ``_pdf`` column holds mean densities in bins. The bins are stated in the column's description,
the one piece of metadata that FITS, VOTable, ECSV, Parquet and HDF5 all keep:
``bins linear(start=0, step=0.002, number=600)``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jpassed.exceptions import InputError
from jpassed.posteriors.distribution import Distribution
from jpassed.posteriors.transforms import FloatArray

if TYPE_CHECKING:
    from jpassed.vocabulary import Kind

__all__ = ["PdfGrid"]

_NUMBER = r"([-+0-9.e]+)"
_PATTERN = re.compile(
    rf"bins (linear|asinh)\(start={_NUMBER}, step={_NUMBER}, number=(\d+)"
    rf"(?:, softening={_NUMBER})?\)"
)
_REDSHIFT_STEP = 0.002
_BINS = 200


@dataclass(frozen=True)
class PdfGrid:
    """Bins of constant width in u, where x = u or x = softening sinh(u).

    Parameters
    ----------
    scale : {"linear", "asinh"}
    start, step : float
        First edge and width of the bins, in u.
    number : int
        Number of bins.
    softening : float
        In units of x.
    """

    scale: str
    start: float
    step: float
    number: int
    softening: float = 1.0

    @classmethod
    def of(cls, kind: Kind) -> PdfGrid:
        """The grid of a vocabulary kind.

        Redshift: bins of 0.002 over its range. Others: 200 bins over loc +- 5 width, within the
        kind's bounds; even in asinh(x / softening) for kinds on that scale.

        Raises
        ------
        InputError
            For bandfluxes: their range differs from object to object.
        """
        if kind.scale == "object":
            raise InputError(
                f"no common grid for {kind.name!r}: bandfluxes differ by orders of magnitude; "
                "ask for samples"
            )
        if kind.support == "redshift":
            number = int(np.ceil((kind.upper - kind.lower) / _REDSHIFT_STEP - 1e-9))
            return cls("linear", kind.lower, _REDSHIFT_STEP, number)
        scale = "asinh" if kind.scale == "asinh" else "linear"
        softening = kind.softening if scale == "asinh" else 1.0
        bounds = np.array([kind.lower, kind.upper])
        if scale == "asinh":
            bounds = np.arcsinh(bounds / softening)
        low = max(float(bounds[0]), kind.loc - 5 * kind.width)
        high = min(float(bounds[1]), kind.loc + 5 * kind.width)
        # Rounded, so that the description holds the very numbers that were used.
        start, step = round(low, 4), round((high - low) / _BINS, 6)
        return cls(scale, start, step, _BINS, softening)

    @property
    def edges(self) -> FloatArray:
        """Edges of the bins in x, (number + 1,)."""
        return self._value(np.arange(self.number + 1, dtype=np.float64))

    @property
    def centres(self) -> FloatArray:
        """Middles of the bins (in u) as x, (number,)."""
        return self._value(np.arange(self.number, dtype=np.float64) + 0.5)

    def _value(self, index: FloatArray) -> FloatArray:
        u: FloatArray = self.start + self.step * index
        return self.softening * np.sinh(u) if self.scale == "asinh" else u

    def densities(self, distribution: Distribution) -> FloatArray:
        """Mean density in every bin, (N, number), per unit of x."""
        cumulative = distribution.cdf(self.edges[None, :])
        return np.diff(cumulative, axis=1) / np.diff(self.edges)

    def describe(self) -> str:
        """The grid as text, for a column's description; see `parse`."""
        text = f"bins {self.scale}(start={self.start:.10g}, step={self.step:.10g}"
        text += f", number={self.number}"
        return text + (f", softening={self.softening:.10g})" if self.scale == "asinh" else ")")

    @classmethod
    def parse(cls, description: str) -> PdfGrid:
        """The grid that a column's description states.

        Raises
        ------
        InputError
            If it states none.
        """
        # VOTable breaks long descriptions into lines.
        found = _PATTERN.search(" ".join(description.split()))
        if found is None:
            raise InputError(f"no bins are stated in the description {description!r}")
        scale, start, step, number, softening = found.groups()
        return cls(scale, float(start), float(step), int(number), float(softening or 1.0))
