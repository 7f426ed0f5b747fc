"""Synthetic photometry: against synphot, against physics, and around bad pixels."""

import numpy as np
import pytest
from astropy import units as u
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from synphot import Empirical1D, Observation, SourceSpectrum, SpectralElement
from synphot import units as synphot_units

from jpassed.exceptions import InputError
from jpassed.io.spectra import SpectrumRecord, read_spectrum
from jpassed.jspectrum import SyntheticPhotometry
from jpassed.units import SPEED_OF_LIGHT, ab_magnitude

LATTICE = 10 ** (1e-4 * np.arange(35700, 40100))  # 3715-10233 Å, as SDSS


def passband(name, wave, throughput):
    band = SpectralElement(Empirical1D, points=np.asarray(wave) * u.AA, lookup_table=throughput)
    band.name = name
    return band


def narrow(centre, width=145.0, step=2.0):
    """A band like J-PAS's narrow ones, sampled at its own step."""
    wave = np.arange(centre - 200, centre + 200 + step / 2, step)
    throughput = 0.6 / (1 + np.abs(2 * (wave - centre) / width) ** 16)
    throughput[[0, -1]] = 0
    return passband(f"N{centre:.0f}", wave, throughput)


BANDS = [narrow(4100), narrow(6000, step=3.7), narrow(6145), narrow(9100, step=1.0)]
_WAVE = np.arange(5300.0, 7001.0, 5.0)
_BROAD = np.interp(_WAVE, [5300, 5600, 6700, 7000], [0, 0.8, 0.5, 0])
BANDS.append(passband("broad", _WAVE, _BROAD))
PHOTOMETRY = SyntheticPhotometry(BANDS)


def rough_spectrum(seed, wave=LATTICE):
    """Continuum, lines and noise, partly negative, in 1e-17 erg/s/cm2/Å."""
    rng = np.random.default_rng(seed)
    lines = sum(
        40 * rng.random() * np.exp(-0.5 * ((wave - c) / 4) ** 2) for c in rng.uniform(3800, 1e4, 12)
    )
    return 3 * (wave / 6000) ** rng.normal() + lines + rng.normal(0, 2, wave.size)


def effstim(wave, flux, band):
    """Bandflux in microjansky by synphot."""
    source = SourceSpectrum(
        Empirical1D, points=wave * u.AA, lookup_table=flux * 1e-17 * synphot_units.FLAM,
        keep_neg=True,
    )  # fmt: skip
    return Observation(source, band, force="extrap").effstim(u.Jy).value * 1e6


@pytest.mark.parametrize(
    "wave",
    [
        LATTICE,
        LATTICE[137:4211],
        3600 + 0.8 * np.arange(7781),
        np.linspace(3700, 10000, 700),
        np.sort(np.random.default_rng(1).uniform(3700, 10000, 3000)),
    ],
    ids=["lattice", "part of the lattice", "DESI", "coarse", "irregular"],
)
def test_agrees_with_synphot_on_any_grid(wave):
    flux = rough_spectrum(2, wave)
    measured = PHOTOMETRY.bandflux(wave, flux)
    assert measured.observed.all()
    for b, band in enumerate(BANDS):
        expected = effstim(wave, flux, band)
        assert measured.flux[0, b] == pytest.approx(expected, rel=1e-7), band.name


@pytest.mark.filterwarnings("ignore:Source spectrum will be extrapolated")
def test_agrees_with_synphot_where_one_per_cent_is_outside():
    cut = LATTICE[LATTICE > 4021.0]
    flux = rough_spectrum(3, cut) + 50.0
    measured = PHOTOMETRY.bandflux(cut, flux)
    assert 0.99 <= measured.coverage[0, 0] < 1.0
    assert measured.flux[0, 0] == pytest.approx(effstim(cut, flux, BANDS[0]), rel=1e-7)


@given(magnitude=st.floats(10, 28))
@settings(max_examples=20, deadline=None)
def test_flat_f_nu_has_its_ab_magnitude_in_every_band(magnitude):
    f_nu = 3631e-23 * 10 ** (-0.4 * magnitude)
    flux = f_nu * SPEED_OF_LIGHT / LATTICE**2 / 1e-17
    measured = PHOTOMETRY.bandflux(LATTICE, flux)
    np.testing.assert_allclose(ab_magnitude(measured.flux), magnitude, atol=1e-5)


