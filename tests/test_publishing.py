"""What is written for a data centre, and what is refused."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from publishing_tables import every_kind

from jpassed.cli import main
from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.publishing import publish
from jpassed.publishing.names import is_regular, new_names


@pytest.fixture
def out(tmp_path):
    return tmp_path / "mycat"


def columns(folder):
    root = ElementTree.parse(folder / "q.rd").getroot()
    return {c.get("name"): c for c in root.findall("table/column")}


def small(**more) -> Table:
    return Table({"id": [1, 2, 3], "ra": [1.0, 2.0, 3.0], "dec": [4.0, 5.0, 6.0], **more})


@pytest.mark.filterwarnings("ignore:The unit:astropy.units.UnitsWarning")
def test_columns_are_described(out):
    done = publish(every_kind(), out, creator="Doe, J.")
    found = columns(out)
    assert done.table == "mycat.main"
    assert done.key == ("object_id",)
    assert done.quoted == ("u-r 2", "SIZE")
    assert {name: c.get("type") for name, c in found.items()} == {
        "object_id": "bigint", "ra": "double precision", "dec": "double precision",
        "single": "real", "tiny": "double precision", "i1": "smallint", "u1": "smallint",
        "i2": "smallint", "u2": "integer", "i4": "integer", "u4": "bigint", "i8": "bigint",
        "lowest": "integer", "truth": "boolean", "text": "unicode",
        "quoted/u-r 2": "double precision", "quoted/SIZE": "real", "scale": "double precision",
        "class": "text", "fluxes": "real[5]", "counts": "integer[5]", "flags": "smallint[5]",
        "limits": "double precision", "undefined": "double precision",
        "pairs": "double precision[2]", "mass": "double precision",
    }
    assert dict(found["single"].attrib) == {
        "name": "single", "type": "real", "unit": "uJy", "ucd": "phot.flux.density;em.opt",
        "description": '<b> & "quotes", \\mu and 100 %',
    }
    assert found["object_id"].get("ucd") == "meta.id;meta.main"
    assert found["object_id"].get("required") == "True"
    assert found["undefined"].get("required") is None
    assert found["ra"].get("ucd") == "pos.eq.ra;meta.main"
    assert u.Unit(found["fluxes"].get("unit"), format="vounit") == every_kind()["fluxes"].unit
    assert found["mass"].get("unit") is None
    assert found["mass"].get("description") == "[dex(solMass)]"
    assert found["lowest"].find("values").get("nullLiteral") == str(2**31 - 1)
    assert found["i4"].find("values").get("nullLiteral") == str(-(2**31))


def test_provenance_goes_along(out):
    publish(every_kind(), out, creator="Doe, J.")
    root = ElementTree.parse(out / "q.rd").getroot()
    params = {p.get("name"): p for p in root.findall("table/param")}
    assert set(params) == {
        "jp_model", "jp_weights", "jp_version", "jp_z_pdf_edges", "jp_query", "jp_size",
        "jp_odd_key",
    }
    assert params["jp_query"].get("type") == "unicode"
    assert (params["jp_size"].get("type"), params["jp_size"].text) == ("double precision", "3.5")
    assert params["jp_odd_key"].text == '{"a": [1, 2]}'
    assert params["jp_model"].text == "default"
    assert params["jp_weights"].text == "abc/def"  # DaCHS would take the backslash for a macro
    assert params["jp_z_pdf_edges"].get("type") == "double precision[3]"
    assert params["jp_z_pdf_edges"].text == "0.0 0.1 0.25"
    said = (out / "README.md").read_text()
    assert "- Digest of the model's weights: abc\\def" in said
    assert '`"u-r 2"`, `"SIZE"`' in said


def test_provenance_of_numpy_goes_along(out):
    table = small()
    table.meta = {
        "jp_z_pdf_edges": np.array([0.0, 0.5, 1.0]),
        "jp_count": np.int64(7),
        "jp_empty": np.array([]),
        "jp_none": "",
    }
    publish(table, out, creator="Doe, J.")
    found = {p.get("name"): p for p in ElementTree.parse(out / "q.rd").getroot().iter("param")}
    assert found["jp_z_pdf_edges"].get("type") == "double precision[3]"
    assert found["jp_z_pdf_edges"].text == "0.0 0.5 1.0"
    assert (found["jp_count"].get("type"), found["jp_count"].text) == ("bigint", "7")
    assert "jp_none" not in found


def test_the_data_file_is_the_table(out):
    table = every_kind()
    publish(table, out, creator="Doe, J.")
    content = read_catalog(out / "data" / "main.vot")
    assert len(content) == len(table)
    assert list(content.colnames)[:4] == ["object_id", "ra", "dec", "single"]
    np.testing.assert_array_equal(content["single"].mask, table["single"].mask)
    keep = ~table["single"].mask
    np.testing.assert_array_equal(
        content["single"].data.data[keep], table["single"].data.data[keep]
    )


def test_the_table_is_not_changed(out):
    table = every_kind()
    before = table.copy()
    publish(table, out, creator="Doe, J.")
    assert table.colnames == before.colnames
    assert repr(table.meta) == repr(before.meta)
    for name in table.colnames:
        assert table[name].unit == before[name].unit
        np.testing.assert_array_equal(np.ma.getdata(table[name]), np.ma.getdata(before[name]))
        np.testing.assert_array_equal(
            np.ma.getmaskarray(table[name]), np.ma.getmaskarray(before[name])
        )


def test_a_key_of_two_columns_gets_one_beside_it(out):
    table = small(tile_id=[1, 1, 2], number=[1, 2, 1])
    del table["id"]
    done = publish(table, out, creator="x")
    assert done.key == ("tile_id", "number")
    root = ElementTree.parse(out / "q.rd").getroot()
    assert root.find("table").get("primary") == "tile_id,number"
    assert root.find("table").get("mixin") == "//scs#pgs-pos-index"
    assert columns(out)["jp_id"].get("ucd") == "meta.id;meta.main"
    assert list(read_catalog(out / "data" / "main.vot")["jp_id"]) == ["1-1", "1-2", "2-1"]


def test_rows_without_a_key_are_numbered(out, caplog):
    table = small()
    table["id"] = [7, 7, 8]
    done = publish(table, out, creator="x")
    assert done.key == ("jp_id",)
    assert list(read_catalog(out / "data" / "main.vot")["jp_id"]) == [1, 2, 3]
    assert "no column identifies the rows" in caplog.text


def test_without_positions_there_is_no_cone_search(out, caplog):
    done = publish(Table({"id": [1, 2], "z": [0.1, 0.2]}), out, creator="x")
    root = ElementTree.parse(out / "q.rd").getroot()
    assert done.positions == ()
    assert root.find("service") is None
    assert root.find("table").get("mixin") is None
    assert "no cone search: no columns of positions were found" in caplog.text


@pytest.mark.parametrize("kind", ["radians", "coordinates", "galactic"])
def test_positions_in_other_units_or_frames_are_added_in_degrees(out, kind):
    sky = SkyCoord([10.0, 20.0, 30.0], [-5.0, 0.0, 5.0], unit="deg")
    table = QTable({"id": [1, 2, 3]})
    if kind == "radians":
        table["ra"], table["dec"] = sky.ra.to("rad"), sky.dec.to("rad")
    elif kind == "galactic":
        table["l"], table["b"] = sky.galactic.l, sky.galactic.b
        table["l"].info.meta = {"ucd": "pos.galactic.lon"}
        table["b"].info.meta = {"ucd": "pos.galactic.lat"}
    else:
        table["coord"] = sky
    done = publish(table, out, creator="x")
    assert done.positions == ("jp_ra", "jp_dec")
    content = read_catalog(out / "data" / "main.vot")
    np.testing.assert_allclose(content["jp_ra"].value, sky.ra.deg, rtol=1e-13)
    np.testing.assert_allclose(content["jp_dec"].value, sky.dec.deg, rtol=1e-12, atol=1e-12)


def test_a_match_says_which_columns_are_the_positions(out):
    table = Table({"id": [1, 2], "lon": [1.0, 2.0], "lat": [3.0, 4.0]})
    said = {
        "service": "https://x.org/tap", "table": "galex", "query": "SELECT 1", "matched": 1,
        "rows": 2, "radius_arcsec": 4.0, "position": ["lon", "lat"], "date": "2026-01-01",
    }  # fmt: skip
    for meta in (said, json.dumps(said)):
        table.meta["jp_crossmatch_galex"] = meta
        assert publish(table, out, creator="x", overwrite=True).positions == ("lon", "lat")
        readme = (out / "README.md").read_text()
        assert (
            "- Cross-match with galex: galex at https://x.org/tap; within 4 arcsec; 1 of 2 rows "
            "matched; 2026-01-01\n"
        ) in readme
        assert '{"service"' not in readme
        found = {p.get("name"): p for p in ElementTree.parse(out / "q.rd").getroot().iter("param")}
        assert json.loads(found["jp_crossmatch_galex"].text) == said
    table.meta["jp_crossmatch_other"] = {**said, "position": ["lat", "lon"]}
    assert publish(table, out, creator="x", overwrite=True).positions == ()
    del table.meta["jp_crossmatch_other"]
    table.meta["jp_crossmatch_galex"] = {**said, "frame": "galactic"}
    assert publish(table, out, creator="x", overwrite=True).positions == ("jp_ra", "jp_dec")
    content = read_catalog(out / "data" / "main.vot")
    sky = SkyCoord([1.0, 2.0], [3.0, 4.0], unit="deg", frame="galactic").icrs
    np.testing.assert_allclose(content["jp_ra"].value, sky.ra.deg)


def test_only_one_column_is_the_main_one(out):
    table = small()
    table["id"].info.meta = {"ucd": "meta.id;meta.main"}
    table["other"] = ["a", "b", "c"]
    table["other"].info.meta = {"ucd": "meta.id;meta.main"}
    publish(table, out, key="other", creator="x")
    found = columns(out)
    assert found["other"].get("ucd") == "meta.id;meta.main"
    assert found["id"].get("ucd") == "meta.id"


@pytest.mark.parametrize(
    ("name", "new"),
    [
        ("E(B-V)", "e_b_v"),
        ("a/b", "a_b"),
        ("xmin", "xmin_"),
        ("ID", "id_2"),
        ("x" * 64, "x" * 55),
        ("(2)", "c_2"),
        ("[size]", "size_"),
        ("%", "column_"),
    ],
)
def test_names_that_cannot_be_are_changed(out, name, new, caplog):
    table = small(**{name: [1.5, 2.5, 3.5]})
    table[name].description = "Said before"
    done = publish(table, out, creator="x")
    assert done.renamed == {name: new}
    assert f"column {name!r} is published as {new}" in caplog.text
    assert columns(out)[new].get("description") == f"Said before (column {name} of the catalogue)"
    assert f"- `{name}` is `{new}`\n" in (out / "README.md").read_text()
    assert list(read_catalog(out / "data" / "main.vot")[new]) == [1.5, 2.5, 3.5]
    assert name in table.colnames


def test_new_names_are_free_ones():
    assert new_names(["e_b_v", "E(B-V)", "E[B-V]", "E_B_V_2"]) == {
        "E(B-V)": "e_b_v_3", "E[B-V]": "e_b_v_4",
    }  # fmt: skip
    assert new_names(["u-r", "size"]) == {}


@given(st.lists(st.text(max_size=70), unique=True, max_size=8))
def test_all_names_can_be_made_to_fit(names):
    renamed = new_names(names)
    now = [renamed.get(name, name) for name in names]
    assert len({name.lower() for name in now}) == len(names)
    assert new_names(now) == {}
    assert all(is_regular(name) for name in renamed.values())


def test_keys_and_positions_need_no_quotes(out):
    table = Table({"my id": [1, 2], "_RAJ2000": [1.0, 2.0], "_DEJ2000": [3.0, 4.0]})
    done = publish(table, out, key="my id", creator="x")
    assert (done.key, done.positions) == (("my_id",), ("raj2000", "dej2000"))
    assert not done.quoted


def test_licence_and_paper_are_said(out):
    table = small(galex_fuv_flux=[1.0, 2.0, 3.0])
    table["galex_fuv_flux"].info.meta = {"ucd": "phot.flux.density;em.UV.100-200nm"}
    table.meta.update(jp_model="default", jp_version="0.2", jp_date="2026-01-02T03:04:05")

    def metas():
        root = ElementTree.parse(out / "q.rd").getroot()
        return [(m.get("name"), m.text) for m in root.findall("meta")]

    publish(table, out, creator="x", license="CC-BY 4.0", source="2021A&A...653A..31B", title="T")
    found = metas()
    assert ("rights", "CC-BY-4.0") in found
    assert ("rights.rightsURI", "https://creativecommons.org/licenses/by/4.0/") in found
    assert ("source", "2021A&A...653A..31B") in found
    readme = (out / "README.md").read_text()
    assert "\nPaper: 2021A&A...653A..31B\n\nLicence: CC-BY-4.0\n" in readme
    assert [text for name, text in found if name == "coverage.waveband"] == ["Optical", "UV"]
    assert dict(found)["description"] == (
        "T. 3 objects; the columns jp_* are predictions of jpassed 0.2 on 2026-01-02 with its "
        "model default."
    )
    doi = "https://doi.org/10.1051/x(1)"
    publish(small(), out, creator="x", license="Ask us", source=doi, overwrite=True)
    found = metas()
    assert ("rights", "Ask us") in found
    assert "rights.rightsURI" not in dict(found)
    assert ("source", "doi:10.1051/x(1)") in found
    assert [text for name, text in found if name == "coverage.waveband"] == ["Optical"]
    with pytest.raises(InputError, match="expected a bibcode such as .* or a DOI"):
        publish(small(), out, source="Bonoli et al.", overwrite=True)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((3, 2, 2)), r"arrays of shape \(2, 2\)"),
        (np.zeros((3, 0)), r"arrays of shape \(0,\)"),
        (np.array([["a", "b"]] * 3), "arrays of text"),
        (np.zeros((3, 2), bool), "one truth value"),
        (np.array([1 + 2j] * 3), "holds complex128"),
        (np.array([2**64 - 1] * 3, dtype="u8"), "at most 64 bits"),
        (Time([50000.0] * 3, format="mjd"), "is a Time; store it as numbers"),
    ],
)
def test_columns_that_cannot_be_served(out, values, said):
    with pytest.raises(InputError, match=said):
        publish(small(odd=values), out, creator="x")


def test_text_of_other_kinds(out):
    words = Table({"id": [1, 2, 3], "o": np.array(["a", None, "c"], object)})
    words["b"] = [b"\xce\xb1"] * 3
    publish(words, out, creator="x")
    content = read_catalog(out / "data" / "main.vot")
    assert list(content["o"]) == ["a", "", "c"]
    assert list(content["b"]) == ["α"] * 3
    found = columns(out)
    assert (found["o"].get("type"), found["o"].get("required")) == ("text", None)
    assert (found["b"].get("type"), found["b"].get("required")) == ("unicode", "True")


def test_no_number_left_for_null(out):
    values = np.array([-(2**15), 2**15 - 1, -1, -(2**15) + 1, 0], dtype="i2")
    table = Table({"a": MaskedColumn(values, mask=[False] * 4 + [True])})
    with pytest.raises(InputError, match="every number that could stand for its missing values"):
        publish(table, out, creator="x")


@pytest.mark.parametrize("schema", ["Mine", "1st", "tap_schema", "select", "pg_x", "a-b", ""])
def test_schemas_that_cannot_be(out, schema):
    with pytest.raises(InputError, match="schema"):
        publish(small(), out, schema=schema, creator="x")


def test_keys_that_identify_nothing(out):
    table = small(twin=[1, 1, 2], gap=MaskedColumn([1, 2, 3], mask=[True, False, False]))
    with pytest.raises(InputError, match="rows 0 and 1 are both 1"):
        publish(table, out, key="twin", creator="x")
    with pytest.raises(InputError, match="gap has missing values"):
        publish(table, out, key=["id", "gap"], creator="x")
    with pytest.raises(UnknownNameError, match="nothing"):
        publish(table, out, key="nothing", creator="x")
    assert not out.exists()


def test_files_are_not_overwritten_unasked(out):
    publish(small(), out, creator="x")
    first = (out / "q.rd").read_text()
    with pytest.raises(FileError, match=r"q\.rd, README\.md, data/main\.vot already"):
        publish(small(), out, title="new", creator="x")
    assert (out / "q.rd").read_text() == first
    publish(small(), out, title="A <new> title", creator="x", overwrite=True)
    root = ElementTree.parse(out / "q.rd").getroot()
    assert root.find("meta[@name='title']").text == "A <new> title"
    with pytest.raises(FileError, match="is a file"):
        publish(small(), out / "q.rd", schema="x", creator="x")


def test_reserved_words_are_known():
    assert [w for w in ("jp_z", "class", "ra") if not is_regular(w)] == []
    assert [w for w in ("Size", "DATE", "u-r", "2mass", "_x", "area", "") if is_regular(w)] == []


def test_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_catalog(every_kind(), "cat.ecsv")
    arguments = ["publish", "cat.ecsv", "-o", "mycat", "--key", "i8", "--table", "galaxies"]
    # i8 has missing values
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == 1
    assert "i8 has missing values" in refused.stderr
    arguments[5] = "object_id"
    done = CliRunner().invoke(main, [*arguments, "--creator", "Doe, J."])
    assert done.exit_code == 0, done.stderr
    assert done.stdout == (
        "mycat: mycat.galaxies, 50 rows\nto be quoted in queries: u-r 2, SIZE\n"
    )
    assert (tmp_path / "mycat" / "data" / "galaxies.vot").is_file()
