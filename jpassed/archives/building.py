"""`fetch`: a training set out of the archives, in steps that a killed run need not repeat."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.archives.assembly import Assembler, MatchStep
from jpassed.archives.checksums import read_journal, sha256_of, write_journal
from jpassed.archives.description import without_login
from jpassed.archives.folder import training_folder
from jpassed.archives.manifest import MANIFEST
from jpassed.archives.manifest_content import manifest_of
from jpassed.archives.objects import Objects, join_tables
from jpassed.archives.plan import Choice, FetchPlan, load_plan
from jpassed.archives.position_matches import PositionMatch, match_steps
from jpassed.archives.queries import count_rows, fetch_table, table_query, write_json
from jpassed.archives.row_table import LABEL_PREFIX
from jpassed.archives.spectrum_store import SpectrumStore, Wanted

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

__all__ = ["FetchSummary", "PlannedQuery", "fetch", "planned_queries"]

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
Clients = Callable[[str], Any]


@dataclass(frozen=True)
class PlannedQuery:
    """A query of a plan, and how many rows the service counts for it.

    Attributes
    ----------
    archive, table, service, query : str
    rows : int
    limit : int or None
        At most so many objects are taken. Of the table of objects `rows` are as many; of other
        tables `rows` are all, and only those of the objects that are taken will be fetched.
    """

    archive: str
    table: str
    service: str
    query: str
    rows: int
    limit: int | None = None


@dataclass(frozen=True)
class FetchSummary:
    """What a training set holds.

    Attributes
    ----------
    folder : Path
    rows, with_spectrum, fetched : int
        Objects, those with a spectrum, and spectra fetched by this run.
    labels, bands : dict
        Quantity or band to the number of objects that have it.
    left_out : dict
        What was not taken: reason to number.
    """

    folder: Path
    rows: int
    with_spectrum: int
    fetched: int
    labels: Mapping[str, int]
    bands: Mapping[str, int]
    left_out: Mapping[str, int] = field(default_factory=dict)


def default_client(service: str) -> Any:
    """A client of a service; its answers are kept in the training set's own folder."""
    from jpassed.vo.client import TapClient

    return TapClient(service, cache=False)


def planned_queries(
    plan: str | os.PathLike[str] | Mapping[str, Any] | FetchPlan,
    *,
    limit: int | None = None,
    clients: Clients = default_client,
) -> list[PlannedQuery]:
    """The queries of a plan with the number of rows that each would give.

    Of every table one row is asked for, to see that its columns are there; nothing is kept.

    Parameters
    ----------
    plan : str, path, mapping or FetchPlan
    limit : int, optional
    clients : callable
        Gives a `TapClient` for the name of a service.

    Returns
    -------
    list of PlannedQuery
        In the order in which they would be asked.
    """
    found = []
    clients = cache(clients)
    for choice in load_plan(plan, limit=limit).choices:
        archive = choice.archive
        for table in archive.all_tables:
            query = table_query(archive, table)
            service = archive.service_of(table)
            rows = count_rows(clients(service), archive, table)
            if choice.limit is not None and table is archive.objects:
                rows = min(rows, choice.limit)
            shown = without_login(service)
            found.append(
                PlannedQuery(archive.name, table.name, shown, query.whole(), rows, choice.limit)
            )
    return found


def fetch(
    plan: str | os.PathLike[str] | Mapping[str, Any] | FetchPlan,
    output: str | os.PathLike[str],
    *,
    limit: int | None = None,
    overwrite: bool = False,
    workers: int = 4,
    clients: Clients = default_client,
    match: Sequence[MatchStep] | None = None,
    progress: Progress | None = None,
) -> FetchSummary:
    """Make a training set of an archive's spectra and labels, or go on with one.

    Parameters
    ----------
    plan : str, path, mapping or FetchPlan
        Name of a preset, a YAML file, or its content.
    output : path
        Folder of the training set. A run that was stopped or killed goes on where it was; nothing
        is fetched twice.
    limit : int, optional
        At most so many objects of every archive.
    overwrite : bool
        Whether a training set of another plan may be replaced; its spectra stay.
    workers : int
        Spectra fetched at a time.
    clients : callable
        Gives a `TapClient` for the name of a service.
    match : sequence of MatchStep, optional
        In place of the plan's cross-matches.
    progress : callable, optional
        Called with objects done and objects to do.

    Returns
    -------
    FetchSummary

    Raises
    ------
    FileError
        If the folder holds something else, or a training set of another plan.
    ServiceError, QueryError
        If a service does not answer or refuses; another run goes on.
    """
    found = load_plan(plan, limit=limit)
    clients = cache(clients)  # a service is asked only once what it can do
    folder = Path(output)
    with training_folder(folder, found, overwrite):
        return _fetch(found, folder, workers, clients, match, progress)


