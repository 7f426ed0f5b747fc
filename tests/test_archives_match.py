"""GALEX is joined by upload, services may fail on the way, and the command says what it did."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotation_tables import small_model
from archive_plans import SDSS, write_plan
from astropy.table import vstack
from click.testing import CliRunner
from fault_proxy import FaultProxy
from tap_server import TapServer

import jpassed
from jpassed.archives import fetch, load_plan, planned_queries, read_training_set
from jpassed.cli import main
from jpassed.exceptions import QueryError, ServiceError
from jpassed.io.catalogs import read_catalog
from jpassed.surveys import read_labels
from jpassed.surveys.extinction import extinction_coefficient
from jpassed.surveys.survey import read_photometry
from jpassed.vo.client import TapClient
from jpassed.vo.matching import crossmatch

pytestmark = pytest.mark.real_data


@pytest.fixture
def loopback(spectra_server: TapServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    services = spectra_server.services(tmp_path / "services.yaml")
    monkeypatch.setenv("JPASSED_SERVICES", str(services))


def rows_of(folder: Path) -> Any:
    shards = read_training_set(folder).shards()
    return vstack([read_catalog(p) for p in shards], metadata_conflicts="silent")


def numbers(column: Any) -> np.ndarray:
    plain = getattr(column, "unmasked", column)
    values = np.asarray(np.ma.getdata(getattr(plain, "value", plain)), dtype=float)
    return np.where(getattr(column, "mask", False), np.nan, values)


def test_galex_is_joined_by_position(loopback, tmp_path):
    plan = write_plan(
        tmp_path, deepcopy(SDSS),
        crossmatch=[{"name": "galex", "coverage": "tap:galex.fields"}],
    )  # fmt: skip
    summary = fetch(plan, tmp_path / "set")
    table = rows_of(tmp_path / "set")
    manifest = read_training_set(tmp_path / "set").manifest
    asked = {q["table"]: q for q in manifest["queries"] if q.get("crossmatch") == "galex"}
    assert set(asked) == {"galex.fields", "II/335/galex_ais"}
    assert asked["galex.fields"]["query"].endswith(" FROM galex.fields")
    sources = asked["II/335/galex_ais"]
    assert "TAP_UPLOAD" in sources["query"]
    assert (sources["rows"], sources["coverage"]) == (len(table), "fields of galex.fields")
    assert 0 < sources["matched"] < sources["rows"]
    assert all(q["date"] and q["url"].endswith("/tap") for q in manifest["queries"])
    direct = crossmatch(table, "galex", position="ra,dec", coverage="tap:galex.fields")
    assert summary.bands["galex_nuv"] >= 5
    status = numbers(direct["galex_nuv_status"])
    assert {0, 2} <= set(status)
    seen = np.isfinite(numbers(table["galex_nuv"]))
    fibre = np.isnan(numbers(table["aperture_scale"])) & np.isfinite(numbers(table["spec_sn"]))
    usable = np.isfinite(numbers(direct["galex_nuv_flux_err"]))
    known = np.isfinite(numbers(table["ebv"]))
    np.testing.assert_array_equal(seen, (status > 0) & usable & ~fibre & known)
    # Fluxes are total, and corrected for the Milky Way.
    ebv = numbers(table["ebv"])[seen] / 0.86
    k = extinction_coefficient("galex_nuv", 2300.0)
    np.testing.assert_allclose(
        numbers(table["galex_nuv"])[seen],
        numbers(direct["galex_nuv_flux"])[seen] * 10 ** (0.4 * k * ebv),
        rtol=1e-5,
    )


def test_a_shipped_description_that_does_not_hold_is_named(loopback):
    with pytest.raises(QueryError, match=r": copy .*sdss-dr17\.yaml and name the copy") as e:
        planned_queries({"archives": ["sdss-dr17"]})
    assert Path(str(e.value).split(": copy ")[1].split(" and name")[0]).is_file()


def test_shards_are_tables_like_any_other(loopback, tmp_path):
    boss = {**deepcopy(SDSS), "_plan": {"where": "class = 'GALAXY' AND plate = 7102"}}
    fetch(write_plan(tmp_path, boss, crossmatch=["galex"]), tmp_path / "set")
    table = rows_of(tmp_path / "set")
    photometry = read_photometry(table)
    for band in ("J0660", "sdss_u", "galex_nuv"):  # as they are: corrected for dust once
        b = photometry.bands.index(band)
        seen = np.isfinite(numbers(table[band]))
        np.testing.assert_array_equal(photometry.observed[:, b], seen)
        np.testing.assert_allclose(photometry.flux[seen, b], numbers(table[band])[seen])
    labels = read_labels(table, {"z": "label_z", "logmstar": "label_logmstar"})
    assert labels["z"].error_column == "label_z_err"
    np.testing.assert_array_equal(labels["z"].observed, np.isfinite(numbers(table["label_z"])))
    annotated = jpassed.annotate(table, model=small_model(), outputs=["logmstar"])
    assert len(annotated) == len(table)


def test_a_service_that_fails_on_the_way(
    fault_proxy: FaultProxy, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPASSED_SERVICES", str(fault_proxy.services(tmp_path / "services.yaml")))
    plan = write_plan(tmp_path, deepcopy(SDSS), page_rows=100)

    def client(service: str) -> TapClient:
        return TapClient(service, cache=False, retries=3, backoff=0.01)

    fault_proxy.unavailable(0, match="sync")
    fault_proxy.cut(900, match="sync")
    fault_proxy.reset(match="sync")
    assert fetch(plan, tmp_path / "set", clients=client).rows == 24
    for _ in range(12):  # pages that came stay; the rest comes with the next run
        fault_proxy.reset(match="sync", times=1)
    other = load_plan(plan, limit=9)
    with pytest.raises(ServiceError):
        fetch(other, tmp_path / "other", clients=client)
    summary = None
    for _ in range(9):
        try:
            summary = fetch(other, tmp_path / "other", clients=client)
            break
        except ServiceError:
            continue
    assert summary is not None
    assert summary.rows == 9


def test_the_command(loopback, tmp_path):
    boss = {**deepcopy(SDSS), "_plan": {"where": "class = 'GALAXY' AND plate = 7102"}}
    plan = str(write_plan(tmp_path, boss))
    folder = tmp_path / "set"

    def run(*words: str) -> Any:
        return CliRunner().invoke(main, ["fetch", plan, "-o", str(folder), *words])

    done = run("--dry-run")
    assert done.exit_code == 0, done.output
    assert "sdss-loopback.objects at loopback: 9 rows" in done.output
    assert "SELECT specobjid, ra, dec" in done.output
    assert not folder.exists()
    done = run("--workers", "2")
    assert done.exit_code == 0, done.output
    assert f"{folder}: 9 objects, 9 with a spectrum (9 fetched now)" in done.output
    assert "4  z\n" in done.output
    assert "left out:\n" in done.output
    assert "5  z: flagged in zwarning" in done.output
    assert "(0 fetched now)" in run().output
    refused = run("--limit", "3")
    assert refused.exit_code == 1
    assert "another plan" in refused.output
    assert "(0 fetched now)" in run("--limit", "3", "--overwrite").output
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("")
    folder = tmp_path / "mine"
    assert "holds something else" in run().output
    folder = tmp_path / "mine/thesis.tex"
    assert "is not a folder" in run().output
    plan = "galaxie"
    unknown = run()
    assert unknown.exit_code == 2
    assert "galaxies" in unknown.output
