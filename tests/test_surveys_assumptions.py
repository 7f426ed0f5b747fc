"""What columns do not say: units, extinction, and columns that look like bands and are not read."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from annotation_tables import small_model
from astropy.table import Column, Table
from click.testing import CliRunner

import jpassed
from jpassed.cli import main
from jpassed.exceptions import InputError
from jpassed.surveys import column_notes, detect_survey, identify, load_survey, read_photometry
from jpassed.surveys.columns import says_magnitude

AB = 3631e6  # microjansky
BANDS = ("gSDSS", "rSDSS", "iSDSS")
N = 20


def table_of(value: str, error: str, low=20.0, high=23.0, sigma=0.05, n=N, bands=BANDS) -> Table:
    rng = np.random.default_rng(5)
    table = Table({"id": np.arange(n)})
    for band in bands:
        table[value.format(band)] = rng.uniform(low, high, n)
        table[error.format(band)] = np.full(n, sigma)
    return table


@pytest.fixture
def write(tmp_path):
    def to_file(text):
        (tmp_path / "map.yaml").write_text(text)
        return tmp_path / "map.yaml"

    return to_file


def said_by_annotate(table, caplog, **options) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="jpassed"):
        jpassed.annotate(table, model=small_model(), outputs=["z"], **options)
    return [r.getMessage() for r in caplog.records if r.name == "jpassed.annotation.task"]


# --- magnitudes and units -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "error"),
    [("m_{}", "em_{}"), ("m_{}", "m_{}_err"), ("{}mag", "e_{}mag"), ("{}MAG", "{}magerr")],
)
def test_names_of_magnitudes_are_read_as_ab_magnitudes(value, error, tmp_path):
    table = table_of(value, error)
    found = identify(table)
    assert [band.band for band in found.bands] == list(BANDS)
    assert {band.unit for band in found.bands} == {"mag(AB)"}
    name = value.format("rSDSS")
    assert f"  rSDSS: {{mag: {name}, error: {error.format('rSDSS')}}}\n" in found.as_map()
    (tmp_path / "map.yaml").write_text(found.as_map())
    for survey in ("auto", tmp_path / "map.yaml"):
        flux = read_photometry(table, survey).select(["rSDSS"]).flux[:, 0]
        np.testing.assert_allclose(flux, AB * 10 ** (-0.4 * table[name]), rtol=1e-12)


def test_fluxes_are_preferred_to_such_magnitudes():
    table = table_of("rSDSS_flux", "rSDSS_flux_err", 1.0, 900.0, bands=("rSDSS",))
    table["rSDSS_flux"].unit = "uJy"
    table["rSDSSmag"], table["e_rSDSSmag"] = 21.0, 0.1
    assert read_photometry(table).columns == ("rSDSS_flux",)


def test_names_that_say_magnitude():
    yes = ("m_r", "MAG_AUTO", "gmag", "magerr", "ds.m_rSDSS")
    no = ("rSDSS", "flux_mag", "image", "m_star", "M_halo", "m_200", "em_r", "fluxmag_r")
    assert [says_magnitude(name) for name in yes] == [True] * len(yes)
    assert [says_magnitude(name) for name in no] == [False] * len(no)


@pytest.mark.parametrize(("value", "error"), [("magAB_{}", "e_magAB_{}"), ("mag.{}", "mag.{}_err")])
def test_names_of_magnitudes_that_are_refused_get_a_map_of_magnitudes(value, error, write):
    table = table_of(value, error)
    with pytest.raises(InputError, match=f"{{mag: {value.format('gSDSS')}, error: "):
        read_photometry(table)
    text = identify(table).as_map()
    assert "flux" not in text
    np.testing.assert_allclose(
        read_photometry(table, write(text)).flux[:, 0],
        AB * 10 ** (-0.4 * table[value.format("gSDSS")]),
        rtol=1e-12,
    )


def test_values_that_look_like_magnitudes_are_not_taken_as_microjansky(tmp_path):
    table = table_of("{}", "{}_err")
    with pytest.raises(InputError, match="'gSDSS', 'rSDSS', 'iSDSS': no unit is stated") as caught:
        read_photometry(table)
    assert "their values look like magnitudes; they are not taken as uJy" in str(caught.value)
    found = identify(table)
    assert found.problem == str(caught.value)
    assert {band.unit for band in found.bands} == {"???"}
    assert "assumed" not in str(found)
    path = tmp_path / "map.yaml"
    path.write_text(found.as_map())
    with pytest.raises(InputError, match="stands for a unit that is not known; write the one"):
        load_survey(path)
    path.write_text(found.as_map().replace("???", "mag(AB)"))
    np.testing.assert_allclose(
        read_photometry(table, path).flux[:, 0], AB * 10 ** (-0.4 * table["gSDSS"]), rtol=1e-12
    )
    # Whoever says so has fluxes of this size.
    path.write_text(found.as_map().replace("???", "uJy"))
    np.testing.assert_array_equal(read_photometry(table, path).flux[:, 0], table["gSDSS"])
    for name in table.colnames[1:]:
        table[name].unit = "uJy"
    np.testing.assert_array_equal(read_photometry(table).flux[:, 0], table["gSDSS"])


@pytest.mark.parametrize(
    "options",
    [{"low": 2.0, "high": 90.0}, {"sigma": 3.0}, {"low": -1.0}],
    ids=["wide", "large errors", "negative"],
)
def test_values_of_fluxes_are_taken_and_said(options, caplog):
    table = table_of("{}", "{}_err", **options)
    np.testing.assert_array_equal(read_photometry(table).flux[:, 0], table["gSDSS"])
    lines = said_by_annotate(table, caplog)
    assert lines[0] == "'gSDSS', 'rSDSS', 'iSDSS': no unit, taken as uJy"
    assert sum("no unit" in line for line in lines) == 1


def test_few_rows_that_may_be_magnitudes_are_doubted(caplog):
    line = said_by_annotate(table_of("{}", "{}_err", n=2), caplog)[0]
    assert line.endswith("taken as uJy; if they are magnitudes, give the columns the unit mag(AB)")


def test_errors_in_magnitudes_say_it_too():
    table = Table({"rSDSS": [3.0], "rSDSS_err": Column([0.1], unit="mag")})
    with pytest.raises(InputError, match="names or errors say that they are magnitudes"):
        read_photometry(table)


def test_stated_units_are_not_remarked_on():
    table = table_of("{}", "{}_err", 1.0, 900.0)
    for name in table.colnames[1:]:
        table[name].unit = "uJy"
    assert column_notes(table, detect_survey(table)) == ()


# --- columns that look like bands -----------------------------------------------------------------


def matched(value="flx_{}", error="flx_{}_err") -> Table:
    """After a cross-match: GALEX beside columns that are not recognised."""
    table = table_of(value, error)
    for name, number, unit in (
        ("flux", 5.0, "uJy"),
        ("flux_err", 0.5, "uJy"),
        ("limit", 22, "mag"),
    ):
        table[f"galex_nuv_{name}"] = Column(np.full(N, number), unit=unit)
    table["galex_nuvmag"], table["galex_e_nuvmag"] = 22.0, 0.1
    table["galex_separation"] = 0.5
    return table


@pytest.mark.parametrize(
    ("value", "error"), [("X{}", "e_X{}"), ("mymag{}", "mymagerr{}"), ("f_{}_tot", "f_{}_tot_err")]
)
def test_bands_that_are_not_read_are_said(value, error, caplog, write):
    table = matched(value, error)
    table["z_spec"], table["z_spec_err"] = 0.1, 0.01
    table["mass"], table["mass_err"] = 10.0, 0.1
    table["r_eff"], table["r_eff_err"] = 1.0, 0.1
    table["flux_oiii"], table["flux_oiii_err"] = 1.0, 0.1
    found = identify(table)
    assert found.surveys == ("galex",)
    assert [item.column for item in found.near] == [value.format(band) for band in BANDS]
    assert found.near[0].hint == f"did you mean gSDSS? Its errors may be {error.format('gSDSS')!r}"
    assert "Nearly a band:\n" in str(found)
    text = found.as_map()
    assert read_photometry(table, write(text)).bands == ("galex_nuv",)
    given = text.replace("#  ", "  ").replace("???", "mag(AB)")
    assert read_photometry(table, write(given)).bands == ("galex_nuv", *BANDS)
    lines = said_by_annotate(table, caplog)
    names = ", ".join(repr(value.format(band)) for band in BANDS)
    assert lines[0].startswith(f"3 columns look like bands and are not used: {names} (jpassed ")


def test_a_map_without_galex_says_so(tmp_path, caplog):
    table = matched()
    path = tmp_path / "map.yaml"
    path.write_text("bands: {rSDSS: {flux: flx_rSDSS, error: flx_rSDSS_err, unit: mJy}}")
    near = {item.column: item.hint for item in identify(table, path).near}
    assert near["galex_nuv_flux"] == "galex reads it as galex_nuv"
    assert set(near) == {"galex_nuv_flux", "flx_gSDSS", "flx_iSDSS"}
    lines = said_by_annotate(table, caplog, survey=path)
    assert lines[0].startswith("3 columns look like bands and are not used: 'galex_nuv_flux', ")


def test_columns_that_were_not_preferred_are_no_news():
    table = table_of("MAG_AUTO_{}", "MAGERR_AUTO_{}")
    for band in BANDS:
        table[f"MAG_APER_2_0_{band}"], table[f"MAGERR_APER_2_0_{band}"] = 21.0, 0.1
    assert identify(table).near == ()
    assert column_notes(table, detect_survey(table)) == ()


# --- extinction -----------------------------------------------------------------------------------


def test_extinction_for_some_bands_is_said(tmp_path, caplog):
    table = table_of("mag_{}", "magerr_{}")
    table["E(B-V)"] = 0.1
    alone = "E(B-V): not used; gSDSS, rSDSS, iSDSS taken as corrected for the Milky Way"
    assert identify(table).notes[0].startswith(alone)
    assert said_by_annotate(table, caplog)[0].startswith(alone)
    table.meta["MWCORR"] = True  # of `jpassed.jspectra`, which corrected them
    assert not any("E(B-V)" in note for note in identify(table).notes)
    del table.meta["MWCORR"]
    table["NUVmag"], table["e_NUVmag"] = 21.0, 0.1
    found = identify(table)
    assert found.notes[0].startswith("E(B-V): for galex only; gSDSS, rSDSS, iSDSS taken as corr")
    assert "Note:\n  E(B-V): for galex only" in str(found)
    assert said_by_annotate(table, caplog)[0] == found.notes[0]
    # As offered in the map: with the '#' everything is as it was, without it all are corrected.
    path = tmp_path / "map.yaml"
    path.write_text(found.as_map())
    before = read_photometry(table).select([*BANDS, "galex_nuv"]).flux
    same = read_photometry(table, path).select([*BANDS, "galex_nuv"]).flux
    np.testing.assert_array_equal(same, before)
    path.write_text(found.as_map().replace("# extinction:", "extinction:"))
    ratio = read_photometry(table, path).select([*BANDS, "galex_nuv"]).flux[0] / before[0]
    expected = [
        10 ** (0.04 * jpassed.surveys.extinction_coefficient(band, 5000.0)) for band in BANDS
    ]
    np.testing.assert_allclose(ratio, [*expected, 1.0], rtol=1e-12)
    assert column_notes(table, load_survey(path)) == ()


def test_extinction_that_is_used_by_all_is_no_news():
    table = Table({"NUVmag": [21.0], "e_NUVmag": [0.1], "E(B-V)": [0.1]})
    assert identify(table).notes == ()
    assert "#" not in identify(table).as_map()


def test_the_map_has_all_bands_and_the_refusal_the_first_dozen():
    table = Table()
    for k in range(30):
        table[f"f{k}x"], table[f"f{k}x_err"] = [1.0], [0.1]
    found = identify(table)
    assert sum("BAND" in line for line in found.as_map().splitlines()) == 30
    assert "more" not in found.as_map()
    assert found.problem.count("BAND") == 12
    assert "\n  # ... and more: jpassed identify CATALOG --as-map\n" in found.problem


# --- whole sentences ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "table",
    [
        Table({"a": [1.0], "b": [2.0], "c": [3.0]}),
        Table({"flux_J0660": [1.0], "fluxerr_J0660": [0.1]}),
        table_of("{}", "{}_err"),
    ],
    ids=["abc", "no unit", "magnitudes"],
)
def test_the_refusal_ends_with_its_sentence(table, tmp_path):
    table.write(tmp_path / "t.csv")
    shown = CliRunner().invoke(main, ["identify", str(tmp_path / "t.csv")]).stdout.splitlines()
    line = next(k for k, text in enumerate(shown) if text.startswith("jpassed annotate would ref"))
    assert shown[line].endswith(".")
    assert "starting" not in shown[line]
    assert shown[line + 1] == "A map to start from: jpassed identify CATALOG --as-map"
