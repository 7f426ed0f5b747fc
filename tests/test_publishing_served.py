"""The written folder is imported by a real DaCHS, and the rows are queried back by TAP."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from publishing_tables import N, every_kind
from tap_server import SCRIPT, TapServer

from jpassed.io.catalogs import read_catalog
from jpassed.publishing import Publication, publish

pyvo = pytest.importorskip("pyvo")
# erg and Angstrom are deprecated in VOUnit, and what astronomers use
pytestmark = pytest.mark.filterwarnings("ignore:The unit:astropy.units.UnitsWarning")


@pytest.fixture(scope="module")
def dachs(tap: TapServer) -> Iterator[Callable[..., str]]:
    """DaCHS's own command; resources that were imported are dropped at the end."""
    imported = set()

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [str(SCRIPT), "dachs", *arguments], stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0 and "*** Error" not in said, said
        if arguments[0] == "imp":
            imported.add(arguments[1])
        return said

    yield run
    inputs = Path(run("config", "inputsDir").strip())
    for name in imported:
        run("drop", name)
        shutil.rmtree(inputs / name.split("/")[0])


def serve(dachs: Callable[..., str], done: Publication) -> None:
    """The steps of the README that `publish` writes."""
    schema = done.table.split(".")[0]
    target = Path(dachs("config", "inputsDir").strip()) / schema
    shutil.copytree(done.folder, target, dirs_exist_ok=True)
    for path in [target, *target.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert "OK" in dachs("val", f"{schema}/q")
    dachs("imp", f"{schema}/q")
    dachs("pub", f"{schema}/q")
    dachs("serve", "reload")


@pytest.fixture(scope="module")
def served(tap: TapServer, dachs, tmp_path_factory) -> Table:
    """The table of every kind, as it comes back by TAP; NULL texts by another query."""
    folder = tmp_path_factory.mktemp("publishing") / "every_kind"
    table = every_kind()
    table["E(B-V)"] = np.arange(N) / 1000.0
    done = publish(
        table, folder, title="Every kind", creator="Doe, J.", license="CC-BY-4.0",
        source="2021A&A...653A..31B",
    )  # fmt: skip
    serve(dachs, done)
    answer = pyvo.dal.TAPService(tap.url).search(f"SELECT * FROM {done.table} ORDER BY object_id")
    table = answer.to_table()
    table.meta["infos"] = [
        (i.name, i.value, i.content) for i in answer.votable.resources[0].infos
    ]
    table.meta["params"] = {p.name: p.value for p in answer.votable.get_first_table().params}
    return table


@pytest.mark.parametrize("name", every_kind().colnames)
def test_values_come_back_to_the_last_bit_and_masks_with_them(served, name) -> None:
    there, back = every_kind()[name], served[name]
    mask = np.ma.getmaskarray(there)
    if name in ("undefined", "pairs"):  # NaN is NULL to DaCHS
        mask = np.isnan(there)
    if name != "text":  # an answer of TAP has no null text
        np.testing.assert_array_equal(np.ma.getmaskarray(back), mask)
    ours, theirs = np.ma.getdata(there)[~mask], np.ma.getdata(back)[~mask]
    if ours.dtype.kind in "U":
        assert list(theirs) == list(ours)
    else:
        assert theirs.astype(ours.dtype).tobytes() == ours.tobytes()
        assert np.can_cast(ours.dtype, theirs.dtype, "safe")


def test_units_ucds_and_descriptions_come_back(served) -> None:
    table = every_kind()
    assert served["single"].unit == table["single"].unit
    assert served["single"].description == table["single"].description
    assert served["single"].meta["ucd"] == "phot.flux.density;em.opt"
    assert served["fluxes"].unit == table["fluxes"].unit
    assert served["fluxes"].shape == (N, 5)
    assert served["mass"].description == "[dex(solMass)]"
    assert served["object_id"].meta["ucd"] == "meta.id;meta.main"
    assert served["ra"].meta["ucd"] == "pos.eq.ra;meta.main"


def test_provenance_comes_back(served) -> None:
    params = served.meta["params"]
    assert params["jp_model"] == "default"
    assert list(params["jp_z_pdf_edges"]) == [0.0, 0.1, 0.25]
    query = every_kind().meta["jp_query"]
    assert params["jp_query"] == query.replace("\\", "/")
    assert params["jp_size"] == 3.5


def test_names_that_dachs_cannot_hold_paper_and_licence_come_back(served) -> None:
    np.testing.assert_array_equal(served["e_b_v"], np.arange(N) / 1000.0)
    assert served["e_b_v"].description == "(column E(B-V) of the catalogue)"
    said = served.meta["infos"]
    assert ("citation", "2021A&A...653A..31B") in [info[:2] for info in said]
    assert [content for _, value, content in said if "license" in value] == ["CC-BY-4.0"]


def test_masked_text_is_null(served, tap: TapServer) -> None:
    mask = np.ma.getmaskarray(every_kind()["text"])
    found = pyvo.dal.TAPService(tap.url).search(
        "SELECT object_id FROM every_kind.main WHERE text IS NULL ORDER BY object_id"
    )
    assert list(found["object_id"]) == list(every_kind()["object_id"][mask])


def test_quoted_names_key_and_cone_search(served, tap: TapServer) -> None:
    service = pyvo.dal.TAPService(tap.url)
    found = service.search('SELECT "u-r 2", "SIZE" FROM every_kind.main ORDER BY object_id')
    np.testing.assert_array_equal(found["SIZE"], every_kind()["SIZE"])
    table = every_kind()
    cone = pyvo.dal.SCSService(f"{tap.base}/every_kind/q/cone/scs.xml")
    near = cone.search((table["ra"][7], table["dec"][7]), 0.0001)
    assert [int(row["object_id"]) for row in near] == [table["object_id"][7]]
    keys = service.search(
        "SELECT column_name, indexed FROM TAP_SCHEMA.columns WHERE table_name = 'every_kind.main'"
    ).to_table()
    indexed = {row["column_name"]: row["indexed"] for row in keys}
    assert (indexed["object_id"], indexed["single"]) == (1, 0)


def blocks(text: str, language: str) -> str:
    return "\n".join(re.findall(rf"^```{language}\n(.+?)^```", text, flags=re.M | re.S))


def test_the_commands_of_the_page(
    served, tap: TapServer, dachs, project_root: Path, tmp_path: Path, monkeypatch
) -> None:
    """As they are shown, on the loopback server; taplint sees the table of every kind as well."""
    page = (project_root / "docs" / "publish.md").read_text(encoding="utf-8")
    shim = tmp_path / "bin" / "dachs"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{SCRIPT}" dachs "$@"\n')
    jpassed = shim.with_name("jpassed")
    jpassed.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m jpassed "$@"\n')
    for script in (shim, jpassed):
        script.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{shim.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(project_root),
        "JPASSED_SERVICES": str(tap.services(tmp_path / "services.yaml")),
    }
    commands = blocks(page, "sh").replace("https://dachs.example.org/tap", tap.url)
    if shutil.which("stilts") is None:
        commands = re.sub(r"^stilts .*$", "", commands, flags=re.M)
    inputs = Path(dachs("config", "inputsDir").strip())
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands], cwd=tmp_path, env=environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        if "stilts" in commands:
            assert [line for line in done.stdout.splitlines() if re.match("[EF]-", line)] == []
            assert "Totals: Errors: 0;" in done.stdout
        five = read_catalog(tmp_path / "five.fits")
        assert len(five) == 5
        whole = read_catalog(tmp_path / "predictions.fits")
        keys = [f"{t}-{n}" for t, n in zip(whole["tile_id"], whole["number"], strict=True)]
        for row in five:
            assert row["jp_z"] == whole["jp_z"][keys.index(row["jp_id"])]
        monkeypatch.chdir(tmp_path)
        exec(blocks(page, "python"), {"annotated": whole})
        assert (tmp_path / "mine_jp" / "q.rd").is_file()
    finally:
        dachs("drop", "minijpas_jp/q")
        shutil.rmtree(inputs / "minijpas_jp", ignore_errors=True)

