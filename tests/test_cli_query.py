"""`jpassed query` and `jpassed annotate --tap` on the command line."""

from __future__ import annotations

import urllib.parse
import urllib.request

import numpy as np
import pytest
from astropy.table import QTable
from click.testing import CliRunner

import jpassed
from jpassed.cli import main
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.vo.ready_made import list_queries

TEN = "SELECT TOP 10 object_id, ra, dec FROM bulk.galaxies ORDER BY object_id"
PART = ("--survey", "minijpas", "--cone", "214.3", "52.5", "0.05")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run ``jpassed`` in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    return lambda *words, **more: runner.invoke(main, [str(word) for word in words], **more)


@pytest.fixture
def loopback(tap, tmp_path_factory, monkeypatch):
    """The services' names lead to the loopback."""
    path = tap.services(tmp_path_factory.mktemp("services") / "services.yaml")
    monkeypatch.setenv("JPASSED_SERVICES", str(path))
    return tap


# --- without a server ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["query"], "Missing argument 'SERVICE'"),
        (["query", "gaia", "SELECT 1"], "Missing option '-o'"),
        (["query", "gaia", "x", "-o", "x.fits", "--pdf"], "--pdf: only with --annotate."),
        (["query", "gaia", "x", "-ox.fits", "--samples", "3", "--model", "m"], "--samples"),
        (["query", "gaia", "x", "-o", "x.fits", "--survey", "minijpas"], "not both"),
        (["query", "gaia", "x", "-ox.fits", "--survey", "sdss", "--map", "m", "--annotate"],
         "--survey and --map exclude each other"),
        (["query", "gaia", "x", "-o", "x.docx"], "x.docx"),
        (["query", "gaja", "x", "-o", "x.fits"], "unknown service 'gaja'. Did you mean 'gaia'?"),
        (["query", "gaia", "-o", "x.fits", "--survey", "minijps", "--tile", "1"],
         "Did you mean 'minijpas'"),
        (["query", "gaia", "-o", "x.fits", "--cone", "1", "2"], "requires 3 arguments"),
        (["query", "gaia", "x", "-o", "x.fits", "--maxrec", "0"], "0 is not in the range x>=1"),
        (["query", "gaia", "x", "-o", "x.fits", "--timeout", "0"], "0.0 is not in the range x>0"),
        (["query", "gaia", "x", "-o", "x.fits", "--upload", "mine.fits"],
         "for --upload: expected NAME=FILE, e.g. mine=small.ecsv, got 'mine.fits'"),
        (["query", "gaia", "--survey", "minijpas", "--cone", "214.2", "52.5", "-o", "x.fits"],
         "for --cone: expected RA DEC RADIUS, e.g. 214.25 52.5 0.1; -o stands for one of them"),
        (["query", "gaia", "-", "-o", "x.fits"], "stdin is empty"),
        (["annotate", "--tap", "gaia", "-o", "x.fits"], "--tap wants --adql and -o OUT"),
        (["annotate", "--tap", "gaia", "--adql", "x"], "--tap wants --adql and -o OUT"),
        (["annotate", "a.fits", "--tap", "gaia", "--adql", "x", "-ox.fits"], "and no IN"),
        (["annotate", "a.fits", "--maxrec", "3"], "--maxrec: only with --tap."),
        (["annotate"], "Missing argument 'IN' (or --tap SERVICE, or --hats"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_wrong_usage_exits_with_2_and_writes_nothing(run, tmp_path, words, said):
    shown = run(*words)
    assert shown.exit_code == 2, shown.stderr
    assert said in shown.stderr
    assert (shown.stdout, list(tmp_path.iterdir())) == ("", [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "x.fits"], "one of adql (the query itself), survey"),
        (["-o", "x.fits", "--survey", "minijpas"], "would ask for all of the survey"),
        (["-o", "x.fits", "--survey", "minijpas", "--cone", "1", "2", "x"], "expected RA DEC"),
        (["-o", "x.fits", "--survey", "minijpas", "--tile", "a"], "the number of a tile"),
        (["-o", "x.fits", "--survey", "minijpas", "--where", "a)"], "closes nothing"),
        (["x", "-o", "x.fits", "--tile", "3"], "tile: only with survey"),
        (["@none.adql", "-o", "x.fits"], "cannot read the query of none.adql"),
        (["x", "-o", "x.fits", "--upload", "mine=none.fits"], "none.fits does not exist"),
        (["x", "-o", "nowhere/x.fits"], "nowhere is not a folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_makes_no_sense_exits_with_1(run, tmp_path, words, said):
    shown = run("query", "gaia", *words)
    assert shown.exit_code == 1, shown.stderr
    assert said in shown.stderr
    assert (shown.stdout, list(tmp_path.iterdir())) == ("", [])


def test_a_list_of_what_is_known(run):
    shown = run("query", "--list")
    assert shown.exit_code == 0
    for name in ("cefca-minijpas", "datalab", "vizier", *list_queries()):
        assert f"\n  {name} " in shown.stdout


def test_a_bad_services_file_is_named_and_nothing_is_listed(run, tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text("mine: {url: http://x.org/tap, dialect: klingon}")
    monkeypatch.setenv("JPASSED_SERVICES", str(tmp_path / "mine.yaml"))
    shown = run("query", "--list")
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "mine.yaml, mine: unknown dialect 'klingon'. Valid choices: adql" in shown.stderr


# --- with the loopback server -------------------------------------------------------------------


@pytest.mark.parametrize("how", ["word", "file", "stdin"])
def test_a_query_from_wherever_it_is(loopback, run, tmp_path, how):
    (tmp_path / "ten.adql").write_text(f"{TEN}\n")
    words = {"word": TEN, "file": "@ten.adql", "stdin": "-"}
    shown = run("query", "loopback", words[how], "-o", "ten.ecsv", "--no-cache", input=TEN)
    assert (shown.exit_code, shown.stdout) == (0, "ten.ecsv: 10 rows\n"), shown.stderr
    assert "10 rows" in shown.stderr.splitlines()
    found = read_catalog("ten.ecsv")
    assert list(found["object_id"]) == list(range(1_000_000, 1_000_010))
    assert found["ra"].info.meta["ucd"] == "pos.eq.ra;meta.main"


def test_annotated_at_once(loopback, run):
    shown = run("query", "cefca-minijpas", *PART, "--annotate", "--outputs", "z", "-o", "a.vot")
    assert shown.exit_code == 0, shown.stderr
    assert "rows: writing a.vot" in shown.stderr
    assert shown.stderr.count("flagged in column 'flags'") == 1
    assert len(shown.stderr.splitlines()) <= 6
    found = read_catalog("a.vot")
    assert {"jp_z", "jp_z_err", "jp_flag", "photoz", "z_spec"} <= set(found.colnames)
    everything = run(
        "query", "cefca-minijpas", *PART, "--annotate", "--outputs=z", "-ob.vot", "--verbose"
    )
    assert everything.stderr.count("flagged in column") > 20


def test_options_reach_annotate(loopback, run):
    adql = "SELECT TOP 5 * FROM minijpas.flambdadualobj ORDER BY tile_id, number"
    options = ("--outputs", "z", "--samples", "3", "--pdf", "--independent", "--survey", "minijpas")
    shown = run("query", "loopback", adql, "--annotate", *options, "-o", "a.fits")
    assert shown.exit_code == 0, shown.stderr
    found = read_catalog("a.fits")
    assert found["jp_z_samples"].shape == (5, 3)
    assert "jp_z_pdf" in found.colnames
    same = run("annotate", "--tap", "loopback", "--adql", adql, *options, "-o", "b.fits")
    assert same.exit_code == 0, same.stderr
    other = read_catalog("b.fits")
    assert other.colnames == found.colnames
    np.testing.assert_array_equal(other["jp_z_samples"], found["jp_z_samples"])


def test_draws_of_two_pages_differ(loopback, run):
    adql = "SELECT object_id, flux_auto, flux_relerr_auto FROM bulk.galaxies WHERE object_id < "
    twice = "SELECT object_id, flux_auto, flux_relerr_auto FROM bulk.galaxies WHERE object_id = "
    options = ("--annotate", "--outputs", "z", "--samples", "4", "--independent", "-o")
    shown = run(
        *("query", "loopback", f"{adql}1000006", "--page-by", "object_id", "--page-rows", "3"),
        *(*options, "pages.fits"),
    )
    assert shown.exit_code == 0, shown.stderr
    run("query", "loopback", f"{twice}1000002", *options, "alone.fits")
    pages, alone = read_catalog("pages.fits"), read_catalog("alone.fits")
    assert list(pages["object_id"]) == list(range(1_000_000, 1_000_006))
    # The third row begins the second page: alone it has the draws of a first row.
    assert not np.array_equal(pages["jp_z_samples"][2], alone["jp_z_samples"][0])
    np.testing.assert_allclose(pages["jp_z"][2], alone["jp_z"][0], rtol=1e-5)


def test_no_row_is_an_error_and_writes_nothing(loopback, run, tmp_path):
    none = f"SELECT object_id FROM bulk.galaxies WHERE object_id < 0{' AND ra > 0' * 100}"
    for more in ((), ("--page-by", "object_id")):
        shown = run("query", "loopback", none, *more, "-o", "x.fits")
        assert shown.exit_code == 1
        assert "no row fits the query, nothing was written" in shown.stderr
        assert len(shown.stderr) < 400
    assert list(tmp_path.iterdir()) == []


def test_rows_that_will_do(loopback, run):
    shown = run(
        "query", "loopback", "SELECT ra FROM bulk.galaxies", "--maxrec", "7", "-o", "x.fits"
    )
    assert shown.stdout == "x.fits: 7 rows\n"
    assert "only the first 7 rows, as asked for" in shown.stderr
    assert read_catalog("x.fits").meta["jp_overflow"] is True


def test_an_uploaded_table(loopback, run):
    write_catalog(QTable({"mine": [1_000_003, 1_000_001, 5]}), "mine.fits")
    adql = (
        "SELECT mine, ra FROM TAP_UPLOAD.t AS t JOIN bulk.galaxies AS g ON g.object_id = t.mine "
        "ORDER BY mine"
    )
    shown = run("query", "loopback", adql, "--upload", "t=mine.fits", "-o", "x.csv")
    assert shown.exit_code == 0, shown.stderr
    assert list(read_catalog("x.csv")["mine"]) == [1_000_001, 1_000_003]


def test_a_job_started_before(loopback, run):
    given = {"LANG": "ADQL", "REQUEST": "doQuery", "QUERY": TEN, "PHASE": "RUN"}
    made = urllib.request.urlopen(
        f"{loopback.url}/async", data=urllib.parse.urlencode(given).encode()
    )
    shown = run("query", "loopback", "--resume", made.url, "-o", "x.fits")
    assert shown.exit_code == 0, shown.stderr
    assert len(read_catalog("x.fits")) == 10


@pytest.mark.parametrize("where", ["prompt", "environment"])
def test_a_login(fault_proxy, run, monkeypatch, where):
    fault_proxy.require_login("me", "hunter2")
    words = ("query", fault_proxy.url, TEN, "--no-cache", "--login", "me", "-o", "x.vot")
    wrong = run(*words, input="hunter3\n")
    assert wrong.exit_code == 1
    if where == "environment":
        monkeypatch.setenv("JPASSED_VO_PASSWORD", "hunter2")
    shown = run(*words, input="hunter2\n")
    assert (shown.exit_code, shown.stdout) == (0, "x.vot: 10 rows\n"), shown.stderr
    assert ("Password of me" in shown.stderr) == (where == "prompt")
    with open("x.vot", encoding="utf-8") as written:
        assert "hunter" not in shown.output + wrong.output + written.read()


def test_query_is_a_public_name():
    assert jpassed.query.__module__ == "jpassed.vo.queries"