def _fetch(
    found: FetchPlan,
    folder: Path,
    workers: int,
    clients: Clients,
    match: Sequence[MatchStep] | None,
    progress: Progress | None,
) -> FetchSummary:
    records: list[dict[str, Any]] = []
    groups: list[tuple[Choice, Objects, NDArray[np.int64]]] = []
    for choice in found.choices:
        records += _query(choice, folder / "queries", found, clients)
        groups.append(
            (
                choice,
                *join_tables(
                    choice.archive,
                    folder / "queries" / choice.archive.name,
                    redshift=found.redshift,
                    limit=choice.limit,
                ),
            )
        )
    steps = match_steps(found, folder / "queries" / "crossmatch") if match is None else match
    assembler = Assembler(found, steps)
    journal = folder / "shards.jsonl"
    done = {line["path"]: line for line in read_journal(journal)}
    total = sum(len(kept) for _, _, kept in groups)
    count, fetched = 0, 0
    shards: list[dict[str, Any]] = []
    stores: dict[str, SpectrumStore] = {}
    for choice, objects, kept in groups:
        store = SpectrumStore(
            folder / "spectra" / choice.archive.name,
            workers=workers,
            source=choice.archive.spectra,
        )
        stores[choice.archive.name] = store
        for first in range(0, len(kept), found.shard_rows):
            rows = kept[first : first + found.shard_rows]
            name = f"shards/part-{len(shards):05d}.parquet"
            line = done.get(name)
            if line is None or not _same(folder / name, line):
                line = _shard(
                    folder, name, assembler, objects, rows, store, _counted(progress, count, total)
                )
                write_journal(journal, line)
            shards.append(line)
            count += len(rows)
            if progress:
                progress(count, total)
        fetched += store.fetched
    manifest = manifest_of(found, records, groups, stores, shards)
    write_json(manifest, folder / MANIFEST)
    return FetchSummary(
        folder=folder,
        rows=manifest["counts"]["rows"],
        with_spectrum=manifest["counts"]["with_spectrum"],
        fetched=fetched,
        labels={q: entry["count"] for q, entry in manifest["labels"].items()},
        bands=manifest["bands"],
        left_out=manifest["counts"]["left_out"],
    )


def _query(choice: Choice, folder: Path, plan: FetchPlan, clients: Clients) -> list[dict[str, Any]]:
    archive = choice.archive
    records: list[dict[str, Any]] = []
    upto = None
    for table in archive.all_tables:
        main = table is archive.objects
        record = fetch_table(
            clients(archive.service_of(table)),
            archive,
            table,
            folder / archive.name / table.name,
            rows=plan.page_rows,
            limit=choice.limit if main else None,
            upto=upto,
            progress=logger.info,
        )
        upto = record["last"] if main else upto
        records.append(record)
    return records


def _shard(
    folder: Path,
    name: str,
    assembler: Assembler,
    objects: Objects,
    rows: NDArray[np.int64],
    store: SpectrumStore,
    progress: Callable[[int], None] | None,
) -> dict[str, Any]:
    """Fetch the spectra of some objects and write their shard; its line of the journal."""
    from jpassed.io.catalogs import write_catalog

    left_out: Counter[str] = Counter()
    source = objects.archive.spectra
    if source is not None:
        wanted = [
            Wanted(
                objects.key[n], objects.row(int(n)), (float(objects.ra[n]), float(objects.dec[n]))
            )
            for n in rows
            if objects.has_spectrum[n]
        ]
        failures = store.fetch(source, wanted, progress)
        left_out.update(f"spectrum: {reason}" for reason in failures.values())
    paths = {
        key: path for key in (objects.key[n] for n in rows) if (path := store.path(key)) is not None
    }
    notes = [step.asked for step in assembler.match if isinstance(step, PositionMatch)]
    for note in notes:
        note.clear()
    table, lost = assembler.rows(objects, rows, paths)
    left_out.update(lost)
    path = folder / name
    write_catalog(table, path, overwrite=True)
    labels = {
        column[len(LABEL_PREFIX) : -len("_err")]: column[: -len("_err")]
        for column in table.colnames
        if column.startswith(LABEL_PREFIX) and column.endswith("_err")
    }
    bands = [
        c[:-4] for c in table.colnames if c.endswith("_err") and not c.startswith(LABEL_PREFIX)
    ]
    return {
        "path": name,
        "rows": len(table),
        "bytes": path.stat().st_size,
        "sha256": sha256_of(path),
        "with_spectrum": int((~table["spec_sn"].mask).sum()),
        "labels": {q: int((~table[column].mask).sum()) for q, column in labels.items()},
        "bands": {band: int((~table[band].mask).sum()) for band in bands},
        "left_out": dict(left_out),
        "matches": [asked for note in notes for asked in note],
    }


def _counted(progress: Progress | None, before: int, total: int) -> Callable[[int], None] | None:
    """Progress within a shard: its spectra are most of the work."""
    return None if progress is None else lambda came: progress(before + came, total)


def _same(path: Path, line: Mapping[str, Any]) -> bool:
    return path.is_file() and sha256_of(path) == line["sha256"]
