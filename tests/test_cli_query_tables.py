"""`jpassed query SERVICE --tables`, and the table that a misspelt name may mean."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from jpassed.cli import main
from jpassed.vo import TapClient
from jpassed.vo.table_lists import columns_of, find_tables, meant_table

MISSPELT = "SELECT * FROM minijpas.filtr AS f JOIN galex.ais ON 1 = 1"


@pytest.fixture
def run(tap, tmp_path, monkeypatch):
    """Run ``jpassed`` in a folder of its own; the services' names lead to the loopback."""
    monkeypatch.setenv("JPASSED_SERVICES", str(tap.services(tmp_path / "services.yaml")))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return lambda *words: CliRunner().invoke(main, ["query", *words])


def test_all_tables(run):
    lines = run("loopback", "--tables").stdout.splitlines()
    assert lines == sorted(lines) and len(lines) > 12
    assert "galex.fields               Circles on the sky that were observed." in lines


def test_tables_with_a_part_of_the_name(run):
    shown = run("loopback", "--tables", "GALEX.")
    assert [line.split()[0] for line in shown.stdout.splitlines()] == ["galex.ais", "galex.fields"]


def test_the_columns_of_a_table(run):
    shown = run("loopback", "--tables", "MINIJPAS.Filter")
    assert shown.exit_code == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("minijpas.filter  The bands, in the order")
    assert [line.split() for line in lines[1:]] == [
        ["filter_id", "-", "int", "Place", "in", "the", "array", "columns,", "from", "1"],
        ["name", "-", "char", "Name"],
        ["wavelength", "Angstrom", "float", "Central", "wavelength"],
        ["width", "Angstrom", "float", "Width"],
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["loopback", "--tables", "minijpas.filtr"],
         "loopback has no table 'minijpas.filtr'. Did you mean minijpas.filter?"),
        (["loopback", "--tables", "xyz"], "loopback has no table 'xyz'; leave it out"),
        (["loopback", MISSPELT, "-o", "x.fits"],
         "Could not locate table 'minijpas.filtr'. Did you mean minijpas.filter?"),
    ],
)  # fmt: skip
def test_a_table_that_is_not_there(run, words, said):
    shown = run(*words)
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert shown.stderr.splitlines()[-1].endswith(said)


@pytest.mark.parametrize("more", [["SELECT 1"], ["-o", "x.fits"]])
def test_it_only_shows(run, more):
    shown = run("loopback", *more, "--tables")
    assert (shown.exit_code, "--tables only shows" in shown.stderr) == (2, True)


def test_an_error_of_something_else_asks_for_no_tables(fault_proxy, tmp_path):
    client = TapClient(fault_proxy.url, cache=False)
    assert meant_table(client, "SELECT nme FROM minijpas.filter", "no column nme") == ""
    assert meant_table(client, "SELECT a FROM TAP_UPLOAD.mine", "no table mine") == ""
    assert fault_proxy.count("POST /tap/sync") == 0
    assert meant_table(client, MISSPELT, "no table FILTR") == ". Did you mean minijpas.filter?"
    assert meant_table(client, "SELECT a FROM galex.ais", "galex.ais is broken") == ""


def test_a_service_that_does_not_say_what_it_has():
    silent = TapClient("http://127.0.0.1:9/tap", cache=False, retries=0)
    assert meant_table(silent, MISSPELT, "no table filtr") == ""


def test_names_and_columns_in_python(tap):
    client = TapClient(tap.url, cache=False)
    assert list(find_tables(client, "galex.fields")) == ["galex.fields"]
    assert columns_of(client, "galex.ais")[0][0]
    assert columns_of(client, "it's none") == []
