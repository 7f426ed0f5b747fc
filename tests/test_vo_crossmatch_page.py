"""What the page on cross-matches shows runs, against the loopback."""

from __future__ import annotations

import re

import numpy as np
import pytest
import yaml
from astropy import units as u
from astropy.coordinates import Latitude, Longitude
from astropy.table import QTable
from click.testing import CliRunner

from jpassed.cli import main
from jpassed.io import read_catalog, write_catalog
from jpassed.vo.client import TapClient
from jpassed.vo.matchable import load_matchable
from jpassed.vo.matched_columns import MATCH_FLAGS, STATUS


@pytest.fixture(scope="module")
def page(project_root):
    return (project_root / "docs" / "crossmatch.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.+?)^```", text, flags=re.M | re.S)


@pytest.fixture
def folder(tap, tmp_path, monkeypatch, page):
    """A folder with the files that the page speaks of."""
    from mocpy import MOC

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JPASSED_SERVICES", str(tap.services(tmp_path / "services.yaml")))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    client = TapClient(tap.url, cache=False)
    found = client.run(
        "SELECT TOP 30 alpha_j2000, delta_j2000, flux_auto, flux_relerr_auto "
        "FROM minijpas.flambdadualobj WHERE tile_id = 2241 ORDER BY number"
    )
    write_catalog(found, "catalogue.fits")
    write_catalog(client.run("SELECT * FROM galex.fields"), "fields.fits")
    centre = {"lon": Longitude(214.5 * u.deg), "lat": Latitude(52.7 * u.deg)}
    MOC.from_cone(**centre, radius=1 * u.deg, max_depth=9).save("moc.fits", format="fits")
    (tmp_path / "mine.yaml").write_text("".join(blocks(page, "yaml")))
    return tmp_path


def test_every_command_runs(folder, page):
    commands = [line for block in blocks(page, "sh") for line in block.splitlines()]
    assert len(commands) == 8
    for command in commands:
        done = CliRunner().invoke(main, command.split()[1:])
        assert done.exit_code == 0, f"{command}\n{done.output}"
    assert len(read_catalog("matched_jpassed.fits")) == 30
    covered, deeper, mine = map(read_catalog, ("covered.fits", "deeper.fits", "mine.fits"))
    assert {1, 2} <= set(np.asarray(covered["galex_nuv_status"]))
    quiet = np.asarray(deeper["galex_fuv_status"]) == 1
    np.testing.assert_allclose(
        np.asarray(deeper["galex_fuv_flux_err"][quiet].value),
        3631e6 * 10 ** (-0.4 * 22.6) / 5,
        rtol=1e-4,
    )
    assert "uv_nuv_flux" in mine.colnames
    assert "spec_z" in read_catalog("redshifts.fits").colnames


def test_the_python_runs(folder, page):
    said: dict[str, QTable] = {}
    exec(compile("\n".join(blocks(page, "python")), "crossmatch.md", "exec"), said)
    assert "jp_z" in said["annotated"].colnames
    assert "galex_nuv_flux" in said["matched"].colnames


def test_the_columns_and_bits_are_those_of_the_code(page):
    row = next(line for line in page.splitlines() if line.startswith("| `galex_flag`"))
    for bit, _ in MATCH_FLAGS.values():
        assert f" {bit} " in row
    for number, text in STATUS.items():
        assert f"{number} {text}" in page
    galex = load_matchable("galex")
    assert f"nearest within {galex.radius:g} arcsec" in page
    for name in galex.columns:
        assert f"`galex_{name}`" in page or name.endswith("nuvmag")


def test_the_map_is_one(page, tmp_path):
    (block,) = blocks(page, "yaml")
    (tmp_path / "mine.yaml").write_text(block)
    assert load_matchable(tmp_path / "mine.yaml").radius == yaml.safe_load(block)["radius"]
