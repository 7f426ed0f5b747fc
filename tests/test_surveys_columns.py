"""Table columns of every sort as plain numbers."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Column, MaskedColumn, QTable
from astropy.utils.masked import Masked
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jpassed.exceptions import InputError
from jpassed.surveys.columns import ColumnIndex, column_unit, numbers_and_mask


def test_masked_numbers_are_nan_and_missing():
    values, missing = numbers_and_mask(MaskedColumn([1, 2, 3], mask=[False, True, False]), "x")
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, [1, np.nan, 3])
    np.testing.assert_array_equal(missing, [False, True, False])


def test_infinite_is_missing():
    _, missing = numbers_and_mask(np.array([1.0, np.inf, np.nan]), "x")
    np.testing.assert_array_equal(missing, [False, True, True])


@pytest.mark.parametrize("dtype", [">f4", ">i2", "<f8", ">f8", "u1"])
def test_any_byte_order(dtype):
    values, _ = numbers_and_mask(Column(np.array([1, 2, 250]).astype(dtype)), "x")
    assert values.dtype.isnative
    np.testing.assert_array_equal(values, [1, 2, 250])


def test_quantities_masked_or_not_keep_their_numbers():
    table = QTable({"a": [1.0, 2.0] * u.uJy, "m": u.Magnitude([20.0, 21.0], u.ABmag)})
    table["b"] = Masked(table["a"], mask=[True, False])
    np.testing.assert_array_equal(numbers_and_mask(table["a"], "a")[0], [1, 2])
    np.testing.assert_array_equal(numbers_and_mask(table["b"], "b")[0], [np.nan, 2])
    np.testing.assert_array_equal(numbers_and_mask(table["m"], "m")[0], [20, 21])


def test_masked_2d():
    column = MaskedColumn(np.arange(6.0).reshape(2, 3), mask=[[0, 1, 0], [0, 0, 0]])
    values, missing = numbers_and_mask(column, "x")
    np.testing.assert_array_equal(values, [[0, np.nan, 2], [3, 4, 5]])
    assert missing.sum() == 1


def test_one_element_arrays_are_scalars():
    assert numbers_and_mask(np.array([[1.0], [2.0]]), "x")[0].shape == (2,)
    assert numbers_and_mask(np.array([[1], [2]], dtype=object), "x")[0].shape == (2,)


def test_object_rows_of_every_sort():
    rows = np.empty(5, dtype=object)
    rows[:] = [
        np.array([1.0, 2.0], dtype=">f4"),
        [3, 4],
        None,
        np.ma.array([5.0, 6.0], mask=[False, True]),
        "[7, 8]",
    ]
    values, _ = numbers_and_mask(rows, "x")
    np.testing.assert_array_equal(values, [[1, 2], [3, 4], [np.nan, np.nan], [5, np.nan], [7, 8]])


@pytest.mark.parametrize(
    "texts",
    [
        ["1 2 3", "4 5 6"],
        ["[1, 2, 3]", "[4, 5, 6]"],
        ["(1,2,3)", "(4,5,6)"],
        ["{1;2;3}", "{4;5;6}"],
        ["1  2 3", "4 5 6"],
        [b"1 2 3", b"4 5 6"],
    ],
)
def test_arrays_as_text(texts):
    values, _ = numbers_and_mask(np.array(texts), "x")
    np.testing.assert_array_equal(values, [[1, 2, 3], [4, 5, 6]])


def test_numbers_as_text_with_nulls():
    values, missing = numbers_and_mask(np.array(["1.5", "", "null", "--", " 2 ", "nan"]), "x")
    np.testing.assert_array_equal(values, [1.5, np.nan, np.nan, np.nan, 2, np.nan])
    np.testing.assert_array_equal(missing, [False, True, True, True, False, True])


def test_null_within_an_array_of_text():
    values, _ = numbers_and_mask(np.array(["1 null 3", "4 5 6", ""]), "x")
    np.testing.assert_array_equal(values, [[1, np.nan, 3], [4, 5, 6], [np.nan] * 3])


def test_rows_of_different_lengths_are_refused():
    with pytest.raises(InputError, match=r"'flux'.*different lengths \(2 to 3\)"):
        numbers_and_mask(np.array(["1 2", "1 2 3"]), "flux")


def test_rows_whose_words_only_add_up_are_refused():
    # Six words in three rows, but not two in each.
    with pytest.raises(InputError, match="different lengths"):
        numbers_and_mask(np.array(["1 2", "1 2 3", "4"]), "flux")


@pytest.mark.parametrize("column", [np.array(["bright", "2"]), np.array(["1", "dim"], object)])
def test_words_are_refused_with_column_and_row(column):
    with pytest.raises(
        InputError, match=r"'J0660', row [01]: expected numbers, got '(bright|dim)'"
    ):
        numbers_and_mask(column, "J0660")


def test_complex_and_3d_are_refused():
    with pytest.raises(InputError, match="complex128"):
        numbers_and_mask(np.array([1j]), "x")
    with pytest.raises(InputError, match="2 axes per row"):
        numbers_and_mask(np.zeros((2, 3, 4)), "x")


@settings(deadline=None)
@given(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=5),
        elements=st.floats(-1e6, 1e6),
    )
)
def test_text_arrays_hold_what_was_written(values):
    texts = np.array([" ".join(map(repr, row)) for row in values.tolist()])
    np.testing.assert_array_equal(numbers_and_mask(texts, "x")[0], values)


def test_names_without_schema_or_prefix():
    index = ColumnIndex(
        ["minijpas.FLambdaDualObj.flux_auto", "jplus_MAG_AUTO", "E(B-V)", "jp_z", "R2.5"],
        prefixes=("jplus_",),
        exclude=("jp_",),
    )
    assert list(index) == ["flux_auto", "mag_auto", "e(b-v)", "r2.5"]
    assert index.actual("flux_auto") == "minijpas.FLambdaDualObj.flux_auto"


def test_two_columns_with_one_plain_name_are_refused_when_used():
    index = ColumnIndex(["a.flux", "b.flux", "other"])
    assert index.actual("other") == "other"
    with pytest.raises(InputError, match="'a.flux' and 'b.flux' both mean 'flux'"):
        index.actual("flux")


def test_per_angstrom_written_as_ampere():
    literal = u.Unit("1e-19 erg / (s cm2 A)")
    assert literal.bases.count(u.A) == 1
    unit = column_unit(Column([1.0], unit=literal))
    assert unit.is_equivalent(u.erg / u.s / u.cm**2 / u.AA)
    assert unit.to(u.erg / u.s / u.cm**2 / u.AA) == pytest.approx(1e-19)


@pytest.mark.parametrize("unit", [None, ""])
def test_no_unit(unit):
    assert column_unit(Column([1.0], unit=unit)) is None
