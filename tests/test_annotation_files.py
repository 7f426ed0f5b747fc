"""Annotated tables through files: what was predicted comes back, with units, words and UCDs."""

from __future__ import annotations

import numpy as np
import pytest
from annotation_tables import BANDS, make_table, masked, numbers, small_model

from jpassed.annotation import annotate
from jpassed.io import read_catalog, write_catalog
from jpassed.posteriors.grids import PdfGrid

OUTPUTS = ["z", "t0", "ew_halpha", "flux:galex_nuv"]
FORMATS = ("fits", "vot", "ecsv", "parquet", "fits.gz")


@pytest.fixture(scope="module")
def annotated():
    table = make_table(8)
    for band in BANDS:
        table = masked(table, band, [5])
    table["name"] = [f"galaxy {k}" for k in range(8)]
    return annotate(table, model=small_model(), outputs=OUTPUTS, pdf=True, samples=3)


@pytest.mark.parametrize("ending", FORMATS)
def test_round_trip(annotated, tmp_path, ending):
    path = tmp_path / f"out.{ending}"
    write_catalog(annotated, path)
    back = read_catalog(path)
    assert back.colnames == annotated.colnames
    for name in annotated.colnames:
        old, new = annotated[name], back[name]
        assert new.info.unit == old.info.unit, name
        if name == "name":
            assert list(new) == list(old)
            continue
        np.testing.assert_array_equal(numbers(new), numbers(old), err_msg=name)
        assert new.dtype == old.dtype, name
        if name.startswith("jp_"):
            words = [" ".join(column.info.description.split()) for column in (old, new)]
            assert words[0] == words[1], name
            assert new.info.meta["ucd"] == old.info.meta["ucd"], name
    assert PdfGrid.parse(back["jp_z_pdf"].info.description).number == back["jp_z_pdf"].shape[1]
    meta = {str(key).lower(): value for key, value in back.meta.items()}
    for key in ("jp_model", "jp_model_version", "jp_weights", "jp_version", "jp_date"):
        assert meta[key] == annotated.meta[key], key


@pytest.mark.parametrize("ending", ("fits", "vot", "ecsv", "parquet", "csv"))
def test_a_catalogue_read_from_a_file_gives_the_same(tmp_path, ending):
    table = masked(make_table(6), "J0540", [1])
    path = tmp_path / f"in.{ending}"
    write_catalog(table, path)
    read = read_catalog(path)
    result = annotate(read, model=small_model(), outputs=OUTPUTS)
    expected = annotate(table, model=small_model(), outputs=OUTPUTS)
    for name in expected.colnames:
        if name.startswith("jp_"):
            np.testing.assert_allclose(numbers(result[name]), numbers(expected[name]), rtol=1e-5)
    assert list(result["jp_nbands"]) == [10, 9, 10, 10, 10, 10]


@pytest.mark.parametrize("ending", ("fits", "vot", "ecsv", "parquet"))
def test_an_annotated_file_is_annotated_again_only_when_asked(annotated, tmp_path, ending):
    path = tmp_path / f"out.{ending}"
    write_catalog(annotated, path)
    back = read_catalog(path)
    with pytest.raises(ValueError, match="replace_columns"):
        annotate(back, model=small_model(), outputs=OUTPUTS)
    again = annotate(back, model=small_model(), outputs=OUTPUTS, replace_columns=True)
    assert not any(name.endswith(("_pdf", "_samples")) for name in again.colnames)
    for name in again.colnames:
        if name.startswith("jp_"):
            np.testing.assert_allclose(numbers(again[name]), numbers(annotated[name]), rtol=1e-5)
