"""What is left of every band when the others predict it: zero-point and template errors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from real_scores import SEED, magnitude_difference
from real_sets import ObjectSet

from jpassed.annotation.reconstruction import reconstruct_table
from jpassed.evaluation import bootstrap_interval, mad_scatter

Array = NDArray[np.float64]

FOLDS = 4
LEAST = 20
"""Objects of a band that is shown."""

SIGNIFICANT = 3.0
"""S/N of a measurement that has a residual in magnitudes."""

RESAMPLINGS = 200


def residuals(objects: ObjectSet, model: Any) -> dict[str, dict[str, Any]]:
    """Observed minus predicted of every band, the redshift given.

    Bands are dealt into `FOLDS` parts by wavelength, or into as many as there are where they are
    few; a band is predicted with its whole part hidden.

    Returns
    -------
    dict
        By band: ``n`` rows; ``mag``, the median of observed minus predicted magnitude (rows of
        S/N over 3) with its 68 % interval by object; ``scatter``, its 1.4826 MAD; ``sigma`` and
        ``width``, the median and 1.4826 MAD of the residual over the quadrature of the error of
        the measurement and of the prediction.
    """
    folds = FOLDS if len(objects.bands) > 12 else len(objects.bands)
    found, task = reconstruct_table(
        objects.table(), model=model, survey=objects.survey(), context={"z": "z_true"}, folds=folds
    )
    photometry = task.photometry
    result: dict[str, dict[str, Any]] = {}
    for i, band in enumerate(found.bands):
        use = np.flatnonzero(found.observed[:, i])
        if len(use) < LEAST:
            continue
        flux, error = photometry.flux[use, i], photometry.error[use, i]
        predicted = found.flux[use, i]
        deviation = (flux - predicted) / np.hypot(error, found.error[use, i])
        bright = flux > SIGNIFICANT * error
        row: dict[str, Any] = {
            "n": len(use),
            "pivot": float(photometry.pivot[i]),
            "sigma": float(np.median(deviation)),
            "width": mad_scatter(deviation),
        }
        if bright.sum() >= LEAST:
            magnitude = magnitude_difference(flux[bright], predicted[bright])
            group = objects.group[use][bright]
            alone = len(np.unique(group)) == len(group)
            low, high = np.nan, np.nan
            if len(np.unique(group)) > 1:
                low, high = bootstrap_interval(
                    np.median, magnitude, None if alone else group, RESAMPLINGS, SEED
                )
            row["mag"] = [float(np.median(magnitude)), float(low), float(high)]
            row["scatter"] = mad_scatter(magnitude)
        result[band] = row
    return result


def summary(real: dict[str, Any], twin: dict[str, Any]) -> dict[str, Any]:
    """The figures of all bands in a line: spread of the medians, and the bands that stand out.

    ``out`` lists the bands whose real median differs from the twin's by more than three times the
    half width of its interval and by more than 0.01 mag, largest first.
    """
    both = [band for band in real if "mag" in real[band] and "mag" in twin.get(band, {})]
    result: dict[str, Any] = {"bands": len(both)}
    for name, rows in (("real", real), ("simulated", twin)):
        medians = np.array([rows[band]["mag"][0] for band in both] or [np.nan])
        widths = [rows[band]["width"] for band in both] or [np.nan]
        scatter = [rows[band]["scatter"] for band in both] or [np.nan]
        result[f"{name}, rms of medians"] = float(np.sqrt(np.mean(medians**2)))
        result[f"{name}, median width"] = float(np.median(widths))
        result[f"{name}, median scatter"] = float(np.median(scatter))
    out = []
    for band in both:
        value, low, high = real[band]["mag"]
        excess = value - twin[band]["mag"][0]
        if abs(excess) > max(0.01, 1.5 * (high - low)):
            out.append((abs(excess), f"{band} {excess:+.3f}"))
    result["out"] = [text for _, text in sorted(out, reverse=True)]
    return result
