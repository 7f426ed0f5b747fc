"""Synthetic photometry as a matrix product.

The AB bandflux of a spectrum in a photon-counting passband T is (Bessell & Murphy 2012, PASP 124,
140, eq. A12)

    f_nu = integral(lambda f_lambda T dlambda) / (c integral(T / lambda dlambda)).

It is linear in the spectrum. With the spectrum linear between its pixels in photons
(lambda f_lambda, as synphot takes it) and the passband linear between its points, the integral is
a sum over pixels whose weights depend on the two wavelength grids only: one matrix serves every
spectrum on a grid. Built on the union of both grids the weights agree with
`synphot.Observation.effstim` to rounding; on the spectrum's grid alone they are off by 5e-5 mag.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import InputError
from jpassed.io.spectrum_record import SpectrumRecord
from jpassed.jspectrum.weights import BandWeights, band_weights, sampled_curve

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

__all__ = ["Bandfluxes", "SyntheticPhotometry"]

LATTICE_STEP = 1e-4
LATTICE_FIRST, LATTICE_LAST = 35000, 40500
"""The lattice of SDSS and BOSS, log10(Å) = 1e-4 k: pixels kept in its shared weight matrix."""

_BATCH = 256
_CACHED_GRIDS = 16


@dataclass(frozen=True)
class Bandfluxes:
    """Synthetic bandfluxes of N spectra in B bands.

    Attributes
    ----------
    names : tuple of str
        The bands.
    flux, error : ndarray
        AB bandflux and its standard error in microjansky, shape (N, B); NaN where not observed,
        and errors also where the spectrum has none.
    observed : ndarray of bool
        Shape (N, B).
    coverage : ndarray
        Fraction of the transmission between a spectrum's first and last good pixel, (N, B).
    gap : ndarray
        Fraction of the transmission in bad pixels between them, (N, B).
    """

    names: tuple[str, ...]
    flux: Array
    error: Array
    observed: NDArray[np.bool_]
    coverage: Array
    gap: Array


class SyntheticPhotometry:
    """Bandfluxes of spectra in a set of passbands.

    Parameters
    ----------
    filters : FilterSet, or sequence of Passband or synphot.SpectralElement
        The passbands; wavelengths in vacuum.
    min_coverage : float
        A band is observed where the spectrum, from its first to its last good pixel, covers at
        least this fraction of the band's transmission. What lies outside is taken from the end
        pixel, constant in photons (as synphot extrapolates).
    max_gap : float
        Bad pixels inside are interpolated, linear in photons, as long as they hold at most this
        fraction of the transmission. The variance is that of the interpolation, exactly, plus
        the variance that the missing pixels themselves would have had: an interpolated pixel is
        worth no more than a measured one.
    names : sequence of str, optional
        Names of the bands, where the passbands do not carry them.

    Raises
    ------
    InputError
        If a passband has no sampling, no throughput or no name, or a limit is not in 0-1.

    Notes
    -----
    Errors assume independent pixels. The spectra of SDSS and DESI are close to that; resampled
    spectra are not, and their band errors come out too small.
    """

    def __init__(
        self,
        filters: Iterable[Any],
        *,
        min_coverage: float = 0.99,
        max_gap: float = 0.05,
        names: Sequence[str] | None = None,
    ) -> None:
        for label, limit in (("min_coverage", min_coverage), ("max_gap", max_gap)):
            if not 0.0 <= limit <= 1.0:
                raise InputError(f"{label} must be a fraction between 0 and 1, got {limit}")
        bands = list(filters)
        self.min_coverage, self.max_gap = float(min_coverage), float(max_gap)
        given = [str(getattr(band, "name", "") or "") for band in bands] if names is None else names
        if not bands or len(given) != len(bands) or "" in given or len(set(given)) != len(given):
            raise InputError(
                f"expected at least one passband and one distinct name for each, got {len(bands)} "
                f"passbands and names {list(given)}"
            )
        self.names: tuple[str, ...] = tuple(given)
        self._curves = [
            sampled_curve(band, name) for band, name in zip(bands, self.names, strict=True)
        ]
        self._cache: OrderedDict[bytes, BandWeights] = OrderedDict()

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return (
            f"SyntheticPhotometry({len(self)} bands, {self.names[0]} to {self.names[-1]}, "
            f"min_coverage={self.min_coverage}, max_gap={self.max_gap})"
        )

    def weights(self, wave: ArrayLike) -> BandWeights:
        """Weight matrix of a wavelength grid; the last 16 grids are kept.

        Parameters
        ----------
        wave : array_like
            Vacuum Å, shape (P,), increasing.

        Returns
        -------
        BandWeights
        """
        grid = np.ascontiguousarray(wave, dtype=np.float64)
        key = grid.tobytes()
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        self._cache[key] = band_weights(grid, self._curves)
        while len(self._cache) > _CACHED_GRIDS:
            self._cache.popitem(last=False)
        return self._cache[key]

    def bandflux(
        self, wave: ArrayLike, flux: ArrayLike, ivar: ArrayLike | None = None
    ) -> Bandfluxes:
        """Bandfluxes of spectra on one wavelength grid.

        Parameters
        ----------
        wave : array_like
            Vacuum Å, shape (P,), increasing.
        flux : array_like
            In 1e-17 erg/s/cm2/Å, shape (P,) or (N, P).
        ivar : array_like, optional
            Inverse variance of `flux`, same shape; 0 marks bad pixels. Without it pixels are bad
            where the flux is not finite, and errors are unknown.

        Returns
        -------
        Bandfluxes
            With N = 1 for a single spectrum.

        Raises
        ------
        InputError
            If the shapes do not fit.
        """
        grid = np.asarray(wave, dtype=np.float64)
        values = np.atleast_2d(np.asarray(flux, dtype=np.float64))
        weigh = None if ivar is None else np.atleast_2d(np.asarray(ivar, dtype=np.float64))
        if values.ndim != 2 or values.shape[1:] != grid.shape:
            raise InputError(
                f"expected flux of shape (N, {grid.size}) for {grid.size} wavelengths, got "
                f"{np.shape(flux)}"
            )
        if weigh is not None and weigh.shape != values.shape:
            raise InputError(f"expected ivar of shape {values.shape}, got {weigh.shape}")
        return self.measure(
            [
                SpectrumRecord(grid, values[n], None if weigh is None else weigh[n])
                for n in range(values.shape[0])
            ]
        )

    def measure(
        self, records: Sequence[SpectrumRecord], factors: Sequence[Array | None] | None = None
    ) -> Bandfluxes:
        """Bandfluxes of any spectra, each on its own grid.

        Spectra on the lattice of SDSS and BOSS share one matrix whatever their range.

        Parameters
        ----------
        records : sequence of SpectrumRecord
        factors : sequence of ndarray (P,) or None, optional
            Multiplies flux and error of each spectrum, e.g. for dereddening.

        Returns
        -------
        Bandfluxes
            In the order of `records`.
        """
        shape = (len(records), len(self))
        flux, variance = np.full(shape, np.nan), np.full(shape, np.nan)
        coverage, gap = np.zeros(shape), np.zeros(shape)
        groups: dict[bytes, tuple[Array, list[int], list[int]]] = {}
        for n, record in enumerate(records):
            grid, start = _shared_grid(record.wave)
            # The shared lattice is one array: its identity is enough as a key.
            key = b"lattice" if grid is _LATTICE else grid.tobytes()
            _, members, starts = groups.setdefault(key, (grid, [], []))
            members.append(n)
            starts.append(start)
        for grid, members, starts in groups.values():
            weights = self.weights(grid)
            for first in range(0, len(members), _BATCH):
                rows = members[first : first + _BATCH]
                photons = np.zeros((len(rows), grid.size))
                var = np.zeros_like(photons)
                good = np.zeros(photons.shape, dtype=bool)
                for i, (n, start) in enumerate(
                    zip(rows, starts[first : first + _BATCH], strict=True)
                ):
                    _place(records[n], start, photons[i], var[i], good[i])
                    factor = None if factors is None else factors[n]
                    if factor is not None:
                        place = slice(start, start + len(records[n]))
                        photons[i, place] *= factor
                        var[i, place] *= factor**2
                photons *= grid
                var *= grid**2
                parts = self._integrate(weights, photons, var, good)
                flux[rows], variance[rows], coverage[rows], gap[rows] = parts
        observed = (coverage >= self.min_coverage - 1e-9) & (gap <= self.max_gap + 1e-9)
        no_error = np.array([record.ivar is None for record in records], dtype=bool)
        error: Array = np.sqrt(np.maximum(variance, 0.0))
        error[no_error] = np.nan
        flux[~observed], error[~observed] = np.nan, np.nan
        return Bandfluxes(self.names, flux, error, observed, coverage, gap)

    def _integrate(
        self, weights: BandWeights, photons: Array, var: Array, good: NDArray[np.bool_]
    ) -> tuple[Array, Array, Array, Array]:
        """Bandflux, variance, coverage and gap of (N, P) photon spectra; fills `photons` in."""
        size = weights.wave.size
        any_good = good.any(axis=1)
        first = np.where(any_good, good.argmax(axis=1), 0)
        last = np.where(any_good, size - 1 - good[:, ::-1].argmax(axis=1), 0)
        coverage = weights.below[last] - weights.below[first]
        gap = np.zeros_like(coverage)
        extra = np.zeros_like(coverage)
        for n in np.flatnonzero(any_good):
            gap[n], extra[n] = _bridge(
                weights, photons[n], var[n], good[n], int(first[n]), int(last[n])
            )
        return photons @ weights.matrix, var @ weights.matrix**2 + extra, coverage, gap


_LATTICE: Array = np.power(10.0, LATTICE_STEP * np.arange(LATTICE_FIRST, LATTICE_LAST + 1.0))


def _shared_grid(wave: Array) -> tuple[Array, int]:
    """The grid whose weights serve a spectrum, and the place of its first pixel on that grid."""
    start = round(np.log10(wave[0]) / LATTICE_STEP) - LATTICE_FIRST
    stop = start + wave.size
    if start >= 0 and stop <= _LATTICE.size:
        # Rounding to float32, as SDSS files have it, moves pixels by up to 0.5 % of their width,
        # but not all of them together; a grid that is shifted is another grid.
        off = wave / _LATTICE[start:stop] - 1.0
        if np.abs(off).max() < 1.2e-6 and abs(off.mean()) < 2e-8:
            return _LATTICE, start
    return wave, 0


def _place(
    record: SpectrumRecord, start: int, flux: Array, var: Array, good: NDArray[np.bool_]
) -> None:
    """Put a spectrum on its grid: flux, variance and good pixels, 0 where there is none."""
    place = slice(start, start + len(record))
    usable = record.good
    good[place] = usable
    flux[place] = np.where(usable, record.flux, 0.0)
    if record.ivar is not None:
        np.divide(1.0, record.ivar, out=var[place], where=usable)


def _bridge(
    weights: BandWeights, photons: Array, var: Array, good: NDArray[np.bool_], first: int, last: int
) -> tuple[Array, Array]:
    """Fill the bad pixels of one spectrum in place; return the gap (B,) and the variance to add.

    A filled pixel is a combination of its good neighbours. Giving its weight to them makes the
    bandflux and its variance those of a sum over good pixels only.
    """
    matrix = weights.matrix
    photons[:first], photons[last + 1 :] = photons[first], photons[last]
    bad = first + np.flatnonzero(~good[first : last + 1])
    nodes = np.array([first, last])
    moved = np.stack([weights.total[first], weights.total[-1] - weights.total[last + 1]])
    extra: Any = 0.0
    gap = np.zeros(matrix.shape[1])
    if bad.size:
        sound = np.flatnonzero(good)
        after = np.searchsorted(sound, bad)
        left, right = sound[after - 1], sound[after]
        wave = weights.wave
        part = (wave[bad] - wave[left]) / (wave[right] - wave[left])
        photons[bad] = photons[left] + part * (photons[right] - photons[left])
        own = matrix[bad]
        gap = weights.share[bad].sum(axis=0)
        extra = ((1.0 - part) * var[left] + part * var[right]) @ own**2
        nodes = np.unique(np.concatenate([nodes, left, right]))
        spread = np.zeros((nodes.size, bad.size))
        columns = np.arange(bad.size)
        spread[np.searchsorted(nodes, left), columns] += 1.0 - part
        spread[np.searchsorted(nodes, right), columns] += part
        ends = np.searchsorted(nodes, [first, last])
        edge = moved
        moved = spread @ own
        np.add.at(moved, ends, edge)
    elif first == last:
        nodes, moved = nodes[:1], moved.sum(axis=0, keepdims=True)
    kept = matrix[nodes]
    return gap, var[nodes] @ ((kept + moved) ** 2 - kept**2) + extra