fluxes = arrays(np.float64, LATTICE.size, elements=st.floats(-1e3, 1e3), fill=st.floats(-1e3, 1e3))


@given(one=fluxes, two=fluxes, a=st.floats(-10, 10), b=st.floats(-10, 10))
@settings(max_examples=15, deadline=None)
def test_bandflux_is_linear_in_the_spectrum(one, two, a, b):
    parts = PHOTOMETRY.bandflux(LATTICE, np.stack([one, two, a * one + b * two])).flux
    np.testing.assert_allclose(parts[2], a * parts[0] + b * parts[1], rtol=1e-9, atol=1e-7)


@given(factor=st.floats(1e-6, 1e6))
@settings(max_examples=20, deadline=None)
def test_errors_scale_with_the_flux_unit(factor):
    flux, ivar = rough_spectrum(4), np.full(LATTICE.size, 0.3)
    one = PHOTOMETRY.bandflux(LATTICE, flux, ivar)
    two = PHOTOMETRY.bandflux(LATTICE, flux * factor, ivar / factor**2)
    np.testing.assert_allclose(two.error, one.error * factor, rtol=1e-9)
    np.testing.assert_allclose(two.flux, one.flux * factor, rtol=1e-9)


# Shifts below a part in 10^4 of a pixel only test which of two all but equal nodes is kept.
@given(z=st.just(0.0) | st.floats(1e-4, 0.4))
@settings(max_examples=15, deadline=None)
def test_redshift_conserves_photons(z):
    """Photons counted in a band do not change when spectrum and band move together."""
    flux = rough_spectrum(5)
    moved = LATTICE * (1 + z)
    # Each photon loses its energy by 1 + z, and each Å becomes 1 + z Å.
    moved_flux = flux / (1 + z) ** 2
    for band in BANDS:
        wave = band.waveset.value
        shifted = passband("shifted", wave * (1 + z), band(band.waveset).value)
        rest = SyntheticPhotometry([band]).bandflux(LATTICE, flux).flux[0, 0]
        observed = SyntheticPhotometry([shifted]).bandflux(moved, moved_flux).flux[0, 0]
        # f_nu is photons over integral(T dlambda / lambda), which the shift leaves alone.
        assert observed == pytest.approx(rest, rel=1e-8)


def test_negative_flux_is_kept():
    measured = PHOTOMETRY.bandflux(LATTICE, np.full(LATTICE.size, -2.0))
    assert measured.observed.all()
    assert (measured.flux < 0).all()


def test_error_is_that_of_repeated_noise():
    rng = np.random.default_rng(6)
    sigma = 0.5 + rng.random(LATTICE.size)
    truth = rough_spectrum(7)
    draws = truth + sigma * rng.normal(size=(1500, LATTICE.size))
    ivar = np.broadcast_to(sigma**-2.0, draws.shape)
    measured = PHOTOMETRY.bandflux(LATTICE, draws, ivar)
    scatter = measured.flux.std(axis=0)
    # 1,500 draws fix a standard deviation to 1.8 %.
    np.testing.assert_allclose(measured.error[0], scatter, rtol=0.08)


def test_error_of_interpolated_pixels_is_propagated_and_increased():
    rng = np.random.default_rng(8)
    bad = (LATTICE > 6010) & (LATTICE < 6014.0) | (LATTICE > 6080) & (LATTICE < 6080.8 + 1)
    draws = 5 + rng.normal(size=(1500, LATTICE.size))
    ivar = np.broadcast_to(np.where(bad, 0.0, 1.0), draws.shape)
    measured = PHOTOMETRY.bandflux(LATTICE, draws, ivar)
    whole = PHOTOMETRY.bandflux(LATTICE, draws[:1], np.ones((1, LATTICE.size)))
    n = 1  # N6000
    assert 0 < measured.gap[0, n] <= 0.05
    own = PHOTOMETRY.weights(LATTICE).matrix[bad, n] * LATTICE[bad]
    of_the_sum = np.sqrt(measured.error[0, n] ** 2 - np.sum(own**2))
    assert of_the_sum == pytest.approx(measured.flux[:, n].std(), rel=0.08)
    assert measured.error[0, n] > whole.error[0, n]


