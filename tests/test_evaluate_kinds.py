"""`evaluate`: quantities that only the model of an annotated table knew, unreadable bandfluxes."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Column, QTable

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.validation import evaluate

N = 200


@pytest.fixture
def table() -> QTable:
    """Gaussian predictions of a made-up index in magnitudes, and of a redshift."""
    rng = np.random.default_rng(5)
    truth, off = rng.uniform(1, 2, N), 0.1 * rng.standard_normal(N)
    found = QTable()
    found["jp_d4000"] = Column(truth + off, unit="mag", description="Break <&> index. Median")
    found["jp_d4000_lo"], found["jp_d4000_hi"] = (truth + off + s * u.one for s in (-0.1, 0.1))
    found["index"] = Column(1000 * truth, unit="mmag")
    found["z_spec"] = rng.uniform(0.1, 0.9, N)
    found["z_phot"] = found["z_spec"] + 0.01
    return found


def test_kinds_of_a_models_own_are_told_by_their_columns(table, tmp_path):
    found = evaluate(table, {"d4000": "index"}, n_bootstrap=0)
    off = np.asarray(table["jp_d4000"]) - np.asarray(table["index"]) / 1000
    assert found.value("bias", "d4000") == pytest.approx(np.median(off), rel=1e-6)
    assert found.value("coverage_quoted", "d4000") == np.mean(np.abs(off) <= 0.1)
    assert found.vocabulary["d4000"].unit == "mag"
    page = (found.write(tmp_path / "report") / "report.html").read_text("utf-8")
    assert "Break &lt;&amp;&gt; index. Median, mag." in page and "<&>" not in page


def test_a_quantity_without_a_column_is_still_unknown(table):
    with pytest.raises(UnknownNameError, match="d5000"):
        evaluate(table, {"d5000": "index"})


def test_bandfluxes_that_cannot_be_read_cost_the_magnitudes_only(table, caplog):
    table["sdss_r"], table["sdss_r_err"] = Column(np.full(N, 3.0), unit="s"), np.ones(N)
    with caplog.at_level(logging.WARNING):
        found = evaluate(table, {"z": "z_spec"}, predictions={"z": "z_phot"}, n_bootstrap=0)
    assert "sdss_r" in caplog.text
    assert set(found.figures["by"]) == {"all", "z_true"}
    with pytest.raises(InputError, match="sdss_r"):
        evaluate(table, {"z": "z_spec"}, predictions={"z": "z_phot"}, survey="generic")


def test_errors_of_the_truth_are_not_said_to_be_convolved_without_posteriors(table):
    table["z_spec_err"] = np.full(N, 0.01)
    found = evaluate(table, {"z": "z_spec"}, predictions={"z": "z_phot"}, n_bootstrap=0)
    assert any("truth has errors" in note for note in found.notes)
    assert not any("convolved" in note for note in found.notes)


def test_the_name_of_a_column_is_no_formula(table, tmp_path):
    table["x$_{$"] = table["z_spec"] + 1.0
    found = evaluate(
        table, {"z": "z_spec"}, predictions={"z": "z_phot"}, by={"x$_{$": None}, n_bootstrap=0
    )
    folder = found.write(tmp_path / "report")
    assert (folder / "redshift_by_x____.png").stat().st_size > 0
    assert "By x$_{$" in (folder / "report.html").read_text("utf-8")
