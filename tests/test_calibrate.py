"""`calibrate`: maps from PIT values, models with them, and the way back."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
from annotation_tables import make_table, small_model, write_small
from astropy.table import MaskedColumn, QTable
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from jpassed import annotate
from jpassed.adaptation import calibrate, uncalibrate
from jpassed.adaptation.calibration_fit import FORMS, choose_recalibration
from jpassed.annotation import infer
from jpassed.cli import main
from jpassed.evaluation import coverage, pit, pit_distance
from jpassed.evaluation.groups import object_of_rows
from jpassed.exceptions import FileError, InputError, ModelError, UnknownNameError
from jpassed.io.catalogs import write_catalog
from jpassed.posteriors import Recalibration

# ---------------------------------------------------------------- maps


def narrow(n: int, stretch: float = 1.5, shift: float = 0.0, seed: int = 1) -> np.ndarray:
    """PIT values of posteriors that are too narrow by `stretch`, off by `shift` of their width."""
    return norm.cdf(np.random.default_rng(seed).normal(shift, stretch, n))


def test_a_line_is_the_shift_and_the_stretch():
    fitted = Recalibration.fit_line(narrow(50_000, 1.2, 0.4))
    u = np.array([-1.0, 0.4, 2.0])
    np.testing.assert_allclose(norm.ppf(fitted.forward(norm.cdf(u))), (u - 0.4) / 1.2, atol=0.02)
    with pytest.raises(InputError, match="alike"):
        Recalibration.fit_line(np.full(30, 0.5))
    with pytest.raises(InputError, match="at least 20"):
        Recalibration.fit_line(np.linspace(0.1, 0.9, 19))


@settings(max_examples=30)
@given(st.integers(0, 50), st.floats(0.6, 2), st.floats(-1, 1))
def test_one_map_after_another_is_both(seed, stretch, shift):
    first = Recalibration.fit(narrow(300, stretch, shift, seed))
    second = Recalibration.fit_line(narrow(60, 1 / stretch, -shift, seed + 1))
    p = np.linspace(0.02, 0.98, 97)  # far from where normal scores end
    for one, other in ((second, first), (first, second)):
        both = one.after(other)
        np.testing.assert_allclose(both.forward(p), one.forward(other.forward(p)), atol=1e-5)


@pytest.mark.parametrize(("n", "form"), [(60, "shift and stretch"), (4000, None)])
def test_what_helps_is_taken_and_judged_on_other_rows(n, form):
    p = narrow(n, 1.5, 0.8)
    fitted, check = choose_recalibration(p)
    assert check.helps
    assert form is None or check.form == form
    others = narrow(20_000, 1.5, 0.8, seed=9)
    assert pit_distance(fitted.forward(others)) < 0.5 * pit_distance(others)
    # The gain of others is what was promised.
    gain = fitted.log_slope(np.clip(others, 1e-6, 1 - 1e-6)).mean()
    assert gain == pytest.approx(check.gain, abs=3.5 * check.gain_error)
    assert check.coverage_68 == pytest.approx(0.68, abs=3 * np.sqrt(0.22 / n))


def test_calibrated_posteriors_are_left_alone_most_of_the_time():
    taken = sum(choose_recalibration(narrow(200, 1.0, 0.0, s))[1].helps for s in range(30))
    assert taken <= 6


def test_rows_of_one_object_are_one_witness():
    p = np.repeat(narrow(80, 1.3), 20)
    alone = choose_recalibration(p)[1]
    together = choose_recalibration(p, groups=np.repeat(np.arange(80), 20))[1]
    # Copies of held-out rows in the other folds promise what is not there.
    assert alone.gain > together.gain + 0.1
    assert together.form == "shift and stretch"
    with pytest.raises(InputError, match="at least 50 objects.*got 40"):
        choose_recalibration(p, groups=np.arange(len(p)) % 40)


def test_rows_without_a_name_are_not_one_object():
    names = MaskedColumn(["a", "a", "b", "N/A", "N/A"], mask=[0, 0, 0, 1, 1])
    groups = object_of_rows(QTable({"name": names}), "name")
    assert groups[0] == groups[1] and len(set(groups)) == 4
    number = QTable({"name": MaskedColumn([7, 7, 8, 8], mask=[0, 0, 0, 1])})
    assert len(set(object_of_rows(number, "name"))) == 3


@pytest.mark.parametrize("folds", [1, 21])
def test_folds_that_make_no_sense_are_refused(folds):
    with pytest.raises(InputError, match="folds"):
        choose_recalibration(narrow(100), folds=folds)


def test_every_form_is_a_map():
    for fit in FORMS.values():
        assert fit(narrow(60)).forward([0.5]) == pytest.approx(0.5, abs=0.2)


# ---------------------------------------------------------------- models


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "start"
    path.mkdir()
    identity = Recalibration((-1.0, 1.0), (-1.0, 1.0)).to_dict()
    return write_small(path, recalibration={"logmstar": identity, "av": identity})


@pytest.fixture(scope="module")
def table() -> QTable:
    """Photometry with truths that lie high in the small model's posteriors."""
    table = make_table(160)
    posterior = infer(table, model=small_model(), outputs=["z", "logmstar"])
    level = np.clip(narrow(160, 0.4, 1.2, seed=5), 0.001, 0.999)
    for name, column in (("z", "z_spec"), ("logmstar", "mass")):
        table[column] = posterior[name].values_at(level[:, None])[:, 0]
    return table


