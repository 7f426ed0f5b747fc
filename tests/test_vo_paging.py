"""Reading in pages: every row once, whatever the keys; SQLite is the judge."""

from __future__ import annotations

import re
import sqlite3

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from hypothesis import given
from hypothesis import strategies as st

from jpassed.exceptions import InputError, ServiceError, TruncatedAnswerError
from jpassed.vo.adql import WrappedQuery
from jpassed.vo.paging import read_pages

KEYS = {
    "integers": st.integers(-3, 3),
    "long integers": st.integers(-(2**62), 2**62),
    "texts": st.text("aAbB'\"é -\n%", max_size=3),
    # SQLite reads far exponents not to the last bit; coordinates and magnitudes it does.
    "doubles": st.integers(-(10**12), 10**12).map(lambda n: n / 3e9),
    "floats": st.floats(-1000, 1000, width=16),
}


class Database:
    """A service over SQLite, with a row limit of its own."""

    def __init__(self, rows, cap=10**9, marks=True):
        self.cap, self.marks, self.asked = cap, marks, []
        self.connection = sqlite3.connect(":memory:")
        width = len(rows[0]) if rows else 3
        self.names = [f"k{n}" for n in range(width - 1)] + ["row_number"]
        self.connection.execute(f"CREATE TABLE t ({', '.join(self.names)})")
        holes = ", ".join("?" * width)
        self.connection.executemany(f"INSERT INTO t VALUES ({holes})", rows)

    def __call__(self, adql, most):
        self.asked.append(adql)
        found = re.fullmatch(r"SELECT TOP (\d+) (.*)", adql, re.DOTALL)
        sql = f"SELECT {found[2]} LIMIT {found[1]}"
        got = self.connection.execute(sql).fetchall()
        limit = min(most, self.cap)
        columns = list(zip(*got[:limit], strict=True)) or [[] for _ in self.names]
        table = QTable({n: np.array(c) for n, c in zip(self.names, columns, strict=True)})
        return table, self.marks and len(got) > limit

    def count(self, query):
        return self.connection.execute(query.count()).fetchone()[0]


def read(database, query="SELECT * FROM t", rows=5, keys=None, total="counted", **given):
    wrapped = WrappedQuery(query)
    keys = keys or [name for name in database.names if name.startswith("k")]
    total = database.count(wrapped) if total == "counted" else total
    pages = read_pages(database, wrapped, keys, rows, total=total, **given)
    return [list(page["row_number"]) for page in pages]


def numbered(keys):
    return [(*key, number) for number, key in enumerate(keys)]


@pytest.mark.parametrize("first", KEYS)
@pytest.mark.parametrize("second", KEYS)
@given(draw=st.data())
def test_every_row_comes_once(first, second, draw):
    keys = draw.draw(st.lists(st.tuples(KEYS[first], KEYS[second]), max_size=40))
    most = max([keys.count(key) for key in keys], default=0)
    # One row more than a group holds, so that the group is seen to be whole.
    rows = draw.draw(st.integers(most + 1, most + 12))
    cap = draw.draw(st.integers(most + 1, 60))
    pages = read(Database(numbered(keys), cap), rows=rows)
    assert sorted(sum(pages, [])) == list(range(len(keys)))
    assert all(len(page) <= min(rows, cap) for page in pages)


@given(draw=st.data())
def test_three_keys_and_a_beginning_in_the_middle(draw):
    keys = sorted(draw.draw(st.sets(st.tuples(*[st.integers(0, 3)] * 3), min_size=1)))
    start = draw.draw(st.integers(0, len(keys) - 1))
    rows = draw.draw(st.integers(2, 9))
    pages = read(Database(numbered(keys)), rows=rows, after=keys[start], total=None)
    assert sum(pages, []) == list(range(start + 1, len(keys)))


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30), st.integers(1, 8))
def test_too_large_a_group_is_refused_or_all_comes(keys, rows):
    """Whatever happens, nothing is missing without an error."""
    database = Database(numbered([(key,) for key in keys]))
    try:
        pages = read(database, rows=rows)
    except TruncatedAnswerError as exc:
        assert max(keys.count(key) for key in keys) >= rows
        assert "share k0 = " in str(exc)
    else:
        assert sorted(sum(pages, [])) == list(range(len(keys)))


