"""Queries as text: what is sent, what counts, and what can be paged."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jpassed.exceptions import InputError
from jpassed.vo.adql import WrappedQuery, beyond, literal, normalised, sendable, top_of


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("SELECT  a\n\tFROM t ;\n", "SELECT a FROM t"),
        ("SELECT a -- all of it; really\nFROM t", "SELECT a FROM t"),
        ("SELECT a /* x;\ny */ FROM t;;", "SELECT a FROM t"),
        ("SELECT 'a  -- b;' FROM \"x  y\"", "SELECT 'a  -- b;' FROM \"x  y\""),
        ("SELECT 'it''s' FROM t", "SELECT 'it''s' FROM t"),
        ("SELECT mag_auto[jpas::J0660] FROM t", "SELECT mag_auto[jpas::J0660] FROM t"),
        ("SELECT a-1 FROM t -- the end", "SELECT a-1 FROM t"),
    ],
)
def test_queries_that_mean_the_same_are_the_same(query, wanted):
    assert normalised(query) == wanted
    assert normalised(wanted) == wanted


def test_a_query_is_sent_as_it_was_written():
    assert sendable("\n SELECT a -- why\n  FROM t ;\n;") == "SELECT a -- why\n  FROM t"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("  -- nothing\n;", "the query is empty"),
        ("SELECT a FROM t; SELECT b FROM t", "one query at a time"),
        ("SELECT 'a FROM t", "a quote ' that is not closed"),
        ('SELECT "a FROM t', 'a quote " that is not closed'),
    ],
)
def test_what_is_no_query(query, said):
    for use in (normalised, sendable, WrappedQuery):
        with pytest.raises(InputError, match=said):
            use(query)


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("select top 7 * from t", 7),
        ("SELECT DISTINCT TOP 12 a FROM t", 12),
        ("SELECT ALL TOP 3 a FROM t", 3),
        ("SELECT top FROM t", None),
        ("SELECT a FROM (SELECT TOP 5 a FROM t) AS s", None),
        ("SELECT 'TOP 5' FROM t", None),
        ("WITH s AS (SELECT TOP 9 a FROM t) SELECT TOP 4 a FROM s", 4),
        ("not even SQL", None),
    ],
)
def test_the_row_limit_of_a_query(query, rows):
    assert top_of(query) == rows


def test_a_page():
    query = WrappedQuery("SELECT a, b FROM t WHERE c = ';' ORDER BY a DESC; -- done")
    assert query.page(["a", "b"], (1, "x'y"), 50) == (
        "SELECT TOP 50 * FROM (SELECT a, b FROM t WHERE c = ';') AS q "
        "WHERE (a > 1 OR (a = 1 AND b > 'x''y')) ORDER BY a, b"
    )
    assert query.count() == "SELECT COUNT(*) AS n FROM (SELECT a, b FROM t WHERE c = ';') AS q"
    assert query.whole() == "SELECT a, b FROM t WHERE c = ';' ORDER BY a DESC"


def test_an_inner_order_and_limit_stay():
    inner = "SELECT a FROM (SELECT TOP 5 a FROM t ORDER BY b) AS s"
    assert WrappedQuery(inner).page(["a"], None, 2) == (
        f"SELECT TOP 2 * FROM ({inner}) AS q ORDER BY a"
    )


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT TOP 5 a FROM t", "a query with TOP cannot be read in pages"),
        ("SELECT a FROM t UNION SELECT TOP 5 a FROM s", "a query with TOP"),
        ("SELECT a FROM t ORDER BY a OFFSET 5", "a query with OFFSET"),
        ("WITH s AS (SELECT a FROM t) SELECT a FROM s", "begins with WITH"),
    ],
)
def test_queries_that_cannot_be_paged(query, said):
    with pytest.raises(InputError, match=said):
        WrappedQuery(query).page(["a"], None, 5)


def test_a_query_with_a_limit_can_be_counted_with_its_order():
    query = "SELECT TOP 5 a FROM t ORDER BY a"
    assert WrappedQuery(query).count() == f"SELECT COUNT(*) AS n FROM ({query}) AS q"


SCALARS = st.one_of(st.text(), st.integers(-(2**63) + 1, 2**63 - 1), st.floats(-1e9, 1e9, width=32))


@given(SCALARS)
def test_a_literal_is_read_as_what_it_stands_for(value):
    """By SQLite, which takes no NUL in its text."""
    value = value.replace("\0", "") if isinstance(value, str) else value
    read = sqlite3.connect(":memory:").execute(f"SELECT {literal(value)}").fetchone()[0]
    assert read == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_written_to_the_last_bit(value):
    assert float(literal(value)) == value
    assert float(literal(np.float64(value))) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, True, b"x", [1]])
def test_what_is_no_key(value):
    with pytest.raises(InputError, match="a key is a text, an integer or a finite number"):
        literal(value)


def test_as_many_values_as_keys():
    with pytest.raises(InputError, match=r"2 keys \(a, b\) but 1 values: \(1,\)"):
        beyond(["a", "b"], (1,))