def test_the_new_model_is_calibrated_and_the_old_one_as_it_was(folder, table, tmp_path):
    before = (folder / "model.json").read_bytes()
    found = calibrate(
        table[:100], {"z": "z_spec"}, tmp_path / "new", model=folder, table_name="mine.fits"
    )
    assert (folder / "model.json").read_bytes() == before
    rest = table[100:]
    pits = [
        pit(infer(rest, model=m, outputs=["z"])["z"], np.asarray(rest["z_spec"]))
        for m in (folder, found.model, tmp_path / "new")
    ]
    assert pit_distance(pits[1]) < 0.5 * pit_distance(pits[0])
    np.testing.assert_array_equal(pits[1], pits[2])
    (row,) = found.table
    assert row["taken"]
    assert row["pit_distance_after"] < row["pit_distance_before"]
    assert coverage(found.held_out_pit["z"], 0.68) == pytest.approx(
        row["coverage_68_after"], abs=1e-5
    )
    card = json.loads((tmp_path / "new" / "model.json").read_text())
    assert card["name"] == "new"
    assert set(card["recalibration"]) == {"z", "logmstar", "av"}
    record = card["calibrations"][-1]
    assert record["parent"]["name"] == "small"
    assert (record["table"], record["rows"]) == ("mine.fits", 100)
    assert record["quantities"]["z"]["n"] == 100
    annotated = annotate(rest, model=tmp_path / "new", outputs=["z"])
    assert annotated.meta["jp_calibration"].endswith("mine.fits")
    np.testing.assert_allclose(annotated["jp_z"], found.model and infer(
        rest, model=found.model, outputs=["z"]).median("z"), rtol=1e-5)  # fmt: skip


def test_on_top_of_the_parents_map_and_back_again(folder, table, tmp_path):
    start = json.loads((folder / "model.json").read_text())
    calibrate(table, {"logmstar": "mass"}, tmp_path / "one", model=folder)
    calibrate(table, {"logmstar": "mass", "z": "z_spec"}, model=tmp_path / "one", in_place=True,
              force=True)  # fmt: skip
    twice = json.loads((tmp_path / "one" / "model.json").read_text())
    assert len(twice["calibrations"]) == 2
    assert uncalibrate(tmp_path / "one") == ["logmstar", "z"]
    once = json.loads((tmp_path / "one" / "model.json").read_text())
    assert "z" not in once["recalibration"]
    assert uncalibrate(tmp_path / "one") == ["logmstar"]
    back = json.loads((tmp_path / "one" / "model.json").read_text())
    assert back["recalibration"] == start["recalibration"]
    assert "calibrations" not in back
    with pytest.raises(ModelError, match="no calibration of its own"):
        uncalibrate(tmp_path / "one")


def test_what_does_not_help_is_not_taken_unless_asked(folder, table, caplog):
    calibrated = calibrate(table, {"z": "z_spec"}, model=folder, seed=1).model
    with caplog.at_level(logging.WARNING):
        again = calibrate(table, {"z": "z_spec"}, model=calibrated)
    assert not again.table["taken"][0]
    assert "held-out rows" in caplog.text
    assert again.model.card["recalibration"] == calibrated.card["recalibration"]
    forced = calibrate(table, {"z": "z_spec"}, model=calibrated, force=True)
    assert forced.model.card["recalibration"]["z"] != calibrated.card["recalibration"]["z"]
    assert forced.folder is None


