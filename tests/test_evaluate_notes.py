"""`evaluate` warns: of few objects, of text for numbers, of rows that adapted the model."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
from annotation_tables import make_table, small_model, write_small
from astropy.table import MaskedColumn, QTable
from click.testing import CliRunner
from finetune_tables import QUICK, galaxies

from jpassed.adaptation import calibrate, finetune
from jpassed.annotation import infer
from jpassed.cli import main
from jpassed.exceptions import UnknownNameError
from jpassed.io.catalogs import write_catalog
from jpassed.validation import evaluate
from jpassed.validation.notes import FEW


def points(n: int) -> QTable:
    """Columns of another code's redshifts."""
    z = np.linspace(0.1, 0.9, n)
    return QTable({"z_spec": z, "z_phot": z + 0.01})


@pytest.mark.parametrize(("n", "few"), [(1, True), (3, True), (FEW - 1, True), (FEW, False)])
def test_few_objects_are_warned_of(n, few, caplog):
    with caplog.at_level(logging.WARNING, "jpassed.validation"):
        found = evaluate(points(n), {"z": "z_spec"}, predictions={"z": "z_phot"}, n_bootstrap=0)
    assert bool(found.warnings) is few
    assert ("mean little" in caplog.text) is few
    assert set(found.warnings) <= set(found.notes)
    if few:
        said = "1 object is" if n == 1 else f"{n} objects are"
        assert found.warnings[0].startswith(f"z: {said} compared")


def test_the_command_and_the_report_say_it(tmp_path):
    write_catalog(points(3), tmp_path / "cat.fits")
    words = ["evaluate", tmp_path / "cat.fits", "--truth", "z=z_spec", "--predictions",
             "z=z_phot", "--bootstrap", "0"]  # fmt: skip
    shown = CliRunner().invoke(main, [str(word) for word in words])
    assert shown.exit_code == 0, shown.output
    assert "fewer than about 50 mean little" in shown.stderr
    report = (tmp_path / "cat_evaluation" / "report.html").read_text("utf-8")
    assert "fewer than about 50 mean little" in report


def test_numbers_in_a_column_of_text_are_told():
    table = points(60)
    text = [f"{z:.4f}" for z in table["z_spec"]]
    table["z_text"] = MaskedColumn(text, mask=np.arange(60) < 2)
    found = evaluate(table, {"z": "z_text"}, predictions={"z": "z_phot"}, n_bootstrap=0)
    (said,) = found.warnings
    assert "column 'z_text' holds text" in said
    assert found.counts["used"][0] == 58
    assert not evaluate(table, {"z": "z_spec"}, predictions={"z": "z_phot"}, n_bootstrap=0).warnings


def test_an_unknown_quantity_is_one_of_the_truth():
    with pytest.raises(UnknownNameError, match="unknown truth quantity 'zspec'"):
        evaluate(points(60), {"zspec": "z_spec"})


def test_rows_that_calibrated_the_model_are_told_again(tmp_path):
    (tmp_path / "start").mkdir()
    write_small(tmp_path / "start")
    table = make_table(200)
    rng = np.random.default_rng(2)
    posterior = infer(table, model=small_model(), outputs=["z"])["z"]
    table["z_spec"] = posterior.values_at(rng.beta(8, 3, size=(200, 1)))[:, 0]
    some, others = table[:100], table[100:]
    calibrate(some, {"z": "z_spec"}, tmp_path / "new", model=tmp_path / "start", force=True,
              table_name="spec.fits")  # fmt: skip

    def said(rows, model="new"):
        model = tmp_path / model
        return evaluate(rows, {"z": "z_spec"}, model=model, n_bootstrap=0).warnings

    (same,) = said(some[::-1])
    assert "used to adapt the model: it was calibrated with a sample (spec.fits)" in same
    assert "of which all is in this table" in same
    (whole,) = said(table)
    assert "of which all" in whole
    (half,) = said(table[50:])
    assert "about" in half
    assert said(others) == ()
    assert said(some, "start") == ()


def test_rows_that_tuned_the_model_are_told_again(tmp_path):
    table = galaxies(120)
    found = finetune(table, tmp_path / "new", {"z": "z_spec,z_err"}, settings=QUICK)
    card = json.loads((tmp_path / "new" / "model.json").read_text())
    record = card["finetuning"][-1]
    assert len(record["row_sketches"]["z"]["row_sketch"]) == 64
    # The decision is not what is tested here.
    record["accepted"] = True
    (tmp_path / "new" / "model.json").write_text(json.dumps(card))
    given = {"truth": {"z": "z_spec"}, "model": tmp_path / "new", "n_bootstrap": 0}
    (same,) = evaluate(table, **given).warnings
    assert "it was fine-tuned" in same and "of which all" in same
    assert evaluate(galaxies(120, 9)[-60:], **given).warnings == ()
    record["accepted"] = False
    (tmp_path / "new" / "model.json").write_text(json.dumps(card))
    assert evaluate(table, **given).warnings == ()
    assert found.table["n"].dtype.kind == "i"
