"""What STILTS, an independent reader, sees of a catalogue: units, descriptions, UCDs, values."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from io import StringIO

import numpy as np
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, QTable
from astropy.utils.masked import Masked

from jpassed.io import read_catalog, write_catalog

needs_stilts = pytest.mark.skipif(
    # Under CI=true the tests run, and fail where it is missing: a green CI has seen STILTS read.
    shutil.which("stilts") is None and os.environ.get("CI", "").lower() != "true",
    reason="needs STILTS (Debian package stilts)",
)
pytestmark = needs_stilts

ENDINGS = (".fits", ".vot", ".vot.gz")


def stilts(*arguments: str) -> str:
    done = subprocess.run(
        ["stilts", "-Djava.awt.headless=true", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows_of(path, *commands) -> list[dict[str, str]]:
    steps = [f"cmd={command}" for command in commands]
    return list(csv.DictReader(StringIO(stilts("tpipe", f"in={path}", *steps, "ofmt=csv"))))


@pytest.fixture(scope="module")
def table() -> QTable:
    out = QTable()
    out["id"] = np.array([11, 12, 13])
    out["name"] = ["NGC 1", "", "x"]
    out["good"] = [True, False, True]
    out["jp_z"] = MaskedColumn([0.125, 0.25, 0.5], mask=[False, True, False])
    out["jp_z"].info.description = "Redshift; prior 0-1.2 for the galaxy system"
    out["jp_z"].info.meta = {"ucd": "src.redshift.phot"}
    out["jp_ew_halpha"] = [1.0, -2.0, 3.0] * u.AA
    out["jp_ew_halpha"].info.description = "Rest-frame equivalent width, positive in emission, Å"
    out["jp_ew_halpha"].info.meta = {"ucd": "spect.line.eqWidth"}
    out["jp_flux_J0660"] = Masked(u.Quantity([1.5, 2.5, 3.5], u.uJy), mask=[0, 0, 1])
    out["jp_flux_J0660"].info.description = "a long description " * 12 + "ends"
    out["jp_flux_J0660"].info.meta = {"ucd": "phot.flux.density"}
    out["jp_nbands"] = MaskedColumn([60, 59, 0], mask=[0, 0, 1], dtype=np.int16)
    out["jp_z_pdf"] = np.arange(12, dtype=np.float32).reshape(3, 4)
    out["jp_z_pdf"].info.meta = {"ucd": "stat.probability"}
    out.meta["jp_model"] = "default"
    out.meta["jp_z_grid"] = [0.0, 0.5, 1.0, 1.5]
    return out


@pytest.fixture(scope="module", params=ENDINGS)
def path(request, table, tmp_path_factory):
    target = tmp_path_factory.mktemp("stilts") / f"table{request.param}"
    write_catalog(table, target)
    return target


def test_units_descriptions_and_ucds(path, table):
    seen = {
        row["Name"]: row for row in rows_of(path, "meta name class shape units ucd description")
    }
    assert list(seen) == table.colnames
    for name in table.colnames:
        info = table[name].info
        assert seen[name]["Units"] == str(info.unit or ""), name
        assert seen[name]["UCD"] == (info.meta or {}).get("ucd", ""), name
        description = (info.description or "").replace("Å", "Angstrom")
        assert seen[name]["Description"].replace("Å", "Angstrom") == description, name
    assert seen["good"]["Class"] == "Boolean"
    assert seen["jp_nbands"]["Class"] == "Short"
    assert seen["jp_z_pdf"]["Shape"] in ("4", "(4)")


def test_values_and_nulls(path):
    rows = rows_of(path)
    assert [row["id"] for row in rows] == ["11", "12", "13"]
    assert [row["name"] for row in rows] == ["NGC 1", "", "x"]
    assert [row["good"] for row in rows] == ["true", "false", "true"]
    assert [row["jp_z"] for row in rows] == ["0.125", "", "0.5"]
    assert [row["jp_flux_J0660"] for row in rows] == ["1.5", "2.5", ""]
    assert [row["jp_nbands"] for row in rows] == ["60", "59", ""]
    assert rows[1]["jp_z_pdf"].strip("()") == "4.0, 5.0, 6.0, 7.0"


def test_table_parameters(path):
    shown = stilts("tpipe", f"in={path}", "omode=meta")
    assert "default" in shown
    assert "[0.0, 0.5, 1.0, 1.5]" in shown


def test_votlint_finds_nothing(table, tmp_path):
    path = tmp_path / "table.vot"
    write_catalog(table, path)
    assert stilts("votlint", str(path), "ucd=true", "unit=true") == ""


def test_csv_is_read(table, tmp_path):
    path = tmp_path / "table.csv"
    write_catalog(table, path)
    rows = rows_of(path)
    assert [row["jp_z"] for row in rows] == ["0.125", "", "0.5"]
    assert rows[0]["jp_z_pdf"] == "[0.0, 1.0, 2.0, 3.0]"


@pytest.mark.parametrize(
    "form", ["fits-basic", "fits-plus", "votable-binary2", "votable-tabledata"]
)
def test_files_that_stilts_wrote(table, tmp_path, form):
    ending = "fits" if form.startswith("fits") else "vot"
    target = tmp_path / f"again.{ending}"
    path = tmp_path / "table.fits"
    write_catalog(table, path)
    stilts("tpipe", f"in={path}", f"out={target}", f"ofmt={form}")
    back = read_catalog(target)
    assert back.colnames == table.colnames
    assert back["jp_flux_J0660"].unit == u.uJy
    np.testing.assert_array_equal(back["jp_flux_J0660"].mask, [False, False, True])
    assert back["jp_z"].info.meta["ucd"] == "src.redshift.phot"
    assert back["jp_z"].info.description == table["jp_z"].info.description
    np.testing.assert_array_equal(back["jp_z_pdf"], table["jp_z_pdf"])
    assert list(back["name"]) == ["NGC 1", "", "x"] or back["name"].mask.tolist() == [0, 1, 0]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64])
def test_masked_elements_of_arrays_of_whole_numbers(tmp_path, dtype):
    values = np.arange(512).reshape(2, 256).astype(dtype)  # every number that a byte holds
    mask = np.zeros(values.shape, dtype=bool)
    mask[0, 3] = mask[1] = True
    path = tmp_path / "table.vot"
    write_catalog(QTable({"flags": MaskedColumn(values, mask=mask, description="bits")}), path)
    back = read_catalog(path)["flags"]
    np.testing.assert_array_equal(back.mask, mask)
    np.testing.assert_array_equal(np.asarray(back)[~mask], values[~mask])
    assert back.info.description == "bits"
    if dtype is np.int32:
        assert stilts("votlint", str(path), "ucd=true", "unit=true") == ""
