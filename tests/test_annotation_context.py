"""Labels as context: only when named, with errors, without bands, and when they are asked too."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from annotation_tables import BANDS, assert_same_columns, make_table, masked, numbers, small_model
from astropy import units as u
from astropy.table import MaskedColumn, QTable

from jpassed.annotation import Flag, annotate, infer
from jpassed.annotation.targets import OBSERVED_RANGE
from jpassed.exceptions import InputError, UnknownNameError, UnrecognisedTableError
from jpassed.simulator.galaxies import LINE_RANGE
from jpassed.simulator.lines import LABEL_LINES, LineModel
from jpassed.vocabulary.lines import LINE_LIMITS

OUTPUTS = ["logmstar", "tau", "flux:J0660"]


def annotated(table, **options):
    return annotate(
        table, **{"model": small_model(), "outputs": OUTPUTS, "precision": "float32", **options}
    )


def different(one, other, name="jp_logmstar") -> np.ndarray:
    return np.abs(numbers(one[name]) - numbers(other[name])) > 1e-3


# --- only when named ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [["z", "z_spec", "zspec", "REDSHIFT", "true_z"], ["logmstar", "true_logmstar", "mass"], ["av"]],
)
def test_labels_never_enter_by_their_name(names):
    table = make_table(6)
    bare = table.copy()
    bare.remove_columns(["z_spec", "mass"])
    expected = annotated(bare)
    for k, name in enumerate(names):
        bare[name] = np.linspace(0.1, 0.9, 6) + k
        bare[f"{name}_err"] = np.full(6, 0.01)
    assert_same_columns(annotated(bare), expected)
    assert annotated(bare).meta["jp_context"] == ""


def test_a_named_label_enters():
    table = make_table(6)
    plain, known = annotated(table), annotated(table, context={"z": "z_spec"})
    assert different(plain, known).all()
    assert known.meta["jp_context"] == "z=z_spec"
    np.testing.assert_array_equal(known["jp_nbands"], len(BANDS))


def test_unknown_values_of_a_label_leave_their_rows_as_they_were():
    table = make_table(6)
    values = table["z_spec"].copy()
    values[1], values[4] = -99.0, np.nan
    table["z_gap"] = MaskedColumn(values, mask=[0, 0, 1, 0, 0, 0])
    plain, known = annotated(table), annotated(table, context={"z": "z_gap"})
    assert list(different(plain, known)) == [True, False, False, True, False, True]
    assert_same_columns(plain[[1, 2, 4]], known[[1, 2, 4]])
    assert not (known["jp_flag"] & Flag.BAD_INPUT).any()


def test_errors_of_labels_matter():
    table = make_table(6)
    exact = annotated(table, context={"z": "z_spec"})
    table["z_unc"] = np.full(6, 0.05)
    table["z_spec_err"] = np.full(6, 0.2)
    named = annotated(table, context={"z": "z_spec,z_unc"})
    found = annotated(table, context={"z": "z_spec"})
    assert different(exact, named).any()
    assert different(named, found).any()
    del table["z_spec_err"]
    assert_same_columns(annotated(table, context={"z": "z_spec, z_unc"}), named)


def test_labels_in_other_units():
    table = make_table(5)
    table["msun"] = 10.0 ** table["mass"] * u.Msun
    table["kg"] = table["msun"].to(u.kg)
    expected = annotated(table, context={"logmstar": "mass"}, outputs=["tau"])
    for name in ("msun", "kg"):
        same = annotated(table, context={"logmstar": name}, outputs=["tau"])
        assert_same_columns(same, expected)


def test_a_survey_file_names_context(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\ninclude: [generic]\ncontext:\n  z: z_spec\n")
    table = make_table(6)
    expected = annotated(table, context={"z": "z_spec"})
    from_file = annotated(table, survey=path)
    assert_same_columns(from_file, expected)
    assert from_file.meta["jp_survey"] == "mine"
    assert_same_columns(
        annotated(table, survey=path, context={"logmstar": "mass"}, outputs=["tau"]),
        annotated(table, context={"z": "z_spec", "logmstar": "mass"}, outputs=["tau"]),
    )
    table["z_other"] = table["z_spec"][::-1].copy()
    assert_same_columns(
        annotated(table, survey=path, context={"z": "z_other"}),
        annotated(table, context={"z": "z_other"}),
    )


# --- without bands ------------------------------------------------------------------------------


def test_labels_alone_give_a_spectral_energy_distribution(caplog):
    table = make_table(6)
    labels = table["z_spec", "mass"]
    context = {"z": "z_spec", "logmstar": "mass"}
    with caplog.at_level(logging.WARNING):
        result = annotated(labels, context=context, outputs=["flux:J0660", "flux:wise_w1"])
    assert "context alone" in caplog.text
    for band in ("J0660", "wise_w1"):
        column = result[f"jp_flux_{band}"]
        assert column.unit == u.uJy
        assert np.isfinite(numbers(column)).all()
        assert (numbers(result[f"jp_flux_{band}_err"]) > 0).all()
    assert result.colnames[:2] == ["z_spec", "mass"]
    assert list(result["jp_nbands"]) == [0] * 6
    assert not result["jp_flag"].any()
    assert np.ptp(numbers(result["jp_flux_J0660"])) > 0  # every object has its own


def test_rows_without_bands_are_answered_from_labels():
    table = make_table(6)
    for band in BANDS:
        table = masked(table, band, [3])
    context = {"z": "z_spec", "logmstar": "mass"}
    mixed = annotated(table, context=context, outputs=OUTPUTS[1:])
    alone = annotated(table["z_spec", "mass"], context=context, outputs=OUTPUTS[1:])
    names = [name for name in mixed.colnames if name.startswith(("jp_tau", "jp_flux"))]
    assert_same_columns(mixed[3:4], alone[3:4], names)
    assert mixed["jp_flag"][3] == 0


def test_rows_with_neither_bands_nor_labels():
    table = make_table(4)
    table["z_spec"][2] = np.nan
    result = annotated(table["z_spec",], context={"z": "z_spec"}, outputs=["tau"])
    assert list(np.isnan(numbers(result["jp_tau"]))) == [False, False, True, False]
    assert result["jp_flag"][2] == Flag.NO_BANDS | Flag.FEW_BANDS


def test_bands_without_errors_are_not_passed_over_in_silence(caplog):
    table = QTable({"J0660": [1.0, 2.0] * u.uJy, "z_spec": [0.1, 0.2]})
    with pytest.raises(UnrecognisedTableError, match="no error column"):
        annotated(table)
    with caplog.at_level(logging.WARNING):
        annotated(table, context={"z": "z_spec"})
    assert "no bandflux column" in caplog.text


# --- a quantity that is both given and asked ----------------------------------------------------


def test_a_quantity_in_the_context_is_predicted_without_itself():
    table = make_table(6)
    outputs = ["z", "logmstar", "tau"]
    plain = annotated(table, outputs=outputs)
    one = annotated(table, outputs=outputs, context={"z": "z_spec"})
    names = ["jp_z", "jp_z_err", "jp_z_lo", "jp_z_hi"]
    assert_same_columns(plain, one, names)
    assert different(plain, one, "jp_tau").all()
    two = annotated(table, outputs=outputs, context={"z": "z_spec", "logmstar": "mass"})
    mass_alone = annotated(table, outputs=["z"], context={"logmstar": "mass"})
    assert_same_columns(two, mass_alone, names)
    assert_same_columns(
        two, annotated(table, outputs=["logmstar"], context={"z": "z_spec"}), ["jp_logmstar"]
    )


def test_other_outputs_do_not_care_whether_a_given_quantity_is_asked():
    table = make_table(6)
    names = ["jp_tau", "jp_tau_err"]
    with_z = annotated(table, outputs=["z", "tau"], context={"z": "z_spec"})
    without = annotated(table, outputs=["tau"], context={"z": "z_spec"})
    assert_same_columns(with_z, without, names)


def test_nothing_is_left_to_predict_the_only_label_from():
    table = make_table(3)
    result = annotated(table["z_spec",], context={"z": "z_spec"}, outputs=["z", "tau"])
    assert np.isnan(numbers(result["jp_z"])).all()
    assert np.isfinite(numbers(result["jp_tau"])).all()


def test_infer_answers_alike():
    table = make_table(5)
    posterior = infer(
        table, model=small_model(), outputs=["z", "tau"], context={"z": "z_spec"}, batch_size=2,
        precision="float32",
    )  # fmt: skip
    result = annotated(table, outputs=["z", "tau"], context={"z": "z_spec"})
    assert posterior.names == ("z", "tau")
    np.testing.assert_allclose(posterior.median("z"), result["jp_z"], rtol=1e-4)
    np.testing.assert_allclose(posterior.median("tau"), numbers(result["jp_tau"]), rtol=1e-4)


# --- lines that are out of range ----------------------------------------------------------------


def test_line_limits_are_those_of_the_simulator():
    lines = LineModel(None)
    for quantity, names in LABEL_LINES.items():
        waves = [float(lines.wave[lines.index(name)]) for name in names]
        assert LINE_LIMITS[quantity] == pytest.approx((min(waves), max(waves)), abs=0.005)
    assert set(LINE_LIMITS) == set(LABEL_LINES)
    assert OBSERVED_RANGE == LINE_RANGE


def test_lines_outside_the_bands_are_masked_at_the_known_redshift():
    table = make_table(4)
    table["z_spec"] = [0.1, 0.46, 0.463, 0.9]  # Halpha leaves 9600 Angstrom at 0.4624
    result = annotated(table, outputs=["ew_halpha", "ew_oii"], context={"z": "z_spec"})
    assert list(np.isnan(numbers(result["jp_ew_halpha"]))) == [False, False, True, True]
    assert list(np.isnan(numbers(result["jp_ew_halpha_lo"]))) == [False, False, True, True]
    assert np.isfinite(numbers(result["jp_ew_oii"])).all()


def test_lines_are_masked_alike_whether_or_not_redshift_is_asked():
    table = make_table(60)
    both = annotated(table, outputs=["z", "ew_halpha"], samples=2, joint=False)
    alone = annotated(table, outputs=["ew_halpha"], samples=2)
    hidden = np.isnan(numbers(both["jp_ew_halpha"]))
    assert 0 < hidden.sum() < 60
    np.testing.assert_array_equal(hidden, 6564.61 * (1 + numbers(both["jp_z"])) > 9600)
    assert not any(name.startswith("jp_z") for name in alone.colnames)
    assert_same_columns(both, alone, ["jp_ew_halpha", "jp_ew_halpha_samples"])


# --- what is wrong ------------------------------------------------------------------------------


def test_bad_values_and_errors_are_left_out_and_flagged():
    table = make_table(5)
    table["z_spec"][1] = -0.5
    table["z_spec_err"] = [0.01, 0.01, -1.0, 0.01, 0.01]
    plain = annotated(table, outputs=["tau"])
    result = annotated(table, outputs=["tau"], context={"z": "z_spec"})
    # Of rows without a redshift.
    unsure = int(Flag.PRIOR_DOMINATED | Flag.UNCERTAIN_REDSHIFT)
    flags = result["jp_flag"] & ~unsure
    assert list(flags) == [0, Flag.BAD_INPUT, Flag.BAD_INPUT, 0, 0]
    assert_same_columns(plain[1:3], result[1:3], ["jp_tau", "jp_tau_err"])


def test_labels_beyond_the_model_are_flagged():
    table = make_table(3)
    table["z_spec"] = [0.5, 2.5, 0.7]
    result = annotated(table, outputs=["tau"], context={"z": "z_spec"})
    assert list(result["jp_flag"]) == [0, Flag.OUTSIDE_DOMAIN, 0]
    assert np.isfinite(numbers(result["jp_tau"])).all()


def test_unknown_names_list_the_valid_ones():
    table = make_table(3)
    with pytest.raises(UnknownNameError, match=r"z_spce.*z_spec"):
        annotated(table, context={"z": "z_spce"})
    with pytest.raises(UnknownNameError, match=r"redshift.*logmstar"):
        annotated(table, context={"redshift": "z_spec"})
    with pytest.raises(InputError, match="flux:J0660"):
        annotated(table, context={"flux:J0660": "J0660"})
    with pytest.raises(InputError, match="context"):
        annotated(table, context="z=z_spec")
