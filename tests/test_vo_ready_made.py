"""Ready-made queries of surveys: what they ask for, and what may be put into them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from hypothesis import example, given
from hypothesis import strategies as st

import jpassed
from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.vo.adql import beyond
from jpassed.vo.conditions import check_condition, read_cone, read_tiles
from jpassed.vo.ready_made import list_queries, load_query

CONE = (214.25, 52.5, 0.125)
TINY = """
name: tiny
from: a.objects AS o
main: o
keys: [id]
position: [o.ra, o.de]
columns: {id: o.id, z: o.z}
"""


# --- the shipped queries ------------------------------------------------------------------------


def test_the_surveys_have_their_queries():
    assert set(list_queries()) == {
        *("minijpas", "minijpas-mag", "jplus", "jpas", "galex"),
        *("desi-redshifts", "sdss-redshifts"),
    }


@pytest.mark.parametrize("more", [{}, {"maxrec": 3}])
def test_a_query_has_ucds_of_its_own(tap, more):
    found = jpassed.query(tap.url, survey="minijpas", where="o.number < 9", cache=False, **more)
    assert found["z_spec"].info.meta["ucd"] == "src.redshift"  # not that of MIN(...)
    assert load_query("minijpas").select("adql", where="o.number < 9", columns=["ebv"]).ucds == {}


def test_ucds_are_of_columns(tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY + "ucds: {q: src.redshift}")
    with pytest.raises(InputError, match="ucds: .*'q'"):
        load_query(tmp_path / "tiny.yaml")


@pytest.mark.parametrize("name", list_queries())
def test_each_query_has_its_columns_keys_and_reference(name):
    query = load_query(name)
    assert set(query.keys) <= set(query.columns)
    assert query.description and query.reference
    asked = query.select("cefca", cone=CONE)
    text = asked.whole()
    assert text.startswith("SELECT ")
    assert text.count("(") == text.count(")")
    assert set(asked.keys) == set(query.keys)
    assert asked.count().startswith("SELECT COUNT(*) AS n FROM ")


def test_minijpas_asks_for_what_annotate_needs():
    text = load_query("minijpas").select("cefca", cone=CONE).whole()
    assert "FROM minijpas.FLambdaDualObj AS o LEFT OUTER JOIN minijpas.MWExtinction AS e" in text
    for column in (
        *("o.flux_auto AS flux_auto", "o.flux_relerr_auto AS flux_relerr_auto"),
        *("o.flags AS flags", "o.mask_flags AS mask_flags", "e.ebv AS ebv"),
        *("p.photoz AS photoz", "s.zsp AS z_spec", "o.alpha_j2000 AS alpha_j2000"),
    ):
        assert column in text
    assert "CIRCLE('ICRS', 214.25, 52.5, 0.125)" in text


def test_array_elements_are_written_as_the_service_has_them():
    text = load_query("jpas").select("cefca", cone=CONE).whole()
    assert "o.mag_auto[jpas::J0660] AS mag_J0660" in text
    assert "o.mag_err_auto[jpas::iSDSS] AS mag_err_iSDSS" in text
    assert len(re.findall(r"\[jpas::\w+\] AS mag_err_", text)) == 57


def test_a_dialect_without_elements_says_so():
    with pytest.raises(InputError, match=r"no way to pick uJAVA out of the array o\.mag_auto"):
        load_query("jpas").select("adql", cone=CONE)


def test_datalab_gets_q3c():
    text = load_query("desi-redshifts").select("datalab", cone=CONE).whole()
    assert "'t' = q3c_radial_query(o.mean_fiber_ra, o.mean_fiber_dec, 214.25, 52.5, 0.125)" in text
    assert "WHERE o.zwarn = 0 AND " in text


def test_the_columns_of_jplus_and_jpas_are_recognised():
    from astropy.table import QTable

    from jpassed.surveys import detect_survey, read_photometry

    rng = np.random.default_rng(1)
    asked = load_query("jplus").select("cefca", tile=1).columns
    values = {
        "mag_auto": rng.uniform(18, 21, (3, 12)),
        "mag_err_auto": rng.uniform(0.01, 0.1, (3, 12)),
        "flags": np.zeros((3, 12), "i2"),
        "mask_flags": np.zeros((3, 12), "i2"),
    }
    answer = QTable({name: values.get(name, np.full(3, 0.02)) for name in asked})
    assert detect_survey(answer).name == "jplus"
    assert read_photometry(answer).observed.all()
    asked = load_query("jpas").select("cefca", tile=1).columns
    answer = QTable({c: np.full(3, 0.1 if "_err_" in c else 20.0) for c in asked})
    found = read_photometry(answer)
    assert len(found.bands) == 57 and found.observed.all()
    assert set(found.bands) == {c[8:] for c in asked if c.startswith("mag_err_")}


# --- parts of a survey --------------------------------------------------------------------------


def test_parts_are_joined_by_and():
    asked = load_query("minijpas").select(
        "adql", cone=CONE, tile=[2241, "2243"], where="o.class_star < 0.5 OR p.odds > 0.9"
    )
    where = asked.whole().partition(" WHERE 1 = ")[2]
    assert where.endswith(
        "0.125)) AND o.tile_id IN (2241, 2243) AND (o.class_star < 0.5 OR p.odds > 0.9)"
    )


@pytest.mark.parametrize("where", ["p.odds > 0.9", "P.odds > 0.9"])
def test_a_table_is_joined_whatever_the_case_of_its_alias(where):
    asked = load_query("minijpas").select("adql", where=where, columns=["class_star"])
    assert "JOIN minijpas.PhotoZLephare AS p" in asked.whole()
    assert "MWExtinction" not in asked.whole()


def test_columns_with_quoted_names():
    asked = load_query("minijpas").select("adql", tile=1, columns=['"a b"', 'p."Odds"', "p.odds"])
    selected = asked.whole().partition(" FROM ")[0]
    assert selected.endswith('o.number AS number, o."a b", p."Odds", p.odds AS odds')


def test_all_of_a_survey_is_not_asked_for_by_accident():
    with pytest.raises(InputError, match="would ask for all of the survey: give a cone"):
        load_query("minijpas").select("adql", columns=["ebv"])


def test_columns_are_chosen_and_the_keys_come_along():
    asked = load_query("minijpas").select(
        "cefca", tile=1, columns=["ebv", "mag_auto[J0660]", "number", 'o."E(B-V)"', "odds"]
    )
    assert list(asked.columns.items()) == [
        ("tile_id", "o.tile_id"),
        ("number", "o.number"),
        ("ebv", "e.ebv"),
        ("mag_auto_J0660", "o.mag_auto[jpas::J0660]"),
        ('"E(B-V)"', 'o."E(B-V)"'),
        ("odds", "o.odds"),
    ]


def test_tables_are_joined_where_they_are_needed():
    query = load_query("minijpas")
    bare = query.select("adql", tile=1, columns=["flux_auto"]).whole()
    assert "JOIN" not in bare
    for columns in (["photoz"], ["odds", "p.odds"]):
        text = query.select("adql", tile=1, columns=columns).whole()
        assert text.count("JOIN") == text.count("JOIN minijpas.PhotoZLephare AS p") == 1
    text = query.select("adql", where="p.odds > 0.9", columns=["ebv"]).count()
    assert text.count("JOIN") == 2 and "xmatch" not in text


def test_a_star_stands_for_the_columns_of_the_query():
    query = load_query("minijpas")
    asked = query.select("adql", tile=1, columns=["*", "x_image", "p.odds"])
    assert list(asked.columns) == [*query.columns, "x_image", "odds"]
    assert asked.whole().count("p.odds AS odds") == 1


@pytest.mark.parametrize("bad", ["a b", "a;b", "a)", "COUNT(*)", "a--", "", "a.b.c", 'x"y'])
def test_a_column_that_is_no_name_is_refused(bad):
    with pytest.raises(InputError, match="columns: expected names such as class_star"):
        load_query("minijpas").select("adql", tile=1, columns=[bad])


def test_a_query_without_tiles_says_so():
    with pytest.raises(InputError, match="'galex' has no tiles; give a cone"):
        load_query("galex").select("adql", tile=3)


# --- pages --------------------------------------------------------------------------------------


def test_pages_go_on_behind_the_keys():
    asked = load_query("minijpas").select("adql", tile=7)
    first, next_ = (asked.page(["tile_id", "number"], a, 50) for a in (None, (7, np.int32(12))))
    assert first.startswith("SELECT TOP 50 o.tile_id AS tile_id, o.number AS number, ")
    assert first.endswith(" WHERE o.tile_id = 7 ORDER BY tile_id, number")
    assert next_.endswith(
        " WHERE o.tile_id = 7 AND (o.tile_id > 7 OR (o.tile_id = 7 AND o.number > 12))"
        " ORDER BY tile_id, number"
    )


def test_a_key_must_be_a_column():
    with pytest.raises(UnknownNameError, match="unknown key of the query 'numbr'.*'number'"):
        load_query("minijpas").select("adql", tile=7).page(["numbr"], None, 5)


@given(
    st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=30),
    st.tuples(*[st.integers(0, 3)] * 3),
)
def test_the_condition_of_a_page_is_the_order_of_the_keys(rows, after):
    condition = beyond(["a", "b", "c"], after)
    python = condition.replace(" = ", " == ").replace("AND", "and").replace("OR", "or")
    kept = [row for row in rows if eval(python, dict(zip("abc", row, strict=True)))]
    assert kept == [row for row in rows if row > after]


# --- cones --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cone",
    [
        (214.25, 52.5, 1 / 6),
        ("214.25", "+52.5", "0.16666666666666666"),
        ("14h17m", "+52d30m", "10arcmin"),
        ("14:17:00", "52:30:00", "10'"),
        ("214d15m", "52d30m", "600arcsec"),
        (214.25 * u.deg, 52.5 * u.deg, 10 * u.arcmin),
        (-145.75, 52.5, 1 / 6),
        (SkyCoord(214.25, 52.5, unit="deg"), 10 * u.arcmin),
        (SkyCoord(214.25, 52.5, unit="deg").galactic, "10arcmin"),
    ],
    ids=str,
)
def test_a_cone_in_all_its_forms(cone):
    centre, radius = read_cone(cone)
    np.testing.assert_allclose((*centre, radius), (214.25, 52.5, 1 / 6), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("cone", "said"),
    [
        ((214.25, 52.5), "expected RA DEC RADIUS"),
        ("214 52 1", "expected RA DEC RADIUS"),
        ((1, 2, 3, 4), "expected RA DEC RADIUS"),
        (("north", "52", "1"), "right ascension: expected RA DEC RADIUS"),
        ((214, "10Jy", 1), "declination: expected"),
        ((214, 52, "10 km"), "radius: expected"),
        ((214, 91, 1), "the declination 91 is not within"),
        ((400, 0, 1), "the right ascension 400 is not within"),
        ((214, 52, 0), "the radius 0 is not within"),
        ((214, 52, -1), "the radius -1 is not within"),
        ((214, 52, 181), "the radius 181 is not within"),
        ((np.nan, 52, 1), "expected a finite angle"),
        ((214, 52, 3 * u.Jy), "radius: expected"),
        ((SkyCoord([1, 2], [3, 4], unit="deg"), 1), "expected RA DEC RADIUS"),
    ],
    ids=str,
)
def test_a_cone_that_makes_no_sense(cone, said):
    with pytest.raises(InputError) as e:
        read_cone(cone)
    assert str(e.value).startswith("cone")
    assert said in str(e.value)


@pytest.mark.parametrize(
    ("tile", "numbers"),
    [
        (7, (7,)),
        ("7", (7,)),
        ([7, "8", 7], (7, 8)),
        (np.int64(7), (7,)),
        (np.array([1, 2]), (1, 2)),
    ],
)
def test_tiles(tile, numbers):
    assert read_tiles(tile) == numbers


@pytest.mark.parametrize("bad", ["x", "1 OR 1=1", 1.5, True, [], [None], "1" * 30])
def test_a_tile_is_a_whole_number(bad):
    with pytest.raises(InputError, match="^tile: expected"):
        read_tiles(bad)


# --- the user's own condition -------------------------------------------------------------------


@pytest.mark.parametrize(
    "fine",
    [
        "o.class_star < 0.5",
        "(a > 1) OR (b < 2 AND (c = 3))",
        "name = 'it''s (fine' AND x > 0",
        '"odd ) name" > 1',
        "name = ';--' ",
        "a - -1 > 0",
    ],
)
def test_a_condition_is_kept_as_it_is(fine):
    assert check_condition(fine) == fine.strip()
    asked = load_query("minijpas").select("adql", where=fine)
    assert asked.conditions[-1] == f"({fine.strip()})"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("", "expected a condition"),
        ("  ", "expected a condition"),
        (3, "expected a condition"),
        ("a > 1) OR (1 = 1", "')' at place 6 closes nothing"),
        ("(a > 1", "1 '(' without a ')'"),
        ("a = 'x", "a quote (') is not closed"),
        ('"a = 1', 'a quote (") is not closed'),
        ("a = 1; DROP TABLE x", "leave out ';'"),
        ("a = 1 -- ", "leave out '--'"),
        ("a = 1 /* x */", "leave out '/*'"),
    ],
)
def test_a_condition_that_would_leave_its_parentheses(bad, said):
    with pytest.raises(InputError) as e:
        check_condition(bad)
    assert said in str(e.value)


@given(st.text("()'\"ab;-/* ", max_size=12))
@example("')--('")
def test_no_condition_leaves_its_parentheses(where):
    try:
        kept = check_condition(where)
    except InputError:
        return
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", f"({kept})")
    depth = np.cumsum([{"(": 1, ")": -1}.get(c, 0) for c in bare])
    assert "'" not in bare and '"' not in bare and "--" not in bare and "/*" not in bare
    assert depth[-1] == 0 and (depth[:-1] > 0).all()


# --- the user's own query -----------------------------------------------------------------------


def test_a_query_of_the_users_own(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    asked = load_query(path).select("adql", cone=CONE)
    assert asked.whole().startswith("SELECT o.id AS id, o.z AS z FROM a.objects AS o WHERE 1 = ")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: tiny", "nam: tiny", "unknown key 'nam'"),
        ("keys: [id]", "", "keys missing"),
        ("keys: [id]", "keys: [idd]", "unknown column 'idd'. Did you mean 'id'?"),
        ("position: [o.ra, o.de]", "position: [o.ra]", "position: expected [RA, DEC]"),
        ("columns: {id: o.id, z: o.z}", "columns: [id, z]", "columns: expected 'name: expression'"),
        ("columns: {id: o.id, z: o.z}", "columns: {id: 3}", "columns: expected 'name: expression'"),
    ],
)
def test_a_query_file_that_makes_no_sense(tmp_path, old, new, said):
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY.replace(old, new))
    with pytest.raises(InputError) as e:
        load_query(path)
    assert said in str(e.value) and "tiny.yaml" in str(e.value)


def test_an_unknown_query_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"unknown ready-made query 'minijpass'.*'minijpas'"):
        load_query("minijpass")
    with pytest.raises(FileError, match=r"cannot read the query none\.yaml"):
        load_query("none.yaml")
