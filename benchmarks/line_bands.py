"""What emission lines add to bandfluxes, from redshift and equivalent widths alone.

A line of rest-frame width EW over a continuum that is flat in F_lambda across the band adds

    EW (1 + z) T(l) l / integral(T l dl),   l = wavelength of the line times (1 + z),

to the band, in units of the continuum's bandflux (photon counting). Companions in fixed ratios come
along: [OIII] 4960 (1 / 2.98) and [NII] 6550 (1 / 2.94; Storey & Zeippen 2000, MNRAS 312, 813).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jpassed.filters import load_filters

Array = NDArray[np.float64]

PARTS = {
    "ew_oii": ((3727.09, 0.43), (3729.88, 0.57)),
    "ew_hbeta": ((4862.69, 1.0),),
    "ew_oiii": ((5008.24, 1.0), (4960.30, 1 / 2.98)),
    "ew_halpha": ((6564.61, 1.0),),
    "ew_nii": ((6585.27, 1.0), (6549.86, 1 / 2.94)),
    "ew_sii": ((6718.29, 0.57), (6732.67, 0.43)),
}
"""Vacuum wavelengths (Å) and shares of the lines of each equivalent width."""


def line_excess(z: Array, widths: dict[str, Array]) -> Array:
    """Bandflux of lines over that of the continuum, (N, 60); NaN widths add nothing.

    Parameters
    ----------
    z : array (N,)
    widths : dict of str to array (N,)
        Rest-frame EWs in Å by quantity.
    """
    bands = list(load_filters("jpas"))
    excess = np.zeros((len(z), len(bands)))
    for b, band in enumerate(bands):
        wave, through = np.asarray(band.wave), np.asarray(band.throughput)
        area = np.trapezoid(through * wave, wave)
        for name, parts in PARTS.items():
            if name not in widths:
                continue
            width = np.maximum(np.nan_to_num(widths[name]), 0.0)
            for rest, share in parts:
                at = rest * (1 + z)
                here = np.interp(at, wave, through, left=0.0, right=0.0)
                excess[:, b] += share * width * (1 + z) * here * at / area
    return excess
