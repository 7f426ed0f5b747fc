"""What the manifest of a training set says."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

import jpassed
from jpassed.archives.manifest import FORMAT
from jpassed.archives.objects import Objects
from jpassed.archives.plan import Choice, FetchPlan
from jpassed.archives.position_matches import queries_of
from jpassed.archives.row_table import LABEL_PREFIX
from jpassed.archives.spectrum_store import SpectrumStore
from jpassed.jspectrum import load_noise
from jpassed.vocabulary import load_vocabulary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["manifest_of"]


def manifest_of(
    plan: FetchPlan,
    records: list[dict[str, Any]],
    groups: list[tuple[Choice, Objects, NDArray[np.int64]]],
    stores: Mapping[str, SpectrumStore],
    shards: list[dict[str, Any]],
) -> dict[str, Any]:
    """Everything that a training set is made of.

    Parameters
    ----------
    plan : FetchPlan
    records : list of dict
        Of the queries, see `fetch_table`.
    groups : list
        Archive, its objects, and the positions of those kept.
    stores : mapping
        Archive to its spectra.
    shards : list of dict
        Lines of the journal of shards.
    """
    vocabulary = load_vocabulary()
    labels: Counter[str] = Counter()
    bands: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for line in shards:
        labels.update(line["labels"])
        bands.update(line["bands"])
        left_out.update(line["left_out"])
    for _, objects, _ in groups:
        left_out.update(objects.left_out)
        for quantity, entry in objects.labels.items():
            left_out.update({f"{quantity}: {why}": n for why, n in entry.left_out.items()})
    versions = {"jpassed": jpassed.__version__, "python": platform.python_version()}
    for name in ("numpy", "astropy", "pyvo", "pyarrow"):
        versions[name] = metadata.version(name)
    return {
        "format": FORMAT,
        "name": plan.name,
        "plan": plan.as_dict(),
        "plan_digest": plan.digest,
        "vocabulary": vocabulary.digest,
        "noise": None
        if plan.noise is None
        else {"preset": plan.noise, "digest": load_noise(plan.noise).digest, "seed": plan.seed},
        "versions": versions,
        "queries": [*records, *queries_of([m for line in shards for m in line.get("matches", ())])],
        "spectra": {name: _spectra(store) for name, store in stores.items()},
        "labels": {
            q: {
                "column": f"{LABEL_PREFIX}{q}",
                "error": f"{LABEL_PREFIX}{q}_err",
                "unit": vocabulary[q].unit,
                "count": labels[q],
                "provenance": _provenance(groups, q),
            }
            for q in vocabulary.scalars
            if labels[q]
        },
        "bands": {band: n for band, n in bands.items() if n},
        "counts": {
            "rows": sum(line["rows"] for line in shards),
            "with_spectrum": sum(line["with_spectrum"] for line in shards),
            "left_out": dict(sorted(left_out.items())),
        },
        "shards": [{k: line[k] for k in ("path", "rows", "bytes", "sha256")} for line in shards],
    }


def _spectra(store: SpectrumStore) -> dict[str, Any]:
    """Files are counted once, however many objects share one."""
    files: dict[str, dict[str, Any]] = {}
    for line in store.lines:
        told = {"file": line["file"], "sha256": line["sha256"], "bytes": line["bytes"]}
        files.setdefault(line["file"], {**told, "objects": []})["objects"].append(line["key"])
    return {
        "objects": len(store.lines),
        "files": len(files),
        "bytes": sum(file["bytes"] for file in files.values()),
        "folder": f"spectra/{store.folder.name}",
        "journal": f"spectra/{store.folder.name}/journal.jsonl",
        "checksums": sorted(files.values(), key=lambda file: str(file["file"])),
    }


def _provenance(
    groups: list[tuple[Choice, Objects, NDArray[np.int64]]], quantity: str
) -> dict[str, str]:
    found = {}
    for choice, _, _ in groups:
        for table in choice.archive.all_tables:
            for rule in table.labels:
                if rule.quantity == quantity:
                    said = "; ".join(t for t in (rule.provenance, table.reference) if t)
                    found[f"{choice.archive.name}.{table.name}"] = said
    return found
