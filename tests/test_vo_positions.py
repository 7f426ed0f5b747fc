"""Positions of a table: columns found, units and frames read, rows without a position."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import Angle, SkyCoord
from astropy.table import Column, MaskedColumn, QTable, Table
from hypothesis import given
from hypothesis import strategies as st

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.vo.positions import find_positions

RA, DEC = np.array([0.0, 123.456789, 359.999999]), np.array([-90.0, 12.5, 89.999])


def with_ucds(table, **ucds):
    for name, ucd in ucds.items():
        table[name].info.meta = {"ucd": ucd}
    return table


@pytest.mark.parametrize(
    "names",
    [
        ("ra", "dec"),
        ("RA", "DEC"),
        ("RAJ2000", "DEJ2000"),
        ("RA_ICRS", "DE_ICRS"),
        ("ALPHA_J2000", "DELTA_J2000"),
        ("minijpas.MagABDualObj.ALPHA_J2000", "minijpas.MagABDualObj.DELTA_J2000"),
        ("TARGET_RA", "TARGET_DEC"),
        ("_RAJ2000", "_DEJ2000"),
        ("RA_deg", "DE"),
        ("ra_deg", "dec_deg"),
        ("RA", "DE"),
    ],
)
@pytest.mark.parametrize("unit", [None, u.deg])
def test_columns_by_name(names, unit):
    table = QTable({"id": [1, 2, 3], names[0]: RA, names[1]: DEC})
    if unit is not None:
        for name in names:
            table[name].unit = unit
    found = find_positions(table)
    assert found.columns == names
    np.testing.assert_array_equal(found.ra, RA)
    np.testing.assert_array_equal(found.dec, DEC)
    assert found.given.all()


def test_ucds_come_before_names():
    table = Table({"ra": RA + 1, "dec": DEC * 0, "lon": RA, "lat": DEC})
    with_ucds(table, lon="pos.eq.ra;meta.main", lat="pos.eq.dec;meta.main")
    assert find_positions(table).columns == ("lon", "lat")
    assert find_positions(table, "ra,dec").columns == ("ra", "dec")
    assert find_positions(table, ["ra", "dec"]).columns == ("ra", "dec")


def test_two_main_positions_are_ambiguous():
    table = Table({name: RA * 0 for name in ("ra", "dec", "ra_2", "dec_2")})
    with_ucds(table, ra="pos.eq.ra;meta.main", ra_2="pos.eq.ra;meta.main")
    with_ucds(table, dec="pos.eq.dec;meta.main", dec_2="pos.eq.dec;meta.main")
    with pytest.raises(InputError, match=r"ra, ra_2, dec, dec_2; name the two.*--position"):
        find_positions(table)


def test_no_positions_list_the_columns():
    with pytest.raises(InputError, match=r"pos\.eq\.ra;meta\.main.*The table has: id, flux"):
        find_positions(Table({"id": [1], "flux": [2.0]}))


def test_a_wrong_name_lists_the_columns():
    with pytest.raises(UnknownNameError, match="unknown column 'dek'. Did you mean 'dec'"):
        find_positions(Table({"ra": RA, "dec": DEC}), "ra,dek")


@pytest.mark.parametrize(
    ("unit", "factor"),
    [(u.rad, np.pi / 180), (u.arcsec, 3600.0), (u.hourangle, 1 / 15), ("degrees", 1.0)],
)
def test_units(unit, factor):
    lon = Column(RA * factor, unit=unit)
    found = find_positions(Table({"ra": lon, "dec": DEC}))
    np.testing.assert_allclose(found.ra, RA, rtol=1e-12, atol=1e-12)


def test_a_unit_that_is_no_angle():
    with pytest.raises(InputError, match="'ra' is in uJy; expected an angle"):
        find_positions(QTable({"ra": RA * u.uJy, "dec": DEC}))


def test_sexagesimal_text_has_hours_of_right_ascension():
    lon = Angle(RA * u.deg).to_string(u.hourangle, sep=":", precision=8)
    lat = Angle(DEC * u.deg).to_string(u.deg, sep=" ", precision=7, alwayssign=True)
    lon, lat = list(lon), list(lat)
    lon[1], lat[2] = lon[1].encode().decode(), " "
    found = find_positions(Table({"RAJ2000": Column(lon, unit='"h:m:s"'), "DEJ2000": lat}))
    np.testing.assert_allclose(found.ra[:2], RA[:2], atol=1e-9)
    np.testing.assert_allclose(found.dec[:2], DEC[:2], atol=1e-9)
    np.testing.assert_array_equal(found.given, [True, True, False])


def test_text_of_degrees_and_of_letters():
    found = find_positions(
        Table({"ra": ["123.5", "8h14m00s", "123d30m"], "dec": ["-1", "1d", "0"]})
    )
    np.testing.assert_allclose(found.ra, 123.5)
    with pytest.raises(InputError, match=r"'ra', row 1: expected an angle such as.*got 'here'"):
        find_positions(Table({"ra": ["1", "here"], "dec": ["1", "2"]}))


@pytest.mark.parametrize("frame", ["icrs", "galactic", "fk5", "fk4"])
def test_frames(frame):
    sky = SkyCoord(RA[1:], DEC[1:], unit="deg").transform_to(frame)
    lon, lat = (sky.l, sky.b) if frame == "galactic" else (sky.ra, sky.dec)
    found = find_positions(Table({"x": lon.deg, "y": lat.deg}), "x,y", frame)
    np.testing.assert_allclose(found.ra, RA[1:], atol=1e-7)
    np.testing.assert_allclose(found.dec, DEC[1:], atol=1e-7)
    whole = find_positions(QTable({"id": [1, 2], "where": sky}))
    assert whole.columns == ("where",)
    np.testing.assert_allclose(whole.ra, RA[1:], atol=1e-7)


def test_galactic_by_ucd_and_an_unknown_frame():
    sky = SkyCoord(RA[1:], DEC[1:], unit="deg").galactic
    table = with_ucds(
        Table({"x": sky.l.deg, "y": sky.b.deg}), x="pos.galactic.lon", y="pos.galactic.lat"
    )
    np.testing.assert_allclose(find_positions(table).ra, RA[1:], atol=1e-9)
    with pytest.raises(UnknownNameError, match="unknown frame 'galaktic'. Did you mean 'galactic'"):
        find_positions(table, "x,y", "galaktic")


def test_rows_without_a_position_are_kept(caplog):
    lon = MaskedColumn([10.0, 20.0, np.nan, -999.0, 361.0, -10.0], mask=[0, 1, 0, 0, 0, 0])
    found = find_positions(Table({"ra": lon, "dec": [1.0, 1.0, 1.0, 1.0, 1.0, np.nan]}))
    np.testing.assert_array_equal(found.given, [True] + [False] * 5)
    assert np.isnan(found.ra[1:]).all() and np.isnan(found.dec[1:]).all()
    assert "2 rows (3, 4) hold no position on the sky" in caplog.text


def test_no_row_with_a_position():
    with pytest.raises(InputError, match="no row has a position in 'ra' and 'dec'"):
        find_positions(Table({"ra": [np.nan], "dec": [1.0]}))
    with pytest.raises(
        InputError, match="ra = 1e\\+06, dec = 3 deg in row 0; expected at most 360"
    ):
        find_positions(Table({"ra": [1e6], "dec": [3.0]}))


def test_hours_without_a_unit_are_doubted(caplog):
    find_positions(Table({"ra": np.linspace(0, 23.9, 30), "dec": np.zeros(30)}))
    assert "taken as degrees" in caplog.text


def test_two_values_in_a_row():
    with pytest.raises(InputError, match="'ra' holds .* values in a row; expected one"):
        find_positions(Table({"ra": np.zeros((2, 2)), "dec": [0.0, 1.0]}))


@given(st.floats(-360, 360), st.floats(-90, 90))
def test_right_ascension_lies_in_one_turn(ra, dec):
    found = find_positions(Table({"ra": [ra], "dec": [dec]}))
    assert 0 <= found.ra[0] < 360
    assert np.cos(np.radians(found.ra[0])) == pytest.approx(np.cos(np.radians(ra)), abs=1e-9)
    assert found.dec[0] == dec