@given(values=st.lists(st.floats(-1e30, 1e30), min_size=12, max_size=12), nan=st.booleans())
@settings(max_examples=25, deadline=None)
def test_pixels_of_no_ivar_change_nothing(values, nan):
    flux, ivar = rough_spectrum(9), np.ones(LATTICE.size)
    bad = np.searchsorted(LATTICE, [3800, 4090, 4091, 5999, 6020, 6150, 6151, 6152, 9100, 9120])
    bad = np.append(bad, [0, LATTICE.size - 1])
    ivar[bad] = 0
    clean = PHOTOMETRY.bandflux(LATTICE, flux, ivar)
    flux[bad] = np.nan if nan else values
    spoiled = PHOTOMETRY.bandflux(LATTICE, flux, ivar)
    assert clean.observed.all()
    for part in ("flux", "error", "observed", "coverage", "gap"):
        np.testing.assert_array_equal(getattr(spoiled, part), getattr(clean, part))


def test_straight_spectrum_is_not_moved_by_a_gap():
    flux = (7.0 + 1e-3 * (LATTICE - 6000)) / LATTICE  # straight in photons
    ivar = np.ones(LATTICE.size)
    ivar[(LATTICE > 6030) & (LATTICE < 6035)] = 0
    gapped = PHOTOMETRY.bandflux(LATTICE, flux, ivar)
    whole = PHOTOMETRY.bandflux(LATTICE, flux)
    assert gapped.gap[0, 1] > 0.02
    np.testing.assert_allclose(gapped.flux, whole.flux, rtol=1e-12)


def test_gap_of_more_than_five_per_cent_hides_its_bands_only():
    ivar = np.ones(LATTICE.size)
    ivar[(LATTICE > 5990) & (LATTICE < 6000)] = 0
    measured = PHOTOMETRY.bandflux(LATTICE, rough_spectrum(10), ivar)
    np.testing.assert_array_equal(measured.observed[0], [True, False, True, True, True])
    assert measured.gap[0, 1] == pytest.approx(10 / 145, abs=0.01)
    assert np.isnan(measured.flux[0, 1]) and np.isnan(measured.error[0, 1])
    lenient = SyntheticPhotometry(BANDS, max_gap=0.1)
    assert lenient.bandflux(LATTICE, rough_spectrum(10), ivar).observed.all()


def test_band_is_observed_only_where_99_per_cent_is_covered():
    for edge, seen in ((4020.0, True), (4040.0, False)):
        part = LATTICE[edge < LATTICE]
        measured = PHOTOMETRY.bandflux(part, np.ones(part.size))
        assert measured.observed[0, 0] == seen
        assert measured.observed[0, 1:].all()
    # Bad pixels at the end are no coverage.
    ivar = np.where(LATTICE > 4040, 1.0, 0.0)
    assert not PHOTOMETRY.bandflux(LATTICE, np.ones(LATTICE.size), ivar).observed[0, 0]
    assert (PHOTOMETRY.bandflux(LATTICE, LATTICE, 0 * LATTICE).coverage == 0).all()


def test_spectra_of_different_ranges_share_one_lattice():
    flux = rough_spectrum(11)
    ivar = np.ones(LATTICE.size)
    cuts = [slice(0, None), slice(150, 4300), slice(301, 4187)]
    records = [SpectrumRecord(LATTICE[c], flux[c], ivar[c]) for c in cuts]
    photometry = SyntheticPhotometry(BANDS)
    together = photometry.measure(records)
    assert len(photometry._cache) == 1
    for n, record in enumerate(records):
        # Moved by 0.002 Å the wavelengths leave the lattice, and get a matrix of their own.
        own = SyntheticPhotometry(BANDS).bandflux(record.wave + 2e-3, record.flux, record.ivar)
        np.testing.assert_array_equal(together.observed[n], own.observed[0])
        seen = together.observed[n]
        np.testing.assert_allclose(together.flux[n, seen], own.flux[0, seen], rtol=1e-3)
        np.testing.assert_allclose(together.error[n, seen], own.error[0, seen], rtol=1e-3)


