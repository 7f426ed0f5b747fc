"""Tables that go along with a query arrive as they are."""

from __future__ import annotations

import numpy as np
from astropy.table import MaskedColumn, Table

import jpassed


def test_whole_numbers_that_are_null_stay_null(tap):
    limits = np.iinfo("int16")
    values = np.array([limits.min, limits.max, 0, 7], "int16")
    table = Table({"id": [1, 2, 3, 4]})
    table["small"] = MaskedColumn(values, mask=[False, False, True, False])
    table["long"] = MaskedColumn(values.astype("int64"), mask=[True, False, False, False])
    found = jpassed.query(
        tap.url, "SELECT id, small, long FROM TAP_UPLOAD.mine ORDER BY id", uploads={"mine": table}
    )
    for name in table.colnames:
        one, other = np.ma.asarray(table[name]), np.ma.asarray(found[name])
        np.testing.assert_array_equal(np.ma.getmaskarray(one), np.ma.getmaskarray(other))
        np.testing.assert_array_equal(one.filled(0), other.filled(0))
