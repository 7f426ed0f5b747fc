"""What goes wrong in the photometry of single objects: what flags should tell."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from situation_samples import BANDS, Sample

Array = NDArray[np.float64]
Change = Callable[[Sample, np.random.Generator], Sample]

REFERENCE = BANDS.index("rSDSS")
BLEND = 0.7
"""Flux of the second galaxy over that of the first, in r."""


def one_band(offset: float) -> Change:
    """One band, another in every object, too bright or too faint by `offset` magnitudes."""

    def change(sample: Sample, rng: np.random.Generator) -> Sample:
        n, bands = sample.flux.shape
        factor = np.ones((n, bands))
        sign = rng.choice([-1.0, 1.0], n)
        factor[np.arange(n), rng.integers(0, bands, n)] = 10 ** (0.4 * offset * sign)
        return Sample(sample.flux * factor, sample.error * factor, sample.observed, sample.z)

    return change


def swapped(sample: Sample, rng: np.random.Generator) -> Sample:
    """Two bands have each other's flux and error."""
    order = np.tile(np.arange(sample.flux.shape[1]), (len(sample), 1))
    pairs = rng.random(sample.flux.shape).argsort(axis=1)[:, :2]
    rows = np.arange(len(sample))[:, None]
    order[rows, pairs] = pairs[:, ::-1]
    taken = (np.take_along_axis(values, order, axis=1) for values in (sample.flux, sample.error))
    return Sample(*taken, np.take_along_axis(sample.observed, order, axis=1), sample.z)


def offsets(sigma: float) -> Change:
    """Independent offsets of all bands, magnitudes, that the errors do not hold."""

    def change(sample: Sample, rng: np.random.Generator) -> Sample:
        factor = 10 ** (0.4 * sigma * rng.standard_normal(sample.flux.shape))
        return Sample(sample.flux * factor, sample.error * factor, sample.observed, sample.z)

    return change


def stated(factor: float) -> Change:
    """Errors stated too small by a factor."""

    def change(sample: Sample, rng: np.random.Generator) -> Sample:
        return Sample(sample.flux, sample.error / factor, sample.observed, sample.z)

    return change


def blended(sample: Sample, rng: np.random.Generator) -> Sample:
    """The light of another galaxy of the sample added, `BLEND` of the first one's in r."""
    other = rng.permutation(len(sample))
    r = np.maximum(sample.flux[:, REFERENCE], 1e-9)
    scale = (BLEND * r / np.maximum(r[other], 1e-9))[:, None]
    return Sample(
        sample.flux + scale * sample.flux[other],
        np.hypot(sample.error, np.minimum(scale, 1.0) * sample.error[other]),
        sample.observed & sample.observed[other],
        None,
    )


CORRUPTIONS: dict[str, Change] = {
    "one band by 0.3 mag": one_band(0.3),
    "one band by 0.5 mag": one_band(0.5),
    "one band by 1 mag": one_band(1.0),
    "two bands swapped": swapped,
    "errors stated half": stated(2.0),
    "offsets of 0.05 mag": offsets(0.05),
    "offsets of 0.10 mag": offsets(0.10),
    "two galaxies in one": blended,
}
