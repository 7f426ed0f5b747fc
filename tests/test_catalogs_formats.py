"""Catalogues in five formats, gzipped or not: what is written comes back."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.utils.masked import Masked
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jpassed.exceptions import UnknownNameError
from jpassed.io import default_output, read_catalog, write_catalog
from jpassed.surveys.columns import numbers_and_mask

ENDINGS = (".fits", ".vot", ".ecsv", ".parquet", ".csv")
DESCRIBED = ENDINGS[:-1]  # CSV has no place for units and descriptions
META = {
    "jp_model": "default",
    "jp_version": "0.1",
    "jp_n_bands": 60,
    "jp_fraction": 0.25,
    "jp_z_grid": [0.0, 0.1, 0.2],
    "jp_outputs": {"z": "median"},
    "TELESCOP": "JST/T250",
}


@pytest.fixture
def table() -> QTable:
    """Columns of every sort, with descriptions and UCDs."""
    out = QTable()
    out["id"] = np.array([2**53 + 1, 2, 3, 4])
    out["name"] = ["NGC 1", "M31", "J1234+56", "x"]
    out["J0660"] = [1.5, -2.25, 1e-30, 4.0] * u.uJy
    out["jp_z"] = MaskedColumn([0.1, 0.2, 0.3, 0.4], mask=[False, True, False, False])
    out["jp_z"].info.description = "Redshift"
    out["jp_z"].info.meta = {"ucd": "src.redshift.phot"}
    out["jp_flux_J0660"] = Masked(u.Quantity([1.0, 2.0, 3.0, 4.0], u.uJy), mask=[0, 0, 1, 0])
    out["jp_flux_J0660"].info.description = "Total AB bandflux"
    out["jp_flux_J0660"].info.meta = {"ucd": "phot.flux.density"}
    out["jp_ew_halpha"] = [1.0, 2.0, 3.0, 4.0] * u.AA
    out["jp_flag"] = np.array([0, 1, 2, 4], dtype=np.int32)
    out["jp_nbands"] = MaskedColumn([60, 59, 0, 1], mask=[0, 0, 1, 0], dtype=np.int16)
    out["jp_z_pdf"] = np.arange(12.0).reshape(4, 3).astype(np.float32)
    out["masked_2d"] = MaskedColumn(np.arange(12.0).reshape(4, 3), mask=np.eye(4, 3, dtype=bool))
    out["good"] = [True, False, True, True]
    out.meta.update(META)
    return out


def same_numbers(one, other, name):
    np.testing.assert_array_equal(
        numbers_and_mask(one, name)[0], numbers_and_mask(other, name)[0], err_msg=name
    )


@pytest.mark.parametrize("gz", ["", ".gz"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_round_trip_of_values_and_masks(table, tmp_path, ending, gz):
    path = tmp_path / f"table{ending}{gz}"
    write_catalog(table, path)
    back = read_catalog(path)
    assert isinstance(back, QTable)
    assert back.colnames == table.colnames
    assert list(back["name"]) == list(table["name"])
    for name in set(table.colnames) - {"name"}:
        same_numbers(back[name], table[name], name)
        assert back[name].dtype.isnative
    assert back["name"].dtype.kind == "U"
    assert back["good"].dtype.kind == "b"
    assert back["id"].dtype.kind == "i"
    assert not hasattr(back["id"], "mask"), "a mask only where something is masked"
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == bool(gz)


@pytest.mark.parametrize("ending", DESCRIBED)
def test_round_trip_of_types_units_and_descriptions(table, tmp_path, ending):
    path = tmp_path / f"table{ending}"
    write_catalog(table, path)
    back = read_catalog(path)
    for name in table.colnames:
        if name != "name":
            assert back[name].dtype == table[name].dtype, name
        assert back[name].info.unit == table[name].info.unit, name
        assert (back[name].info.description or "") == (table[name].info.description or "")
        assert (back[name].info.meta or {}) == (table[name].info.meta or {})
    assert isinstance(back["J0660"], u.Quantity)


@pytest.mark.parametrize("ending", DESCRIBED)
def test_round_trip_of_the_tables_meta(table, tmp_path, ending):
    path = tmp_path / f"table{ending}"
    write_catalog(table, path)
    back = read_catalog(path)
    assert dict(back.meta) == META


@pytest.mark.parametrize("ending", DESCRIBED)
def test_a_second_round_trip_changes_nothing(table, tmp_path, ending):
    first, second = tmp_path / f"one{ending}", tmp_path / f"two{ending}"
    write_catalog(table, first)
    once = read_catalog(first)
    write_catalog(once, second)
    twice = read_catalog(second)
    assert dict(twice.meta) == dict(once.meta)
    for name in once.colnames:
        assert twice[name].dtype == once[name].dtype
        assert twice[name].info.unit == once[name].info.unit
        assert twice[name].info.description == once[name].info.description
        assert (twice[name].info.meta or {}) == (once[name].info.meta or {})


@pytest.mark.parametrize("ending", [".fits", ".vot", ".ecsv"])
def test_astropy_alone_reads_what_was_written(table, tmp_path, ending):
    path = tmp_path / f"table{ending}"
    write_catalog(table, path)
    back = QTable.read(path)
    assert back["jp_flux_J0660"].unit == u.uJy
    assert back["jp_flux_J0660"].info.description == "Total AB bandflux"
    assert back["jp_flux_J0660"].info.meta["ucd"] == "phot.flux.density"
    np.testing.assert_array_equal(back["jp_flux_J0660"].mask, [False, False, True, False])
    np.testing.assert_array_equal(back["jp_z"].mask, [False, True, False, False])
    same_numbers(back["masked_2d"], table["masked_2d"], "masked_2d")


def test_parquet_for_other_programs(table, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "table.parquet"
    write_catalog(table, path)
    rows = parquet.read_table(path).to_pylist()
    assert rows[1]["jp_z"] is None
    assert rows[2]["jp_flux_J0660"] is None
    assert rows[0]["masked_2d"] == [None, 1.0, 2.0]
    assert rows[0]["name"] == "NGC 1"


def test_parquet_of_other_programs(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "other.parquet"
    columns = {
        "J0660": arrow.array([1.0, None, 3.0]),
        "n": arrow.array([1, None, 3], arrow.int32()),
        "name": arrow.array(["a", None, "ccc"]).dictionary_encode(),
        "lists": arrow.array([[1.0, 2.0], [3.0, None], None]),
        "good": arrow.array([True, None, False]),
        "nothing": arrow.nulls(3),
        "when": arrow.array([0, 1, 2], arrow.timestamp("s")),
        "price": arrow.array([1, 2, 3]).cast(arrow.decimal128(21, 2)),
    }
    parquet.write_table(arrow.table(columns), path)
    back = read_catalog(path)
    np.testing.assert_array_equal(back["J0660"].mask, [False, True, False])
    np.testing.assert_array_equal(back["n"].filled(-1), [1, -1, 3])
    assert back["n"].dtype == np.int32
    assert back["name"].filled("?").tolist() == ["a", "?", "ccc"]
    np.testing.assert_array_equal(back["lists"].mask, [[0, 0], [0, 1], [1, 1]])
    assert back["good"].filled(False).tolist() == [True, False, False]
    assert back["nothing"].mask.all()
    assert str(back["when"][1]).startswith("1970-01-01")
    np.testing.assert_array_equal(back["price"], [1, 2, 3])


def test_magnitudes_keep_their_unit(tmp_path):
    table = QTable({"m": u.Magnitude([20.0, 21.0], u.ABmag), "d": [1.0, 2.0] * u.dex(u.Msun)})
    for ending in (".fits", ".ecsv", ".parquet"):
        path = tmp_path / f"table{ending}"
        write_catalog(table, path)
        back = read_catalog(path)
        assert back["m"].unit == u.ABmag
        assert back["d"].unit == u.dex(u.Msun)
    path = tmp_path / "table.vot"  # VOTable cannot spell them
    write_catalog(table, path)
    back = read_catalog(path)
    assert back["m"].unit == u.mag
    assert back["d"].info.unit is None
    assert back["d"].info.description == "[dex(solMass)]"


def test_integers_with_a_unit_stay_integers(tmp_path):
    table = Table({"x": Column(np.array([1, 2], dtype=np.int16), unit="pix")})
    table["y"] = MaskedColumn([3, 4], mask=[True, False], unit="s", dtype=np.int64)
    for ending in DESCRIBED:
        path = tmp_path / f"table{ending}"
        write_catalog(table, path)
        back = read_catalog(path)
        assert (back["x"].dtype, back["x"].unit) == (np.int16, u.pix)
        assert (back["y"].dtype, back["y"].mask.tolist()) == (np.int64, [True, False])


def test_masked_logicals_in_fits(tmp_path):
    table = Table({"good": MaskedColumn([True, False, True], mask=[True, False, False])})
    path = tmp_path / "table.fits"
    write_catalog(table, path)
    back = read_catalog(path)["good"]
    assert back.mask.tolist() == [True, False, False]
    assert back.filled(0).tolist() == [0, 0, 1]


def test_null_of_an_integer_is_no_value_of_the_column(tmp_path):
    """astropy's own choice for int16, 16959, is a number that a column may hold."""
    table = Table({"n": MaskedColumn([16959, 1, 2], mask=[False, True, False], dtype=np.int16)})
    path = tmp_path / "table.fits"
    write_catalog(table, path)
    assert read_catalog(path)["n"].mask.tolist() == [False, True, False]


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_table_that_is_written_is_not_changed(table, tmp_path, ending):
    before = table.copy()
    write_catalog(table, tmp_path / f"table{ending}")
    assert table.colnames == before.colnames
    assert dict(table.meta) == META
    for name in table.colnames:
        assert type(table[name]) is type(before[name])
        assert table[name].info.unit == before[name].info.unit
        assert table[name].info.description == before[name].info.description
        if name != "name":
            same_numbers(table[name], before[name], name)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    values=hnp.arrays(
        np.float64, st.integers(1, 6), elements=st.floats(allow_infinity=False, allow_nan=False)
    ),
    ending=st.sampled_from(ENDINGS),
    masked=st.booleans(),
)
def test_any_float_comes_back_to_the_last_bit(tmp_path, values, ending, masked):
    mask = np.arange(values.size) % 2 == 1 if masked else np.zeros(values.size, bool)
    table = Table({"x": MaskedColumn(values, mask=mask), "k": np.arange(values.size)})
    path = tmp_path / f"any{ending}"
    write_catalog(table, path, overwrite=True)
    got, missing = numbers_and_mask(read_catalog(path)["x"], "x")
    np.testing.assert_array_equal(missing, mask)
    np.testing.assert_array_equal(got[~mask], values[~mask])


