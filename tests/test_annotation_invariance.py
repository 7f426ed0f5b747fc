"""What must not change a prediction: order, batches, other columns, values under a mask."""

from __future__ import annotations

import numpy as np
import pytest
from annotation_tables import BANDS, assert_same_columns, make_table, masked, numbers, small_model
from astropy import units as u
from astropy.table import QTable, Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jpassed.annotation import Flag, annotate

OUTPUTS = ["z", "logmstar", "ew_halpha", "flux:J0660"]
N = 12


def annotated(table, **options):
    return annotate(table, **{"model": small_model(), "outputs": OUTPUTS, **options})


@pytest.fixture(scope="module")
def table() -> QTable:
    """Twelve objects, one without some bands."""
    return masked(masked(make_table(N), "J0470", [1, 4]), "galex_nuv", [4, 5])


@pytest.fixture(scope="module")
def expected(table) -> QTable:
    return annotated(table, samples=4, joint=False, pdf=True)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(N)))
def test_order_of_rows(table, expected, order):
    assert_same_columns(annotated(table[list(order)]), annotated(table)[list(order)])


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_order_of_columns(table, expected, data):
    order = data.draw(st.permutations(table.colnames))
    result = annotated(table[list(order)], samples=4, joint=False, pdf=True)
    assert result.colnames[: len(order)] == list(order)
    assert_same_columns(result, expected)


@pytest.mark.parametrize("size", [1, 5, 11, 12, 1000, np.int64(7)])
def test_batches(table, expected, size):
    assert_same_columns(
        annotated(table, samples=4, joint=False, pdf=True, batch_size=size), expected
    )


def test_batches_with_labels():
    table = make_table(N)
    table["z_spec"][[0, 1, 2, 7]] = np.nan
    context = {"z": "z_spec", "logmstar": "mass"}
    whole = annotated(table, context=context)
    assert_same_columns(annotated(table, context=context, batch_size=3), whole)


def test_a_row_alone(table, expected):
    for k in (0, 4, 11):
        assert_same_columns(annotated(table[k : k + 1]), annotated(table)[k : k + 1])


def test_unrelated_columns(table, expected):
    more = table.copy()
    more["comment"] = ["x"] * N
    more["J0660_flags"] = np.arange(N)
    more["seeing"] = np.linspace(0.5, 2, N) * u.arcsec
    more["true_rSDSS"] = np.full(N, 1.0) * u.uJy
    more["true_rSDSS_err"] = np.full(N, 1.0) * u.uJy
    more["jp_flux_J0700"] = np.full(N, 1.0) * u.uJy
    more["jp_flux_J0700_err"] = np.full(N, 1.0) * u.uJy
    assert_same_columns(expected, annotated(more, samples=4, joint=False, pdf=True))


@pytest.mark.parametrize("under", [0.0, 1e30, -99.0, np.nan, np.inf])
@pytest.mark.parametrize("column", ["J0470", "J0470_err"])
def test_the_value_under_a_mask(under, column):
    clean = annotated(masked(make_table(N), column, [2, 3]))
    table = make_table(N)
    table[column][2:4] = under * u.uJy
    assert_same_columns(annotated(masked(table, column, [2, 3])), clean)
    assert list(clean["jp_nbands"]) == [10, 10, 9, 9] + [10] * 8


def test_a_masked_band_is_a_band_that_is_not_there():
    table = make_table(N)
    without = table.copy()
    without.remove_columns(["J0540", "J0540_err"])
    assert_same_columns(annotated(masked(table, "J0540", list(range(N)))), annotated(without))


def test_a_band_matters():
    table = make_table(N)
    changed = table.copy()
    changed["J0540"] *= 3
    one, other = annotated(table), annotated(changed)
    assert (np.abs(numbers(one["jp_logmstar"]) - numbers(other["jp_logmstar"])) > 1e-4).all()


