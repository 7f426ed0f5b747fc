"""`jpassed train` reads training sets of `jpassed fetch` next to the simulator."""

from __future__ import annotations

import json
import tracemalloc
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from archive_plans import SDSS, write_plan
from astropy.table import MaskedColumn, Table
from click.testing import CliRunner
from tap_server import TapServer
from tiny_training import TINY

from jpassed.archives import fetch, read_training_set
from jpassed.archives.checksums import sha256_of
from jpassed.archives.manifest import is_training_set
from jpassed.cli import main
from jpassed.exceptions import FileError, InputError
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.nn.checkpoint import read_model
from jpassed.training.config import TableConfig, TrainingConfig
from jpassed.training.setup import prepare
from jpassed.training.shards import ShardedSource
from jpassed.vocabulary import load_vocabulary

BANDS = ("J0400", "J0660", "galex_nuv")
NAMES = ("z", "logmstar", "ew_halpha")


def write_set(folder: Path, shards: list[Table]) -> Path:
    """A training set of given tables."""
    (folder / "shards").mkdir(parents=True)
    lines = []
    for k, table in enumerate(shards):
        name = f"shards/part-{k:05d}.parquet"
        write_catalog(table, folder / name)
        lines.append({"path": name, "rows": len(table), "sha256": sha256_of(folder / name)})
    content = {"format": 1, "vocabulary": load_vocabulary().digest, "shards": lines,
               "labels": {}, "bands": {}}  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(content))
    return folder


def numbered(count: int, first: int = 0) -> Table:
    """Rows whose numbers tell which they are; odd ones lack a redshift, every third a band."""
    n = np.arange(first, first + count)
    table = Table(masked=True)
    table["J0400"] = MaskedColumn(1.0 + n, mask=n % 3 == 0, unit="uJy")
    table["J0400_err"] = MaskedColumn(0.1 + 0 * n, mask=n % 3 == 0, unit="uJy")
    table["J0660"] = MaskedColumn(2.0 + n, unit="uJy")
    table["J0660_err"] = MaskedColumn(0.2 * (1 + n), unit="uJy")
    table["label_z"] = MaskedColumn(0.001 * n % 1, mask=n % 2 == 1)
    table["label_z_err"] = MaskedColumn(1e-4 * (1 + n % 7), mask=n % 2 == 1)
    return table


def source(path: Path, **settings: Any) -> ShardedSource:
    return ShardedSource(TableConfig(str(path), **settings), BANDS, NAMES, torch.device("cpu"))


def test_values_errors_and_masks_of_every_row(tmp_path):
    found = source(write_set(tmp_path, [numbered(40), numbered(30, 40)]))
    assert len(found) == 70
    drawn = found.draw(4000, torch.Generator().manual_seed(1))
    n = (drawn.flux[:, 1] - 2.0).round().long()
    assert set(n.tolist()) == set(range(70))
    torch.testing.assert_close(drawn.error[:, 1], 0.2 * (1.0 + n))
    torch.testing.assert_close(drawn.observed[:, 0], n % 3 != 0)
    assert not drawn.observed[:, 2].any()  # a band that the set does not have
    torch.testing.assert_close(drawn.label_known[:, 0], n % 2 == 0)
    known = drawn.label_known[:, 0]
    torch.testing.assert_close(drawn.labels[known, 0], 0.001 * n[known].float())
    torch.testing.assert_close(drawn.label_error[known, 0], 1e-4 * (1.0 + n[known] % 7))
    assert not drawn.label_known[:, 1:].any()
    assert not drawn.simulated.any()
    torch.testing.assert_close(drawn.target_known, drawn.observed)
    again = found.draw(4000, torch.Generator().manual_seed(1))
    torch.testing.assert_close(again.flux, drawn.flux)


def test_rows_without_any_of_the_bands_and_labels_are_not_drawn(tmp_path):
    table = numbered(30)
    table["J0660"].mask = table["J0400"].mask = True
    found = source(write_set(tmp_path, [table]))
    assert len(found) == 15
    assert found.draw(50, torch.Generator().manual_seed(0)).label_known[:, 0].all()
    table["label_z"].mask = True
    with pytest.raises(InputError, match="no object has any of the bands"):
        source(write_set(tmp_path / "none", [table]))


