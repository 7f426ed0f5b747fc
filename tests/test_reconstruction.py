"""Bands predicted from other bands: folds, masks, and what the chi-square of the residuals is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from annotation_tables import BANDS, make_table, masked, small_model
from astropy import units as u
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2 as chi2_law

from jpassed.annotation.predictive import LEVELS, NORMAL, compared_bands, predictive_chi2
from jpassed.annotation.reconstruction import (
    band_folds,
    reconstruct,
    reconstruct_table,
    zero_point_scatter,
)
from jpassed.exceptions import InputError, UnknownNameError
from jpassed.filters import load_filters
from jpassed.io.catalogs import read_catalog

JPAS = load_filters("jpas")
PIVOTS = np.array([band.pivot_wavelength for band in JPAS])
EXAMPLE = Path(__file__).parents[1] / "jpassed" / "cli" / "data" / "example.fits"


@pytest.fixture(scope="module")
def table():
    return masked(make_table(8), "J0470", [1, 4])


def reconstructed(table, **options):
    return reconstruct_table(table, model=small_model(), **options)


# --- folds --------------------------------------------------------------------------------------


@given(folds=st.integers(1, 7))
def test_neighbours_are_in_different_folds(folds):
    fold = band_folds(JPAS.names, PIVOTS, folds)
    assert set(fold) == set(range(folds))
    in_order = fold[np.argsort(PIVOTS)]
    assert (np.diff(in_order) % folds == 1 % folds).all()
    assert np.ptp(np.bincount(fold)) <= 1


@given(kept=st.lists(st.integers(0, 59), min_size=1, max_size=20, unique=True))
def test_the_fold_of_a_band_does_not_depend_on_the_others(kept):
    names = [JPAS.names[i] for i in kept]
    whole = band_folds(JPAS.names, PIVOTS, 4)
    assert list(band_folds(names, PIVOTS[kept], 4)) == list(whole[kept])


def test_bands_of_no_known_set_are_dealt_by_wavelength():
    assert list(band_folds(["own_a", "own_b"], np.array([4000.0, 4100.0]), 2)) == [0, 1]


@pytest.mark.parametrize("folds", [0, -1, 1.5, True, "2"])
def test_folds_must_be_a_number(folds):
    with pytest.raises(InputError, match="folds: expected a positive whole number"):
        band_folds(["rSDSS"], np.array([6246.0]), folds)


# --- reconstruction -----------------------------------------------------------------------------


def test_shapes_and_presence(table):
    found, task = reconstructed(table)
    assert found.bands == task.photometry.bands
    assert len(found) == 8
    assert found.flux.shape == found.error.shape == (8, len(BANDS))
    assert (found.observed == task.photometry.observed).all()
    assert np.isfinite(found.flux).all()  # also of bands that were not measured
    assert (found.error > 0).all()


@pytest.mark.parametrize("folds", [2, 4])
def test_no_measurement_enters_its_own_prediction(table, folds):
    before, task = reconstructed(table, folds=folds)
    changed = table.copy()
    changed["J0610"][3] *= 3.0
    after, _ = reconstructed(changed, folds=folds)
    i = task.photometry.bands.index("J0610")
    fold = band_folds(task.photometry.bands, task.photometry.pivot, folds)
    own = fold == fold[i]
    np.testing.assert_allclose(after.flux[3, own], before.flux[3, own], rtol=1e-6)
    assert (np.abs(after.flux[3, ~own] / before.flux[3, ~own] - 1.0) > 1e-5).all()
    others = np.arange(8) != 3
    np.testing.assert_allclose(after.flux[others], before.flux[others], rtol=1e-5)


def test_one_fold_knows_all_bands(table):
    before, task = reconstructed(table, folds=1)
    changed = table.copy()
    changed["J0610"][3] *= 3.0
    after, _ = reconstructed(changed, folds=1)
    i = task.photometry.bands.index("J0610")
    assert abs(after.flux[3, i] / before.flux[3, i] - 1.0) > 1e-5


def test_batches_and_labels(table):
    whole, task = reconstructed(table, context={"z": "z_spec"})
    parts = list(reconstruct(task, batch_size=3))
    assert [(rows.start, rows.stop) for rows, _ in parts] == [(0, 3), (3, 6), (6, 8)]
    joined = np.concatenate([part.flux for _, part in parts])
    np.testing.assert_allclose(joined, whole.flux, rtol=1e-5)
    without, _ = reconstructed(table)
    assert np.abs(without.flux / whole.flux - 1.0).max() > 1e-4


def test_labels_alone_have_no_bands():
    table = make_table(3)["z_spec", "mass"]
    with pytest.raises(InputError, match="no bandflux to reconstruct"):
        reconstructed(table, context={"z": "z_spec"})


def test_the_default_model_predicts_what_was_measured():
    table = read_catalog(EXAMPLE)[:60]
    found, task = reconstruct_table(table)
    p = task.photometry
    zero_point = np.log(10) / 2.5 * zero_point_scatter(p.bands) * found.flux
    sigma = np.sqrt(p.error**2 + found.error**2 + zero_point**2)
    deviation = ((p.flux - found.flux) / sigma)[found.observed]
    assert abs(np.median(deviation)) < 0.1
    assert 0.8 < 1.4826 * np.median(np.abs(deviation)) < 1.2


def test_zero_points_are_those_of_the_noise():
    assert list(zero_point_scatter(["rSDSS", "my_own_band"])) == [0.02, 0.02]


# --- chi-square ---------------------------------------------------------------------------------


@given(
    middle=st.floats(-5, 50), width=st.floats(0.01, 5), error=st.floats(0.01, 5),
    flux=st.floats(-50, 100),
)  # fmt: skip
def test_of_gaussian_predictions_it_is_the_usual_one(middle, width, error, flux):
    expected = (middle + width * NORMAL)[None, None]
    scatter = np.array([0.02])
    found = predictive_chi2(np.array([[flux]]), np.array([[error]]), scatter, expected)
    zero_point = np.log(10) / 2.5 * 0.02 * middle
    variance = error**2 + zero_point**2 + width**2
    assert found[0, 0] == pytest.approx((flux - middle) ** 2 / variance, rel=1e-6, abs=1e-9)


def test_a_long_tail_forgives_what_it_foresaw():
    tail = np.where(NORMAL > 0, 10.0 + 3.0 * NORMAL**2, 10.0 + NORMAL)[None, None]
    line = predictive_chi2(np.array([[37.0]]), np.array([[0.5]]), np.zeros(1), tail)
    missing = predictive_chi2(np.array([[-17.0]]), np.array([[0.5]]), np.zeros(1), tail)
    assert line[0, 0] == pytest.approx(9.0, rel=0.02)
    assert missing[0, 0] > 400


def test_what_is_not_predicted_has_none():
    expected = np.full((1, 1, len(LEVELS)), np.nan)
    assert np.isnan(predictive_chi2(np.ones((1, 1)), np.ones((1, 1)), np.zeros(1), expected))


def test_its_law_is_the_chi_square_of_one_band():
    rng = np.random.default_rng(4)
    true = 10.0 + 0.7 * rng.standard_normal((4000, 1))
    flux = true * 10 ** (0.4 * 0.02 * rng.standard_normal(true.shape))
    flux = flux + 0.5 * rng.standard_normal(true.shape)
    expected = np.broadcast_to(10.0 + 0.7 * NORMAL, (4000, 1, len(NORMAL)))
    found = predictive_chi2(flux, np.full_like(flux, 0.5), np.array([0.02]), expected)
    for level in (0.5, 0.9, 0.99):
        assert np.quantile(found, level) == pytest.approx(chi2_law.ppf(level, 1), rel=0.15)


def test_compared_bands_of_each_form():
    quick = compared_bands(JPAS.names, PIVOTS, "quick")
    assert quick.sum() == 15
    # One pass is enough: all of them are in one of the two folds.
    assert set(band_folds(JPAS.names, PIVOTS, 2)[quick]) == {0}
    assert compared_bands(JPAS.names, PIVOTS, "full").all()
    assert compared_bands(["sdss_u", "sdss_g"], np.array([3557.0, 4702.0]), "quick").all()
    with pytest.raises(UnknownNameError, match="quick"):
        compared_bands(JPAS.names, PIVOTS, "fast")


def test_units_do_not_matter():
    table = make_table(4)
    other = table.copy()
    for band in BANDS:
        for name in (band, f"{band}_err"):
            other[name] = other[name].to(u.mJy)
    first, _ = reconstructed(table)
    second, _ = reconstructed(other)
    np.testing.assert_allclose(second.flux, first.flux, rtol=1e-5)
