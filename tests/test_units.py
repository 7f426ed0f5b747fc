"""Flux units and wavelength conventions."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from hypothesis import given
from hypothesis import strategies as st

from jpassed.exceptions import InputError
from jpassed.units import (
    AB_ZEROPOINT_MICROJANSKY,
    NANOMAGGY,
    SPEED_OF_LIGHT,
    ab_magnitude,
    air_to_vacuum,
    from_ab_magnitude,
    parse_unit,
    to_microjansky,
    vacuum_to_air,
)

FLAM = u.erg / u.s / u.cm**2 / u.AA
FLUXES = st.floats(1e-6, 1e9)


def test_constants():
    assert SPEED_OF_LIGHT == pytest.approx(2.99792458e18)
    assert from_ab_magnitude(0.0) == 3631e6
    assert from_ab_magnitude(22.5) == pytest.approx(NANOMAGGY, rel=1e-12)
    assert pytest.approx(3.631) == NANOMAGGY


@given(FLUXES)
def test_magnitude_and_flux_are_inverse(flux):
    assert from_ab_magnitude(ab_magnitude(flux)) == pytest.approx(flux, rel=1e-12)


def test_magnitude_of_what_has_none_is_nan():
    flux = np.array([[1.0, 0.0], [-3.0, np.nan]])
    magnitude = ab_magnitude(flux)
    assert magnitude.shape == (2, 2)
    assert magnitude[0, 0] == pytest.approx(-2.5 * np.log10(1 / 3631e6))
    assert np.isnan(magnitude.ravel()[1:]).all()


@pytest.mark.parametrize(
    ("unit", "microjansky"),
    [
        ("uJy", 1.0),
        ("microjansky", 1.0),
        (u.Jy, 1e6),
        ("nJy", 1e-3),
        ("nanomaggy", 3.631),
        (" Nanomaggies ", 3.631),
        ("nmgy", 3.631),
        (u.Unit("nanomaggies", parse_strict="silent"), 3.631),
        ("erg / (s cm2 Hz)", 1e29),
        ("erg/s/cm2/Hz", 1e29),
        (u.W / u.m**2 / u.Hz, 1e32),
        (u.Unit(3.631 * u.uJy), 3.631),
    ],
)
def test_linear_units(unit, microjansky):
    flux, error = to_microjansky([2.0, -1.0], unit, error=[0.5, 0.25])
    np.testing.assert_allclose(flux, [2.0 * microjansky, -microjansky], rtol=1e-12)
    np.testing.assert_allclose(error, [0.5 * microjansky, 0.25 * microjansky], rtol=1e-12)
    assert to_microjansky(1.0, unit)[1] is None


@pytest.mark.parametrize("unit", ["mag", "mag(AB)", "ABmag", "AB", u.mag, u.ABmag, u.mag()])
def test_magnitudes(unit):
    flux, error = to_microjansky([23.9, 20.0], unit, error=[0.1, 0.02])
    np.testing.assert_allclose(flux, AB_ZEROPOINT_MICROJANSKY * 10 ** (-0.4 * np.r_[23.9, 20.0]))
    # 23.9 is the zero point of 1 uJy, to the rounding of 3631 Jy.
    assert flux[0] == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_allclose(error, flux * np.log(10) / 2.5 * np.r_[0.1, 0.02])


@given(flux=FLUXES, pivot=st.floats(1000.0, 50000.0))
def test_flux_per_wavelength_agrees_with_astropy(flux, pivot):
    unit = u.Unit("1e-17 erg / (s cm2 Angstrom)")
    expected = (flux * unit).to(u.uJy, u.spectral_density(pivot * u.AA)).value
    found, error = to_microjansky(flux, unit, error=0.1 * flux, pivot=pivot)
    assert found == pytest.approx(expected, rel=1e-9)
    assert error == pytest.approx(0.1 * expected, rel=1e-9)


def test_flux_per_wavelength_takes_a_pivot_per_band():
    unit = "1e-19 erg/(s cm2 Angstrom)"
    flux, _ = to_microjansky(np.ones((3, 2)), unit, pivot=[4000.0, 8000.0])
    assert flux.shape == (3, 2)
    np.testing.assert_allclose(flux[:, 1] / flux[:, 0], 4.0)
    with pytest.raises(InputError, match="pivot wavelength; give `pivot`"):
        to_microjansky(1.0, unit)


@pytest.mark.parametrize("unit", ["1e-19 erg/s/cm2/A", u.Unit("1e-19 erg / (A s cm2)")])
def test_an_angstrom_written_as_ampere_is_one(unit, recwarn):
    # Catalogues write A, which astropy takes for the ampere.
    flux, _ = to_microjansky(7.0, unit, pivot=5000.0)
    assert flux == pytest.approx(to_microjansky(7.0, 1e-19 * FLAM, pivot=5000.0)[0], rel=1e-12)
    assert not recwarn.list


@pytest.mark.parametrize(
    "unit",
    [
        "Angstrom",
        "",
        u.count / u.s,
        u.STmag,  # zero points that are not AB: silently wrong by 0.1 mag and more
        u.mag(u.ct / u.s),
        u.dex(u.Jy),
        u.Unit("furlongs", parse_strict="silent"),
        None,
        3.0,
    ],
)
def test_other_units_are_refused(unit):
    with pytest.raises(InputError, match="as a flux unit; expected AB magnitudes, nanomaggy"):
        to_microjansky(1.0, unit, pivot=5000.0)


def test_what_is_no_unit_is_refused_with_examples():
    with pytest.raises(InputError, match=r"cannot read 'florins' .*'uJy', 'nanomaggy', 'mag\(AB"):
        to_microjansky(1.0, "florins")


def test_parsed_names():
    assert parse_unit("maG(AB)") == "abmag"
    assert parse_unit("nMgy") == "nanomaggy"
    assert parse_unit("mJy") == u.mJy


@pytest.mark.parametrize(
    ("air", "vacuum"),
    # NIST Atomic Spectra Database: hydrogen and doubly ionised oxygen.
    [(6562.79, 6564.60), (4861.35, 4862.71), (4958.911, 4960.295), (5006.843, 5008.240)],
)
def test_known_lines_in_air_and_vacuum(air, vacuum):
    assert air_to_vacuum(air) == pytest.approx(vacuum, abs=0.02)
    assert vacuum_to_air(vacuum) == pytest.approx(air, abs=0.02)
    assert (vacuum - air) / air == pytest.approx(2.8e-4, abs=1e-5)


@given(st.floats(2001.0, 60000.0))
def test_air_and_vacuum_are_inverse(wavelength):
    assert air_to_vacuum(vacuum_to_air(wavelength)) == pytest.approx(wavelength, abs=2e-4)


def test_far_ultraviolet_is_vacuum_already():
    short = np.array([912.0, 1215.67, 1999.0])
    np.testing.assert_array_equal(air_to_vacuum(short), short)
    np.testing.assert_array_equal(vacuum_to_air(short), short)
