"""Labels as context: named columns, units, errors, missing values."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Column, MaskedColumn, QTable, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.surveys import read_labels


def test_only_what_is_named_is_read():
    table = Table({"z": [0.1], "z_spec": [0.2], "logmstar": [10.0]})
    assert set(read_labels(table, {"z": "z_spec"})) == {"z"}
    assert read_labels(table, {"z": "z_spec"})["z"].value[0] == 0.2
    assert read_labels(table, {}) == {}


@pytest.mark.parametrize(
    "error", ["z_spec_err", "e_z_spec", "z_specerr", "z_spec_error", "Z_SPEC_ERR", "E_z_spec"]
)
def test_error_column_is_found(error):
    label = read_labels(Table({"z_spec": [0.2], error: [0.01]}), {"z": "z_spec"})["z"]
    assert (label.error[0], label.error_column) == (0.01, error)


def test_error_column_by_name():
    table = Table({"z_spec": [0.2], "z_spec_err": [0.5], "mine": [0.01]})
    label = read_labels(table, {"z": "z_spec, mine"})["z"]
    assert (label.error[0], label.error_column) == (0.01, "mine")


def test_without_error_column_the_value_is_exact():
    label = read_labels(Table({"zs": [0.2, 0.3]}), {"z": "zs"})["z"]
    np.testing.assert_array_equal(label.error, [0, 0])
    assert label.error_column is None
    assert label.observed.all()


@pytest.mark.parametrize("missing", [np.nan, np.inf, -99.0, -999.0, -9999.0])
def test_missing_values(missing):
    label = read_labels(Table({"m": [missing, 10.0]}), {"logmstar": "m"})["logmstar"]
    np.testing.assert_array_equal(label.observed, [False, True])
    assert label.value[0] == 0.0


def test_masked_values():
    table = Table({"m": MaskedColumn([9.0, 10.0], mask=[True, False])})
    np.testing.assert_array_equal(
        read_labels(table, {"logmstar": "m"})["logmstar"].observed, [False, True]
    )


def test_numbers_that_are_sentinels_elsewhere_are_values_here():
    table = Table({"ew": [99.0, -1.0, -3.0], "sfr": [-1.0, -3.0, 99.0]})
    labels = read_labels(table, {"ew_halpha": "ew", "logsfr": "sfr"})
    assert labels["ew_halpha"].observed.all()
    assert labels["logsfr"].observed.all()


def test_redshifts_below_the_support():
    table = Table({"z": [-1.0, -0.001, 0.0, 0.4, -0.02]})
    label = read_labels(table, {"z": "z"})["z"]
    np.testing.assert_array_equal(label.observed, [False, True, True, True, False])
    assert label.messages == (
        "z: 2 rows (0, 4) with values below -0.01 or without a logarithm in column 'z'; not used",
    )


def test_negative_errors_are_not_used_and_said():
    table = Table({"zs": [0.1, 0.2, 0.3], "zs_err": [0.01, -1.0, 0.0]})
    label = read_labels(table, {"z": "zs"})["z"]
    np.testing.assert_array_equal(label.observed, [True, False, True])
    assert "missing or negative errors in column 'zs_err'" in label.messages[0]


def test_logarithm_of_a_quantity():
    table = QTable(
        {"mass": [1e10, 5e11, 0.0, -1.0] * u.solMass, "mass_err": [1e9, 1e10, 1.0, 1.0] * u.solMass}
    )
    label = read_labels(table, {"logmstar": "mass"})["logmstar"]
    np.testing.assert_allclose(label.value[:2], [10.0, np.log10(5e11)])
    np.testing.assert_allclose(label.error[:2], [0.1 / np.log(10), 0.02 / np.log(10)])
    np.testing.assert_array_equal(label.observed, [True, True, False, False])


@settings(deadline=None)
@given(
    mass=st.floats(1e6, 1e13), ratio=st.floats(1e-3, 1.0), unit=st.sampled_from(["kg", "g", "Msun"])
)
def test_any_unit_of_mass_gives_the_same_logarithm(mass, ratio, unit):
    table = QTable({"m": [mass] * u.solMass, "m_err": [ratio * mass] * u.solMass})
    table["m"] = table["m"].to(unit)
    label = read_labels(table, {"logmstar": "m"})["logmstar"]
    assert label.value[0] == pytest.approx(np.log10(mass), abs=1e-9)
    assert label.error[0] == pytest.approx(ratio / np.log(10), rel=1e-9)


def test_dex_units():
    table = Table({"m": Column([10.0], unit=u.dex(u.kg)), "m_err": [0.1]})
    label = read_labels(table, {"logmstar": "m"})["logmstar"]
    assert label.value[0] == pytest.approx(10.0 + np.log10(u.kg.to(u.solMass)))
    assert label.error[0] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("quantity", "unit", "given", "expected"),
    [
        ("ew_halpha", "nm", 2.0, 20.0),
        ("t0", "Myr", 500.0, 0.5),
        ("tau", "yr", 2e9, 2.0),
        ("av", "mag", 0.5, 0.5),
        ("logage_m", "Gyr", 10.0, 10.0),
        ("logsfr", "Msun / yr", 100.0, 2.0),
    ],
)
def test_units_are_converted(quantity, unit, given, expected):
    table = Table({"x": Column([given], unit=unit), "x_err": Column([given], unit=unit)})
    assert read_labels(table, {quantity: "x"})[quantity].value[0] == pytest.approx(expected)


def test_error_in_a_unit_of_its_own():
    table = Table({"ew": Column([20.0], unit="Angstrom"), "ew_err": Column([0.1], unit="nm")})
    assert read_labels(table, {"ew_halpha": "ew"})["ew_halpha"].error[0] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("quantity", "unit", "message"),
    [
        ("z", "km / s", "'x' is in km / s; z needs no unit"),
        ("logmstar", "Jy", "'x' is in Jy; logmstar needs log10 without a unit, or solMass"),
        ("ew_halpha", "Gyr", "'x' is in Gyr; ew_halpha needs Angstrom"),
    ],
)
def test_wrong_units_are_refused(quantity, unit, message):
    with pytest.raises(InputError, match=message):
        read_labels(Table({"x": Column([1.0], unit=unit)}), {quantity: "x"})


def test_error_in_a_wrong_unit_is_refused():
    table = Table({"ew": Column([20.0], unit="Angstrom"), "ew_err": Column([0.1], unit="s")})
    with pytest.raises(InputError, match="'ew_err' is in s, but 'ew' in Angstrom"):
        read_labels(table, {"ew_halpha": "ew"})


def test_unknown_quantities_and_columns():
    table = Table({"z_spec": [0.1]})
    with pytest.raises(UnknownNameError, match="context quantity 'redshift'"):
        read_labels(table, {"redshift": "z_spec"})
    with pytest.raises(UnknownNameError, match="column 'z_spek'. Did you mean 'z_spec'"):
        read_labels(table, {"z": "z_spek"})
    with pytest.raises(UnknownNameError, match="column 'e'"):
        read_labels(table, {"z": "z_spec,e"})
    with pytest.raises(InputError, match="bandfluxes are recognised by their columns"):
        read_labels(table, {"flux:J0660": "z_spec"})


def test_array_columns_are_refused():
    with pytest.raises(InputError, match="'z' holds 2 numbers per row; a label needs one"):
        read_labels(Table({"z": [[0.1, 0.2]]}), {"z": "z"})


def test_text_columns_are_refused():
    with pytest.raises(InputError, match="'z', row 0: expected numbers, got 'high'"):
        read_labels(Table({"z": ["high"]}), {"z": "z"})


def test_big_endian_and_one_element_arrays():
    table = Table({"z": np.array([[0.1], [0.2]], dtype=">f4")})
    np.testing.assert_allclose(read_labels(table, {"z": "z"})["z"].value, [0.1, 0.2], rtol=1e-6)


@pytest.mark.real_data
def test_real_redshifts(real_data):
    table = Table.read(real_data / "catalogs" / "sdss_galaxies_gst.fits")
    label = read_labels(table, {"z": "Z"})["z"]
    assert label.observed.all()
    assert 0.009 < label.value.min() < label.value.max() < 0.59


@pytest.mark.parametrize("name, what", [("logmstar", "solMass"), ("logsfr", "solMass / yr")])
def test_a_quantity_in_place_of_its_logarithm_is_refused(name, what):
    table = Table({"mass": [3e10, 5e9, -99.0]})
    with pytest.raises(InputError, match=f"logarithm to base 10.*{what}"):
        read_labels(table, {name: "mass"})
    table["mass"].unit = what
    assert read_labels(table, {name: "mass"})[name].observed.tolist() == [True, True, False]
    # One wild value among logarithms is a row's matter, not the column's.
    assert read_labels(Table({"mass": [10.1, 9.0, 1e9]}), {name: "mass"})[name].observed.all()


@pytest.mark.parametrize(
    "given, meant", [("redshift", "z"), ("mass", "logmstar"), ("SFR", "logsfr"), ("Z_spec", "z")]
)
def test_common_names_of_a_quantity_lead_to_it(given, meant):
    with pytest.raises(UnknownNameError, match=f"Did you mean '{meant}'\\?"):
        read_labels(Table({"x": [1.0]}), {given: "x"})
