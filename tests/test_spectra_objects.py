"""specutils.Spectrum objects: units, uncertainties, masks, axes."""

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import (
    InverseVariance,
    StdDevUncertainty,
    UnknownUncertainty,
    VarianceUncertainty,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from specutils import Spectrum

from jpassed.exceptions import InputError
from jpassed.io.spectra import spectrum_records
from jpassed.units import air_to_vacuum

FLAM = u.Unit("1e-17 erg / (s cm2 Angstrom)")
WAVE = np.linspace(4000.0, 5000.0, 21)


def spectrum(flux=None, unit=FLAM, axis=WAVE * u.AA, **kwargs):
    flux = np.arange(21.0) - 3.0 if flux is None else flux
    return Spectrum(flux=flux * unit, spectral_axis=axis, **kwargs)


def test_flux_wavelength_and_metadata_are_kept():
    known = {"name": "NGC 1", "z": 0.1, "ra": 1.0, "dec": 2.0, "HIERARCH": 3}
    (record,) = spectrum_records(spectrum(meta=known))
    np.testing.assert_allclose(record.wave, WAVE)
    np.testing.assert_allclose(record.flux, np.arange(21.0) - 3.0)  # negative flux stays
    assert record.ivar is None
    assert record.name == "NGC 1"
    assert record.metadata == {"z": 0.1, "ra": 1.0, "dec": 2.0}


@given(
    kind=st.sampled_from(["std", "var", "ivar"]),
    unit=st.sampled_from([FLAM, u.Unit("erg / (s cm2 Angstrom)"), u.mJy, u.Unit("W / (m2 um)")]),
    own_unit=st.booleans(),
    sigma=st.floats(1e-3, 1e3),
)
@settings(max_examples=40, deadline=None)
def test_every_uncertainty_in_every_unit_gives_the_same_significance(kind, unit, own_unit, sigma):
    make, values, power = {
        "std": (StdDevUncertainty, sigma, 1),
        "var": (VarianceUncertainty, sigma**2, 2),
        "ivar": (InverseVariance, sigma**-2, -2),
    }[kind]
    uncertainty = make(np.full(21, values), unit=unit**power if own_unit else None)
    (record,) = spectrum_records(spectrum(unit=unit, uncertainty=uncertainty))
    np.testing.assert_allclose(
        record.flux * np.sqrt(record.ivar), (np.arange(21.0) - 3.0) / sigma, rtol=1e-9
    )


def test_uncertainty_in_another_unit_than_the_flux():
    uncertainty = StdDevUncertainty(np.full(21, 2.0), unit=u.Unit("1e-18 erg / (s cm2 Angstrom)"))
    (record,) = spectrum_records(spectrum(uncertainty=uncertainty))
    np.testing.assert_allclose(record.ivar, 1 / 0.2**2)


def test_zero_error_is_a_bad_pixel():
    sigma = np.ones(21)
    sigma[[3, 4, 5]] = 0.0, np.nan, -1.0
    (record,) = spectrum_records(spectrum(uncertainty=StdDevUncertainty(sigma)))
    np.testing.assert_array_equal(np.flatnonzero(~record.good), [3, 4, 5])


def test_flux_per_frequency_is_converted_at_each_wavelength():
    (record,) = spectrum_records(spectrum(np.full(21, 3.0), u.mJy))
    # f_lambda = f_nu c / lambda^2; 3 mJy = 3e-26 erg/s/cm2/Hz
    np.testing.assert_allclose(record.flux, 3e-26 * 2.99792458e18 / WAVE**2 / 1e-17, rtol=1e-12)


def test_axis_in_other_units_and_descending():
    axis = (WAVE * u.AA).to(u.THz, u.spectral())
    sigma = StdDevUncertainty(np.linspace(1, 2, 21))
    (record,) = spectrum_records(spectrum(axis=axis[::-1], uncertainty=sigma))
    np.testing.assert_allclose(record.wave, WAVE)
    np.testing.assert_allclose(record.flux, (np.arange(21.0) - 3.0)[::-1])
    np.testing.assert_allclose(record.ivar, np.linspace(1, 2, 21)[::-1] ** -2.0)
    (record,) = spectrum_records(spectrum(axis=(WAVE / 10) * u.nm))
    np.testing.assert_allclose(record.wave, WAVE)


def test_air_wavelengths_are_converted_once_asked():
    (record,) = spectrum_records(spectrum(), medium="air")
    np.testing.assert_allclose(record.wave, air_to_vacuum(WAVE))
    with pytest.raises(InputError, match="'vacuum' or 'air', got 'water'"):
        spectrum_records(spectrum(), medium="water")


@pytest.mark.parametrize("sigma", [None, 1.0])
def test_mask_of_the_object_is_honoured(sigma):
    mask = np.zeros(21, dtype=bool)
    mask[7] = True
    error = None if sigma is None else StdDevUncertainty(np.full(21, sigma))
    (record,) = spectrum_records(spectrum(mask=mask, uncertainty=error))
    np.testing.assert_array_equal(np.flatnonzero(~record.good), [7])


def test_several_spectra_on_one_axis():
    flux = np.stack([np.full(21, 1.0), np.full(21, 2.0)])
    error = InverseVariance(flux)
    records = spectrum_records(spectrum(flux, uncertainty=error, meta={"name": "plate"}))
    assert [r.name for r in records] == ["plate[0]", "plate[1]"]
    np.testing.assert_array_equal(records[1].flux, np.full(21, 2.0))
    np.testing.assert_array_equal(records[1].ivar, np.full(21, 2.0))


def test_redshift_of_the_object():
    assert spectrum_records(spectrum(redshift=0.25))[0].metadata["z"] == 0.25
    assert "z" not in spectrum_records(spectrum())[0].metadata


def test_what_is_no_flux_density_is_refused():
    with pytest.raises(InputError, match="flux in no unit is not a flux density"):
        spectrum_records(spectrum(unit=u.dimensionless_unscaled))
    with pytest.raises(InputError, match="flux in K is not a flux density"):
        spectrum_records(spectrum(unit=u.K))
    with pytest.raises(InputError, match="UnknownUncertainty has no defined meaning"):
        spectrum_records(spectrum(uncertainty=UnknownUncertainty(np.ones(21))))
    with pytest.raises(InputError, match="the spectral axis in km / s is not a wavelength"):
        spectrum_records(spectrum(axis=np.linspace(0, 100, 21) * u.km / u.s))
