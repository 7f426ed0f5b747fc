"""Total bandfluxes of other surveys, joined by position: GALEX."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.jspectrum.table import SFD_SCALE
from jpassed.surveys import load_survey
from jpassed.vo.matchable import load_matchable
from jpassed.vo.matching import crossmatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jpassed.archives.assembly import MatchStep
    from jpassed.archives.plan import FetchPlan

    Array = NDArray[np.float64]

__all__ = ["match_steps"]


def match_steps(plan: FetchPlan, cache: Path) -> list[MatchStep]:
    """The cross-matches of a plan; their answers are kept in the folder `cache`."""
    return [_step(entry, cache, plan.require_ebv) for entry in plan.crossmatch]


def _step(entry: Mapping[str, Any], cache: Path, require_ebv: bool) -> MatchStep:
    target = load_matchable(entry["name"])
    survey = load_survey(entry["survey"])

    def step(table: Any) -> dict[str, tuple[Array, Array, NDArray[np.bool_]]]:
        from astropy.table import MaskedColumn, Table

        ra, dec = np.asarray(table["ra"]), np.asarray(table["dec"])
        rows = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
        if not len(rows):
            return {}
        found = crossmatch(
            Table({"ra": ra[rows], "dec": dec[rows]}, units={"ra": "deg", "dec": "deg"}),
            target,
            radius=entry.get("radius"),
            service=entry.get("service"),
            coverage=entry.get("coverage"),
            position="ra,dec",
            cache=cache,
        )
        # Coefficients of surveys are for E(B-V) of Schlegel, Finkbeiner & Davis (1998).
        excess = np.asarray(table["ebv"], dtype=np.float64)[rows] / SFD_SCALE
        own = f"{target.prefix}e_bv"
        if own in found.colnames:
            stated = np.ma.filled(np.ma.asarray(found[own]).astype(np.float64), np.nan)
            excess = np.where(np.isfinite(excess), excess, stated)
        known = np.isfinite(excess)
        fluxes = Table({"ebv": MaskedColumn(np.where(known, excess, 0.0))})
        for band in target.bands:
            for part in ("flux", "flux_err"):
                fluxes[f"{target.prefix}{band}_{part}"] = found[f"{target.prefix}{band}_{part}"]
        photometry = survey.photometry(fluxes)
        out = {}
        for b, name in enumerate(photometry.bands):
            flux, error = np.zeros(len(table)), np.ones(len(table))
            observed = np.zeros(len(table), dtype=bool)
            observed[rows] = photometry.observed[:, b] & (known | (not require_ebv))
            flux[rows], error[rows] = photometry.flux[:, b], photometry.error[:, b]
            out[name] = (flux, error, observed)
        return out

    return step
