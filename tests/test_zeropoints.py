"""Zero points: what a file holds, what it corrects, what it is refused for."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, QTable, Table
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import jpassed
from jpassed.annotation import infer
from jpassed.annotation.streaming import PageAnnotator
from jpassed.cli import main
from jpassed.cli.command_zeropoints import _summary
from jpassed.exceptions import FileError, InputError
from jpassed.io.zeropoint_file import read_zeropoints, write_zeropoints
from jpassed.surveys import read_photometry
from jpassed.surveys.zeropoints import WHOLE, ZeroPoints, tile_names

BANDS = ("J0400", "J0540", "rSDSS")


def zero_points(offset=((0.1, -0.2, 0.05),), tiles=(WHOLE,), column="", **more) -> ZeroPoints:
    offset = np.array(offset, dtype=float)
    shape = offset.shape
    own = {
        "bands": BANDS[: shape[1]],
        "surveys": ("generic",) * shape[1],
        "pivot": np.array([4000.0, 5400.0, 6254.0])[: shape[1]],
        "tiles": tiles,
        "offset": offset,
        "error": np.full(shape, 0.004),
        "n_galaxies": np.full(shape, 321),
        "own": np.ones(shape, dtype=bool),
        "column": column,
    }
    return ZeroPoints(**{**own, **more})


def catalogue(n=6, bands=BANDS, **columns) -> QTable:
    rng = np.random.default_rng(1)
    table = QTable()
    for band in bands:
        table[band] = rng.uniform(5.0, 50.0, n) * u.uJy
        table[f"{band}_err"] = np.full(n, 0.5) * u.uJy
    for name, values in columns.items():
        table[name] = values
    return table


def test_offsets_are_added_to_magnitudes():
    table = catalogue()
    before = read_photometry(table)
    after, said = zero_points().apply(before, table)
    magnitude = -2.5 * np.log10(after.flux / before.flux)
    np.testing.assert_allclose(magnitude, np.tile([0.1, -0.2, 0.05], (6, 1)), atol=1e-12)
    np.testing.assert_allclose(after.error / after.flux, before.error / before.flux)
    assert said == ()


def test_undetermined_and_unlisted_bands_stay_and_are_named():
    table = catalogue(bands=(*BANDS, "J0660"))
    before = read_photometry(table)
    after, said = zero_points([[0.1, np.nan, 0.05]]).apply(before, table)
    ratio = dict(zip(before.bands, (after.flux / before.flux)[0], strict=True))
    assert ratio["J0540"] == ratio["J0660"] == 1.0
    assert ratio["J0400"] == pytest.approx(10**-0.04)
    assert said == ("zero points: none for J0660, J0540; those bands stay as they are",)


@pytest.mark.parametrize(
    "tiles",
    [
        np.array(["A1", "B2", "A1", "C9", "B2", ""]),
        MaskedColumn(np.array([b"A1", b"B2", b"A1", b"C9", b"B2", b"B2"]), mask=[0, 0, 0, 0, 0, 1]),
    ],
)
def test_each_tile_has_its_own_and_unknown_ones_those_of_the_whole(tiles):
    table = catalogue(TILE=tiles)
    found = zero_points(
        [[0.1, 0.0, -0.1], [0.2, 0.0, -0.2], [0.3, 0.0, -0.3]], (WHOLE, "A1", "B2"), "TILE"
    )
    before = read_photometry(table)
    after, said = found.apply(before, table)
    first = -2.5 * np.log10(after.flux / before.flux)[:, before.bands.index("J0400")]
    np.testing.assert_allclose(first, [0.2, 0.3, 0.2, 0.1, 0.3, 0.1])
    assert said == (
        "zero points: 1 row is on a tile without zero points of its own (C9) and gets those of the "
        "whole catalogue",
    )


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (np.array([7, 12]), ["7", "12"]),
        (np.array([7.0, np.nan]), ["7", ""]),
        (np.array([7.5, 8.0]), ["7.5", "8"]),
        (np.array([" a ", "b"]), ["a", "b"]),
    ],
)
def test_tiles_are_named_alike_whatever_their_type(values, names):
    assert tile_names(Table({"t": values}), "t") == names


def test_a_missing_tile_column_is_named():
    found = zero_points([[0.1] * 3] * 2, (WHOLE, "A1"), "TILE_ID")
    table = catalogue()
    with pytest.raises(InputError, match="'TILE_ID' is not in the table, whose columns are J0400"):
        found.apply(read_photometry(table), table)


def test_another_survey_and_other_bands_are_refused():
    table = catalogue()
    photometry = read_photometry(table)
    with pytest.raises(InputError, match="J0400 is of survey 'minijpas' there and of 'generic'"):
        zero_points(surveys=("minijpas",) * 3).apply(photometry, table)
    other = catalogue(bands=("J0660", "J0740"))
    with pytest.raises(InputError, match="they are of J0400, J0540, rSDSS, and the table has J066"):
        zero_points().apply(read_photometry(other), other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offset": np.array([[0.1, 3.0, 0.0]])}, "offsets up to 3 mag"),
        ({"error": np.zeros((2, 3))}, "error has shape"),
        ({"tiles": ("A1",)}, "whole catalogue"),
        ({"bands": ("J0400", "J0400", "rSDSS")}, "once each"),
        ({"surveys": ("x",)}, "a survey and a pivot"),
    ],
)
def test_senseless_zero_points_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        replace(zero_points(), **changes)


finite = st.floats(-1.5, 1.5, width=32)
texts = st.text("abcXYZ019_.-", min_size=1, max_size=6)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    offset=hnp.arrays(float, (3, 3), elements=st.one_of(finite, st.just(np.nan))),
    tiles=st.lists(texts, min_size=2, max_size=2, unique=True),
    column=texts,
    ending=st.sampled_from([".ecsv", ".fits", ".vot", ".ecsv.gz"]),
)
def test_what_is_written_is_read(tmp_path, offset, tiles, column, ending):
    made = zero_points(offset, (WHOLE, *tiles), column, meta={"jp_model": "default"})
    path = tmp_path / f"zeropoints{ending}"
    write_zeropoints(made, path, overwrite=True)
    found = read_zeropoints(path)
    for name in ("bands", "surveys", "tiles", "column"):
        assert getattr(found, name) == getattr(made, name)
    np.testing.assert_allclose(found.offset, made.offset, rtol=1e-12)
    np.testing.assert_array_equal(np.isnan(found.error), np.isnan(made.offset))
    np.testing.assert_array_equal(found.own, made.own)
    np.testing.assert_array_equal(found.n_galaxies, made.n_galaxies)
    assert found.meta["jp_model"] == "default"


def test_the_file_says_units_and_sign(tmp_path):
    path = tmp_path / "zeropoints.ecsv"
    write_zeropoints(zero_points(), path)
    table = QTable.read(path)
    assert table["offset"].unit == table["offset_err"].unit == u.mag
    assert "to add to the catalogue's magnitudes" in table["offset"].info.description
    assert read_zeropoints(path).label == (
        f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    )


def test_units_of_an_edited_file_are_converted(tmp_path):
    table = zero_points().to_table()
    table["offset"] = table["offset"].to(u.mmag)
    assert ZeroPoints.from_table(table).offset[0, 0] == pytest.approx(0.1)
    table["offset"] = np.ones(3) * u.uJy
    with pytest.raises(InputError, match="column 'offset' is in uJy, expected mag"):
        ZeroPoints.from_table(table)


def test_other_files_are_refused(tmp_path):
    other = tmp_path / "other.ecsv"
    catalogue().write(other)
    with pytest.raises(InputError, match="no file of zero points: tile, band, survey"):
        read_zeropoints(other)
    with pytest.raises(FileError, match=r"none\.ecsv"):
        read_zeropoints(tmp_path / "none.ecsv")
    with pytest.raises(InputError, match="expected a file or ZeroPoints, got 3"):
        read_zeropoints(3)
    with pytest.raises(InputError, match="neither units nor provenance"):
        write_zeropoints(zero_points(), tmp_path / "zeropoints.csv")
    twice = zero_points().to_table()
    with pytest.raises(InputError, match="2 rows of 1 tiles and 2 bands|expected each band once"):
        ZeroPoints.from_table(twice[[0, 1, 1]])


@pytest.fixture(scope="module")
def bright():
    return catalogue(8, ("J0400", "J0470", "J0540", "J0610", "J0680", "J0750", "J0820", "rSDSS"))


def test_annotate_corrects_and_says_by_which_file(bright, tmp_path):
    offset = {"J0400": 0.15, "rSDSS": -0.1}
    made = ZeroPoints(
        tuple(offset), ("generic",) * 2, np.array([4000.0, 6254.0]), (WHOLE,),
        np.array([list(offset.values())]), np.full((1, 2), 0.01), np.full((1, 2), 99),
        np.ones((1, 2), dtype=bool),
    )  # fmt: skip
    path = tmp_path / "zeropoints.ecsv"
    write_zeropoints(made, path)
    by_hand = bright.copy()
    for band, value in offset.items():
        for name in (band, f"{band}_err"):
            by_hand[name] = by_hand[name] * 10 ** (-0.4 * value)
    expected = jpassed.annotate(by_hand, outputs="z,logmstar")
    found = jpassed.annotate(bright, outputs="z,logmstar", zeropoints=path)
    for name in ("jp_z", "jp_logmstar", "jp_z_lo"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6)
    np.testing.assert_array_equal(found["J0400"], bright["J0400"])
    assert found.meta["jp_zeropoints"] == read_zeropoints(path).label
    assert "jp_zeropoints" not in expected.meta
    again = jpassed.annotate(found, outputs="z,logmstar", replace_columns=True)
    assert "jp_zeropoints" not in again.meta
    posterior = infer(bright, outputs="z", zeropoints=made)
    np.testing.assert_allclose(posterior["z"].median(), found["jp_z"], rtol=1e-6)


def test_pages_are_corrected_alike(bright, tmp_path):
    path = tmp_path / "zeropoints.ecsv"
    write_zeropoints(zero_points(), path)
    annotator = PageAnnotator(outputs="z", zeropoints=path)
    whole = jpassed.annotate(bright, outputs="z", zeropoints=path)
    pages = [annotator(bright[:5], 0), annotator(bright[5:], 5)]
    np.testing.assert_allclose(
        np.concatenate([page["jp_z"] for page in pages]), whole["jp_z"], rtol=1e-5
    )
    assert annotator.task["zeropoints"] == read_zeropoints(path).label


def test_summary_tells_the_measured_bands_alone():
    meta = {"jp_zp_slope": 0.0, "jp_zp_slope_err": 0.01, "jp_zp_galaxies": 321}
    found = zero_points(offset=((0.1, np.nan, -0.2),), meta=meta)
    said = "\n".join(_summary(found, Path("zp.ecsv")))
    assert "zero points of 2 bands" in said
    assert "rSDSS -0.2000" in said and "J0540" not in said and "nan" not in said


def test_csv_is_refused_before_any_work(tmp_path):
    (tmp_path / "in.fits").touch()  # no table: it is not read
    words = ["zeropoints", str(tmp_path / "in.fits"), "-o", str(tmp_path / "zp.csv")]
    shown = CliRunner().invoke(main, words)
    assert shown.exit_code == 1
    assert "name it .ecsv" in shown.output
