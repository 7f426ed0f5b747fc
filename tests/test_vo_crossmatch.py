"""Cross-match by upload, with a real service: the same matches as astropy's, row for row."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord, search_around_sky
from astropy.table import MaskedColumn, QTable

import jpassed
from jpassed.exceptions import InputError, ServiceError, TruncatedAnswerError, UnknownNameError
from jpassed.vo.client import TapClient
from jpassed.vo.dialects import list_dialects
from jpassed.vo.matchable import own_matchable
from jpassed.vo.matched_columns import MATCH_FLAGS
from jpassed.vo.upload_match import match_query

BIT = {name: bit for name, (bit, _) in MATCH_FLAGS.items()}
POLE = "(SELECT field_id AS n, (field_id - 50001) * 2.0 AS ra, {dec} AS dec FROM galex.fields)"
WRAP = (
    "(SELECT field_id AS n, (field_id - 50001) * 0.0002 AS ra, 1.5 AS dec FROM galex.fields UNION "
    "SELECT field_id + 1000 AS n, 360 - (field_id - 50000) * 0.0002 AS ra, 1.5 AS dec "
    "FROM galex.fields)"
)
TWICE = (
    "(SELECT a.name AS name, a.raj2000 AS ra, a.dej2000 AS dec, f.field_id AS n "
    "FROM galex.ais AS a, galex.fields AS f WHERE f.field_id < 50004)"
)


def plain(column):
    """Numbers of a column, NaN where masked."""
    values = np.ma.filled(np.ma.asarray(getattr(column, "value", column)).astype(float), np.nan)
    mask = getattr(column, "mask", None)
    return values if mask is None else np.where(mask, np.nan, values)


@pytest.fixture(scope="module")
def ais(tap):
    query = "SELECT name, raj2000 AS ra, dej2000 AS dec, nuvmag AS nuv FROM galex.ais"
    return TapClient(tap.url, cache=False).run(query)


@pytest.fixture(scope="module")
def n_fields(tap):
    return TapClient(tap.url, cache=False).count("SELECT field_id FROM galex.fields")


@pytest.fixture
def match(tap):
    """`crossmatch` with the loopback."""

    def run(table, **options):
        return jpassed.crossmatch(table, **{"service": tap.url, "cache": False, **options})

    return run


@pytest.fixture(scope="module")
def positions(ais):
    """10,000 positions: about every second source twice, some away from all."""
    rng = np.random.default_rng(4)
    rows = rng.integers(0, len(ais), 10_000)
    offset = rng.normal(0.0, 1.5 / 3600, (2, 10_000))
    dec = ais["dec"].value[rows] + offset[1]
    ra = ais["ra"].value[rows] + offset[0] / np.cos(np.radians(dec))
    return QTable({"id": np.arange(10_000), "ra": ra * u.deg, "dec": dec * u.deg})


OWN = {"catalog": "galex.ais", "ra": "raj2000", "dec": "dej2000"}


def test_10000_positions_match_as_in_astropy(match, positions, ais):
    found = match(positions, **OWN, columns=["name", "nuvmag"], radius=3)
    there = SkyCoord(ais["ra"], ais["dec"])
    here = SkyCoord(positions["ra"], positions["dec"])
    nearest, separation, _ = here.match_to_catalog_sky(there)
    near = separation <= 3 * u.arcsec
    assert 8_000 < near.sum() < 10_000
    np.testing.assert_array_equal(~found["name"].mask, near)
    np.testing.assert_array_equal(found["name"][near], ais["name"][nearest[near]])
    np.testing.assert_array_equal(plain(found["nuvmag"])[near], plain(ais["nuv"])[nearest[near]])
    np.testing.assert_allclose(
        plain(found["match_separation"])[near], separation[near].arcsec, atol=1e-8
    )
    assert np.isnan(plain(found["match_separation"])[~near]).all()
    pairs = search_around_sky(here, there, 3 * u.arcsec)[0]
    np.testing.assert_array_equal(found["match_candidates"], np.bincount(pairs, minlength=10_000))
    several = np.bincount(pairs, minlength=10_000) > 1
    np.testing.assert_array_equal((found["match_flag"] & BIT["SEVERAL_CANDIDATES"]) > 0, several)
    shared = near & (np.bincount(nearest[near], minlength=len(ais))[nearest] > 1)
    np.testing.assert_array_equal((found["match_flag"] & BIT["SHARED"]) > 0, shared)


def test_what_the_columns_say(match, positions):
    found = match(positions[:5], **OWN, columns=["nuvmag"], prefix="g_")
    assert found.colnames == [
        "id",
        "ra",
        "dec",
        "g_nuvmag",
        "g_separation",
        "g_candidates",
        "g_flag",
    ]
    assert found["g_nuvmag"].unit == u.mag
    assert found["g_nuvmag"].info.meta["ucd"] == "phot.mag;em.UV.200-300nm"
    assert found["g_separation"].unit == u.arcsec
    assert found["g_separation"].info.meta["ucd"] == "pos.angDistance"
    assert "within 1 arcsec" in found["g_separation"].info.description
    about = found.meta["jp_crossmatch_galex_ais"]
    assert about["radius_arcsec"] == 1.0
    assert about["rows"] == 5
    assert about["coverage"] == "unknown"
    assert "TAP_UPLOAD" in about["query"]


@pytest.mark.parametrize("dec", ["90.0 - field_id * 0", "89.9999", "-89.99995"])
def test_poles(match, n_fields, dec):
    ra = np.linspace(0, 360, 41)[:-1] + 0.3
    number = float(dec.split(" ")[0])
    table = QTable({"ra": ra, "dec": np.full(40, number - np.sign(number) * 0.00003)})
    catalog = POLE.format(dec=dec)
    found = match(table, catalog=catalog, ra="ra", dec="dec", columns=["n"], radius=1.5, prefix="x")
    there = SkyCoord(np.arange(n_fields) * 2.0, np.full(n_fields, number), unit="deg")
    if number == 90:  # all of them the same point
        np.testing.assert_allclose(plain(found["xseparation"]), 0.108, atol=1e-6)
        np.testing.assert_array_equal(found["xn"], 50001)
        return
    index, away, _ = SkyCoord(ra, table["dec"], unit="deg").match_to_catalog_sky(there)
    near = away <= 1.5 * u.arcsec
    assert near.sum() > 5
    np.testing.assert_array_equal(plain(found["xn"])[near], index[near] + 50001)
    np.testing.assert_array_equal(np.isnan(plain(found["xn"])), ~near)
    np.testing.assert_allclose(plain(found["xseparation"])[near], away[near].arcsec, atol=1e-6)


def test_right_ascension_0_is_360(match):
    table = QTable({"ra": [359.99999, 0.00001, -0.00001, 360.0, 359.9], "dec": np.full(5, 1.5)})
    found = match(table, catalog=WRAP, ra="ra", dec="dec", columns=["n"], radius=1)
    np.testing.assert_array_equal(plain(found["n"]), [50001, 50001, 50001, 50001, np.nan])
    np.testing.assert_allclose(
        plain(found["match_separation"])[:4], [0.036, 0.036, 0.036, 0], atol=2e-5
    )
    np.testing.assert_array_equal(found["match_candidates"], [3, 3, 3, 3, 0])


def test_ties_do_not_depend_on_the_order(match, positions):
    table = positions[:24]
    whole, parts, back = (
        match(t, catalog=TWICE, ra="ra", dec="dec", columns=["name", "n"], radius=3, chunk=chunk)
        for t, chunk in ((table, 24), (table, 7), (table[::-1], 24))
    )
    hit = ~whole["n"].mask
    assert hit.sum() > 12
    assert set(np.asarray(whole["n"][hit])) == {50001}
    assert (whole["match_candidates"][hit] % 3 == 0).all()
    for other in (parts, back[::-1]):
        np.testing.assert_array_equal(other["name"].mask, ~hit)
        np.testing.assert_array_equal(other["name"][hit], whole["name"][hit])
        np.testing.assert_array_equal(plain(other["n"]), plain(whole["n"]))


def test_rows_without_a_position_are_kept_and_flagged(match, positions):
    table = QTable(
        {"name": list("abcd"), "ra": MaskedColumn(positions["ra"].value[:4], mask=[0, 1, 0, 0])}
    )
    table["dec"] = positions["dec"].value[:4]
    table["dec"][2] = np.nan
    found = match(table, **OWN, columns=["nuvmag"], radius=3)
    np.testing.assert_array_equal(found["match_flag"] & BIT["NO_POSITION"], [0, 1, 1, 0])
    np.testing.assert_array_equal(found["match_candidates"].mask, [0, 1, 1, 0])
    assert list(found["name"]) == list("abcd")
    assert table.colnames == ["name", "ra", "dec"]


def test_other_units_and_frames_give_the_same(match, positions):
    first = positions[:50]
    sky = SkyCoord(first["ra"], first["dec"])
    hours = [
        sky.ra.to_string(u.hourangle, sep=":", precision=9),
        sky.dec.to_string(sep=":", precision=9),
    ]
    expected = match(first, **OWN, columns=["name"], radius=3)
    for table, position, frame in (
        (QTable({"RAJ2000": list(hours[0]), "DEJ2000": list(hours[1])}), None, None),
        (QTable({"where": sky.galactic}), None, None),
        (QTable({"l": sky.galactic.l, "b": sky.galactic.b}), "l,b", "galactic"),
    ):
        found = match(table, **OWN, columns=["name"], radius=3, position=position, frame=frame)
        assert list(found["name"].filled("")) == list(expected["name"].filled(""))
        assert found.colnames[: len(table.colnames)] == table.colnames


class Grudging(TapClient):
    """The real client, of a service that cuts its answers to more than so many positions."""

    most = 13

    def run(self, adql, *, uploads=None, **options):
        if uploads and any(len(table) > self.most for table in uploads.values()):
            raise TruncatedAnswerError("the service gave only the first rows")
        return super().run(adql, uploads=uploads, **options)


def test_a_cut_answer_is_asked_for_in_smaller_parts(match, positions, monkeypatch):
    expected = match(positions[:100], **OWN, columns=["name"], radius=3)
    monkeypatch.setattr("jpassed.vo.client.TapClient", Grudging)
    sizes = []
    found = match(
        positions[:100], **OWN, columns=["name"], radius=3, progress=lambda n, _: sizes.append(n)
    )
    assert list(found["name"].filled("")) == list(expected["name"].filled(""))
    assert sizes == [13, 26, 39, 52, 65, 78, 91, 100]
    monkeypatch.setattr(Grudging, "most", 0)
    with pytest.raises(TruncatedAnswerError):
        match(positions[:3], **OWN, columns=["name"])


def test_nothing_but_positions_leaves(match, positions, monkeypatch):
    sent = []
    real = TapClient.run

    def watched(self, adql, *, uploads=None, **options):
        sent.extend((uploads or {}).values())
        return real(self, adql, uploads=uploads, **options)

    monkeypatch.setattr(TapClient, "run", watched)
    table = positions[:20]
    table["secret"] = 1.0
    match(table, **OWN, columns=["name"], chunk=10)
    assert [upload.colnames for upload in sent] == [["jp_row", "jp_ra", "jp_dec"]] * 2
    np.testing.assert_array_equal(sent[1]["jp_row"], np.arange(10, 20))
    np.testing.assert_array_equal(sent[1]["jp_ra"], table["ra"][10:].value)


class KilledError(Exception):
    pass


def test_chunks_that_were_answered_are_not_asked_for_again(match, positions, fault_proxy, tmp_path):
    def stop(done, total):
        assert total == 50
        if done == 20:
            raise KilledError

    options = {**OWN, "columns": ["name"], "radius": 3, "chunk": 10}
    options.update(service=fault_proxy.url, cache=tmp_path)
    with pytest.raises(KilledError):
        match(positions[:50], **options, progress=stop)
    assert fault_proxy.count("POST /tap/sync") == 2
    whole = match(positions[:50], **options)
    assert fault_proxy.count("POST /tap/sync") == 5
    again = match(positions[:50], **options)
    assert fault_proxy.count("POST /tap/sync") == 5
    fresh = match(positions[:50], **{**options, "cache": False})
    for other in (again, fresh):
        assert list(other["name"].filled("")) == list(whole["name"].filled(""))


def test_a_broken_connection_gives_all_or_an_error(match, positions, fault_proxy):
    options = {**OWN, "columns": ["name"], "radius": 3, "chunk": 25, "service": fault_proxy.url}
    whole = match(positions[:50], **options)
    fault_proxy.cut(after=2000, match="/sync")
    again = match(positions[:50], **options)
    assert list(again["name"].filled("")) == list(whole["name"].filled(""))
    fault_proxy.unavailable(retry_after=0, times=100)
    with pytest.raises(ServiceError):
        match(positions[:50], **options)


# --- refusals -----------------------------------------------------------------------------------


def test_unusable_arguments(match, positions, tap):
    few = positions[:2]
    with pytest.raises(
        UnknownNameError, match="unknown table to match 'galx'. Did you mean 'galex'"
    ):
        jpassed.crossmatch(few, "galx")
    with pytest.raises(InputError, match="say what to match with"):
        jpassed.crossmatch(few)
    with pytest.raises(InputError, match="needs ra, dec, columns as well"):
        match(few, catalog="galex.ais")
    for radius in (0, -1, np.nan, 7200, "1"):
        with pytest.raises(InputError, match="radius: expected arcseconds"):
            match(few, **OWN, columns=["name"], radius=radius)
    with pytest.raises(InputError, match="chunk: expected a positive whole number"):
        match(few, **OWN, columns=["name"], chunk=0)
    with pytest.raises(UnknownNameError, match="unknown band 'u'"):
        match(few, target="galex", catalog="galex.ais", limits={"u": 20.0})
    with pytest.raises(InputError, match="limits, nuv: expected an AB magnitude"):
        match(few, target="galex", catalog="galex.ais", limits={"nuv": -1.0})


def test_columns_are_not_overwritten_unless_asked(match, positions):
    once = match(positions[:3], **OWN, columns=["nuvmag"], radius=3)
    with pytest.raises(InputError, match="already has nuvmag, match_separation.*--replace-columns"):
        match(once, **OWN, columns=["nuvmag"])
    again = match(once, **OWN, columns=["nuvmag"], radius=3, replace_columns=True)
    assert again.colnames == once.colnames
    np.testing.assert_array_equal(plain(again["nuvmag"]), plain(once["nuvmag"]))
    with pytest.raises(InputError, match="come out twice"):
        match(positions[:3], **OWN, columns=["match_flag"])


def test_the_query_in_each_dialect():
    target = own_matchable("here", "a.b", "ra", "dec", ["z"])
    circle = "CONTAINS(POINT('ICRS', c.ra, c.dec), CIRCLE('ICRS', t.jp_ra, t.jp_dec, 0.0"
    said = {name: match_query(target, {"z": "z"}, 1.0, name) for name in list_dialects()}
    assert circle in said["adql"] and circle in said["cefca"]
    assert "'t' = q3c_join(t.jp_ra, t.jp_dec, c.ra, c.dec, 0.0" in said["datalab"]
    assert said["adql"].startswith(
        "SELECT t.jp_row, c.ra AS jp_c_ra, c.dec AS jp_c_dec, c.z AS jp_c0 "
        "FROM TAP_UPLOAD.jp_positions AS t JOIN a.b AS c ON "
    )


class Confused(TapClient):
    """The real client of a service whose answer is not to the question."""

    change = staticmethod(lambda table: table)

    def run(self, adql, **options):
        return self.change(super().run(adql, **options))


@pytest.mark.parametrize(
    ("column", "offset", "said"),
    [
        ("jp_c_dec", 0.1, r"neighbours within 3 arcsec lie up to 36\d.* arcsec away.*in degrees"),
        ("jp_row", 10_000, "rows that were not sent"),
        ("jp_row", -3, "rows that were not sent"),
    ],
)
def test_an_answer_to_another_question(match, positions, monkeypatch, column, offset, said):
    def change(table):
        if column in table.colnames:
            table[column] = np.asarray(getattr(table[column], "value", table[column])) + offset
        return table

    monkeypatch.setattr(Confused, "change", staticmethod(change))
    monkeypatch.setattr("jpassed.vo.client.TapClient", Confused)
    with pytest.raises(ServiceError, match=said):
        match(positions[:20], **OWN, columns=["name"], radius=3)
