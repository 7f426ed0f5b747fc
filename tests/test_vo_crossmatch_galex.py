"""Cross-match with GALEX: detected, not detected, not observed; and on to `annotate`."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from annotation_tables import small_model
from astropy import units as u
from astropy.coordinates import SkyCoord
from click.testing import CliRunner
from test_vo_crossmatch import BIT, plain

import jpassed
from jpassed.cli import main
from jpassed.exceptions import InputError, UnknownNameError
from jpassed.io import read_catalog, write_catalog
from jpassed.surveys import read_photometry
from jpassed.vo.client import TapClient
from jpassed.vo.matchable import list_matchables, load_matchable
from jpassed.vo.matched_columns import STATUS

BANDS = ("fuv", "nuv")
MICROJANSKY = 3631e6


@pytest.fixture(scope="module")
def minijpas(tap):
    query = (
        "SELECT tile_id, number, alpha_j2000, delta_j2000, flux_auto, flux_relerr_auto, flags, "
        "mask_flags FROM minijpas.flambdadualobj"
    )
    return TapClient(tap.url, cache=False).run(query)


@pytest.fixture(autouse=True)
def services(tap, tmp_path, monkeypatch):
    """Names of services mean the loopback."""
    monkeypatch.setenv("JPASSED_SERVICES", str(tap.services(tmp_path / "services.yaml")))
    # pyvo and astropy take the user's folder for configuration from here, if it is there.
    (tmp_path / "config" / "astropy").mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture(scope="module")
def galex(tap, tmp_path_factory, minijpas):
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("galex")
    patch.setenv("JPASSED_SERVICES", str(tap.services(folder / "services.yaml")))
    patch.setenv("XDG_CONFIG_HOME", str(folder))
    found = jpassed.crossmatch(minijpas, "galex", coverage="tap:galex.fields", cache=folder)
    patch.undo()
    return found


@pytest.fixture(scope="module")
def depth(tap, minijpas):
    """Band to the deepest limit of the fields that hold each position, worked out one by one."""
    fields = TapClient(tap.url, cache=False).run("SELECT * FROM galex.fields")
    here = SkyCoord(minijpas["alpha_j2000"], minijpas["delta_j2000"])
    away = here[:, None].separation(SkyCoord(fields["ra"], fields["dec"])).deg
    inside = away <= fields["radius"].value
    out = {}
    for band in BANDS:
        limits = np.where(inside, plain(fields[f"{band}_limit"]), np.nan)
        deepest = np.where(np.isfinite(limits), limits, -np.inf).max(axis=1)
        out[band] = np.where(np.isfinite(deepest), deepest, np.nan)
    return out


def test_the_three_states_of_a_band(galex, depth):
    for band in BANDS:
        detected = np.isfinite(plain(galex[f"galex_{band}mag"]))
        covered = np.isfinite(depth[band])
        expected = np.where(detected, 2, np.where(covered, 1, 0))
        np.testing.assert_array_equal(galex[f"galex_{band}_status"], expected)
        assert {0, 1, 2} == set(expected)
        np.testing.assert_allclose(plain(galex[f"galex_{band}_limit"]), depth[band])


def test_fluxes_and_their_errors(galex, depth):
    for band in BANDS:
        mag, error = plain(galex[f"galex_{band}mag"]), plain(galex[f"galex_e_{band}mag"])
        status = np.asarray(galex[f"galex_{band}_status"])
        flux, sigma = galex[f"galex_{band}_flux"], galex[f"galex_{band}_flux_err"]
        assert flux.unit == sigma.unit == u.uJy
        flux, sigma = plain(flux), plain(sigma)
        assert np.isnan(flux[status == 0]).all() and np.isnan(sigma[status == 0]).all()
        assert (flux[status == 1] == 0).all()
        limit = MICROJANSKY * 10 ** (-0.4 * depth[band])
        np.testing.assert_allclose(sigma[status == 1], limit[status == 1] / 5, rtol=1e-4)
        seen = status == 2
        np.testing.assert_allclose(flux[seen], MICROJANSKY * 10 ** (-0.4 * mag[seen]), rtol=1e-4)
        np.testing.assert_allclose(sigma[seen], flux[seen] * error[seen] * 0.921034, rtol=1e-5)


def test_one_band_may_be_detected_alone(galex):
    fuv, nuv = (np.asarray(galex[f"galex_{band}_status"]) for band in BANDS)
    assert ((nuv == 2) & (fuv == 1)).sum() > 100
    matched = np.isfinite(plain(galex["galex_separation"]))
    np.testing.assert_array_equal(matched, (fuv == 2) | (nuv == 2))


def test_flags_of_coverage(galex, depth):
    flag = np.asarray(galex["galex_flag"])
    outside = np.isnan(depth["nuv"])
    np.testing.assert_array_equal((flag & BIT["NOT_COVERED"]) > 0, outside)
    assert not (flag & BIT["COVERAGE_UNKNOWN"]).any()
    assert galex.meta["jp_crossmatch_galex"]["coverage"] == "fields of galex.fields"


def test_without_coverage_nothing_is_a_non_detection(minijpas, galex, caplog):
    found = jpassed.crossmatch(minijpas[::4], "galex")
    assert "no coverage is known, so no row is called a non-detection" in caplog.text
    for band in BANDS:
        status = np.asarray(found[f"galex_{band}_status"])
        assert set(status) == {0, 2}
        np.testing.assert_array_equal(status == 2, galex[f"galex_{band}_status"][::4] == 2)
        assert found[f"galex_{band}_limit"].mask.all()
    flag = np.asarray(found["galex_flag"])
    matched = np.isfinite(plain(found["galex_separation"]))
    np.testing.assert_array_equal((flag & BIT["COVERAGE_UNKNOWN"]) > 0, ~matched)
    assert found.meta["jp_crossmatch_galex"]["coverage"] == "unknown"


def test_a_moc_has_the_depth_of_the_survey(minijpas, tmp_path, galex):
    from astropy.coordinates import Latitude, Longitude
    from mocpy import MOC

    centre = {"lon": Longitude(214.5 * u.deg), "lat": Latitude(52.7 * u.deg)}
    MOC.from_cone(**centre, radius=0.3 * u.deg, max_depth=12).save(
        tmp_path / "moc.fits", format="fits"
    )
    few = minijpas[::5]
    found = jpassed.crossmatch(few, "galex", coverage=tmp_path / "moc.fits", limits={"fuv": 22.6})
    away = (
        SkyCoord(few["alpha_j2000"], few["delta_j2000"])
        .separation(SkyCoord(214.5, 52.7, unit="deg"))
        .deg
    )
    for band, limit in (("fuv", 22.6), ("nuv", 20.8)):
        status = np.asarray(found[f"galex_{band}_status"])
        assert (status[away < 0.299] > 0).all()
        assert (status[away > 0.33] != 1).all()
        sigma = plain(found[f"galex_{band}_flux_err"])[status == 1]
        np.testing.assert_allclose(sigma, MICROJANSKY * 10 ** (-0.4 * limit) / 5, rtol=1e-4)
    with pytest.raises(UnknownNameError, match="unknown band 'x'"):
        jpassed.crossmatch(few, "galex", coverage={"x": tmp_path / "moc.fits"})


def test_annotate_uses_what_was_matched(galex):
    photometry = read_photometry(galex)
    assert photometry.surveys[photometry.bands.index("galex_nuv")] == "galex"
    for band in BANDS:
        k = photometry.bands.index(f"galex_{band}")
        assert photometry.columns[k] == f"galex_{band}_flux"
        status = np.asarray(galex[f"galex_{band}_status"])
        np.testing.assert_array_equal(photometry.observed[:, k], status > 0)
        np.testing.assert_array_equal(photometry.flux[status == 1, k], 0)
        sigma = plain(galex[f"galex_{band}_flux_err"])[status > 0]
        np.testing.assert_allclose(photometry.error[status > 0, k], sigma)
    some = galex[::100]
    annotated = jpassed.annotate(some, model=small_model(), outputs="z")
    assert "galex" in annotated.meta["jp_survey"]
    own = [name for name in some.colnames if not name.startswith("galex_")]
    without = jpassed.annotate(some[own], model=small_model(), outputs="z")
    more = np.asarray(annotated["jp_nbands"]) - np.asarray(without["jp_nbands"])
    observed = np.stack([some[f"galex_{band}_status"] > 0 for band in BANDS])
    np.testing.assert_array_equal(more, observed.sum(axis=0))


@pytest.mark.parametrize("ending", ["fits", "vot", "ecsv", "parquet"])
def test_files_keep_it(galex, tmp_path, ending):
    path = tmp_path / f"matched.{ending}"
    write_catalog(galex[:300], path)
    back = read_catalog(path)
    assert back.colnames == galex.colnames
    for name in galex.colnames[8:]:
        np.testing.assert_array_equal(plain(back[name]), plain(galex[name][:300]), err_msg=name)
        assert back[name].unit == galex[name].unit
        assert back[name].info.meta["ucd"] == galex[name].info.meta["ucd"]
        assert back[name].info.description == galex[name].info.description
    assert dict(back.meta["jp_crossmatch_galex"]) == galex.meta["jp_crossmatch_galex"]


def test_status_says_what_it_means(galex):
    for number, text in STATUS.items():
        assert f"{number} {text}" in galex["galex_nuv_status"].info.description


# --- tables by name -----------------------------------------------------------------------------


def test_shipped_tables_are_whole():
    assert list_matchables() == ["desi", "galex", "sdss"]
    for name in list_matchables():
        table = load_matchable(name)
        assert table.reference and table.description and table.prefix and table.columns
    bands = load_matchable("galex").bands
    assert (bands["fuv"].limit, bands["nuv"].limit) == (19.9, 20.8)


def test_users_add_tables_or_replace_them(tmp_path, minijpas):
    block = {
        "service": "loopback",
        "table": "galex.ais",
        "ra": "raj2000",
        "dec": "dej2000",
        "radius": 3,
        "prefix": "uv_",
        "columns": {"mag": "nuvmag", "err": "e_nuvmag"},
        "optional": {"none": "nothing_there"},
        "bands": {"nuv": {"mag": "mag", "error": "err", "limit": 20.8}},
        "coverage": {"table": "galex.fields", "limits": {"nuv": "nuv_limit"}},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(block, sort_keys=False))
    found = jpassed.crossmatch(minijpas[:300], tmp_path / "mine.yaml")
    assert found.colnames[8:] == [
        "uv_mag", "uv_err", "uv_nuv_flux", "uv_nuv_flux_err", "uv_nuv_limit", "uv_nuv_status",
        "uv_separation", "uv_candidates", "uv_flag",
    ]  # fmt: skip
    assert {1, 2} <= set(np.asarray(found["uv_nuv_status"]))
    folder = tmp_path / "config" / "astropy" / "jpassed"
    folder.mkdir()
    (folder / "crossmatch.yaml").write_text(yaml.safe_dump({"mine": block, "galex": block}))
    assert "mine" in list_matchables()
    assert load_matchable("galex").prefix == "uv_"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colums": {}}, "unknown key 'colums'; valid keys: "),
        ({"columns": None}, "'columns' is missing; needed are service, table"),
        ({"columns": {"a b": "x"}}, "expected 'name: column'"),
        ({"radius": "wide"}, "radius: expected a number, got 'wide'"),
        ({"radius": -1}, "radius: expected a positive number"),
        ({"bands": {"nuv": {"mag": "mag", "error": "er"}}}, "unknown column of error"),
        ({"coverage": {"table": "t", "limits": {"u": "x"}}}, "unknown band"),
        ({"coverage": {"limits": {}}}, "'table' is missing"),
        ({"service": 3}, "service: expected text, got 3"),
    ],
)
def test_a_table_that_makes_no_sense(tmp_path, change, said):
    block = {
        "service": "s",
        "table": "t",
        "ra": "ra",
        "dec": "dec",
        "columns": {"mag": "m"},
        **change,
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(block, sort_keys=False))
    with pytest.raises(InputError, match=said):
        load_matchable(tmp_path / "mine.yaml")


# --- command line -------------------------------------------------------------------------------


def run(*words):
    done = CliRunner().invoke(main, [str(word) for word in words])
    return done


def test_the_command(minijpas, galex, tmp_path):
    write_catalog(minijpas[:200], tmp_path / "in.fits")
    out = tmp_path / "out.vot"
    done = run(
        "crossmatch", tmp_path / "in.fits", "galex", "-o", out, "--coverage", "tap:galex.fields"
    )
    assert done.exit_code == 0, done.output
    matched = int(np.isfinite(plain(galex["galex_separation"][:200])).sum())
    assert done.stdout.strip().endswith(f"out.vot: 200 rows, {matched} matched")
    back = read_catalog(out)
    for name in galex.colnames[8:]:
        np.testing.assert_array_equal(plain(back[name]), plain(galex[name][:200]), err_msg=name)


def test_the_command_logs_in(fault_proxy, tmp_path, minijpas, monkeypatch):
    fault_proxy.require_login("me", "hunter2")
    write_catalog(minijpas[:20], tmp_path / "in.fits")
    start = ("crossmatch", tmp_path / "in.fits", "galex", "--service", fault_proxy.url)
    words = (*start, "-o", tmp_path / "out.fits", "--no-cache")
    without = run(*words)
    assert without.exit_code == 1 and "wants a login" in without.output
    monkeypatch.setenv("JPASSED_VO_PASSWORD", "hunter2")
    done = run(*words, "--login", "me")
    assert done.exit_code == 0, done.output
    assert "hunter2" not in done.output
    assert len(read_catalog(tmp_path / "out.fits")) == 20


def test_the_command_refuses(tmp_path, minijpas):
    write_catalog(minijpas[:2], tmp_path / "in.fits")
    start = ("crossmatch", tmp_path / "in.fits", "-o", tmp_path / "out.fits")
    for more, code, said in (
        ((), 2, "Say what to match with"),
        (("galx",), 2, "Did you mean 'galex'"),
        (("galex", "--limit", "nuv=deep"), 2, "expected BAND=MAG"),
        (("galex", "--coverage", "nothing.fits"), 1, "nothing.fits"),
        (("--service", "loopback", "--table", "galex.ais"), 1, "needs ra, dec, columns as well"),
    ):
        done = run(*start, *more)
        assert done.exit_code == code, done.output
        assert said in done.output
    assert not (tmp_path / "out.fits").exists()


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "query", "label"),
    [
        ("sdss", "SELECT ra, dec, z FROM sdss_dr17.specobj", "sdss_class"),
        ("desi", "SELECT mean_fiber_ra, mean_fiber_dec, z FROM desi_dr1.zpix", "desi_spectype"),
    ],
)
def test_spectra_by_name(spectra_server, name, query, label):
    table = TapClient(spectra_server.url, cache=False).run(query)
    found = jpassed.crossmatch(table, name)
    given = np.isfinite(plain(table[table.colnames[0]]))
    separation = plain(found[f"{name}_separation"])
    assert (separation[given] < 1e-6).all() and np.isnan(separation[~given]).all()
    alone = plain(found[f"{name}_candidates"]) == 1
    assert alone.sum() > 5
    np.testing.assert_array_equal(plain(found[f"{name}_z"])[alone], plain(table["z"])[alone])
    assert {"GALAXY", "QSO", "STAR"} & set(found[label][alone].tolist())
