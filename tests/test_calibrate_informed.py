"""`calibrate` where the true values are not those of the objects; rows that are told again."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
from astropy.table import Table
from click.testing import CliRunner
from finetune_tables import galaxies
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import lognorm, norm

from jpassed.adaptation import calibrate
from jpassed.adaptation.calibration_fit import choose_recalibration
from jpassed.adaptation.calibration_informed import over_distribution
from jpassed.cli import main
from jpassed.evaluation.row_sketch import LARGEST_SKETCH, row_sketch, share_of_rows
from jpassed.exceptions import UnknownNameError
from jpassed.io.catalogs import write_catalog
from jpassed.vocabulary import load_vocabulary

LOGGER = "jpassed.adaptation.calibration"


@pytest.fixture(scope="module")
def table() -> Table:
    """Simulated galaxies with their redshifts, and the same redshifts in other rows."""
    table = galaxies(120)
    table.remove_column("z_err")
    table["z_wrong"] = np.random.default_rng(5).permutation(table["z_spec"])
    return table


def test_true_values_of_other_objects_leave_the_model_as_it_is(table, caplog):
    with caplog.at_level(logging.WARNING, LOGGER):
        found = calibrate(table, {"z": "z_wrong"})
    assert "in the right rows and units?" in caplog.text
    assert "stays as it was" in caplog.text
    (row,) = found.table
    # The map itself would gain: only the distribution of the true values tells.
    assert row["log_score_gain"] > row["log_score_gain_error"]
    assert row["over_its_distribution"] < 2 * row["over_its_distribution_error"]
    assert not row["taken"]
    assert "z" not in found.model.card["recalibration"]
    (right,) = calibrate(table, {"z": "z_spec"}).table
    assert right["over_its_distribution"] > 2 * right["over_its_distribution_error"]


def test_it_is_done_all_the_same_if_asked(table, caplog):
    with caplog.at_level(logging.WARNING, LOGGER):
        found = calibrate(table, {"z": "z_wrong"}, force=True)
    assert found.table["taken"][0]
    assert "taken all the same" in caplog.text


def test_the_command_says_what_coverage_means(table, tmp_path):
    write_catalog(table, tmp_path / "cat.fits")
    words = ["calibrate", tmp_path / "cat.fits", "-o", tmp_path / "new"]
    shown = CliRunner().invoke(main, [*map(str, words), "--truth", "z=z_wrong"])
    assert shown.exit_code == 0, shown.output
    assert "left as it was" in shown.stdout
    assert "right rows and units?" in shown.stderr
    assert "on average over this sample" in shown.stdout
    assert "jpassed evaluate --by" in shown.stdout
    card = json.loads((tmp_path / "new" / "model.json").read_text())
    assert "on average" in card["calibrations"][-1]["scope"]


def test_an_unknown_quantity_is_one_of_the_truth(table):
    with pytest.raises(UnknownNameError, match="unknown truth quantity 'zspec'"):
        calibrate(table, {"zspec": "z_spec"})


@pytest.mark.parametrize("name", ["logmstar", "z", "ew_halpha"])
def test_the_gain_over_the_distribution_is_in_nats(name):
    """Posteriors that are the distribution gain nothing; those half as wide ln 2 and a bit."""
    kind, rng = load_vocabulary()[name], np.random.default_rng(3)
    values = {
        "logmstar": norm(10.0, 0.4), "z": norm(0.5, 0.05), "ew_halpha": lognorm(0.8, 0, 30.0),
    }[name]  # fmt: skip
    truth = values.rvs(2500, random_state=rng)
    check = choose_recalibration(rng.uniform(size=2500))[1]
    same = over_distribution(values.logpdf(truth), truth, check, kind)
    assert same.gain == pytest.approx(0.0, abs=0.03)
    better = over_distribution(values.logpdf(truth) + np.log(2), truth, check, kind)
    assert better.gain == pytest.approx(np.log(2), abs=0.03)
    assert better.better


@given(st.integers(1, 300), st.integers(0, 5))
def test_rows_are_told_again_in_any_order(n, seed):
    rng = np.random.default_rng(seed)
    value, flux = rng.uniform(0, 1, n).round(2), rng.uniform(1, 9, (n, 4))
    seen = rng.uniform(size=(n, 4)) > 0.2
    sketch = row_sketch(value, flux, seen)
    assert len(sketch) <= min(n, LARGEST_SKETCH)
    order = rng.permutation(n)
    # As a network keeps them, in another order, with another order of bands.
    args = value[order].astype(np.float32), flux[order][:, ::-1], seen[order][:, ::-1]
    assert share_of_rows(sketch, *args) == 1.0
    # The same redshift is not the same galaxy.
    some = seen.any(axis=1)
    assert share_of_rows(row_sketch(value[some], flux[some], seen[some]), value, 1.01 * flux,
                         seen) < 0.05  # fmt: skip


def test_the_share_of_rows_is_told_from_few():
    rng = np.random.default_rng(1)
    value, flux, seen = rng.uniform(size=4000), rng.uniform(size=(4000, 3)), np.ones((4000, 3))
    sketch = row_sketch(value, flux, seen == 1)
    assert share_of_rows(sketch, value[:1000], flux[:1000], seen[:1000] == 1) == pytest.approx(
        0.25, abs=0.17
    )
    assert share_of_rows([], value, flux, seen == 1) == 0.0
    assert row_sketch([np.nan], [[1.0]], [[True]]) == []
