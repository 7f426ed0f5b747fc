"""Maps: a survey of one's own in YAML, and the one that is suggested for an unknown table."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Column, Table

from jpassed.exceptions import FileError, InputError, UnrecognisedTableError
from jpassed.surveys import detect_survey, load_survey, read_photometry

AB = 3631e6


@pytest.fixture
def write(tmp_path):
    def to_file(text, name="mine.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return to_file


def test_one_line_per_band(write):
    path = write(
        """
        bands:
          J0660: {flux: f, error: ef, unit: nanomaggy}
          rSDSS: {mag: m, error: em}
          sdss_g: {flux: g, ivar: w, unit: uJy}
          galex_nuv: {flux: counts, error: ecounts, zero_point: 20.08}
          2mass_j: {mag: j, error: ej, ab_offset: 0.91}
          gSDSS: {flux: h, relative_error: rel, unit: erg / (s cm2 Hz)}
        """
    )
    table = Table(
        {
            "f": [1.0],
            "ef": [0.1],
            "m": [20.0],
            "em": [0.1],
            "g": [5.0],
            "w": [4.0],
            "counts": [2.0],
            "ecounts": [1.0],
            "j": [15.0],
            "ej": [0.1],
            "h": [1e-29],
            "rel": [0.2],
        }
    )
    photometry = read_photometry(table, path)
    flux = dict(zip(photometry.bands, photometry.flux[0], strict=True))
    error = dict(zip(photometry.bands, photometry.error[0], strict=True))
    assert flux["J0660"] == pytest.approx(3.631)
    assert flux["rSDSS"] == pytest.approx(AB * 1e-8)
    assert (flux["sdss_g"], error["sdss_g"]) == (5.0, 0.5)
    assert flux["galex_nuv"] == pytest.approx(2 * AB * 10 ** (-0.4 * 20.08))
    assert error["galex_nuv"] == pytest.approx(AB * 10 ** (-0.4 * 20.08))
    assert flux["2mass_j"] == pytest.approx(AB * 10 ** (-0.4 * 15.91))
    assert (flux["gSDSS"], error["gSDSS"]) == (pytest.approx(1.0), pytest.approx(0.2))
    assert photometry.surveys == ("mine",) * 6


def test_one_unit_for_all_and_the_unit_of_a_column_goes_before(write):
    path = write("unit: mJy\nbands:\n  J0660: {flux: a, error: b}\n  J0670: {flux: c, error: d}\n")
    table = Table({"a": [1.0], "b": [1.0], "c": Column([1.0], unit="uJy"), "d": [1.0]})
    np.testing.assert_allclose(read_photometry(table, path).flux, [[1000.0, 1.0]])


@pytest.mark.parametrize("unit", ["erg/s/cm2/A", "erg s-1 cm-2 A-1", "erg / (s cm2 Angstrom)"])
def test_per_angstrom_in_any_spelling(write, unit):
    path = write(f"unit: {unit}\nbands:\n  X1: {{flux: a, error: b, pivot: 5000, width: 100}}\n")
    flux = read_photometry(Table({"a": [1e-17], "b": [1e-18]}), path).flux
    assert flux[0, 0] == pytest.approx(1e-17 * 5000**2 / 2.99792458e18 * 1e29)


def test_a_passband_of_ones_own(write):
    path = write("bands:\n  X1: {flux: a, error: b, unit: uJy, pivot: 5432, width: 120}\n")
    photometry = read_photometry(Table({"a": [1.0], "b": [1.0]}), path)
    assert (photometry.bands, photometry.pivot[0], photometry.width[0]) == (("X1",), 5432.0, 120.0)


def test_sentinels_flags_limits_and_extinction_of_ones_own(write):
    path = write(
        """
        name: example
        sentinels: [0, -1]
        limit: {value: 50, nsigma: 2}
        flags: {column: bad, bits: 2}
        extinction: {ebv: dust}
        bands:
          rSDSS: {mag: m, error: em}
        """
    )
    table = Table(
        {
            "m": [20.0, 0.0, -1.0, 50.0, 20.0],
            "em": [0.1, 0.1, 0.1, 24.0, 0.1],
            "bad": [1, 0, 0, 0, 3],
            "dust": [0.1, 0.0, 0.0, 0.0, 0.0],
        }
    )
    photometry = read_photometry(table, path)
    np.testing.assert_array_equal(photometry.observed[:, 0], [True, False, False, True, False])
    assert photometry.flux[0, 0] == pytest.approx(AB * 1e-8 * 10 ** (0.04 * 2.527))
    assert photometry.flux[3, 0] == 0.0
    assert photometry.error[3, 0] == pytest.approx(AB * 10 ** (-0.4 * 24) / 2)


def test_patterns_of_ones_own(write):
    path = write(
        """
        photometry:
          - bands: {G: ps1_g, 'Y': ps1_y}
            value: "{band}MeanKronMag"
            error: "{band}MeanKronMagErr"
            unit: mag(AB)
          - layout: array
            bands: [galex_fuv, galex_nuv]
            value: uv
            error: uv_sigma
            unit: uJy
        """
    )
    table = Table(
        {
            "gMeanKronMag": [20.0],
            "gMeanKronMagErr": [0.1],
            "yMeanKronMag": [19.0],
            "yMeanKronMagErr": [0.1],
            "uv": [[1.0, 2.0]],
            "uv_sigma": [[0.1, 0.2]],
        }
    )
    photometry = read_photometry(table, path)
    assert photometry.bands == ("ps1_g", "ps1_y", "galex_fuv", "galex_nuv")
    np.testing.assert_allclose(photometry.flux, [[36.31, 10**0.4 * 36.31, 1.0, 2.0]])


def test_a_map_may_include_surveys(write):
    path = write("include: galex\nbands:\n  rSDSS: {mag: m, error: em}\n")
    table = Table({"m": [20.0], "em": [0.1], "FUVmag": [21.0], "e_FUVmag": [0.1]})
    assert read_photometry(table, path).bands == ("rSDSS", "galex_fuv")


def test_context_of_a_map(write):
    path = write("context: {z: zspec}\nbands:\n  rSDSS: {mag: m, error: em}\n")
    assert load_survey(path).context == {"z": "zspec"}


def test_columns_in_any_case(write):
    path = write("bands:\n  rSDSS: {mag: M_R, error: EM_R}\n")
    assert read_photometry(Table({"m_r": [20.0], "em_r": [0.1]}), path).columns == ("m_r",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colums: {}", r"mine.yaml.*unknown key 'colums'; valid keys: auto, bands"),
        ("- a\n- b", "expected 'key: value' lines"),
        ("{", "mine.yaml.*not valid YAML"),
        ("", "expected 'key: value' lines"),
        ("name: x", "expected 'bands'"),
        ("bands: [J0660]", "expected 'BAND: "),
        ("bands: {J066: {flux: a, error: b}}", "unknown band 'J066'. Did you mean 'J0660'"),
        ("bands: {J0660: {flux: a, error: b, units: uJy}}", "unknown key 'units'"),
        ("bands: {J0660: {error: b}}", "either 'flux: COLUMN' or 'mag: COLUMN'"),
        ("bands: {J0660: {flux: a, mag: b, error: c}}", "either 'flux: COLUMN' or 'mag: COLUMN'"),
        ("bands: {J0660: {flux: a}}", "one of 'error', 'ivar', 'relative_error'"),
        ("bands: {J0660: {flux: a, error: b, ivar: c}}", "one of 'error', 'ivar'"),
        ("bands: {J0660: {flux: a, error: b, unit: parsec}}", "J0660, unit: cannot use"),
        ("bands: {J0660: {flux: a, error: b, unit: wibble}}", "J0660, unit: cannot read 'wibble'"),
        ("bands: {J0660: {flux: a, error: b, zero_point: x}}", "zero_point: expected a number"),
        ("bands: {X1: {flux: a, error: b, pivot: 5000}}", "positive 'pivot' and 'width'"),
        ("bands: {X1: {flux: a, error: b, pivot: -5, width: 1}}", "positive 'pivot' and 'width'"),
        ("photometry: {}", "expected a list of rules"),
        ("photometry: [{bands: known, value: flux}]", r"needs '\{band\}' in each pattern"),
        ("photometry: [{bands: known}]", "'value' .* is missing"),
        ("photometry: [{bands: [], value: '{band}'}]", "expected a list of bands"),
        ("photometry: [{bands: {y: ps1_y, on: ps1_g}, value: '{band}'}]", "in quotes"),
        ("photometry: [{layout: cube, bands: known, value: '{band}'}]", "expected one of columns"),
        (
            "photometry: [{bands: [J0660, J0670], value: '{band}', ab_offset: [1, 2, 3]}]",
            "3 numbers for 2 bands",
        ),
        ("include: galaxy\nbands: {}", "unknown survey 'galaxy'"),
        ("context: {redshift: z}\nbands: {}", "unknown quantity 'redshift'"),
        ("sentinels: [x]\nbands: {}", "sentinels: expected a number, got 'x'"),
        ("limit: {nsigma: 0}\nbands: {}", "nsigma must be positive"),
        ("flags: {column: a, bits: 0.5}\nbands: {}", "bits must be a whole number"),
        ("extinction: {av: a}\nbands: {}", "unknown key 'av'"),
        ("where: {column: a}\nbands: {}", "expected 'column: NAME' and 'values"),
    ],
)
def test_mistakes_in_a_map_are_named(write, text, message):
    with pytest.raises(InputError, match=message) as caught:
        load_survey(write(text))
    assert "\n" not in str(caught.value)


def test_missing_map_file(tmp_path):
    with pytest.raises(FileError, match="nowhere.yaml.* does not exist"):
        load_survey(tmp_path / "nowhere.yaml")


def test_map_that_is_not_text(tmp_path):
    path = tmp_path / "picture.yaml"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    with pytest.raises(FileError, match="picture.yaml.* cannot be read"):
        load_survey(path)


def test_missing_column_of_a_map_lists_the_columns(write):
    path = write("bands:\n  J0660: {flux: flx, error: err, unit: uJy}\n")
    message = r"map 'mine', band J0660: unknown column 'flx'. Did you mean 'flux'.*: err, flux"
    with pytest.raises(InputError, match=message):
        read_photometry(Table({"flux": [1.0], "err": [1.0]}), path)


def test_map_to_an_array_column(write):
    path = write("bands:\n  J0660: {flux: a, error: b, unit: uJy}\n")
    with pytest.raises(InputError, match="'a' does not hold one number per row"):
        read_photometry(Table({"a": [[1.0, 2.0]], "b": [1.0]}), path)


def test_two_lines_of_a_map_for_one_band(write):
    # YAML keeps the second of two equal keys; the reader must not get there silently.
    path = write("bands:\n  J0660: {flux: a, error: b}\n  J0660: {flux: c, error: d}\n")
    with pytest.raises(InputError, match="J0660.* twice"):
        load_survey(path)


# --- suggestions --------------------------------------------------------------------------------


def suggestion(table):
    with pytest.raises(UnrecognisedTableError) as caught:
        detect_survey(table)
    text = str(caught.value)
    return text, text.split("Start for example from\n")[1].split("\nwhere bands")[0]


def test_suggested_map_works_once_the_units_are_known(write):
    table = Table(
        {
            "id": [1],
            "RA": [150.0],
            "RA_err": [0.1],
            "umag": [21.0],
            "e_umag": [0.1],
            "gmag": [20.0],
            "e_gmag": [0.1],
            "W1 flux": Column([3.0], unit="uJy"),
            "e_W1 flux": [0.1],
            "zspec": [0.1],
            "zspec_err": [0.01],
            "K_counts": [5.0],
            "K_counts_ivar": [4.0],
        }
    )
    text, yaml = suggestion(table)
    for name in table.colnames:
        assert name in text
    with pytest.raises(InputError, match=r"2mass_ks, unit: '\?\?\?' stands for a unit that is not"):
        load_survey(write(yaml))
    photometry = read_photometry(table, write(yaml.replace("???", "uJy")))
    assert photometry.bands == ("sdss_u", "sdss_g", "wise_w1", "2mass_ks")
    np.testing.assert_allclose(
        photometry.flux, [[AB * 10**-8.4, AB * 10**-8.0, 3.0, 5.0]], rtol=1e-12
    )


def test_bands_that_cannot_be_guessed_are_left_to_the_reader(write):
    _, yaml = suggestion(Table({"flux_blue": [1.0], "fluxerr_blue": [0.1]}))
    assert yaml == 'bands:\n  BAND1: {flux: flux_blue, error: fluxerr_blue, unit: "???"}'
    yaml = yaml.replace("???", "uJy")
    with pytest.raises(InputError, match="unknown band 'BAND1'"):
        load_survey(write(yaml))
    table = Table({"flux_blue": [1.0], "fluxerr_blue": [0.1]})
    assert read_photometry(table, write(yaml.replace("BAND1", "J0450"))).bands == ("J0450",)


def test_no_pair_of_columns_at_all():
    text, yaml = suggestion(Table({"name": ["NGC 1"], "brightness": [12.0]}))
    assert "Columns seen: name, brightness." in text
    assert 'J0660: {flux: FLUX_COLUMN, error: ERROR_COLUMN, unit: "???"}' in yaml


def test_arrays_of_a_length_that_is_unknown_get_a_rule(write):
    shape = np.ones((2, 3))
    table = Table({"id": [1, 2], "flux_auto": shape, "flux_relerr_auto": 0.1 * shape})
    _, yaml = suggestion(table)
    assert "the 3 bands in the order of the array" in yaml
    filled = yaml.replace("BAND1, BAND2", "J0660, J0670, J0680").replace("???", "uJy")
    photometry = read_photometry(table, write(filled))
    assert photometry.bands == ("J0660", "J0670", "J0680")
    np.testing.assert_allclose(photometry.error, 0.1)


def test_very_wide_tables_are_cut_in_the_message():
    table = Table({f"column{k}": [1.0] for k in range(300)})
    text, _ = suggestion(table)
    assert "(300 in all)" in text
    assert len(text) < 2500


@pytest.mark.real_data
def test_real_vvds_through_a_map(real_data, write):
    table = Table.read(real_data / "catalogs" / "vvds_deep_veryreliable.csv")
    _, yaml = suggestion(table)
    assert "ds_cfh12k.MAG_AUTO_B" in yaml
    lines = [
        f"  sdss_{b}: {{mag: MAG_AUTO_{b.upper()}, error: MAGERR_AUTO_{b.upper()}}}"
        for b in "ugriz"
    ]
    photometry = read_photometry(table, write("bands:\n" + "\n".join(lines)))
    assert len(photometry) == 6140
    # PROVENANCE: -99.9 and 99.99 are missing; the true fluxes of the rest are positive
    raw = np.stack([table[f"MAG_AUTO_{b}"] for b in "UGRIZ"], axis=1)
    missing = (raw < 0) | (raw > 90)
    assert missing.any()
    np.testing.assert_array_equal(photometry.observed & missing, False)
    assert (photometry.flux[photometry.observed] > 0).all()
    mag = -2.5 * np.log10(
        photometry.select(["sdss_i"]).flux[:, 0] / AB,
        where=photometry.observed[:, 3],
        out=np.full(6140, np.nan),
    )
    assert np.nanmedian(mag) == pytest.approx(22.5, abs=1.0)