def test_rows_come_in_the_order_of_the_keys_and_the_last_group_again():
    database = Database(numbered([(3,), (1,), (2,), (2,), (1,), (2,)]))
    assert read(database, rows=4) == [[1, 4], [2, 3, 5, 0]]
    assert database.asked == [
        "SELECT TOP 4 * FROM (SELECT * FROM t) AS q ORDER BY k0",
        "SELECT TOP 4 * FROM (SELECT * FROM t) AS q WHERE k0 > 1 ORDER BY k0",
        # The last page was full: is there really nothing beyond?
        "SELECT TOP 1 * FROM (SELECT * FROM t) AS q WHERE k0 > 3 ORDER BY k0",
    ]


def test_no_rows_give_one_empty_page_with_columns():
    database = Database([])
    pages = list(read_pages(database, WrappedQuery("SELECT * FROM t"), ["k0"], 5, total=0))
    assert [(len(page), page.colnames) for page in pages] == [(0, ["k0", "k1", "row_number"])]


@pytest.mark.parametrize("marks", [True, False], ids=["marked", "silent"])
def test_a_service_that_gives_less_than_asked_for(marks):
    database = Database(numbered([(n // 2,) for n in range(40)]), cap=7, marks=marks)
    assert sorted(sum(read(database, rows=1000), [])) == list(range(40))


def test_a_table_that_lost_rows_meanwhile():
    database = Database(numbered([(n,) for n in range(20)]))
    with pytest.raises(ServiceError, match="only 20 rows came of the 23 that the service counted"):
        read(database, total=23)


def test_a_table_that_gained_rows_meanwhile():
    database = Database(numbered([(n,) for n in range(20)]))
    for total in (17, 15):
        with pytest.raises(ServiceError, match=f"more rows came of the {total}"):
            read(database, total=total)


def test_null_keys_are_never_lost_in_silence():
    rows = numbered([(n,) for n in range(20)])
    database = Database([*rows, (None, 20), (None, 21)])
    with pytest.raises((InputError, ServiceError), match="NULL|is object"):
        read(database)


def test_a_masked_key_is_refused():
    table = QTable({"k0": [1.0, 2.0]}, masked=True)
    table["k0"].mask = [False, True]
    with pytest.raises(InputError, match="'k0' is NULL in some rows"):
        list(read_pages(lambda *_: (table, False), WrappedQuery("SELECT 1"), ["k0"], 5, total=2))


def test_a_key_with_a_unit_in_single_precision():
    ra = np.float32([0.1, 0.2, 0.3]) * u.deg
    asked = []

    def ask(adql, most):
        asked.append(adql)
        return QTable({"RA": ra}), False

    pages = read_pages(ask, WrappedQuery("SELECT ra FROM t"), ["ra"], 2, total=99)
    assert len(next(pages)) == 2
    with pytest.raises(ServiceError):
        next(pages)
    # The exact value of the float, as a double: 0.2 would be another number.
    assert "WHERE ra > 0.20000000298023224 ORDER" in asked[1]


def test_a_service_that_does_not_order():
    def ask(adql, most):
        return QTable({"k0": [1, 3, 2]}), True

    with pytest.raises(ServiceError, match="not ordered by k0"):
        list(read_pages(ask, WrappedQuery("SELECT 1"), ["k0"], 3, total=9))


@pytest.mark.parametrize("values", [[1, 2, 3], ["a", "b", "c"]], ids=["numbers", "texts"])
def test_a_service_that_ignores_the_condition(values):
    def ask(adql, most):
        return QTable({"k0": values}), True

    with pytest.raises(ServiceError, match="not ordered|repeats the row"):
        list(read_pages(ask, WrappedQuery("SELECT 1"), ["k0"], 3, total=9))


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([[1, 2], [3, 4]], "a key is a text or a number"),
        ([True, False], "a key is a text or a number"),
        ([1.0, np.nan], "not finite in some rows"),
    ],
)
def test_columns_that_are_no_keys(column, said):
    table = QTable({"k0": np.array(column)})
    with pytest.raises(InputError, match=said):
        list(read_pages(lambda *_: (table, True), WrappedQuery("SELECT 1"), ["k0"], 2, total=9))


def test_a_key_that_is_no_column():
    with pytest.raises(InputError, match="no column 'z' to page along .* it has a, b"):
        table = QTable({"a": [1], "b": [2]})
        list(read_pages(lambda *_: (table, True), WrappedQuery("SELECT 1"), ["z"], 1, total=9))


def test_quoted_keys_and_other_case_find_their_column():
    table = QTable({"recno": [1, 2]})
    for key in ('"recno"', "RECNO"):
        pages = read_pages(lambda *_: (table, False), WrappedQuery("SELECT 1"), [key], 5, total=2)
        assert [len(page) for page in pages] == [2]
