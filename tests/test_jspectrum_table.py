"""The table of J-spectra: what goes in, scaling, Galactic extinction, units and masks."""

import logging
import subprocess
import sys

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from hypothesis import given, settings
from hypothesis import strategies as st
from specutils import Spectrum

from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.io.spectra import SpectrumRecord
from jpassed.jspectrum import (
    SyntheticPhotometry,
    dereddening_factor,
    extinction_coefficient,
    jspectra,
)
from jpassed.units import SPEED_OF_LIGHT, ab_magnitude

WAVE = 10 ** (1e-4 * np.arange(35700, 39600))  # 3715-9120 Å
FLAT = 3631e-23 * 10 ** (-0.4 * 20.0) * SPEED_OF_LIGHT / WAVE**2 / 1e-17  # AB 20 everywhere


def record(flux=FLAT, ivar=None, name="a", **metadata):
    return SpectrumRecord(WAVE, flux, ivar, name, metadata)


def bands_of(table):
    return [name for name in table.colnames if f"{name}_err" in table.colnames]


def test_columns_units_and_masks():
    known = {"z": 0.1, "zwarning": 0, "class": "GALAXY", "ra": 10.0, "dec": -5.0}
    table = jspectra([record(ivar=FLAT**-2 * 100, **known), record(name="b")])
    assert isinstance(table, QTable)
    assert len(table) == 2
    assert list(table["name"]) == ["a", "b"]
    assert table["ra"].unit == u.deg and table["ra"][0] == 10 * u.deg and table["ra"].mask[1]
    assert table["z_spec"][0] == 0.1 and table["z_spec"].mask[1]
    assert list(table["spec_class"]) == ["GALAXY", ""]
    assert table["spec_sn"][0] == pytest.approx(10.0)
    bands = bands_of(table)
    assert len(bands) == 60
    assert table.meta == {"MINCOVER": 0.99, "MAXGAP": 0.05, "MWCORR": False, "APSCALED": False}
    assert table.colnames[-2:] == [bands[-1], f"{bands[-1]}_err"]
    assert all(table[b].unit == u.uJy and table[f"{b}_err"].unit == u.uJy for b in bands)
    assert table["J0660"].info.meta["ucd"] == "phot.flux.density"
    # 3715-9120 Å holds neither J0378's blue half nor J1007.
    for band in ("uJAVA", "uJPAS", "J1007"):
        assert table[band].mask.all()
    assert not table["J0660"].mask.any()
    np.testing.assert_allclose(ab_magnitude(table["J0660"].unmasked.value), 20.0, atol=1e-4)
    # Without errors in the spectrum there are none in the table; the flux is there all the same.
    np.testing.assert_array_equal(table["J0660_err"].mask, [False, True])
    assert 0 < table["J0660_err"][0].value < 0.1 * table["J0660"][0].value


def test_labels_have_names_that_no_kind_has():
    from jpassed.vocabulary import load_vocabulary

    table = jspectra(record(z=0.1), total_mag=19.0, ebv=0.1)
    assert not set(table.colnames) & set(load_vocabulary().names)


def test_what_may_be_given(tmp_path):
    path = tmp_path / "one.fits"
    spectrum = Spectrum(
        flux=FLAT * u.Unit("1e-17 erg / (s cm2 Angstrom)"), spectral_axis=WAVE * u.AA
    )
    spectrum.write(str(path), format="tabular-fits")
    table = jspectra([record(), spectrum, path, str(path), [record(), (spectrum,)]])
    assert len(table) == 6
    np.testing.assert_allclose(table["rSDSS"].unmasked.value, table["rSDSS"][0].unmasked.value)
    assert len(jspectra(spectrum)) == len(jspectra(path)) == len(jspectra(record())) == 1
    assert len(jspectra(r for r in [record(), record()])) == 2


def test_filters_by_name_list_or_object():
    names = ("J0500", "sdss_r")
    from jpassed.filters import find_band

    expected = jspectra(record(), filters="jpas")["J0500"][0]
    for filters in ([find_band(n) for n in names], SyntheticPhotometry(map(find_band, names))):
        table = jspectra(record(), filters=filters)
        assert tuple(bands_of(table)) == names
        assert table["J0500"][0] == expected
    both = jspectra(record(), filters=["jpas", "sdss"])
    assert len(bands_of(both)) == 65
    assert both["J0500"][0] == expected
    with pytest.raises(UnknownNameError, match="'jpass'.*jpas"):
        jspectra(record(), filters="jpass")


