"""Whatever numbers and masks a column has: nothing but what was masked becomes null."""

from __future__ import annotations

import numpy as np
from astropy.table import MaskedColumn, Table
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jpassed.publishing.described import describe

WHOLE = ("i1", "u1", "i2", "u2", "i4", "u4", "i8")
SIZES = {"smallint": 16, "integer": 32, "bigint": 64}


@st.composite
def masked_columns(draw, dtypes, dimensions):
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    shape = draw(hnp.array_shapes(min_dims=dimensions, max_dims=dimensions, max_side=6))
    limits = np.iinfo(dtype) if dtype.kind in "iu" else None
    values = draw(
        hnp.arrays(
            dtype,
            shape,
            # the ends of the range are what could stand for null
            elements=st.sampled_from([limits.min, limits.max, limits.min + 1, 0, 5])
            if limits is not None
            else None,
        )
    )
    mask = draw(hnp.arrays(bool, shape))
    return MaskedColumn(values, mask=mask)


@given(masked_columns(WHOLE, 1))
def test_whole_numbers(column):
    (described,), content = describe(Table({"x": column}))
    kept = content["x"]
    mask = np.ma.getmaskarray(column)
    np.testing.assert_array_equal(np.ma.getmaskarray(kept), mask)
    np.testing.assert_array_equal(np.ma.getdata(kept)[~mask], np.ma.getdata(column)[~mask])
    assert described.required == (not mask.any())
    assert np.ma.getdata(kept).dtype.itemsize * 8 == SIZES[described.type]
    if mask.any():
        assert described.null not in set(np.ma.getdata(kept)[~mask].tolist())


@given(masked_columns(WHOLE, 2))
def test_arrays_of_whole_numbers(column):
    (described,), content = describe(Table({"x": column}))
    kept = np.asarray(content["x"])
    mask = np.ma.getmaskarray(column)
    np.testing.assert_array_equal(kept[~mask], np.ma.getdata(column)[~mask])
    if mask.any():
        np.testing.assert_array_equal(kept == described.null, mask)
    assert described.type.endswith(f"[{column.shape[1]}]")


@given(masked_columns(("f4", "f8"), 2))
def test_arrays_of_floats(column):
    (_described,), content = describe(Table({"x": column}))
    mask = np.ma.getmaskarray(column) | np.isnan(np.ma.getdata(column))
    kept = np.ma.getdata(content["x"])
    assert kept.dtype == column.dtype
    np.testing.assert_array_equal(np.isnan(kept), mask)
    assert kept[~mask].tobytes() == np.ma.getdata(column)[~mask].tobytes()
    rows = np.ma.getmaskarray(content["x"]).all(axis=1)
    np.testing.assert_array_equal(rows, mask.all(axis=1))
