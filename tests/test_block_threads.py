"""Blocks of objects in threads: the same numbers, and torch left as it was."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from annotation_tables import make_table, small_model

from jpassed.annotation import annotate, infer
from jpassed.annotation.threads import MOST, block_threads, one_thread_each, threads

ROWS = 300
"""Three blocks, the last of them filled up."""


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    number = torch.get_num_threads()
    yield
    torch.set_num_threads(number)


def predicted(number: int, **options):
    torch.set_num_threads(number)
    found = annotate(make_table(ROWS), outputs=["z", "flux:galex_nuv"], **options)
    assert torch.get_num_threads() == number
    names = [name for name in found.colnames if name.startswith("jp_")]
    return {name: np.asarray(getattr(found[name], "value", found[name])) for name in names}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_number_of_threads_does_not_show(precision):
    one = predicted(1, precision=precision)
    for number in (2, 3):
        other = predicted(number, precision=precision)
        assert one.keys() == other.keys()
        for name, values in one.items():
            np.testing.assert_array_equal(other[name], values, err_msg=name)


def test_posteriors_in_python_neither():
    draws = []
    for number in (1, 2):
        torch.set_num_threads(number)
        posterior = infer(make_table(ROWS), outputs=["z", "logmstar"], precision="float32")
        draws.append([posterior[name].quantile((0.16, 0.5, 0.84)) for name in posterior.names])
    np.testing.assert_array_equal(draws[0], draws[1])


def test_torch_has_one_thread_within():
    torch.set_num_threads(3)
    with one_thread_each():
        assert (torch.get_num_threads(), threads()) == (1, 3)
        with one_thread_each():  # a page of a page
            assert (torch.get_num_threads(), threads()) == (1, 3)
        assert (torch.get_num_threads(), threads()) == (1, 3)
    assert (torch.get_num_threads(), threads()) == (3, 3)


def test_torch_gets_its_threads_back_after_an_error():
    torch.set_num_threads(2)
    with pytest.raises(KeyError), one_thread_each():
        raise KeyError
    assert (torch.get_num_threads(), threads()) == (2, 2)


def test_threads_are_few_and_each_is_alone():
    torch.set_num_threads(MOST + 5)
    assert threads() == MOST
    found = list(block_threads(2).map(lambda _: torch.get_num_threads(), range(8)))
    assert set(found) == {1} and torch.get_num_threads() == MOST + 5


def test_an_error_in_a_block_is_that_of_the_call():
    torch.set_num_threads(2)
    model = copy.deepcopy(small_model())
    with torch.no_grad():
        model.network.head.linear.weight.set_(torch.zeros(1, 1, 1))
    with pytest.raises((RuntimeError, IndexError)):
        annotate(make_table(ROWS), model=model, outputs=["logmstar"])
    assert torch.get_num_threads() == 2
