"""Annotating page by page: the same predictions, other draws, few messages."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from astropy.table import QTable, vstack

import jpassed
from jpassed.annotation.streaming import SHOWN, PageAnnotator, few_messages
from jpassed.exceptions import InputError, UnknownNameError, UnrecognisedTableError

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
    path.write_text("bands: {x: {}}")
    assert PageAnnotator(outputs=["z"], survey=path).task != one


def test_few_messages_are_shown_and_the_others_counted(table, caplog):
    with caplog.at_level(logging.WARNING), few_messages():
        paged(PageAnnotator(outputs="z"), table)
    said = [r.getMessage() for r in caplog.records if r.name == "jpassed.annotation.task"]
    assert len(said) == len(set(said)) == SHOWN
    assert (
        caplog.records[-1]
        .getMessage()
        .endswith("more messages of this kind (--verbose shows all of them)")
    )
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="jpassed"), few_messages():
        paged(PageAnnotator(outputs="z"), table)
    said = [r.getMessage() for r in caplog.records if r.name == "jpassed.annotation.task"]
    assert len(said) > 2 * SHOWN
    caplog.clear()
    with few_messages():
        logging.getLogger("jpassed.annotation.task").warning("only one")
    assert [r.getMessage() for r in caplog.records] == ["only one"]
