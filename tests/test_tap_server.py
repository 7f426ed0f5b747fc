"""The loopback server: what it serves is what its makers made, and it survives a kill."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
import requests
import yaml
from astropy.table import Table
from tap_server import SERVICE_NAMES, TapServer

pyvo = pytest.importorskip("pyvo")
sys.path.insert(0, str(Path(__file__).parent / "tap"))


@pytest.fixture(scope="module")
def service(tap: TapServer):
    return pyvo.dal.TAPService(tap.url)


def test_array_columns_arrive_to_the_last_bit(service) -> None:
    import make_minijpas

    made = make_minijpas.magabdualobj()
    found = service.search(
        "SELECT * FROM minijpas.magabdualobj ORDER BY tile_id, number"
    ).to_qtable()
    order = np.lexsort((made["number"], made["tile_id"]))
    assert len(found) == 2000
    for name, values in made.items():
        got = np.asarray(getattr(found[name], "value", found[name]))
        np.testing.assert_array_equal(got, values[order], err_msg=name)
    assert found["mag_auto"].shape == (2000, 60)
    assert found["mag_auto"].unit == "mag"
    assert found["mag_auto"].info.meta["ucd"] == "phot.mag;em.opt"
    assert (made["mag_auto"] == 99).any()  # fluxes that are not positive


@pytest.mark.real_data
def test_nulls_arrive_masked(spectra_server, real_data, service, monkeypatch) -> None:
    monkeypatch.setenv("JPASSED_TAP_FILES", str(real_data / "spectra"))
    import make_galex

    made = make_galex.ais()
    found = service.search("SELECT * FROM galex.ais ORDER BY name", maxrec=30_000).to_qtable()
    order = np.argsort(made["name"])
    for name in ("FUVmag", "NUVmag"):
        mask = np.ma.getmaskarray(made[name.lower()])[order]
        assert 0 < mask.sum() < len(mask)
        np.testing.assert_array_equal(found[name].mask, mask)
        np.testing.assert_array_equal(
            found[name].unmasked.value[~mask], np.ma.getdata(made[name.lower()])[order][~mask]
        )


@pytest.mark.filterwarnings("ignore::pyvo.dal.exceptions.DALOverflowWarning")
@pytest.mark.parametrize(("maxrec", "rows"), [(None, 20_000), (30_000, 30_000), (90_000, 50_000)])
def test_the_row_limit_makes_paging_needed(service, maxrec, rows) -> None:
    answer = service.search("SELECT object_id FROM bulk.galaxies", maxrec=maxrec)
    assert len(answer) == rows
    assert answer.query_status == "OVERFLOW"
    total = service.search("SELECT COUNT(*) AS n FROM bulk.galaxies")["n"][0]
    assert total == 100_000


def test_takes_ten_thousand_positions(service) -> None:
    rng = np.random.default_rng(1)
    mine = Table({"i": np.arange(10_000), "ra": rng.uniform(213, 216, 10_000)})
    found = service.run_sync(
        "SELECT i, ra FROM TAP_UPLOAD.mine", uploads={"mine": mine}
    ).to_table()
    found.sort("i")
    np.testing.assert_array_equal(found["ra"], mine["ra"])


@pytest.mark.real_data
def test_every_real_spectrum_is_delivered_as_it_is(spectra_server, real_data, service) -> None:
    rows = service.search("SELECT accref, mime, object_id, datalink FROM spectra.ssa").to_table()
    assert len(rows) == len(Table.read(real_data / "spectra" / "spectra_index.csv"))
    assert set(rows["mime"]) == {"application/fits"}
    by_url = {str(row["accref"]): str(row["datalink"]) for row in rows}
    for url, link in list(by_url.items())[::20]:
        content = requests.get(url).content
        original = real_data / "spectra" / url.split("/fits/")[1]
        assert hashlib.sha256(content).digest() == hashlib.sha256(original.read_bytes()).digest()
        linked = pyvo.dal.adhoc.DatalinkResults.from_result_url(link)
        this = next(linked.bysemantics("#this", include_narrower=False))
        assert this.access_url == url
        assert this.content_type == "application/fits"


@pytest.mark.real_data
def test_tables_of_the_archives_hold_the_index(spectra_server, real_data, service) -> None:
    index = Table.read(real_data / "spectra" / "spectra_index.csv")
    n_desi = (index["survey"] == "DESI").sum()
    counts = {
        name: int(service.search(f"SELECT COUNT(*) AS n FROM {name}")["n"][0])
        for name in ("sdss_dr17.specobj", "desi_dr1.zpix", "sdss_dr17.emission")
    }
    lines = Table.read(real_data / "spectra" / "sdss_pipeline_lines.csv")
    assert counts == {
        "sdss_dr17.specobj": len(index) - n_desi,
        "desi_dr1.zpix": n_desi,
        "sdss_dr17.emission": len(lines),
    }
    one = service.search(
        "SELECT * FROM sdss_dr17.specobj WHERE plate = 266 AND mjd = 51602 AND fiberid = 162"
    ).to_table()[0]
    assert one["z"] == np.float32(0.06331610679626465)
    assert one["class"] == "GALAXY"
    strangers = service.search(
        "SELECT l.specobjid FROM vac.labels AS l LEFT OUTER JOIN sdss_dr17.specobj AS s"
        " ON l.specobjid = s.specobjid WHERE s.specobjid IS NULL"
    )
    assert len(strangers) == 1


@pytest.mark.real_data
def test_spectra_are_found_by_position(spectra_server) -> None:
    found = pyvo.dal.SSAService(spectra_server.ssa).search(
        pos=(146.28017, -0.40694922), diameter=0.01
    )
    assert [str(r["ssa_targname"]) for r in found] == ["0266-51602-0162"]


def test_a_table_goes_by_the_name_that_vizier_gives_it(service) -> None:
    found = service.search(
        'SELECT COUNT(*) AS n, MIN(a.RAJ2000) AS ra FROM "II/335/galex_ais" AS a WHERE FUVmag > 0'
    )
    assert 0 < found["n"][0] < 20_000
    assert found["ra"][0] > 0


def test_cone_search(tap: TapServer) -> None:
    found = pyvo.dal.SCSService(tap.cone).search((214.3, 52.5), 0.1).to_table()
    assert 0 < len(found) < 500


def test_services_file_names_the_loopback(tap: TapServer, tmp_path: Path, monkeypatch) -> None:
    from jpassed.vo.services import load_service

    path = tap.services(tmp_path / "services.yaml")
    assert set(yaml.safe_load(path.read_text())) == set(SERVICE_NAMES)
    monkeypatch.setenv("JPASSED_SERVICES", str(path))
    assert load_service("cefca-minijpas").url == tap.url


def test_comes_back_after_a_kill_during_a_job(tap: TapServer, service) -> None:
    job = service.submit_job("SELECT object_id FROM bulk.galaxies", maxrec=50_000)
    job.run()
    try:
        tap.kill_web()
        with pytest.raises(requests.ConnectionError):
            requests.get(tap.url + "/availability")
    finally:
        tap.start_web()
    assert requests.get(tap.url + "/availability").ok
    job.wait(phases=["COMPLETED", "ERROR", "ABORTED"], timeout=60)
    assert job.phase in ("COMPLETED", "ERROR", "ABORTED")
    job.delete()
