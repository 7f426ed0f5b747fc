"""A catalogue of made-up galaxies as one table, a HATS catalogue and a folder of Parquet files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.table import MaskedColumn, QTable

from jpassed.filters import known_bands, load_filters
from jpassed.io.catalogs import write_catalog

N = 420
SHORT = ["--outputs", "z,logmstar,flux:galex_nuv", "--device", "cpu"]
OUTPUTS = ["z", "logmstar", "flux:galex_nuv"]


def made_up(n: int = N, seed: int = 5) -> QTable:
    """Power laws in all J-PAS bands, with columns of every kind beside them."""
    rng = np.random.default_rng(seed)
    brightness = 10 ** rng.uniform(0.8, 2.8, n)
    slope = rng.normal(1.5, 0.7, n)
    table = QTable({"id": np.arange(n)})
    table["ra"] = rng.uniform(200, 230, n) * u.deg
    table["dec"] = rng.uniform(-15, 15, n) * u.deg
    table["ra"].info.meta = {"ucd": "pos.eq.ra;meta.main"}
    table["ra"].info.description = "Right ascension"
    unseen = rng.random(n) < 0.05
    for number, band in enumerate(load_filters("jpas").names):
        true = brightness * (known_bands()[band][0] / 6000.0) ** slope
        error = 0.03 * true + 0.2
        flux = true + error * rng.standard_normal(n)
        missing = unseen | (rng.random(n) < (0.2 if number % 7 == 0 else 0.0))
        table[band] = MaskedColumn(flux.astype(np.float32), mask=missing, unit=u.uJy)
        table[f"{band}_err"] = error.astype(np.float32) * u.uJy
    table["class"] = MaskedColumn(rng.integers(0, 9, n).astype(np.int16), mask=rng.random(n) < 0.3)
    table["shape"] = rng.normal(size=(n, 3)).astype(np.float32)
    table["name"] = [f"object {i * i}" for i in range(n)]
    return table


def as_hats(table: QTable, folder: Path, rows: int = 90) -> Path:
    """The table as a HATS catalogue of a handful of partitions, without units."""
    import lsdb
    import pyarrow.parquet
    from nested_pandas.nestedframe.io import from_pyarrow

    path = folder / "one.parquet"
    write_catalog(table, path)
    frame = from_pyarrow(pyarrow.parquet.read_table(path).replace_schema_metadata(None))
    catalog = lsdb.from_dataframe(
        frame,
        ra_column="ra",
        dec_column="dec",
        catalog_name="galaxies",
        partition_rows=rows,
        margin_threshold=None,
    )
    catalog.write_catalog(folder / "hats", as_collection=False, progress_bar=False)
    return folder / "hats"


def in_order(table: QTable) -> QTable:
    """Rows by id: partitions have an order of their own."""
    return table[np.argsort(np.asarray(table["id"]))]


def read_parts(folder: Path) -> QTable:
    """All files of a folder of output in one table, by id."""
    from jpassed.io.catalogs import read_catalog
    from jpassed.io.layout import join_tables

    paths = sorted(path for path in folder.rglob("*.parquet") if path.name[0] not in "._")
    whole = [path for path in paths if path.name != "per_partition_statistics.parquet"]
    return in_order(join_tables(read_catalog(path) for path in whole))


def assert_same(found: QTable, expected: QTable, names: list[str]) -> None:
    """Columns with the same bits, masks and types."""
    for name in names:
        one, other = (np.ma.asarray(_plain(t[name])) for t in (found, expected))
        mask = np.ma.getmaskarray(other)
        assert one.dtype == other.dtype or one.dtype.kind == other.dtype.kind == "U", name
        np.testing.assert_array_equal(np.ma.getmaskarray(one), mask, err_msg=name)
        np.testing.assert_array_equal(one[~mask].data, other[~mask].data, err_msg=name)


def _plain(column: object) -> object:
    from astropy.utils.masked import Masked

    values = getattr(column, "value", column)
    if isinstance(values, Masked):
        return np.ma.array(values.unmasked, mask=values.mask)
    return values
