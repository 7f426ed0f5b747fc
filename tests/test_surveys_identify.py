"""identify: which column is which band, what is left out and why, and the map of the same."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Column, Table
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from survey_tables import (
    MAKERS,
    N,
    apertures,
    columns_of_jpassed,
    minijpas,
    numbers,
    sdss_arrays,
    two_surveys,
)

from jpassed.cli import main
from jpassed.exceptions import InputError, UnknownNameError
from jpassed.filters import known_bands, load_filters
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.surveys import Identification, identify, load_survey, read_photometry


def assert_map_reads_the_same(table, folder, survey="auto") -> None:
    """The map says of the table what the surveys do, to the last bit."""
    path = folder / "map.yaml"
    path.write_text(identify(table, survey).as_map(), encoding="utf-8")
    wanted = read_photometry(table, survey)
    found = read_photometry(table, load_survey(path))
    assert set(found.bands) == set(wanted.bands)
    found = found.select(wanted.bands)
    np.testing.assert_array_equal(found.observed, wanted.observed)
    np.testing.assert_array_equal(found.flux, wanted.flux)
    np.testing.assert_array_equal(found.error, wanted.error)
    np.testing.assert_array_equal(found.pivot, wanted.pivot)
    np.testing.assert_array_equal(found.width, wanted.width)


# --- recognised -----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", MAKERS)
def test_bands_are_those_that_are_read(make):
    table = make(np.random.default_rng(3))
    found = identify(table)
    wanted = read_photometry(table)
    assert found.recognised
    assert found.problem == ""
    assert tuple(band.band for band in found.bands) == wanted.bands
    assert tuple(band.survey for band in found.bands) == wanted.surveys
    assert tuple(band.column for band in found.bands) == wanted.columns
    np.testing.assert_array_equal([band.pivot for band in found.bands], wanted.pivot)
    assert {band.error_column for band in found.bands} <= set(table.colnames)
    assert all(band.unit for band in found.bands)


@pytest.mark.parametrize("make", MAKERS)
def test_the_map_says_the_same(make, tmp_path):
    assert_map_reads_the_same(make(np.random.default_rng(3)), tmp_path)


@given(
    st.lists(st.sampled_from(sorted(known_bands())), min_size=1, max_size=6, unique=True),
    st.sampled_from(["{}", "flux_{}", "mag_{}"]),
    st.sampled_from(["uJy", "nanomaggy", "mag(AB)", "erg / (s cm2 Hz)", "erg / (s cm2 Angstrom)"]),
    st.sampled_from(["error", "ivar"]),
)
def test_maps_of_any_bands_and_units(tmp_path_factory, bands, form, unit, kind):
    if ("mag" in form) != (unit == "mag(AB)") or (unit == "mag(AB)" and kind == "ivar"):
        return
    rng = np.random.default_rng(1)
    ending = {"error": "_err", "ivar": "_ivar"}[kind]
    table = Table()
    for band in bands:
        table[form.format(band)] = Column(numbers(rng, 18, 24), unit=unit)
        error = Column(numbers(rng, 0.1, 1.0), unit=unit if kind == "error" else None)
        table[form.format(band) + ending] = error
    assert_map_reads_the_same(table, tmp_path_factory.mktemp("map"))


def test_units_and_errors_of_columns():
    found = identify(sdss_arrays(np.random.default_rng(3)))
    assert found.surveys == ("sdss",)
    first = found.bands[0]
    assert (first.band, first.column, first.element) == ("sdss_u", "MODELFLUX", 0)
    assert (first.unit, first.stated) == ("nanomaggy", False)
    assert (first.error_column, first.error_kind) == ("MODELFLUX_IVAR", "ivar")
    assert found.also_used == {"EXTINCTION": "Galactic extinction"}
    stated = identify(apertures(np.random.default_rng(3))).bands[0]
    assert (stated.unit, stated.stated) == ("mJy", True)
    assert stated.column == "APER_COR_3_0_J0400"


def test_several_surveys_and_what_else_is_read():
    found = identify(two_surveys(np.random.default_rng(3)))
    assert found.surveys == ("galex", "minijpas")
    assert len(found.bands) == 62
    assert set(found.also_used) == {"flags", "mask_flags", "ebv", "E(B-V)"}
    assert found.others == ("RAJ2000",)


def test_columns_without_errors_and_those_of_jpassed_are_left_out():
    table = columns_of_jpassed(np.random.default_rng(3))
    table["J0470"] = 1.0 * u.uJy
    table["jp_z"], table["jp_z_err"] = 0.1, 0.01
    found = identify(table)
    reasons = {item.column: item.reason for item in found.left_out}
    assert "no column of errors" in reasons["J0470"]
    assert "never read as a bandflux" in reasons["jp_z"]
    assert found.others == ("id",)


def test_preferences_are_told():
    messages = identify(apertures(np.random.default_rng(3))).messages
    assert messages == ("generic: using 'APER_COR_3_0_J0400' and its like, not 'APER_2_0_J0400'",)


def test_labels_are_only_suggested():
    table = columns_of_jpassed(np.random.default_rng(3))
    table["Z_SPEC"], table["z_spec_err"] = 0.1, 0.01
    table["lgm_tot_p50"] = 10.0
    table["z_phot"] = 0.1  # an estimate of another code is no label
    table["z"] = 19.0 + np.arange(N)  # a magnitude
    found = identify(table)
    assert [item.option for item in found.labels] == [
        "--context z=Z_SPEC,z_spec_err",
        "--context logmstar=lgm_tot_p50",
    ]
    assert {"z_phot", "z"} <= set(found.others)
    assert "Could be given as context" in str(found)
    assert "logmstar: " not in str(found)


def test_a_survey_by_name_or_map(tmp_path):
    table = two_surveys(np.random.default_rng(3))
    assert len(identify(table, "galex").bands) == 2
    path = tmp_path / "mine.yaml"
    path.write_text("bands: {J0660: {flux: RAJ2000, error: ebv, unit: mJy}}")
    found = identify(table, path)
    assert [(b.column, b.unit) for b in found.bands] == [("RAJ2000", "mJy")]
    assert_map_reads_the_same(table, tmp_path, path)
    with pytest.raises(UnknownNameError, match="'glaex'. Did you mean 'galex'"):
        identify(table, "glaex")


def test_context_of_a_map_is_told_and_kept(tmp_path):
    table = columns_of_jpassed(np.random.default_rng(3))
    table["z_spec"], table["mass"], table["dm"] = 0.1, 10.0, 0.2
    path = tmp_path / "mine.yaml"
    path.write_text(
        "context: {z: z_spec, logmstar: 'mass,dm'}\nbands: {J0660: {flux: J0660, error: J0660_err}}"
    )
    found = identify(table, path)
    assert found.context == {"z": "z_spec", "logmstar": "mass,dm"}
    assert found.labels == ()
    assert not {"z_spec", "mass", "dm"} & set(found.others)
    assert "Used as context, as the survey file says:\n  z_spec: z\n" in str(found)
    (tmp_path / "again.yaml").write_text(found.as_map())
    assert load_survey(tmp_path / "again.yaml").context == found.context


def test_own_passbands_and_zero_points_are_in_the_map(tmp_path):
    table = Table({"f": [1.0, 2.0], "e": [0.1, 0.2], "g": [3.0, 4.0], "d": [0.1, 0.1]})
    path = tmp_path / "mine.yaml"
    path.write_text(
        "bands:\n"
        "  mine: {flux: f, error: e, zero_point: 25.3, pivot: 5000.5, width: 812.25}\n"
        "  J0660: {flux: g, error: d, unit: nanomaggy, ab_offset: 0.03, sentinels: [3.0]}\n"
    )
    assert_map_reads_the_same(table, tmp_path, path)
    assert identify(table, path).bands[0].unit == "counts, zero point 25.3"


# --- not recognised -------------------------------------------------------------------------------


def test_a_table_that_is_not_recognised_says_what_comes_near(tmp_path):
    table = Table(
        {
            "ra": [1.0, 2.0],
            "J0660": [1.0, 2.0],
            "J660_flx": [1.0, 2.0],
            "J660_flx_err": [0.1, 0.1],
            "kband": [1.0, 1.0],
            "e_kband": [0.1, 0.1],
            "name": ["a", "b"],
        }
    )
    found = identify(table)
    assert not found.recognised
    assert found.surveys == ()
    assert "no bandflux column" in found.problem
    hints = {item.column: item.hint for item in found.near}
    assert "no column of errors" in hints["J0660"]
    assert hints["J660_flx"].startswith("did you mean J0660?")
    assert hints["kband"] == "has errors in 'e_kband'; a map can say which band it is"
    assert "J660_flx_err" not in hints
    text = str(found)
    assert text.startswith("2 rows, 7 columns: no bandflux is recognised")
    assert "Nearly a band" in text
    # Its map is a start: with bands instead of guesses it can be read.
    guess = found.as_map().replace("BAND1", "J0660").replace("BAND2", "2mass_ks")
    guess = guess.replace("???", "mJy")
    path = tmp_path / "map.yaml"
    path.write_text(guess)
    assert set(load_survey(path).bands) <= {"J0660", "2mass_ks"}


@pytest.mark.parametrize(
    "table",
    [
        Table(),
        Table({"ra": [1.0], "dec": [2.0]}),
        Table({"text": ["a", "b"]}),
        Table({"mixed": np.array([1, "a", None], dtype=object)}),
        Table({"J0660": [[1.0, 2.0]], "J0660_err": [[1.0, 2.0]]}),
    ],
    ids=["nothing", "positions", "text", "objects", "pairs"],
)
def test_tables_without_photometry(table):
    found = identify(table)
    assert not found.recognised
    assert found.problem
    assert "no bandflux is recognised" in str(found)
    assert found.as_map().startswith(("bands:", "photometry:"))


@given(
    st.lists(
        st.text("abcJ06_.(-)é {}[]*", min_size=1, max_size=12), min_size=1, max_size=6, unique=True
    )
)
def test_no_name_of_a_column_breaks_it(names):
    table = Table({name: np.arange(3.0) for name in names})
    found = identify(table)
    assert isinstance(str(found), str)
    assert found.columns == tuple(names)


def test_a_table_without_rows_is_recognised_but_of_no_use():
    found = identify(columns_of_jpassed(np.random.default_rng(3))[:0])
    assert len(found.bands) == 3
    assert found.problem == "the table has no rows"


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"flux_J0660": 1.0, "fluxerr_J0660": 0.1}, "states no unit"),
        ({"J0660": 1.0, "J0660_err": 0.1, "j0660": 2.0, "j0660_err": 0.1}, "both mean 'j0660'"),
    ],
)
def test_what_annotate_would_refuse_is_said(columns, said):
    table = Table({name: np.full(2, value) for name, value in columns.items()})
    found = identify(table)
    assert said in found.problem
    with pytest.raises(InputError) as caught:
        read_photometry(table)
    assert found.problem == str(caught.value)
    assert "jpassed annotate would refuse it" in str(found)


@pytest.mark.parametrize("thing", [None, [1, 2], "catalogue.fits", np.zeros(3)])
def test_what_is_no_table(thing):
    with pytest.raises(InputError, match="identify takes an astropy Table, got"):
        identify(thing)


# --- as text, and on the command line -------------------------------------------------------------


def test_as_text():
    table = columns_of_jpassed(np.random.default_rng(3))
    table["z_spec"] = 0.1
    assert str(identify(table)).splitlines() == [
        "5 rows, 8 columns: 3 bands of generic, 4008-6609 Å",
        "",
        "  band   pivot/Å  column  unit  errors     survey",
        "  J0400  4008     J0400   uJy   J0400_err  generic",
        "  J0660  6609     J0660   uJy   J0660_err  generic",
        "  rSDSS  6246     rSDSS   uJy   rSDSS_err  generic",
        "",
        "Could be given as context (it is not used by itself):",
        "  z_spec: --context z=z_spec",
        "",
        "Not used:",
        "  id",
    ]


def test_arrays_are_one_paragraph():
    text = str(identify(minijpas(np.random.default_rng(3))))
    head = "array flux_auto (1e-19 erg / (s cm2 Angstrom), assumed), relative flux_relerr_auto"
    assert f"{head}, minijpas, 60 bands:" in text
    assert load_filters("jpas").names[0] in text
    assert len(text.splitlines()) < 20


@pytest.fixture
def run():
    return lambda *words: CliRunner().invoke(main, ["identify", *map(str, words)])


def test_the_command_prints_it(run, tmp_path):
    path = tmp_path / "mine.fits"
    write_catalog(columns_of_jpassed(np.random.default_rng(3)), path)
    shown = run(path)
    assert shown.exit_code == 0
    assert shown.stdout == f"{identify(read_catalog(path))}\n"
    shown = run(path, "--as-map")
    assert shown.stdout == identify(read_catalog(path)).as_map()
    (tmp_path / "map.yaml").write_text(shown.stdout)
    assert "3 bands of map" in run(path, "--map", tmp_path / "map.yaml").stdout
    assert "no bandflux is recognised" in run(path, "--survey", "sdss").stdout


def test_errors_of_the_command(run, tmp_path):
    assert run(tmp_path / "nothing.fits").exit_code == 1
    shown = run("x.fits", "--survey", "sdss", "--map", "m.yaml")
    assert shown.exit_code == 2
    assert "exclude each other" in shown.stderr


def test_an_identification_is_a_value():
    found = identify(columns_of_jpassed(np.random.default_rng(3)))
    assert isinstance(found, Identification)
    assert found == identify(columns_of_jpassed(np.random.default_rng(4)))


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["sdss_galaxies_gst.fits", "vvds_deep_veryreliable.csv"])
def test_real_catalogues(real_data, name, tmp_path):
    table = read_catalog(real_data / "catalogs" / name)
    found = identify(table)
    assert found.n_rows == len(table)
    assert str(found)
    if found.recognised and not found.problem:
        assert_map_reads_the_same(table, tmp_path)
    if name.startswith("sdss"):
        assert {"sdss_r", "galex_nuv", "2mass_ks"} <= {band.band for band in found.bands}
        assert found.labels[0].option == "--context z=Z"


def test_a_redshift_with_gaps_is_suggested():
    table = columns_of_jpassed(np.random.default_rng(3))
    table["z_spec"] = np.where(np.arange(N) % 3, -99.0, 0.3)
    assert [item.option for item in identify(table).labels] == ["--context z=z_spec"]


def test_bands_without_errors_and_magnitudes_in_z_come_near():
    found = identify(Table({"FLUX_AUTO_J0450_uJy": [1.0], "line_flux": [1.0]}))
    assert [(item.column, item.hint) for item in found.near] == [
        ("FLUX_AUTO_J0450_uJy", "names J0450, but has no column of errors")
    ]
    found = identify(Table({"z_mag": [20.0], "z_mag_err": [0.1], "z": [0.1], "e_z": [0.01]}))
    assert "sdss_z: {mag: z_mag, error: z_mag_err}" in found.as_map()
    hints = {item.column: item.hint for item in found.near}
    assert hints["z_mag"].endswith("which band it is, perhaps sdss_z")
    assert "perhaps" not in hints["z"]
    assert "e_z" not in found.as_map()
    found = identify(Table({"r": [20.0], "e_r": [0.1], "z": [19.5], "e_z": [0.1]}))
    assert 'sdss_z: {flux: z, error: e_z, unit: "???"}' in found.as_map()
    assert found.near[1].hint.endswith("perhaps sdss_z")
    found = identify(Table({"flux (uJy) r": [1.0], "error (uJy) r": [0.1]}))
    assert 'sdss_r: {flux: "flux (uJy) r", error: "error (uJy) r", unit: "???"}' in found.as_map()


def test_labels_alone_say_how_they_are_used(run, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("z,mass\n0.1,10.5\n0.2,9.5\n")
    shown = run(path)
    assert "give labels as context" in shown.stdout
    assert "--context z=z --outputs flux:rSDSS" in shown.stdout


def test_the_command_says_what_to_do_with_a_map(run, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("flux_J0660,fluxerr_J0660\n1.0,0.1\n")
    shown = run(path, "--as-map")
    assert "Write the unit for each '???'" in shown.stderr
    assert f"jpassed annotate {path} --map FILE" in shown.stderr
    path.write_text("mag_J0660,magerr_J0660\n20.0,0.1\n")
    assert "???" not in run(path, "--as-map").stderr
