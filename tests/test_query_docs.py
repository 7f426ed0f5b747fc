"""The page on queries: its commands run as shown, on the loopback server."""

from __future__ import annotations

import re
import shlex
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from jpassed.cli import main
from jpassed.io.catalogs import read_catalog
from jpassed.vo.ready_made import list_queries
from jpassed.vo.services import list_services


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.+?)^```", text, flags=re.M | re.S)


@pytest.fixture
def page(project_root):
    return (project_root / "docs" / "query.md").read_text(encoding="utf-8")


@pytest.fixture
def home(tap, tmp_path, monkeypatch):
    """An empty folder to work in; the services' names lead to the loopback."""
    monkeypatch.setenv("JPASSED_SERVICES", str(tap.services(tmp_path / "services.yaml")))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def started_job(url: str) -> str:
    query = "SELECT TOP 7 * FROM minijpas.filter"
    given = {"LANG": "ADQL", "REQUEST": "doQuery", "QUERY": query, "PHASE": "RUN"}
    with urllib.request.urlopen(f"{url}/async", urllib.parse.urlencode(given).encode()) as made:
        return str(made.url)


def shell(line: str) -> None:
    """Run a line as a shell would, ``jpassed`` in this process."""
    words = shlex.split(line)
    taken = None
    if "<" in words:
        place = words.index("<")
        taken = Path(words[place + 1]).read_text()
        words = words[:place]
    if words[0] == "echo":
        text, arrow, name = words[1:]
        assert arrow == ">"
        Path(name).write_text(f"{text}\n")
        return
    assert words[0] == "jpassed", line
    shown = CliRunner().invoke(main, words[1:], input=taken)
    assert shown.exit_code == 0, f"{line}\n{shown.stderr}"


def test_every_command_of_the_page(page, home, tap, monkeypatch):
    monkeypatch.setenv("JPASSED_VO_PASSWORD", "secret")
    lines = "".join(blocks(page, "sh")).splitlines()
    assert len(lines) > 15
    real = re.search(r"https://archive\S+/async/\d+", page)[0]
    for line in lines:
        shell(line.replace(real, started_job(tap.url)) if real in line else line)
    rows = {path.name: len(read_catalog(path)) for path in home.iterdir() if path.suffix != ".adql"}
    assert rows["later.fits"] == 7
    assert rows["first.fits"] == 50
    assert rows["all.fits"] == 2000
    assert rows["part.fits"] == 700
    assert rows["tile.fits"] == rows["small.ecsv"] == rows["joined.fits"] == 500
    assert rows["bands.csv"] == rows["same.csv"] == 60
    assert "jp_z_pdf" in read_catalog(home / "pdf.fits").colnames
    assert "jp_logmstar" in read_catalog(home / "mass.fits").colnames
    assert {"jp_z", "z_spec", "photoz"} <= set(read_catalog(home / "cone.fits").colnames)


def test_python_shown_runs(page, home):
    (code,) = blocks(page, "python")
    said = {}
    exec(compile(code, "query.md", "exec"), said)
    assert len(said["table"]) == len(said["annotated"]) > 10
    assert len(said["many"]) == 2000


def test_the_services_file_shown_is_one(page, tmp_path, monkeypatch):
    (example,) = blocks(page, "yaml")
    path = tmp_path / "mine.yaml"
    path.write_text(example)
    monkeypatch.setenv("JPASSED_SERVICES", str(path))
    assert list_services()["ours"].login is True
    assert list_services()["mine"].url == "https://example.org/tap"


def test_every_ready_made_query_is_in_the_table(page):
    table = re.findall(r"^\| (`.+) \| `(\S+)` \|", page, flags=re.M)
    shown = {name: service for names, service in table for name in re.findall(r"`(\S+?)`", names)}
    assert shown == {name: query.service for name, query in list_queries().items()}
