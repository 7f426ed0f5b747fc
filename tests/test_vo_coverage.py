"""Coverage: circular fields and MOCs, and what they say of depth."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import Latitude, Longitude, SkyCoord
from astropy.table import MaskedColumn, QTable
from hypothesis import given, settings
from hypothesis import strategies as st

from jpassed.exceptions import FileError, InputError, MissingDependencyError, UnknownNameError
from jpassed.io import write_catalog
from jpassed.vo.coverage import FieldCoverage, MocCoverage, read_coverage

BANDS = ("fuv", "nuv")


def fields(**more) -> QTable:
    table = QTable({"ra": [10.0, 10.5, 200.0], "dec": [0.0, 0.0, 60.0], "radius": [0.5, 0.5, 0.6]})
    table["fuv_limit"] = MaskedColumn([19.9, 22.6, 19.9], mask=[0, 0, 1])
    table["nuv_limit"] = [20.8, 20.0, 20.8]
    for name, values in more.items():
        table[name] = values
    return table


@pytest.fixture(params=["ecsv", "fits", "vot", "csv"])
def file(request, tmp_path):
    path = tmp_path / f"fields.{request.param}"
    write_catalog(fields(), path)
    return path


def test_the_deepest_field_counts(file):
    found = read_coverage(file, BANDS)
    ra = np.array([9.6, 10.2, 10.9, 200.0, 50.0, np.nan])
    dec = np.array([0.0, 0.0, 0.0, 60.5, 0.0, 0.0])
    np.testing.assert_array_equal(found.covers(ra, dec), [1, 1, 1, 1, 0, 0])
    nan = np.nan
    fuv = [19.9, 22.6, 22.6, nan, nan, nan]  # the third field had its FUV detector off
    nuv = [20.8, 20.8, 20.0, 20.8, nan, nan]
    np.testing.assert_allclose(found.limits("fuv", ra, dec, 1.0), fuv)
    np.testing.assert_allclose(found.limits("nuv", ra, dec, 1.0), nuv)
    assert found.description == f"fields of {file.name}"


def test_a_band_without_depths_takes_that_of_the_survey(tmp_path):
    table = fields()
    table.remove_column("fuv_limit")
    write_catalog(table, tmp_path / "fields.fits")
    found = read_coverage(tmp_path / "fields.fits", BANDS)
    at = np.array([10.0, 50.0]), np.array([0.0, 0.0])
    np.testing.assert_array_equal(found.limits("fuv", *at, 19.9), [19.9, np.nan])
    np.testing.assert_array_equal(found.limits("fuv", *at, None), [np.nan, np.nan])


@pytest.mark.parametrize("odd", [-999.0, 0.0, 99.0])
def test_a_depth_that_is_none(tmp_path, odd):
    write_catalog(fields(nuv_limit=[odd, 20.0, 20.8]), tmp_path / "fields.fits")
    found = read_coverage(tmp_path / "fields.fits", BANDS)
    limits = found.limits("nuv", np.array([9.6, 10.2]), np.zeros(2), None)
    np.testing.assert_array_equal(limits, [np.nan, 20.0])


def test_units_of_fields(tmp_path):
    write_catalog(fields(radius=[30.0, 30.0, 36.0] * u.arcmin), tmp_path / "fields.fits")
    found = read_coverage(tmp_path / "fields.fits", BANDS)
    np.testing.assert_allclose(found.radius, [0.5, 0.5, 0.6])
    write_catalog(fields(radius=[1.0, 1.0, 1.0] * u.s), tmp_path / "wrong.fits")
    with pytest.raises(InputError, match="radius is in s, expected an angle"):
        read_coverage(tmp_path / "wrong.fits", BANDS)


def test_missing_columns_are_named(tmp_path):
    table = fields()
    table.remove_column("radius")
    write_catalog(table, tmp_path / "fields.ecsv")
    with pytest.raises(InputError, match="no column radius; a table of fields has ra, dec, radius"):
        read_coverage(tmp_path / "fields.ecsv", BANDS)
    with pytest.raises(FileError, match="nothing.fits"):
        read_coverage(tmp_path / "nothing.fits", BANDS)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 89.7, -89.9, 45.0]), st.floats(0.05, 3.0))
def test_fields_against_separations(seed, dec0, size):
    """Poles, and right ascension 0 = 360, included."""
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(-3, 3, 200) % 360, np.clip(dec0 + rng.uniform(-3, 3, 200), -90, 90)
    centre = rng.uniform(-2, 2, 5) % 360, np.clip(dec0 + rng.uniform(-2, 2, 5), -90, 90)
    radius = np.full(5, size)
    depth = rng.uniform(18, 25, 5)
    found = FieldCoverage(*centre, radius, {"nuv": depth})
    away = SkyCoord(ra[:, None], dec[:, None], unit="deg").separation(SkyCoord(*centre, unit="deg"))
    inside = away.deg <= radius
    np.testing.assert_array_equal(found.covers(ra, dec), inside.any(axis=1))
    deepest = np.where(inside, depth, -np.inf).max(axis=1)
    deepest[~inside.any(axis=1)] = np.nan
    np.testing.assert_array_equal(found.limits("nuv", ra, dec, None), deepest)


# --- MOC ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mocs(tmp_path_factory):
    """Two maps: around (10, 0) and around (40, 80)."""
    from mocpy import MOC

    folder = tmp_path_factory.mktemp("moc")
    for name, ra, dec in (("one", 10, 0), ("two", 40, 80)):
        centre = {"lon": Longitude(ra * u.deg), "lat": Latitude(dec * u.deg)}
        cone = MOC.from_cone(**centre, radius=1 * u.deg, max_depth=10)
        cone.save(folder / f"{name}.fits", format="fits")
        cone.save(folder / f"{name}.json", format="json")
    return folder


AT = np.array([10.0, 10.0, 40.0, np.nan]), np.array([0.5, 2.0, 80.0, 0.0])


@pytest.mark.parametrize("ending", ["fits", "json"])
def test_one_map_for_all_bands(mocs, ending):
    found = read_coverage(mocs / f"one.{ending}", BANDS)
    assert isinstance(found, MocCoverage)
    np.testing.assert_array_equal(found.covers(*AT), [1, 0, 0, 0])
    for band in BANDS:
        np.testing.assert_array_equal(found.limits(band, *AT, 20.8), [20.8] + [np.nan] * 3)
    assert np.isnan(found.limits("nuv", *AT, None)).all()
    assert found.description == f"MOC one.{ending}"


def test_a_map_for_each_band(mocs):
    found = read_coverage({"fuv": mocs / "one.fits", "nuv": mocs / "two.fits"}, BANDS)
    np.testing.assert_array_equal(found.covers(*AT), [1, 0, 1, 0])
    nan = np.nan
    np.testing.assert_array_equal(found.limits("fuv", *AT, 19.9), [19.9, nan, nan, nan])
    np.testing.assert_array_equal(found.limits("nuv", *AT, 20.8), [nan, nan, 20.8, nan])
    with pytest.raises(UnknownNameError, match="unknown band 'u'"):
        read_coverage({"u": mocs / "one.fits"}, BANDS)


def test_a_band_without_a_map_is_not_observed(mocs):
    found = read_coverage({"nuv": mocs / "one.fits"}, BANDS)
    assert np.isnan(found.limits("fuv", *AT, 19.9)).all()


def test_files_that_are_no_map(mocs, tmp_path):
    path = tmp_path / "broken.json"
    path.write_text("{")
    with pytest.raises(FileError, match=r"broken\.json is not a MOC, or it is damaged"):
        read_coverage(path)
    with pytest.raises(FileError, match="gone.json does not exist"):
        read_coverage(tmp_path / "gone.json")
    (tmp_path / "cut.fits").write_bytes((mocs / "one.fits").read_bytes()[:5770])
    with pytest.raises(FileError, match="not a MOC, or it is damaged"):
        read_coverage(tmp_path / "cut.fits")


def test_without_mocpy(mocs, monkeypatch):
    monkeypatch.setitem(sys.modules, "mocpy", None)
    with pytest.raises(MissingDependencyError, match=r"needs mocpy .*pip install 'jpassed\[moc\]'"):
        read_coverage(mocs / "one.fits")