def test_rows_that_cannot_be_used_are_counted(folder, table):
    other = table.copy()
    other["z_spec"][:5], other["z_spec"][5:8] = -99.0, 1.5
    (row,) = calibrate(other, {"z": "z_spec"}, model=folder).table
    assert (row["n"], row["without_truth"], row["truth_outside"]) == (152, 5, 3)


def test_lines_out_of_the_range_of_the_bands_do_not_count(folder, table):
    other = table.copy()
    other["ew"], other["known"] = 10.0, np.where(np.arange(160) < 60, 0.9, 0.1)
    given = {"model": folder, "context": {"z": "known"}, "force": True}
    (row,) = calibrate(other, {"ew_halpha": "ew"}, **given).table
    assert (row["n"], row["not_predicted"]) == (100, 60)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"rows": 40}, InputError, "at least 50"),
        ({"truth": {"z": "none"}}, UnknownNameError, "z_spec"),
        ({"groups": "none"}, UnknownNameError, "z_spec"),
        ({"model": "default", "in_place": True}, ModelError, "embedded"),
        ({"model": "loaded", "output": "new"}, InputError, "loaded already"),
        ({"output": "new", "in_place": True}, InputError, "not both"),
        ({"output": "none/new"}, FileError, "not a folder"),
        ({"output": "default"}, FileError, "name of an embedded model"),
        ({"output": "start"}, FileError, "--in-place"),
        ({"output": "full", "overwrite": True}, FileError, "left alone"),
    ],
)
def test_what_makes_no_sense_is_refused(folder, table, tmp_path, changes, error, said):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    given = {"truth": {"z": "z_spec"}, "model": folder, **changes}
    if given["model"] == "loaded":
        given["model"] = small_model()
    if "output" in given:
        places = {"start": folder, "default": "default"}
        given["output"] = places.get(given["output"], tmp_path / given["output"])
    with pytest.raises(error, match=said):
        calibrate(table[: given.pop("rows", None)], given.pop("truth"), **given)


@pytest.mark.real_data
def test_intervals_of_real_galaxies_hold_after_it(real_data):
    from jpassed.io.catalogs import read_catalog

    galaxies = read_catalog(real_data / "catalogs" / "sdss_galaxies_gst.fits")[:1200]
    some, others = galaxies[::2], galaxies[1::2]
    found = calibrate(some, {"z": "Z"})
    assert found.table["taken"][0]
    truth = np.asarray(others["Z"], dtype=float)
    before, after = (
        pit(infer(others, model=m, outputs=["z"])["z"], truth) for m in ("default", found.model)
    )
    assert pit_distance(after) < 0.5 * pit_distance(before)
    assert pit_distance(after) < 0.08
    assert coverage(after, 0.68) == pytest.approx(0.68, abs=0.06)


# ---------------------------------------------------------------- command


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_the_command_writes_a_model_and_takes_it_back(folder, table, tmp_path):
    write_catalog(table, tmp_path / "cat.fits")
    words = ["calibrate", tmp_path / "cat.fits", "--truth", "z=z_spec", "--model", folder]
    shown = run(*words, "-o", tmp_path / "new")
    assert shown.exit_code == 0, shown.output
    assert "z: 160 objects (0 left out)" in shown.stdout
    assert "recalibrated" in shown.stdout
    assert run(*words, "-o", tmp_path / "new").exit_code == 1
    assert run(*words, "-o", tmp_path / "new", "--overwrite").exit_code == 0
    back = run("calibrate", "--remove", tmp_path / "new")
    assert "taken back (z)" in back.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cat.fits", "new"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--remove", "m", "-o", "n"), "stands alone"),
        (("cat.fits", "-o", "n"), "--truth"),
        (("cat.fits", "--truth", "z=z_spec"), "--in-place"),
        (("cat.fits", "--truth", "z", "-o", "n"), "QUANTITY=COLUMN"),
    ],
)
def test_the_command_refuses_what_it_cannot_do(words, said):
    shown = run("calibrate", *words)
    assert shown.exit_code == 2
    assert said in shown.stderr
