"""Arguments and tables that cannot be used, and rows that should not be believed."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from annotation_tables import BANDS, CONFIG, make_table, masked, numbers, small_model, write_small
from astropy import units as u
from astropy.table import QTable, Table

from jpassed.annotation import FLAGS, Flag, annotate, infer
from jpassed.annotation.flags import magnitude_of_scale, raise_flags, significance
from jpassed.annotation.targets import trained_bands, trained_range
from jpassed.exceptions import (
    FileError,
    InputError,
    ModelError,
    UnrecognisedTableError,
)


def annotated(table, **options):
    return annotate(table, **{"model": small_model(), "outputs": ["z"], **options})


# --- arguments ----------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [None, "catalogue.fits", [1, 2], {"J0660": [1.0]}, np.ones(3)])
@pytest.mark.parametrize("call", [annotated, infer])
def test_not_a_table(table, call):
    with pytest.raises(InputError, match=f"Table or QTable, got {type(table).__name__}"):
        call(table)


@pytest.mark.parametrize("table", [Table(), make_table(3)[:0]])
def test_an_empty_table(table):
    with pytest.raises(InputError, match="empty"):
        annotated(table)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("outputs", [], "at least one"),
        ("outputs", " , ", "at least one"),
        ("outputs", 5, "expected names"),
        ("outputs", [["z"]], "expected names"),
        ("outputs", [5], "unknown output '5'"),
        ("outputs", ["logmas"], "Did you mean 'logmstar'"),
        ("outputs", ["flux"], "flux:<band>"),
        ("outputs", ["z:J0660"], "unknown output"),
        ("outputs", ["flux:J0666"], "J0660"),
        ("samples", -1, "samples"),
        ("samples", 1.5, "samples"),
        ("samples", True, "samples"),
        ("seed", "x", "seed"),
        ("seed", -1, "seed"),
        ("batch_size", 0, "batch_size"),
        ("batch_size", 2.0, "batch_size"),
        ("survey", "jpaz", "minijpas"),
        ("survey", None, "survey"),
        ("device", "tpu9", "cpu"),
        ("model", "defualt", "defualt"),
        ("model", 5, "model"),
    ],
)
def test_arguments_that_make_no_sense(option, value, said):
    with pytest.raises(InputError, match=said):
        annotated(make_table(3), **{option: value})


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match="no GPU"):
        annotated(make_table(3), device="cuda")


def test_outputs_as_text_and_twice():
    table = make_table(3)
    result = annotated(table, outputs="z, flux:J0660,,z")
    again = annotated(table, outputs=["z", "flux:J0660", "z"])
    assert result.colnames == again.colnames
    assert result.colnames.count("jp_z") == 1


def test_missing_and_damaged_models(tmp_path):
    with pytest.raises(FileError, match="model.safetensors is missing"):
        annotated(make_table(3), model=tmp_path)
    folder = write_small(tmp_path / "model")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(ModelError, match="damaged"):
        annotated(make_table(3), model=folder)


@pytest.mark.parametrize(
    "card",
    [
        {"z": 3},
        {"z": {"knots": [0, 1]}},
        {"z": {"knots": [1, 0], "values": [0, 1]}},
        [1],
    ],
)
def test_damaged_recalibrations(tmp_path, card):
    folder = write_small(tmp_path / "model", recalibration=card)
    with pytest.raises(ModelError, match="recalibration"):
        annotated(make_table(3), model=folder)


def test_an_unrecognised_table_shows_its_columns_and_a_map():
    with pytest.raises(UnrecognisedTableError, match="brightness") as caught:
        annotated(Table({"name": ["a"], "brightness": [3.0], "brightness_err": [0.1]}))
    assert "bands:" in str(caught.value)


@pytest.mark.parametrize("name", ["jp_z", "jp_z_err", "jp_flag", "JP_Z", "jp_nbands", "jp_z_pdf"])
def test_existing_columns_are_not_replaced_unasked(name):
    table = make_table(3)
    table[name] = [1.0, 2.0, 3.0]
    with pytest.raises(InputError, match=rf"{name}.*replace_columns"):
        annotated(table)
    result = annotated(table, replace_columns=True)
    assert [c.lower() for c in result.colnames].count(name.lower()) == (name != "jp_z_pdf")
    assert list(table[name]) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("name", ["jp_note", "jp_zeta", "z_err", "jp_logmstar"])
def test_other_columns_are_no_obstacle(name):
    table = make_table(3)
    table[name] = [1.0, 2.0, 3.0]
    assert list(annotated(table)[name]) == [1.0, 2.0, 3.0]


def test_an_error_leaves_the_table_alone():
    table = make_table(3)
    table["J0700"] = np.ones(3) * u.K
    table["J0700_err"] = np.ones(3) * u.K
    before = table.copy()
    with pytest.raises(InputError, match="J0700"):
        annotated(table)
    assert table.colnames == before.colnames
    assert all((table[name] == before[name]).all() for name in table.colnames)


# --- flags --------------------------------------------------------------------------------------


def flags_of(**changes) -> int:
    usual = {
        "n_bands": 60, "n_labels": 0, "bad_input": False, "outside": False,
        "log_scale": np.log(30.0), "significance": 50.0,
    }  # fmt: skip
    settings = {name: np.array([value]) for name, value in {**usual, **changes}.items()}
    return int(raise_flags(**settings)[0])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 0),
        ({"n_bands": 0}, Flag.NO_BANDS | Flag.FEW_BANDS),
        ({"n_bands": 0, "n_labels": 1}, 0),
        ({"n_bands": 4}, Flag.FEW_BANDS),
        ({"n_bands": 5}, 0),
        ({"n_bands": 4, "n_labels": 1}, 0),
        ({"bad_input": True}, Flag.BAD_INPUT),
        ({"outside": True}, Flag.OUTSIDE_DOMAIN),
        ({"significance": 2.9}, Flag.NOT_DETECTED),
        ({"significance": 3.1}, 0),
        ({"significance": -20.0}, Flag.NOT_DETECTED | Flag.NEGATIVE_FLUX),
        ({"log_scale": np.log(3631e6) - 0.4 * 12.9 * np.log(10)}, Flag.OUTSIDE_DOMAIN),
        ({"log_scale": np.log(3631e6) - 0.4 * 13.1 * np.log(10)}, 0),
        ({"log_scale": np.log(3631e6) - 0.4 * 24.1 * np.log(10)}, Flag.OUTSIDE_DOMAIN),
    ],
)
def test_each_flag(changes, expected):
    assert flags_of(**changes) == expected


def test_every_flag_has_a_meaning():
    assert set(FLAGS) == set(Flag)


def test_magnitude_and_significance():
    assert magnitude_of_scale(np.log(np.array([3631e6, 36.31]))) == pytest.approx([0.0, 20.0])
    flux = np.array([[3.0, 3.0], [3.0, 1e9], [1.0, 1.0]])
    seen = np.array([[True, True], [True, False], [False, False]])
    assert significance(flux, np.ones((3, 2)), seen) == pytest.approx([3 * 2**0.5, 3.0, 0.0])


def test_flags_of_rows():
    table = make_table(6)
    for band in BANDS[4:]:
        table = masked(table, band, [1])
    for band in BANDS:
        table[band][2] = 0.3 * u.uJy
        table[f"{band}_err"][2] = 6.0 * u.uJy
        table[band][3] *= 1e6
        table[f"{band}_err"][3] *= 1e6
    table["J0540_err"][4] *= -1
    result = annotated(table)
    # A random network's redshifts are hardly narrower than the prior.
    assert list(result["jp_flag"] & ~int(Flag.PRIOR_DOMINATED | Flag.UNCERTAIN_REDSHIFT)) == [
        0,
        Flag.FEW_BANDS,
        Flag.NOT_DETECTED,
        Flag.OUTSIDE_DOMAIN,
        Flag.BAD_INPUT,
        0,
    ]
    assert list(result["jp_nbands"]) == [10, 4, 10, 10, 9, 10]
    assert np.isfinite(numbers(result["jp_z"])).all()


def test_not_detected_is_not_unobserved():
    table = make_table(3)
    for band in BANDS:
        table[band][1] = -0.4 * u.uJy
        table[f"{band}_err"][1] = 6.0 * u.uJy
    result = annotated(table)
    assert result["jp_nbands"][1] == len(BANDS)
    expected = Flag.NOT_DETECTED | Flag.NEGATIVE_FLUX
    assert result["jp_flag"][1] & ~int(Flag.PRIOR_DOMINATED | Flag.UNCERTAIN_REDSHIFT) == expected
    assert np.isfinite(result["jp_z"][1])


@pytest.mark.parametrize(
    ("flux", "error"), [(1e14, 1.0), (-1e14, 1.0), (10.0, 1e14), (10.0, 1e-12)]
)
def test_numbers_beyond_all_galaxies_are_left_out(flux, error, caplog):
    table = make_table(3)
    table["J0540"][1], table["J0540_err"][1] = flux * u.uJy, error * u.uJy
    with caplog.at_level(logging.WARNING):
        result = annotated(table)
    assert "J0540: 1 values not used" in caplog.text
    assert list(result["jp_nbands"]) == [10, 9, 10]
    flags = result["jp_flag"] & ~int(Flag.PRIOR_DOMINATED | Flag.UNCERTAIN_REDSHIFT)
    assert list(flags) == [0, Flag.BAD_INPUT, 0]


# --- passbands and what the model was trained on ------------------------------------------------

TRAINED = {"training": {"simulation": {"bands": ["jpas", "galex", "wise: wise_w1 wise_w2"]}}}


@pytest.fixture
def trained(tmp_path):
    return write_small(tmp_path / "trained", CONFIG, **TRAINED)


def test_bands_of_the_training_are_read_from_the_card():
    names = trained_bands(TRAINED)
    assert len(names) == 64
    assert {"J0660", "galex_fuv", "wise_w2"} <= set(names)
    assert "wise_w3" not in names
    low, high = trained_range(TRAINED)
    assert 1300 < low < 1535
    assert 46000 < high < 52000
    assert trained_bands({}) == ()
    assert trained_range({"training": None}) is None


def test_bands_new_to_the_model_are_used_and_named(trained, caplog):
    table = make_table(4)
    with caplog.at_level(logging.WARNING):
        result = annotated(table, model=trained)
    assert "sdss_i: not among the bands of the training" in caplog.text
    assert "J0400" not in caplog.text
    assert list(result["jp_nbands"]) == [10] * 4
    del table["sdss_i"], table["sdss_i_err"]
    assert not np.allclose(annotated(table, model=trained)["jp_z"], result["jp_z"])


def test_bands_far_from_the_training_are_left_out(trained, caplog):
    table = make_table(4)
    expected = annotated(table, model=trained)
    table["wise_w4"] = np.full(4, 1000.0) * u.uJy
    table["wise_w4_err"] = np.full(4, 10.0) * u.uJy
    with caplog.at_level(logging.WARNING):
        result = annotated(table, model=trained)
    assert "wise_w4: not used" in caplog.text
    assert list(result["jp_nbands"]) == [10] * 4
    np.testing.assert_allclose(result["jp_z"], expected["jp_z"], rtol=1e-5)


def test_passbands_far_from_the_training_are_not_predicted(trained):
    table = make_table(3)
    result = annotated(table, model=trained, outputs=["flux:sdss_g", "flux:2mass_ks"])
    for name in ("jp_flux_sdss_g", "jp_flux_2mass_ks"):
        assert np.isfinite(numbers(result[name])).all()
    with pytest.raises(InputError, match="flux:wise_w4.*outside"):
        annotated(table, model=trained, outputs=["z", "flux:wise_w4"])


def test_a_band_of_the_users_own_may_be_given_and_asked(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nbands:\n"
        "  J0540: {flux: a, error: a_err, unit: uJy}\n"
        "  MYBAND: {flux: b, error: b_err, unit: uJy, pivot: 5500, width: 800}\n"
    )
    table = QTable({"a": [10.0, 20.0], "a_err": [1.0, 1.0], "b": [9.0, 3.0], "b_err": [1.0, 1.0]})
    result = annotated(table, survey=path, outputs=["flux:MYBAND", "z"])
    assert list(result["jp_nbands"]) == [2, 2]
    assert np.isfinite(numbers(result["jp_flux_MYBAND"])).all()
