"""Total bandfluxes of other surveys, joined by position: GALEX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.archives.description import without_login
from jpassed.jspectrum.table import SFD_SCALE
from jpassed.surveys import load_survey
from jpassed.vo.matchable import load_matchable
from jpassed.vo.matching import coverage_of, crossmatch, meta_key
from jpassed.vo.services import load_service

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jpassed.archives.plan import FetchPlan

    Array = NDArray[np.float64]

__all__ = ["PositionMatch", "match_steps", "queries_of"]


class PositionMatch:
    """A cross-match of a plan: a `jpassed.archives.assembly.MatchStep`.

    Parameters
    ----------
    entry : mapping
        Of `FetchPlan.crossmatch`.
    cache : Path
        Folder of the answers.
    require_ebv : bool
        Whether fluxes without E(B-V) are left out.

    Attributes
    ----------
    asked : list of dict
        What was asked of whom since the list was last emptied, for the manifest.
    """

    def __init__(self, entry: Mapping[str, Any], cache: Path, require_ebv: bool) -> None:
        self.entry, self.cache, self.require_ebv = entry, cache, require_ebv
        self.target = load_matchable(entry["name"])
        self.survey = load_survey(entry["survey"])
        self.asked: list[dict[str, Any]] = []

    def __call__(self, table: Any) -> dict[str, tuple[Array, Array, NDArray[np.bool_]]]:
        """Bandfluxes at the positions of a table."""
        from astropy.table import MaskedColumn, Table

        ra, dec = np.asarray(table["ra"]), np.asarray(table["dec"])
        rows = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
        if not len(rows):
            return {}
        found = crossmatch(
            Table({"ra": ra[rows], "dec": dec[rows]}, units={"ra": "deg", "dec": "deg"}),
            self.target,
            radius=self.entry.get("radius"),
            service=self.entry.get("service"),
            coverage=self._coverage(),
            position="ra,dec",
            cache=self.cache,
        )
        said = found.meta[meta_key(self.target.name)]
        asked = {"rows": said["rows"], "matched": said["matched"], "coverage": said["coverage"]}
        self._note(said["table"], said["service"], said["query"], said["date"], asked)
        # Coefficients of surveys are for E(B-V) of Schlegel, Finkbeiner & Davis (1998).
        excess = np.asarray(table["ebv"], dtype=np.float64)[rows] / SFD_SCALE
        own = f"{self.target.prefix}e_bv"
        if own in found.colnames:
            stated = np.ma.filled(np.ma.asarray(found[own]).astype(np.float64), np.nan)
            excess = np.where(np.isfinite(excess), excess, stated)
        known = np.isfinite(excess)
        fluxes = Table({"ebv": MaskedColumn(np.where(known, excess, 0.0))})
        for band in self.target.bands:
            for part in ("flux", "flux_err"):
                name = f"{self.target.prefix}{band}_{part}"
                fluxes[name] = found[name]
        photometry = self.survey.photometry(fluxes)
        out = {}
        for b, name in enumerate(photometry.bands):
            flux, error = np.zeros(len(table)), np.ones(len(table))
            observed = np.zeros(len(table), dtype=bool)
            observed[rows] = photometry.observed[:, b] & (known | (not self.require_ebv))
            flux[rows], error[rows] = photometry.flux[:, b], photometry.error[:, b]
            out[name] = (flux, error, observed)
        return out

    def _coverage(self) -> Any:
        """What the survey observed; a table of fields is asked for here, to tell of it."""
        from jpassed.vo.client import TapClient

        service = load_service(self.entry.get("service") or self.target.service)
        client = _Noting(TapClient(service, cache=self.cache))
        found = coverage_of(self.entry.get("coverage"), self.target, client)
        for query, table in client.answers:
            date = str(table.meta.get("jp_query_date", ""))
            name = found.description.removeprefix("fields of ") if found else ""
            self._note(name, service.url, query, date, {"rows": len(table)})
        return found

    def _note(self, table: str, url: str, query: str, date: str, more: Mapping[str, Any]) -> None:
        named = without_login(self.entry.get("service") or self.target.service)
        told = {"crossmatch": self.target.name, "table": table, "service": named}
        told["url"] = without_login(url)
        self.asked.append({**told, "query": query, "date": date, **more})


class _Noting:
    """A `TapClient` that notes what it is asked."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.answers: list[tuple[str, Any]] = []

    def run(self, adql: str) -> Any:
        answer = self.client.run(adql)
        self.answers.append((adql, answer))
        return answer


def queries_of(asked: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One record for each query, of what was asked for one shard after the other.

    Rows and matches of uploaded positions are added up; the date is that of the last answer.
    """
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for record in asked:
        key = tuple(str(record[name]) for name in ("crossmatch", "url", "table", "query"))
        if key not in found:
            found[key] = dict(record)
            continue
        known = found[key]
        known["date"] = max(known["date"], record["date"])
        if "matched" in record:
            for name in ("rows", "matched"):
                known[name] += record[name]
    return list(found.values())


def match_steps(plan: FetchPlan, cache: Path) -> list[PositionMatch]:
    """The cross-matches of a plan; their answers are kept in the folder `cache`."""
    return [PositionMatch(entry, cache, plan.require_ebv) for entry in plan.crossmatch]
