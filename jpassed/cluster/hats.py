"""A HATS catalogue in, the same catalogue with predictions out, through LSDB on Dask."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from jpassed.cluster.described import COLUMN_LIST, describe_schema
from jpassed.cluster.running import RETRIES, Outcome, cluster_client, outcome_of, run_parts
from jpassed.cluster.source_files import digest_of_files
from jpassed.cluster.work import (
    EXAMPLE_ROWS,
    Work,
    all_options,
    open_work,
    remove_traces,
)
from jpassed.exceptions import FileError, InputError, MissingDependencyError
from jpassed.io.folders import check_folder
from jpassed.io.texts import one_line

__all__ = ["annotate_hats"]

logger = logging.getLogger(__name__)

_COPIED = ("point_map.fits", "skymap.fits")
"""Files of a catalogue that tell where its rows are: the same of the annotated one."""

FEW_ROW_GROUPS = 10_000
"""Beyond so many ``_metadata``, which has the footers of all files, is left out: 20 kB each."""


def annotate_hats(
    catalog: str | Path,
    output: str | Path,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    columns: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> int:
    """Annotate a HATS catalogue partition by partition.

    Parameters
    ----------
    catalog : str or Path
        Folder or URL of a catalogue, or of a collection (its main catalogue is taken).
    output : str or Path
        Folder of the annotated catalogue, which has the same partitions. It is there when it is
        whole. Workers on other machines must see it under the same path.
    scheduler : str, optional
        Address or scheduler file of a Dask cluster; a local one is made otherwise.
    workers : int, optional
        Processes of the local one.
    columns : str or Path, optional
        A list of columns, or a table with columns of the same names, that has the units,
        descriptions and UCDs that the catalogue lost.
    overwrite : bool
        Whether an earlier output may be replaced.
    resume : bool
        Go on with what an earlier run left.
    progress : callable, optional
        Called with (rows done, rows).
    **options
        Of `jpassed.annotate`.

    Returns
    -------
    int
        Rows.

    Raises
    ------
    FileError
        If the catalogue cannot be read, the output is in the way, or a worker cannot write.
    InputError, UnrecognisedTableError, UnknownNameError, ModelError
        See `jpassed.annotate`.
    ServiceError
        If the cluster cannot be reached.
    MissingDependencyError
        Without LSDB and Dask.

    Notes
    -----
    Predictions are those of `jpassed.annotate` for the same rows, to the last bit on processors
    of one kind. What is drawn at random (`samples`, derived quantities, `refine`) belongs to seed,
    partition and row. The processes of a local cluster import the main script again: in a script
    this call belongs under ``if __name__ == "__main__":``.

    Examples
    --------
    >>> annotate_hats("minijpas_hats", "minijpas_jp", workers=8)  # doctest: +SKIP
    """
    chosen = all_options(options)
    if resume and (whole := remove_traces(output)) is not None:
        return whole  # the run before was killed at its very end
    check_folder(output, overwrite, marks=(COLUMN_LIST,))
    opened = _opened(catalog)
    info = opened.hc_structure.catalog_info
    pixels = list(opened.get_healpix_pixels())
    example = _example(opened, columns)
    total = int(info.total_rows or 0)
    source = {
        "hats": str(info.catalog_name),
        "rows": total,
        "partitions": hashlib.sha256(repr(sorted(map(str, pixels))).encode()).hexdigest()[:16],
        "files": _digest_of_local(opened, pixels),
    }
    work = open_work(output, source, example, chosen, resume=resume, overwrite=overwrite)
    left = [p for p in pixels if not (work.folder / _pixel_path(p)).is_file()]
    logger.info("%s: %d of %d partitions to do", work.folder, len(left), len(pixels))
    before = 0
    if left:
        if len(left) < len(pixels):
            before = sum(rows for rows, _ in _sizes(work, set(pixels) - set(left)).values())
        with work.kept_if_begun(), cluster_client(scheduler, workers) as client:
            mapped = opened.partitions[left].map_partitions(
                _annotate_pixel,
                str(work.folder),
                work.token,
                example.schema.names,
                meta=_meta(),
                include_pixel=True,
            )
            order = mapped.get_ordered_healpix_pixels()
            futures = client.compute(mapped.to_delayed(), retries=RETRIES)
            run_parts(
                {f: f"partition {p}" for f, p in zip(futures, order, strict=True)},
                total=total,
                read=_read,
                progress=None if progress is None else lambda n, all: progress(before + n, all),
            )
    sizes = list(_sizes(work, pixels).values())
    rows, groups = (sum(counts) for counts in zip(*sizes, strict=True))
    _complete(work, opened, Path(output).name, rows, groups)
    work.finish(output, overwrite)
    return rows


def _opened(catalog: str | Path) -> Any:
    try:
        import lsdb
    except ImportError as exc:
        raise MissingDependencyError(
            "HATS catalogues need LSDB: python -m pip install 'jpassed[distributed]'"
        ) from exc
    try:
        return lsdb.open_catalog(str(catalog), columns="all")
    except Exception as exc:  # files, properties and schemas raise errors of many kinds
        raise FileError(
            f"{catalog} is no HATS catalogue that can be read: {one_line(exc)}"
        ) from exc


def _example(opened: Any, columns: str | Path | None) -> Any:
    """First rows of a catalogue, with all that is known of its columns."""
    import dask

    base = opened.hc_structure.catalog_base_dir
    for number in range(opened.npartitions):
        try:
            with dask.config.set(scheduler="synchronous"):
                frame = opened.partitions[number].compute(progress_bar=False)
        except Exception as exc:  # files, types and schemas raise errors of many kinds
            raise FileError(f"{base} cannot be read: {one_line(exc)}") from exc
        rows = frame.iloc[:EXAMPLE_ROWS].to_pyarrow()
        if rows.num_rows:
            schema = rows.schema.with_metadata(_file_metadata(opened))
            return rows.cast(describe_schema(schema, folder=base, columns=columns))
    raise InputError(f"{base}: the catalogue has no rows")


def _pixel_files(base: Any, pixel: Any, suffix: str) -> list[Any]:
    """Files of a partition: one, or those of its folder in their order, as LSDB reads them."""
    import hats.io.paths

    path = hats.io.paths.pixel_catalog_file(base, pixel, npix_suffix=suffix)
    return sorted(path.rglob("*.parquet"), key=str) if suffix == "/" else [path]


def _digest_of_local(opened: Any, pixels: list[Any]) -> str | None:
    structure = opened.hc_structure
    base, suffix = structure.catalog_base_dir, structure.catalog_info.npix_suffix
    if base.protocol not in ("", "file", "local"):
        return None
    return digest_of_files(f.path for p in pixels for f in _pixel_files(base, p, suffix))


def _file_metadata(opened: Any) -> dict[bytes, bytes]:
    """What the catalogue's files say of themselves, common metadata first."""
    import hats
    import pyarrow.parquet

    structure = opened.hc_structure
    base, suffix = structure.catalog_base_dir, structure.catalog_info.npix_suffix
    first = hats.io.paths.pixel_catalog_file(
        base, structure.get_healpix_pixels()[0], npix_suffix=suffix
    )
    found: dict[bytes, bytes] = {}
    for path in (base / "dataset" / "_common_metadata", first):
        try:
            schema = pyarrow.parquet.read_schema(path.path, filesystem=path.fs)
        except Exception as exc:
            logger.debug("%s: no metadata: %s", path, exc)
            continue
        found = {**(schema.metadata or {}), **found}
    return {key: text for key, text in found.items() if key != b"pandas"}


