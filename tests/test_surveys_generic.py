"""Tables with one column per band, recognised without a map."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Column, MaskedColumn, QTable, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from jpassed.exceptions import InputError, UnrecognisedTableError
from jpassed.filters import known_bands
from jpassed.surveys import detect_survey, read_photometry

AB = 3631e6  # microjansky
PIVOT = {band: sizes[0] for band, sizes in known_bands().items()}


def band(table, name="J0660", survey="auto"):
    """Flux, error and presence of one band."""
    photometry = read_photometry(table, survey)
    one = photometry.select([name])
    return one.flux[:, 0], one.error[:, 0], one.observed[:, 0]


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("J0660", "J0660_err"),
        ("j0660", "J0660_ERR"),
        ("J0660", "e_J0660"),
        ("J0660", "err_J0660"),
        ("J0660", "J0660_error"),
        ("J0660", "sigma_J0660"),
    ],
)
def test_bare_band_is_microjansky(value, error):
    flux, sigma, observed = band(Table({value: [10.0, -2.0], error: [1.0, 3.0]}))
    np.testing.assert_array_equal(flux, [10, -2])
    np.testing.assert_array_equal(sigma, [1, 3])
    assert observed.all()


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("flux_J0660", "fluxerr_J0660"),
        ("flux_J0660", "flux_err_J0660"),
        ("FLUX_J0660", "FLUXERR_J0660"),
        ("J0660_flux", "J0660_fluxerr"),
        ("J0660_flux", "J0660_flux_err"),
        ("APER_COR_3_0_J0660", "ERR_APER_COR_3_0_J0660"),
        ("APER_COR_3_0_J0660", "APER_COR_3_0_J0660_err"),
        ("flux_auto_J0660", "fluxerr_auto_J0660"),
    ],
)
@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("uJy", 1.0),
        ("mJy", 1e3),
        ("nmgy", 3.631),
        ("erg / (s cm2 Hz)", 1e29),
        ("1e-19 erg / (s cm2 Angstrom)", 1e-19 * PIVOT["J0660"] ** 2 / 2.99792458e18 * 1e29),
    ],
)
def test_flux_in_the_unit_of_its_column(value, error, unit, factor):
    table = Table({value: Column([10.0, -2.0], unit=unit), error: Column([1.0, 3.0], unit=unit)})
    for form in (table, QTable(table)):
        flux, sigma, observed = band(form)
        np.testing.assert_allclose(flux, np.array([10, -2]) * factor, rtol=1e-12)
        np.testing.assert_allclose(sigma, np.array([1, 3]) * factor, rtol=1e-12)
        assert observed.all()


@pytest.mark.parametrize(
    ("value", "error", "unit"),
    [
        ("mag_J0660", "magerr_J0660", None),
        ("mag_J0660", "mag_err_J0660", "mag"),
        ("MAG_J0660", "MAGERR_J0660", "mag(AB)"),
        ("J0660_mag", "J0660_magerr", None),
        ("MAG_AUTO_J0660", "MAGERR_AUTO_J0660", None),
        ("J0660", "J0660_err", "mag(AB)"),
        ("APER_COR_3_0_J0660", "APER_COR_3_0_J0660_err", "mag"),
    ],
)
def test_magnitudes(value, error, unit):
    table = Table({value: Column([20.0], unit=unit), error: Column([0.1], unit=unit and "mag")})
    for form in (table, QTable(table)):
        flux, sigma, _ = band(form)
        np.testing.assert_allclose(flux, AB * 10**-8.0, rtol=1e-12)
        np.testing.assert_allclose(sigma, 0.1 * np.log(10) / 2.5 * flux, rtol=1e-12)


@settings(deadline=None)
@given(
    flux=st.floats(1e-3, 1e6),
    ratio=st.floats(1e-4, 10.0),
    form=st.sampled_from(["uJy", "nmgy", "erg / (s cm2 Hz)", "erg / (s cm2 Angstrom)", "mag(AB)"]),
    name=st.sampled_from(["J0660", "uJAVA", "rSDSS", "galex_nuv", "wise_w1"]),
)
def test_the_unit_does_not_matter(flux, ratio, form, name):
    """The same measurement in any unit gives the same bandflux."""
    error = ratio * flux
    if form == "mag(AB)":
        value, sigma = -2.5 * np.log10(flux / AB), ratio * 2.5 / np.log(10)
    else:
        spectral = u.spectral_density(PIVOT[name] * u.AA)
        value, sigma = (
            (x * u.uJy).to_value(u.Unit(form), spectral) if form != "nmgy" else x / 3.631
            for x in (flux, error)
        )
    table = Table({name: Column([value], unit=form), f"{name}_err": [sigma]})
    got, got_error, observed = band(table, name)
    assert observed.all()
    assert got[0] == pytest.approx(flux, rel=1e-9)
    assert got_error[0] == pytest.approx(error, rel=1e-9)


def test_inverse_variance_and_relative_error():
    table = Table(
        {
            "flux_J0660": Column([8.0, 8.0], unit="uJy"),
            "flux_ivar_J0660": [0.25, 0.0],
            "flux_J0670": Column([8.0, -8.0], unit="uJy"),
            "flux_relerr_J0670": [0.5, -0.5],
        }
    )
    flux, sigma, observed = band(table)
    np.testing.assert_array_equal(observed, [True, False])
    assert sigma[0] == 2.0
    flux, sigma, observed = band(table, "J0670")
    np.testing.assert_array_equal(flux, [8, -8])
    np.testing.assert_array_equal(sigma, [4, 4])


def test_errors_in_a_unit_of_their_own():
    table = Table({"J0660": Column([1.0], unit="mJy"), "J0660_err": Column([10.0], unit="uJy")})
    flux, sigma, _ = band(table)
    assert (flux[0], sigma[0]) == (1000.0, pytest.approx(10.0))


@pytest.mark.parametrize("unit", ["mag", "K"])
def test_errors_in_a_unit_that_is_none_of_a_flux_are_refused(unit):
    table = Table({"J0660": Column([1.0], unit="uJy"), "J0660_err": Column([0.1], unit=unit)})
    with pytest.raises(InputError, match=f"'J0660_err' is in {unit}, but 'J0660' is a flux"):
        band(table)


@pytest.mark.parametrize("value", [np.nan, -99.0, -999.0, -9999.0])
def test_missing_fluxes_are_not_observed(value):
    table = Table(
        {
            "J0660": [value, 0.0, -3.0],
            "J0660_err": [1.0, 1.0, 1.0],
            "J0670": [1.0] * 3,
            "J0670_err": [1.0] * 3,
        }
    )
    flux, sigma, observed = band(table)
    np.testing.assert_array_equal(observed, [False, True, True])
    assert flux[0] == sigma[0] == 0.0
    assert flux[2] == -3.0, "a negative flux is a measurement"


@pytest.mark.parametrize("value", [np.nan, -99.0, 99.0, 999.0, -999.0, 99.99])
def test_missing_magnitudes_are_not_observed(value):
    table = Table({"mag_J0660": [value, 20.0], "magerr_J0660": [0.1, 0.1]})
    np.testing.assert_array_equal(band(table)[2], [False, True])


def test_sentinels_kept_in_float32():
    table = Table({"mag_J0660": np.array([-99.9, 99.9, 20.0], "f4"), "magerr_J0660": [0.1] * 3})
    np.testing.assert_array_equal(band(table)[2], [False, False, True])


def test_masked_values_and_errors_are_not_observed():
    table = Table(
        {
            "J0660": MaskedColumn([1.0, 2.0, 3.0], mask=[True, False, False]),
            "J0660_err": MaskedColumn([1.0, 1.0, 1.0], mask=[False, True, False]),
        }
    )
    np.testing.assert_array_equal(band(table)[2], [False, False, True])


def test_non_detection_with_its_limit_becomes_a_flux_of_zero():
    table = Table({"mag_J0660": [99.0, 99.0, 20.0], "magerr_J0660": [24.0, 99.0, 0.1]})
    flux, sigma, observed = band(table)
    np.testing.assert_array_equal(observed, [True, False, True])
    assert flux[0] == 0.0
    assert sigma[0] == pytest.approx(AB * 10 ** (-0.4 * 24.0))


@pytest.mark.parametrize("error", [0.0, -1.0])
def test_bad_errors_are_flagged_and_said(error):
    table = Table({"J0660": [1.0, 2.0], "J0660_err": [1.0, error]})
    photometry = read_photometry(table)
    np.testing.assert_array_equal(photometry.bad_errors, [False, True])
    np.testing.assert_array_equal(photometry.bad_rows, [False, True])
    assert photometry.messages == (
        "J0660: 1 row (1) with zero or negative errors in column 'J0660_err'; not observed there",
    )


def test_zero_flux_with_zero_error_is_a_missing_one():
    photometry = read_photometry(Table({"J0660": [1.0, 0.0], "J0660_err": [1.0, 0.0]}))
    assert not photometry.bad_errors.any()
    np.testing.assert_array_equal(photometry.observed[:, 0], [True, False])


def test_no_row_is_lost():
    table = Table({"J0660": [np.nan] * 3, "J0660_err": [np.nan] * 3})
    photometry = read_photometry(table)
    assert len(photometry) == 3
    assert photometry.bad_rows.all()
    assert not photometry.n_observed.any()


def test_many_bands_with_pivots_and_widths():
    names = list(known_bands())
    table = Table({n: [float(k + 1)] for k, n in enumerate(names)})
    for n in names:
        table[f"{n}_err"] = [0.5]
    photometry = read_photometry(table)
    assert set(photometry.bands) == set(names)
    assert dict(zip(photometry.bands, photometry.pivot, strict=True)) == PIVOT
    for n, value in zip(photometry.bands, photometry.flux[0], strict=True):
        assert value == names.index(n) + 1


def test_own_and_truth_columns_are_no_bandfluxes():
    table = Table({"J0660": [1.0], "J0660_err": [1.0]})
    for name in ("jp_flux_J0670", "true_mag_rsdss", "true_J0680"):
        table[name] = [1.0]
        table[f"{name}_err"] = [1.0]
    assert read_photometry(table).bands == ("J0660",)


def test_names_of_a_set_are_not_taken_for_jpas_bands():
    table = Table({"jplus_J0660": [1.0], "jplus_J0660_err": [1.0]})
    assert read_photometry(table).bands == ("jplus_J0660",)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("J0660", "J0660_err"), ("j0660", "j0660_err")),
        (("J0660", "J0660_err"), ("flux_J0660", "fluxerr_J0660")),
        (("J0660", "J0660_err"), ("mag_J0660", "magerr_J0660")),
        (("first_J0660", "first_J0660_err"), ("second_J0660", "second_J0660_err")),
    ],
)
def test_one_band_in_two_columns_is_refused(first, second):
    table = Table({n: Column([1.0], unit="uJy") for n in first + second})
    with pytest.raises(InputError) as caught:
        read_photometry(table)
    assert repr(first[0]) in str(caught.value)
    assert repr(second[0]) in str(caught.value)


def test_apertures_are_ranked():
    table = Table()
    for aperture, value in (("APER_3_0", 1.0), ("AUTO", 2.0), ("APER_COR_3_0", 3.0)):
        for n in ("J0660", "J0670"):
            table[f"{aperture}_{n}"] = Column([value], unit="uJy")
            table[f"{aperture}_{n}_err"] = Column([0.1], unit="uJy")
    photometry = read_photometry(table)
    assert photometry.columns == ("AUTO_J0660", "AUTO_J0670")
    np.testing.assert_array_equal(photometry.flux, [[2, 2]])
    assert any("APER_3_0_J0660" in text for text in photometry.messages)


def test_a_lone_band_in_a_better_aperture_does_not_displace_the_rest():
    table = Table()
    for name in ("APER_COR_3_0_J0660", "APER_COR_3_0_J0670", "APER_COR_3_0_J0680", "AUTO_iSDSS"):
        table[name] = Column([1.0], unit="uJy")
        table[f"{name}_err"] = Column([0.1], unit="uJy")
    assert read_photometry(table).bands == ("J0660", "J0670", "J0680")


@pytest.mark.parametrize("name", ["flux_J0660", "APER_COR_3_0_J0660"])
def test_flux_without_a_unit_is_refused_with_the_map_to_write(name, tmp_path):
    table = Table({name: [1.0], f"{name}_err": [0.1]})
    with pytest.raises(InputError, match="states no unit") as caught:
        read_photometry(table)
    path = tmp_path / "map.yaml"
    text = str(caught.value).split("for any '???':\n")[1]
    path.write_text(text)
    with pytest.raises(InputError, match=r"J0660, unit: '\?\?\?' stands for a unit that is not"):
        band(table, survey=path)
    path.write_text(text.replace("???", "mJy"))
    assert band(table, survey=path)[0][0] == 1000.0


@pytest.mark.parametrize("unit", ["K", "Angstrom", "Jy / beam", "ct / s"])
def test_other_units_are_refused(unit):
    table = Table({"flux_J0660": Column([1.0], unit=unit), "flux_J0660_err": [0.1]})
    with pytest.raises(InputError, match="column 'flux_J0660'") as caught:
        read_photometry(table)
    assert str(u.Unit(unit)) in str(caught.value)


def test_st_magnitudes_are_refused():
    table = Table({"J0660": Column([20.0], unit="mag(ST)"), "J0660_err": [0.1]})
    with pytest.raises(InputError, match="expected AB magnitudes"):
        read_photometry(table)


def test_a_word_in_a_column_of_fluxes_is_said():
    table = Table(
        {
            "J0660": ["1.5", "bright"],
            "J0660_err": [1.0, 1.0],
            "J0670": [1.0, 1.0],
            "J0670_err": [1.0, 1.0],
        }
    )
    with pytest.raises(InputError, match="'J0660', row 1: expected numbers, got 'bright'"):
        read_photometry(table)


def test_flux_without_error_is_left_out_and_said():
    table = Table({"J0660": [1.0], "J0660_err": [1.0], "J0670": [1.0]})
    photometry = read_photometry(table)
    assert photometry.bands == ("J0660",)
    assert "left out, no error column: 'J0670'" in photometry.messages


def test_only_fluxes_without_errors():
    with pytest.raises(UnrecognisedTableError, match="'J0670' look like .* no error column"):
        read_photometry(Table({"J0670": [1.0]}))


@pytest.mark.parametrize("table", [Table(), Table({"J0660": [], "J0660_err": []})])
def test_empty_tables_are_refused(table):
    with pytest.raises(InputError, match="the table is empty"):
        read_photometry(table)


def test_the_input_is_not_changed():
    table = QTable({"J0660": [-99.0, 2.0] * u.mJy, "J0660_err": [1.0, 1.0] * u.mJy})
    before = table.copy()
    read_photometry(table)
    assert table.colnames == before.colnames
    for name in table.colnames:
        np.testing.assert_array_equal(table[name].value, before[name].value)
        assert table[name].unit == before[name].unit


def test_several_surveys_in_one_table_are_merged():
    table = Table(
        {
            "J0660": [1.0],
            "J0660_err": [1.0],
            "FUVmag": [21.0],
            "e_FUVmag": [0.1],
            "FLUX_G": [1.0],
            "FLUX_IVAR_G": [4.0],
        }
    )
    assert detect_survey(table).name == "galex+generic+legacy"
    photometry = read_photometry(table)
    assert set(photometry.bands) == {"J0660", "galex_fuv", "decam_g"}
    assert dict(zip(photometry.bands, photometry.surveys, strict=True)) == {
        "J0660": "generic",
        "galex_fuv": "galex",
        "decam_g": "legacy",
    }


@pytest.mark.parametrize(
    "value, error", [("MAG_AUTO_J0450", "ERR_J0450"), ("mag_J0450", "error_J0450")]
)
def test_errors_that_name_the_band_alone(value, error):
    found = read_photometry(Table({value: [20.0, 21.0], error: [0.1, 0.2]}))
    assert found.bands == ("J0450",)
    np.testing.assert_allclose(found.flux[0], [AB * 10**-8.0], rtol=1e-6)


def test_fluxes_as_for_eazy():
    table = Table({"f_J0450": [3.0], "e_J0450": [0.5]})
    with pytest.raises(InputError, match="states no unit"):
        read_photometry(table)
    table["f_J0450"].unit = table["e_J0450"].unit = "uJy"
    np.testing.assert_allclose(read_photometry(table).error, [[0.5]])