@given(magnitude=st.floats(12, 26), band=st.sampled_from(["rSDSS", "J0660", "sdss_g"]))
@settings(max_examples=10, deadline=None)
def test_scaling_to_a_total_magnitude_keeps_colours_and_significance(magnitude, band):
    rng = np.random.default_rng(0)
    one = record(FLAT * (1 + 0.3 * rng.normal(size=WAVE.size)), FLAT**-2 * 4)
    plain = jspectra(one, filters=["jpas", "sdss"])
    scaled = jspectra(one, filters=["jpas", "sdss"], total_mag={band: magnitude})
    assert ab_magnitude(scaled[band][0].value) == pytest.approx(magnitude, abs=1e-9)
    factor = scaled["aperture_scale"][0]
    for name in ("J0450", "J0700", "gSDSS"):
        for column in (name, f"{name}_err"):
            before, after = (t[column].unmasked.value[0] for t in (plain, scaled))
            assert after / before == pytest.approx(factor)


def test_scaling_takes_numbers_arrays_and_what_is_missing(caplog):
    records = [record(), record(), record(-FLAT, name="negative"), record(0.5 * FLAT)]
    table = jspectra(records, total_mag=np.ma.masked_invalid([19.0, np.nan, 19.0, 18.5]))
    np.testing.assert_allclose(
        ab_magnitude(table["rSDSS"].unmasked.value)[[0, 1, 3]], [19.0, 20.0, 18.5], atol=1e-4
    )
    assert table["aperture_scale"][1] == 1
    # A spectrum without flux in the band cannot be scaled, and says so.
    assert table["J0660"].mask.tolist() == [False, False, True, False]
    assert "'negative' cannot be scaled: rSDSS has no positive flux" in caplog.text
    table = jspectra(records[:2], total_mag=[19, 21] * u.ABmag)
    assert ab_magnitude(table["rSDSS"].unmasked.value) == pytest.approx([19, 21])
    assert ab_magnitude(jspectra(records[0], total_mag=17)["rSDSS"][0].value) == pytest.approx(17)


def test_scaling_errors():
    with pytest.raises(InputError, match="one band"):
        jspectra(record(), total_mag={"rSDSS": 1, "gSDSS": 2})
    with pytest.raises(InputError, match=r"total_mag: expected one number or 1 .* shape \(2,\)"):
        jspectra(record(), total_mag=[1, 2])
    with pytest.raises(InputError, match="total_mag: expected numbers"):
        jspectra(record(), total_mag="bright")
    with pytest.raises(UnknownNameError, match="'r_SDSS'"):
        jspectra(record(), total_mag={"r_SDSS": 19})


def test_galactic_extinction_is_removed(caplog):
    coefficient = extinction_coefficient(6600.0)
    reddened = record(FLAT / dereddening_factor(WAVE, 0.2), FLAT**-2 * 4, ebv=0.2 / 0.86)
    raw = jspectra(reddened)
    assert ab_magnitude(raw["J0660"][0].value) == pytest.approx(20 + 0.2 * coefficient, abs=0.01)
    for ebv in (0.2, [0.2], "metadata", 0.2 * u.mag):
        table = jspectra(reddened, ebv=ebv)
        assert ab_magnitude(table["J0660"][0].value) == pytest.approx(20, abs=1e-4)
        assert table["ebv"].unmasked[0].value == pytest.approx(0.2)
        # Flux and error grow alike.
        np.testing.assert_allclose(
            table["J0450_err"][0] / table["J0450"][0], raw["J0450_err"][0] / raw["J0450"][0], 1e-2
        )
    assert "ebv" not in raw.colnames and raw.meta["MWCORR"] is False
    with caplog.at_level(logging.WARNING):
        table = jspectra([reddened, record()], ebv="metadata")
    assert "1 of 2 spectra have no E(B-V)" in caplog.text
    assert table["ebv"].mask.tolist() == [False, True]
    with pytest.raises(InputError, match="numbers or 'metadata', got 'header'"):
        jspectra(record(), ebv="header")


def test_rest_frame_stack_is_not_dereddened():
    stack = record(frame="rest")
    assert jspectra(stack, ebv=0.3)["J0660"][0] == jspectra(stack)["J0660"][0]


def test_magnitudes_hold_for_the_dereddened_spectrum():
    table = jspectra(record(), total_mag=19.0, ebv=0.1)
    assert ab_magnitude(table["rSDSS"][0].value) == pytest.approx(19.0)