@pytest.mark.parametrize(
    "convert",
    [
        lambda flux: flux.to(u.Jy),
        lambda flux: flux.to(u.nJy),
        lambda flux: flux.to(3.631 * u.uJy),
        lambda flux: flux.to(u.erg / u.s / u.cm**2 / u.Hz),
    ],
)
def test_units_of_the_bandfluxes(convert):
    table = make_table(N)
    converted = QTable({name: table[name] for name in table.colnames})
    for band in BANDS:
        for name in (band, f"{band}_err"):
            converted[name] = convert(table[name])
    assert_same_columns(annotated(converted), annotated(table), rtol=3e-4)


@pytest.mark.parametrize("dtype", [">f8", ">f4", "<f4", np.float16])
def test_other_floats(dtype):
    table = Table(make_table(N))
    for band in BANDS:
        for name in (band, f"{band}_err"):
            table[name] = table[name].astype(dtype)
    exact = Table({name: table[name].astype(float) for name in table.colnames if name != "id"})
    result = annotated(table)
    assert_same_columns(result, annotated(exact))
    assert result["J0400"].dtype == np.dtype(dtype)
    assert all(result[name].dtype.isnative for name in result.colnames if name.startswith("jp_"))


def test_the_scale_of_an_object_moves_its_fluxes_with_it():
    table = make_table(N)
    brighter = table.copy()
    for band in BANDS:
        brighter[band] *= 1.02
        brighter[f"{band}_err"] *= 1.02
    one, other = (numbers(annotated(t)["jp_flux_J0660"]) for t in (table, brighter))
    np.testing.assert_allclose(other / one, 1.02, rtol=0.02)


@settings(max_examples=20)
@given(shown=st.sets(st.sampled_from(BANDS)), seed=st.integers(0, 5))
def test_any_subset_of_bands_gives_finite_answers(shown, seed):
    table = make_table(3, seed=seed)
    for band in BANDS:
        if band not in shown:
            table = masked(table, band, [0, 1, 2])
    result = annotate(table, model=small_model())
    for name in result.colnames:
        own = ("jp_ew", "jp_flag", "jp_nbands", "jp_chi2")
        if name.startswith("jp_") and not name.startswith(own):
            assert np.isfinite(numbers(result[name])).all() == bool(shown), name
    assert list(result["jp_nbands"]) == [len(shown)] * 3
    few = Flag.FEW_BANDS if len(shown) < 5 else 0
    assert ((result["jp_flag"] & (Flag.FEW_BANDS | Flag.NO_BANDS)) == few | (not shown)).all()


@settings(max_examples=25)
@given(
    flux=st.floats(allow_nan=True, allow_infinity=True, width=64),
    error=st.floats(allow_nan=True, allow_infinity=True, width=64),
)
def test_any_number_in_a_band_leaves_the_others_in_use(flux, error):
    table = make_table(2)
    table["J0610"][0] = flux * u.uJy
    table["J0610_err"][0] = error * u.uJy
    result = annotated(table)
    for name in ("jp_z", "jp_logmstar", "jp_flux_J0660", "jp_z_err"):
        assert np.isfinite(numbers(result[name])).all()
    assert result["jp_nbands"][0] in (9, 10)
    assert_same_columns(result[1:], annotated(make_table(2))[1:])


def test_samples_belong_to_seed_and_quantity(table):
    names = ["jp_z_samples"]
    first = annotated(table, samples=8)
    assert_same_columns(annotated(table, samples=8), first, names)
    assert_same_columns(annotated(table, samples=8, outputs=["flux:J0660", "z"]), first, names)
    other = annotated(table, samples=8, seed=1)
    assert not np.allclose(other["jp_z_samples"], first["jp_z_samples"])
    assert_same_columns(other, first, ["jp_z", "jp_z_err"])
    fresh = [annotated(table, samples=8, seed=None)["jp_z_samples"] for _ in range(2)]
    assert not np.allclose(*fresh)
    # Draws of two quantities are independent where that is asked.
    both = annotated(make_table(60), samples=64, joint=False)
    ranks = [
        np.argsort(np.argsort(numbers(both[f"jp_{q}_samples"]), axis=1)) for q in ("z", "logmstar")
    ]
    assert abs(np.corrcoef(ranks[0].ravel(), ranks[1].ravel())[0, 1]) < 0.05