def _meta() -> Any:
    import pandas

    return pandas.DataFrame(
        {"rows": pandas.Series(dtype="int64"), "outcome": pandas.Series(dtype="object")}
    )


def _annotate_pixel(frame: Any, pixel: Any, folder: str, token: str, names: list[str]) -> Any:
    """Annotate a partition and write it; what LSDB gets back is one row that says so."""
    import pandas

    key = (int(pixel.order), int(pixel.pixel))
    rows = frame.to_pyarrow().select(names)
    outcome = outcome_of(folder, token, _pixel_path(pixel), [rows], key)
    return pandas.DataFrame(
        {"rows": [outcome.rows], "outcome": pandas.Series([outcome], dtype="object")}
    )


def _read(result: Any) -> Outcome:
    outcome: Outcome = result["outcome"].iloc[0]
    return outcome


def _pixel_path(pixel: Any) -> str:
    """Path of a partition within a catalogue, as the HATS standard has it."""
    number = int(pixel.pixel)
    return (
        f"dataset/Norder={int(pixel.order)}/Dir={number // 10_000 * 10_000}/Npix={number}.parquet"
    )


def _sizes(work: Work, pixels: Iterable[Any]) -> dict[Any, tuple[int, int]]:
    """Rows and row groups of partitions that were written."""
    import pyarrow.parquet

    found = {}
    for pixel in pixels:
        path = work.folder / _pixel_path(pixel)
        try:
            known = pyarrow.parquet.read_metadata(path)
        except (pyarrow.ArrowException, OSError) as exc:
            raise FileError(f"{path} cannot be read: {one_line(exc)}") from exc
        found[pixel] = (int(known.num_rows), int(known.num_row_groups))
    return found


