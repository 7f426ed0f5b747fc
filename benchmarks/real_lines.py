"""Line strengths of the real spectra object by object: model, pipeline, and a direct integral.

The pipeline fits Gaussians of one width for all lines of a kind; the integral takes all flux
over a straight continuum. Where the two differ, no prediction can agree with both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from real_scores import Row
from real_sets import ObjectSet
from real_spectra import SAFE_WARNINGS, safe_galaxies

from jpassed.io.spectra import read_spectrum
from jpassed.io.spectrum_record import SpectrumRecord
from jpassed.posteriors import Posterior

Array = NDArray[np.float64]

WINDOWS = {"ew_halpha": (6564.6, 45.0), "ew_oiii": (5008.2, 25.0), "ew_oii": (3728.5, 15.0)}
"""Centre and half width of the integral, vacuum Å at rest; that of Halpha holds [NII] as well."""

OTHERS = ((4935.0, 4975.0), (6700.0, 6745.0))
"""Lines beside these, left out of the continuum."""

SIDE = 55.0
"""Width of the continuum on either side, from 5 Å beyond the window."""

NII_BOTH = 4.0 / 3.0
"""[NII] 6584 and 6549 over 6584 alone."""


def direct_width(record: SpectrumRecord, z: float, line: str) -> float:
    """Rest-frame EW (Å) of all that stands over a straight continuum; NaN where not covered."""
    centre, half = WINDOWS[line]
    wave = record.wave / (1.0 + z)
    distance = np.abs(wave - centre)
    side = record.good & (distance > half + 5.0) & (distance < half + 5.0 + SIDE)
    for low, high in OTHERS:
        side &= ~((wave > low) & (wave < high))
    inside = distance < half
    if (side & (wave < centre)).sum() < 10 or (side & (wave > centre)).sum() < 10:
        return float("nan")
    line_fit = np.polyfit(wave[side] - centre, record.flux[side], 1)
    continuum = np.polyval(line_fit, wave[inside] - centre)
    return float(np.trapezoid(record.flux[inside] / continuum - 1.0, wave[inside]))


def line_objects(
    folder: Path, objects: ObjectSet, posterior: Posterior, use: Any, least: float
) -> list[Row]:
    """A row for every spectrum and line above `least` Å: what each method says.

    `objects` is in the order of `safe_galaxies`, a fixed number of rows for each spectrum.
    """
    rows = safe_galaxies(folder, SAFE_WARNINGS)
    chosen = np.flatnonzero(use)
    of_spectrum = np.repeat(np.arange(len(rows)), len(chosen) // len(rows))
    found = []
    for number, row in enumerate(rows):
        record = read_spectrum(folder / row["file"])[int(row["row"])]
        z = float(row["z"])
        for line in WINDOWS:
            mine = chosen[of_spectrum == number]
            width = float(objects.known[line][mine[0]])
            if not width > least:
                continue
            low, middle, high = np.median(posterior[line][mine].quantile([0.16, 0.5, 0.84]), axis=0)
            nii = float(objects.known["ew_nii"][mine[0]]) if line == "ew_halpha" else 0.0
            found.append({
                "object": row["object"], "subclass": row["subclass"], "z": z, "line": line,
                "pipeline": width, "with [NII]": width + NII_BOTH * nii,
                "integral": direct_width(record, z, line),
                "predicted": [float(middle), float(low), float(high)],
            })  # fmt: skip
    return found
