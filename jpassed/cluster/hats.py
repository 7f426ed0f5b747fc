"""A HATS catalogue in, the same catalogue with predictions out, through LSDB on Dask."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jpassed.cluster.described import describe_schema
from jpassed.cluster.parts import ROWS_AT_ONCE
from jpassed.cluster.running import RETRIES, Outcome, outcome_of
from jpassed.cluster.slices import conformed, is_local, parquet_slices
from jpassed.cluster.sources import (
    Source,
    WrittenPart,
    annotate_source,
    digest_of_files,
    written_part,
)
from jpassed.cluster.work import EXAMPLE_ROWS, Work
from jpassed.exceptions import FileError, InputError, MissingDependencyError
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
    return annotate_source(
        lambda: _Hats(catalog),
        output,
        scheduler=scheduler,
        workers=workers,
        columns=columns,
        overwrite=overwrite,
        resume=resume,
        progress=progress,
        **options,
    )


class _Hats(Source):
    """The partitions of a HATS catalogue.

    LSDB says which there are, opens each of them with its positions alone, and sees to their way to
    the workers. The columns are read there from the partition's files, slice by slice: LSDB has a
    partition in memory as a whole.
    """

    def __init__(self, catalog: str | Path) -> None:
        self._catalog = _opened(catalog)
        structure = self._catalog.hc_structure
        # As on disk: that of the structure knows of the columns alone that LSDB has opened.
        self._info, self._schema = structure.snapshot.catalog_info, structure.snapshot.schema
        self._base, self._suffix = structure.catalog_base_dir, self._info.npix_suffix
        self._pixels = list(self._catalog.get_healpix_pixels())
        self.parts: dict[str, Any] = {_pixel_path(pixel): pixel for pixel in self._pixels}
        self.total = int(self._info.total_rows or 0)

    def identity(self) -> dict[str, Any]:
        """See `Source.identity`."""
        pixels = sorted(map(str, self._pixels))
        return {
            "hats": str(self._info.catalog_name),
            "rows": self.total,
            "partitions": hashlib.sha256(repr(pixels).encode()).hexdigest()[:16],
            "files": self._digest(),
        }

    def _digest(self) -> str | None:
        if not is_local(self._base):
            return None
        files = (_pixel_files(self._base, pixel, self._suffix) for pixel in self._pixels)
        return digest_of_files(file.path for some in files for file in some)

    def example(self, columns: str | Path | None) -> Any:
        """See `Source.example`."""
        bare = self._schema.remove_metadata()
        files = (_pixel_files(self._base, pixel, self._suffix) for pixel in self._pixels)
        for file in (file for some in files for file in some):
            try:
                rows = next(parquet_slices(file, EXAMPLE_ROWS), None)
                rows = None if rows is None else conformed(rows, bare)
            except FileError:
                raise
            except Exception as exc:  # files, types and their servers raise errors of many kinds
                raise FileError(f"{file} cannot be read: {one_line(exc)}") from exc
            if rows is not None and rows.num_rows:
                schema = bare.with_metadata(self._metadata(file))
                return rows.cast(describe_schema(schema, folder=self._base, columns=columns))
        raise InputError(f"{self._base}: the catalogue has no rows")

    def _metadata(self, file: Any) -> dict[bytes, bytes]:
        """What the catalogue's files say of themselves, common metadata first."""
        import pyarrow.parquet

        found: dict[bytes, bytes] = {}
        for path in (self._base / "dataset" / "_common_metadata", file):
            try:
                schema = pyarrow.parquet.read_schema(path.path, filesystem=path.fs)
            except Exception as exc:
                logger.debug("%s: no metadata: %s", path, exc)
                continue
            found = {**(schema.metadata or {}), **found}
        return {key: text for key, text in found.items() if key != b"pandas"}

    def submit(self, client: Any, work: Work, left: Mapping[str, Any]) -> Mapping[Any, str]:
        """See `Source.submit`."""
        mapped = self._catalog.partitions[list(left.values())].map_partitions(
            _annotate_pixel,
            str(work.folder),
            work.token,
            self._base,
            self._suffix,
            meta=_meta(),
            include_pixel=True,
        )
        order = mapped.get_ordered_healpix_pixels()
        futures = client.compute(mapped.to_delayed(), retries=RETRIES)
        return {f: f"partition {pixel}" for f, pixel in zip(futures, order, strict=True)}

    def outcome(self, result: Any) -> Outcome:
        """See `Source.outcome`."""
        found: Outcome = result["outcome"].iloc[0]
        return found

    def complete(self, work: Work, output: str | Path) -> int:
        """See `Source.complete`."""
        found = [written_part(work.folder / path) for path in self.parts]
        rows = sum(part.rows for part in found)
        if self.total and rows != self.total:
            raise FileError(
                f"{self._base} says that it has {self.total} rows; its partitions have {rows}"
            )
        structure = self._catalog.hc_structure
        if not _copy(self._base / "partition_info.csv", work.folder):
            structure.partition_info.write_to_file(catalog_path=work.folder)
        _complete(work, self._base, self._info, Path(output).name, found)
        return rows


