"""Where the emission lines of the vocabulary lie."""

from __future__ import annotations

__all__ = ["LINE_LIMITS", "rest_wavelength"]

LINE_LIMITS = {
    "ew_oii": (3727.09, 3729.88),
    "ew_hbeta": (4862.69, 4862.69),
    "ew_oiii": (5008.24, 5008.24),
    "ew_halpha": (6564.61, 6564.61),
    "ew_nii": (6585.27, 6585.27),
    "ew_sii": (6718.29, 6732.67),
}
"""Rest-frame vacuum wavelengths (Å) of the first and last line of each kind, as simulated."""


def rest_wavelength(kind: str) -> float:
    """Rest-frame wavelength (Å) of a line's EW or of the continuum under it, 0 for other kinds."""
    name = kind.replace("logc_", "ew_", 1) if kind.startswith("logc_") else kind
    if name not in LINE_LIMITS:
        return 0.0
    first, last = LINE_LIMITS[name]
    return 0.5 * (first + last)
