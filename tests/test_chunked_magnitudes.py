"""Bandfluxes without a unit whose faint end, alone, would look like magnitudes."""

from __future__ import annotations

import numpy as np
import pytest
from annotation_tables import numbers, small_model
from astropy.table import Table

from jpassed.annotation import annotate
from jpassed.annotation.files import annotate_file
from jpassed.annotation.streaming import PageAnnotator
from jpassed.exceptions import InputError, UnknownNameError
from jpassed.io import read_catalog
from jpassed.surveys import detect_survey

ROWS, CHUNK = 18, 6
BANDS = ("rSDSS", "J0680")
OPTIONS = {"model": small_model(), "outputs": "z", "chi2": "none", "precision": "float32"}


def sorted_by_flux() -> Table:
    """Bright rows, then a chunk of 14 to 30 microjansky, then faint ones."""
    flux = np.r_[
        np.linspace(1000, 100, CHUNK), np.linspace(30, 14, CHUNK), np.linspace(5, 1, CHUNK)
    ]
    table = Table({"id": np.arange(ROWS)})
    for band in BANDS:
        table[band] = flux
        table[f"{band}_err"] = 0.03 * flux + 0.1
    return table


@pytest.mark.parametrize("survey", ["auto", "generic", "object"])
def test_a_catalogue_sorted_by_flux_is_taken_as_a_whole(tmp_path, survey):
    source, target = tmp_path / "in.fits", tmp_path / "out.fits"
    sorted_by_flux().write(source)
    whole = read_catalog(source)
    options = {**OPTIONS, "survey": detect_survey(whole) if survey == "object" else survey}
    expected = annotate(whole, **options)
    annotator = PageAnnotator(**options)
    annotator(whole[:CHUNK], 0)
    faint = annotator(whole[CHUNK : 2 * CHUNK], CHUNK)
    np.testing.assert_array_equal(
        numbers(faint["jp_z"]), numbers(expected["jp_z"])[CHUNK : 2 * CHUNK]
    )
    if survey != "object":
        assert annotate_file(source, target, rows=CHUNK, **options) == ROWS


def test_another_process_begins_in_the_middle():
    faint = sorted_by_flux()[CHUNK : 2 * CHUNK]
    assert len(PageAnnotator(**OPTIONS)(faint, CHUNK)) == CHUNK


def test_magnitudes_are_refused_in_the_first_rows_and_by_name_in_all(tmp_path):
    source, target = tmp_path / "in.fits", tmp_path / "out.fits"
    faint = sorted_by_flux()[CHUNK : 2 * CHUNK]
    faint.write(source)
    for refused in (lambda: annotate(faint, **OPTIONS), lambda: PageAnnotator(**OPTIONS)(faint, 0)):
        with pytest.raises(InputError, match="look like magnitudes"):
            refused()
    with pytest.raises(InputError, match="look like magnitudes"):
        annotate_file(source, target, rows=CHUNK, **OPTIONS)
    assert [p.name for p in tmp_path.iterdir()] == ["in.fits"]
    for band in BANDS:
        faint[f"{band}_err"].unit = "mag"
    with pytest.raises(InputError, match="say that they are magnitudes"):
        PageAnnotator(**OPTIONS)(faint, CHUNK)


def test_an_unknown_survey_is_told_before_any_page():
    with pytest.raises(UnknownNameError, match="nosuch"):
        PageAnnotator(**OPTIONS, survey="nosuch")