def test_memory_is_that_of_one_shard(tmp_path):
    rows, shards = 20_000, 12
    folder = write_set(tmp_path, [numbered(rows, k * rows) for k in range(shards)])
    one = rows * (2 * (len(BANDS) + len(NAMES))) * 4
    tracemalloc.start()
    found = source(folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == rows * shards
    # In memory all would be 12 shards; one is held while it is read, in several forms.
    assert peak < 8 * one
    drawn = found.draw(64, torch.Generator().manual_seed(2))
    assert float(drawn.flux[:, 1].max()) > rows


def test_sets_that_cannot_be_used(tmp_path):
    folder = write_set(tmp_path / "set", [numbered(10)])
    assert is_training_set(folder)
    with pytest.raises(InputError, match="leave out 'labels'"):
        source(folder, labels={"z": "label_z"})
    with pytest.raises(InputError, match="leave out 'survey'"):
        source(folder, survey="minijpas")
    content = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**content, "vocabulary": "0"}))
    with pytest.raises(FileError, match="another vocabulary"):
        source(folder)
    (folder / "manifest.json").write_text(json.dumps({**content, "format": 2}))
    with pytest.raises(FileError, match="of format 2"):
        source(folder)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(FileError, match="damaged"):
        source(folder)
    (folder / "manifest.json").write_text(json.dumps(content))
    path = folder / content["shards"][0]["path"]
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(FileError, match="SHA-256"):
        source(folder)
    path.unlink()
    with pytest.raises(FileError, match="missing"):
        source(folder)


@pytest.mark.real_data
def test_a_training_set_trains_next_to_the_simulator(
    spectra_server: TapServer, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = spectra_server.services(tmp_path / "services.yaml")
    monkeypatch.setenv("JPASSED_SERVICES", str(services))
    folder = tmp_path / "set"
    fetch(write_plan(tmp_path, deepcopy(SDSS), shard_rows=10), folder)
    settings = {
        **TINY,
        "tables": [{"path": str(folder), "share": 0.25}],
        "optimiser": {**TINY["optimiser"], "steps": 3},
    }
    config = tmp_path / "train.yaml"
    config.write_text(yaml.safe_dump(settings))
    ssp = str(real_data / "ssp" / "ssp_bc03_lr_chabrier.npz")
    done = CliRunner().invoke(
        main, ["train", str(config), "-o", str(tmp_path / "run"), "--ssp", ssp, "--device", "cpu"]
    )
    assert done.exit_code == 0, done.output
    losses = [json.loads(x)["loss"] for x in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert len(losses) == 3
    assert np.isfinite(losses).all()
    card = read_model(tmp_path / "run").card
    assert "set/manifest.json" in card["provenance"]["files"]

    # The labels, with their errors and masks, are those of the shards.
    prepared = prepare(TrainingConfig.from_dict(settings), torch.device("cpu"), ssp=(ssp,))
    (found,) = prepared.tables
    assert isinstance(found, ShardedSource)
    drawn = found.draw(500, torch.Generator().manual_seed(3))
    shards = [read_catalog(path) for path in read_training_set(folder).shards()]
    column = {name: k for k, name in enumerate(found.names)}
    seen = 0
    for quantity in ("z", "ew_halpha", "logmstar"):
        pairs = {
            (np.float32(v), np.float32(e))
            for shard in shards
            for v, e in zip(
                *(plain(shard[f"label_{quantity}{end}"]) for end in ("", "_err")), strict=True
            )
            if np.isfinite(v)
        }
        k = column[quantity]
        rows = drawn.label_known[:, k]
        got = set(
            zip(drawn.labels[rows, k].numpy(), drawn.label_error[rows, k].numpy(), strict=True)
        )
        assert got == pairs
        seen += len(got)
        assert not rows.all()
    assert seen > 40

    # And so they are asked: with their errors, and not where they are not known.
    question = prepared.questioner.ask(drawn, torch.Generator().manual_seed(8))
    scaled, sigma = prepared.questioner.scaling.to_scaled(drawn.labels, drawn.label_error)
    asked = 0
    for i, name in enumerate(question.requests.names):
        if name not in column:
            continue
        known = drawn.label_known[:, column[name]]
        assert not bool((question.asked[:, i] & ~known).any())
        rows = question.asked[:, i]
        torch.testing.assert_close(question.target[rows, i], scaled[rows, column[name]])
        torch.testing.assert_close(question.error[rows, i], sigma[rows, column[name]])
        asked += int(rows.sum())
    assert asked > 300


def plain(column: Any) -> np.ndarray:
    values = np.asarray(np.ma.getdata(getattr(column, "unmasked", column)), dtype=float)
    values = np.asarray(getattr(values, "value", values))
    return np.where(getattr(column, "mask", False), np.nan, values)
