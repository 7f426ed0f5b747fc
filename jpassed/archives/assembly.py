"""Objects of an archive become rows of a training set."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.archives.label_rules import EXTENSIVE
from jpassed.archives.objects import Objects
from jpassed.archives.plan import FetchPlan
from jpassed.archives.spectrum_sources import fill_pattern
from jpassed.exceptions import FileError
from jpassed.filters import find_band, load_filters
from jpassed.io.spectra import read_spectrum
from jpassed.io.spectrum_record import SpectrumRecord
from jpassed.jspectrum import ErrorModel, SyntheticPhotometry, jspectra, load_noise
from jpassed.jspectrum.table import SFD_SCALE

if TYPE_CHECKING:
    from astropy.table import Table
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Assembler", "MatchStep", "Part"]

logger = logging.getLogger(__name__)

LEAST_SIGNAL = 5.0
"""Signal-to-noise ratio of a spectrum's own bandflux from which on it is scaled to the total flux:
the error of the factor, which is common to all bands, is in no error that is quoted."""

MatchStep = Callable[["Table"], "Mapping[str, tuple[Array, Array, NDArray[np.bool_]]]"]
"""From a table with ``ra`` and ``dec`` (degrees; NaN where not known) and ``ebv`` to bands: total
flux and error in microjansky, corrected for the Milky Way, and what was observed."""


@dataclass
class Part:
    """Bandfluxes of some rows, before they become a table.

    Attributes
    ----------
    flux, error : dict
        Band to microjansky, shape (N,).
    observed : dict
        Band to bool, shape (N,).
    """

    flux: dict[str, Array]
    error: dict[str, Array]
    observed: dict[str, NDArray[np.bool_]]


class Assembler:
    """Makes rows of a training set.

    Parameters
    ----------
    plan : FetchPlan
    match : sequence of MatchStep
        Cross-matches whose total bandfluxes are joined.
    """

    def __init__(self, plan: FetchPlan, match: Sequence[MatchStep] = ()) -> None:
        self.plan, self.match = plan, tuple(match)
        passbands = {b.name: b for name in plan.filters for b in load_filters(name)}
        self.photometry = SyntheticPhotometry(
            list(passbands.values()), min_coverage=plan.min_coverage, max_gap=plan.max_gap
        )
        self.noise = None if plan.noise is None else load_noise(plan.noise).select(plan.bands)
        self._reference: dict[str, SyntheticPhotometry] = {}

    def rows(
        self, objects: Objects, chosen: NDArray[np.int64], paths: Mapping[str, Path]
    ) -> tuple[Table, Counter[str]]:
        """Rows of some objects.

        Parameters
        ----------
        objects : Objects
        chosen : ndarray of int
            Positions of the objects.
        paths : mapping
            Key to the file of its spectrum, for those that have one.

        Returns
        -------
        Table, Counter
            A row for every object of which something is known, and what was left out.
        """
        left_out: Counter[str] = Counter()
        spectra = self._spectra(objects, chosen, paths, left_out)
        ebv = self._excess(objects, chosen, spectra, left_out)
        scale = self._scales(objects, chosen, spectra, left_out)
        bands = self._bands(objects, chosen, spectra, ebv, scale)
        fibre = np.array([s is not None for s in spectra]) & ~np.isfinite(scale)
        self._join_totals(bands, objects, chosen, ebv, fibre, left_out)
        labels = self._labels(objects, chosen, fibre, left_out)
        return self._table(objects, chosen, spectra, ebv, scale, bands, labels, left_out), left_out

    def _spectra(
        self,
        objects: Objects,
        chosen: NDArray[np.int64],
        paths: Mapping[str, Path],
        left_out: Counter[str],
    ) -> list[SpectrumRecord | None]:
        """The spectrum of each object; files that several share are read once."""
        read: dict[Path, list[SpectrumRecord]] = {}
        found: list[SpectrumRecord | None] = []
        for n in chosen:
            key = objects.key[n]
            path = paths.get(key)
            if path is None:
                found.append(None)
                continue
            if path not in read:
                try:
                    read[path] = read_spectrum(path)
                except FileError as exc:
                    logger.warning("%s: %s", key, exc)
                    read[path] = []
            found.append(_pick(read[path], key, objects, int(n), left_out))
        return found

    def _excess(
        self,
        objects: Objects,
        chosen: NDArray[np.int64],
        spectra: list[SpectrumRecord | None],
        left_out: Counter[str],
    ) -> Array:
        """E(B-V) of each object; spectra without one are dropped from `spectra` if so planned."""
        ebv = objects.ebv[chosen].copy()
        for k, record in enumerate(spectra):
            if record is None or np.isfinite(ebv[k]):
                continue
            stated = record.metadata.get("ebv")
            if stated is not None and np.isfinite(stated):
                ebv[k] = SFD_SCALE * float(stated)
            elif self.plan.require_ebv:
                spectra[k] = None
                left_out["spectrum: no E(B-V)"] += 1
            else:
                left_out["correction for the Milky Way: no E(B-V)"] += 1
        return ebv

    def _scales(
        self,
        objects: Objects,
        chosen: NDArray[np.int64],
        spectra: list[SpectrumRecord | None],
        left_out: Counter[str],
    ) -> Array:
        """Factor from a spectrum to the total flux, NaN where not known.

        Spectrum and total flux are compared as they were observed, both behind the Milky Way's
        dust, so that the factor does not depend on E(B-V).
        """
        scale = np.full(len(chosen), np.nan)
        band = objects.total_band
        total = objects.total[chosen]
        for k, record in enumerate(spectra):
            if record is None:
                continue
            if not band or not np.isfinite(total[k]):
                left_out["scaling to total flux: no total flux"] += 1
                continue
            if band not in self._reference:
                self._reference[band] = SyntheticPhotometry(
                    [find_band(band)],
                    min_coverage=self.plan.min_coverage,
                    max_gap=self.plan.max_gap,
                )
            found = self._reference[band].measure([record])
            flux, error = found.flux[0, 0], found.error[0, 0]
            if not flux > 0:
                left_out[f"scaling to total flux: no flux in {band} of the spectrum"] += 1
            elif flux < LEAST_SIGNAL * error:
                left_out[f"scaling to total flux: {band} of the spectrum is noise"] += 1
            else:
                scale[k] = total[k] / flux
        return scale

    def _bands(
        self,
        objects: Objects,
        chosen: NDArray[np.int64],
        spectra: list[SpectrumRecord | None],
        ebv: Array,
        scale: Array,
    ) -> Part:
        """Synthetic bandfluxes as the survey would have measured them."""
        shape = (len(chosen), len(self.plan.bands))
        flux, error = np.full(shape, np.nan), np.full(shape, np.nan)
        rows = [k for k, record in enumerate(spectra) if record is not None]
        if rows:
            scaled = [
                _scaled(record, scale[k]) for k, record in enumerate(spectra) if record is not None
            ]
            table = jspectra(scaled, filters=self.photometry, ebv=ebv[rows])
            for b, name in enumerate(self.plan.bands):
                flux[rows, b] = _plain(table[name])
                error[rows, b] = _plain(table[f"{name}_err"])
        good = np.isfinite(flux) & np.isfinite(error) & (error > 0)
        flux, error = np.where(good, flux, np.nan), np.where(good, error, np.nan)
        if self.noise is not None:
            flux, error = self._noisy(objects, chosen, flux, error, self.noise)
        good = np.isfinite(flux) & np.isfinite(error) & (error > 0)
        return Part(
            {name: flux[:, b] for b, name in enumerate(self.plan.bands)},
            {name: error[:, b] for b, name in enumerate(self.plan.bands)},
            {name: good[:, b] for b, name in enumerate(self.plan.bands)},
        )

    def _noisy(
        self,
        objects: Objects,
        chosen: NDArray[np.int64],
        flux: Array,
        error: Array,
        noise: ErrorModel,
    ) -> tuple[Array, Array]:
        """Fluxes with the survey's noise on top of that of the spectrum.

        The spectrum's own noise is in its flux already. The survey's is drawn on top, so the two
        add in quadrature, and so do the errors that are quoted: what comes out is as noisy as its
        error says, and never better than the survey. Each object has draws of its own, from the
        seed and its name: they do not depend on what else is fetched, or in which order.
        """
        noisy, sigma = flux.copy(), error.copy()
        weight = noise.reference_weight
        for k, n in enumerate(chosen):
            seen = np.isfinite(flux[k])
            if not seen.any():
                continue
            rng = np.random.default_rng(
                seed_of(self.plan.seed, objects.archive.name, objects.key[n])
            )
            # Where the spectrum lacks the bands that set the aperture, its mean flux does.
            whole = bool(seen[weight > 0].all())
            reference = None if whole else np.array([np.mean(flux[k][seen])])
            value, quoted = noise.apply(flux[k : k + 1], rng, reference=reference)
            noisy[k], sigma[k] = value[0], np.hypot(quoted[0], error[k])
        return noisy, sigma

    def _join_totals(
        self,
        part: Part,
        objects: Objects,
        chosen: NDArray[np.int64],
        ebv: Array,
        fibre: NDArray[np.bool_],
        left_out: Counter[str],
    ) -> None:
        """Join total fluxes of catalogues, but never to a spectrum in the light of a fibre."""
        from astropy.table import Table

        groups: list[tuple[str, Array, Array, NDArray[np.bool_]]] = []
        for bands in objects.bands:
            for b, name in enumerate(bands.names):
                groups.append(
                    (name, bands.flux[chosen, b], bands.error[chosen, b], bands.observed[chosen, b])
                )
        positions = Table({"ra": objects.ra[chosen], "dec": objects.dec[chosen], "ebv": ebv})
        for step in self.match:
            groups += [(name, *values) for name, values in step(positions).items()]
        for name, flux, error, observed in groups:
            apart = observed & fibre
            if apart.any():
                left_out["total bandflux: the spectrum is not scaled to total flux"] += int(
                    apart.sum()
                )
            take = observed & ~fibre
            for full, values, blank in (
                (part.flux, flux, np.nan),
                (part.error, error, np.nan),
                (part.observed, np.ones(len(take), dtype=bool), False),
            ):
                old = full.get(name, np.full(len(take), blank))
                full[name] = np.where(take, values, old)

    def _labels(
        self,
        objects: Objects,
        chosen: NDArray[np.int64],
        fibre: NDArray[np.bool_],
        left_out: Counter[str],
    ) -> dict[str, tuple[Array, Array, NDArray[np.bool_], list[str]]]:
        labels = {}
        for quantity, entry in objects.labels.items():
            observed = entry.observed[chosen].copy()
            if quantity in EXTENSIVE:
                apart = observed & fibre
                if apart.any():
                    left_out[f"{quantity}: the spectrum is not scaled to total flux"] += int(
                        apart.sum()
                    )
                observed &= ~fibre
            sources = [
                objects.sources[s] if known else ""
                for s, known in zip(entry.source[chosen], observed, strict=True)
            ]
            labels[quantity] = (entry.value[chosen], entry.error[chosen], observed, sources)
        return labels

    def _table(
        self,
        objects: Objects,
        chosen: NDArray[np.int64],
        spectra: list[SpectrumRecord | None],
        ebv: Array,
        scale: Array,
        bands: Part,
        labels: dict[str, tuple[Array, Array, NDArray[np.bool_], list[str]]],
        left_out: Counter[str],
    ) -> Table:
        from jpassed.archives.row_table import row_table

        known = np.zeros(len(chosen), dtype=bool)
        for observed in bands.observed.values():
            known |= observed
        for _, _, observed, _ in labels.values():
            known |= observed
        if not known.all():
            left_out["object: nothing usable"] += int((~known).sum())
        signal = [np.nan if s is None else s.median_sn for s in spectra]
        return row_table(objects, chosen, np.array(signal), ebv, scale, bands, labels)[known]


def seed_of(seed: int, archive: str, key: str) -> int:
    """Seed of an object's own draws."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{archive}/{key}".encode()).digest()[:8], "big")


def _pick(
    records: list[SpectrumRecord], key: str, objects: Objects, n: int, left_out: Counter[str]
) -> SpectrumRecord | None:
    """The record of an object in a file that may hold several."""
    if not records:
        left_out["spectrum: file damaged"] += 1
        return None
    source = objects.archive.spectra
    name = fill_pattern(source.name, objects.row(n)) if source and source.name else key
    named = [r for r in records if r.name == name]
    record = named[0] if named else records[0] if len(records) == 1 else None
    if record is None:
        left_out["spectrum: not in its file"] += 1
    elif record.metadata.get("frame") == "rest":
        left_out["spectrum: in the rest frame"] += 1
        return None
    return record


def _scaled(record: SpectrumRecord, scale: float) -> SpectrumRecord:
    if not np.isfinite(scale):
        return record
    ivar = None if record.ivar is None else record.ivar / scale**2
    return replace(record, flux=record.flux * scale, ivar=ivar)


def _plain(column: Any) -> Array:
    """Numbers, NaN where masked."""
    values = np.asarray(column.unmasked.value, dtype=np.float64)
    return np.where(column.mask, np.nan, values)
