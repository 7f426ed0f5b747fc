"""Which quantities make sense for which object."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from jpassed.posteriors import Posterior
from jpassed.surveys import LabelColumn

__all__ = ["LINE_WAVELENGTHS", "OBSERVED_RANGE", "line_out_of_range"]

LINE_WAVELENGTHS = {
    "ew_oii": 3728.5,
    "ew_hbeta": 4862.7,
    "ew_oiii": 5008.2,
    "ew_halpha": 6564.6,
    "ew_nii": 6585.3,
    "ew_sii": 6725.5,
}
"""Rest-frame vacuum wavelength (Å) of each line, as in the vocabulary."""

OBSERVED_RANGE = (3500.0, 9600.0)
"""Observed wavelengths (Å) in which lines were targets of the training."""


def line_out_of_range(
    name: str, posterior: Posterior, labels: Mapping[str, LabelColumn], rows: slice
) -> NDArray[np.bool_]:
    """Objects whose line `name` lies outside the observed bands, shape (N,).

    The redshift is the known one, else the posterior's median; False for other quantities, and
    where there is no redshift at all.
    """
    outside = np.zeros(len(posterior), dtype=bool)
    if name not in LINE_WAVELENGTHS:
        return outside
    z = posterior.median("z") if "z" in posterior else np.full(len(posterior), np.nan)
    if "z" in labels:
        known = labels["z"]
        z = np.where(known.observed[rows], known.value[rows], z)
    observed = LINE_WAVELENGTHS[name] * (1.0 + z)
    with np.errstate(invalid="ignore"):
        return (observed < OBSERVED_RANGE[0]) | (observed > OBSERVED_RANGE[1])
