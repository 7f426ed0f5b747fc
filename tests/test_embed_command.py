"""``jpassed embed`` through real files."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from test_docs import blocks
from test_embed import galaxies

from jpassed.cli import main
from jpassed.io.catalogs import read_catalog, write_catalog


def run(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("embed") / "galaxies.fits"
    write_catalog(galaxies(8), path)
    return path


@pytest.mark.parametrize("ending", ["fits", "vot", "ecsv", "parquet"])
def test_vectors_survive_every_format(catalogue: Path, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"out.{ending}"
    assert "8 rows" in run("embed", catalogue, "-o", out)
    column = read_catalog(out)["jp_embedding"]
    assert column.shape == (8, 32)
    from jpassed.annotation import embed

    expected = np.ma.getdata(embed(galaxies(8))["jp_embedding"])
    np.testing.assert_allclose(np.ma.getdata(column), expected, rtol=1e-3, atol=2e-3)
    assert "32 numbers" in column.info.description


def test_similar_lists_the_nearest_rows(catalogue: Path, tmp_path: Path) -> None:
    from jpassed.annotation import embed, similar

    out = tmp_path / "embedded.fits"
    listed = run("embed", catalogue, "-o", out, "--similar", 3, "--n", 2)
    again = run("embed", out, "--similar", 3, "--n", 2)
    assert listed.splitlines()[1:] == again.splitlines()
    head, *lines = again.splitlines()
    assert head.split("\t") == ["row", "distance", "id"]
    rows, distances = similar(embed(galaxies(8))["jp_embedding"], 2, 2)
    assert [int(line.split("\t")[0]) for line in lines] == (rows + 1).tolist()
    assert [float(line.split("\t")[1]) for line in lines] == pytest.approx(distances, abs=0.01)
    assert [int(line.split("\t")[2]) for line in lines] == rows.tolist()


def test_the_commands_of_the_page_run(
    project_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (project_root / "docs" / "embed.md").read_text(encoding="utf-8")
    commands = "".join(blocks(text, "sh")).splitlines()
    assert len(commands) == 2
    monkeypatch.chdir(tmp_path)
    write_catalog(galaxies(8), "catalogue.fits")
    said = [run(*shlex.split(command)[1:]) for command in commands]
    assert "embedded.fits: 8 rows" in said[0]
    assert len(said[1].splitlines()) == 6


def test_a_row_beyond_the_table_is_refused(catalogue: Path) -> None:
    result = CliRunner().invoke(main, ["embed", str(catalogue), "--similar", "9"])
    assert result.exit_code == 1
    assert "expected a row from 1 to 8, got 9" in result.output


def test_an_existing_file_stays(catalogue: Path, tmp_path: Path) -> None:
    out = tmp_path / "there.fits"
    out.write_bytes(b"mine")
    result = CliRunner().invoke(main, ["embed", str(catalogue), "-o", str(out)])
    assert result.exit_code == 1 and "exists" in result.output
    assert out.read_bytes() == b"mine"