def test_extinction_curve_is_fitzpatrick_1999():
    from dust_extinction.parameter_averages import F99

    wave = np.geomspace(1010, 33000, 5000)
    np.testing.assert_allclose(
        extinction_coefficient(wave), 3.1 * F99(Rv=3.1)(1e4 / wave / u.micron), atol=0.0025
    )
    with pytest.raises(InputError, match="1000 to 33333 Å .* got 900 to 5000 Å"):
        extinction_coefficient([900.0, 5000.0])
    np.testing.assert_allclose(
        dereddening_factor(wave, 0.3) * dereddening_factor(wave, -0.3), 1.0, rtol=1e-12
    )


@pytest.mark.real_data
def test_extinction_is_close_to_the_coefficients_of_minijpas(real_data):
    rows = (real_data / "filters/jpas/minijpas.Filter.csv").read_text().splitlines()[2:]
    parts = [row.split(",") for row in rows]
    ratio = {
        p[1].strip('"'): float(p[4]) / extinction_coefficient(float(p[2])) for p in parts
    }  # fmt: skip
    del ratio["J1007"]  # tabulated at 9316 Å, its coefficient belongs to 10070 Å
    assert len(ratio) == 59
    assert max(abs(r - 1) for r in ratio.values()) < 0.027


def test_what_is_no_spectrum_is_refused(tmp_path):
    with pytest.raises(InputError, match="no spectrum was given"):
        jspectra([])
    for thing in (None, 3, {"flux": 1}, np.ones(5), b"x"):
        with pytest.raises(InputError, match=f"got {type(thing).__name__}"):
            jspectra(thing)
    with pytest.raises(FileError, match="gone.fits does not exist"):
        jspectra([record(), tmp_path / "gone.fits"])
    with pytest.raises(InputError, match="'vacuum' or 'air'"):
        jspectra(record(), medium="ether")


def test_files_that_cannot_be_read_are_left_out_by_name(tmp_path, caplog):
    good, strange = tmp_path / "good.fits", tmp_path / "strange.fits"
    for path, unit in ((good, "1e-17 erg / (s cm2 Angstrom)"), (strange, "K")):
        spectrum = Spectrum(flux=FLAT * u.Unit(unit), spectral_axis=WAVE * u.AA)
        spectrum.write(str(path), format="tabular-fits")
    cut = tmp_path / "cut.fits"
    cut.write_bytes(good.read_bytes()[:9000])
    with pytest.raises(FileError, match=r"cut\.fits"):
        jspectra([good, cut, good])
    with caplog.at_level(logging.WARNING, logger="jpassed"):
        table = jspectra([good, cut, strange, record(), good], skip_unreadable=True)
    assert list(table["name"]) == ["good", "a", "good"]
    said = [r.getMessage() for r in caplog.records if r.getMessage().startswith("left out: ")]
    assert len(said) == 2
    assert "cut.fits" in said[0] and "strange.fits" in said[1]
    assert "is not a spectrum that can be read" in said[1]
    with pytest.raises(FileError, match=r"none of 2 files can be read; of the first: .*cut\.fits"):
        jspectra([cut, strange], skip_unreadable=True)
    with pytest.raises(InputError, match="got int"):
        jspectra([good, 3], skip_unreadable=True)
    with pytest.raises(InputError, match=r"expected one number or 1 \(one per spectrum\)"):
        jspectra([good, cut], skip_unreadable=True, ebv=[0.1, 0.2])


@pytest.mark.parametrize("ending", ["ecsv", "fits", "vot"])
def test_table_survives_a_file(tmp_path, ending):
    table = jspectra([record(ivar=FLAT**-2, z=0.1), record(-FLAT, name="b")])
    path = tmp_path / f"table.{ending}"
    kinds = {"vot": "votable", "ecsv": "ascii.ecsv"}
    table.write(path, **({"format": kinds[ending]} if ending in kinds else {}))
    back = QTable.read(path)
    for name in ("J0660", "J0660_err", "uJAVA", "z_spec"):
        mask = np.array(table[name].mask)
        np.testing.assert_array_equal(back[name].mask, mask)
        assert back[name].unit == table[name].unit
        want, got = (np.asarray(getattr(t[name], "unmasked", t[name])) for t in (table, back))
        np.testing.assert_array_equal(got[~mask], want[~mask])


def test_importing_the_package_stays_cheap():
    code = (
        "import sys, jpassed.jspectrum, jpassed.io.spectra; "
        "print([m for m in ('torch', 'specutils', 'synphot', 'astropy.table') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
