"""J-spectra: synthetic bandfluxes of spectra, and the error model that gives them a survey's depth.

Names are imported on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jpassed.jspectrum.error_model import ErrorModel, list_noise, load_noise
    from jpassed.jspectrum.extinction import dereddening_factor, extinction_coefficient
    from jpassed.jspectrum.synthetic import Bandfluxes, SyntheticPhotometry
    from jpassed.jspectrum.table import jspectra
    from jpassed.jspectrum.weights import BandWeights

__all__ = [
    "BandWeights",
    "Bandfluxes",
    "ErrorModel",
    "SyntheticPhotometry",
    "dereddening_factor",
    "extinction_coefficient",
    "jspectra",
    "list_noise",
    "load_noise",
]

_LAZY = {
    "BandWeights": "jpassed.jspectrum.weights",
    "Bandfluxes": "jpassed.jspectrum.synthetic",
    "ErrorModel": "jpassed.jspectrum.error_model",
    "SyntheticPhotometry": "jpassed.jspectrum.synthetic",
    "dereddening_factor": "jpassed.jspectrum.extinction",
    "extinction_coefficient": "jpassed.jspectrum.extinction",
    "jspectra": "jpassed.jspectrum.table",
    "list_noise": "jpassed.jspectrum.error_model",
    "load_noise": "jpassed.jspectrum.error_model",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
