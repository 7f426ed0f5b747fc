"""Quantiles of many objects at once: bins summed in groups, splines, columns; beside any others."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jpassed.annotation.distributions import spline_knots
from jpassed.annotation.row_flags import CENTRAL, known_quantiles
from jpassed.exceptions import InputError
from jpassed.nn.flow_head import make_knots
from jpassed.posteriors import Binned, Gaussian, Posterior, Transform
from jpassed.posteriors.bin_shares import BinShares
from jpassed.posteriors.columns import (
    LEVELS,
    column_texts,
    posterior_columns,
    posterior_values,
    stored_values,
)
from jpassed.posteriors.flow import SplineFlow

MANY = tuple(np.linspace(0.001, 0.999, 41))


def logits(n: int, bins: int, seed: int = 1) -> np.ndarray:
    """Peaks of all widths with ragged edges, float32."""
    rng = np.random.default_rng(seed)
    x = np.arange(bins) - rng.uniform(0, bins, (n, 1))
    wide = rng.uniform(0.3, 0.3 * bins + 1, (n, 1))
    ragged = 0.3 * rng.standard_normal((n, bins))
    return (-2.0 * np.log1p((x / wide) ** 2) + ragged).astype(np.float32)


def probabilities(values: np.ndarray) -> np.ndarray:
    share = np.exp(values.astype(np.float64) - values.max(axis=1, keepdims=True))
    return share / share.sum(axis=1, keepdims=True)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 70),
    bins=st.sampled_from([1, 2, 31, 32, 33, 64, 65, 200]),
    columns=st.sampled_from([1, 3, 40]),
    seed=st.integers(0, 1000),
    kept=st.booleans(),
)
def test_sums_in_groups_are_those_of_all_bins(n, bins, columns, seed, kept):
    values = logits(n, bins, seed)
    share = probabilities(values)
    found = BinShares(values, logarithms=True) if kept else BinShares(share)
    assert found.shape == (n, bins)
    np.testing.assert_allclose(found.all(), share, rtol=1e-12)
    at = np.random.default_rng(seed).integers(0, bins, (n, columns))
    np.testing.assert_allclose(found.of(at), np.take_along_axis(share, at, 1), rtol=1e-12)
    below = np.concatenate((np.zeros((n, 1)), np.cumsum(share, axis=1)), axis=1)
    np.testing.assert_allclose(
        found.below(at), np.take_along_axis(below, at, 1), rtol=1e-11, atol=1e-14
    )
    level = np.random.default_rng(seed + 1).uniform(1e-6, 1 - 1e-6, (n, columns))
    where, under = found.find(level)
    expected = np.minimum((below[:, None, 1:] < level[..., None]).sum(-1), bins - 1)
    np.testing.assert_array_equal(where, expected)
    np.testing.assert_allclose(under, np.take_along_axis(below, where, 1), rtol=1e-11, atol=1e-14)


def test_logarithms_are_kept_as_they_are():
    values = logits(5, 100)
    shares = BinShares(values, logarithms=True)
    assert np.shares_memory(shares.take(slice(1, 3))._values, values)
    both = BinShares.concatenate([shares.take([0, 1]), shares.take([4])])
    np.testing.assert_array_equal(both.all(), shares.all()[[0, 1, 4]])
    mixed = BinShares.concatenate([shares, BinShares(probabilities(values))])
    assert not mixed.logarithms
    np.testing.assert_allclose(mixed.all()[:5], mixed.all()[5:], rtol=1e-12)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(3), r"shape \(objects, K\)"),
        (np.zeros((2, 0)), r"shape \(objects, K\)"),
        ([[0.5, -0.1]], "not be negative"),
        ([[0.5, 0.5], [0.0, 0.0]], "all zero"),
    ],
)
def test_shares_that_make_no_sense(values, message):
    with pytest.raises(InputError, match=message):
        BinShares(values)


def redshifts(values: np.ndarray, kept: bool) -> Binned:
    edges = (np.arange(values.shape[1] + 1) * 0.004 - 0.3) / 0.2
    shares = BinShares(values, logarithms=True) if kept else probabilities(values)
    return Binned(edges, shares, Transform("log1p", 0.3, 0.2), 0.0, 1.2, interpolation="cubic")


def test_bins_of_logarithms_are_those_of_probabilities():
    values = logits(300, 203)
    values[7] = np.nan
    one, other = redshifts(values, True), redshifts(values, False)
    for levels in (LEVELS, CENTRAL, MANY):
        found = one.quantile(levels)
        np.testing.assert_allclose(found, other.quantile(levels), rtol=0, atol=1e-12)
        assert np.isnan(found[7]).all() and np.isfinite(np.delete(found, 7, 0)).all()
    z = np.linspace(-0.1, 1.3, 29)[None]
    np.testing.assert_allclose(one.cdf(z), other.cdf(z), rtol=0, atol=1e-12)
    np.testing.assert_allclose(one.pdf(z), other.pdf(z), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(one.moments(), other.moments(), rtol=1e-10)


def splines(n: int, seed: int = 3) -> SplineFlow:
    rng = np.random.default_rng(seed)
    knots = spline_knots(2.0 * rng.standard_normal((23, n)))
    softening = np.exp(rng.standard_normal(n))
    scale = np.exp(rng.standard_normal(n))
    flux = Transform("asinh", 0.0, 1.0, softening)
    return SplineFlow(rng.standard_normal(n), scale, *knots, flux, lower=-20.0)


@pytest.mark.parametrize(
    "make", [splines, lambda n: redshifts(logits(n, 203), True)], ids=["spline", "bins"]
)
def test_an_object_beside_others_is_the_same_to_the_last_bit(make):
    whole = make(5000)
    for levels in (LEVELS, MANY):
        every = whole.quantile(levels)
        for rows in (slice(0, 1), slice(31, 33), slice(4099, 5000), [17, 4, 4999]):
            np.testing.assert_array_equal(whole[rows].quantile(levels), every[rows])
    x = whole.quantile(0.3)
    np.testing.assert_array_equal(whole[70:71].cdf(x[70:71]), whole.cdf(x)[70:71])


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 50), bins=st.integers(2, 9), wide=st.floats(0.1, 12.0))
def test_knots_of_both_rails_are_the_same(n, bins, wide):
    raw = torch.randn((n, 3 * bins - 1), dtype=torch.float64) * wide
    found = spline_knots(np.ascontiguousarray(raw.numpy().T))
    for own, theirs in zip(found, make_knots(raw), strict=True):
        np.testing.assert_allclose(own, theirs.numpy(), rtol=1e-9, atol=1e-12)
    first = spline_knots(np.ascontiguousarray(raw[:1].numpy().T))
    for own, every in zip(first, found, strict=True):
        np.testing.assert_array_equal(own, every[:1])


def test_values_and_texts_are_those_of_the_columns():
    rng = np.random.default_rng(2)
    posterior = Posterior(
        {
            "z": redshifts(logits(9, 203), True),
            "logmstar": Gaussian(10.0 + rng.standard_normal(9), np.full(9, 0.2)),
        }
    )
    masked = {"z": np.arange(9) == 4}
    known, central = known_quantiles(posterior)
    np.testing.assert_array_equal(central, posterior.quantile("z", CENTRAL))
    np.testing.assert_array_equal(known["z"], posterior.quantile("z", LEVELS))
    options = {"pdf": True, "samples": 3}
    values = posterior_values(posterior, masked=masked, rng=1, quantiles=known, **options)
    texts = column_texts(posterior.names, **options)
    columns = posterior_columns(posterior, masked=masked, rng=1, **options)
    assert [text.name for text in texts] == [c.name for c in columns] == list(values)
    for text, column in zip(texts, columns, strict=True):
        own = text.column(values[text.name])
        assert type(own) is type(column) and own.dtype == np.float32
        assert (own.unit, own.description, own.format, own.meta) == (
            column.unit, column.description, column.format, column.meta,
        )  # fmt: skip
        np.testing.assert_array_equal(np.ma.filled(own, -1), np.ma.filled(column, -1))
    assert np.isnan(values["jp_z"][4]) and np.isnan(values["jp_z_samples"][4]).all()
    half = 0.5 * (known["z"][:, 2] - known["z"][:, 0])
    np.testing.assert_array_equal(values["jp_z_err"][:4], half[:4].astype(np.float32))


def test_no_redshift_has_no_quantiles():
    assert known_quantiles(Posterior({"av": Gaussian([0.1], [0.2])})) == ({}, None)


def test_what_is_stored_where_numbers_are_none():
    found = stored_values(np.array([1.0, np.inf, np.nan, 2.0, 1e300]), np.arange(5) == 3)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [1.0, np.nan, np.nan, np.nan, np.inf])