def _opened(catalog: str | Path) -> Any:
    try:
        import lsdb
    except ImportError as exc:
        raise MissingDependencyError(
            "HATS catalogues need LSDB: python -m pip install 'jpassed[distributed]'"
        ) from exc
    try:
        return lsdb.open_catalog(str(catalog), columns=[])
    except Exception as exc:  # files, properties and schemas raise errors of many kinds
        raise FileError(
            f"{catalog} is no HATS catalogue that can be read: {one_line(exc)}"
        ) from exc


def _pixel_files(base: Any, pixel: Any, suffix: str) -> list[Any]:
    """Files of a partition: one, or those of its folder in their order, as LSDB reads them."""
    import hats.io.paths

    path = hats.io.paths.pixel_catalog_file(base, pixel, npix_suffix=suffix)
    return sorted(path.rglob("*.parquet"), key=str) if suffix == "/" else [path]


def _meta() -> Any:
    import pandas

    return pandas.DataFrame(
        {"rows": pandas.Series(dtype="int64"), "outcome": pandas.Series(dtype="object")}
    )


def _annotate_pixel(frame: Any, pixel: Any, folder: str, token: str, base: Any, suffix: str) -> Any:
    """Annotate a partition and write it; what LSDB gets back is one row that says so."""
    import pandas

    key = (int(pixel.order), int(pixel.pixel))
    files = _pixel_files(base, pixel, suffix)
    slices = (rows for file in files for rows in parquet_slices(file, ROWS_AT_ONCE))
    outcome = outcome_of(folder, token, _pixel_path(pixel), slices, key, len(frame))
    return pandas.DataFrame(
        {"rows": [outcome.rows], "outcome": pandas.Series([outcome], dtype="object")}
    )


def _pixel_path(pixel: Any) -> str:
    """Path of a partition within a catalogue, as the HATS standard has it."""
    number = int(pixel.pixel)
    return (
        f"dataset/Norder={int(pixel.order)}/Dir={number // 10_000 * 10_000}/Npix={number}.parquet"
    )


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


def _complete(work: Work, base: Any, info: Any, name: str, parts: Sequence[WrittenPart]) -> None:
    """Write what makes a HATS catalogue of the partitions."""
    import hats.io
    import pyarrow.parquet

    for path in [*(base / name for name in _COPIED), *_other_skymaps(base)]:
        _copy(path, work.folder)
    if sum(part.groups for part in parts) <= FEW_ROW_GROUPS:
        hats.io.write_parquet_metadata(work.folder)
    pyarrow.parquet.write_metadata(work.schema, work.folder / "dataset" / "_common_metadata")
    shown = info.default_columns
    told = work.schema_meta()
    changed = info.copy_and_update(
        catalog_name=name,
        total_rows=sum(part.rows for part in parts),
        npix_suffix=".parquet",
        default_columns=None if shown is None else _shown(shown, work),
        **info.new_provenance_dict(work.folder, builder=f"jpassed {work.task['jpassed']}"),
        **{key: str(value) for key, value in told.items() if str(key).startswith("jp_")},
    )
    changed.to_properties_file(work.folder)
