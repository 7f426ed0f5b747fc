"""The surveys that come with jpassed: array columns, inverse variances, flags, extinction."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Column, MaskedColumn, Table

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.filters import known_bands, load_filters
from jpassed.surveys import (
    detect_survey,
    extinction_coefficient,
    list_surveys,
    load_survey,
    read_photometry,
)

AB = 3631e6
KNOWN = known_bands()
JPAS = load_filters("jpas").names
FLAMBDA = 1e-19 * np.array([KNOWN[b][0] for b in JPAS]) ** 2 / 2.99792458e18 * 1e29
N = 4


def flambda(rng, n=N, kind="auto", **more):
    """A table like a join of minijpas.FLambdaDualObj."""
    flux = rng.normal(50.0, 20.0, (n, 60)).astype("f4")
    return Table({f"flux_{kind}": flux, f"flux_relerr_{kind}": np.full((n, 60), 0.1, "f4"), **more})


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_every_survey_loads_and_says_where_it_comes_from():
    assert set(list_surveys()) >= {"generic", "minijpas", "jplus", "sdss", "galex", "legacy"}
    for name in list_surveys():
        survey = load_survey(name)
        assert survey.name == name
        assert survey.bands
        assert survey.description
        assert survey.reference


def test_band_order_of_minijpas_is_that_of_the_filter_set():
    assert load_survey("minijpas").bands == JPAS


@pytest.mark.real_data
def test_band_order_and_extinction_of_minijpas_filter_table(real_data):
    table = Table.read(real_data / "filters/jpas/minijpas.Filter.csv", comment="#", format="csv")
    assert tuple(table["name"]) == load_survey("minijpas").bands
    for name, kx in zip(table["name"], table["kx"], strict=True):
        assert extinction_coefficient(str(name), 5000.0) == pytest.approx(kx, abs=5e-4)


def test_minijpas_flux_arrays(rng):
    table = flambda(rng)
    assert detect_survey(table).name == "minijpas"
    photometry = read_photometry(table)
    assert photometry.bands == JPAS
    flux = np.asarray(table["flux_auto"], float)
    np.testing.assert_allclose(photometry.flux, flux * FLAMBDA, rtol=1e-10)
    np.testing.assert_allclose(
        photometry.error, np.abs(flux) * np.float32(0.1) * FLAMBDA, rtol=1e-6
    )
    assert photometry.observed.all()


def test_minijpas_magnitude_arrays():
    mag = np.full((2, 60), 20.0)
    err = np.full((2, 60), 0.1)
    mag[0, 3], err[0, 3] = 99.0, 99.0
    mag[1, 4] = -99.0
    photometry = read_photometry(Table({"mag_auto": mag, "mag_err_auto": err}), "minijpas")
    np.testing.assert_array_equal(np.argwhere(~photometry.observed), [[0, 3], [1, 4]])
    np.testing.assert_allclose(photometry.flux[photometry.observed], AB * 10**-8.0)


def test_minijpas_fluxes_are_taken_before_magnitudes(rng):
    table = flambda(rng, mag_auto=np.full((N, 60), 20.0), mag_err_auto=np.full((N, 60), 0.1))
    assert set(read_photometry(table).columns) == {"flux_auto"}


def test_minijpas_apertures_by_rank(rng):
    table = flambda(rng, kind="aper_3_0")
    for name, column in flambda(rng, kind="psfcor").columns.items():
        table[name] = column
    photometry = read_photometry(table)
    assert set(photometry.columns) == {"flux_psfcor"}
    assert any("flux_aper_3_0" in text for text in photometry.messages)


def test_corrected_aperture_with_the_error_of_the_plain_one(rng):
    table = flambda(rng, kind="x")
    table.rename_columns(table.colnames, ["flux_aper_cor_3_0", "flux_relerr_aper_3_0"])
    assert set(read_photometry(table).columns) == {"flux_aper_cor_3_0"}


def _with_schema(table):
    table.rename_columns(table.colnames, [f"minijpas.FLambdaDualObj.{n}" for n in table.colnames])


def _upper(table):
    table.rename_columns(table.colnames, [n.upper() for n in table.colnames])


def _objects(table):
    for name in table.colnames:
        rows = np.empty(len(table), dtype=object)
        rows[:] = [np.array(row, dtype=">f4") for row in table[name]]
        table.replace_column(name, Column(rows, dtype=object))


def _text(table):
    for name in table.colnames:
        table.replace_column(name, [" ".join(f"{x:.9g}" for x in row) for row in table[name]])


def _big_endian(table):
    for name in table.colnames:
        table.replace_column(name, np.asarray(table[name]).astype(">f4"))


def _one_element_scalars(table):
    table["ebv"] = np.zeros((len(table), 1))


@pytest.mark.parametrize(
    "change", [_with_schema, _upper, _objects, _text, _big_endian, _one_element_scalars]
)
def test_quirks_of_the_archive(rng, change):
    table = flambda(rng)
    expected = read_photometry(table)
    change(table)
    photometry = read_photometry(table)
    assert photometry.bands == expected.bands
    np.testing.assert_allclose(photometry.flux, expected.flux, rtol=1e-6)
    np.testing.assert_allclose(photometry.error, expected.error, rtol=1e-6)


def test_masked_elements_of_an_array(rng):
    table = flambda(rng)
    mask = np.zeros((N, 60), bool)
    mask[2, 10] = True
    table["flux_auto"] = MaskedColumn(table["flux_auto"], mask=mask)
    np.testing.assert_array_equal(np.argwhere(~read_photometry(table).observed), [[2, 10]])


def test_flags_take_single_bands_out(rng):
    flags = np.zeros((N, 60), int)
    masks = np.zeros((N, 60), int)
    flags[0, 1] = 1 + 2  # a neighbour, blended: kept
    flags[1, 2] = 4  # saturated
    masks[2, 5] = 2  # near a bright star
    photometry = read_photometry(flambda(rng, flags=flags, mask_flags=masks))
    np.testing.assert_array_equal(np.argwhere(~photometry.observed), [[1, 2], [2, 5]])
    assert "J0390: 1 row (1) flagged in column 'flags'; not observed there" in (photometry.messages)


def test_one_flag_for_all_bands(rng):
    photometry = read_photometry(flambda(rng, mask_flags=np.array([0, 1, 0, 0])))
    np.testing.assert_array_equal(photometry.bad_rows, [False, True, False, False])


def test_galactic_extinction_from_ebv(rng):
    table = flambda(rng)
    plain = read_photometry(table)
    table["ebv"] = np.array([0.0, 0.1, 0.2, np.nan])
    corrected = read_photometry(table)
    ratio = corrected.flux / plain.flux
    k = np.array([extinction_coefficient(b, KNOWN[b][0]) for b in JPAS])
    np.testing.assert_allclose(ratio[0], 1.0)
    np.testing.assert_allclose(ratio[1], 10 ** (0.04 * k))
    np.testing.assert_allclose(corrected.error / plain.error, ratio)
    np.testing.assert_allclose(ratio[3], 1.0)
    assert any("without Galactic extinction, taken as 0" in text for text in corrected.messages)


def test_no_column_of_extinction_is_said(rng):
    assert any("taken as corrected" in text for text in read_photometry(flambda(rng)).messages)


def test_extinction_array_goes_before_ebv(rng):
    table = flambda(rng)
    plain = read_photometry(table)
    table["ax"] = np.full((N, 60), 0.5)
    table["ebv"] = np.full(N, 9.0)
    ratio = read_photometry(table).flux / plain.flux
    np.testing.assert_allclose(ratio, 10**0.2)


def test_extinction_falls_with_wavelength_for_bands_without_an_entry():
    wavelengths = (1600, 3000, 5000, 9000, 20000, 30000, 1e5)
    k = [extinction_coefficient("a band of mine", w) for w in wavelengths]
    assert k == sorted(k, reverse=True)
    assert 2.2 < extinction_coefficient("a band of mine", 6250) < 2.8


def test_jplus_arrays_have_names_of_their_own():
    table = Table({"mag_auto": np.full((2, 12), 20.0), "mag_err_auto": np.full((2, 12), 0.1)})
    assert detect_survey(table).name == "jplus"
    photometry = read_photometry(table)
    assert photometry.bands[0] == "jplus_rSDSS"
    assert set(photometry.bands) == {b for b in KNOWN if b.startswith("jplus_")}


def test_arrays_of_another_length_are_not_bands():
    table = Table({"mag_auto": np.full((2, 11), 20.0), "mag_err_auto": np.full((2, 11), 0.1)})
    with pytest.raises(InputError, match="no bandflux column"):
        read_photometry(table)


def test_sdss_arrays_with_inverse_variance():
    table = Table(
        {
            "MODELFLUX": [[10.0, 20.0, 30.0, 40.0, 50.0]],
            "MODELFLUX_IVAR": [[4.0, 4.0, 0.0, 4.0, 4.0]],
            "EXTINCTION": [[0.5, 0.4, 0.3, 0.2, 0.1]],
        }
    )
    photometry = read_photometry(table)
    assert photometry.bands == ("sdss_u", "sdss_g", "sdss_r", "sdss_i", "sdss_z")
    np.testing.assert_array_equal(photometry.observed, [[True, True, False, True, True]])
    offset = np.array([-0.04, 0, 0, 0, 0.02])
    factor = 3.631 * 10 ** (0.4 * np.array([0.5, 0.4, 0.3, 0.2, 0.1]) - 0.4 * offset)
    seen = photometry.observed[0]
    np.testing.assert_allclose(
        photometry.flux[0, seen], (np.arange(1, 6) * 10.0 * factor)[seen], rtol=1e-12
    )
    np.testing.assert_allclose(photometry.error[0, seen], (0.5 * factor)[seen], rtol=1e-12)
    assert not photometry.bad_errors.any()


def test_sdss_cmodel_goes_before_model():
    table = Table(
        {f"{kind}_{n}": [[1.0] * 5] for kind in ("MODELFLUX", "CMODELFLUX") for n in ("IVAR",)}
    )
    table["MODELFLUX"] = [[1.0] * 5]
    table["CMODELFLUX"] = [[2.0] * 5]
    assert set(read_photometry(table).columns) == {"CMODELFLUX"}


def test_sdss_asinh_magnitudes():
    """At zero flux an asinh magnitude is -2.5 log10 b, where a Pogson magnitude is infinite."""
    softening = 1.2e-10
    zero = -2.5 * np.log10(softening)
    table = Table(
        {
            "modelMag_r": [zero, 20.0, zero + 1.0],
            "modelMagErr_r": [0.1, 0.1, 0.1],
            "extinction_r": [0.0, 0.0, 0.0],
        }
    )
    photometry = read_photometry(table)
    assert photometry.bands == ("sdss_r",)
    flux = photometry.flux[:, 0]
    assert flux[0] == pytest.approx(0.0, abs=1e-9)
    assert flux[1] == pytest.approx(AB * 10**-8.0, rel=1e-3)
    assert flux[2] < 0
    np.testing.assert_allclose(
        photometry.error[0, 0], 2 * softening * AB * 0.1 * 0.4 * np.log(10), rtol=1e-9
    )


def test_sdss_dereddened_magnitudes_are_corrected_once():
    base = {"modelMagErr_r": [0.1], "extinction_r": [0.5]}
    dered = read_photometry(Table({"dered_r": [18.0], **base})).flux
    model = read_photometry(Table({"modelMag_r": [18.5], **base})).flux
    both = read_photometry(Table({"modelMag_r": [18.5], "dered_r": [18.0], **base})).flux
    np.testing.assert_allclose(dered, model, rtol=1e-4)  # asinh magnitudes are not linear
    np.testing.assert_allclose(both, model)


@pytest.mark.parametrize(
    "names",
    [
        ("FUVmag", "e_FUVmag", "NUVmag", "e_NUVmag"),
        ("fuv_mag", "fuv_magerr", "nuv_mag", "nuv_magerr"),
    ],
)
def test_galex_magnitudes(names):
    table = Table(
        {
            n: [20.0, 999.0, -999.0] if "e" not in n[:2] and "err" not in n else [0.1] * 3
            for n in names
        }
    )
    photometry = read_photometry(table)
    assert photometry.bands == ("galex_fuv", "galex_nuv")
    np.testing.assert_array_equal(photometry.observed[:, 0], [True, False, False])
    np.testing.assert_allclose(photometry.flux[0], AB * 10**-8.0)


def test_galex_extinction_and_fluxes_of_mast():
    table = Table(
        {
            "nuv_flux": [10.0],
            "nuv_fluxerr": [1.0],
            "nuv_mag": [21.4],
            "nuv_magerr": [0.1],
            "e_bv": [0.1],
        }
    )
    photometry = read_photometry(table)
    assert photometry.columns == ("nuv_flux",)
    assert photometry.flux[0, 0] == pytest.approx(10.0 * 10 ** (0.4 * 0.1 * 8.2))


def test_legacy_surveys_by_hemisphere():
    table = Table(
        {
            "FLUX_G": [1.0, 1.0],
            "FLUX_IVAR_G": [4.0, 4.0],
            "MW_TRANSMISSION_G": [0.5, 1.0],
            "FLUX_Z": [2.0, 2.0],
            "FLUX_IVAR_Z": [4.0, 0.0],
            "MW_TRANSMISSION_Z": [1.0, 1.0],
            "FLUX_W1": [3.0, 3.0],
            "FLUX_IVAR_W1": [1.0, 1.0],
            "MW_TRANSMISSION_W1": [1.0, 1.0],
            "PHOTSYS": np.array([b"S", b"N"]),
        }
    )
    photometry = read_photometry(table)
    seen = {b: photometry.observed[:, k].tolist() for k, b in enumerate(photometry.bands)}
    assert seen == {
        "decam_g": [True, False],
        "decam_z": [True, False],
        "bass_g": [False, True],
        "mzls_z": [False, False],
        "wise_w1": [True, True],
    }
    flux = dict(zip(photometry.bands, photometry.flux[0], strict=True))
    assert flux["decam_g"] == pytest.approx(2 * 3.631)
    assert flux["wise_w1"] == pytest.approx(3 * 3.631)


def test_legacy_surveys_without_hemisphere_are_decam():
    table = Table({"FLUX_R": [1.0], "FLUX_IVAR_R": [1.0]})
    assert read_photometry(table).bands == ("decam_r",)


def test_legacy_flags():
    table = Table({"FLUX_R": [1.0, 1.0], "FLUX_IVAR_R": [1.0, 1.0], "ALLMASK_R": [0, 2]})
    np.testing.assert_array_equal(read_photometry(table).observed, [[True], [False]])


def test_surveys_named_by_hand_can_be_joined():
    survey = load_survey("galex,sdss")
    assert survey.name == "galex+sdss"
    assert set(survey.bands) == {*load_survey("galex").bands, *load_survey("sdss").bands}


def test_unknown_survey_lists_the_choices():
    with pytest.raises(UnknownNameError, match="unknown survey 'minjpas'.*Did you mean 'minijpas'"):
        load_survey("minjpas")


def test_a_survey_that_does_not_fit_says_so():
    with pytest.raises(InputError, match="no bandflux column of survey 'galex'.*J0660"):
        read_photometry(Table({"J0660": [1.0], "J0660_err": [1.0]}), "galex")


def test_unit_of_the_column_goes_before_the_one_of_the_survey():
    table = Table({"FUVmag": Column([2.0], unit=u.uJy), "e_FUVmag": Column([1.0], unit=u.uJy)})
    assert read_photometry(table).flux[0, 0] == 2.0
