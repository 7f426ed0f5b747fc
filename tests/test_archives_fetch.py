"""Training sets end to end: real spectra and labels from the loopback server."""

from __future__ import annotations

import csv
import hashlib
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archive_plans import DESI, LINES, SDSS, write_plan
from spectrum_files import SpectrumFiles, spectrum_files  # noqa: F401
from tap_server import TapServer

from jpassed.archives import fetch, load_plan, planned_queries, read_training_set
from jpassed.exceptions import FileError, QueryError, ServiceError
from jpassed.io.catalogs import read_catalog
from jpassed.jspectrum import jspectra, load_noise
from jpassed.units import from_ab_magnitude

pytestmark = pytest.mark.real_data

STRANGER = "5000000000000000001"


@pytest.fixture
def services(spectra_server: TapServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The services' names point to the loopback server."""
    path = spectra_server.services(tmp_path / "services.yaml")
    monkeypatch.setenv("JPASSED_SERVICES", str(path))


@pytest.fixture
def sdss(spectrum_files: SpectrumFiles, services: None) -> dict[str, Any]:  # noqa: F811
    """SDSS with its spectra by their addresses."""
    archive = deepcopy(SDSS)
    archive["objects"]["columns"] = ["plate", "mjd", "fiberid"]
    archive["spectra"] = {"kind": "url", "url": spectrum_files.url}
    del archive["tables"]["addresses"]
    return archive


def rows_of(folder: Path) -> Any:
    """All rows of a training set as one table."""
    from astropy.table import vstack

    shards = read_training_set(folder).shards()
    return vstack([read_catalog(path) for path in shards], metadata_conflicts="silent")


def index(real_data: Path) -> dict[str, dict[str, str]]:
    """Rows of the index of real spectra, by the identifier that the loopback tables have."""
    found = {}
    with (real_data / "spectra" / "spectra_index.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            key = row["object"]
            if row["survey"].startswith("SDSS"):
                plate, mjd, fiber = (int(part) for part in key.split("-"))
                key = str((plate << 50) | (fiber << 38) | ((mjd - 50_000) << 24))
            found[key] = row
    return found


def numbers(column: Any) -> np.ndarray:
    values = np.asarray(np.ma.getdata(getattr(column, "unmasked", column)), dtype=float)
    return np.where(getattr(column, "mask", False), np.nan, values)


def test_labels_and_bands_are_those_of_the_files(sdss, tmp_path, real_data):
    plan = write_plan(tmp_path, sdss, shard_rows=10, noise=None)
    summary = fetch(plan, tmp_path / "set")
    table = rows_of(tmp_path / "set")
    known = index(real_data)
    galaxies = {k for k, r in known.items() if r["class"] == "GALAXY"}
    assert set(table["key"]) == galaxies | {STRANGER}  # the union: a mass without a spectrum
    assert summary.rows == len(table) == 24
    assert summary.with_spectrum == 23
    z, err = numbers(table["label_z"]), numbers(table["label_z_err"])
    lines = line_table(real_data)
    checked = 0
    for n, key in enumerate(table["key"]):
        if key == STRANGER:
            assert np.isnan(z[n])
            assert np.isfinite(numbers(table["label_logmstar"])[n])
            assert table["label_logmstar_from"][n] == "sdss-loopback.masses"
            continue
        row = known[key]
        safe = row["zwarning"] in ("0", "16")
        assert np.isfinite(z[n]) == safe
        if not safe:
            assert np.isnan(numbers(table["label_ew_halpha"])[n])
            assert np.isnan(numbers(table["label_logmstar"])[n])
            continue
        np.testing.assert_allclose(z[n], float(row["z"]), rtol=1e-6)
        assert 0 < err[n] < 0.01
        for quantity, names in LINES.items():
            parts = [lines.get((row["object"], name), (0.0, -1.0)) for name in names]
            value = numbers(table[f"label_{quantity}"])[n]
            sigma = numbers(table[f"label_{quantity}_err"])[n]
            if min(e for _, e in parts) <= 0:
                assert np.isnan(value)
                continue
            rest = 1 + float(row["z"])
            np.testing.assert_allclose(value, sum(v for v, _ in parts) / rest, rtol=1e-5)
            np.testing.assert_allclose(
                sigma, np.hypot(*([e for _, e in parts] + [0.0])[:2]) / rest, rtol=1e-5
            )
            checked += 1
    assert checked > 90
    same_bands(table, known, real_data)


def line_table(real_data: Path) -> dict[tuple[str, str], tuple[float, float]]:
    with (real_data / "spectra" / "sdss_pipeline_lines.csv").open(newline="") as lines:
        return {
            (r["object"], r["line"]): (float(r["ew_A"]), float(r["ew_err"]))
            for r in csv.DictReader(lines)
        }


def same_bands(table: Any, known: dict[str, dict[str, str]], real_data: Path) -> None:
    """Bands of a set without noise are those of `jspectra`, times the aperture's factor."""
    rows = [n for n, key in enumerate(table["key"]) if key != STRANGER]
    files = [real_data / known[table["key"][n]]["file"] for n in rows]
    ebv = numbers(table["ebv"])[rows]
    direct = jspectra(files, ebv=ebv)
    scale = numbers(table["aperture_scale"])[rows]
    # The loopback's total magnitudes are made up; the factor is still the same in every band.
    assert np.all((scale > 0.2) & (scale < 20))
    for band in ("J0410", "J0540", "rSDSS", "J0800"):
        np.testing.assert_allclose(
            numbers(table[band])[rows], numbers(direct[band]) * scale, rtol=1e-9
        )
        np.testing.assert_allclose(
            numbers(table[f"{band}_err"])[rows], numbers(direct[f"{band}_err"]) * scale, rtol=1e-9
        )


def test_scaled_spectra_have_the_total_magnitude(sdss, tmp_path):
    # Without dust, r of the spectrum is the cmodel magnitude that the catalogue states.
    del sdss["tables"]["photometry"]["ebv"]
    del sdss["tables"]["photometry"]["photometry"]
    plan = write_plan(
        tmp_path, sdss, noise=None, require_ebv=False, filters=["jpas", "sdss"], redshift=[-1, 9]
    )
    fetch(plan, tmp_path / "set")
    table = rows_of(tmp_path / "set")
    pages = [
        read_catalog(p)
        for p in (tmp_path / "set/queries/sdss-loopback/photometry").glob("*.parquet")
    ]
    magnitude = {str(r["specobjid"]): float(r["cmodelmag_r"].value) for r in pages[0]}
    r = numbers(table["sdss_r"])
    seen = np.isfinite(r) & np.isnan(numbers(table["ebv"]))
    assert seen.sum() > 10
    wanted = from_ab_magnitude([magnitude[key] for key in table["key"][seen]])
    np.testing.assert_allclose(r[seen], wanted, rtol=1e-9)


def test_the_manifest_tells_everything(sdss, tmp_path):
    plan = write_plan(tmp_path, sdss, seed=7, shard_rows=10)
    summary = fetch(plan, tmp_path / "set")
    found = read_training_set(tmp_path / "set")
    manifest = found.manifest
    assert found.rows == summary.rows == 24
    assert [s["rows"] for s in manifest["shards"]] == [10, 10, 4]
    assert manifest["noise"] == {
        "preset": "minijpas-v1", "digest": load_noise("minijpas-v1").digest, "seed": 7,
    }  # fmt: skip
    assert {q["table"] for q in manifest["queries"]} == {"objects", "photometry", "lines", "masses"}
    assert all(
        q["rows"] > 0 and q["date"] and q["url"].endswith("/tap") for q in manifest["queries"]
    )
    assert manifest["spectra"]["sdss-loopback"]["files"] == 23
    told = manifest["spectra"]["sdss-loopback"]
    assert len(told["checksums"]) == 23
    for entry in told["checksums"]:
        path = tmp_path / "set" / told["folder"] / entry["file"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == entry["sha256"]
        assert len(entry["objects"]) == 1
    halpha = manifest["labels"]["ew_halpha"]
    assert halpha["unit"] == "Angstrom"
    assert halpha["provenance"] == {"sdss-loopback.lines": "SDSS pipeline, fibre"}
    assert manifest["counts"]["left_out"]["z: flagged in zwarning"] == 5
    assert set(manifest["versions"]) >= {"jpassed", "astropy", "pyvo", "pyarrow"}
    # A shard that was changed is not read.
    shard = found.folder / manifest["shards"][1]["path"]
    shard.write_bytes(shard.read_bytes() + b"x")
    with pytest.raises(FileError, match="SHA-256 differs"):
        found.shards()
    assert fetch(plan, tmp_path / "set").rows == 24  # it is made anew, the others stay
    assert len(found.shards()) == 3


def test_nothing_is_fetched_twice(sdss, tmp_path, spectrum_files):  # noqa: F811
    sdss["_plan"] = {"limit": 8}
    plan = write_plan(tmp_path, sdss)
    assert fetch(plan, tmp_path / "set").fetched == 8
    assert fetch(plan, tmp_path / "set").fetched == 0
    assert set(spectrum_files.requests.values()) == {1}
    # Another plan is another set, but the spectra stay.
    other = write_plan(tmp_path, sdss, seed=2)
    with pytest.raises(FileError, match="another plan .seed differ"):
        fetch(other, tmp_path / "set")
    assert fetch(other, tmp_path / "set", overwrite=True).fetched == 0
    assert spectrum_files.requests.total() == 8


def test_downloads_are_few_at_a_time(sdss, tmp_path, spectrum_files):  # noqa: F811
    spectrum_files.pause = 0.1
    told: list[tuple[int, int]] = []
    fetch(
        write_plan(tmp_path, sdss, shard_rows=5), tmp_path / "set", workers=3, limit=9,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert 2 <= spectrum_files.most_at_once <= 3
    assert told == sorted(told)
    assert len(told) == 9 + 2  # every spectrum, and every shard
    assert told[-1] == (9, 9)


def test_a_limit_takes_the_first_objects(sdss, tmp_path, spectrum_files):  # noqa: F811
    plan = write_plan(tmp_path, sdss)
    summary = fetch(plan, tmp_path / "set", limit=6)
    assert summary.rows == 6
    assert spectrum_files.requests.total() == 6
    keys = [int(key) for key in rows_of(tmp_path / "set")["key"]]
    assert keys == sorted(keys)
    assert len(list((tmp_path / "set/spectra").rglob("*.fits"))) == 6
    lines = read_catalog(tmp_path / "set/queries/sdss-loopback/lines/page-00000.parquet")
    assert max(lines["specobjid"]) <= max(keys)  # labels of others are not asked for


def test_a_dry_run_counts_and_fetches_nothing(sdss, tmp_path, spectrum_files):  # noqa: F811
    found = planned_queries(write_plan(tmp_path, sdss), limit=5)
    assert {q.table: q.rows for q in found} == {
        "objects": 5, "photometry": 23, "lines": 527, "masses": 18,
    }  # fmt: skip
    assert found[0].query.startswith("SELECT specobjid, ra, dec, class")
    assert not spectrum_files.requests
    assert not (tmp_path / "set").exists()


def test_faults_of_a_file_server(sdss, tmp_path, spectrum_files):  # noqa: F811
    galaxies = sorted(p for p in spectrum_files.files if p.startswith("/spec/0266"))[:3]
    busy, cut, gone = galaxies
    spectrum_files.faults = {busy: ["busy", "busy"], cut: ["cut"], gone: ["gone"]}
    summary = fetch(write_plan(tmp_path, sdss), tmp_path / "set")
    # One is not there: its labels are kept, and the reason is counted.
    assert summary.rows == 24
    assert summary.with_spectrum == 22
    assert summary.left_out["spectrum: not at the archive (HTTP 404)"] == 1
    assert spectrum_files.requests[busy] == 3
    assert spectrum_files.requests[cut] == 2
    whole = {p.stat().st_size for p in (tmp_path / "set/spectra").rglob("*.fits")}
    assert whole <= {p.stat().st_size for p in spectrum_files.files.values()}
    assert not list((tmp_path / "set").rglob("*.part"))


def test_a_login_page_is_no_spectrum(sdss, tmp_path, spectrum_files):  # noqa: F811
    path = next(p for p in spectrum_files.files if p.startswith("/spec/0266-51602-0162"))
    spectrum_files.faults = {path: ["page"] * 9}
    sdss["_plan"] = {"limit": 8}
    plan = write_plan(tmp_path, sdss)
    with pytest.raises(ServiceError, match="gives text/html and no FITS"):
        fetch(plan, tmp_path / "set")
    assert not (tmp_path / "set/manifest.json").exists()
    with pytest.raises(FileError, match="no finished training set"):
        read_training_set(tmp_path / "set")
    spectrum_files.faults = {}
    before = spectrum_files.requests.copy()
    assert fetch(plan, tmp_path / "set").with_spectrum == 8
    again = [p for p, n in spectrum_files.requests.items() if p != path and n > before[p] > 0]
    assert len(again) <= 4  # at most those that were under way


def test_a_query_that_is_refused_says_what_to_leave_out(sdss, tmp_path):
    sdss["tables"]["lines"]["each"]["value"] = "nonesuch"
    sdss["_plan"] = {"limit": 3}
    with pytest.raises(QueryError, match=r"table 'lines'.*nonesuch.*without: \[lines\]"):
        planned_queries(write_plan(tmp_path, sdss))
    with pytest.raises(QueryError, match=r"table 'lines'.*without: \[lines\]"):
        fetch(write_plan(tmp_path, sdss), tmp_path / "set")
    sdss["_plan"]["without"] = ["lines"]
    assert fetch(write_plan(tmp_path, sdss), tmp_path / "set", overwrite=True).rows == 3


def test_spectra_by_datalink_and_ssap(services, tmp_path, spectra_server):
    linked = deepcopy(SDSS)
    linked["spectra"] = {"kind": "datalink", "column": "datalink"}
    linked["_plan"] = {"limit": 4}
    fetch(write_plan(tmp_path, linked), tmp_path / "linked")
    asked = deepcopy(SDSS)
    asked["spectra"] = {"kind": "ssap", "url": spectra_server.ssa, "match": "object_id"}
    asked["_plan"] = {"limit": 4}
    fetch(write_plan(tmp_path, asked), tmp_path / "asked")
    nearest = deepcopy(asked)
    del nearest["spectra"]["match"]
    summary = fetch(write_plan(tmp_path, nearest), tmp_path / "nearest")
    sets = [read_training_set(tmp_path / name).manifest for name in ("linked", "asked")]
    assert [s["counts"]["with_spectrum"] for s in sets] == [4, 4]
    assert len({s["shards"][0]["sha256"] for s in sets}) == 1
    # One galaxy was observed twice: without a column to tell, neither spectrum is taken.
    assert summary.with_spectrum == 2
    why = "spectrum: SSAP has several at this position, and no 'match' is stated"
    assert summary.left_out[why] == 2


def test_spectra_of_desi_share_their_files(services, tmp_path):
    # The shared files state no E(B-V).
    plan = write_plan(tmp_path, DESI, redshift=[0, 6], noise=None, require_ebv=False)
    summary = fetch(plan, tmp_path / "set")
    assert summary.rows == summary.with_spectrum == 12
    assert summary.fetched == 3  # coadds of several objects
    assert summary.labels.get("z", 0) == 0  # beyond the vocabulary
    assert summary.left_out["z: outside the vocabulary"] == 12
    journal = (tmp_path / "set/spectra/desi-loopback/journal.jsonl").read_text().splitlines()
    assert len({json.loads(line)["sha256"] for line in journal}) == 3
    table = rows_of(tmp_path / "set")
    assert np.isfinite(numbers(table["J0660"])).all()
    assert len(np.unique(numbers(table["J0660"]))) == 12
    # Without a wider range nothing is left: a galaxy's redshift is 0 to 1.2.
    assert fetch(write_plan(tmp_path, DESI), tmp_path / "none").rows == 0


def test_nothing_selected_is_an_empty_set_that_says_so(sdss, tmp_path):
    sdss["_plan"] = {"where": "z > 99"}
    summary = fetch(write_plan(tmp_path, sdss), tmp_path / "set")
    assert summary.rows == 0
    assert read_training_set(tmp_path / "set").shards() == []
    sdss["_plan"]["union"] = True  # the catalogue of masses still has galaxies
    summary = fetch(write_plan(tmp_path, sdss), tmp_path / "union")
    assert (summary.rows, summary.with_spectrum) == (18, 0)
    assert set(summary.labels) == {"logmstar", "logsfr"}


def test_archives_are_joined_into_one_set(sdss, tmp_path):
    plan = write_plan(
        tmp_path, sdss, DESI, redshift=[0, 6], require_ebv=False, shard_rows=20, seed=4
    )
    summary = fetch(plan, tmp_path / "set", limit=10)
    assert summary.rows == 20
    table = rows_of(tmp_path / "set")
    assert list(table["archive"]) == ["sdss-loopback"] * 10 + ["desi-loopback"] * 10
    assert len(read_training_set(tmp_path / "set").shards()) == 2
    only = fetch(load_plan(plan, limit=3), tmp_path / "only", limit=5)
    assert only.rows == 6


def test_photometry_and_redshifts_without_any_spectrum(services, tmp_path):
    catalogue = {
        "name": "photometry", "service": "loopback",
        "objects": {
            "table": "bulk.galaxies", "key": "object_id", "ra": "ra", "dec": "dec",
            "labels": {"z": {"value": "z_spec", "error_floor": 5e-4}},
            "photometry": {"survey": "minijpas", "columns": ["flux_auto", "flux_relerr_auto"]},
        },
    }  # fmt: skip
    plan = write_plan(tmp_path, catalogue, page_rows=120, shard_rows=200)
    summary = fetch(plan, tmp_path / "set", limit=300)
    assert (summary.rows, summary.with_spectrum) == (300, 0)
    assert len(read_training_set(tmp_path / "set").shards()) == 2
    table = rows_of(tmp_path / "set")
    pages = [
        read_catalog(p)
        for p in sorted((tmp_path / "set/queries/photometry/objects").glob("*.parquet"))
    ]
    keys = [str(key) for page in pages for key in page["object_id"]]
    assert list(table["key"]) == keys[:300]
    z = np.concatenate([numbers(page["z_spec"]) for page in pages])[:300]
    np.testing.assert_allclose(numbers(table["label_z"]), z, rtol=1e-6)
    assert 0 < np.isfinite(z).sum() < 300  # an object without a redshift is kept
    np.testing.assert_allclose(numbers(table["label_z_err"])[np.isfinite(z)], 5e-4)
    relative = np.concatenate([np.asarray(page["flux_relerr_auto"]) for page in pages])[:300]
    np.testing.assert_allclose(
        numbers(table["J0660_err"]), np.abs(relative[:, 29] * numbers(table["J0660"])), rtol=1e-5
    )


def test_a_login_is_written_nowhere(services, tmp_path, spectra_server, caplog):
    archive = deepcopy(SDSS)
    archive["service"] = spectra_server.url.replace("://", "://aladdin:open%40sesame@")
    archive["_plan"] = {"spectra": None, "without": ["addresses", "photometry", "lines"]}
    plan = write_plan(tmp_path, archive)
    assert {q.service for q in planned_queries(plan, limit=2)} == {spectra_server.url}
    assert fetch(plan, tmp_path / "set", limit=2).rows == 2
    archive["service"] = "http://aladdin:open%40sesame@127.0.0.1:9/tap"
    with pytest.raises(ServiceError) as caught:
        fetch(write_plan(tmp_path, archive), tmp_path / "other", limit=2)
    written = [p.read_bytes() for p in tmp_path.glob("[so]*/**/*") if p.is_file()]
    assert len(written) > 5
    for text in (*written, str(caught.value).encode(), caplog.text.encode()):
        assert b"aladdin" not in text
        assert b"sesame" not in text
