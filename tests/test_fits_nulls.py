"""Integers beside nulls in FITS, where some value of the type stands for null."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from jpassed.exceptions import InputError
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.io.native_columns import plain_table
from jpassed.io.pieces import Pieces

KINDS = ("uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


def table(kind: str, rows: slice = slice(None)) -> Table:
    """All limits of the type but the one that no wider type could hold, and a null."""
    limits = np.iinfo(kind)
    least = limits.min + (kind == "int64")
    most = limits.max if kind != "uint64" else np.iinfo("int64").max
    values = np.array([least, most, 3, 0, most, least], kind)
    mask = [False, False, True, False, False, False]
    both = np.array([mask, np.zeros(6, bool)]).T
    found = Table({"n": np.arange(6)[rows]})
    found["a"] = MaskedColumn(values, mask=mask, description="some are null")[rows]
    found["b"] = MaskedColumn(np.stack([values, values], 1), mask=both)[rows]
    found["c"] = MaskedColumn(values, mask=False)[rows]
    return found


def same(one, other) -> None:
    for name in one.colnames:
        a, b = np.ma.asarray(one[name]), np.ma.asarray(other[name])
        np.testing.assert_array_equal(np.ma.getmaskarray(a), np.ma.getmaskarray(b))
        np.testing.assert_array_equal(a.filled(0), b.filled(0))


@pytest.mark.parametrize("kind", KINDS)
def test_no_value_becomes_null(tmp_path, kind):
    write_catalog(table(kind), tmp_path / "one.fits")
    found = plain_table(read_catalog(tmp_path / "one.fits"))
    same(table(kind), found)
    assert found["a"].description == "some are null"
    assert found["c"].dtype == kind
    # Where nothing is at the type's limit it stays the type.
    few = table(kind, slice(2, 4))
    write_catalog(few, tmp_path / "few.fits")
    found = read_catalog(tmp_path / "few.fits")
    assert found["a"].dtype == ("int64" if kind == "uint64" else kind)


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_are_the_whole(tmp_path, kind):
    write_catalog(table(kind), tmp_path / "one.fits")
    with Pieces(tmp_path / "pieced.fits", {}) as pieces:
        for k in range(0, 6, 2):
            pieces.add(table(kind, slice(k, k + 2)), ())
        pieces.merge()
    assert (tmp_path / "one.fits").read_bytes() == (tmp_path / "pieced.fits").read_bytes()


def test_what_no_type_holds_is_told(tmp_path):
    large = Table({"id": MaskedColumn(np.array([2**64 - 1, 0], "uint64"), mask=[False, True])})
    with pytest.raises(InputError, match=r"'id': 18446744073709551615 beside nulls is too large"):
        write_catalog(large, tmp_path / "out.fits")
    with Pieces(tmp_path / "out.fits", {}) as pieces:
        pieces.add(large, ())
        with pytest.raises(InputError, match="'id': 18446744073709551615 beside nulls"):
            pieces.merge()
    assert not (tmp_path / "out.fits").exists()