def _shown(names: Sequence[str], work: Work) -> list[str]:
    """Columns that LSDB opens unasked: those of the catalogue that are still there, and the new."""
    return [*(name for name in names if name in work.task["kept"]), *work.new]


def _copy(path: Any, folder: Path) -> bool:
    """Copy a file that a catalogue may have; False if it has none, or none that can be read."""
    target = folder / path.name
    try:
        with path.open("rb") as old, open(target, "wb") as new:
            shutil.copyfileobj(old, new)
    except Exception as exc:  # servers and their clients raise errors of many kinds
        target.unlink(missing_ok=True)
        level = logging.DEBUG if isinstance(exc, FileNotFoundError) else logging.WARNING
        logger.log(level, "%s is left out: %s", path, one_line(exc))
        return False
    return True


def _other_skymaps(base: Any) -> list[Any]:
    """Maps of other resolutions, where the storage can say which there are."""
    try:
        return sorted(base.glob("skymap.*.fits"), key=str)
    except Exception as exc:  # servers that list no folders
        logger.info("%s: maps beside skymap.fits are left out: %s", base, one_line(exc))
        return []


def _complete(work: Work, opened: Any, name: str, rows: int, groups: int) -> None:
    """Write what makes a HATS catalogue of the partitions."""
    import hats.io
    import pyarrow.parquet

    structure = opened.hc_structure
    base, info = structure.catalog_base_dir, structure.catalog_info
    if info.total_rows and rows != int(info.total_rows):
        raise FileError(
            f"{base} says that it has {info.total_rows} rows; its partitions have {rows}"
        )
    if not _copy(base / "partition_info.csv", work.folder):
        structure.partition_info.write_to_file(catalog_path=work.folder)
    for path in [*(base / name for name in _COPIED), *_other_skymaps(base)]:
        _copy(path, work.folder)
    if groups <= FEW_ROW_GROUPS:
        hats.io.write_parquet_metadata(work.folder)
    pyarrow.parquet.write_metadata(work.schema, work.folder / "dataset" / "_common_metadata")
    shown = info.default_columns
    told = work.schema_meta()
    changed = info.copy_and_update(
        catalog_name=name,
        total_rows=rows,
        npix_suffix=".parquet",
        default_columns=None if shown is None else _shown(shown, work),
        **info.new_provenance_dict(work.folder, builder=f"jpassed {work.task['jpassed']}"),
        **{key: str(value) for key, value in told.items() if str(key).startswith("jp_")},
    )
    changed.to_properties_file(work.folder)
