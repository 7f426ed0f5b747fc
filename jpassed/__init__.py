"""
Predictions for the spectral energy distribution of galaxies, with calibrated uncertainty.

Give any subset of what is known about an object (bandfluxes with errors, redshift, lines,
stellar-population properties) in an `astropy.table.Table`, get a table back with new columns::

    from astropy.table import QTable
    import jpassed

    annotated = jpassed.annotate(QTable.read("catalogue.fits"))

Public names are imported on first use, so ``import jpassed`` stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public name -> module that defines it. No module carries the name of a public function: the
# submodule would replace the function as an attribute of the package once it is imported.
_HOMES = {
    "JpassedError": "jpassed.exceptions",
    "Posterior": "jpassed.posteriors",
    "annotate": "jpassed.annotation",
    "crossmatch": "jpassed.vo.matching",
    "jspectra": "jpassed.jspectrum",
    "list_models": "jpassed.weights",
    "list_surveys": "jpassed.surveys",
    "load_filters": "jpassed.filters",
    "load_model": "jpassed.weights",
    "query": "jpassed.vo.queries",
    "simulate": "jpassed.simulation",
}

__all__ = [
    "JpassedError",
    "Posterior",
    "__version__",
    "annotate",
    "crossmatch",
    "jspectra",
    "list_models",
    "list_surveys",
    "load_filters",
    "load_model",
    "query",
    "simulate",
]

if TYPE_CHECKING:
    from jpassed.annotation import annotate
    from jpassed.exceptions import JpassedError
    from jpassed.filters import load_filters
    from jpassed.jspectrum import jspectra
    from jpassed.posteriors import Posterior
    from jpassed.simulation import simulate
    from jpassed.surveys import list_surveys
    from jpassed.vo.matching import crossmatch
    from jpassed.vo.queries import query
    from jpassed.weights import list_models, load_model


def __getattr__(name: str) -> Any:
    """Import a public name from its home on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'jpassed' has no attribute {name!r}")
    found = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
