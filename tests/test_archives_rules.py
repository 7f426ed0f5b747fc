"""From an archive's columns to labels: frames, signs, masks, sums, and what descriptions refuse."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from archive_plans import SDSS, write_plan
from hypothesis import given
from hypothesis import strategies as st

from jpassed.archives import list_archives, list_presets, load_archive, load_plan
from jpassed.archives.description import Flags, LabelRule
from jpassed.archives.description_file import parse_archive
from jpassed.archives.label_rules import Rows, measure
from jpassed.archives.queries import TableQuery, table_query
from jpassed.exceptions import FileError, InputError, UnknownNameError

EW = LabelRule("ew_halpha", ("ew",), ("err",), frame="observed")


def values_of(rule: LabelRule, columns: dict[str, Any], **given: Any):
    """What a rule makes of a table with a row for each object."""
    count = len(next(iter(columns.values())))
    rows = Rows({k: np.ma.asarray(v) for k, v in columns.items()}, np.arange(count), count)
    z = np.asarray(given.get("z", np.zeros(count)), dtype=float)
    unsafe = np.asarray(given.get("unsafe", np.zeros(count, dtype=bool)))
    return measure(rule, rows, "", z, unsafe)


@given(st.floats(-40, 9000), st.floats(0.01, 100), st.floats(0, 1.2))
def test_equivalent_widths_of_the_observed_frame_come_to_rest(ew, error, z):
    found = values_of(EW, {"ew": [ew], "err": [error]}, z=[z])
    assert found.observed[0]
    np.testing.assert_allclose(found.value[0] * (1 + z), ew, atol=1e-300)
    np.testing.assert_allclose(found.error[0] * (1 + z), error)


def test_widths_that_are_negative_in_emission_are_turned():
    found = values_of(replace(EW, scale=-1), {"ew": [-30.0], "err": [2.0]}, z=[0.5])
    np.testing.assert_allclose((found.value[0], found.error[0]), (20.0, 2.0 / 1.5))


def test_only_measurements_with_a_positive_error_count():
    found = values_of(EW, {"ew": [1.0, 2.0, 3.0, np.nan], "err": [0.1, 0.0, -1.0, 0.1]})
    np.testing.assert_array_equal(found.observed, [True, False, False, False])
    assert found.left_out == {"no positive error": 2}
    masked = np.ma.array([1.0, 2.0], mask=[False, True])
    found = values_of(EW, {"ew": masked, "err": [0.1, 0.1]})
    np.testing.assert_array_equal(found.observed, [True, False])


def test_doublets_are_summed_and_need_both_lines():
    rule = LabelRule("ew_oii", ("ew",), ("err",), rows=("a", "b"))
    columns = {
        "line": np.ma.asarray(["a", "b", "a", "c"]),
        "ew": np.ma.asarray([3.0, 4.0, 5.0, 9.0]),
        "err": np.ma.asarray([0.3, 0.4, 0.1, 0.1]),
    }
    rows = Rows(columns, np.array([0, 0, 1, 1]), 2)
    found = measure(rule, rows, "line", np.zeros(2), np.zeros(2, dtype=bool))
    np.testing.assert_array_equal(found.observed, [True, False])
    np.testing.assert_allclose((found.value[0], found.error[0]), (7.0, 0.5))
    columns["err"][1] = -1.0  # the second line was not measured
    found = measure(rule, rows, "line", np.zeros(2), np.zeros(2, dtype=bool))
    assert not found.observed.any()


@pytest.mark.parametrize(
    ("bits", "safe"), [(0, True), (16, True), (4, False), (20, False), (128, False), (-1, False)]
)
def test_warnings_of_the_redshift(bits, safe):
    rule = LabelRule("z", ("z",), ("e",), flags=Flags("w", 16), needs_redshift=False)
    found = values_of(rule, {"z": [0.1], "e": [1e-5], "w": [bits]})
    assert found.observed[0] == safe
    assert found.left_out == ({} if safe else {"flagged in w": 1})


def test_what_hangs_on_an_unsafe_redshift_is_left_out():
    unsafe = np.array([True, False])
    found = values_of(EW, {"ew": [1.0, 1.0], "err": [0.1, 0.1]}, unsafe=unsafe)
    np.testing.assert_array_equal(found.observed, [False, True])
    found = values_of(EW, {"ew": [1.0], "err": [0.1]}, z=[np.nan])
    assert found.left_out == {"no redshift to bring it to the rest frame": 1}
    mass = LabelRule("logmstar", ("m",), ("e",))  # of an object without any redshift
    assert values_of(mass, {"m": [10.0], "e": [0.1]}, z=[np.nan]).observed[0]


def test_masses_become_logarithms_of_the_vocabulary():
    rule = LabelRule("logmstar", ("m",), ("e",), log10=True, error_floor=0.1, valid=(1e4, 1e13))
    found = values_of(rule, {"m": [1e10, -1.0, 0.0], "e": [1e9, 1e9, 1e9]})
    np.testing.assert_array_equal(found.observed, [True, False, False])
    np.testing.assert_allclose(found.value[0], 10.0)
    np.testing.assert_allclose(found.error[0], np.hypot(0.1 / np.log(10), 0.1))
    kroupa = LabelRule("logmstar", ("p50",), interval=("p16", "p84"), offset=-0.034)
    found = values_of(kroupa, {"p50": [10.0], "p16": [9.9], "p84": [10.3]})
    np.testing.assert_allclose((found.value[0], found.error[0]), (9.966, 0.2))


def test_the_factor_comes_before_the_logarithm():
    # A column in units of 1e10 solar masses.
    rule = LabelRule("logmstar", ("m",), ("e",), log10=True, scale=1e10)
    found = values_of(rule, {"m": [2.0], "e": [0.2]})
    np.testing.assert_allclose(found.value[0], np.log10(2e10))
    np.testing.assert_allclose(found.error[0], 0.1 / np.log(10))


def test_percentiles_that_are_no_measurement_give_no_error():
    rule = LabelRule("logmstar", ("p50",), interval=("p16", "p84"), valid=(4, 13))
    found = values_of(rule, {"p50": [10.0, 10.0], "p16": [-9999.0, 9.9], "p84": [10.1, 10.1]})
    np.testing.assert_array_equal(found.observed, [False, True])
    assert found.left_out == {"no positive error": 1}


def test_values_that_are_no_measurement_are_counted():
    rule = LabelRule("logmstar", ("m",), ("e",), log10=True, valid=(1e4, 1e13))
    found = values_of(rule, {"m": [10.3, 2e10, np.nan], "e": [0.1, 1e9, 0.1]})
    np.testing.assert_array_equal(found.observed, [False, True, False])
    assert found.left_out == {"outside 'valid'": 1}


def test_a_label_without_errors_takes_the_stated_one():
    rule = LabelRule("z", ("z",), error_floor=0.001, needs_redshift=False)
    found = values_of(rule, {"z": [0.1, np.nan]})
    np.testing.assert_array_equal(found.observed, [True, False])
    assert found.error[0] == 0.001


def test_values_that_the_vocabulary_does_not_hold_are_left_out():
    rule = LabelRule("z", ("z",), ("e",), needs_redshift=False)
    found = values_of(rule, {"z": [-0.005, -0.1, 1.2, 2.4], "e": [1e-3] * 4})
    np.testing.assert_array_equal(found.observed, [True, False, True, False])
    assert found.left_out == {"outside the vocabulary": 2}


def test_shipped_descriptions_and_plans_are_whole():
    assert list_archives() == ("desi-dr1", "sdss-dr17")
    for name in list_archives():
        archive = load_archive(name)
        assert archive.reference
        assert archive.spectra is not None
        for rule in (r for t in archive.all_tables for r in t.labels):
            assert rule.provenance, f"{name}, {rule.quantity}"
        assert any(t.ebv for t in archive.all_tables)
        assert any(t.total for t in archive.all_tables)
    widths = [r for r in load_archive("sdss-dr17").tables[2].labels if r.quantity[:3] == "ew_"]
    assert len(widths) == 6
    assert {(r.scale, r.frame) for r in widths} == {(-1.0, "observed")}
    assert list_presets() == ("galaxies",)
    plan = load_plan("galaxies", limit=7)
    assert [c.limit for c in plan.choices] == [7, 7]
    assert len(plan.bands) == 60


def test_pages_go_on_beyond_the_last_key():
    query = TableQuery("t", ("k", "line", "x"), "x > 0 OR x < -1")
    assert query.whole() == "SELECT k, line, x FROM t WHERE (x > 0 OR x < -1)"
    assert query.page(["k", "line"], (np.int64(3), "O'III"), 5) == (
        "SELECT TOP 5 k, line, x FROM t WHERE (x > 0 OR x < -1) AND "
        "((k > 3) OR (k = 3 AND line > 'O''III')) ORDER BY k, line"
    )
    assert query.count() == "SELECT COUNT(*) AS n FROM t WHERE x > 0 OR x < -1"


def test_catalogues_of_galaxies_add_objects_and_other_tables_do_not(tmp_path):
    plan = load_plan(write_plan(tmp_path, SDSS))
    (choice,) = plan.choices
    tables = {t.name: t for t in choice.archive.all_tables}
    assert "JOIN" not in table_query(choice.archive, tables["masses"]).whole()
    assert "WHERE class = 'GALAXY'" in table_query(choice.archive, tables["lines"]).whole()
    cut = table_query(choice.archive, tables["masses"], upto=12)
    assert cut.whole().endswith("WHERE (specobjid <= 12)")
    # With a selection of one's own, no table adds objects, unless that is asked for.
    chosen = {**SDSS, "_plan": {"where": "z < 0.1"}}
    (choice,) = load_plan(write_plan(tmp_path, chosen)).choices
    masses = choice.archive.tables[-1]
    assert "WHERE z < 0.1" in table_query(choice.archive, masses).whole()
    chosen["_plan"]["union"] = True
    (choice,) = load_plan(write_plan(tmp_path, chosen)).choices
    assert choice.archive.tables[-1].adds_objects


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"objects": {}}, InputError, "'table' is missing"),
        ({"tables": {"x": {"table": "t", "key": "k", "labels": {"mass": {}}}}}, UnknownNameError,
         "quantity 'mass'"),
        ({"tables": {"x": {"table": "t", "key": "k", "labels": {"z": {"value": "z"}}}}},
         InputError, "either 'error' or 'interval'"),
        ({"tables": {"x": {"table": "t", "key": "k",
                           "labels": {"z": {"value": "z", "error": "e", "rows": "a"}}}}},
         InputError, "'rows' belongs to a table with 'line'"),
        ({"tables": {"x": {"table": "t", "key": "k", "colour": 1}}}, InputError, "'colour'"),
        ({"tables": {"x": {"table": "t", "key": "k", "total": {"band": "r", "column": "r"}}}},
         UnknownNameError, "'r'"),
        ({"spectra": {"kind": "post"}}, UnknownNameError, "'post'"),
        ({"spectra": {"kind": "ssap"}}, InputError, "need 'url'"),
        ({"spectra": {"kind": "url", "url": "x", "variants": {"a": "b"}}}, InputError, "'column'"),
        ({"name": None, "spelled": 1}, InputError, "'spelled'"),
    ],
)  # fmt: skip
def test_descriptions_that_make_no_sense_say_where(change, error, said):
    with pytest.raises(error, match=said):
        parse_archive({**SDSS, **change}, "mine.yaml")


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"noise": "galex-ais"}, InputError, "lacks uJAVA"),
        ({"filters": ["nonesuch"]}, UnknownNameError, "nonesuch"),
        ({"redshift": [1, 0]}, InputError, "lowest, highest"),
        ({"seed": -1}, InputError, "seed"),
        ({"colour": "red"}, InputError, "'colour'"),
        ({"crossmatch": [{"radius": 1}]}, InputError, "'name' is missing"),
        ({"archives": []}, InputError, "at least one archive"),
        ({"archives": [{"archive": "sdss-dr17", "without": ["x"]}]}, UnknownNameError, "'x'"),
        ({"archives": ["sdss-dr17", "sdss-dr17"]}, InputError, "one name"),
        ({"archives": [{"archive": "sdss-dr17", "limit": 0}]}, InputError, "limit"),
        ({"archives": ["sdss"]}, UnknownNameError, "Did you mean"),
    ],
)
def test_plans_that_make_no_sense_say_where(settings, error, said):
    with pytest.raises(error, match=said):
        load_plan({"archives": ["sdss-dr17"], **settings})


def test_plans_that_are_not_there(tmp_path):
    with pytest.raises(UnknownNameError, match="galaxies"):
        load_plan("galaxy")
    with pytest.raises(FileError, match="cannot read the plan"):
        load_plan(tmp_path / "none.yaml")
    with pytest.raises(FileError, match="cannot read the archive"):
        load_archive(tmp_path / "none.yaml")


def test_a_plan_is_written_down_as_json():
    archives = ["sdss-dr17", "desi-dr1"]
    match = {"survey": "galex", "coverage": "tap:galex.fields"}
    plan = load_plan({"archives": archives, "crossmatch": [match]}, limit=3)
    said = json.loads(json.dumps(plan.as_dict(), allow_nan=False))
    assert said["crossmatch"] == [{**match, "name": "galex"}]
    first = said["archives"][0]
    assert (first["name"], first["limit"]) == ("sdss-dr17", 3)
    rule = {rule["quantity"]: rule for rule in first["objects"]["labels"]}["z"]
    assert rule["flags"] == {"column": "zwarning", "usable": 16}
    assert rule["valid"][1] == "inf"
    with pytest.raises(InputError, match="'name' is missing, e.g. {name: galex}"):
        load_plan({"archives": archives, "crossmatch": [{"radius": 3}]})


def test_everything_that_counts_is_in_the_digest(tmp_path):
    base = load_plan(write_plan(tmp_path, SDSS))
    assert load_plan(write_plan(tmp_path, SDSS)).digest == base.digest
    changed = [
        load_plan(write_plan(tmp_path, SDSS, seed=2)),
        load_plan(write_plan(tmp_path, SDSS), limit=3),
        load_plan(write_plan(tmp_path, SDSS, noise=None)),
        load_plan(write_plan(tmp_path, {**SDSS, "_plan": {"without": ["lines"]}})),
    ]
    assert len({plan.digest for plan in (base, *changed)}) == 5
    fields = tmp_path / "fields.fits"
    digests = set()
    for content in ("here", "there"):
        fields.write_text(content)
        match = [{"name": "galex", "coverage": {"fuv": str(fields), "nuv": "tap:galex.fields"}}]
        digests.add(load_plan(write_plan(tmp_path, SDSS, crossmatch=match)).digest)
    assert len(digests) == 2
