"""Annotating page by page: the same predictions, other draws, few messages."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from astropy.table import QTable, vstack

import jpassed
from jpassed.annotation.streaming import SHOWN, PageAnnotator, few_messages
from jpassed.exceptions import InputError, UnknownNameError, UnrecognisedTableError
from jpassed.posteriors import Recalibration
from jpassed.weights import load_model

RNG = np.random.default_rng(3)
N = 12


@pytest.fixture(scope="module")
def table():
    """Arrays of 60 bands as in miniJPAS, some flagged."""
    flux = RNG.uniform(5, 50, (N, 60))
    flags = np.zeros((N, 60), dtype="i2")
    flags[:, ::2] = 4 * (RNG.random((N, 30)) < 0.3)
    return QTable(
        {
            "number": np.arange(N),
            "flux_auto": flux,
            "flux_relerr_auto": np.full((N, 60), 0.05),
            "flags": flags,
            "z_spec": RNG.uniform(0.1, 0.5, N),
        }
    )


def paged(annotator, table, rows=5):
    starts = range(0, len(table), rows)
    return [annotator(table[start : start + rows], start) for start in starts]


def test_predictions_do_not_depend_on_the_pages(table):
    whole = jpassed.annotate(table, outputs="z,logmstar", context={"z": "z_spec"})
    pages = paged(PageAnnotator(outputs="z,logmstar", context={"z": "z_spec"}), table)
    assert [len(page) for page in pages] == [5, 5, 2]
    found = vstack(pages, metadata_conflicts="silent")
    assert found.colnames == whole.colnames
    for name in ("jp_z", "jp_z_lo", "jp_logmstar", "jp_flag", "jp_nbands"):
        np.testing.assert_allclose(found[name], whole[name], rtol=1e-5)
    assert {page.meta["jp_survey"] for page in pages} == {"minijpas"}


def test_draws_are_repeatable_and_differ_between_pages(table):
    same = vstack([table[:2], table[:2]])
    options = {"outputs": "z", "samples": 3, "joint": False}
    one, two = (paged(PageAnnotator(**options), same, rows=2) for _ in range(2))
    for page, again in zip(one, two, strict=True):
        np.testing.assert_array_equal(page["jp_z_samples"], again["jp_z_samples"])
    assert not np.array_equal(one[0]["jp_z_samples"], one[1]["jp_z_samples"])
    whole = jpassed.annotate(same[:2], **options)
    np.testing.assert_array_equal(one[0]["jp_z_samples"], whole["jp_z_samples"])
    other = paged(PageAnnotator(**options, seed=1), same, rows=2)
    assert not np.array_equal(one[1]["jp_z_samples"], other[1]["jp_z_samples"])


def test_a_bad_page_is_named(table):
    annotator = PageAnnotator(outputs="z")
    annotator(table[:5], 0)
    other = table[5:8]
    other["jp_z"] = 0.3
    with pytest.raises(InputError, match=r"^rows 6 to 8: the table already has jp_z"):
        annotator(other, 5)
    with pytest.raises(UnrecognisedTableError):
        PageAnnotator(outputs="z")(QTable({"a": [1.0]}), 0)


def test_labels_alone_do(table):
    labels = table["number", "z_spec"]
    pages = paged(PageAnnotator(outputs="logmstar", context={"z": "z_spec"}), labels)
    assert np.isfinite(pages[2]["jp_logmstar"]).all()


def test_an_unknown_model_is_told_at_once():
    with pytest.raises(UnknownNameError, match="unknown model 'nome'"):
        PageAnnotator(model="nome")


def test_what_decides_on_the_result(tmp_path):
    path = tmp_path / "map.yaml"
    path.write_text("bands: {}")
    one = PageAnnotator(outputs=["z"], survey=path, device="cpu").task
    assert one["outputs"] == ["z"]
    assert one["model"].startswith("default")
    assert one["jpassed"] == jpassed.__version__
    assert "device" not in one
    assert PageAnnotator(outputs=["z"], survey=path, device="auto").task == one
    path.write_text("bands: {rSDSS: {flux: r, error: r_err, unit: uJy}}")
    assert PageAnnotator(outputs=["z"], survey=path).task != one


def test_a_calibration_in_place_decides_on_the_result():
    model = load_model("default")
    maps = {"z": Recalibration((-1.0, 1.0), (-0.5, 0.5)).to_dict()}
    other = replace(model, card={**model.card, "recalibration": maps})
    assert other.digest == model.digest
    assert PageAnnotator(model=other).task["model"] != PageAnnotator(model=model).task["model"]


def said_of(caplog, name="jpassed.annotation.task"):
    return [record.getMessage() for record in caplog.records if record.name == name]


def test_the_same_of_many_bands_and_pages_is_one_line(table, caplog):
    flagged = int((table["flags"] > 0).sum())
    with caplog.at_level(logging.WARNING):
        jpassed.annotate(table, outputs="z")
    (line,) = [text for text in said_of(caplog) if "flagged" in text]
    bands = int((table["flags"] > 0).any(axis=0).sum())
    assert line.startswith(f"{bands} bands (uJAVA, J0390, ")
    assert line.endswith(f", ...): {flagged} values flagged in column 'flags'; not observed there")
    caplog.clear()
    with caplog.at_level(logging.WARNING), few_messages():
        paged(PageAnnotator(outputs="z"), table)
    assert len([text for text in said_of(caplog) if "flagged" in text]) == 1
    last = caplog.records[-1].getMessage()
    assert last == "2 more messages of this kind (--verbose shows all of them)"
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="jpassed"), few_messages():
        paged(PageAnnotator(outputs="z"), table)
    assert len([text for text in said_of(caplog) if "flagged" in text]) == 3
    single = [text for text in said_of(caplog, "jpassed.surveys.remarks") if "flagged" in text]
    assert len(single) > 2 * SHOWN and single[0].startswith("uJAVA: ")


def test_few_messages_are_shown_and_the_others_counted(caplog):
    log = logging.getLogger("jpassed.annotation.task")
    with few_messages():
        for k in range(SHOWN + 3):
            log.warning("z: 1 row (%d) with no sense in column 'z%d'", k, k)
    assert len(said_of(caplog)) == SHOWN
    last = caplog.records[-1].getMessage()
    assert last == "3 more messages of this kind (--verbose shows all of them)"
    caplog.clear()
    with few_messages():
        log.warning("only one")
    assert [r.getMessage() for r in caplog.records] == ["only one"]