def test_records_come_back_in_their_order():
    desi = 3600 + 0.8 * np.arange(7781)
    records = [
        SpectrumRecord(wave, np.full(wave.size, float(n)) / wave)
        for n, wave in enumerate([desi, LATTICE, desi, LATTICE[100:], desi])
    ]
    flux = PHOTOMETRY.measure(records).flux[:, 4]
    np.testing.assert_allclose(flux / flux[1], [0, 1, 2, 3, 4], rtol=1e-4)


def test_weights_are_kept_per_grid_and_not_for_ever():
    photometry = SyntheticPhotometry(BANDS)
    assert photometry.weights(LATTICE) is photometry.weights(LATTICE.copy())
    for n in range(20):
        photometry.weights(np.linspace(4000 + n, 5000, 10))
    assert len(photometry._cache) == 16


def test_unusable_arguments_are_named():
    with pytest.raises(InputError, match="min_coverage must be a fraction"):
        SyntheticPhotometry(BANDS, min_coverage=99)
    with pytest.raises(InputError, match="one distinct name for each"):
        SyntheticPhotometry([BANDS[0], BANDS[0]])
    with pytest.raises(InputError, match="at least one passband"):
        SyntheticPhotometry([])
    with pytest.raises(InputError, match="'dark' has no throughput"):
        SyntheticPhotometry([passband("dark", [5000, 6000], [0, 0])])
    with pytest.raises(InputError, match=r"expected flux of shape \(N, 4400\)"):
        PHOTOMETRY.bandflux(LATTICE, np.ones(3))
    with pytest.raises(InputError, match="expected ivar of shape"):
        PHOTOMETRY.bandflux(LATTICE, np.ones(4400), np.ones(3))


@pytest.mark.real_data
def test_real_spectra_agree_with_synphot_and_with_their_pipeline(real_data):
    from jpassed.filters import load_filters

    folder = real_data / "spectra"
    paths = sorted([*folder.glob("sdss_*/*.fits"), *folder.glob("boss_*/*.fits")])
    records = [record for path in paths for record in read_spectrum(path)]
    assert len(records) == 108
    jpas = load_filters("jpas")
    photometry = SyntheticPhotometry(jpas)
    measured = photometry.measure(records)
    worst = 0.0
    for n in range(0, 108, 12):
        record, good = records[n], records[n].good
        ends = slice(np.flatnonzero(good)[0], np.flatnonzero(good)[-1] + 1)
        wave = record.wave[ends]
        photons = np.interp(wave, record.wave[good], (record.wave * record.flux)[good])
        for b in np.flatnonzero(measured.observed[n])[::4]:
            expected = effstim(wave, photons / wave, jpas[int(b)])
            worst = max(worst, abs(2.5 / np.log(10) * (measured.flux[n, b] / expected - 1)))
    assert worst < 1e-5
    # specutils' SDSS mask would leave the galaxies a median of 37 bands.
    galaxies = [
        n for n, r in enumerate(records)
        if r.metadata["class"] == "GALAXY" and r.metadata["zwarning"] in (0, 16)
    ]  # fmt: skip
    assert len(galaxies) == 18  # of 17 objects: one was observed twice
    bands = measured.observed[galaxies].sum(axis=1)
    assert np.median(bands) >= 55
    assert (bands >= 53).sum() == 17  # one has lost 656 pixels, a sixth of its range
    sdss_r = SyntheticPhotometry([load_filters("sdss")["sdss_r"]]).measure(records).flux[:, 0]
    pipeline = np.array([r.metadata["spectroflux"][2] for r in records]) * 3.631
    usable = (sdss_r > 0) & (pipeline > 0)
    difference = -2.5 * np.log10(sdss_r[usable] / pipeline[usable])
    assert usable.sum() > 100
    assert abs(np.median(difference)) < 0.01
