"""What the page on surveys shows is what happens."""

from __future__ import annotations

import json
import re

import pytest
from astropy import units as u
from click.testing import CliRunner
from cluster_catalogs import as_hats, made_up

from jpassed.cli import main
from jpassed.io.catalogs import read_catalog, write_catalog

distributed = pytest.importorskip("distributed")
pytest.importorskip("lsdb")

pytestmark = pytest.mark.xdist_group("cluster_docs")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with all that the commands of the page read."""
    table = made_up(100)
    as_hats(table, tmp_path, rows=60).rename(tmp_path / "minijpas_hats")
    (tmp_path / "objects").mkdir()
    write_catalog(table, tmp_path / "objects" / "a.parquet")
    bands = [name for name in table.colnames if name.startswith("J")]
    lines = "".join(f"{name},uJy\n" for name in bands)
    (tmp_path / "columns.csv").write_text(f"name,unit\n{lines}")
    monkeypatch.chdir(tmp_path)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
    ) as cluster:
        (tmp_path / "cluster.json").write_text(json.dumps({"address": cluster.scheduler_address}))
        yield tmp_path


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.+?)^```", text, flags=re.M | re.S)


@pytest.fixture
def page(project_root):
    return (project_root / "docs" / "survey_scale.md").read_text("utf-8")


def test_the_commands_of_the_page_run(page, place):
    lines = "".join(blocks(page, "sh")).splitlines()
    commands = [line.split() for line in lines if line.startswith("jpassed annotate")]
    assert len(commands) == 4
    alone = 0
    for words in commands:
        more = ["--overwrite", "--device", "cpu", "--chi2", "none"]
        if "--workers" in words:  # processes of its own, of which one will do
            words[words.index("--workers") + 1] = "1"
            alone += 1
        elif "--scheduler" not in words:
            more += ["--scheduler", "cluster.json"]
        run = CliRunner().invoke(main, [*words[1:], *more])
        assert run.exit_code == 0, run.output
        assert ": 100 rows" in run.output
    assert alone == 1
    part = next((place / "minijpas_jp" / "dataset").rglob("Npix*"))
    assert read_catalog(part)["J0660"].unit == u.uJy  # which columns.csv gave back
    assert read_catalog(place / "objects_jp" / "a.parquet")["jp_flux_galex_nuv"].unit == u.uJy


def test_the_python_of_the_page_runs(page, place):
    assert CliRunner().invoke(main, ["example", "example.fits"]).exit_code == 0
    write_catalog(read_catalog("example.fits")[:50], "example.fits", overwrite=True)
    (code,) = blocks(page, "python")
    exec(compile(code, "survey_scale.md", "exec"), {})
