"""Passbands, filter sets, and the sets known by name."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from astropy import units as u
from astropy.modeling.models import Const1D
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from synphot import ConstFlux1D, Observation, SourceSpectrum, SpectralElement

from jpassed.exceptions import InputError, MissingDependencyError, UnknownNameError
from jpassed.filters import (
    FilterSet,
    Passband,
    filter_set_names,
    find_band,
    known_bands,
    load_filters,
)
from jpassed.units import air_to_vacuum

SETS = ("jpas", "jplus", "galex", "sdss", "ps1", "2mass", "wise", "decam", "bass", "mzls")


def box(name: str = "box", low: float = 5000.0, high: float = 6000.0) -> Passband:
    wave = np.array([low - 1e-6, low, high, high + 1e-6])
    return Passband.from_arrays(name, wave, [0.0, 0.5, 0.5, 0.0])


@pytest.fixture(scope="module")
def jpas() -> FilterSet:
    return load_filters("jpas")


class TestPassband:
    def test_box_has_textbook_numbers(self):
        band = box()
        assert isinstance(band, SpectralElement)
        assert band.name == "box"
        # int T lam / int T / lam over a box: (b^2 - a^2) / 2 / ln(b / a).
        assert_allclose(band.equivalent_width, 1000.0, rtol=1e-8)
        fine = Passband.from_arrays(
            "fine", np.linspace(5000, 6000, 4001), np.full(4001, 0.3), counting="photon"
        )
        expected = np.sqrt((6000.0**2 - 5000.0**2) / 2 / np.log(6000.0 / 5000.0))
        assert_allclose(fine.pivot_wavelength, expected, rtol=1e-8)

    def test_agrees_with_synphot(self, jpas):
        for name in ("uJAVA", "J0378", "J0660", "J1007", "rSDSS"):
            band = jpas[name]
            assert_allclose(band.pivot_wavelength, band.pivot().to_value("AA"), rtol=1e-12)
            assert_allclose(band.equivalent_width, band.rectwidth().to_value("AA"), rtol=1e-12)
            assert_allclose(band(band.wave * u.AA).value, band.throughput)

    def test_flat_source_gives_its_own_magnitude(self, jpas):
        source = SourceSpectrum(ConstFlux1D, amplitude=20.0 * u.ABmag)
        magnitude = Observation(source, jpas["J0660"]).effstim(u.ABmag)
        assert_allclose(magnitude.value, 20.0, atol=1e-4)

    def test_zero_outside(self):
        assert box()([4000.0, 5500.0, 7000.0] * u.AA).value.tolist() == [0.0, 0.5, 0.0]

    def test_units_order_and_noise(self):
        nm = np.array([600.1, 600.0, 550.0, 500.0, 499.9]) * u.nm
        band = Passband.from_arrays("nm", nm, [-1e-3, 1.0, 1.0, 1.0, -2e-3])
        assert_allclose(band.wave, [4999.0, 5000.0, 5500.0, 6000.0, 6001.0])
        assert band.throughput.min() == 0.0

    def test_curve_cut_off_at_its_ends_is_closed(self):
        band = Passband.from_arrays("cut", [5000.0, 6000.0], [1.0, 1.0])
        assert band.throughput[0] == band.throughput[-1] == 0.0
        assert_allclose(band.equivalent_width, 1000.0, rtol=1e-5)

    def test_long_zero_wings_are_trimmed(self):
        wave = np.arange(3000.0, 9000.0)
        band = Passband.from_arrays("wings", wave, np.where(abs(wave - 6000) < 50, 1.0, 0.0))
        assert (band.wave[0], band.wave[-1]) == (5950.0, 6050.0)

    def test_air_becomes_vacuum(self):
        in_air = Passband.from_arrays("a", [6000.0, 6100.0, 6200.0], [0, 1, 0], medium="air")
        assert_allclose(in_air.wave, air_to_vacuum([6000.0, 6100.0, 6200.0]))
        assert in_air.wave[1] - 6100.0 == pytest.approx(1.69, abs=0.02)

    def test_energy_response_is_divided_by_wavelength(self):
        wave = np.linspace(5000, 7000, 2001)
        photon = Passband.from_arrays("p", wave, 1.0 / wave)
        energy = Passband.from_arrays("e", wave, np.ones_like(wave), counting="energy")
        assert_allclose(energy.pivot_wavelength, photon.pivot_wavelength, rtol=1e-12)
        assert_allclose(energy.throughput.max(), 1.0)

    @settings(max_examples=60, deadline=None)
    @given(low=st.floats(4900, 6200), high=st.floats(4900, 6200), middle=st.floats(0.0, 1.0))
    def test_coverage_is_a_measure(self, low, high, middle):
        band = Passband.from_arrays("t", [5000.0, 5300.0, 5600.0, 6100.0], [0.0, 1.0, 0.3, 0.0])
        if not low < high:
            with pytest.raises(InputError, match="wmin < wmax"):
                band.coverage(low, high)
            return
        split = low + middle * (high - low)
        whole = band.coverage(low, high)
        assert -1e-12 <= whole <= 1 + 1e-12
        if low < split < high:
            assert_allclose(band.coverage(low, split) + band.coverage(split, high), whole)

    def test_coverage_values_and_units(self):
        band = box()
        assert band.coverage(4000, 7000) == pytest.approx(1.0)
        assert band.coverage(4000, 5500) == pytest.approx(0.5)
        assert band.coverage(0.55 * u.um, 5750 * u.AA) == pytest.approx(0.25)
        assert band.coverage(6500, 7000) == 0.0
        with pytest.raises(InputError, match="wmin < wmax"):
            band.coverage(float("nan"), 7000)

    @pytest.mark.parametrize(
        ("wave", "curve", "message"),
        [
            ([5000.0], [1.0], "at least 2 points"),
            ([5000.0, 5001.0], [1.0], "same length"),
            ([5000.0, np.nan], [1.0, 1.0], "finite"),
            ([-1.0, 5000.0], [1.0, 1.0], "finite numbers > 0"),
            ([5000.0, 5000.0, 5001.0], [1.0, 1.0, 1.0], "repeats the wavelength 5000.0"),
            ([5000.0, 5001.0], [0.0, -1.0], "no throughput above zero"),
        ],
    )
    def test_unusable_curves_are_refused(self, wave, curve, message):
        with pytest.raises(InputError, match=message) as caught:
            Passband.from_arrays("broken", wave, curve)
        assert "'broken'" in str(caught.value)

    def test_unknown_conventions_are_refused(self):
        with pytest.raises(InputError, match="air, vacuum; got 'water'"):
            Passband.from_arrays("x", [1.0, 2.0], [1.0, 1.0], medium="water")
        with pytest.raises(InputError, match="photon, energy; got 'bolometer'"):
            Passband.from_arrays("x", [1.0, 2.0], [1.0, 1.0], counting="bolometer")

    def test_arrays_cannot_be_changed(self, jpas):
        with pytest.raises(ValueError, match="read-only"):
            jpas["J0660"].wave[0] = 1.0
        with pytest.raises(ValueError, match="read-only"):
            jpas["J0660"].throughput[0] = 1.0

    def test_arithmetic_gives_nameless_elements(self):
        half = box() * 0.5
        assert half.name == ""
        assert_allclose(half(5500 * u.AA).value, 0.25)
        assert "''" in repr(half)

    def test_copies(self, jpas):
        for twin in (copy.deepcopy(jpas["J0660"]), pickle.loads(pickle.dumps(jpas["J0660"]))):
            assert twin.name == "J0660"
            assert_allclose(twin.throughput, jpas["J0660"].throughput)

    def test_repr_is_short(self, jpas):
        assert repr(jpas["J0660"]) == str(jpas["J0660"])
        assert repr(jpas["J0660"]) == "<Passband 'J0660' pivot 6609.4 Å, width 148.4 Å>"

    def test_constant_element_has_no_sampling(self):
        constant = Passband(Const1D, amplitude=0.5, name="flat")
        assert repr(constant) == "<Passband 'flat'>"
        with pytest.raises(InputError, match="no sampling"):
            _ = constant.wave


class TestFilterSet:
    def test_sixty_bands_in_the_order_of_minijpas(self, jpas):
        hundreds = [f"J{n:04d}" for n in range(400, 911, 10)]
        expected = ["uJAVA", "J0378", "J0390", *hundreds, "J1007", "uJPAS"]
        assert list(jpas.names) == [*expected, "gSDSS", "rSDSS", "iSDSS"]
        assert len(jpas) == 60 == len(list(jpas))
        assert all(band.name == name for band, name in zip(jpas, jpas.names, strict=True))

    def test_found_by_name_and_position(self, jpas):
        assert jpas["J0660"] is jpas[jpas.index("J0660")]
        assert jpas.index(jpas["J0660"]) == 29
        assert jpas[-1].name == "iSDSS"
        assert jpas[1:3].names == ("J0378", "J0390")
        assert "J0660" in jpas
        assert jpas["J0660"] in jpas
        assert "j0660" not in jpas

    def test_unknown_band_names_choices(self, jpas):
        with pytest.raises(UnknownNameError, match=r"'J0665'.*Did you mean .*J0660") as caught:
            _ = jpas["J0665"]
        assert "filter set 'jpas'" in str(caught.value)
        with pytest.raises(UnknownNameError, match="J0665"):
            jpas.index("J0665")

    def test_select_keeps_the_order_asked_for(self, jpas):
        chosen = jpas.select(["rSDSS", "J0378"])
        assert chosen.names == ("rSDSS", "J0378")
        assert chosen["rSDSS"] is jpas["rSDSS"]
        with pytest.raises(UnknownNameError, match="nope"):
            jpas.select(["rSDSS", "nope"])
        with pytest.raises(InputError, match="list of band names"):
            jpas.select("rSDSS")

    def test_sum(self, jpas):
        both = jpas + load_filters("galex")
        assert both.names == (*jpas.names, "galex_fuv", "galex_nuv")
        assert both.name == "jpas+galex"
        with pytest.raises(InputError, match="two passbands .* 'uJAVA'"):
            jpas + jpas
        with pytest.raises(TypeError):
            jpas + ["galex"]

    def test_members_are_checked(self):
        with pytest.raises(InputError, match="holds Passband objects, got str"):
            FilterSet(["J0660"])
        with pytest.raises(InputError, match="needs a name"):
            FilterSet([box() * 0.5])

    def test_arrays(self, jpas):
        assert jpas.pivot.shape == jpas.width.shape == (60,)
        assert jpas.pivot[29] == jpas["J0660"].pivot_wavelength
        covered = jpas.coverage(4100, 9200)
        assert covered.shape == (60,)
        assert covered[29] == pytest.approx(1.0)
        assert covered[0] == 0.0

    def test_repr(self, jpas):
        assert repr(jpas).startswith("<FilterSet 'jpas', 60 bands uJAVA ... iSDSS, pivots 35")
        assert repr(FilterSet([])) == "<FilterSet, no bands>"


class TestKnownSets:
    def test_names(self):
        assert filter_set_names() == SETS

    @pytest.mark.parametrize("name", SETS)
    def test_embedded_numbers_are_those_of_the_curves(self, name):
        known = known_bands()
        filters = load_filters(name)
        assert filters.name == name
        for band in filters:
            pivot, width = known[band.name]
            assert_allclose(pivot, band.pivot_wavelength, atol=0.006, err_msg=band.name)
            assert_allclose(width, band.equivalent_width, atol=0.006, err_msg=band.name)
            if name != "jpas":
                assert band.name.startswith(f"{name}_")
            assert band.meta["reference"]

    def test_every_known_band_is_in_one_set(self):
        everything = [band for name in SETS for band in load_filters(name).names]
        assert list(known_bands()) == everything
        assert len(set(everything)) == len(everything) == 101

    @pytest.mark.parametrize(
        ("band", "pivot", "tolerance"),
        [
            # Published pivots: Morrissey 2007 (GALEX, effective), Doi 2010 / Fukugita (SDSS),
            # Tonry 2012, Cohen 2003, Wright 2010 (in Å), each to within its own rounding and
            # the step from air to vacuum.
            ("galex_fuv", 1535, 5),
            ("galex_nuv", 2301, 5),
            ("sdss_r", 6177, 5),
            ("ps1_g", 4849, 5),
            ("2mass_j", 12358, 10),
            ("wise_w1", 33680, 30),
            ("wise_w2", 46180, 30),
            ("decam_z", 9172, 30),
            ("J0660", 6609, 3),
            ("jplus_J0861", 8610, 5),
        ],
    )
    def test_units_of_every_source(self, band, pivot, tolerance):
        assert find_band(band).pivot_wavelength == pytest.approx(pivot, abs=tolerance)

    def test_ground_is_air_and_space_is_vacuum(self):
        from speclite.filters import load_filter

        nuv, red = load_filter("galex-nuv"), load_filter("sdss2010-r")
        assert find_band("galex_nuv").wave[1] in np.asarray(nuv.wavelength)
        peak = np.asarray(red.wavelength)[np.argmax(red.response)]
        band = find_band("sdss_r")
        assert_allclose(band.wave[np.argmax(band.throughput)], air_to_vacuum(peak))

    @pytest.mark.parametrize(
        ("band", "f_nu", "f_lambda"),
        [
            ("2mass_j", 1594, 3.129e-13),
            ("2mass_h", 1024, 1.133e-13),
            ("2mass_ks", 666.7, 4.283e-14),
        ],
    )
    def test_2mass_curves_count_photons(self, band, f_nu, f_lambda):
        """F_nu (Jy) and F_lambda (W cm-2 um-1) at magnitude 0, Cohen et al. 2003: c ratio is
        the pivot squared, which tells photon counting (0.03 %) from energy counting (0.25 %)."""
        ratio = (f_nu * u.Jy) / (f_lambda * u.W / u.cm**2 / u.um)
        pivot = np.sqrt(ratio * 2.99792458e8 * u.m / u.s).to_value("AA")
        assert find_band(band).pivot_wavelength == pytest.approx(pivot, rel=6e-4)

    def test_iband_has_its_nominal_numbers(self, jpas):
        band = jpas["iSDSS"]
        above = band.wave[band.throughput > 0.5 * band.throughput.max()]
        assert_allclose([above[0], above[-1]], air_to_vacuum([7100.0, 8350.0]), atol=2.1)

    def test_unknown_set_and_band(self):
        with pytest.raises(UnknownNameError, match=r"filter set 'jpass'.*'jpas'.*2mass, bass"):
            load_filters("jpass")
        with pytest.raises(UnknownNameError, match=r"band 'sdss_y'.*'sdss_"):
            find_band("sdss_y")

    def test_find_band_matches_its_set(self, jpas):
        assert_allclose(find_band("J0660").throughput, jpas["J0660"].throughput)

    def test_missing_speclite_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "speclite.filters", None)
        with pytest.raises(MissingDependencyError, match="pip install speclite"):
            load_filters("sdss")
        assert len(load_filters("jpas")) == 60

    def test_old_speclite_is_told_to_be_updated(self, monkeypatch):
        import speclite.filters

        def missing(name):
            raise ValueError(f"No such filter {name!r} in this group.")

        monkeypatch.setattr(speclite.filters, "load_filter", missing)
        with pytest.raises(MissingDependencyError, match="ps1_g .*panstarrs-g.*speclite>=1.0"):
            load_filters("ps1")

    def test_known_bands_needs_no_synphot(self):
        code = (
            "import sys; from jpassed.filters import known_bands; b = known_bands(); "
            "print(len(b), [m for m in ('synphot', 'speclite', 'torch') if m in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout.strip() == "101 []", done.stderr

    def test_known_bands_is_a_copy(self):
        known_bands().clear()
        assert len(known_bands()) == 101