# --- files of other programs --------------------------------------------------------------------


def test_fits_cards_come_to_the_columns_and_go_along(tmp_path):
    path = tmp_path / "cards.fits"
    hdu = fits.BinTableHDU.from_columns(
        [fits.Column("a", "D", array=[1.0]), fits.Column("flux", "E", unit="uJy", array=[2.0])]
    )
    hdu.header["TUCD2"] = "phot.flux"
    hdu.header["TCOMM2"] = "a flux"
    hdu.header["TUCD1"] = "meta.number"
    hdu.writeto(path)
    table = read_catalog(path)
    assert table["flux"].info.meta == {"ucd": "phot.flux"}
    assert table["flux"].info.description == "a flux"
    assert not [key for key in table.meta if key.startswith(("TUCD", "TCOMM"))]
    # a column before it: the cards must follow their column, not their number
    table.add_column([5], name="first", index=0)
    write_catalog(table, tmp_path / "moved.fits")
    header = fits.getheader(tmp_path / "moved.fits", 1)
    assert (header["TTYPE3"], header["TUCD3"], header["TCOMM3"]) == ("flux", "phot.flux", "a flux")
    assert header["TUCD2"] == "meta.number"
    assert "TUCD1" not in header
    assert "TCOMM1" not in header


def test_fits_strings_and_byte_order(tmp_path):
    path = tmp_path / "old.fits"
    columns = [fits.Column("name", "5A", array=["a", "bb"]), fits.Column("x", "E", array=[1, 2])]
    fits.BinTableHDU.from_columns(columns).writeto(path)
    table = read_catalog(path)
    assert list(table["name"]) == ["a", "bb"]
    assert isinstance(table["name"][0], str)
    assert table["x"].dtype == np.dtype("=f4")


