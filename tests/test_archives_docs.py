"""The page on training sets: its commands run, as shown, with the files that it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from tap_server import TapServer
from test_docs import blocks
from tiny_training import TINY

from jpassed.archives import load_archive, load_plan, read_training_set
from jpassed.archives.description import LabelRule
from jpassed.archives.description_file import KINDS
from jpassed.cli import main


@pytest.fixture(scope="module")
def text(project_root: Path) -> str:
    return (project_root / "docs" / "archives.md").read_text(encoding="utf-8")


@pytest.mark.real_data
def test_every_command_runs(
    text: str,
    spectra_server: TapServer,
    real_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JPASSED_SERVICES", str(spectra_server.services(tmp_path / "services.yaml")))
    for block in blocks(text, "yaml"):
        name = block.splitlines()[0].removeprefix("# ")
        assert name.endswith(".yaml")
        (tmp_path / name).write_text(block)
    # The training that is shown, with settings that take seconds.
    shown = yaml.safe_load((tmp_path / "train.yaml").read_text())
    tiny = {**TINY, **shown, "simulation": {**TINY["simulation"], **shown["simulation"]}}
    tiny["optimiser"] = {**TINY["optimiser"], "steps": 2}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(tiny))
    (tmp_path / "ssp_bc03_lr_chabrier.npz").symlink_to(
        real_data / "ssp" / "ssp_bc03_lr_chabrier.npz"
    )
    commands = [line.split("#")[0] for line in "".join(blocks(text, "sh")).splitlines()]
    assert len(commands) == 3
    said = []
    for command in commands:
        words = shlex.split(command)
        assert words[0] == "jpassed"
        done = CliRunner().invoke(main, words[1:])
        assert done.exit_code == 0, f"{command}: {done.output}"
        said.append(done.output)
    assert "my-archive.objects at datalab: 12 rows\n" in said[0]
    assert "my-archive.lines at datalab: 527 rows in all; those of 12 objects will be" in said[0]
    covered = load_plan("covered.yaml").crossmatch
    assert [(m["survey"], m["coverage"]) for m in covered] == [("galex", "fields.fits")]
    assert "24 objects, 23 with a spectrum" in said[1]
    assert "5  z: flagged in zwarning" in said[1]
    assert "run: trained" in said[2]
    found = read_training_set("training-set")
    assert set(found.labels) == {"z", "ew_halpha", "ew_oii", "logmstar"}
    assert "galex_nuv" in found.bands


def test_every_key_is_explained(text: str) -> None:
    table = text[text.index("| key of a label |") :]
    for key in set(LabelRule.__dataclass_fields__) - {"quantity", "rows", "provenance"}:
        assert re.search(rf"`{key}[:`]", table), key
    for kind in KINDS:
        assert f"\n| `{kind}` |" in text
    for name in ("sdss-dr17", "desi-dr1"):
        assert f"`{name}`" in text
        assert load_archive(name).name == name
