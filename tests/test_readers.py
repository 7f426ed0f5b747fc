"""STILTS, an independent reader, sees every kind of table that jpassed writes as it was meant."""

from __future__ import annotations

import re
import string

import numpy as np
import pyarrow.parquet as parquet
import pytest
from annotation_tables import BANDS, make_table, masked, small_model, write_small
from astropy import units as u
from astropy.io import fits, votable
from astropy.table import MaskedColumn, QTable
from test_catalogs_stilts import needs_stilts, stilts
from test_jspectrum_table import FLAT, record
from test_refinement_table import small_refinement
from test_simulation_table import toy  # noqa: F401 (a fixture: simulated tables in a second)

from jpassed import annotate, jspectra, simulate
from jpassed.cli import main
from jpassed.io import read_catalog, write_catalog
from jpassed.io.native_columns import plain_table
from jpassed.nn.checkpoint import read_model
from jpassed.refinement.storage import write_refinement

pytestmark = needs_stilts

ENDINGS = (".fits", ".vot")
WHOLE = ("byte", "short", "int", "long")
CLASSES = {"b": ("bool",), "U": ("string", "char"), "f": ("float", "double")}


def odd_table() -> QTable:
    """Every type, its extremes, nulls, arrays, long and difficult words."""
    n = 6
    gone = np.arange(n) == 2
    out = QTable()
    for kind in ("i1", "i2", "i4", "i8", "u1", "u2", "u4"):
        limits = np.iinfo(kind)
        values = np.array([limits.min + 1, limits.max, 0, 1, 2, limits.max // 3], dtype=kind)
        out[f"whole_{kind}"] = values
        if kind in ("i2", "i4", "i8"):
            out[f"null_{kind}"] = MaskedColumn(values, mask=gone)
    for kind in ("f4", "f8"):
        info = np.finfo(kind)
        values = np.array([info.max, info.tiny, -0.0, 1 / 3, -np.inf, np.nan], dtype=kind)
        out[f"real_{kind}"] = values * u.uJy
        out[f"null_{kind}"] = MaskedColumn(values, mask=gone, unit="erg / (s cm2 Angstrom)")
    out["logical"] = np.arange(n) % 2 == 0
    out["null_logical"] = MaskedColumn(np.arange(n) % 2 == 0, mask=gone)
    out["text"] = ["", "a", 'quote " and <&>', " blanks  within", "x" * 60, "1e5"]
    out["letter"] = list("abcdef")
    out["null_text"] = MaskedColumn(list("uvwxyz"), mask=gone)
    out["array"] = np.arange(n * 3, dtype="f4").reshape(n, 3) / 7
    out["null_array"] = MaskedColumn(np.arange(n * 2.0).reshape(n, 2), mask=[[0, 1]] + [[0, 0]] * 5)
    out["whole_array"] = np.arange(n * 2, dtype="i2").reshape(n, 2)
    out["array"].info.description = (f"{string.ascii_letters} & <words> in Å " * 8).strip()
    out["array"].info.meta = {"ucd": "phot.flux.density;em.opt"}
    out["E(B-V)"] = np.linspace(0, 1, n) * u.mag
    out.meta["comments"] = ["a comment"]
    out.meta["what < is & said"] = {"a": [1, 2.5, None], "b": "x < y & z"}
    return out


@pytest.fixture(scope="module")
def tables(toy, tmp_path_factory) -> dict[str, QTable]:  # noqa: F811
    table = make_table(8)
    for band in BANDS:
        table = masked(table, band, [5])
    table["name"] = [f"galaxy {k}" for k in range(8)]
    model = small_model()
    context = {"z": "z_spec"}
    folder = write_small(tmp_path_factory.mktemp("model"))
    write_refinement(folder, small_refinement(read_model(folder).digest))
    some = ["z", "t0", "logmstar", "ew_halpha", "flux:galex_nuv", "flux:J0400"]
    return {
        "predictions": annotate(table, model=model, outputs=some),
        "with context": annotate(table, model=model, outputs=some, context=context),
        "densities": annotate(table, model=model, outputs=some[:4], pdf=True, samples=3),
        "derived": annotate(table, model=model, outputs="lineflux_halpha,balmer_decrement,bpt_sf"),
        "refined": annotate(table, model=str(folder), outputs="z,logmstar", refine=100),
        "spectra": jspectra([record(ivar=FLAT**-2 * 100, z=0.1), record(name="b")]),
        "simulated": simulate(5, seed=5, ssp="toy.npz"),
        "odd": odd_table(),
    }


@pytest.fixture(scope="module")
def files(tables, tmp_path_factory):
    """(name, ending) to the path of each table in each format, the example of the package too."""
    from click.testing import CliRunner

    folder = tmp_path_factory.mktemp("readers")
    paths = {}
    for ending in ENDINGS:
        path = folder / f"example{ending}"
        assert CliRunner().invoke(main, ["example", str(path)]).exit_code == 0
        tables["example"] = read_catalog(path)
        for name, table in tables.items():
            path = folder / f"{name.replace(' ', '_')}{ending}"
            write_catalog(table, path, overwrite=True)
            paths[name, ending] = path
    return paths


CASES = [
    (name, ending)
    for name in (
        *("predictions", "with context", "densities", "derived", "refined"),
        *("spectra", "simulated", "odd", "example"),
    )
    for ending in ENDINGS
]


def all_at_once(files, folder, ending: str, form: str, *steps: str):
    """All tables through one run of STILTS (a second each otherwise) into one file."""
    target = folder / f"all{ending}"
    words = [f"nin={len(files)}", f"out={target}", f"ofmt={form}"]
    for k, path in enumerate(files.values(), start=1):
        words += [f"in{k}={path}", *(f"icmd{k}={step}" for step in steps)]
    stilts("tmultin", *words)
    return target


def values_by_stilts(files, folder):
    """What STILTS read, as FITS that it wrote: key of `files` to (records, columns)."""
    path = all_at_once(files, folder, ".fits", "fits-basic")
    with fits.open(path, memmap=False) as hdus:
        return {
            case: (hdu.data.view(np.ndarray).copy(), {c.name: c for c in hdu.columns})
            for case, hdu in zip(files, hdus[1:], strict=True)
        }


def words_by_stilts(files, folder):
    """What STILTS says of each column: key of `files` to a list of dictionaries."""
    # Without the COMMENT cards of FITS, which astropy does not read as a parameter of a VOTable.
    told = "clearparams *; meta name class shape units ucd description"
    path = all_at_once(files, folder, ".vot", "votable-tabledata", told)
    tables = [table.to_table() for table in votable.parse(str(path)).iter_tables()]
    return {
        case: [{name: str(row[name]) for name in table.colnames} for row in table]
        for case, table in zip(files, tables, strict=True)
    }


@pytest.fixture(scope="module")
def values(files, tmp_path_factory):
    return values_by_stilts(files, tmp_path_factory.mktemp("values"))


@pytest.fixture(scope="module")
def words(files, tmp_path_factory):
    return words_by_stilts(files, tmp_path_factory.mktemp("words"))


@pytest.mark.parametrize("case", CASES, ids="".join)
def test_names_units_ucds_and_words(case, tables, words):
    check_words(plain_table(tables[case[0]]), words[case])


def check_words(table, rows) -> None:
    """What STILTS says of the columns is what the table says."""
    assert [row["Name"] for row in rows] == table.colnames
    for row in rows:
        name = row["Name"]
        column = table[name]
        unit = str(column.unit or "")
        if unit and column.unit != u.mag and "mag" not in unit:
            assert u.Unit(row["Units"]) == column.unit, name
        else:
            assert row["Units"] == unit.replace("mag(AB)", "mag"), name
        assert row["UCD"] == (column.meta or {}).get("ucd", ""), name
        said, meant = row["Description"], " ".join((column.description or "").split())
        assert said.replace("Angstrom", "Å") == meant.replace("Angstrom", "Å"), name
        assert re.findall(r"\d+", row["Shape"]) == [str(size) for size in column.shape[1:]], name
        kinds = CLASSES.get(column.dtype.kind, WHOLE)
        assert row["Class"].lower().startswith(kinds), name


def bits(numbers):
    """Floating-point numbers as whole ones, so that -0.0 is not 0.0; all NaN alike."""
    plain = numbers.astype(numbers.dtype.newbyteorder("="))
    plain[np.isnan(plain)] = np.nan
    return plain.view(f"i{plain.dtype.itemsize}")


@pytest.mark.parametrize("case", CASES, ids="".join)
def test_values_to_the_last_bit(case, tables, values):
    check_values(plain_table(tables[case[0]]), *values[case])


def check_values(table, records, columns) -> None:
    """What STILTS read and wrote as FITS is what the table holds."""
    assert len(records) == len(table)
    assert list(columns) == table.colnames
    for name in table.colnames:
        column, seen = table[name], records[name]
        given = np.array(np.ma.getdata(column))
        null = np.ma.getmaskarray(np.ma.asarray(column))
        if given.dtype.kind == "f":
            given[null] = np.nan
            assert seen.dtype.itemsize == given.dtype.itemsize, name
            np.testing.assert_array_equal(bits(seen), bits(given), err_msg=name)
        elif given.dtype.kind == "b":
            letters = np.where(null, 0, np.where(given, ord("T"), ord("F")))
            np.testing.assert_array_equal(seen, letters, err_msg=name)
        elif given.dtype.kind == "U":
            texts = np.where(null, "", given)
            read = [item.decode().rstrip("\0 ") for item in seen]
            assert read == [text.rstrip() for text in texts.tolist()], name
        else:
            about = columns[name]
            offset = int(about.bzero or 0)
            read = seen.astype(object) + offset
            assert (read[~null] == given.astype(object)[~null]).all(), name
            if null.any():
                assert (seen[null] == about.null).all(), name
                assert (seen[~null] != about.null).all(), name


@pytest.mark.parametrize("name", dict.fromkeys(name for name, _ in CASES))
def test_votlint_has_nothing_to_say(name, files):
    assert stilts("votlint", str(files[name, ".vot"]), "ucd=true", "unit=true") == ""


@pytest.mark.parametrize("name", dict.fromkeys(name for name, _ in CASES))
def test_pyarrow_reads_parquet(name, files, tables, tmp_path):
    table = plain_table(tables[name])
    write_catalog(table, tmp_path / "table.parquet")
    read = parquet.read_table(tmp_path / "table.parquet")
    assert read.column_names == table.colnames
    for column in table.itercols():
        null = np.ma.getmaskarray(np.ma.asarray(column))
        given = np.ma.getdata(column)
        seen = read[column.name].combine_chunks()
        if column.ndim > 1:
            assert seen.type.list_size == column.shape[1], column.name
            seen = seen.flatten()
        np.testing.assert_array_equal(np.asarray(seen.is_null()), null.ravel(), column.name)
        kept = seen.drop_null()
        if given.dtype.kind == "U":
            assert kept.to_pylist() == given[~null].tolist(), column.name
            continue
        values = kept.to_numpy(zero_copy_only=False)
        assert values.dtype == given.dtype.newbyteorder("="), column.name
        expected = np.array(given)[~null]
        if given.dtype.kind == "f":
            values, expected = bits(values.copy()), bits(expected)
        np.testing.assert_array_equal(values, expected, err_msg=column.name)