def test_variable_length_arrays_of_one_length_become_2d(tmp_path):
    path = tmp_path / "vla.fits"
    rows = np.empty(2, dtype=object)
    rows[:] = [np.arange(3.0), np.arange(3.0) + 1]
    fits.BinTableHDU.from_columns([fits.Column("flux_auto", "PD()", array=rows)]).writeto(path)
    np.testing.assert_array_equal(read_catalog(path)["flux_auto"], [[0, 1, 2], [1, 2, 3]])


def test_non_ascii_text_in_descriptions(tmp_path):
    table = Table({"w": [1.0]})
    table["w"].description = "Å of é"
    table.meta["note"] = "naïve — µJy"
    path = tmp_path / "text.fits"
    write_catalog(table, path)
    back = read_catalog(path)
    assert back["w"].info.description == "Å of é"
    assert back.meta["note"] == "naïve — µJy"
    assert fits.getheader(path, 1)["TCOMM1"] == "Angstrom of ?"


def test_csv_with_comments_as_the_archive_writes_them(tmp_path):
    path = tmp_path / "query.csv"
    path.write_text('#SELECT * FROM minijpas.Filter\n"ID","name"\n1,"uJAVA"\n2,"null"\n\n')
    table = read_catalog(path)
    assert table.colnames == ["ID", "name"]
    assert table["name"].mask.tolist() == [False, True]
    assert table.meta["comments"] == ["SELECT * FROM minijpas.Filter"]


