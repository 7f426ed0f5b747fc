"""What a survey costs: hours, memory, disk and money."""

from __future__ import annotations

import pytest
from cluster_catalogs import made_up
from hypothesis import given
from hypothesis import strategies as st

from jpassed.cluster import ObjectCost, measure_cost, plan_survey
from jpassed.exceptions import InputError

COST = ObjectCost(
    1e-3, bytes_in=1000, bytes_out=400, bytes_memory=2000, base_memory=1e9, start=36.0
)


def test_a_survey_of_one_worker():
    plan = plan_survey(1e6, COST, workers=1, price=0.1, rows_a_partition=1_000_000)
    # 1000 s of work in 90 % of the time, and 36 s to begin with.
    assert plan.hours == pytest.approx((1000 / 0.9 + 36) / 3600)
    assert plan.price == pytest.approx(0.1 * plan.core_hours)
    assert plan.disk_in == 1e9
    assert plan.disk_out == 1.4e9
    # Four times the rows of a row group, however large the partition.
    assert plan.memory_worker == pytest.approx(1e9 + 4 * 2000 * 131_072)
    small = plan_survey(1e6, COST, workers=1, rows_a_partition=10_000)
    assert small.memory_worker == pytest.approx(1e9 + 4 * 2000 * 10_000)
    assert plan.transfer == pytest.approx(2.4e6)


def test_partitions_limit_how_many_workers_help():
    few = plan_survey(1e6, COST, workers=4, rows_a_partition=250_000)
    many = plan_survey(1e6, COST, workers=400, rows_a_partition=250_000)
    assert many.hours == few.hours
    assert many.core_hours == pytest.approx(100 * few.core_hours)


@given(
    rows=st.floats(1, 1e11),
    workers=st.integers(1, 5000),
    partition=st.integers(1000, 2_000_000),
)
def test_more_workers_never_take_longer_and_are_never_cheaper(rows, workers, partition):
    one = plan_survey(rows, COST, workers=workers, rows_a_partition=partition)
    more = plan_survey(rows, COST, workers=workers + 1, rows_a_partition=partition)
    assert more.hours <= one.hours
    assert one.core_hours * 3600 >= int(rows) * COST.seconds
    assert one.partitions * partition >= rows


def test_the_cost_of_an_object_is_measured():
    cost = measure_cost(made_up(128), rows=96, outputs="z", chi2="none", device="cpu")
    assert 1e-5 < cost.seconds < 1
    assert 480 < cost.bytes_in < 1500  # 60 bands with errors in single precision, and more
    assert 8 < cost.bytes_out < 100  # redshift with its interval, chi-square, flags
    assert cost.bytes_memory > 500
    plan = plan_survey(1e8, cost, workers=64, price=0.05)
    assert "1e+08 objects in 500 partitions on 64 workers" in str(plan)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"rows": 0}, "at least one row"),
        ({"workers": 0}, "workers=0"),
        ({"price": -1}, "no negative price"),
        ({"cost": {"seconds": 0, "bytes_in": 1, "bytes_out": 1, "bytes_memory": 1}}, "positive"),
        ({"cost": {"second": 1}}, "cost: .*second"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(changes, match):
    with pytest.raises(InputError, match=match):
        plan_survey(**{"rows": 1e6, "cost": COST, "workers": 2, **changes})