def test_csv_whose_header_is_commented(tmp_path):
    path = tmp_path / "topcat.csv"
    path.write_text("# id,J0660,name\n1,2.5,a\n")
    assert read_catalog(path).colnames == ["id", "J0660", "name"]


def test_csv_with_a_byte_order_mark_and_latin_text(tmp_path):
    path = tmp_path / "excel.csv"
    path.write_bytes(b"\xef\xbb\xbfid,x\r\n1,2\r\n")
    assert read_catalog(path).colnames == ["id", "x"]
    path.write_bytes("id,observer\n1,Bénard\n".encode("latin-1"))
    assert read_catalog(path)["observer"][0] == "Bénard"


def test_csv_missing_values(tmp_path):
    path = tmp_path / "gaps.csv"
    path.write_text("x,n\n1.5,1\n,NA\nnan,--\nnull,4\n")
    table = read_catalog(path)
    np.testing.assert_array_equal(numbers_and_mask(table["x"], "x")[1], [0, 1, 1, 1])
    assert table["n"].mask.tolist() == [False, True, True, False]
    assert table["n"].dtype.kind == "i"


def test_gzip_by_content_not_by_name(table, tmp_path):
    plain, packed = tmp_path / "table.ecsv", tmp_path / "wrong.ecsv"
    write_catalog(table, plain)
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_catalog(packed).colnames == table.colnames
    (tmp_path / "named.ecsv.gz").write_bytes(plain.read_bytes())
    assert read_catalog(tmp_path / "named.ecsv.gz").colnames == table.colnames


@pytest.mark.parametrize("part", ["2", "OBJECTS", "objects"])
def test_one_of_several_hdus(tmp_path, part):
    path = tmp_path / "many.fits"
    hdus = [fits.PrimaryHDU()]
    for name, column in (("OTHER", "a"), ("OBJECTS", "b")):
        columns = [fits.Column(column, "D", array=[1.0])]
        hdus.append(fits.BinTableHDU.from_columns(columns, name=name))
    fits.HDUList(hdus).writeto(path)
    assert read_catalog(f"{path}#{part}").colnames == ["b"]
    assert default_output(f"{path}#{part}") == tmp_path / "many_jpassed.fits"


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("cat.fits", "cat_jpassed.fits"),
        ("cat.fits.gz", "cat_jpassed.fits.gz"),
        ("my.survey.v2.FITS", "my.survey.v2_jpassed.FITS"),
        ("a/b.csv", "a/b_jpassed.csv"),
        ("x.VOTABLE.gz", "x_jpassed.VOTABLE.gz"),
        ("cat.fits#3", "cat_jpassed.fits"),
    ],
)
def test_default_output(given_name, expected):
    assert default_output(given_name) == Path(expected)


def test_default_output_with_another_suffix():
    assert default_output("cat.fits", suffix="_z") == Path("cat_z.fits")


@pytest.mark.parametrize("name", ["table.docx", "table", "table.gz", "table.fits.zip"])
def test_unknown_endings_list_the_known_ones(tmp_path, name):
    for call in (default_output, read_catalog, lambda p: write_catalog(Table({"a": [1]}), p)):
        with pytest.raises(UnknownNameError, match=r"\.csv, \.ecsv, \.fit, \.fits"):
            call(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_text_beyond_ascii_beside_a_unit_that_fits_cannot_spell(tmp_path):
    table = QTable({"observer": ["Bénard", "x"], "m": [1.0, 2.0] * u.ABmag})
    path = tmp_path / "x.fits"
    write_catalog(table, path)
    back = read_catalog(path)
    assert list(back["observer"]) == ["Bénard", "x"]
    assert back["m"].unit == u.ABmag
